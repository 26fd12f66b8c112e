# Months' partitions: a worker makes them ahead, scorers make none, nobody waits for one
# who reads or alters, and no wild time makes any.
use strict;
use warnings;

use FraudDetect;
use File::Temp ();
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $bodies = File::Temp->newdir;
my $api = start_api('--bodies', "$bodies");
my $node = new_server('main', conf => "fraud_detect.max_age = 400d\n");
sub value { return $node->safe_psql('postgres', $_[0]) }

my $months = q{SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'fraud.transactions'::regclass};
sub wanted { return qq{SELECT string_agg('transactions_' || to_char(m, 'YYYY_MM'), ' ' ORDER BY m) FROM generate_series(date_trunc('month', now() - interval '$_[0]'), date_trunc('month', now()) + interval '2 months', interval '1 month') m} }
# Serves payments: each [card, id, time in SQL].
sub serve
{
    my (@payments) = @_;
    my @body;
    for my $p (@payments)
    {
        my ($card, $id, $at) = @$p;
        push @body, payment(cc_num => 4000000000000000 + 18 * $card, trans_num => qq("$id"), current_time => value("SELECT (extract(epoch FROM $at) * 1000)::bigint"));
    }
    open(my $file, '>', "$bodies/a.new") or die $!;
    print $file '[' . join(',', @body) . ']';
    close($file);
    rename("$bodies/a.new", "$bodies/a") or die $!;
}
sub stored { my ($id) = @_; return $node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.transactions WHERE transaction_id = '$id'") }
sub rejected { my ($id, $why) = @_; return $node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.ingest_errors WHERE transaction_id = '$id' AND reason LIKE '%$why%'") }

# ------------------------------------------------------------------ ahead
is(value($months), '', 'a new database, or one that is being restored, has no month');
serve();
value("SELECT fraud.add_source('a', '$api->{url}/bodies/a', poll_interval => '200 ms')");
ok($node->poll_query_until('postgres', "SELECT ($months) = (" . wanted('400 days') . ')'), 'with a source come the months that its payments may be of, from max_age ago to two ahead');
value("ALTER SYSTEM SET fraud_detect.max_age = '460d'; SELECT pg_reload_conf()");
ok($node->poll_query_until('postgres', "SELECT ($months) = (" . wanted('460 days') . ')'), 'and more when it is raised');

# ------------------------------------------------------------- in the way
# A month that was dropped, and two who are in the way of making it: one reads, one alters.
my $old = value("SELECT 'transactions_' || to_char(now() - interval '90 days', 'YYYY_MM')");
for my $lock ('SELECT count(*) FROM fraud.transactions', 'LOCK TABLE fraud.transactions IN SHARE UPDATE EXCLUSIVE MODE')
{
    my $n = $lock =~ /^LOCK/ ? 2 : 1;
    value("DROP TABLE fraud.$old");
    my $idle = $node->background_psql('postgres');
    $idle->query_safe('BEGIN');
    $idle->query_safe($lock);
    serve([ $n, "old-$n", "now() - interval '90 days'" ], [ 10 + $n, "new-$n", 'now()' ]);
    my $took = FraudDetect::seconds_of(sub { ok(stored("new-$n"), "$lock: a payment of another month is stored") });
    ok($took < patient(5), 'at once') or diag("it took $took s");
    if ($n == 2)
    {
        ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.held_customers WHERE month = date_trunc('month', now() - interval '90 days') AND reason LIKE 'the partition of the payment''s month%'"), 'the one whose month cannot be made waits, and says so');
        is(value("SELECT to_regclass('fraud.$old') IS NULL AND EXISTS (SELECT FROM fraud.inbox WHERE transaction_id = 'old-2')"), 't', 'in the inbox');
        is(value("SELECT count(*) FROM pg_locks WHERE relation = 'fraud.transactions'::regclass AND NOT granted AND waitstart < now() - interval '1 second'"), '0', 'nobody waits for the lock');
        serve([ 20, 'next', 'now()' ]);
        ok(stored('next'), 'and others go on');
        $idle->query_safe('ROLLBACK');
    }
    ok(stored("old-$n"), "$lock: it is stored when its month is there");
    $idle->query_safe('ROLLBACK') if $n == 1;
    $idle->quit;
}

# ------------------------------------------------------------- wild times
my $before = value($months);
serve([ 3, 'wild-1', "'1970-01-20'::timestamptz" ], [ 3, 'wild-2', "now() + interval '3 years'" ], [ 3, 'wild-3', "now() - interval '500 days'" ], [ 3, 'tame', 'now()' ]);
ok(stored('tame'), 'beside wild times a payment is stored');
ok(rejected('wild-1', 'looks like seconds'), 'one of 1970 is not');
ok(rejected('wild-2', 'max_future'), 'nor one of the future');
ok(rejected('wild-3', 'max_age'), 'nor one that is too old');
is(value($months), $before, 'and none makes a month');

# ------------------------------------------------------------- retention
reload_with($node, 'fraud_detect.transaction_retention', '100d');
# A long query keeps the months, and no payment waits behind the job that would drop them.
my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN; SELECT count(*) FROM fraud.transactions');
my ($job_says, $job_warns) = ('', '');
my $job = IPC::Run::start([ 'psql', '-XAt', '-d', $node->connstr('postgres'), '-c', "SELECT fraud.run_job('retention')" ], '>', \$job_says, '2>', \$job_warns);
my ($longest, $paid) = (0, 0);
while ($job->pumpable)
{
    my $started = time;
    ++$paid;
    value("SELECT count(*) FROM fraud.ingest('" . payment(cc_num => 4000000000000002, trans_num => qq("beside-$paid"), current_time => value('SELECT (extract(epoch FROM now()) * 1000)::bigint')) . "')");
    $longest = time - $started if time - $started > $longest;
    $job->pump_nb;
}
$job->finish;
ok($paid > 5 && $longest < patient(1), 'no payment waits behind a job that waits for a reader') or diag("$longest s, $paid payments");
like($job_says, qr/^failed: could not take partition "transactions_\d{4}_\d\d" out of fraud.transactions, which is in use \(pid \d+\)/, 'the job says who is in the way');
is(value($months), $before, 'and dropped nothing');
$reader->query_safe('COMMIT');
$reader->quit;
1 until value('SELECT fraud.drop_past_month()') eq '';
my $kept = value($months);
ok(length($kept) < length($before), 'retention drops months');
is(value(q{SELECT min(c.relname) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'fraud.transactions'::regclass}), value("SELECT 'transactions_' || to_char(now() - interval '100 days', 'YYYY_MM')"), 'those that ended before');
serve([ 4, 'past', "now() - interval '300 days'" ], [ 4, 'present', 'now()' ]);
value("SELECT fraud.poll_now('a')");    # the worker looks at everything
ok(stored('present'), 'payments go on');
ok(rejected('past', 'transaction_retention'), 'but not into a month that is gone');
value("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'fraud_detect ingest'");
serve([ 5, 'later', 'now()' ]);
ok(stored('later'), 'a worker that starts anew');
is(value($months), $kept, 'makes no month again that retention took');

# ------------------------------------------------- any age: what comes makes its month
reload_with($node, 'fraud_detect.transaction_retention', '0');
value('ALTER SYSTEM RESET fraud_detect.max_age');
reload_with($node, 'fraud_detect.max_age', '0');
serve([ 6, 'ancient', "'2009-05-05'::timestamptz" ]);
ok(stored('ancient'), 'where any age is taken, a payment has its month made');
ok(value($months) =~ /transactions_2009_05 / && value($months) !~ /2009_06/, 'that one alone');
ok($node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM fraud.held_customers)'), 'and nobody is held any more');

# ------------------------------------------------- fraud.ingest makes its own, so many
my $many = q{SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4000000000000002, 'trans_num', 'm' || i, 'amt', 1, 'merchant', 'M', 'unix_time', extract(epoch FROM '1990-01-15'::timestamptz + i * interval '1 month')::bigint)) FROM generate_series(1, 4) i))};
my ($status, $out, $error) = $node->psql('postgres', "SET fraud_detect.max_new_months = 3; $many");
like($error, qr/payments of more than 3 new months in one transaction.*HINT:.*max_new_months/s, 'more months than a transaction may make are an error with a hint');
is(value("SET fraud_detect.max_new_months = 4; $many"), '4', 'as many as it may are made');
is(value("SET fraud_detect.max_new_months = 1; " . $many =~ s/'m' \|\| i/'again' || i/r), '4', 'and count no more when they are there');

