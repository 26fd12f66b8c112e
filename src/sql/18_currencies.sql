-- Money: amounts are kept as paid and in one currency, in which they are summed up and compared.

CREATE FUNCTION fraud.base_currency() RETURNS text
AS 'MODULE_PATHNAME', 'fraud_detect_base_currency'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud.base_currency() IS
    'the currency that amounts are summed up and compared in, and that payments are of which name none: fraud_detect.base_currency (ISO 4217)';

CREATE FUNCTION fraud.currency_decimals(currency text) RETURNS int
AS 'MODULE_PATHNAME', 'fraud_detect_currency_decimals'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud.currency_decimals(text) IS
    'how many decimals amounts of a currency have by ISO 4217: 0, 2, 3 or 4; null for what is no currency''s code';

-- Sums are made of whole minor units, whose sums are exact in any order, and quick.
CREATE FUNCTION fraud._base_units() RETURNS numeric
AS 'MODULE_PATHNAME', 'fraud_detect_base_units'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._base_units() IS 'internal: minor units of the base currency in one of it, such as 100';

CREATE FUNCTION fraud._base_unit() RETURNS numeric
AS 'MODULE_PATHNAME', 'fraud_detect_base_unit'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._base_unit() IS 'internal: the base currency''s minor unit, such as 0.01';

CREATE TABLE fraud.currency_rates (
    rate_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    currency text COLLATE "C" NOT NULL CHECK (fraud.currency_decimals(currency) IS NOT NULL),
    base_currency text COLLATE "C" NOT NULL CHECK (fraud.currency_decimals(base_currency) IS NOT NULL),
    rate numeric NOT NULL CHECK (rate > 0 AND rate < 100000000),
    valid_from timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    recorded_by name NOT NULL DEFAULT fraud._caller(),
    CHECK (currency <> base_currency)
);
CREATE INDEX currency_rates_idx ON fraud.currency_rates (currency, base_currency, valid_from, rate_id) INCLUDE (rate);
COMMENT ON TABLE fraud.currency_rates IS
    'what a unit of each currency was worth, and from when; rows are only added (fraud.set_currency_rate). Of those that are valid at a payment''s time the one with the latest valid_from counts, of two of the same the one recorded last';
COMMENT ON COLUMN fraud.currency_rates.rate IS 'units of the base currency that one unit is worth';
COMMENT ON COLUMN fraud.currency_rates.valid_from IS 'from this moment on, until another''s';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON fraud.currency_rates
    FOR EACH ROW EXECUTE FUNCTION fraud._append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON fraud.currency_rates
    FOR EACH STATEMENT EXECUTE FUNCTION fraud._append_only();

CREATE FUNCTION fraud._set_currency_rate(currency text, rate numeric, valid_from timestamptz) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    code text := upper(currency);
    before numeric;
BEGIN
    IF num_nulls(currency, rate, valid_from) > 0 THEN
        RAISE EXCEPTION 'currency, rate and valid_from must not be null'
            USING ERRCODE = 'null_value_not_allowed';
    ELSIF fraud.currency_decimals(code) IS NULL THEN
        RAISE EXCEPTION 'currency "%" is not known', currency
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Expected is a code of ISO 4217, such as EUR.';
    ELSIF code = fraud.base_currency() THEN
        RAISE EXCEPTION 'currency "%" is the base currency, whose rate is 1', code
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Give the rates of other currencies; fraud_detect.base_currency says which one amounts are compared in.';
    ELSIF NOT (rate > 0 AND rate < 100000000) THEN
        RAISE EXCEPTION 'rate must be above 0 and below 100000000, not %', rate
            USING ERRCODE = 'numeric_value_out_of_range',
                  DETAIL = format('It is how many %s one %s is worth.', fraud.base_currency(), code);
    ELSIF NOT isfinite(valid_from) THEN
        RAISE EXCEPTION 'valid_from must be finite' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT r.rate INTO before FROM fraud.currency_rates r
    WHERE r.currency = code AND r.base_currency = fraud.base_currency() AND r.valid_from <= _set_currency_rate.valid_from
    ORDER BY r.valid_from DESC, r.rate_id DESC LIMIT 1;
    INSERT INTO fraud.currency_rates (currency, base_currency, rate, valid_from)
    VALUES (code, fraud.base_currency(), rate, valid_from);
    PERFORM fraud._audit('add', 'currency_rate', code, CASE WHEN before IS NOT NULL THEN jsonb_build_object('rate', before) END,
        jsonb_build_object('rate', rate, 'valid_from', valid_from, 'base_currency', fraud.base_currency()));
END
$$;
COMMENT ON FUNCTION fraud._set_currency_rate(text, numeric, timestamptz) IS 'internal: the body of fraud.set_currency_rate, run as the owner';

CREATE FUNCTION fraud.set_currency_rate(currency text, rate numeric, valid_from timestamptz DEFAULT now()) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.set_currency_rate(text, numeric, timestamptz) IS
    'says how many units of fraud_detect.base_currency one unit of a currency is worth, from a moment on; payments that are stored keep the base_amount that they have';
