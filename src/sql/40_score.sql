CREATE FUNCTION fraud._score_columns(model text, names text[], VARIADIC "any") RETURNS float8
AS 'MODULE_PATHNAME', 'fraud_detect_score_columns'
LANGUAGE C STABLE PARALLEL SAFE COST 200;
COMMENT ON FUNCTION fraud._score_columns(text, text[], "any") IS
    'internal: what the planner makes of fraud_score(row), columns taken one by one';

CREATE FUNCTION fraud._score_stored(model text, features float4[]) RETURNS float8
AS 'MODULE_PATHNAME', 'fraud_detect_score_stored'
LANGUAGE C STABLE PARALLEL SAFE COST 200;
COMMENT ON FUNCTION fraud._score_stored(text, float4[]) IS
    'internal: what the planner makes of fraud_score(payment), by the stored vector';

CREATE FUNCTION fraud._score_stored(model text, features float4[], feature_set text) RETURNS float8
AS 'MODULE_PATHNAME', 'fraud_detect_score_stored_of'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 200;
COMMENT ON FUNCTION fraud._score_stored(text, float4[], text) IS 'internal: a model''s score of the stored vector of an event of a feature set';

CREATE FUNCTION fraud._check_scores(model text, feature_set text) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_check_scores_of'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud._check_scores(text, text) IS 'internal: refuses a model that is not there, or that cannot score the stored vectors of a feature set''s events';

CREATE FUNCTION fraud._score_support(internal) RETURNS internal
AS 'MODULE_PATHNAME', 'fraud_detect_score_support'
LANGUAGE C STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud._score_support(internal) IS 'internal: the planner''s help for fraud_score(row)';

-- Under a name that nobody but the owner can overload: a better match for a row's type
-- in the extension's own schema would be called in place of fraud_score.
CREATE FUNCTION fraud._score_row(features record, model text) RETURNS float8
AS 'MODULE_PATHNAME', 'fraud_detect_score_record'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 300
SUPPORT fraud._score_support;
COMMENT ON FUNCTION fraud._score_row(record, text) IS 'internal: fraud_score(row), as functions of the extension call it';

CREATE FUNCTION @extschema@.fraud_score(features record, model text DEFAULT 'payments') RETURNS float8
AS 'MODULE_PATHNAME', 'fraud_detect_score_record'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 300
SUPPORT fraud._score_support;
COMMENT ON FUNCTION @extschema@.fraud_score(record, text) IS
    'prediction (a probability for a logistic objective) of a row whose columns are matched to the model''s features by name (null is missing); a row of fraud.transactions is scored by its stored vector; model is name, name@alias or name/version';

CREATE FUNCTION @extschema@.fraud_score(features jsonb, model text DEFAULT 'payments') RETURNS float8
AS 'MODULE_PATHNAME', 'fraud_detect_score_jsonb'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 300;
COMMENT ON FUNCTION @extschema@.fraud_score(jsonb, text) IS
    'prediction (a probability for a logistic objective) of an object whose keys are matched to the model''s features by name (null is missing)';

CREATE FUNCTION @extschema@.fraud_score(features float4[], model text DEFAULT 'payments') RETURNS float8
AS 'MODULE_PATHNAME', 'fraud_detect_score_array'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 300;
COMMENT ON FUNCTION @extschema@.fraud_score(float4[], text) IS
    'prediction (a probability for a logistic objective) of a vector in the model''s feature order (null and NaN are missing)';

CREATE FUNCTION @extschema@.fraud_explain(features jsonb, model text DEFAULT 'payments',
    OUT feature text, OUT value float8, OUT contribution float8, OUT category text) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'fraud_detect_explain_jsonb'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 50000 ROWS 25;
COMMENT ON FUNCTION @extschema@.fraud_explain(jsonb, text) IS
    'exact TreeSHAP contributions in units of the margin (log-odds for a logistic objective), one row a feature and one named (bias); they add up to the margin of the score. category is the name of the category that the value is the code of, by the feature set that the model was made for; null of other features';

CREATE FUNCTION @extschema@.fraud_explain(features record, model text DEFAULT 'payments',
    OUT feature text, OUT value float8, OUT contribution float8, OUT category text) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'fraud_detect_explain_record'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 50000 ROWS 25;
COMMENT ON FUNCTION @extschema@.fraud_explain(record, text) IS
    'exact TreeSHAP contributions in units of the margin (log-odds for a logistic objective), one row a feature and one named (bias); they add up to the margin of the score. category is the name of the category that the value is the code of, by the feature set that the model was made for; null of other features';

-- Of a stored vector and nothing else: who may look into a case needs no right to the payments' features.
CREATE FUNCTION fraud._explain_stored(features float4[], model text,
    OUT feature text, OUT value float8, OUT contribution float8, OUT told text) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'fraud_detect_explain_stored'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE COST 50000 ROWS 25;
COMMENT ON FUNCTION fraud._explain_stored(float4[], text) IS
    'internal: fraud_explain of a payment''s stored vector, with each value in words (a category by its name); told is null of (bias)';

CREATE FUNCTION fraud.payment_features() RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT array_agg(d.feature ORDER BY p.place)
    FROM fraud.feature_sets s
    CROSS JOIN generate_series(1, s.last_position) p(place)
    LEFT JOIN fraud.feature_definitions d ON d.feature_set = s.feature_set AND d.position = p.place
    WHERE s.feature_set = 'payments';
END;
COMMENT ON FUNCTION fraud.payment_features() IS
    'names of the features of payments, in the order of fraud.transactions.features; null for one that was dropped';
