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

CREATE FUNCTION fraud._shown_source(source fraud.sources) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT to_jsonb(source) - '{name,created_at,created_by}'::text[]
        || jsonb_build_object('url', fraud._shown_url(source.url), 'headers', fraud._shown_secrets(source.headers));
END;
COMMENT ON FUNCTION fraud._shown_source(fraud.sources) IS 'internal: a source as fraud.audit_log shows it, without secrets';

-- Refuses a URL that libcurl cannot read, that fraud_detect.allowed_hosts does not let be
-- contacted, or that credentials would be sent to in clear. `what` names it in messages.
CREATE FUNCTION fraud._check_destination(what text, url text, schemes text, headers jsonb, has_secret boolean) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_check_destination'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._check_destination(text, text, text, jsonb, boolean) IS
    'internal: refuses a URL that may not be contacted, or not with credentials';

CREATE FUNCTION fraud._add_source(
    name text,
    url text,
    format text,
    poll_interval interval,
    headers jsonb
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bad text;
BEGIN
    IF name IS NULL OR url IS NULL OR format IS NULL OR poll_interval IS NULL OR headers IS NULL THEN
        RAISE EXCEPTION 'name, url, format, poll_interval and headers must not be null'
            USING ERRCODE = 'null_value_not_allowed';
    ELSIF name !~ '^[A-Za-z0-9_.-]{1,63}$' THEN
        RAISE EXCEPTION 'invalid source name "%"', fraud._mask_card_numbers(name)
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'A name is 1 to 63 letters, digits, underscores, dots or dashes.';
    ELSIF format NOT IN ('auto', 'split', 'records', 'ndjson') THEN
        RAISE EXCEPTION 'unknown payment format "%"', format
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The formats are auto, split, records and ndjson.';
    ELSIF poll_interval < interval '100 milliseconds' OR poll_interval > interval '1 day' THEN
        RAISE EXCEPTION 'poll_interval must be between 100 milliseconds and 1 day, not %', poll_interval
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF jsonb_typeof(headers) <> 'object' THEN
        RAISE EXCEPTION 'headers must be a JSON object, not %', jsonb_typeof(headers)
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'For example: {"X-Api-Key": "…"}.';
    END IF;
    PERFORM fraud._check_name('source', name);
    -- Months and days of mixed signs are longer or shorter than they compare.
    poll_interval := make_interval(secs => extract(epoch FROM poll_interval)::float8);
    SELECT h.key INTO bad FROM jsonb_each(headers) h
    WHERE jsonb_typeof(h.value) <> 'string'
       OR h.key !~ '^[A-Za-z0-9!#$%&''*+.^_`|~-]+$'
       OR (h.value #>> '{}') ~ '[[:cntrl:]]'
    LIMIT 1;
    IF bad IS NOT NULL THEN
        RAISE EXCEPTION 'invalid header "%" for source "%"', bad, name
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'A header''s name is an HTTP token, its value a text without control characters.';
    END IF;
    PERFORM fraud._check_destination(format('URL for source "%s"', name), url, 'http,https', headers, false);

    INSERT INTO fraud.sources (name, url, format, poll_interval, headers)
    VALUES (name, url, format, poll_interval, headers)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'source "%" already exists', name
            USING ERRCODE = 'duplicate_object',
                  HINT = 'fraud.drop_source removes a source and keeps its payments.';
    END IF;
    INSERT INTO fraud.poll_requests (name) VALUES (name);
    PERFORM fraud._audit('add', 'source', s.name, NULL, fraud._shown_source(s)) FROM fraud.sources s WHERE s.name = _add_source.name;
    PERFORM fraud._warn_without_worker();
    PERFORM fraud._wake_worker();
END
$$;
COMMENT ON FUNCTION fraud._add_source(text, text, text, interval, jsonb) IS 'internal: the body of fraud.add_source, run as the owner';

CREATE FUNCTION fraud.add_source(
    name text,
    url text,
    format text DEFAULT 'auto',
    poll_interval interval DEFAULT '1 minute',
    headers jsonb DEFAULT '{}'
) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.add_source(text, text, text, interval, jsonb) IS
    'has the ingest worker poll a payment API from COMMIT on; headers (a JSON object of texts) can hold keys and are not readable again';

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
COMMENT ON FUNCTION fraud.pause_source(text) IS 'stops polling a source; a poll under way is given up';

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
COMMENT ON FUNCTION fraud.drop_source(text) IS 'forgets a source; its payments and dead letters stay';

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
COMMENT ON FUNCTION fraud.poll_now(text) IS 'polls a source at once, from COMMIT on, whatever its interval or backoff';

CREATE VIEW fraud.source_status AS
    SELECT s.name,
           CASE
               WHEN s.paused THEN 'paused'
               WHEN st.name IS NULL AND EXISTS (SELECT FROM fraud.poll_requests r WHERE r.name = s.name) THEN 'new'
               WHEN st.name IS NULL THEN 'restored'
               -- A worker that lives polls, or fails, long before this.
               WHEN st.next_poll_at + s.poll_interval + interval '1 minute'
                    < statement_timestamp() THEN 'stuck'
               WHEN st.polling_since IS NOT NULL THEN 'polling'
               WHEN st.consecutive_failures > 0 THEN 'failing'
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
           st.last_status,
           st.last_error,
           st.last_error_at
    FROM fraud.sources s
    LEFT JOIN fraud.source_state st ON st.name = s.name
    LEFT JOIN LATERAL (
        SELECT sum(k.stored)::bigint AS stored, sum(k.duplicates)::bigint AS duplicates, sum(k.rejected)::bigint AS rejected,
               max(k.newest_payment_at) AS newest_payment_at
        FROM fraud.source_counts k WHERE k.source = s.name
    ) c ON true;
COMMENT ON VIEW fraud.source_status IS
    'how each source fares: state is new, ok, polling, failing, paused, restored (came with a dump: fraud.resume_source has it polled), or stuck (a poll is overdue: is a worker running?)';
COMMENT ON COLUMN fraud.source_status.lag IS 'age of the newest payment stored from this source';
COMMENT ON COLUMN fraud.source_status.stored IS 'payments stored since the source was added';
COMMENT ON COLUMN fraud.source_status.duplicates IS 'payments that were stored already when they came';
COMMENT ON COLUMN fraud.source_status.rejected IS 'payments and responses that went to fraud.ingest_errors';
COMMENT ON COLUMN fraud.source_status.last_status IS 'HTTP status of the last answer';
