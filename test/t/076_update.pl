# ALTER EXTENSION UPDATE: from each version there is to the newest, with what users have made; then
# the catalog is that of a new installation, object by object, and so are the rows that come with it.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', extension => 0);
sub value { return $node->safe_psql($_[1] // 'postgres', $_[0]) }

# All that the extension has in a database, an object a line, in words that do not depend on numbers.
my $catalog = <<'SQL';
WITH member AS (
    SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE d.refclassid = 'pg_extension'::regclass AND e.extname = 'fraud_detect' AND d.deptype = 'e'
), relation AS (
    SELECT c.* FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
)
SELECT 'member ' || pg_describe_object(m.classid, m.objid, 0) FROM member m
UNION ALL
SELECT 'function ' || p.oid::regprocedure || ' ' || CASE WHEN p.prokind = 'a' THEN (SELECT row(a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggtranstype::regtype, a.agginitval, a.aggkind)::text FROM pg_aggregate a WHERE a.aggfnoid = p.oid)
        ELSE pg_get_functiondef(p.oid) END
       || ' acl ' || coalesce((SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM unnest(p.proacl) x), 'none')
       || ' by ' || p.proowner::regrole || ' says ' || coalesce(obj_description(p.oid, 'pg_proc'), 'nothing')
FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
UNION ALL
SELECT 'relation ' || c.oid::regclass || ' ' || row(c.relkind, c.relpersistence, c.reloptions, c.relrowsecurity, c.relreplident, c.relispartition, pg_get_expr(c.relpartbound, c.oid))::text
       || ' acl ' || coalesce((SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM unnest(c.relacl) x), 'none')
       || ' by ' || c.relowner::regrole || ' says ' || coalesce(obj_description(c.oid, 'pg_class'), 'nothing')
       || CASE WHEN c.relkind = 'v' THEN ' as ' || pg_get_viewdef(c.oid) ELSE '' END
FROM relation c
UNION ALL
SELECT 'column ' || c.oid::regclass || ' ' || row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum) || ' '
       || row(a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, a.attstorage, a.attcompression, a.attcollation::regcollation, a.attstattarget, (SELECT string_agg(o, ' ' ORDER BY o) FROM unnest(a.attoptions) o WHERE o LIKE 'n_distinct%'),
              pg_get_expr(d.adbin, d.adrelid), (SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM unnest(a.attacl) x), col_description(c.oid, a.attnum))::text
FROM relation c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
UNION ALL
SELECT 'index ' || pg_get_indexdef(i.indexrelid) || ' ' || row(i.indisunique, i.indisprimary, i.indisvalid, i.indisreplident, i.indisclustered)::text FROM pg_index i JOIN relation c ON c.oid = i.indrelid
UNION ALL
SELECT 'constraint ' || c.oid::regclass || ' ' || n.conname || ' ' || pg_get_constraintdef(n.oid) || ' ' || n.convalidated FROM pg_constraint n JOIN relation c ON c.oid = n.conrelid
UNION ALL
SELECT 'trigger ' || pg_get_triggerdef(g.oid) || ' ' || g.tgenabled::text FROM pg_trigger g JOIN relation c ON c.oid = g.tgrelid WHERE NOT g.tgisinternal
UNION ALL
SELECT 'policy ' || row(p.polname, p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))::text FROM pg_policy p JOIN relation c ON c.oid = p.polrelid
UNION ALL
SELECT 'statistics ' || pg_get_statisticsobjdef(s.oid) FROM pg_statistic_ext s JOIN relation c ON c.oid = s.stxrelid
UNION ALL
SELECT 'sequence ' || s.seqrelid::regclass || ' ' || row(s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle)::text FROM pg_sequence s JOIN relation c ON c.oid = s.seqrelid
UNION ALL
SELECT 'dumped ' || o.oid::regclass || ' ' || o.condition FROM pg_extension e, unnest(e.extconfig, e.extcondition) o(oid, condition) WHERE e.extname = 'fraud_detect'
UNION ALL
SELECT 'extension ' || row(e.extversion, e.extrelocatable, e.extnamespace::regnamespace, e.extowner::regrole)::text FROM pg_extension e WHERE e.extname = 'fraud_detect'
UNION ALL
SELECT 'schema fraud acl ' || coalesce((SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM unnest(n.nspacl) x), 'none') || ' says ' || obj_description(n.oid, 'pg_namespace') FROM pg_namespace n WHERE n.nspname = 'fraud'
SQL

