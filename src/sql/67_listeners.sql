-- What listeners hear. Anybody who can connect may LISTEN and NOTIFY: it is a hint to look,
-- never an authority, and says nothing private.
CREATE FUNCTION fraud._notify_listeners(max_messages int) RETURNS bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH waiting AS (
        SELECT o.outbox_id FROM fraud.outbox o WHERE o.kind = 'alert' AND o.notified_at IS NULL
        ORDER BY o.outbox_id LIMIT max_messages FOR UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE fraud.outbox o SET notified_at = clock_timestamp() FROM waiting w WHERE o.outbox_id = w.outbox_id
        RETURNING o.outbox_id, o.payload
    )
    SELECT count(pg_notify('fraud_alerts',
        CASE WHEN current_setting('fraud_detect.notify_payload', true) = 'full' AND octet_length(t.payload::text) < 7900 THEN t.payload::text
             ELSE (jsonb_build_object('kind', 'alert', 'alert_id', t.payload -> 'alert_id', 'case_id', t.payload -> 'case_id',
                                     'decision', t.payload -> 'decision')
                  || CASE WHEN t.payload ? 'stream' THEN jsonb_build_object('stream', t.payload -> 'stream') ELSE '{}' END)::text END))
    FROM (SELECT * FROM taken ORDER BY outbox_id) t;
END;
COMMENT ON FUNCTION fraud._notify_listeners(int) IS
    'internal: sends NOTIFY fraud_alerts for alerts that no listener has heard of; returns how many';

-- With the caller's rights: who may not read the tables learns nothing of an id that was heard.
CREATE FUNCTION fraud.alert(id bigint) RETURNS TABLE (
    alert_id bigint, case_id bigint, case_status text, case_alerts bigint, transaction_id text, card uuid, last_four text,
    occurred_at timestamptz, raised_at timestamptz, amount numeric, merchant text, category text, score float8, decision text,
    model text, reasons text[])
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT a.alert_id, a.case_id, c.status,
           (SELECT count(*) FROM fraud.alerts e WHERE e.card = a.card AND e.case_id = a.case_id AND e.alert_id <= a.alert_id),
           a.transaction_id, a.card, u.last_four, a.occurred_at, a.raised_at, t.amount, t.merchant, t.category, a.score, a.decision,
           format('%s/%s', a.model, a.model_version), a.reasons
    FROM fraud.alerts a
    LEFT JOIN fraud.cases c ON c.card = a.card AND c.case_id = a.case_id
    LEFT JOIN fraud.customers u ON u.card = a.card
    LEFT JOIN fraud.transactions t ON t.card = a.card AND t.occurred_at = a.occurred_at AND t.transaction_id = a.transaction_id
    WHERE a.alert_id = id;
END;
COMMENT ON FUNCTION fraud.alert(bigint) IS
    'one alert with its payment, as it stands now: what a listener of fraud_alerts looks up, with its own rights; no row where there is no such alert';
