-- ------------------------------------------------------- shadow scores
CREATE TABLE fraud.shadow_scores (
    card uuid NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    model text NOT NULL,
    model_version int NOT NULL,
    alias text NOT NULL,
    score float8 NOT NULL,
    scored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (card, transaction_id, model, model_version)
);
CREATE INDEX shadow_scores_time_idx ON fraud.shadow_scores (model, model_version, occurred_at);
COMMENT ON TABLE fraud.shadow_scores IS
    'what challengers (aliases of payments that begin with challenger) said of each live payment, on the vector that the champion scored; nobody acted on it';
COMMENT ON COLUMN fraud.shadow_scores.occurred_at IS 'the payment''s own time';
COMMENT ON COLUMN fraud.shadow_scores.alias IS 'the alias that named the version then';

-- ------------------------------------------------------------ comparing
CREATE FUNCTION fraud._version_of(ref text, OUT model text, OUT version int)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted text := CASE WHEN ref LIKE '%@%' THEN split_part(ref, '@', 2) ELSE 'champion' END;
BEGIN
    model := split_part(split_part(ref, '@', 1), '/', 1);
    IF ref ~ '^[^@/]+/[0-9]{1,9}$' THEN
        SELECT v.version INTO version FROM fraud.model_versions v
        WHERE v.model = _version_of.model AND v.version = split_part(ref, '/', 2)::int;
    ELSE
        SELECT a.version INTO version FROM fraud.model_aliases a
        WHERE a.model = _version_of.model AND a.alias = wanted;
    END IF;
    IF version IS NULL THEN
        RAISE EXCEPTION 'model "%" does not exist', ref
            USING ERRCODE = 'undefined_object',
                  HINT = 'A model is named as name, name@alias or name/version; fraud.model_versions and fraud.model_aliases list them.';
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._version_of(text) IS 'internal: the version that a reference names';

-- Both scores of the payments that champion and challenger have scored live.
CREATE FUNCTION fraud._shadowed_payments(model text, champion int, challenger int, "from" timestamptz, "to" timestamptz)
RETURNS TABLE (is_fraud boolean, champion_score float8, challenger_score float8)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 100000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(l.is_fraud, false), t.score, s.score
    FROM fraud.shadow_scores s
    JOIN fraud.transactions t ON t.card = s.card AND t.transaction_id = s.transaction_id
                             AND t.occurred_at = s.occurred_at
    LEFT JOIN fraud.current_labels l ON l.card = t.card AND l.transaction_id = t.transaction_id
    WHERE s.model = _shadowed_payments.model AND s.model_version = challenger
      AND t.model = _shadowed_payments.model AND t.model_version = champion
      AND s.occurred_at >= "from" AND s.occurred_at < "to"
      AND t.occurred_at >= "from" AND t.occurred_at < "to";
END;
COMMENT ON FUNCTION fraud._shadowed_payments(text, int, int, timestamptz, timestamptz) IS
    'internal: both scores of the payments that two versions have scored live';

CREATE FUNCTION fraud._compare_models(
    champion text,
    challenger text,
    "from" timestamptz,
    "to" timestamptz,
    alert_rate float8,
    scores text,
    rel regclass,
    columns jsonb,
    OUT metric text,
    OUT champion_value float8,
    OUT challenger_value float8,
    OUT difference float8
) RETURNS SETOF record
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    a float8[];
    b float8[];
    first record;
    second record;
