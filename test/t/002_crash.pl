# Crashes while payments flow: nothing lost, nothing twice, polling goes on.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $payments = PostgreSQL::Test::Utils::tempdir() . '/payments.ndjson';
system("$ENV{FRAUD_TREE}/build/simulate --customers 80 --merchants 20 --days 30 > $payments") == 0
  or die "simulate failed";
# Each answer repeats all that was published, so what a crash interrupted comes again.
my $api = start_api('--payments', $payments, '--tick', '0.2', '--per-tick', '15', '--overlap', '100000');
my $node = new_server('main', conf => "fraud_detect.ingest_batch_size = 20\nrestart_after_crash = on\n");

sub value { return $node->safe_psql('postgres', $_[0]) }
my $worker = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'fraud_detect ingest'";

# Waits until more payments are stored than now.
sub flows
{
    my ($what) = @_;
    my $before = value('SELECT count(*) FROM fraud.transactions');
    ok($node->poll_query_until('postgres', "SELECT count(*) > $before + 30 FROM fraud.transactions"), $what);
}

# The tables agree with each other: one commit, or none.
sub consistent
{
    my ($when) = @_;
    is( value(
            "SELECT (SELECT count(*) FROM fraud.transactions) = (SELECT count(*) FROM fraud.payment_keys)"
              . " AND NOT EXISTS (SELECT FROM fraud.transactions t WHERE NOT EXISTS"
              . "   (SELECT FROM fraud.payment_keys k WHERE (k.card, k.transaction_id, k.occurred_at) = (t.card, t.transaction_id, t.occurred_at)))"
              . " AND NOT EXISTS (SELECT FROM fraud.transactions t WHERE NOT EXISTS (SELECT FROM fraud.customers c WHERE c.card = t.card))"
              . " AND (SELECT count(*) FROM fraud.transactions WHERE decision <> 'approve') = (SELECT count(*) FROM fraud.alerts)"
              . " AND (SELECT count(*) FROM fraud.alerts) = (SELECT count(*) FROM fraud.outbox)"),
        't', "payments, keys, customers, alerts and messages agree $when");
}

value("SELECT fraud.promote('payments', 1, review_at => 0.001)");    # so that alerts are many
value("SELECT fraud.add_source('live', '$api->{url}/current-transactions', poll_interval => '100 ms')");
flows('payments flow');

# A crash of the whole server.
my $stored = value('SELECT count(*) FROM fraud.transactions');
$node->stop('immediate');
$node->start;
cmp_ok(value('SELECT count(*) FROM fraud.transactions'), '>=', $stored, 'nothing committed is lost');
consistent('after an immediate stop');
flows('polling goes on by itself after an immediate stop');

# kill -9 of the worker makes the server restart all its processes.
my $pid = value($worker);
ok(crash($node, $pid), 'the server restarts');
ok(wait_for(sub { value("$worker AND pid <> $pid") ne '' }, 'the worker is back'), 'a killed worker comes back');
consistent('after kill -9 of the worker');
flows('polling goes on after kill -9 of the worker');

# kill -9 of an ordinary backend.
my $session = $node->background_psql('postgres');
ok(crash($node, $session->query_safe('SELECT pg_backend_pid()')), 'the server restarts');
flows('polling goes on after a backend was killed');

# A worker that is terminated, and one whose statement is cancelled.
$pid = value($worker);
value("SELECT pg_terminate_backend($pid)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'fraud_detect ingest' AND pid <> $pid"),
    'a terminated worker comes back');
flows('polling goes on after the worker was terminated');

# In the end all that was published is there, once.
value("SELECT fraud.pause_source('live')");
value("SELECT fraud.resume_source('live')");
my $published;
wait_for(
    sub {
        my $url = "$api->{url}/published";
        $published = `python3 -c "import urllib.request; print(urllib.request.urlopen('$url').read().decode())"`;
        1;
    },
    'the list of what was published');
ok( $node->poll_query_until(
        'postgres',
        "SELECT NOT EXISTS (SELECT FROM jsonb_array_elements_text('$published'::jsonb) p"
          . " WHERE NOT EXISTS (SELECT FROM fraud.transactions t WHERE t.transaction_id = p))"),
    'every payment that was published is stored');
is(value('SELECT count(*) - count(DISTINCT (card, transaction_id)) FROM fraud.transactions'),
    '0', 'none is stored twice');
is(value('SELECT count(*) FROM fraud.ingest_errors'), '0', 'none was rejected');
consistent('in the end');

# The vectors are those that the same payments give without any crash.
value("SELECT fraud.drop_source('live')");
value('CREATE DATABASE calm');
$node->safe_psql('calm', "CREATE EXTENSION fraud_detect; CREATE TABLE wire (n int GENERATED ALWAYS AS IDENTITY, line text); COPY wire (line) FROM '$payments'");
my $ids = value("SELECT string_agg(quote_literal(transaction_id), ',') FROM fraud.transactions");
$node->safe_psql('calm', "SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(line::jsonb ORDER BY n) FROM wire WHERE line::jsonb ->> 'trans_num' IN ($ids)))");
my $vectors = "SELECT md5(string_agg(transaction_id || features[1:cardinality(features) - 3]::text, ',' ORDER BY transaction_id)) FROM fraud.transactions";
is(value($vectors), $node->safe_psql('calm', $vectors), 'features are as if there had been no crash');

done_testing();
