# Nothing stops the feed: not a person's open transaction, not another source, not a
# large body, not one bad payment, not a crash.
use strict;
use warnings;

use FraudDetect;
use File::Temp ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $bodies = File::Temp->newdir;
my $api = start_api('--bodies', "$bodies");
my $node = new_server('main', conf => "restart_after_crash = on\nfraud_detect.poll_timeout = 5s\nmax_prepared_transactions = 5\n");
sub value { return $node->safe_psql('postgres', $_[0]) }

# Has /bodies/NAME answer with payments from now on: each [card, id, merchant, more fields].
sub serve
{
    my ($name, @payments) = @_;
    my $now = int(time * 1000);
    my $body = '[' . join(',', map {
            my ($card, $id, $merchant, %more) = @$_;
            payment(cc_num => $card, trans_num => qq("$id"), merchant => qq("$merchant"), current_time => $now, %more)
        } @payments) . ']';
    open(my $file, '>', "$bodies/$name.new") or die $!;
    print $file $body;
    close($file);
    rename("$bodies/$name.new", "$bodies/$name") or die $!;
}
sub add
{
    my ($name, $interval) = @_;
    value("SELECT fraud.add_source('$name', '$api->{url}/bodies/$name', poll_interval => '" . ($interval // '200 ms') . "')");
}

# Whether a payment is stored within so many seconds.
sub stored_within
{
    my ($id, $seconds) = @_;
    return wait_for(sub { value("SELECT count(*) FROM fraud.transactions WHERE transaction_id = '$id'") eq '1' }, "$id is stored", $seconds);
}
sub waits
{
    my ($id) = @_;
    return value("SELECT (SELECT count(*) FROM fraud.inbox WHERE transaction_id = '$id') || ' ' || (SELECT count(*) FROM fraud.transactions WHERE transaction_id = '$id')") eq '1 0';
}
my @card = map { 4000000000000000 + $_ * 18 } 0 .. 200;

# ------------------------------------------------------------------ receipt
serve('a', map { [ $card[$_], "a-$_", 'Corner' ] } 1 .. 20);
add('a');
ok(stored_within("a-$_", 30), "payment $_ is stored") for 1, 20;
ok($node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM fraud.inbox)'), 'the inbox is empty then');
is(value("SELECT count(DISTINCT pid) FROM pg_stat_activity WHERE backend_type = 'fraud_detect scorer'"), '2', 'there are two scorers');
is(value("SELECT count(*) FROM fraud.merchants WHERE merchant = 'Corner'"), '1', 'and the merchant has its row');
ok($node->poll_query_until('postgres', "SELECT stored = 20 AND duplicates > 0 FROM fraud.source_status WHERE name = 'a'"), 'what polls repeat is counted, and dropped when it is received');

# --------------------------------------- what another session has locked, and leaves
# Each: what it holds, what waits for it, and what must not.
my $payment_of = sub { my ($card, $id, $merchant) = @_; return payment(cc_num => $card, trans_num => qq("$id"), merchant => qq("$merchant"), current_time => int(time * 1000)) };
my %held = (
    customer => [ sub { "SELECT * FROM fraud.ingest('" . $payment_of->($card[1], 'own-1', 'Corner') . "')" }, [ $card[1], 'h-1', 'Corner' ], [ $card[2], 'g-1', 'Corner' ] ],
    'new customer' => [ sub { "SELECT * FROM fraud.ingest('" . $payment_of->($card[50], 'own-2', 'Corner') . "')" }, [ $card[50], 'h-2', 'Corner' ], [ $card[51], 'g-2', 'Corner' ] ],
    'new merchant' => [ sub { "SELECT * FROM fraud.ingest('" . $payment_of->($card[60], 'own-3', 'New Shop') . "')" }, undef, [ $card[3], 'g-3', 'New Shop' ] ],
    case => [ sub { 'SELECT fraud.confirm_case(case_id) FROM fraud.cases ORDER BY case_id LIMIT 1' }, undef, [ $card[5], 'g-4', 'Corner', amt => 99999 ] ],
    label => [ sub { "SELECT fraud.label('a-6', true, 'analyst')" }, [ $card[6], 'a-6', 'Corner', is_fraud => 1 ], [ $card[7], 'g-5', 'Corner' ] ],
    'dead letter' => [ sub { "SELECT * FROM fraud.ingest('" . payment(cc_num => $card[8], trans_num => '"bad"', amt => '"five"', current_time => 1700000000000) . "', 'a')" }, undef, [ $card[8], 'g-6', 'Corner' ], [ $card[8], 'bad', 'x', amt => '"five"', merchant => '"fraud_Corner Shop"', current_time => 1700000000000 ] ],
    'a poll at once' => [ sub { "SELECT fraud.poll_now('a')" }, undef, [ $card[9], 'g-7', 'Corner' ] ],
    'a dropped source' => [ sub { "SELECT fraud.drop_source('b')" }, undef, [ $card[10], 'g-8', 'Corner' ] ],
    'a paused source' => [ sub { "SELECT fraud.pause_source('b')" }, undef, [ $card[11], 'g-9', 'Corner' ] ],
    'a channel' => [ sub { "SELECT fraud.add_channel('c', 'notify', 'x')" }, undef, [ $card[12], 'g-10', 'Corner', amt => 99999 ] ],
    'sums' => [ sub { 'SELECT fraud.refresh_rollups()' }, undef, [ $card[13], 'g-11', 'Corner' ] ],
    'a promotion' => [ sub { "SELECT fraud.promote('payments', 1, review_at => 0, block_at => 0.9, reason => 'held', override_gate => true)" }, undef, [ $card[14], 'g-12', 'Corner' ] ],
    'months' => [ sub { 'SELECT * FROM fraud.maintain_partitions()' }, undef, [ $card[15], 'g-13', 'Corner' ] ]);
serve('b');
add('b');
# A case to lock.
value("SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, reason => 'every payment is an alert', override_gate => true)");
serve('a', [ $card[5], 'case-5', 'Corner', amt => 50 ]);
ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM fraud.cases"), 'there is a case');
for my $what (sort keys %held)
{
    my ($sql, $held, @free) = @{ $held{$what} };
    my $idle = $node->background_psql('postgres');
    $idle->query_safe('BEGIN');
    $idle->query_safe($sql->());
    my $pid = $idle->query_safe('SELECT pg_backend_pid()');
    serve('a', grep { defined } $held, @free);
    ok(stored_within($free[0][1], 20), "$what: a payment of another goes on");
    if ($held && $held->[1] =~ /^h/)
    {
        ok(waits($held->[1]), "$what: the payment in question waits in the inbox");
        ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.held_customers WHERE blocking_pid = $pid"), "$what: and the session in the way is named");
    }
    $idle->query_safe('ROLLBACK');
    $idle->quit;
    ok(stored_within($held->[1], 20), "$what: it is stored when the other has gone") if $held;
    ok($node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM fraud.inbox) AND NOT EXISTS (SELECT FROM fraud.held_customers)'), "$what: and nobody is held any more");
}
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.labels WHERE transaction_id = 'a-6' AND source = 'payload'"), "a label that a person's stood in the way of is recorded");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.merchants WHERE merchant = 'New Shop'"), 'the new merchant has its row');

# Nor does an application wait for another's new merchant, whose row is made whatever becomes of either.
for my $end (qw(COMMIT ROLLBACK))
{
    my $idle = $node->background_psql('postgres');
    $idle->query_safe('BEGIN');
    $idle->query_safe("SELECT * FROM fraud.ingest('" . $payment_of->($card[61], "open-$end", "Shop of $end") . "')");
    is(value("SET lock_timeout = '300 ms'; SELECT status FROM fraud.ingest('" . $payment_of->($card[62], "beside-$end", "Shop of $end") . "')"), 'stored',
        "fraud.ingest does not wait for another one's new merchant");
    $idle->query_safe($end);
    $idle->quit;
    ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.merchants WHERE merchant = 'Shop of $end'"), "the merchant has its row after $end");
}

# A prepared transaction has no session that could be named.
{
    value("BEGIN; SELECT FROM fraud.ingest('{\"cc_num\": $card[20], \"trans_num\": \"pr-0\", \"amt\": 1, \"merchant\": \"M\", \"unix_time\": 1767402123}'); COMMIT");
    value("BEGIN; SELECT FROM fraud.customers WHERE last_four = '" . substr($card[20], -4) . "' FOR UPDATE; PREPARE TRANSACTION 'left behind'");
    serve('a', [ $card[20], 'pr-1', 'Corner' ], [ $card[19], 'pr-2', 'Corner' ]);
    ok(stored_within('pr-2', 20), 'a prepared transaction: a payment of another goes on');
    ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM fraud.held_customers WHERE reason = 'prepared transaction "left behind" has locked the customer''s row' AND blocking_pid IS NULL}), 'it is named');
    value("ROLLBACK PREPARED 'left behind'");
    ok(stored_within('pr-1', 20), 'and the payment is stored when it has ended');
}

