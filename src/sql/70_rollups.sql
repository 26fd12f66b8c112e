-- What the views read: sums by hour, day, merchant and so on, kept up to date without a
-- lock between cards. They are folded from the log of changes (src/sql/68_changes.sql), a
-- piece at a time. The views read the sums and what is still in the log, in one snapshot:
-- they are exact whenever the last fold was.

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

-- Where retention has dropped payments, their sums are all there is. Kept are the months
-- of which payments are gone.
CREATE FUNCTION fraud._complete_from() RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce((SELECT CASE WHEN m.month < m.dropped_before THEN (m.month AT TIME ZONE m.timezone + interval '1 month') AT TIME ZONE m.timezone
                                 ELSE m.month END
                     FROM (SELECT s.dropped_before, s.timezone, date_trunc('month', s.dropped_before, s.timezone) AS month
                           FROM fraud.rollup_state s) m), '-infinity');
END;
COMMENT ON FUNCTION fraud._complete_from() IS 'internal: from when on all payments are there, of whole months in the time zone of the sums';

-- ---------------------------------------------------------------- tables
CREATE TABLE fraud.rollups (
    rollup_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('day', 'hour', 'merchant', 'category', 'state', 'score')),
    starts_at timestamptz NOT NULL,
    day date NOT NULL,
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
    part smallint NOT NULL DEFAULT 0,
    CONSTRAINT rollups_key UNIQUE NULLS NOT DISTINCT (kind, starts_at, key, model, model_version, part)
) WITH (fillfactor = 70);
CREATE INDEX rollups_part_idx ON fraud.rollups (part) WHERE part > 0;
-- Whoever reads a view asks for days, of which there may be years.
CREATE INDEX rollups_day_idx ON fraud.rollups (day, kind);
COMMENT ON TABLE fraud.rollups IS
    'sums over payments: by hour and model version, and by day, merchant, category, home state and score; read the views instead';
COMMENT ON COLUMN fraud.rollups.rollup_id IS 'for logical replication: the key proper has nulls';
COMMENT ON COLUMN fraud.rollups.starts_at IS 'start of the hour, else of the day, in fraud.report_timezone()';
COMMENT ON COLUMN fraud.rollups.day IS 'the day of starts_at, in fraud.report_timezone()';
COMMENT ON COLUMN fraud.rollups.key IS
    'of kind hour: live, or history where nobody decided; of score: the hundredth that the score lies in, 0 to 99; else the merchant, category or state';
COMMENT ON COLUMN fraud.rollups.part IS
    '0; while somebody keeps an old snapshot, others too: rows of one key are to be added up (fraud._turn_part)';
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
    days_emptied int NOT NULL DEFAULT 0,
    PRIMARY KEY (card, month)
) WITH (fillfactor = 70);
COMMENT ON TABLE fraud.rollup_cards IS 'sums over payments by card and month; read fraud.customer_activity instead';
COMMENT ON COLUMN fraud.rollup_cards.month IS 'start of the month in fraud.report_timezone()';
COMMENT ON COLUMN fraud.rollup_cards.days IS 'the days with a payment, a bit each: 1 is the first of the month';
COMMENT ON COLUMN fraud.rollup_cards.days_emptied IS
    'days of which payments were taken away until none was left: one that comes to the sums later than its removal is none';

CREATE TABLE fraud.rollup_labels (
    card uuid NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    is_fraud boolean,
    occurred_at timestamptz,
    amount numeric,
    merchant text,
    category text,
    state text,
    model text,
    model_version int,
    score float8,
    decision text,
    PRIMARY KEY (card, transaction_id)
);
COMMENT ON TABLE fraud.rollup_labels IS 'the label of each payment as fraud.rollups count it, and as what payment';
COMMENT ON COLUMN fraud.rollup_labels.state IS 'the home''s under which the label is counted';

