# One copy of a model for all backends: in shared memory, counted, evicted when
# nobody uses it, apart for each database, and gone with a crash.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Writes an XGBoost model file of full trees: about 17 bytes compiled for each node.
sub write_model
{
    my ($file, $trees, $depth, $seed) = @_;
    srand($seed);
    my $splits = 2**$depth - 1;
    my $nodes = 2 * $splits + 1;
    my @leaf = map { $_ >= $splits ? 1 : 0 } 0 .. $nodes - 1;
    my $left = join(',', map { $leaf[$_] ? -1 : 2 * $_ + 1 } 0 .. $nodes - 1);
    my $right = join(',', map { $leaf[$_] ? -1 : 2 * $_ + 2 } 0 .. $nodes - 1);
    my $features = join(',', map { $leaf[$_] ? 0 : $_ % 4 } 0 .. $nodes - 1);
    my $default = join(',', map { $_ % 2 } 0 .. $nodes - 1);
    my $covers = join(',', map { 2**($depth - int(log($_ + 1) / log(2) + 1e-9)) } 0 .. $nodes - 1);
    my @trees = map {
        my $conditions = join(',', map { sprintf('%.4f', rand() * ($leaf[$_] ? 0.02 : 1) - ($leaf[$_] ? 0.01 : 0)) } 0 .. $nodes - 1);
        qq({"id":$_,"left_children":[$left],"right_children":[$right],"split_indices":[$features],)
          . qq("split_conditions":[$conditions],"default_left":[$default],"sum_hessian":[$covers],)
          . qq("tree_param":{"num_nodes":"$nodes","size_leaf_vector":"0"}})
    } 0 .. $trees - 1;
    my $info = join(',', (0) x $trees);
    open(my $out, '>', $file) or die $!;
    print $out qq({"learner":{"feature_names":["a","b","c","d"],"gradient_booster":{"model":{)
      . qq("gbtree_model_param":{"num_trees":"$trees"},"tree_info":[$info],"trees":[)
      . join(',', @trees)
      . qq(]},"name":"gbtree"},"learner_model_param":{"base_score":"5E-1","num_class":"0","num_feature":"4"},)
      . qq("objective":{"name":"binary:logistic"}},"version":[1,7,4]});
    close($out);
}

my $directory = PostgreSQL::Test::Utils::tempdir();
chmod(0755, $directory);
write_model("$directory/$_.json", 200, 8, $_) for 1 .. 4;

my $node = new_server('shared', conf => "fraud_detect.shared_model_memory = '4MB'\nrestart_after_crash = on\n");
my $plain = new_server('plain', preload => 0);

sub import_into
{
    my ($server, $database, $name, $seed) = @_;
    $server->safe_psql($database, "SELECT fraud.import_model('$name', pg_read_binary_file('$directory/$seed.json')); SELECT fraud.promote('$name', 1)");
}
import_into($_, 'postgres', 'first', 1) for ($node, $plain);
import_into($node, 'postgres', 'second', 2);

my $score = "SELECT sum(fraud_score(ARRAY[i, i * 7 % 11, 3, NULL]::float4[] , '%s')) FROM generate_series(0, 100) i";
sub score_of { return sprintf($score, $_[0]) }
sub memory
{
    my ($name) = @_;
    return $node->safe_psql('postgres', "SELECT is_shared, coalesce(holders, 0) FROM fraud.model_memory WHERE model = '$name'");
}

my $expected = $plain->safe_psql('postgres', score_of('first'));
ok($expected > 0, 'a server without preload scores');
is($plain->safe_psql('postgres', "SELECT count(*) FROM fraud.model_memory WHERE is_shared"), '0', 'and shares nothing');
is($node->safe_psql('postgres', score_of('first')), $expected, 'one with preload scores the same');
is(memory('first'), 't|0', 'from a shared copy, which nobody holds afterwards');

# Two sessions hold the one copy while their transactions run.
my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 2;
my @pids;
for my $session (@sessions)
{
    push @pids, $session->query_safe('SELECT pg_backend_pid()');
    $session->query_safe('BEGIN');
    is($session->query_safe(score_of('first')), $expected, 'each session has the score');
}
is(memory('first'), 't|2', 'two sessions hold it');

# It costs them next to nothing of their own.
sub private_kb
{
    my ($pid) = @_;
    open(my $file, '<', "/proc/$pid/smaps_rollup") or return;
    my $sum = 0;
    while (<$file>) { $sum += $1 if /^Private_\w+:\s+(\d+)/ }
    return $sum;
}
SKIP:
{
    skip 'no smaps_rollup', 1 unless defined private_kb($pids[0]);
    my $third = $node->background_psql('postgres');
    my $pid = $third->query_safe('SELECT pg_backend_pid()');
    $third->query_safe(score_of('payments') =~ s/ARRAY\[.*?\]::float4\[\] /array_fill(1::float4, ARRAY[cardinality(fraud.payment_features())])/r);
    my $before = private_kb($pid);
    $third->query_safe(score_of('first'));
    my $added = private_kb($pid) - $before;
    cmp_ok($added, '<=', 256, "a backend's own memory grows by at most 256 kB ($added)");
    $third->quit;
}

