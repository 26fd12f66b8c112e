-- What is kept from call to call was made for tables as they were: each is looked at
-- again when they have changed, in the same session, the same function and the same loop.
SET client_min_messages = warning;
\set VERBOSITY terse

-- Rows in a variable, whose type is another from turn to turn, or the same by name.
CREATE TABLE shapes (amount float8, extra text);
SELECT count(*) > 0 AS ok FROM fraud.import_model('shapes', $${"version":[1,7,4],"learner":{"attributes":{},"feature_names":["amount"],"feature_types":["float"],"gradient_booster":{"model":{"gbtree_model_param":{"num_parallel_tree":"1","num_trees":"1","size_leaf_vector":"0"},"tree_info":[0],"trees":[{"base_weights":[0,-1,1],"categories":[],"categories_nodes":[],"categories_segments":[],"categories_sizes":[],"default_left":[0,0,0],"id":0,"left_children":[1,-1,-1],"loss_changes":[1,0,0],"parents":[2147483647,0,0],"right_children":[2,-1,-1],"split_conditions":[10,-1,1],"split_indices":[0,0,0],"split_type":[0,0,0],"sum_hessian":[1,1,1],"tree_param":{"num_deleted":"0","num_feature":"1","num_nodes":"3","size_leaf_vector":"0"}}]},"name":"gbtree"},"learner_model_param":{"base_score":"5E-1","num_class":"0","num_feature":"1"},"objective":{"name":"binary:logistic","reg_loss_param":{"scale_pos_weight":"1"}}}}$$::bytea);
SELECT fraud.promote('shapes', 1);
CREATE FUNCTION scores_of_shapes() RETURNS SETOF float8 LANGUAGE plpgsql AS $$
DECLARE
    r record;
    change text;
BEGIN
    INSERT INTO shapes VALUES (20, 'x');
    FOREACH change IN ARRAY ARRAY[
        '', 'ALTER TABLE shapes ADD before_it text DEFAULT ''y''', 'ALTER TABLE shapes DROP extra',
        'ALTER TABLE shapes ALTER amount TYPE numeric', 'ALTER TABLE shapes ALTER amount TYPE bigint', 'ALTER TABLE shapes ALTER amount TYPE real',
        'ALTER TABLE shapes RENAME amount TO other; ALTER TABLE shapes ADD amount smallint DEFAULT 5']
    LOOP
        EXECUTE change;
        EXECUTE 'SELECT s AS row FROM shapes s' INTO r;
        RETURN NEXT round(fraud_score(r.row, 'shapes')::numeric, 6);
    END LOOP;
END
$$;
SELECT * FROM scores_of_shapes();

-- A feature set's events.
CREATE TABLE moves (id numeric, at timestamptz, card text, amount float8, label boolean);
INSERT INTO moves SELECT i, timestamptz '2026-01-01 00:00+00' + i * interval '1 hour', i % 2, i, i % 3 = 0 FROM generate_series(1, 10) i;
SELECT fraud.create_feature_set('moves', 'moves', 'id', 'at', label => 'label');
SELECT fraud.add_window_feature('moves', 'spent', 'sum', 'amount', 'card', '1 day');
SELECT fraud.add_window_feature('moves', 'fraud_rate', 'rate', NULL, 'card', '1 day');
SELECT fraud.add_feature('moves', 'amount', 'amount');
SELECT fraud.features('moves', m) FROM moves m WHERE id = 9;
SELECT count(*) FROM fraud.verify_parity('moves');
ALTER TABLE moves ALTER id TYPE bigint, ALTER card TYPE bigint USING card::bigint;
SELECT fraud.features('moves', m) FROM moves m WHERE id = 9;
SELECT count(*) FROM fraud.verify_parity('moves');
ALTER TABLE moves ALTER id TYPE text, ALTER card TYPE uuid USING lpad(card::text, 32, '0')::uuid;
SELECT fraud.features('moves', m) FROM moves m WHERE id = '9';
SELECT count(*) FROM fraud.verify_parity('moves');
ALTER TABLE moves ALTER card TYPE int USING 1, ALTER amount TYPE int;
SELECT fraud.features('moves', m) FROM moves m WHERE id = '9';
SELECT count(*) FROM fraud.verify_parity('moves');
ALTER TABLE moves ALTER amount TYPE text;
SELECT fraud.features('moves', m) FROM moves m WHERE id = '9';
SELECT count(*) FROM fraud.verify_parity('moves');
ALTER TABLE moves ALTER amount TYPE float8 USING amount::float8, ALTER label TYPE text;
SELECT fraud.features('moves', m) FROM moves m WHERE id = '9';
SELECT count(*) FROM fraud.verify_parity('moves');
ALTER TABLE moves ALTER label TYPE int USING label::boolean::int;
SELECT fraud.features('moves', m) FROM moves m WHERE id = '9';
SELECT count(*) FROM fraud.verify_parity('moves');
ALTER TABLE moves ALTER label TYPE boolean USING label = 1, ALTER at TYPE date USING at::date;
SELECT fraud.features('moves', m) FROM moves m WHERE id = '9';
SELECT count(*) FROM fraud.verify_parity('moves');
ALTER TABLE moves ALTER at TYPE text;
SELECT fraud.features('moves', m) FROM moves m WHERE id = '9';
SELECT count(*) FROM fraud.verify_parity('moves');
ALTER TABLE moves DROP at;
SELECT fraud.features('moves', m) FROM moves m WHERE id = '9';
DROP TABLE moves;
SELECT fraud.features('moves', ROW(1));
SELECT fraud.feature_set_hash('moves') IS NOT NULL AS has_hash;
SELECT count(*) FROM fraud.feature_indexes('moves');
SELECT count(*) FROM fraud.verify_parity('moves');
SELECT fraud.add_feature('moves', 'another', 'amount + 1');
SELECT fraud.drop_feature_set('moves');
DROP TABLE shapes;
DROP FUNCTION scores_of_shapes();
