# Sums keep up while somebody keeps a snapshot for hours: nobody walks twice over rows that are
# gone, and no change is lost, however late it commits.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', conf => "fraud_detect.health_interval = 0\nmax_prepared_transactions = 5\nautovacuum = off\n");
sub value { return $node->safe_psql('postgres', $_[0]) }
my $number = 0;
sub ingest
{
    my ($count, $card) = @_;
    $card //= 'i % 20';
    my $first = $number + 1;
    $number += $count;
    return "SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4000000000000002 + 18 * ($card), 'trans_num', 'o-' || i, 'amt', 10, 'merchant', 'M' || i % 5, 'category', 'c',
        'unix_time', extract(epoch FROM now())::bigint)) FROM generate_series($first, $number) i))";
}
my $sums = "SELECT sum(payments) FROM fraud.rollups WHERE kind = 'day'";
my $stored = 'SELECT count(*) FROM fraud.transactions';
# Blocks of the log that a fold looks at.
sub blocks
{
    my $statistics = q{SELECT sum(coalesce(heap_blks_read + heap_blks_hit, 0) + coalesce(idx_blks_read + idx_blks_hit, 0)) FROM pg_statio_user_tables WHERE schemaname = 'fraud' AND relname ~ '^changes_'};
    my $session = $node->background_psql('postgres');
    my $before = value($statistics);
    $session->query_safe('SELECT fraud.refresh_rollups()');
    $session->quit;
    # Statistics are sent when a session ends.
    my $after;
    wait_for(sub { $after = value($statistics); return $after > $before }, 'statistics');
    return $after - $before;
}

value(ingest(100));
value('SELECT fraud.refresh_rollups()') for 1 .. 3;
value(ingest(100));
my $without = blocks();

# ------------------------------------------------------------------ a snapshot, and much that goes
my $keeper = $node->background_psql('postgres');
$keeper->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $seen = $keeper->query_safe($sums);
for my $turn (1 .. 40)
{
    value(ingest(200));
    value('SELECT fraud.refresh_rollups()');
}
value(ingest(100));
my $with = blocks();
cmp_ok($with, '<', 3 * $without, 'beside an old snapshot a fold looks at little more of the log than without, though all that was folded is still there') or diag("$with blocks, without $without");
note("$with blocks with the snapshot, $without without");
cmp_ok(value("SELECT max(part) FROM fraud.rollups"), '>', 0, 'the sums of a day get other rows');
is(value($sums), value($stored), 'all is summed');
is(value('SELECT sum(payments) FROM fraud.daily_report'), value($stored), 'and shown');
is(value("SELECT count(*) FROM (SELECT day, payments, volume, customers FROM fraud.daily_report) v JOIN (SELECT date(occurred_at) AS day, count(*) AS payments, sum(amount) AS volume, count(DISTINCT card) AS customers FROM fraud.transactions GROUP BY 1) t USING (day, payments, volume, customers)"),
    value('SELECT count(DISTINCT date(occurred_at)) FROM fraud.transactions'), 'as the payments themselves say');
is($keeper->query_safe($sums), $seen, 'the snapshot sees what it saw');
is($keeper->query_safe('SELECT sum(payments) FROM fraud.daily_report'), $keeper->query_safe($stored), 'and the views of then');
$keeper->query_safe('COMMIT');
$keeper->quit;
value(ingest(1));
value('SELECT fraud.refresh_rollups()') for 1 .. 20;
is(value("SELECT max(part) FROM fraud.rollups"), '0', 'when it is gone the rows are put together');
is(value($sums), value($stored), 'with all that they had');

# ------------------------------------------------------------------ who commits late
my $late = $node->background_psql('postgres');
$late->query_safe('BEGIN');
# (Of other cards: those who come next wait for nobody.)
$late->query_safe(ingest(3, '100 + i'));
value('BEGIN; ' . ingest(4, '100 + i') . "; PREPARE TRANSACTION 'late'");
for my $turn (1 .. 6)
{
    value(ingest(50));
    value('SELECT fraud.refresh_rollups()');
}
is(value($sums), value($stored), 'what has committed is summed');
my $mark = value('SELECT folded_to FROM fraud.change_mark');
cmp_ok(value('SELECT last_value FROM fraud.change_ids') - $mark, '>', 300, 'the mark waits for those who have taken numbers');
$late->query_safe('COMMIT');
$late->quit;
value("COMMIT PREPARED 'late'");
value('SELECT fraud.refresh_rollups()') for 1 .. 3;
is(value($sums), value($stored), 'what they have changed is summed when they have committed');
cmp_ok(value('SELECT folded_to FROM fraud.change_mark'), '>', $mark, 'then the mark moves');
is(value('SELECT count(*) FROM fraud._log'), '0', 'and nothing is left');

# Rows of a dump have numbers from before the sequence began.
value("INSERT INTO fraud.changes (change_id, slot, sign, card, transaction_id, occurred_at, amount, merchant) SELECT 17, fraud._open_slot(), 1, card, 'of-a-dump', occurred_at, 10, 'M1' FROM fraud.transactions LIMIT 1");
is(value('SELECT fraud.refresh_rollups()'), '1', 'a change that a dump brought is folded');

done_testing();
