-- What listeners hear. Anybody who can connect may LISTEN and NOTIFY: it is a hint to look,
-- never an authority, and says nothing private.
CREATE FUNCTION fraud._notify_listeners(ids bigint[]) RETURNS SETOF bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    WITH waiting AS MATERIALIZED (
        SELECT o.outbox_id FROM fraud.outbox o
        WHERE o.outbox_id = ANY (ids) AND o.kind = 'alert' AND o.notified_at IS NULL
        FOR UPDATE SKIP LOCKED
    ), taken AS MATERIALIZED (
        UPDATE fraud.outbox o SET notified_at = clock_timestamp() WHERE o.outbox_id = ANY (ARRAY(SELECT w.outbox_id FROM waiting w))
        RETURNING o.outbox_id, o.payload
    )
    SELECT t.outbox_id
    FROM (SELECT s.* FROM taken s ORDER BY array_position(ids, s.outbox_id)) t,
         LATERAL pg_notify('fraud_alerts',
             CASE WHEN current_setting('fraud_detect.notify_payload', true) = 'full' AND octet_length(t.payload::text) < 7900 THEN t.payload::text
                  ELSE (jsonb_build_object('kind', 'alert', 'alert_id', t.payload -> 'alert_id', 'case_id', t.payload -> 'case_id',
                                           'decision', t.payload -> 'decision')
                        || CASE WHEN t.payload ? 'stream' THEN jsonb_build_object('stream', t.payload -> 'stream') ELSE '{}' END)::text END);
END
$$;
COMMENT ON FUNCTION fraud._notify_listeners(bigint[]) IS
    'internal: sends NOTIFY fraud_alerts for those of these alerts that no listener has heard of, in this order; returns which';
