# Health judges the purpose: payments arrive, are stored, scored, decided as they use to be, and
# told; workers answer; nobody is in the way. Each fault is made, named with what to do, and gone
# when it is mended. Who takes health messages hears of it, without pg_cron.
use strict;
use warnings;

use FraudDetect;
use File::Temp ();
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my $bodies = File::Temp->newdir;
my $api = start_api('--bodies', "$bodies");
my $node = new_server('main', init => { allows_streaming => 'logical' }, conf => <<'CONF');
fraud_detect.health_interval = 1s
fraud_detect.worker_patience = 2s
fraud_detect.max_retry_delay = 1s
fraud_detect.connect_timeout = 500ms
max_prepared_transactions = 5
CONF
sub value { return $node->safe_psql('postgres', $_[0]) }
my $number = 0;
sub serve
{
    my ($count, %more) = @_;
    my $now = time * 1000;
    open(my $file, '>', "$bodies/a.new") or die $!;
    print $file '[' . join(',', map { ++$number; payment(cc_num => 4000000000000002 + 18 * ($number % 50), trans_num => qq("s-$number"), current_time => $now + $number, %more) } 1 .. $count) . ']';
    close($file);
    rename("$bodies/a.new", "$bodies/a") or die $!;
}
# What is said of an item: status, detail, advice.
sub item { my ($item) = @_; return value("SELECT status || ' | ' || detail || coalesce(' | ' || advice, '') FROM fraud.health() WHERE item = '$item'") }
sub becomes
{
    my ($item, $pattern, $what) = @_;
    my $ok = wait_for(sub { item($item) =~ $pattern }, $what, 120);
    ok($ok, $what) or diag(item($item));
}

# ------------------------------------------------------------------ all is well
serve(5);
value("SELECT fraud.add_source('a', '$api->{url}/bodies/a', poll_interval => '200 ms')");
becomes('source a', qr/^ok /, 'a source that sends payments is ok');
is(value("SELECT string_agg(item, ', ') FROM fraud.health() WHERE status = 'error'"), '', 'nothing is an error');
is(value("SELECT count(*) FROM fraud.health() WHERE status <> 'ok' AND advice IS NULL"), '0', 'whatever is not ok says what to do');

# ------------------------------------------------------------------ a source is silent
value("SELECT fraud.expect_payments('a', '1 minute')");
ok(wait_for(sub { value("SELECT count(*) FROM fraud.source_habits WHERE arrived = 5") }, 'it is learnt what came'), 'what comes is noted');
value("UPDATE fraud.source_habits SET last_new_at = now() - interval '2 minutes'");
becomes('source a', qr/^error \| no new payment since .*, one is expected within 00:01:00: it answers with payments that are stored already \| .*fraud.expect_payments/, 'one that repeats itself and sends nothing new is silent, as set');
is(value("SELECT since BETWEEN now() - interval '3 minutes' AND now() - interval '1 minute' FROM fraud.health() WHERE item = 'source a'"), 't', 'since then');
serve(3);
becomes('source a', qr/^ok /, 'until it sends something new');
value("SELECT fraud.expect_payments('a', NULL); UPDATE fraud.source_habits SET last_new_at = now() - interval '2 hours'");
like(item('source a'), qr/^ok /, 'one that is known for less than a day is not judged by its habits');
value("UPDATE fraud.source_habits SET began_at = now() - interval '3 days', longest_gap = '50 minutes'");
like(item('source a'), qr/^error \| no new payment since .*, it was never silent for longer than 00:50:00/, 'one that uses to be silent for less is');
value("UPDATE fraud.source_habits SET longest_gap = '70 minutes'");
like(item('source a'), qr/^ok /, 'one that uses to be silent for longer is not');
value("SELECT fraud.expect_payments('till', '5 minutes'); UPDATE fraud.source_habits SET last_new_at = now() - interval '6 minutes' WHERE source = 'till'");
like(item('source till'), qr/^error \| no new payment since .*, one is expected within 00:05:00/, 'a name that fraud.ingest is given can be expected too');
value("SELECT count(*) FROM fraud.ingest(jsonb_build_object('cc_num', 4000000000000002, 'trans_num', 'till-1', 'amt', 1, 'merchant', 'M', 'unix_time', extract(epoch FROM now())::bigint), 'till')");
becomes('source till', qr/^ok /, 'and is seen');
value("DELETE FROM fraud.source_habits WHERE source = 'till'");

