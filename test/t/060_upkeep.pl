# Upkeep beside payments: months leave one by one and no payment waits for them, whoever reads;
# windows keep what they look back to; a publication of all tables stops nothing.
use strict;
use warnings;

use FraudDetect;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_server('main', conf => "wal_level = logical\n");
sub value { return $node->safe_psql('postgres', $_[0]) }
sub failure { my ($out, $err); $node->psql('postgres', $_[0], stderr => \$err); return $err }
my $months = q{SELECT count(*) FROM pg_inherits WHERE inhparent = 'fraud.transactions'::regclass};
my $left_over = q{SELECT count(*) FROM pg_class WHERE relnamespace = 'fraud'::regnamespace AND relname ~ '^past_'  AND relkind = 'r'};

# A payment a month for 30 months, whose sums are to stay, some known to be fraud.
sub history
{
    value(q{SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4000000000000002 + 18 * (i % 5), 'trans_num', 'h-' || i, 'amt', 10, 'merchant', 'M', 'category', 'c',
        'unix_time', extract(epoch FROM date_trunc('month', now()) - i * interval '1 month' + interval '1 day')::bigint)) FROM generate_series(0, 29) i))});
    value(q{SELECT count(*) FROM fraud.label(ARRAY(SELECT 'h-' || i FROM generate_series(20, 29) i), true, 'chargeback')});
}
history();
is(value($months), '30', 'thirty months');
my $sums = 'SELECT sum(payments), sum(volume), sum(labelled_fraud) FROM fraud.daily_report';
my $before = value($sums);

# ------------------------------------------------------------------ retention and windows
like(failure("SET fraud_detect.transaction_retention = '20d'"), qr/least retention is 31 days/, 'a retention of less than a month is refused');
value("SELECT fraud.create_feature_set('long', 'fraud.payment_events', 'transaction_id', 'occurred_at')");
value("SELECT fraud.add_window_feature('long', 'n_90', 'count', NULL, 'card', '90 days', '10 days')");
like(failure("SET fraud_detect.transaction_retention = '99d'"), qr/invalid value.*DETAIL:  In this database feature "n_90" of feature set "long" looks back 100 days/s, 'one shorter than a window with its delay, by SET');
like(failure("ALTER SYSTEM SET fraud_detect.transaction_retention = '99d'"), qr/feature "n_90" of feature set "long" looks back 100 days/, 'by ALTER SYSTEM');
like(failure("ALTER DATABASE postgres SET fraud_detect.transaction_retention = '99d'"), qr/feature "n_90"/, 'by ALTER DATABASE');
value('CREATE ROLE chief LOGIN; GRANT SET ON PARAMETER fraud_detect.transaction_retention TO chief');
like(failure("SET SESSION AUTHORIZATION chief; SET fraud_detect.transaction_retention = '99d'"), qr/feature "n_90"/, 'by who may see no feature');
is(failure("SET fraud_detect.transaction_retention = '100d'"), '', 'one as long as the window is taken');
value("ALTER SYSTEM SET fraud_detect.transaction_retention = '100d'");
$node->reload;
ok($node->poll_query_until('postgres', 'SHOW fraud_detect.transaction_retention', '100d'), 'and set');
like(failure("SELECT fraud.add_window_feature('long', 'n_91', 'count', NULL, 'card', '101 days')"), qr/feature "n_91" looks back 145440 minutes, but payments are kept for 144000.*HINT:.*transaction_retention/s, 'a longer window is refused then');
value('CREATE TABLE public.clicks (id int PRIMARY KEY, at timestamptz)');
value("SELECT fraud.create_feature_set('clicks', 'public.clicks', 'id', 'at')");
is(failure("SELECT fraud.add_window_feature('clicks', 'n', 'count', NULL, 'id', '1000 days')"), '', 'over other events, which retention leaves alone, it is not');
# A file is no session: what it sets is refused where it would count.
$node->append_conf('postgresql.conf', "fraud_detect.transaction_retention = '60d'");
value('ALTER SYSTEM RESET fraud_detect.transaction_retention');
$node->reload;
ok($node->poll_query_until('postgres', 'SHOW fraud_detect.transaction_retention', '60d'), 'one that a file sets');
like(failure('SELECT fraud.drop_past_month()'), qr/transaction_retention is .*, but feature "n_90" of feature set "long" looks back 100 days/, 'drops nothing');
is(value($months), '30', 'no month');
value("SELECT fraud.drop_feature_set('long')");

