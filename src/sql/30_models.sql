CREATE TABLE fraud.models (
    model text PRIMARY KEY CHECK (model ~ '^[A-Za-z0-9_.-]{1,63}$'),
    description text,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by name NOT NULL DEFAULT fraud._caller(),
    builtin boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE fraud.models IS 'models by name; what is scored is a version, see fraud.model_versions';
COMMENT ON COLUMN fraud.models.builtin IS 'made by CREATE EXTENSION';

CREATE FUNCTION fraud._compile_model(artifact bytea, feature_names text[], iterations int) RETURNS bytea
AS 'MODULE_PATHNAME', 'fraud_detect_compile_model'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000000;
COMMENT ON FUNCTION fraud._compile_model(bytea, text[], int) IS
    'internal: the form of a model that scores, behind its SHA-256';

-- No foreign keys between tables that a dump carries: it does not say which is to be restored first.
CREATE TABLE fraud.model_versions (
    model text NOT NULL,
    version int NOT NULL CHECK (version > 0),
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    feature_names text[] NOT NULL,
    trees int NOT NULL,
    iterations int NOT NULL CHECK (iterations >= 0),
    objective text NOT NULL,
    gives_probability boolean NOT NULL
        GENERATED ALWAYS AS (objective IN ('binary:logistic', 'reg:logistic')) STORED,
    xgboost_version text,
    feature_set text,
    feature_set_hash text,
    description text,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by name NOT NULL DEFAULT fraud._caller(),
    builtin boolean NOT NULL DEFAULT false,
    artifact bytea NOT NULL,
    -- Made anew where a dump is restored, by the version that is installed there.
    compiled bytea NOT NULL GENERATED ALWAYS AS (fraud._compile_model(artifact, feature_names, iterations)) STORED,
    PRIMARY KEY (model, version)
);
-- Model files are barely compressible; and without compression the digest alone is
-- read without the rest.
ALTER TABLE fraud.model_versions ALTER COLUMN artifact SET STORAGE EXTERNAL;
ALTER TABLE fraud.model_versions ALTER COLUMN compiled SET STORAGE EXTERNAL;
COMMENT ON TABLE fraud.model_versions IS 'immutable versions of models';
COMMENT ON COLUMN fraud.model_versions.digest IS 'SHA-256 of artifact';
COMMENT ON COLUMN fraud.model_versions.feature_names IS 'in the model''s order';
COMMENT ON COLUMN fraud.model_versions.trees IS 'number of trees that are scored';
COMMENT ON COLUMN fraud.model_versions.iterations IS
    'number of boosting iterations that are scored: all in the file, or those up to its best_iteration';
COMMENT ON COLUMN fraud.model_versions.objective IS 'by XGBoost''s name; a score is its prediction';
COMMENT ON COLUMN fraud.model_versions.gives_probability IS
    'whether scores are probabilities, which thresholds are; only such versions are promoted in payments';
COMMENT ON COLUMN fraud.model_versions.xgboost_version IS 'of the library that saved the file';
COMMENT ON COLUMN fraud.model_versions.feature_set IS
    'that the features were checked against when the model was imported; what a model was trained on here is in fraud.training_runs';
COMMENT ON COLUMN fraud.model_versions.feature_set_hash IS 'its fraud.feature_set_hash then';
COMMENT ON COLUMN fraud.model_versions.artifact IS 'XGBoost''s own model file, byte for byte';
COMMENT ON COLUMN fraud.model_versions.compiled IS 'the form that scores, behind its SHA-256';

CREATE FUNCTION fraud._shown_version(version fraud.model_versions) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT jsonb_build_object('digest', encode(version.digest, 'hex'), 'trees', version.trees, 'objective', version.objective,
        'feature_set', version.feature_set, 'description', version.description);
END;
COMMENT ON FUNCTION fraud._shown_version(fraud.model_versions) IS 'internal: a version of a model as fraud.audit_log shows it';

CREATE FUNCTION fraud._shared_models(OUT digest bytea, OUT bytes bigint, OUT holders int,
    OUT used_at timestamptz) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'fraud_detect_shared_models'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE ROWS 10;
COMMENT ON FUNCTION fraud._shared_models() IS
    'internal: the models in shared memory, of all databases';

CREATE VIEW fraud.model_memory AS
    SELECT v.model, v.version, octet_length(v.compiled) - 32 AS bytes,
           s.digest IS NOT NULL AS is_shared, s.holders, s.used_at
    FROM fraud.model_versions v
    LEFT JOIN fraud._shared_models() s ON s.digest = substring(v.compiled FROM 1 FOR 32);
COMMENT ON VIEW fraud.model_memory IS
    'what each version takes in memory, and whether the one copy for all backends is there now';
COMMENT ON COLUMN fraud.model_memory.bytes IS 'of the form that scores';
COMMENT ON COLUMN fraud.model_memory.holders IS 'processes that use the shared copy in a transaction under way';
COMMENT ON COLUMN fraud.model_memory.used_at IS 'when a statement last took hold of the shared copy';

CREATE TABLE fraud.promotions (
    promotion_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model text NOT NULL,
    alias text NOT NULL CHECK (alias ~ '^[A-Za-z0-9_.-]{1,63}$'),
    version int NOT NULL,
    previous_version int,
    review_at float8 CHECK (review_at BETWEEN 0 AND 1),
    block_at float8 CHECK (block_at BETWEEN 0 AND 1),
    reason text,
    evidence jsonb,
    promoted_at timestamptz NOT NULL DEFAULT now(),
    promoted_by name NOT NULL DEFAULT fraud._caller(),
    builtin boolean NOT NULL DEFAULT false,
    CHECK (review_at <= block_at),
    CHECK ((review_at IS NULL) = (block_at IS NULL))
);
CREATE INDEX promotions_alias_idx ON fraud.promotions (model, alias, promotion_id DESC);
COMMENT ON TABLE fraud.promotions IS
    'which version each alias named, and when: rows are only added, the latest of an alias is in force (fraud.model_aliases)';
COMMENT ON COLUMN fraud.promotions.version IS 'may be deleted since, if it never decided a payment';
COMMENT ON COLUMN fraud.promotions.evidence IS
    'of a new champion: how it and the one before did on the same period at the same alert rate, and whether that was overridden';
COMMENT ON COLUMN fraud.promotions.review_at IS
    'score from which a payment is decided review; null where the model''s scores are no probabilities';
COMMENT ON COLUMN fraud.promotions.block_at IS
    'score from which a payment is decided block; null where the model''s scores are no probabilities';

CREATE VIEW fraud.model_aliases AS
    SELECT DISTINCT ON (p.model, p.alias)
           p.model, p.alias, p.version, p.review_at, p.block_at, p.promoted_at, p.promoted_by
    FROM fraud.promotions p
    ORDER BY p.model, p.alias, p.promotion_id DESC;
COMMENT ON VIEW fraud.model_aliases IS 'the version that each alias names now, with its decision thresholds';

-- The row lock on the model makes concurrent imports and promotions take turns.
CREATE FUNCTION fraud._lock_model(model text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM 1 FROM fraud.models m WHERE m.model = _lock_model.model FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'model "%" does not exist', model
            USING ERRCODE = 'undefined_object',
                  HINT = 'fraud.models lists the models; fraud.import_model makes one.';
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._lock_model(text) IS 'internal: locks a model''s row, or says that there is none';

CREATE FUNCTION fraud.import_model(
    model text,
    artifact bytea,
    description text DEFAULT NULL,
    feature_names text[] DEFAULT NULL,
    best_iteration boolean DEFAULT false,
    feature_set text DEFAULT NULL
) RETURNS int
AS 'MODULE_PATHNAME', 'fraud_detect_import_model'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.import_model(text, bytea, text, text[], boolean, text) IS
    'checks an XGBoost model file (JSON or UBJSON, saved by 1.0 to 3.x, a tree model with one output) and stores it as the next version of the model, which it returns; feature_names names the features of a file that does not; best_iteration leaves out the trees behind the iteration that early stopping found best; feature_set has the features checked against a feature set, names those of a file that does not, and is where fraud.evaluate then finds the events';

CREATE FUNCTION fraud._check_features(model text, version int) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unknown text;
    watched text;
BEGIN
    -- What decides must know its features: the rows of a stream, too.
    SELECT s.stream, string_agg(n, ', ') INTO watched, unknown
    FROM fraud.streams s, fraud.model_versions v, unnest(v.feature_names) n
    WHERE s.unwatched_at IS NULL AND split_part(s.model, '@', 1) = _check_features.model
      AND v.model = _check_features.model AND v.version = _check_features.version
      AND EXISTS (SELECT FROM fraud.feature_sets f WHERE f.feature_set = s.stream)
      AND NOT EXISTS (SELECT FROM fraud.feature_definitions d WHERE d.feature_set = s.stream AND d.feature = n)
    GROUP BY s.stream ORDER BY s.stream LIMIT 1;
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'version % of model "%" uses features that feature set "%", which it decides, does not have', version, model, watched
            USING ERRCODE = 'undefined_column',
                  DETAIL = format('Unknown features: %s.', unknown),
                  HINT = 'fraud.feature_catalog lists the features of each set.';
    END IF;
    -- The champion of payments scores every payment.
    IF model <> 'payments' THEN
        RETURN;
    END IF;
    SELECT string_agg(n, ', ') INTO unknown
    FROM fraud.model_versions v, unnest(v.feature_names) n
    WHERE v.model = _check_features.model AND v.version = _check_features.version
      AND NOT EXISTS (SELECT FROM unnest(fraud.payment_features()) f WHERE f = n);
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'version % of model "payments" uses features that payments do not have', version
            USING ERRCODE = 'undefined_column',
                  DETAIL = format('Unknown features: %s.', unknown),
                  HINT = 'fraud.payment_features() lists the features of payments.';
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._check_features(text, int) IS
    'internal: refuses a version of a model that decides payments or a stream and uses features which those do not have';

-- fraud.promote in three steps: what may be promoted, and whether a champion is to
-- be beaten; the evidence, gathered with the caller's rights, for it reads the
-- caller's tables; the row. The first and the last run as the owner.
CREATE FUNCTION fraud._check_promotion(model text, version int, alias text, reason text, override_gate boolean,
    OUT champion int)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    objective text;
    gives_probability boolean;
BEGIN
    IF model IS NULL OR version IS NULL OR alias IS NULL THEN
        RAISE EXCEPTION 'model, version and alias must not be null'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF alias !~ '^[A-Za-z0-9_.-]{1,63}$' THEN
        RAISE EXCEPTION 'invalid alias "%"', alias
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'An alias is 1 to 63 letters, digits, underscores, dots or dashes.';
    END IF;
    PERFORM fraud._check_name('model''s alias', alias);
    PERFORM fraud._lock_model(model);

    SELECT v.objective, v.gives_probability INTO objective, gives_probability FROM fraud.model_versions v
    WHERE v.model = _check_promotion.model AND v.version = _check_promotion.version;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'model "%" has no version %', model, version
            USING ERRCODE = 'undefined_object',
                  HINT = 'fraud.model_versions lists the versions.';
    END IF;

    PERFORM fraud._check_features(model, version);

    -- A champion's scores are compared with thresholds, which are probabilities.
    IF model = 'payments' AND NOT gives_probability THEN
        RAISE EXCEPTION 'version % of model "payments" has objective %, whose scores are no probabilities', version, objective
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'Payments are decided by thresholds between 0 and 1.',
                  HINT = 'Train it with objective binary:logistic, or import it under another name.';
    ELSIF NOT gives_probability AND EXISTS (SELECT FROM fraud.streams s WHERE s.unwatched_at IS NULL
              AND s.model IN (_check_promotion.model || '@' || _check_promotion.alias,
                              CASE _check_promotion.alias WHEN 'champion' THEN _check_promotion.model END)) THEN
        RAISE EXCEPTION 'version % of model "%" has objective %, whose scores are no probabilities', version, model, objective
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'It decides a stream by thresholds between 0 and 1.',
                  HINT = 'Train it with objective binary:logistic.';
    END IF;

    IF override_gate AND coalesce(reason, '') = '' THEN
        RAISE EXCEPTION 'the gate is overridden without a reason'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Give reason: it is kept in fraud.promotions.';
    END IF;
    SELECT a.version INTO champion FROM fraud.model_aliases a
    WHERE _check_promotion.alias = 'champion' AND a.model = _check_promotion.model AND a.alias = 'champion'
      AND a.version <> _check_promotion.version;
END
$$;
COMMENT ON FUNCTION fraud._check_promotion(text, int, text, text, boolean) IS
    'internal: locks the model, refuses what cannot be promoted, and returns the champion to be beaten, if any';

-- Of the newest 1000 payments; what a version did not score itself it scores now, from the stored vector.
CREATE FUNCTION fraud._last_payments(version int, review_at float8, block_at float8, present_review_at float8, present_block_at float8,
    OUT payments bigint, OUT days float8, OUT alerted bigint, OUT blocked bigint, OUT alerted_now bigint, OUT blocked_now bigint,
    OUT most_blocked float8, OUT most_alerted float8)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT count(*), greatest(extract(epoch FROM max(n.occurred_at) - min(n.occurred_at)) / 86400, 1 / 24.0),
           count(*) FILTER (WHERE n.new_score >= review_at), count(*) FILTER (WHERE n.new_score >= block_at),
           count(*) FILTER (WHERE n.score >= present_review_at), count(*) FILTER (WHERE n.score >= present_block_at)
    INTO payments, days, alerted, blocked, alerted_now, blocked_now
    FROM (SELECT t.occurred_at, t.score,
                 CASE WHEN t.model = 'payments' AND t.model_version = _last_payments.version THEN t.score
                      ELSE fraud._score_stored('payments/' || _last_payments.version, t.features) END AS new_score
          FROM (SELECT * FROM fraud.transactions t ORDER BY t.occurred_at DESC LIMIT 1000) t) n;
    most_blocked := coalesce(nullif(current_setting('fraud_detect.max_block_share', true), ''), '1')::float8;
    most_alerted := coalesce(nullif(current_setting('fraud_detect.max_alert_share', true), ''), '1')::float8;
EXCEPTION
    -- Stored before the version's features were: nothing can be said.
    WHEN object_not_in_prerequisite_state OR undefined_column THEN
        payments := 0;
END
$$;
COMMENT ON FUNCTION fraud._last_payments(int, float8, float8, float8, float8) IS
    'internal: how many of the newest payments a version with these thresholds would alert on and block, and how many the present thresholds do';

-- Ten more of a thousand are no jump.
CREATE FUNCTION fraud._is_jump(would bigint, present bigint, payments bigint) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT g.growth > 0 AND CASE WHEN present > 0 THEN would > g.growth * present AND would - present > 0.01 * payments ELSE would > 0.05 * payments END
    FROM (SELECT coalesce(nullif(current_setting('fraud_detect.max_alert_growth', true), ''), '0')::float8 AS growth) g;
END;
COMMENT ON FUNCTION fraud._is_jump(bigint, bigint, bigint) IS
    'internal: whether so many alerts in place of those now are too many more (fraud_detect.max_alert_growth)';

CREATE FUNCTION fraud._tell_promotion(model text, version int, review_at float8, block_at float8, old_version int, old_review_at float8, old_block_at float8,
    reason text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    told text := format('model "%s" is version %s, review_at %s, block_at %s', model, version, coalesce(review_at::text, 'none'), coalesce(block_at::text, 'none'))
        || CASE WHEN old_version IS NOT NULL THEN format('; it was version %s, review_at %s, block_at %s', old_version, coalesce(old_review_at::text, 'none'), coalesce(old_block_at::text, 'none')) ELSE '' END;
BEGIN
    RAISE LOG 'fraud_detect: % (by role "%")', told, fraud._caller();
    IF EXISTS (SELECT FROM fraud.channels c WHERE 'health' = ANY (c.takes)) THEN
        PERFORM fraud._enqueue('health', jsonb_build_object('database', current_database(), 'failed', '[]'::jsonb, 'recovered', '[]'::jsonb,
                'promoted', jsonb_build_object('model', model, 'version', version, 'review_at', review_at, 'block_at', block_at, 'old_version', old_version,
                    'old_review_at', old_review_at, 'old_block_at', old_block_at, 'by', fraud._caller(), 'reason', fraud._kept_text(reason))),
            format('fraud_detect in %s: model %s was promoted', current_database(), model),
            format(E'%s\nby %s: %s\n', told, fraud._caller(), coalesce(fraud._kept_text(reason), 'no reason given')), NULL, NULL);
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._tell_promotion(text, int, float8, float8, int, float8, float8, text) IS
    'internal: a line of the log, and a message to the channels that take health, on what decides from COMMIT on';

CREATE FUNCTION fraud._promote(model text, version int, alias text, reason text, review_at float8, block_at float8,
    override_gate boolean, evidence jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    current fraud.model_aliases;
    slip record;
    objective text;
    gives_probability boolean;
    kept text;
BEGIN
    IF override_gate THEN
        evidence := coalesce(evidence, '{}') || '{"overridden": true}';
    ELSIF NOT (evidence ->> 'beats')::boolean THEN
        RAISE EXCEPTION 'version % of model "%" does not beat its champion, version %', version, model, evidence ->> 'champion_version'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('From %s to %s, at an alert rate of %s, it catches %s of the frauds, the champion %s; their average precision is %s and %s.',
                      evidence ->> 'from', evidence ->> 'to', evidence ->> 'alert_rate',
                      round((evidence -> 'candidate' ->> 'recall')::numeric, 4), round((evidence -> 'champion' ->> 'recall')::numeric, 4),
                      round((evidence -> 'candidate' ->> 'average_precision')::numeric, 4), round((evidence -> 'champion' ->> 'average_precision')::numeric, 4))
                      || CASE WHEN (evidence -> 'recall_difference' ->> 'tells')::boolean THEN ''
                              ELSE format(' %s frauds are too few to tell: the difference in recall is between %s and %s (95 %%, bootstrap).', evidence ->> 'frauds',
                                          evidence -> 'recall_difference' ->> 'low', evidence -> 'recall_difference' ->> 'high') END,
                  HINT = 'To promote it all the same, give a reason and override_gate => true.';
    END IF;
    SELECT * INTO current FROM fraud.model_aliases a
    WHERE a.model = _promote.model AND a.alias = _promote.alias;
    SELECT v.objective, v.gives_probability INTO objective, gives_probability FROM fraud.model_versions v
    WHERE v.model = _promote.model AND v.version = _promote.version;
    IF gives_probability THEN
        kept := nullif(concat_ws(' and ', CASE WHEN review_at IS NULL THEN 'review_at ' || current.review_at END,
                                          CASE WHEN block_at IS NULL THEN 'block_at ' || current.block_at END), '');
        review_at := coalesce(review_at, current.review_at, 0.5);
        block_at := coalesce(block_at, current.block_at, greatest(review_at, 0.9));
    ELSIF review_at IS NOT NULL OR block_at IS NOT NULL THEN
        RAISE EXCEPTION 'version % of model "%" takes no thresholds', version, model
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('Thresholds are probabilities; the scores of objective %s are not.', objective),
                  HINT = 'Leave review_at and block_at out.';
    END IF;
    IF NOT (review_at BETWEEN 0 AND 1 AND block_at BETWEEN 0 AND 1 AND review_at <= block_at) THEN
        RAISE EXCEPTION 'invalid thresholds: review_at %, block_at %', review_at, block_at
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'Thresholds are probabilities, and review_at is not above block_at.';
    END IF;
    IF gives_probability AND current.version <> _promote.version AND kept IS NOT NULL AND alias = 'champion'
       AND (model = 'payments' OR EXISTS (SELECT FROM fraud.streams s WHERE split_part(s.model, '@', 1) = _promote.model)) THEN
        RAISE NOTICE 'version % keeps % of version %', version, kept, current.version
            USING HINT = 'Its scores may be spread otherwise: fraud.choose_threshold finds thresholds for it, fraud.backtest_decision shows what they come to.';
    END IF;
    -- A slip of the pen blocks everybody, a jump buries the analysts: what the newest payments would have come to,
    -- beside what they come to now.
    IF gives_probability AND alias = 'champion' AND model = 'payments' THEN
        SELECT * INTO slip FROM fraud._last_payments(version, review_at, block_at, current.review_at, current.block_at);
        IF slip.payments >= 100 THEN
            evidence := coalesce(evidence, '{}') || jsonb_build_object('last_payments', jsonb_build_object('payments', slip.payments, 'days', slip.days,
                'alerts', slip.alerted, 'blocks', slip.blocked, 'alerts_now', slip.alerted_now, 'blocks_now', slip.blocked_now,
                'alerts_per_day', round((slip.alerted / slip.days)::numeric, 2), 'blocks_per_day', round((slip.blocked / slip.days)::numeric, 2)));
        END IF;
        IF override_gate OR slip.payments < 100 THEN
            NULL;
        ELSIF slip.blocked > slip.most_blocked * slip.payments OR slip.alerted > slip.most_alerted * slip.payments THEN
            RAISE EXCEPTION 'thresholds %, % of version % would have blocked % and alerted on % of the newest % payments', review_at, block_at, version,
                slip.blocked, slip.alerted, slip.payments
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      DETAIL = format('Expected at most %s %% blocked (fraud_detect.max_block_share) and %s %% alerted on (fraud_detect.max_alert_share).',
                                      round((100 * slip.most_blocked)::numeric, 1), round((100 * slip.most_alerted)::numeric, 1)),
                      HINT = 'fraud.choose_threshold finds thresholds for a share of alerts. To promote it all the same, give a reason and override_gate => true.';
        ELSIF fraud._is_jump(slip.alerted, slip.alerted_now, slip.payments) OR fraud._is_jump(slip.blocked, slip.blocked_now, slip.payments) THEN
            RAISE EXCEPTION 'thresholds %, % of version % would have raised alerts from % to % and blocks from % to % of the newest % payments', review_at, block_at, version,
                slip.alerted_now, slip.alerted, slip.blocked_now, slip.blocked, slip.payments
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      DETAIL = format('That is %s alerts and %s blocks a day. Expected at most %s times the present (fraud_detect.max_alert_growth), or 5 %% of payments where there are none at present.',
                                      round((slip.alerted / slip.days)::numeric, 1), round((slip.blocked / slip.days)::numeric, 1), current_setting('fraud_detect.max_alert_growth', true)),
                      HINT = 'fraud.choose_threshold finds thresholds for a share of alerts; fraud.backtest_decision tells more. To promote it all the same, give a reason and override_gate => true.';
        END IF;
    END IF;

    INSERT INTO fraud.promotions (model, alias, version, previous_version, review_at, block_at, reason, evidence)
    VALUES (model, alias, version, current.version, review_at, block_at, fraud._kept_text(reason), evidence);
    PERFORM fraud._audit('promote', 'model', model || '@' || alias,
        jsonb_build_object('version', current.version, 'review_at', current.review_at, 'block_at', current.block_at),
        jsonb_build_object('version', version, 'review_at', review_at, 'block_at', block_at, 'reason', fraud._kept_text(reason), 'overridden', override_gate));
    IF alias = 'champion' THEN
        PERFORM fraud._tell_promotion(model, version, review_at, block_at, current.version, current.review_at, current.block_at, reason);
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._promote(text, int, text, text, float8, float8, boolean, jsonb) IS
    'internal: the gate, and the row of a promotion';

CREATE FUNCTION fraud.promote(
    model text,
    version int,
    alias text DEFAULT 'champion',
    reason text DEFAULT NULL,
    review_at float8 DEFAULT NULL,
    block_at float8 DEFAULT NULL,
    override_gate boolean DEFAULT false,
    evidence_from timestamptz DEFAULT NULL,
    evidence_to timestamptz DEFAULT NULL,
    alert_rate float8 DEFAULT NULL,
    rel regclass DEFAULT NULL,
    columns jsonb DEFAULT '{}'
) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_promote'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.promote(text, int, text, text, float8, float8, boolean, timestamptz, timestamptz, float8, regclass, jsonb) IS
    'makes an alias name a version, from COMMIT on; thresholds (probabilities) that are not given stay as the alias has them. A new champion must catch more fraud than the one before, on the same events at the same alert rate, unless there is nothing to measure or override_gate is given with a reason; thresholds, of a new version or of the same, that would block or alert on too many of the newest 1000 payments (fraud_detect.max_block_share, max_alert_share), or on too many more than at present (max_alert_growth), are refused likewise; what they would have come to is in the evidence';

CREATE FUNCTION fraud._rollback(
    model text,
    alias text,
    reason text
) RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    current fraud.promotions;
    target fraud.promotions;
BEGIN
    IF model IS NULL OR alias IS NULL THEN
        RAISE EXCEPTION 'model and alias must not be null'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM fraud._lock_model(model);
    SELECT * INTO current FROM fraud.promotions p
    WHERE p.model = _rollback.model AND p.alias = _rollback.alias
    ORDER BY p.promotion_id DESC LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'model "%" has no alias "%"', model, alias
            USING ERRCODE = 'undefined_object',
                  HINT = 'fraud.model_aliases lists the aliases.';
    END IF;
    -- What was in force before the version that is in force now came.
    SELECT * INTO target FROM fraud.promotions p
    WHERE p.model = _rollback.model AND p.alias = _rollback.alias
      AND p.version = current.previous_version AND p.promotion_id < current.promotion_id
      AND EXISTS (SELECT FROM fraud.model_versions v WHERE v.model = p.model AND v.version = p.version)
    ORDER BY p.promotion_id DESC LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'alias "%" of model "%" has no earlier version to go back to', alias, model
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'fraud.promotions holds the history.';
    END IF;
    PERFORM fraud._check_features(model, target.version);
    INSERT INTO fraud.promotions (model, alias, version, previous_version, review_at, block_at, reason)
    VALUES (model, alias, target.version, current.version, target.review_at, target.block_at,
            coalesce(fraud._kept_text(reason),
                     CASE WHEN target.version <> current.version THEN format('rollback from version %s', current.version)
                          ELSE format('rollback of thresholds: review_at from %s to %s, block_at from %s to %s',
                                      current.review_at, target.review_at, current.block_at, target.block_at) END));
    PERFORM fraud._audit('rollback', 'model', model || '@' || alias,
        jsonb_build_object('version', current.version, 'review_at', current.review_at, 'block_at', current.block_at),
        jsonb_build_object('version', target.version, 'review_at', target.review_at, 'block_at', target.block_at, 'reason', fraud._kept_text(reason)));
    IF alias = 'champion' THEN
        PERFORM fraud._tell_promotion(model, target.version, target.review_at, target.block_at, current.version, current.review_at, current.block_at, reason);
    END IF;
    RETURN target.version;
END
$$;
COMMENT ON FUNCTION fraud._rollback(text, text, text) IS 'internal: the body of fraud.rollback, run as the owner';

CREATE FUNCTION fraud.rollback(
    model text,
    alias text DEFAULT 'champion',
    reason text DEFAULT NULL
) RETURNS int
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.rollback(text, text, text) IS
    'makes an alias name the version that it named before, with that one''s thresholds; returns the version';

CREATE FUNCTION fraud.export_model(ref text) RETURNS bytea
AS 'MODULE_PATHNAME', 'fraud_detect_export_model'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.export_model(text) IS
    'the model file of name, name@alias or name/version, byte for byte as it was imported';
