-- How the payments of any API become ours (docs/sources.md).

CREATE FUNCTION fraud._check_mapping(mapping jsonb, format text) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_check_mapping'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._check_mapping(jsonb, text) IS
    'internal: refuses a mapping that cannot be, and says what is wrong with it';

CREATE FUNCTION fraud.preview_payments(body text, format text DEFAULT 'auto', mapping jsonb DEFAULT NULL,
    OUT payment int, OUT mapped jsonb, OUT missing text[], OUT left_over jsonb, OUT error text, OUT proposal jsonb)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'fraud_detect_preview_payments'
LANGUAGE C STABLE PARALLEL SAFE ROWS 20;
COMMENT ON FUNCTION fraud.preview_payments(text, text, jsonb) IS
    'what the first 100 payments of a body would be, storing nothing: each as mapped, without its card number, which fields are missing, what no field takes (it goes to attributes), why it would be a dead letter; in the first row a mapping that would fit the body, if one can be guessed. Where the body cannot be read there is one row without a payment';

CREATE FUNCTION fraud.preview_source(name text, mapping jsonb DEFAULT NULL,
    OUT payment int, OUT mapped jsonb, OUT missing text[], OUT left_over jsonb, OUT error text, OUT proposal jsonb)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'fraud_detect_preview_source'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 20;
COMMENT ON FUNCTION fraud.preview_source(text, jsonb) IS
    'asks the API of a source once, paused or not, and shows its answer as fraud.preview_payments does, by the source''s mapping or by the one given here; where it does not answer the one row says why. It stores nothing, and the feed takes no note of it. It waits for the answer, at most fraud_detect.poll_timeout, with the transaction open';
