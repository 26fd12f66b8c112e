# What works without superuser and without the preload, as docs/hosting.md lists it; and an install
# that is made "trusted", or that asks for no superuser, is refused with the reason.
use strict;
use warnings;

use File::Basename qw(basename dirname);
use File::Copy qw(copy);
use FraudDetect;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = slurp_file("$ENV{FRAUD_TREE}/docs/hosting.md");

# The first column of the table below a heading of the page.
sub rows_of
{
    my ($heading) = @_;
    my ($section) = $page =~ /^## \Q$heading\E\n(.*?)(?=^## |\z)/ms or die "no section $heading";
    my @lines = grep { /^\|/ } split /\n/, $section;
    return map { /^\| *(.*?) *\|/ ? $1 : () } @lines[2 .. $#lines];    # without head and rule
}

my $payment = q{[{"cc_num": 4000000000000002, "trans_num": "p-%s", "amt": 1250, "merchant": "Nowhere Ltd", "category": "shopping_net",
  "lat": 40.71, "long": -74.01, "merch_lat": 34.05, "merch_long": -118.24, "city_pop": 8804190, "dob": "1980-05-17", "trans_date_trans_time": "2026-03-02 23:4%s:00"}]};

# ------------------------------------------------ the owner of a database, on a server without the preload
my $node = new_server('main', preload => 0, extension => 0);
$node->safe_psql('postgres', 'CREATE ROLE boss LOGIN; CREATE ROLE clerk LOGIN; CREATE DATABASE shop OWNER boss');

# Runs as the role; returns what it says, errors and warnings with it.
sub said
{
    my ($role, $sql) = @_;
    my ($out, $err) = ('', '');
    $node->psql('shop', $sql, stdout => \$out, stderr => \$err, extra_params => [ '-U', $role ], on_error_stop => 0);
    return "$out\n$err" =~ s/psql:<stdin>:\d+: //gr;
}

like(said('boss', 'CREATE EXTENSION fraud_detect'), qr/ERROR:  permission denied to create extension "fraud_detect"\nHINT:  Must be superuser/, 'who only owns the database installs nothing');
$node->safe_psql('shop', 'CREATE EXTENSION fraud_detect');
like(said('boss', "SELECT fraud.ingest('{}')"), qr/permission denied for schema fraud/, 'and may do nothing before he is given it');
$node->safe_psql('shop', "SELECT fraud.grant_access('boss', kind) FROM unnest('{score,ingest,analyst,scientist,operator,auditor,privacy}'::text[]) kind");

my @works = (
    [ 'payments: `fraud.ingest`, `fraud.assess`' => sprintf("SELECT status, decision IS NOT NULL FROM fraud.ingest('$payment');
        SELECT a.decision IS NOT NULL FROM fraud.customers c, fraud.assess(('$payment'::jsonb -> 0) - 'cc_num' || jsonb_build_object('card', c.card)) a", 1, 0, 3, 0), qr/^stored\|t\nt/ ],
    [ '`fraud_score`, `fraud_explain`, of any row' => "SELECT fraud_score(t) = t.score, (SELECT count(*) > 0 FROM fraud_explain(t)) FROM fraud.transactions t", qr/^t\|t/ ],
    [ 'histories: `fraud.load_history`, `fraud.simulate`' => 'SELECT fraud.simulate(30, 10, 20, seed => 7) > 1000', qr/^t/ ],
    [ 'labels, cases, rules, lists' => "SELECT fraud.label('p-1', true, 'chargeback') > 0, fraud.add_rule('big', 'amount > 1000', 'review') > 0; SELECT fraud.enforce_rule('big', 'seen')", qr/^t\|t/ ],
    [ 'alerts, in the commit of their payment' => sprintf("SELECT decision FROM fraud.ingest('$payment'); SELECT count(*) > 0 FROM fraud.alerts; SELECT status FROM fraud.cases LIMIT 1", 2, 1), qr/^review\nt\nopen/ ],
    [ 'models: import, promotion, rollback' => "SELECT fraud.import_model('payments', fraud.export_model('payments')); SELECT fraud.promote('payments', 2, reason => 'trial', override_gate => true); SELECT fraud.rollback('payments')", qr/^2\n/ ],
    [ 'feature sets over tables of his own, and `fraud.watch`' => q{CREATE SCHEMA own; CREATE TABLE own.orders (no int PRIMARY KEY, placed timestamptz NOT NULL, customer text, total numeric);
        SELECT fraud.create_feature_set('orders', 'own.orders', 'no', 'placed', create_indexes => true); SELECT fraud.add_feature('orders', 'total', 'total');
        SELECT fraud.add_window_feature('orders', 'sum_30d', 'sum', 'total', 'customer', '30 days');
        INSERT INTO own.orders VALUES (1, now() - interval '1 hour', 'a', 5), (2, now(), 'a', 6);
        SELECT fraud.materialize_features('orders', 'own.order_features'); SELECT fraud.features('orders', o) ->> 'sum_30d' FROM own.orders o ORDER BY no}, qr/\n2\n0\n5\n/ ],
    [ 'views, sums, reports' => "SELECT fraud.refresh_rollups() > 1000; SELECT sum(payments) > 1000 FROM fraud.daily_report; SELECT length(fraud.report_html('2026-03-02')) > 1000", qr/^t\nt\nt/ ],
    [ 'upkeep: `fraud.run_job`, by any scheduler' => "SELECT fraud.run_job('rollups'), fraud.run_job('partitions')", qr/^done\|done/ ],
    [ 'health, metrics, the audit log' => "SELECT status FROM fraud.health() WHERE item = 'library'; SELECT fraud.metrics() LIKE '%fraud_up%'; SELECT count(*) > 5 FROM fraud.audit_log", qr/^warning\nt\nt/ ],
    [ 'what customers may ask for: `fraud.customer_data`, `fraud.erase_customer`' => "SELECT fraud.customer_data(card) IS NOT NULL FROM fraud.customers LIMIT 1", qr/^t/ ],
    [ "settings that anybody sets, and those that he is given: `GRANT SET ON PARAMETER`" => "SELECT FROM fraud_explain(jsonb '{}', 'payments') LIMIT 0; SET fraud_detect.label_maturity = '2 d'; ALTER DATABASE shop SET fraud_detect.case_due = '2 d'; SET fraud_detect.case_due = '3 d'; SHOW fraud_detect.case_due", qr/^3d\n/ ]);
$node->safe_psql('shop', "GRANT SET ON PARAMETER fraud_detect.case_due TO boss");
my %works = map { $_->[0] => $_ } @works;
for my $case (@works)
{
    my ($what, $sql, $expected) = @$case;
    my $said = said('boss', $sql);
    ok($said =~ $expected && $said !~ /ERROR|FATAL|WARNING/, "without superuser and preload: $what") or diag($said);
}
is_deeply([ sort(rows_of('Without superuser')) ], [ sort map { $_->[0] } @works ], 'docs/hosting.md lists these and no others');

my @needs = (
    [ '`CREATE EXTENSION`, `ALTER EXTENSION … UPDATE`, `DROP EXTENSION`' => 'DROP EXTENSION fraud_detect', qr/must be owner of extension fraud_detect/ ],
    [ '`fraud.grant_access`, `fraud.revoke_access`' => "SELECT fraud.grant_access('clerk', 'ingest')", qr/permission denied/ ],
    [ '`fraud.rotate_card_key`, `fraud.destroy_card_key`, reading `fraud.card_keys`' => 'SELECT fraud.rotate_card_key(); SELECT * FROM fraud.card_keys', qr/permission denied for function rotate_card_key.*permission denied for table card_keys/s ],
    [ 'settings marked *superuser*, until they are given; those marked *reload* and *restart*' => "SELECT fraud.base_currency(); SET fraud_detect.max_future = '1 h'; SET fraud_detect.poll_timeout = '1 min'", qr/permission denied to set parameter "fraud_detect.max_future".*parameter "fraud_detect.poll_timeout" cannot be changed now/s ],
    [ '`fraud.follow_publication`' => "SELECT fraud.follow_publication()", qr/permission denied/ ]);
for my $case (@needs)
{
    my ($what, $sql, $expected) = @$case;
    like(said('boss', $sql), $expected, "for the superuser: $what");
}
is_deeply([ sort(rows_of('For the superuser alone')) ], [ sort('a dump of the whole (`pg_dump`), until `pg_read_all_data` is given', map { $_->[0] } @needs) ], 'docs/hosting.md lists these and no others');

my @dump = ('pg_dump', '-h', $node->host, '-p', $node->port, '-U', 'boss', '-f', "$PostgreSQL::Test::Utils::tmp_check/shop.sql", 'shop');
command_fails_like(\@dump, qr/permission denied for table/, 'a dump needs to read all');
$node->safe_psql('shop', 'GRANT pg_read_all_data TO boss');
command_ok(\@dump, 'and is had by who may');

# --------------------------------------------------------------------- without the preload
my @without = (
    [ 'sources are polled' => "SELECT fraud.add_source('api', 'https://payments.example/current')", qr/WARNING:  nothing is polled or sent: fraud_detect is not in shared_preload_libraries\nHINT:  Add it/ ],
    [ 'channels, webhooks, e-mail and `LISTEN` are told' => "SELECT fraud.add_channel('ops', 'notify', 'ops')", qr/WARNING:  nothing is polled or sent: .*\nHINT:  Add it/ ],
    [ '`fraud.train`' => "SELECT fraud.train('payments', 'payments', train_from => now() - interval '60 days', train_to => now() - interval '20 days', test_from => now() - interval '10 days', test_to => now())",
        qr/ERROR:  nothing is trained: fraud_detect is not in shared_preload_libraries\nHINT:  Add it/ ],
    [ 'one copy of a model for all sessions' => "SELECT bool_or(shared) FROM fraud.model_memory", qr/^(f?)\n/ ]);
for my $case (@without)
{
    my ($what, $sql, $expected) = @$case;
    like(said('boss', $sql), $expected, "not without the preload, and it says so: $what");
}
is_deeply([ sort(rows_of('Without the preload')) ], [ sort map { $_->[0] } @without ], 'docs/hosting.md lists these and no others');
is($node->safe_psql('shop', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'fraud_detect%'"), '0', 'no process of ours runs');
is($node->safe_psql('shop', 'SELECT count(*) > 0 FROM fraud.outbox'), 't', 'what nobody sends stays in the outbox');

# ------------------------------------------------------------ a control file that was changed
# A copy of the installation, since the control file lies in it: programs are copied (they find their
# files from where they are), all else is linked.
sub altered_installation
{
    my ($name, $control) = @_;
    my $root = PostgreSQL::Test::Utils::tempdir();
    my %place = map { chomp(my $path = `"$ENV{PG_BIN}/pg_config" --$_`); ($_ => $path) } qw(bindir sharedir pkglibdir);
    # A copied pg_config answers for where it lies; what is the same before all three is left out.
    my @common = split m{/}, $place{bindir};
    for my $path (values %place)
    {
        my @parts = split m{/}, $path;
        my $same = 0;
        $same++ while $same < @common && $same < @parts && $common[$same] eq $parts[$same];
        splice @common, $same;
    }
    my $common = join '/', @common;
    my %copy = map { $_ => $root . substr($place{$_}, length $common) } keys %place;
    system('mkdir', '-p', $copy{bindir}, "$copy{sharedir}/extension", dirname($copy{pkglibdir})) == 0 or die;
    system("cp '$place{bindir}'/* '$copy{bindir}/'") == 0 or die;
    symlink($place{pkglibdir}, $copy{pkglibdir}) or die "$copy{pkglibdir}: $!";
    for my $path (glob "$place{sharedir}/*")
    {
        symlink($path, "$copy{sharedir}/" . basename($path)) unless basename($path) eq 'extension';
    }
    symlink($_, "$copy{sharedir}/extension/" . basename($_)) for grep { !/fraud_detect\.control$/ } glob "$place{sharedir}/extension/*";
    my $text = slurp_file("$place{sharedir}/extension/fraud_detect.control");
    $text =~ s/^$_ *=.*\n//m, $text .= "$_ = $control->{$_}\n" for keys %$control;
    append_to_file("$copy{sharedir}/extension/fraud_detect.control", $text);
    # Programs may look for their libraries beside themselves, too.
    my ($libraries) = `ldd "$place{bindir}/psql"` =~ m{^\s*libpq\S* => (\S+)/}m;
    $ENV{LD_LIBRARY_PATH} = join ':', grep { defined } $libraries, $ENV{LD_LIBRARY_PATH};
    my $altered = PostgreSQL::Test::Cluster->new($name, install_path => dirname($copy{bindir}));
    $altered->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
    $altered->start;
    $altered->safe_psql('postgres', 'CREATE ROLE boss LOGIN; CREATE DATABASE shop OWNER boss');
    return $altered;
}

for my $case ([ trusted => { trusted => 'true' } ], [ humble => { superuser => 'false' } ])
{
    my ($name, $control) = @$case;
    my $altered = altered_installation($name, $control);
    my $err = '';
    $altered->psql('shop', 'CREATE EXTENSION fraud_detect', stderr => \$err, extra_params => [ '-U', 'boss' ]);
    like($err, qr/ERROR:  fraud_detect is installed by a superuser, and role "boss" is none\nDETAIL:  .*superuser = true and trusted = false.*\nHINT:  Have a superuser call CREATE EXTENSION/,
        "$name: refused, with the reason");
    is($altered->safe_psql('shop', "SELECT count(*) FROM pg_namespace WHERE nspname = 'fraud'"), '0', "$name: nothing is left of it");
    $altered->safe_psql('shop', 'CREATE EXTENSION fraud_detect');
    is($altered->safe_psql('shop', "SELECT count(*) FROM pg_extension WHERE extname = 'fraud_detect'"), '1', "$name: a superuser installs it all the same");
    $altered->stop;
}

done_testing();