# The rows that come with it, without times, keys and numbers that are each installation's own, and without what names the database.
my $rows = <<'SQL';
SELECT 'rows of ' || c.oid::regclass || ' ' || pg_temp.answer(format($q$
    SELECT count(*) || ' ' || md5(coalesce(string_agg(r.line, E'\n' ORDER BY r.line COLLATE "C"), '')) AS d
    FROM (SELECT regexp_replace(regexp_replace(to_jsonb(t)::text,
              '"[0-9]{4}-[0-9]{2}-[0-9]{2}T[^"]*"|"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"|\m1[0-9]{15}\M', 'own', 'g'),
              '"key": "[^"]*"', 'own') AS line FROM %s t) r $q$, c.oid::regclass))
FROM pg_class c WHERE c.relnamespace = 'fraud'::regnamespace AND c.relkind = 'r' AND c.relname NOT IN ('audit_log', 'home')
SQL
sub contents { my ($database) = @_; return join "\n", sort split /\n(?=member |function |relation |column |index |constraint |trigger |policy |statistics |sequence |dumped |extension |schema |rows of )/, value("$answers $catalog UNION ALL $rows", $database) }

# Where two differ, the lines that do.
sub same
{
    my ($got, $expected, $what) = @_;
    return pass($what) if $got eq $expected;
    my (%got, %expected);
    $got{$_}++ for split /\n/, $got;
    $expected{$_}++ for split /\n/, $expected;
    fail($what);
    diag("only after the update: $_") for grep { !$expected{$_} } sort keys %got;
    diag("only where it is new: $_") for grep { !$got{$_} } sort keys %expected;
}

my @versions = split /\n/, value("SELECT version FROM pg_available_extension_versions WHERE name = 'fraud_detect' ORDER BY string_to_array(version, '.')::int[]");
my $newest = $versions[-1];
cmp_ok(scalar(@versions), '>', 1, "there are versions: @versions");
is(value("SELECT count(*) FROM pg_extension_update_paths('fraud_detect') p WHERE p.target = '$newest' AND p.source <> '$newest' AND p.path IS NULL"), '0', "each has a way to $newest");
is(value("SELECT default_version FROM pg_available_extensions WHERE name = 'fraud_detect'"), (slurp_file("$ENV{FRAUD_TREE}/fraud_detect.control") =~ /default_version = '(.*)'/)[0], 'which is made unless another is asked for: the control file\'s') if -f "$ENV{FRAUD_TREE}/fraud_detect.control";

value('CREATE DATABASE new_one');
value("CREATE EXTENSION fraud_detect VERSION '$newest'", 'new_one');
my $new = contents('new_one');
cmp_ok(scalar(split /\n/, $new), '>', 2000, 'the catalog has much to compare');

