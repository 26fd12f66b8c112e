CREATE FUNCTION fraud.distance_km(latitude1 float8, longitude1 float8, latitude2 float8, longitude2 float8)
RETURNS float8
AS 'MODULE_PATHNAME', 'fraud_detect_distance_km'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud.distance_km(float8, float8, float8, float8) IS
    'great-circle distance in km of two places in degrees, on a sphere of radius 6371.0088 km (haversine)';

CREATE FUNCTION fraud.ingest(payment jsonb, source text DEFAULT 'sql',
    OUT transaction_id text, OUT status text, OUT score float8, OUT decision text, OUT error text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'fraud_detect_ingest'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 1;
COMMENT ON FUNCTION fraud.ingest(jsonb, text) IS
    'as fraud.ingest(text, text), of what is jsonb already; jsonb has no NaN and no lone surrogates, and turns a number that was written as 4.497913965512794e+18 into an integer, so a card number that has lost digits is refused only where its check digit shows it';

CREATE FUNCTION fraud.ingest(payment text, source text DEFAULT 'sql',
    OUT transaction_id text, OUT status text, OUT score float8, OUT decision text, OUT error text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'fraud_detect_ingest_text'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 1;
COMMENT ON FUNCTION fraud.ingest(text, text) IS
    'stores one payment, or many, in any layout of docs/payments.md, with features, score, decision and alert, in this transaction; status is stored, duplicate or rejected (then error says why, and fraud.ingest_errors keeps the payload)';

CREATE FUNCTION fraud.assess(payment jsonb, model text DEFAULT 'payments',
    OUT score float8, OUT decision text, OUT reasons text[], OUT features jsonb)
RETURNS record
AS 'MODULE_PATHNAME', 'fraud_detect_assess'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION fraud.assess(jsonb, text) IS
    'what fraud.ingest would say of one payment, storing nothing; a payment without a time is taken as of now; reasons are what speaks most for fraud';

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

CREATE FUNCTION fraud._label(
    transaction_id text,
    is_fraud boolean,
    source text,
    known_at timestamptz,
    card uuid
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cards uuid[];
    stored_id text COLLATE "C";
    occurred timestamptz;
    new_id bigint;
BEGIN
    IF transaction_id IS NULL OR is_fraud IS NULL OR source IS NULL OR known_at IS NULL THEN
        RAISE EXCEPTION 'transaction_id, is_fraud, source and known_at must not be null'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    -- Under the id that is stored, whichever of the two the caller has.
    FOREACH stored_id IN ARRAY fraud._payment_ids(transaction_id) LOOP
        SELECT array_agg(k.card), min(k.occurred_at) INTO cards, occurred FROM fraud.payment_keys k
        WHERE k.transaction_id = stored_id AND (_label.card IS NULL OR k.card = _label.card);
        EXIT WHEN cards IS NOT NULL;
    END LOOP;
    IF cards IS NULL THEN
        RAISE EXCEPTION 'payment "%" does not exist', fraud._mask_card_numbers(transaction_id)
            USING ERRCODE = 'no_data_found',
                  HINT = 'fraud.transactions lists the payments by transaction_id.';
    ELSIF cardinality(cards) > 1 THEN
        RAISE EXCEPTION 'payment id "%" is used by % cards', stored_id, cardinality(cards)
            USING ERRCODE = 'cardinality_violation',
                  HINT = 'Give the card too: fraud.label(…, card => …).';
    ELSIF known_at < least(occurred, now()) THEN
        RAISE EXCEPTION 'known_at % is before the payment''s own time %', known_at, occurred
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO fraud.labels (card, transaction_id, is_fraud, source, known_at)
    VALUES (cards[1], stored_id, is_fraud, fraud._mask_card_numbers(source), known_at)
    RETURNING label_id INTO new_id;
    PERFORM fraud._audit('label', 'payment', transaction_id, NULL,
        jsonb_build_object('card', cards[1], 'label_id', new_id, 'is_fraud', is_fraud, 'known_at', known_at));
    RETURN new_id;
END
$$;
COMMENT ON FUNCTION fraud._label(text, boolean, text, timestamptz, uuid) IS 'internal: the body of fraud.label, run as the owner';

CREATE FUNCTION fraud.label(
    transaction_id text,
    is_fraud boolean,
    source text DEFAULT 'analyst',
    known_at timestamptz DEFAULT now(),
    card uuid DEFAULT NULL
) RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.label(text, boolean, text, timestamptz, uuid) IS
    'records what was learned of a payment, from known_at on; returns the label''s id. card is needed only where two cards used one payment id';
