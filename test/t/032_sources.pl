# Sources: known ids that come with other content, what pause, drop and new settings do to what is
# under way, limits and what is said when they are met, failures, databases that are read-only.
use strict;
use warnings;

use FraudDetect;
use File::Temp ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $bodies = File::Temp->newdir;
my $api = start_api('--bodies', "$bodies", '--fault-seconds', '120');
my $node = new_server('main', conf => "fraud_detect.poll_timeout = 60s\nfraud_detect.max_response_size = 64MB\nfraud_detect.max_retry_delay = 1s\n");
sub value { return $node->safe_psql('postgres', $_[0]) }
sub status { my ($name, $columns) = @_; return value("SELECT $columns FROM fraud.source_status WHERE name = '$name'") }
sub becomes { my ($name, $what, $says) = @_; return ok($node->poll_query_until('postgres', "SELECT $what FROM fraud.source_status WHERE name = '$name'"), $says) }

# Has /bodies/NAME answer with this from now on.
sub serve_text
{
    my ($name, $text) = @_;
    open(my $file, '>', "$bodies/$name.new") or die $!;
    print $file $text;
    close($file);
    rename("$bodies/$name.new", "$bodies/$name") or die $!;
}
# With payments: each [card, id, amount, more fields].
sub serve
{
    my ($name, @payments) = @_;
    my $now = int(time * 1000);
    serve_text($name, '[' . join(',', map {
            my ($card, $id, $amount, %more) = @$_;
            payment(cc_num => $card, trans_num => qq("$id"), amt => $amount, current_time => $now, %more)
        } @payments) . ']');
}
sub add
{
    my ($name, %more) = @_;
    my $path = delete $more{path} // "/bodies/$name";
    $more{poll_interval} //= "'200 ms'";
    value("SELECT fraud.add_source('$name', '$api->{url}$path'" . join('', map { ", $_ => $more{$_}" } sort keys %more) . ')');
}
sub polled
{
    my ($name) = @_;
    my $polls = status($name, 'polls');
    return wait_for(sub { status($name, "polls > $polls + 1 AND state <> 'polling'") eq 't' }, "$name is polled");
}
sub logged { my ($pattern) = @_; my @lines = slurp_file($node->logfile) =~ /$pattern/g; return scalar @lines }
my @card = map { 4000000000000000 + $_ * 18 } 0 .. 100;

# --------------------------------------------------- a known id with other content
serve('a', [ $card[1], 'f1', 1.5 ], [ $card[1], 'f1', 999.99 ], [ $card[2], 'f1', 7 ]);
add('a');
becomes('a', 'stored = 2 AND differing >= 1', 'of two payments of one id in a body the first is stored, the other is not a silent duplicate');
is(value("SELECT string_agg(amount::text, ' ' ORDER BY amount) FROM fraud.transactions WHERE transaction_id = 'f1'"), '1.50 7.00', 'the id of another card is another payment');
# The feed repeats it with another time, and with other content alone.
for my $more (1 .. 3)
{
    serve('a', [ $card[1], 'f1', 1.5 ], [ $card[1], 'f1', 999.99 ]);
    polled('a');
}
is(value("SELECT count(*) || ' ' || (sum(occurrences) > 3) FROM fraud.ingest_errors WHERE reason LIKE '%differs from the stored payment%'"), '1 true',
    'repeated at each poll, with other times, it is one dead letter that counts');
