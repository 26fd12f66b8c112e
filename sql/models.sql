\set SHOW_CONTEXT never
-- Importing, naming and promoting models. The model here has two features and two
-- stumps: a < 1 ? 0.5 : -0.25 (missing goes left) and b < 2 ? 1 : -1 (missing goes
-- right); its base score is 0.5, so its margin is the sum.
CREATE TABLE stump (artifact bytea);
INSERT INTO stump SELECT convert_to(json_build_object(
    'version', '[1,7,4]'::json,
    'learner', json_build_object(
        'attributes', '{}'::json,
        'feature_names', '["a", "b"]'::json,
        'feature_types', '["float", "float"]'::json,
        'learner_model_param', '{"base_score": "5E-1", "num_class": "0", "num_feature": "2", "num_target": "1"}'::json,
        'objective', '{"name": "binary:logistic", "reg_loss_param": {"scale_pos_weight": "1"}}'::json,
        'gradient_booster', json_build_object(
            'name', 'gbtree',
            'model', json_build_object(
                'gbtree_model_param', '{"num_parallel_tree": "1", "num_trees": "2", "size_leaf_vector": "0"}'::json,
                'tree_info', '[0, 0]'::json,
                'trees', json_build_array(
                    '{"id": 0, "left_children": [1, -1, -1], "right_children": [2, -1, -1], "parents": [2147483647, 0, 0], "split_indices": [0, 0, 0], "split_conditions": [1.0, 0.5, -0.25], "default_left": [1, 0, 0], "split_type": [0, 0, 0], "categories": [], "categories_nodes": [], "categories_segments": [], "categories_sizes": [], "base_weights": [0, 0, 0], "loss_changes": [0, 0, 0], "sum_hessian": [4, 2, 2], "tree_param": {"num_deleted": "0", "num_feature": "2", "num_nodes": "3", "size_leaf_vector": "0"}}'::json,
                    '{"id": 1, "left_children": [1, -1, -1], "right_children": [2, -1, -1], "parents": [2147483647, 0, 0], "split_indices": [1, 0, 0], "split_conditions": [2.0, 1.0, -1.0], "default_left": [0, 0, 0], "split_type": [0, 0, 0], "categories": [], "categories_nodes": [], "categories_segments": [], "categories_sizes": [], "base_weights": [0, 0, 0], "loss_changes": [0, 0, 0], "sum_hessian": [4, 1, 3], "tree_param": {"num_deleted": "0", "num_feature": "2", "num_nodes": "3", "size_leaf_vector": "0"}}'::json))))
    )::text, 'UTF8');

SELECT fraud.import_model('stump', artifact, 'two stumps') FROM stump;
SELECT model, version, feature_names, trees, iterations, objective, xgboost_version, description, created_by = current_user AS mine
FROM fraud.model_versions WHERE model = 'stump';

-- Byte for byte as it was imported.
SELECT fraud.export_model('stump/1') = artifact AS same FROM stump;

-- Not promoted yet: the version has a name, the model none.
SELECT fraud_score('{"a": 0, "b": 0}'::jsonb, 'stump');
SELECT round(fraud_score('{"a": 0, "b": 0}'::jsonb, 'stump/1')::numeric, 5) AS score, round((1 / (1 + exp(-1.5)))::numeric, 5) AS expected;

SELECT fraud.promote('stump', 1, reason => 'first', review_at => 0.4, block_at => 0.8);
SELECT a, b, round(fraud_score(s, 'stump')::numeric, 5) AS score, round((1 / (1 + exp(-margin)))::numeric, 5) AS expected
FROM (VALUES (0::float8, 0::float8, 1.5), (1, 0, 0.75), (0, 2, -0.5), (1, 2, -1.25), (NULL, NULL, -0.5), ('NaN', 0, 1.5), ('Infinity', '-Infinity', 0.75)) s(a, b, margin);

-- A second version, and back.
SELECT fraud.import_model('stump', replace(convert_from(artifact, 'UTF8'), '-0.25', '-0.75')::bytea) FROM stump;
BEGIN;
SELECT fraud.promote('stump', 2, reason => 'second');
SELECT round(fraud_score('{"a": 1, "b": 0}'::jsonb, 'stump')::numeric, 5);
ROLLBACK;
SELECT round(fraud_score('{"a": 1, "b": 0}'::jsonb, 'stump')::numeric, 5);

-- One function, one transaction: each statement sees what was promoted before it.
CREATE FUNCTION promote_and_score() RETURNS SETOF numeric LANGUAGE plpgsql AS $$
DECLARE
    score float8;
BEGIN
    FOR v IN 1..4 LOOP
        score := fraud_score('{"a": 1, "b": 0}'::jsonb, 'stump');
        RETURN NEXT round(score::numeric, 5);
        PERFORM fraud.promote('stump', 1 + v % 2);
    END LOOP;
