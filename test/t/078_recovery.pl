# A standby that is promoted goes on with the feed within seconds, and what was not sent is sent;
# recovery to a point in time sends nothing twice unless it is told to (docs/operations.md).
use strict;
use warnings;

use FraudDetect;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Receivers;
use Test::More;
use Time::HiRes qw(time usleep);

my $payments = PostgreSQL::Test::Utils::tempdir() . '/payments.ndjson';
system("$ENV{FRAUD_TREE}/build/simulate --customers 60 --merchants 20 --days 20 > $payments") == 0 or die "simulate failed";
my $api = start_api('--payments', $payments, '--tick', '0.5', '--per-tick', '3', '--overlap', '100000');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $receiver = start_receiver($dir);
my $primary = new_server('primary', init => { allows_streaming => 1, has_archiving => 1 });
sub value { my ($node, $query) = @_; return $node->safe_psql('postgres', $query) }

# Which payments the receiver was told of, and how often each.
sub told
{
    my %told;
    $told{$_}++ for map { $_->{body} =~ /"transaction_id":\s*"([^"]+)"/ ? $1 : () } lines_of($receiver, sub { 1 });
    return \%told;
}

value($primary, "SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, override_gate => true, reason => 'everything')");
value($primary, "SELECT fraud.add_source('live', '$api->{url}/current-transactions', poll_interval => '1 s')");
value($primary, "SELECT fraud.add_channel('desk', 'webhook', 'http://127.0.0.1:$receiver->{port}/ok-desk', repeats => true)");
ok($primary->poll_query_until('postgres', "SELECT count(*) > 10 FROM fraud.transactions WHERE source = 'live'"), 'payments flow');
$primary->backup('base');

