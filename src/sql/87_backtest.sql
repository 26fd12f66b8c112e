-- What a rule, or a whole decision, would have done to the payments that are stored: queries, with
-- the caller's rights, that change nothing and run on a standby. Features are those that were scored,
-- lists are as they were at each payment's time.

-- Compiling such a query takes seconds, as long as a million payments do.

-- Other rules are evaluated only where that runs no code of somebody else's with the caller's rights.
CREATE FUNCTION fraud._rules_to_compare(names text[], stream text DEFAULT 'payments')
RETURNS TABLE (rule text, version int, expression text, action text, own boolean, on_error text, plain boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.rule, v.version, v.expression, v.action, v.plain OR v.created_by IS NULL OR v.created_by = current_user, v.on_error, v.plain
    FROM fraud.rules r
    JOIN fraud.rule_versions v ON v.rule = r.rule
         AND v.version = coalesce(CASE WHEN names IS NOT NULL THEN r.observed_version END, r.enforced_version, r.observed_version,
                                  (SELECT max(n.version) FROM fraud.rule_versions n WHERE n.rule = r.rule))
    WHERE r.stream = _rules_to_compare.stream
      AND CASE WHEN names IS NULL THEN num_nonnulls(r.enforced_version, r.observed_version) > 0 ELSE r.rule = ANY (names) END
    ORDER BY r.rule;
END;
COMMENT ON FUNCTION fraud._rules_to_compare(text[], text) IS
    'internal: the named rules of payments, or of a stream, (their draft, if there is one), or all that are live, and whether the caller may evaluate them';

-- What is enforced is what decides: not a draft beside it, not what was put back for being slow, and not before or after its time.
CREATE FUNCTION fraud._rules_to_decide(names text[], stream text DEFAULT 'payments')
RETURNS TABLE (rule text, version int, expression text, action text, own boolean, on_error text, plain boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT c.* FROM fraud._rules_to_compare(names, stream) c WHERE names IS NOT NULL
    UNION ALL
    SELECT * FROM (
        SELECT r.rule, v.version,
               concat_ws(' AND ', CASE WHEN r.stream = 'payments' THEN 'occurred_at' ELSE 'event_time' END || ' >= ' || quote_literal(v.valid_from) || '::timestamptz',
                                  CASE WHEN r.stream = 'payments' THEN 'occurred_at' ELSE 'event_time' END || ' < ' || quote_literal(v.valid_until) || '::timestamptz', format('(%s)', v.expression)),
               v.action, v.plain OR v.created_by IS NULL OR v.created_by = current_user, v.on_error, v.plain
        FROM fraud.rules r
        JOIN fraud.rule_versions v ON v.rule = r.rule AND v.version = r.enforced_version
        WHERE names IS NULL AND r.stream = _rules_to_decide.stream
          AND NOT EXISTS (SELECT FROM fraud.slow_rules s WHERE s.rule = v.rule AND s.version = v.version AND s.noticed_at > r.changed_at)
        ORDER BY r.rule) d;
END;
COMMENT ON FUNCTION fraud._rules_to_decide(text[], text) IS
    'internal: the named rules of payments, or of a stream, (their draft, if there is one), or what is enforced, each in its time, and whether the caller may evaluate them';

-- Counts payments in one pass, which parallel workers share. Its last argument is null where the condition does not hit.
CREATE FUNCTION fraud._backtest_add(internal, timestamptz, boolean, text, numeric, uuid, boolean, boolean[]) RETURNS internal
AS 'MODULE_PATHNAME', 'fraud_detect_backtest_add' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._backtest_add(internal, timestamptz, boolean, text, numeric, uuid, boolean, boolean[]) IS 'internal: counts a payment';
CREATE FUNCTION fraud._backtest_merge(internal, internal) RETURNS internal
AS 'MODULE_PATHNAME', 'fraud_detect_backtest_merge' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._backtest_merge(internal, internal) IS 'internal: puts two counts together';
CREATE FUNCTION fraud._backtest_write(internal) RETURNS bytea
AS 'MODULE_PATHNAME', 'fraud_detect_backtest_write' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud._backtest_write(internal) IS 'internal: counts as bytes, for another process';
CREATE FUNCTION fraud._backtest_read(bytea, internal) RETURNS internal
AS 'MODULE_PATHNAME', 'fraud_detect_backtest_read' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud._backtest_read(bytea, internal) IS 'internal: counts from bytes';
CREATE FUNCTION fraud._backtest_counts(internal) RETURNS jsonb
AS 'MODULE_PATHNAME', 'fraud_detect_backtest_counts' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._backtest_counts(internal) IS 'internal: ends fraud._backtest';
CREATE AGGREGATE fraud._backtest(occurred_at timestamptz, is_fraud boolean, decision text, base_amount numeric, card uuid, mature boolean, rules boolean[]) (
    SFUNC = fraud._backtest_add, STYPE = internal, SSPACE = 10000, FINALFUNC = fraud._backtest_counts, COMBINEFUNC = fraud._backtest_merge,
    SERIALFUNC = fraud._backtest_write, DESERIALFUNC = fraud._backtest_read, PARALLEL = SAFE);
COMMENT ON AGGREGATE fraud._backtest(timestamptz, boolean, text, numeric, uuid, boolean, boolean[]) IS
    'internal: what a rule would have done to payments; mature: their label counts; rules: null where it does not hit, else of each other rule whether it does, too';

-- Own columns of the rows have names that no column which conditions see can have: with a blank.
CREATE FUNCTION fraud._event_rows(stream text, score text DEFAULT 'd.score', decision text DEFAULT 'd.decision',
    OUT "rows" text, OUT counted text, OUT customers text, OUT decided text, OUT model text, OUT numbers text[], OUT sampled text, OUT events text) RETURNS record
AS 'MODULE_PATHNAME', 'fraud_detect_event_rows'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION fraud._event_rows(text, text, text) IS
    'internal: of a stream, a query of what conditions see of its events between $1 and $2, what fraud._backtest takes of that ($3: since when labels do not count), a query that counts entities, what fraud._decision_counts takes, the stream''s model, the columns that are numbers, what fraud._suggested samples by, and a query that counts all events of the table; score and decision: expressions over d, a row of fraud.event_scores, and d.new_score; the caller may read the table';

CREATE FUNCTION fraud._backtest_rows(stream text, OUT "rows" text, OUT counted text, OUT customers text, OUT events text) RETURNS record
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF stream = 'payments' THEN  -- else it is one of a user's
        "rows" := format('SELECT %s, t.is_fraud AS "is fraud" FROM fraud.transactions t WHERE t.occurred_at >= $1 AND t.occurred_at < $2', fraud._rule_row());
        counted := 'payment.occurred_at, payment."is fraud", payment.decision, payment.base_amount, payment.card, payment.occurred_at < $3';
        -- Of all customers nobody is counted one by one: those who paid first before the end, and last since the beginning.
        customers := 'SELECT count(*) FROM fraud.customers c WHERE c.first_payment_at < $2 AND c.last_payment_at >= $1';
    ELSE
        SELECT e."rows", e.counted, e.customers, e.events INTO "rows", counted, customers, events FROM fraud._event_rows(stream) e;
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._backtest_rows(text) IS 'internal: as fraud._event_rows, of payments too; events: null of payments, since none is stored without a score';

CREATE FUNCTION fraud._backtest_condition(expression text, "from" timestamptz, "to" timestamptz, with_rules boolean, stream text) RETURNS TABLE (metric text, item text, value float8)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET jit = off
SET enable_nestloop = on
AS $$
DECLARE
    maturity interval := coalesce(nullif(current_setting('fraud_detect.label_maturity', true), ''), '7d')::interval;
    of_stream record;
    others text[] := '{}';
    conditions text[] := '{}';
    other record;
    not_compared text[] := '{}';
    hint text;
BEGIN
    IF stream <> 'payments' THEN
        -- Of a table's newest rows the planner's statistics know nothing, and by loops events and scores would be compared each with each.
        PERFORM set_config('enable_nestloop', 'off', true);
    END IF;
    IF num_nulls(expression, "from", "to", stream) > 0 THEN
        RAISE EXCEPTION 'condition, from, to and stream must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM fraud._check_period("from", "to");
    of_stream := fraud._backtest_rows(stream);
    IF with_rules THEN
        FOR other IN SELECT * FROM fraud._rules_to_compare(NULL, stream) LOOP
            BEGIN
                IF other.own THEN
                    conditions := conditions || format('(%s) IS TRUE', fraud._condition_as_of(other.expression, stream, other.plain));
                    others := others || other.rule;
                ELSE
                    not_compared := not_compared || other.rule;
                END IF;
            EXCEPTION
                -- Its function or column is gone.
                WHEN OTHERS THEN not_compared := not_compared || other.rule;
            END;
        END LOOP;
    END IF;
    BEGIN
    RETURN QUERY EXECUTE format($q$
        WITH counted AS MATERIALIZED (
            SELECT fraud._backtest(%3$s, CASE WHEN (%1$s) THEN ARRAY[%4$s]::boolean[] END) AS counts FROM (%2$s) payment),
        hit AS MATERIALIZED (
            SELECT (d ->> 0)::bigint AS day, (d ->> 1)::bigint AS payments, (d ->> 2)::bigint AS hits FROM counted c, jsonb_array_elements(c.counts -> 'days') d),
        -- Days without a payment, too, where the period is no longer than ten years; numbered since 2000.
        bounds AS (
            SELECT CASE WHEN isfinite($1) AND isfinite($2) AND $2 - $1 <= interval '3660 days' THEN floor(extract(epoch FROM $1 - timestamptz '2000-01-01 00:00+00') / 86400)::bigint
                        ELSE (SELECT min(h.day) FROM hit h) END AS first,
                   CASE WHEN isfinite($1) AND isfinite($2) AND $2 - $1 <= interval '3660 days'
                        THEN ceil(extract(epoch FROM greatest(least($2, now()), $1) - timestamptz '2000-01-01 00:00+00') / 86400)::bigint - 1 END AS last),
        days AS MATERIALIZED (
            SELECT timestamptz '2000-01-01 00:00+00' + n.day * interval '24 hours' AS day, coalesce(h.payments, 0) AS payments, coalesce(h.hits, 0) AS hits
            FROM bounds b, generate_series(b.first, greatest(b.last, (SELECT max(h.day) FROM hit h))) n(day) LEFT JOIN hit h ON h.day = n.day),
        totals AS (
            SELECT (SELECT coalesce(sum(d.payments), 0) FROM days d) AS payments, (SELECT coalesce(sum(d.hits), 0) FROM days d) AS hits,
                   CASE WHEN isfinite($1) AND isfinite($2) THEN extract(epoch FROM least($2, now()) - $1) / 86400 ELSE (SELECT count(*) FROM days) END AS days,
                   (c.counts ->> 'mature_hits')::bigint AS mature_hits,
                   (c.counts ->> 'mature_frauds')::bigint AS frauds,
                   (c.counts ->> 'mature_frauds_hit')::bigint AS frauds_hit,
                   (c.counts ->> 'frauds_not_alerted')::bigint AS frauds_new,
                   (c.counts ->> 'caught')::float8 AS caught, (c.counts ->> 'lost')::float8 AS lost, (c.counts ->> 'bothered')::float8 AS bothered_money,
                   (c.counts ->> 'alerts')::bigint AS alerts, (c.counts ->> 'alerts_hit')::bigint AS alerts_hit,
                   (c.counts ->> 'customers_hit')::bigint AS customers_hit, (c.counts ->> 'customers_bothered')::bigint AS customers_bothered
            FROM counted c)
        SELECT v.metric, NULL::text, v.value::float8
        FROM totals s
        CROSS JOIN (%5$s) a(customers),
        LATERAL (VALUES ('payments', s.payments), ('not_judged', coalesce((%6$s) - s.payments, 0)), ('hits', s.hits), ('hits_per_day', s.hits / greatest(s.days, 1)::float8), ('hit_share', s.hits / nullif(s.payments, 0)::float8),
                        ('matured_hits', s.mature_hits), ('frauds', s.frauds), ('frauds_hit', s.frauds_hit), ('precision', s.frauds_hit / nullif(s.mature_hits, 0)::float8),
                        ('recall', s.frauds_hit / nullif(s.frauds, 0)::float8), ('frauds_not_alerted', s.frauds_new),
                        ('money_caught', s.caught), ('money_lost', s.lost), ('money_bothered', s.bothered_money),
                        ('alerts', s.alerts), ('alerts_hit', s.alerts_hit),
                        ('customers_hit', s.customers_hit), ('customers_bothered', s.customers_bothered),
                        ('customers_bothered_share', s.customers_bothered / nullif(a.customers, 0)::float8)) v(metric, value)
        UNION ALL
        SELECT 'hits_of_day', to_char(d.day, 'YYYY-MM-DD'), d.hits
        FROM (SELECT y.day, y.hits::float8 AS hits FROM days y ORDER BY y.day) d
        UNION ALL
        SELECT 'hits_of_rule_too', o.rule, coalesce((SELECT (c.counts -> 'rules' ->> (o.place - 1)::int)::float8 FROM counted c), 0)
        FROM unnest($4::text[]) WITH ORDINALITY o(rule, place)
        UNION ALL
        SELECT 'hits_of_rule_too', n, NULL FROM unnest($5::text[]) n $q$,
        expression, of_stream."rows", of_stream.counted, array_to_string(conditions, ', '), of_stream.customers,
        coalesce(of_stream.events, 'NULL::bigint'))
    USING "from", "to", now() - maturity, others, not_compared;
    EXCEPTION
        WHEN OTHERS THEN
            IF others = '{}' THEN
                -- Raised anew: the context would be the whole query.
                GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
                RAISE EXCEPTION 'could not backtest the condition: %', SQLERRM
                    USING ERRCODE = SQLSTATE, DETAIL = format('The condition is %s.', left(expression, 1000)),
                          HINT = coalesce(nullif(hint, ''), 'Where its condition fails, a rule does what its on_error says; a backtest ends.');
            END IF;
            -- Another rule fails on one of the payments, unless this condition does.
            RETURN QUERY SELECT b.* FROM fraud._backtest_condition(_backtest_condition.expression, _backtest_condition."from", _backtest_condition."to", false, _backtest_condition.stream) b
                         UNION ALL SELECT 'hits_of_rule_too', n, NULL FROM unnest(others || not_compared) n;
            RAISE WARNING 'a live rule fails on these payments, so that none is compared: %', fraud._mask_card_numbers(SQLERRM)
                USING HINT = 'fraud.rule_status says which, and of what.';
    END;
END
$$;
COMMENT ON FUNCTION fraud._backtest_condition(text, timestamptz, timestamptz, boolean, text) IS
    'internal: the measures of an expression over rows of fraud._backtest_rows()';

-- Names in the condition are looked up as the caller sees them, so here is no search_path of its own.
CREATE FUNCTION fraud._backtest_rule(condition text, "from" timestamptz, "to" timestamptz, with_rules boolean, stream text) RETURNS TABLE (metric text, item text, value float8)
LANGUAGE sql STABLE ROWS 100
BEGIN ATOMIC
    SELECT b.metric, b.item, b.value FROM fraud._backtest_condition(fraud._condition_as_of(condition, stream), "from", "to", with_rules, stream) b;
END;
COMMENT ON FUNCTION fraud._backtest_rule(text, timestamptz, timestamptz, boolean, text) IS 'internal: the body of fraud.backtest_rule, run as its caller';

CREATE FUNCTION fraud.backtest_rule(condition text, "from" timestamptz, "to" timestamptz, with_rules boolean DEFAULT true, stream text DEFAULT 'payments') RETURNS TABLE (metric text, item text, value float8)
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION fraud.backtest_rule(text, timestamptz, timestamptz, boolean, text) IS
    'what a condition (as of fraud.add_rule) would have hit among the payments of [from, to), or the events of a stream that were scored: payments, and not_judged, those of the period that were not (inserted before the table was watched, or unscored; of payments none); hits, a day (hits_of_day, UTC) too; precision and recall of payments older than fraud_detect.label_maturity; money in the base currency of frauds that were hit (caught) and were not (lost), and of others that were hit (bothered); alerts of then that it hits; customers (of a stream: entities); with_rules: how many hits each live rule has too (null: it runs functions of its author, which run for nobody else, or a rule fails on these payments). What there is nothing to divide by is null. Features as they were scored, lists as they were; decision is what was decided then. Reads with the caller''s rights, changes nothing';

CREATE FUNCTION fraud._condition_outcome(condition text, payment record, stream text) RETURNS smallint
AS 'MODULE_PATHNAME', 'fraud_detect_condition_outcome'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION fraud._condition_outcome(text, record, text) IS
    'internal: of a condition and a row of fraud._rule_row(), or of a stream''s events: 0, it does not hold; 1, it does; 2, it fails. It takes a subtransaction, which no parallel worker can';

-- Payments, or events of a stream, as conditions see them ($1 and $2 are from and to), with the score of a model and the decision of its
-- thresholds. Of whom somebody has forgotten there is no vector left, and the score stays.
CREATE FUNCTION fraud._decision_rows(ref text, at_review float8, at_block float8, stream text, OUT "rows" text, OUT decided text) RETURNS record
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    row_name text := CASE stream WHEN 'payments' THEN 't' ELSE 'd' END;
    decision text := format('CASE WHEN %1$s.new_score >= %2$L::float8 THEN ''block'' WHEN %1$s.new_score >= %3$L::float8 THEN ''review'' ELSE ''approve'' END',
                            row_name, at_block, at_review);
BEGIN
    IF stream = 'payments' THEN
        "rows" := format('SELECT %s, coalesce(t.is_fraud, false) AS "is fraud", t.base_amount AS "its money",'
                         ' CASE t.decision WHEN ''block'' THEN 2 WHEN ''review'' THEN 1 ELSE 0 END AS "was decided"'
                         ' FROM (SELECT t.*, %s AS new_score FROM fraud.transactions t WHERE t.occurred_at >= $1 AND t.occurred_at < $2 OFFSET 0) t',
            fraud._rule_row('t.new_score', decision), CASE WHEN ref IS NULL THEN 't.score' ELSE format('fraud._score_stored(%L, t.features)', ref) END);
        decided := 'payment.occurred_at AS at, payment."was decided" AS was, payment."is fraud" AS is_fraud, payment."its money" AS money';
    ELSE
        SELECT e."rows", e.decided INTO "rows", decided
        FROM fraud._event_rows(stream, CASE WHEN ref IS NULL THEN 'd.score' ELSE format('coalesce(fraud._score_stored(%L, d.features, %L), d.score)', ref, stream) END, decision) e;
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._decision_rows(text, float8, float8, text) IS 'internal: the query whose rows fraud.backtest_decision decides, and what of them fraud._decision_counts takes';

CREATE FUNCTION fraud._failing_rules(names text[], "rows" text, "from" timestamptz, "to" timestamptz, stream text) RETURNS TABLE (rule text, fault text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_nestloop = on
AS $$
DECLARE
    other record;
BEGIN
    IF stream <> 'payments' THEN
        PERFORM set_config('enable_nestloop', 'off', true);
    END IF;
    FOR other IN SELECT c.* FROM fraud._rules_to_decide(names, stream) c WHERE c.own LOOP
        BEGIN
            EXECUTE format('SELECT count(*) FILTER (WHERE %s) FROM (%s) payment', fraud._condition_as_of(other.expression, stream, other.plain), "rows") USING "from", "to";
        EXCEPTION
            WHEN OTHERS THEN
                rule := other.rule;
                fault := fraud._mask_card_numbers(left(SQLERRM, 1000));
                RETURN NEXT;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION fraud._failing_rules(text[], text, timestamptz, timestamptz, text) IS 'internal: which of the rules fail on payments, or events, of [from, to), and with what error';

CREATE FUNCTION fraud._decision_counts("rows" text, decided text, rules text[], failing text[], "from" timestamptz, "to" timestamptz, stream text)
RETURNS TABLE (metric text, present float8, candidate float8)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET jit = off
SET enable_nestloop = on
AS $$
DECLARE
    maturity interval := coalesce(nullif(current_setting('fraud_detect.label_maturity', true), ''), '7d')::interval;
    other record;
    condition text;
    outcome text;
    parts jsonb := '{"allow": "false", "block": "false", "review": "false", "raise": "false", "lower": "false"}';
    payments text := "rows";
    failures text := '0';
BEGIN
    IF stream <> 'payments' THEN
        PERFORM set_config('enable_nestloop', 'off', true);
    END IF;
    FOR other IN SELECT c.*, array_position(failing, c.rule) AS place FROM fraud._rules_to_decide(rules, stream) c LOOP
        IF other.place IS NULL THEN
            condition := format('coalesce((%s), false)', fraud._condition_as_of(other.expression, stream, other.plain));
        ELSE
            -- As payments meet it: on those on which it fails it does what on_error says.
            outcome := format('payment."outcome %s"', other.place);
            BEGIN
                payments := format('SELECT payment.*, fraud._condition_outcome(%L, payment.*, %L) AS "outcome %s" FROM (%s) payment OFFSET 0',
                                   fraud._condition_as_of(other.expression, stream, other.plain), stream, other.place, payments);
            EXCEPTION
                WHEN OTHERS THEN
                    -- Its function or column is gone.
                    outcome := '2';
            END;
            condition := format('%s = 1', outcome);
            failures := format('%s + (%s = 2)::int', failures, outcome);
            IF other.on_error <> 'ignore' THEN
                parts := jsonb_set(parts, ARRAY[other.on_error], to_jsonb(format('%s OR %s = 2', parts ->> other.on_error, outcome)));
            END IF;
        END IF;
        IF other.action <> 'tag' THEN
            parts := jsonb_set(parts, ARRAY[other.action], to_jsonb(format('%s OR %s', parts ->> other.action, condition)));
        ELSIF other.place IS NULL THEN
            -- It decides nothing, unless it fails.
            failures := format('%s + CASE WHEN %s THEN 0 ELSE 0 END', failures, condition);
        END IF;
    END LOOP;
    RETURN QUERY EXECUTE format($q$
        WITH counted AS MATERIALIZED (
            SELECT j.was, j.now, j.is_fraud, j.mature, count(*) AS payments, sum(j.money) FILTER (WHERE j.is_fraud OR greatest(j.was, j.now) = 2) AS money, sum(j.failures) AS failures,
                   min(j.at) FILTER (WHERE NOT isfinite($1)) AS first
            FROM (SELECT f.at, f.was, f.is_fraud, f.at < $3 AS mature, f.money, f.failures,
                         CASE WHEN f.allow THEN 0
                              ELSE greatest(least(greatest(f.band + (f.raise AND NOT f.lower)::int - (f.lower AND NOT f.raise)::int, 0), 2),
                                            f.review::int, 2 * f.block::int) END AS now
                  FROM (SELECT %8$s,
                               CASE payment.decision WHEN 'block' THEN 2 WHEN 'review' THEN 1 ELSE 0 END AS band,
                               %1$s AS allow, %2$s AS block, %3$s AS review, %4$s AS raise, %5$s AS lower, %7$s AS failures
                        FROM (%6$s) payment) f) j
            GROUP BY j.was, j.now, j.is_fraud, j.mature),
        -- Of a period without a beginning those since its first payment.
        days AS (
            SELECT greatest(extract(epoch FROM least($2, now()) - coalesce(min(c.first), nullif($1, '-infinity'))) / 86400, 1)::float8 AS days FROM counted c),
        sides AS (
            SELECT w.side, coalesce(sum(c.payments), 0) AS payments, CASE w.side WHEN 1 THEN (SELECT count(*) FROM %9$s m WHERE m.error IS NOT NULL AND m.enforced AND %10$s)
                                                            ELSE coalesce(sum(c.failures), 0) END AS failures,
                   sum(c.payments) FILTER (WHERE d.band >= 1) AS alerts, sum(c.payments) FILTER (WHERE d.band = 2) AS blocks,
                   sum(c.payments) FILTER (WHERE d.band >= 1 AND c.mature) AS mature_alerts,
                   sum(c.payments) FILTER (WHERE d.band >= 1 AND c.mature AND c.is_fraud) AS caught,
                   sum(c.payments) FILTER (WHERE c.mature AND c.is_fraud) AS frauds,
                   coalesce(sum(c.money) FILTER (WHERE d.band >= 1 AND c.is_fraud), 0) AS money_caught,
                   coalesce(sum(c.money) FILTER (WHERE d.band = 0 AND c.is_fraud), 0) AS money_lost,
                   coalesce(sum(c.money) FILTER (WHERE d.band = 2 AND NOT c.is_fraud), 0) AS money_blocked
            FROM (VALUES (1), (2)) w(side) LEFT JOIN counted c ON true, LATERAL (SELECT CASE w.side WHEN 1 THEN c.was ELSE c.now END AS band) d
            GROUP BY w.side),
        measures AS (
            SELECT s.side, v.place, v.metric, v.value::float8 AS value
            FROM sides s, days y, LATERAL (VALUES
                (1, 'payments', s.payments::float8), (2, 'alerts', coalesce(s.alerts, 0)), (3, 'blocks', coalesce(s.blocks, 0)),
                (4, 'alerts_per_day', coalesce(s.alerts, 0) / y.days), (5, 'blocks_per_day', coalesce(s.blocks, 0) / y.days),
                (6, 'precision', coalesce(s.caught, 0) / nullif(s.mature_alerts, 0)::float8), (7, 'recall', coalesce(s.caught, 0) / nullif(s.frauds, 0)::float8),
                (8, 'money_caught', s.money_caught), (9, 'money_lost', s.money_lost), (10, 'money_blocked_wrongly', s.money_blocked),
                (11, 'failures', s.failures), (12, 'not_judged', coalesce((%11$s) - s.payments, 0)::float8)) v(place, metric, value))
        SELECT a.metric, a.value, b.value FROM measures a JOIN measures b ON b.place = a.place AND b.side = 2 WHERE a.side = 1 ORDER BY a.place $q$,
        parts ->> 'allow', parts ->> 'block', parts ->> 'review', parts ->> 'raise', parts ->> 'lower',
        payments, failures, decided,
        CASE stream WHEN 'payments' THEN 'fraud.rule_matches' ELSE 'fraud.stream_rule_matches' END,
        CASE stream WHEN 'payments' THEN 'm.occurred_at >= $1 AND m.occurred_at < $2' ELSE format('m.stream = %L AND m.event_time >= $1 AND m.event_time < $2', stream) END,
        coalesce((SELECT b.events FROM fraud._backtest_rows(stream) b), 'NULL::bigint'))
    USING "from", "to", now() - maturity;
END
$$;
COMMENT ON FUNCTION fraud._decision_counts(text, text, text[], text[], timestamptz, timestamptz, text) IS
    'internal: the measures of fraud.backtest_decision; failing: rules that are known to fail on some payment';

CREATE FUNCTION fraud._backtest_decision(ref text, review_at float8, block_at float8, rules text[], "from" timestamptz, "to" timestamptz, stream text)
RETURNS TABLE (metric text, present float8, candidate float8)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    deciding text := 'payments';
    champion fraud.model_aliases;
    at_review float8;
    at_block float8;
    missing text;
    payments record;
    failing text[];
    faults text[];
BEGIN
    IF num_nulls("from", "to", stream) > 0 THEN
        RAISE EXCEPTION 'from, to and stream must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM fraud._check_period("from", "to");
    IF stream <> 'payments' THEN
        SELECT e.model INTO deciding FROM fraud._event_rows(stream) e;
    END IF;
    -- A model that is not there, or cannot score these, is told where there is nothing to score, too.
    PERFORM fraud._check_scores(ref, stream);
    SELECT * INTO champion FROM fraud.model_aliases a
    WHERE a.model = split_part(deciding, '@', 1) AND a.alias = coalesce(nullif(split_part(deciding, '@', 2), ''), 'champion');
    at_review := coalesce(review_at, champion.review_at);
    at_block := coalesce(block_at, champion.block_at);
    IF NOT (at_review BETWEEN 0 AND 1 AND at_block BETWEEN 0 AND 1 AND at_review <= at_block) THEN
        RAISE EXCEPTION 'invalid thresholds: review_at %, block_at %', at_review, at_block
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Thresholds are probabilities, and review_at is not above block_at.';
    END IF;
    SELECT string_agg(format('"%s"', n), ', ') INTO missing FROM unnest(rules) n WHERE NOT EXISTS (SELECT FROM fraud.rules r WHERE r.rule = n AND r.stream = _backtest_decision.stream);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'rules do not exist: %', fraud._mask_card_numbers(missing) USING ERRCODE = 'undefined_object', HINT = 'fraud.rule_status has all rules, and what each decides: payments, or a stream.';
    END IF;
    SELECT string_agg(format('"%s"', c.rule), ', ') INTO missing FROM fraud._rules_to_decide(rules, stream) c WHERE NOT c.own;
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'rules run functions of their author: %', missing
            USING ERRCODE = 'insufficient_privilege', HINT = 'Name the rules that are to be in force without them.';
    END IF;
    payments := fraud._decision_rows(ref, at_review, at_block, stream);
    BEGIN
        RETURN QUERY SELECT d.* FROM fraud._decision_counts(payments."rows", payments.decided, rules, '{}', "from", "to", stream) d;
    EXCEPTION
        WHEN OTHERS THEN
            SELECT array_agg(f.rule), array_agg(f.fault) INTO failing, faults FROM fraud._failing_rules(rules, payments."rows", "from", "to", stream) f;
            IF failing IS NULL THEN
                RAISE;
            END IF;
            RETURN QUERY SELECT d.* FROM fraud._decision_counts(payments."rows", payments.decided, rules, failing, "from", "to", stream) d;
            FOR i IN 1 .. cardinality(failing) LOOP
                RAISE WARNING 'rule "%" fails on some of these %: %', failing[i], CASE stream WHEN 'payments' THEN 'payments' ELSE 'events' END, faults[i]
                    USING HINT = format('There it does what its on_error says, as it would to %s; "failures" counts them.', CASE stream WHEN 'payments' THEN 'payments' ELSE 'events' END);
            END LOOP;
    END;
END
$$;
COMMENT ON FUNCTION fraud._backtest_decision(text, float8, float8, text[], timestamptz, timestamptz, text) IS 'internal: the body of fraud.backtest_decision';

CREATE FUNCTION fraud._backtest_decision("from" timestamptz, "to" timestamptz, model text, review_at float8,
    block_at float8, rules text[], stream text) RETURNS TABLE (metric text, present float8, candidate float8)
LANGUAGE sql STABLE ROWS 10
BEGIN ATOMIC SELECT b.metric, b.present, b.candidate FROM fraud._backtest_decision(model, review_at, block_at, rules, "from", "to", stream) b; END;
COMMENT ON FUNCTION fraud._backtest_decision(timestamptz, timestamptz, text, float8, float8, text[], text) IS 'internal: the body of fraud.backtest_decision, run as its caller';

CREATE FUNCTION fraud.backtest_decision("from" timestamptz, "to" timestamptz, model text DEFAULT NULL, review_at float8 DEFAULT NULL,
    block_at float8 DEFAULT NULL, rules text[] DEFAULT NULL, stream text DEFAULT 'payments') RETURNS TABLE (metric text, present float8, candidate float8)
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION fraud.backtest_decision(timestamptz, timestamptz, text, float8, float8, text[], text) IS
    'what payments of [from, to), or the events of a stream that were scored, were decided (present), and what a model version (payments/3; null: the scores that they got), thresholds (null: the champion''s) and rules (null: those that are enforced; of those named the draft, if there is one) would have decided: alerts and blocks, a day too, precision and recall of payments older than fraud_detect.label_maturity, money of frauds alerted and not, of others blocked; failures: how often a rule''s condition failed, which a warning names, and did what on_error says; not_judged: events of the period that were not scored, as in fraud.backtest_rule. Features as they were scored, lists as they were. Reads with the caller''s rights, changes nothing. Errors: 22023 an empty period, 42704 no such rule, model or stream, 42501 a rule that runs its author''s functions';

-- -------------------------------------------------------------- suggesting
CREATE FUNCTION fraud._suggestion_add(internal, float8[], boolean, bigint, bigint, int) RETURNS internal
AS 'MODULE_PATHNAME', 'fraud_detect_suggestion_add' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._suggestion_add(internal, float8[], boolean, bigint, bigint, int) IS 'internal: collects a payment of the sample';
CREATE FUNCTION fraud._suggestion_find(internal) RETURNS jsonb
AS 'MODULE_PATHNAME', 'fraud_detect_suggestion_find' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._suggestion_find(internal) IS 'internal: ends fraud._suggestions';
CREATE AGGREGATE fraud._suggestions(x float8[], is_fraud boolean, frauds bigint, others bigint, most int) (
    SFUNC = fraud._suggestion_add, STYPE = internal, FINALFUNC = fraud._suggestion_find, PARALLEL = SAFE);
COMMENT ON AGGREGATE fraud._suggestions(float8[], boolean, bigint, bigint, int) IS
    'internal: comparisons, and pairs of them, that tell frauds from others in a sample of so many, by exhaustion: thresholds are quantiles of the frauds, pairs are of the best singles';

CREATE FUNCTION fraud._suggested("from" timestamptz, "to" timestamptz, most int, stream text) RETURNS TABLE (condition text, sample_precision float8, sample_recall float8)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_nestloop = on
AS $$
DECLARE
    names text[];
    list text;
    events record;
    samples text;
BEGIN
    IF stream <> 'payments' THEN
        PERFORM set_config('enable_nestloop', 'off', true);
    END IF;
    IF num_nulls("from", "to", most, stream) > 0 THEN
        RAISE EXCEPTION 'from, to, most and stream must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF most NOT BETWEEN 1 AND 100 THEN
        RAISE EXCEPTION 'most is %, expected 1 to 100', most USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM fraud._check_period("from", "to");
    IF stream <> 'payments' THEN
        events := fraud._event_rows(stream);
        names := events.numbers;
        SELECT string_agg(format('payment.%I::float8', n), ', ' ORDER BY o) INTO list FROM unnest(names) WITH ORDINALITY u(n, o);
        -- One pass of the table: what is sampled is kept, and little else.
        samples := format($q$
            events AS MATERIALIZED (SELECT %2$s, ARRAY[%1$s]::float8[] AS x FROM (%3$s) payment),
            sizes AS MATERIALIZED (SELECT count(*) FILTER (WHERE e.is_fraud) AS frauds, count(*) FILTER (WHERE e.is_fraud IS NOT TRUE) AS others FROM events e),
            found AS MATERIALIZED (
                SELECT fraud._suggestions(p.x, p.is_fraud IS TRUE, s.frauds, s.others, $4) AS list
                FROM sizes s, ((SELECT e.x, e.is_fraud FROM events e WHERE e.is_fraud ORDER BY e.chance, e.id LIMIT 2000)
                               UNION ALL (SELECT e.x, e.is_fraud FROM events e WHERE e.is_fraud IS NOT TRUE ORDER BY e.chance, e.id LIMIT 4000)) p)$q$,
            list, events.sampled, events."rows");
    ELSE
    SELECT array_agg(c.name ORDER BY c.place), string_agg(format('payment.%I::float8', c.name), ', ' ORDER BY c.place) INTO names, list
    FROM (SELECT c.name, row_number() OVER () AS place FROM fraud.rule_columns() c
          WHERE c.type IN ('double precision', 'real', 'numeric', 'bigint') AND c.name NOT LIKE '%latitude' AND c.name NOT LIKE '%longitude'
            
            -- What the model says is its own rule.
            AND c.name NOT IN ('amount', 'feature_amount', 'score')) c;
        samples := format($q$
        sizes AS MATERIALIZED (
            SELECT count(*) FILTER (WHERE t.is_fraud) AS frauds, count(*) FILTER (WHERE t.is_fraud IS NOT TRUE) AS others
            FROM fraud.transactions t WHERE t.occurred_at >= $1 AND t.occurred_at < $2),
        -- Chance, but the same each time. Values are taken of what is in the sample.
        ids AS MATERIALIZED (
            (SELECT t.card, t.occurred_at, t.transaction_id FROM fraud.transactions t WHERE t.occurred_at >= $1 AND t.occurred_at < $2 AND t.is_fraud
             ORDER BY hashtext(t.transaction_id), t.transaction_id, t.card LIMIT 2000)
            UNION ALL
            (SELECT t.card, t.occurred_at, t.transaction_id FROM fraud.transactions t WHERE t.occurred_at >= $1 AND t.occurred_at < $2 AND t.is_fraud IS NOT TRUE
             ORDER BY hashtext(t.transaction_id), t.transaction_id, t.card LIMIT 4000)),
        found AS MATERIALIZED (
            SELECT fraud._suggestions(ARRAY[%1$s], payment."is fraud", s.frauds, s.others, $4) AS list
            FROM sizes s, ids i, LATERAL (SELECT %2$s, t.is_fraud IS TRUE AS "is fraud" FROM fraud.transactions t
                                          WHERE t.card = i.card AND t.occurred_at = i.occurred_at AND t.transaction_id = i.transaction_id
                                            AND t.occurred_at >= $1 AND t.occurred_at < $2 OFFSET 0) payment)$q$, list, fraud._rule_row());
    END IF;
    RETURN QUERY EXECUTE format($q$
        WITH %s
        SELECT (SELECT string_agg(format('%%I %%s %%s', $3[(p.part ->> 0)::int], CASE WHEN (p.part ->> 1)::boolean THEN '>=' ELSE '<=' END,
                                  trim_scale(round(p.at::numeric, CASE WHEN abs(p.at) >= 10 THEN 1 WHEN abs(p.at) >= 1 THEN 2 ELSE 5 END))), ' AND ' ORDER BY p.place)
                FROM (SELECT e.part, e.place, (e.part ->> 2)::float8 AS at FROM jsonb_array_elements(l.one -> 'parts') WITH ORDINALITY e(part, place)) p),
               (l.one ->> 'caught')::float8 / (l.one ->> 'hit')::float8, (l.one ->> 'caught')::float8 / nullif(s.frauds, 0)
        FROM found f, sizes s, jsonb_array_elements(f.list) WITH ORDINALITY l(one, place)
        ORDER BY l.place $q$, samples)
    USING "from", "to", names, most;
    IF NOT FOUND THEN
        RAISE NOTICE 'nothing is suggested: no % from % to % is labelled fraud, or no comparison tells those that are from the others', CASE stream WHEN 'payments' THEN 'payment' ELSE 'event' END, "from", "to"
            USING HINT = CASE stream WHEN 'payments' THEN 'fraud.label says what is known of a payment.' ELSE 'fraud.label_event says what is known of an event.' END;
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._suggested(timestamptz, timestamptz, int, text) IS 'internal: simple conditions that tell labelled frauds from other payments, or events, by a sample';

-- The conditions are ours, and mean Postgres's own operators whatever the caller's search_path has.
CREATE FUNCTION fraud._suggest_rules("from" timestamptz, "to" timestamptz, most int, stream text) RETURNS TABLE (condition text, backtest jsonb)
LANGUAGE sql STABLE ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.condition, (SELECT jsonb_object_agg(b.metric, b.value) FROM fraud.backtest_rule(s.condition, "from", "to", false, stream) b WHERE b.item IS NULL)
    FROM fraud._suggested("from", "to", most, stream) s;
END;
COMMENT ON FUNCTION fraud._suggest_rules(timestamptz, timestamptz, int, text) IS 'internal: the body of fraud.suggest_rules, run as its caller';

CREATE FUNCTION fraud.suggest_rules("from" timestamptz, "to" timestamptz, most int DEFAULT 5, stream text DEFAULT 'payments') RETURNS TABLE (condition text, backtest jsonb)
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 5;
COMMENT ON FUNCTION fraud.suggest_rules(timestamptz, timestamptz, int, text) IS
    'simple conditions of one or two comparisons that tell the payments of [from, to), or the events of a stream that were scored, that are labelled fraud from the others, best first, each with its measures of fraud.backtest_rule: found in a sample, measured on all. A rule that is then tried on later payments shows what it is worth. Reads with the caller''s rights, changes nothing';
