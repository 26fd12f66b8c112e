# Where no worker may run: under pg_upgrade, which trusts that nobody writes, and in a server
# of a single user. FRAUD_UPGRADE_FROM names the place of an older PostgreSQL with the extension,
# such as /usr/lib/postgresql/15, that the cluster comes from; it is the tests' own otherwise.
use strict;
use warnings;

use FraudDetect;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $payments = PostgreSQL::Test::Utils::tempdir() . '/payments.ndjson';
# Enough for twenty minutes: they must go on after all that is done here, on a slow machine too.
system("$ENV{FRAUD_TREE}/build/simulate --customers 60 --merchants 20 --days 60 > $payments") == 0
  or die "simulate failed";
my $api = start_api('--payments', $payments, '--tick', '0.3', '--per-tick', '2', '--overlap', '100000');

# The postmaster says so when it starts a worker, and names it.
my $conf = "fraud_detect.tile_threshold = 300\nfraud_detect.ingest_batch_size = 1\nlog_min_messages = debug1\n";
my $starts = qr/(starting|registering) background worker.*fraud_detect/;
my $from = $ENV{FRAUD_UPGRADE_FROM};
# Both clusters have checksums, or both have none; what is the default changed with PostgreSQL 18.
my $checksums = '--data-checksums';
my $old = new_server('old', conf => $conf, init => { extra => [ '--encoding=UTF8', '--locale=C', $checksums ] },
    $from ? (install_path => $from) : ());
