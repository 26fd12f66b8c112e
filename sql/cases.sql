-- Cases: alerts of one card within the window, what analysts do with them, the labels.
SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, reason => 'alert on all');
ALTER SEQUENCE fraud.cases_case_id_seq RESTART 1000000;
SET fraud_detect.alert_window = '1 h';
CREATE FUNCTION pay(card bigint, id text, amount numeric DEFAULT 10) RETURNS text LANGUAGE sql AS $$
    SELECT status FROM fraud.ingest(jsonb_build_object('cc_num', card, 'trans_num', id, 'amt', amount, 'merchant', 'm', 'unix_time', 1490000000))
$$;
CREATE VIEW matters AS
    SELECT c.case_id, dense_rank() OVER (ORDER BY c.case_id) AS n, c.status, c.status_by IS NOT NULL AS touched, c.alerts, c.decision, c.amount,
           (SELECT string_agg(a.transaction_id, ' ' ORDER BY a.alert_id) FROM fraud.alerts a WHERE (a.card, a.case_id) = (c.card, c.case_id)) AS payments
    FROM fraud.cases c WHERE c.card IN (SELECT card FROM fraud.alerts WHERE transaction_id LIKE 'cs-%');
CREATE FUNCTION case_of(id text) RETURNS bigint LANGUAGE sql AS $$ SELECT case_id FROM fraud.alerts WHERE transaction_id = id $$;
-- Three of one card are one case, also within one batch; another card is another.
SELECT pay(4000000000000201, 'cs-1', 10.50), pay(4000000000000201, 'cs-2', 20), pay(4000000000000202, 'cs-3');
SELECT transaction_id, status FROM fraud.ingest('[{"cc_num": 4000000000000201, "trans_num": "cs-4", "amt": 1, "merchant": "m", "unix_time": 1490000000},
    {"cc_num": 4000000000000203, "trans_num": "cs-5", "amt": 1, "merchant": "m", "unix_time": 1490000000}, {"cc_num": 4000000000000203, "trans_num": "cs-6", "amt": 2, "merchant": "m", "unix_time": 1490000001}]');
SELECT pay(4000000000000201, 'cs-1', 10.50);
SELECT n, status, touched, alerts, decision, amount, payments FROM matters ORDER BY n;
SELECT payload ->> 'transaction_id', payload ->> 'case_alerts', payload ->> 'escalated' FROM fraud.outbox WHERE payload ->> 'transaction_id' LIKE 'cs-%' ORDER BY 1;
-- A severer alert makes the case severer, and says so once.
SELECT fraud.promote('payments', 1, review_at => 0, block_at => 0, reason => 'block all');
SELECT pay(4000000000000201, 'cs-7'), pay(4000000000000201, 'cs-8');
SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, reason => 'alert on all');
SELECT payload ->> 'transaction_id', payload ->> 'decision', payload ->> 'case_alerts', payload ->> 'escalated' FROM fraud.outbox WHERE payload ->> 'transaction_id' IN ('cs-7', 'cs-8') ORDER BY outbox_id;
SELECT status, alerts, decision, amount FROM matters WHERE n = 1;
-- The window is a setting; zero makes each alert a case.
SET fraud_detect.alert_window = 0;
SELECT pay(4000000000000202, 'cs-9'), pay(4000000000000202, 'cs-10');
SELECT n, alerts, payments FROM matters WHERE payments ~ 'cs-(3|9|10)' ORDER BY n;
SET fraud_detect.alert_window = '1 h';

