\set SHOW_CONTEXT never
-- Closed days, revisions, jobs, upkeep, health and the report as a page. Days of 2015.
SET datestyle = 'ISO, YMD';
SET timezone = 'UTC';
SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, reason => 'for the reports');

-- A channel that takes reports and health messages.
SELECT fraud.add_channel('reports-test', 'notify', 'reports_test', takes => '{report,health}');

-- Seven days through the live path: seven closed reports, one of a day without payments.
SELECT count(*) FROM generate_series(0, 6) d,
    LATERAL fraud.ingest(jsonb_build_object('cc_num', 4000000000009700 + d % 2, 'trans_num', 'cd-' || d, 'amt', 10 + d, 'merchant', 'Row', 'category', 'home',
        'state', 'NC', 'trans_date_trans_time', ('2015-06-0' || d + 1)::date + interval '12 hours'))
WHERE d <> 3;
SELECT d::date AS day, fraud.close_day(d::date) AS revision FROM generate_series('2015-06-01'::timestamp, '2015-06-07', '1 day') d;
SELECT day, revision, timezone, payments, volume, customers, alerts, labelled_fraud FROM fraud.daily_reports WHERE day BETWEEN '2015-06-01' AND '2015-06-07' ORDER BY day;

SELECT count(*), min(o.payload ->> 'day') AS first, bool_and(o.body_html ~ '<svg' AND o.body_text ~ 'payments') AS page, bool_and(o.subject ~ (o.payload ->> 'day')) AS subject
FROM fraud.outbox o WHERE o.kind = 'report';

-- Closed again, nothing is written.
SELECT fraud.close_day('2015-06-02') AS revision;
SELECT count(*) FROM fraud.daily_reports WHERE day BETWEEN '2015-06-01' AND '2015-06-07';

-- A late chargeback changes the model's figures of its own day, and makes a revision of it.
SELECT day, precision, recall, caught_volume FROM fraud.model_performance WHERE day BETWEEN '2015-06-02' AND '2015-06-03' ORDER BY day;
SELECT fraud.label('cd-1', true, 'chargeback') > 0 AS labelled;
SELECT day, precision, recall, caught_volume FROM fraud.model_performance WHERE day BETWEEN '2015-06-02' AND '2015-06-03' ORDER BY day;
SELECT fraud.close_day('2015-06-02') AS revision, fraud.close_day('2015-06-03') AS other_day;
SELECT day, revision, labelled_fraud, labelled_fraud_alerted, labelled_fraud_volume FROM fraud.daily_reports WHERE day = '2015-06-02' ORDER BY revision;

SELECT count(*) AS sent FROM fraud.outbox o WHERE o.kind = 'report';

-- Days that are not over, and no day.
SELECT fraud.close_day('2099-01-01');
SELECT fraud.close_day(NULL);
SELECT fraud.close_day('-infinity');
SELECT fraud.close_due_days(since => '-infinity');
SELECT fraud.report_html('infinity');

-- Missed days are made up for, once; with a new day, older ones are looked at again.
DELETE FROM fraud.daily_reports;
SET fraud_detect.report_hour = 0;
-- In one transaction, whose day is one whatever the clock.
BEGIN;
SELECT day - current_date AS day, revision FROM fraud.close_due_days(since => current_date - 3);
SELECT count(*) FROM fraud.close_due_days();
DELETE FROM fraud.daily_reports WHERE day = current_date - 2;
INSERT INTO fraud.daily_reports SELECT day, 2, now(), timezone, payments + 1, volume, customers, alerts, alerted_volume, approved, reviewed, blocked, undecided,
    labelled_fraud, labelled_legitimate, labelled_fraud_alerted, labelled_fraud_volume, top_merchants, top_categories FROM fraud.daily_reports WHERE day = current_date - 3;
SELECT day - current_date AS day, revision FROM fraud.close_due_days() ORDER BY 1, 2;
COMMIT;
RESET fraud_detect.report_hour;
DELETE FROM fraud.daily_reports;
DELETE FROM fraud.closing;

