-- What is known of the events of streams. Labels are statements as those of payments
-- (12_labels.sql), and the same functions say which of them counts.
CREATE TABLE fraud.event_labels (
    label_id bigint GENERATED ALWAYS AS IDENTITY,
    stream text NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    is_fraud boolean,
    source text NOT NULL,
    known_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    recorded_by name NOT NULL DEFAULT fraud._caller(),
    PRIMARY KEY (stream, label_id)
);
CREATE INDEX event_labels_event_idx ON fraud.event_labels (stream, event_id);
COMMENT ON TABLE fraud.event_labels IS
    'what was said of events of streams, by whom and since when known; rows are only added. fraud.labelled_events has what counts of it';
COMMENT ON COLUMN fraud.event_labels.event_id IS 'as in fraud.stream_decisions';
COMMENT ON COLUMN fraud.event_labels.is_fraud IS 'null: what this source said before is taken back';
COMMENT ON COLUMN fraud.event_labels.source IS 'who says so; a chargeback goes before all others, an analyst after';
COMMENT ON COLUMN fraud.event_labels.known_at IS 'when we learned it: before that moment it does not count';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON fraud.event_labels
    FOR EACH ROW EXECUTE FUNCTION fraud._append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON fraud.event_labels
    FOR EACH STATEMENT EXECUTE FUNCTION fraud._append_only();

CREATE TABLE fraud.labelled_events (
    stream text NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    is_fraud boolean,
    label_known_at timestamptz,
    label_changes timestamptz[],
    PRIMARY KEY (stream, event_id)
) WITH (fillfactor = 80);
COMMENT ON TABLE fraud.labelled_events IS 'what the labels of each event come to';
COMMENT ON COLUMN fraud.labelled_events.is_fraud IS 'null: nothing is known';
COMMENT ON COLUMN fraud.labelled_events.label_known_at IS 'since when they come to that';
COMMENT ON COLUMN fraud.labelled_events.label_changes IS
    'of the few that were not always thought of alike: when it was known to be fraud, no more, again, and so on';

CREATE FUNCTION fraud._write_event_labels(stream text, keys text[], is_fraud boolean, source text, known_at timestamptz) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key text;
BEGIN
    INSERT INTO fraud.event_labels (stream, event_id, is_fraud, source, known_at)
    SELECT stream, k.key, is_fraud, source, known_at FROM (SELECT DISTINCT n.key COLLATE "C" AS key FROM unnest(keys) n(key)) k ORDER BY k.key;
    -- In one order, and what others have said is looked at when the event's row is locked.
    FOR key IN SELECT DISTINCT n.key COLLATE "C" FROM unnest(keys) n(key) ORDER BY 1 LOOP
        INSERT INTO fraud.labelled_events AS e (stream, event_id) VALUES (stream, key)
        ON CONFLICT ON CONSTRAINT labelled_events_pkey DO UPDATE SET is_fraud = e.is_fraud;
        UPDATE fraud.labelled_events e SET is_fraud = c.is_fraud, label_known_at = c.known_at, label_changes = c.changes
        FROM fraud._label_course(ARRAY(
            SELECT ROW(l.label_id, NULL::uuid, l.event_id, l.is_fraud, l.source, l.known_at, l.recorded_at, l.recorded_by, NULL::bigint[])::fraud.labels
            FROM fraud.event_labels l WHERE l.stream = _write_event_labels.stream AND l.event_id = key)) c
        WHERE e.stream = _write_event_labels.stream AND e.event_id = key;
    END LOOP;
END
$$;
COMMENT ON FUNCTION fraud._write_event_labels(text, text[], boolean, text, timestamptz) IS
    'internal: writes a label for each event and what the labels of each come to then';

