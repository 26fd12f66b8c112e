-- The gate, challengers, comparing, deleting, describing. Tables judged and stump
-- are of the tests before; stump/1 is a < 1 ? 0.5 : -0.25 plus b < 2 ? 1 : -1.
\set SHOW_CONTEXT never
\set columns '''{"event_id": "id", "event_time": "at", "label": "is_fraud"}'''
-- Version A knows a alone, B knows b alone: B finds more of judged's frauds.
CREATE FUNCTION half(feature int) RETURNS bytea LANGUAGE sql AS $$
    SELECT convert_to(replace(replace(convert_from(artifact, 'UTF8'),
        CASE feature WHEN 0 THEN '[2.0, 1.0, -1.0]' ELSE '[1.0, 0.5, -0.25]' END, CASE feature WHEN 0 THEN '[2.0, 0.0, 0.0]' ELSE '[1.0, 0.0, 0.0]' END), 'x', 'x'), 'UTF8') FROM stump $$;
SELECT fraud.import_model('gated', half(1), 'b alone');
SELECT fraud.import_model('gated', half(0), 'a alone');
SELECT fraud.import_model('gated', artifact, 'both') FROM stump;
SELECT fraud.promote('gated', 2, reason => 'the first needs to beat nobody');
-- The candidate must beat the champion.
SELECT fraud.promote('gated', 3, evidence_from => '2026-01-01', evidence_to => '2026-02-01', alert_rate => 0.1, rel => 'judged', columns => :columns);
SELECT fraud.promote('gated', 2, evidence_from => '2026-01-01', evidence_to => '2026-02-01', alert_rate => 0.1, rel => 'judged', columns => :columns);
SELECT alias, version FROM fraud.model_aliases WHERE model = 'gated';
SELECT jsonb_pretty(evidence) FROM fraud.promotions WHERE model = 'gated' ORDER BY promotion_id DESC LIMIT 1;
-- Its own equal does not beat it.
SELECT fraud.import_model('gated', artifact, 'both again') FROM stump;
SELECT fraud.promote('gated', 4, evidence_from => '2026-01-01', evidence_to => '2026-02-01', alert_rate => 0.1, rel => 'judged', columns => :columns);
SELECT fraud.promote('gated', 4, override_gate => true);
SELECT fraud.promote('gated', 4, reason => 'an exercise', override_gate => true);
SELECT version, reason, evidence FROM fraud.promotions WHERE model = 'gated' ORDER BY promotion_id DESC LIMIT 1;
-- Other aliases, and a change of thresholds, have no gate; going back has none.
SELECT fraud.promote('gated', 2, 'challenger');
SELECT fraud.promote('gated', 4, review_at => 0.3, block_at => 0.4);
SELECT fraud.rollback('gated');
-- Where nothing can be measured, the promotion says so.
SELECT fraud.promote('gated', 2);
SELECT evidence FROM fraud.promotions WHERE model = 'gated' ORDER BY promotion_id DESC LIMIT 1;
SELECT fraud.promote('gated', 3, evidence_from => '2027-01-01', evidence_to => '2027-02-01', rel => 'judged', columns => :columns);
SELECT evidence ->> 'not_measured' AS why FROM fraud.promotions WHERE model = 'gated' ORDER BY promotion_id DESC LIMIT 1;

SELECT metric, round(champion_value::numeric, 5) AS champion, round(challenger_value::numeric, 5) AS challenger, round(difference::numeric, 5) AS difference
FROM fraud.compare_models('gated/2', 'gated/3', '2026-01-01', '2026-02-01', 0.1, rel => 'judged', columns => :columns);
SELECT * FROM fraud.compare_models('gated/2', 'gated/3', '2026-01-01', '2026-02-01', scores => 'dreams');
-- A rate that allows no alert at all: no difference either.
SELECT metric, champion_value, difference FROM fraud.compare_models('gated/2', 'gated/2', '2026-01-01', '2026-02-01', 0.0001, rel => 'judged', columns => :columns) WHERE metric IN ('threshold', 'recall');

-- Challengers score live payments in shadow, on the same vector, and decide nothing.
CREATE FUNCTION amount_stump(threshold text) RETURNS bytea LANGUAGE sql AS $$
    SELECT convert_to(replace(replace(convert_from(artifact, 'UTF8'), '"a", "b"', '"amount", "count_1h"'), '[1.0, 0.5, -0.25]', '[' || threshold || ', -3.0, 3.0]'), 'UTF8') FROM stump $$;
