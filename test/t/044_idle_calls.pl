# Whoever calls a function of ours, or locks rows of rules, lists or months, and leaves his transaction open is in nobody's
# way: payments of other customers are stored, by SQL and by the workers, and rows of streams decided, as if he were not
# there. Functions are those of the catalog, with arguments that work, so that one that is added later is tried too.
# (All other tables' rows: 037_row_locks.pl.)
use strict;
use warnings;

use Arguments qw(make_world functions_of calls_of);
use FraudDetect;
use File::Temp ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# What changes the table of payments itself: docs/payments.md and docs/operations.md say so.
my %holds = map { $_ => 1 } qw(add_payment_field drop_payment_field follow_publication);
# Its trigger goes, as by ALTER TABLE of the table's owner: rows wait, payments do not.
my %holds_rows = (unwatch => 1);
# What works nowhere in this world: without pg_cron, or for want of what it is asked to do.
my %refused = map { $_ => 1 } qw(schedule unschedule retry_notification release_customer destroy_card_key);

my $bodies = File::Temp->newdir;
my $api = start_api('--bodies', "$bodies");
my $node = new_server('main', conf => "autovacuum = off\nlog_min_messages = warning\n");
make_world($node);
$node->safe_psql('postgres', q{
SELECT fraud.add_rule('of_stream', 'amount > 1000000', 'review', stream => 'streamed'), fraud.enforce_rule('of_stream', 'x');
SELECT fraud.create_list('shops', 'shop', stream => 'streamed');
SELECT fraud.add_rule('listed', 'fraud.in_list(''shops'', shop)', 'review', stream => 'streamed'), fraud.enforce_rule('listed', 'x')});

my $number = 0;
sub next_payment
{
    $number++;
    return payment(cc_num => 4100000000000000 + 18 * $number, trans_num => qq("idle-$number"), merchant => qq("Shop $number"), amt => 99999, current_time => 1767225600000 + 1000 * $number);
}
my $feed = $node->background_psql('postgres');
$feed->query_safe("SET statement_timeout = '20s'");
sub payment_comes { return $feed->query_safe("SELECT status FROM fraud.ingest('" . next_payment() . "')") }
sub row_comes
{
    $number++;
    return $feed->query_safe("INSERT INTO world.claims VALUES (1000 + $number, '2026-01-01', NULL, 'idle $number', 5, 's1') RETURNING 'inserted'");
}
sub payment_is_polled
{
    my $body = next_payment();
    my $id = "idle-$number";
    open(my $file, '>', "$bodies/feed.new") or die $!;
    print $file "[$body]";
    close($file);
    rename("$bodies/feed.new", "$bodies/feed") or die $!;
    return wait_for(sub { $feed->query_safe("SELECT EXISTS (SELECT FROM fraud.payment_keys WHERE transaction_id = '$id')") eq 't' }, "payment $id", 20) ? 'stored' : 'waits';
}

# A transaction that is open beside the feed: what it has done, and what then need not go on.
sub beside
{
    my ($name, $sql, $holds_rows) = @_;
    my $idle = $node->background_psql('postgres', on_error_stop => 0);
    $idle->query('BEGIN; SET LOCAL client_min_messages = error');
    $idle->query($sql);
    my $held = ($idle->query('SELECT 1') // '') =~ /1/;
    if (ok($held, "$name: it works"))
    {
        my ($sql_bar, $polled_bar) = (FraudDetect::patient(0.3), FraudDetect::patient(1));
        my %came;
        my $took = FraudDetect::seconds_of(sub { $came{payment} = payment_comes() });
        my $polled = FraudDetect::seconds_of(sub { $came{polled} = payment_is_polled() });
        my $row = $holds_rows ? 0 : FraudDetect::seconds_of(sub { $came{row} = row_comes() });
        is(join(' ', map { "$_ $came{$_}" } sort keys %came), 'payment stored polled stored' . ($holds_rows ? '' : ' row inserted'), "$name: all come");
        cmp_ok($took, '<', $sql_bar, "$name: the payment waits for nobody");
        # The interval of polls, and our own asking, are in it.
        cmp_ok($polled, '<', $polled_bar, "$name: nor does one that is polled");
        cmp_ok($row, '<', $sql_bar, "$name: nor does the row of a stream");
    }
    $idle->query('ROLLBACK');
    $idle->quit;
}

payment_comes();
row_comes();
$node->safe_psql('postgres', "SELECT fraud.add_source('feed', '$api->{url}/bodies/feed', poll_interval => '100 ms')");
is(payment_is_polled(), 'stored', 'the feed runs');

my @functions = grep { $_->{acts} && $_->{name} !~ /^_/ && $_->{kind} eq 'f' && $_->{returns} !~ /^(trigger|internal|event_trigger)$/ && !$holds{ $_->{name} } && !$refused{ $_->{name} } }
  functions_of($node, 'postgres');
cmp_ok(scalar @functions, '>', 60, 'functions that act are found');
for my $function (@functions)
{
    my $variant = 0;
    # Each kind of call that works: of rules, those of payments and of streams.
    beside($function->{name} . ($variant++ ? " ($variant)" : ''), $_->{sql}, $holds_rows{ $function->{name} })
      for grep { $_->{good} && $_->{sql} !~ /^SELECT \* FROM/ } calls_of($function);
}
beside("$_ of a stream's rule", "SELECT fraud.$_") for "enforce_rule('of_stream', 'x')", "observe_rule('of_stream', 'x')", "disable_rule('of_stream', 'x')", "alter_rule('of_stream', 'amount > 5')", "drop_rule('listed', 'x')";
beside("$_ of a stream's list", "SELECT fraud.$_") for "add_to_list('shops', 's9', reason => 'x')", "remove_from_list('shops', 's1', 'x')";
beside("locked rows of $_", "SELECT count(*) FROM (SELECT FROM fraud.$_ FOR UPDATE) l")
  for qw(rules rule_versions rule_sets lists list_entries streams months);
beside("locked table $_", "LOCK TABLE fraud.$_ IN SHARE ROW EXCLUSIVE MODE") for qw(rules rule_versions lists list_entries months);
$feed->quit;

done_testing();
