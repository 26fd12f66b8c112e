-- When all is there: what the installer's ALTER DEFAULT PRIVILEGES gave to others goes, and what PUBLIC has of a new
-- function. It was meant for tables and functions of an application, and would give away the keys of card numbers, or
-- fraud.grant_access itself. (Of an update tools/build-update writes the like.)
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT DISTINCT o.kind, o.name, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END AS grantee
        FROM (SELECT 'SCHEMA' AS kind, n.oid::regnamespace::text AS name, n.nspacl AS acl, n.nspowner AS owner FROM pg_namespace n WHERE n.oid = 'fraud'::regnamespace
              UNION ALL
              SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass::text, c.relacl, c.relowner
              FROM pg_class c WHERE c.relnamespace = 'fraud'::regnamespace
              UNION ALL
              SELECT 'ROUTINE', p.oid::regprocedure::text, coalesce(p.proacl, acldefault('f', p.proowner)), p.proowner
              FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
              WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = (SELECT e.oid FROM pg_extension e WHERE e.extname = 'fraud_detect')) o,
             aclexplode(o.acl) x
        WHERE x.grantee <> o.owner
    LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM %s', given.kind, given.name, given.grantee);
    END LOOP;
END
$$;