# A model in use is not evicted; the other is kept by its backend, and scores.
$node->safe_psql('postgres', score_of('second'));
import_into($node, 'postgres', 'third', 3);
import_into($plain, 'postgres', 'third', 3);
is($node->safe_psql('postgres', score_of('third')), $plain->safe_psql('postgres', score_of('third')), 'a third model scores');
is(memory('first'), 't|2', 'the one in use stays');
is(memory('second'), 'f|0', 'the one that nobody uses gave way');

# A session that is terminated, and one that ends its transaction, let go.
$sessions[0]->query_safe('ROLLBACK');
is(memory('first'), 't|1', 'the end of a transaction lets go');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pids[1])");
ok(wait_for(sub { memory('first') eq 't|0' }, 'let go'), 'so does the end of a session');

# A promotion is seen by the next statement after COMMIT, not before, and not at
# all after ROLLBACK.
my $watcher = $sessions[0];
$node->safe_psql('postgres', "SELECT fraud.import_model('first', pg_read_binary_file('$directory/2.json'))");
my $changed = $node->safe_psql('postgres', score_of('first/2'));
isnt($changed, $expected, 'another version has other scores');
my $promoter = $node->background_psql('postgres');
$promoter->query_safe('BEGIN');
$promoter->query_safe("SELECT fraud.promote('first', 2)");
is($promoter->query_safe(score_of('first')), $changed, 'who promotes sees it at once');
is($watcher->query_safe(score_of('first')), $expected, 'nobody else does');
$promoter->query_safe('ROLLBACK');
is($promoter->query_safe(score_of('first')), $expected, 'after ROLLBACK it is as before');
# A query that runs keeps the model that it began with, in all of its rows.
$watcher->query_safe('BEGIN');
$watcher->query_safe("DECLARE c CURSOR FOR SELECT fraud_score(ARRAY[1, 2, 3, NULL]::float4[], 'first') FROM generate_series(1, 100)");
my $row = $watcher->query_safe('FETCH 1 FROM c');
$promoter->query_safe("SELECT fraud.promote('first', 2)");
is($watcher->query_safe('FETCH 1 FROM c'), $row, 'a query that runs keeps its model');
isnt($watcher->query_safe("SELECT fraud_score(ARRAY[1, 2, 3, NULL]::float4[], 'first')"), $row, 'the next one has the new');
$watcher->query_safe('COMMIT');
is($watcher->query_safe(score_of('first')), $changed, 'and so have others');
$promoter->quit;

# Equal names in two databases do not meet.
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION fraud_detect');
import_into($node, 'other', 'first', 3);
isnt($node->safe_psql('other', score_of('first')), $node->safe_psql('postgres', score_of('first')), 'each database has its own');
is($node->safe_psql('other', score_of('first')), $node->safe_psql('postgres', score_of('third')), 'and equal files score alike');

# Compiled bytes that were changed are refused, whoever could change them.
import_into($node, 'postgres', 'fourth', 4);
$node->safe_psql('postgres', q(ALTER TABLE fraud.model_versions ALTER COLUMN compiled DROP EXPRESSION;
    ALTER TABLE fraud.model_versions DISABLE TRIGGER ALL;
    UPDATE fraud.model_versions SET compiled = set_byte(compiled, 5000, 255 - get_byte(compiled, 5000)) WHERE model = 'fourth'));
my (undef, undef, $error) = $node->psql('postgres', score_of('fourth'));
like($error, qr/the compiled model does not have its own SHA-256/, 'bytes that do not have their digest are refused');
$node->safe_psql('postgres', "UPDATE fraud.model_versions SET compiled = sha256(substring(compiled FROM 33)) || substring(compiled FROM 33) WHERE model = 'fourth'");
(undef, undef, $error) = $node->psql('postgres', score_of('fourth'));
ok($error eq '' || $error =~ /the compiled model is damaged/, 'and those that have it are checked');
$node->safe_psql('postgres', "UPDATE fraud.model_versions SET compiled = sha256('cut') || substring(compiled FROM 33 FOR 8) WHERE model = 'fourth'");
(undef, undef, $error) = $node->psql('postgres', score_of('fourth'));
like($error, qr/the compiled model does not have its own SHA-256/, 'so are cut ones');
$node->safe_psql('postgres', "UPDATE fraud.model_versions SET compiled = 'short' WHERE model = 'fourth'");
(undef, undef, $error) = $node->psql('postgres', score_of('fourth'));
like($error, qr/the compiled model is damaged: its SHA-256 is too short/, 'and what is not even a digest');

# A backend that is killed takes the server's memory with it; then all is as before.
$watcher->query_safe('BEGIN');
$watcher->query_safe(score_of('third'));
my $victim = $watcher->query_safe('SELECT pg_backend_pid()');
ok(crash($node, $victim), 'the server restarts');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM fraud.model_memory WHERE holders > 0"), 'nobody holds anything');
is($node->safe_psql('postgres', score_of('third')), $plain->safe_psql('postgres', score_of('third')), 'and models score');
is(memory('third'), 't|0', 'from a shared copy again');

done_testing();