-- What analysts do, in the order that it is allowed, with labels.
CREATE VIEW known AS SELECT transaction_id, is_fraud, source FROM fraud.current_labels WHERE transaction_id LIKE 'cs-%' ORDER BY transaction_id COLLATE "C";
SELECT (fraud.acknowledge_case(case_of('cs-5'), 'on it')).status;
\set SHOW_CONTEXT never
SELECT (fraud.acknowledge_case(case_of('cs-5'))).status;
SELECT count(*) FROM known;
SELECT (fraud.confirm_case(case_of('cs-5'), 'the card 4929 0000 0012 3455 was stolen')).status;
SELECT * FROM known;
SELECT (fraud.confirm_case(case_of('cs-5'))).status;
SELECT (fraud.acknowledge_case(case_of('cs-5'))).status;
-- A resolved case takes no further alerts.
SELECT pay(4000000000000203, 'cs-11');
SELECT n, status, touched, alerts, payments FROM matters WHERE payments ~ 'cs-(5|11)' ORDER BY n;
-- The other way round, and undone: nothing is known, but what others have said.
SELECT (fraud.dismiss_case(case_of('cs-5'), 'the customer knows it')).status;
SELECT * FROM known;
SELECT fraud.label('cs-6', true, 'chargeback') IS NOT NULL AS id;
SELECT (fraud.dismiss_case(case_of('cs-11'))).status;
SELECT (fraud.reopen_case(case_of('cs-5'), 'too early')).status;
SELECT (fraud.reopen_case(case_of('cs-11'))).status;
SELECT * FROM known;
-- The views follow, summed up or not.
SELECT labelled_fraud, labelled_legitimate FROM fraud.daily_report WHERE day = '2017-03-20';
SELECT fraud.refresh_rollups() IS NOT NULL AS refreshed;
SELECT labelled_fraud, labelled_legitimate FROM fraud.daily_report WHERE day = '2017-03-20';
SELECT DISTINCT status FROM fraud.alert_queue WHERE transaction_id IN ('cs-5', 'cs-11');
SELECT transaction_id, is_fraud, source, known_at = recorded_at AS known_when_recorded FROM fraud.labels WHERE transaction_id IN ('cs-5', 'cs-6', 'cs-11') ORDER BY label_id;
SELECT (fraud.reopen_case(case_of('cs-5'))).status;
-- An open case takes alerts again.
SELECT (fraud.acknowledge_case(case_of('cs-11'))).status;
SELECT (fraud.dismiss_case(case_of('cs-11'), known_at => now() - interval '1 hour')).status;
SELECT is_fraud, recorded_at - known_at AS known_before FROM fraud.labels WHERE transaction_id = 'cs-11' AND NOT is_fraud ORDER BY label_id DESC LIMIT 1;
SELECT h.old_status, h.new_status, h.note, h.changed_by = current_user AS by_me FROM fraud.case_history h WHERE h.case_id = case_of('cs-5') ORDER BY h.event_id;
-- All in one transaction, or nothing.
BEGIN;
SELECT (fraud.confirm_case(case_of('cs-3'))).status;
SELECT * FROM known WHERE transaction_id = 'cs-3';
ROLLBACK;
SELECT count(*) FROM known WHERE transaction_id = 'cs-3';
SELECT status FROM matters WHERE payments = 'cs-3';

-- Errors.
\set SHOW_CONTEXT never
SELECT (fraud.confirm_case(-1)).status;
SELECT (fraud.confirm_case(NULL)).status;
\set VERBOSITY sqlstate
SELECT (fraud.confirm_case(case_of('cs-3'), known_at => now() + interval '1 day')).status;
\set VERBOSITY default
SELECT (fraud.dismiss_case(case_of('cs-3'), repeat('x', 10001))).status;
SELECT (fraud.dismiss_case(case_of('cs-3'), known_at => '1999-01-01 00:00+00')).status;
UPDATE fraud.case_history SET note = 'x';
DELETE FROM fraud.case_history;
SELECT fraud.rollback('payments');
-- What others have said is not reversed in silence: the payments are named, and a word is asked for.
SELECT count(pay(4000000000000205, id)) FROM unnest('{cs-21,cs-22,cs-23}'::text[]) id;
SELECT count(pay(4000000000000206, 'cs-24'));
SELECT fraud.label('cs-21', true, 'chargeback') IS NOT NULL, fraud.label('cs-22', true, 'feed') IS NOT NULL, fraud.label('cs-24', true, 'feed') IS NOT NULL;
SELECT fraud.dismiss_case(case_of('cs-21'));
SELECT fraud.dismiss_cases(ARRAY[case_of('cs-21'), case_of('cs-24')]);
SELECT * FROM known WHERE transaction_id IN ('cs-21', 'cs-22', 'cs-24');
SELECT status, alerts, decision, amount, last_alert_at > opened_at AS sums FROM fraud.dismiss_case(case_of('cs-21'), 'the customer has called', overrule => true);
SELECT * FROM known WHERE transaction_id IN ('cs-21', 'cs-22', 'cs-23');
SELECT jsonb_array_length(new -> 'overrules') AS overruled FROM fraud.audit_log WHERE action = 'dismiss' AND object_name = case_of('cs-21')::text;
SELECT (fraud.reopen_case(case_of('cs-21'))).status;
SELECT * FROM known WHERE transaction_id IN ('cs-21', 'cs-22', 'cs-23');

-- Many at once: what they changed comes back, and what was so already does not.
SELECT count(*) FROM fraud.confirm_cases(ARRAY[case_of('cs-24'), case_of('cs-21'), case_of('cs-24')]);
SELECT count(*) AS changed FROM fraud.confirm_cases(ARRAY[case_of('cs-24'), case_of('cs-3')]);
SELECT count(*) FROM fraud.acknowledge_cases(ARRAY[case_of('cs-24'), case_of('cs-3')]);
SELECT status, alerts FROM fraud.reopen_cases(ARRAY[case_of('cs-24'), case_of('cs-3')]) ORDER BY case_id;
SELECT status FROM fraud.acknowledge_cases(ARRAY[case_of('cs-24'), case_of('cs-3')], 'both');
SELECT count(fraud.confirm_case(case_id)) AS confirmed FROM fraud.cases WHERE case_id IN (case_of('cs-24'), case_of('cs-3'));
SELECT count(*) FROM fraud.dismiss_cases('{}');
SELECT fraud.confirm_cases('{-1}');
SELECT fraud.confirm_cases('{-1,-2}');
SELECT fraud.confirm_cases(NULL);
SELECT fraud.confirm_cases('{NULL}');
DROP VIEW known, matters;
DROP FUNCTION pay(bigint, text, numeric), case_of;
RESET fraud_detect.alert_window;