BEGIN
    IF scores = 'history' THEN
        SELECT fraud._measures(s.score, s.is_fraud, alert_rate) INTO a
        FROM fraud.scored_events(champion, "from", "to", rel, columns) s;
        SELECT fraud._measures(s.score, s.is_fraud, alert_rate) INTO b
        FROM fraud.scored_events(challenger, "from", "to", rel, columns) s;
        IF coalesce(a[1][1], 0) = 0 THEN
            PERFORM fraud._refuse_no_events(champion, rel, columns, "from", "to");
        END IF;
    ELSIF scores = 'shadow' THEN
        SELECT * INTO first FROM fraud._version_of(champion);
        SELECT * INTO second FROM fraud._version_of(challenger);
        IF first.model <> second.model THEN
            RAISE EXCEPTION '"%" and "%" are not of one model', champion, challenger
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = 'Challengers are versions of the model that scores the payments.';
        END IF;
        SELECT fraud._measures(s.champion_score, s.is_fraud, alert_rate),
               fraud._measures(s.challenger_score, s.is_fraud, alert_rate) INTO a, b
        FROM (SELECT * FROM fraud._shadowed_payments(first.model, first.version, second.version, "from", "to")
              UNION ALL SELECT * FROM fraud._shadowed_events(first.model, first.version, second.version, "from", "to")) s;
    ELSE
        RAISE EXCEPTION 'invalid scores "%"', scores
            USING ERRCODE = 'invalid_parameter_value', HINT = 'scores is history or shadow.';
    END IF;
    RETURN QUERY
        SELECT v.metric, a[1][v.place], b[1][v.place],
               -- Two thresholds that alert nothing are both infinity.
               CASE WHEN b[1][v.place] = a[1][v.place] THEN 0 ELSE b[1][v.place] - a[1][v.place] END
        FROM (VALUES ('events', 1), ('frauds', 2), ('auc_roc', 3), ('average_precision', 4), ('log_loss', 5),
                     ('brier', 6), ('threshold', 7), ('precision', 8), ('recall', 9)) v(metric, place);
END
$$;
COMMENT ON FUNCTION fraud._compare_models(text, text, timestamptz, timestamptz, float8, text, regclass, jsonb) IS
    'internal: the body of fraud.compare_models, run as its caller';

