# Training in a process of its own: what it maps, cancels, crashes, DROP DATABASE and
# DROP EXTENSION in the middle, the queue, memory, rights, and the same bytes twice.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', conf => "fraud_detect.max_training_workers = 1\nrestart_after_crash = on\n");

sub value { return $node->safe_psql($_[1] // 'postgres', $_[0]) }

# A table of labelled events with its features, long enough to train on.
sub make_events
{
    my ($database) = @_;
    value(q{CREATE TABLE events AS
        SELECT i AS event_id, timestamptz '2026-01-01' + i * interval '1 minute' AS event_time,
               (i * 7919 % 1000 < 20 OR i * 104729 % 500 = 0) AS label,
               (i * 7919 % 1000)::float8 + i % 7 AS a, (i * 104729 % 500)::float8 AS b, sin(i) AS c, (i % 13)::real AS d
        FROM generate_series(1::bigint, 40000) i}, $database);
}

sub train
{
    my ($more, $params, $database, $role) = @_;
    $params //= '{"num_boost_round": 20}';
    my $sql = "SELECT fraud.train('mine', rel => 'events', params => '$params', train_from => '2026-01-01', train_to => '2026-01-20' $more)";
    $sql = "SET ROLE $role; $sql" if $role;
    return value($sql, $database);
}

sub status_of { return value("SELECT status FROM fraud.training_runs WHERE run = $_[0]", $_[1]) }

sub wait_status
{
    my ($run, $status, $database) = @_;
    ok(wait_for(sub { status_of($run, $database) eq $status }, "run $run is $status"), "run $run is $status")
      or diag(value("SELECT status, reason FROM fraud.training_runs WHERE run = $run", $database));
}

sub children { return map { chomp; $_ } `pgrep -x fraud_detect_tr` }
my $forever = '{"num_boost_round": 100000, "max_depth": 10}';
sub boosting
{
    my ($run, $database) = @_;
    ok(wait_for(sub { value("SELECT phase FROM fraud.training_progress WHERE run = $run AND round > 0", $database) eq 'boosting' },
        'boosting'), "run $run is boosting");
}

# Those of this server: its training worker's child.
sub trainer
{
    my $worker = value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'fraud_detect training'");
    return grep { `ps -o ppid= -p $_` =~ /^\s*$worker\s*$/ } children();
}

make_events();

# ------------------------------------------------------------- an ordinary run
my $run = train(", validation_from => '2026-01-20', validation_to => '2026-01-24', test_from => '2026-01-24', test_to => '2026-02-01'");
is(value("SELECT fraud.wait_for_training($run)"), 'succeeded', 'a run succeeds');
is(value("SELECT train_rows, validation_rows, test_rows, model_version, rounds BETWEEN 1 AND 20, peak_memory_kb > 1000, "
          . "xgboost_version <> '', (test_metrics ->> 'average_precision')::float8 > 0.5 FROM fraud.training_runs WHERE run = $run"),
    "27359|5760|6881|1|t|t|t|t", 'it says what it was made of and what came of it');
is(value("SELECT round((m.test_metrics ->> 'average_precision')::numeric, 10) = round(e.value::numeric, 10) FROM fraud.training_runs m, "
          . "fraud.evaluate('mine/1', '2026-01-24', '2026-02-01') e WHERE m.run = $run AND e.metric = 'average_precision'"),
    't', 'fraud.evaluate finds the events it was trained on, and says the same of the test period');
is(value("SELECT count(*) FROM fraud.training_progress"), '0', 'nothing is under way');

# The same again gives the same bytes; other rows, other bytes.
my $again = train(", validation_from => '2026-01-20', validation_to => '2026-01-24', test_from => '2026-01-24', test_to => '2026-02-01'");
value("SELECT fraud.wait_for_training($again)");
is(value("SELECT count(DISTINCT digest) FROM fraud.model_versions WHERE model = 'mine'"), '1', 'the same run twice gives the same bytes');
is(value("SELECT count(DISTINCT data_digest), count(DISTINCT definition_hash) FROM fraud.training_runs"), '1|1', 'of the same rows and definition');
my $sampled = '{"num_boost_round": 20, "subsample": 0.5, "colsample_bytree": 0.7, "seed": 7}';
value("SELECT fraud.wait_for_training(" . train('', $sampled) . ")") for 1 .. 2;
is(value("SELECT count(DISTINCT digest), count(*) FROM fraud.model_versions WHERE model = 'mine' AND version > 2"), '1|2',
    'with sampling too');
value("SELECT fraud.wait_for_training(" . train('', '{"num_boost_round": 5, "tree_method": "' . $_ . '"}') . ")") for qw(exact approx);
is(value("SELECT string_agg(used_params ->> 'tree_method', ',' ORDER BY run DESC) FROM (SELECT * FROM fraud.training_runs ORDER BY run DESC LIMIT 2) r"),
    'approx,exact', 'exact and approx train too');

# --------------------------------------------------------------- what is mapped
my $score = $node->background_psql('postgres');
$score->query_safe("SELECT fraud_score('{\"a\": 1, \"b\": 2, \"c\": 3, \"d\": 4}'::jsonb, 'mine/1')");
my $backend = $score->query_safe('SELECT pg_backend_pid()');
$run = train('', $forever);
boosting($run);
my ($program) = trainer();
my $worker = value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'fraud_detect training'");
for my $pid ($backend, $worker, value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'fraud_detect ingest'"))
{
    unlike(slurp_file("/proc/$pid/maps"), qr/xgboost|libgomp/, "process $pid of the server maps neither XGBoost nor OpenMP");
}
like(slurp_file("/proc/$program/maps"), qr/xgboost/, 'the training program does');
is(slurp_file("/proc/$program/oom_score_adj"), "1000\n", 'and it is the first to go when memory runs out');
is(value("SELECT count(*) FROM pg_stat_activity WHERE pid = $worker AND xact_start IS NULL AND backend_xmin IS NULL"), '1',
    'no transaction is open while it trains');
is(value("SELECT round > 0 AND rounds = 100000 AND rows_read > 27000 AND time_left > '0' AND elapsed > '0' FROM fraud.training_progress"), 't', 'progress is told');

# -------------------------------------------------------------------- cancels
my $waiting = train('');
is(value("SELECT phase FROM fraud.training_progress WHERE run = $waiting"), 'queued', 'a second run waits');
my $waits = train('');
is(value("SELECT string_agg(run || ': ' || coalesce(waits_for, '-'), ', ' ORDER BY run) FROM fraud.training_progress"),
    qq($run: -, $waiting: the end of run $run of model "mine"; fraud_detect.max_training_workers is 1, $waits: its turn, after run $waiting of model "mine"), 'what for is told');
my (undef, undef, $notices) = $node->psql('postgres', "SELECT fraud.wait_for_training($waiting, '3 s')");
is(() = $notices =~ /NOTICE:  training run $waiting waits for the end of run $run of model "mine"/g, 1, 'also to who waits for it, once');
is(value("SELECT fraud.cancel_training($waits)"), 't', 'one that waits can be cancelled');
is(status_of($waits), 'cancelled', 'and is, at once');
my $seconds = seconds_of(sub { value("SELECT fraud.cancel_training($run)"); wait_status($run, 'cancelled') });
cmp_ok($seconds, '<', patient(1), 'a cancel is answered within a second');
ok(wait_for(sub { !kill 0, $program }, 'the program ends'), 'its program is gone');
is(value("SELECT reason, model_version FROM fraud.training_runs WHERE run = $run"), 'cancelled on request|', 'the run says so');
is(value("SELECT fraud.wait_for_training($waiting)"), 'succeeded', 'the one that waited has its turn');
is(value("SELECT fraud.cancel_training($waiting)"), 'f', 'what has ended cannot be cancelled');
my $versions = value("SELECT count(*) FROM fraud.model_versions WHERE model = 'mine'");

# While it reads, too: here rows that take their time.
value("CREATE FUNCTION slow(float8) RETURNS float8 LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.1); RETURN \$1; END'");
value("CREATE VIEW slow_events AS SELECT event_id, event_time, label, slow(a) AS a FROM events");
$run = value("SELECT fraud.train('mine', rel => 'slow_events', train_from => '2026-01-01', train_to => '2026-02-01')");
ok(wait_for(sub { value("SELECT phase FROM fraud.training_progress WHERE run = $run") eq 'reading' }, 'reading'), 'a slow run reads');
$seconds = seconds_of(sub { value("SELECT fraud.cancel_training($run)"); wait_status($run, 'cancelled') });
cmp_ok($seconds, '<', patient(1), 'a cancel is answered while it reads');

# -------------------------------------------------------------------- crashes
$run = train('', $forever);
boosting($run);
($program) = trainer();
kill 'KILL', $program;
wait_status($run, 'failed');
like(value("SELECT reason FROM fraud.training_runs WHERE run = $run"), qr/ended by signal 9/, 'a killed program ends its run, which says why');
is($score->query_safe('SELECT pg_backend_pid()'), $backend, 'and nothing else');
$score->quit;

$run = train('', $forever);
boosting($run);
($program) = trainer();
value("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'fraud_detect training'");
wait_status($run, 'failed');
ok(wait_for(sub { !kill 0, $program }, 'the program ends'), 'the program goes with a worker that is terminated');
like(value("SELECT reason FROM fraud.training_runs WHERE run = $run"), qr/worker ended before the run did/, 'the run says so');

$run = train('', $forever);
boosting($run);
($program) = trainer();
ok(crash($node, value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'fraud_detect training'")), 'the server comes back');
ok(wait_for(sub { !kill 0, $program }, 'the program ends'), 'the program goes with a worker that is killed');
wait_status($run, 'failed');

$run = train('', $forever);
boosting($run);
($program) = trainer();
$seconds = seconds_of(sub { $node->stop('fast') });
cmp_ok($seconds, '<', patient(5), 'a fast stop waits for no training');
ok(!kill(0, $program), 'nothing is left running');
$node->start;
wait_status($run, 'failed');
is(value("SELECT count(*) FROM fraud.model_versions WHERE model = 'mine'"), $versions, 'none of these left a model');

# --------------------------------------------------------------------- limits
$node->append_conf('postgresql.conf', 'fraud_detect.train_memory = 16MB');
$node->reload;
ok(wait_for(sub { value("SELECT setting FROM pg_settings WHERE name = 'fraud_detect.train_memory'") eq '16' }, 'reload'), 'less memory');
$run = train('');
wait_status($run, 'failed');
like(value("SELECT reason FROM fraud.training_runs WHERE run = $run"),
    qr/training would need about \d+ MB .*more than fraud_detect.train_memory \(16 MB\)|needs more than fraud_detect.train_memory/, 'too little memory is said');
# What the estimate lets pass is held by the limit itself.
$node->append_conf('postgresql.conf', 'fraud_detect.train_memory = 45MB');
$node->reload;
ok(wait_for(sub { value("SELECT setting FROM pg_settings WHERE name = 'fraud_detect.train_memory'") eq '45' }, 'reload'), 'a little more');
# Noise makes large trees, and each of their nodes a histogram of all bins.
value("CREATE VIEW noise AS SELECT event_id, event_time, hashint8(event_id) % 3 = 0 AS label, a, b, c FROM events");
$run = value("SELECT fraud.train('mine', rel => 'noise', params => '{\"num_boost_round\": 50, \"max_bin\": 60000, \"max_depth\": 20, \"min_child_weight\": 0}', train_from => '2026-01-01', train_to => '2026-01-20')");
wait_status($run, 'failed');
like(value("SELECT reason FROM fraud.training_runs WHERE run = $run"), qr/fraud_detect.train_memory/, 'the limit holds, and the run says so');
$node->append_conf('postgresql.conf', "fraud_detect.train_memory = 1GB\nfraud_detect.train_max_rows = 1000");
$node->reload;
ok(wait_for(sub { value("SHOW fraud_detect.train_max_rows") eq '1000' }, 'reload'), 'fewer rows');
$run = train('');
wait_status($run, 'failed');
like(value("SELECT reason FROM fraud.training_runs WHERE run = $run"), qr/more rows than fraud_detect.train_max_rows \(1000\)/, 'too many rows are said');
$node->append_conf('postgresql.conf', 'fraud_detect.train_max_rows = 1000000');
$node->reload;
ok(wait_for(sub { value("SHOW fraud_detect.train_max_rows") eq '1000000' }, 'reload'), 'more rows');

# --------------------------------------------------------------------- rights
value("CREATE ROLE scientist NOLOGIN; CREATE ROLE analyst; SELECT fraud.grant_access('scientist', 'scientist'), fraud.grant_access('analyst', 'analyst')");
my ($status, $out, $error) = $node->psql('postgres', "SET ROLE scientist; SELECT fraud.train('mine', rel => 'events', train_from => '2026-01-01', train_to => '2026-02-01')");
like($error, qr/permission denied for table/, 'a table that one may not read is refused');
($status, $out, $error) = $node->psql('postgres', "SET ROLE analyst; SELECT fraud.train('mine', rel => 'events', train_from => '2026-01-01', train_to => '2026-02-01')");
like($error, qr/permission denied for function/, 'an analyst does not train');
value('GRANT SELECT ON events TO scientist');
$run = train('', undef, undef, 'scientist');
is(value("SELECT fraud.wait_for_training($run)"), 'succeeded', 'a scientist trains on what the role may read, though it cannot log in');
is(value("SELECT r.requested_by, v.created_by FROM fraud.training_runs r JOIN fraud.model_versions v ON v.model = r.model AND v.version = r.model_version WHERE r.run = $run"),
    'scientist|scientist', 'run and version are in the name of who asked');
is(value("SELECT string_agg(a.action, ' ' ORDER BY a.audit_id) FROM fraud.audit_log a, fraud.training_runs r WHERE r.run = $run AND a.who = 'scientist'"
      . " AND a.object_name IN (r.run::text, r.model || '/' || r.model_version)"), 'train import', 'and both acts are noted as that role\'s');
# What a view runs, it runs with the rights of who asked, and cannot shed them.
value("GRANT CREATE ON SCHEMA public TO scientist; CREATE TABLE loot (who text); GRANT INSERT ON loot TO scientist");
value(q{SET ROLE scientist;
    CREATE FUNCTION climb(float8) RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'RESET ROLE'; EXECUTE 'ALTER ROLE scientist SUPERUSER'; RETURN $1; END $$;
    CREATE FUNCTION fill(float8) RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'CREATE TEMP TABLE lasting ()'; RETURN $1; END $$;
    CREATE VIEW climbing AS SELECT event_id, event_time, label, climb(a) AS a FROM events;
    CREATE VIEW filling AS SELECT event_id, event_time, label, fill(a) AS a FROM events});
for my $view (qw(climbing filling))
{
    $run = value("SET ROLE scientist; SELECT fraud.train('mine', rel => '$view', train_from => '2026-01-01', train_to => '2026-02-01')");
    wait_status($run, 'failed');
    like(value("SELECT reason FROM fraud.training_runs WHERE run = $run"), qr/security-restricted|security-definer/, "$view is stopped");
}
is(value("SELECT rolsuper FROM pg_roles WHERE rolname = 'scientist'"), 'f', 'nobody has climbed');

# A run that a dump carries is not made in the copy.
$run = train('', $forever);
boosting($run);
value('CREATE DATABASE copy');
my $port = $node->port;
my $host = $node->host;
system("pg_dump -h $host -p $port postgres | psql -q -X -h $host -p $port copy >/dev/null 2>&1");
ok(wait_for(sub { value("SELECT status FROM fraud.training_runs WHERE run = $run", 'copy') eq 'failed' }, 'the copy says so'), 'a run of a dump is not made in the copy');
is(status_of($run), 'running', 'the original goes on');

# ------------------------------------------------------------------- dropping
$seconds = seconds_of(sub { value('DROP EXTENSION fraud_detect CASCADE') });
cmp_ok($seconds, '<', patient(3), 'DROP EXTENSION does not wait for training');
ok(wait_for(sub { !trainer() }, 'no program is left'), 'and ends it');
value('CREATE DATABASE doomed');
value('CREATE EXTENSION fraud_detect', 'doomed');
make_events('doomed');
$run = train('', $forever, 'doomed');
boosting($run, 'doomed');
$seconds = seconds_of(sub { value('DROP DATABASE doomed') });
cmp_ok($seconds, '<', patient(3), 'nor does DROP DATABASE');
ok(wait_for(sub { !trainer() }, 'no program is left'), 'which ends it too');

# ------------------------------------------------- windows that outgrow the memory
# They are computed part by part, and what is trained on is the same to the bit.
value('CREATE DATABASE parted');
value('CREATE EXTENSION fraud_detect', 'parted');
value('SELECT fraud.simulate(300, 100, 45, 7)', 'parted');
my @digests;
for my $memory ('1GB', '2MB')
{
    reload_with($node, 'fraud_detect.feature_memory', $memory);
    reload_with($node, 'log_min_messages', 'notice');
    my $offset = -s $node->logfile;
    $run = value(q{SELECT fraud.train('mine', 'payments', '{"num_boost_round": 2}', train_from => min(occurred_at) + interval '10 days', train_to => max(occurred_at)) FROM fraud.transactions}, 'parted');
    wait_status($run, 'succeeded', 'parted');
    push @digests, value("SELECT data_digest FROM fraud.training_runs WHERE run = $run", 'parted');
    my $told = PostgreSQL::Test::Utils::slurp_file($node->logfile, $offset) =~ /computed part by part/ ? 1 : 0;
    is($told, $memory eq '2MB' ? 1 : 0, "with $memory the windows are computed " . ($memory eq '2MB' ? 'part by part' : 'at once'));
}
is($digests[1], $digests[0], 'and give the same rows');
$node->stop;
done_testing();
