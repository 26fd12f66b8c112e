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
