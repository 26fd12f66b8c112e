-- What is done from time to time. pg_cron calls fraud.run_job(), or anything else
-- that can call a function; nothing depends on it for correctness.

CREATE FUNCTION fraud._job_list()
RETURNS TABLE (job text, schedule text, statement text, every interval, late_after interval, purpose text)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    VALUES
        ('rollups', '* * * * *', 'SELECT fraud.refresh_rollups()', interval '1 minute', interval '10 minutes', 'keeps the views quick'),
        ('reports', '*/5 * * * *', 'SELECT fraud.close_due_days()', interval '5 minutes', interval '30 minutes', 'closes yesterday at its hour'),
        ('partitions', '13 * * * *', 'SELECT fraud.maintain_partitions()', interval '1 hour', interval '3 hours', 'makes months to come'),
        ('retention', '* * * * *', 'SELECT fraud.drop_past_month()', interval '1 minute', interval '3 hours', 'takes out months past retention, one at a time'),
        ('records', '* * * * *', 'SELECT fraud.purge_records()', interval '1 minute', interval '3 hours', 'removes what is kept of payments past retention, a piece at a time'),
        ('purge', '23 * * * *', 'SELECT fraud.purge()', interval '1 hour', interval '3 hours', 'clears what is delivered or too old'),
        ('health', '*/5 * * * *', 'SELECT fraud.notify_health()', interval '5 minutes', interval '30 minutes', 'tells the channels what has failed, where no worker does');
END;
COMMENT ON FUNCTION fraud._job_list() IS 'internal: the jobs, when they run (pg_cron''s five fields, UTC), how often that is, and when one that has not run is late';

INSERT INTO fraud.locks (name) SELECT 'job ' || l.job FROM fraud._job_list() l;

