# The shape of payments on their way from a source: attributes, currencies, customers that are no
# cards, what follows a payment; and a dump carries the fields that were promoted.
use strict;
use warnings;

use FraudDetect;
use File::Temp ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $bodies = File::Temp->newdir;
my $api = start_api('--bodies', "$bodies");
my $node = new_server('main');
sub value { return $node->safe_psql($_[1] // 'postgres', $_[0]) }
sub serve
{
    open(my $file, '>', "$bodies/a.new") or die $!;
    print $file '[' . join(',', @_) . ']';
    close($file);
    rename("$bodies/a.new", "$bodies/a") or die $!;
}
my $now = int(time * 1000);
sub pays { my ($id, $fields) = @_; return qq({"trans_num": "$id", "amt": 10, "merchant": "Shop", "current_time": $now, $fields}) }
sub stored { my ($id) = @_; return $node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.transactions WHERE transaction_id = '$id'") }

value("SELECT fraud.add_payment_field('device', 'text', path => '\$.device.id', index => true)");
value("SELECT fraud.add_window_feature('payments', 'device_count', 'count', NULL, 'device', '30 days')");
value("SELECT fraud.add_window_feature('payments', 'device_payers', 'distinct', 'card', 'device', '30 days')");
serve(pays('a1', '"cc_num": 4000000000000028, "device": {"id": "d1", "cvv": "123"}, "email": "Ann.9@b.example"'),
    pays('a2', '"customer": "w-7", "customer_kind": "wallet", "device": {"id": "d1"}, "currency": "USD"'),
    pays('a3', '"cc_num": 4000000000000028, "currency": "EUR", "device": {"id": "d1"}'));
value("SELECT fraud.add_source('a', '$api->{url}/bodies/a', poll_interval => '200 ms')");
ok(stored($_), "$_ is stored") for qw(a1 a2);
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.ingest_errors WHERE transaction_id = 'a3' AND reason LIKE 'no rate of EUR in USD is known%'"),
    'without a rate a payment is a dead letter');
is(value("SELECT attributes FROM fraud.transactions WHERE transaction_id = 'a1'"), '{"email": "Ann.9@b.example", "device": {"id": "d1"}}', 'attributes are kept, but for what must not be');
is(value("SELECT string_agg(concat_ws(' ', name, type, payments, example), ', ' ORDER BY name) FROM fraud.source_fields WHERE source = 'a'"),
    'device object 3 id, email string 1 Xxx.9@x.xxxxxxx', 'unknown fields are counted, each payment once, and show shapes alone');
is(value("SELECT customer_kind || customer_id FROM fraud.customers WHERE customer_id IS NOT NULL"), 'walletw-7', 'a plain customer');
value("SELECT fraud.set_currency_rate('EUR', 1.25, now() - interval '1 year')");
is(value("SELECT outcome FROM fraud.retry_dead_letters(reason => 'no rate of EUR%')"), 'received', 'sent again');
ok(stored('a3'), 'and stored');
is(value("SELECT amount || currency || base_amount FROM fraud.transactions WHERE transaction_id = 'a3'"), '10.00EUR12.50', 'by the rate');
# In order of receipt: what follows, and a payment that is still on its way when it is followed.
serve(pays('a4', '"cc_num": 4000000000000036, "device": {"id": "d1"}'),
    qq({"trans_num": "r1", "kind": "refund", "reference": "a3", "amt": -4, "currency": "EUR", "current_time": $now}),
    qq({"trans_num": "r4", "kind": "chargeback", "reference": "a4", "current_time": $now, "case": "cb-1"}),
    qq({"trans_num": "r5", "kind": "refund", "reference": "never", "amt": 1, "current_time": $now}));
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM fraud.payment_followups"), 'what follows is stored');
is(value("SELECT refunded || ' ' || remaining FROM fraud.payment_balances WHERE transaction_id = 'a3'"), '5.00 7.50', 'a refund is counted by the payment\'s rate');
is(value("SELECT is_fraud || source FROM fraud.labels WHERE transaction_id = 'a4'"), 'truechargeback', 'a chargeback is a label');
is(value("SELECT count(*) FROM fraud.ingest_errors WHERE transaction_id = 'r5' AND reason LIKE '%refers to payment \"never\", which is not stored%'"), '1', 'what follows nothing is a dead letter');
is(value('SELECT count(*) FROM fraud.transactions'), '4', 'none of it is a payment');
my $polls = value("SELECT polls FROM fraud.source_status WHERE name = 'a'");
ok($node->poll_query_until('postgres', "SELECT polls > $polls + 2 FROM fraud.source_status WHERE name = 'a'"), 'the body is polled again');
is(value('SELECT count(*) FROM fraud.payment_followups'), '2', 'and nothing is there twice');
# A clock that is behind, and no rate, for which each is taken by itself.
my $earlier = $now - 60000;
serve(qq({"trans_num": "r6", "kind": "refund", "reference": "a6", "amt": 1, "currency": "NOK", "current_time": $earlier}),
    pays('a6', '"cc_num": 4000000000000036, "device": {"id": "d1"}'));
ok(stored('a6'), 'a payment that is followed by an earlier refund is stored');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.ingest_errors WHERE transaction_id = 'r6'"), 'the refund is a dead letter');
like(value("SELECT reason FROM fraud.ingest_errors WHERE transaction_id = 'r6'"), qr/^no rate of NOK/, 'for its rate, since its payment comes first');
# What came before its payment is sent again when that is stored: where it said whose it is (a scorer has put it
# aside), and where it did not. With another amount it is no repetition.
serve(qq({"trans_num": "r7", "kind": "chargeback", "reference": "a7", "cc_num": 4000000000000036, "current_time": $now}),
    qq({"trans_num": "r1", "kind": "refund", "reference": "a3", "amt": -5, "currency": "EUR", "current_time": $now}));
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM fraud.ingest_errors WHERE waits_for IN ('never', 'a7')"), 'two wait for their payments');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.ingest_errors WHERE transaction_id = 'r1' AND reason = 'the refund differs from the stored refund of this id: it has another amount'"),
    'another amount is a dead letter');
