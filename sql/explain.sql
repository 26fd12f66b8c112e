-- fraud_explain: one row a feature and one named (bias), which add up to the margin.
SELECT count(*), count(*) FILTER (WHERE feature = '(bias)' AND value IS NULL) AS bias,
       array_agg(feature ORDER BY ord) FILTER (WHERE feature <> '(bias)') = fraud.payment_features() AS features_in_order
FROM fraud.transactions t, fraud_explain(t) WITH ORDINALITY e(feature, value, contribution, category, ord) WHERE t.transaction_id = 'rec-2';

-- Of all payments stored so far: the sum is the log-odds, the values are those scored.
SELECT count(*) > 100 AS many, count(*) FILTER (WHERE abs(e.margin - ln(t.score / (1 - t.score))) > 1e-5 * greatest(1, abs(e.margin))) AS differing
FROM fraud.transactions t, LATERAL (SELECT sum(contribution) AS margin FROM fraud_explain(t)) e;
SELECT count(*) AS differing
FROM (SELECT t AS payment, t.features FROM fraud.transactions t WHERE transaction_id ~ '^(w-|rec|split)') t,
     fraud_explain(t.payment) WITH ORDINALITY e(feature, value, contribution, category, ord)
WHERE e.feature <> '(bias)' AND coalesce(e.value::real, 'NaN') <> t.features[e.ord];

-- The bias is the same whatever is explained; a feature that no tree looks at has 0.
SELECT count(DISTINCT contribution) FROM fraud.transactions t, fraud_explain(t) WHERE feature = '(bias)';

-- A category is told by its name; of a model without a feature set there are codes alone.
SELECT DISTINCT e.category = t.category AS named FROM fraud.transactions t, fraud_explain(t) e WHERE t.transaction_id ~ '^(w-|rec|split)' AND e.feature = 'category' AND e.value IS NOT NULL;
SELECT count(e.category) AS others FROM fraud.transactions t, fraud_explain(t) e WHERE t.transaction_id = 'rec-2' AND e.feature <> 'category';

-- Rows and objects give the same, by alias and by version.
SELECT a.feature, a.value, a.contribution = b.contribution AS same
FROM fraud_explain('{"a": 5, "b": 1}'::jsonb, 'stump') a JOIN fraud_explain(ROW(5, 1)::fraud_row, 'stump@champion') b USING (feature) ORDER BY 1;
SELECT feature, value, round(contribution::numeric, 5) FROM fraud_explain('{"a": true, "b": null, "c": "ignored"}'::jsonb, 'stump/1');

SELECT * FROM fraud_explain('{"a": 1}'::jsonb, 'stump');
SELECT * FROM fraud_explain('{"a": 1, "b": "x"}'::jsonb, 'stump');
SELECT * FROM fraud_explain('{"a": 1, "b": 1}'::jsonb, 'nix');
SELECT * FROM fraud_explain(NULL::jsonb, 'stump');
