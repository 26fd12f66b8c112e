-- What takes a period refuses one that holds no moment, everywhere alike.
CREATE FUNCTION fraud._check_period("from" timestamptz, "to" timestamptz) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_check_period'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud._check_period(timestamptz, timestamptz) IS 'internal: refuses a period [from, to) that is empty (22023)';
