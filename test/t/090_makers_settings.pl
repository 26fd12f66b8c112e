# What is made in somebody's session is as if the owner had made it: privileges that ALTER DEFAULT PRIVILEGES
# gives are nobody's, and a month lies where its table does, whatever the session's settings.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', extension => 0, conf => "allow_in_place_tablespaces = on\n");
sub value { return $node->safe_psql($_[1] // 'postgres', $_[0]) }
my $payment = q{'{"cc_num": 4000000000000002, "trans_num": "%s", "amt": 5, "merchant": "M", "unix_time": %d}'};
sub ingest { return sprintf("SELECT status FROM fraud.ingest($payment)", @_) }

# Whom anything of the extension, or of its schema, is granted to beside its owner.
my $given = <<'SQL';
SELECT o.name || ': ' || string_agg(DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, ', ')
FROM (SELECT 'schema fraud' AS name, n.nspacl AS acl, n.nspowner AS owner FROM pg_namespace n WHERE n.nspname = 'fraud'
      UNION ALL
      SELECT c.oid::regclass::text, coalesce(c.relacl, acldefault('r', c.relowner)), c.relowner FROM pg_class c WHERE c.relnamespace = 'fraud'::regnamespace AND c.relkind IN ('r', 'p', 'v')
      UNION ALL
      SELECT c.oid::regclass::text, c.relacl, c.relowner FROM pg_class c WHERE c.relnamespace = 'fraud'::regnamespace AND c.relkind = 'S'
      UNION ALL
      SELECT p.oid::regprocedure::text, coalesce(p.proacl, acldefault('f', p.proowner)), p.proowner
      FROM pg_proc p WHERE p.pronamespace = 'fraud'::regnamespace OR p.proname ~ '^fraud_') o, aclexplode(o.acl) x
WHERE x.grantee <> o.owner GROUP BY o.name ORDER BY 1
SQL

value('CREATE ROLE app LOGIN; CREATE ROLE scientist LOGIN; CREATE TABLESPACE odd LOCATION \'\'; CREATE TABLESPACE wide LOCATION \'\'');
my @versions = split /\n/, value("SELECT version FROM pg_available_extension_versions WHERE name = 'fraud_detect' ORDER BY string_to_array(version, '.')::int[]");
for my $version (@versions)
{
    value("CREATE DATABASE new TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'");
    value('ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO app; ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO app;'
          . ' ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO app; ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO app', 'new');
    value("CREATE EXTENSION fraud_detect VERSION '$version'", 'new');
    is(value($given, 'new'), '', "$version: nothing is anybody's but the owner's after CREATE EXTENSION");
    value(ingest('made', 1470000000), 'new');
    value("SELECT fraud.add_payment_field('device', 'text', index => true), fraud.drop_payment_field('device')", 'new');
    value('SELECT count(*) FROM fraud.maintain_partitions()', 'new');
    is(value($given, 'new'), '', "$version: nor is what was made since");
    value("SELECT fraud.grant_access('app', 'ingest')", 'new');
    my $granted = value($given, 'new');
    value("ALTER EXTENSION fraud_detect UPDATE TO '$versions[-1]'", 'new');
    is(value($given, 'new'), $granted, "$version: an update gives nothing, and takes nothing");
    value('DROP DATABASE new WITH (FORCE)');
}

value('CREATE EXTENSION fraud_detect');
value("SELECT fraud.grant_access('app', 'ingest'), fraud.grant_access('scientist', 'scientist')");
value('CREATE ACCESS METHOD another TYPE TABLE HANDLER heap_tableam_handler');
# Where a month and its indexes lie, and by which access method.
sub place
{
    my ($month) = @_;
    return value("SELECT string_agg(DISTINCT concat_ws(' ', a.amname, t.spcname), ', ' ORDER BY concat_ws(' ', a.amname, t.spcname)) FROM pg_class c LEFT JOIN pg_am a ON a.oid = c.relam"
          . " LEFT JOIN pg_tablespace t ON t.oid = c.reltablespace WHERE c.relnamespace = 'fraud'::regnamespace AND c.relname LIKE 'transactions\\_$month%'");
}
my $odd = 'SET default_tablespace = odd; SET default_table_access_method = another; ';
$node->safe_psql('postgres', $odd . ingest('a', 1470000000), extra_params => [ '-U', 'app' ]);
is(place('2016_07'), 'btree, heap', 'who stores a payment does not say where its month lies');
$node->safe_psql('postgres', $odd . "SELECT fraud.add_payment_field('device', 'text', index => true)", extra_params => [ '-U', 'scientist' ]);
is(place('2016_07'), 'btree, heap', 'nor who adds a field where its index does');
value('ALTER TABLE fraud.transactions SET TABLESPACE wide');
$node->safe_psql('postgres', $odd . ingest('b', 1475000000), extra_params => [ '-U', 'app' ]);
is(place('2016_09'), 'btree wide, heap wide', 'the table that it is a part of does');

done_testing();
