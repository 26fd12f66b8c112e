# The SQL half of make bench still works, and that of deliveries (bench/smoke looks after the core's):
# every measurement is made, on a few rows; none is judged.
use strict;
use warnings;
use utf8;

use FraudDetect;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', extension => 0, conf => "track_commit_timestamp = on\n");
my $models = $node->basedir . '/models';
$node->command_ok([ "$ENV{FRAUD_TREE}/build/bench_models", $models, 1000, '100x4' ], 'a model is made');

local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;
local $ENV{PGDATABASE} = 'bench';
my ($out, $err) = run_command([ 'python3', "$ENV{FRAUD_TREE}/bench/sql.py", $models, 2000, 1, 0 ]);
my $found = eval { decode_json($out) } or diag $err;
my @missing = grep { my $what = $_; !grep { index($_->{what}, $what) >= 0 } @{ $found->{results} } } (
    '2,000 rows, 10 % null: sum(fraud_score(f))', 'no null: sum(fraud_score(f)) ',
    'jit = on', 'planned parallel', 'fraud_score(jsonb)', 'fraud_explain(row)',
    'first score less second', 'processor time', 'pgbench, one session, prepared: fraud.ingest');
is("@missing", '', 'everything is measured');
is(scalar(grep { $_->{what} !~ /less/ && !($_->{value} > 0) } @{ $found->{results} }), 0, 'every figure is one');

# The views' benchmark, on a small copy of its ten million payments.
$node->safe_psql('postgres', 'CREATE DATABASE views');
$node->safe_psql('views', 'CREATE EXTENSION fraud_detect');
($out, $err) = run_command([ 'psql', '-X', '-At', '-d', 'views', '-v', 'customers=10', '-f', "$ENV{FRAUD_TREE}/bench/views.sql" ]);
is($err, '', 'bench/views.sql runs');
is(scalar(() = $out =~ /^\w+\|[1-9]\d*\|\d+\|\d+$/mg), 10, 'ten views have rows and times') or diag $out;

# Streams against payments, a few rows of each.
local $ENV{PGDATABASE} = 'streams';
($out, $err) = run_command([ 'python3', "$ENV{FRAUD_TREE}/bench/streams.py", 20, 20, 10, 1 ]);
like($out, qr/^watch \/ ingest: \d+\.\d+\n(?:.*100 rows.*\n){2}scores that are the same: (\d+) of \1\nshare of alerts: [\d.]+\nunscored: 0$/m, 'bench/streams.py runs, and both ways give the same scores')
  or diag "$out\n$err";

# Deliveries, beside a few hundred that wait.
local $ENV{PGDATABASE} = 'deliveries';
($out, $err) = run_command([ 'python3', "$ENV{FRAUD_TREE}/bench/notify.py", 40, 300, 1, 1 ]);
$found = eval { decode_json($out) } or diag $err;
@missing = grep { my $what = $_; !grep { index($_->{what}, $what) >= 0 } @{ $found->{results} } } (
    'deliveries to one receiver that answers at once', 'with 300 waiting for a dead channel ÷ with none', 'processor time a delivery', 'at 300 waiting ÷ at 100',
    'p99 of 100 alerts', 'beside a snapshot');
is("@missing", '', 'deliveries are measured');
is(scalar(grep { !($_->{value} > 0) } @{ $found->{results} }), 0, 'every figure is one');
# What a payment costs, a few of each. The program that it is compared with needs packages that are
# not there; its features are compared all the same.
$node->stop;
$node = new_server('cost', extension => 0, conf => "track_commit_timestamp = on\nfraud_detect.max_response_size = '128MB'");
local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;
($out, $err) = run_command([ 'python3', "$ENV{FRAUD_TREE}/bench/cost", '--size', 'small' ]);
$found = eval { decode_json($out) } or diag $err;
@missing = grep { my $what = $_; !grep { index($_->{what}, $what) >= 0 } @{ $found->{results} } } (
    'one payment a transaction ÷ a plain INSERT', 'each payment ÷ a multi-row INSERT of 100', 'each payment ÷ COPY of 1,000',
    'reasons ÷ a plain INSERT', 'p99 at 3,000 stored ÷ at 1,500', 'its commit, 12 months ÷ 5',
    'locks that a payment\'s transaction holds, 12 months', 'fraud.ingest ÷ plain INSERT, client\'s clock', 'disk, a payment of',
    'WAL between checkpoints', 'refresh of the sums', 'fraud.load_history', 'fraud.simulate', 'private memory', 'rebuild of the sums',
    'drain of 4,000 payments ÷ that COPY');
is("@missing", '', 'all that a payment costs is measured');
is(join(', ', map { $_->{what} } grep { $_->{what} !~ /reasons add/ && !($_->{value} > 0) } @{ $found->{results} }), '', 'and every figure is one');
like($err, qr/^features compared: [1-9]/m, 'the features of the program that it is compared with are those that are stored');

# What it costs where keys have many payments, a few of each.
($out, $err) = run_command([ 'python3', "$ENV{FRAUD_TREE}/bench/volume", '--size', 'small' ]);
$found = eval { decode_json($out) } or diag $err;
@missing = grep { my $what = $_; !grep { index($_->{what}, $what) >= 0 } @{ $found->{results} } } (
    'merchant with 900 payments in its windows ÷ new merchant', 'merchant with 900 payments in its windows ÷ new merchant, without tiles',
    'card with 900 payments in its windows ÷ new card', 'none of whose keys is tiled, median', 'folding a history, processor time',
    'folding payments as they come, every 200', 'disk of tiles ÷', 'delay by a fold under way');
is("@missing", '', 'volume is measured');
is(join(', ', map { $_->{what} } grep { $_->{what} !~ /delay by|median by|what tiles add/ && !($_->{value} > 0) } @{ $found->{results} }), '', 'and every figure is one');
is(scalar(@{ $found->{curves} }), 8, 'of merchants and cards, in two places, with tiles and without');
is(join(', ', map { "$_->{kind} $_->{payments}" } grep { $_->{tiles} > 0 } @{ $found->{keys} }), 'card 300, card 900, merchant 300, merchant 900',
    'and what their tiles are');
my $folder = $node->basedir;
append_to_file("$folder/volume.json", $out);
command_ok([ 'python3', "$ENV{FRAUD_TREE}/bench/volume/picture.py", "$folder/volume.json", "$folder/volume.svg" ], 'a picture is drawn');
is(scalar(() = slurp_file("$folder/volume.svg") =~ /<path /g), 8, 'with a line for each');
command_like([ 'python3', "$ENV{FRAUD_TREE}/bench/report.py", $folder ], qr/^\| payments in the windows \| .*\n(?:.*\n)*\| merchant \| 900 \| /m, 'and tables');

$node->stop;
done_testing();
