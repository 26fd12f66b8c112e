# Columns that are generated when they are read, which PostgreSQL 18 has: a trigger gets no value of them, so no feature and no
# rule of a stream reads one.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main');
sub value { return $node->safe_psql('postgres', $_[0]) }
plan skip_all => 'PostgreSQL 18 has them' if value('SHOW server_version_num') < 180000;

value(q{
    CREATE TABLE trips (no int PRIMARY KEY, at timestamptz, rider text, km numeric, metres numeric GENERATED ALWAYS AS (km * 1000) STORED,
        miles numeric GENERATED ALWAYS AS (km / 1.609) VIRTUAL);
    SELECT fraud.create_feature_set('trips', 'trips', 'no', 'at');
});
my (undef, undef, $err) = $node->psql('postgres', q(SELECT fraud.add_feature('trips', 'far', 'miles > 100')));
like($err, qr/ERROR:  invalid expression "miles > 100": column "miles" is generated when it is read/, 'a feature of one is refused');
(undef, undef, $err) = $node->psql('postgres', q(SELECT fraud.add_window_feature('trips', 'n', 'count', NULL, 'miles', '1 day')));
like($err, qr/ERROR:  invalid key "miles": column "miles" is generated when it is read/, 'and a key');
(undef, my $added, $err) = $node->psql('postgres', q(SELECT fraud.add_column_features('trips', '{km,metres,miles}')));
is($added, '2', 'of columns it is left out');
like($err, qr/left out of feature set "trips": miles \(.*generated when it is read\)/, 'and named');
value(q{
    SELECT fraud.import_model('trips', '}.stump('metres', 50000).q{'::bytea);
    SELECT fraud.promote('trips', 1, review_at => 0.5, block_at => 0.9);
    SELECT fraud.watch('trips', entity => 'rider', amount => 'km');
    INSERT INTO trips VALUES (1, '2025-01-01', 'r1', 20), (2, '2025-01-01', 'r2', 80);
});
is(value('SELECT string_agg(decision, \',\' ORDER BY decision_id) FROM fraud.stream_decisions'), 'approve,review', 'one that is stored counts');
is(value("SELECT string_agg(name, ',') FROM fraud.rule_columns('trips') WHERE name IN ('metres', 'miles', 'km')"), 'km,metres', 'and is what a condition sees');

# What has become one is told.
value(q(SELECT fraud.add_window_feature('trips', 'trips_1d', 'count', NULL, 'rider', '1 day')));
value('ALTER TABLE trips DROP rider; ALTER TABLE trips ADD rider text GENERATED ALWAYS AS (no::text) VIRTUAL');
like(($node->psql('postgres', "SELECT fraud.features('trips', t) FROM trips t LIMIT 1"))[2], qr/column "rider" is generated when it is read/, 'a key neither');
value('ALTER TABLE trips DROP rider; ALTER TABLE trips ADD rider text');
value('ALTER TABLE trips DROP metres');
value('ALTER TABLE trips ADD metres numeric GENERATED ALWAYS AS (km * 1000) VIRTUAL');
value("INSERT INTO trips (no, at, km) VALUES (3, '2025-01-01', 80)");
like(value("SELECT error FROM fraud.stream_decisions ORDER BY decision_id DESC LIMIT 1"), qr/column "metres" is generated when it is read/, 'an event is not scored without a value');

done_testing();
