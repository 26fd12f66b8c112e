-- How people find a payment: by its id, or by what they know of it. With the caller's rights.

CREATE FUNCTION fraud._payment(id text, card uuid) RETURNS TABLE (
    transaction_id text, card uuid, last_four text, occurred_at timestamptz, received_at timestamptz, amount numeric, currency text, base_amount numeric,
    merchant text, category text, score float8, decision text, model text, is_fraud boolean, label_known_at timestamptz,
    case_id bigint, alert_id bigint, reasons text[], source text, attributes jsonb)
LANGUAGE sql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t.transaction_id, t.card, c.last_four, t.occurred_at, t.received_at, t.amount, t.currency, t.base_amount,
           t.merchant, t.category, t.score, t.decision, t.model || '/' || t.model_version, t.is_fraud, t.label_known_at,
           a.case_id, a.alert_id, a.reasons, t.source, t.attributes
    FROM fraud.payment_keys k
    JOIN fraud.transactions t ON t.card = k.card AND t.occurred_at = k.occurred_at AND t.transaction_id = k.transaction_id
    LEFT JOIN fraud.customers c ON c.card = t.card
    LEFT JOIN fraud.alerts a ON a.card = t.card AND a.transaction_id = t.transaction_id
    WHERE k.transaction_id = _payment.id COLLATE "C" AND (_payment.card IS NULL OR k.card = _payment.card);
END;
COMMENT ON FUNCTION fraud._payment(text, uuid) IS 'internal: the body of fraud.payment, run as its caller';

CREATE FUNCTION fraud.payment(id text, card uuid DEFAULT NULL) RETURNS TABLE (
    transaction_id text, card uuid, last_four text, occurred_at timestamptz, received_at timestamptz, amount numeric, currency text, base_amount numeric,
    merchant text, category text, score float8, decision text, model text, is_fraud boolean, label_known_at timestamptz,
    case_id bigint, alert_id bigint, reasons text[], source text, attributes jsonb)
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 1;
COMMENT ON FUNCTION fraud.payment(text, uuid) IS
    'the stored payment of an id, as it is now, with its case where it raised an alert; several rows where several cards used the id, none where it is not stored (or not any more). By index, with the caller''s rights';

CREATE FUNCTION fraud._find_payments(
    of_last_four text, of_merchant text, of_attribute text, of_value text, since timestamptz, until timestamptz,
    min_amount numeric, max_amount numeric, of_card uuid, max_rows int)
RETURNS TABLE (
    transaction_id text, card uuid, last_four text, occurred_at timestamptz, amount numeric, currency text, base_amount numeric,
    merchant text, category text, score float8, decision text, is_fraud boolean, case_id bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
-- What is looked for has an index in each month.
SET enable_seqscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    field fraud.payment_fields;
    cards uuid[];
    merchants text[];
    condition text := '';
BEGIN
    IF num_nonnulls(of_last_four, of_merchant, of_attribute, of_card) = 0 THEN
        RAISE EXCEPTION 'nothing is given to look for'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give last_four, merchant, card, or attribute and value; of one payment fraud.payment(id).';
    ELSIF num_nulls(of_attribute, of_value) = 1 THEN
        RAISE EXCEPTION 'attribute and value must be given together' USING ERRCODE = 'invalid_parameter_value';
    ELSIF num_nulls(since, until, max_rows) > 0 THEN
        RAISE EXCEPTION 'from, to and max_rows must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF max_rows NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'max_rows is %, expected 1 to 10000', max_rows USING ERRCODE = 'invalid_parameter_value';
    ELSIF of_last_four !~ '^[0-9]{4}$' THEN
        RAISE EXCEPTION 'last_four must be four digits' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM fraud._check_period(since, until);
    IF of_last_four IS NOT NULL THEN
        cards := ARRAY(SELECT c.card FROM fraud.customers c WHERE c.last_four = of_last_four LIMIT 10000);
        condition := condition || ' AND t.card = ANY ($1)';
    END IF;
    IF of_card IS NOT NULL THEN
        condition := condition || ' AND t.card = $2';
    END IF;
    IF of_merchant IS NOT NULL THEN
        merchants := ARRAY(SELECT m.merchant FROM fraud.merchants m WHERE m.merchant = of_merchant);
        IF merchants = '{}' THEN  -- a part of the name
            merchants := ARRAY(SELECT m.merchant FROM fraud.merchants m
                               WHERE position(lower(of_merchant) IN lower(m.merchant)) > 0 ORDER BY m.merchant LIMIT 100);
        END IF;
        condition := condition || ' AND t.merchant = ANY ($3)';
    END IF;
    IF of_attribute IS NOT NULL THEN
        SELECT f.* INTO field FROM fraud.payment_fields f WHERE f.name = of_attribute;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'payment field "%" does not exist', of_attribute
                USING ERRCODE = 'undefined_column', HINT = 'fraud.payment_fields lists the fields; fraud.add_payment_field(…, index => true) makes one that is found quickly.';
        END IF;
        condition := condition || format(' AND %s = CAST(%L AS %s)', fraud._field_expression(field.type, field.path, 't'), of_value, field.type);
    END IF;
    RETURN QUERY EXECUTE
        'SELECT t.transaction_id, t.card, c.last_four, t.occurred_at, t.amount, t.currency, t.base_amount, t.merchant, t.category,'
        ' t.score, t.decision, t.is_fraud, a.case_id'
        ' FROM (SELECT * FROM fraud.transactions t WHERE t.occurred_at >= $4 AND t.occurred_at < $5'
        ' AND ($6 IS NULL OR t.base_amount >= $6) AND ($7 IS NULL OR t.base_amount <= $7)' || condition ||
        ' ORDER BY t.occurred_at DESC, t.transaction_id LIMIT $8) t'
        ' LEFT JOIN fraud.customers c ON c.card = t.card'
        ' LEFT JOIN fraud.alerts a ON a.card = t.card AND a.transaction_id = t.transaction_id'
        ' ORDER BY t.occurred_at DESC, t.transaction_id'
        USING cards, of_card, merchants, since, until, min_amount, max_amount, max_rows;
END
$$;
COMMENT ON FUNCTION fraud._find_payments(text, text, text, text, timestamptz, timestamptz, numeric, numeric, uuid, int) IS
    'internal: the body of fraud.find_payments, with the caller''s rights';

CREATE FUNCTION fraud.find_payments(
    last_four text DEFAULT NULL, merchant text DEFAULT NULL, attribute text DEFAULT NULL, value text DEFAULT NULL,
    "from" timestamptz DEFAULT '-infinity', "to" timestamptz DEFAULT 'infinity', min_amount numeric DEFAULT NULL, max_amount numeric DEFAULT NULL,
    card uuid DEFAULT NULL, max_rows int DEFAULT 100)
RETURNS TABLE (
    transaction_id text, card uuid, last_four text, occurred_at timestamptz, amount numeric, currency text, base_amount numeric,
    merchant text, category text, score float8, decision text, is_fraud boolean, case_id bigint)
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.find_payments(text, text, text, text, timestamptz, timestamptz, numeric, numeric, uuid, int) IS
    'stored payments of [from, to), newest first, at most max_rows (1 to 10,000), of which all that is given is true: last four digits of the card, merchant (the name, else a part of it), a promoted field (fraud.payment_fields) and its value, base_amount from min_amount to max_amount, card. By index, with the caller''s rights; of a field without an index all payments of the time are read';
