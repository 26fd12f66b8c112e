-- ------------------------------------------------------------ aggregates
CREATE FUNCTION fraud._ranking_add(internal, float8, boolean) RETURNS internal
AS 'MODULE_PATHNAME', 'fraud_detect_ranking_add' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._ranking_add(internal, float8, boolean) IS 'internal: collects scores and labels';
CREATE FUNCTION fraud._ranking_add_at(internal, float8, boolean, float8) RETURNS internal
AS 'MODULE_PATHNAME', 'fraud_detect_ranking_add_at' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._ranking_add_at(internal, float8, boolean, float8) IS 'internal: collects scores and labels';
CREATE FUNCTION fraud._ranking_average_precision(internal) RETURNS float8
AS 'MODULE_PATHNAME', 'fraud_detect_ranking_average_precision' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._ranking_average_precision(internal) IS 'internal: ends fraud.average_precision';
CREATE FUNCTION fraud._ranking_auc_roc(internal) RETURNS float8
AS 'MODULE_PATHNAME', 'fraud_detect_ranking_auc_roc' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._ranking_auc_roc(internal) IS 'internal: ends fraud.auc_roc';
CREATE FUNCTION fraud._ranking_log_loss(internal) RETURNS float8
AS 'MODULE_PATHNAME', 'fraud_detect_ranking_log_loss' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._ranking_log_loss(internal) IS 'internal: ends fraud.log_loss';
CREATE FUNCTION fraud._ranking_brier(internal) RETURNS float8
AS 'MODULE_PATHNAME', 'fraud_detect_ranking_brier' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._ranking_brier(internal) IS 'internal: ends fraud.brier';
CREATE FUNCTION fraud._ranking_precision_at(internal) RETURNS float8
AS 'MODULE_PATHNAME', 'fraud_detect_ranking_precision_at' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._ranking_precision_at(internal) IS 'internal: ends fraud.precision_at';
CREATE FUNCTION fraud._ranking_recall_at(internal) RETURNS float8
AS 'MODULE_PATHNAME', 'fraud_detect_ranking_recall_at' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._ranking_recall_at(internal) IS 'internal: ends fraud.recall_at';
CREATE FUNCTION fraud._ranking_measures(internal) RETURNS float8[]
AS 'MODULE_PATHNAME', 'fraud_detect_ranking_measures' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._ranking_measures(internal) IS 'internal: ends fraud._measures';
CREATE FUNCTION fraud._ranking_curve(internal) RETURNS float8[]
AS 'MODULE_PATHNAME', 'fraud_detect_ranking_curve' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._ranking_curve(internal) IS 'internal: ends fraud._curve';
CREATE FUNCTION fraud._card_precision_add(internal, float8, boolean, text, date, int, boolean) RETURNS internal
AS 'MODULE_PATHNAME', 'fraud_detect_card_precision_add' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._card_precision_add(internal, float8, boolean, text, date, int, boolean) IS
    'internal: collects scores and labels of cards';
CREATE FUNCTION fraud._card_precision(internal) RETURNS float8
AS 'MODULE_PATHNAME', 'fraud_detect_card_precision' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._card_precision(internal) IS 'internal: ends fraud.card_precision';

CREATE AGGREGATE fraud.average_precision(score float8, is_fraud boolean) (
    SFUNC = fraud._ranking_add, STYPE = internal, FINALFUNC = fraud._ranking_average_precision, PARALLEL = SAFE);
COMMENT ON AGGREGATE fraud.average_precision(float8, boolean) IS
    'mean precision over the frauds, as scikit-learn''s average_precision_score; rows with a null are passed over; null without frauds';
CREATE AGGREGATE fraud.auc_roc(score float8, is_fraud boolean) (
    SFUNC = fraud._ranking_add, STYPE = internal, FINALFUNC = fraud._ranking_auc_roc, PARALLEL = SAFE);
COMMENT ON AGGREGATE fraud.auc_roc(float8, boolean) IS
    'probability that a fraud scores above the rest, ties counting half, as scikit-learn''s roc_auc_score; null unless there are both';
CREATE AGGREGATE fraud.log_loss(score float8, is_fraud boolean) (
    SFUNC = fraud._ranking_add, STYPE = internal, FINALFUNC = fraud._ranking_log_loss, PARALLEL = SAFE);
COMMENT ON AGGREGATE fraud.log_loss(float8, boolean) IS
    'mean of -log of the probability given to what happened, as scikit-learn''s log_loss; null unless all scores are in [0, 1]';
CREATE AGGREGATE fraud.brier(score float8, is_fraud boolean) (
    SFUNC = fraud._ranking_add, STYPE = internal, FINALFUNC = fraud._ranking_brier, PARALLEL = SAFE);
