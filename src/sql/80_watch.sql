-- Streams: tables of users' own whose rows are decided as they are inserted, by a feature
-- set over the table and a model (src/pg/streams). A stream is called as its feature set.

-- ------------------------------------------------------------------ streams
-- The table is that of the feature set: here is no second place that names it.
CREATE TABLE fraud.streams (
    stream text PRIMARY KEY,
    model text NOT NULL,
    entity text,
    amount text,
    on_error text NOT NULL CHECK (on_error IN ('store', 'fail')),
    watched_at timestamptz NOT NULL DEFAULT now(),
    watched_by name NOT NULL DEFAULT fraud._caller(),
    unwatched_at timestamptz
);
COMMENT ON TABLE fraud.streams IS 'tables that are watched, by their feature sets; read fraud.stream_status';
COMMENT ON COLUMN fraud.streams.stream IS 'the feature set';
COMMENT ON COLUMN fraud.streams.model IS 'what decides: name or name@alias';
COMMENT ON COLUMN fraud.streams.entity IS 'expression over the row: whose alerts make a case; null: each event is its own';
COMMENT ON COLUMN fraud.streams.amount IS 'expression over the row: a number that alerts and cases show';
COMMENT ON COLUMN fraud.streams.on_error IS
    'what becomes of a row whose features or score fail: store (the row is inserted, and noted as unscored), fail (the INSERT fails)';
COMMENT ON COLUMN fraud.streams.unwatched_at IS 'since when rows are not decided any more; null: they are';

-- ---------------------------------------------------------------- decisions
-- Beside the user's table, not in it: it is his. One table for all streams, keyed by the
-- stream: what reads decisions is written once, and a distributed engine has a key.
CREATE TABLE fraud.stream_decisions (
    decision_id bigint GENERATED ALWAYS AS IDENTITY,
    stream text NOT NULL,
    event_id text COLLATE "C",
    event_time timestamptz,
    entity text COLLATE "C",
    amount numeric,
    model text,
    model_version int,
    score float8,
    decision text CHECK (decision IN ('approve', 'review', 'block')),
    reasons text[],
    features float4[],
    error text,
    decided_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream, decision_id),
    CHECK ((error IS NULL) = (score IS NOT NULL))
);
CREATE INDEX stream_decisions_event_idx ON fraud.stream_decisions (stream, event_id);
CREATE INDEX stream_decisions_time_idx ON fraud.stream_decisions (stream, decided_at);
COMMENT ON TABLE fraud.stream_decisions IS
    'one row an inserted row of a watched table, in its own commit: score, decision and the vector that was scored, or why there is none; rows are only added';
COMMENT ON COLUMN fraud.stream_decisions.event_id IS 'the event''s id as text; one that may be a card number is a keyed hash; null: it could not be told';
COMMENT ON COLUMN fraud.stream_decisions.event_time IS 'the event''s own time';
COMMENT ON COLUMN fraud.stream_decisions.entity IS 'whose event it is, as the stream''s entity says; masked as event_id';
COMMENT ON COLUMN fraud.stream_decisions.amount IS 'as the stream''s amount says';
COMMENT ON COLUMN fraud.stream_decisions.score IS 'probability of fraud, 0 to 1; null: unscored, and error says why';
COMMENT ON COLUMN fraud.stream_decisions.decision IS 'approve, review or block; of an unscored event a rule''s, and null where none matched';
COMMENT ON COLUMN fraud.stream_decisions.reasons IS 'of review and block: what spoke for fraud, in words: rules, then what did most for the score';
COMMENT ON COLUMN fraud.stream_decisions.features IS
    'the feature vector that was scored, each feature at its place in the feature set (fraud.feature_catalog.position); NaN is missing';
COMMENT ON COLUMN fraud.stream_decisions.error IS 'why it is unscored; card numbers in it are masked';
COMMENT ON COLUMN fraud.stream_decisions.decided_at IS 'start of the transaction that inserted the event';

