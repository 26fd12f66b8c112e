# Logical replication: a publication of all tables is in nobody's way; a subscriber follows payments
# with their labels through fraud.transactions as a whole, by the recipe of docs/operations.md.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = new_server('publisher', init => { allows_streaming => 'logical' });
sub value { return $publisher->safe_psql('postgres', $_[0]) }

value("SELECT fraud.simulate(40, 20, 40, starts_at => date_trunc('month', now()) - interval '2 months')");

# ----------------------------------------------------- a subscriber of payments
my $subscriber = new_server('subscriber');
sub there { return $subscriber->safe_psql('postgres', $_[0]) }
my @tables = map { "fraud.$_" } qw(customers merchants payment_keys transactions payment_followups labels case_states case_history alerts
  models model_versions promotions feature_sets feature_definitions feature_categories);
my $connection = $publisher->connstr('postgres') =~ s/'/''/gr;

# The recipe, as docs/operations.md has it.
value('CREATE PUBLICATION payments FOR TABLE ' . join(', ', @tables) . ' WITH (publish_via_partition_root = true)');
my ($from, $to) = split /\|/, value("SELECT min(occurred_at), max(occurred_at) FROM fraud.transactions");
there("SELECT fraud._ensure_partition(m) FROM generate_series(date_trunc('month', timestamptz '$from'), now() + interval '2 months', interval '1 month') m");
there("SELECT fraud.follow_publication()");
there("CREATE SUBSCRIPTION payments CONNECTION '$connection' PUBLICATION payments");
$subscriber->wait_for_subscription_sync($publisher, 'payments');
there('SELECT fraud.rebuild_rollups()');

my $digests = join ' UNION ALL ', map { my $columns = $_ eq 'fraud.feature_sets' ? "to_jsonb(t) - 'events'" : 't'; "SELECT '$_', count(*), md5(coalesce(string_agg(($columns)::text, E'\\n' ORDER BY ($columns)::text COLLATE \"C\"), '')) FROM $_ t" } @tables;
my @views = map { "SELECT '$_', count(*)::text, md5(coalesce(string_agg(v::text, E'\\n' ORDER BY v::text), '')) FROM fraud.$_ v" } qw(daily_report merchant_risk category_risk score_distribution);
my $sums = join ' UNION ALL ', @views;
sub follows
{
    my ($what) = @_;
    $publisher->wait_for_catchup('payments');
    is(there($digests), value($digests), "$what: each table is the publisher's");
    is(there($sums), value($sums), "$what: and so are the views");
    there('SELECT fraud.refresh_rollups()');
    is(there($sums), value($sums), "$what: when folded, too");
}
follows('at first');
cmp_ok(there('SELECT count(*) FROM fraud.transactions'), '>', 500, 'there are payments');

# A day: payments each minute, some with labels, some labelled later, and again; for a while they are alerts, whose cases
# people work on while the subscriber is away.
my $day = time() - 86400;
sub promote { value("SELECT fraud.promote('payments', 1, review_at => $_[0], block_at => 1, override_gate => true, reason => 'for a while')") }
for my $part (0 .. 5)
{
    promote(0) if $part == 1;
    $subscriber->stop('immediate') if $part == 2;
    my $payments = join ',', map {
        my $n = $part * 40 + $_;
        payment(trans_num => qq("d-$n"), cc_num => $n % 2 ? '4000000000000002' : '4000000000000028', current_time => 1000 * ($day + $n * 300), amt => 5 + $n % 70, ($n % 9 ? () : (is_fraud => $n % 2)))
    } 1 .. 40;
    value("SELECT count(*) FROM fraud.ingest('[$payments]')");
    value("SELECT fraud.label('d-' || n, n % 3 = 0, 'chargeback') FROM generate_series(@{[$part * 40 + 1]}, @{[$part * 40 + 9]}) n");
    value("SELECT fraud.label('d-' || n, false, 'analyst', overrule => true) FROM generate_series(@{[$part * 40 + 1]}, @{[$part * 40 + 4]}) n");
    value('SELECT fraud.refresh_rollups()') if $part % 2;
    if ($part == 3)
    {
        my ($first, $second) = split /\n/, value('SELECT case_id FROM fraud.cases ORDER BY case_id LIMIT 2');
        value("SELECT fraud.confirm_case($first, overrule => true)");
        value("SELECT fraud.dismiss_case($second, overrule => true)");
        promote(1);     # no more alerts: what a payment scores depends on the hour of the day, and this day begins now
        $publisher->restart;
    }
    $subscriber->start if $part == 4;
}
value("SELECT status FROM fraud.ingest('" . payment(trans_num => '"refund"', kind => '"refund"', reference => '"d-11"', cc_num => '4000000000000002', amt => -5, current_time => 1000 * time()) . "')");
value("UPDATE fraud.transactions SET amount = amount + 1 WHERE transaction_id = 'd-7'");
value("DELETE FROM fraud.$_ WHERE transaction_id = 'd-8'") for qw(transactions payment_keys);
follows('after a day');
is(there("SELECT count(*) FROM fraud.transactions WHERE is_fraud IS NOT NULL AND transaction_id ~ '^d-'") > 50, 1, 'labels have come');
is(there("SELECT (SELECT count(*) > 80 FROM fraud.alerts), (SELECT string_agg(DISTINCT status, ',') FROM fraud.cases), (SELECT count(*) FROM fraud.payment_followups)"),
    't|confirmed,dismissed|1', 'and alerts, what people made of them, and a refund');