# ------------------------------------------------------------------ payments are rejected
value("UPDATE fraud.source_samples SET at = at - interval '10 minutes'");
serve(30, amt => '"much"');
becomes('source a', qr/^(warning|error) \| rejecting: none of its payments could be kept since/, 'a source all of whose payments are rejected');
serve(30);
becomes('source a', qr/^warning \| \d+ of its \d+ new payments were rejected since .*, fraud.ingest_errors says why \| .*fraud.retry_dead_letters|^error \| \d+ of its \d+ new payments were rejected/, 'the share of them is told for an hour');
value('TRUNCATE fraud.source_samples');
becomes('source a', qr/^ok /, 'and then no more');

# ------------------------------------------------------------------ a source that fails
value("SELECT fraud.add_source('gone', 'http://127.0.0.1:9/', poll_interval => '200 ms')");
becomes('source gone', qr/^error \| failing, \d+ times in a row: could not connect.* \| .*fraud.preview_source/, 'a source whose API is not there');
value("SELECT fraud.drop_source('gone')");

# ------------------------------------------------------------------ a healed error is no cause
value("UPDATE fraud.source_state SET last_error = 'of long ago', last_error_at = now() - interval '1 day'");
value("SELECT fraud.pause_source('a')");
like(item('source a'), qr/^warning \| paused.*fraud.resume_source\('a'\)/, 'one that is paused says how it goes on');
value("SELECT fraud.resume_source('a')");

# ------------------------------------------------------------------ a worker hangs
my ($pid) = value("SELECT pid FROM fraud._worker_beats() WHERE worker = 'ingest'");
value("UPDATE fraud.channels SET takes = '{health}' WHERE false");
kill 'STOP', $pid;
becomes('worker ingest', qr/^error \| does not answer \(pid $pid\): it was to turn .*so no source is polled \| .*pg_terminate_backend\($pid\)/, 'a worker that hangs does not answer');
value("UPDATE fraud.source_state SET next_poll_at = now() - interval '2 hours'");
like(item('source a'), qr/^error \| stuck: its poll is overdue since .*, the ingest worker \(pid $pid\) does not answer \|/, 'its sources say so');
unlike(item('source a'), qr/of long ago/, 'and no error that healed long ago');
ok(wait_for(sub { PostgreSQL::Test::Utils::slurp_file($node->logfile) =~ /WARNING:  fraud_detect ingest worker, database \d+, does not answer \(pid $pid\)/ }, 'the log'), 'so does the launcher, in the log');
kill 'CONT', $pid;
becomes('worker ingest', qr/^ok \| runs/, 'until it does again');
ok(wait_for(sub { PostgreSQL::Test::Utils::slurp_file($node->logfile) =~ /fraud_detect ingest worker answers again, or has ended \(pid $pid\)/ }, 'the log'), 'which is logged');
value("UPDATE fraud.source_state SET last_error = NULL");

