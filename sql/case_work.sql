-- How cases are worked: who has which, notes, each payment by itself, merges, floods; and what is shown of a case.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE ROLE regress_fraud_ana;
CREATE ROLE regress_fraud_bo;
CREATE ROLE regress_fraud_none;
SELECT fraud.grant_access('regress_fraud_ana', 'analyst'), fraud.grant_access('regress_fraud_bo', 'analyst');
SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, reason => 'alert on all');
-- What other tests left undecided is not of this one.
SELECT count(*) >= 0 AS closed FROM fraud.acknowledge_cases(ARRAY(SELECT case_id FROM fraud.cases WHERE status = 'open'));
SELECT count(*) >= 0 AS closed FROM fraud.assign_cases(ARRAY(SELECT case_id FROM fraud.cases WHERE status = 'acknowledged'), current_user::name);
SET fraud_detect.alert_window = '1 h';
SELECT fraud.add_payment_field('cw_device', 'text', '$.device', index => true), fraud.add_payment_field('cw_ip', 'inet', '$.ip', index => true);
CREATE FUNCTION pay(card bigint, id text, amount numeric, device text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT status FROM fraud.ingest(jsonb_strip_nulls(jsonb_build_object('cc_num', card, 'trans_num', id, 'amt', amount, 'merchant', 'cw ' || id, 'category', 'travel',
        'unix_time', 1490000000 + length(id), 'lat', 40, 'long', -70, 'merch_lat', 41, 'merch_long', -71, 'device', device, 'ip', CASE WHEN device IS NOT NULL THEN '203.0.113.9' END)))
$$;
CREATE FUNCTION case_of(id text) RETURNS bigint LANGUAGE sql AS $$ SELECT case_id FROM fraud.alerts WHERE transaction_id = id $$;
GRANT EXECUTE ON FUNCTION case_of TO PUBLIC;
CREATE FUNCTION fault(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text; hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN regexp_replace(format('%s (%s)', message, hint), 'case [0-9]+', 'case N', 'g') || ' ' || SQLSTATE;
END $$;
GRANT EXECUTE ON FUNCTION fault TO PUBLIC;
CREATE VIEW queue AS
    SELECT (SELECT string_agg(a.transaction_id, ' ' ORDER BY a.alert_id) FROM fraud.alerts a WHERE (a.card, a.case_id) = (q.card, q.case_id)) AS payments,
           q.status, q.amount, q.alerts, q.last_four, q.assignee, q.overdue, q.card, q.case_id, q.priority, q.due_at, q.opened_at
    FROM fraud.case_queue q;
GRANT SELECT ON queue TO PUBLIC;

-- ------------------------------------------------------------------ priority
-- The sum of score times amount: what is opened has it, what joins adds to it.
SELECT pay(4000000000000301, 'cw-1', 100, 'd1'), pay(4000000000000302, 'cw-2', 5000, 'd1'), pay(4000000000000303, 'cw-3', 20), pay(4000000000000301, 'cw-4', 900);
SELECT payments, abs(priority / (SELECT sum(a.score * a.payment_amount::float8) FROM fraud.alerts a WHERE a.card = queue.card AND a.case_id = queue.case_id) - 1) < 1e-12 AS as_summed,
       due_at - opened_at AS due, overdue, assignee
FROM queue WHERE payments LIKE '%cw-%' ORDER BY payments;
SELECT array_agg(case_id ORDER BY place) = array_agg(case_id ORDER BY priority DESC, case_id) AS worst_first FROM (SELECT case_id, priority, row_number() OVER () AS place FROM fraud.case_queue) q;
-- The queue is read by its index, however many wait.
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT case_id, priority FROM fraud.case_queue LIMIT 20;
RESET enable_seqscan;
RESET enable_bitmapscan;
RESET enable_sort;
-- A planner that sorts, as of a table that it knows nothing of, sorts the cases' own rows and makes the sums of those that are shown.
BEGIN;
SET LOCAL enable_indexscan = off;
SET LOCAL enable_bitmapscan = off;
CREATE FUNCTION pg_temp.sums_under_sort(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    plan jsonb;
BEGIN
    EXECUTE 'EXPLAIN (VERBOSE, FORMAT json) ' || query INTO plan;
    RETURN (SELECT count(*) FROM jsonb_path_query(plan, '$.**?(@."Node Type" == "Sort").**."Subplan Name"'));
END $$;
SELECT pg_temp.sums_under_sort('SELECT * FROM fraud.case_queue LIMIT 20') AS first, pg_temp.sums_under_sort('SELECT * FROM fraud.case_queue ORDER BY priority DESC, case_id LIMIT 20') AS asked,
       pg_temp.sums_under_sort('SELECT * FROM fraud.stream_case_queue ORDER BY priority DESC, case_id LIMIT 20') AS of_streams;
ROLLBACK;
-- The time due is a setting; what is open keeps its own.
SET fraud_detect.case_due = '4 h';
SELECT pay(4000000000000304, 'cw-5', 1);
SET fraud_detect.case_due = 0;
SELECT pay(4000000000000305, 'cw-6', 0.01);
RESET fraud_detect.case_due;
SELECT payments, due_at - opened_at AS due FROM queue WHERE payments LIKE 'cw-_' ORDER BY payments;

-- ---------------------------------------------------------------------- take
-- The worst first, and what somebody has no second time.
SET ROLE regress_fraud_ana;
SELECT status, assignee, status_by FROM fraud.take_case() c;
SELECT payments, status, assignee FROM queue WHERE payments IN ('cw-1 cw-4', 'cw-2') ORDER BY payments;
SET ROLE regress_fraud_bo;
SELECT count(*), max(assignee), count(*) FILTER (WHERE c.case_id IN (case_of('cw-1'), case_of('cw-3'))) AS the_worst_of_these FROM fraud.take_case(2) c;
SELECT count(*) FROM fraud.take_case(1000);
SELECT count(*) AS nothing_left FROM fraud.take_case();
SELECT fraud.take_case(0);
SELECT fraud.take_case(NULL);
RESET ROLE;
-- -------------------------------------------------------------- assign, note
SELECT assignee FROM fraud.assign_case(case_of('cw-3'), NULL, 'back to the pile');
SELECT assignee, status FROM fraud.assign_case(case_of('cw-3'), 'regress_fraud_ana');
SELECT count(*) AS changed FROM fraud.assign_cases(ARRAY[case_of('cw-3'), case_of('cw-5')], 'regress_fraud_ana');
SELECT fraud.assign_case(case_of('cw-3'), 'regress_fraud_none');
SELECT fraud.assign_case(case_of('cw-3'), 'no such role');
SELECT fraud.assign_case(-1, NULL);
SELECT fraud.assign_cases('{-1,-2}', NULL);
SELECT fraud.assign_cases('{NULL}', NULL);
SELECT status, assignee FROM fraud.note_case(case_of('cw-3'), 'card 4929 0000 0012 3455 was called');
SELECT count(*) FROM fraud.note_cases(ARRAY[case_of('cw-3'), case_of('cw-5')], 'both');
SELECT fraud.note_case(case_of('cw-3'), ' ');
SELECT fraud.note_case(case_of('cw-3'), NULL);
SELECT fraud.note_case(case_of('cw-3'), repeat('x', 10001));
SELECT action, old_status, new_status, assignee, note, changed_by = current_user AS by_me FROM fraud.case_history WHERE case_id = case_of('cw-3') ORDER BY event_id;
-- What is written of a customer is not in the audit log.
SELECT action, old, new FROM fraud.audit_log WHERE object_kind = 'case' AND object_name = case_of('cw-3')::text ORDER BY audit_id;
-- A decision is whoever's made it, where nobody had the case; a decided one is not given away.
SELECT status, assignee FROM fraud.dismiss_case(case_of('cw-3'));
SELECT fault($$SELECT fraud.assign_case(case_of('cw-3'), NULL)$$);
SELECT count(*) FROM fraud.assign_cases(ARRAY[case_of('cw-3')], NULL);
SELECT status FROM fraud.note_case(case_of('cw-3'), 'and yet');
SET fraud_detect.case_due = '2 h';
SELECT status, assignee, due_at = now() + interval '2 h' AS due_anew FROM fraud.reopen_case(case_of('cw-3'));
RESET fraud_detect.case_due;

-- ------------------------------------------------- each payment by itself
SELECT pay(4000000000000310, 'cw-11', 10), pay(4000000000000310, 'cw-12', 10), pay(4000000000000310, 'cw-13', 10);
CREATE VIEW known AS SELECT transaction_id, is_fraud, source FROM fraud.current_labels WHERE transaction_id IN ('cw-11', 'cw-12', 'cw-13') ORDER BY transaction_id;
SELECT status FROM fraud.decide_case(case_of('cw-11'), '{cw-12}', note => 'one of three');
TABLE known;
SELECT status FROM fraud.decide_case(case_of('cw-11'), '{}', '{cw-11}');
TABLE known;
SELECT fraud.label('cw-11', true, 'chargeback') > 0 AS labelled;
SELECT fraud.decide_case(case_of('cw-11'), '{cw-12}', '{cw-11}');
SELECT status FROM fraud.decide_case(case_of('cw-11'), '{cw-12}', '{cw-11}', overrule => true);
TABLE known;
SELECT action, old, new - 'overrules' AS new, jsonb_array_length(new -> 'overrules') AS overruled FROM fraud.audit_log WHERE action = 'decide' AND object_name = case_of('cw-11')::text ORDER BY audit_id;
SELECT fault($$SELECT fraud.decide_case(case_of('cw-11'), '{cw-1}')$$);
SELECT fraud.decide_case(case_of('cw-11'), '{cw-11}', '{cw-11}');
SELECT fraud.decide_case(case_of('cw-11'), NULL);
SELECT fraud.decide_case(case_of('cw-11'), '{NULL}');
SELECT fraud.decide_case(-1, '{}');
SELECT (fraud.reopen_case(case_of('cw-11'))).status;
TABLE known;
SELECT action, old_status, new_status FROM fraud.case_history WHERE case_id = case_of('cw-11') ORDER BY event_id;

-- --------------------------------------------------------------------- merge
SET fraud_detect.alert_window = 0;
SELECT pay(4000000000000320, 'cw-21', 10), pay(4000000000000320, 'cw-22', 20), pay(4000000000000320, 'cw-23', 30);
SELECT case_of('cw-21') AS one, case_of('cw-22') AS two, case_of('cw-23') AS three \gset
SELECT status, alerts, amount, abs(priority - (SELECT sum(score * payment_amount::float8) FROM fraud.alerts WHERE transaction_id IN ('cw-21', 'cw-22', 'cw-23'))) < 1e-9 AS priority
FROM fraud.merge_cases(:one, ARRAY[:two, :three], 'the same evening');
SELECT status, alerts, merged_into = :one AS merged FROM fraud.cases WHERE case_id IN (:two, :three);
SELECT count(DISTINCT case_id) FROM fraud.alerts WHERE transaction_id IN ('cw-21', 'cw-22', 'cw-23');
SELECT action, new_status, other_case IN (:one, :two, :three) AS other, note FROM fraud.case_history WHERE case_id IN (:one, :two, :three) ORDER BY event_id;
SELECT fault(format('SELECT fraud.merge_cases(%1$s, ARRAY[%1$s])', :one));
SELECT count(*) FROM fraud.reopen_cases(ARRAY[:two]);
SELECT fraud.merge_cases(:one, '{}');
SELECT fault(format('SELECT fraud.merge_cases(%s, ARRAY[%s])', :one, case_of('cw-11')));
SELECT fault(format('SELECT fraud.merge_cases(%s, ARRAY[%s])', :one, :two));
SELECT fault(format('SELECT fraud.confirm_case(%s)', :two));
SELECT fault(format('SELECT fraud.decide_case(%s, ''{}'')', :two));
-- An alert moves with its case, and not otherwise.
UPDATE fraud.alerts SET case_id = case_of('cw-11') WHERE transaction_id = 'cw-21';
UPDATE fraud.alerts SET score = 0 WHERE transaction_id = 'cw-21';
SELECT status, alerts FROM fraud.confirm_case(:one);
SELECT count(*) FROM fraud.current_labels WHERE transaction_id IN ('cw-21', 'cw-22', 'cw-23') AND is_fraud;

-- --------------------------------------------------------------------- flood
SELECT clock_timestamp() AS flood_begins \gset
SELECT count(pay(4000000000000400 + i, 'cw-f' || i, i)) FROM generate_series(1, 9) i;
SELECT clock_timestamp() AS flood_ends \gset
SELECT assignee FROM fraud.assign_case(case_of('cw-f1'), 'regress_fraud_ana');
SELECT status FROM fraud.acknowledge_case(case_of('cw-f2'));
SELECT status FROM fraud.confirm_case(case_of('cw-f3'));
SET client_min_messages = notice;
SELECT fraud.close_flood(:'flood_begins', :'flood_ends', 'a threshold of 0');
SELECT fraud.close_flood(:'flood_begins', :'flood_ends', 'a threshold of 0');
SET client_min_messages = warning;
SELECT c.status, count(*), count(l.is_fraud) AS labelled FROM fraud.alerts a JOIN fraud.cases c USING (case_id) LEFT JOIN fraud.current_labels l USING (transaction_id)
WHERE a.transaction_id LIKE 'cw-f%' GROUP BY 1 ORDER BY 1;
SELECT action, old_status, new_status, note, count(*) FROM fraud.case_history h JOIN fraud.alerts a USING (case_id) WHERE a.transaction_id LIKE 'cw-f%' AND action = 'close' GROUP BY 1, 2, 3, 4;
SELECT object_kind, new - 'from' - 'to' AS new FROM fraud.audit_log WHERE action = 'close' AND object_kind = 'flood' ORDER BY audit_id;
-- Closed is not the end.
SELECT status FROM fraud.confirm_case(case_of('cw-f4'));
SELECT status FROM fraud.reopen_case(case_of('cw-f5'));
SELECT sum(closed) > 0 AS in_the_view FROM fraud.alert_outcomes;
SELECT fraud.close_flood('2026-01-02', '2026-01-01', 'x');
SELECT fraud.close_flood(now(), now() + interval '1 h', ' ');
SELECT fraud.close_flood(now(), NULL, 'x');

-- ------------------------------------------------------------ what is shown
-- An analyst may, and sees the category by its name.
SET ROLE regress_fraud_ana;
SELECT jsonb_object_keys(fraud.case(case_of('cw-2'))) ORDER BY 1;
SELECT p ->> 'transaction_id' AS payment, p ->> 'merchant' AS merchant, (p ->> 'distance_km')::float8::int AS km, jsonb_array_length(p -> 'contributions') > 10 AS contributions
FROM jsonb_array_elements(fraud.case(case_of('cw-1')) -> 'payments') p ORDER BY 1;
SELECT e ->> 'told' AS told FROM jsonb_path_query(fraud.case(case_of('cw-2')), '$.payments[0].contributions[*] ? (@.feature == "category")') e;
-- They add up to the score.
SELECT abs(1 / (1 + exp(-sum((e ->> 'contribution')::float8))) - max((p ->> 'score')::float8)) < 1e-6 AS adds_up
FROM (SELECT fraud.case(case_of('cw-2')) -> 'payments' -> 0 AS p) c, jsonb_array_elements(p -> 'contributions') e;
SELECT count(*) > 10 AS may_explain FROM fraud.payment('cw-2') p, fraud_explain((SELECT f.features FROM fraud.assess('{"cc_num": "4000000000000302", "trans_num": "x", "amt": 1, "merchant": "m", "category": "travel"}') f)) e;
SELECT kind, value, payments, customers, amount, alerts, frauds, capped FROM fraud.case_links(case_of('cw-1')) ORDER BY kind, value;
SELECT fraud.case_links(case_of('cw-1'), '-1 day');
SELECT fraud.case(-1);
SELECT fraud.case_page(-1);
SELECT fraud.case(NULL);
SELECT fraud.case_page(NULL);
SELECT status IS NOT NULL AS noted FROM fraud.note_case(case_of('cw-2'), '<script>alert(1)</script> & "more"');
SELECT page ~ '^<!DOCTYPE html>' AS page, page !~ '<script' AS no_script, page LIKE '%&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;more&quot;%' AS as_text, page !~ '(src|href)="?(https?:)?//' AS alone,
       page LIKE '%category travel%' AS words, page LIKE '%<circle%' AS timeline, page LIKE '%cw_device%' AS links, page LIKE '%where the model begins%' AS waterfall
FROM fraud.case_page(case_of('cw-2')) page;
SELECT fraud.case_page(:two) LIKE '%Merged into case ' || :one || '%' AS merged;
-- The address of a case, where one is set.
RESET ROLE;
SET fraud_detect.case_url = 'javascript:alert({case_id})';
SET fraud_detect.case_url = 'https://desk.example/cases/';
SET fraud_detect.case_url = 'https://desk.example/"{case_id}';
SET fraud_detect.case_url = 'https://desk.example/cases/{case_id}?a=1&b=2';
SELECT replace(fraud.case(case_of('cw-2')) -> 'case' ->> 'url', '/' || case_of('cw-2') || '?', '/N?') AS url;
SELECT replace(fraud._told_alert(payload) ->> 'case_url', '/' || case_of('cw-2') || '?', '/N?') AS url, fraud._told_alert(payload) ? 'local_time' AS another_time FROM fraud.outbox WHERE payload ->> 'transaction_id' = 'cw-2';
SELECT fraud.refresh_rollups() >= 0 AS summed;
BEGIN;
UPDATE fraud.rollup_state SET timezone = 'America/New_York';
SELECT fraud._told_alert(payload) ->> 'local_time' AS local_time FROM fraud.outbox WHERE payload ->> 'transaction_id' = 'cw-2';
ROLLBACK;
SELECT fraud.report_html('2017-03-20') LIKE '%href="https://desk.example/cases/' || case_of('cw-2') || '?a=1&amp;b=2">case%' AS linked;
RESET fraud_detect.case_url;
SELECT fraud._told_alert(payload) = payload AS nothing_to_add FROM fraud.outbox WHERE payload ->> 'transaction_id' = 'cw-2';

-- ------------------------------------------------------------------- payments
SET ROLE regress_fraud_ana;
SELECT transaction_id, last_four, amount, currency, merchant, decision, case_id = case_of('cw-2') AS its_case, attributes FROM fraud.payment('cw-2');
SELECT count(*) FROM fraud.payment('no such payment');
SELECT count(*) FROM fraud.payment('cw-2', gen_random_uuid());
SELECT transaction_id, amount FROM fraud.find_payments(last_four => '0301') WHERE transaction_id LIKE 'cw-%' ORDER BY 1;
SELECT transaction_id FROM fraud.find_payments(merchant => 'cw cw-2') ORDER BY 1;
SELECT transaction_id FROM fraud.find_payments(merchant => 'CW CW-2') ORDER BY 1;
SELECT transaction_id FROM fraud.find_payments(attribute => 'cw_device', value => 'd1') ORDER BY 1;
SELECT transaction_id FROM fraud.find_payments(attribute => 'cw_device', value => 'd1', min_amount => 1000);
SELECT count(*) FROM fraud.find_payments(merchant => 'cw cw-', max_rows => 3);
SELECT transaction_id FROM fraud.find_payments(card => (SELECT card FROM fraud.payment('cw-2')), "to" => '2017-03-20 08:53:25+00');
SELECT fraud.find_payments();
SELECT fraud.find_payments(attribute => 'cw_device');
SELECT fraud.find_payments(attribute => 'no_such_field', value => 'x');
SELECT fraud.find_payments(last_four => '12');
SELECT fraud.find_payments(merchant => 'x', max_rows => 0);
RESET ROLE;
-- Who has no access has none of it.
SET ROLE regress_fraud_none;
SELECT fault('SELECT fraud.take_case()'), fault('SELECT fraud.case_page(1)'), fault('TABLE fraud.case_queue'), fault($$SELECT fraud.payment('cw-2')$$);
RESET ROLE;

-- A case knows of its alerts what one that joins is told, whatever was merged into it.
CREATE VIEW miscounted AS
SELECT c.case_id FROM fraud.cases c
WHERE (c.alerts, c.decision, c.last_alert_at)
      IS DISTINCT FROM (SELECT (count(*)::int, min(a.decision), max(a.raised_at)) FROM fraud.alerts a WHERE a.card = c.card AND a.case_id = c.case_id);
SELECT count(*) FILTER (WHERE c.merged_into IS NOT NULL) > 0 AS merged, max(c.alerts) > 1 AS joined, (SELECT count(*) FROM miscounted) AS miscounted FROM fraud.cases c;
DROP VIEW miscounted;
-- So none of its alerts is read when another joins.
BEGIN;
SET LOCAL fraud_detect.alert_window = '1 h';
SELECT pay(4000000000000301, 'cw-begins', 100);
SELECT seq_tup_read + idx_tup_fetch AS alerts_read FROM pg_stat_xact_user_tables WHERE relid = 'fraud.alerts'::regclass \gset
SELECT pay(4000000000000301, 'cw-joins', 100);
SELECT seq_tup_read + idx_tup_fetch - :alerts_read AS alerts_read FROM pg_stat_xact_user_tables WHERE relid = 'fraud.alerts'::regclass;
SELECT case_of('cw-joins') = case_of('cw-begins') AS joined;
ROLLBACK;

-- Nobody is named once forgotten: notes go, and so do reasons and what explained the score.
SELECT card AS gone FROM fraud.alerts WHERE transaction_id = 'cw-2' \gset
SELECT count(*) > 0 AS erased FROM fraud.erase_customer(:'gone', 'asked for', force => true);
SELECT count(*) AS notes FROM fraud.case_history WHERE card = :'gone' AND note IS NOT NULL;
SELECT page NOT LIKE '%0302%' AS no_digits, page NOT LIKE '%script%' AS no_note, page LIKE '%; erased on %' AS said FROM fraud.case_page(case_of('cw-2')) page;

SELECT fraud.drop_payment_field('cw_device'), fraud.drop_payment_field('cw_ip');
DROP VIEW queue, known;
DROP FUNCTION pay(bigint, text, numeric, text), case_of(text), fault(text);
SELECT fraud.rollback('payments') IS NOT NULL AS back;
SELECT fraud.revoke_access('regress_fraud_ana', 'analyst'), fraud.revoke_access('regress_fraud_bo', 'analyst');
DROP ROLE regress_fraud_ana, regress_fraud_bo, regress_fraud_none;
RESET fraud_detect.alert_window;
