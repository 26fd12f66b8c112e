-- What the views read: sums by hour, day, merchant and so on, kept up to date
-- without a lock between cards. A payment adds a row to fraud.rollup_queue, in its
-- own transaction; so does a label to fraud.label_queue. fraud.refresh_rollups()
-- adds what is queued to fraud.rollups and takes it off the queue, in one
-- statement and so in one snapshot. The views read the sums and what is still
-- queued, in one snapshot too: they are exact whenever the last refresh was.

-- ------------------------------------------------------------- time zone
CREATE TABLE fraud.rollup_state (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    timezone text NOT NULL,
    refreshed_at timestamptz NOT NULL,
    dropped_before timestamptz
);
COMMENT ON TABLE fraud.rollup_state IS
    'one row, from the first refresh on: the time zone whose days and hours fraud.rollups holds';

COMMENT ON COLUMN fraud.rollup_state.dropped_before IS
    'payments from before this were dropped by retention; the sums of them stay';

CREATE FUNCTION fraud.report_timezone() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce((SELECT s.timezone FROM fraud.rollup_state s),
                    nullif(current_setting('fraud_detect.report_timezone', true), ''), 'UTC');
END;
COMMENT ON FUNCTION fraud.report_timezone() IS
    'the time zone whose days the reports count: that of the rollups, which take fraud_detect.report_timezone at the first fraud.refresh_rollups() and at fraud.rebuild_rollups()';

-- ---------------------------------------------------------------- tables
CREATE TABLE fraud.rollups (
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('day', 'hour', 'merchant', 'category', 'state', 'score')),
    starts_at timestamptz NOT NULL,
    key text COLLATE "C",
    model text COLLATE "C",
    model_version int,
    payments bigint NOT NULL,
    customers bigint NOT NULL DEFAULT 0,
    volume numeric NOT NULL,
    approved bigint NOT NULL,
    reviewed bigint NOT NULL,
    blocked bigint NOT NULL,
    alerted_volume numeric NOT NULL,
    scored bigint NOT NULL,
    score_sum numeric NOT NULL,
    fraud bigint NOT NULL,
    legitimate bigint NOT NULL,
    fraud_alerted bigint NOT NULL,
    legitimate_alerted bigint NOT NULL,
    fraud_volume numeric NOT NULL,
    fraud_alerted_volume numeric NOT NULL,
    CONSTRAINT rollups_key UNIQUE NULLS NOT DISTINCT (kind, starts_at, key, model, model_version)
) WITH (fillfactor = 70);
COMMENT ON TABLE fraud.rollups IS
    'sums over payments: by hour and model version, and by day, merchant, category, home state and score; read the views instead';
COMMENT ON COLUMN fraud.rollups.starts_at IS 'start of the hour, else of the day, in fraud.report_timezone()';
COMMENT ON COLUMN fraud.rollups.key IS
    'of kind hour: live, or history where nobody decided; of score: the hundredth that the score lies in, 0 to 99; else the merchant, category or state';
COMMENT ON COLUMN fraud.rollups.score_sum IS 'of scores rounded to millionths';
COMMENT ON COLUMN fraud.rollups.customers IS 'of kind day: cards with a payment that day';

CREATE TABLE fraud.rollup_cards (
    card uuid NOT NULL,
    month timestamptz NOT NULL,
    days int NOT NULL,
    payments bigint NOT NULL,
    volume numeric NOT NULL,
    alerts bigint NOT NULL,
    fraud bigint NOT NULL,
    fraud_volume numeric NOT NULL,
    PRIMARY KEY (card, month)
) WITH (fillfactor = 70);
COMMENT ON TABLE fraud.rollup_cards IS 'sums over payments by card and month; read fraud.customer_activity instead';
COMMENT ON COLUMN fraud.rollup_cards.month IS 'start of the month in fraud.report_timezone()';
COMMENT ON COLUMN fraud.rollup_cards.days IS 'the days with a payment, a bit each: 1 is the first of the month';

-- Only ever added to by payments, and emptied by the refresh. No index: it is read whole.
CREATE TABLE fraud.rollup_queue (
    card uuid NOT NULL,
    occurred_at timestamptz NOT NULL,
    amount numeric(12, 2) NOT NULL,
    merchant text NOT NULL,
    category text,
    state text,
    model text,
    model_version int,
    score float8,
    decision text
);
COMMENT ON TABLE fraud.rollup_queue IS 'payments that are stored and not yet in fraud.rollups';
COMMENT ON COLUMN fraud.rollup_queue.state IS 'the home''s, as known when the payment was stored';

