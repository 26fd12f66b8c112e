-- What a case's payments share with other payments of the time around them. With the caller's rights.

CREATE FUNCTION fraud._case_of(case_id bigint) RETURNS fraud.cases
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    result fraud.cases;
BEGIN
    SELECT c.* INTO result FROM fraud.cases c WHERE c.case_id = _case_of.case_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'case % does not exist', case_id
            USING ERRCODE = 'no_data_found', HINT = 'fraud.cases lists the cases; those of streams are in fraud.stream_cases.';
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION fraud._case_of(bigint) IS 'internal: a case of payments, or an error that says that there is none';

CREATE FUNCTION fraud._case_links(case_id bigint, around interval)
RETURNS TABLE (kind text, value text, payments bigint, customers bigint, amount numeric, alerts bigint, frauds bigint,
               first_at timestamptz, last_at timestamptz, capped boolean)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
-- What is looked up has an index in each month.
SET enable_seqscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    most constant int := 10000;
    matter fraud.cases := fraud._case_of(_case_links.case_id);
    since timestamptz;
    until timestamptz;
    of_values text[];
    one text;
    link record;
BEGIN
    IF around IS NULL THEN
        RAISE EXCEPTION 'around must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF around < interval '0' THEN
        RAISE EXCEPTION 'around must not be negative, not %', around USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT min(a.occurred_at) - around, max(a.occurred_at) + around INTO since, until
    FROM fraud.alerts a WHERE a.card = matter.card AND a.case_id = matter.case_id;
    FOR link IN
        SELECT 'merchant' AS kind, 't.merchant' AS expression, 'text' AS type, 0 AS place
        UNION ALL
        SELECT f.name, fraud._field_expression(f.type, f.path, 't'), f.type, f.position
        FROM fraud.payment_fields f WHERE f.indexed AND f.type IN ('text', 'inet', 'bigint')
        ORDER BY place
    LOOP
        EXECUTE format(
            -- An address is told without the /32 of a whole one.
            'SELECT ARRAY(SELECT %s AS v FROM fraud.alerts a'
            ' JOIN fraud.transactions t ON t.card = a.card AND t.occurred_at = a.occurred_at AND t.transaction_id = a.transaction_id'
            ' WHERE a.card = $1 AND a.case_id = $2 AND %s IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 20)',
            CASE link.type WHEN 'inet' THEN format('abbrev(%s)', link.expression) ELSE format('(%s)::text', link.expression) END, link.expression)
            INTO of_values USING matter.card, matter.case_id;
        FOREACH one IN ARRAY of_values LOOP
            EXECUTE format(
                'SELECT count(*) AS payments, count(DISTINCT s.card) AS customers, sum(s.base_amount) AS amount,'
                ' count(*) FILTER (WHERE s.decision IN (''review'', ''block'')) AS alerts, count(*) FILTER (WHERE s.is_fraud) AS frauds,'
                ' min(s.occurred_at) AS first_at, max(s.occurred_at) AS last_at'
                ' FROM (SELECT t.card, t.base_amount, t.decision, t.is_fraud, t.occurred_at FROM fraud.transactions t'
                '       WHERE %s = CAST(%L AS %s) AND t.occurred_at >= $1 AND t.occurred_at <= $2 ORDER BY t.occurred_at DESC LIMIT $3) s',
                link.expression, one, link.type)
                INTO payments, customers, amount, alerts, frauds, first_at, last_at USING since, until, most;
            kind := link.kind;
            value := one;
            capped := payments >= most;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION fraud._case_links(bigint, interval) IS
    'internal: the body of fraud.case_links, run as its caller';

CREATE FUNCTION fraud.case_links(case_id bigint, around interval DEFAULT '7 days')
RETURNS TABLE (kind text, value text, payments bigint, customers bigint, amount numeric, alerts bigint, frauds bigint,
               first_at timestamptz, last_at timestamptz, capped boolean)
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.case_links(bigint, interval) IS
    'what the payments of a case share with payments of any customer, from so long before the first to so long after the last: merchant, and each promoted field that has an index (device, e-mail, IP, …; up to 20 values of each), with how many payments, customers, alerts and known frauds there are. Of each value at most the newest 10,000 payments are looked at (then it is capped). With the caller''s rights';