serve('a', [ $card[1], 'f1', 1.5, merchant => '"fraud_Another"' ]);
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.ingest_errors WHERE source = 'a' AND reason LIKE '%another merchant' AND last_four = right('$card[1]', 4)"), 'another merchant is said to be that');
is(status('a', "differing = rejected AND differing = (SELECT sum(occurrences) FROM fraud.ingest_errors WHERE source = 'a') AND duplicates > 0 AND stored = 2"), 't', 'all of it is counted');
# A label is none of the content.
serve('a', [ $card[1], 'f1', 1.5, is_fraud => 1 ]);
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.labels WHERE transaction_id = 'f1' AND is_fraud"), 'a label that comes later is taken');
# A merchant that begins as feeds begin theirs is the same after it has waited.
serve('a', [ $card[3], 'f2', 1.5, merchant => '"fraud_fraud_Berge"' ]);
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.transactions WHERE transaction_id = 'f2' AND merchant = 'fraud_Berge'"), 'a merchant keeps its name on the way');
my $before = status('a', 'differing');
polled('a');
is(status('a', 'differing'), $before, 'and is repeated as the same');
# While the first one waits to be scored; and one that another session stores meanwhile.
{
    my $idle = $node->background_psql('postgres');
    $idle->query_safe('BEGIN');
    $idle->query_safe("SELECT 1 FROM fraud.customers WHERE last_four = right('$card[3]', 4) FOR UPDATE");
    serve('a', [ $card[3], 'f3', 5, is_fraud => 1 ], [ $card[3], 'f4', 5 ], [ $card[3], 'f4', 6 ]);
    ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM fraud.inbox WHERE transaction_id IN ('f3', 'f4')"), 'they wait');
    serve('a', [ $card[3], 'f3', 6 ], [ $card[3], 'f4', 5, is_fraud => 1 ]);
    ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM fraud.ingest_errors WHERE transaction_id IN ('f3', 'f4')"), 'what waits is compared to as well');
    polled('a');
    serve('a', [ $card[3], 'f3', 5, is_fraud => 1 ], [ $card[3], 'f4', 5, is_fraud => 1 ]);
    polled('a') for 1 .. 2;
    is(value("SELECT string_agg(transaction_id, ' ' ORDER BY transaction_id) FROM fraud.inbox"), 'f3 f4 f4', 'news of a fraud wait with it, once');
    is(status('a', 'waiting'), '3', 'and are counted');
    $idle->query_safe("SELECT * FROM fraud.ingest('" . payment(cc_num => $card[3], trans_num => '"f3"', amt => 8) . "')");
    $idle->query_safe('COMMIT');
    $idle->quit;
    ok($node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM fraud.inbox)'), 'then they are scored');
    is(value("SELECT string_agg(transaction_id || ' ' || amount, ', ' ORDER BY 1) FROM fraud.transactions WHERE transaction_id IN ('f3', 'f4')"), 'f3 8.00, f4 5.00', 'what was stored first stays');
    ok($node->poll_query_until('postgres', "SELECT count(*) > 2 FROM fraud.ingest_errors WHERE transaction_id = 'f3' AND source = 'a'"), 'the one that waited is a dead letter of its source');
    is(value("SELECT count(*) FROM fraud.labels WHERE transaction_id = 'f4'"), '1', 'the label has come');
    is(status('a', 'waiting'), '0', 'and nothing is counted as waiting');
}
serve('a');
polled('a');
# Two sessions that store it at once: the later one is told, whatever it saw before.
{
    my $first = $node->background_psql('postgres');
    $first->query_safe('BEGIN');
    $first->query_safe("SELECT * FROM fraud.ingest('" . payment(cc_num => $card[60], trans_num => '"both"', amt => 1) . "')");
    my ($in, $out) = ('', '');
    my $second = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c',
            "SELECT status || ' ' || error FROM fraud.ingest('" . payment(cc_num => $card[60], trans_num => '"both"', amt => 2) . "')" ],
        '<', \$in, '>', \$out, IPC::Run::timeout(300));
    ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%both%'"), 'the second waits for the first');
    $first->query_safe('COMMIT');
    $first->quit;
    $second->finish;
    like($out, qr/^rejected the payment differs from the stored payment/, 'and its payment is no silent duplicate');
}