# The order in which a customer's payments were received holds.
{
    my $idle = $node->background_psql('postgres');
    $idle->query_safe('BEGIN');
    $idle->query_safe("SELECT 1 FROM fraud.customers WHERE last_four = '" . substr($card[20], -4) . "' FOR UPDATE");
    for my $i (1 .. 5)
    {
        serve('a', map { [ $card[20], "o-$_", 'Corner' ] } 1 .. $i);
        wait_for(sub { waits("o-$i") }, "o-$i is received");
    }
    $idle->query_safe('ROLLBACK');
    $idle->quit;
    ok(stored_within("o-$_", 20), "o-$_ is stored") for 1 .. 5;
    is(value("SELECT string_agg(transaction_id, ' ' ORDER BY features[14]) FROM fraud.transactions WHERE transaction_id LIKE 'o-%'"), 'o-1 o-2 o-3 o-4 o-5', 'each with those before it in its windows');
}

# ------------------------------------------------------ one bad payment is one bad payment
value(q{SELECT fraud.add_feature('payments', 'inverse', '1 / (amount - 13.13)')});
serve('a', map { [ $card[100 + $_], "one-$_", 'Corner', amt => $_ == 7 ? '13.13' : '20' ] } 1 .. 20);
ok(stored_within("one-$_", 20), "one-$_ is stored beside a bad one") for 1, 6, 8, 20;
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.ingest_errors WHERE transaction_id = 'one-7' AND reason LIKE '%division by zero%'"), 'which is a dead letter with its reason');
is(value("SELECT count(*) FROM fraud.inbox WHERE transaction_id = 'one-7'"), '0', 'and waits no more');
value(q{SELECT fraud.drop_feature('payments', 'inverse')});

