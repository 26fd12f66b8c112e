\set SHOW_CONTEXT never
-- Labels: added, never changed; each counts from its known_at on.
SELECT fraud.label('h1', true, 'chargeback', '2019-05-01') IS NOT NULL AS id;
SELECT is_fraud, source, known_at FROM fraud.current_labels WHERE transaction_id = 'h1';
-- An analyst does not reverse it without saying that he means it.
SELECT fraud.label('h1', false);
SELECT fraud.label('h1', true, 'analyst', '2019-05-02') IS NOT NULL AS id;
SELECT is_fraud, source FROM fraud.current_labels WHERE transaction_id = 'h1';
SELECT is_fraud, label_known_at, label_changes FROM fraud.transactions WHERE transaction_id = 'h1';
SELECT fraud.label('h1', false, known_at => '2019-06-01', overrule => true) IS NOT NULL AS id;
SELECT is_fraud, source FROM fraud.current_labels WHERE transaction_id = 'h1';
SELECT is_fraud, label_known_at, label_changes FROM fraud.transactions WHERE transaction_id = 'h1';
SELECT l.source, l.is_fraud, (SELECT array_agg(o.source) FROM fraud.labels o WHERE o.label_id = ANY (l.overrules)) AS overrules
FROM fraud.labels l WHERE transaction_id = 'h1' ORDER BY label_id;
SELECT a.new - '{card,label_id}'::text[] ? 'overrules' AS overrules, a.new -> 'is_fraud' AS is_fraud FROM fraud.audit_log a WHERE a.action = 'label' AND a.object_name = 'h1' ORDER BY a.audit_id;
-- What was believed at any time.
SELECT m.moment, b.is_fraud, b.source, b.known_at FROM (VALUES (timestamptz '2019-04-30'), ('2019-05-01'), ('2019-05-31'), ('2019-06-01')) m(moment)
LEFT JOIN LATERAL fraud.label_as_of('h1', m.moment) b ON true ORDER BY 1;
SELECT b.is_fraud, b.source FROM fraud.label_as_of('h1') b;
-- Another chargeback is news, and so is the same source's second thought.
SELECT fraud.label('h1', true, 'Chargeback', '2019-07-01') IS NOT NULL AS id;
SELECT fraud.label('h1', false, 'chargeback', '2019-08-01') IS NOT NULL AS id;
SELECT fraud.label('h1', true, 'partner', '2019-08-02') IS NOT NULL AS id;
SELECT is_fraud, source FROM fraud.current_labels WHERE transaction_id = 'h1';
SELECT is_fraud, label_known_at, label_changes FROM fraud.transactions WHERE transaction_id = 'h1';
SELECT fraud.label('h1', true, 'analyst');
-- An analyst's last word is the one that was recorded last, though it be dated back.
SELECT fraud.label('h4', true, known_at => '2019-07-01') IS NOT NULL, fraud.label('h4', false, known_at => '2019-06-01') IS NOT NULL;
SELECT is_fraud, label_known_at, label_changes FROM fraud.transactions WHERE transaction_id = 'h4';
-- A file of chargebacks comes in any order.
SELECT fraud.label('h3', false, 'chargeback', '2019-07-01') IS NOT NULL, fraud.label('h3', true, 'chargeback', '2019-06-01') IS NOT NULL;
SELECT is_fraud, label_known_at, label_changes FROM fraud.transactions WHERE transaction_id = 'h3';

-- Many at once: all or none, in whatever order they are given, each once.
SELECT transaction_id, is_fraud, source, known_at FROM fraud.label('{h4,h3,h4}'::text[], true, 'partner', '2019-09-01') ORDER BY transaction_id;
SELECT count(*) AS labels FROM fraud.label('{h3,h4}'::text[], false, 'partner', '2019-09-02');
SELECT count(*) FROM fraud.label('{}'::text[], true);
SELECT fraud.label('{nix,h3,nox}'::text[], true);
SELECT fraud.label('{nix,h3}'::text[], true);
SELECT fraud.label('{h3,NULL}'::text[], true);
SELECT fraud.label('{h3,h4}'::text[], true, cards => '{NULL}');
SELECT transaction_id FROM fraud.label(ARRAY['w-1', 'h3'], true, 'partner', cards => ARRAY[(SELECT card FROM fraud.customers WHERE last_four = '0030'), NULL]) ORDER BY 1;
SELECT fraud.label('{h3,h4}'::text[], true);