# ------------------------------------------------------------------ a channel that is told
value("LISTEN x; SELECT fraud.add_channel('first', 'notify', 'desk', takes => '{health}')");
sub told { my ($channel, $what) = @_; return "SELECT count(*) FROM fraud.outbox o WHERE o.channel = '$channel' AND $what" }
# A job that fails; nothing but the notify worker looks.
value("CREATE FUNCTION public.fails() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''the purge fails''; END'; CREATE TRIGGER fails BEFORE DELETE ON fraud.ingest_errors EXECUTE FUNCTION public.fails()");
like(value("SELECT fraud.run_job('purge')"), qr/^failed: the purge fails/, 'a job fails');
my $failed = q{o.payload -> 'failed' @> '[{"item": "job purge"}]' AND o.payload #>> '{failed,0,advice}' ~ 'run_job' AND o.payload #>> '{failed,0,since}' IS NOT NULL};
ok($node->poll_query_until('postgres', told('first', $failed), '1'), 'the channel hears of it, with what to do and since when, though there is no pg_cron');
value("SELECT fraud.add_channel('later', 'notify', 'desk', takes => '{health}')");
ok($node->poll_query_until('postgres', told('later', $failed), '1'), 'one that is added when it fails already hears of it');
is(value(told('first', $failed)), '1', 'the first hears it once');
reload_with($node, 'fraud_detect.health_reminder', '1s');
ok($node->poll_query_until('postgres', 'SELECT (' . told('first', q{o.payload -> 'still' @> '[{"item": "job purge"}]'}) . ') > 1'), 'and is reminded, where that is set');
reload_with($node, 'fraud_detect.health_reminder', '0');
value('DROP TRIGGER fails ON fraud.ingest_errors');
is(value("SELECT fraud.run_job('purge')"), 'done', 'it is mended');
ok($node->poll_query_until('postgres', told($_, q{o.payload -> 'recovered' ? 'job purge'}), '1'), "$_ hears that, too") for qw(first later);
reload_with($node, 'fraud_detect.health_heartbeat', '1s');
ok($node->poll_query_until('postgres', 'SELECT (' . told('later', q{(o.payload ->> 'heartbeat')::boolean}) . ') > 1'), 'a heartbeat comes where it is asked for');
reload_with($node, 'fraud_detect.health_heartbeat', '0');
ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM fraud.outbox WHERE dispatched_at IS NULL)"), 'all is sent');

# ------------------------------------------------------------------ alerts do not leave
value("SELECT fraud.add_channel('dead', 'webhook', 'http://127.0.0.1:9/', takes => '{health}'); SELECT fraud.test_channel('dead')");
becomes('channel dead', qr/^error \| failing, \d+ times in a row: could not connect.*fraud.test_channel\('dead'\)/, 'a receiver that is not there');
value("SELECT fraud.drop_channel('dead')");
value("SELECT fraud.pause_channel('first')");
like(item('channel first'), qr/^warning \| paused.*fraud.resume_channel\('first'\)/, 'a channel that is paused');
value("SELECT fraud.resume_channel('first')");

# ------------------------------------------------------------------ a threshold by mistake
my $ingest = q{SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4000000000000002 + 18 * (i % 50), 'trans_num', '%s-' || i, 'amt', 5, 'merchant', 'M',
    'unix_time', extract(epoch FROM now() %s)::bigint)) FROM generate_series(1, %d) i))};
my $promote = "SELECT fraud.promote('payments', (SELECT version FROM fraud.model_aliases WHERE model = 'payments' AND alias = 'champion'), reason => 'a slip', review_at => %1\$s, block_at => %1\$s, override_gate => true)";
value(sprintf($promote, 1));
value(sprintf($ingest, 'before', "- interval '1 day' - i * interval '2 minutes'", 2000));
value('SELECT fraud.refresh_rollups()');
like(item('decisions'), qr/^ok \| of the last \d+ payments/, 'decisions are as before');
value(sprintf($promote, 0));
value(sprintf($ingest, 'slip', '', 200));
like(item('decisions'), qr/^error \| of the last 200 payments (\d+)\.\d% blocked \(in the four weeks before \d+\.\d%\), .* \| a threshold.*fraud.rollback/, 'a threshold that blocks 200 of 200 payments shows');

