-- Folding: changes are taken out of the log and added to the sums, a piece at a time.

CREATE FUNCTION fraud._day_of_month(month timestamptz, day int, zone text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT date_trunc('day', (month AT TIME ZONE zone + make_interval(days => day)) AT TIME ZONE zone, zone);
END;
COMMENT ON FUNCTION fraud._day_of_month(timestamptz, int, text) IS 'internal: the start of a day of a month, 0: its first';

-- Where payments were taken away, those that are there tell.
CREATE FUNCTION fraud._days_with_payments(card uuid, month timestamptz, days int, zone text) RETURNS int
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(bit_or(1 << d.day), 0)
    FROM generate_series(0, 30) d(day)
    WHERE days & (1 << d.day) <> 0
      AND EXISTS (SELECT FROM fraud.transactions t
                  WHERE t.card = _days_with_payments.card AND t.occurred_at >= fraud._day_of_month(month, d.day, zone)
                    AND t.occurred_at < fraud._day_of_month(month, d.day + 1, zone));
END;
COMMENT ON FUNCTION fraud._days_with_payments(uuid, timestamptz, int, text) IS
    'internal: of the days of a month, a bit each, those with payments of the card';

-- The plan is made when the log may look empty; it must serve when a history has
-- filled it: sums by hashing, no JIT for what only looks costly.
CREATE FUNCTION fraud._fold_piece(most int, least_rows int, up_to bigint, OUT changes bigint, OUT payments bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_sort = off
-- Planned while a table was small, a look-up of one row would read all of it ever after.
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
SET work_mem = '64MB'
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    piece record;
    up_to_id bigint;
BEGIN
    changes := 0;
    payments := 0;
    -- Where the last piece ended, else each slot from the mark: a change with a smaller
    -- number may have committed later.
    FOR piece IN
        SELECT f.slot, f.last_id AS after_id, up_to FROM fraud.folding f
        UNION ALL
        SELECT p.slot, p.after_id, p.up_to
        FROM (SELECT s.slot, a.after_id, a.up_to
              FROM fraud.change_slots s CROSS JOIN fraud.change_mark m
              CROSS JOIN LATERAL (VALUES (0, least(m.began_at, _fold_piece.up_to)), (m.folded_to, _fold_piece.up_to)) a(after_id, up_to)
              WHERE s.state <> 'retired' ORDER BY s.first_id NULLS LAST, s.slot, a.after_id) p
    LOOP
        SELECT count(*), max(c.change_id) INTO changes, up_to_id
        FROM (SELECT c.change_id FROM fraud.changes c
              WHERE c.slot = piece.slot AND c.change_id > piece.after_id AND c.change_id <= piece.up_to
              ORDER BY c.change_id LIMIT most) c;
        EXIT WHEN changes >= least_rows;
        changes := 0;
    END LOOP;
    IF changes = 0 THEN
        RETURN;
    END IF;
    UPDATE fraud.folding f SET slot = piece.slot, after_id = piece.after_id, last_id = up_to_id;
    -- All parts of one statement read one snapshot: exactly the changes that are summed
    -- up are taken out, and nothing that commits meanwhile.
    WITH taken AS (
        DELETE FROM fraud.changes c
        WHERE c.slot = (SELECT f.slot FROM fraud.folding f)
          AND c.change_id > (SELECT f.after_id FROM fraud.folding f) AND c.change_id <= (SELECT f.last_id FROM fraud.folding f)
        RETURNING c.change_id, c.sign, c.card, c.transaction_id, c.occurred_at, c.is_fraud, c.known_at
    ), waits AS (
        INSERT INTO fraud.waiting_labels (change_id, card, transaction_id, occurred_at, is_fraud, known_at)
        SELECT t.change_id, t.card, t.transaction_id, t.occurred_at, t.is_fraud, t.known_at
        FROM taken t WHERE t.sign = 0 AND t.known_at > now()
    ), labelled AS (
        INSERT INTO fraud.rollup_labels AS o
        SELECT (l.counted).* FROM fraud._piece_labels l
        ON CONFLICT (card, transaction_id) DO UPDATE SET
            is_fraud = excluded.is_fraud,
            occurred_at = excluded.occurred_at,
            amount = excluded.amount,
            merchant = excluded.merchant,
            category = excluded.category,
            state = excluded.state,
            model = excluded.model,
            model_version = excluded.model_version,
            score = excluded.score,
            decision = excluded.decision
    ), piece AS MATERIALIZED (
        SELECT * FROM fraud._piece_sums
    ), of_cards AS MATERIALIZED (
        SELECT q.card, q.starts_at AS month, b.days AS days_before,
               ((b.days | q.days_more) & ~b.in_doubt) | p.days AS days,
               b.emptied | (q.days_less & ~p.days) AS days_emptied,
               q.payments, q.volume, q.reviewed + q.blocked AS alerts, q.fraud, q.fraud_volume
        FROM piece q
        LEFT JOIN LATERAL (SELECT c.days, c.days_emptied FROM fraud.rollup_cards c
                           WHERE c.card = q.card AND c.month = q.starts_at LIMIT 1) c ON true
        CROSS JOIN LATERAL (SELECT coalesce(c.days, 0) AS days, coalesce(c.days_emptied, 0) AS emptied,
                                   q.days_less | (q.days_more & coalesce(c.days_emptied, 0)) AS in_doubt) b
        CROSS JOIN LATERAL (SELECT CASE WHEN b.in_doubt = 0 THEN 0 ELSE
                                fraud._days_with_payments(q.card, q.starts_at, b.in_doubt, fraud.report_timezone())
                            END AS days OFFSET 0) p
        WHERE q.kind = 'card'
    ), cards AS (
        INSERT INTO fraud.rollup_cards AS o (card, month, days, days_emptied, payments, volume, alerts, fraud, fraud_volume)
        SELECT q.card, q.month, q.days, q.days_emptied, q.payments, q.volume, q.alerts, q.fraud, q.fraud_volume
        FROM of_cards q
        ON CONFLICT (card, month) DO UPDATE SET
            days = excluded.days,
            days_emptied = excluded.days_emptied,
            payments = o.payments + excluded.payments,
            volume = o.volume + excluded.volume,
            alerts = o.alerts + excluded.alerts,
            fraud = o.fraud + excluded.fraud,
            fraud_volume = o.fraud_volume + excluded.fraud_volume
    ), sums AS (
        INSERT INTO fraud.rollups AS o (
            kind, starts_at, day, key, model, model_version, payments, customers, volume,
            approved, reviewed, blocked, alerted_volume, scored, score_sum,
            fraud, legitimate, fraud_alerted, legitimate_alerted, fraud_volume, fraud_alerted_volume, part)
        SELECT q.kind, q.starts_at, (q.starts_at AT TIME ZONE (SELECT fraud.report_timezone()))::date, q.key, q.model, q.model_version, q.payments,
               coalesce(c.customers, 0), q.volume, q.approved, q.reviewed, q.blocked,
               q.alerted_volume, q.scored, q.score_sum, q.fraud, q.legitimate,
               q.fraud_alerted, q.legitimate_alerted, q.fraud_volume, q.fraud_alerted_volume,
               (SELECT m.part FROM fraud.change_mark m)
        FROM piece q
        LEFT JOIN (SELECT fraud._day_of_month(q.month, d.day, fraud.report_timezone()) AS starts_at,
                          sum(CASE WHEN q.days & (1 << d.day) <> 0 THEN 1 ELSE -1 END) AS customers
                   FROM of_cards q JOIN generate_series(0, 30) d(day) ON (q.days # q.days_before) & (1 << d.day) <> 0
                   WHERE q.days <> q.days_before
                   GROUP BY q.month, d.day) c ON q.kind = 'day' AND c.starts_at = q.starts_at
        WHERE q.kind <> 'card'
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
    SELECT count(*) FILTER (WHERE t.sign > 0) INTO payments FROM taken t;
    UPDATE fraud.change_mark SET part_folds = part_folds + 1;
END
$$;
COMMENT ON FUNCTION fraud._fold_piece(int, int, bigint) IS
    'internal: adds the next changes, at most so many and up to a number, to the sums, if they are at least so many; the caller holds the lock';

-- How many transactions ago the oldest snapshot is that keeps rows from being cleared away.
CREATE FUNCTION fraud._oldest_snapshot() RETURNS int
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT greatest((SELECT max(age(a.backend_xmin)) FROM pg_stat_activity a WHERE a.pid <> pg_backend_pid()),
                    (SELECT max(age(p.transaction)) FROM pg_prepared_xacts p),
                    (SELECT max(age(s.xmin)) FROM pg_replication_slots s), 0);
END;
COMMENT ON FUNCTION fraud._oldest_snapshot() IS 'internal: the age of the oldest snapshot, in transactions';

-- The sums of a day are added to with each piece. While somebody keeps an old snapshot, what they
-- were stays, and whoever looks for the present row by its key walks over all of that. So after a
-- number of pieces others begin, whose rows are new; when the snapshot is gone they are put together. The caller
-- holds the lock 'rollups'.
CREATE FUNCTION fraud._turn_part() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    most constant int := 16;
    mark fraud.change_mark;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN;
    END IF;
    SELECT * INTO mark FROM fraud.change_mark;
    IF mark.part = 0 AND mark.part_folds < most AND NOT EXISTS (SELECT FROM fraud.rollups r WHERE r.part > 0) THEN
        RETURN;
    END IF;
    IF mark.part_began IS NULL OR age(mark.part_began::xid) >= fraud._oldest_snapshot() THEN
        -- Nobody has seen anything from before that.
        IF EXISTS (SELECT FROM fraud.rollups r WHERE r.part > 0) THEN
            WITH gone AS (
                DELETE FROM fraud.rollups r WHERE r.part > 0 RETURNING r.*
            )
            INSERT INTO fraud.rollups AS o (
                kind, starts_at, day, key, model, model_version, payments, customers, volume,
                approved, reviewed, blocked, alerted_volume, scored, score_sum,
                fraud, legitimate, fraud_alerted, legitimate_alerted, fraud_volume, fraud_alerted_volume, part)
            SELECT g.kind, g.starts_at, g.day, g.key, g.model, g.model_version, sum(g.payments), sum(g.customers), sum(g.volume),
                   sum(g.approved), sum(g.reviewed), sum(g.blocked), sum(g.alerted_volume), sum(g.scored), sum(g.score_sum),
                   sum(g.fraud), sum(g.legitimate), sum(g.fraud_alerted), sum(g.legitimate_alerted), sum(g.fraud_volume), sum(g.fraud_alerted_volume), 0
            FROM gone g GROUP BY g.kind, g.starts_at, g.day, g.key, g.model, g.model_version
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
                fraud_alerted_volume = o.fraud_alerted_volume + excluded.fraud_alerted_volume;
        END IF;
        UPDATE fraud.change_mark SET part = 0, part_folds = 0, part_began = pg_current_xact_id();
    ELSIF mark.part_folds >= most THEN
        UPDATE fraud.change_mark SET part = part + 1, part_folds = 0,
            -- Parts are put together when nobody has seen the first begin.
            part_began = CASE WHEN mark.part = 0 THEN pg_current_xact_id() ELSE part_began END
        WHERE part < 30000;
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._turn_part() IS 'internal: begins another part of fraud.rollups while an old snapshot is kept, and puts them together when it is not';

-- Labels whose time has come go back to the log.
CREATE FUNCTION fraud._wake_labels(most int) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH due AS (
        DELETE FROM fraud.waiting_labels w
        WHERE w.change_id IN (SELECT d.change_id FROM fraud.waiting_labels d WHERE d.known_at <= now() ORDER BY d.known_at LIMIT most)
        RETURNING w.card, w.transaction_id, w.occurred_at, w.is_fraud, w.known_at
    )
    INSERT INTO fraud.changes (slot, sign, card, transaction_id, occurred_at, is_fraud, known_at)
    SELECT (SELECT fraud._open_slot()), 0, d.card, d.transaction_id, d.occurred_at, d.is_fraud, d.known_at FROM due d;
END;
COMMENT ON FUNCTION fraud._wake_labels(int) IS 'internal: puts labels whose known_at has come back into fraud.changes';

-- All that is in the log. The caller holds the lock.
CREATE FUNCTION fraud._fold_all(most int) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    up_to bigint;
    piece record;
    added bigint := 0;
    settled bigint := fraud._settled_changes();
BEGIN
    INSERT INTO fraud.rollup_state (timezone, refreshed_at)
    VALUES (fraud.report_timezone(), now())
    ON CONFLICT (only_row) DO UPDATE SET refreshed_at = excluded.refreshed_at;
    PERFORM fraud._wake_labels(NULL);
    PERFORM fraud._turn_part();
    -- What comes meanwhile is for the next time.
    SELECT s.last_value INTO up_to FROM fraud.change_ids s;
    LOOP
        SELECT * INTO piece FROM fraud._fold_piece(most, 1, up_to);
        EXIT WHEN piece.changes = 0;
        added := added + piece.payments;
    END LOOP;
    PERFORM fraud._move_mark(settled);
    PERFORM fraud._turn_slots();
    RETURN added;
END
$$;
COMMENT ON FUNCTION fraud._fold_all(int) IS 'internal: folds all changes, in pieces';

-- What a worker does from time to time: a piece, and only a whole one, since the views add up
-- the rest as quickly. The time zone of the sums is settled with the first, so that one waits until many
-- changes are there: for somebody who sets the zone.
CREATE FUNCTION fraud._fold(most int) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '50ms'
AS $$
DECLARE
    up_to bigint;
    piece record;
    settled bigint;
BEGIN
    IF NOT fraud._try_lock('rollups') THEN
        RETURN false;
    END IF;
    -- The sums are to come, or some of them; what is in the log is in them.
    IF fraud._is_being_restored() THEN
        RETURN false;
    END IF;
    settled := fraud._settled_changes();
    SELECT s.last_value INTO up_to FROM fraud.change_ids s;
    IF NOT EXISTS (SELECT FROM fraud.rollup_state) THEN
        -- Of payments: a dump that is being restored brings labels, which are logged, before its sums.
        IF (SELECT count(*) FROM (SELECT FROM fraud._log l WHERE l.sign <> 0 LIMIT 20000) c) < 20000 THEN
            RETURN false;
        END IF;
        INSERT INTO fraud.rollup_state (timezone, refreshed_at) VALUES (fraud.report_timezone(), now());
    END IF;
    PERFORM fraud._turn_part();
    PERFORM fraud._wake_labels(most);
    SELECT * INTO piece FROM fraud._fold_piece(most, most, up_to);
    PERFORM fraud._move_mark(settled);
    IF piece.changes = 0 THEN
        PERFORM fraud._turn_slots();
        RETURN false;
    END IF;
    UPDATE fraud.rollup_state SET refreshed_at = now();
    RETURN true;
END
$$;
COMMENT ON FUNCTION fraud._fold(int) IS 'internal: folds a piece of so many changes, if there are so many and nobody else folds; returns whether it did';

CREATE FUNCTION fraud._refresh_rollups() RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- One at a time. Payments never wait for this lock, nor it for them.
    PERFORM fraud._lock('rollups');
    -- Each piece changes sums that the one before has changed, and what these were is walked over until the commit: so few pieces, however
    -- much there is.
    RETURN fraud._fold_all((SELECT least(greatest(50000, (s.last_value - m.folded_to) / 16), 10000000)::int FROM fraud.change_ids s, fraud.change_mark m));
END
$$;
COMMENT ON FUNCTION fraud._refresh_rollups() IS 'internal: the body of fraud.refresh_rollups, run as the owner';

CREATE FUNCTION fraud.refresh_rollups() RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.refresh_rollups() IS
    'adds the changes that are in the log to the sums that the views read; returns how many payments were added. The views are exact without it, and fast with it';

CREATE FUNCTION fraud._rebuild_rollups() RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- One plan for all payments, made now: sums and joins by hashing.
SET enable_sort = off
SET enable_nestloop = off
SET jit = off
SET work_mem = '128MB'
AS $$
DECLARE
    zone text := coalesce(nullif(current_setting('fraud_detect.report_timezone', true), ''), 'UTC');
    before text;
    complete_from timestamptz;
    summed bigint;
BEGIN
    -- With everything in the sums, little is left that is taken from the log below.
    PERFORM fraud.refresh_rollups();
    SELECT s.timezone INTO before FROM fraud.rollup_state s;
    PERFORM fraud._audit('rebuild', 'rollups', NULL, jsonb_build_object('timezone', before), jsonb_build_object('timezone', zone));
    UPDATE fraud.rollup_state SET timezone = zone;
    complete_from := fraud._complete_from();
    DELETE FROM fraud.rollups r WHERE r.starts_at >= complete_from;
    DELETE FROM fraud.rollup_cards c WHERE c.month >= complete_from;
    DELETE FROM fraud.rollup_labels o WHERE o.occurred_at >= complete_from OR o.occurred_at IS NULL;
    -- One statement, one snapshot: a payment that is seen here is not in the log, or taken out of it, and
    -- one that commits meanwhile stays in it. Labels too.
    WITH gone AS (
        DELETE FROM fraud.changes c WHERE c.occurred_at >= complete_from OR c.occurred_at IS NULL
    ), no_label_waits AS (
        DELETE FROM fraud.waiting_labels w WHERE w.occurred_at >= complete_from OR w.occurred_at IS NULL
    ), waits AS (
        INSERT INTO fraud.waiting_labels (change_id, card, transaction_id, occurred_at, is_fraud, known_at)
        SELECT nextval('fraud.change_ids'), l.card, l.transaction_id, k.occurred_at, l.is_fraud, l.known_at
        FROM fraud.labels l JOIN fraud.payment_keys k USING (card, transaction_id)
        WHERE k.occurred_at >= complete_from AND l.known_at > now()
    ), labelled AS (
        INSERT INTO fraud.rollup_labels (card, transaction_id, is_fraud, occurred_at, amount, merchant, category, state,
                                         model, model_version, score, decision)
        SELECT * FROM (
            SELECT t.card, t.transaction_id, fraud._believed_now(t.card, t.transaction_id) AS is_fraud, t.occurred_at, t.base_amount,
                   t.merchant, t.category, c.state, t.model, t.model_version, t.score, t.decision
            FROM fraud.transactions t LEFT JOIN fraud.customers c ON c.card = t.card
            WHERE (t.occurred_at >= complete_from AND t.label_known_at IS NOT NULL) IS TRUE
            OFFSET 0) l
        WHERE l.is_fraud IS NOT NULL
    ), stored AS MATERIALIZED (
        SELECT * FROM fraud._stored_sums
    ), cards AS (
        INSERT INTO fraud.rollup_cards (card, month, days, payments, volume, alerts, fraud, fraud_volume)
        SELECT q.card, q.starts_at, q.days_more, q.payments, q.volume, q.reviewed + q.blocked, q.fraud, q.fraud_volume
        FROM stored q WHERE q.kind = 'card'
    ), sums AS (
        INSERT INTO fraud.rollups (
            kind, starts_at, day, key, model, model_version, payments, customers, volume,
            approved, reviewed, blocked, alerted_volume, scored, score_sum,
            fraud, legitimate, fraud_alerted, legitimate_alerted, fraud_volume, fraud_alerted_volume, part)
        SELECT q.kind, q.starts_at, (q.starts_at AT TIME ZONE zone)::date, q.key, q.model, q.model_version, q.payments,
               coalesce(c.customers, 0), q.volume, q.approved, q.reviewed, q.blocked,
               q.alerted_volume, q.scored, q.score_sum, q.fraud, q.legitimate,
               q.fraud_alerted, q.legitimate_alerted, q.fraud_volume, q.fraud_alerted_volume,
               (SELECT m.part FROM fraud.change_mark m)
        FROM stored q
        LEFT JOIN (SELECT fraud._day_of_month(q.starts_at, d.day, zone) AS starts_at, count(*) AS customers
                   FROM stored q JOIN generate_series(0, 30) d(day) ON q.days_more & (1 << d.day) <> 0
                   WHERE q.kind = 'card'
                   GROUP BY q.starts_at, d.day) c ON q.kind = 'day' AND c.starts_at = q.starts_at
        WHERE q.kind <> 'card'
    )
    SELECT coalesce(sum(q.payments), 0) INTO summed FROM stored q WHERE q.kind = 'day';
    -- What came meanwhile.
    RETURN summed + fraud._fold_all(10000);
END
$$;
COMMENT ON FUNCTION fraud._rebuild_rollups() IS 'internal: the body of fraud.rebuild_rollups, run as the owner';

CREATE FUNCTION fraud.rebuild_rollups() RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.rebuild_rollups() IS
    'makes the sums that the views read anew, from all payments stored, in the zone that fraud_detect.report_timezone names; needed after that setting was changed. Returns how many payments were summed';