# ------------------------------------------------------------------- standbys
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
# A standby of the standby, and one that is an hour behind.
my $second = PostgreSQL::Test::Cluster->new('second');
$second->init_from_backup($primary, 'base');
$second->enable_streaming($standby);
$second->start;
my $delayed = PostgreSQL::Test::Cluster->new('delayed');
$delayed->init_from_backup($primary, 'base', has_streaming => 1);
$delayed->append_conf('postgresql.conf', "recovery_min_apply_delay = '1h'");
$delayed->start;
value($primary, "SELECT * FROM fraud.ingest('" . payment() . "')");
$primary->wait_for_catchup('standby');
$standby->wait_for_catchup('second', 'replay', $standby->lsn('replay'));
for my $node ($standby, $second)
{
    my $name = $node->name;
    is(value($node, "SELECT count(*) FROM fraud.transactions t WHERE fraud_score(t) <> score"), '0', "$name scores");
    is(value($node, "SELECT decision FROM fraud.assess('" . payment(trans_num => '"t-9"') . "')"), 'review', "$name assesses");
    cmp_ok(value($node, 'SELECT count(*) FROM fraud.daily_report'), '>', 0, "$name reports");
    is(value($node, "SELECT count(*) FROM fraud.transactions WHERE transaction_id = 't-1'"), '1', "$name has what was stored");
    is(value($node, "SELECT count(*) FROM fraud.check_restore()"), '0', "$name lacks nothing");
}
is(value($delayed, "SELECT count(*) FROM fraud.transactions WHERE transaction_id = 't-1'"), '0', 'one that is behind has it not yet, and answers');
is(value($delayed, "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'fraud_detect%'"), '0', 'nor a worker');
# Commits wait for the standby where they are to.
value($primary, "ALTER SYSTEM SET synchronous_standby_names = 'standby'; SELECT pg_reload_conf()");
ok($primary->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'"), 'it is synchronous');
my $stored = value($primary, 'SELECT count(*) FROM fraud.transactions');
ok($primary->poll_query_until('postgres', "SELECT count(*) > $stored FROM fraud.transactions"), 'payments go on with a synchronous standby');

# ------------------------------------------------------------- a promotion
$primary->stop('immediate');
my $had = value($standby, 'SELECT count(*) FROM fraud.transactions');
my $before = time;
$standby->promote;
my $until = wait_for(sub { value($standby, "SELECT count(*) > $had FROM fraud.transactions") eq 't' }, 'a payment after the promotion') ? time - $before : 1e6;
note(sprintf 'a payment was stored %.1f s after the promotion was asked for', $until);
cmp_ok($until, '<', patient(5), 'the promoted standby stores payments within five seconds');
is(value($standby, 'SELECT count(*) - count(DISTINCT transaction_id) FROM fraud.transactions'), '0', 'none twice');
is(value($standby, "SELECT count(*) FROM fraud.transactions WHERE transaction_id = 't-1'"), '1', 'what was stored is there');
ok($standby->poll_query_until('postgres', "SELECT count(*) = 0 FROM fraud.alerts a LEFT JOIN fraud.outbox o ON o.payload ->> 'transaction_id' = a.transaction_id WHERE o.dispatched_at IS NULL AND o.outbox_id IS NOT NULL"), 'what was not sent is addressed');
# The standby of the standby follows it.
$had = value($standby, 'SELECT count(*) FROM fraud.transactions');
ok($second->poll_query_until('postgres', "SELECT count(*) >= $had FROM fraud.transactions"), 'its own standby goes on');
$_->stop('immediate') for $second, $delayed, $standby;

# --------------------------------------------------------- a point in time
$primary->append_conf('postgresql.conf', "synchronous_standby_names = ''");
value_after_start();
sub value_after_start
{
    $primary->start;
    $primary->safe_psql('postgres', "ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()");
}
value($primary, "SELECT fraud.pause_source('live')");
value($primary, "SELECT * FROM fraud.ingest('" . payment(trans_num => '"kept"', current_time => 1700000001000) . "')");
# What waits at that time, and is sent after it: a channel that does not answer yet.
value($primary, "SELECT fraud.pause_channel('desk')");
value($primary, "SELECT * FROM fraud.ingest('" . payment(trans_num => '"waits"', current_time => 1700000002000) . "')");
ok($primary->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.outbox o JOIN fraud.notification_messages m USING (outbox_id) JOIN fraud.notifications n USING (notification_id) WHERE o.payload ->> 'transaction_id' = 'waits' AND n.state = 'pending'"), 'a message waits');
my $point = value($primary, "SELECT pg_create_restore_point('before')");
value($primary, "SELECT fraud.resume_channel('desk')");
ok(wait_for(sub { told()->{waits} }, 'it is sent'), 'and is sent after that point in time');
value($primary, "SELECT * FROM fraud.ingest('" . payment(trans_num => '"lost"', current_time => 1700000003000) . "')");
value($primary, 'SELECT pg_switch_wal()');
ok($primary->poll_query_until('postgres', "SELECT last_archived_wal >= pg_walfile_name('$point') FROM pg_stat_archiver"), 'the log is archived');
$primary->stop;

for my $discard (1, 0)
{
    my $node = PostgreSQL::Test::Cluster->new("then_$discard");
    $node->init_from_backup($primary, 'base', has_restoring => 1, standby => 0);
    $node->append_conf('postgresql.conf', "recovery_target_name = 'before'\nrecovery_target_action = 'promote'\nshared_preload_libraries = ''\narchive_mode = off");
    $node->start;
    ok($node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()'), 'recovered to a point in time');
    is(value($node, "SELECT string_agg(transaction_id, ' ' ORDER BY transaction_id) FROM fraud.transactions WHERE transaction_id IN ('kept', 'waits', 'lost')"), 'kept waits', 'with what was stored until then');
    is(value($node, "SELECT state FROM fraud.source_status WHERE name = 'live'"), 'paused', 'a source is as it was');
    # The recipe.
    value($node, 'SELECT fraud.pause_channel(name) FROM fraud.channels');
    $node->append_conf('postgresql.conf', "shared_preload_libraries = 'fraud_detect'");
    $node->restart;
    my $sent = told()->{waits};
    ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'fraud_detect notify'"), 'the notify worker is there');
    usleep(2_000_000);
    is(told()->{waits}, $sent, 'and sends nothing again');
    value($node, "SELECT fraud.resume_channel('desk', discard_waiting => " . ($discard ? 'true' : 'false') . ')');
    value($node, "SELECT * FROM fraud.ingest('" . payment(trans_num => qq("new-$discard"), current_time => 1700000009000) . "')");
    ok(wait_for(sub { told()->{"new-$discard"} }, 'what is new is sent'), 'what is new is sent');
    if ($discard) { is(told()->{waits}, $sent, 'what waited then is not') }
    else { ok(wait_for(sub { told()->{waits} > $sent }, 'what waited is sent'), 'what waited then is, since it was said') }
    is(value($node, "SELECT status FROM fraud.ingest('" . payment(trans_num => '"lost"', current_time => 1700000003000) . "')"), 'stored', 'a payment of later comes again');
    is(value($node, "SELECT count(DISTINCT card) FROM fraud.transactions WHERE transaction_id IN ('kept', 'lost')"), '1', 'of the same customer');
    $node->stop;
}

done_testing();
