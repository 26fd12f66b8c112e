# Deliveries cost the same however many wait, and whatever becomes of one receiver is nothing to
# the others: what is read for each, blocked payments first, a burst that is addressed, many outcomes a
# commit, receivers that fail, rows that a person has locked, old snapshots, messages committed late.
use strict;
use warnings;

use FraudDetect;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Receivers;
use Test::More;
use Time::HiRes qw(usleep);

my $dir = PostgreSQL::Test::Utils::tempdir();
my $receiver = start_receiver($dir);
my $node = new_server('main', conf => "fraud_detect.notify_attempts = 1000\nautovacuum = off\nfraud_detect.condition_timeout = 10s\nfraud_detect.notify_timeout = 100s\n");
sub value { return $node->safe_psql('postgres', $_[0]) }
my $alerts = 0;

# SQL that raises alerts, as payments do.
sub raising
{
    my ($count, $decision) = @_;
    my ($first, $last) = ($alerts + 1, $alerts += $count);
    $decision //= 'review';
    return "INSERT INTO fraud.outbox (kind, payload) SELECT 'alert', jsonb_build_object('alert_id', i, 'case_id', i, 'case_alerts', 1, 'decision', '$decision',"
      . " 'amount', 5, 'transaction_id', 'o-' || i, 'reasons', '[]'::jsonb) FROM generate_series($first, $last) i; SELECT fraud._wake_notify_worker();";
}
sub raise { value(raising(@_)); return $alerts }
sub channel { my ($name, $url, $more) = @_; value("SELECT fraud.add_channel('$name', 'webhook', '$url'" . ($more // '') . ')') }
# The alerts that a path has had, in the order in which they came; of digests all that they show.
my ($read_to, %had_by, %bodies) = (0);
sub had
{
    my ($path) = @_;
    # Read on from where the last look ended.
    if (open(my $log, '<', $receiver->{log}))
    {
        seek($log, $read_to, 0);
        while (my $line = <$log>)
        {
            last unless $line =~ /\}\n$/;
            $read_to += length $line;
            my $request = decode_json($line);
            my $body = decode_json($request->{body});
            my $data = $body->{data};
            push @{ $bodies{ $request->{path} } }, $body;
            push @{ $had_by{ $request->{path} } }, map { $_->{alert_id} // 0 } ref $data eq 'ARRAY' ? @$data : $data;
        }
    }
    return @{ $had_by{$path} // [] };
}
sub all_told
{
    my ($path, $count, $what) = @_;
    my %had;
    ok(wait_for(sub { %had = map { $_ => 1 } had($path); keys %had >= $count }, $what), $what) or diag(scalar(keys %had) . " of $count");
    return;
}
my $nobody = 'http://127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port() . '/';
sub settled { ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM fraud.notifications WHERE channel = '$_[0]' AND state IN ('pending', 'sending'))"), "all of $_[0] is delivered") }
# The same, by what the worker has counted: it reads no delivery.
sub counted { ok($node->poll_query_until('postgres', "SELECT delivered >= $_[1] FROM fraud.channel_state WHERE name = '$_[0]'"), "$_[1] of $_[0] are noted") }
# Entries of indexes and rows of tables that the worker has read of deliveries and messages. What it
# counted since its last report it tells with the next, so it is called once more.
my @read;
sub reads
{
    sleep 1;
    value("SELECT fraud._wake_notify_worker()");
    sleep 1;
    push @read, value("SELECT string_agg(w || ' ' || n, ', ') FROM (SELECT indexrelname AS w, idx_tup_read AS n FROM pg_stat_user_indexes WHERE relname ~ '^(notification|outbox)' UNION ALL SELECT relname, seq_tup_read FROM pg_stat_user_tables WHERE relname ~ '^(notification|outbox)') r");
    my $all = 0;
    $all += $_ for $read[-1] =~ / (\d+)/g;
    return $all;
}
# A worker that has just begun looks through the outbox every second for what is committed late
# (Outbox::sweep), which is not a delivery's cost.
sub swept
{
    my $had = reads();
    for (1 .. 30)
    {
        my $have = reads();
        return if $have - $had < 1000;
        $had = $have;
    }
    return;
}

# ---------------------------------------------------- a backlog is nobody's cost
channel('quick', "$receiver->{url}/ok-quick");
raise(20);
all_told('/ok-quick', 20, 'a channel is told');
counted('quick', 20);
my $before = reads();
raise(1) for 1 .. 20;
all_told('/ok-quick', 40, 'a channel is told again');
counted('quick', 40);
my $alone = reads() - $before;
# As many as have been tried and failed, and as many whose turn has not come.
my $waiting = 15000;
channel('dead', $nobody, ", takes => '{report}'");
value("SELECT fraud.pause_channel('dead')");
for my $kind ([ 1, "now() + interval '1 hour'" ], [ 0, 'DEFAULT' ])
{
    # As many as were addressed, whatever the columns are.
    value("WITH o AS (INSERT INTO fraud.outbox (kind, payload, dispatched_at, notified_at) VALUES ('report', '{}', now(), now()) RETURNING outbox_id),"
          . " i AS MATERIALIZED (SELECT nextval('fraud.notifications_notification_id_seq') AS id FROM generate_series(1, $waiting)),"
          . " n AS (INSERT INTO fraud.notifications (notification_id, channel, kind, digest, attempts) OVERRIDING SYSTEM VALUE SELECT id, 'dead', 'report', false, $kind->[0] FROM i)"
          . " INSERT INTO fraud.notification_messages (notification_id, outbox_id) SELECT i.id, o.outbox_id FROM i, o");
    value("UPDATE fraud.notifications SET next_attempt_at = $kind->[1] WHERE channel = 'dead' AND attempts = $kind->[0] AND attempts > 0");
}
value("SELECT fraud.resume_channel('dead')");
ok($node->poll_query_until('postgres', "SELECT failures >= 3 FROM fraud.channel_status WHERE name = 'dead'"), 'a receiver is dead, and much waits for it');
$before = reads();
raise(1) for 1 .. 20;
all_told('/ok-quick', 60, 'another is told all the same');
counted('quick', 60);
my $beside = reads() - $before;
cmp_ok($beside, '<', $alone + 2000, "with @{[2 * $waiting]} waiting no more is read for a delivery") or diag("$alone before", map { "\n$_" } @read[-4 .. -1]);
is(value("SELECT waiting || ' ' || state FROM fraud.channel_status WHERE name = 'dead'"), '10001 failing', 'what waits is counted up to a point');

# ------------------------------------------------- a receiver that fails waits
my $failures = value("SELECT failures FROM fraud.channel_status WHERE name = 'dead'");
sleep 4;
cmp_ok(value("SELECT failures FROM fraud.channel_status WHERE name = 'dead'") - $failures, '<', 12, 'a receiver that failed some times is left alone for a while, whatever waits');
value("SELECT fraud.alter_channel('dead', target => '$receiver->{url}/ok-risen')");
ok($node->poll_query_until('postgres', "SELECT delivered > 50 FROM fraud.channel_status WHERE name = 'dead'"), 'and is sent to at once when it is altered') or diag(value("SELECT * FROM fraud.channel_state"));
value("SELECT fraud.drop_channel('dead')");

# ----------------------------------------------------- blocked payments first
value("SELECT fraud.pause_channel('quick')");
channel('turns', "$receiver->{url}/ok-turns", ', max_per_minute => 100');
value("SELECT fraud.pause_channel('turns')");
raise(50);
ok($node->poll_query_until('postgres', "SELECT waiting = 50 FROM fraud.channel_status WHERE name = 'turns'"), 'alerts wait');
my $blocked = raise(1, 'block');
ok($node->poll_query_until('postgres', "SELECT waiting = 51 FROM fraud.channel_status WHERE name = 'turns'"), 'one of a blocked payment, too');
# Of several at a time the first to be sent need not be the first to be had.
reload_with($node, 'fraud_detect.notify_concurrency', '1');
value("SELECT fraud.resume_channel('turns')");
all_told('/ok-turns', 51, 'all are told');
is((had('/ok-turns'))[0], $blocked, 'the blocked payment is told of first');
settled('turns');
reload_with($node, 'fraud_detect.notify_concurrency', '16');
# It overtakes what is not addressed, too: of the same commit, and behind thousands.
value("SELECT fraud.drop_channel('turns'); SELECT fraud.resume_channel('quick', discard_waiting => true)");
channel('burst', "$receiver->{url}/ok-burst");
value(raising(3000) . raising(1, 'block'));
$blocked = $alerts;
ok(wait_for(sub { grep { $_ == $blocked } had('/ok-burst') }, 'blocked'), 'a blocked payment behind a burst is told of');
my ($place) = grep { (had('/ok-burst'))[$_] == $blocked } 0 .. 3000;
cmp_ok($place, '<', 600, 'before most of the burst');
all_told('/ok-burst', 3001, 'all are told');
settled('burst');

# ------------------------------------------------- several outcomes a commit
cmp_ok(value("SELECT count(DISTINCT xmin::text) FROM fraud.notifications WHERE channel = 'burst' AND state = 'delivered'"), '<', 3001 / 4, 'many outcomes are noted in one commit');
is(value("SELECT count(*) FROM fraud.notification_attempts WHERE channel = 'burst' AND outcome = 'delivered'"), '3001', 'each attempt is on record');
value("SELECT fraud.drop_channel('burst')");
settled('quick');

# ------------------------------------------ sending goes on while a burst is addressed
value("SELECT fraud.add_channel('picky', 'notify', 'picky', condition => '(SELECT count(*) FROM generate_series(1, 60000)) < amount')");
my $had = had('/ok-quick');
raise(1500);
my ($addressed, $told) = (0, 0);
wait_for(sub { $addressed = value("SELECT count(*) FROM fraud.outbox WHERE dispatched_at IS NOT NULL AND (payload ->> 'alert_id')::int > $alerts - 1500"); $told = had('/ok-quick') - $had; $addressed > 500 }, 'a third is addressed');
cmp_ok($addressed, '<', 1500, 'a burst takes a while to be addressed');
cmp_ok($told, '>', $addressed / 2, 'what is addressed is sent meanwhile');
value("SELECT fraud.drop_channel('picky')");
all_told('/ok-quick', $had + 1500, 'all of it is told');
settled('quick');

# While an answer is waited for the pieces are small, whatever the receiver.
channel('slow', "$receiver->{url}/hang", ", takes => '{report}'");
value("SELECT fraud.test_channel('slow')");
ok(wait_for(sub { had('/hang') == 1 }, 'slow'), 'an answer is waited for');
my $last = value('SELECT max(outbox_id) FROM fraud.outbox');
$had = had('/ok-quick');
raise(1000);
all_told('/ok-quick', $had + 1000, 'all of a burst is told');
cmp_ok(value("SELECT max(n) FROM (SELECT count(*) AS n FROM fraud.notification_messages WHERE outbox_id > $last GROUP BY xmin::text) p"), '<=', 40, 'of which little is addressed at a time');
value("SELECT fraud.drop_channel('slow')");
settled('quick');
delete $had_by{'/hang'};

# --------------------------------------------------- rows that a person has locked
channel('other', "$receiver->{url}/ok-other");
my $person = $node->background_psql('postgres');
$person->query_safe("BEGIN; SELECT fraud.alter_channel('quick', min_decision => 'review'); SELECT count(*) FROM (SELECT FROM fraud.channel_state WHERE name = 'quick' FOR UPDATE) s");
my $one = raise(1);
ok(wait_for(sub { grep { $_ == $one } had('/ok-other') }, 'other', 20), 'whoever alters a channel and does not commit delays no other');
ok(wait_for(sub { grep { $_ == $one } had('/ok-quick') }, 'quick', 20), 'nor that one');
$one = raise(1);
ok(wait_for(sub { 2 == grep { $_ >= $one } had('/ok-other'), had('/ok-quick') }, 'both', 20), 'nor the next');
$person->query_safe("ROLLBACK");
# Deliveries and messages.
value("SELECT fraud.pause_channel('other')");
my $locked = raise(1);
ok($node->poll_query_until('postgres', "SELECT waiting = 1 FROM fraud.channel_status WHERE name = 'other'"), 'a delivery waits');
$person->query_safe("BEGIN; SELECT count(*) FROM (SELECT FROM fraud.notifications WHERE channel = 'other' AND state = 'pending' FOR UPDATE) n");
value("SELECT fraud.resume_channel('other')");
$one = raise(1);
ok(wait_for(sub { grep { $_ == $one } had('/ok-other') }, 'other', 20), 'a delivery that somebody has locked delays no other');
is(scalar(grep { $_ == $locked } had('/ok-other')), 0, 'it is not sent itself');
$person->query_safe("ROLLBACK");
ok(wait_for(sub { grep { $_ == $locked } had('/ok-other') }, 'locked', 20), 'but when it is free');
value("SELECT fraud.drop_channel('other')");

# ------------------------------------------------------------ committed late
$person->query_safe('BEGIN; ' . raising(1));
my $late = $alerts;
$one = raise(1);
ok(wait_for(sub { grep { $_ == $one } had('/ok-quick') }, 'one'), 'a message that was written later is told');
$person->query_safe("COMMIT");
ok(wait_for(sub { grep { $_ == $late } had('/ok-quick') }, 'late', 30), 'one that is committed late, too');
$person->query_safe('BEGIN; ' . raising(1));
$late = $alerts;
my $pid = value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'fraud_detect notify'");
value("SELECT pg_terminate_backend($pid)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'fraud_detect notify' AND pid <> $pid"), 'another worker');
$one = raise(1);
ok(wait_for(sub { grep { $_ == $one } had('/ok-quick') }, 'one'), 'has told the newest');
$person->query_safe("COMMIT");
ok(wait_for(sub { grep { $_ == $late } had('/ok-quick') }, 'late', 30), 'and what was under way when it began');
settled('quick');

# ------------------------------------------------------------- an old snapshot
my $delivered = value("SELECT delivered FROM fraud.channel_state WHERE name = 'quick'");
swept();
$before = reads();
raise(1) for 1 .. 20;
counted('quick', $delivered += 20);
$alone = reads() - $before;
$person->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM fraud.notifications');
raise(3000);
counted('quick', $delivered += 3000);
swept();
$before = reads();
raise(1) for 1 .. 20;
counted('quick', $delivered += 20);
$beside = reads() - $before;
cmp_ok($beside, '<', $alone + 2000, 'beside a snapshot that sees all that went, nobody walks over it') or diag("$alone before", map { "\n$_" } @read[-4 .. -1]);
$person->query_safe("COMMIT");
$person->quit;

# -------------------------------------------- interrupted attempts are not used up
reload_with($node, 'fraud_detect.notify_attempts', '2');
value("SELECT fraud.drop_channel('quick')");
channel('hangs', "$receiver->{url}/hang");
value("SELECT fraud.test_channel('hangs')");
for my $time (1 .. 4)
{
    ok(wait_for(sub { $time == had('/hang') }, 'an attempt'), "attempt $time is under way");
    value("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'fraud_detect notify'") if $time < 4;
}
is(value("SELECT state, attempts, attempts_forgiven FROM fraud.notifications WHERE channel = 'hangs'"), 'sending|4|3', 'attempts that a worker did not end do not count');
is(value("SELECT string_agg(coalesce(outcome, 'under way'), ' ' ORDER BY attempt) FROM fraud.notification_attempts WHERE channel = 'hangs'"), 'interrupted interrupted interrupted under way', 'though they are on record');
value("SELECT fraud.drop_channel('hangs')");

# ------------------------------------------------ one message for many in a crowd
reload_with($node, 'fraud_detect.notify_digest_above', '20');
channel('crowd', "$receiver->{url}/ok-crowd");
value("SELECT fraud.pause_channel('crowd')");
my $first = $alerts + 1;
for (1 .. 6)
{
    raise(20);
    ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM fraud.outbox WHERE dispatched_at IS NULL)"), 'addressed');
}
raise(1, 'block') for 1 .. 2;
ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM fraud.outbox WHERE dispatched_at IS NULL)"), 'addressed');
is(value("SELECT string_agg(messages::text, ' ' ORDER BY notification_id) FROM fraud.notifications WHERE channel = 'crowd' AND digest"), '80 2', 'what is beyond the setting goes together, blocked payments by themselves');
is(value("SELECT count(*) FROM fraud.notifications WHERE channel = 'crowd' AND NOT digest"), '40', 'what was there goes as it was');
reload_with($node, 'fraud_detect.notify_concurrency', '1');
value("SELECT fraud.resume_channel('crowd')");
all_told('/ok-crowd', 122, 'all of it is told');
my @digests = grep { $_->{digest} } @{ $bodies{'/ok-crowd'} };
is(join(' ', sort map { $_->{count} } @digests), '2 80', 'in one message that says how many');
is($bodies{'/ok-crowd'}[0]{count}, 2, 'that of the blocked payments first');
settled('crowd');
raise(1);
ok(wait_for(sub { grep { $_ == $alerts } had('/ok-crowd') }, 'one'), 'afterwards each goes by itself');
is(value("SELECT digest FROM fraud.notifications WHERE channel = 'crowd' ORDER BY notification_id DESC LIMIT 1"), 'f', 'as before');
unlike(slurp_file($node->logfile), qr/(ERROR|FATAL|PANIC):(?!.*terminating)/, 'and nothing failed');
$node->stop;

# ------------------------------------------------------ without the preload
my $bare = new_server('bare', preload => 0);
$bare->safe_psql('postgres', "SET fraud_detect.outbox_limit = 50; " . raising(1) x 200);
is($bare->safe_psql('postgres', 'SELECT count(*), max((payload ->> \'alert_id\')::int) = ' . $alerts . ' FROM fraud.outbox'), '50|t', 'without the preload the outbox keeps the newest messages');
like($bare->safe_psql('postgres', "SET fraud_detect.outbox_limit = 50; SELECT status || ': ' || detail FROM fraud.health() WHERE item = 'outbox'"), qr/^warning: not preloaded: messages wait .* the newest 50 are kept/, 'and health says so');
$bare->stop;

done_testing();