# A source of which nothing can be stored is not ok, and says so until something can.
{
    open(my $file, '>', "$bodies/renamed") or die $!;
    print $file '[{"cc_num": 4000000000000002, "merchant": "A", "trans_num": "h1", "amount": 1.5}]';
    close($file);
    add('renamed');
    ok($node->poll_query_until('postgres', "SELECT rejecting_since IS NOT NULL FROM fraud.source_status WHERE name = 'renamed'"), 'a source whose payments are all rejected is not ok');
    like(value("SELECT status || ' ' || detail FROM fraud.health() WHERE item = 'source renamed'"), qr/^warning .*: none of its payments could be kept since/, 'and its health says so');
    serve('renamed');
    my $polls = value("SELECT polls FROM fraud.source_status WHERE name = 'renamed'");
    ok($node->poll_query_until('postgres', "SELECT polls > $polls + 1 FROM fraud.source_status WHERE name = 'renamed'"), 'an answer without payments');
    is(value("SELECT rejecting_since IS NOT NULL FROM fraud.source_status WHERE name = 'renamed'"), 't', 'does not change that');
    serve('renamed', [ $card[150], 'renamed-1', 'Corner' ]);
    ok($node->poll_query_until('postgres', "SELECT rejecting_since IS NULL FROM fraud.source_status WHERE name = 'renamed'"), 'a payment does');
    value("SELECT fraud.drop_source('renamed')");
}