CREATE FUNCTION fraud._label_event(stream text, event_ids text[], is_fraud boolean, source text, known_at timestamptz) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    keys text[];
BEGIN
    IF stream IS NULL OR event_ids IS NULL OR array_position(event_ids, NULL) IS NOT NULL OR source IS NULL OR known_at IS NULL THEN
        RAISE EXCEPTION 'stream, event_id, source and known_at must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF NOT EXISTS (SELECT FROM fraud.streams s WHERE s.stream = _label_event.stream)
          AND NOT EXISTS (SELECT FROM fraud.feature_sets s WHERE s.feature_set = _label_event.stream AND NOT s.builtin) THEN
        RAISE EXCEPTION 'stream "%" does not exist', stream
            USING ERRCODE = 'undefined_object',
                  HINT = CASE stream WHEN 'payments' THEN 'Payments are labelled by fraud.label.'
                                     ELSE 'fraud.stream_status lists the streams; a feature set of that name will do, too.' END;
    ELSIF length(source) NOT BETWEEN 1 AND 63 THEN
        RAISE EXCEPTION 'source has % characters, expected 1 to 63', length(source) USING ERRCODE = 'invalid_parameter_value';
    ELSIF known_at > now() THEN
        RAISE EXCEPTION 'known_at % is in the future', known_at
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Record the label when it is known.';
    END IF;
    keys := ARRAY(SELECT fraud._event_key(n.id) FROM unnest(event_ids) n(id));
    IF (SELECT max(octet_length(n.key)) FROM unnest(keys) n(key)) > 1000 THEN
        RAISE EXCEPTION 'an event_id has % bytes, expected at most 1000', (SELECT max(octet_length(n.key)) FROM unnest(keys) n(key))
            USING ERRCODE = 'program_limit_exceeded';
    END IF;
    PERFORM fraud._write_event_labels(stream, keys, is_fraud, fraud._kept_text(source), known_at);
    PERFORM fraud._audit('label', 'stream', stream, NULL,
        jsonb_build_object('is_fraud', is_fraud, 'source', fraud._kept_text(source), 'known_at', known_at, 'events', cardinality(keys),
                           'event_id', CASE WHEN cardinality(keys) = 1 THEN keys[1] END));
    RETURN (SELECT count(DISTINCT d.event_id) FROM fraud.stream_decisions d WHERE d.stream = _label_event.stream AND d.event_id = ANY (keys));
END
$$;
COMMENT ON FUNCTION fraud._label_event(text, text[], boolean, text, timestamptz) IS 'internal: the body of fraud.label_event, run as the owner';

CREATE FUNCTION fraud.label_event(
    stream text, event_ids text[], is_fraud boolean, source text DEFAULT 'analyst', known_at timestamptz DEFAULT now()
) RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.label_event(text, text[], boolean, text, timestamptz) IS
    'records what is known of events of a stream, from known_at on; null takes back what the source said before. Returns for how many of them a decision is stored: events of before the table was watched can be labelled, too';

CREATE FUNCTION fraud._label_event(stream text, event_id text, is_fraud boolean, source text, known_at timestamptz) RETURNS bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT fraud._label_event(stream, ARRAY[event_id], is_fraud, source, known_at); END;
COMMENT ON FUNCTION fraud._label_event(text, text, boolean, text, timestamptz) IS 'internal: the body of fraud.label_event, run as the owner';

CREATE FUNCTION fraud.label_event(
    stream text, event_id text, is_fraud boolean, source text DEFAULT 'analyst', known_at timestamptz DEFAULT now()
) RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.label_event(text, text, boolean, text, timestamptz) IS
    'records what is known of an event of a stream, from known_at on; null takes back what the source said before. Returns 1 where a decision of the event is stored, else 0';

-- For feature sets: label => 'fraud.event_is_fraud(''claims'', claim_no::text)', and so on.
CREATE FUNCTION fraud.event_is_fraud(stream text, event_id text) RETURNS boolean
LANGUAGE sql STABLE STRICT SECURITY DEFINER PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT e.is_fraud FROM fraud.labelled_events e WHERE e.stream = event_is_fraud.stream AND e.event_id = fraud._event_key(event_is_fraud.event_id);
END;
COMMENT ON FUNCTION fraud.event_is_fraud(text, text) IS
    'what the labels of fraud.label_event come to: the label of a feature set whose events are labelled so; null: nothing is known';

