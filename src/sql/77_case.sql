-- A case with all that is known of it, as data: fraud.case. fraud.case_page shows the same to people.
-- With the caller's rights: row security on the tables holds here too.

-- The payments of a case, those that weigh most first.
CREATE FUNCTION fraud._case_payments(card uuid, case_id bigint, max_rows int) RETURNS TABLE (
    transaction_id text, occurred_at timestamptz, amount numeric, currency text, base_amount numeric, merchant text, category text,
    distance_km float8, score float8, decision text, model text, model_version int, reasons text[], is_fraud boolean, attributes jsonb,
    features float4[], alert_id bigint, raised_at timestamptz)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT a.transaction_id, a.occurred_at, t.amount, t.currency, a.payment_amount, t.merchant, t.category,
           fraud.distance_km(t.home_latitude, t.home_longitude, t.merchant_latitude, t.merchant_longitude),
           a.score, a.decision, a.model, a.model_version, a.reasons, t.is_fraud, t.attributes,
           -- What an erasure has left of a vector would explain another score.
           CASE WHEN NOT EXISTS (SELECT FROM fraud.customers c WHERE c.card = a.card AND c.erased_at IS NOT NULL) THEN t.features END,
           a.alert_id, a.raised_at
    FROM fraud.alerts a
    LEFT JOIN fraud.transactions t ON t.card = a.card AND t.occurred_at = a.occurred_at AND t.transaction_id = a.transaction_id
    WHERE a.card = _case_payments.card AND a.case_id = _case_payments.case_id
    ORDER BY a.score * a.payment_amount::float8 DESC, a.alert_id LIMIT max_rows;
END;
COMMENT ON FUNCTION fraud._case_payments(uuid, bigint, int) IS 'internal: the payments of a case that weigh most';

-- What each feature did to a score, in log-odds, the greatest first; no row where that cannot be told any more: the
-- version was deleted, a feature dropped, the vector erased.
CREATE FUNCTION fraud._case_contributions(features float4[], model text, version int)
RETURNS TABLE (feature text, value float8, contribution float8, told text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF features IS NULL OR NOT EXISTS (SELECT FROM fraud.model_versions v WHERE v.model = _case_contributions.model AND v.version = _case_contributions.version) THEN
        RETURN;
    END IF;
    RETURN QUERY
        SELECT e.feature, e.value, e.contribution, e.told FROM fraud._explain_stored(features, format('%s/%s', model, version)) e
        ORDER BY abs(e.contribution) DESC, e.feature;
EXCEPTION
    WHEN undefined_column OR object_not_in_prerequisite_state THEN RETURN;
END
$$;
COMMENT ON FUNCTION fraud._case_contributions(float4[], text, int) IS
    'internal: what each feature did to the score of a payment, in log-odds, and (bias), from where these count';

-- The card's payments up to a time, newest first.
CREATE FUNCTION fraud._case_timeline(card uuid, case_id bigint, since timestamptz, until timestamptz, max_rows int) RETURNS TABLE (
    transaction_id text, occurred_at timestamptz, base_amount numeric, merchant text, category text, distance_km float8,
    latitude float8, longitude float8, score float8, decision text, is_fraud boolean, of_case boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t.transaction_id, t.occurred_at, t.base_amount, t.merchant, t.category,
           fraud.distance_km(t.home_latitude, t.home_longitude, t.merchant_latitude, t.merchant_longitude),
           t.merchant_latitude, t.merchant_longitude, t.score, t.decision, t.is_fraud,
           EXISTS (SELECT FROM fraud.alerts a WHERE a.card = t.card AND a.transaction_id = t.transaction_id AND a.case_id = _case_timeline.case_id)
    FROM (SELECT t.* FROM fraud.transactions t
          WHERE t.card = _case_timeline.card AND t.occurred_at >= since AND t.occurred_at <= until
          ORDER BY t.occurred_at DESC, t.transaction_id LIMIT max_rows) t
    ORDER BY t.occurred_at DESC, t.transaction_id;
END;
COMMENT ON FUNCTION fraud._case_timeline(uuid, bigint, timestamptz, timestamptz, int) IS 'internal: the newest of a card''s payments of a time';

CREATE FUNCTION fraud._case(id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
    matter fraud.cases := fraud._case_of(id);
    since timestamptz;
    until timestamptz;
BEGIN
    SELECT min(a.occurred_at) - interval '30 days', max(a.occurred_at) + interval '1 day' INTO since, until
    FROM fraud.alerts a WHERE a.card = matter.card AND a.case_id = id;
    RETURN jsonb_build_object(
        'case', to_jsonb(matter) || jsonb_build_object('url', nullif(replace(coalesce(current_setting('fraud_detect.case_url', true), ''), '{case_id}', id::text), '')),
        'currency', fraud.base_currency(),
        'customer', (SELECT to_jsonb(c) FROM fraud.customers c WHERE c.card = matter.card),
        'payments', coalesce((
            SELECT jsonb_agg(to_jsonb(p) - 'features' || jsonb_build_object('contributions',
                       CASE WHEN p.place <= 10 THEN (SELECT jsonb_agg(to_jsonb(e)) FROM fraud._case_contributions(p.features, p.model, p.model_version) e) END)
                       -- What else decided of the payment, such as rules that matched, belongs here.
                       ORDER BY p.place)
            FROM fraud._case_payments(matter.card, id, 100) WITH ORDINALITY p(
                transaction_id, occurred_at, amount, currency, base_amount, merchant, category, distance_km, score, decision, model, model_version,
                reasons, is_fraud, attributes, features, alert_id, raised_at, place)), '[]'),
        'timeline', coalesce((SELECT jsonb_agg(to_jsonb(t)) FROM fraud._case_timeline(matter.card, id, since, until, 200) t), '[]'),
        'links', coalesce((SELECT jsonb_agg(to_jsonb(l)) FROM fraud.case_links(id) l), '[]'),
        'history', coalesce((SELECT jsonb_agg(to_jsonb(h) - 'card' - 'case_id' ORDER BY h.event_id)
                             FROM fraud.case_history h WHERE h.card = matter.card AND h.case_id = id), '[]'),
        'other_cases', coalesce((SELECT jsonb_agg(jsonb_build_object('case_id', o.case_id, 'status', o.status, 'opened_at', o.opened_at, 'amount', o.amount, 'alerts', o.alerts)
                                                  ORDER BY o.case_id DESC)
                                 FROM (SELECT * FROM fraud.cases o WHERE o.card = matter.card AND o.case_id <> id ORDER BY o.case_id DESC LIMIT 50) o), '[]'));
END
$$;
COMMENT ON FUNCTION fraud._case(bigint) IS 'internal: the body of fraud.case, run as its caller';

CREATE FUNCTION fraud.case(id bigint) RETURNS jsonb
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.case(bigint) IS
    'all that is known of a case: case, currency (of amounts), customer, payments (the 100 that weigh most, with reasons; of the first 10 the contributions of each feature in log-odds and words), timeline (the card''s newest 200 payments from 30 days before to a day after), links (fraud.case_links), history with notes, other_cases of the customer. With the caller''s rights; an error with SQLSTATE P0002 where there is no such case';