CREATE TABLE fraud.label_queue (
    card uuid NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    known_at timestamptz NOT NULL
);
CREATE INDEX label_queue_known_at_idx ON fraud.label_queue (known_at);
COMMENT ON TABLE fraud.label_queue IS 'payments with a label that fraud.rollups do not count yet, some until its known_at has come';

CREATE TABLE fraud.rollup_labels (
    card uuid NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    is_fraud boolean,
    PRIMARY KEY (card, transaction_id)
);
COMMENT ON TABLE fraud.rollup_labels IS 'the label of each payment as fraud.rollups count it';

CREATE FUNCTION fraud._queue_labels() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO fraud.label_queue (card, transaction_id, known_at)
    SELECT n.card, n.transaction_id, n.known_at FROM new_labels n;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION fraud._queue_labels() IS 'internal: queues new labels for the rollups';

CREATE TRIGGER queue_labels AFTER INSERT ON fraud.labels
    REFERENCING NEW TABLE AS new_labels
    FOR EACH STATEMENT EXECUTE FUNCTION fraud._queue_labels();

-- ---------------------------------------------------------- what is queued
-- Each step is a LATERAL look-up by key with a LIMIT, so that no plan made for an
-- empty queue ever reads all transactions.
CREATE VIEW fraud._label_changes AS
    SELECT d.card, d.transaction_id, n.is_fraud, o.is_fraud AS was_fraud,
           t.occurred_at, t.amount, t.merchant, t.category, c.state,
           t.model, t.model_version, t.score, t.decision
    FROM (SELECT DISTINCT q.card, q.transaction_id
          FROM fraud.label_queue q WHERE q.known_at OPERATOR(pg_catalog.<=) now()) d
    CROSS JOIN LATERAL (
        SELECT (fraud._believed(l)).is_fraud
        FROM fraud.labels l
        WHERE l.card = d.card AND l.transaction_id = d.transaction_id AND l.known_at <= now()) n
    CROSS JOIN LATERAL (
        SELECT k.occurred_at FROM fraud.payment_keys k
        WHERE k.card = d.card AND k.transaction_id = d.transaction_id LIMIT 1) k
    CROSS JOIN LATERAL (
        SELECT * FROM fraud.transactions t
        WHERE t.card = d.card AND t.occurred_at = k.occurred_at AND t.transaction_id = d.transaction_id
        LIMIT 1) t
    LEFT JOIN LATERAL (SELECT c.state FROM fraud.customers c WHERE c.card = d.card LIMIT 1) c ON true
    LEFT JOIN LATERAL (
        SELECT o.is_fraud FROM fraud.rollup_labels o
        WHERE o.card = d.card AND o.transaction_id = d.transaction_id LIMIT 1) o ON true
    WHERE n.is_fraud IS DISTINCT FROM o.is_fraud;
COMMENT ON VIEW fraud._label_changes IS
    'internal: payments whose label is another than fraud.rollups count, as known now';

-- OFFSET 0: each of these is computed once a payment, not once for each sum that it
-- goes into. Amounts are whole hundredths and scores whole millionths, whose sums are
-- exact in any order, and quick. The zone is looked up once a query.
CREATE VIEW fraud._queued AS
    SELECT f.card, f.merchant, f.category, f.state, f.model, f.model_version, f.decision,
           (f.amount * 100)::bigint AS cents,
           least(99, floor(f.score * 100))::int::text AS score_bin,
           round(f.score * 1000000)::bigint AS score,
           date_trunc('hour', f.occurred_at, (SELECT fraud.report_timezone())) AS hour,
           date_trunc('day', f.occurred_at, (SELECT fraud.report_timezone())) AS day,
           date_trunc('month', f.occurred_at, (SELECT fraud.report_timezone())) AS month,
           1 << (extract(day FROM f.occurred_at AT TIME ZONE (SELECT fraud.report_timezone()))::int - 1) AS day_bit,
           f.payments,
           f.payments * (f.decision IS NOT DISTINCT FROM 'approve')::int AS approved,
           f.payments * (f.decision IS NOT DISTINCT FROM 'review')::int AS reviewed,
           f.payments * (f.decision IS NOT DISTINCT FROM 'block')::int AS blocked,
           f.payments * (f.score IS NOT NULL)::int AS scored,
           coalesce(f.decision IN ('review', 'block'), false)::int AS alerted,
           f.fraud, f.legitimate
    FROM (SELECT q.card, q.occurred_at, q.amount, q.merchant, q.category, q.state,
                 q.model, q.model_version, q.score, q.decision,
                 1 AS payments, 0 AS fraud, 0 AS legitimate
          FROM fraud.rollup_queue q
          UNION ALL
          SELECT l.card, l.occurred_at, l.amount, l.merchant, l.category, l.state,
                 l.model, l.model_version, l.score, l.decision,
                 0, coalesce(l.is_fraud, false)::int - coalesce(l.was_fraud, false)::int,
                 coalesce(NOT l.is_fraud, false)::int - coalesce(NOT l.was_fraud, false)::int
          FROM fraud._label_changes l) f
    OFFSET 0;
