# A dump is restored in whatever order, side by side or in parts, and all tables are as they were;
# what is missing is told.
use strict;
use warnings;

use FraudDetect;
use List::Util qw(shuffle);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_server('main');
sub value { return $node->safe_psql($_[1] // 'postgres', $_[0]) }

# ------------------------------------------------------------ what there is
value("SELECT fraud.simulate(40, 20, 60, starts_at => '2024-01-01 00:00:00+00')");
value("SELECT fraud.set_currency_rate('SEK', 0.1, '2020-01-01')");
value("SELECT fraud.add_payment_field('device', 'text', '\$.device.id', index => true)");
value("SELECT fraud.promote('payments', 1, review_at => 0, block_at => 0.5, reason => 'strict', override_gate => true)");
value("SELECT fraud.add_to_list('block_device', 'd-5', reason => 'stolen')");
value("SELECT fraud.add_rule('large', 'amount > 1000 AND merchant_category IS NOT NULL', 'tag', tag => 'large')");
value("SELECT fraud.alter_rule('large', 'amount > 1', mode => 'enforce'), fraud.snooze('rule', 'block_device', now() + interval '1000 days', 'looked into')");
for my $n (1 .. 6)
{
    my $payment = payment(trans_num => qq("t-$n"), cc_num => 4000000000000002, current_time => 1700000000000 + $n * 1000,
        device => qq({"id": "d-$n"}));
    value("SELECT * FROM fraud.ingest('$payment')");
}
value(q(SELECT * FROM fraud.ingest('{"trans_num": "broken"}')));
value("SELECT fraud.label('t-1', true, 'chargeback')");
value("SELECT fraud.label('t-2', true, 'analyst')");
value("SELECT fraud.refresh_rollups()");
value("SELECT fraud.label('t-2', false, 'analyst')");
value("SELECT fraud.acknowledge_case(case_id, 'looked at') FROM fraud.cases ORDER BY case_id LIMIT 1");
value("SELECT fraud.import_model('payments', fraud.export_model('payments/1'), 'again')");
value("SELECT fraud.import_model('payments', fraud.export_model('payments/1'), 'and again')");
value("SELECT fraud.promote('payments', 2, 'challenger', 'a second one')");
value("SELECT fraud.tag_version('payments', 2, '{\"team\": \"cards\"}')");
value("SELECT fraud.delete_version('payments', 3)");
value("SELECT fraud.import_model('other', fraud.export_model('payments/1'), 'of another name')");
# The set that comes with the extension, changed: a feature and a category more.
value("SELECT fraud.add_feature('payments', 'device_known', '(device IS NOT NULL)::int')");
value("SELECT fraud.add_window_feature('payments', 'device_count', 'count', NULL, 'device', '1 day')");
value("SELECT fraud.add_categories('payments', 'category', '{a_new_one}')");
value(q{
    CREATE SCHEMA shop;
    CREATE TABLE shop.orders (no int PRIMARY KEY, placed timestamptz NOT NULL, customer text, total numeric, channel text);
    INSERT INTO shop.orders SELECT i, timestamptz '2026-01-01' + i * interval '1 hour', 'c' || i % 5, i % 90, 'ch' || i % 3 FROM generate_series(1, 200) i;
    SELECT fraud.create_feature_set('orders', 'shop.orders', 'no', 'placed', label => 'no % 4 = 0');
    SELECT fraud.add_feature('orders', 'half', 'total / 2');
    SELECT fraud.add_feature('orders', 'channel', 'channel');
    SELECT fraud.add_window_feature('orders', 'sum_1d', 'sum', 'total', 'customer', '1 day');
});
my $run = value(q{SELECT fraud.train('orders', 'orders', '{"num_boost_round": 4}', train_from => '2026-01-01', train_to => '2026-01-06',
    validation_from => '2026-01-06', validation_to => '2026-01-08', search => '{"max_depth": [2, 3]}', trials => 2)});
is(value("SELECT fraud.wait_for_training($run, '3 min')"), 'succeeded', 'a model is trained');
value("SELECT fraud.promote('orders', 1, review_at => 0, block_at => 1)");
value("SELECT fraud.watch('orders', entity => 'customer', amount => 'total')");
# Rules of the stream, one with a function of somebody's own, one with a list.
value(q{
    CREATE FUNCTION shop.much(numeric) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 >= 40';
    SELECT fraud.add_rule('much', 'shop.much(total)', 'block', 'orders for {total}', mode => 'enforce', stream => 'orders');
    SELECT fraud.create_list('regulars', 'customer', stream => 'orders');
    SELECT fraud.add_to_list('regulars', 'c3', reason => 'known for years');
    SELECT fraud.add_rule('regular', 'fraud.in_list(''regulars'', customer)', 'allow', mode => 'enforce', stream => 'orders');
});
value("INSERT INTO shop.orders SELECT i, timestamptz '2026-02-01' + i * interval '1 hour', 'c' || i % 5, 40, 'ch1' FROM generate_series(201, 203) i");
is(value("SELECT string_agg(decision, ',' ORDER BY decision_id) FROM fraud.stream_decisions"), 'block,block,approve', 'rules of a stream decide');
value("SELECT fraud.label_event('orders', '203', true)");
value("SELECT fraud.add_source('api', 'http://127.0.0.1:1/', headers => '{\"X-Api-Key\": \"k\"}')");
value("SELECT fraud.add_channel('desk', 'webhook', 'http://127.0.0.1:1/')");
value("SELECT fraud.hold_customer(card, 'a court') FROM fraud.customers ORDER BY card LIMIT 1");
value('CREATE ROLE clerk');
value("SELECT fraud.grant_access('clerk', 'analyst')");
value("SELECT fraud.close_day(date '2024-02-01')");

# From here on nothing moves: without the workers.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
is(value('SELECT count(*) FROM fraud.check_restore()'), '0', 'nothing is missing of what was never restored');

# Not carried, or added to: what workers note for themselves, the log, to which restored labels
# come once more, and the keys that CREATE EXTENSION made, beside the old ones.
my $apart = join '|', qw(locks home builtin_rows held_customers poll_requests source_counts source_field_counts source_state channel_state training_queue
  job_state job_skips sweeps health_states health_told health_marks source_samples changes changes_[0-3] change_ids change_slot change_slots change_mark
  folding months card_keys id_keys);
my $digests = $answers . qq{
    SELECT c.oid::regclass, pg_temp.answer(format(
        'SELECT count(*) || '' rows, '' || md5(coalesce(string_agg(%1\$s::text, E''\\n'' ORDER BY %1\$s::text COLLATE "C"), '''')) AS d FROM %2\$s t',
        CASE relkind WHEN 'S' THEN 'row(last_value, is_called)' ELSE 'row(t.*)' END, c.oid::regclass))
    FROM pg_class c WHERE relnamespace IN ('fraud'::regnamespace, 'shop'::regnamespace) AND relkind IN ('r', 'S') AND relname !~ '^($apart)\$'
};
sub tables { return { map { split /\|/ } split /\n/, value($digests, $_[0]) } }
my $before = tables('postgres');
my @full = grep { $before->{$_} !~ /^0 rows/ } sort keys %$before;
for my $table (qw(transactions_2024_01 labels case_states case_history feature_categories promotions training_trials channels sources inbox payment_fields
    rules rule_versions rule_history rule_sets rule_matches stream_rule_matches lists list_entries snoozes
    stream_decisions event_labels rollups daily_reports deleted_versions version_tags currency_rates customer_holds audit_log))
{
    next if $table eq 'inbox';
    ok((grep { $_ eq "fraud.$table" } @full), "fraud.$table has rows to compare");
}

# ------------------------------------------------------------- ways to restore
my $dump = $node->basedir . '/dump';
my $directory = $node->basedir . '/directory';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
$node->command_ok([ 'pg_dump', '-Fd', '-j', '4', '-f', $directory, $node->connstr('postgres') ], 'pg_dump into a directory, side by side');
is_deeply(tables('postgres'), $before, 'which changes nothing');

my $copies = 0;
sub copy { my $name = 'copy' . ++$copies; value("CREATE DATABASE $name"); return $name }
sub restore { my ($copy, $what, @options) = @_; $node->command_ok([ 'pg_restore', '-d', $node->connstr($copy), @options ], $what) }
sub as_before
{
    my ($copy, $what) = @_;
    is_deeply(tables($copy), $before, "$what: every table is as it was");
    is(value('SELECT relation, detail FROM fraud.check_restore()', $copy), '', "$what: nothing is missing");
    is(value("SELECT status FROM fraud.health() WHERE item = 'restore'", $copy), 'ok', "$what: and health says so");
    is(value("SELECT string_agg(status, ',') FROM fraud.ingest('" . payment(trans_num => '"t-1"', current_time => 1700000001000, device => '{"id": "d-1"}') . "')", $copy), 'duplicate', "$what: cards and payments are known");
    is(value("SELECT string_agg(status, ',') FROM fraud.ingest('" . payment(trans_num => '"t-new"', current_time => 1700000900000, device => '{"id": "d-5"}') . "')", $copy), 'stored', "$what: and payments go on");
    is(value("SELECT string_agg(concat_ws(' ', rule, version, enforced, decision), ', ' ORDER BY rule) FROM fraud.rule_matches WHERE transaction_id = 't-new'", $copy),
        'block_device 1 t block, large 2 t block', "$what: by their rules");
    value("INSERT INTO shop.orders VALUES (301, '2026-03-01', 'c1', 40, 'ch1'), (302, '2026-03-01', 'c3', 40, 'ch1')", $copy);
    is(value("SELECT string_agg(concat_ws(' ', event_id, rule, decision, error), ', ' ORDER BY event_id, rule) FROM fraud.stream_rule_matches WHERE event_id ~ '^30'", $copy),
        '301 much block, 302 much approve, 302 regular approve', "$what: events of a stream too");
    my $scores = "SELECT md5(string_agg(fraud_score(t)::text, ' ' ORDER BY transaction_id, card)) FROM fraud.transactions t WHERE transaction_id <> 't-new'";
    is(value($scores, $copy), value($scores), "$what: with the same scores");
    value('SELECT fraud.refresh_rollups()', $copy);
    is(value("SELECT md5(string_agg(d::text, '' ORDER BY day)) FROM fraud.daily_report d WHERE day < '2023-11-14' OR day >= '2023-11-15'", $copy),
        value("SELECT md5(string_agg(d::text, '' ORDER BY day)) FROM fraud.daily_report d WHERE day < '2023-11-14' OR day >= '2023-11-15'"), "$what: the days are reported alike");
    value("DROP DATABASE $copy");
}

my $copy = copy();
restore($copy, 'jobs', '--jobs', '8', $dump);
as_before($copy, 'eight jobs');

$copy = copy();
restore($copy, 'from a directory', '--jobs', '8', $directory);
as_before($copy, 'eight jobs from a directory');

$copy = copy();
restore($copy, $_, '--jobs', '4', "--section=$_", $dump) for qw(pre-data data post-data);
as_before($copy, 'by section');

$copy = copy();
restore($copy, 'the schema', '--schema-only', '--section=pre-data', $dump);
restore($copy, 'the data', '--data-only', '--jobs', '4', $dump);
restore($copy, 'the rest', '--section=post-data', $dump);
as_before($copy, 'schema, then data');

# Into the extension as somebody has made it, who has looked at it and scored with it.
for my $way ([], ['--inserts', '--rows-per-insert=7'])
{
    my $plain = $node->basedir . '/plain.sql';
    $node->command_ok([ 'pg_dump', @$way, '-f', $plain, $node->connstr('postgres') ], "pg_dump, plain @$way");
    $copy = copy();
    value("CREATE EXTENSION fraud_detect; SELECT * FROM fraud.assess('" . payment() . "')", $copy);
    $node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $plain, $node->connstr($copy) ], 'psql takes it');
    as_before($copy, "plain @$way");
}

# One table's data at a time, in any order: three of them, told with their seed.
my ($list) = run_command([ 'pg_restore', '-l', $dump ]);
my @data = grep { /^\d+; .* (TABLE DATA|SEQUENCE SET) / } split /\n/, $list;
cmp_ok(scalar(@data), '>', 60, 'there are tables to put in order');
for my $seed (0, 7, 8)
{
    srand $seed;
    my @order = $seed ? shuffle(@data) : reverse @data;
    my $file = $node->basedir . "/order-$seed";
    append_to_file($file, join "\n", @order, '');
    $copy = copy();
    restore($copy, 'before the data', '--section=pre-data', $dump);
    restore($copy, "in another order ($seed)", '--exit-on-error', '-L', $file, $dump);
    restore($copy, 'after the data', '--section=post-data', $dump);
    as_before($copy, "in another order ($seed)");
}

# With the workers there from the start.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'fraud_detect'\nfraud_detect.allowed_hosts = ''");
$node->restart;
$copy = copy();
value('CREATE EXTENSION fraud_detect', $copy);
ok($node->poll_query_until('postgres', "SELECT count(*) > 1 FROM pg_stat_activity WHERE datname = '$copy' AND backend_type LIKE 'fraud_detect%'"), 'workers are there');
restore($copy, 'before the data', '--section=pre-data', $dump);
# What a worker would fold: many labels, and a state of the sums, which are not there yet.
my $early = $node->basedir . '/early';
append_to_file($early, join "\n", (grep { / (labels|payment_keys|rollup_state|models) / } @data), '');
my $later = $node->basedir . '/later';
append_to_file($later, join "\n", (grep { !/ (labels|payment_keys|rollup_state|models) / } @data), '');
restore($copy, 'labels, and when the sums were made', '-L', $early, $dump);
value("INSERT INTO fraud.labels (card, transaction_id, is_fraud, source, known_at) SELECT gen_random_uuid(), 'l-' || i, true, 'payload', now() FROM generate_series(1, 21000) i", $copy);
$node->reload;
usleep(3_000_000);
is(value('SELECT count(*) >= 21000 FROM fraud._log', $copy), 't', 'a worker folds nothing while sums are to come');
is(value('SELECT fraud._is_being_restored()', $copy), 't', 'since it sees that');
value("BEGIN; SET LOCAL session_replication_role = replica; DELETE FROM fraud.labels WHERE transaction_id ~ '^l-'; DELETE FROM fraud.changes WHERE transaction_id ~ '^l-'; COMMIT", $copy);
restore($copy, 'eight jobs beside them', '--jobs', '8', '-L', $later, $dump);
restore($copy, 'after the data', '--section=post-data', '--jobs', '4', $dump);
is(value('SELECT fraud._is_being_restored()', $copy), 'f', 'and when it is over');
as_before($copy, 'eight jobs, beside workers');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;

# ----------------------------------------------------------- what is missing
$copy = copy();
restore($copy, 'before the data', '--section=pre-data', $dump);
my $file = $node->basedir . '/parts';
append_to_file($file, join "\n", (grep { !/ (feature_definitions|models|customers|rollups|training_runs|audit_log_audit_id_seq) / } @data), '');
restore($copy, 'not all tables', '-L', $file, $dump);
my $missing = value('SELECT relation, detail FROM fraud.check_restore() ORDER BY 1, 2', $copy);
like($missing, qr/^fraud.feature_definitions\|has the rows of CREATE EXTENSION/m, 'rows that have not given way are named');
like($missing, qr/^fraud.feature_definitions\|has no feature of the feature set "orders"/m, 'a set without features');
like($missing, qr/^fraud.models\|has no model "other"/m, 'a model without its name');
like($missing, qr/^fraud.customers\|lacks what \d+ rows of fraud.transactions belong to/m, 'payments without customers');
like($missing, qr/^fraud.training_runs\|lacks what \d+ rows of fraud.training_trials/m, 'trials without their run');
like($missing, qr/^fraud.rollups\|has no sums/m, 'payments without sums');
like($missing, qr/^fraud.transactions_2024_01\|has no primary key/m, 'months without indexes');
like($missing, qr/^fraud.audit_log_audit_id_seq\|has come to \d+, and fraud.audit_log to/m, 'numbers that would be given twice');
my $health = value("SELECT status, detail, advice FROM fraud.health() WHERE item = 'restore'", $copy);
like($health, qr/^error\|fraud\..*; and \d+ more\|SELECT \* FROM fraud.check_restore\(\)/, 'health says it');
restore($copy, $_, '--data-only', '-n', 'fraud', '-t', $_, $dump) for qw(feature_definitions models customers rollups training_runs audit_log_audit_id_seq);
restore($copy, 'after the data', '--section=post-data', $dump);
as_before($copy, 'what was missing comes table by table');

# Data alone, into an extension that has no months; and all but the first month.
$copy = copy();
value('CREATE EXTENSION fraud_detect', $copy);
$node->command_fails([ 'pg_restore', '-d', $node->connstr($copy), '--data-only', '-n', 'fraud', $dump ], 'data without months');
$missing = value('SELECT relation, detail FROM fraud.check_restore() ORDER BY 1, 2', $copy);
like($missing, qr/^fraud.transactions\|has no payment, and fraud.payment_keys has some/m, 'payments that are all missing');
like($missing, qr/^fraud.transactions\|lacks what \d+ rows of fraud.payment_keys belong to/m, 'and how many');
is(value("SELECT status FROM fraud.health() WHERE item = 'restore'", $copy), 'error', 'which is an error of health');
value("DROP DATABASE $copy");
$copy = copy();
my ($list) = run_command([ 'pg_restore', '-l', $dump ]);
my ($first) = sort $list =~ /(transactions_\d{4}_\d\d) /g;
append_to_file("$file.first", join "\n", (grep { !/ $first/ } split /\n/, $list), '');
restore($copy, 'all but the first month', '-L', "$file.first", $dump);
like(value('SELECT relation, detail FROM fraud.check_restore()', $copy), qr/^fraud.transactions\|lacks what \d+ rows of fraud.payment_keys belong to$/m, 'a month before those that are there is missed, too');
value("DROP DATABASE $copy");

# ------------------------------------ a set that comes with the extension, emptied
value("SELECT fraud.import_model('payments', '" . stump('amount', 30) . "'::bytea)");
value("SELECT fraud.promote('payments', 4, review_at => 0.9, block_at => 1, override_gate => true, reason => 'one feature'), fraud.promote('payments', 4, 'challenger', 'the same')");
value("SELECT fraud.drop_feature('payments', feature) FROM fraud.feature_definitions WHERE feature_set = 'payments' AND feature <> 'amount'");
is(value("SELECT count(*) FROM fraud.feature_categories WHERE feature_set = 'payments'"), '0', 'a feature takes its categories along');
value("SELECT fraud.create_feature_set('gone', 'shop.orders', 'no', 'placed'); SELECT fraud.add_feature('gone', 'c', 'channel'); SELECT fraud.drop_feature_set('gone')");
is(value("SELECT (SELECT count(*) FROM fraud.feature_definitions WHERE feature_set = 'gone') + (SELECT count(*) FROM fraud.feature_categories WHERE feature_set = 'gone')"), '0', 'and a set its features');
unlink $dump;
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'pg_dump again');
$before = tables('postgres');
$copy = copy();
restore($copy, 'jobs', '--jobs', '8', $dump);
as_before($copy, 'a set of one feature');

done_testing();