CREATE TABLE fraud.job_state (
    job text PRIMARY KEY,
    started_at timestamptz,
    finished_at timestamptz,
    succeeded_at timestamptz,
    failures int NOT NULL DEFAULT 0,
    failing_since timestamptz,
    last_error text,
    last_error_at timestamptz,
    missed int NOT NULL DEFAULT 0,
    missed_at timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE fraud.job_state IS 'how the jobs went; read fraud.health()';
COMMENT ON COLUMN fraud.job_state.failures IS 'in a row, up to now';
COMMENT ON COLUMN fraud.job_state.failing_since IS 'the first of these';
COMMENT ON COLUMN fraud.job_state.missed IS 'runs that were to come between the last two and did not: pg_cron was not there, or the server';
COMMENT ON COLUMN fraud.job_state.missed_at IS 'when that was noticed';

-- Apart from fraud.job_state, whose row the run that is under way has locked. One each, always
-- there, so that nobody waits to note that he does not.
CREATE TABLE fraud.job_skips (
    job text PRIMARY KEY,
    skipped int NOT NULL DEFAULT 0,
    skipped_at timestamptz,
    running_pid int
) WITH (fillfactor = 50);
INSERT INTO fraud.job_skips (job) SELECT l.job FROM fraud._job_list() l;
COMMENT ON TABLE fraud.job_skips IS 'runs of jobs that found the one before running still';
COMMENT ON COLUMN fraud.job_skips.skipped IS 'since the last run that ended';
COMMENT ON COLUMN fraud.job_skips.running_pid IS 'the session that ran it, where it could be told';

-- Who holds locks on our tables longest, but for those who only read: what a job waits for is
-- not told by the error that ends its wait.
CREATE FUNCTION fraud._oldest_writer() RETURNS text
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('session %s (%s, %s) has locks on %s since %s', a.pid, coalesce(a.usename, a.backend_type), a.state, l.relation::regclass,
                  to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS"Z"'))
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid JOIN pg_class c ON c.oid = l.relation
    WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_backend_pid() AND a.datname = current_database()
      AND c.relnamespace = 'fraud'::regnamespace AND l.mode <> 'AccessShareLock'
    ORDER BY a.xact_start LIMIT 1;
END;
COMMENT ON FUNCTION fraud._oldest_writer() IS 'internal: who has had locks on tables of ours longest, but for readers; null: nobody';

-- No job waits long for a lock: one that somebody holds makes it fail, which is written down and said.
CREATE FUNCTION fraud._run_job(job text) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10s'
AS $$
DECLARE
    of_list record;
    failure text;
    holder text;
    runs int;
BEGIN
    SELECT * INTO of_list FROM fraud._job_list() l WHERE l.job = _run_job.job;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'job "%" does not exist', job
            USING ERRCODE = 'undefined_object',
                  HINT = format('The jobs are %s.', (SELECT string_agg(l.job, ', ') FROM fraud._job_list() l));
    END IF;
    IF NOT fraud._try_lock('job ' || job) THEN
        UPDATE fraud.job_skips k
        SET skipped = CASE WHEN k.skipped_at > coalesce((SELECT s.finished_at FROM fraud.job_state s WHERE s.job = k.job), '-infinity') THEN k.skipped + 1 ELSE 1 END,
            skipped_at = clock_timestamp(),
            running_pid = (SELECT a.pid FROM pg_stat_activity a
                           WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.query ~* 'run_job' AND strpos(a.query, k.job) > 0
                             AND a.xact_start IS NOT NULL ORDER BY a.xact_start LIMIT 1)
        WHERE k.job = (SELECT o.job FROM fraud.job_skips o WHERE o.job = _run_job.job FOR UPDATE SKIP LOCKED);
        RETURN 'is running already';
    END IF;
    SELECT greatest(floor(extract(epoch FROM now() - s.started_at) / extract(epoch FROM of_list.every)) - 1, 0)::int INTO runs
    FROM fraud.job_state s
    -- Where jobs are called by hand, none is missed.
    WHERE s.job = _run_job.job AND EXISTS (SELECT FROM fraud.closing c WHERE c.scheduled_at < s.started_at);
    -- A failure is caught, so that it can be written down: fraud.health() shows it.
    BEGIN
        EXECUTE of_list.statement;
    EXCEPTION
        WHEN lock_not_available THEN
            -- Some say themselves who it is.
            holder := CASE WHEN SQLERRM ~ 'pid' THEN NULL ELSE fraud._oldest_writer() END;
            failure := fraud._mask_card_numbers(SQLERRM || coalesce(': ' || holder, ''));
        WHEN OTHERS THEN
            failure := fraud._mask_card_numbers(SQLERRM);
    END;
    INSERT INTO fraud.job_state AS s (job, started_at, finished_at, succeeded_at, failures, failing_since, last_error, last_error_at)
    VALUES (job, now(), clock_timestamp(), CASE WHEN failure IS NULL THEN clock_timestamp() END,
            (failure IS NOT NULL)::int, CASE WHEN failure IS NOT NULL THEN now() END, failure, CASE WHEN failure IS NOT NULL THEN clock_timestamp() END)
    ON CONFLICT ON CONSTRAINT job_state_pkey DO UPDATE SET
        started_at = excluded.started_at,
        finished_at = excluded.finished_at,
        succeeded_at = coalesce(excluded.succeeded_at, s.succeeded_at),
        failures = CASE WHEN failure IS NULL THEN 0 ELSE s.failures + 1 END,
        failing_since = CASE WHEN failure IS NOT NULL THEN coalesce(s.failing_since, excluded.failing_since) END,
        last_error = coalesce(excluded.last_error, s.last_error),
        last_error_at = coalesce(excluded.last_error_at, s.last_error_at),
        missed = CASE WHEN runs >= 2 THEN runs ELSE s.missed END,
        missed_at = CASE WHEN runs >= 2 THEN now() ELSE s.missed_at END;
    IF failure IS NOT NULL THEN
        RAISE WARNING 'job "%" failed: %', job, failure
            USING HINT = 'It is tried again at its next time; fraud.health() names the jobs that fail.';
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
    'runs a job (rollups, reports, partitions, retention, records, purge, health) and notes how it went, for fraud.health(); a failure is a warning and is noted too, and so is a lock that somebody holds for longer than 10 seconds, with who it is';

-- --------------------------------------------------------------- pg_cron
CREATE FUNCTION fraud.__start_closing(since date) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT fraud._check_day(since);
    INSERT INTO fraud.closing AS c (first_day, scheduled_at)
    VALUES (coalesce(fraud._first_closed(since), (now() AT TIME ZONE fraud.report_timezone())::date), now())
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

-- The jobs of others are hidden from a role by pg_cron's row security, and so is that they are there.
CREATE FUNCTION fraud._local_scheduler() RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found text;
BEGIN
    IF to_regclass('cron.job') IS NOT NULL THEN
        EXECUTE format('SELECT j.username FROM %s j JOIN pg_roles r ON r.rolname = j.username WHERE j.jobname = ANY ($1) ORDER BY j.jobid LIMIT 1', to_regclass('cron.job'))
        INTO found USING fraud._cron_names();
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION fraud._local_scheduler() IS 'internal: whose jobs of this database pg_cron has, where it lives in this database';

CREATE FUNCTION fraud._scheduled_by() RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF fraud._cron_database() IS NULL THEN
        RETURN NULL;
    ELSIF fraud._cron_database() = current_database() THEN
        RETURN fraud._local_scheduler();
    END IF;
    -- Elsewhere they are a superuser's, who sees all. Roles are of the whole server. Who cannot ask
    -- is told so when he sets them up.
    IF NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'dblink') THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT r.rolname FROM pg_roles r
            WHERE r.oid::bigint = fraud._in_cron_database(format(
                'SELECT (SELECT r.oid::bigint FROM cron.job j JOIN pg_roles r ON r.rolname = j.username WHERE j.jobname = ANY (%L) ORDER BY j.jobid LIMIT 1)',
                fraud._cron_names())));