CREATE FUNCTION fraud.event_label_known_at(stream text, event_id text) RETURNS timestamptz
LANGUAGE sql STABLE STRICT SECURITY DEFINER PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT e.label_known_at FROM fraud.labelled_events e WHERE e.stream = event_label_known_at.stream AND e.event_id = fraud._event_key(event_label_known_at.event_id);
END;
COMMENT ON FUNCTION fraud.event_label_known_at(text, text) IS 'since when fraud.event_is_fraud says so: the label_known_at of a feature set';

CREATE FUNCTION fraud.event_label_changes(stream text, event_id text) RETURNS timestamptz[]
LANGUAGE sql STABLE STRICT SECURITY DEFINER PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT e.label_changes FROM fraud.labelled_events e WHERE e.stream = event_label_changes.stream AND e.event_id = fraud._event_key(event_label_changes.event_id);
END;
COMMENT ON FUNCTION fraud.event_label_changes(text, text) IS
    'of an event whose label turned more than once, when: the label_changes of a feature set';

-- -------------------------------------------------------------------- cases
CREATE FUNCTION fraud._decide_stream_case(case_id bigint, status text, note text, known_at timestamptz) RETURNS fraud.stream_cases
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    matter fraud.stream_case_states;
    result fraud.stream_cases;
    verb text := CASE status WHEN 'acknowledged' THEN 'acknowledge' WHEN 'confirmed' THEN 'confirm' WHEN 'dismissed' THEN 'dismiss' ELSE 'reopen' END;
    allowed text[] := CASE status WHEN 'acknowledged' THEN '{open}'::text[] WHEN 'confirmed' THEN '{open,acknowledged,dismissed}'
                                  WHEN 'dismissed' THEN '{open,acknowledged,confirmed}' WHEN 'open' THEN '{acknowledged,confirmed,dismissed}' END;
BEGIN
    IF case_id IS NULL OR known_at IS NULL THEN
        RAISE EXCEPTION 'case_id and known_at must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF allowed IS NULL THEN
        RAISE EXCEPTION 'unknown status "%"', status
            USING ERRCODE = 'invalid_parameter_value', HINT = 'A case is acknowledged, confirmed, dismissed or open.';
    ELSIF length(note) > 10000 THEN
        RAISE EXCEPTION 'the note has % characters, expected at most 10000', length(note) USING ERRCODE = 'string_data_right_truncation';
    ELSIF known_at > now() THEN
        RAISE EXCEPTION 'known_at % is in the future', known_at
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Record the label when it is known.';
    END IF;
    SELECT * INTO matter FROM fraud.stream_case_states c WHERE c.case_id = _decide_stream_case.case_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'case % of a stream does not exist', case_id
            USING ERRCODE = 'no_data_found', HINT = 'fraud.stream_cases lists them; those of payments are in fraud.cases.';
    ELSIF matter.status <> ALL (allowed) THEN
        RAISE EXCEPTION 'case % is %, expected %', case_id, matter.status, array_to_string(allowed, ' or ')
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'fraud.stream_case_history says who changed it, and when.';
    END IF;
    IF status IN ('confirmed', 'dismissed') OR matter.status IN ('confirmed', 'dismissed') THEN
        PERFORM fraud._write_event_labels(matter.stream,
            ARRAY(SELECT a.event_id FROM fraud.stream_alerts a WHERE a.stream = matter.stream AND a.case_id = matter.case_id AND a.event_id IS NOT NULL),
            CASE status WHEN 'confirmed' THEN true WHEN 'dismissed' THEN false END, 'analyst', known_at);
    END IF;
    IF status <> 'open' AND matter.assignee IS NULL THEN  -- who decides of a case that nobody has, has it
        matter.assignee := fraud._caller();
        matter.assigned_at := now();
    END IF;
    UPDATE fraud.stream_case_states c
    SET status = _decide_stream_case.status, status_at = now(), status_by = fraud._caller(), assignee = matter.assignee, assigned_at = matter.assigned_at,
        due_at = CASE WHEN _decide_stream_case.status = 'open' AND c.status <> 'acknowledged'
                      THEN now() + nullif(coalesce(nullif(current_setting('fraud_detect.case_due', true), ''), '1d')::interval, interval '0')
                      ELSE c.due_at END
    WHERE c.stream = matter.stream AND c.case_id = matter.case_id;
    INSERT INTO fraud.stream_case_history (stream, case_id, action, old_status, new_status, assignee, note)
    VALUES (matter.stream, matter.case_id, verb, matter.status, status, matter.assignee, fraud._kept_text(note));
    PERFORM fraud._audit(verb, 'stream case', case_id::text, jsonb_build_object('status', matter.status), jsonb_build_object('status', status));
    SELECT * INTO result FROM fraud.stream_cases c WHERE c.stream = matter.stream AND c.case_id = matter.case_id;
    RETURN result;
