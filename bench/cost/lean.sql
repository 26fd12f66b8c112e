-- The windows of the 29 features of one payment p (card, at, id, merchant, category), over
-- the table of bench/cost: what a good engineer would write, once he had found the indexes.
SELECT c.count_1h, coalesce(c.sum_1h, 0)::float8, c.count_24h, coalesce(c.sum_24h, 0)::float8,
       c.count_7d, coalesce(c.sum_7d, 0)::float8, c.count_30d, coalesce(c.sum_30d, 0)::float8, c.deviation_30d::float8,
       c.category_count_30d, c.merchant_visits_30d,
       extract(epoch FROM p.at - l.occurred_at)::float8, l.merchant_latitude, l.merchant_longitude,
       m.count_24h, m.mean_30d::float8, m.fraud_rate::float8
FROM (SELECT count(*) FILTER (WHERE occurred_at > p.at - interval '1 hour') AS count_1h,
             sum(base_amount) FILTER (WHERE occurred_at > p.at - interval '1 hour') AS sum_1h,
             count(*) FILTER (WHERE occurred_at > p.at - interval '1 day') AS count_24h,
             sum(base_amount) FILTER (WHERE occurred_at > p.at - interval '1 day') AS sum_24h,
             count(*) FILTER (WHERE occurred_at > p.at - interval '7 days') AS count_7d,
             sum(base_amount) FILTER (WHERE occurred_at > p.at - interval '7 days') AS sum_7d,
             count(*) AS count_30d, sum(base_amount) AS sum_30d, stddev_samp(base_amount) AS deviation_30d,
             count(*) FILTER (WHERE category = p.category) AS category_count_30d,
             count(*) FILTER (WHERE merchant = p.merchant) AS merchant_visits_30d
      FROM plain
      WHERE card = p.card AND occurred_at > p.at - interval '30 days' AND (occurred_at, transaction_id) < (p.at, p.id)) c
LEFT JOIN (SELECT occurred_at, merchant_latitude, merchant_longitude
           FROM plain
           WHERE card = p.card AND occurred_at > p.at - interval '30 days' AND (occurred_at, transaction_id) < (p.at, p.id)
           ORDER BY occurred_at DESC, transaction_id DESC LIMIT 1) l ON true
CROSS JOIN (SELECT count(*) FILTER (WHERE occurred_at > p.at - interval '25 hours' AND occurred_at <= p.at - interval '1 hour') AS count_24h,
                   avg(base_amount) FILTER (WHERE occurred_at > p.at - interval '30 days 1 hour') AS mean_30d,
                   avg((is_fraud AND label_known_at <= p.at IS TRUE)::int) FILTER (WHERE occurred_at <= p.at - interval '7 days') AS fraud_rate
            FROM plain
            WHERE merchant = p.merchant AND occurred_at > p.at - interval '37 days' AND occurred_at <= p.at - interval '1 hour') m
