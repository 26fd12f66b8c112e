# Payments without statements, beside what a server does with rows: logical decoding sees the same changes, sessions
# that store the same customer's payments wait for each other and lose none, and
# neither locks nor their number grow with the months.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', conf => "wal_level = logical\nmax_locks_per_transaction = 1024\n");
sub value { return $node->safe_psql('postgres', $_[0]) }
sub body
{
    my ($id, $card, $time) = @_;
    return qq({"cc_num": $card, "trans_num": "$id", "amt": 5, "merchant": "shop", "category": "home", "state": "NC", "unix_time": $time});
}
my $known = 4000000000001001;
value("SELECT fraud.ingest('" . body('first', $known, 1700000000) . "')");

# ------------------------------------------------------------ decoding
SKIP: {
    skip('test_decoding is not installed', 3) if value("SELECT count(*) FROM pg_config() c, pg_ls_dir(c.setting) f WHERE c.name = 'PKGLIBDIR' AND f = 'test_decoding.so'") eq '0';
    my %decoded;
    for my $way ('on', 'off') {
        value("SELECT pg_create_logical_replication_slot('look', 'test_decoding')");
        value("SET fraud_detect.direct_access = $way; SELECT fraud.ingest('[" . body("way-$_", $known, 1700000000 + $_) . "]') FROM (VALUES (1)) v;")
            for (1, 2);
        my $text = value("SELECT data FROM pg_logical_slot_get_changes('look', NULL, NULL, 'include-xids', '0')");
        value("SELECT pg_drop_replication_slot('look'); DELETE FROM fraud.transactions WHERE transaction_id LIKE 'way-%'; DELETE FROM fraud.payment_keys WHERE transaction_id LIKE 'way-%'");
        value("UPDATE fraud.customers SET last_payment_at = to_timestamp(1700000000)");
        $text =~ s/(received_at|change_id)\[[^\]]+\]:('[^']*'|\d+)/$1/g;
        $decoded{$way} = $text;
    }
    my $sorted = sub { return join("\n", sort split(/\n/, $_[0])) };
    like($decoded{on}, qr/table fraud\.transactions_2023_11: INSERT: card/, 'a payment is decoded');
    like($decoded{on}, qr/table fraud\.customers: UPDATE/, 'and its customer');
    is($sorted->($decoded{on}), $sorted->($decoded{off}), 'the same changes are decoded, with statements or without');
}

# ------------------------------------------------- sessions that meet
my $first = $node->background_psql('postgres', on_error_stop => 0);
$first->query_safe("BEGIN; SELECT status FROM fraud.ingest('" . body('met-1', $known, 1700001000) . "')");
my $second = $node->background_psql('postgres', on_error_stop => 0);
$second->query_until(qr/asked/, "\\echo asked\nSELECT status FROM fraud.ingest('[" . body('met-1', $known, 1700001000) . ',' . body('met-2', $known, 1700002000) . "]');\n\\echo done\n");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"), 'the second session waits for the customer');
$first->query_safe('COMMIT');
$first->quit;
$second->query_until(qr/done/, '');
$second->quit;
is(value("SELECT string_agg(transaction_id, ',' ORDER BY transaction_id) FROM fraud.transactions WHERE transaction_id LIKE 'met-%'"), 'met-1,met-2', 'each payment is stored once');
is(value("SELECT last_payment_at = to_timestamp(1700002000) FROM fraud.customers"), 't', 'the customer is as of the later');
is(value("SELECT count(*) FROM fraud.verify_parity('payments', 1000)"), '0', 'the later counts the earlier');

# ------------------------------------------------------------ months
sub locks
{
    my ($card, $time) = @_;
    return value(<<"SQL");
SELECT FROM fraud.ingest('{"cc_num": $card, "trans_num": "warm-$time", "amt": 5, "merchant": "shop", "unix_time": $time}');
BEGIN;
SELECT FROM fraud.ingest('{"cc_num": $card, "trans_num": "locks-$time", "amt": 5, "merchant": "shop", "unix_time": $time}');
\\pset tuples_only on
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation';
ROLLBACK;
SQL
}
value("SELECT count(fraud._ensure_partition('2023-08-01'::timestamptz + n * interval '1 month')) FROM generate_series(0, 2) n");
my ($few) = locks($known, 1700003000) =~ /(\d+)\s*$/;
value("SET fraud_detect.max_new_months = 1000; SELECT count(fraud._ensure_partition('2010-01-01'::timestamptz + n * interval '1 month')) FROM generate_series(0, 200) n");
my ($many) = locks($known, 1700004000) =~ /(\d+)\s*$/;
is($many, $few, 'as many locks with two hundred months more');
cmp_ok($many, '<=', 40, "at most 40 locks ($many)");

done_testing();
