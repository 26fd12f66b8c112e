# XGBoost elsewhere and here: categories from declaration to score, models that were
# trained outside on an exported matrix, and XGBoost's own predictions of all of them.
use strict;
use warnings;

use FraudDetect;
use MIME::Base64;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main');
my $dir = PostgreSQL::Test::Utils::tempdir;
my $elsewhere = "$ENV{FRAUD_TREE}/build/elsewhere";

sub value { return $node->safe_psql('postgres', $_[0]) }

sub refused
{
    my ($sql, $pattern, $name) = @_;
    my ($status, $out, $error) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
    like($error, $pattern, $name);
}

# Fraud depends on categories: on some channels at night, on some of many shops.
value(q{
    CREATE TABLE purchases (no bigint PRIMARY KEY, at timestamptz, buyer int, channel text, shop text, total numeric, bad boolean);
    INSERT INTO purchases
    SELECT i, timestamptz '2026-01-01' + i * interval '3 minutes', i * 7919 % 300,
           CASE WHEN i % 50 <> 0 THEN (ARRAY['web', 'app', 'mail', 'phone'])[1 + i * 104729 % 4] END, 'shop ' || i * 15485863 % 40,
           (i * 32452843 % 10000) / 100.0,
           CASE WHEN i * 104729 % 4 = 1 AND i / 20 % 24 < 5 THEN i % 5 < 2 WHEN i * 15485863 % 40 IN (3, 17, 29) THEN i % 7 < 3 ELSE i % 101 = 0 END
    FROM generate_series(1::bigint, 20000) i;
    -- Later there is a channel that has no code.
    UPDATE purchases SET channel = 'fax' WHERE no > 18000 AND no % 9 = 0;
    SELECT fraud.create_feature_set('purchases', 'purchases', 'no', 'at', label => 'bad');
    SELECT fraud.add_feature('purchases', 'channel', 'channel', categories => '{app,mail,phone,web}'),
           fraud.add_feature('purchases', 'shop', 'shop'),
           fraud.add_feature('purchases', 'hour', 'extract(hour FROM at)'),
           fraud.add_feature('purchases', 'total', 'total'),
           fraud.add_window_feature('purchases', 'buyer_sum_7d', 'sum', 'total', 'buyer', '7 days'),
           fraud.add_window_feature('purchases', 'buyer_shops_30d', 'distinct', 'shop', 'buyer', '30 days');
    SELECT fraud.materialize_features('purchases', 'matrix')});
is(value("SELECT count(*) > 200 AND bool_and(m.channel IS NULL) FROM matrix m JOIN purchases p ON p.no = m.event_id WHERE p.channel = 'fax'"),
    't', 'a category without a code is missing');

# What \copy writes, with the kinds of features in the header.
sub export
{
    my ($file, $columns, $where) = @_;
    my $rows = value("COPY (SELECT label::int, $columns FROM matrix m WHERE $where ORDER BY event_time, event_id) TO STDOUT CSV");
    (my $head = $columns) =~ s/\b(channel|shop)\b/$1:c/g;
    append_to_file("$dir/$file", "label,$head\n$rows\n");
}
my $features = 'channel,shop,hour,total,buyer_sum_7d,buyer_shops_30d';
my ($train, $later) = ("event_time < '2026-01-25'", "event_time >= '2026-02-02'");
export('train.csv', $features, $train);
export('later.csv', $features, $later);

# Rows of the later period whose score differs from XGBoost's own prediction.
sub differences
{
    my ($ref, $file) = @_;
    my ($out, $err) = run_command([ $elsewhere, 'predict', "$dir/later.csv", $file ]);
    open(my $predictions, '>', "$dir/predictions") or die $!;
    print $predictions "$out\n";
    close $predictions;
    return value(qq{CREATE TEMP TABLE predictions (place int GENERATED ALWAYS AS IDENTITY, score float4);
        COPY predictions (score) FROM '$dir/predictions';
        SELECT count(*) FILTER (WHERE p.score IS DISTINCT FROM fraud_score(m, '$ref')::float4), count(*)
        FROM predictions p FULL JOIN (SELECT *, row_number() OVER (ORDER BY event_time, event_id) AS place FROM matrix m WHERE $later) m USING (place)});
}
my $rows = value("SELECT count(*) FROM matrix m WHERE $later");