COMMENT ON VIEW fraud._queued IS
    'internal: what is to be added to fraud.rollups: payments, and what labels changed of payments that are there';

CREATE VIEW fraud._queued_rollups AS
    SELECT b.kind COLLATE "C" AS kind, b.starts_at, b.key COLLATE "C" AS key, b.model COLLATE "C" AS model,
           b.model_version,
           sum(q.payments) AS payments,
           sum(q.payments * q.cents) * 0.01 AS volume,
           sum(q.approved) AS approved,
           sum(q.reviewed) AS reviewed,
           sum(q.blocked) AS blocked,
           sum(q.payments * q.alerted * q.cents) * 0.01 AS alerted_volume,
           sum(q.scored) AS scored,
           coalesce(sum(q.scored * q.score), 0) * 0.000001 AS score_sum,
           sum(q.fraud) AS fraud,
           sum(q.legitimate) AS legitimate,
           sum(q.fraud * q.alerted) AS fraud_alerted,
           sum(q.legitimate * q.alerted) AS legitimate_alerted,
           sum(q.fraud * q.cents) * 0.01 AS fraud_volume,
           sum(q.fraud * q.alerted * q.cents) * 0.01 AS fraud_alerted_volume
    FROM fraud._queued q
    CROSS JOIN LATERAL (VALUES
        ('day', q.day, NULL, NULL, NULL),
        ('hour', q.hour, CASE WHEN q.decision IS NULL THEN 'history' ELSE 'live' END, q.model, q.model_version),
        ('merchant', q.day, q.merchant, NULL, NULL),
        ('category', q.day, q.category, NULL, NULL),
        ('state', q.day, q.state, NULL, NULL),
        ('score', q.day, q.score_bin, q.model, q.model_version)
    ) b(kind, starts_at, key, model, model_version)
    WHERE b.kind <> 'score' OR q.score_bin IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5;
COMMENT ON VIEW fraud._queued_rollups IS 'internal: what is queued, summed up as rows of fraud.rollups, but for customers';

-- Cards that have no payment on that day in the sums yet.
CREATE VIEW fraud._queued_customers AS
    SELECT d.day AS starts_at, count(*) AS customers
    FROM (SELECT DISTINCT q.card, q.day, q.month, q.day_bit FROM fraud._queued q WHERE q.payments = 1) d
    LEFT JOIN LATERAL (SELECT c.days FROM fraud.rollup_cards c
                       WHERE c.card = d.card AND c.month = d.month LIMIT 1) c ON true
    WHERE coalesce(c.days, 0) & d.day_bit = 0
    GROUP BY d.day;
COMMENT ON VIEW fraud._queued_customers IS
    'internal: how many cards have queued payments of a day and none of it in the sums';

CREATE VIEW fraud._queued_cards AS
    SELECT q.card, q.month, coalesce(bit_or(q.day_bit) FILTER (WHERE q.payments = 1), 0) AS days,
           sum(q.payments) AS payments,
           sum(q.payments * q.cents) * 0.01 AS volume,
           sum(q.payments * q.alerted) AS alerts,
           sum(q.fraud) AS fraud,
           sum(q.fraud * q.cents) * 0.01 AS fraud_volume
    FROM fraud._queued q
    GROUP BY q.card, q.month;