# ------------------------------------------------------------------ failures
serve_text('a', '[{"trans_num": "x1"');
becomes('a', 'consecutive_failures >= 3', 'a source fails');
is(logged(qr/LOG:  source "a": poll failed: /), 1, 'which is logged once');
serve_text('a', 'no JSON at all ' . rand);
my $failures = status('a', 'failures');
becomes('a', "failures >= $failures + 3", 'it fails further');
value("SELECT fraud.alter_source('a', url => '$api->{url}/500')");
becomes('a', "last_error LIKE 'HTTP status 500%' AND consecutive_failures >= 3", 'and for another reason');
cmp_ok(logged(qr/LOG:  source "a": poll failed: /), '<=', 3, 'it is not logged at every poll');
is(logged(qr/LOG:  source "a": poll failed: HTTP status 500/), 1, 'but again when the cause changes');
$failures = status('a', 'failures');
kill 'TERM', value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'fraud_detect ingest'");
becomes('a', "failures >= $failures + 2", 'another worker goes on to fail');
is(logged(qr/LOG:  source "a": poll failed: HTTP status 500/), 1, 'and says nothing new');
value("SELECT fraud.alter_source('a', url => '$api->{url}/bodies/a')");
serve('a');
becomes('a', "state = 'ok' AND consecutive_failures = 0", 'it is well again');
polled('a');
is(logged(qr/LOG:  source "a": poll succeeded again/), 1, 'which is logged once');

# ------------------------------------------------------------- other settings
serve('rare', [ $card[5], 'r-1', 5 ]);
add('rare', path => '/hang', poll_interval => "'1 day'");
becomes('rare', "state = 'polling'", 'a request hangs');
my $took = FraudDetect::seconds_of(sub {
    value("SELECT fraud.alter_source('rare', url => '$api->{url}/bodies/rare')");
    becomes('rare', 'stored = 1', 'another URL is polled at once, and the request given up');
});
cmp_ok($took, '<', patient(3), 'within seconds');
serve('rare', [ $card[5], 'r-2', 5 ]);
value("SELECT fraud.alter_source('rare', poll_interval => '200 ms')");
becomes('rare', 'stored = 2 AND polls > 3', 'another interval holds at once');
value("SELECT fraud.pause_source('rare'); SELECT fraud.alter_source('rare', poll_interval => '100 ms')");
my $polls = status('rare', 'polls');
polled('a');
is(status('rare', 'polls'), $polls, 'a paused source that is altered stays paused');
add('keyed', path => '/needs-key', headers => q('{"X-Api-Key": "old"}'));
becomes('keyed', "last_error LIKE 'HTTP status 401%'", 'a key is refused');
my ($ret, $out, $err) = $node->psql('postgres', "SELECT fraud.alter_source('keyed', url => '$api->{url}/one')");
like($err, qr/headers of source "keyed" must be given again with another URL/, 'it is not sent elsewhere unless it is given again');
value(q(SELECT fraud.alter_source('keyed', headers => '{"X-Api-Key": "secret-key-1"}')));
becomes('keyed', 'stored > 0', 'another is sent at once');
value("SELECT fraud.drop_source('keyed'), fraud.drop_source('rare')");

# ---------------------------------------------------------- most of one answer
add('most', max_poll_payments => 10);
serve('most', map { [ $card[$_], "most-$_", 5 ] } 1 .. 11);
becomes('most', "state = 'failing' AND stored + waiting = 0 AND last_error = 'the answer has 11 payments, more than max_poll_payments (10): none is stored'", 'an answer with too many payments fails as a whole, and says so');
$took = FraudDetect::seconds_of(sub {
    value("SELECT fraud.alter_source('most', max_poll_payments => 11)");
    becomes('most', "stored = 11 AND state IN ('ok', 'polling')", 'a higher limit holds at once');
});
cmp_ok($took, '<', patient(3), 'within seconds');
value("SELECT fraud.alter_source('most', reset => '{max_poll_payments}')");
reload_with($node, 'fraud_detect.max_poll_payments', '5');
becomes('most', "state = 'failing'", 'the setting holds where the source has none of its own');
reload_with($node, 'fraud_detect.max_poll_payments', '250000');
value("SELECT fraud.drop_source('most')");

