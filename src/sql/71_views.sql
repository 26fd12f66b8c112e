-- The views that people and BI tools read: sums (fraud._rollups), so each answers in
-- the time that its own rows take, however many payments there are.

CREATE VIEW fraud._daily_top AS
    SELECT k.kind, k.day,
           jsonb_agg(jsonb_build_object(
               k.kind, k.key, 'payments', k.payments, 'volume', k.volume,
               'alerts', k.alerts, 'mean_score', k.mean_score) ORDER BY k.place) AS rows
    FROM (SELECT r.kind, r.day, r.key, sum(r.payments) AS payments, sum(r.volume) AS volume,
                 sum(r.reviewed + r.blocked) AS alerts,
                 round(sum(r.score_sum) / nullif(sum(r.scored), 0), 4) AS mean_score,
                 row_number() OVER (PARTITION BY r.kind, r.day
                                    ORDER BY sum(r.score_sum) DESC, r.key) AS place
          FROM fraud._rollups r
          WHERE r.kind IN ('merchant', 'category')
          GROUP BY r.kind, r.day, r.key
          HAVING sum(r.payments) > 0) k
    WHERE k.place <= 5 GROUP BY k.kind, k.day;
COMMENT ON VIEW fraud._daily_top IS 'internal: up to five merchants and categories of a day with the greatest sum of scores';

-- Put together, not joined, and grouped by the day at each step: then what is asked of some days is read of these alone.
CREATE VIEW fraud.daily_report AS
    SELECT d.day, d.payments, d.volume, d.customers, d.alerts, d.alerted_volume,
           d.approved, d.reviewed, d.blocked, d.payments - d.approved - d.reviewed - d.blocked AS undecided,
           d.labelled_fraud, d.labelled_legitimate, d.labelled_fraud_alerted, d.labelled_fraud_volume,
           d.top_merchants, d.top_categories
    FROM (SELECT p.day, sum(p.payments)::bigint AS payments, sum(p.volume) AS volume, sum(p.customers)::bigint AS customers,
                 sum(p.reviewed + p.blocked)::bigint AS alerts, sum(p.alerted_volume) AS alerted_volume,
                 sum(p.approved)::bigint AS approved, sum(p.reviewed)::bigint AS reviewed, sum(p.blocked)::bigint AS blocked,
                 sum(p.fraud)::bigint AS labelled_fraud, sum(p.legitimate)::bigint AS labelled_legitimate,
                 sum(p.fraud_alerted)::bigint AS labelled_fraud_alerted, sum(p.fraud_volume) AS labelled_fraud_volume,
                 (array_agg(p.rows) FILTER (WHERE p.kind = 'merchant'))[1] AS top_merchants,
                 (array_agg(p.rows) FILTER (WHERE p.kind = 'category'))[1] AS top_categories
          FROM (SELECT r.kind, r.day, r.payments, r.volume, r.customers, r.approved, r.reviewed, r.blocked, r.alerted_volume,
                       r.fraud, r.legitimate, r.fraud_alerted, r.fraud_volume, NULL::jsonb AS rows
                FROM fraud._rollups r WHERE r.kind = 'day'
                UNION ALL
                SELECT m.kind, m.day, NULL::bigint, NULL::numeric, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, NULL::numeric,
                       NULL::bigint, NULL::bigint, NULL::bigint, NULL::numeric, m.rows
                FROM fraud._daily_top m) p
          GROUP BY p.day
          HAVING sum(p.payments) <> 0  -- they were, and are no more
         ) d;
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

CREATE VIEW fraud.hourly_activity AS
    SELECT r.starts_at AS hour,
           sum(r.payments)::bigint AS payments, sum(r.volume) AS volume,
           sum(r.reviewed + r.blocked)::bigint AS alerts, sum(r.alerted_volume) AS alerted_volume,
           sum(r.approved)::bigint AS approved, sum(r.reviewed)::bigint AS reviewed,
           sum(r.blocked)::bigint AS blocked,
           sum(r.payments - r.approved - r.reviewed - r.blocked)::bigint AS undecided,
           (sum(r.score_sum) / nullif(sum(r.scored), 0))::float8 AS mean_score,
           sum(r.fraud)::bigint AS labelled_fraud,
           sum(r.fraud_volume) AS labelled_fraud_volume
    FROM fraud._rollups r WHERE r.kind = 'hour'
    GROUP BY r.starts_at
    HAVING sum(r.payments) <> 0;
COMMENT ON VIEW fraud.hourly_activity IS 'one row an hour with payments; hours begin with those of fraud.report_timezone()';