my $digests = $answers . q{
    SELECT c.oid::regclass, pg_temp.answer(format('SELECT count(*) || '' rows, '' || md5(coalesce(string_agg(t::text, E''\n'' ORDER BY t::text COLLATE "C"), '''')) AS d FROM %s t',
        c.oid::regclass))
    FROM pg_class c WHERE relnamespace = 'fraud'::regnamespace AND relkind = 'r'
};
for my $version (@versions[0 .. $#versions - 1])
{
    my $name = "from_" . ($version =~ tr/./_/r);
    value("CREATE DATABASE $_") for ($name, "${name}_used");

    value("CREATE EXTENSION fraud_detect VERSION '$version'", $name);
    value("ALTER EXTENSION fraud_detect UPDATE TO '$newest'", $name);
    same(contents($name), $new, "$version to $newest: the same as a new one");

    # One that is used. A text of ours that the owner has changed stays his.
    my $used = "${name}_used";
    value('CREATE SCHEMA detection', $used);
    value("CREATE EXTENSION fraud_detect SCHEMA detection VERSION '$version'", $used);
    value(q{
        SELECT fraud.simulate(30, 15, 40, starts_at => '2024-01-01 00:00:00+00');
        SELECT fraud.promote('payments', 1, review_at => 0, block_at => 0.5, reason => 'strict', override_gate => true);
        SELECT fraud.import_model('payments', fraud.export_model('payments/1'), 'again');
        SELECT fraud.promote('payments', 2, 'challenger', 'a second one');
        CREATE TABLE orders (no int PRIMARY KEY, placed timestamptz NOT NULL, customer text, total numeric);
        INSERT INTO orders SELECT i, timestamptz '2026-01-01' + i * interval '1 hour', 'c' || i % 5, i % 90 FROM generate_series(1, 200) i;
        SELECT fraud.create_feature_set('orders', 'orders', 'no', 'placed');
        SELECT fraud.add_window_feature('orders', 'sum_1d', 'sum', 'total', 'customer', '1 day');
        SELECT fraud.add_channel('desk', 'notify', 'fraud_alerts');
        SELECT fraud.add_payment_field('device', 'text', '$.device.id', index => true);
        SELECT fraud.add_feature('payments', 'device_known', '(device IS NOT NULL)::int');
        DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'clerk') THEN CREATE ROLE clerk; END IF; END $$;
        SELECT fraud.grant_access('clerk', 'analyst');
        UPDATE fraud.feature_definitions SET description = 'ours' WHERE feature_set = 'payments' AND feature = 'age';
    }, $used);
    my $payment = payment(trans_num => '"t-1"');
    value("SELECT * FROM fraud.ingest('$payment')", $used);
    value("SELECT fraud.label('t-1', true, 'chargeback')", $used);
    ok($node->poll_query_until($used, "SELECT count(*) = 0 FROM fraud.outbox WHERE dispatched_at IS NULL"), 'messages are addressed');
    value("SELECT fraud.pause_channel('desk')", $used);
    # Not what workers write of themselves while this looks on.
    my %of_workers = map { ("fraud.$_" => 1) } qw(health_marks health_states health_told source_samples channel_state notifications notification_attempts outbox sweeps
      change_mark change_slots folding rollup_state rollups rollup_cards rollup_labels changes_0 changes_1 changes_2 changes_3 job_state);
    my %before = map { split /\|/ } split /\n/, value($digests, $used);
    value("ALTER EXTENSION fraud_detect UPDATE TO '$newest'", $used);
    my %after = map { split /\|/ } split /\n/, value($digests, $used);
    for my $table (sort keys %before)
    {
        next if $of_workers{$table};
        is($after{$table}, $before{$table}, "$version to $newest: $table is as it was") if $after{$table} ne $before{$table};
    }
    cmp_ok(scalar(grep { $before{$_} !~ /^0 rows/ } keys %before), '>', 20, "$version to $newest: with rows in many tables");
    is(value("SELECT status FROM fraud.ingest('$payment')", $used), 'duplicate', 'what is stored is known');
    is(value("SELECT status FROM fraud.ingest('" . payment(trans_num => '"t-2"', current_time => 1700000001000) . "')", $used), 'stored', 'payments go on');
    is(value('SELECT count(*) FROM fraud.transactions t WHERE detection.fraud_score(t) <> score', $used), '0', 'with the same scores');
    is(value("SELECT has_table_privilege('clerk', 'fraud.transactions', 'SELECT')", $used), 't', 'rights are kept');
    value("SELECT fraud.revoke_access('clerk', 'analyst')", $used);
    is(value("SELECT extversion FROM pg_extension WHERE extname = 'fraud_detect'", $used), $newest, 'the version is told');
    value('DROP EXTENSION fraud_detect', $used);
    is(value("SELECT count(*) FROM pg_class WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname = 'fraud')", $used), '0', 'it is dropped as a whole');
}

done_testing();
