-- What a listener of fraud_alerts looks up.

-- With the caller's rights: who may not read the tables learns nothing of an id that was heard.
CREATE FUNCTION fraud._alert(id bigint) RETURNS TABLE (
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
           a.model || '/' || a.model_version, a.reasons, NULL, NULL, NULL, a.stream, a.event_id, a.entity
    FROM fraud.stream_alerts a
    LEFT JOIN fraud.stream_cases c ON c.stream = a.stream AND c.case_id = a.case_id
    WHERE a.alert_id = id;
END;
COMMENT ON FUNCTION fraud._alert(bigint) IS 'internal: the body of fraud.alert, run as its caller';

CREATE FUNCTION fraud.alert(id bigint) RETURNS TABLE (
    alert_id bigint, case_id bigint, case_status text, case_alerts bigint, transaction_id text, card uuid, last_four text,
    occurred_at timestamptz, raised_at timestamptz, amount numeric, merchant text, category text, score float8, decision text,
    model text, reasons text[], currency text, base_amount numeric, attributes jsonb, stream text, event_id text, entity text)
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.alert(bigint) IS
    'one alert with its payment, or of a stream (docs/streams.md) with its event, as it stands now: what a listener of fraud_alerts looks up, with its own rights; no row where there is no such alert';

-- What a receiver is told of an alert beyond what was written with it: where its case is seen, and the
-- time as people have it. Both are of the moment of sending: settings change.
CREATE FUNCTION fraud._told_alert(payload jsonb) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, YMD'
BEGIN ATOMIC
    SELECT payload
        || CASE WHEN s.url <> '' AND payload ->> 'case_id' IS NOT NULL
                THEN jsonb_build_object('case_url', replace(s.url, '{case_id}', payload ->> 'case_id')) ELSE '{}' END
        || CASE WHEN s.zone <> 'UTC' AND payload ->> 'occurred_at' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}T'
                THEN jsonb_build_object('local_time', to_char((payload ->> 'occurred_at')::timestamptz AT TIME ZONE s.zone, 'YYYY-MM-DD HH24:MI:SS') || ' ' || s.zone) ELSE '{}' END
    FROM (SELECT coalesce(current_setting('fraud_detect.case_url', true), '') AS url, fraud.report_timezone() AS zone) s;
END;
COMMENT ON FUNCTION fraud._told_alert(jsonb) IS
    'internal: an alert''s message with case_url (fraud_detect.case_url) and local_time (fraud_detect.report_timezone), where there are such';