END
$$;
SELECT * FROM promote_and_score();
SELECT fraud.rollback('stump', reason => 'back');
SELECT version, previous_version, review_at, block_at, reason, promoted_by = current_user AS mine
FROM fraud.promotions WHERE model = 'stump' ORDER BY promotion_id;
SELECT fraud.promote('stump', 2, 'challenger');
SELECT alias, version FROM fraud.model_aliases WHERE model = 'stump' ORDER BY alias;
SELECT round(fraud_score('{"a": 1, "b": 0}'::jsonb, 'stump@challenger')::numeric, 5);

-- What a user can get wrong.
SELECT fraud.promote('stump', 9);
SELECT fraud.promote('nix', 1);
SELECT fraud.promote('stump', NULL);
SELECT fraud.promote('stump', 1, 'no way');
SELECT fraud.promote('stump', 1, review_at => 0.9, block_at => 0.1);
SELECT fraud.promote('stump', 1, review_at => 'NaN');
SELECT fraud.rollback('stump', 'nix');
SELECT fraud.rollback(NULL);
SELECT fraud.rollback('stump', 'challenger');
SELECT fraud.import_model('payments', artifact) FROM stump;
SELECT fraud.promote('payments', 2);
SELECT fraud.export_model('stump/9');
UPDATE fraud.promotions SET reason = 'another' WHERE model = 'stump';
DELETE FROM fraud.promotions;
TRUNCATE fraud.promotions;
UPDATE fraud.model_versions SET trees = 7;

SELECT fraud.import_model('stump', 'hello'::bytea);
SELECT fraud.import_model('stump', substr(artifact, 1, 300)) FROM stump;
SELECT fraud.import_model(NULL, artifact) FROM stump;
SELECT fraud.import_model('no way', artifact) FROM stump;
SELECT fraud.import_model('stump', replace(convert_from(artifact, 'UTF8'), 'binary:logistic', 'multi:softprob')::bytea) FROM stump;
SELECT fraud.import_model('stump', replace(convert_from(artifact, 'UTF8'), 'gbtree"', 'gblinear"')::bytea) FROM stump;
SELECT fraud.import_model('stump', replace(convert_from(artifact, 'UTF8'), '"left_children": [1,', '"left_children": [7,')::bytea) FROM stump;
SELECT fraud.import_model('stump', replace(convert_from(artifact, 'UTF8'), '"left_children": [1,', '"left_children": [0,')::bytea) FROM stump;
SELECT fraud.import_model('stump', replace(convert_from(artifact, 'UTF8'), '"split_indices": [1,', '"split_indices": [2,')::bytea) FROM stump;
SELECT fraud.import_model('stump', replace(convert_from(artifact, 'UTF8'), '"split_conditions": [1.0, 0.5, -0.25]', '"split_conditions": [1.0, 0.5]')::bytea) FROM stump;
SELECT fraud.import_model('stump', artifact, feature_names => '{x,y}') FROM stump;
CREATE TABLE nameless AS
SELECT replace(convert_from(artifact, 'UTF8'), '["a", "b"]', '[]')::bytea AS artifact FROM stump;
SELECT fraud.import_model('nameless', artifact, feature_names => '{x}') FROM nameless;
SELECT fraud.import_model('nameless', artifact, feature_names => '{x,x}') FROM nameless;
SELECT fraud.import_model('nameless', artifact, feature_names => '{x,NULL}') FROM nameless;
SELECT fraud.import_model('nameless', artifact, feature_names => '{x,y}') FROM nameless;
SELECT round(fraud_score('{"x": 1, "y": 0}'::jsonb, 'nameless/1')::numeric, 5);
SELECT fraud.import_model('nameless', artifact) FROM nameless;
SELECT round(fraud_score('{"f0": 1, "f1": 0}'::jsonb, 'nameless/2')::numeric, 5);

-- Other objectives: base_score and the score are what the objective makes of them.
CREATE FUNCTION with_objective(objective text) RETURNS bytea LANGUAGE sql
RETURN (SELECT replace(convert_from(artifact, 'UTF8'), 'binary:logistic', objective)::bytea FROM stump);
SELECT objective, fraud.import_model('kinds', with_objective(objective)) AS version
FROM unnest('{count:poisson,rank:ndcg,binary:logitraw,reg:squarederror,reg:logistic}'::text[]) objective;
SELECT v.version, v.objective, round(fraud_score('{"a": 0, "b": 0}'::jsonb, 'kinds/' || v.version)::numeric, 5) AS score
FROM fraud.model_versions v WHERE model = 'kinds' ORDER BY version;
SELECT round((0.5 * exp(1.5))::numeric, 5) AS poisson, 0.5 + 1.5 AS identity, round((1 / (1 + exp(-1.5)))::numeric, 5) AS logistic;
SELECT round(sum(contribution)::numeric, 5) AS margin, round((ln(0.5) + 1.5)::numeric, 5) AS expected
FROM fraud_explain('{"a": 0, "b": 0}'::jsonb, 'kinds/1');