-- Jobs: what failed is written down, and shown.
SELECT fraud.run_job('rollups');
SELECT fraud.run_job('nix');
CREATE FUNCTION pg_temp.fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the purge fails'; END $$;
CREATE TRIGGER fails BEFORE DELETE ON fraud.ingest_errors EXECUTE FUNCTION pg_temp.fails();
SELECT fraud.run_job('purge');
SELECT fraud.run_job('purge');
SELECT status, detail FROM fraud.health() WHERE item = 'job purge';
SELECT fraud.notify_health(), fraud.notify_health() AS again;
DROP TRIGGER fails ON fraud.ingest_errors;
SELECT fraud.run_job('purge');
SELECT status, left(detail, 4) FROM fraud.health() WHERE item = 'job purge';
UPDATE fraud.job_state SET succeeded_at = now() - interval '1 day' WHERE job = 'rollups';
SELECT status, left(detail, 4) FROM fraud.health() WHERE item = 'job rollups';
-- One that never ran, before anybody scheduled it and since.
SELECT status, left(detail, 9) FROM fraud.health() WHERE item = 'job partitions';
BEGIN;
SELECT fraud._start_closing(NULL);
SELECT status, left(detail, 35) FROM fraud.health() WHERE item = 'job partitions';
UPDATE fraud.closing SET scheduled_at = scheduled_at - interval '1 day';
SELECT fraud._start_closing(NULL);
SELECT status, left(detail, 46) FROM fraud.health() WHERE item = 'job partitions';
ROLLBACK;
SELECT fraud.run_job('partitions');
SELECT item, status FROM fraud.health() WHERE item !~ '^(source|job|model|dead|decisions|locks)' ORDER BY item;

SELECT fraud.notify_health(), fraud.notify_health() AS again;
SELECT (SELECT string_agg(f ->> 'item', ' ') FROM jsonb_array_elements(o.payload -> 'failed') f WHERE f ->> 'item' ~ '^job') AS failed, o.payload -> 'recovered' ? 'job purge' AS recovered
FROM fraud.outbox o WHERE o.kind = 'health' ORDER BY o.outbox_id;
SELECT fraud.drop_channel('reports-test');

-- Without pg_cron: a message that says what to do.
SELECT detail FROM fraud.health() WHERE item = 'pg_cron';
SELECT fraud.schedule();
SELECT fraud.unschedule();

-- Upkeep: partitions to come; months past retention go, their sums stay.
SELECT fraud.refresh_rollups() >= 0 AS refreshed;
CREATE TEMP TABLE days_before AS SELECT * FROM fraud.daily_report;
CREATE TEMP TABLE cards_before AS SELECT * FROM fraud.customer_activity;
SELECT count(*) > 0 AS payments FROM fraud.transactions WHERE occurred_at < '2016-01-01';
SET fraud_detect.transaction_retention = '10d';
SELECT set_config('fraud_detect.transaction_retention', extract(epoch FROM now() - '2016-01-15')::bigint / 60 || 'min', false) IS NOT NULL AS set;
SELECT fraud.label('cd-2', true, 'chargeback') > 0 AS labelled;
CREATE TEMP TABLE gone (month text);
DO $$
DECLARE m text;
BEGIN
    LOOP
        m := fraud.drop_past_month();
        EXIT WHEN m IS NULL;
        INSERT INTO gone VALUES (m);
    END LOOP;
