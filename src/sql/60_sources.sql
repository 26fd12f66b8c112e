CREATE FUNCTION fraud._wake_worker() RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_wake_worker'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud._wake_worker() IS
    'internal: at commit, has this database''s ingest worker look at its sources at once';

-- Says so when no worker can run in this server: SQL works without the preload,
-- polling does not.
CREATE FUNCTION fraud._warn_without_worker() RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_warn_without_worker'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud._warn_without_worker() IS
    'internal: warns when fraud_detect is not in shared_preload_libraries';

-- Called by workers before they call anybody, and by what has anybody called. In a copy what the
-- workers of the first noted is not its own: as with a dump, it calls nobody until it is told to.
CREATE FUNCTION fraud._move_in() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    here oid := (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
BEGIN
    IF EXISTS (SELECT FROM fraud.home h WHERE h.database = here) THEN
        RETURN;
    END IF;
    UPDATE fraud.home h SET database = here WHERE h.database <> here;
    IF FOUND THEN
        DELETE FROM fraud.source_state;
        DELETE FROM fraud.poll_requests;
        DELETE FROM fraud.channel_state;
        RAISE LOG 'database "%" is a copy: it polls no source and tells no channel until fraud.resume_source and fraud.resume_channel', current_database();
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._move_in() IS 'internal: in a copy of a database, has its sources and channels be restored ones';

CREATE FUNCTION fraud._shown_source(source fraud.sources, was fraud.sources DEFAULT NULL) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT to_jsonb(source) - '{name,url_by,created_at,created_by,asked_anew_at,request,secrets}'::text[]
        || jsonb_build_object('url', fraud._shown_url(source.url),
            'headers', fraud._shown_secrets(source.headers, was.headers))
        || CASE WHEN source.request IS NULL THEN '{}'::jsonb ELSE
               jsonb_build_object('request', fraud._shown_request(source.request, was.request), 'secrets', fraud._shown_secrets(source.secrets, was.secrets)) END
        -- Another key at the same host is a change too.
        || CASE WHEN source.url <> was.url AND fraud._shown_url(source.url) = fraud._shown_url(was.url) THEN '{"url": "changed"}' ELSE '{}'::jsonb END;
END;
COMMENT ON FUNCTION fraud._shown_source(fraud.sources, fraud.sources) IS
    'internal: a source as fraud.audit_log shows it, without secrets: which are there, and which are others than before';

-- Refuses a URL that libcurl cannot read, that fraud_detect.allowed_hosts does not let be
-- contacted, or that credentials would be sent to in clear. `what` names it in messages.
CREATE FUNCTION fraud._check_destination(what text, url text, schemes text, headers jsonb, has_secret boolean) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_check_destination'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._check_destination(text, text, text, jsonb, boolean) IS
    'internal: refuses a URL that may not be contacted, or not with credentials';

CREATE FUNCTION fraud._checked_source(source fraud.sources) RETURNS fraud.sources
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF source.name !~ '^[A-Za-z0-9_.-]{1,63}$' THEN
        RAISE EXCEPTION 'invalid source name "%"', fraud._mask_card_numbers(source.name)
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'A name is 1 to 63 letters, digits, underscores, dots or dashes.';
    ELSIF source.format NOT IN ('auto', 'split', 'records', 'ndjson', 'csv') THEN
        RAISE EXCEPTION 'unknown payment format "%"', source.format
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The formats are auto, split, records, ndjson and csv.';
    ELSIF source.poll_interval < interval '100 milliseconds' OR source.poll_interval > interval '1 day' THEN
        RAISE EXCEPTION 'poll_interval must be between 100 milliseconds and 1 day, not %', source.poll_interval
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF source.max_poll_payments NOT BETWEEN 1 AND 250000 THEN
        RAISE EXCEPTION 'max_poll_payments must be between 1 and 250000, not %', source.max_poll_payments
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF source.max_waiting_payments < 1 THEN
        RAISE EXCEPTION 'max_waiting_payments must be 1 or more, not %', source.max_waiting_payments
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM fraud._check_name('source', source.name);
    PERFORM fraud._check_mapping(source.mapping, source.format);
    -- Months and days of mixed signs are longer or shorter than they compare.
    source.poll_interval := make_interval(secs => extract(epoch FROM source.poll_interval)::float8);
    IF source.request IS NOT NULL THEN
        PERFORM fraud._check_request(source.request, source.secrets);
        PERFORM fraud._check_since(source.request);
        IF source.request -> 'auth' ? 'token_url' THEN
            PERFORM fraud._check_destination(format('token_url for source "%s"', source.name), source.request #>> '{auth,token_url}',
                'http,https', '{}', true);
        END IF;
    ELSIF source.secrets <> '{}' THEN
        RAISE EXCEPTION 'secrets are for a request that signs on'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'For example: request => ''{"auth": {"kind": "bearer"}}'', secrets => ''{"token": "…"}''.';
    END IF;
    PERFORM fraud._check_headers(format('source "%s"', source.name), source.headers,
        CASE source.request #>> '{auth,kind}' WHEN 'api_key' THEN ARRAY[lower(source.request #>> '{auth,header}')]
             ELSE CASE WHEN source.request ? 'auth' THEN ARRAY['authorization'] END END
        || CASE WHEN source.request -> 'conditional' = 'true' THEN ARRAY['if-none-match', 'if-modified-since'] END);
    IF source.request #> '{auth}' ? 'header' THEN
        PERFORM fraud._check_headers(format('the key of source "%s"', source.name), jsonb_build_object(source.request #>> '{auth,header}', ''), '{}');
    END IF;
    PERFORM fraud._check_destination(format('URL for source "%s"', source.name), source.url, 'http,https', source.headers, source.secrets <> '{}');
    RETURN source;
END
$$;
COMMENT ON FUNCTION fraud._checked_source(fraud.sources) IS 'internal: refuses a source that cannot be; returns it as it is kept';

CREATE FUNCTION fraud._add_source(
    name text,
    url text,
    format text,
    poll_interval interval,
    headers jsonb,
    max_poll_payments int,
    max_waiting_payments int,
    mapping jsonb,
    request jsonb,
    secrets jsonb
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source fraud.sources;
BEGIN
    IF name IS NULL OR url IS NULL OR format IS NULL OR poll_interval IS NULL OR headers IS NULL THEN
        RAISE EXCEPTION 'name, url, format, poll_interval and headers must not be null'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    source.name := name;
    source.url := url;
    source.format := format;
    source.poll_interval := poll_interval;
    source.headers := headers;
    source.max_poll_payments := max_poll_payments;
    source.max_waiting_payments := max_waiting_payments;
    source.mapping := mapping;
    source.request := request;
    source.secrets := coalesce(secrets, '{}');
    source.asked_anew_at := now();
    source.paused := false;
    source.url_by := fraud._caller();
    source.created_at := now();
    source.created_by := fraud._caller();
    source := fraud._checked_source(source);
    PERFORM fraud._check_request_files(request);
    INSERT INTO fraud.sources SELECT source.* ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'source "%" already exists', name
            USING ERRCODE = 'duplicate_object',
                  HINT = 'fraud.alter_source changes a source, fraud.drop_source removes one and keeps its payments.';
    END IF;
    PERFORM fraud._move_in();
    INSERT INTO fraud.poll_requests (name) VALUES (name);
    PERFORM fraud._audit('add', 'source', name, NULL, fraud._shown_source(source));
    PERFORM fraud._warn_without_worker();
    PERFORM fraud._wake_worker();
END
$$;
COMMENT ON FUNCTION fraud._add_source(text, text, text, interval, jsonb, int, int, jsonb, jsonb, jsonb) IS 'internal: the body of fraud.add_source, run as the owner';

CREATE FUNCTION fraud.add_source(
    name text,
    url text,
    format text DEFAULT 'auto',
    poll_interval interval DEFAULT '1 minute',
    headers jsonb DEFAULT '{}',
    max_poll_payments int DEFAULT NULL,
    max_waiting_payments int DEFAULT NULL,
    mapping jsonb DEFAULT NULL,
    request jsonb DEFAULT NULL,
    secrets jsonb DEFAULT NULL
) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.add_source(text, text, text, interval, jsonb, int, int, jsonb, jsonb, jsonb) IS
    'has the ingest worker poll a payment API from COMMIT on; headers (a JSON object of texts) can hold keys and are not readable again. max_poll_payments and max_waiting_payments stand in place of the settings of these names. mapping says where the API has our fields (docs/sources.md; fraud.preview_source proposes one). request (docs/requests.md) says how it is asked beyond the URL: method, query, body, paging, since, auth, tls, rate_limit, conditional; secrets (a JSON object of texts: password, token, key, client_secret, key_password) are what its auth needs, and are not readable again. Errors: invalid_parameter_value for what cannot be, insufficient_privilege for a host that may not be contacted or a file that may not be named';

CREATE FUNCTION fraud._alter_source(
    name text,
    url text,
    format text,
    poll_interval interval,
    headers jsonb,
    max_poll_payments int,
    max_waiting_payments int,
    reset text[],
    mapping jsonb,
    request jsonb,
    secrets jsonb
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    resettable constant text[] := '{headers,max_poll_payments,max_waiting_payments,mapping,request,secrets,position}';
    before fraud.sources;
    source fraud.sources;
BEGIN
    SELECT * INTO before FROM fraud.sources s WHERE s.name = _alter_source.name FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'source "%" does not exist', name
            USING ERRCODE = 'undefined_object',
                  HINT = 'fraud.source_status lists the sources.';
    ELSIF NOT coalesce(reset, '{}') <@ resettable THEN
        RAISE EXCEPTION 'reset names what cannot be reset'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('It can name %s.', array_to_string(resettable, ', '));
    END IF;
    source := before;
    IF 'headers' = ANY (reset) THEN source.headers := '{}'; END IF;
    IF 'max_poll_payments' = ANY (reset) THEN source.max_poll_payments := NULL; END IF;
    IF 'max_waiting_payments' = ANY (reset) THEN source.max_waiting_payments := NULL; END IF;
    IF 'mapping' = ANY (reset) THEN source.mapping := NULL; END IF;
    IF 'request' = ANY (reset) THEN source.request := NULL; END IF;
    IF 'request' = ANY (reset) OR 'secrets' = ANY (reset) THEN source.secrets := '{}'; END IF;
    IF 'position' = ANY (reset) THEN source.asked_anew_at := clock_timestamp(); END IF;
    source.request := coalesce(request, source.request);
    source.secrets := coalesce(secrets, source.secrets);
    source.url := coalesce(url, source.url);
    source.format := coalesce(format, source.format);
    source.poll_interval := coalesce(poll_interval, source.poll_interval);
    source.headers := coalesce(headers, source.headers);
    source.max_poll_payments := coalesce(max_poll_payments, source.max_poll_payments);
    source.max_waiting_payments := coalesce(max_waiting_payments, source.max_waiting_payments);
    source.mapping := coalesce(mapping, source.mapping);
    source := fraud._checked_source(source);
    PERFORM fraud._check_request_files(request);
    -- Who cannot read a credential must not have it sent to an address of his own, and whose
    -- address it is, for him count the card numbers that come from there.
    IF source.url <> before.url THEN
        IF headers IS NULL AND source.headers <> '{}' THEN
            RAISE EXCEPTION 'the headers of source "%" must be given again with another URL', name
                USING ERRCODE = 'invalid_parameter_value',
                      DETAIL = 'They may hold credentials, and would be sent to the new address.',
                      HINT = 'Or leave them out with reset => ''{headers}''.';
        END IF;
        IF request IS NULL AND source.request ?| '{query,body,auth,tls}' THEN
            RAISE EXCEPTION 'the request of source "%" must be given again with another URL', name
                USING ERRCODE = 'invalid_parameter_value',
                      DETAIL = 'It may hold credentials, and would be sent to the new address.',
                      HINT = 'Or leave it out with reset => ''{request}''.';
        END IF;
        source.url_by := fraud._caller();
    END IF;
    IF (source.url <> before.url OR source.request #> '{auth,token_url}' <> before.request #> '{auth,token_url}')
       AND secrets IS NULL AND source.secrets <> '{}' THEN
        RAISE EXCEPTION 'the secrets of source "%" must be given again with another URL or token_url', name
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'They would be sent to the new address.',
                  HINT = 'Or leave them out with reset => ''{secrets}''.';
    END IF;
    UPDATE fraud.sources s
    SET url = source.url, format = source.format, poll_interval = source.poll_interval, headers = source.headers,
        max_poll_payments = source.max_poll_payments, max_waiting_payments = source.max_waiting_payments, mapping = source.mapping,
        url_by = source.url_by, request = source.request, secrets = source.secrets, asked_anew_at = source.asked_anew_at
    WHERE s.name = source.name;
    PERFORM fraud._audit('alter', 'source', name, fraud._shown_source(before), fraud._shown_source(source, before));
    -- One that is paused, or came with a dump or a copy, waits for fraud.resume_source.
    PERFORM fraud._move_in();
    INSERT INTO fraud.poll_requests (name)
    SELECT st.name FROM fraud.source_state st WHERE st.name = source.name AND NOT source.paused;
    PERFORM fraud._wake_worker();
END
$$;
COMMENT ON FUNCTION fraud._alter_source(text, text, text, interval, jsonb, int, int, text[], jsonb, jsonb, jsonb) IS 'internal: the body of fraud.alter_source, run as the owner';

CREATE FUNCTION fraud.alter_source(
    name text,
    url text DEFAULT NULL,
    format text DEFAULT NULL,
    poll_interval interval DEFAULT NULL,
    headers jsonb DEFAULT NULL,
    max_poll_payments int DEFAULT NULL,
    max_waiting_payments int DEFAULT NULL,
    reset text[] DEFAULT '{}',
    mapping jsonb DEFAULT NULL,
    request jsonb DEFAULT NULL,
    secrets jsonb DEFAULT NULL
) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.alter_source(text, text, text, interval, jsonb, int, int, text[], jsonb, jsonb, jsonb) IS
    'changes a source from COMMIT on, and polls it at once; a request to another URL, or with other headers, request or secrets, is given up. What is not given stays; reset names what is to be as if it had never been given, before what is given is set; position among it has pages, {{since}} and validators begin anew. With another URL, headers, request and secrets must be given again, with another token_url the secrets';

-- Changes the one source, says when there is none, and wakes the worker.
CREATE FUNCTION fraud._change_source(name text, change text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before fraud.sources;
BEGIN
    SELECT * INTO before FROM fraud.sources s WHERE s.name = _change_source.name FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'source "%" does not exist', name
            USING ERRCODE = 'undefined_object',
                  HINT = 'fraud.source_status lists the sources.';
    END IF;
    PERFORM fraud._move_in();
    CASE change
        WHEN 'pause' THEN
            UPDATE fraud.sources s SET paused = true WHERE s.name = _change_source.name;
        WHEN 'resume' THEN
            UPDATE fraud.sources s SET paused = false WHERE s.name = _change_source.name;
            INSERT INTO fraud.poll_requests (name) VALUES (name);
        WHEN 'drop' THEN
            DELETE FROM fraud.sources s WHERE s.name = _change_source.name;
    END CASE;
    PERFORM fraud._audit(change, 'source', name, fraud._shown_source(before),
        (SELECT fraud._shown_source(s) FROM fraud.sources s WHERE s.name = _change_source.name));
    PERFORM fraud._wake_worker();
END
$$;
COMMENT ON FUNCTION fraud._change_source(text, text) IS 'internal: pauses, resumes or drops a source';

CREATE FUNCTION fraud._pause_source(name text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT fraud._change_source(name, 'pause'); END;
COMMENT ON FUNCTION fraud._pause_source(text) IS 'internal: the body of fraud.pause_source, run as the owner';

CREATE FUNCTION fraud.pause_source(name text) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.pause_source(text) IS 'stops polling a source; a request under way is given up, what was received is kept and scored';

CREATE FUNCTION fraud._resume_source(name text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT fraud._change_source(name, 'resume'); END;
COMMENT ON FUNCTION fraud._resume_source(text) IS 'internal: the body of fraud.resume_source, run as the owner';

CREATE FUNCTION fraud.resume_source(name text) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.resume_source(text) IS 'polls a paused or restored source again';

CREATE FUNCTION fraud._drop_source(name text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT fraud._change_source(name, 'drop'); END;
COMMENT ON FUNCTION fraud._drop_source(text) IS 'internal: the body of fraud.drop_source, run as the owner';

CREATE FUNCTION fraud.drop_source(name text) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.drop_source(text) IS 'forgets a source; its payments and dead letters stay, what is left of an answer that is being kept is thrown away';

CREATE FUNCTION fraud._poll_now(name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (SELECT s.paused FROM fraud.sources s WHERE s.name = _poll_now.name) THEN
        RAISE EXCEPTION 'source "%" is paused', name
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Call fraud.resume_source first.';
    END IF;
    PERFORM fraud._move_in();
    INSERT INTO fraud.poll_requests (name)
    SELECT s.name FROM fraud.sources s WHERE s.name = _poll_now.name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'source "%" does not exist', name
            USING ERRCODE = 'undefined_object',
                  HINT = 'fraud.source_status lists the sources.';
    END IF;
    PERFORM fraud._audit('poll', 'source', name);
    PERFORM fraud._warn_without_worker();
    PERFORM fraud._wake_worker();
END
$$;
COMMENT ON FUNCTION fraud._poll_now(text) IS 'internal: the body of fraud.poll_now, run as the owner';

CREATE FUNCTION fraud.poll_now(name text) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.poll_now(text) IS 'polls a source at once, from COMMIT on, whatever its interval or backoff, unless too many of its payments wait to be scored';

CREATE FUNCTION fraud._waits_read_only() RETURNS boolean
AS 'MODULE_PATHNAME', 'fraud_detect_waits_read_only'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._waits_read_only() IS
    'internal: whether this database''s ingest worker waits until the database is read-only no more';

CREATE FUNCTION fraud._worker_beats() RETURNS TABLE (worker text, pid int, turned_at timestamptz, due_at timestamptz)
AS 'MODULE_PATHNAME', 'fraud_detect_worker_beats'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 5;
COMMENT ON FUNCTION fraud._worker_beats() IS
    'internal: the launcher and this database''s workers that run, when each turned last and when it is to turn again at the latest';

CREATE VIEW fraud.source_status AS
    SELECT s.name,
           CASE
               WHEN s.paused THEN 'paused'
               WHEN st.name IS NULL AND EXISTS (SELECT FROM fraud.poll_requests r WHERE r.name = s.name) THEN 'new'
               WHEN st.name IS NULL THEN 'restored'
               WHEN fraud._waits_read_only() THEN 'read-only'
               -- A worker that lives polls, or fails, long before this.
               WHEN st.next_poll_at + s.poll_interval + interval '1 minute'
                    < statement_timestamp() THEN 'stuck'
               WHEN st.behind_since IS NOT NULL THEN 'behind'
               WHEN st.polling_since IS NOT NULL THEN 'polling'
               WHEN st.consecutive_failures > 0 THEN 'failing'
               WHEN st.rejecting_since IS NOT NULL THEN 'rejecting'
               WHEN st.last_success_at IS NULL THEN 'new'
               ELSE 'ok'
           END AS state,
           s.poll_interval,
           st.last_poll_at,
           st.last_success_at,
           st.next_poll_at,
           statement_timestamp() - c.newest_payment_at AS lag,
           coalesce(st.polls, 0) AS polls,
           coalesce(st.failures, 0) AS failures,
           coalesce(st.consecutive_failures, 0) AS consecutive_failures,
           coalesce(c.stored, 0) AS stored,
           coalesce(c.duplicates, 0) AS duplicates,
           coalesce(c.rejected, 0) AS rejected,
           coalesce(c.differing, 0) AS differing,
           coalesce(c.waiting, 0) AS waiting,
           st.last_status,
           st.last_error,
           st.last_error_at,
           st.rejecting_since,
           coalesce(p.pages, 0) AS pages,
           CASE WHEN p.position IS NULL THEN NULL
                WHEN s.request #>> '{paging,kind}' IN ('page', 'offset') THEN concat(s.request #>> '{paging,kind}', ' ', p.position)
                ELSE concat(s.request #>> '{paging,kind}', ' ', left(encode(sha256(convert_to(p.position, 'UTF8')), 'hex'), 8)) END AS cursor
    FROM fraud.sources s
    LEFT JOIN fraud.source_state st ON st.name = s.name
    LEFT JOIN fraud._source_sums c ON c.source = s.name
    LEFT JOIN fraud.source_positions p ON p.name = s.name AND p.anew_at = s.asked_anew_at;
COMMENT ON VIEW fraud.source_status IS
    'how each source fares: state is new, ok, polling, failing, rejecting (all payments of its last answer that had some went to fraud.ingest_errors), paused, restored (came with a dump, or a copy of the database: fraud.resume_source has it polled), behind (not polled while max_waiting_payments or more of its payments wait to be scored), read-only (the database is, by default_transaction_read_only: nothing is polled), or stuck (a poll is overdue: is a worker running?)';
COMMENT ON COLUMN fraud.source_status.lag IS 'age of the newest payment stored from this source';
COMMENT ON COLUMN fraud.source_status.stored IS 'payments stored since the source was added';
COMMENT ON COLUMN fraud.source_status.duplicates IS 'payments that were stored already when they came';
COMMENT ON COLUMN fraud.source_status.rejected IS 'payments and responses that went to fraud.ingest_errors';
COMMENT ON COLUMN fraud.source_status.differing IS 'of the rejected, payments of a known id that came with another amount or merchant';
COMMENT ON COLUMN fraud.source_status.waiting IS 'payments that were received and wait to be scored';
COMMENT ON COLUMN fraud.source_status.last_status IS 'HTTP status of the last answer';
COMMENT ON COLUMN fraud.source_status.pages IS 'answers kept, of a source with a request';
COMMENT ON COLUMN fraud.source_status.cursor IS 'where the next page is: page or offset and its number, cursor or link and a digest by which one sees that it moves; null: at the beginning';
