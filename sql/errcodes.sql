-- The SQLSTATE, detail and hint of each error that a program may want to tell apart.
CREATE FUNCTION try(statement text) RETURNS TABLE (state text, message text, detail text, hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    state := '00000';
    RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END
$$;
CREATE TEMP TABLE statements (n int GENERATED ALWAYS AS IDENTITY, statement text);
INSERT INTO statements (statement) VALUES
    ($$SELECT fraud_score('{"a": 1}'::jsonb, 'stump/1')$$),
    ($$SELECT fraud_score(r, 'stump/1') FROM (SELECT 1 AS a, 'x'::text AS b) r$$),
    ($$SELECT fraud_score('{"a": 1, "b": "2"}'::jsonb, 'stump/1')$$),
    ($$SELECT fraud_score('[]'::jsonb, 'stump/1')$$),
    ($$SELECT fraud_score('{1}'::float4[], 'stump/1')$$),
    ($$SELECT fraud_score('{{1,2}}'::float4[], 'stump/1')$$),
    ($$SELECT fraud_score('{1,2}'::float4[], 'nix')$$),
    ($$SELECT fraud_score('{1,2}'::float4[], 'stump@nix')$$),
    ($$SELECT fraud_score('{1,2}'::float4[], 'stump/99')$$),
    ($$SELECT fraud_score('{1,2}'::float4[], 'stump/')$$),
    ($$SELECT fraud_score('{1,2}'::float4[], 'stump/-1')$$),
    ($$SELECT fraud_score('{1,2}'::float4[], 'stump/99999999999')$$),
    ($$SELECT fraud_score('{1,2}'::float4[], '@champion')$$),
    ($$SELECT fraud.import_model('x', 'hello')$$),
    ($$SELECT fraud.import_model('x', '{"learner": ')$$),
    ($$SELECT fraud.import_model('x', '{}')$$),
    ($$SELECT fraud.import_model('x y', '{}')$$),
    ($$SELECT fraud.import_model(repeat('x', 64), '{}')$$),
    ($$SELECT fraud.import_model('x', NULL)$$),
    ($$SELECT fraud.import_model('x', replace(convert_from(artifact, 'UTF8'), 'binary:logistic', 'multi:softprb')::bytea) FROM stump$$),
    ($$SELECT fraud.import_model('x', replace(convert_from(artifact, 'UTF8'), '"split_type": [0', '"split_type": [1')::bytea) FROM stump$$),
    ($$SELECT fraud.import_model('x', replace(convert_from(artifact, 'UTF8'), '"5E-1"', '"1E0"')::bytea) FROM stump$$),
    ($$SELECT fraud.import_model('x', replace(convert_from(artifact, 'UTF8'), '["a", "b"]', '["a", "a"]')::bytea) FROM stump$$),
    ($$SELECT fraud.import_model('x', replace(convert_from(artifact, 'UTF8'), '["a", "b"]', '["a"]')::bytea) FROM stump$$),
    ($$SELECT fraud.import_model('x', replace(convert_from(artifact, 'UTF8'), '"num_trees": "2"', '"num_trees": "3"')::bytea) FROM stump$$),
    ($$SELECT fraud.import_model('x', replace(convert_from(artifact, 'UTF8'), '"right_children": [2', '"right_children": [-1')::bytea) FROM stump$$),
    ($$SELECT fraud.import_model('x', artifact || '{}') FROM stump$$),
    ($$SELECT fraud.import_model('x', artifact, feature_names => '{a,b,c}') FROM stump$$),
    ($$SELECT fraud.promote('nix', 1)$$),
    ($$SELECT fraud.promote('stump', 99)$$),
    ($$SELECT fraud.promote('stump', NULL)$$),
    ($$SELECT fraud.promote('stump', 1, '')$$),
    ($$SELECT fraud.promote('stump', 1, review_at => -0.1)$$),
    ($$SELECT fraud.rollback('stump', 'mine')$$),
    ($$DELETE FROM fraud.promotions$$),
    ($$SELECT fraud.ingest('5')$$),
    ($$SELECT fraud.ingest('"{"')$$),
    ($$SELECT fraud.ingest('[1, 2]')$$),
    ($$SELECT fraud.ingest('[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]')$$),
    ($$SELECT fraud.ingest('[]', repeat('x', 64))$$),
    ($$SELECT fraud.assess('[{"amt": 1}, {"amt": 1}]')$$),
    ($$SELECT fraud.assess('{"amt": -1}')$$),
    ($$SELECT fraud.assess('{"cc_num": 4000000000000020, "trans_num": "x", "amt": 1, "merchant": "m"}', 'stump/1')$$),
    ($$SELECT fraud.load_history(0)$$),
    ($$SELECT fraud.load_history('stump')$$),
    ($$SELECT fraud.simulate(0)$$),
    ($$SELECT fraud.simulate(1, 1, 3661)$$),
    ($$SELECT fraud.simulate(NULL)$$),
    ($$SELECT fraud.simulate(starts_at => '2018-01-01 00:00:01+00')$$),
    ($$SELECT fraud.label('nix', true)$$),
    ($$SELECT fraud.label('w-1', true)$$),
    ($$SELECT fraud.label('h1', true, known_at => '-infinity')$$),
    ($$SELECT fraud.label('h1', true, NULL)$$),
    ($$SELECT fraud.add_source('a b', 'http://127.0.0.1/')$$),
    ($$SELECT fraud.add_source('a', 'gopher://127.0.0.1/')$$),
    ($$SELECT fraud.add_source('a', 'http://127.0.0.1/', headers => '{"": "x"}')$$),
    ($$SELECT fraud.add_source('a', NULL)$$),
    ($$SELECT fraud.poll_now('nix')$$),
    ($$SELECT fraud.grant_access('postgres', 'king')$$),
    ($$SET fraud_detect.report_timezone = 'Nowhere'$$),
    ($$SET fraud_detect.ingest_batch_size = 0$$),
    ($$SET fraud_detect.card_key_file = '/nowhere'$$);
SELECT s.statement, t.state, t.message FROM statements s, try(s.statement) t ORDER BY n;
-- No error is an internal one (XX001 is a model file's corruption), ends with a full
-- stop, or begins with a capital.
SELECT s.statement, t.message FROM statements s, try(s.statement) t WHERE t.state IN ('XX000', '00000') OR t.message ~ '\.$' OR t.message ~ '^[A-Z][a-z]' ORDER BY n;
-- Details and hints are sentences.
SELECT s.statement, t.detail, t.hint FROM statements s, try(s.statement) t WHERE t.detail ~ '[^.]$' OR t.hint ~ '[^.]$' ORDER BY n;