# --------------------------------------------------------- too many that wait
add('full', max_waiting_payments => 5);
{
    my $idle = $node->background_psql('postgres');
    $idle->query_safe('BEGIN');
    $idle->query_safe("SELECT 1 FROM fraud.customers WHERE last_four = right('$card[1]', 4) FOR UPDATE");
    serve('full', map { [ $card[1], "full-$_", 5 ] } 1 .. 8);
    becomes('full', "state = 'behind' AND waiting = 8", 'a source of which too many wait is not polled, and says so');
    $polls = status('full', 'polls');
    value("SELECT fraud.poll_now('full')");
    my $other = status('a', 'polls');
    polled('a') for 1 .. 3;
    is(status('full', "polls || ' ' || state"), "$polls behind", 'not at once either');
    is(value("SELECT status FROM fraud.health() WHERE item = 'source full'"), 'warning', 'health says so');
    serve('full', map { [ $card[1], "full-$_", 5 ] } 1 .. 9);
    $idle->query_safe('ROLLBACK');
    $idle->quit;
}
becomes('full', "stored = 9 AND waiting = 0 AND state IN ('ok', 'polling')", 'it goes on by itself when fewer wait');
is(logged(qr/source "full" is not polled: 8 of its payments wait/) . logged(qr/source "full" is polled again/), '11', 'each is logged once');
# The count survives that the worker does not, and one that was not kept with the payments.
value("SELECT fraud.pause_source('full')");
ok($node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM fraud.inbox)'), 'nothing waits');
value('DELETE FROM fraud.source_counts');
{
    my $idle = $node->background_psql('postgres');
    $idle->query_safe('BEGIN');
    $idle->query_safe("SELECT 1 FROM fraud.customers WHERE last_four = right('$card[1]', 4) FOR UPDATE");
    serve('full', map { [ $card[1], "again-$_", 5 ] } 1 .. 3);
    value("SELECT fraud.resume_source('full')");
    becomes('full', 'waiting = 3', 'some wait');
    value("SELECT fraud.pause_source('full')");
    value("DELETE FROM fraud.source_counts WHERE source = 'full'");
    kill 'TERM', value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'fraud_detect ingest'");
    becomes('full', 'waiting = 3', 'what waits is counted anew by another worker');
    $idle->query_safe('ROLLBACK');
    $idle->quit;
}
becomes('full', 'waiting = 0 AND stored = 3', 'and counts down');
value("SELECT fraud.drop_source('full')");
ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM fraud.source_counts WHERE source = 'full')"), 'of a source that is gone the counts go');