# ------------------------------------------------------------------ a reader, and payments
my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN; SELECT count(*) FROM fraud.transactions');
my $pid = $reader->query_safe('SELECT pg_backend_pid()');
# Runs SQL in another session, and payments meanwhile; returns the longest payment and what the other said.
my $paid = 0;
sub beside
{
    my ($sql) = @_;
    my ($said, $longest, $count) = ('', 0, 0);
    my $payer = $node->background_psql('postgres');
    $payer->query_safe('SELECT 1');
    my $other = IPC::Run::start([ 'psql', '-XAt', '-d', $node->connstr('postgres'), '-c', $sql ], '>', \$said, '2>&1');
    while ($other->pumpable)
    {
        my $card = 4000000000000002 + 18 * (++$paid % 5);
        my $started = time;
        $payer->query_safe("SELECT count(*) FROM fraud.ingest(jsonb_build_object('cc_num', $card, 'trans_num', 'p-$paid', 'amt', 1, 'merchant', 'M', 'unix_time', extract(epoch FROM now())::bigint))");
        $longest = time - $started if time - $started > $longest;
        ++$count;
        $other->pump_nb;
    }
    $other->finish;
    $payer->quit;
    return ($longest, $said, $count);
}
my ($longest, $said, $count) = beside("SELECT fraud.run_job('retention')");
like($said, qr/failed: could not take partition "transactions_\d{4}_\d\d" out of fraud.transactions, which is in use \(pid $pid\)/, 'beside one who reads on, the job says who that is');
ok($count > 5 && $longest < patient(1), 'and no payment waits for it') or diag("$longest s of $count payments");
is(value($months), '30', 'nothing is taken out');
like(value("SELECT status || ' ' || detail FROM fraud.health() WHERE item = 'job retention'"), qr/^error .*pid $pid/, 'health names the session');

# What somebody began by hand is ended.
value('SELECT fraud.refresh_rollups()');
my $month = value('SELECT partition FROM fraud._past_months() LIMIT 1');
like(failure("SET statement_timeout = '1s'; ALTER TABLE fraud.transactions DETACH PARTITION fraud.$month CONCURRENTLY"), qr/statement timeout/, 'who detaches concurrently waits for the reader');
is(value("SELECT count(*) FROM pg_inherits WHERE inhrelid = 'fraud.$month'::regclass AND inhdetachpending"), '1', 'and leaves it half done');
$reader->query_safe('COMMIT');
$reader->quit;
is(value('SELECT fraud.drop_past_month()'), $month, 'the next call takes it out');
is(value("SELECT $_"), 't', $_) for "to_regclass('fraud.$month') IS NULL", "to_regclass('fraud.past_$month') IS NOT NULL";

# ------------------------------------------------------------------ all of them, beside readers who come and go
my $stop = 0;
my $script = PostgreSQL::Test::Utils::tempdir() . '/reader.sql';
PostgreSQL::Test::Utils::append_to_file($script, 'SELECT count(*), pg_sleep(0.02) FROM fraud.transactions WHERE occurred_at > now();');
my $readers = IPC::Run::start([ 'pgbench', '-n', '-c', '2', '-T', '600', '-f', $script, $node->connstr('postgres') ], '>', \my $bench_out, '2>&1');
my ($worst, $dropped) = (0, 0);
for my $call (1 .. 60)
{
    my ($longest, $said) = beside('SELECT fraud.drop_past_month()');
    last if $said eq "\n";
    $dropped++ if $said =~ /^transactions/;
    $worst = $longest if $longest > $worst;
}
$readers->signal('TERM');
$readers->finish;
is(value($months), value(q{SELECT count(*) FROM generate_series(date_trunc('month', now() - interval '60 days'), now(), interval '1 month')}), 'readers who come and go keep no month');
ok($worst < patient(0.5), 'no payment waits long') or diag("$worst s");
note("slowest payment: $worst s");
is(value($left_over), '0', 'what was taken out is dropped');
cmp_ok(value("SELECT count(*) FROM fraud.audit_log WHERE object_kind = 'partition' AND action = 'drop'"), '>=', 26, 'each is noted');
value("DELETE FROM fraud.transactions WHERE transaction_id LIKE 'p-%'");
is(value($sums), $before, 'and their sums stay');

# ------------------------------------------------------------------ a publication of everything
is(value(q{SELECT string_agg(c.oid::regclass::text, ' ') FROM pg_class c WHERE c.relnamespace = 'fraud'::regnamespace AND c.relkind = 'r'
    AND c.relreplident <> 'f' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND (i.indisprimary AND c.relreplident = 'd' OR i.indisreplident))}), '', 'every table has a key or a replica identity');
value('CREATE PUBLICATION everything FOR ALL TABLES');
value(q{SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4000000000000002, 'trans_num', 'q-' || i, 'amt', 10, 'merchant', 'M', 'unix_time', extract(epoch FROM now())::bigint - i)) FROM generate_series(1, 30) i))});
is(failure("SELECT fraud.label('q-1', true, 'chargeback')"), '', 'with one, payments are labelled');
is(value("SELECT string_agg(j || ' ' || fraud.run_job(j), ', ') FROM unnest('{rollups,reports,partitions,retention,records,purge,health}'::text[]) j"),
    'rollups done, reports done, partitions done, retention done, records done, purge done, health done', 'all jobs run');
is(failure("UPDATE fraud.transactions SET amount = 11 WHERE transaction_id = 'q-2'; DELETE FROM fraud.transactions WHERE transaction_id = 'q-3'; SELECT fraud.refresh_rollups()"), '', 'payments are corrected');
is(failure("SELECT fraud.rebuild_rollups(), fraud.erase_customer((SELECT card FROM fraud.customers LIMIT 1), 'asked', force => true)"), '', 'sums are rebuilt and customers erased');

done_testing();