END
$$;
COMMENT ON FUNCTION fraud._decide_stream_case(bigint, text, text, timestamptz) IS 'internal: the body of fraud.decide_stream_case, run as the owner';

CREATE FUNCTION fraud.decide_stream_case(case_id bigint, status text, note text DEFAULT NULL, known_at timestamptz DEFAULT now())
RETURNS fraud.stream_cases
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.decide_stream_case(bigint, text, text, timestamptz) IS
    'sets the status of a stream''s case: acknowledged, confirmed or dismissed (labels its events, with source analyst, from known_at on), or open (takes that back); returns the case';

-- As fraud._shadowed_payments, of events whose label is known: of others nothing is said to be honest.
CREATE FUNCTION fraud._shadowed_events(model text, champion int, challenger int, "from" timestamptz, "to" timestamptz)
RETURNS TABLE (is_fraud boolean, champion_score float8, challenger_score float8)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 100000
SET search_path = pg_catalog, pg_temp
-- As backtests of streams do (fraud._backtest_condition).
SET enable_nestloop = off
BEGIN ATOMIC
    SELECT l.is_fraud, d.score, s.score
    FROM fraud.stream_decisions d
    JOIN fraud.stream_shadow_scores s ON s.stream = d.stream AND s.decision_id = d.decision_id
    JOIN fraud.labelled_events l ON l.stream = d.stream AND l.event_id = d.event_id
    WHERE d.model = _shadowed_events.model AND d.model_version = champion AND s.model_version = challenger
      AND d.event_time >= "from" AND d.event_time < "to" AND l.is_fraud IS NOT NULL;
END;
COMMENT ON FUNCTION fraud._shadowed_events(text, int, int, timestamptz, timestamptz) IS
    'internal: both scores of the labelled events of streams that two versions have scored live';