sub exported
{
    my ($ref) = @_;
    my $file = "$dir/" . ($ref =~ s/\W/_/gr) . '.ubj';
    open(my $model, '>:raw', $file) or die $!;
    print $model decode_base64(value("SELECT encode(fraud.export_model('$ref'), 'base64')"));
    close $model;
    return $file;
}

# --------------------------------------------------- categories, trained here
my $periods = "train_from => '2026-01-01', train_to => '2026-01-25', validation_from => '2026-01-25', validation_to => '2026-02-02', "
  . "test_from => '2026-02-02', test_to => '2026-02-20'";

sub train
{
    my ($params, $more) = @_;
    my $run = value("SELECT fraud.train('here', 'purchases', params => '$params', $periods" . ($more // '') . ')');
    is(value("SELECT fraud.wait_for_training($run)"), 'succeeded', "trained with $params" . ($more // ''));
    return $run;
}

# One category against the rest, then sets of them.
for my $params ('{"tree_method": "hist", "num_boost_round": 60, "early_stopping_rounds": 5, "max_cat_to_onehot": 100}',
    '{"tree_method": "hist", "num_boost_round": 60, "early_stopping_rounds": 5, "max_cat_to_onehot": 1}',
    '{"tree_method": "approx", "num_boost_round": 10, "max_cat_to_onehot": 1}')
{
    my $run = train($params);
    my $version = value("SELECT model_version FROM fraud.training_runs WHERE run = $run");
    is(differences("here/$version", exported("here/$version")), "0|$rows", 'every score is the prediction of XGBoost');
    is(value("SELECT importance ? 'channel' AND importance ? 'shop' AND (test_metrics ->> 'average_precision')::float8 > 0.3 "
              . "AND cardinality(history) = least(num_boost_round, rounds + early_stopping_rounds) FROM fraud.training_runs WHERE run = $run"),
        't', 'categories split, and help');
    is(value("SELECT count(*) FROM fraud.evaluate('here/$version', '2026-02-02', '2026-02-20') e, fraud.training_runs r "
              . "WHERE r.run = $run AND e.metric = 'average_precision' AND round(e.value::numeric, 10) = round((r.test_metrics ->> 'average_precision')::numeric, 10)"),
        '1', 'fraud.evaluate says what the run said');
}
is(value("SELECT count(*) FROM purchases p, LATERAL fraud.features('purchases', p) f JOIN matrix m ON true "
          . "WHERE p.no % 997 = 0 AND m.event_id = p.no AND fraud_score(f, 'here/2') IS DISTINCT FROM fraud_score(m, 'here/2')"),
    '0', 'online too');
my $run = train('{"num_boost_round": 10}', q{, folds => 3, search => '{"max_cat_to_onehot": [1, 100], "tree_method": ["hist", "approx"]}'});
is(value("SELECT count(*), count(DISTINCT params), min(metric) > 0.1 FROM fraud.training_trials WHERE run = $run"), '12|4|t',
    'cross-validation and search with categories');
is(value("SELECT count(DISTINCT digest) FROM (SELECT digest FROM fraud.model_versions v JOIN fraud.training_runs r ON r.model_version = v.version AND r.model = v.model "
          . "WHERE r.run IN (" . train('{"num_boost_round": 7}') . ', ' . train('{"num_boost_round": 7}') . ')) d'), '1', 'and the same bytes twice');
# XGBoost has no exact splits by category: it would take the codes for numbers.
$run = value("SELECT fraud.train('here', 'purchases', params => '{\"tree_method\": \"exact\"}', $periods)");
refused("SELECT fraud.wait_for_training($run)", qr/tree_method exact has no splits by category/, 'exact has no categories');

# ------------------------------------------------------ trained elsewhere
my @params = ('objective=binary:logistic', 'tree_method=hist', 'max_depth=4', 'eta=0.2');
system($elsewhere, 'train', "$dir/train.csv", "$dir/elsewhere.ubj", 30, @params) == 0 or die 'could not train';
my $import = sub { "fraud.import_model('elsewhere', pg_read_binary_file('$dir/$_[0]')$_[1])" };
is(value('SELECT ' . $import->('elsewhere.ubj', ", feature_set => 'purchases'")), '1', 'a model trained elsewhere is imported');
is(value("SELECT feature_names, feature_set, feature_set_hash = fraud.feature_set_hash('purchases'), fraud.export_model('elsewhere/1') = pg_read_binary_file('$dir/elsewhere.ubj') "
          . "FROM fraud.model_versions WHERE model = 'elsewhere'"), "{$features}|purchases|t|t", 'it names its features, and says which set they are of');
is(differences('elsewhere/1', "$dir/elsewhere.ubj"), "0|$rows", 'its scores are the predictions of XGBoost');
is(value("SELECT count(*) FROM fraud.evaluate('elsewhere/1', '2026-02-02', '2026-02-20') e WHERE e.metric = 'average_precision' "
          . "AND e.value = (SELECT fraud.average_precision(fraud_score(m, 'elsewhere/1'), label) FROM matrix m WHERE $later)"),
    '1', 'it is measured on the events of the set');
value("SELECT fraud.promote('elsewhere', 1)");
is(value("SELECT round(sum(difference)::numeric, 12) FROM fraud.compare_models('elsewhere', 'elsewhere/1', '2026-02-02', '2026-02-20')"), '0.000000000000',
    'and compared there');

# Features that the set does not have; names that the file does not have.
(my $other = slurp_file("$dir/train.csv")) =~ s/hour,total/hours,sum_total/;
append_to_file("$dir/other.csv", $other);
system($elsewhere, 'train', "$dir/other.csv", "$dir/other.ubj", 2, @params) == 0 or die 'could not train';
refused('SELECT ' . $import->('other.ubj', ", feature_set => 'purchases'"),
    qr/42703: the model has features that feature set "purchases" does not have\n.*DETAIL:  Missing: hours, sum_total\.\n.*HINT:  fraud\.feature_catalog/s,
    'features that the set does not have are named');
refused('SELECT ' . $import->('elsewhere.ubj', ", feature_set => 'nobody'"), qr/42704: feature set "nobody" does not exist/, 'a set that there is not');
value("SELECT " . $import->('other.ubj', ''));
is(value("SELECT count(*), count(feature_set) FROM fraud.model_versions WHERE model = 'elsewhere'"), '2|1', 'without a set nothing is checked, and nothing of what was refused is left');
my $nameless = "convert_to(replace(convert_from(pg_read_binary_file('$dir/named.json'), 'UTF8'), (SELECT substring(convert_from(pg_read_binary_file('$dir/named.json'), 'UTF8') from '\"feature_names\":\\[[^]]*\\]')), '\"feature_names\":[]'), 'UTF8')";
system($elsewhere, 'train', "$dir/train.csv", "$dir/named.json", 2, @params) == 0 or die 'could not train';
value("SELECT fraud.import_model('nameless', $nameless, feature_set => 'purchases')");
is(value("SELECT feature_names FROM fraud.model_versions WHERE model = 'nameless'"), "{$features}", 'a file without names takes those of the set');
value("SELECT fraud.import_model('nameless', $nameless, feature_names => '{shop,channel,hour,total,buyer_sum_7d,buyer_shops_30d}', feature_set => 'purchases')");
is(value("SELECT feature_names[1] FROM fraud.model_versions WHERE model = 'nameless' AND version = 2"), 'shop', 'or those that are given');
refused("SELECT fraud.import_model('nameless', $nameless, feature_names => '{a,channel,hour,total,buyer_sum_7d,b}', feature_set => 'purchases')",
    qr/42703: the model has features.*Missing: a, b\./s, 'which are checked as well');
value("SELECT fraud.drop_feature('purchases', 'hour')");
refused("SELECT fraud.import_model('nameless', $nameless, feature_set => 'purchases')", qr/22023: the model file does not name its features\n.*It has 6, feature set "purchases" has 5\./s,
    'where the counts agree');
refused("SELECT fraud.evaluate('elsewhere/1', '2026-02-02', '2026-02-20')", qr/features of model "elsewhere\/1" are missing.*Missing: hour/s, 'a feature that is gone since is missed');
is(value("SELECT count(*) FROM (SELECT fraud.import_model('payments', fraud.export_model('payments'), feature_set => 'payments')) x"), '1', 'payments are such a set');

$node->stop;
done_testing();
