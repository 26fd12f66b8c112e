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
SELECT model, version, feature_names, trees, objective, xgboost_version, description, created_by = current_user AS mine
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
