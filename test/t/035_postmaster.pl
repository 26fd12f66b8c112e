# The postmaster dies: every worker has ended within a second, whatever it was at, and the
# server can be started again at once.
use strict;
use warnings;

use FraudDetect;
use File::Temp ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $bodies = File::Temp->newdir;
my $api = start_api('--bodies', "$bodies");
# What is at work is at it for minutes: seconds tell whether it ended, or was done.
my $node = new_server('main', conf => "fraud_detect.max_retry_delay = 1s\nfraud_detect.condition_timeout = 60s\n");
sub value { return $node->safe_psql('postgres', $_[0]) }

sub serve
{
    my ($name, $body) = @_;
    open(my $file, '>', "$bodies/$name.new") or die $!;
    print $file $body;
    close($file);
    rename("$bodies/$name.new", "$bodies/$name") or die $!;
}
sub payments
{
    my ($prefix, $count) = @_;
    my $now = int(time * 1000);
    return '[' . join(',', map { payment(cc_num => 4000000000000000 + 18 * ($_ % 50), trans_num => qq("$prefix-$_"), current_time => $now) } 1 .. $count) . ']';
}
# An ended process that nobody has waited for is gone too.
sub lives
{
    my ($pid) = @_;
    open(my $file, '<', "/proc/$pid/stat") or return 0;
    return (<$file> // '') =~ /\) [^ZX] / ? 1 : 0;
}
sub workers { return split /\n/, value("SELECT pid || ' ' || backend_type FROM pg_stat_activity WHERE backend_type LIKE 'fraud_detect%'") }

sub start_again
{
    return 0 if PostgreSQL::Test::Utils::system_log('pg_ctl', '-w', '-D', $node->data_dir, '-l', $node->logfile, '-o', '--cluster-name=main', 'start');
    $node->_update_pid(1);
    return 1;
}

# Kills the postmaster, and tells whether these have ended a second later; then starts the server.
sub dies_with_postmaster
{
    my ($what, @workers) = @_;
    my $training = join ' ', map { s/ .*//r } grep { /training/ } @workers;
    push @workers, map { "$_ the training program" } split ' ', `pgrep -P $training` if $training;
    note(join ', ', @workers);
    my @pids = map { s/ .*//r } @workers;
    my $limit = patient(1);
    my $killed = time;
    $node->kill9;
    my %ended;
    while (time - $killed < 20 && keys %ended < @pids)
    {
        lives($_) or $ended{$_} //= time - $killed for @pids;
        usleep(10_000);
    }
    for my $worker (@workers)
    {
        my ($pid, $type) = split / /, $worker, 2;
        my $took = $ended{$pid} // 'more than 20';
        ok($took ne 'more than 20' && $took < $limit, "$what: $type ends with the postmaster") or diag("it took $took s");
        kill 'KILL', $pid if !defined $ended{$pid};
    }
    # Other processes of the server end by themselves, in their own time.
    ok(wait_for(sub { start_again() }, 'the server starts', 30), "$what: the server starts again");
}

# ------------------------------------------------------------------ at rest
serve('quiet', '[]');
value("SELECT fraud.add_source('quiet', '$api->{url}/bodies/quiet', poll_interval => '1 hour')");
value("SELECT fraud.add_channel('nobody', 'webhook', 'http://127.0.0.1:9/')");
ok($node->poll_query_until('postgres', "SELECT count(*) = 5 FROM pg_stat_activity WHERE backend_type LIKE 'fraud_detect%' AND wait_event_type = 'Extension'"), 'launcher, ingest, notify and two scorers wait');
dies_with_postmaster('at rest', workers());

# ------------------------------------------------------------------ at work
value(q{CREATE FUNCTION public.slow(amount numeric) RETURNS numeric IMMUTABLE LANGUAGE plpgsql AS 'BEGIN FOR i IN 1 .. 400000000 LOOP END LOOP; RETURN amount; END'});
value(q{CREATE TABLE public.examples AS SELECT i AS id, now() - i * interval '1 hour' AS at, i % 3 = 0 AS label, (i * 7919 % 1000)::float8 AS a, (i * 104729 % 1000)::float8 AS b FROM generate_series(1, 5000) i});
# Addressing: each of 8,000 alerts takes a while.
value(q{SELECT fraud.add_channel('picky', 'webhook', 'http://127.0.0.1:9/', condition => '(SELECT count(*) FROM generate_series(1, 300000)) > amount')});
value(q{INSERT INTO fraud.outbox (kind, payload) SELECT 'alert', jsonb_build_object('alert_id', i, 'case_alerts', 1, 'decision', 'block', 'amount', 5, 'transaction_id', 'o' || i) FROM generate_series(1, 8000) i});
value("SELECT fraud.test_channel('nobody')");
# Scoring: one payment that takes for ever.
value(q{SELECT fraud.add_feature('payments', 'slow', 'public.slow(amount)')});
serve('many', payments('many', 200));
value("SELECT fraud.add_source('many', '$api->{url}/bodies/many', poll_interval => '1 hour')");
# A transfer that does not end, and a run that trains.
value("SELECT fraud.add_source('hanging', '$api->{url}/hang', poll_interval => '1 hour')");
value(q{SELECT fraud.train('mine', rel => 'public.examples', columns => '{"event_id": "id", "event_time": "at", "label": "label"}', params => '{"num_boost_round": 100000, "max_depth": 6}', train_from => now() - interval '1 year', train_to => now())});
ok($node->poll_query_until('postgres', "SELECT count(*) FILTER (WHERE backend_type = 'fraud_detect notify' AND state = 'active') = 1 AND count(*) FILTER (WHERE backend_type = 'fraud_detect scorer' AND state = 'active') > 0 AND count(*) FILTER (WHERE backend_type LIKE '%training%') = 1 FROM pg_stat_activity"), 'alerts are addressed, payments scored, a model trained');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.training_progress WHERE round > 0"), 'in rounds');
ok($node->poll_query_until('postgres', "SELECT state = 'polling' FROM fraud.source_status WHERE name = 'hanging'"), 'and a transfer is under way');
dies_with_postmaster('at work', workers());
ok(value('SELECT count(*) FROM fraud.inbox') == 200, 'what was received waits still');
ok(value("SELECT count(*) FROM fraud.outbox WHERE dispatched_at IS NULL AND kind = 'alert'") > 0, 'and so do alerts');

value(q{SELECT fraud.drop_feature('payments', 'slow')});
value(q{SELECT fraud.drop_channel('picky')});
value(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'fraud_detect scorer'});

# ---------------------------------------------------- waiting for a lock of a person
my $idle = $node->background_psql('postgres');
$idle->query_safe('BEGIN; LOCK TABLE fraud.source_state, fraud.notifications, fraud.outbox IN ACCESS EXCLUSIVE MODE');
value("SELECT fraud.pause_source('quiet')");
ok($node->poll_query_until('postgres', "SELECT count(DISTINCT backend_type) = 2 FROM pg_stat_activity WHERE backend_type IN ('fraud_detect ingest', 'fraud_detect notify') AND wait_event_type = 'Lock'"), 'ingest and notify wait for a lock');
dies_with_postmaster('in a wait for a lock', workers());
eval { $idle->quit };

# ------------------------------------------------------------------ and all goes on
ok($node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM fraud.inbox)'), 'all payments are stored');
is(value("SELECT count(*) FROM fraud.transactions WHERE transaction_id LIKE 'many-%'"), '200', 'once each');
ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM fraud.outbox WHERE dispatched_at IS NULL)"), 'all alerts are addressed');

done_testing();