CREATE FUNCTION fraud.compare_models(
    champion text,
    challenger text,
    "from" timestamptz,
    "to" timestamptz,
    alert_rate float8 DEFAULT 0.01,
    scores text DEFAULT 'history',
    rel regclass DEFAULT NULL,
    columns jsonb DEFAULT '{}',
    OUT metric text,
    OUT champion_value float8,
    OUT challenger_value float8,
    OUT difference float8
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION fraud.compare_models(text, text, timestamptz, timestamptz, float8, text, regclass, jsonb) IS
    'two models on the same events of [from, to); threshold, precision and recall are those of alerting the share alert_rate; scores is history (each event is scored now; no live state is touched) or shadow (what both said of live payments, and of labelled events of streams, as they came)';

-- Frauds that only one of two models catches are drawn again, as many as there are frauds, a thousand times; by numbers
-- that are the same each time.
CREATE FUNCTION fraud._recall_difference(won bigint, lost bigint, frauds bigint) RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT jsonb_build_object('difference', round((won - lost)::numeric / nullif(frauds, 0), 4), 'low', round(i.low::numeric, 4), 'high', round(i.high::numeric, 4),
                              'tells', coalesce(i.low > 0 OR i.high < 0, false))
    FROM (SELECT percentile_cont(0.025) WITHIN GROUP (ORDER BY d.difference) AS low, percentile_cont(0.975) WITHIN GROUP (ORDER BY d.difference) AS high
          -- Of more than 2000 frauds, 2000 are drawn: the interval is then no wider than it need be by much. (PostgreSQL 18
          -- computes with the arguments while it plans, before WHERE leaves out that there are none.)
          FROM (SELECT avg(CASE WHEN u.x < won::float8 / nullif(frauds, 0) THEN 1 WHEN u.x < (won + lost)::float8 / nullif(frauds, 0) THEN -1 ELSE 0 END)
                           * sqrt(n.drawn / nullif(frauds, 0)::float8) + (won - lost)::float8 / nullif(frauds, 0) * (1 - sqrt(n.drawn / nullif(frauds, 0)::float8)) AS difference
                FROM (SELECT least(frauds, 2000) AS drawn WHERE frauds > 0) n, generate_series(1, 1000) r(draw), generate_series(1, n.drawn) k(fraud),
                     LATERAL (SELECT (hashint8extended(hashint8extended(k.fraud, 7) # hashint8extended(r.draw, 11), 13) & 9007199254740991) / 9007199254740992.0::float8 AS x) u
                GROUP BY r.draw, n.drawn) d) i;
END;
COMMENT ON FUNCTION fraud._recall_difference(bigint, bigint, bigint) IS
    'internal: of so many frauds, some that only the candidate catches and some that only the champion does: the difference in recall, its 95 % interval by bootstrap, and whether that tells the two apart';

-- The champion's own share of alerts is the rate to compare at.
CREATE FUNCTION fraud._gate_evidence(model text, candidate int, champion int, evidence_from timestamptz,
    evidence_to timestamptz, alert_rate float8, rel regclass, columns jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    candidate_ref text := format('%s/%s', model, candidate);
    champion_ref text := format('%s/%s', model, champion);
    period record;
    kind text;
    rate float8 := alert_rate;
    c float8[];
    b float8[];
    beats boolean;
    evidence jsonb := jsonb_build_object('champion_version', champion);
BEGIN
    SELECT e.kind INTO kind FROM fraud._events_of(champion_ref, rel, columns) e;
    IF kind IS NULL THEN
        RETURN evidence || '{"not_measured": "the models do not say on which events they can be measured"}';
    END IF;
    SELECT * INTO period FROM fraud._gate_period(model, candidate, evidence_from, evidence_to);
    evidence := evidence || jsonb_build_object('from', period.starts, 'to', period.ends);
    IF rate IS NULL THEN
        SELECT avg((s.score >= fraud._review_at(model))::int) INTO rate
        FROM fraud.scored_events(champion_ref, period.starts, period.ends, rel, columns) s;
        -- A champion that alerts nothing is compared at one alert in a hundred.
        rate := coalesce(nullif(rate, 0), 0.01);
    END IF;
    SELECT fraud._measures(s.score, s.is_fraud, rate) INTO b
    FROM fraud.scored_events(champion_ref, period.starts, period.ends, rel, columns) s;
    IF coalesce(b[1][2], 0) = 0 THEN
        RETURN evidence || '{"not_measured": "no event of the period is known to be fraud"}';
    END IF;
    SELECT fraud._measures(s.score, s.is_fraud, rate) INTO c
    FROM fraud.scored_events(candidate_ref, period.starts, period.ends, rel, columns) s;
    beats := (c[1][9], c[1][4]) > (b[1][9], b[1][4]);
    RETURN evidence || jsonb_build_object(
        'recall_difference', (SELECT fraud._recall_difference(count(*) FILTER (WHERE x.score >= c[1][7] AND NOT y.score >= b[1][7]),
                                         count(*) FILTER (WHERE y.score >= b[1][7] AND NOT x.score >= c[1][7]), count(*))
                              FROM fraud.scored_events(candidate_ref, period.starts, period.ends, rel, columns) x
                              JOIN fraud.scored_events(champion_ref, period.starts, period.ends, rel, columns) y
                                   ON y.event_id = x.event_id AND y.event_time = x.event_time AND y.card IS NOT DISTINCT FROM x.card
                              WHERE x.is_fraud),
        'events', b[1][1], 'frauds', b[1][2], 'alert_rate', rate, 'beats', coalesce(beats, false),
        'candidate', jsonb_build_object('recall', c[1][9], 'precision', c[1][8], 'average_precision', c[1][4], 'auc_roc', c[1][3]),
        'champion', jsonb_build_object('recall', b[1][9], 'precision', b[1][8], 'average_precision', b[1][4], 'auc_roc', b[1][3]));
END
$$;
COMMENT ON FUNCTION fraud._gate_evidence(text, int, int, timestamptz, timestamptz, float8, regclass, jsonb) IS
    'internal: how a candidate and the champion do on the same events at the same alert rate';

CREATE FUNCTION fraud._gate_period(model text, candidate int, evidence_from timestamptz, evidence_to timestamptz,
    OUT starts timestamptz, OUT ends timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(evidence_from, r.test_from, coalesce(evidence_to, now()) - interval '30 days'),
           coalesce(evidence_to, r.test_to, now())
    FROM (SELECT) one
    LEFT JOIN fraud.training_runs r ON evidence_from IS NULL AND evidence_to IS NULL
                                   AND r.model = _gate_period.model AND r.model_version = candidate;
END;
COMMENT ON FUNCTION fraud._gate_period(text, int, timestamptz, timestamptz) IS
    'internal: the period that the gate measures: the caller''s, else the test period of the candidate''s training, else the last 30 days';

-- ------------------------------------------------- describing, deleting
CREATE TABLE fraud.version_tags (
    model text NOT NULL,
    version int NOT NULL,
    tags jsonb NOT NULL CHECK (jsonb_typeof(tags) = 'object'),
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by name NOT NULL DEFAULT fraud._caller(),
    PRIMARY KEY (model, version)
);
COMMENT ON TABLE fraud.version_tags IS 'tags of model versions, which fraud.tag_version sets';

CREATE FUNCTION fraud._tag_version(model text, version int, tags jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    masked jsonb := fraud._mask_card_numbers(tags);
    before jsonb;
    result jsonb;
BEGIN
    IF jsonb_typeof(tags) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'tags must be a JSON object'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Such as {"team": "cards", "ticket": null}; null takes a tag away.';
    END IF;
    PERFORM fraud._lock_model(model);
    PERFORM FROM fraud.model_versions v WHERE v.model = _tag_version.model AND v.version = _tag_version.version;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'model "%" has no version %', model, version
            USING ERRCODE = 'undefined_object', HINT = 'fraud.model_versions lists the versions.';
    END IF;
    SELECT t.tags INTO before FROM fraud.version_tags t WHERE t.model = _tag_version.model AND t.version = _tag_version.version;
    INSERT INTO fraud.version_tags AS t (model, version, tags)
    VALUES (model, version, jsonb_strip_nulls(masked))
    ON CONFLICT ON CONSTRAINT version_tags_pkey
    DO UPDATE SET tags = jsonb_strip_nulls(t.tags || masked), changed_at = now(), changed_by = fraud._caller()
    RETURNING t.tags INTO result;
    PERFORM fraud._audit('tag', 'model', format('%s/%s', model, version), coalesce(before, '{}'), result);
    RETURN result;
END
$$;
COMMENT ON FUNCTION fraud._tag_version(text, int, jsonb) IS 'internal: the body of fraud.tag_version, run as the owner';

CREATE FUNCTION fraud.tag_version(model text, version int, tags jsonb) RETURNS jsonb
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.tag_version(text, int, jsonb) IS
    'sets tags of a version, keeping those not named; null takes one away; returns all';

CREATE FUNCTION fraud._describe_model(model text, description text, version int) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before text;
BEGIN
    PERFORM fraud._lock_model(model);
    IF version IS NULL THEN
        SELECT m.description INTO before FROM fraud.models m WHERE m.model = _describe_model.model;
        UPDATE fraud.models m SET description = fraud._kept_text(_describe_model.description) WHERE m.model = _describe_model.model;
    ELSE
        SELECT v.description INTO before FROM fraud.model_versions v
        WHERE v.model = _describe_model.model AND v.version = _describe_model.version;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'model "%" has no version %', model, version
                USING ERRCODE = 'undefined_object', HINT = 'fraud.model_versions lists the versions.';
        END IF;
        UPDATE fraud.model_versions v SET description = fraud._kept_text(_describe_model.description)
        WHERE v.model = _describe_model.model AND v.version = _describe_model.version;
    END IF;
    PERFORM fraud._audit('describe', 'model', model || coalesce('/' || version, ''),
        jsonb_build_object('description', before), jsonb_build_object('description', fraud._kept_text(_describe_model.description)));
END
$$;
COMMENT ON FUNCTION fraud._describe_model(text, text, int) IS 'internal: the body of fraud.describe_model, run as the owner';

CREATE FUNCTION fraud.describe_model(model text, description text, version int DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.describe_model(text, text, int) IS 'sets the description of a model, or of one version of it';

CREATE FUNCTION fraud._immutable_version() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    described fraud.model_versions := NEW;
BEGIN
    described.description := OLD.description;
    -- These are generated after this.
    described.compiled := OLD.compiled;
    described.gives_probability := OLD.gives_probability;
    IF described IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION 'versions of models cannot be changed, but for their description'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Import the changed model as another version.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION fraud._immutable_version() IS 'internal: refuses what would change a version';

CREATE TABLE fraud.deleted_versions (
    model text NOT NULL,
    version int NOT NULL,
    digest bytea NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT now(),
    deleted_by name NOT NULL DEFAULT fraud._caller(),
    PRIMARY KEY (model, version)
);
COMMENT ON TABLE fraud.deleted_versions IS 'versions that were deleted: their numbers are not given again';

-- Decisions come from champions alone, so only a version that was one is looked
-- for among the payments.
CREATE FUNCTION fraud._keep_version() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    named text;
BEGIN
    SELECT string_agg(a.alias, ', ' ORDER BY a.alias) INTO named FROM fraud.model_aliases a
    WHERE a.model = OLD.model AND a.version = OLD.version;
    IF named IS NOT NULL THEN
        RAISE EXCEPTION 'version % of model "%" is in use', OLD.version, OLD.model
            USING ERRCODE = 'object_in_use',
                  DETAIL = format('It is named by: %s.', named),
                  HINT = 'Promote another version first.';
    END IF;
    IF EXISTS (SELECT FROM fraud.promotions p
               WHERE p.model = OLD.model AND p.version = OLD.version AND p.alias = 'champion')
       AND EXISTS (SELECT FROM fraud.transactions t
                   WHERE t.model = OLD.model AND t.model_version = OLD.version AND t.decision IS NOT NULL) THEN
        RAISE EXCEPTION 'version % of model "%" has decided payments', OLD.version, OLD.model
            USING ERRCODE = 'object_in_use',
                  HINT = 'It stays, so that its decisions can be explained.';
    END IF;
    INSERT INTO fraud.deleted_versions (model, version, digest) VALUES (OLD.model, OLD.version, OLD.digest);
    DELETE FROM fraud.version_tags t WHERE t.model = OLD.model AND t.version = OLD.version;
    RETURN OLD;
END
$$;
COMMENT ON FUNCTION fraud._keep_version() IS
    'internal: refuses to delete a version that an alias names or that has decided a payment';

CREATE FUNCTION fraud._delete_version(model text, version int) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone jsonb;
BEGIN
    PERFORM fraud._lock_model(model);
    DELETE FROM fraud.model_versions v WHERE v.model = _delete_version.model AND v.version = _delete_version.version
    RETURNING fraud._shown_version(v) INTO gone;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'model "%" has no version %', model, version
            USING ERRCODE = 'undefined_object', HINT = 'fraud.model_versions lists the versions.';
    END IF;
    PERFORM fraud._audit('delete', 'model', format('%s/%s', model, version), gone);
END
$$;
COMMENT ON FUNCTION fraud._delete_version(text, int) IS 'internal: the body of fraud.delete_version, run as the owner';

CREATE FUNCTION fraud.delete_version(model text, version int) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.delete_version(text, int) IS
    'deletes a version of a model for good; one that an alias names or that has decided a payment cannot be deleted';
