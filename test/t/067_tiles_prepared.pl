# A transaction that is prepared, and a server that starts anew before it ends: no tiles are made without its events.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', conf => "max_prepared_transactions = 5\nfraud_detect.tile_threshold = 100\n");
sub value { return $node->safe_psql('postgres', $_[0]) }

value(<<'SQL');
CREATE TABLE visits (id bigint PRIMARY KEY, at timestamptz NOT NULL, who text NOT NULL, amount float8);
CREATE INDEX ON visits (who, at, id);
INSERT INTO visits SELECT i, timestamptz '2026-01-01 00:00+00' + i * interval '10 seconds', 'often', i % 50 FROM generate_series(1, 2000) i;
SELECT fraud.create_feature_set('visits', 'visits', 'id', 'at');
SELECT fraud.add_window_feature('visits', 'total', 'sum', 'amount', 'who', '3 hours');
SELECT fraud.tile_features('visits'), fraud.request_tiles('visits');
CALL fraud.fold_tiles();
SQL
my $covered = "SELECT count(*) FROM fraud.tile_status WHERE feature_set = 'visits' AND covered_to > '2026-01-01 08:00+00'";
is(value("SELECT count(*) FROM fraud.tile_status WHERE feature_set = 'visits' AND covered_to > covered_from"), '1', 'there are tiles');

# Later than all tiles, so without a mark; then there are more, and tiles up to there are asked for.
value(<<'SQL');
BEGIN;
INSERT INTO visits SELECT 5000 + i, timestamptz '2026-01-01 06:00+00' + i * interval '10 seconds', 'often', 1000 FROM generate_series(1, 200) i;
PREPARE TRANSACTION 'pending';
SQL
value("INSERT INTO visits SELECT 7000 + i, timestamptz '2026-01-01 05:40+00' + i * interval '6 seconds', 'often', 1 FROM generate_series(1, 2000) i");
value("SELECT fraud.request_tiles('visits')");
value("CALL fraud.fold_tiles('0.2 seconds')");
is(value($covered), '0', 'tiles wait for the prepared transaction');
$node->restart;
value("CALL fraud.fold_tiles('0.2 seconds')");
is(value($covered), '0', 'after a restart, too');
value("COMMIT PREPARED 'pending'");
is(value("SELECT count(*) FROM fraud.verify_parity('visits', 200)"), '0', 'its events count');
value("CALL fraud.fold_tiles()");
is(value($covered), '1', 'when it has ended tiles are made');
is(value("SELECT count(*) FROM fraud.verify_parity('visits', 200)"), '0', 'with its events');

$node->stop;
done_testing();