-- The piece of the log that is being folded: changes of a slot, by their numbers.
CREATE TABLE fraud.folding (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    slot smallint NOT NULL,
    after_id bigint NOT NULL,
    last_id bigint NOT NULL
) WITH (fillfactor = 50);
INSERT INTO fraud.folding (slot, after_id, last_id) VALUES (0, 0, 0);
COMMENT ON TABLE fraud.folding IS 'internal: the piece of fraud.changes that is folded, or was last';

-- ------------------------------------------------------- what is in the log
-- Labels whose time has come count, be they in the log or not back in it yet.
CREATE VIEW fraud._queued_changes AS
    SELECT c.sign, c.card, c.transaction_id, c.occurred_at, c.amount, c.merchant, c.category, c.state,
           c.model, c.model_version, c.score, c.decision
    FROM fraud._log c WHERE c.sign <> 0 OR c.known_at OPERATOR(pg_catalog.<=) now()
    UNION ALL
    SELECT 0, w.card, w.transaction_id, w.occurred_at, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM fraud.waiting_labels w WHERE w.known_at OPERATOR(pg_catalog.<=) now();
COMMENT ON VIEW fraud._queued_changes IS 'internal: the changes that fraud.rollups do not count yet, as known now';

-- Nearly always all are payments that were stored. A part whose condition on the sign is never met is left
-- out of the plan, and the other one is not looked into where there is nothing.
CREATE VIEW fraud._piece_changes AS
    SELECT c.sign, c.card, c.transaction_id, c.occurred_at, c.amount, c.merchant, c.category, c.state,
           c.model, c.model_version, c.score, c.decision
    FROM fraud.changes c
    WHERE c.slot = (SELECT f.slot FROM fraud.folding f)
      AND c.change_id > (SELECT f.after_id FROM fraud.folding f) AND c.change_id <= (SELECT f.last_id FROM fraud.folding f)
      AND c.sign = 1
    UNION ALL
    SELECT c.sign, c.card, c.transaction_id, c.occurred_at, c.amount, c.merchant, c.category, c.state,
           c.model, c.model_version, c.score, c.decision
    FROM fraud.changes c
    WHERE c.slot = (SELECT f.slot FROM fraud.folding f)
      AND c.change_id > (SELECT f.after_id FROM fraud.folding f) AND c.change_id <= (SELECT f.last_id FROM fraud.folding f)
      AND (c.sign = 0 AND c.known_at OPERATOR(pg_catalog.<=) now() OR c.sign = -1);
COMMENT ON VIEW fraud._piece_changes IS 'internal: as _queued_changes, of the piece that is folded';

-- The label that each payment has now, beside the one that is counted. Not a change of it
-- is counted, but the difference: of labels the latest counts, however they come; and what
-- is taken away is what was added, as what payment too.
-- Each step is a LATERAL look-up by key with a LIMIT, so that no plan made for an
-- empty log ever reads all transactions.
CREATE VIEW fraud._queued_labels AS
    SELECT l.counted, l.was
    FROM (
        SELECT ROW(d.card, d.transaction_id, CASE WHEN t.card IS NOT NULL THEN n.is_fraud END,
                   t.occurred_at, t.base_amount, t.merchant, t.category,
                   CASE WHEN o.was IS NULL THEN c.state ELSE (o.was).state END,
                   t.model, t.model_version, t.score, t.decision)::fraud.rollup_labels AS counted, o.was
        FROM (SELECT q.card, q.transaction_id, bool_or(q.sign < 0) AS is_changed
              FROM fraud._queued_changes q WHERE q.sign IN (-1, 0) GROUP BY q.card, q.transaction_id) d
        CROSS JOIN LATERAL (
            SELECT (fraud._believed(l)).is_fraud
            FROM fraud.labels l
            WHERE l.card = d.card AND l.transaction_id = d.transaction_id AND l.known_at <= now()) n
        LEFT JOIN LATERAL (
            SELECT k.occurred_at FROM fraud.payment_keys k
            WHERE k.card = d.card AND k.transaction_id = d.transaction_id LIMIT 1) k ON true
        LEFT JOIN LATERAL (
            SELECT * FROM fraud.transactions t
            WHERE t.card = d.card AND t.occurred_at = k.occurred_at AND t.transaction_id = d.transaction_id
            LIMIT 1) t ON true
        LEFT JOIN LATERAL (SELECT c.state FROM fraud.customers c WHERE c.card = d.card LIMIT 1) c ON true
        LEFT JOIN LATERAL (
            SELECT o AS was FROM fraud.rollup_labels o
            WHERE o.card = d.card AND o.transaction_id = d.transaction_id LIMIT 1) o ON true
        -- A payment that is not there, and was not deleted, went by retention: its sums stay.
        WHERE t.card IS NOT NULL OR d.is_changed
        OFFSET 0) l
    WHERE l.counted IS DISTINCT FROM l.was AND ((l.counted).is_fraud IS NOT NULL OR (l.was).is_fraud IS NOT NULL);
