-- Promotions and thresholds as their users see them: who may, what is in force then, what
-- stays written, and that a rolled-back one never was.
\ir setup.sql
SET LOCAL search_path = :tap, :home, pg_catalog, pg_temp;
SELECT plan(20);

CREATE TEMP VIEW aliases AS SELECT a.alias, a.version, a.review_at, a.block_at, a.promoted_by FROM fraud.model_aliases a WHERE a.model = 'fraud_test';
GRANT SELECT ON aliases TO PUBLIC;
-- The shipped model's file under another name, twice.
CREATE TEMP TABLE shipped AS SELECT v.artifact FROM fraud.model_versions v WHERE v.model = 'payments' ORDER BY v.version LIMIT 1;
GRANT SELECT ON shipped TO PUBLIC;
SELECT is(pg_temp.outcome(k.role, $$ SELECT fraud.import_model('fraud_test', '\x00') $$), '42501 permission denied for function import_model',
          k.kind || ' imports no model')
FROM kinds k WHERE k.kind IN ('score', 'ingest', 'analyst', 'operator') ORDER BY k.place;
SELECT is(pg_temp.outcome('fraud_test_scientist', $$ SELECT fraud.import_model('fraud_test', (SELECT artifact FROM shipped)) $$), '1', 'a scientist does');
SELECT is(pg_temp.outcome('fraud_test_scientist', $$ SELECT fraud.import_model('fraud_test', (SELECT artifact FROM shipped), description => 'again') $$), '2',
          'each import is a version');
SELECT results_eq($$ SELECT created_by FROM fraud.model_versions WHERE model = 'fraud_test' $$, $$ VALUES ('fraud_test_scientist'::name), ('fraud_test_scientist') $$, 'in his name');
SELECT is(pg_temp.outcome('fraud_test_scientist', 'SELECT artifact FROM fraud.model_versions'), '42501 permission denied for table model_versions',
          'he reads no file but by fraud.export_model');

SELECT is(pg_temp.outcome(k.role, $$ SELECT fraud.promote('fraud_test', 1) $$), '42501 permission denied for function promote', k.kind || ' promotes nothing')
FROM kinds k WHERE k.kind IN ('score', 'ingest', 'analyst', 'operator') ORDER BY k.place;
SELECT unalike(pg_temp.outcome('fraud_test_scientist', $$ SELECT fraud.promote('fraud_test', 1, 'mine', 'first', 0.25, 0.75) $$), '%fraud_test%', 'a scientist does, with thresholds');
SELECT results_eq('SELECT * FROM aliases', $$ VALUES ('mine', 1, 0.25::float8, 0.75::float8, 'fraud_test_scientist'::name) $$, 'which are in force, in his name');
SELECT matches(pg_temp.outcome('fraud_test_scientist', $$ SELECT fraud.promote('fraud_test', 1, 'mine', 'wrong', 0.9, 0.1) $$), '^(22|23)', 'review above block is refused');
SELECT matches(pg_temp.outcome('fraud_test_scientist', $$ SELECT fraud.promote('fraud_test', 99, 'mine') $$), 'has no version 99$', 'so is a version that is not there');

SAVEPOINT before;
DO $$ BEGIN PERFORM pg_temp.outcome('fraud_test_scientist', 'SELECT fraud.promote(''fraud_test'', 2, ''mine'', ''second'', 0.5, 0.5)'); END $$;
ROLLBACK TO before;
SELECT results_eq('SELECT review_at, block_at FROM aliases', $$ VALUES (0.25::float8, 0.75::float8) $$, 'what is rolled back was never in force');
SELECT is(pg_temp.outcome('fraud_test_scientist', $$ UPDATE fraud.promotions SET reason = 'better' $$), '42501 permission denied for table promotions', 'the record is not written but by promoting');
SELECT throws_ok($$ UPDATE fraud.promotions SET reason = 'better' WHERE model = 'fraud_test' $$, NULL, 'not even by the owner');
GRANT USAGE ON SCHEMA :home TO fraud_test_score;
SELECT matches(pg_temp.outcome('fraud_test_score', $$ SELECT fraud_score('{"amount": 1}'::jsonb, 'fraud_test@mine') $$), 'amount|feature|column', 'who scores by it hears what it misses');
SELECT * FROM finish();
ROLLBACK;
