-- What is done from time to time. pg_cron calls fraud.run_job(), or anything else
-- that can call a function; nothing depends on it for correctness.

CREATE FUNCTION fraud._job_list()
RETURNS TABLE (job text, schedule text, statement text, late_after interval, purpose text)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    VALUES
        ('rollups', '* * * * *', 'SELECT fraud.refresh_rollups()', interval '10 minutes', 'keeps the views quick'),
        ('reports', '*/5 * * * *', 'SELECT fraud.close_due_days()', interval '30 minutes', 'closes yesterday at its hour'),
        ('partitions', '13 * * * *', 'SELECT fraud.maintain_partitions()', interval '3 hours', 'months to come'),
        ('retention', '* * * * *', 'SELECT fraud.drop_past_month()', interval '3 hours', 'takes out months past retention, one at a time'),
        ('purge', '23 * * * *', 'SELECT fraud.purge()', interval '3 hours', 'clears what is delivered or too old'),
        ('health', '*/5 * * * *', 'SELECT fraud.notify_health()', interval '30 minutes', 'tells the channels what has failed');
END;
COMMENT ON FUNCTION fraud._job_list() IS 'internal: the jobs, when they run (pg_cron''s five fields, UTC), and when one that has not run is late';

INSERT INTO fraud.locks (name) SELECT 'job ' || l.job FROM fraud._job_list() l;

