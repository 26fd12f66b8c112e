# Histories: loaded in one transaction, in batches of any size, in batches that are broken off (a
# cancel, a kill), with little memory, and by a statement where a trigger is in the way: the same rows, vectors and sums.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', extension => 0, conf => "restart_after_crash = on\n");

# 40,000 payments of 300 customers in 90 days, many of them at the same time; of some it says only
# the second time, days later or at once, that they were fraud; some cannot be read, some are there twice.
my $past = <<'SQL';
CREATE EXTENSION fraud_detect;
CREATE FUNCTION number(what text, i int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT ('x' || substr(md5(what || i), 1, 7))::bit(28)::int $$;
CREATE TABLE past AS
SELECT timestamp '2025-01-01' + number('time', i) % 777600 * interval '10 seconds' AS trans_date_trans_time,
       4000000000000000 + number('customer', i) % 300 * 7 AS cc_num, 'shop ' || number('shop', i) % 40 AS merchant,
       (ARRAY['grocery_pos', 'home', 'travel'])[1 + number('shop', i) % 3] AS category,
       CASE WHEN number('amount', i) % 997 = 0 THEN 'oops' ELSE to_char((number('amount', i) % 90000 + 100) / 100.0, 'FM999990.00') END AS amt,
       'F' || number('customer', i) % 300 AS first, (ARRAY['NC', 'OH', 'TX'])[1 + number('customer', i) % 3] AS state,
       35 + number('customer', i) % 100 / 50.0 AS lat, -80 + number('shop', i) % 100 / 50.0 AS long,
       36 + number('amount', i) % 100 / 70.0 AS merch_lat, -81 + number('amount', i) % 77 / 60.0 AS merch_long,
       date '1970-01-01' + (number('customer', i) % 9000) AS dob, 'p' || i AS trans_num, number('amount', i) % 41 = 0 AS is_fraud,
       CASE WHEN i % 3 = 0 THEN 'device ' || number('device', i) % 50 END AS device
FROM generate_series(1, 40000) i;
INSERT INTO past SELECT trans_date_trans_time + CASE WHEN number('again', substr(trans_num, 2)::int) % 2 = 0 THEN interval '3 days' ELSE interval '0' END,
    cc_num, merchant, category, amt, first, state, lat, long, merch_lat, merch_long, dob, trans_num, true, device
FROM past WHERE number('again', substr(trans_num, 2)::int) % 200 < 2;
SQL

# What must be the same, whichever way it came. Customers have other uuids in each database.
my $digest = <<'SQL';
SELECT count(*), md5(string_agg(md5(ROW(c.first_name, t.transaction_id, t.occurred_at, t.amount, t.merchant, t.category, t.age, t.merchant_latitude,
        t.home_longitude, t.score, array_send(t.features), t.is_fraud, t.label_known_at, t.label_changes, t.currency, t.base_amount, t.attributes, t.model,
        t.model_version, t.source, t.decision, t.received_at IS NULL, pg_column_size(t.features), pg_column_size(t.merchant), pg_column_size(t.amount))::text),
    '' ORDER BY t.transaction_id)) FROM fraud.transactions t JOIN fraud.customers c USING (card);
SELECT count(*), md5(string_agg(ROW(last_four, first_name, state, first_payment_at, last_payment_at)::text, ',' ORDER BY first_name)) FROM fraud.customers;
SELECT count(*), md5(string_agg(ROW(transaction_id, is_fraud, known_at)::text, ',' ORDER BY transaction_id, known_at)) FROM fraud.labels;
SELECT count(*), md5(string_agg(ROW(transaction_id, occurred_at)::text, ',' ORDER BY transaction_id)) FROM fraud.payment_keys;
SELECT count(*), sum(occurrences) FROM fraud.ingest_errors;
SELECT count(*), md5(string_agg(r::text, ',' ORDER BY day)) FROM fraud.daily_report r;
SELECT count(*), md5(string_agg(r::text, ',' ORDER BY r)) FROM (SELECT state, day, payments, volume FROM fraud.geography) r;
SELECT count(*) FROM fraud.verify_parity('payments', 200);
SQL

sub database
{
    my ($name) = @_;
    $node->safe_psql('postgres', "CREATE DATABASE $name");
    $node->safe_psql($name, $past);
}

database('whole');
my $rows = $node->safe_psql('whole', "SELECT fraud.load_history('past')");
cmp_ok($rows, '>', 39000, 'the history is loaded in one transaction');
my $whole = $node->safe_psql('whole', $digest);

# ---------------------------------------------------------------- batches of any size
srand($ENV{SEED} // 13);
for my $size (100000, 40000, 333 + int(rand(700)), 3000 + int(rand(5000)))
{
    database("batches_$size");
    $node->safe_psql("batches_$size", "CALL fraud.load_history_in_batches('past', batch_size => $size)");
    is($node->safe_psql("batches_$size", $digest), $whole, "in batches of $size: the same rows, vectors and sums");
    is($node->safe_psql("batches_$size", "SELECT state, payments = $rows, batches >= 40000 / $size, stored_up_to > '2025-03-31', payments_per_second > 0 FROM fraud.history_progress"),
        'finished|t|t|t|t', 'fraud.history_progress says so');
}

# ------------------------------------------------- windows that outgrow the memory
# They are computed part by part then; of a batch, from what is stored before it.
for my $way ("SELECT fraud.load_history('past')", "CALL fraud.load_history_in_batches('past', batch_size => 7000)")
{
    my $name = $way =~ /batches/ ? 'parts_batches' : 'parts';
    database($name);
    my ($status, $out, $err) = $node->psql($name, "SET fraud_detect.feature_memory = '5MB'; $way");
    is($status, 0, "$way with little memory") or diag($err);
    like($err, qr/For each of \d+ parts of the keys all events/, 'says that it is done in parts');
    is(() = $err =~ /computed part by part/g, 1, 'once');
    is($node->safe_psql($name, $digest), $whole, 'the same rows, vectors and sums');
}

# -------------------------------------------------------------------------- broken off
database('broken');
my $call = "CALL fraud.load_history_in_batches('past', batch_size => 1000)";
sub progress { return $node->safe_psql('broken', "SELECT $_[0] FROM fraud.history_progress") }

# Begins the load, and waits until some batches more are stored.
sub begin_load
{
    my ($batches) = @_;
    my $session = $node->background_psql('broken', on_error_stop => 0);
    my $pid = $session->query_safe('SELECT pg_backend_pid()');
    my $before = $node->safe_psql('broken', 'SELECT coalesce(max(batches), 0) FROM fraud.history_loads');
    $session->query_until(qr/begun/, "\\echo begun\n$call;\n");
    ok(wait_for(sub { $node->safe_psql('broken', "SELECT coalesce(max(batches), 0) >= $before + $batches FROM fraud.history_loads") eq 't' }), "$batches batches are committed");
    return ($session, $pid);
}

my ($session, $pid) = begin_load(2);
is(progress('state'), 'loading', 'while it goes on, it is loading');
my ($status, $out, $err) = $node->psql('broken', $call);
like($err, qr/history public\.past is being loaded by another session/, 'a second session does not load it too');
$node->safe_psql('broken', "SELECT pg_cancel_backend($pid)");
ok(wait_for(sub { progress('state') eq 'stopped' }), 'a cancel stops it');
eval { $session->quit };
is($node->safe_psql('broken', 'SELECT count(*) FROM fraud.transactions'), progress('payments'), 'what is stored is what it says');

($session, $pid) = begin_load(3);
ok(crash($node, $pid), 'the server is back after kill -9');
eval { $session->quit };
is(progress('state'), 'stopped', 'it is stopped');
my $kept = progress('payments');
cmp_ok($kept, '<', $rows, 'not all of it is stored');
is($node->safe_psql('broken', 'SELECT count(*) FROM fraud.transactions'), $kept, 'what is stored is what it says');
is($node->safe_psql('broken', "SELECT count(*) FROM fraud.transactions t FULL JOIN fraud.payment_keys k USING (card, transaction_id) WHERE t.card IS NULL OR k.card IS NULL"),
    0, 'no payment is half there');

($status, $out, $err) = $node->psql('broken', "BEGIN; $call");
like($err, qr/cannot run inside a transaction block/, 'it needs transactions of its own');
($status, $out, $err) = $node->psql('broken', "CALL fraud.load_history_in_batches('past', label_delay => '1 day')");
like($err, qr/has another label_delay/, 'it goes on as it began');
($status, $out, $err) = $node->psql('broken', $call);
is($status, 0, 'it goes on') or diag($err);
like($err, qr/going on with load 1, of which $kept payments are stored/, 'and says so');
is(progress("state, payments = $rows"), 'finished|t', 'to the end');
is($node->safe_psql('broken', $digest), $whole, 'the same rows, vectors and sums as of one that was not broken off');

is($node->safe_psql('broken', "SELECT string_agg(action, ' ' ORDER BY audit_id) FROM fraud.audit_log WHERE object_kind = 'history' AND object_name = 'public.past'"),
    'load resume resume load', 'the audit log has its begin, each time that it went on, and its end');
$node->safe_psql('broken', $call);
is($node->safe_psql('broken', "SELECT count(*), sum(payments) FROM fraud.history_loads"), "2|$rows", 'loaded again, nothing is new');
is($node->safe_psql('broken', $digest) =~ s/^\d+\|\d+$//mr, $whole =~ s/^\d+\|\d+$//mr, 'and nothing is another');

# ------------------------------------------------------------------- what is in the way
database('triggered');
$node->safe_psql('triggered', <<'SQL');
CREATE TABLE seen (n bigint);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES (1); RETURN NULL; END $$;
CREATE TRIGGER see AFTER INSERT ON fraud.transactions FOR EACH ROW EXECUTE FUNCTION see();
SQL
is($node->safe_psql('triggered', "SELECT fraud.load_history('past')"), $rows, 'with a trigger on the payments they are stored by a statement');
is($node->safe_psql('triggered', 'SELECT count(*) FROM seen'), $rows, 'and the trigger sees each');
is($node->safe_psql('triggered', $digest), $whole, 'the same rows, vectors and sums');

$node->safe_psql('triggered', "CREATE TABLE unsorted AS SELECT to_char(trans_date_trans_time, 'FMMM') || '/' || to_char(trans_date_trans_time, 'DD/YYYY HH24:MI') AS t, * FROM past LIMIT 0");
$node->safe_psql('triggered', "CREATE TABLE epochs AS SELECT 4000000000000000 AS cc_num, 's' AS merchant, 1 AS amt, 'e' || i AS trans_num, (999999000 + i)::text AS unix_time FROM generate_series(1, 2000) i");
($status, $out, $err) = $node->psql('triggered', "CALL fraud.load_history_in_batches('epochs', batch_size => 100)");
like($err, qr/the rows of public\.epochs do not come in order of their times/, 'times that do not sort as they stand are refused');

done_testing();