-- Thresholds are probabilities; a payment is decided by them.
SELECT fraud.promote('kinds', 1, review_at => 0.5);
SELECT fraud.promote('kinds', 1);
SELECT fraud.promote('kinds', 5, override_gate => true, reason => 'a probability again');
SELECT fraud.rollback('kinds');
SELECT version, review_at, block_at FROM fraud.promotions WHERE model = 'kinds' ORDER BY promotion_id;
CREATE FUNCTION payments_model(objective text) RETURNS bytea LANGUAGE sql
RETURN (SELECT replace(replace(convert_from(artifact, 'UTF8'), 'binary:logistic', objective), '["a", "b"]', '["amount", "hour"]')::bytea FROM stump);
SELECT fraud.payment_features() @> '{amount,hour}' AS known;
BEGIN;
SELECT fraud.import_model('payments', payments_model('reg:gamma')) AS version \gset
SAVEPOINT imported;
SELECT fraud.promote('payments', :version);
ROLLBACK TO imported;
SELECT fraud.promote('payments', :version, 'challenger');
ROLLBACK TO imported;
SELECT decision FROM fraud.assess('{"cc_num": 4000000000000002, "trans_num": "k-1", "amt": 5, "merchant": "Shop",
    "category": "misc_pos", "trans_date_trans_time": "2026-03-02 14:05:00"}', 'payments/' || :version);
ROLLBACK;

-- Booster dart: each tree has a weight.
CREATE FUNCTION with_weights(weights jsonb) RETURNS bytea LANGUAGE sql
RETURN (SELECT convert_to(jsonb_set(a, '{learner,gradient_booster}', jsonb_build_object(
    'name', 'dart', 'gbtree', a #> '{learner,gradient_booster}', 'weight_drop', weights))::text, 'UTF8')
    FROM stump, LATERAL (SELECT convert_from(artifact, 'UTF8')::jsonb a) s);
SELECT fraud.import_model('dart', with_weights('[0.5, 2]'));
SELECT round(fraud_score('{"a": 0, "b": 0}'::jsonb, 'dart/1')::numeric, 5) AS score, round((1 / (1 + exp(-2.25)))::numeric, 5) AS expected;
SELECT fraud.import_model('dart', with_weights('[0.5]'));
SELECT fraud.import_model('dart', with_weights('[0.5, 1e39]'));

-- Splits by category: 2 and 5 go right.
CREATE FUNCTION with_categories(tree jsonb) RETURNS bytea LANGUAGE sql
RETURN (SELECT convert_to(jsonb_set(a, '{learner,gradient_booster,model,trees,0}', a #> '{learner,gradient_booster,model,trees,0}' || tree)::text, 'UTF8')
    FROM stump, LATERAL (SELECT convert_from(artifact, 'UTF8')::jsonb a) s);
SELECT fraud.import_model('categories', with_categories(
    '{"split_type": [1, 0, 0], "categories": [2, 5], "categories_nodes": [0], "categories_segments": [0], "categories_sizes": [2]}'));
SELECT a, sum(contribution) AS margin
FROM (VALUES (NULL), (0), (2), (2.9), (3), (5), (-2), (1e20), ('Infinity'::float8)) v(a),
    fraud_explain(jsonb_build_object('a', CASE WHEN a < 'Infinity' THEN a END, 'b', 0), 'categories/1')
WHERE a IS NULL OR a < 'Infinity' GROUP BY a ORDER BY a;
SELECT fraud_score(ARRAY['Infinity', 0]::float4[], 'categories/1') = fraud_score('{-1, 0}'::float4[], 'categories/1') AS unknown_goes_left;
SELECT fraud.import_model('categories', with_categories(
    '{"split_type": [1, 0, 0], "categories": [2, 16777216], "categories_nodes": [0], "categories_segments": [0], "categories_sizes": [2]}'));
SELECT fraud.import_model('categories', with_categories(
    '{"split_type": [1, 0, 0], "categories": [2], "categories_nodes": [0], "categories_segments": [1], "categories_sizes": [1]}'));

-- What early stopping found best.
CREATE FUNCTION stopped_early(best text) RETURNS bytea LANGUAGE sql
RETURN (SELECT replace(convert_from(artifact, 'UTF8'), '"attributes" : {}', format('"attributes" : {"best_iteration": "%s"}', best))::bytea FROM stump);
SELECT fraud.import_model('stopped', stopped_early('0'));
SELECT fraud.import_model('stopped', stopped_early('0'), best_iteration => true);
SELECT fraud.import_model('stopped', stopped_early('1'));
SELECT fraud.import_model('stopped', stopped_early('1'), best_iteration => true);
SELECT fraud.import_model('stopped', stopped_early('2'), best_iteration => true);
SELECT fraud.import_model('stopped', artifact, best_iteration => true) FROM stump;
SELECT v.version, v.trees, v.iterations, round(fraud_score('{"a": 0, "b": 0}'::jsonb, 'stopped/' || v.version)::numeric, 5) AS score
FROM fraud.model_versions v WHERE model = 'stopped' ORDER BY version;
SELECT round((1 / (1 + exp(-0.5)))::numeric, 5) AS first_iteration;
SELECT fraud.export_model('stopped/2') = stopped_early('0') AS whole_file;
