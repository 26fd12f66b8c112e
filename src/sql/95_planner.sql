-- What a server needs that was not known where a function was declared: where sorting is off,
-- presorted aggregates are too, from PostgreSQL 16 on, which has them (src/pg/server/compat.h
-- says why). Again at each update.
DO $$
DECLARE
    unsorted regprocedure;
BEGIN
    IF current_setting('server_version_num')::int < 160000 THEN
        RETURN;
    END IF;
    FOR unsorted IN
        SELECT p.oid FROM pg_proc p
        WHERE p.pronamespace = 'fraud'::regnamespace AND 'enable_sort=off' = ANY (p.proconfig)
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET enable_presorted_aggregate = off', unsorted);
    END LOOP;
END
$$;