COMMENT ON VIEW fraud._queued_labels IS
    'internal: payments whose label is another than fraud.rollups count, as known now, and that one';

CREATE FUNCTION fraud._believed_now(card uuid, transaction_id text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT (fraud._believed(l)).is_fraud FROM fraud.labels l
    WHERE l.card = _believed_now.card AND l.transaction_id = _believed_now.transaction_id AND l.known_at <= now();
END;
COMMENT ON FUNCTION fraud._believed_now(uuid, text) IS 'internal: what the label of a payment says that counts, as known now';

CREATE VIEW fraud._queued_facts AS
    SELECT q.card, q.occurred_at, q.amount, q.merchant, q.category, q.state,
           q.model, q.model_version, q.score, q.decision,
           q.sign::int AS payments, 0 AS fraud, 0 AS legitimate
    FROM fraud._queued_changes q WHERE q.sign <> 0
    UNION ALL
    SELECT (v.label).card, (v.label).occurred_at, (v.label).amount, (v.label).merchant, (v.label).category, (v.label).state,
           (v.label).model, (v.label).model_version, (v.label).score, (v.label).decision,
           0, v.sign * ((v.label).is_fraud)::int, v.sign * (NOT (v.label).is_fraud)::int
    FROM fraud._queued_labels l CROSS JOIN LATERAL (VALUES (1, l.counted), (-1, l.was)) v(sign, label)
    WHERE (v.label).is_fraud IS NOT NULL;
COMMENT ON VIEW fraud._queued_facts IS
    'internal: what is to be added to fraud.rollups: payments, taken away where they are no more, and what labels changed';

-- The same of all payments that are stored: what a rebuild sums up. A payment that has labels
-- tells so, and then they are asked. IS TRUE: nearly all is read, an index is no help.
CREATE VIEW fraud._stored_facts AS
    SELECT p.card, p.occurred_at, p.amount, p.merchant, p.category, p.state, p.model, p.model_version, p.score, p.decision,
           1 AS payments, coalesce(p.is_fraud::int, 0) AS fraud, coalesce((NOT p.is_fraud)::int, 0) AS legitimate
    FROM (SELECT t.card, t.occurred_at, t.base_amount AS amount, t.merchant, t.category, c.state,
                 t.model, t.model_version, t.score, t.decision,
                 CASE WHEN t.label_known_at IS NOT NULL THEN fraud._believed_now(t.card, t.transaction_id) END AS is_fraud
          FROM fraud.transactions t LEFT JOIN fraud.customers c ON c.card = t.card
          WHERE (t.occurred_at >= (SELECT fraud._complete_from())) IS TRUE
          OFFSET 0) p;
COMMENT ON VIEW fraud._stored_facts IS 'internal: as _queued_facts, of all payments whose sums can be made from them';

-- OFFSET 0: each of these is computed once a payment, not once for each sum that it
-- goes into. Amounts are whole minor units of the base currency and scores whole millionths, whose sums are
-- exact in any order, and quick. The zone is looked up once a query.
CREATE VIEW fraud._queued AS
    SELECT f.card, f.merchant, f.category, f.state, f.model, f.model_version, f.decision,
           (f.amount * (SELECT fraud._base_units()))::bigint AS cents,
           least(99, floor(f.score * 100))::int::text AS score_bin,
           round(f.score * 1000000)::bigint AS score,
           date_trunc('hour', f.occurred_at, (SELECT fraud.report_timezone())) AS hour,
           date_trunc('day', f.occurred_at, (SELECT fraud.report_timezone())) AS day,
           date_trunc('month', f.occurred_at, (SELECT fraud.report_timezone())) AS month,
           1 << (date_part('day', f.occurred_at AT TIME ZONE (SELECT fraud.report_timezone()))::int - 1) AS day_bit,
           f.payments,
           f.payments * (f.decision IS NOT DISTINCT FROM 'approve')::int AS approved,
           f.payments * (f.decision IS NOT DISTINCT FROM 'review')::int AS reviewed,
           f.payments * (f.decision IS NOT DISTINCT FROM 'block')::int AS blocked,
           f.payments * (f.score IS NOT NULL)::int AS scored,
           coalesce(f.decision IN ('review', 'block'), false)::int AS alerted,
           f.fraud, f.legitimate
    FROM fraud._queued_facts f
    OFFSET 0;
COMMENT ON VIEW fraud._queued IS 'internal: _queued_facts, with what is summed up of them, and by what';

CREATE VIEW fraud._queued_rollups AS
    SELECT b.kind COLLATE "C" AS kind, b.starts_at, b.key COLLATE "C" AS key, b.model COLLATE "C" AS model,
           b.model_version,
           sum(q.payments) AS payments,
           sum(q.payments * q.cents) * fraud._base_unit() AS volume,
           sum(q.approved) AS approved,
           sum(q.reviewed) AS reviewed,
           sum(q.blocked) AS blocked,
           sum(q.payments * q.alerted * q.cents) * fraud._base_unit() AS alerted_volume,
           sum(q.scored) AS scored,
           coalesce(sum(q.scored * q.score), 0) * 0.000001 AS score_sum,
           sum(q.fraud) AS fraud,
           sum(q.legitimate) AS legitimate,
           sum(q.fraud * q.alerted) AS fraud_alerted,
           sum(q.legitimate * q.alerted) AS legitimate_alerted,
           sum(q.fraud * q.cents) * fraud._base_unit() AS fraud_volume,
           sum(q.fraud * q.alerted * q.cents) * fraud._base_unit() AS fraud_alerted_volume
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

-- Whether the card has payments on a day: where one was taken away, the payments themselves
-- tell, and where a removal was folded earlier, perhaps than what it removed: what commits late or was
-- in another slot may be. Made without a look at labels, for whoever reads the sums plans for this too.
CREATE VIEW fraud._queued_days AS
    SELECT d.card, d.day, d.month, d.day_bit, coalesce(c.days, 0) & d.day_bit <> 0 AS is_summed,
           CASE WHEN d.any_less OR coalesce(c.days_emptied, 0) & d.day_bit <> 0 THEN EXISTS (
                    SELECT FROM fraud.transactions t
                    WHERE t.card = d.card AND t.occurred_at >= d.day
                      AND t.occurred_at < (d.day AT TIME ZONE d.zone + interval '1 day') AT TIME ZONE d.zone)
                ELSE true END AS is_active
    FROM (SELECT q.card, q.day, q.zone, q.any_less, date_trunc('month', q.day, q.zone) AS month,
                 1 << (extract(day FROM q.day AT TIME ZONE q.zone)::int - 1) AS day_bit
          FROM (SELECT q.card, date_trunc('day', q.occurred_at, z.zone) AS day, z.zone, bool_or(q.sign < 0) AS any_less
                FROM (SELECT fraud.report_timezone() AS zone OFFSET 0) z CROSS JOIN fraud._queued_changes q
                WHERE q.sign <> 0
                GROUP BY q.card, date_trunc('day', q.occurred_at, z.zone), z.zone) q) d
    LEFT JOIN LATERAL (SELECT c.days, c.days_emptied FROM fraud.rollup_cards c
                       WHERE c.card = d.card AND c.month = d.month LIMIT 1) c ON true
    OFFSET 0;
COMMENT ON VIEW fraud._queued_days IS
    'internal: cards and days of which payments came or went; is_active: whether the card has payments then, is_summed: whether the sums say so';

CREATE VIEW fraud._queued_customers AS
    SELECT d.day AS starts_at, sum(CASE WHEN d.is_active THEN 1 ELSE -1 END) AS customers
    FROM fraud._queued_days d
    WHERE d.is_active <> d.is_summed
    GROUP BY d.day;
COMMENT ON VIEW fraud._queued_customers IS
    'internal: how many cards have payments on a day and none of them in the sums, less those of which it is the other way round';

CREATE VIEW fraud._queued_cards AS
    SELECT q.card, q.month, coalesce(d.days, 0) AS days, coalesce(d.days_gone, 0) AS days_gone,
           q.payments, q.volume, q.alerts, q.fraud, q.fraud_volume
    FROM (SELECT q.card, q.month,
                 sum(q.payments) AS payments,
                 sum(q.payments * q.cents) * fraud._base_unit() AS volume,
                 sum(q.payments * q.alerted) AS alerts,
                 sum(q.fraud) AS fraud,
                 sum(q.fraud * q.cents) * fraud._base_unit() AS fraud_volume
          FROM fraud._queued q
          GROUP BY q.card, q.month) q
    LEFT JOIN (SELECT d.card, d.month, bit_or(d.day_bit) FILTER (WHERE d.is_active) AS days,
                      bit_or(d.day_bit) FILTER (WHERE NOT d.is_active) AS days_gone
               FROM fraud._queued_days d
               GROUP BY d.card, d.month) d ON d.card = q.card AND d.month = q.month;
COMMENT ON VIEW fraud._queued_cards IS 'internal: what is queued, summed up as rows of fraud.rollup_cards';

-- What a fold adds. It wants all kinds of sums, those of customers too, and makes them in one
-- pass; a view wants one kind of them, and leaves out the others before they are made. Each
-- payment goes into four sums, and those into the others: a category's and a home state's come from
-- those of both, a day's, an hour's and a score's from those of an hour and score. What few
-- payments have is filtered: then nothing is added for the others, four times each.
CREATE VIEW fraud._queued_sums AS
    WITH parts AS MATERIALIZED (
        -- A bit for each of hour, merchant, category and customer that it is not by.
        SELECT grouping(q.hour, q.merchant, q.category, q.card) AS absent,
               q.day, q.hour, q.month, q.decision IS NULL AS is_history, q.merchant, q.category, q.state, q.score_bin, q.card, q.model, q.model_version,
               bit_or(q.day_bit) FILTER (WHERE q.payments > 0) AS days_more,
               bit_or(q.day_bit) FILTER (WHERE q.payments < 0) AS days_less,
               sum(q.payments) AS payments,
               sum(q.payments * q.cents) AS cents,
               sum(q.approved) FILTER (WHERE q.approved <> 0) AS approved,
               sum(q.reviewed) FILTER (WHERE q.reviewed <> 0) AS reviewed,
               sum(q.blocked) FILTER (WHERE q.blocked <> 0) AS blocked,
               sum(q.payments * q.cents) FILTER (WHERE q.alerted <> 0) AS alerted_cents,
               sum(q.scored) FILTER (WHERE q.scored <> 0) AS scored,
               sum(q.scored * q.score) FILTER (WHERE q.scored <> 0) AS score_sum,
               sum(q.fraud) FILTER (WHERE q.fraud <> 0) AS fraud,
               sum(q.legitimate) FILTER (WHERE q.legitimate <> 0) AS legitimate,
               sum(q.fraud) FILTER (WHERE q.fraud * q.alerted <> 0) AS fraud_alerted,
               sum(q.legitimate) FILTER (WHERE q.legitimate * q.alerted <> 0) AS legitimate_alerted,
               sum(q.fraud * q.cents) FILTER (WHERE q.fraud <> 0) AS fraud_cents,
               sum(q.fraud * q.cents) FILTER (WHERE q.fraud * q.alerted <> 0) AS fraud_alerted_cents
        FROM fraud._queued q
        GROUP BY GROUPING SETS ((q.day, q.merchant), (q.day, q.category, q.state),
                                (q.day, q.hour, q.decision IS NULL, q.score_bin, q.model, q.model_version), (q.card, q.month))
    )
    SELECT s.kind COLLATE "C" AS kind, s.starts_at, s.key COLLATE "C" AS key, s.model COLLATE "C" AS model, s.model_version,
           s.card, coalesce(s.days_more, 0) AS days_more, coalesce(s.days_less, 0) AS days_less,
           s.payments, s.cents * fraud._base_unit() AS volume, coalesce(s.approved, 0) AS approved, coalesce(s.reviewed, 0) AS reviewed,
           coalesce(s.blocked, 0) AS blocked, coalesce(s.alerted_cents, 0) * fraud._base_unit() AS alerted_volume,
           coalesce(s.scored, 0) AS scored, coalesce(s.score_sum, 0) * 0.000001 AS score_sum,
           coalesce(s.fraud, 0) AS fraud, coalesce(s.legitimate, 0) AS legitimate, coalesce(s.fraud_alerted, 0) AS fraud_alerted,
           coalesce(s.legitimate_alerted, 0) AS legitimate_alerted, coalesce(s.fraud_cents, 0) * fraud._base_unit() AS fraud_volume,
           coalesce(s.fraud_alerted_cents, 0) * fraud._base_unit() AS fraud_alerted_volume
    FROM (SELECT CASE p.absent WHEN 11 THEN 'merchant' ELSE 'card' END AS kind, CASE p.absent WHEN 11 THEN p.day ELSE p.month END AS starts_at,
                 p.merchant AS key, p.model, p.model_version, p.card, p.days_more, p.days_less,
                 p.payments, p.cents, p.approved, p.reviewed, p.blocked, p.alerted_cents, p.scored,
                 p.score_sum, p.fraud, p.legitimate, p.fraud_alerted, p.legitimate_alerted, p.fraud_cents, p.fraud_alerted_cents
          FROM parts p WHERE p.absent IN (11, 14)
          UNION ALL
          SELECT CASE grouping(p.category) WHEN 0 THEN 'category' ELSE 'state' END, p.day,
                 CASE grouping(p.category) WHEN 0 THEN p.category ELSE p.state END, NULL, NULL, NULL, NULL, NULL,
                 sum(p.payments)::bigint, sum(p.cents), sum(p.approved)::bigint, sum(p.reviewed)::bigint, sum(p.blocked)::bigint,
                 sum(p.alerted_cents), sum(p.scored)::bigint, sum(p.score_sum), sum(p.fraud)::bigint, sum(p.legitimate)::bigint,
                 sum(p.fraud_alerted)::bigint, sum(p.legitimate_alerted)::bigint, sum(p.fraud_cents), sum(p.fraud_alerted_cents)
          FROM parts p WHERE p.absent = 13
          GROUP BY GROUPING SETS ((p.day, p.category), (p.day, p.state))
          UNION ALL
          SELECT CASE grouping(p.hour, p.score_bin) WHEN 3 THEN 'day' WHEN 1 THEN 'hour' ELSE 'score' END,
                 CASE grouping(p.hour) WHEN 0 THEN p.hour ELSE p.day END,
                 CASE grouping(p.hour, p.score_bin) WHEN 1 THEN CASE WHEN p.is_history THEN 'history' ELSE 'live' END WHEN 2 THEN p.score_bin END,
                 p.model, p.model_version, NULL, NULL, NULL,
                 sum(p.payments)::bigint, sum(p.cents), sum(p.approved)::bigint, sum(p.reviewed)::bigint, sum(p.blocked)::bigint,
                 sum(p.alerted_cents), sum(p.scored)::bigint, sum(p.score_sum), sum(p.fraud)::bigint, sum(p.legitimate)::bigint,
                 sum(p.fraud_alerted)::bigint, sum(p.legitimate_alerted)::bigint, sum(p.fraud_cents), sum(p.fraud_alerted_cents)
          FROM parts p WHERE p.absent = 7
          GROUP BY GROUPING SETS ((p.day), (p.hour, p.is_history, p.model, p.model_version), (p.day, p.score_bin, p.model, p.model_version))) s
    WHERE s.kind <> 'score' OR s.key IS NOT NULL;
COMMENT ON VIEW fraud._queued_sums IS
    'internal: what is queued, as rows of fraud.rollups (_queued_rollups, but for customers) and, of kind card, of fraud.rollup_cards';
COMMENT ON COLUMN fraud._queued_sums.days_more IS 'of kind card: days of the month with a payment that came, a bit each';
COMMENT ON COLUMN fraud._queued_sums.days_less IS 'of kind card: days of the month with a payment that went';

-- The same of a piece, and of all that is stored: views, fold and rebuild compute alike, because
-- it is one text.
DO $$
DECLARE
    of_log text;
    made record;
    name text;
BEGIN
    FOREACH of_log IN ARRAY '{_queued_labels,_queued_facts,_queued,_queued_sums}'::text[] LOOP
        FOR made IN SELECT * FROM (VALUES ('_piece', 'of the piece that is folded'), ('_stored', 'of all payments that are stored')) v(prefix, what) LOOP
            name := replace(of_log, '_queued', made.prefix);
            CONTINUE WHEN to_regclass(format('fraud.%I', name)) IS NOT NULL OR name = '_stored_labels';
            EXECUTE format('CREATE VIEW fraud.%I AS %s', name,
                           replace(pg_get_viewdef(format('fraud.%I', of_log)::regclass), 'fraud._queued', 'fraud.' || made.prefix));
            EXECUTE format('COMMENT ON VIEW fraud.%I IS %L', name, format('internal: as %s, %s', of_log, made.what));
        END LOOP;
    END LOOP;
END
$$;
DROP VIEW fraud._queued_sums;  -- only their text is wanted

-- ------------------------------------------------- sums and log together
CREATE VIEW fraud._rollups AS
    SELECT r.kind, r.starts_at, r.day, r.key, r.model, r.model_version, r.payments, r.customers, r.volume,
           r.approved, r.reviewed, r.blocked, r.alerted_volume, r.scored, r.score_sum,
           r.fraud, r.legitimate, r.fraud_alerted, r.legitimate_alerted,
           r.fraud_volume, r.fraud_alerted_volume
    FROM fraud.rollups r
    UNION ALL
    SELECT q.kind, q.starts_at, (q.starts_at AT TIME ZONE (SELECT fraud.report_timezone()))::date, q.key, q.model, q.model_version, q.payments, 0, q.volume,
           q.approved, q.reviewed, q.blocked, q.alerted_volume, q.scored, q.score_sum,
           q.fraud, q.legitimate, q.fraud_alerted, q.legitimate_alerted,
           q.fraud_volume, q.fraud_alerted_volume
    FROM fraud._queued_rollups q
    UNION ALL
    -- Its type said: a constant without one keeps conditions on the kind from going into the table.
    SELECT 'day'::text COLLATE "C", q.starts_at, (q.starts_at AT TIME ZONE (SELECT fraud.report_timezone()))::date, NULL, NULL, NULL, 0, q.customers::bigint, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    FROM fraud._queued_customers q;
COMMENT ON VIEW fraud._rollups IS
    'internal: fraud.rollups and what is queued for them; rows of one key are to be added up';