note('from ' . value($old, 'SHOW server_version') . ' to ' . `pg_config --version`);
sub value { my ($node, $query, $database) = @_; return $node->safe_psql($database // 'postgres', $query) }

value($old, "SELECT fraud.simulate(30, 2, 20, starts_at => '2024-12-12 00:00:00+00')");
value($old, "SELECT fraud.promote('payments', 1, review_at => 0.001)");
value($old, q{
    CREATE ROLE clerk;
    SELECT fraud.grant_access('clerk', 'analyst');
    CREATE TABLE orders (no int PRIMARY KEY, placed timestamptz NOT NULL, customer text, total numeric);
    INSERT INTO orders SELECT i, timestamptz '2026-01-01' + i * interval '1 hour', 'c' || i % 5, i % 90 FROM generate_series(1, 200) i;
    SELECT fraud.create_feature_set('orders', 'orders', 'no', 'placed');
    SELECT fraud.add_window_feature('orders', 'sum_1d', 'sum', 'total', 'customer', '1 day');
    SELECT fraud.add_channel('desk', 'webhook', 'http://127.0.0.1:9/');
    CREATE FUNCTION much(numeric) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 >= 80';
    SELECT fraud.import_model('orders', '}.stump('sum_1d', 1e9).q{'::bytea);
    SELECT fraud.promote('orders', 1, review_at => 0.5, block_at => 0.9);
    SELECT fraud.watch('orders', entity => 'customer', amount => 'total');
    SELECT fraud.add_rule('much', 'public.much(total)', 'block', 'an order for {total}', mode => 'enforce', stream => 'orders');
    SELECT fraud.add_rule('much_paid', 'public.much(amount)', 'review', mode => 'enforce');
    SELECT fraud.add_to_list('allow_customer', 'account:17', reason => 'a friend');
    INSERT INTO orders VALUES (201, '2026-02-01', 'c1', 90);
    CREATE DATABASE second;
    CREATE DATABASE stencil;
});
value($old, 'CREATE SCHEMA detection; CREATE EXTENSION fraud_detect SCHEMA detection', 'second');
value($old, 'CREATE EXTENSION fraud_detect', 'stencil');
value($old, 'ALTER DATABASE stencil IS_TEMPLATE true');
my $source = "'$api->{url}/current-transactions', poll_interval => '1 s'";
value($old, "SELECT fraud.add_source('live', $source)");
value($old, "SELECT fraud.add_source('live', $source)", 'second');
ok($old->poll_query_until($_, 'SELECT count(*) > 20 FROM fraud.transactions WHERE source = \'live\''), "$_: payments flow") for qw(postgres second);
like(slurp_file($old->logfile), $starts, 'a server of many users logs the start of a worker');

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init(extra => [ '--encoding=UTF8', '--locale=C', $checksums ]);
$new->append_conf('postgresql.conf', "max_worker_processes = 32\ntimezone = 'UTC'\nshared_preload_libraries = 'fraud_detect'\nfraud_detect.allowed_hosts = '*, 127.0.0.1'\nfraud_detect.max_age = 0\n$conf");
chdir $new->basedir or die $!;
my @upgrade = ('pg_upgrade', '--no-sync', '--retain', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $from ? "$from/bin" : $ENV{PG_BIN}, '-B', $ENV{PG_BIN},
    '-s', $new->host, '-p', $old->port, '-P', $new->port);

# What a person does first, beside the server at work.
command_ok([ @upgrade, '--check' ], 'pg_upgrade --check finds nothing to complain about');
my $stored = value($old, 'SELECT count(*) FROM fraud.transactions');
ok($old->poll_query_until('postgres', "SELECT count(*) > $stored FROM fraud.transactions"), 'payments go on beside it');

# How often the payment API was asked.
sub requests { return decode_json(HTTP::Tiny->new->get("$api->{url}/requests")->{content})->{"/current-transactions"} }

# The tables of a server, without the workers in it.
sub tables
{
    my ($node) = @_;
    $node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
    $node->start;
    my %tables;
    for my $database (qw(postgres second))
    {
        # How many numbers of a sequence are in memory is nobody's business.
        for my $line (split /\n/, value($node, $answers . q{
            SELECT c.oid::regclass, pg_temp.answer(format(
                'SELECT count(*) || '' rows, '' || md5(coalesce(string_agg(%1$s::text, E''\n'' ORDER BY %1$s::text COLLATE "C"), '''')) AS d FROM %2$s t',
                CASE relkind WHEN 'S' THEN 'row(last_value, is_called)' ELSE 'row(t.*)' END, c.oid::regclass))
            FROM pg_class c WHERE relnamespace IN ('fraud'::regnamespace, 'public'::regnamespace) AND relkind IN ('r', 'S')
        }, $database))
        {
            my ($table, $digest) = split /\|/, $line;
            $tables{"$database: $table"} = $digest;
        }
    }
    $node->stop;
    $node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'fraud_detect'");
    return \%tables;
}

$old->stop;
my $before = tables($old);
cmp_ok(scalar(keys %$before), '>=', 100, 'there are tables to compare');

my $asked = requests();
cmp_ok($asked, '>', 0, 'the payment API counts how often it is asked');
command_ok(\@upgrade, 'pg_upgrade');
is(requests(), $asked, 'meanwhile the payment API is asked for nothing');
my $logs = join '', map { slurp_file($_) } glob($new->data_dir . '/pg_upgrade_output.d/*/log/pg_upgrade_server*.log');
like($logs, qr/starting PostgreSQL/, "the servers of pg_upgrade have left their logs");
unlike($logs, $starts, 'no worker of ours ran in them');

is_deeply(tables($new), $before, 'every table and sequence is as it was before');

# The workers are back.
$new->start;
for my $database (qw(postgres second))
{
    my $had = $before->{"$database: fraud.payment_keys"} =~ s/ .*//r;
    ok($new->poll_query_until($database, "SELECT count(*) > $had + 20 FROM fraud.transactions"), "$database: payments go on");
    is(value($new, 'SELECT count(*) - count(DISTINCT transaction_id) FROM fraud.transactions', $database), '0', 'none is stored twice');
    is( value($new,
            "SELECT count(*) FROM fraud.transactions t FULL JOIN fraud.payment_keys k USING (card, transaction_id, occurred_at)"
              . " WHERE t.transaction_id IS NULL OR k.transaction_id IS NULL", $database),
        '0', 'and none is half there');
}
SKIP:
{
    skip 'the server comes without amcheck', 1 if value($new, "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'") eq '0';
    $new->command_ok([ 'pg_amcheck', '--install-missing', '--heapallindexed', '-d', 'postgres', '-d', 'second' ], 'neither tables nor indexes are corrupt');
}
is(value($new, "SELECT has_table_privilege('clerk', 'fraud.transactions', 'SELECT')"), 't', 'rights are carried');
value($new, "SELECT fraud.materialize_features('orders', 'order_features')");
is(value($new, 'SELECT count(*) FROM order_features'), '201', 'a feature set finds its table');
# Months have other transaction ids, and triggers other oids: tiles are made anew, once.
cmp_ok(value($new, "SELECT fraud.request_tiles('payments')"), '>', 0, 'merchants may have tiles');
ok($new->poll_query_until('postgres', "SELECT count(*) > 0 AND bool_and(covered_to > covered_from) FROM fraud.tile_status WHERE feature_set = 'payments'"), 'and have them');
is(value($new, "SELECT count(*) FROM pg_inherits i LEFT JOIN fraud.months m ON m.partition = i.inhrelid AND m.attached = i.xmin AND m.file = pg_relation_filenode(i.inhrelid) WHERE i.inhparent = 'fraud.transactions'::regclass AND m.partition IS NULL"), '0', 'months are known');
is(value($new, "SELECT count(*) FROM fraud.verify_parity('payments', 100)"), '0', 'and windows are right');
# Functions have other numbers in the new cluster; rules go by their names.
value($new, "INSERT INTO orders VALUES (202, '2026-03-01', 'c1', 90), (203, '2026-03-01', 'c1', 10)");
is( value($new, "SELECT string_agg(concat_ws(' ', d.event_id, d.decision, m.rule, m.error), ', ' ORDER BY d.decision_id)"
      . " FROM fraud.stream_decisions d LEFT JOIN fraud.stream_rule_matches m USING (stream, decision_id)"),
    '201 block much, 202 block much, 203 approve', 'rules of a stream decide as before');
is(value($new, "SELECT decision || ' ' || reasons[1] FROM fraud.assess('" . payment(trans_num => '"much"', amt => 90) . "')"), 'review rule much_paid', 'and those of payments');
ok($new->poll_query_until('postgres', "SELECT count(*) > 0 FROM fraud.rule_matches WHERE rule = 'much_paid' AND matched_at > pg_postmaster_start_time()"), 'the feed meets them, too');
is(value($new, "SELECT count(*) FROM fraud.rule_matches WHERE error IS NOT NULL"), '0', 'none fails');
# Autovacuum goes everywhere, and makes way.
is(value($new, "SELECT count(*) FROM pg_stat_activity a JOIN pg_database d ON d.oid = a.datid WHERE d.datistemplate AND a.backend_type <> 'autovacuum worker'"), '0', 'no session disturbs a template');

# ------------------------------------------------------- a server of one user
$new->stop;
sub single_user
{
    my ($sql) = @_;
    my ($out, $err) = ('', '');
    # Statements end with a line here, and DROP DATABASE waits for no worker.
    my $done = IPC::Run::run([ 'postgres', '--single', '-j', '-D', $new->data_dir, 'postgres' ], '<', \$sql, '>', \$out, '2>', \$err,
        IPC::Run::timeout(120));
    ok($done, 'a server of one user ends well') or diag($err);
    unlike($err, $starts, 'and starts no worker');
    return $out . $err;
}
my $payment = payment(trans_num => '"single"', current_time => 1700000000000);
my $said = single_user("SELECT status FROM fraud.ingest('$payment');\n\nDROP DATABASE second;\n\nSELECT count(*) AS workers FROM fraud.source_status WHERE state = 'ok';\n\n");
like($said, qr/status = "stored"/, 'payments can be stored in it');
$new->start;
is(value($new, "SELECT count(*) FROM fraud.transactions WHERE transaction_id = 'single'"), '1', 'and stay');
is(value($new, "SELECT count(*) FROM pg_database WHERE datname = 'second'"), '0', 'a database is dropped there too');

done_testing();