COMMENT ON AGGREGATE fraud.brier(float8, boolean) IS
    'mean squared distance of the score from what happened, as scikit-learn''s brier_score_loss; null unless all scores are in [0, 1]';
CREATE AGGREGATE fraud.precision_at(score float8, is_fraud boolean, rate float8) (
    SFUNC = fraud._ranking_add_at, STYPE = internal, FINALFUNC = fraud._ranking_precision_at, PARALLEL = SAFE);
COMMENT ON AGGREGATE fraud.precision_at(float8, boolean, float8) IS
    'precision when at most this share of all is alerted, highest scores first, equal scores together; null when that alerts nothing';
CREATE AGGREGATE fraud.recall_at(score float8, is_fraud boolean, rate float8) (
    SFUNC = fraud._ranking_add_at, STYPE = internal, FINALFUNC = fraud._ranking_recall_at, PARALLEL = SAFE);
COMMENT ON AGGREGATE fraud.recall_at(float8, boolean, float8) IS
    'share of the frauds caught when at most this share of all is alerted, highest scores first, equal scores together';
CREATE AGGREGATE fraud.card_precision(score float8, is_fraud boolean, card text, day date, k int, remove_caught boolean) (
    SFUNC = fraud._card_precision_add, STYPE = internal, FINALFUNC = fraud._card_precision, PARALLEL = SAFE);
COMMENT ON AGGREGATE fraud.card_precision(float8, boolean, text, date, int, boolean) IS
    'card precision@k: of the k cards with the highest score of a day, the share with a fraud that day, as the mean over the days; with remove_caught a card that was caught is left out on later days';
CREATE AGGREGATE fraud._measures(score float8, is_fraud boolean, rate float8) (
    SFUNC = fraud._ranking_add_at, STYPE = internal, FINALFUNC = fraud._ranking_measures, PARALLEL = SAFE);
COMMENT ON AGGREGATE fraud._measures(float8, boolean, float8) IS
    'internal: {{rows, frauds, auc_roc, average_precision, log_loss, brier, threshold, precision, recall}}, the last three at the rate';
CREATE AGGREGATE fraud._curve(score float8, is_fraud boolean, steps float8) (
    SFUNC = fraud._ranking_add_at, STYPE = internal, FINALFUNC = fraud._ranking_curve, PARALLEL = SAFE);
COMMENT ON AGGREGATE fraud._curve(float8, boolean, float8) IS
    'internal: {{threshold, alerts, caught, precision, recall}, …} from the highest score down';

-- ------------------------------------------------- scores of past events
CREATE FUNCTION fraud._labels_as_of(moment timestamptz)
RETURNS TABLE (transaction_id text, card uuid, is_fraud boolean)
LANGUAGE sql STABLE ROWS 10000
BEGIN ATOMIC
    SELECT l.transaction_id, l.card, (fraud._believed(l)).is_fraud
    FROM fraud.labels l
    WHERE l.known_at OPERATOR(pg_catalog.<=) coalesce(moment, now())
    GROUP BY l.transaction_id, l.card;
END;
COMMENT ON FUNCTION fraud._labels_as_of(timestamptz) IS 'internal: the label of each payment as known at a time, by default now';

-- Payments are read with the owner's rights, which is what the access to this
-- function gives; a table of the caller's with the caller's.
CREATE FUNCTION fraud._scored_payments(ref text, "from" timestamptz, "to" timestamptz, labels_as_of timestamptz)
RETURNS TABLE (event_id text, event_time timestamptz, card text, amount float8, is_fraud boolean, score float8)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100000
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    names text[];
    places int;
BEGIN
    SELECT v.feature_names INTO names
    FROM fraud._version_of(ref) r JOIN fraud.model_versions v ON v.model = r.model AND v.version = r.version;
    SELECT max(d.position) INTO places FROM fraud.feature_definitions d
    WHERE d.feature_set = 'payments' AND d.feature = ANY (names);
    IF EXISTS (SELECT FROM fraud.transactions t
               WHERE t.occurred_at >= "from" AND t.occurred_at < "to" AND cardinality(t.features) < places) THEN
        -- Scored before a feature was added: computed anew. Two cards may have used one
        -- payment id at one moment.
        RETURN QUERY
        SELECT t.transaction_id, t.occurred_at, t.card::text, t.base_amount::float8, coalesce(l.is_fraud, false), s.score
        FROM fraud._scored_features(ref, 'payments', "from", "to", 'infinity') s
        JOIN fraud.transactions t ON t.occurred_at = s.event_time AND t.transaction_id = s.event_id
                                 AND uuid_hash_extended(t.card, 0) = s.tag
        LEFT JOIN fraud._labels_as_of(labels_as_of) l ON l.transaction_id = t.transaction_id AND l.card = t.card;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT t.transaction_id, t.occurred_at, t.card::text, t.base_amount::float8, coalesce(l.is_fraud, false),
           fraud._score_row(t, ref)
    FROM fraud.transactions t
    LEFT JOIN fraud._labels_as_of(labels_as_of) l
      ON l.transaction_id = t.transaction_id AND l.card = t.card
    WHERE t.occurred_at >= "from" AND t.occurred_at < "to";