COMMENT ON VIEW fraud._queued_cards IS 'internal: what is queued, summed up as rows of fraud.rollup_cards';

-- ------------------------------------------------- sums and queue together
CREATE VIEW fraud._rollups AS
    SELECT r.kind, r.starts_at, r.key, r.model, r.model_version, r.payments, r.customers, r.volume,
           r.approved, r.reviewed, r.blocked, r.alerted_volume, r.scored, r.score_sum,
           r.fraud, r.legitimate, r.fraud_alerted, r.legitimate_alerted,
           r.fraud_volume, r.fraud_alerted_volume
    FROM fraud.rollups r
    UNION ALL
    SELECT q.kind, q.starts_at, q.key, q.model, q.model_version, q.payments, 0, q.volume,
           q.approved, q.reviewed, q.blocked, q.alerted_volume, q.scored, q.score_sum,
           q.fraud, q.legitimate, q.fraud_alerted, q.legitimate_alerted,
           q.fraud_volume, q.fraud_alerted_volume
    FROM fraud._queued_rollups q
    UNION ALL
    SELECT 'day' COLLATE "C", q.starts_at, NULL, NULL, NULL, 0, q.customers, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    FROM fraud._queued_customers q;
COMMENT ON VIEW fraud._rollups IS
    'internal: fraud.rollups and what is queued for them; rows of one key are to be added up';

-- --------------------------------------------------------------- refresh
-- The plan is made when the queue may look empty; it must serve when a history has
-- filled it: sums by hashing, no JIT for what only looks costly.
CREATE FUNCTION fraud._refresh_rollups() RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_sort = off
SET jit = off
SET work_mem = '64MB'
AS $$
DECLARE
    added bigint;
BEGIN
    -- One at a time. Payments never wait for this lock, nor it for them.
    PERFORM fraud._lock('rollups');
    INSERT INTO fraud.rollup_state (timezone, refreshed_at)
    VALUES (fraud.report_timezone(), now())
    ON CONFLICT (only_row) DO UPDATE SET refreshed_at = excluded.refreshed_at;
    -- All parts of one statement read one snapshot: exactly the rows that are summed
    -- up are taken off the queues, and nothing that commits meanwhile.
    WITH taken AS (
        DELETE FROM fraud.rollup_queue RETURNING 1
    ), due AS (
        DELETE FROM fraud.label_queue WHERE known_at <= now()
    ), labelled AS (
        INSERT INTO fraud.rollup_labels AS o (card, transaction_id, is_fraud)
        SELECT l.card, l.transaction_id, l.is_fraud FROM fraud._label_changes l
        ON CONFLICT (card, transaction_id) DO UPDATE SET is_fraud = excluded.is_fraud
    ), cards AS (
        INSERT INTO fraud.rollup_cards AS o (card, month, days, payments, volume, alerts, fraud, fraud_volume)
        SELECT q.card, q.month, q.days, q.payments, q.volume, q.alerts, q.fraud, q.fraud_volume
        FROM fraud._queued_cards q
        ON CONFLICT (card, month) DO UPDATE SET
            days = o.days | excluded.days,
            payments = o.payments + excluded.payments,
            volume = o.volume + excluded.volume,
            alerts = o.alerts + excluded.alerts,
            fraud = o.fraud + excluded.fraud,
            fraud_volume = o.fraud_volume + excluded.fraud_volume
    ), sums AS (
        INSERT INTO fraud.rollups AS o (
            kind, starts_at, key, model, model_version, payments, customers, volume,
            approved, reviewed, blocked, alerted_volume, scored, score_sum,
            fraud, legitimate, fraud_alerted, legitimate_alerted, fraud_volume, fraud_alerted_volume)
        SELECT q.kind, q.starts_at, q.key, q.model, q.model_version, q.payments,
               coalesce(c.customers, 0), q.volume, q.approved, q.reviewed, q.blocked,
               q.alerted_volume, q.scored, q.score_sum, q.fraud, q.legitimate,
               q.fraud_alerted, q.legitimate_alerted, q.fraud_volume, q.fraud_alerted_volume
        FROM fraud._queued_rollups q
        LEFT JOIN fraud._queued_customers c ON q.kind = 'day' AND c.starts_at = q.starts_at
        ON CONFLICT ON CONSTRAINT rollups_key DO UPDATE SET
            payments = o.payments + excluded.payments,
            customers = o.customers + excluded.customers,
            volume = o.volume + excluded.volume,
            approved = o.approved + excluded.approved,
            reviewed = o.reviewed + excluded.reviewed,
            blocked = o.blocked + excluded.blocked,
            alerted_volume = o.alerted_volume + excluded.alerted_volume,
            scored = o.scored + excluded.scored,
            score_sum = o.score_sum + excluded.score_sum,
            fraud = o.fraud + excluded.fraud,
            legitimate = o.legitimate + excluded.legitimate,
            fraud_alerted = o.fraud_alerted + excluded.fraud_alerted,
            legitimate_alerted = o.legitimate_alerted + excluded.legitimate_alerted,
            fraud_volume = o.fraud_volume + excluded.fraud_volume,
            fraud_alerted_volume = o.fraud_alerted_volume + excluded.fraud_alerted_volume
    )
    SELECT count(*) INTO added FROM taken;
    RETURN added;
