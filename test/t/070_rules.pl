# Rules where several sessions meet: one that changes them, one that pays, one that holds their rows;
# a standby, which decides and backtests as its primary does; a dump, which takes them along.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', init => { allows_streaming => 1 });
sub value { return $node->safe_psql('postgres', $_[0]) }
my $number = 0;
sub offer
{
    my ($amount, $device) = @_;
    ++$number;
    return qq({"cc_num": 4000000000001001, "trans_num": "r$number", "amt": $amount, "merchant": "shop", "category": "home", "unix_time": 1700000000, "device": "$device"});
}
sub pay { my @what = @_; return "SELECT coalesce(decision, 'none') FROM fraud.ingest('" . offer(@what) . "')" }

value("SELECT fraud.promote('payments', 1, review_at => 0.9999, block_at => 0.99999, override_gate => true, reason => 'rules alone'), fraud.add_payment_field('device', 'text')");
my $payer = $node->background_psql('postgres');
is($payer->query_safe(pay(500, 'd1')), 'approve', 'no rule, no effect');

# ------------------------------------------------- what others commit
value("SELECT fraud.add_rule('large', 'amount > 100', 'review', mode => 'enforce')");
is($payer->query_safe(pay(500, 'd1')), 'review', 'a rule of another session decides the next payment');
value("SELECT fraud.alter_rule('large', 'amount > 1000')");
is($payer->query_safe(pay(500, 'd1')), 'approve', 'and so does its next version');
value("SELECT fraud.add_to_list('block_device', 'd1', now() + interval '7 days', 'stolen')");
is($payer->query_safe(pay(5, 'd1')), 'block', 'a device that was listed is blocked');
is($payer->query_safe(pay(5, 'd2')), 'approve', 'another is not');
value("SELECT fraud.remove_from_list('block_device', 'd1', 'found')");
is($payer->query_safe(pay(5, 'd1')), 'approve', 'until it is taken out');
value("SELECT fraud.add_to_list('block_device', 'd1', now() + interval '7 days', 'stolen again')");

# ------------------------------------ what somebody changes and does not commit
my $holder = $node->background_psql('postgres');
$holder->query_safe("BEGIN; SELECT fraud.enforce_rule('large', 'x'), fraud.alter_rule('large', 'amount > 1'), fraud.add_to_list('block_device', 'd2', reason => 'x'),
    fraud.add_to_list('allow_customer', '4000000000001001', reason => 'x'), fraud.snooze('merchant', 'shop', now() + interval '1 hour', 'x'),
    fraud.snooze('rule', 'large', now() + interval '1 hour', 'x');
    SELECT count(*) FROM (SELECT FROM fraud.rules FOR UPDATE) x; SELECT count(*) FROM (SELECT FROM fraud.rule_versions FOR UPDATE) x;
    SELECT count(*) FROM (SELECT FROM fraud.rule_sets FOR UPDATE) x; SELECT count(*) FROM (SELECT FROM fraud.list_entries FOR UPDATE) x;
    SELECT count(*) FROM (SELECT FROM fraud.lists FOR UPDATE) x; SELECT count(*) FROM (SELECT FROM fraud.rule_matches FOR UPDATE) x");
$payer->query_safe("SET statement_timeout = '20s'");
is($payer->query_safe(pay(5, 'd1')), 'block', 'who pays waits for nobody who changes rules, and sees what is committed');
is($payer->query_safe(pay(5, 'd2')), 'approve', 'of lists too');
is($payer->query_safe(pay(5000, 'd2')), 'review', 'and of rules');
$holder->query_safe('COMMIT');
my $alerts = value('SELECT count(*) FROM fraud.alerts');
is($payer->query_safe(pay(5, 'd2')), 'approve', 'once that is committed the customer is allowed');
value("SELECT fraud.remove_from_list('allow_customer', '4000000000001001', 'x')");
is($payer->query_safe(pay(5, 'd2')), 'block', 'and the device that was listed meanwhile is blocked');
is(value('SELECT count(*) FROM fraud.alerts'), $alerts, 'a snoozed merchant raises no alert');
cmp_ok(value('SELECT count(*) FROM fraud.snoozed_alerts'), '>', 0, 'what would have been alerted is counted');
# A list that somebody is about to use, or to fill, is not dropped meanwhile.
value("SELECT fraud.create_list('risky', 'merchant')");
for my $use ("fraud.add_rule('risky', 'fraud.in_list(''risky'', merchant)', 'review')", "fraud.add_to_list('risky', 'shop', reason => 'x')")
{
    $holder->query_safe("BEGIN; SELECT $use");
    my ($code, $out, $err) = $node->psql('postgres', "SET lock_timeout = '300ms'; SELECT fraud.drop_list('risky')");
    like($err, qr/lock timeout/, "a list is not dropped while $use is not committed");
    $holder->query_safe('ROLLBACK');
}
value("CREATE FUNCTION public.slow() RETURNS boolean LANGUAGE plpgsql STABLE AS 'BEGIN PERFORM pg_sleep(0.02); RETURN true; END'; SELECT fraud.add_rule('slow', 'public.slow()', 'tag', mode => 'enforce')");
$holder->query_safe("BEGIN; SELECT fraud.alter_rule('slow', note => 'held')");
$payer->query_safe("SET fraud_detect.rule_time_limit = '5ms'");
$payer->query_safe(pay(5, 'd3')) for 1 .. 11;
is(value("SELECT count(*) FROM fraud.slow_rules WHERE rule = 'slow'"), '1', 'a slow rule is put back while somebody holds it');
ok($node->log_contains(qr/rule "slow" takes [0-9.]+ ms of a payment and is put back to observe/), 'and the log says so');
$holder->query_safe('ROLLBACK');
value("SELECT fraud.drop_rule('slow', 'over')");
$holder->quit;
$payer->quit;

# ---------------------------------------------------------------- standby
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
my $assess = "SELECT decision FROM fraud.assess('" . offer(5, 'd1') . "')";
is($standby->safe_psql('postgres', $assess), 'block', 'a standby decides by the rules');
value("SELECT fraud.remove_from_list('block_device', 'd1', 'found')");
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $assess), 'review', 'and follows the lists: what is left is another rule');
is($standby->safe_psql('postgres', "SELECT value FROM fraud.backtest_rule('amount > 100', '2023-01-01', '2024-01-01') WHERE metric = 'hits'"),
    value("SELECT count(*) FROM fraud.transactions WHERE amount > 100"), 'a backtest runs on a standby');
cmp_ok($standby->safe_psql('postgres', "SELECT candidate FROM fraud.backtest_decision('2023-01-01', '2024-01-01') WHERE metric = 'payments'"), '>', 10, 'of a decision, too');
$standby->stop;

# ------------------------------------------------------------------- dump
value("SELECT fraud.add_to_list('block_device', 'd9', reason => 'kept')");
my $dump = "$PostgreSQL::Test::Utils::tmp_check/rules.sql";
$node->command_ok([ 'pg_dump', '--port', $node->port, '--host', $node->host, '--file', $dump, 'postgres' ], 'dumps');
value('CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('restored') ], 'restores');
is($node->safe_psql('restored', pay(5, 'd9')), 'block', 'lists and rules are restored');
for my $table (qw(rules rule_versions rule_history lists list_entries rule_matches snoozes snoozed_alerts)) {
    is($node->safe_psql('restored', "SELECT count(*) > 0 FROM fraud.$table"), 't', "$table came with the dump");
}
$node->stop;
done_testing();