-- Errors.
SELECT fraud.label('nix', true);
SELECT fraud.label('w-1', true);
SELECT fraud.label('w-1', true, card => (SELECT card FROM fraud.customers WHERE last_four = '0030')) IS NOT NULL AS id;
SELECT fraud.label('w-1', true, card => '00000000-0000-0000-0000-000000000000');
SELECT fraud.label('h1', true, 'early', '2019-02-01');
SELECT fraud.label('h1', NULL);
SELECT fraud.label_as_of('nix'), fraud.label_as_of(NULL);
-- Nobody knows today what he learns tomorrow; clocks may differ by a little.
\set VERBOSITY sqlstate
SELECT fraud.label('h1', true, 'partner', now() + interval '1 day');
SELECT fraud.label('h1', true, 'partner', 'infinity');
\set VERBOSITY default
SELECT fraud.label('h1', true, 'partner', now() + interval '5 minutes') IS NOT NULL AS id;
-- What was said stays written.
UPDATE fraud.labels SET is_fraud = false;
UPDATE fraud.labels SET source = 'x';
DELETE FROM fraud.labels;
TRUNCATE fraud.labels;

-- Known to be fraud at one time and found not to be at another: payments between the two
-- see the fraud, those before and after do not, whichever way they are computed.
SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4000000000870000 + i, 'trans_num', 're-' || i,
    'amt', 10, 'merchant', 'replayed', 'trans_date_trans_time', '2018-03-01 00:00:00')) FROM generate_series(0, 3) i));
SELECT fraud.label('re-1', true, 'chargeback', '2018-03-10 00:00+00') IS NOT NULL, fraud.label('re-1', false, 'analyst', '2018-03-20 00:00+00', overrule => true) IS NOT NULL;
SELECT fraud.label('re-2', true, 'analyst', '2018-03-12 00:00+00') IS NOT NULL, fraud.label('re-2', false, 'analyst', '2018-03-22 00:00+00') IS NOT NULL, fraud.label('re-2', true, 'chargeback', '2018-03-24 00:00+00') IS NOT NULL;
SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4000000000870009, 'trans_num', 're-' || at, 'amt', 10,
    'merchant', 'replayed', 'trans_date_trans_time', at || ' 00:00:00')) FROM unnest('{2018-03-09,2018-03-10,2018-03-11,2018-03-13,2018-03-20,2018-03-22,2018-03-24}'::text[]) at));
SELECT transaction_id, nullif(features[array_position(fraud.payment_features(), 'merchant_fraud_rate_30d')], 'NaN') AS fraud_rate
FROM fraud.transactions WHERE transaction_id LIKE 're-2018%' ORDER BY 1;
SELECT fraud.materialize_features('payments', 'labels_replayed', '2018-03-01', '2018-03-31');
SELECT event_id, merchant_fraud_rate_30d FROM labels_replayed WHERE event_id LIKE 're-2018%' ORDER BY 1;
SELECT count(*) FROM fraud.verify_parity('payments', 500);
DROP TABLE labels_replayed;
-- Evaluation as of a time goes by what was believed then.
SELECT (SELECT count(*) FILTER (WHERE is_fraud) FROM fraud.scored_events('payments', '2018-03-01 00:00+00', '2018-03-02 00:00+00', labels_as_of => m.moment)) AS frauds
FROM unnest('{2018-03-10 00:00+00,2018-03-12 00:00+00,2018-03-21 00:00+00,2018-03-23 00:00+00,2018-03-24 00:00+00}'::timestamptz[]) m(moment);

-- By property: whatever is said by whom and in what order, what the payment keeps is what
-- was believed at each moment.
CREATE TABLE said AS
    SELECT p AS payment, n, (ARRAY[true, true, false, NULL])[1 + (random() * 3)::int] AS is_fraud,
           (ARRAY['chargeback', 'payload', 'analyst', 'analyst', 'partner'])[1 + (random() * 4)::int] AS source,
           timestamptz '2020-01-01' + (random() * 6)::int * interval '1 day' AS known_at, random() < 0.3 AS overrules
    FROM generate_series(1, 300) p, generate_series(1, 1 + p % 7) n;