is(there("SELECT fraud.feature_set_hash('payments') <> '' AND count(*) > 0 FROM fraud.assess('" . payment(trans_num => '"x"') . "')"), 't', 'the subscriber can score');
is(there("SELECT c.relation, c.detail FROM fraud.check_restore() c WHERE c.relation !~ '_seq\$'"), '', 'and lacks nothing that was published');

# A promotion is seen there; a new month, too.
value("SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, override_gate => true, reason => 'strict again')");
there("SELECT fraud._ensure_partition(now() + interval '3 months')");
value("SELECT fraud._ensure_partition(now() + interval '3 months')");
follows('after a promotion');
is(there("SELECT review_at FROM fraud.model_aliases WHERE model = 'payments' AND alias = 'champion'"), '0', 'the champion is the publisher\'s');
value("SELECT fraud.erase_customer(card, 'asked', true) FROM fraud.transactions WHERE transaction_id = 'd-7'");
follows('after an erasure');
is(there("SELECT count(*) FROM pg_stat_subscription_stats WHERE apply_error_count + sync_error_count > 0"), '0', 'nothing failed on the way');
# Counts of before it was away are gone.
unlike(slurp_file($subscriber->logfile), qr/logical replication (\w+ )*worker ERROR/, 'nor before');
there('SELECT fraud.follow_publication(false)');
is(there("SELECT count(*) FROM pg_trigger WHERE tgname ~ '^follow_' AND NOT tgisinternal"), '0', 'it can be given up');

there('DROP SUBSCRIPTION payments');

# ------------------------------------------------------- all tables, published
is(value(q{
    SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c
    WHERE c.relnamespace = 'fraud'::regnamespace AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND c.relreplident <> 'f'
      AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND (i.indisprimary AND c.relreplident = 'd' OR i.indisreplident))
}), '', 'every table has a primary key or a replica identity');
value('CREATE PUBLICATION everything FOR ALL TABLES');
my $payment = payment(trans_num => '"t-1"', current_time => time() * 1000);
value("SELECT * FROM fraud.ingest('$payment')");
value("SELECT * FROM fraud.ingest('" . payment(trans_num => '"old"', current_time => 1000 * (time() - 1500 * 86400)) . "')");
reload_with($publisher, "fraud_detect.$_", '1000d') for qw(transaction_retention record_retention key_retention);
value("SELECT fraud.label('t-1', true, 'chargeback'); SELECT fraud.label('t-1', false, 'analyst', overrule => true)");
value("SELECT fraud.promote('payments', 1, review_at => 0, block_at => 0.9, override_gate => true, reason => 'strict')");
value("SELECT * FROM fraud.ingest('" . payment(trans_num => '"t-2"', current_time => time() * 1000) . "')");
value('SELECT fraud.confirm_case(case_id, overrule => true) FROM fraud.cases WHERE status = \'open\'');
value("SELECT fraud.promote('payments', 1, reason => 'as it was', override_gate => true, review_at => 0.5, block_at => 0.9)");
note($_, ': ', value($_)) for 'SELECT fraud.refresh_rollups()', 'SELECT fraud.drop_past_month()', 'SELECT fraud.drop_past_month()', 'SELECT fraud.purge()', 'SELECT fraud.purge_records()',
  'SELECT fraud.rebuild_rollups()', 'SELECT fraud.notify_health()', "SELECT fraud.erase_customer(card, 'asked', true) FROM fraud.customers ORDER BY card LIMIT 1",
  'SELECT fraud.rotate_card_key()', "SELECT fraud.add_source('api', 'http://127.0.0.1:1/')", "SELECT fraud.poll_now('api')",
  "SELECT fraud.add_channel('desk', 'notify', 'fraud_alerts')", "SELECT fraud.test_channel('desk')", "SELECT fraud.close_day((now() - interval '40 days')::date)";
ok($publisher->poll_query_until('postgres', "SELECT failures > 0 FROM fraud.source_status WHERE name = 'api'"), 'a source is polled');
ok($publisher->poll_query_until('postgres', "SELECT count(*) > 0 FROM fraud.notifications WHERE channel = 'desk' AND state = 'delivered'"), 'a channel is sent to');
value("SELECT fraud.drop_source('api'), fraud.drop_channel('desk')");
is(value("SELECT count(*) FROM fraud.transactions WHERE transaction_id = 'old'"), '0', 'a past month goes');
unlike(slurp_file($publisher->logfile), qr/replica identity/, 'nothing of it fails for a replica identity');

done_testing();