is(value("SELECT amount FROM fraud.payment_followups WHERE transaction_id = 'r1'"), '4.00', 'and changes nothing');
serve(pays('never', '"cc_num": 4000000000000028'), pays('a7', '"cc_num": 4000000000000036'));
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM fraud.payment_followups WHERE transaction_id IN ('r5', 'r7')"), 'they are stored after their payments, by themselves');
is(value("SELECT count(*) FROM fraud.ingest_errors WHERE transaction_id IN ('r5', 'r7') OR waits_for IS NOT NULL"), '0', 'and are on no list');
is(value("SELECT is_fraud || source FROM fraud.labels WHERE transaction_id = 'a7'"), 'truechargeback', 'the chargeback is a label');
# One that its payment does not help waits no more.
value(q{SELECT fraud.ingest('{"trans_num": "r8", "kind": "refund", "reference": "a8", "amt": 1.001, "currency": "NOK", "current_time": 1735700100000}'::text)});
value(q{SELECT fraud.ingest('{"trans_num": "r9", "kind": "refund", "reference": "a8", "amt": 1, "current_time": 1735700100000}'::text)});
value(q{SELECT fraud.ingest(format('[{"trans_num": "a8", "customer": "w-8", "customer_kind": "wallet", "amt": 1, "merchant": "M", "current_time": 1735700000000},
    {"trans_num": "a8", "customer": "w-9", "customer_kind": "wallet", "amt": 1, "merchant": "M", "current_time": 1735700000000}]')::text)});
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 AND count(waits_for) = 0 FROM fraud.ingest_errors WHERE transaction_id = 'r9'"), 'whose payment is of several customers stays, and waits no more');
is(value("SELECT count(*) FROM fraud.verify_parity('payments')"), '0', 'online and offline agree');
value("SELECT fraud.pause_source('a')");

# ------------------------------------------------------------------- a dump
value('CREATE ROLE clerk');
value("SELECT fraud.grant_access('clerk', 'analyst')");
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
value('CREATE DATABASE copy');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('copy') ], 'psql takes it');
my $fields = "SELECT string_agg(concat_ws(' ', transaction_id, device), ', ' ORDER BY transaction_id) FROM fraud.payment_events";
is(value($fields, 'copy'), value($fields), 'a field is a column of the copy, too');
for my $table (qw(payment_fields currency_rates payment_followups))
{
    my $rows = "SELECT md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM fraud.$table t";
    is(value($rows, 'copy'), value($rows), "fraud.$table is carried");
}
my $next = pays('a9', '"customer": "w-7", "customer_kind": "wallet", "device": {"id": "d1"}');
is(value("SELECT status FROM fraud.ingest('$next')", 'copy'), 'stored', 'payments go on there');
is(value("SELECT count(DISTINCT card) FROM fraud.transactions WHERE transaction_id IN ('a2', 'a9')", 'copy'), '1', 'of the same customer');
is(value("SELECT count(*) FROM fraud.verify_parity('payments')", 'copy'), '0', 'with the same features');
my $indexes = "SELECT count(*) FROM pg_index WHERE indrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'fraud.transactions'::regclass) AND pg_get_indexdef(indexrelid) LIKE '%_attribute_text%'";
is(value($indexes, 'copy'), value($indexes), 'the indexes are there');
value("SELECT fraud._ensure_partition('2001-01-01')", 'copy');
is(value($indexes, 'copy'), value($indexes) + 1, 'and a month to come has one');
value("SELECT fraud.drop_feature('payments', f) FROM unnest('{device_count,device_payers}'::text[]) f", 'copy');
value("SELECT fraud.drop_payment_field('device')", 'copy');
is(value($indexes, 'copy'), '0', 'which go with the field');
is(value("SELECT has_table_privilege('clerk', 'fraud.payment_events', 'SELECT') AND NOT has_table_privilege('clerk', 'fraud.payment_events', 'INSERT')", 'copy'), 't', 'rights stay');
is(value("SELECT count(*) FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'fraud_detect' WHERE d.objid = 'fraud.payment_events'::regclass AND d.deptype = 'e'", 'copy'), '1', 'the view is the extension\'s still');
is(value("SELECT status FROM fraud.ingest('" . pays('a10', '"cc_num": 4000000000000028') . "')", 'copy'), 'stored', 'and payments go on');

$node->stop;
done_testing();
