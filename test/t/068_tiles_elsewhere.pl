# Tiles where no worker makes them: a standby reads those of its primary, also after a change, and goes on
# making them when it is promoted; and tiles of payments whose months retention takes stand for none of them.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $conf = "fraud_detect.tile_threshold = 300\n";
my $primary = new_server('primary', init => { allows_streaming => 1 }, conf => $conf);
sub on_primary { return $primary->safe_psql('postgres', $_[0]) }

# Few merchants, so that each has many payments; the last ones are older than what is kept below, so that months go of which
# there are tiles.
on_primary("SELECT fraud.simulate(60, 3, 70, starts_at => date_trunc('day', now() - interval '110 days'))");
on_primary("SELECT fraud.request_tiles('payments')");
my $covered = "SELECT count(*) > 0 AND bool_and(covered_to > covered_from) FROM fraud.tile_status WHERE feature_set = 'payments'";
ok($primary->poll_query_until('postgres', $covered), 'merchants have tiles');
my $merchant = on_primary("SELECT merchant FROM fraud.transactions GROUP BY merchant ORDER BY count(*) DESC LIMIT 1");

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
sub on_standby { return $standby->safe_psql('postgres', $_[0]) }

# Milliseconds since 1970 of the start of a day.
my $today = on_primary("SELECT extract(epoch FROM date_trunc('day', now()))::bigint");
sub midnight { my ($days_ago) = @_; return 1000 * ($today - 86400 * $days_ago) }

# The windows of a payment that is not stored, of a merchant with tiles.
sub windows
{
    my ($node, $days_ago, $tiles) = @_;
    my $payment = payment(trans_num => '"t-new"', merchant => qq("$merchant"), current_time => midnight($days_ago));
    return $node->safe_psql('postgres', "SET fraud_detect.tiles = $tiles; SELECT features FROM fraud.assess('$payment')");
}
sub looks { my ($node) = @_; return $node->safe_psql('postgres', "SELECT idx_scan FROM pg_stat_user_tables WHERE relid = 'fraud.tiles'::regclass") }
for my $days (35, 50)
{
    my $before = looks($standby);
    my $with = windows($standby, $days, 'on');
    is($with, windows($standby, $days, 'off'), "a standby reads tiles, $days days ago, as if they were events");
    is($with, windows($primary, $days, 'on'), 'as its primary does');
    ok($standby->poll_query_until('postgres', "SELECT idx_scan > $before FROM pg_stat_user_tables WHERE relid = 'fraud.tiles'::regclass"), 'it did read them');
}

# What changed, folded or not.
my $late = payment(trans_num => '"t-late"', merchant => qq("$merchant"), amt => 77777, current_time => midnight(45));
my $before = windows($standby, 42, 'on');
on_primary("SELECT status FROM fraud.ingest('$late')");
$primary->wait_for_catchup($standby);
my $after = windows($standby, 42, 'on');
isnt($after, $before, 'a late payment is in the windows of the standby');
is($after, windows($standby, 42, 'off'), 'exactly');

# A restored database has months that its extension did not make: they are known once its tiles are made.
on_primary('CREATE DATABASE restored');
system_or_bail("pg_dump -d '" . $primary->connstr('postgres') . "' | psql -q -v ON_ERROR_STOP=1 -d '" . $primary->connstr('restored') . "' > /dev/null 2>&1");
sub restored { return $primary->safe_psql('restored', $_[0]) }
restored("SELECT fraud.request_tiles('payments')");
ok($primary->poll_query_until('restored', $covered) && $primary->poll_query_until('restored', 'SELECT NOT EXISTS (SELECT FROM fraud.tile_marks)'), 'a restored database has tiles');
my $known = "SELECT count(*) FROM pg_inherits i LEFT JOIN fraud.months m ON m.partition = i.inhrelid AND m.attached = i.xmin AND m.file = pg_relation_filenode(i.inhrelid) WHERE i.inhparent = 'fraud.transactions'::regclass AND m.partition IS NULL";
is(restored($known), '0', 'and knows its months');
my $of_restored = restored("SELECT md5(shape) FROM fraud.tile_sets WHERE feature_set = 'payments'");

