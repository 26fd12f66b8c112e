-- CREATE EXTENSION, and what it leaves readable to whom.
CREATE EXTENSION fraud_detect;

-- Everything public has a comment.
SELECT d.classid::regclass, pg_describe_object(d.classid, d.objid, 0)
FROM pg_depend d
WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'fraud_detect')
  AND d.classid IN ('pg_proc'::regclass, 'pg_namespace'::regclass, 'pg_class'::regclass)
  AND obj_description(d.objid, d.classid::regclass::name) IS NULL
  AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = d.objid AND c.relkind IN ('S', 'i'))
ORDER BY 2;

-- Scores depend on what is promoted, so never IMMUTABLE.
SELECT oid::regprocedure, provolatile, proparallel, proisstrict FROM pg_proc
WHERE proname IN ('fraud_score', 'fraud_explain') ORDER BY oid::regprocedure::text;

-- Nothing is granted to PUBLIC.
SELECT p.oid::regprocedure FROM pg_proc p
JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'fraud_detect')
  AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0);
SELECT c.oid::regclass FROM pg_class c
WHERE c.relnamespace = 'fraud'::regnamespace
  AND EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee = 0);

-- SECURITY DEFINER functions pin their search_path.
SELECT oid::regprocedure FROM pg_proc
WHERE pronamespace = 'fraud'::regnamespace AND prosecdef
  AND NOT coalesce(proconfig @> ARRAY['search_path=pg_catalog, pg_temp'], false);

-- The model that comes with it is in force.
SELECT model, alias, version, review_at, block_at FROM fraud.model_aliases;
SELECT model, version, cardinality(feature_names), trees, objective, builtin,
       digest = sha256(artifact) AS digest_is_right
FROM fraud.model_versions;
SELECT array_to_string(fraud.payment_features(), ' ');

-- The query functions go where they are asked to; one database, one fraud_detect.
CREATE EXTENSION fraud_detect;
DROP EXTENSION fraud_detect;
SELECT count(*) FROM pg_namespace WHERE nspname = 'fraud';
CREATE SCHEMA scoring;
CREATE EXTENSION fraud_detect SCHEMA scoring;
SELECT oid::regprocedure FROM pg_proc WHERE proname = 'fraud_score' ORDER BY oid::regprocedure::text;
-- Who may score may go there.
CREATE ROLE regress_fraud_elsewhere;
SELECT fraud.grant_access('regress_fraud_elsewhere', 'score');
SET ROLE regress_fraud_elsewhere;
SELECT scoring.fraud_score('{}'::jsonb, 'nix');
RESET ROLE;
DROP EXTENSION fraud_detect;
DROP OWNED BY regress_fraud_elsewhere;
DROP ROLE regress_fraud_elsewhere;
DROP SCHEMA scoring;
CREATE EXTENSION fraud_detect;