CREATE TABLE fraud.job_state (
    job text PRIMARY KEY,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    succeeded_at timestamptz,
    failures int NOT NULL,
    last_error text,
    last_error_at timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE fraud.job_state IS 'how the jobs went; read fraud.health()';
COMMENT ON COLUMN fraud.job_state.failures IS 'in a row, up to now';

CREATE FUNCTION fraud._run_job(job text) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    statement text := (SELECT l.statement FROM fraud._job_list() l WHERE l.job = _run_job.job);
    failure text;
BEGIN
    IF statement IS NULL THEN
        RAISE EXCEPTION 'job "%" does not exist', job
            USING ERRCODE = 'undefined_object',
                  HINT = format('The jobs are %s.', (SELECT string_agg(l.job, ', ') FROM fraud._job_list() l));
    END IF;
    IF NOT fraud._try_lock('job ' || job) THEN
        RETURN 'is running already';
    END IF;
    -- A failure is caught, so that it can be written down: fraud.health() shows it.
    BEGIN
        EXECUTE statement;
    EXCEPTION WHEN OTHERS THEN
        failure := fraud._mask_card_numbers(SQLERRM);
    END;
    INSERT INTO fraud.job_state AS s (job, started_at, finished_at, succeeded_at, failures, last_error, last_error_at)
    VALUES (job, now(), clock_timestamp(), CASE WHEN failure IS NULL THEN clock_timestamp() END,
            (failure IS NOT NULL)::int, failure, CASE WHEN failure IS NOT NULL THEN clock_timestamp() END)
    ON CONFLICT ON CONSTRAINT job_state_pkey DO UPDATE SET
        started_at = excluded.started_at,
        finished_at = excluded.finished_at,
        succeeded_at = coalesce(excluded.succeeded_at, s.succeeded_at),
        failures = CASE WHEN failure IS NULL THEN 0 ELSE s.failures + 1 END,
        last_error = coalesce(excluded.last_error, s.last_error),
        last_error_at = coalesce(excluded.last_error_at, s.last_error_at);
    IF failure IS NOT NULL THEN
        RAISE WARNING 'job "%" failed: %', job, failure;
        RETURN 'failed: ' || failure;
    END IF;
    RETURN 'done';
END
$$;
COMMENT ON FUNCTION fraud._run_job(text) IS 'internal: the body of fraud.run_job, run as the owner';

CREATE FUNCTION fraud.run_job(job text) RETURNS text
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.run_job(text) IS
    'runs a job (rollups, reports, partitions, purge, health) and notes how it went, for fraud.health(); a failure is a warning and is noted too';

-- --------------------------------------------------------------- pg_cron
CREATE FUNCTION fraud.__start_closing(since date) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT fraud._check_day(since);
    INSERT INTO fraud.closing AS c (first_day, scheduled_at)
    VALUES (coalesce(since, (now() AT TIME ZONE fraud.report_timezone())::date), now())
    ON CONFLICT (only_row) DO UPDATE
    SET first_day = CASE WHEN since IS NULL THEN c.first_day ELSE least(c.first_day, excluded.first_day) END,
        scheduled_at = coalesce(c.scheduled_at, excluded.scheduled_at);
    SELECT fraud._audit('schedule', 'jobs', NULL, NULL, jsonb_build_object('first_day', c.first_day)) FROM fraud.closing c;
END;
COMMENT ON FUNCTION fraud.__start_closing(date) IS 'internal: the body of fraud._start_closing, run as the owner';

CREATE FUNCTION fraud._start_closing(since date) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud._start_closing(date) IS 'internal: notes the first day that is to be closed';

-- PostgreSQL shows the setting to superusers alone.
CREATE FUNCTION fraud._cron_database() RETURNS name
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT current_setting('cron.database_name', true)::name;
END;
COMMENT ON FUNCTION fraud._cron_database() IS 'internal: the database that pg_cron lives in; null: it is not loaded';

-- Runs a statement, which returns a number, where pg_cron lives: here, or through
-- dblink in the one database of the server that has it.
CREATE FUNCTION fraud._in_cron_database(statement text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    home name := fraud._cron_database();
    dblink_schema name;
    result bigint;
BEGIN
    IF home IS NULL THEN
        RAISE EXCEPTION 'pg_cron is not loaded'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'The jobs can be run by anything that calls functions: '
                      || (SELECT string_agg(format('SELECT fraud.run_job(%L) at %s', l.job, l.schedule), ', ')
                          FROM fraud._job_list() l) || '.',
                  HINT = 'Add pg_cron to shared_preload_libraries, restart, and CREATE EXTENSION pg_cron in the database that cron.database_name names.';
    ELSIF home = current_database() THEN
        IF to_regnamespace('cron') IS NULL THEN
            RAISE EXCEPTION 'extension "pg_cron" is not installed in this database'
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'CREATE EXTENSION pg_cron;';
        ELSIF NOT has_schema_privilege('cron', 'USAGE') THEN
            RAISE EXCEPTION 'permission denied for schema cron'
                USING ERRCODE = 'insufficient_privilege',
                      DETAIL = 'pg_cron grants its schema to nobody.',
                      HINT = format('GRANT USAGE ON SCHEMA cron TO %I;', current_user);
        END IF;
        EXECUTE statement INTO result;
        RETURN result;
    END IF;
    SELECT n.nspname INTO dblink_schema
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'dblink';
    IF dblink_schema IS NULL THEN
        RAISE EXCEPTION 'pg_cron lives in database "%", which is reached through the extension dblink', home
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('Without dblink, run in database "%s": %s', home, statement),
                  HINT = 'CREATE EXTENSION dblink;';
    END IF;
    EXECUTE format('SELECT r FROM %I.dblink(%L, %L) AS d(r bigint)', dblink_schema,
        format('dbname=%L user=%L port=%s', home, current_user, current_setting('port'))
        || coalesce(format(' host=%L', nullif(trim(split_part(current_setting('unix_socket_directories'), ',', 1)), '')), ''),
        statement) INTO result;
    RETURN result;
END
$$;
COMMENT ON FUNCTION fraud._in_cron_database(text) IS 'internal: runs a statement in pg_cron''s database, or says what to do';

-- pg_cron's names have 63 bytes; a longer name of a database is told by its MD5.
CREATE FUNCTION fraud._cron_name(job text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('fraud_detect:%s:%s',
                  CASE WHEN octet_length(current_database()) <= 38 THEN current_database() ELSE md5(current_database()) END, job);
END;
COMMENT ON FUNCTION fraud._cron_name(text) IS 'internal: the name of a job of this database in pg_cron';

CREATE FUNCTION fraud._cron_names() RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT array_agg(fraud._cron_name(j.job)) FROM (SELECT l.job FROM fraud._job_list() l UNION ALL SELECT 'cron_log') j;
END;
COMMENT ON FUNCTION fraud._cron_names() IS 'internal: the names of all jobs of this database in pg_cron';

CREATE FUNCTION fraud.schedule(first_day date DEFAULT NULL) RETURNS TABLE (job text, schedule text, purpose text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT (SELECT r.rolcanlogin FROM pg_roles r WHERE r.rolname = current_user) THEN
        RAISE EXCEPTION 'role "%" may not log in', current_user
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'pg_cron runs each job in a session of the role that called fraud.schedule().',
                  HINT = 'Call it as a role that may, with access operator.';
    END IF;
    -- pg_cron keeps a row for each run, for ever; so a job of its own clears ours. In its
    -- own database cron.schedule does, which needs no grant but its schema's.
    PERFORM fraud._in_cron_database(format(
        'SELECT count(cron.' || CASE WHEN fraud._cron_database() = current_database()
                                     THEN 'schedule(job, schedule, command)'
                                     ELSE 'schedule_in_database(job, schedule, command, database)' END
        || ') FROM (VALUES %s, (%L, %L, %L, %L)) j(job, schedule, command, database)',
        (SELECT string_agg(format('(%L, %L, %L, %L)', fraud._cron_name(l.job), l.schedule,
                                  format('SELECT fraud.run_job(%L)', l.job), current_database()), ', ')
         FROM fraud._job_list() l),
        fraud._cron_name('cron_log'), '43 * * * *',
        format('DELETE FROM cron.job_run_details d USING cron.job j WHERE j.jobid = d.jobid AND j.jobname = ANY (%L)'
               ' AND d.end_time < now() - interval ''7 days''', fraud._cron_names()),
        fraud._cron_database()));
    PERFORM fraud._start_closing(first_day);
    RETURN QUERY SELECT l.job, l.schedule, l.purpose FROM fraud._job_list() l;
END
$$;
COMMENT ON FUNCTION fraud.schedule(date) IS
    'sets up all jobs with pg_cron, in whichever database it lives, named fraud_detect:<database>:<job>; calling it again changes nothing. first_day: the first day that is closed, by default today. Jobs run as the caller';

-- The jobs are the caller's, and removed with the caller's rights; the log is the owner's.
CREATE FUNCTION fraud.__note_unscheduled(jobs bigint) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT fraud._audit('unschedule', 'jobs', NULL, jsonb_build_object('jobs', jobs)); END;
COMMENT ON FUNCTION fraud.__note_unscheduled(bigint) IS 'internal: the body of fraud._note_unscheduled, run as the owner';

CREATE FUNCTION fraud._note_unscheduled(jobs bigint) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud._note_unscheduled(bigint) IS 'internal: notes that jobs were removed';

CREATE FUNCTION fraud.unschedule() RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    jobs bigint;
BEGIN
    jobs := fraud._in_cron_database(format(
        'SELECT count(cron.unschedule(j.jobid)) FROM cron.job j WHERE j.jobname = ANY (%L)', fraud._cron_names()));
    PERFORM fraud._note_unscheduled(jobs);
    RETURN jobs;
END
$$;
COMMENT ON FUNCTION fraud.unschedule() IS
    'removes the jobs that fraud.schedule() set up; call it before DROP EXTENSION or DROP DATABASE. Returns how many';
