-- The day's report, from payments of a day that has no others.
SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, reason => 'for the report');
SELECT transaction_id, status, decision FROM fraud.ingest('[
    {"cc_num": 4000000000000101, "trans_num": "r-1", "amt": 10.10, "merchant": "North", "category": "home", "current_time": 1500033600000},
    {"cc_num": 4000000000000101, "trans_num": "r-2", "amt": 20.20, "merchant": "North", "category": "travel", "current_time": 1500037200000},
    {"cc_num": 4000000000000102, "trans_num": "r-3", "amt": 30.30, "merchant": "South", "category": "home", "current_time": 1500040800000, "is_fraud": 1}]');
SELECT fraud.rollback('payments');
SELECT transaction_id, decision FROM fraud.ingest('{"cc_num": 4000000000000102, "trans_num": "r-4", "amt": 1, "merchant": "South", "current_time": 1500076000000}');
SELECT fraud.label('r-1', false) IS NOT NULL AS id;
\x
SELECT day, payments, volume, customers, alerts, alerted_volume, approved, reviewed, blocked, undecided, labelled_fraud, labelled_legitimate, labelled_fraud_alerted, labelled_fraud_volume
FROM fraud.daily_report WHERE day = '2017-07-14';
\x
SELECT m.merchant, m.payments, m.volume, m.alerts FROM fraud.daily_report r, jsonb_to_recordset(r.top_merchants) AS m(merchant text, payments int, volume numeric, alerts int)
WHERE r.day = '2017-07-14' ORDER BY m.merchant;
SELECT c.category, c.payments, c.volume FROM fraud.daily_report r, jsonb_to_recordset(r.top_categories) AS c(category text, payments int, volume numeric)
WHERE r.day = '2017-07-14' ORDER BY c.category;

-- Days are those of the report's time zone.
SET fraud_detect.report_timezone = 'Pacific/Auckland';
SELECT day, payments FROM fraud.daily_report WHERE day BETWEEN '2017-07-13' AND '2017-07-16' ORDER BY day;
RESET fraud_detect.report_timezone;