-- ------------------------------------------------------------------ reports
CREATE VIEW fraud.stream_status AS
    SELECT s.stream, f.events::text AS events, s.model, s.entity, s.on_error,
           CASE WHEN s.unwatched_at IS NOT NULL THEN 'unwatched'
                WHEN f.feature_set IS NULL THEN 'no feature set'
                WHEN c.oid IS NULL THEN 'table is gone'
                WHEN t.enabled IS NULL THEN 'no trigger'
                WHEN NOT t.enabled THEN 'trigger is off'
                ELSE 'watching' END AS state,
           s.watched_at, s.watched_by, s.unwatched_at,
           (SELECT max(d.decided_at) FROM fraud.stream_decisions d WHERE d.stream = s.stream) AS last_decided_at,
           r.events AS events_last_hour, r.unscored AS unscored_last_hour, r.alerts AS alerts_last_hour, r.last_error,
           (SELECT count(*) FROM fraud.stream_case_states m WHERE m.stream = s.stream AND m.status IN ('open', 'acknowledged')) AS open_cases
    FROM fraud.streams s
    LEFT JOIN fraud.feature_sets f ON f.feature_set = s.stream
    LEFT JOIN pg_catalog.pg_class c ON c.oid = f.events
    LEFT JOIN LATERAL (SELECT bool_or(g.enabled) AS enabled FROM fraud._stream_triggers(s.stream) g WHERE g.events = f.events) t ON true
    CROSS JOIN LATERAL (
        SELECT count(*) AS events, count(d.error) AS unscored, count(*) FILTER (WHERE d.decision IN ('review', 'block')) AS alerts,
               (array_agg(d.error ORDER BY d.decision_id DESC) FILTER (WHERE d.error IS NOT NULL))[1] AS last_error
        FROM fraud.stream_decisions d WHERE d.stream = s.stream AND d.decided_at > now() - interval '1 hour') r;
COMMENT ON VIEW fraud.stream_status IS 'the streams, whether their rows are decided, and how it went in the last hour';
COMMENT ON COLUMN fraud.stream_status.events IS 'the table';
COMMENT ON COLUMN fraud.stream_status.state IS
    'watching; unwatched; or why rows are not decided: no trigger, trigger is off, table is gone, no feature set';
COMMENT ON COLUMN fraud.stream_status.unscored_last_hour IS 'rows that could not be scored; last_error says why';
COMMENT ON COLUMN fraud.stream_status.last_error IS 'of the last hour';
COMMENT ON COLUMN fraud.stream_status.open_cases IS 'cases that are open or acknowledged';

CREATE VIEW fraud.stream_daily AS
    SELECT d.stream, (d.decided_at AT TIME ZONE fraud.report_timezone())::date AS day, d.model, d.model_version,
           count(*) AS events, count(d.error) AS unscored,
           count(*) FILTER (WHERE d.decision = 'review') AS review, count(*) FILTER (WHERE d.decision = 'block') AS block,
           avg(d.score) AS mean_score, sum(d.amount) AS amount,
           sum(d.amount) FILTER (WHERE d.decision IN ('review', 'block')) AS alerted_amount,
           count(l.is_fraud) AS labelled, count(*) FILTER (WHERE l.is_fraud) AS frauds,
           count(*) FILTER (WHERE l.is_fraud AND d.decision IN ('review', 'block')) AS caught,
           sum(d.amount) FILTER (WHERE l.is_fraud) AS fraud_amount,
           count(*) FILTER (WHERE l.is_fraud AND d.decision IN ('review', 'block'))::float8
               / nullif(count(l.is_fraud) FILTER (WHERE d.decision IN ('review', 'block')), 0) AS precision,
           count(*) FILTER (WHERE l.is_fraud AND d.decision IN ('review', 'block'))::float8
               / nullif(count(*) FILTER (WHERE l.is_fraud), 0) AS recall
    FROM fraud.stream_decisions d
    LEFT JOIN fraud.labelled_events l ON l.stream = d.stream AND l.event_id = d.event_id
    GROUP BY 1, 2, 3, 4;
COMMENT ON VIEW fraud.stream_daily IS 'the decisions of each stream by day of decided_at (in fraud.report_timezone()) and version, with what is known of them now';
COMMENT ON COLUMN fraud.stream_daily.mean_score IS 'mean of the scores: where it wanders, the events have changed';
COMMENT ON COLUMN fraud.stream_daily.labelled IS 'events of which something is known (fraud.label_event, fraud.decide_stream_case)';
COMMENT ON COLUMN fraud.stream_daily.caught IS 'frauds that were decided review or block';
COMMENT ON COLUMN fraud.stream_daily.precision IS 'share of frauds among the labelled alerts';
COMMENT ON COLUMN fraud.stream_daily.recall IS 'share of the known frauds that were alerted';
