# The notify worker and receivers in trouble: killed in the middle of a delivery,
# DROP DATABASE, DROP EXTENSION and a stop in the middle, dump and restore.
use strict;
use warnings;

use FraudDetect;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Receivers;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
# It is started again at the same port, which no connection of others may take meanwhile.
my $receiver = start_receiver($dir, PostgreSQL::Test::Cluster::get_free_port());
my $node = new_server('main', conf => "fraud_detect.notify_timeout = 100s\nfraud_detect.max_retry_delay = 1s\nrestart_after_crash = on\n");
sub value { return $node->safe_psql($_[1] // 'postgres', $_[0]) }
my $worker = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'fraud_detect notify' AND datname = current_database()";
my $under_way = "SELECT count(*) > 0 FROM fraud.notifications WHERE state = 'sending'";

# Adds a channel whose first request gets no answer, and sends it a message.
sub hold
{
    my ($name, $database, $path) = @_;
    $path //= "/hold?$name";
    value("SELECT fraud.add_channel('$name', 'webhook', '$receiver->{url}$path')", $database);
    value("SELECT fraud.test_channel('$name')", $database);
    wait_for_line($receiver, sub { $_[0]{path} eq $path }, "a delivery of $name is under way");
}
sub keys_of
{
    my ($path) = @_;
    my @lines = lines_of($receiver, sub { $_[0]{path} eq $path });
    return scalar(@lines) . ' of ' . scalar(keys %{ { map { $_->{headers}{'webhook-id'} => 1 } @lines } });
}

# ------------------------------------------------ the receiver dies, comes back
hold('receiver');
kill_receiver($receiver);
ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM fraud.notification_attempts WHERE channel = 'receiver' AND outcome = 'failed'"), 'a receiver that dies in mid-delivery has taken nothing');
$receiver = start_receiver($dir, $receiver->{port});
# It counts from anew, so its first request hangs again.
ok(wait_for(sub { keys_of('/hold?receiver') eq '2 of 1' }, 'repeated'), 'the delivery is repeated with the same key');
is(value("SELECT outcome FROM fraud.notification_attempts WHERE channel = 'receiver' AND attempt = 1"), 'failed', 'and the first one is on record as failed');

# ------------------------------------- the worker is killed, with the server
my $pid = value($worker);
ok(crash($node, $pid), 'the server restarts');
ok(wait_for(sub { value("$worker AND pid <> $pid") ne '' }, 'back'), 'a worker that was killed comes back');
ok($node->poll_query_until('postgres', "SELECT state = 'delivered' FROM fraud.notifications WHERE channel = 'receiver'"), 'and delivers what it was at');
is(keys_of('/hold?receiver'), '3 of 1', 'with the same key');
is(value("SELECT count(*) FROM fraud.notification_attempts WHERE channel = 'receiver' AND outcome = 'interrupted'"), '1', 'the attempt that it was at is on record as interrupted');

# Terminated, not killed: the same without a crash.
kill_receiver($receiver);
$receiver = start_receiver($dir, $receiver->{port});
hold('worker');
value("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'fraud_detect notify'");
ok($node->poll_query_until('postgres', "SELECT state = 'delivered' FROM fraud.notifications WHERE channel = 'worker'"), 'a worker that was terminated comes back and delivers');
is(keys_of('/hold?worker'), '2 of 1', 'with the same key');

# ------------------------------------ dropped, paused, discarded while under way
hold('dropped', 'postgres', '/hang?1');
value("SELECT fraud.drop_channel('dropped')");
is(value("SELECT state FROM fraud.notifications WHERE channel = 'dropped'"), 'discarded', 'a delivery of a dropped channel is discarded');
value("SELECT fraud.add_channel('paused', 'webhook', '$receiver->{url}/ok-paused'); SELECT fraud.pause_channel('paused'); SELECT fraud.test_channel('paused')");
ok($node->poll_query_until('postgres', "SELECT waiting = 1 AND state = 'paused' FROM fraud.channel_status WHERE name = 'paused'"), 'what a paused channel would get waits');
value("SELECT fraud.resume_channel('paused', discard_waiting => true); SELECT fraud.test_channel('paused')");
wait_for_line($receiver, sub { $_[0]{path} eq '/ok-paused' }, 'a resumed channel is sent to');
is(keys_of('/ok-paused'), '1 of 1', 'but not what was discarded');
value('BEGIN; SELECT fraud.test_channel(\'paused\'); ROLLBACK; SELECT 1');
is(value("SELECT count(*) FROM fraud.outbox WHERE channel = 'paused'"), '2', 'a message that was rolled back is none');

# --------------------------------------------------------- dump and restore
value("SELECT fraud.pause_channel('paused'); SELECT fraud.test_channel('paused')");
ok($node->poll_query_until('postgres', "SELECT waiting = 1 FROM fraud.channel_status WHERE name = 'paused'"), 'a message waits');
value("SELECT fraud.add_channel('live', 'webhook', '$receiver->{url}/ok-live'); SELECT fraud.resume_channel('paused')");
ok($node->poll_query_until('postgres', "SELECT waiting = 0 FROM fraud.channel_status WHERE name = 'paused'"), 'and goes');
value("SELECT fraud.add_channel('later', 'webhook', 'http://127.0.0.1:1/'); SELECT fraud.test_channel('later')");
ok($node->poll_query_until('postgres', "SELECT failures > 0 FROM fraud.channel_status WHERE name = 'later'"), 'one cannot go yet');
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
value("SELECT fraud.drop_channel('later')");
my $restored_at = value('SELECT clock_timestamp()');
value('CREATE DATABASE copy');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('copy') ], 'psql takes it');
ok($node->poll_query_until('copy', $worker =~ s/pid/count(*) = 1/r), 'the copy has a worker');
is(value("SELECT string_agg(DISTINCT state, ' ') FROM fraud.channel_status", 'copy'), 'restored', 'channels that came with a dump are restored');
value("SELECT fraud.test_channel('live')", 'copy');
ok($node->poll_query_until('copy', "SELECT waiting = 1 FROM fraud.channel_status WHERE name = 'live'"), 'a message to one waits');
is(value("SELECT count(*) FROM fraud.notification_attempts WHERE started_at > '$restored_at'", 'copy'), '0', 'the copy sends nothing of its own accord');
is(value("SELECT waiting FROM fraud.channel_status WHERE name = 'later'", 'copy'), '1', 'what waited still does');
value("SELECT fraud.resume_channel('live')", 'copy');
wait_for_line($receiver, sub { $_[0]{path} eq '/ok-live' && $_[0]{body} =~ /"copy"/ }, 'until the channel is resumed');

