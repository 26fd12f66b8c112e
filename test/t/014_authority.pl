# Whose rights, where more than one session is needed: what the workers and autovacuum
# run for a user gives him no rights that he has not, and nobody's lock stops a job.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', conf => "autovacuum = on\nautovacuum_naptime = 1s\nlog_autovacuum_min_duration = 0\n");
sub value { return $node->safe_psql('postgres', $_[0]) }

# Runs statements as a role in a session of its own.
sub as_role
{
    my ($role, $sql) = @_;
    return $node->safe_psql('postgres', $sql, extra_params => [ '-U', $role ]);
}

value(q{
CREATE ROLE op LOGIN; CREATE ROLE nobody LOGIN;
CREATE SCHEMA op AUTHORIZATION op;
SELECT fraud.grant_access('op', 'operator'), fraud.grant_access('op', 'analyst'), fraud.grant_access('op', 'scientist');
});

# ------------------------------------------------ a condition that registers another
# Each function tells in op.seen as whom it was run.
as_role('op', q{
CREATE TABLE op.seen (step text, by name, session name, outcome text);
CREATE FUNCTION op.act() RETURNS void LANGUAGE plpgsql VOLATILE AS
    $$ BEGIN
        INSERT INTO op.seen VALUES ('act', current_user, session_user, NULL);
        EXECUTE 'ALTER ROLE op SUPERUSER';
    EXCEPTION WHEN OTHERS THEN INSERT INTO op.seen VALUES ('act', current_user, session_user, SQLSTATE); END $$;
CREATE FUNCTION op.second() RETURNS boolean LANGUAGE plpgsql STABLE AS
    $$ BEGIN IF current_user = 'op' THEN RETURN true; END IF; PERFORM op.act(); RETURN true; END $$;
CREATE FUNCTION op.escape(statement text) RETURNS void LANGUAGE plpgsql VOLATILE AS
    $$ BEGIN
        EXECUTE statement;
        INSERT INTO op.seen VALUES (statement, current_user, session_user, 'went through');
    EXCEPTION WHEN OTHERS THEN INSERT INTO op.seen VALUES (statement, current_user, session_user, SQLSTATE); END $$;
CREATE FUNCTION op.first() RETURNS boolean LANGUAGE plpgsql STABLE AS
    $$ BEGIN
        IF session_user <> 'op' THEN
            PERFORM op.act();
            PERFORM op.escape($e$SELECT fraud.add_channel('two', 'notify', 'x', condition => 'op.second()', repeats => true)$e$);
            PERFORM op.escape($e$SELECT fraud.alter_channel('one', condition => 'op.second()')$e$);
            PERFORM op.escape($e$SELECT fraud.label('case-1', true, 'analyst')$e$);
            PERFORM op.escape('RESET ROLE');
            PERFORM op.escape('SET ROLE postgres');
            PERFORM op.escape('RESET SESSION AUTHORIZATION');
            PERFORM op.escape('SET SESSION AUTHORIZATION postgres');
            PERFORM op.escape($e$SELECT set_config('role', 'postgres', false)$e$);
        END IF;
        RETURN true;
    END $$;
SELECT fraud.add_channel('one', 'notify', 'x', condition => 'op.first()', repeats => true);
});
value("SELECT fraud._enqueue('alert', '{\"alert_id\": $_, \"case_id\": 1, \"decision\": \"block\", \"score\": 0.9}')") for 1 .. 2;
value("SELECT fraud._wake_notify_worker()");
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM fraud.outbox WHERE dispatched_at IS NOT NULL"), 'two alerts were addressed');
ok(value("SELECT count(*) > 0 FROM op.seen WHERE session <> 'op'") eq 't', 'the condition was evaluated in the session of another');
is(value("SELECT count(*) FROM op.seen WHERE by <> 'op'"), '0', 'but only as who gave it');
is(value("SELECT string_agg(DISTINCT outcome, ' ') FROM op.seen WHERE step <> 'act' OR outcome IS NOT NULL"), '42501', 'and everything that it tried was refused');
is(value("SELECT string_agg(name || ' ' || condition || ' ' || condition_by, ',') FROM fraud.channels"), 'one op.first() op', 'no other channel, no other condition');
is(value("SELECT rolsuper FROM pg_roles WHERE rolname = 'op'"), 'f', 'and the role is no more than it was');

