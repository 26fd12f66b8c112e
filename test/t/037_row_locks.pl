# Whatever rows another session has locked, and leaves: payments of other customers are
# received, stored, and raise their alerts. Tables are those of the catalog, so that one
# that is added later is tried too.
use strict;
use warnings;

use FraudDetect;
use File::Temp ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# Rows that workers write and no function that a person may call: who holds one of them is
# the owner, at work by hand. (The second test looks that it stays so.)
my %workers_own = map { $_ => 1 } qw(source_state source_counts source_field_counts held_customers);

my $bodies = File::Temp->newdir;
my $api = start_api('--bodies', "$bodies");
my $node = new_server('main', conf => "fraud_detect.poll_timeout = 5s\nlog_min_messages = warning\n");
sub value { return $node->safe_psql('postgres', $_[0]) }

my $served = 0;
sub serve
{
    my ($name, @payments) = @_;
    my $body = '[' . join(',', @payments) . ']';
    open(my $file, '>', "$bodies/$name.new") or die $!;
    print $file $body;
    close($file);
    rename("$bodies/$name.new", "$bodies/$name") or die $!;
}
# A payment of a card that nobody has seen, at a known shop or a new one, which is an alert.
sub fresh
{
    my ($id, $merchant) = @_;
    $served++;
    return payment(cc_num => 4100000000000000 + 18 * $served, trans_num => qq("$id"), merchant => qq("$merchant"),
        amt => 99999, current_time => int(time * 1000));
}

serve('a', fresh('first', 'Corner'), fresh('second', 'Corner'));
value("SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, reason => 'every payment is an alert', override_gate => true)");
value("SELECT fraud.add_channel('told', 'notify', 'told')");
value("SELECT fraud.add_source('a', '$api->{url}/bodies/a', poll_interval => '200 ms')");
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM fraud.alerts"), 'payments are stored, with alerts');
serve('a', payment(cc_num => 4100000000000018, trans_num => '"bad"', amt => '"five"', current_time => 1700000000000));
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM fraud.ingest_errors"), 'and there is a dead letter');
value("SELECT fraud.label('first', true, 'analyst')");
value("SELECT fraud.acknowledge_case(case_id) FROM fraud.cases LIMIT 1");
value("SELECT fraud.refresh_rollups()");

# ------------------------------------------------------------- every row of a table
my @tables = split /\n/, value(q{SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'fraud'::regnamespace
    AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1});
cmp_ok(scalar @tables, '>', 40, 'tables are found');
for my $table (@tables)
{
    next if $workers_own{$table};
    my $idle = $node->background_psql('postgres');
    $idle->query_safe('BEGIN');
    my $rows = $idle->query_safe("SELECT count(*) FROM (SELECT FROM fraud.$table FOR UPDATE) locked");
    serve('a', fresh("held-$table", 'Corner'), fresh("new-$table", "Shop of $table"),
        payment(cc_num => 4100000000000018, trans_num => '"bad"', amt => '"five"', current_time => 1700000000000));
    my $took = FraudDetect::seconds_of(sub {
        wait_for(sub { value("SELECT count(*) FROM fraud.alerts WHERE transaction_id IN ('held-$table', 'new-$table')") eq '2' },
            "payments beside $table", 20) });
    is(value("SELECT count(*) FROM fraud.alerts WHERE transaction_id IN ('held-$table', 'new-$table')"), '2',
        "$table: payments are stored while another session has locked its $rows rows")
        or diag(value("SELECT * FROM fraud.held_customers") . value("SELECT pid, query, wait_event FROM pg_stat_activity WHERE backend_type LIKE 'fraud%'"));
    note("$table: $took s");
    $idle->query_safe('ROLLBACK');
    $idle->quit;
}
is(value("SELECT count(*) FROM fraud.merchants WHERE merchant LIKE 'Shop of %'"), scalar(grep { !$workers_own{$_} } @tables), 'new merchants have their rows at the end')
    if $node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM fraud.merchant_queue)');

# ------------------------------------------------- and those that are the workers' own
my $own = join('|', sort keys %workers_own);
is(value(qq{SELECT string_agg(p.oid::regprocedure::text, ', ' ORDER BY 1) FROM pg_proc p WHERE p.pronamespace = 'fraud'::regnamespace
    AND coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) ~* '(insert into|update|delete from|from) fraud\\.($own)\\M[^;]*(set|values|select|where|using|for )'
    AND coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) ~* '(insert into|update|delete from) (only )?fraud\\.($own)\\M'}), '',
    'no function writes rows that are the workers\' own');

done_testing();