END
$$;
COMMENT ON FUNCTION fraud._scheduled_by() IS 'internal: the role whose jobs run; null: there are none';

CREATE FUNCTION fraud._schedule(first_day date) RETURNS TABLE (job text, schedule text, purpose text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    holder text;
BEGIN
    IF NOT (SELECT r.rolcanlogin FROM pg_roles r WHERE r.rolname = current_user) THEN
        RAISE EXCEPTION 'role "%" may not log in', current_user
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'pg_cron runs each job in a session of the role that called fraud.schedule().',
                  HINT = 'Call it as a role that may, with access operator.';
    END IF;
    -- Two who do this at once take turns from here on.
    PERFORM fraud._start_closing(first_day);
    -- A role's jobs are another's to pg_cron, even under one name.
    holder := fraud._scheduled_by();
    IF holder <> current_user THEN
        RAISE NOTICE 'the jobs are set up already, by role "%"', holder
            USING HINT = 'They run as that role. To have them run as another, it calls fraud.unschedule() first, or a superuser does.';
        RETURN QUERY SELECT l.job, l.schedule, l.purpose FROM fraud._job_list() l;
        RETURN;
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
    RETURN QUERY SELECT l.job, l.schedule, l.purpose FROM fraud._job_list() l;
END
$$;
COMMENT ON FUNCTION fraud._schedule(date) IS
    'internal: the body of fraud.schedule, run as its caller';

CREATE FUNCTION fraud.schedule(first_day date DEFAULT NULL) RETURNS TABLE (job text, schedule text, purpose text)
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.schedule(date) IS
    'sets up all jobs with pg_cron, in whichever database it lives, named fraud_detect:<database>:<job>; calling it again changes nothing, and where another role has set them up they stay that role''s, which a notice says. first_day: the first day that is closed, by default today; none that lies before all months and more than 400 days back. Jobs run as the caller';

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

CREATE FUNCTION fraud._unschedule() RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    jobs bigint;
    holder text := fraud._scheduled_by();
BEGIN
    IF holder <> current_user AND NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
        RAISE EXCEPTION 'the jobs are those of role "%"', holder
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'That role calls fraud.unschedule(), or a superuser does.';
    END IF;
    jobs := fraud._in_cron_database(format(
        'SELECT count(cron.unschedule(j.jobid)) FROM cron.job j WHERE j.jobname = ANY (%L)', fraud._cron_names()));
    PERFORM fraud._note_unscheduled(jobs);
    RETURN jobs;
END
$$;
COMMENT ON FUNCTION fraud._unschedule() IS
    'internal: the body of fraud.unschedule, run as its caller';

CREATE FUNCTION fraud.unschedule() RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.unschedule() IS
    'removes the jobs that fraud.schedule() set up; call it before DROP EXTENSION or DROP DATABASE. Returns how many';

-- ----------------------------------------------------------------- health
CREATE FUNCTION fraud._job_health() RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cron_home name := fraud._cron_database();
    scheduled timestamptz := (SELECT c.scheduled_at FROM fraud.closing c);
    j record;
BEGIN
    RETURN QUERY SELECT 'pg_cron', CASE WHEN cron_home IS NULL THEN 'warning' ELSE 'ok' END, NULL::timestamptz,
        CASE WHEN cron_home IS NULL THEN 'not loaded: something else must call fraud.run_job()'
             ELSE format('loaded, in database "%s"', cron_home)
                  || CASE WHEN cron_home = current_database() THEN coalesce(format(', the jobs are those of role "%s"', fraud._local_scheduler()), '') ELSE '' END END,
        CASE WHEN cron_home IS NULL THEN 'add pg_cron to shared_preload_libraries, CREATE EXTENSION pg_cron, fraud.schedule(); or have any scheduler call fraud.run_job()' END;
    FOR j IN
        SELECT l.job AS name, l.late_after, l.every, s.*, k.skipped, k.skipped_at, k.running_pid
        FROM fraud._job_list() l LEFT JOIN fraud.job_state s ON s.job = l.job LEFT JOIN fraud.job_skips k ON k.job = l.job
    LOOP
        item := 'job ' || j.name;
        status := 'ok';
        since := NULL;
        advice := NULL;
        -- The notify worker does it, without pg_cron.
        CONTINUE WHEN j.name = 'health' AND fraud._is_preloaded() AND (j.started_at IS NULL OR scheduled IS NULL AND j.failures = 0)
                      AND coalesce(nullif(current_setting('fraud_detect.health_interval', true), ''), '1min') <> '0';
        IF j.skipped > 0 AND j.skipped_at > coalesce(j.finished_at, '-infinity') THEN
            status := CASE WHEN j.skipped > 3 AND coalesce(j.finished_at, scheduled) < now() - j.late_after THEN 'error' ELSE 'warning' END;
            since := coalesce(j.finished_at, j.skipped_at);
            detail := format('is running still, so that %s later runs were left out', j.skipped) || coalesce(format(' (session %s)', j.running_pid), '');
            advice := 'pg_stat_activity says what it does or waits for; the item locks says for whom';
        ELSIF j.failures > 0 THEN
            -- What is tried again each minute may have met somebody: that is no error yet.
            status := CASE WHEN j.every <= interval '1 minute' AND j.failures < 3 AND j.succeeded_at > now() - interval '15 minutes' THEN 'warning' ELSE 'error' END;
            since := j.failing_since;
            detail := format('failed %s times in a row: %s', j.failures, j.last_error);
            advice := format('mend what the error says, then SELECT fraud.run_job(%L)', j.name);
        ELSIF j.succeeded_at IS NULL AND scheduled < now() - j.late_after THEN
            status := 'error';
            since := scheduled;
            detail := format('never ran, though fraud.schedule() was called %s: does pg_cron run?', to_char(scheduled AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI"Z"'));
            advice := 'SELECT * FROM cron.job_run_details ORDER BY start_time DESC, in pg_cron''s database, and the server''s log';
        ELSIF j.succeeded_at IS NULL AND scheduled IS NOT NULL THEN
            detail := format('scheduled, has not run yet: late after %s', to_char((scheduled + j.late_after) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI"Z"'));
        ELSIF j.succeeded_at IS NULL THEN
            status := 'warning';
            detail := 'never ran: fraud.schedule(), or fraud.run_job()';
            advice := 'SELECT * FROM fraud.schedule()';
        ELSIF j.succeeded_at < now() - j.late_after THEN
            status := 'error';
            since := j.succeeded_at + j.every;
            detail := format('late: last done %s', fraud._told_time(j.succeeded_at));
            advice := 'does pg_cron run, and as a role that may log in? cron.job_run_details says; SELECT fraud.run_job(…) does it now';
        ELSE
            detail := format('done %s', fraud._told_time(j.succeeded_at))
                || CASE WHEN j.missed_at > now() - interval '1 day' THEN format('; %s runs before %s were missed', j.missed, fraud._told_time(j.missed_at)) ELSE '' END;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION fraud._job_health() IS 'internal: the items of fraud.health() on jobs';