# --------------------------------------------------------------- retention
cmp_ok(on_primary("SELECT count(*) FROM fraud.tile_status WHERE covered_from < date_trunc('month', now() - interval '40 days') - interval '1 day'"), '>', 0, 'there are tiles of months that go');
my $count = on_primary("SELECT count(*) FROM fraud.transactions");
on_primary("ALTER SYSTEM SET fraud_detect.transaction_retention = '40d'");
on_primary("SELECT pg_reload_conf()");
on_primary("DO \$\$ BEGIN WHILE fraud.drop_past_month() IS NOT NULL LOOP NULL; END LOOP; END \$\$");
$primary->wait_for_catchup($standby);
cmp_ok(on_primary("SELECT count(*) FROM fraud.transactions"), '<', $count, 'months are gone');
my $oldest = on_primary("SELECT (now()::date - min(occurred_at)::date) FROM fraud.transactions");
for my $node ($primary, $standby)
{
    for my $days ($oldest - 1, $oldest - 10, 35)
    {
        is(windows($node, $days, 'on'), windows($node, $days, 'off'), "windows $days days ago hold none of them on the " . $node->name);
    }
}
is(on_primary("SELECT count(*) FROM fraud.verify_parity('payments', 200)"), '0', 'nor do any others');
$count = restored('SELECT count(*) FROM fraud.transactions');
restored("DO \$\$ BEGIN WHILE fraud.drop_past_month() IS NOT NULL LOOP NULL; END LOOP; END \$\$");
cmp_ok(restored('SELECT count(*) FROM fraud.transactions'), '<', $count, 'months of the restored database go, too');
is(restored("SELECT count(*) FROM fraud.verify_parity('payments', 200)"), '0', 'and no window holds any of them');
is(restored("SELECT md5(shape) FROM fraud.tile_sets WHERE feature_set = 'payments'"), $of_restored, 'while its other tiles stay');

# --------------------------------------------------------------- promotion
$primary->stop;
$standby->promote;
ok($standby->poll_query_until('postgres', "SELECT count(*) = 0 FROM fraud.tile_marks"), 'the promoted server makes anew what had changed');
is(windows($standby, 42, 'on'), windows($standby, 42, 'off'), 'with the same windows');
is(on_standby("SELECT count(*) FROM fraud.verify_parity('payments', 200)"), '0', 'all of them');

# ------------------------------------------------------- months, by hand
# What no trigger of fraud.transactions sees. A month that the extension makes has nothing made anew.
my $shape = "SELECT md5(shape) FROM fraud.tile_sets WHERE feature_set = 'payments'";
sub folded { return $standby->poll_query_until('postgres', "SELECT count(*) = 0 FROM fraud.tile_marks") }
my $kept = on_standby($shape);
my ($month, $newest) = split /\|/, on_standby("SELECT tableoid::regclass, now()::date - occurred_at::date FROM fraud.transactions WHERE merchant = '$merchant' ORDER BY occurred_at DESC LIMIT 1");
on_standby("SELECT status FROM fraud.ingest('" . payment(trans_num => '"t-month"', current_time => midnight(-70)) . "', 'next')");
is(on_standby('SELECT count(*) FROM fraud.verify_parity(\'payments\', 50)') . on_standby($shape), "0$kept", 'a month that is made leaves tiles as they are');
my $bounds = on_standby("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = '$month'::regclass");
my $full = windows($standby, $newest - 1, 'on');
for my $act ("ALTER TABLE fraud.transactions DETACH PARTITION $month", "ALTER TABLE fraud.transactions ATTACH PARTITION $month $bounds", "TRUNCATE $month")
{
    $kept = on_standby($shape);
    on_standby($act);
    my $with = windows($standby, $newest - 1, 'on');
    is($with, windows($standby, $newest - 1, 'off'), "$act: no window is of what was there before");
    ($act =~ /ATTACH/ ? \&is : \&isnt)->($with, $full, 'and they are others than without it');
    next if $act !~ /ATTACH/;  # else too few are left
    on_standby("SELECT fraud.request_tiles('payments')");
    ok($standby->poll_query_until('postgres', "SELECT md5(shape) <> '$kept' FROM fraud.tile_sets WHERE feature_set = 'payments'")
        && $standby->poll_query_until('postgres', $covered) && folded(), 'tiles are made anew');
    is(windows($standby, $newest - 1, 'on'), windows($standby, $newest - 1, 'off'), 'with the same windows');
}
is(on_standby("SELECT count(*) FROM fraud.verify_parity('payments', 200)"), '0', 'all of them');

$standby->stop;
done_testing();
