# Where parts of the feed meet: dead letters that a person sends again, sources that are dropped,
# customers who are erased while their payments are on their way.
use strict;
use warnings;

use FraudDetect;
use File::Temp ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $bodies = File::Temp->newdir;
my $api = start_api('--bodies', "$bodies");
my $node = new_server('main', conf => "fraud_detect.poll_timeout = 30s\nfraud_detect.ingest_workers = 1\nfraud_detect.max_response_size = 256MB\nfraud_detect.max_attributes_size = 1MB\n");
sub value { return $node->safe_psql('postgres', $_[0]) }
sub status { my ($name, $columns) = @_; return value("SELECT $columns FROM fraud.source_status WHERE name = '$name'") }

# Has /bodies/NAME answer with payments from now on: each [card, id, more fields].
sub serve
{
    my ($name, @payments) = @_;
    my $now = int(time * 1000);
    open(my $file, '>', "$bodies/$name.new") or die $!;
    print $file '[' . join(',', map {
            my ($card, $id, %more) = @$_;
            payment(cc_num => $card, trans_num => qq("$id"), current_time => $now++, %more)
        } @payments) . ']';
    close($file);
    rename("$bodies/$name.new", "$bodies/$name") or die $!;
}
sub add
{
    my ($name, $interval) = @_;
    value("SELECT fraud.add_source('$name', '$api->{url}/bodies/$name', poll_interval => '" . ($interval // '200 ms') . "')");
}
sub polled
{
    my ($name, $times) = @_;
    my $polls = status($name, 'polls');
    return wait_for(sub { status($name, 'polls') > $polls + ($times // 1) }, "$name is polled", 20);
}
my @card = map { 4000000000000000 + $_ * 18 } 0 .. 100;

# ---------------------------- a dead letter sent again in a transaction that stays open
serve('a', map { [ $card[$_], "a-$_", amt => '"five"' ] } 1 .. 3);
add($_) for qw(a b);
ok($node->poll_query_until('postgres', "SELECT count(*) = 3 FROM fraud.ingest_errors"), 'there are dead letters');
is(value(q{SELECT outcome FROM fraud.retry_dead_letter((SELECT error_id FROM fraud.ingest_errors WHERE transaction_id = 'a-1'), '{"amt": 5}')}), 'received', 'one is sent again');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.transactions"), 'and stored');
{
    my $idle = $node->background_psql('postgres');
    $idle->query_safe('BEGIN');
    is($idle->query_safe(q{SELECT outcome FROM fraud.retry_dead_letter((SELECT error_id FROM fraud.ingest_errors WHERE transaction_id = 'a-2'), '{"amt": 5}')}), 'received', 'another, by a session that stays in its transaction');
    # The feed goes on to repeat what is wrong with it.
    polled('a', 10);
    cmp_ok(value('SELECT count(*) FROM fraud.ingest_errors'), '<=', 2 * 3, 'what another session has locked is not another dead letter at each poll');
    value("SELECT fraud.drop_source('a')");
    ok(polled('b', 3), 'its source is dropped, and others are polled');
    ok(value("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'fraud%' AND wait_event_type = 'Lock'") eq '0', 'no worker waits for it');
    $idle->query_safe('COMMIT');
    $idle->quit;
}
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM fraud.transactions"), 'its payment is stored');
value("SELECT fraud.poll_now('b')");
ok($node->poll_query_until('postgres', "SELECT fraud.poll_now('b') IS NOT NULL AND NOT EXISTS (SELECT FROM fraud.source_counts WHERE source = 'a')"), 'then the counts of the source go too');

# ------------------------------- a customer who is erased between reading and scoring
# One whose payments are tried one by one, behind those that wait for a lock.
serve('b', map { [ $card[20], "warm-$_", first => '"Magdalena"', last => '"Erasable"' ] } 1 .. 300);
ok($node->poll_query_until('postgres', "SELECT count(*) = 300 FROM fraud.transactions WHERE transaction_id LIKE 'warm-%'"), 'a customer has payments');
my $erased = value("SELECT card FROM fraud.transactions WHERE transaction_id = 'warm-1'");
{
    my $idle = $node->background_psql('postgres');
    $idle->query_safe('BEGIN');
    $idle->query_safe("SELECT * FROM fraud.ingest('" . payment(cc_num => $card[$_], trans_num => qq("own-$_")) . "')") for 30 .. 44;
    my $eraser = $node->background_psql('postgres');
    $eraser->query_until(qr/begun/, qq{\\echo begun
DO \$\$
BEGIN
    WHILE NOT EXISTS (SELECT FROM fraud.inbox WHERE card = '$erased') LOOP
        PERFORM pg_sleep(0.005);
    END LOOP;
    PERFORM fraud.erase_customer('$erased', 'asked', true);
END
\$\$;
});
    serve('b', (map { [ $card[$_], "behind-$_" ] } 30 .. 44), [ $card[20], 'late', first => '"Magdalena"', last => '"Erasable"' ]);
    ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.transactions WHERE transaction_id = 'late'"), 'its payment is stored');
    $eraser->quit;
    $idle->query_safe('ROLLBACK');
    $idle->quit;
}
is(value("SELECT count(*) FROM fraud.customers WHERE card = '$erased' AND erased_at IS NOT NULL AND num_nonnulls(first_name, last_name, last_four, street) = 0"), '1', 'nothing says who it is');
is(value("SELECT count(*) FROM fraud.customer_ids WHERE card = '$erased'"), '0', 'and no number finds it');

# --------- a source of another address under the name of one that was dropped, whose answer has
# come and waits while a large one is read
serve('large', map { [ $card[0], "large", merch_lat => 'NaN' ] } 1 .. 200_000);    # one payment, again and again, which takes long to read
my $offered = 0;
# (What is small does not wait.)
sub offer { serve('c', [ $card[50], 'c-' . ++$offered, note => '"' . 'x' x 300_000 . '"' ]) }
offer();
add('c', '100 ms');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.transactions WHERE transaction_id = 'c-1'"), 'a source is polled');
add('large', '1 day');
# It is not asked again while its answer waits.
my ($polls, $since) = (-1, time);
ok(wait_for(sub {
    offer();
    my $now = status('c', 'polls');
    ($polls, $since) = ($now, time) if $now ne $polls;
    return time - $since > 0.4;
}, 'an answer waits', 60), 'its answer waits for another to be read');
value("BEGIN; SELECT fraud.drop_source('c'); SELECT fraud.add_source('c', '$api->{url}/bodies/none', poll_interval => '100 ms'); COMMIT");
my $dropped = value('SELECT clock_timestamp()');
ok(polled('c', 3), 'the new source is polled');
is(value("SELECT count(*) FROM (SELECT FROM fraud.inbox WHERE source = 'c' AND received_at > '$dropped' UNION ALL SELECT FROM fraud.transactions WHERE source = 'c' AND received_at > '$dropped') late"), '0', 'what the old one had answered is not taken for its');
value("SELECT fraud.drop_source('large')");

# ---------------------------- a dump whose inbox is not empty, restored by and by
serve('b', map { [ $card[60 + $_], "kept-$_" ] } 1 .. 20);
ok($node->poll_query_until('postgres', "SELECT count(*) = 20 FROM fraud.transactions WHERE transaction_id LIKE 'kept-%'"), 'customers have payments');
{
    my $idle = $node->background_psql('postgres');
    $idle->query_safe('BEGIN');
    $idle->query_safe('SELECT count(*) FROM (SELECT FROM fraud.customers FOR UPDATE) locked');
    serve('b', map { [ $card[60 + $_], "waits-$_", merchant => '"Corner"' ] } 1 .. 20);
    ok($node->poll_query_until('postgres', "SELECT count(*) = 20 FROM fraud.inbox"), 'others wait');
    $node->command_ok([ 'pg_dump', '-Fc', '-f', $node->basedir . '/dump', $node->connstr('postgres') ], 'the database is dumped');
    $idle->query_safe('ROLLBACK');
    $idle->quit;
}
value('CREATE DATABASE copy');
sub copied { return $node->safe_psql('copy', $_[0]) }
my ($list, $errors) = run_command([ 'pg_restore', '-l', $node->basedir . '/dump' ]);
my ($first, $rest) = $list =~ /^(.*TABLE DATA fraud inbox [^\n]*\n)(.*)$/s;
append_to_file($node->basedir . '/first', $first);
append_to_file($node->basedir . '/rest', $rest);
$node->command_ok([ 'pg_restore', '-d', $node->connstr('copy'), '-L', $node->basedir . '/first', $node->basedir . '/dump' ], 'restored up to the inbox');
ok(wait_for(sub { value("SELECT count(*) FROM pg_stat_activity WHERE datname = 'copy' AND backend_type = 'fraud_detect scorer'") eq '1' }, 'a scorer'), 'a scorer works there');
# As many labels as make a worker think of folding.
copied(q{INSERT INTO fraud.labels (card, transaction_id, is_fraud, source, known_at) SELECT gen_random_uuid(), 'l-' || i, true, 'payload', now() FROM generate_series(1, 21000) i});
$node->reload;
usleep(3_000_000);
is(copied('SELECT (SELECT count(*) FROM fraud.inbox) || \' \' || (SELECT count(*) FROM fraud.transactions) || \' \' || (SELECT count(*) FROM fraud.rollup_state)'), '20 0 0', 'nothing is scored or folded while the rest is to come');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('copy'), '-L', $node->basedir . '/rest', $node->basedir . '/dump' ], 'the rest meets nothing that a worker has made');
is(copied("SELECT count(*) FROM fraud.inbox"), '20', 'the inbox waits');
copied("SELECT fraud.resume_source('b')");
ok($node->poll_query_until('copy', "SELECT count(*) = 20 FROM fraud.transactions WHERE transaction_id LIKE 'waits-%'"), 'until its source is resumed');
ok($node->poll_query_until('copy', "SELECT waiting = 0 FROM fraud.source_status WHERE name = 'b'"), 'and is counted');
is(copied("SELECT received - (SELECT sum(stored + duplicates + rejected) FROM fraud.source_counts WHERE source = 'b' AND writer >= 0) FROM fraud.source_counts WHERE source = 'b' AND writer = -1"), '0', 'by both sides');

done_testing();
