CREATE FUNCTION fraud.report_timezone() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT coalesce(nullif(current_setting('fraud_detect.report_timezone', true), ''), 'UTC') $$;
COMMENT ON FUNCTION fraud.report_timezone() IS
    'the time zone whose days the reports count: the setting fraud_detect.report_timezone, else UTC';

CREATE VIEW fraud.daily_report AS
    WITH payment AS (
        SELECT (t.occurred_at AT TIME ZONE fraud.report_timezone())::date AS day,
               t.card, t.transaction_id, t.amount, t.merchant, t.category, t.score, t.decision,
               a.alert_id IS NOT NULL AS alerted, l.is_fraud
        FROM fraud.transactions t
        LEFT JOIN fraud.alerts a ON a.card = t.card AND a.transaction_id = t.transaction_id
        LEFT JOIN fraud.current_labels l ON l.card = t.card AND l.transaction_id = t.transaction_id
    ),
    by_merchant AS (
        SELECT p.day, p.merchant AS name, count(*) AS payments, sum(p.amount) AS volume,
               count(*) FILTER (WHERE p.alerted) AS alerts, avg(p.score) AS mean_score,
               row_number() OVER (PARTITION BY p.day
                                  ORDER BY sum(p.score) DESC NULLS LAST, p.merchant) AS place
        FROM payment p GROUP BY p.day, p.merchant
    ),
    by_category AS (
        SELECT p.day, p.category AS name, count(*) AS payments, sum(p.amount) AS volume,
               count(*) FILTER (WHERE p.alerted) AS alerts, avg(p.score) AS mean_score,
               row_number() OVER (PARTITION BY p.day
                                  ORDER BY sum(p.score) DESC NULLS LAST, p.category) AS place
        FROM payment p GROUP BY p.day, p.category
    ),
    merchants AS (
        SELECT m.day, jsonb_agg(jsonb_build_object(
                   'merchant', m.name, 'payments', m.payments, 'volume', m.volume,
                   'alerts', m.alerts, 'mean_score', round(m.mean_score::numeric, 4))
               ORDER BY m.place) AS top
        FROM by_merchant m WHERE m.place <= 5 GROUP BY m.day
    ),
    categories AS (
        SELECT c.day, jsonb_agg(jsonb_build_object(
                   'category', c.name, 'payments', c.payments, 'volume', c.volume,
                   'alerts', c.alerts, 'mean_score', round(c.mean_score::numeric, 4))
               ORDER BY c.place) AS top
        FROM by_category c WHERE c.place <= 5 GROUP BY c.day
    ),
    totals AS (
        SELECT p.day,
               count(*) AS payments,
               sum(p.amount) AS volume,
               count(DISTINCT p.card) AS customers,
               count(*) FILTER (WHERE p.alerted) AS alerts,
               coalesce(sum(p.amount) FILTER (WHERE p.alerted), 0) AS alerted_volume,
               count(*) FILTER (WHERE p.decision = 'approve') AS approved,
               count(*) FILTER (WHERE p.decision = 'review') AS reviewed,
               count(*) FILTER (WHERE p.decision = 'block') AS blocked,
               count(*) FILTER (WHERE p.decision IS NULL) AS undecided,
               count(*) FILTER (WHERE p.is_fraud) AS labelled_fraud,
               count(*) FILTER (WHERE NOT p.is_fraud) AS labelled_legitimate,
               count(*) FILTER (WHERE p.is_fraud AND p.alerted) AS labelled_fraud_alerted,
               coalesce(sum(p.amount) FILTER (WHERE p.is_fraud), 0) AS labelled_fraud_volume
        FROM payment p GROUP BY p.day
    )
    SELECT t.day, t.payments, t.volume, t.customers, t.alerts, t.alerted_volume,
           t.approved, t.reviewed, t.blocked, t.undecided,
           t.labelled_fraud, t.labelled_legitimate, t.labelled_fraud_alerted, t.labelled_fraud_volume,
           m.top AS top_merchants, c.top AS top_categories
    FROM totals t
    LEFT JOIN merchants m ON m.day = t.day
    LEFT JOIN categories c ON c.day = t.day;
COMMENT ON VIEW fraud.daily_report IS
    'one row a day (of the payments'' own time, in fraud.report_timezone()), as known now';
COMMENT ON COLUMN fraud.daily_report.volume IS 'sum of the amounts';
COMMENT ON COLUMN fraud.daily_report.customers IS 'cards with a payment that day';
COMMENT ON COLUMN fraud.daily_report.undecided IS 'history: payments that nobody decided on';
COMMENT ON COLUMN fraud.daily_report.labelled_fraud IS 'payments of the day known by now to be fraud';
COMMENT ON COLUMN fraud.daily_report.labelled_legitimate IS 'payments of the day labelled as not fraud';
COMMENT ON COLUMN fraud.daily_report.labelled_fraud_alerted IS 'of those known to be fraud, the ones that raised an alert';
COMMENT ON COLUMN fraud.daily_report.top_merchants IS 'up to five merchants with the greatest sum of scores, as a JSON array';
COMMENT ON COLUMN fraud.daily_report.top_categories IS 'up to five categories with the greatest sum of scores, as a JSON array';
