-- What a listener of fraud_alerts looks up.

-- With the caller's rights: who may not read the tables learns nothing of an id that was heard.
CREATE FUNCTION fraud.alert(id bigint) RETURNS TABLE (
    alert_id bigint, case_id bigint, case_status text, case_alerts bigint, transaction_id text, card uuid, last_four text,
    occurred_at timestamptz, raised_at timestamptz, amount numeric, merchant text, category text, score float8, decision text,
    model text, reasons text[], currency text, base_amount numeric, attributes jsonb, stream text, event_id text, entity text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT a.alert_id, a.case_id, c.status,
           (SELECT count(*) FROM fraud.alerts e WHERE e.card = a.card AND e.case_id = a.case_id AND e.alert_id <= a.alert_id),
           a.transaction_id, a.card, u.last_four, a.occurred_at, a.raised_at, t.amount, t.merchant, t.category, a.score, a.decision,
           format('%s/%s', a.model, a.model_version), a.reasons, t.currency, t.base_amount, t.attributes, NULL::text, NULL::text, NULL::text
    FROM fraud.alerts a
    LEFT JOIN fraud.cases c ON c.card = a.card AND c.case_id = a.case_id
    LEFT JOIN fraud.customers u ON u.card = a.card
    LEFT JOIN fraud.transactions t ON t.card = a.card AND t.occurred_at = a.occurred_at AND t.transaction_id = a.transaction_id
    WHERE a.alert_id = id
    UNION ALL
    SELECT a.alert_id, a.case_id, c.status,
           (SELECT count(*) FROM fraud.stream_alerts e WHERE e.stream = a.stream AND e.case_id = a.case_id AND e.alert_id <= a.alert_id),
           NULL, NULL, NULL, a.event_time, a.raised_at, a.amount, NULL, NULL, a.score, a.decision,
           format('%s/%s', a.model, a.model_version), a.reasons, NULL, NULL, NULL, a.stream, a.event_id, a.entity
    FROM fraud.stream_alerts a
    LEFT JOIN fraud.stream_cases c ON c.stream = a.stream AND c.case_id = a.case_id
    WHERE a.alert_id = id;
END;
COMMENT ON FUNCTION fraud.alert(bigint) IS
    'one alert with its payment, or of a stream (docs/streams.md) with its event, as it stands now: what a listener of fraud_alerts looks up, with its own rights; no row where there is no such alert';