# ------------------------------------------------------- read-only databases
# Whoever lifts it must not be held by it.
sub lift { $node->safe_psql('template1', $_[0]) }
sub workers { return value("SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity WHERE backend_type LIKE 'fraud_detect%'") }
# A worker that had begun before finds out when it looks next, and another takes its place: $since is before the change.
sub stays_read_only
{
    my ($what, $since) = @_;
    becomes('a', "state = 'read-only'", "$what: the source says so");
    # Where the server starts with it, the others are not needed yet.
    my $all = $what =~ /starts/ ? 1 : 4;
    ok(wait_for(sub { value("SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'fraud_detect (ingest|scorer|notify)' AND backend_start > '$since'") eq $all }, 'the workers wait', 60), "$what: all workers are there");
    my ($workers, $polls) = (workers(), status('a', 'polls'));
    usleep(3_000_000);
    is(workers(), $workers, "$what: and wait, not one dies");
    is(status('a', 'polls'), $polls, "$what: nothing is polled");
    is(value("SELECT status FROM fraud.health() WHERE item = 'source a'"), 'warning', "$what: health says so");
    is(value("SELECT string_agg(item, ', ') FROM fraud.health() WHERE item LIKE 'worker %' AND status = 'error'"), '', "$what: and misses no worker");
}
sub goes_on
{
    my ($what) = @_;
    my $polls = status('a', 'polls');
    my $took = FraudDetect::seconds_of(sub { becomes('a', "polls > $polls + 1 AND state IN ('ok', 'polling')", "$what: it goes on by itself when that is lifted") });
    cmp_ok($took, '<', patient(5), "$what: within seconds");
}
my $errors = logged(qr/in a read-only transaction/);
my $since = value('SELECT clock_timestamp()');
value('ALTER DATABASE postgres SET default_transaction_read_only = on');
stays_read_only('a database that is made read-only', $since);
is(logged(qr/LOG:  database "postgres" is read-only: its workers wait/), 1, 'the log says it once');
lift('ALTER DATABASE postgres RESET default_transaction_read_only');
goes_on('a database');
$since = value('SELECT clock_timestamp()');
value('ALTER DATABASE postgres SET default_transaction_read_only = on');
$node->restart;
stays_read_only('a database that is read-only when the server starts', $since);
lift('ALTER DATABASE postgres SET default_transaction_read_only = off');
goes_on('a database of old');
# What the database says goes before what the configuration says.
reload_with($node, 'default_transaction_read_only', 'off');
$node->append_conf('postgresql.conf', 'default_transaction_read_only = on');
$node->reload;
my $reloaded = $node->safe_psql('template1', 'SELECT pg_conf_load_time()');
goes_on('a database that is writable in a server that is not');
$since = value('SELECT clock_timestamp()');
$node->safe_psql('template1', 'SET default_transaction_read_only = off; ALTER DATABASE postgres RESET default_transaction_read_only');
stays_read_only('a configuration that says read-only', $since);
$node->append_conf('postgresql.conf', 'default_transaction_read_only = off');
$node->reload;
goes_on('a configuration');
is(logged(qr/in a read-only transaction/), $errors, 'nobody has tried to write meanwhile');

# ---------------------------------------------- pause and drop amid a large answer
# Not scored meanwhile: what is asked is what is received.
sub large
{
    my ($name, $count) = @_;
    my $now = int(time * 1000);
    serve_text($name, join("\n", map { sprintf('{"cc_num":%d,"trans_num":"%s-%d","amt":5,"merchant":"M","current_time":%d}', $card[1 + $_ % 100], $name, $_, $now) } 1 .. $count) . "\n");
}
sub received { my ($name) = @_; return value("SELECT (SELECT count(*) FROM fraud.inbox WHERE source = '$name') + (SELECT count(*) FROM fraud.transactions WHERE source = '$name')") }
large('y', 100_000);
my $answered = time;
add('y');
my %seen;
ok(wait_for(sub { my $n = received('y'); $seen{$n} = 1; return $n > 0 }, 'y is being kept'), 'a large answer is being kept');
$took = FraudDetect::seconds_of(sub { value("SELECT fraud.drop_source('y')") });
# The piece that was under way is kept.
usleep(int(patient(2) * 1_000_000));
my $after = received('y');
cmp_ok($after, '<', 100_000, "a dropped source is dropped amid its answer ($after are received)");
usleep(1_000_000);
is(received('y'), $after, 'and nothing more comes of it');
is(value("SELECT count(*) FROM fraud.source_status WHERE name = 'y'"), '0', 'it is gone');

large('z', 50_000);
add('z', poll_interval => "'1 minute'");
ok(wait_for(sub { received('z') > 0 }, 'z is being kept'), 'another is being kept');
value("SELECT fraud.pause_source('z')");
is(status('z', 'state'), 'paused', 'and paused amid its answer');
ok(wait_for(sub { $seen{ status('z', 'waiting + stored') } = 1; return received('z') == 50_000 }, 'z is kept'), 'what an API has answered is kept all the same');
is(status('z', 'waiting + stored'), '50000', 'and counted');
is(status('z', 'polls'), '1', 'and not polled again');
is(status('a', 'consecutive_failures'), '0', 'another source has not failed meanwhile');

done_testing();
