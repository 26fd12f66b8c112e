-- How a source is asked beyond its URL: fraud.sources.request, whose keys docs/requests.md
-- has, and where a source's pages have come to.
CREATE FUNCTION fraud._check_request(request jsonb, secrets jsonb) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_check_request'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud._check_request(jsonb, jsonb) IS
    'internal: refuses a request with unknown keys or placeholders, or without the secrets that it needs';

-- Headers of sources and webhooks. What says where a message ends, whose host it is for and what becomes of the connection is
-- libcurl's alone: another Host would lead to a site that fraud_detect.allowed_hosts was not asked about, and a length
-- that is not the body's makes two requests of one. `own`: what fraud_detect sets besides.
CREATE FUNCTION fraud._check_headers(what text, headers jsonb, own text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bad text;
BEGIN
    IF jsonb_typeof(headers) <> 'object' THEN
        RAISE EXCEPTION 'headers must be a JSON object, not %', jsonb_typeof(headers)
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'For example: {"X-Api-Key": "…"}.';
    END IF;
    SELECT h.key INTO bad FROM jsonb_each(headers) h
    WHERE jsonb_typeof(h.value) <> 'string'
       OR h.key !~ '^[A-Za-z0-9!#$%&''*+.^_`|~-]+$'
       OR (h.value #>> '{}') ~ '[[:cntrl:]]'
    LIMIT 1;
    IF bad IS NOT NULL THEN
        RAISE EXCEPTION 'invalid header "%" for %', fraud._mask_card_numbers(left(bad, 200)), what
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'A header''s name is an HTTP token, its value a text without control characters.';
    END IF;
    SELECT h.key INTO bad FROM jsonb_object_keys(headers) h(key)
    WHERE lower(h.key) = ANY ('{connection,content-length,expect,host,http2-settings,keep-alive,proxy-authenticate,proxy-authorization,proxy-connection,te,trailer,transfer-encoding,upgrade}'::text[] || own)
    LIMIT 1;
    IF bad IS NOT NULL THEN
        RAISE EXCEPTION 'header "%" for % is set by fraud_detect itself', bad, what
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Leave it out.';
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._check_headers(text, jsonb, text[]) IS 'internal: refuses headers that are none, or that fraud_detect or libcurl sets itself';

-- The time that {{since}} stands for at a poll that begins now.
CREATE FUNCTION fraud._since(request jsonb, newest timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
SET intervalstyle = 'postgres'
BEGIN ATOMIC
    SELECT CASE
        WHEN newest IS NOT NULL THEN
            least(newest, clock_timestamp()) - coalesce((request #>> '{since,overlap}')::interval, interval '5 minutes')
        WHEN request #>> '{since,first}' ~ '^[0-9]{4}-' THEN (request #>> '{since,first}')::timestamptz
        ELSE clock_timestamp() - coalesce((request #>> '{since,first}')::interval, interval '1 day')
    END;
END;
COMMENT ON FUNCTION fraud._since(jsonb, timestamptz) IS
    'internal: what {{since}} stands for: the newest payment''s time less the overlap, or where the first poll begins';

CREATE FUNCTION fraud._check_since(request jsonb) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
SET intervalstyle = 'postgres'
AS $$
DECLARE
    key text;
    written text;
    span interval;
BEGIN
    FOREACH key IN ARRAY '{overlap,first}'::text[] LOOP
        CONTINUE WHEN NOT coalesce(request -> 'since' ? key, false);
        written := request #>> ARRAY['since', key];
        BEGIN
            IF key = 'first' AND written ~ '^[0-9]{4}-' THEN
                IF NOT isfinite(written::timestamptz) THEN written := NULL; END IF;
            ELSE
                span := written::interval;
                IF span < interval '0' OR span > interval '100 years' THEN written := NULL; END IF;
            END IF;
        EXCEPTION WHEN data_exception THEN
            written := NULL;
        END;
        IF written IS NULL THEN
            RAISE EXCEPTION 'since''s % is not what it can be', key
                USING ERRCODE = 'invalid_parameter_value',
                      DETAIL = CASE key WHEN 'first' THEN 'It is an interval before now, or a time such as 2026-01-31T00:00:00Z.'
                                        ELSE 'It is an interval, such as 5 minutes.' END;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION fraud._check_since(jsonb) IS 'internal: refuses a request whose since has no intervals';

-- Only who may read the server's files may name one.
CREATE FUNCTION fraud._check_request_files(request jsonb) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF request ? 'tls' AND NOT pg_has_role(fraud._caller(), 'pg_read_server_files', 'USAGE') THEN
        RAISE EXCEPTION 'permission denied to name a file of the server'
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'The certificate and key of a source''s tls are read from the server''s files.',
                  HINT = 'A member of pg_read_server_files, or a superuser, can.';
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._check_request_files(jsonb) IS 'internal: refuses file names from who may not read the server''s files';

-- A page's place belongs to the request that it was a page of: with another one it means nothing,
-- or leaves payments out. What goes on for ever (keep) does so whatever else is asked for.
CREATE FUNCTION fraud._position_key(source fraud.sources) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT encode(sha256(convert_to(jsonb_build_object('url', source.url, 'paging', (source.request -> 'paging') - 'max_pages', 'asked',
        CASE WHEN source.request #> '{paging,keep}' = 'true' THEN NULL
             ELSE jsonb_build_array(source.request -> 'method', source.request -> 'query', source.request -> 'body') END)::text, 'UTF8')), 'hex');
END;
COMMENT ON FUNCTION fraud._position_key(fraud.sources) IS 'internal: tells of a request''s pages whether they are of the same walk';

-- What was answered the same, and was read then, is asked for again when it would be read otherwise.
CREATE FUNCTION fraud._reading_key(source fraud.sources) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT encode(sha256(convert_to((to_jsonb(source)
        - '{name,poll_interval,max_poll_payments,max_waiting_payments,paused,url_by,created_at,created_by,secrets}'::text[])::text, 'UTF8')), 'hex');
END;
COMMENT ON FUNCTION fraud._reading_key(fraud.sources) IS 'internal: tells whether a source is asked and read as it was';

-- Queries, bodies and parameters may hold what should have been a secret.
CREATE FUNCTION fraud._shown_request(request jsonb, was jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT request
        || coalesce((SELECT jsonb_object_agg(k, CASE WHEN request -> k <> was -> k THEN 'changed' ELSE 'present' END)
                     FROM unnest('{query,body}'::text[]) k WHERE request ? k), '{}')
        || CASE WHEN request -> 'auth' ? 'token_url' THEN jsonb_build_object('auth', (request -> 'auth')
               || jsonb_build_object('token_url', fraud._shown_url(request #>> '{auth,token_url}'))
               || CASE WHEN request -> 'auth' ? 'parameters' THEN jsonb_build_object('parameters',
                      CASE WHEN request #> '{auth,parameters}' <> was #> '{auth,parameters}' THEN 'changed' ELSE 'present' END) ELSE '{}' END)
           ELSE '{}' END;
END;
COMMENT ON FUNCTION fraud._shown_request(jsonb, jsonb) IS 'internal: a source''s request as fraud.audit_log shows it';