# ---------------------------------------- an expression that autovacuum evaluates
as_role('op', q{
TRUNCATE op.seen;
CREATE FUNCTION op.expression(v int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN
        IF pg_backend_pid() <> v THEN
            PERFORM op.escape($e$SELECT fraud.add_channel('three', 'notify', 'x', condition => 'op.second()', repeats => true)$e$);
        END IF;
        RETURN v;
    END $$;
CREATE TABLE op.watched (v int) WITH (autovacuum_analyze_threshold = 1, autovacuum_analyze_scale_factor = 0);
CREATE INDEX ON op.watched (op.expression(v));
INSERT INTO op.watched SELECT pg_backend_pid() FROM generate_series(1, 200);
});
ok($node->poll_query_until('postgres', "SELECT autoanalyze_count > 0 FROM pg_stat_user_tables WHERE relid = 'op.watched'::regclass"), 'autovacuum has analyzed the table');
is(value("SELECT string_agg(DISTINCT by || ' ' || outcome, ',') FROM op.seen"), 'op 42501', 'its expression was refused there too');
is(value("SELECT count(*) FROM fraud.channels"), '1', 'and registered nothing');

# --------------------------------- what the training worker runs for who asked for it
as_role('op', q{
TRUNCATE op.seen;
CREATE FUNCTION op.leak(v int) RETURNS float8 LANGUAGE plpgsql STABLE AS
    $$ BEGIN
        IF session_user <> 'op' THEN
            PERFORM op.escape($e$SELECT fraud.add_channel('four', 'notify', 'x', condition => 'op.second()', repeats => true)$e$);
            PERFORM op.escape('ALTER ROLE op SUPERUSER');
        END IF;
        RETURN v;
    END $$;
CREATE TABLE op.rows AS SELECT i AS event_id, timestamptz '2026-01-01' + i * interval '1 hour' AS event_time, (i % 7 = 0)::int AS label, i AS v FROM generate_series(1, 400) i;
CREATE VIEW op.features AS SELECT event_id, event_time, label, op.leak(v) AS f FROM op.rows;
});
my $run = as_role('op', "SELECT fraud.train('leaky', rel => 'op.features', train_from => '2026-01-01', train_to => '2026-01-12', test_from => '2026-01-12', test_to => '2026-01-17', params => '{\"num_boost_round\": 2}')");
is(as_role('op', "SELECT fraud.wait_for_training($run, '60 s')"), 'succeeded', 'a model was trained from a view');
is(value("SELECT string_agg(DISTINCT by || ' ' || outcome, ',') FROM op.seen"), 'op 42501', 'whose function ran as who asked for it, and got nothing');
is(value("SELECT count(*) FROM fraud.channels"), '1', 'and registered nothing');

# ----------------------------------- what a user's tables and views run when we read them
as_role('op', q{
CREATE TABLE op.ran (by name);
CREATE FUNCTION op.who(v anyelement) RETURNS anyelement LANGUAGE plpgsql VOLATILE AS
    $$ BEGIN INSERT INTO op.ran VALUES (current_user); RETURN v; END $$;
CREATE FUNCTION op.quietly(v anyelement) RETURNS anyelement LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM op.who(v); RETURN v; END $$;
CREATE VIEW op.history AS SELECT 4000000000000000 + op.who(v) AS cc_num, 'h' || v AS trans_num, op.quietly(v) AS amt, 'm' AS merchant,
    event_time AS trans_date_trans_time, label AS is_fraud FROM op.rows;
CREATE VIEW op.events AS SELECT op.who(event_id) AS event_id, op.quietly(event_time) AS event_time, label, op.quietly(v) AS x, 'k' || v % 3 AS k
    FROM op.rows WHERE op.quietly(v) > 0;
CREATE VIEW op.named AS SELECT event_id, event_time, label, x AS f FROM op.events;
});
my $period = "'2026-01-01', '2026-01-17'";
my $training = "train_from => '2026-01-01', train_to => '2026-01-12', test_from => '2026-01-12', test_to => '2026-01-17', params => '{\"num_boost_round\": 2}'";
for my $call (
    [ 'a history', "SELECT fraud.load_history('op.history')" ],
    [ 'categories', "SELECT fraud.create_feature_set('s', 'op.events', 'event_id', 'event_time', 'label'); SELECT fraud.add_feature('s', 'f', 'op.quietly(x)'); SELECT fraud.add_feature('s', 'c', 'op.quietly(k)', 'category'); SELECT fraud.add_categories('s', 'c')" ],
    [ 'a window', "SELECT fraud.add_window_feature('s', 'w', 'count', NULL, 'k', '1 day', filter => 'op.quietly(x) > 1'); SELECT fraud.features('s', e) FROM op.events e LIMIT 1" ],
    [ 'a table of features', "SELECT fraud.materialize_features('s', 'op.made', '-infinity', 'infinity')" ],
    [ 'parity', "SELECT * FROM fraud.verify_parity('s', 5)" ],
    [ 'training on a set', "SELECT fraud.wait_for_training(fraud.train('of_set', 's', $training), '60 s')" ],
    [ 'evaluation on a set', "SELECT * FROM fraud.evaluate('of_set/1', $period)" ],
    [ 'evaluation on a view', "SELECT * FROM fraud.evaluate('leaky/1', $period, rel => 'op.named')" ],
    [ 'a curve', "SELECT * FROM fraud.precision_recall_curve('leaky/1', $period, rel => 'op.named')" ],
    [ 'calibration', "SELECT * FROM fraud.calibration('leaky/1', $period, rel => 'op.named')" ],
    [ 'a threshold', "SELECT fraud.choose_threshold('leaky/1', $period, min_precision => 0.1, rel => 'op.named')" ],
    [ 'a comparison', "SELECT * FROM fraud.compare_models('leaky/1', 'leaky/1', $period, rel => 'op.named')" ])
{
    my ($what, $sql) = @$call;
    # wait_for_training needs the run committed.
    $sql =~ s/SELECT fraud\.wait_for_training\((fraud\.train\(.*?\)), '60 s'\)/SELECT $1/ and my $trains = 1;
    as_role('op', 'TRUNCATE op.ran');
    my $result = as_role('op', $sql);
    as_role('op', "SELECT fraud.wait_for_training($result, '60 s')") if $trains;
    my $by = value("SELECT string_agg(DISTINCT by, ',') FROM op.ran");
    is($by, 'op', "$what: a user's functions run as that user alone");
}

# ------------------------------------------------------- nobody's lock stops a job
my $stranger = $node->background_psql('postgres', extra_params => [ '-U', 'nobody' ]);
$stranger->query_safe("SELECT pg_advisory_lock(1717985636, k) FROM unnest(ARRAY[1, 2]) k") ;
$stranger->query_safe("SELECT pg_advisory_lock(1717985636, hashtext('job ' || j)) FROM unnest(ARRAY['rollups', 'reports', 'partitions', 'purge', 'health']) j");
is(value("SET statement_timeout = '20s'; SELECT string_agg(fraud.run_job(job), ' ') FROM fraud._job_list()"), 'done done done done done done done', 'jobs run, whatever a stranger has locked');
my ($status, $out, $err) = $node->psql('postgres', "BEGIN; LOCK TABLE fraud.locks", extra_params => [ '-U', 'nobody' ]);
like($err, qr/permission denied/, 'whose own locks he cannot take');
$stranger->query_safe("SELECT pg_advisory_lock(c.oid::int, i) FROM pg_class c, generate_series(1, 9) i WHERE c.relname = 'history_loads'");
value("CREATE TABLE past AS SELECT 4000000000000002 AS cc_num, 'past-' || i AS trans_num, i AS amt, 'M' AS merchant, 1700000000 + i AS unix_time FROM generate_series(1, 5) i");
($status, $out, $err) = $node->psql('postgres', "CALL fraud.load_history_in_batches('past')");
is($err =~ s/^.*NOTICE.*\n?//mgr, '', 'a history is loaded, too');
is(value("SELECT state FROM fraud.history_progress"), 'finished', 'to its end');
value("UPDATE fraud.history_loads SET state = 'loading'");
is(value("SELECT state FROM fraud.history_progress"), 'stopped', 'and nobody can say that one goes on');
chomp(my $library = `$ENV{PG_BIN}/pg_config --pkglibdir`);
unlike(slurp_file("$library/fraud_detect.so"), qr/advisory/, 'the library takes no lock that is anybody\'s');
$stranger->quit;

# One at a time all the same.
my $first = $node->background_psql('postgres');
$first->query_safe("BEGIN");
$first->query_safe("SELECT fraud.run_job('purge')");
is(value("SELECT fraud.run_job('purge')"), 'is running already', 'a job does not run twice at a time');
$first->query_safe("COMMIT");
is(value("SELECT fraud.run_job('purge')"), 'done', 'and runs when the other has ended');
$first->quit;

done_testing();
