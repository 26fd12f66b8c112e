# Many sessions at once: a payment is stored once, payments of one card see each
# other, a promotion is one commit.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main');
sub value { return $node->safe_psql('postgres', $_[0]) }

my $directory = PostgreSQL::Test::Utils::tempdir();

sub bench
{
    my ($script, @options) = @_;
    my $file = "$directory/script.sql";
    open(my $out, '>', $file) or die $!;
    print $out $script;
    close $out;
    $node->command_ok([ 'pgbench', '-n', '-f', $file, @options, $node->connstr('postgres') ], 'sessions run without error');
}

# Eight sessions send the same fifty payments of five cards, in any order, and
# each with a time of its own.
bench(<<'SQL', '-c', '8', '-j', '2', '-t', '120');
\set id random(1, 50)
\set card 4000000000000000 + :id % 5
\set moment 1700000000000 + random(1, 100000)
SELECT status FROM fraud.ingest(jsonb_build_object('cc_num', :card, 'trans_num', 'same-' || :id, 'amt', 10, 'merchant', 'shop ' || :id % 7, 'current_time', :moment));
SQL
is(value("SELECT count(*) = count(DISTINCT transaction_id) AND count(*) = 50 FROM fraud.transactions"), 't', 'each is stored once');
is(value('SELECT count(*) FROM fraud.payment_keys'), '50', 'under one key');

# Eight sessions, one card, one transaction each: its payment sees every payment
# that was committed before it got the card's lock. So with equal times and ids
# that rise in the order of the lock, the n-th counts n - 1.
value('TRUNCATE fraud.transactions, fraud.payment_keys, fraud.customers');
value("SELECT * FROM fraud.ingest('" . payment(cc_num => 4000000000000009, trans_num => '"000000"') . "')");
value('CREATE SEQUENCE turn');
bench(<<'SQL', '-c', '8', '-j', '2', '-t', '40');
BEGIN;
SELECT 1 FROM fraud.customers FOR UPDATE;
SELECT status FROM fraud.ingest(jsonb_build_object('cc_num', 4000000000000009, 'trans_num', lpad(nextval('turn')::text, 6, '0'), 'amt', 1, 'merchant', 'shop', 'current_time', 1700000000000));
END;
SQL
is(value('SELECT count(*) FROM fraud.transactions'), '321', 'all payments of one card are stored');
is(value('SELECT count(*) FROM fraud.transactions WHERE features[8] IS DISTINCT FROM transaction_id::int'),
    '0', 'each counts every payment committed a moment ago');

# The same without the test's own lock: no payment counts more than there were
# before it, and at the end of each rank nobody was missed.
value('TRUNCATE fraud.transactions, fraud.payment_keys, fraud.customers');
bench(<<'SQL', '-c', '8', '-j', '2', '-t', '40');
SELECT status FROM fraud.ingest(jsonb_build_object('cc_num', 4000000000000009, 'trans_num', gen_random_uuid(), 'amt', 1, 'merchant', 'shop', 'current_time', 1700000000000));
SQL
is( value('SELECT count(*) FROM (SELECT transaction_id, features[8] AS counted,'
          . ' (SELECT count(*) FROM fraud.transactions e WHERE e.xmin::text::bigint < t.xmin::text::bigint'
          . '   AND e.transaction_id < t.transaction_id) AS there FROM fraud.transactions t) x'
          . ' WHERE counted > 319 OR abs(counted - there) > 8'),
    '0', 'sessions in a race see each other');

# REPEATABLE READ: rather an error than a payment that was not counted.
my $second = payment(cc_num => 4000000000000009, trans_num => '"rr-2"');
my ($status, undef, $error) = $node->psql('postgres',
    "BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT 1;\n"
      . "\\! psql -X -q -h " . $node->host . " -p " . $node->port . " -d postgres -c \"SELECT fraud.ingest(jsonb_build_object('cc_num', 4000000000000009, 'trans_num', 'rr-1', 'amt', 1, 'merchant', 'shop', 'current_time', 1700000000000))\" > /dev/null\n"
      . "SELECT status FROM fraud.ingest('$second');\nCOMMIT;");
like($error, qr/could not serialize access/, 'in REPEATABLE READ a payment that cannot be seen is an error');

done_testing();