# Sessions that want each other's months and customers, in batches of one: the customers in one
# order, the months in two.
value('CREATE SEQUENCE public.n');
my $script = PostgreSQL::Test::Utils::tempdir() . '/months.sql';
PostgreSQL::Test::Utils::append_to_file($script, q{
SET fraud_detect.ingest_batch_size = 1;
SELECT count(i.status) FROM (SELECT nextval('public.n') AS n, :client_id % 2 AS way) s, fraud.ingest((SELECT jsonb_agg(jsonb_build_object(
  'cc_num', 4000000000000902 + 18 * k, 'trans_num', 'race-' || n || '-' || k, 'amt', 1, 'merchant', 'M',
  'unix_time', extract(epoch FROM '1930-01-15'::timestamptz + interval '40 years' + (n / 8 * 4 + (k + 2 * way) % 4) * interval '1 month')::bigint)) FROM generate_series(0, 3) k)) i;
});
$node->command_ok([ 'pgbench', '-n', '-c', '8', '-j', '2', '-t', '6', '-f', $script, 'postgres' ], 'sessions that make the same months at once');
is(value("SELECT count(*) FROM fraud.transactions WHERE transaction_id LIKE 'race-%'"), 48 * 4, 'all store their payments');

# Who waits for a customer has the months already: another that makes one waits for it whole.
{
    my $ingest = sub { my ($id, @of) = @_; return q{SELECT count(*) FROM fraud.ingest('[} . join(',', map { my ($card, $month) = @$_; payment(cc_num => 4000000000001000 + 18 * $card, trans_num => qq("$id-$card"), current_time => value("SELECT (extract(epoch FROM '$month'::timestamptz) * 1000)::bigint")) } @of) . q{]')} };
    value($ingest->('first', map { [ $_, '1975-01-15' ] } 1 .. 3));
    # Customers are taken in order of their ids, not of their numbers.
    my ($low, $middle, $high) = split /\n/, value(q{SELECT right(transaction_id, 1) FROM fraud.payment_keys WHERE transaction_id LIKE 'first-%' ORDER BY card});
    my ($holder, $one, $other) = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 3;
    $_->query_safe('SET fraud_detect.ingest_batch_size = 1') for $one, $other;
    $holder->query_safe('BEGIN');
    $holder->query_safe("SELECT 1 FROM fraud.customers c JOIN fraud.payment_keys k USING (card) WHERE k.transaction_id = 'first-$middle' FOR UPDATE OF c");
    $one->query_until(qr/asked/, "\\echo asked\n" . $ingest->('one', [ $low, '1975-01-16' ], [ $middle, '1975-01-16' ], [ $high, '1975-03-15' ]) . ";\n");
    ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'one-'}), 'one waits for a customer');
    $other->query_until(qr/asked/, "\\echo asked\n" . $ingest->('other', [ $high, '1975-05-15' ], [ $low, '1975-01-17' ]) . ";\n");
    ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'other-'}), 'another for it');
    $holder->query_safe('COMMIT');
    like($_->query('SELECT 99'), qr/^\d+\n99$/, 'both go on when it is free') for $one, $other;
    is(value(q{SELECT count(*) FROM fraud.transactions WHERE transaction_id ~ '^(one|other)-'}), '5', 'and store all of theirs');
    $_->quit for $holder, $one, $other;
}

done_testing();
