# The clock is set back: what was due at times of before is due, and not an hour later. While the server
# runs (test/clock), and while it is stopped.
use strict;
use warnings;

use FraudDetect;
use File::Temp ();
use PostgreSQL::Test::Utils;
use Receivers;
use ServerClock;
use Test::More;

my $bodies = File::Temp->newdir;
my $api = start_api('--bodies', "$bodies");
my $receiver = start_receiver(PostgreSQL::Test::Utils::tempdir());
my $node = new_server('main', conf => <<'CONF');
fraud_detect.max_retry_delay = 1s
fraud_detect.health_interval = 1s
fraud_detect.connect_timeout = 500ms
CONF
sub value { return $node->safe_psql('postgres', $_[0]) }
sub polls { return value("SELECT polls FROM fraud.source_status WHERE name = 'a'") }
sub polls_on
{
    my ($what) = @_;
    my $polls = polls();
    ok(wait_for(sub { polls() > $polls + 3 }, $what, 20), $what) or diag(value("SELECT * FROM fraud.source_state"));
}
sub serve
{
    my ($id) = @_;
    my $now = value('SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint');
    append_to_file("$bodies/a.new", '[' . payment(trans_num => qq("$id"), current_time => $now) . ']');
    rename("$bodies/a.new", "$bodies/a") or die $!;
    ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.transactions WHERE transaction_id = '$id'"), "$id is stored");
}

value("SELECT fraud.add_source('a', '$api->{url}/bodies/a', poll_interval => '200 ms')");
value("SELECT fraud.add_channel('dead', 'webhook', 'http://127.0.0.1:9/', takes => '{health}'); SELECT fraud.test_channel('dead')");
polls_on('a source is polled');
serve('first');
ok($node->poll_query_until('postgres', "SELECT failures > 1 FROM fraud.channel_state WHERE name = 'dead'"), 'a delivery is tried again and again');

# ------------------------------------------------------- while nothing runs
# What the tables say after two hours less.
$node->stop('fast');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->start;
value(q{UPDATE fraud.source_state SET next_poll_at = next_poll_at + interval '2 hours', last_poll_at = last_poll_at + interval '2 hours';
    UPDATE fraud.channel_state SET hold_until = now() + interval '2 hours', last_attempt_at = last_attempt_at + interval '2 hours';
    UPDATE fraud.notifications SET next_attempt_at = now() + interval '2 hours' WHERE state = 'pending'});
my $failures = value("SELECT failures FROM fraud.channel_state WHERE name = 'dead'");
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'fraud_detect'");
$node->restart;
polls_on('a source that was polled in the future is polled');
ok($node->poll_query_until('postgres', "SELECT failures > $failures + 1 FROM fraud.channel_state WHERE name = 'dead'"), 'a delivery that was tried in the future is tried');

# ------------------------------------------------------- while the server runs
SKIP:
{
    my %clock = clock_environment() or skip('no C compiler, for the library that sets the clock of a server', 1);
    $node->stop('fast');
    {
        local %ENV = (%ENV, %clock);
        $node->start;
    }
    polls_on('a source is polled by a clock of its own');
    my $before = time;
    my $outbox = value('SELECT coalesce(max(outbox_id), 0) FROM fraud.outbox');
    value("SELECT fraud.add_channel('hook', 'webhook', '$receiver->{url}/ok-hook', takes => '{health}')");
    set_clock(-7200);
    ok(wait_for(sub { value("SELECT extract(epoch FROM clock_timestamp()) < $before - 3600") eq 't' }, 'two hours back', 20), 'the clock is set back by two hours');
    polls_on('it is polled on');
    serve('after');
    $failures = value("SELECT failures FROM fraud.channel_state WHERE name = 'dead'");
    ok($node->poll_query_until('postgres', "SELECT failures > $failures + 1 FROM fraud.channel_state WHERE name = 'dead'"), 'deliveries are tried again as before');
    value("SELECT fraud.test_channel('hook')");
    ok($node->poll_query_until('postgres', "SELECT delivered > 0 FROM fraud.channel_status WHERE name = 'hook'"), 'and made');
    ok($node->poll_query_until('postgres', 'SELECT looked_at < now() + interval \'1 minute\' FROM fraud.health_marks'), 'the health is looked at');
    my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
    like($log, qr/LOG:  the clock was set back: another fraud_detect $_ worker begins/, "another $_ worker begins") for qw(ingest notify);
    is(value("SELECT string_agg(item || ': ' || detail, '; ') FROM fraud.health() WHERE status = 'error' AND item !~ 'dead|deliver'"), '', 'nothing but the dead receiver is an error');
}

done_testing();
