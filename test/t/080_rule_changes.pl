# Two who change rules and lists at the same moment: who comes second waits, and is told what became of it.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main');
sub value { return $node->safe_psql('postgres', $_[0]) }

# Sends what is going to wait, and returns when it does.
sub send_and_wait
{
    my ($session, $sql, $waiting) = @_;
    $session->query_until(qr/sent/, "\\echo sent\n$sql;\n");
    $node->poll_query_until('postgres', "SELECT count(*) = $waiting FROM pg_stat_activity WHERE wait_event_type = 'Lock'") or die 'it does not wait';
}
# Returns the SQLSTATE of what was sent, once that has ended; 00000: none.
sub outcome { my ($session) = @_; my $out = $session->query('\echo now :SQLSTATE'); return $out =~ /now (\w+)/ ? $1 : 'nothing' }

# --------------------------------------------------- values of a list
# The values stand in the table in the order in which nobody would lock them.
value("SELECT fraud.create_list('shops', 'merchant')");
value("SELECT fraud.add_to_list('shops', 'v' || i, reason => 'x') FROM generate_series(9, 1, -1) i");
my $holder = $node->background_psql('postgres');
my ($one, $two) = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 2;
$holder->query_safe("BEGIN; SELECT FROM fraud.list_entries WHERE value = 'v5' FOR UPDATE");
$one->query_safe('SET enable_seqscan = off; SET enable_bitmapscan = off');
$two->query_safe('SET enable_indexscan = off; SET enable_bitmapscan = off');
my $all = "SELECT fraud.add_to_list('shops', ARRAY(SELECT 'v' || i FROM generate_series(1, 9) i), reason => 'again')";
send_and_wait($one, $all, 1);
send_and_wait($two, $all, 2);
$holder->query_safe('COMMIT');
is(outcome($one) . outcome($two), '0000000000', 'of two who list the same values neither meets a deadlock');
is(value("SELECT count(DISTINCT value) FROM fraud.list_values WHERE list = 'shops'"), '9', 'and all are listed');
is(value("SELECT bool_and(fraud.remove_from_list('shops', 'v' || i, 'over')) FROM generate_series(1, 9) i"), 't', 'they are taken out');
is(value("SELECT count(*) FROM fraud.list_values WHERE list = 'shops'"), '0', 'all of them');

# ------------------------------------------------- two rules of one name
$holder->query_safe("BEGIN; SELECT fraud.add_rule('same', 'amount > 1', 'review')");
send_and_wait($one, "SELECT fraud.add_rule('same', 'amount > 2', 'block')", 1);
$holder->query_safe('COMMIT');
is(outcome($one), '42710', 'who adds a rule of the same name is told that it is there');
is(value("SELECT action || version FROM fraud.rule_status WHERE rule = 'same'"), 'review1', 'and it is as the first wrote it');
$holder->query_safe("BEGIN; SELECT fraud.add_rule('taken_back', 'amount > 1', 'review')");
send_and_wait($one, "SELECT fraud.add_rule('taken_back', 'amount > 2', 'block')", 1);
$holder->query_safe('ROLLBACK');
is(outcome($one), '00000', 'who waited goes on');
is(value("SELECT action || version FROM fraud.rule_status WHERE rule = 'taken_back'"), 'block1', 'what is rolled back makes way for the second');

# -------------------------------------- two who first list a value of a field
$holder->query_safe("BEGIN; SELECT fraud.add_to_list('block_merchant', 'a', reason => 'x')");
send_and_wait($one, "SELECT fraud.add_to_list('block_merchant', 'b', reason => 'x')", 1);
$holder->query_safe('COMMIT');
is(outcome($one), '00000', 'who waited goes on');
is(value("SELECT string_agg(value, ' ' ORDER BY value) FROM fraud.list_values WHERE list = 'block_merchant'"), 'a b', 'a list that comes with a field is made once');
is(value("SELECT count(*) FROM fraud.rule_versions WHERE rule = 'block_merchant'"), '1', 'and so is its rule');

$_->quit for $holder, $one, $two;
done_testing();