-- What an analyst may know of a table's events is what he may read of the table.
CREATE VIEW fraud.event_scores WITH (security_barrier) AS
    SELECT d.stream, d.decision_id, d.event_id, d.event_time, d.entity, d.amount, d.score, d.decision, d.features
    FROM fraud.stream_decisions d
    WHERE d.error IS NULL
      AND d.stream IN (SELECT s.feature_set FROM fraud.feature_sets s WHERE has_table_privilege(s.events, 'SELECT') AND NOT row_security_active(s.events));
COMMENT ON VIEW fraud.event_scores IS
    'what was decided of the events of streams whose tables the caller may read, all their rows: the scored ones of fraud.stream_decisions';

CREATE TABLE fraud.stream_shadow_scores (
    stream text NOT NULL,
    decision_id bigint NOT NULL,
    model_version int NOT NULL,
    alias text NOT NULL,
    score float8 NOT NULL,
    PRIMARY KEY (stream, decision_id, model_version)
);
COMMENT ON TABLE fraud.stream_shadow_scores IS
    'what challengers (aliases of the stream''s model that begin with challenger) said of each event, on the vector that was decided on; nobody acted on it';
COMMENT ON COLUMN fraud.stream_shadow_scores.alias IS 'the alias that named the version then';

-- --------------------------------------------------------- alerts and cases
-- Their numbers are from the sequences of payments' alerts and cases: a number that a
-- listener hears means one alert.
CREATE TABLE fraud.stream_case_states (
    case_id bigint NOT NULL DEFAULT nextval('fraud.cases_case_id_seq'),
    stream text NOT NULL,
    entity text COLLATE "C" NOT NULL,
    status text NOT NULL DEFAULT 'open'
        CHECK (status IN ('open', 'acknowledged', 'confirmed', 'dismissed')),
    status_at timestamptz NOT NULL DEFAULT now(),
    status_by name,
    opened_at timestamptz NOT NULL DEFAULT now(),
    priority float8 NOT NULL DEFAULT 0,
    due_at timestamptz DEFAULT now()
        + nullif(coalesce(nullif(current_setting('fraud_detect.case_due', true), ''), '1d')::interval, interval '0'),
    assignee name,
    assigned_at timestamptz,
    alerts int NOT NULL DEFAULT 0,
    decision text,
    last_alert_at timestamptz,
    PRIMARY KEY (stream, case_id),
    CHECK ((assignee IS NULL) = (assigned_at IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX stream_case_states_case_id_idx ON fraud.stream_case_states (case_id);
CREATE INDEX stream_case_states_unresolved_idx ON fraud.stream_case_states (stream, entity, case_id)
    WHERE status IN ('open', 'acknowledged');
CREATE INDEX stream_case_states_queue_idx ON fraud.stream_case_states (priority DESC, case_id) WHERE status IN ('open', 'acknowledged');
COMMENT ON TABLE fraud.stream_case_states IS 'how each case of a stream stands; read fraud.stream_cases, which sums up its alerts too';
COMMENT ON COLUMN fraud.stream_case_states.entity IS 'whose events they are; where the stream names no entity, the event''s id';
COMMENT ON COLUMN fraud.stream_case_states.status IS 'open, acknowledged, confirmed (fraud) or dismissed; changed by fraud.decide_stream_case';
COMMENT ON COLUMN fraud.stream_case_states.status_by IS 'who set the status; null while nobody has looked';
COMMENT ON COLUMN fraud.stream_case_states.priority IS 'sum of score × amount of its alerts, where an amount or a score that is not there counts as 1; the greatest is worked first';
COMMENT ON COLUMN fraud.stream_case_states.due_at IS 'until when it should be decided: fraud_detect.case_due after it was opened, or reopened; null: no time';
COMMENT ON COLUMN fraud.stream_case_states.assignee IS 'the role that works on it, or did; null: nobody';
COMMENT ON COLUMN fraud.stream_case_states.alerts IS 'number of its alerts: kept here, so that one that joins a thousand costs what the second does';
COMMENT ON COLUMN fraud.stream_case_states.decision IS 'the severest of its alerts';
COMMENT ON COLUMN fraud.stream_case_states.last_alert_at IS 'when its latest alert was raised: another joins within fraud_detect.alert_window';

CREATE TABLE fraud.stream_alerts (
    alert_id bigint NOT NULL DEFAULT nextval('fraud.alerts_alert_id_seq'),
    stream text NOT NULL,
    case_id bigint NOT NULL,
    decision_id bigint NOT NULL,
    event_id text COLLATE "C",
    event_time timestamptz,
    entity text COLLATE "C" NOT NULL,
    raised_at timestamptz NOT NULL DEFAULT now(),
    score float8,
    decision text NOT NULL CHECK (decision IN ('review', 'block')),
    model text,
    model_version int,
    reasons text[] NOT NULL,
    amount numeric,
    rules text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (stream, alert_id)
);
CREATE INDEX stream_alerts_alert_id_idx ON fraud.stream_alerts (alert_id);
CREATE INDEX stream_alerts_raised_at_idx ON fraud.stream_alerts (stream, raised_at);
CREATE INDEX stream_alerts_case_idx ON fraud.stream_alerts (stream, case_id);
COMMENT ON TABLE fraud.stream_alerts IS 'one row an event of a stream that was decided review or block; rows are only added';
COMMENT ON COLUMN fraud.stream_alerts.case_id IS 'the case that it belongs to: fraud.stream_cases says how that stands';
COMMENT ON COLUMN fraud.stream_alerts.event_id IS 'as in fraud.stream_decisions; null: it could not be told';
COMMENT ON COLUMN fraud.stream_alerts.entity IS 'whose event it is; the event''s id where the stream names no entity, unknown where neither can be told';
COMMENT ON COLUMN fraud.stream_alerts.score IS 'null: the event could not be scored, and a rule decided it';
COMMENT ON COLUMN fraud.stream_alerts.raised_at IS 'start of the transaction that inserted the event';
COMMENT ON COLUMN fraud.stream_alerts.reasons IS 'what spoke for fraud, in words: rules, then what did most for the score';
COMMENT ON COLUMN fraud.stream_alerts.rules IS 'enforced rules that matched, in order of their priority; fraud.stream_rule_matches has all that did';

CREATE TABLE fraud.stream_case_history (
    history_id bigint GENERATED ALWAYS AS IDENTITY,
    stream text NOT NULL,
    case_id bigint NOT NULL,
    action text NOT NULL CHECK (action IN ('acknowledge', 'assign', 'confirm', 'dismiss', 'note', 'release', 'reopen', 'take')),
    old_status text NOT NULL,
    new_status text NOT NULL,
    assignee name,
    note text,
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by name NOT NULL DEFAULT fraud._caller(),
    PRIMARY KEY (stream, history_id)
);
COMMENT ON TABLE fraud.stream_case_history IS 'who did what to a case of a stream, when and why; rows are only added';
COMMENT ON COLUMN fraud.stream_case_history.action IS 'what was done: the function''s verb';
COMMENT ON COLUMN fraud.stream_case_history.assignee IS 'who works on it since then; null: nobody';
COMMENT ON COLUMN fraud.stream_case_history.note IS 'free text; card numbers in it are masked';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON fraud.stream_case_history
    FOR EACH ROW EXECUTE FUNCTION fraud._append_only();

-- As fraud.cases: each sum by itself, so that one that is not asked for costs nothing.
CREATE VIEW fraud.stream_cases AS
    SELECT c.case_id, c.stream, c.entity, c.status, c.status_at, c.status_by,
           c.alerts, c.decision,
           (SELECT max(a.score) FROM (SELECT c.stream, c.case_id) k JOIN fraud.stream_alerts a USING (stream, case_id)) AS max_score,
           (SELECT sum(a.amount) FROM (SELECT c.stream, c.case_id) k JOIN fraud.stream_alerts a USING (stream, case_id)) AS amount,
           c.opened_at,
           c.last_alert_at,
           c.priority, c.due_at, c.assignee, c.assigned_at
    FROM fraud.stream_case_states c;
COMMENT ON VIEW fraud.stream_cases IS
    'the alerts of one entity of a stream that came within fraud_detect.alert_window of each other, as one matter for an analyst';
COMMENT ON COLUMN fraud.stream_cases.status IS 'open, acknowledged, confirmed (fraud) or dismissed; changed by fraud.decide_stream_case';
COMMENT ON COLUMN fraud.stream_cases.alerts IS 'number of alerts';
COMMENT ON COLUMN fraud.stream_cases.decision IS 'the severest of its alerts';
COMMENT ON COLUMN fraud.stream_cases.max_score IS 'the highest of its alerts';
COMMENT ON COLUMN fraud.stream_cases.amount IS 'sum of its alerts';
COMMENT ON COLUMN fraud.stream_cases.last_alert_at IS 'when its latest alert was raised';
COMMENT ON COLUMN fraud.stream_cases.priority IS 'sum of score × amount of its alerts, where an amount or a score that is not there counts as 1';
COMMENT ON COLUMN fraud.stream_cases.due_at IS 'until when it should be decided (fraud_detect.case_due); null: no time';
COMMENT ON COLUMN fraud.stream_cases.assignee IS 'the role that works on it, or did; null: nobody';

-- As fraud.case_queue: the order is made of the cases' own rows, the sums of those that are shown.
CREATE VIEW fraud.stream_case_queue AS
    SELECT c.case_id, c.stream, c.entity, c.status, c.priority,
           c.decision,
           (SELECT max(a.score) FROM (SELECT c.stream, c.case_id) k JOIN fraud.stream_alerts a USING (stream, case_id)) AS max_score,
           (SELECT sum(a.amount) FROM (SELECT c.stream, c.case_id) k JOIN fraud.stream_alerts a USING (stream, case_id)) AS amount,
           c.alerts,
           c.opened_at, round(extract(epoch FROM now() - c.opened_at) / 3600, 2) AS age_hours,
           c.due_at, coalesce(c.due_at < now(), false) AS overdue, c.assignee, c.assigned_at,
           c.last_alert_at
    FROM (SELECT s.case_id, s.stream, s.entity, s.status, s.priority, s.opened_at, s.due_at, s.assignee, s.assigned_at, s.alerts, s.decision, s.last_alert_at
          FROM fraud.stream_case_states s
          WHERE s.status IN ('open', 'acknowledged')
          ORDER BY s.priority DESC, s.case_id) c;
COMMENT ON VIEW fraud.stream_case_queue IS 'the cases of streams that wait for a decision, the greatest sum of score × amount first';
COMMENT ON COLUMN fraud.stream_case_queue.overdue IS 'due_at has passed';

-- ------------------------------------------------------- watching a table
CREATE FUNCTION fraud._decide_events() RETURNS trigger
AS 'MODULE_PATHNAME', 'fraud_detect_decide_events'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud._decide_events() IS
    'internal: decides the rows that a statement inserted into a watched table, in its transaction; its argument is the stream';

CREATE FUNCTION fraud._event_key(id text) RETURNS text
AS 'MODULE_PATHNAME', 'fraud_detect_event_key'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud._event_key(text) IS
    'internal: an event''s id, or an entity, as it is kept: itself, or a keyed hash where it may be a card number';

CREATE FUNCTION fraud.watch(
    feature_set text,
    model text DEFAULT NULL,
    entity text DEFAULT NULL,
    amount text DEFAULT NULL,
    on_error text DEFAULT 'store'
) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_watch'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.watch(text, text, text, text, text) IS
    'has each row that is inserted into the table of a feature set decided by a model (name or name@alias; by default called as the set), by its thresholds, in the commit of the INSERT: fraud.stream_decisions, alerts, cases, channels. entity (whose alerts make a case) and amount are expressions over the row. on_error: store (a row that cannot be scored is inserted all the same, and noted) or fail. The caller owns the table and the set';

CREATE FUNCTION fraud.unwatch(feature_set text) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_unwatch'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.unwatch(text) IS
    'ends what fraud.watch began: the trigger goes, the decisions stay';

-- The triggers of a stream, wherever its table is called by now.
CREATE FUNCTION fraud._stream_triggers(stream text, OUT events oid, OUT trigger name, OUT enabled boolean) RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t.tgrelid, t.tgname, t.tgenabled IN ('O', 'A')
    FROM pg_trigger t
    WHERE t.tgfoid = 'fraud._decide_events()'::regprocedure AND t.tgargs = convert_to(stream, 'UTF8') || '\x00';
END;
COMMENT ON FUNCTION fraud._stream_triggers(text) IS 'internal: the triggers that decide a stream''s events';
