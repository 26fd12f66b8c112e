-- What keeps card numbers out of our tables (docs/security.md). Free text goes through
-- fraud._mask_card_numbers before it is stored; a name is refused, for whoever gave it
-- will use it; an id of a payment is replaced.
CREATE FUNCTION fraud._mask_card_numbers(text) RETURNS text
AS 'MODULE_PATHNAME', 'fraud_detect_mask_card_numbers'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud._mask_card_numbers(text) IS 'internal: masks what may be a card number';

CREATE FUNCTION fraud._kept_text(text) RETURNS text
AS 'MODULE_PATHNAME', 'fraud_detect_kept_text'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud._kept_text(text) IS 'internal: what a person has written, as it is kept: without what may be a card number, and without verification values and PINs behind their names';

CREATE FUNCTION fraud._mask_card_numbers(jsonb) RETURNS jsonb
AS 'MODULE_PATHNAME', 'fraud_detect_mask_card_numbers_in_json'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud._mask_card_numbers(jsonb) IS
    'internal: masks what may be a card number in keys, texts and numbers; a number that is masked becomes a text';

CREATE FUNCTION fraud._check_name(kind text, name text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF fraud._mask_card_numbers(name) <> name THEN
        RAISE EXCEPTION 'the name of a % must not hold a card number', kind
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('The name "%s" holds what may be one.', fraud._mask_card_numbers(name));
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._check_name(text, text) IS 'internal: refuses a name that holds what may be a card number';

CREATE FUNCTION fraud._payment_ids(transaction_id text) RETURNS text[]
AS 'MODULE_PATHNAME', 'fraud_detect_payment_ids'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud._payment_ids(text) IS
    'internal: the ids under which a payment may be stored that came with this one, the likeliest first';

