CREATE FUNCTION fraud.distance_km(latitude1 float8, longitude1 float8, latitude2 float8, longitude2 float8)
RETURNS float8
AS 'MODULE_PATHNAME', 'fraud_detect_distance_km'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud.distance_km(float8, float8, float8, float8) IS
    'great-circle distance in km of two places in degrees, on a sphere of radius 6371.0088 km (haversine)';

CREATE FUNCTION fraud.ingest(payment jsonb, source text DEFAULT 'sql', mapping jsonb DEFAULT NULL,
    OUT transaction_id text, OUT status text, OUT score float8, OUT decision text, OUT error text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'fraud_detect_ingest'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;
COMMENT ON FUNCTION fraud.ingest(jsonb, text, jsonb) IS
    'as fraud.ingest(text, text, jsonb, text), of what is jsonb already; jsonb has no NaN and no lone surrogates, and turns a number that was written as 4.497913965512794e+18 into an integer, so a card number that has lost digits is refused only where its check digit shows it';

CREATE FUNCTION fraud.ingest(payment text, source text DEFAULT 'sql', mapping jsonb DEFAULT NULL, format text DEFAULT 'auto',
    OUT transaction_id text, OUT status text, OUT score float8, OUT decision text, OUT error text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'fraud_detect_ingest_text'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;
COMMENT ON FUNCTION fraud.ingest(text, text, jsonb, text) IS
    'stores one payment, or many, in any layout of docs/payments.md, with features, score, decision and alert, in this transaction; mapping says where a body of another layout has our fields (docs/sources.md), and format (auto, split, records, ndjson, csv) how it is written; status is stored, duplicate or rejected (then error says why, and fraud.ingest_errors keeps the payload)';

CREATE FUNCTION fraud.assess(payment jsonb, model text DEFAULT 'payments', mapping jsonb DEFAULT NULL, with_reasons boolean DEFAULT true,
    OUT score float8, OUT decision text, OUT reasons text[], OUT features jsonb)
RETURNS record
AS 'MODULE_PATHNAME', 'fraud_detect_assess'
LANGUAGE C STABLE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION fraud.assess(jsonb, text, jsonb, boolean) IS
    'what fraud.ingest would say of one payment, with a mapping or without, storing nothing; a payment without a time is taken as of now; reasons are what speaks most for fraud, null without with_reasons, which takes a fraction of the time';

CREATE FUNCTION fraud.load_history(rel regclass, label_delay interval DEFAULT '7 days') RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_load_history'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.load_history(regclass, interval) IS
    'stores the payments of a table in the Kaggle fraudTrain.csv layout (columns by name, any types), with features as of each payment''s time and the champion''s score, without decision or alert; is_fraud = 1 becomes a label known label_delay after the payment, at the latest now; returns the number of payments stored';

CREATE FUNCTION fraud.simulate(
    customers int DEFAULT 1000,
    merchants int DEFAULT 300,
    days int DEFAULT 90,
    seed bigint DEFAULT 1,
    starts_at timestamptz DEFAULT NULL,
    ends_at timestamptz DEFAULT NULL,
    label_delay interval DEFAULT '7 days'
) RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_simulate'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.simulate(int, int, int, bigint, timestamptz, timestamptz, interval) IS
    'stores a simulated, labelled history as fraud.load_history does: `days` days from starts_at (a midnight UTC; by default so that the last day ends today), up to ends_at (default now); the same seed gives the same payments; returns the number stored';