# Where there is nothing to compare with, too.
$node->safe_psql('postgres', 'CREATE DATABASE fresh');
$node->safe_psql('fresh', 'CREATE EXTENSION fraud_detect');
$node->safe_psql('fresh', $_) for sprintf($promote, 0), sprintf($ingest, 'slip', '', 200);
like($node->safe_psql('fresh', "SELECT status || ' ' || detail FROM fraud.health() WHERE item = 'decisions'"), qr/^error of the last 200 payments 100.0% blocked/, 'in a new database as well');

# ------------------------------------------------------------------ who is in whose way
my $holder = $node->background_psql('postgres');
$holder->query_safe("BEGIN; LOCK TABLE fraud.merchants IN EXCLUSIVE MODE");
my $by = $holder->query_safe('SELECT pg_backend_pid()');
my $waiter = $node->background_psql('postgres');
$waiter->query_until(qr/asked/, "\\echo asked\nUPDATE fraud.merchants SET category = category;\n");
becomes('locks', qr/^(warning|error) \| \d+ sessions wait longer than 5 seconds; session \d+ has for .* for fraud.merchants, behind $by \(/, 'who waits, and behind whom');
$holder->query_safe('COMMIT');
$_->quit for $holder, $waiter;
becomes('locks', qr/^ok /, 'until nobody does');
value("BEGIN; INSERT INTO fraud.rollup_cards SELECT gen_random_uuid(), now(), 0, 0, 0, 0, 0, 0; PREPARE TRANSACTION 'lost'");
like(item('prepared transactions'), qr/^ok \| 1, the oldest \(lost, of /, 'a prepared transaction is told');
value("ROLLBACK PREPARED 'lost'");
$holder = $node->background_psql('postgres');
$holder->query_safe("BEGIN; SELECT FROM fraud.locks WHERE name = 'rollups' FOR UPDATE");
$by = $holder->query_safe('SELECT pg_backend_pid()');
like(value("SELECT fraud.run_job('rollups')"), qr/^failed: canceling statement due to lock timeout: session $by \(.*\) has locks on fraud.locks since/, 'a job that somebody is in the way of says who');
like(item('job rollups'), qr/^error \| failed 1 times in a row: .*session $by /, 'so does the health');
$holder->query_safe('COMMIT');
$holder->query_safe("BEGIN; SELECT FROM fraud.locks WHERE name = 'job rollups' FOR UPDATE");
is(value("SELECT fraud.run_job('rollups')"), 'is running already', 'one that runs is not run again');
like(item('job rollups'), qr/^warning \| is running still, so that 1 later runs were left out/, 'which is said');
$holder->query_safe('COMMIT');
$holder->quit;
value("SELECT fraud._start_closing(NULL); UPDATE fraud.closing SET scheduled_at = now() - interval '1 day'; SELECT fraud.run_job('rollups'); UPDATE fraud.job_state SET started_at = now() - interval '31 minutes' WHERE job = 'rollups'; SELECT fraud.run_job('rollups')");
like(item('job rollups'), qr/^ok \| done .*; (29|30) runs before .* were missed/, 'runs that were missed are said');

# ------------------------------------------------------------------ the champion lacks a feature
value("CREATE TABLE public.kept AS SELECT * FROM fraud.feature_definitions WHERE feature_set = 'payments' AND feature = (SELECT v.feature_names[1] FROM fraud.model_versions v JOIN fraud.model_aliases a USING (model, version) WHERE model = 'payments' LIMIT 1)");
value('DELETE FROM fraud.feature_definitions d USING public.kept k WHERE d.feature_set = k.feature_set AND d.feature = k.feature');
like(item('features'), qr/^error \| payments lack what the champion asks for.*: \w+ \|/, 'a champion that asks for what payments have not');
value('INSERT INTO fraud.feature_definitions SELECT * FROM public.kept');

# ------------------------------------------------------------------ metrics
my $odd = 'qu"ote\\back';
my $quoted = '"qu""ote\\back"';
value("CREATE DATABASE $quoted");
$node->safe_psql($odd, 'CREATE EXTENSION fraud_detect');
my %text = (postgres => value('SELECT fraud.metrics()'), $odd => $node->safe_psql($odd, 'SELECT fraud.metrics()'));
like($text{postgres}, qr/^# HELP fraud_health_status .*\n# TYPE fraud_health_status gauge\nfraud_health_status\{database="postgres",item="library"\} 0$/m, 'metrics have the health');
like($text{postgres}, qr/^fraud_source_payments_stored_total\{database="postgres",source="a"\} \d+$/m, 'and counters');
like($text{$odd}, qr/database="qu\\"ote\\\\back"/, 'labels are escaped');
my %heads;
$heads{$_}++ for $text{postgres} =~ /^# TYPE (\S+)/mg;
is(join(' ', grep { $heads{$_} > 1 } sort keys %heads), '', 'each metric stands in one place');
SKIP:
{
    my $promtool = (grep { -x } map { "$_/promtool" } split(/:/, $ENV{PATH}), '/usr/bin')[0];
    skip 'promtool (package prometheus) is not installed', scalar keys %text unless $promtool;
    for my $database (sort keys %text)
    {
        my ($out, $err) = ('', '');
        my $in = "$text{$database}\n";
        IPC::Run::run([ $promtool, 'check', 'metrics' ], '<', \$in, '>', \$out, '2>', \$err);
        ok($? == 0 && "$out$err" eq '', "promtool finds nothing wrong with the metrics of $database") or diag("$out$err");
    }
}
value('CREATE ROLE op LOGIN; CREATE ROLE aud LOGIN; SELECT fraud.grant_access($$op$$, $$operator$$); SELECT fraud.grant_access($$aud$$, $$auditor$$)');
is(value("SET SESSION AUTHORIZATION $_; SELECT count(*) > 20, length(fraud.metrics()) > 1000 FROM fraud.health()"), 't|t', "role $_ sees both") for qw(op aud);

# ------------------------------------------------------------------ standbys
$node->safe_psql('postgres', "SELECT pg_create_physical_replication_slot('nobody', true)");
like(item('replication slot nobody'), qr/^ok \| nobody reads it, keeps \d+ \w+ of WAL/, 'a slot that nobody reads is told');
# Rows that are gone, which a slot keeps: here none is borne.
sub slot { my ($name) = @_; return value("SELECT status, detail, advice FROM fraud._slot_health(0) WHERE item = 'replication slot $name'") }
value("SELECT pg_create_logical_replication_slot('reader', 'pgoutput')");
value('CREATE TABLE uses_a_number (); DROP TABLE uses_a_number') for 1 .. 2;
like(slot('reader'), qr/^warning\|nobody reads it, keeps .* of WAL, and rows that are gone, of the catalogs, for [1-9]\d* transactions\|bring its reader back, or SELECT pg_drop_replication_slot\('reader'\): until then VACUUM/,
    'a slot that keeps rows of the catalogs is told, and what to do');
like(item('replication slot reader'), qr/^ok \| nobody reads it, keeps [^,]*$/, 'when they are many');
value("SELECT pg_drop_replication_slot('reader')");
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
ok(wait_for(sub { item('standby standby') =~ /^ok \| streaming, async/ }, 'the standby streams'), 'a standby is told of');
$node->wait_for_catchup('standby');
my $there = $standby->safe_psql('postgres', "SELECT string_agg(item || ' ' || status || ' ' || detail, chr(10)) FROM fraud.health() WHERE item ~ '^(standby|source|worker|inbox)'");
like($there, qr/^standby ok this server is a standby, .* behind: no worker runs here, and the feed is judged on the primary$/, 'there, it is a standby and nothing else');
like($standby->safe_psql('postgres', 'SELECT fraud.metrics()'), qr/fraud_up/, 'metrics can be had there');
# A query there that keeps rows here.
$standby->append_conf('postgresql.conf', "primary_slot_name = 'nobody'\nhot_standby_feedback = on\nwal_receiver_status_interval = 1s\n");
$standby->restart;
my $query = $standby->background_psql('postgres');
$query->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
ok(wait_for(sub { value('CREATE TABLE uses_a_number (); DROP TABLE uses_a_number'); slot('nobody') =~ /^warning\|in use, keeps .*, and rows that are gone, of all tables, for \d+ transactions\|end the old query on the standby/ }, 'slot'),
    'a slot that keeps rows for a query of a standby is told, and what to do') or diag(slot('nobody'));
$query->quit;
value("ALTER SYSTEM SET synchronous_standby_names = 'other'; SELECT pg_reload_conf()");
ok(wait_for(sub { $node->safe_psql('postgres', "SET synchronous_commit = local; SELECT detail FROM fraud.health() WHERE item = 'synchronous standby'") =~ /no commit ends, so no payment is stored/ }, 'sync'), 'a synchronous standby that is not there');
sub told_of { return $node->safe_psql('postgres', "SET synchronous_commit = local; SELECT item || ' ' || status || ' ' || detail FROM fraud.health() WHERE item ~ '^(synchronous )?standby' ORDER BY item") }
# As many as commits wait for, and each that is named: of those that are not connected nothing else is known.
for ([ "FIRST 2 (standby, \"o,ther\")", qr/^standby o,ther warning is not connected, though synchronous_standby_names names it\nstandby standby ok .*\nsynchronous standby error 1 of the 2 are connected that commits wait for by synchronous_standby_names \(FIRST 2 .*: no commit ends/ ],
    [ 'ANY 2 (other, Standby)', qr/^standby other warning .*\nstandby standby ok .*\nsynchronous standby error 1 of the 2 / ], [ 'ANY 1 (other, Standby)', qr/^standby other warning .*\nstandby standby ok [^\n]*$/ ],
    [ '*', qr/^standby standby ok [^\n]*$/ ], [ 'standby, other', qr/^standby other warning .*\nstandby standby ok [^\n]*$/ ])
{
    my ($names, $expected) = @$_;
    $node->safe_psql('postgres', "SET synchronous_commit = local; ALTER SYSTEM SET synchronous_standby_names = '$names'; SELECT pg_reload_conf()");
    ok(wait_for(sub { told_of() =~ $expected }, "with $names"), "synchronous_standby_names = $names") or diag(told_of());
}
$node->safe_psql('postgres', "SET synchronous_commit = local; ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()");
reload_with($node, 'fraud_detect.expected_standbys', 'standby, elsewhere');
ok(wait_for(sub { told_of() =~ /^standby elsewhere error is not connected, though fraud_detect.expected_standbys names it\nstandby standby ok [^\n]*$/ }, 'expected'), 'one that is to be there, without a slot, and is not') or diag(told_of());
$standby->stop('immediate');
ok(wait_for(sub { told_of() =~ /^standby elsewhere error .*\nstandby standby error is not connected/ }, 'it is gone'), 'or is there no more') or diag(told_of());
reload_with($node, 'fraud_detect.expected_standbys', '');
is(told_of(), '', 'where nobody is to be there, nobody is missed');

# ------------------------------------------------------------------ a look that takes long
my $notifier = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'fraud_detect notify'";
my $told_by = value($notifier);
my $offset = -s $node->logfile;
value(q{CREATE TABLE was AS SELECT pg_get_functiondef('fraud._key_health()'::regprocedure) AS definition;
        CREATE OR REPLACE FUNCTION fraud._key_health() RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text) LANGUAGE plpgsql STABLE
        AS 'BEGIN PERFORM pg_sleep(600); END'});
ok(wait_for(sub { slurp_file($node->logfile, $offset) =~ /could not look at the health within 5 s\n.*HINT:  SELECT \* FROM fraud.health/ }, 'given up'), 'a look that takes long is given up, and said');
is(value($notifier), $told_by, 'by a worker that goes on');
value(q{DO $$ BEGIN EXECUTE (SELECT definition FROM was); END $$});

# ------------------------------------------------------------------ training
# Room for the workers of one database, and for none that trains.
my $few = new_server('few', conf => "max_worker_processes = 5\nmax_logical_replication_workers = 0\n");
my $training = "SELECT status || ' | ' || detail || coalesce(' | ' || advice, '') FROM fraud.health() WHERE item = 'training'";
is($few->safe_psql('postgres', $training), 'ok | no run waits', 'nobody trains');
ok($few->poll_query_until('postgres', "SELECT count(*) = 5 FROM pg_stat_activity WHERE backend_type LIKE 'fraud_detect%'"), 'all slots for workers are taken');
$few->safe_psql('postgres', "CREATE TABLE events AS SELECT i AS event_id, timestamptz '2026-01-01' + i * interval '1 hour' AS event_time, i % 5 = 0 AS label, i % 7.0 AS a FROM generate_series(1, 500) i");
$few->safe_psql('postgres', "SELECT fraud.train('mine', rel => 'events', train_from => '2026-01-01', train_to => '2026-01-20')");
is($few->safe_psql('postgres', $training), 'ok | run 1 of model "mine" waits', 'a run that has just been asked for waits');
$few->safe_psql('postgres', "UPDATE fraud.training_runs SET requested_at = now() - interval '3 minutes'");
like($few->safe_psql('postgres', $training), qr/^warning \| run 1 of model "mine" waits \| the server has no slot for another worker .*max_worker_processes/, 'one that waits for minutes while none is under way is a warning');
$few->safe_psql('postgres', 'SELECT fraud.cancel_training(1)');
is($few->safe_psql('postgres', $training), 'ok | no run waits', 'until it is taken back');

# ------------------------------------------------------------------ without the preload
my $bare = new_server('bare', preload => 0);
is($bare->safe_psql('postgres', "SELECT status FROM fraud.health() WHERE item = 'library'"), 'warning', 'without the preload');
like($bare->safe_psql('postgres', "SELECT detail FROM fraud.health() WHERE item = 'library'"), qr/nothing is polled, nothing that waits in the inbox is scored, nobody is told, nothing is folded and no month is made ahead; scoring, fraud.ingest and the views are whole/, 'it says what remains');

# ------------------------------------------------------------------ beside a large load
# What has not committed is not looked through for something to find: else each look takes as long as the load is large.
sub blocks
{
    my ($plan) = join('', $bare->safe_psql('postgres', 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT (SELECT count(*) FROM fraud.health()) + (SELECT count(*) FROM fraud.metrics()) + (SELECT count(*) FROM fraud._missing_months(interval \'400 days\'))'));
    my ($hit) = $plan =~ /"Shared Hit Blocks": (\d+)/;
    my ($read) = $plan =~ /"Shared Read Blocks": (\d+)/;
    return $hit + $read;
}
# $bare has a month already, whose rows others see, or not.
$bare->safe_psql('postgres', "SELECT fraud._ensure_partition(m) FROM generate_series(now() - interval '70 days', now(), interval '10 days') m");
blocks();
my $alone = blocks();
my $load = $bare->background_psql('postgres');
$load->query_safe('SET client_min_messages = warning');
$load->query_safe('BEGIN');
$load->query_safe('SELECT fraud.simulate(300, 50, 60)');
my $keys = $load->query_safe('SELECT count(*) FROM fraud.payment_keys');
cmp_ok($keys, '>', 30_000, 'a load is under way');
my $beside = blocks();
cmp_ok($beside, '<', $alone + 5_000, 'health, metrics and the months that are missing beside it take what they do without') or diag("$alone, $beside");
$load->query_safe('COMMIT');
$load->query_safe('BEGIN');
$load->query_safe('SELECT fraud.refresh_rollups()');
$beside = blocks();
cmp_ok($beside, '<', $alone + 5_000, 'and beside the first refresh of the sums') or diag("$alone, $beside");
$load->query_safe('COMMIT');
$load->quit;

done_testing();
