# A standby scores, sees a promotion when it is replayed, runs no worker until it
# is promoted, and then polls.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $api = start_api();
my $primary = new_server('primary', init => { allows_streaming => 1 });
sub on_primary { return $primary->safe_psql('postgres', $_[0]) }

on_primary("SELECT * FROM fraud.ingest('" . payment() . "')");
on_primary("SELECT fraud.import_model('payments', fraud.export_model('payments/1'))");

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
sub on_standby { return $standby->safe_psql('postgres', $_[0]) }

is(on_standby('SELECT fraud_score(t) = score FROM fraud.transactions t'), 't', 'a standby scores');
my $assess = "SELECT decision FROM fraud.assess('" . payment(trans_num => '"t-9"') . "')";
is(on_standby($assess), 'approve', 'and assesses');
is(on_standby("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'fraud_detect%'"), '0', 'it has no worker');
my (undef, undef, $error) = $standby->psql('postgres', "SELECT * FROM fraud.ingest('" . payment(trans_num => '"t-9"') . "')");
like($error, qr/read-only/, 'it stores nothing and says why');
# Whatever statement of ours it was that failed, who called is told where to call.
for my $act ('fraud.take_case()', "fraud.add_rule('r', 'amount > 5', 'tag')", "fraud.add_to_list('block_merchant', 'x', NULL, 'x')", "fraud.promote('payments', 1, review_at => 0.5)",
    "fraud.poll_now('api')", "fraud.train('p', 'payments', train_from => '2026-01-01', train_to => '2026-02-01')",
    "fraud.ingest('" . payment(trans_num => '"t-10"', current_time => 1300000000000) . "')")
{
    (undef, undef, $error) = $standby->psql('postgres', "SELECT $act");
    like($error, qr/HINT:  This server is a standby, where nothing can be changed: call the function on the primary\./, substr($act, 0, index($act, '(')) . ' on a standby');
}
# What leaves the database is noted, or does not leave it.
for my $export ("fraud.export_model('payments')", '(SELECT fraud.customer_data(card) FROM fraud.customers)')
{
    (undef, my $out, $error) = $standby->psql('postgres', "SELECT $export");
    like($error, qr/read-only/, "$export is refused");
    is($out, '', 'and gives nothing');
}

# One session all along, so that what it remembers is put to the test.
on_primary("SELECT fraud.promote('payments', 2, review_at => 0, block_at => 1)");
$primary->wait_for_catchup($standby);
is(on_standby($assess), 'review', 'a promotion is seen when it is replayed');
on_primary("SELECT fraud.add_source('api', '$api->{url}/one', poll_interval => '1 day')");
$primary->poll_query_until('postgres', "SELECT state = 'ok' FROM fraud.source_status");
$primary->wait_for_catchup($standby);
$primary->stop;

$standby->promote;
ok($standby->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'fraud_detect ingest'"),
    'after its promotion it has a worker');
on_standby("SELECT fraud.poll_now('api')");
ok($standby->poll_query_until('postgres', 'SELECT polls = 2 FROM fraud.source_status'), 'which polls');
is(on_standby('SELECT count(*) FROM fraud.transactions'), '2', 'and stores nothing twice');

done_testing();