CREATE VIEW fraud._daily_risk AS
    SELECT r.kind, r.day, r.key,
           r.payments, r.volume, r.alerts, r.alerted_volume,
           r.alerts::float8 / nullif(r.payments, 0) AS alert_rate, r.mean_score,
           r.labelled_fraud, r.labelled_legitimate, r.labelled_fraud_volume
    FROM (SELECT r.kind, r.day, r.key,
                 sum(r.payments)::bigint AS payments, sum(r.volume) AS volume,
                 sum(r.reviewed + r.blocked)::bigint AS alerts, sum(r.alerted_volume) AS alerted_volume,
                 (sum(r.score_sum) / nullif(sum(r.scored), 0))::float8 AS mean_score,
                 sum(r.fraud)::bigint AS labelled_fraud, sum(r.legitimate)::bigint AS labelled_legitimate,
                 sum(r.fraud_volume) AS labelled_fraud_volume
          FROM fraud._rollups r WHERE r.kind IN ('merchant', 'category', 'state')
          GROUP BY r.kind, r.day, r.key
          -- A label that came late can be of another home than its payment.
          HAVING sum(r.payments) <> 0 OR sum(r.fraud) <> 0 OR sum(r.legitimate) <> 0) r;
COMMENT ON VIEW fraud._daily_risk IS 'internal: what merchant_risk, category_risk and geography share';

CREATE VIEW fraud.merchant_risk AS
    SELECT r.day, r.key AS merchant, m.category, r.payments, r.volume, r.alerts, r.alerted_volume,
           r.alert_rate, r.mean_score, r.labelled_fraud, r.labelled_legitimate, r.labelled_fraud_volume
    FROM fraud._daily_risk r LEFT JOIN fraud.merchants m ON m.merchant = r.key
    WHERE r.kind = 'merchant';
COMMENT ON VIEW fraud.merchant_risk IS 'one row a day and merchant';

CREATE VIEW fraud.category_risk AS
    SELECT r.day, r.key AS category, r.payments, r.volume, r.alerts, r.alerted_volume,
           r.alert_rate, r.mean_score, r.labelled_fraud, r.labelled_legitimate, r.labelled_fraud_volume
    FROM fraud._daily_risk r WHERE r.kind = 'category';
COMMENT ON VIEW fraud.category_risk IS 'one row a day and category';

CREATE VIEW fraud.geography AS
    SELECT r.day, r.key AS state, CASE WHEN r.key ~ '^[A-Z]{2}$' THEN 'US-' || r.key END AS iso_3166_2,
           h.latitude, h.longitude, r.payments, r.volume, r.alerts, r.alerted_volume,
           r.alert_rate, r.mean_score, r.labelled_fraud, r.labelled_legitimate, r.labelled_fraud_volume
    FROM fraud._daily_risk r
    LEFT JOIN (SELECT c.state, avg(c.latitude) AS latitude, avg(c.longitude) AS longitude
               FROM fraud.customers c GROUP BY c.state) h ON h.state = r.key
    WHERE r.kind = 'state';
COMMENT ON VIEW fraud.geography IS 'one row a day and state of the card holder''s home';
COMMENT ON COLUMN fraud.geography.iso_3166_2 IS 'the state''s ISO 3166-2 code, for maps, where state is a two-letter code of the USA';
COMMENT ON COLUMN fraud.geography.latitude IS 'mean of the state''s homes, degrees';
COMMENT ON COLUMN fraud.geography.longitude IS 'mean of the state''s homes, degrees';

CREATE VIEW fraud.customer_activity AS
    SELECT c.card, c.last_four, c.city, c.state, c.first_payment_at, c.last_payment_at,
           a.active_days, a.payments, a.volume, a.volume / nullif(a.payments, 0) AS mean_amount,
           a.alerts, a.labelled_fraud, a.labelled_fraud_volume
    FROM (SELECT m.card, sum(bit_count(m.days::bit(32)))::bigint AS active_days,
                 sum(m.payments)::bigint AS payments, sum(m.volume) AS volume,
                 sum(m.alerts)::bigint AS alerts, sum(m.fraud)::bigint AS labelled_fraud,
                 sum(m.fraud_volume) AS labelled_fraud_volume
          FROM (SELECT u.card, bit_or(u.days) & ~bit_or(u.days_gone) AS days, sum(u.payments) AS payments, sum(u.volume) AS volume,
                       sum(u.alerts) AS alerts, sum(u.fraud) AS fraud, sum(u.fraud_volume) AS fraud_volume
                FROM (SELECT r.card, r.month, r.days, 0 AS days_gone, r.payments, r.volume, r.alerts, r.fraud, r.fraud_volume
                      FROM fraud.rollup_cards r
                      UNION ALL
                      SELECT q.card, q.month, q.days, q.days_gone, q.payments, q.volume, q.alerts, q.fraud, q.fraud_volume
                      FROM fraud._queued_cards q) u
                GROUP BY u.card, u.month) m
          GROUP BY m.card
          HAVING sum(m.payments) <> 0) a
    JOIN fraud.customers c ON c.card = a.card;
COMMENT ON VIEW fraud.customer_activity IS 'one row a card, over all its payments';
COMMENT ON COLUMN fraud.customer_activity.active_days IS 'days with a payment';