END
$$;
COMMENT ON FUNCTION fraud._refresh_rollups() IS 'internal: the body of fraud.refresh_rollups, run as the owner';

CREATE FUNCTION fraud.refresh_rollups() RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.refresh_rollups() IS
    'adds what is queued to the sums that the views read; returns how many payments were added. The views are exact without it, and fast with it';

CREATE FUNCTION fraud._rebuild_rollups() RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    zone text := coalesce(nullif(current_setting('fraud_detect.report_timezone', true), ''), 'UTC');
    before text;
    dropped timestamptz;
    complete_from timestamptz;
BEGIN
    -- With everything in the sums, what is queued below is all that is queued.
    PERFORM fraud.refresh_rollups();
    -- Where retention has dropped payments, their sums are all there is. Kept are the
    -- months, in the zone to come, of which payments are gone.
    SELECT s.dropped_before INTO dropped FROM fraud.rollup_state s;
    complete_from := date_trunc('month', dropped, zone);
    IF complete_from < dropped THEN
        complete_from := (complete_from AT TIME ZONE zone + interval '1 month') AT TIME ZONE zone;
    END IF;
    complete_from := coalesce(complete_from, '-infinity');
    SELECT s.timezone INTO before FROM fraud.rollup_state s;
    PERFORM fraud._audit('rebuild', 'rollups', NULL, jsonb_build_object('timezone', before), jsonb_build_object('timezone', zone));
    UPDATE fraud.rollup_state SET timezone = zone;
    DELETE FROM fraud.rollups r WHERE r.starts_at >= complete_from;
    DELETE FROM fraud.rollup_cards c WHERE c.month >= complete_from;
    DELETE FROM fraud.rollup_labels o USING fraud.payment_keys k
    WHERE k.card = o.card AND k.transaction_id = o.transaction_id AND k.occurred_at >= complete_from;
    -- One snapshot: a payment that is seen here is off the queue or taken off it, and
    -- one that commits meanwhile stays on it.
    WITH gone AS (
        DELETE FROM fraud.rollup_queue q WHERE q.occurred_at >= complete_from
    ), labels AS (
        INSERT INTO fraud.label_queue (card, transaction_id, known_at)
        SELECT l.card, l.transaction_id, l.known_at
        FROM fraud.labels l JOIN fraud.payment_keys k USING (card, transaction_id)
        WHERE k.occurred_at >= complete_from
    )
    INSERT INTO fraud.rollup_queue (card, occurred_at, amount, merchant, category, state,
                                    model, model_version, score, decision)
    SELECT t.card, t.occurred_at, t.amount, t.merchant, t.category, c.state,
           t.model, t.model_version, t.score, t.decision
    FROM fraud.transactions t LEFT JOIN fraud.customers c ON c.card = t.card
    WHERE t.occurred_at >= complete_from;
    RETURN fraud.refresh_rollups();
END
$$;
COMMENT ON FUNCTION fraud._rebuild_rollups() IS 'internal: the body of fraud.rebuild_rollups, run as the owner';

CREATE FUNCTION fraud.rebuild_rollups() RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.rebuild_rollups() IS
    'makes the sums that the views read anew, from all payments stored, in the zone that fraud_detect.report_timezone names; needed after that setting was changed. Returns how many payments were summed';