# ----------------------------------------------------------------- a large body
my @many = map { [ $card[1 + $_ % 200], "m-$_", 'Merchant ' . $_ % 50 ] } 1 .. 24000;
serve('b', @many);
serve('a', [ $card[30], 'q-0', 'Corner' ]);
ok(wait_for(sub { value("SELECT count(*) FROM fraud.inbox") > 8000 }, 'the large body is kept'), 'a large body is kept at once');
my $slowest = 0;
for my $i (1 .. 3)
{
    serve('a', [ $card[30 + $i], "q-$i", 'Corner' ]);
    my $took = FraudDetect::seconds_of(sub { wait_for(sub { value("SELECT (SELECT count(*) FROM fraud.inbox WHERE transaction_id = 'q-$i') + (SELECT count(*) FROM fraud.transactions WHERE transaction_id = 'q-$i')") eq '1' }, "q-$i is received", 30) });
    $slowest = $took if $took > $slowest;
}
note("slowest receipt beside the large body: $slowest s");
ok(value("SELECT count(*) > 1000 FROM fraud.inbox WHERE source = 'b'") eq 't', 'much of the large body waits still to be scored');
serve('a', [ $card[199], 'quick-1', 'Corner' ], [ 4200000000000000, 'quick-2', 'Corner' ], [ 4200000000000000, 'quick-3', 'Corner' ]);
ok(wait_for(sub { value("SELECT count(*) FROM fraud.transactions WHERE transaction_id LIKE 'quick-%'") eq '3' }, 'another source is scored', 20), 'payments of another source are scored before it is');
cmp_ok(value("SELECT count(*) FROM fraud.inbox WHERE source = 'b'"), '>', 500, 'and much waits even then');
is(value("SELECT consecutive_failures FROM fraud.source_status WHERE name = 'a'"), '0', 'no poll of another source failed meanwhile');

# ---------------------------------------------------- a crash in the middle of it
# What is received is kept; of what is not yet, a crash and an API that shows it no more leave nothing. In one snapshot.
ok(wait_for(sub { value("SELECT (SELECT count(*) FROM fraud.inbox WHERE transaction_id LIKE 'm-%') + (SELECT count(*) FROM fraud.transactions WHERE transaction_id LIKE 'm-%')") eq '24000' }, 'the large body is received'), 'all of the large body is received');
my $scorer = value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'fraud_detect scorer' LIMIT 1");
ok(value('SELECT count(*) > 500 FROM fraud.inbox') eq 't', 'much waits still');
serve('b');    # the API shows them no more
ok(crash($node, $scorer), 'the server restarts');
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'fraud_detect scorer'"), 'scorers come back after a crash');
# At run time: one, then four.
value("ALTER SYSTEM SET fraud_detect.ingest_workers = 1; SELECT pg_reload_conf()");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'fraud_detect scorer'"), 'fewer scorers, at run time');
value("ALTER SYSTEM SET fraud_detect.ingest_workers = 4; SELECT pg_reload_conf()");
ok($node->poll_query_until('postgres', "SELECT count(*) = 4 FROM pg_stat_activity WHERE backend_type = 'fraud_detect scorer'"), 'more scorers, at run time');
ok(wait_for(sub { value('SELECT count(*) FROM fraud.inbox') eq '0' }, 'the inbox empties', 300), 'all of it is scored');
is(value("SELECT count(*) || ' ' || count(DISTINCT transaction_id) FROM fraud.transactions WHERE transaction_id LIKE 'm-%'"), '24000 24000', 'nothing is lost, nothing is there twice');
is(value("SELECT count(*) FROM fraud.transactions t JOIN fraud.inbox i USING (card, transaction_id)"), '0', 'no payment is in two places');

done_testing();
