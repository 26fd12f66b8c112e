# What other extensions do with our statements: Citus looks for a view that is to be dropped by
# itself, and knows no schema pg_temp. (Here nobody has Citus: the statements are looked at.)
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my ($libraries) = run_command([ 'pg_config', '--pkglibdir' ]);
plan skip_all => 'the server comes without pg_stat_statements' unless -e "$libraries/pg_stat_statements.so";

my $node = new_server('main', conf => "shared_preload_libraries = 'fraud_detect, pg_stat_statements'\npg_stat_statements.track = 'all'\n");
sub value { return $node->safe_psql('postgres', $_[0]) }
value('CREATE EXTENSION pg_stat_statements');
value("SELECT fraud.simulate(20, 10, 20, starts_at => '2024-01-01 00:00:00+00')");
value(q{
    CREATE TABLE history (cc_num text, trans_num text, amt text, merchant text, unix_time text, is_fraud text);
    INSERT INTO history SELECT '4929000000777771', 'h' || i, i::text, 'm', (1480000000 + i)::text, '0' FROM generate_series(1, 50) i;
    SELECT fraud.load_history('history');
});
is(value('SELECT count(*) > 0 FROM fraud.transactions WHERE source = \'history\''), 't', 'a history is loaded');
my $drops = "FROM pg_stat_statements WHERE query ~* '^\\s*DROP (VIEW|TABLE)' AND query ~ 'fraud_detect_history'";
cmp_ok(value("SELECT count(*) $drops"), '>=', 2, 'temporary relations are dropped');
is(value("SELECT string_agg(query, '; ') $drops AND query ~ 'pg_temp\\.'"), '', 'none by the name pg_temp');
is(value("SELECT count(*) FROM pg_class WHERE relpersistence = 't'"), '0', 'and all of them');

done_testing();