CREATE TABLE statements AS
    SELECT payment, array_agg(jsonb_populate_record(NULL::fraud.labels, jsonb_build_object('label_id', n, 'transaction_id', payment, 'is_fraud', is_fraud, 'source', source,
        'known_at', known_at, 'overrules', CASE WHEN overrules AND source = 'analyst' THEN ARRAY[n - 1, n - 2] END)) ORDER BY n) AS labels
    FROM said GROUP BY payment;
SELECT count(*) AS moments, count(*) FILTER (WHERE believed.is_fraud IS DISTINCT FROM kept.is_fraud) AS differ
FROM statements s
CROSS JOIN generate_series(timestamptz '2019-12-31', '2020-01-08', '1 day') moment
CROSS JOIN LATERAL fraud._label_course(labels) c
CROSS JOIN LATERAL (SELECT coalesce((fraud._believed(l)).is_fraud, false) AS is_fraud FROM unnest(labels) l WHERE l.known_at <= moment) believed
CROSS JOIN LATERAL (SELECT CASE WHEN c.changes IS NULL THEN coalesce(c.is_fraud, false) AND c.known_at <= moment
                                ELSE (SELECT count(*) FROM unnest(c.changes) t WHERE t <= moment) % 2 = 1 END AS is_fraud) kept;
-- A chargeback is never reversed by what an analyst says without overruling it.
SELECT count(*) > 0 AS some, count(*) FILTER (WHERE NOT d.is_fraud) AS reversed
FROM statements s CROSS JOIN LATERAL fraud._deciding_label(labels) d
WHERE EXISTS (SELECT FROM unnest(labels) l WHERE l.source = 'chargeback') AND NOT EXISTS (SELECT FROM unnest(labels) l WHERE l.source = 'chargeback' AND l.is_fraud IS NOT TRUE)
  AND NOT EXISTS (SELECT FROM unnest(labels) l WHERE l.overrules IS NOT NULL);
DROP TABLE said, statements;

-- Any table may say how its labels turned.
CREATE TABLE turning (id int PRIMARY KEY, at timestamptz NOT NULL, k text, bad boolean, bad_at timestamptz, turns timestamptz[]);
INSERT INTO turning
    SELECT i, timestamptz '2026-01-01' + i % 97 * interval '1 hour', 'k' || i % 5, i % 3 = 0, timestamptz '2026-01-01' + (i % 97 + i % 11) * interval '1 hour',
           CASE WHEN i % 4 = 0 THEN ARRAY(SELECT timestamptz '2026-01-01' + (i % 97 + n * (1 + i % 7)) * interval '1 hour' FROM generate_series(0, i % 5) n) END
    FROM generate_series(1, 600) i;
SELECT fraud.create_feature_set('turning', 'turning', 'id', 'at', label => 'bad', label_known_at => 'bad_at', label_changes => 'turns');
SELECT fraud.add_window_feature('turning', 'share', 'rate', NULL, 'k', '20 hours'), fraud.add_window_feature('turning', 'share_late', 'rate', NULL, 'k', '50 hours', delay => '5 hours');
SELECT count(*) FROM fraud.verify_parity('turning', 600);
SELECT fraud.materialize_features('turning', 'turned');
SELECT count(*) AS differ FROM turned f JOIN turning t ON t.id = f.event_id
WHERE f.share IS DISTINCT FROM (
    SELECT (count(*) FILTER (WHERE CASE WHEN e.turns IS NULL OR e.turns = '{}' THEN e.bad AND e.bad_at <= t.at
                                        ELSE (SELECT count(*) FROM unnest(e.turns) u WHERE u <= t.at) % 2 = 1 END))::float8 / nullif(count(*), 0)
    FROM turning e WHERE e.k = t.k AND e.at > t.at - interval '20 hours' AND (e.at, e.id) < (t.at, t.id))::float4;
INSERT INTO turning VALUES (1000, '2026-01-01', 'k1', true, NULL, '{2026-01-03,2026-01-02}');
SELECT fraud.materialize_features('turning', 'turned_again');
SELECT fraud.create_feature_set('x', 'turning', 'id', 'at', label => 'bad', label_changes => 'bad_at');
SELECT fraud.create_feature_set('x', 'turning', 'id', 'at', label_changes => 'turns');
SELECT fraud.drop_feature_set('turning');
DROP TABLE turning, turned;