SELECT fraud.import_model('payments', amount_stump('100.0'), 'above a hundred') AS over_100 \gset
SELECT fraud.import_model('payments', amount_stump('500.0'), 'above five hundred') AS over_500 \gset
SELECT fraud.promote('payments', :over_100, 'challenger');
SELECT fraud.promote('payments', :over_500, 'challenger_2');
SELECT fraud.promote('payments', :over_500, 'another');
CREATE FUNCTION pay(n int) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(status, ',') FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4111000000009000 + i % 5, 'trans_num', 'shadow-' || n || '-' || i, 'amt', i * 10, 'merchant', 'm', 'category', 'misc_net', 'unix_time', 1500000000 + n * 100000 + i * 60, 'is_fraud', (i > 55)::int)) FROM generate_series(1, 60) i), 'shadow') $$;
SELECT length(pay(1));
SELECT alias, count(*), min(score) < 0.5 AND max(score) > 0.5 AS tells FROM fraud.shadow_scores GROUP BY alias ORDER BY alias;
SELECT count(*) FROM fraud.shadow_scores s JOIN fraud.transactions t USING (card, transaction_id)
WHERE s.score IS DISTINCT FROM fraud_score(t, 'payments/' || s.model_version) OR t.model_version = s.model_version;
-- The same payment again, and a history, score nothing.
SELECT length(pay(1));
SELECT count(*) FROM fraud.shadow_scores;
-- On shadow scores and on history they compare the same, since the vectors are the same.
SELECT s.metric, s.champion_value IS NOT DISTINCT FROM h.champion_value AND s.challenger_value IS NOT DISTINCT FROM h.challenger_value AS same
FROM fraud.compare_models('payments', 'payments@challenger', '2017-07-01', '2017-08-01', 0.1, 'shadow') s
JOIN fraud.compare_models('payments', 'payments@challenger', '2017-07-01', '2017-08-01', 0.1) h USING (metric);
-- A version that has decided no payment can be deleted, once nothing names it.
SELECT fraud.delete_version('payments', :over_500);
SELECT fraud.promote('payments', :over_100, 'challenger_2');
SELECT fraud.promote('payments', :over_100, 'another');
SELECT fraud.tag_version('payments', :over_500, '{"ticket": "F-1"}');
SELECT fraud.delete_version('payments', :over_500);
SELECT count(*) FROM fraud.version_tags WHERE model = 'payments' AND version = :over_500;
SELECT fraud.rollback('payments', 'challenger_2');
SELECT fraud_score('{"amount": 1, "count_1h": 1}'::jsonb, 'payments/' || :over_500);
-- Its number is not given again.
SELECT fraud.import_model('payments', amount_stump('500.0')) = :over_500 + 1 AS next;
-- One that decided a payment stays, whoever wants it gone.
SELECT version AS champion FROM fraud.model_aliases WHERE model = 'payments' AND alias = 'champion' \gset
SELECT fraud.promote('payments', :over_100, reason => 'an exercise', override_gate => true);
SELECT length(pay(2));
SELECT fraud.promote('payments', :champion, reason => 'back', override_gate => true);
SELECT fraud.promote('payments', :champion, 'challenger'), fraud.promote('payments', :champion, 'challenger_2'), fraud.promote('payments', :champion, 'another');
SELECT fraud.delete_version('payments', :over_100);
DELETE FROM fraud.model_versions WHERE model = 'payments' AND version = :over_100;
SELECT fraud.delete_version('payments', 999);
SELECT fraud.delete_version('nobody', 1);
-- The champion is its own challenger: it scores once.
SELECT count(*) FROM fraud.shadow_scores;
SELECT length(pay(3));
SELECT count(*) FROM fraud.shadow_scores;

SELECT fraud.tag_version('gated', 3, '{"team": "cards", "ticket": "F-2"}');
SELECT fraud.tag_version('gated', 3, '{"ticket": null, "note": "both"}');
SELECT fraud.tag_version('gated', 3, '[1]');
SELECT fraud.tag_version('gated', 9, '{}');
SELECT fraud.describe_model('gated', 'for the gate''s test');
SELECT fraud.describe_model('gated', 'a and b', 3);
SELECT fraud.describe_model('gated', 'a and b', 9);
SELECT m.description, v.description FROM fraud.models m JOIN fraud.model_versions v USING (model) WHERE model = 'gated' AND version = 3;
UPDATE fraud.model_versions SET trees = 9 WHERE model = 'gated' AND version = 3;
SELECT fraud.export_model('gated/3') = artifact AS same FROM stump;