# ---------------------------------- DROP DATABASE, DROP EXTENSION, fast stop
hold('hang', 'copy', '/hang?2');
is(value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'fraud_detect notify' AND xact_start IS NOT NULL"), '0', 'no transaction is open while a delivery is under way');
cmp_ok(seconds_of(sub { value('DROP DATABASE copy') }), '<', patient(3), 'DROP DATABASE does not wait for a delivery');
hold('hang', 'postgres', '/hang?3');
cmp_ok(seconds_of(sub { value('DROP EXTENSION fraud_detect') }), '<', patient(2), 'nor does DROP EXTENSION');
ok(wait_for(sub { value($worker) eq '' }, 'no worker', patient(5)), 'which leaves no worker');
value('CREATE EXTENSION fraud_detect');
ok($node->poll_query_until('postgres', $worker =~ s/pid/count(*) = 1/r), 'CREATE EXTENSION brings it back');
hold('hang', 'postgres', '/hang?4');
cmp_ok(seconds_of(sub { $node->stop('fast') }), '<', patient(4), 'nor a fast stop');
$node->start;
wait_for_line($receiver, sub { $_[0]{path} eq '/hang?4' }, 'it goes on after it');
ok(wait_for(sub { keys_of('/hang?4') eq '2 of 1' }, 'repeated'), 'with the same key');

# Without the preload nothing is sent, and add_channel says so.
my $bare = new_server('bare', preload => 0);
my (undef, undef, $warning) = $bare->psql('postgres', "SELECT fraud.add_channel('x', 'notify', 'x')");
like($warning, qr/WARNING:  nothing is polled or sent: fraud_detect is not in shared_preload_libraries/, 'without the preload add_channel says that nothing is sent');
$bare->stop;

done_testing();