END
$$;
COMMENT ON FUNCTION fraud._scored_payments(text, timestamptz, timestamptz, timestamptz) IS
    'internal: payments of a period with their labels as known at a time and a model''s score';

-- The names of a table's columns that mean something: defaults, and what the
-- caller says otherwise.
CREATE FUNCTION fraud._table_columns(columns jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unknown text;
BEGIN
    IF jsonb_typeof(columns) <> 'object' THEN
        RAISE EXCEPTION 'columns must be a JSON object'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Such as {"event_id": "id", "event_time": "at", "label": "is_fraud"}.';
    END IF;
    SELECT k INTO unknown FROM jsonb_object_keys(columns) k
    WHERE k NOT IN ('event_id', 'event_time', 'label', 'card', 'amount') LIMIT 1;
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'unknown key "%" in columns', unknown
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The keys are event_id, event_time, label, card and amount.';
    END IF;
    RETURN '{"event_id": "event_id", "event_time": "event_time", "label": "label"}'::jsonb || coalesce(columns, '{}');
END
$$;
COMMENT ON FUNCTION fraud._table_columns(jsonb) IS 'internal: the names of a table''s id, time, label, card and amount columns';

CREATE FUNCTION fraud._scored_table(ref text, "from" timestamptz, "to" timestamptz, rel regclass, columns jsonb)
RETURNS TABLE (event_id text, event_time timestamptz, card text, amount float8, is_fraud boolean, score float8)
LANGUAGE plpgsql STABLE ROWS 100000
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    named jsonb := fraud._table_columns(columns);
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT t.%I::text, t.%I::timestamptz, %s, %s, t.%I::int <> 0, fraud._score_row(t, $1)
         FROM %s t WHERE t.%I >= $2 AND t.%I < $3 AND t.%I IS NOT NULL',
        named ->> 'event_id', named ->> 'event_time',
        CASE WHEN named ? 'card' THEN format('t.%I::text', named ->> 'card') ELSE 'NULL::text' END,
        CASE WHEN named ? 'amount' THEN format('t.%I::float8', named ->> 'amount') ELSE 'NULL::float8' END,
        named ->> 'label', rel, named ->> 'event_time', named ->> 'event_time', named ->> 'label')
    USING ref, "from", "to";
END
$$;
COMMENT ON FUNCTION fraud._scored_table(text, timestamptz, timestamptz, regclass, jsonb) IS
    'internal: the labelled rows of a table of features in a period, with a model''s score';

CREATE FUNCTION fraud._scored_features(ref text, feature_set text, "from" timestamptz, "to" timestamptz, labels_as_of timestamptz,
    OUT event_id text, OUT event_time timestamptz, OUT is_fraud boolean, OUT score float8, OUT tag bigint) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'fraud_detect_scored_features'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE ROWS 100000 COST 1000000;
COMMENT ON FUNCTION fraud._scored_features(text, text, timestamptz, timestamptz, timestamptz) IS
    'internal: the labelled events of a feature set in a period, with a model''s score; tag is the hash of a payment''s card';

-- A feature set knows no card and no amount: they are columns of its events.
CREATE FUNCTION fraud._scored_set(ref text, feature_set text, "from" timestamptz, "to" timestamptz, columns jsonb, labels_as_of timestamptz)
RETURNS TABLE (event_id text, event_time timestamptz, card text, amount float8, is_fraud boolean, score float8)
LANGUAGE plpgsql STABLE ROWS 100000
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    named jsonb := fraud._table_columns(columns);
    id text;
    events regclass;
BEGIN
    IF NOT named ?| '{card,amount}' THEN
        RETURN QUERY SELECT s.event_id, s.event_time, NULL::text, NULL::float8, s.is_fraud, s.score
                     FROM fraud._scored_features(ref, feature_set, "from", "to", coalesce(labels_as_of, now())) s;
        RETURN;
    END IF;
    SELECT d ->> 'event_id', (d ->> 'events')::regclass INTO id, events FROM fraud.feature_set_definition(feature_set) d;
    IF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = events AND quote_ident(a.attname) = id AND a.attnum > 0) THEN
        RAISE EXCEPTION 'card and amount cannot be found: the event id of feature set "%" is not a column', feature_set
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'They are read from the events whose id is the scored one''s.',
                  HINT = 'Give rel, a table with these columns, or leave card and amount out.';
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT s.event_id, s.event_time, e.card, e.amount, s.is_fraud, s.score
         FROM fraud._scored_features($1, $2, $3, $4, $5) s
         LEFT JOIN (SELECT t.%s::text AS id, %s AS card, %s AS amount FROM %s t) e ON e.id = s.event_id',
        id,
        CASE WHEN named ? 'card' THEN format('t.%I::text', named ->> 'card') ELSE 'NULL::text' END,
        CASE WHEN named ? 'amount' THEN format('t.%I::float8', named ->> 'amount') ELSE 'NULL::float8' END,
        events)
    USING ref, feature_set, "from", "to", coalesce(labels_as_of, now());
