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

# Eight sessions, one card, one time: each payment sees every payment with a smaller
# id that was committed a moment before. Alerts are numbered under the card's lock,
# so their numbers tell the order.
value("SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1)");
bench(<<'SQL', '-c', '8', '-j', '2', '-t', '60');
SELECT status FROM fraud.ingest(jsonb_build_object('cc_num', 4000000000000009, 'trans_num', gen_random_uuid(), 'amt', 1, 'merchant', 'shop', 'current_time', 1700000000000));
SQL
is(value('SELECT count(*) FROM fraud.alerts'), '480', 'all payments of one card are stored and have their alert');
is( value('SELECT count(*) FROM fraud.transactions t JOIN fraud.alerts a USING (card, transaction_id)'
          . ' WHERE t.features[8] IS DISTINCT FROM (SELECT count(*) FROM fraud.alerts e'
          . '  WHERE e.card = a.card AND e.alert_id < a.alert_id AND e.transaction_id < a.transaction_id)'),
    '0', 'each counts exactly the payments committed before it');

# A month's partition does not depend on how the caller writes dates.
value("SET datestyle = 'SQL, DMY'; SET timezone = 'Asia/Shanghai'; SELECT status FROM fraud.ingest('"
      . payment(trans_num => '"sh-1"', current_time => 1705312800000) . "')");
value("SELECT status FROM fraud.ingest('[" . payment(trans_num => '"sh-2"', current_time => 1704067200000) . ',' . payment(trans_num => '"sh-3"', current_time => 1706781600000) . "]')");
is(value("SELECT count(*) FROM fraud.transactions WHERE transaction_id LIKE 'sh-%'"), '3', 'months are those of UTC, whatever the session says');

# Sessions that wait for a month's partition find it when it is there: one session holds
# the month, four that have made months of their own before have looked for it.
sub month
{
    my ($card, $id, $time) = @_;
    return "SELECT status FROM fraud.ingest('" . payment(cc_num => $card, trans_num => qq("$id"), current_time => $time) . "');";
}
my ($holder, @waiting) = map { $node->background_psql('postgres', on_error_stop => 0) } 0 .. 4;
is($waiting[$_]->query(month(4000000000000200 + $_, "early-$_", 500000000000 + $_ * 3000000000)), 'stored', 'a session makes a month') for 0 .. 3;
$holder->query_safe('BEGIN');
is($holder->query(month(4000000000000210, 'holds', 1000000000000)), 'stored', 'one makes another');
$waiting[$_]->query_until(qr/asked/, "\\echo asked\n" . month(4000000000000200 + $_, "wait-$_", 1000000000000) . "\n") for 0 .. 3;
ok($node->poll_query_until('postgres', "SELECT count(*) = 4 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'wait-'"), 'for which the others wait');
$holder->query_safe('COMMIT');
like($_->query('SELECT 1'), qr/^stored$/m, 'until it is there') for @waiting;
$_->quit for $holder, @waiting;

# Many sessions, each of which wants a month that is not there yet.
bench(<<'SQL', '-c', '12', '-j', '2', '-t', '25');
\set card 4000000000000300 + :client_id
SELECT status FROM fraud.ingest(jsonb_build_object('cc_num', :card, 'trans_num', 'months-' || gen_random_uuid(), 'amt', 10, 'merchant', 'shop', 'category', 'misc_pos',
  'current_time', (extract(epoch FROM timestamptz '1975-01-15' + make_interval(months => (SELECT count(*)::int FROM pg_inherits))) * 1000)::bigint));
SQL
is(value("SELECT count(*) FROM fraud.transactions WHERE transaction_id LIKE 'months-%'"), '300', 'payments that compete for new months are stored');

# A month's table that somebody detached is an error that says so.
value('ALTER TABLE fraud.transactions DETACH PARTITION fraud.transactions_2001_09');
like(($node->psql('postgres', month(4000000000000200, 'detached', 1000000000000)))[2], qr/table fraud\.transactions_2001_09 is no partition of fraud\.transactions/, 'a month that was detached is an error that names it');
value("ALTER TABLE fraud.transactions ATTACH PARTITION fraud.transactions_2001_09 FOR VALUES FROM ('2001-09-01 00:00+00') TO ('2001-10-01 00:00+00')");

# A model that is promoted while a payment waits for its card is taken.
my $waiting = "SELECT status FROM fraud.ingest(jsonb_build_object('cc_num', 4000000000000002, 'trans_num', 'p-2',"
  . " 'amt', 1, 'merchant', 'm', 'current_time', 1700000000000))";
$node->psql('postgres',
    "BEGIN;\nSELECT count(*) FROM fraud.ingest('" . payment(trans_num => '"p-1"') . "');\n"
      . '\\! (psql -X -q -h ' . $node->host . ' -p ' . $node->port . " -d postgres -c \"$waiting\" > /dev/null 2>&1 &)\n"
      . "SELECT pg_sleep(1);\nSELECT fraud.import_model('payments', fraud.export_model('payments'));\n"
      . "SELECT fraud.promote('payments', 2);\nCOMMIT;");
ok($node->poll_query_until('postgres', "SELECT model_version = 2 FROM fraud.transactions WHERE transaction_id = 'p-2'"),
    'a payment that waited is scored by the model promoted meanwhile');

# REPEATABLE READ: rather an error than a payment that was not counted.
my $second = payment(cc_num => 4000000000000009, trans_num => '"rr-2"');
my ($status, undef, $error) = $node->psql('postgres',
    "BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT 1;\n"
      . "\\! psql -X -q -h " . $node->host . " -p " . $node->port . " -d postgres -c \"SELECT fraud.ingest(jsonb_build_object('cc_num', 4000000000000009, 'trans_num', 'rr-1', 'amt', 1, 'merchant', 'shop', 'current_time', 1700000000000))\" > /dev/null\n"
      . "SELECT status FROM fraud.ingest('$second');\nCOMMIT;");
like($error, qr/could not serialize access/, 'in REPEATABLE READ a payment that cannot be seen is an error');

done_testing();
