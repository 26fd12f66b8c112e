# A copy of a database that CREATE DATABASE … TEMPLATE makes calls nobody until it is told to, as one
# of a dump; the first goes on.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $api = start_api();
my $node = new_server('main', extension => 0);
sub value { return $node->safe_psql($_[1] // 'shop', $_[0]) }
my $state = "SELECT (SELECT state FROM fraud.source_status WHERE name = 'api') || ' ' || (SELECT state FROM fraud.channel_status WHERE name = 'desk')";
my $workers = "SELECT count(*) >= 4 FROM pg_stat_activity WHERE datname = '%s' AND backend_type LIKE 'fraud_detect%%'";

$node->safe_psql('postgres', 'CREATE DATABASE shop');
value('CREATE EXTENSION fraud_detect');
value("SELECT fraud.add_source('api', '$api->{url}/once', poll_interval => '100 milliseconds'), fraud.add_channel('desk', 'webhook', '$api->{url}/500')");
value("SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, override_gate => true, reason => 'all')");
ok($node->poll_query_until('shop', "SELECT state = 'failing' FROM fraud.channel_status"), 'payments come, and a channel is tried');

# At rest, so that what is asked from now on the copies have asked.
value("SELECT fraud.pause_channel('desk')");
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE shop; CREATE DATABASE early TEMPLATE shop');
ok(value("SELECT fraud.resume_source('api'), fraud.resume_channel('desk', true), fraud.pause_channel('desk')", 'early'), 'a copy is told to go on before its workers are there');
ok($node->poll_query_until('early', "SELECT state IN ('ok', 'polling') AND stored > 0 FROM fraud.source_status"), 'which it does');
value("UPDATE fraud.channels SET paused = false", 'copy');
ok($node->poll_query_until('postgres', sprintf($workers, 'copy')), 'another has workers');
ok($node->poll_query_until('copy', 'SELECT ' . substr($state, 7) . " = 'restored restored'"), 'and calls nobody');
is(value("SELECT count(*) FROM fraud.source_state", 'copy') . value("SELECT count(*) FROM fraud.notifications WHERE state IN ('sending', 'sent')", 'copy'), '00', 'nor did it before');
like(value("SELECT string_agg(detail, '; ' ORDER BY item) FROM fraud.health() WHERE item IN ('source api', 'channel desk')", 'copy'), qr/^restored: .* nothing is sent; restored: .* is not polled$/, 'which health says');
ok($node->poll_query_until('shop', "SELECT state IN ('ok', 'polling') FROM fraud.source_status"), 'the first is polled as ever');

# Nor is one a copy that has another name.
$node->safe_psql('postgres', 'ALTER DATABASE shop RENAME TO till');
ok($node->poll_query_until('till', "SELECT last_poll_at > now() - interval '1 second' FROM fraud.source_status"), 'so it is under another name');

value("SELECT fraud.resume_source('api')", 'copy');
ok($node->poll_query_until('copy', "SELECT state IN ('ok', 'polling') FROM fraud.source_status"), 'a copy is polled once it is told to be');

$node->stop;
done_testing();