END
$$;
COMMENT ON FUNCTION fraud._scored_set(text, text, timestamptz, timestamptz, jsonb, timestamptz) IS
    'internal: the labelled events of a feature set in a period, with a model''s score, and card and amount where columns names them';

-- Where a model's events are: what the caller says, else what it was trained on,
-- else the payments for the model of that name.
CREATE FUNCTION fraud._events_of(ref text, rel regclass, columns jsonb, OUT kind text, OUT events regclass, OUT feature_set text, OUT named jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    named_version record;
    run fraud.training_runs;
    known_set text;
BEGIN
    events := rel;
    named := columns;
    IF rel IS NOT NULL THEN
        kind := 'table';
        RETURN;
    END IF;
    SELECT * INTO named_version FROM fraud._version_of(ref);
    SELECT * INTO run FROM fraud.training_runs r
    WHERE r.model = named_version.model AND r.model_version = named_version.version;
    -- An imported model was checked against a set, where it was given one.
    -- Else what it decides tells it.
    SELECT coalesce(run.feature_set, v.feature_set,
                    (SELECT min(s.stream) FROM fraud.streams s WHERE split_part(s.model, '@', 1) = v.model AND run.rel IS NULL HAVING count(*) = 1))
    INTO known_set FROM fraud.model_versions v
    WHERE v.model = named_version.model AND v.version = named_version.version;
    named := coalesce(run.columns, '{}') || columns;
    IF run.rel IS NOT NULL THEN
        events := to_regclass(run.rel);
        kind := CASE WHEN events IS NOT NULL THEN 'table' END;
    ELSIF known_set <> 'payments' THEN
        feature_set := known_set;
        kind := 'feature set';
    ELSIF known_set = 'payments' OR named_version.model = 'payments' THEN
        kind := 'payments';
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._events_of(text, regclass, jsonb) IS 'internal: on which events a model is measured';

CREATE FUNCTION fraud._scored_events(
    ref text,
    "from" timestamptz,
    "to" timestamptz,
    rel regclass,
    columns jsonb,
    labels_as_of timestamptz
) RETURNS TABLE (event_id text, event_time timestamptz, card text, amount float8, is_fraud boolean, score float8)
LANGUAGE plpgsql STABLE ROWS 100000
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    e record;
BEGIN
    IF ref IS NULL OR "from" IS NULL OR "to" IS NULL THEN
        RAISE EXCEPTION 'ref, from and to must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM fraud._check_period("from", "to");
    SELECT * INTO e FROM fraud._events_of(ref, rel, columns);
    IF e.kind IS NULL THEN
        RAISE EXCEPTION 'model "%" does not say on which events it can be measured', ref
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Give rel: a table of features with labels.';
    ELSIF e.kind = 'payments' THEN
        RETURN QUERY SELECT * FROM fraud._scored_payments(ref, "from", "to", labels_as_of);
    ELSIF e.kind = 'feature set' THEN
        RETURN QUERY SELECT * FROM fraud._scored_set(ref, e.feature_set, "from", "to", e.named, labels_as_of);
    ELSE
        RETURN QUERY SELECT * FROM fraud._scored_table(ref, "from", "to", e.events, e.named);
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._scored_events(text, timestamptz, timestamptz, regclass, jsonb, timestamptz) IS
    'internal: the body of fraud.scored_events, run as its caller';

CREATE FUNCTION fraud.scored_events(
    ref text,
    "from" timestamptz,
    "to" timestamptz,
    rel regclass DEFAULT NULL,
    columns jsonb DEFAULT '{}',
    labels_as_of timestamptz DEFAULT NULL
) RETURNS TABLE (event_id text, event_time timestamptz, card text, amount float8, is_fraud boolean, score float8)
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 100000;
COMMENT ON FUNCTION fraud.scored_events(text, timestamptz, timestamptz, regclass, jsonb, timestamptz) IS
    'the events of [from, to) with their labels and the score that the model (name, name@alias or name/version) gives them: those of the table rel (a column a feature; rows without a label are left out; columns names its event_id, event_time, label, card and amount), else what the model was trained on, else, for the model payments, the payments (one without a label counts as honest; labels are those known at labels_as_of, by default now)';

-- -------------------------------------------------------------- measures
CREATE FUNCTION fraud._payments_period(OUT first timestamptz, OUT last timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT min(t.occurred_at), max(t.occurred_at) FROM fraud.transactions t;
END;
COMMENT ON FUNCTION fraud._payments_period() IS 'internal: the times of the first and the last payment';

-- Where to look instead, for a period without any event.
CREATE FUNCTION fraud._events_period(feature_set text, "from" timestamptz, "to" timestamptz, OUT first timestamptz, OUT last timestamptz, OUT within bigint)
AS 'MODULE_PATHNAME', 'fraud_detect_events_period'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud._events_period(text, timestamptz, timestamptz) IS
    'internal: when the first and the last event of a feature set are, and how many are in [from, to); the caller may read them';

CREATE FUNCTION fraud._events_fault(ref text, rel regclass, columns jsonb, "from" timestamptz, "to" timestamptz, OUT fault text, OUT hint text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    e record;
    first timestamptz;
    last timestamptz;
    within bigint;
BEGIN
    SELECT * INTO e FROM fraud._events_of(ref, rel, columns);
    IF e.kind = 'payments' THEN
        SELECT p.first, p.last INTO first, last FROM fraud._payments_period() p;
    ELSIF e.kind = 'feature set' THEN
        SELECT p.* INTO first, last, within FROM fraud._events_period(e.feature_set, "from", "to") p;
    ELSE
        EXECUTE format('SELECT min(%1$I)::timestamptz, max(%1$I)::timestamptz, count(*) FILTER (WHERE %1$I >= $1 AND %1$I < $2) FROM %2$s',
                       fraud._table_columns(e.named) ->> 'event_time', e.events)
            INTO first, last, within USING "from", "to";
    END IF;
    IF within > 0 THEN
        fault := format('none of the %s events from %s to %s has a label', within, "from", "to");
        hint := 'A label counts from when it is known: label_known_at, or label_delay after the event.';
    ELSE
        fault := format('there are no events from %s to %s', "from", "to");
        hint := CASE WHEN first IS NULL THEN 'There are none at all.' ELSE format('There are some from %s to %s.', first, last) END;
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._events_fault(text, regclass, jsonb, timestamptz, timestamptz) IS
    'internal: why a model cannot be measured in a period, of which it has no labelled event, and as a hint the period of those that it has';

CREATE FUNCTION fraud._refuse_no_events(ref text, rel regclass, columns jsonb, "from" timestamptz, "to" timestamptz) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    fault record;
BEGIN
    SELECT f.* INTO fault FROM fraud._events_fault(ref, rel, columns, "from", "to") f;
    RAISE EXCEPTION '%', fault.fault USING ERRCODE = 'no_data_found', HINT = fault.hint;
END
$$;
COMMENT ON FUNCTION fraud._refuse_no_events(text, regclass, jsonb, timestamptz, timestamptz) IS
    'internal: raises why a model cannot be measured in a period';

CREATE FUNCTION fraud._evaluate(
    ref text,
    "from" timestamptz,
    "to" timestamptz,
    threshold float8,
    alert_rates float8[],
    cards int,
    rel regclass,
    columns jsonb,
    labels_as_of timestamptz
) RETURNS TABLE (metric text, value float8)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    at_threshold float8 := coalesce(threshold, fraud._review_at(ref));
    m float8[];
    r record;
BEGIN
    IF alert_rates IS NULL OR cardinality(alert_rates) = 0 OR cards IS NULL THEN
        RAISE EXCEPTION 'alert_rates and cards must not be null or empty' USING ERRCODE = 'null_value_not_allowed';
    ELSIF cardinality(alert_rates) > 1000 THEN
        RAISE EXCEPTION 'alert_rates has % rates, expected at most 1000', cardinality(alert_rates)
            USING ERRCODE = 'program_limit_exceeded', HINT = 'fraud.precision_recall_curve gives the whole curve.';
    END IF;
    WITH s AS MATERIALIZED (
        SELECT e.* FROM fraud.scored_events(ref, "from", "to", rel, columns, labels_as_of) e
    ),
    per_rate AS (
        SELECT a.rate, a.place, (SELECT fraud._measures(s.score, s.is_fraud, a.rate) FROM s) AS m
        FROM unnest(alert_rates) WITH ORDINALITY a(rate, place)
    )
    SELECT (SELECT p.m FROM per_rate p WHERE p.place = 1) AS m,
           (SELECT jsonb_agg(jsonb_build_array(p.rate, p.m[1][8], p.m[1][9]) ORDER BY p.place) FROM per_rate p) AS rates,
           count(*) FILTER (WHERE s.is_fraud AND s.score >= at_threshold) AS tp,
           count(*) FILTER (WHERE NOT s.is_fraud AND s.score >= at_threshold) AS fp,
           count(*) FILTER (WHERE s.is_fraud AND s.score < at_threshold) AS fn,
           count(*) FILTER (WHERE NOT s.is_fraud AND s.score < at_threshold) AS tn,
           sum(s.amount::numeric) FILTER (WHERE s.is_fraud AND s.score >= at_threshold)::float8 AS caught,
           sum(s.amount::numeric) FILTER (WHERE s.is_fraud AND s.score < at_threshold)::float8 AS lost,
           bool_or(s.amount IS NOT NULL) AS has_amount,
           fraud.card_precision(s.score, s.is_fraud, s.card,
               (s.event_time AT TIME ZONE fraud.report_timezone())::date, cards, false) AS cp,
           fraud.card_precision(s.score, s.is_fraud, s.card,
               (s.event_time AT TIME ZONE fraud.report_timezone())::date, cards, true) AS cp_removing
    INTO r FROM s;
    m := r.m;
    IF coalesce(m[1][1], 0) = 0 THEN
        PERFORM fraud._refuse_no_events(ref, rel, columns, "from", "to");
    END IF;
    RETURN QUERY
        SELECT v.metric, v.value FROM (VALUES
            ('events', coalesce(m[1][1], 0)), ('frauds', coalesce(m[1][2], 0)), ('auc_roc', m[1][3]), ('average_precision', m[1][4]),
            ('log_loss', m[1][5]), ('brier', m[1][6])) v(metric, value);
    RETURN QUERY
        SELECT v.metric || '_at_' || ((a ->> 0)::numeric * 100)::float8 || 'pct', v.value
        FROM jsonb_array_elements(r.rates) WITH ORDINALITY x(a, place),
             LATERAL (VALUES ('recall', (a ->> 2)::float8), ('precision', (a ->> 1)::float8)) v(metric, value)
        ORDER BY x.place, v.metric DESC;
    RETURN QUERY
        SELECT v.metric, v.value FROM (VALUES
            (format('card_precision_at_%s', cards), r.cp),
            (format('card_precision_at_%s_removing_caught', cards), r.cp_removing),
            ('threshold', at_threshold),
            ('true_positives', r.tp::float8), ('false_positives', r.fp::float8),
            ('false_negatives', r.fn::float8), ('true_negatives', r.tn::float8),
            ('precision', r.tp / nullif(r.tp + r.fp, 0)::float8),
            ('recall', r.tp / nullif(r.tp + r.fn, 0)::float8),
            ('money_caught', CASE WHEN r.has_amount THEN coalesce(r.caught, 0) END),
            ('money_lost', CASE WHEN r.has_amount THEN coalesce(r.lost, 0) END)) v(metric, value);
END
$$;
COMMENT ON FUNCTION fraud._evaluate(text, timestamptz, timestamptz, float8, float8[], int, regclass, jsonb, timestamptz) IS
    'internal: the body of fraud.evaluate, run as its caller';

CREATE FUNCTION fraud.evaluate(
    ref text,
    "from" timestamptz,
    "to" timestamptz,
    threshold float8 DEFAULT NULL,
    alert_rates float8[] DEFAULT '{0.001, 0.005, 0.01}',
    cards int DEFAULT 100,
    rel regclass DEFAULT NULL,
    columns jsonb DEFAULT '{}',
    labels_as_of timestamptz DEFAULT NULL
) RETURNS TABLE (metric text, value float8)
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 1000;
COMMENT ON FUNCTION fraud.evaluate(text, timestamptz, timestamptz, float8, float8[], int, regclass, jsonb, timestamptz) IS
    'how well a model tells fraud on the events of [from, to): a row a measure, null where it is undefined; threshold is that of the confusion and money rows, by default the alias''s review_at; docs/evaluation.md defines each';

CREATE FUNCTION fraud._review_at(ref text) RETURNS float8
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce((
        SELECT a.review_at FROM fraud.model_aliases a
        WHERE a.model = split_part(split_part(ref, '@', 1), '/', 1)
          AND a.alias = CASE WHEN ref LIKE '%@%' THEN split_part(ref, '@', 2) ELSE 'champion' END), 0.5);
END;
COMMENT ON FUNCTION fraud._review_at(text) IS 'internal: the threshold by which a model is judged: its alias''s, else the champion''s, else 0.5';

CREATE FUNCTION fraud._precision_recall_curve(
    ref text,
    "from" timestamptz,
    "to" timestamptz,
    points int,
    rel regclass,
    columns jsonb,
    labels_as_of timestamptz
) RETURNS TABLE (threshold float8, alerts bigint, caught bigint, "precision" float8, recall float8)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    curve float8[];
BEGIN
    SELECT fraud._curve(s.score, s.is_fraud, coalesce(points, 0)) INTO curve
    FROM fraud.scored_events(ref, "from", "to", rel, columns, labels_as_of) s;
    IF curve IS NULL OR cardinality(curve) = 0 THEN
        PERFORM fraud._refuse_no_events(ref, rel, columns, "from", "to");
    END IF;
    RETURN QUERY SELECT curve[i][1], curve[i][2]::bigint, curve[i][3]::bigint, curve[i][4], curve[i][5]
                 FROM generate_subscripts(curve, 1) i ORDER BY i;
END
$$;
COMMENT ON FUNCTION fraud._precision_recall_curve(text, timestamptz, timestamptz, int, regclass, jsonb, timestamptz) IS
    'internal: the body of fraud.precision_recall_curve, run as its caller';

CREATE FUNCTION fraud.precision_recall_curve(
    ref text,
    "from" timestamptz,
    "to" timestamptz,
    points int DEFAULT 200,
    rel regclass DEFAULT NULL,
    columns jsonb DEFAULT '{}',
    labels_as_of timestamptz DEFAULT NULL
) RETURNS TABLE (threshold float8, alerts bigint, caught bigint, "precision" float8, recall float8)
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.precision_recall_curve(text, timestamptz, timestamptz, int, regclass, jsonb, timestamptz) IS
    'what alerting at each threshold finds, from the highest score down: about `points` of the distinct scores, all of them with null';

CREATE FUNCTION fraud._calibration(
    ref text,
    "from" timestamptz,
    "to" timestamptz,
    bins int,
    strategy text,
    rel regclass,
    columns jsonb,
    labels_as_of timestamptz
) RETURNS TABLE (bin int, lower_score float8, upper_score float8, events bigint, mean_score float8, fraud_rate float8)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF bins IS NULL OR bins NOT BETWEEN 1 AND 10000 OR strategy IS NULL OR strategy NOT IN ('uniform', 'quantile') THEN
        RAISE EXCEPTION 'invalid bins % or strategy "%"', bins, strategy
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'bins is 1 to 10000, strategy uniform or quantile.';
    END IF;
    -- A score on an edge belongs to the bin below it, as in scikit-learn.
    RETURN QUERY
    WITH s AS MATERIALIZED (
        SELECT e.score, e.is_fraud FROM fraud.scored_events(ref, "from", "to", rel, columns, labels_as_of) e
    ),
    edges AS (
        SELECT CASE strategy
            WHEN 'uniform' THEN (SELECT array_agg(i / bins::float8 ORDER BY i) FROM generate_series(0, bins) i)
            ELSE (SELECT percentile_cont((SELECT array_agg(i / bins::float8 ORDER BY i) FROM generate_series(0, bins) i))
                         WITHIN GROUP (ORDER BY s.score) FROM s)
        END AS e
    ),
    binned AS (
        SELECT s.score, s.is_fraud,
               -- The number of inner edges below the score.
               bins - width_bucket(-s.score, (SELECT array_agg(-x ORDER BY -x) FROM unnest(edges.e[2:bins]) x)) AS b
        FROM s, edges
        WHERE bins > 1
        UNION ALL
        SELECT s.score, s.is_fraud, 1 FROM s WHERE bins = 1
    )
    SELECT b.b, edges.e[b.b], edges.e[b.b + 1], count(*), avg(b.score), avg(b.is_fraud::int)::float8
    FROM binned b, edges GROUP BY b.b, edges.e ORDER BY b.b;
    IF NOT FOUND THEN
        PERFORM fraud._refuse_no_events(ref, rel, columns, "from", "to");
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._calibration(text, timestamptz, timestamptz, int, text, regclass, jsonb, timestamptz) IS
    'internal: the body of fraud.calibration, run as its caller';

CREATE FUNCTION fraud.calibration(
    ref text,
    "from" timestamptz,
    "to" timestamptz,
    bins int DEFAULT 10,
    strategy text DEFAULT 'uniform',
    rel regclass DEFAULT NULL,
    columns jsonb DEFAULT '{}',
    labels_as_of timestamptz DEFAULT NULL
) RETURNS TABLE (bin int, lower_score float8, upper_score float8, events bigint, mean_score float8, fraud_rate float8)
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.calibration(text, timestamptz, timestamptz, int, text, regclass, jsonb, timestamptz) IS
    'whether scores are probabilities: for each bin of the score that has events, their mean score and the share of fraud; bins are of equal width, or with strategy quantile of equal numbers';

-- ------------------------------------------------------------ thresholds
CREATE FUNCTION fraud._choose_threshold(
    ref text,
    "from" timestamptz,
    "to" timestamptz,
    alerts_per_day float8,
    min_precision float8,
    alert_cost float8,
    fraud_cost float8,
    rel regclass,
    columns jsonb,
    labels_as_of timestamptz,
    OUT threshold float8,
    OUT alerts bigint,
    OUT daily_alerts float8,
    OUT achieved_precision float8,
    OUT recall float8,
    OUT total_cost float8
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    days float8 := CASE WHEN isfinite("from") AND isfinite("to") THEN extract(epoch FROM "to" - "from") / 86400 END;
    found boolean;
    events bigint;
BEGIN
    IF num_nonnulls(alerts_per_day, min_precision, alert_cost) <> 1 OR (fraud_cost IS NOT NULL AND alert_cost IS NULL) THEN
        RAISE EXCEPTION 'expected one of alerts_per_day, min_precision and alert_cost'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'With alert_cost, fraud_cost is what a missed fraud costs; without it, the payment''s amount.';
    ELSIF alerts_per_day <= 0 OR min_precision NOT BETWEEN 0 AND 1 OR alert_cost < 0 OR fraud_cost < 0 THEN
        RAISE EXCEPTION 'alerts_per_day, min_precision or a cost is out of range'
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'alerts_per_day must be above 0, min_precision 0 to 1, costs not negative.';
    ELSIF alerts_per_day IS NOT NULL AND days IS NULL AND num_nonnulls("from", "to") = 2 THEN
        RAISE EXCEPTION 'alerts_per_day needs a period with two ends' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    WITH by_score AS (
        SELECT s.score, count(*) AS n, count(*) FILTER (WHERE s.is_fraud) AS frauds,
               sum(coalesce(fraud_cost, s.amount)) FILTER (WHERE s.is_fraud) AS cost,
               bool_or(s.is_fraud AND s.amount IS NULL) AS no_amount
        FROM fraud.scored_events(ref, "from", "to", rel, columns, labels_as_of) s
        GROUP BY s.score
    ),
    curve AS (
        SELECT b.score, sum(b.n) OVER down AS n, sum(b.frauds) OVER down AS caught,
               coalesce(sum(b.cost) OVER (), 0) - coalesce(sum(b.cost) OVER down, 0) AS missed_cost,
               sum(b.frauds) OVER () AS frauds, bool_or(b.no_amount) OVER () AS no_amount
        FROM by_score b WINDOW down AS (ORDER BY b.score DESC)
        -- Nothing alerted is a choice too.
        UNION ALL
        SELECT 'Infinity', 0, 0, coalesce(sum(b.cost), 0), sum(b.frauds), bool_or(b.no_amount) FROM by_score b
    )
    SELECT c.score, c.n, c.n / days, c.caught::float8 / nullif(c.n, 0), c.caught::float8 / nullif(c.frauds, 0),
           c.n * alert_cost + c.missed_cost, c.no_amount AND alert_cost IS NOT NULL AND fraud_cost IS NULL, (SELECT max(n) FROM curve)
    INTO threshold, alerts, daily_alerts, achieved_precision, recall, total_cost, found, events
    FROM curve c
    WHERE (alerts_per_day IS NULL OR c.n <= alerts_per_day * days)
      AND (min_precision IS NULL OR c.n = 0 OR c.caught >= min_precision * c.n)
    ORDER BY c.n * alert_cost + c.missed_cost, c.n DESC
    LIMIT 1;
    IF events = 0 THEN
        PERFORM fraud._refuse_no_events(ref, rel, columns, "from", "to");
    ELSIF found THEN
        RAISE EXCEPTION 'the events have no amount to lose'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Give fraud_cost, or name the amount in columns.';
    ELSIF alerts = 0 OR threshold IS NULL THEN
        RAISE EXCEPTION 'no threshold of model "%" gives what is asked for', ref
            USING ERRCODE = 'no_data_found',
                  DETAIL = 'Alerting nothing is the best that the events of the period allow.',
                  HINT = 'fraud.precision_recall_curve shows what each threshold gives.';
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._choose_threshold(text, timestamptz, timestamptz, float8, float8, float8, float8, regclass, jsonb, timestamptz) IS
    'internal: the body of fraud.choose_threshold, run as its caller';

CREATE FUNCTION fraud.choose_threshold(
    ref text,
    "from" timestamptz,
    "to" timestamptz,
    alerts_per_day float8 DEFAULT NULL,
    min_precision float8 DEFAULT NULL,
    alert_cost float8 DEFAULT NULL,
    fraud_cost float8 DEFAULT NULL,
    rel regclass DEFAULT NULL,
    columns jsonb DEFAULT '{}',
    labels_as_of timestamptz DEFAULT NULL,
    OUT threshold float8,
    OUT alerts bigint,
    OUT daily_alerts float8,
    OUT achieved_precision float8,
    OUT recall float8,
    OUT total_cost float8
)
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.choose_threshold(text, timestamptz, timestamptz, float8, float8, float8, float8, regclass, jsonb, timestamptz) IS
    'the threshold for fraud.promote, chosen on the events of [from, to): the lowest that raises at most alerts_per_day, or the lowest whose alerts have min_precision, or the one with the least cost, each alert costing alert_cost and each missed fraud fraud_cost (by default its amount)';