END
$$;
SELECT DISTINCT month FROM gone WHERE month >= 'transactions_2015' ORDER BY 1;
SELECT count(*) AS payments FROM fraud.transactions WHERE occurred_at < '2016-01-01';
SELECT b.day, b.labelled_fraud AS before, n.labelled_fraud AS now FROM days_before b FULL JOIN fraud.daily_report n USING (day) WHERE to_jsonb(b) IS DISTINCT FROM to_jsonb(n);
SELECT count(*) FROM (SELECT card, payments, volume, active_days FROM cards_before EXCEPT SELECT card, payments, volume, active_days FROM fraud.customer_activity) x;
SELECT fraud.rebuild_rollups() = (SELECT count(*) FROM fraud.transactions) AS rest_rebuilt;
SELECT b.day, b.labelled_fraud AS before, n.labelled_fraud AS now FROM days_before b FULL JOIN fraud.daily_report n USING (day) WHERE to_jsonb(b) IS DISTINCT FROM to_jsonb(n);
SELECT status FROM fraud.ingest('{"cc_num": 4000000000009701, "trans_num": "cd-1", "amt": 11, "merchant": "Row", "trans_date_trans_time": "2015-06-02 12:00:00"}');
RESET fraud_detect.transaction_retention;
SET fraud_detect.transaction_retention = '1d';
SET fraud_detect.dead_letter_retention = '1d';
UPDATE fraud.ingest_errors SET last_seen_at = now() - interval '2 days' WHERE error_id = (SELECT min(error_id) FROM fraud.ingest_errors);
SELECT * FROM fraud.purge() WHERE relation = 'fraud.ingest_errors'::regclass;
RESET fraud_detect.dead_letter_retention;

-- The page: all text escaped, every section there, charts that say so when empty.
SELECT count(*) FROM fraud.ingest('[
    {"cc_num": 4000000000009702, "trans_num": "cd-html", "amt": 12.50, "merchant": "<script>alert(''x'')</script>", "category": "\"><img src=x>", "state": "<b>&", "trans_date_trans_time": "2018-06-02 12:00:00"}]');
SELECT h ~ '<script' AS script, h ~ '<img' AS img, h ~ '<b>' AS bold, h ~ '&lt;script&gt;alert\(&#39;x&#39;\)&lt;/script&gt;' AS escaped, h ~ '<([^>"]|"[^"]*")*\s(src|href)=|url\(|@import' AS outside
FROM fraud.report_html('2018-06-02') h;
SELECT s AS section FROM fraud.report_html('2018-06-02') h, LATERAL regexp_matches(h, '<(?:h2|figcaption)>([^<]*)', 'g') WITH ORDINALITY m(s, i) ORDER BY i;
SELECT count(*) FROM regexp_matches(fraud.report_html('2031-01-01'), 'none this day', 'g');
SELECT fraud.report_html(NULL) IS NULL AS nothing;
SELECT fraud._axis_step(v) AS step FROM unnest(ARRAY[0, 1, 3, 4, 5, 9, 40, 41, 99, 12345]) v;
SELECT fraud._number(1234567.891, 2) AS amount, fraud._number(NULL) AS none, fraud._percent(0.1234) AS percent;

-- For analysts, and nobody else; jobs are the operator's.
CREATE ROLE fraud_test_reader;
SELECT fraud.grant_access('fraud_test_reader', 'analyst');
SET ROLE fraud_test_reader;
SELECT length(fraud.report_html('2018-06-02')) > 10000 AS page;
SELECT count(*) FROM fraud.daily_reports;
SELECT count(*) > 10 AS health FROM fraud.health();
SELECT fraud.close_day('2018-06-02');
SELECT fraud.run_job('purge');
RESET ROLE;
SELECT fraud.revoke_access('fraud_test_reader', 'analyst');
SELECT fraud.grant_access('fraud_test_reader', 'operator');
SET ROLE fraud_test_reader;
SELECT fraud.close_day('2018-06-02');
SELECT fraud.run_job('purge');
SELECT fraud.report_html('2018-06-02');
RESET ROLE;
SELECT fraud.revoke_access('fraud_test_reader', 'operator');
DROP ROLE fraud_test_reader;
DELETE FROM fraud.daily_reports;
SELECT fraud.rollback('payments');
RESET datestyle;
RESET timezone;
-- Who is told whom of those in transactions to end, where nobody can see who listens.
SELECT item, status, detail !~ 'In transactions are' AS names_nobody, advice FROM fraud._notify_queue_health(0.05);
SELECT item, status, substring(detail FROM '^[^:]*'), advice LIKE '%others need not end%', advice ~ 'pg_terminate_backend\([0-9]' AS names_one FROM unnest('{0.5,0.95}'::float8[]) u, fraud._notify_queue_health(u);