CREATE VIEW fraud.alert_queue AS
    SELECT a.alert_id, a.case_id, m.status, a.decision, a.score, a.raised_at,
           round(extract(epoch FROM now() - a.raised_at) / 3600, 2) AS age_hours,
           a.occurred_at, t.base_amount AS amount, t.merchant, t.category,
           a.card, c.last_four, c.city, c.state, a.reasons, a.transaction_id, a.model, a.model_version,
           t.amount AS paid_amount, t.currency, t.attributes
    FROM fraud.alerts a
    JOIN fraud.cases m ON m.card = a.card AND m.case_id = a.case_id
    LEFT JOIN fraud.transactions t
        ON t.card = a.card AND t.occurred_at = a.occurred_at AND t.transaction_id = a.transaction_id
    LEFT JOIN fraud.customers c ON c.card = a.card
    WHERE m.status IN ('open', 'acknowledged');
COMMENT ON VIEW fraud.alert_queue IS 'alerts that wait for a decision';

CREATE VIEW fraud.alert_outcomes AS
    SELECT (a.raised_at AT TIME ZONE (SELECT fraud.report_timezone()))::date AS day, a.decision, a.model, a.model_version,
           count(*) AS alerts,
           count(*) FILTER (WHERE m.status = 'open') AS open,
           count(*) FILTER (WHERE m.status = 'acknowledged') AS acknowledged,
           count(*) FILTER (WHERE m.status = 'confirmed') AS confirmed,
           count(*) FILTER (WHERE m.status = 'dismissed') AS dismissed,
           count(*) FILTER (WHERE m.status = 'confirmed')::float8
               / nullif(count(*) FILTER (WHERE m.status IN ('confirmed', 'dismissed')), 0) AS confirmed_share,
           count(*) FILTER (WHERE m.status = 'closed') AS closed
    FROM fraud.alerts a
    JOIN fraud.cases m ON m.card = a.card AND m.case_id = a.case_id
    GROUP BY 1, a.decision, a.model, a.model_version;
COMMENT ON VIEW fraud.alert_outcomes IS 'what became of the alerts, by the day that they were raised on, decision and model version';

CREATE VIEW fraud.model_performance AS
    SELECT r.day, r.model, r.model_version, r.matured, r.payments, r.alerts,
           r.labelled_fraud, r.labelled_fraud_alerted,
           r.labelled_fraud - r.labelled_fraud_alerted AS labelled_fraud_missed,
           r.labelled_legitimate_alerted,
           CASE WHEN r.matured THEN r.labelled_fraud_alerted::float8 / nullif(r.alerts, 0) END AS precision,
           CASE WHEN r.matured THEN r.labelled_fraud_alerted::float8 / nullif(r.labelled_fraud, 0) END AS recall,
           r.fraud_alerted_volume AS caught_volume,
           r.fraud_volume - r.fraud_alerted_volume AS lost_volume
    FROM (SELECT r.day, r.model, r.model_version,
                 (r.day + 1)::timestamp AT TIME ZONE (SELECT fraud.report_timezone())
                     + (SELECT coalesce(nullif(current_setting('fraud_detect.label_maturity', true), ''), '7d')::interval) <= now() AS matured,
                 sum(r.payments)::bigint AS payments,
                 sum(r.reviewed + r.blocked)::bigint AS alerts,
                 sum(r.fraud)::bigint AS labelled_fraud,
                 sum(r.fraud_alerted)::bigint AS labelled_fraud_alerted,
                 sum(r.legitimate_alerted)::bigint AS labelled_legitimate_alerted,
                 sum(r.fraud_volume) AS fraud_volume,
                 sum(r.fraud_alerted_volume) AS fraud_alerted_volume
          FROM fraud._rollups r
          WHERE r.kind = 'hour' AND r.key = 'live'
          GROUP BY 1, 2, 3, 4) r
    WHERE r.payments > 0;
COMMENT ON VIEW fraud.model_performance IS
    'one row a day and model version that decided on payments: how good the decisions were, by the labels known now';
COMMENT ON COLUMN fraud.model_performance.matured IS
    'the day ended more than fraud_detect.label_maturity ago: what is not labelled fraud by then counts as legitimate';
COMMENT ON COLUMN fraud.model_performance.precision IS 'of the alerts, the share that was fraud; null until matured';
COMMENT ON COLUMN fraud.model_performance.recall IS 'of the fraud, the share that raised an alert; null until matured';
COMMENT ON COLUMN fraud.model_performance.caught_volume IS 'sum of the amounts of fraud that raised an alert';
COMMENT ON COLUMN fraud.model_performance.lost_volume IS 'sum of the amounts of fraud that raised none';

CREATE VIEW fraud.score_distribution AS
    SELECT r.day, r.model, r.model_version,
           r.key::int / 100.0::float8 AS score_from, (r.key::int + 1) / 100.0::float8 AS score_to,
           r.payments, r.labelled_fraud, r.labelled_legitimate
    FROM (SELECT r.day, r.model, r.model_version, r.key,
                 sum(r.payments)::bigint AS payments, sum(r.fraud)::bigint AS labelled_fraud,
                 sum(r.legitimate)::bigint AS labelled_legitimate
          FROM fraud._rollups r WHERE r.kind = 'score'
          GROUP BY r.day, r.model, r.model_version, r.key
          HAVING sum(r.payments) <> 0) r;
COMMENT ON VIEW fraud.score_distribution IS 'one row a day, model version and hundredth of the score that has payments';
