# The views are exact in every snapshot, whoever stores, labels and refreshes at the
# same time; and a refresh makes no payment wait.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main');
sub value { return $node->safe_psql('postgres', $_[0]) }

value("SELECT fraud.promote('payments', 1, review_at => 0.001, block_at => 0.5)");

# The month is there: a statement that is planned before a partition is attached reads
# without it, though its snapshot may be of after.
value('SELECT fraud._ensure_partition(to_timestamp(1700000000))');

my $directory = PostgreSQL::Test::Utils::tempdir();

sub script
{
    my ($name, $text) = @_;
    my $file = "$directory/$name.sql";
    open(my $out, '>', $file) or die $!;
    print $out $text;
    close $out;
    return $file;
}

# Payments of forty cards over three days, and labels that were known a minute ago
# (one known in this instant may count for others a moment early); two sessions that refresh; two that compare the views with the tables, and fail by a
# division by zero where they differ.
my $ingest = script('ingest', <<'SQL');
\set id random(1, 1000000000)
\set card 4000000000000000 + random(1, 40)
\set moment 1700000000 + random(1, 259200)
SELECT status FROM fraud.ingest(jsonb_build_object('cc_num', :card, 'trans_num', 'p-' || :id, 'amt', (:id % 100000) / 100.0, 'merchant', 'shop ' || :id % 7, 'category', 'c' || :id % 3, 'state', 'NC', 'unix_time', :moment));
SELECT fraud.label(k.transaction_id, :id % 2 = 0, 'pgbench', now() - interval '1 minute') FROM (SELECT transaction_id FROM fraud.payment_keys ORDER BY md5(transaction_id || :id) LIMIT 1) k WHERE :id % 3 = 0;
SQL
my $refresh = script('refresh', "SELECT fraud.refresh_rollups();\n");
my $compare = script('compare', <<'SQL');
SELECT 1 / (bool_and(r IS NOT DISTINCT FROM t))::int FROM
    (SELECT (day, payments, volume, customers, alerts, alerted_volume, labelled_fraud, labelled_legitimate, labelled_fraud_volume) AS r, day FROM fraud.daily_report) r
FULL JOIN
    (SELECT ((p.occurred_at AT TIME ZONE 'UTC')::date, count(*), sum(p.amount), count(DISTINCT p.card), count(a.alert_id), coalesce(sum(p.amount) FILTER (WHERE a.alert_id IS NOT NULL), 0),
             count(*) FILTER (WHERE l.is_fraud), count(*) FILTER (WHERE NOT l.is_fraud), coalesce(sum(p.amount) FILTER (WHERE l.is_fraud), 0)) AS t, (p.occurred_at AT TIME ZONE 'UTC')::date AS day
     FROM fraud.transactions p LEFT JOIN fraud.alerts a USING (card, transaction_id) LEFT JOIN fraud.current_labels l USING (card, transaction_id) GROUP BY 2) t USING (day);
SQL
$node->command_ok(
    [ 'pgbench', '-n', '-c', '6', '-j', '2', '-t', '150', '-f', "$ingest\@8", '-f', "$refresh\@1", '-f', "$compare\@1", $node->connstr('postgres') ],
    'the views are what the tables are, in every snapshot');
my $sums = 'SELECT md5(string_agg(r::text, chr(10) ORDER BY r::text)) FROM (SELECT * FROM fraud._rollups) r';
value('SELECT fraud.refresh_rollups()');
my $before = value($sums);
is(value('SELECT sum(payments) = (SELECT count(*) FROM fraud.transactions) FROM fraud.customer_activity'), 't', 'and so are those of the cards');
value('SELECT fraud.rebuild_rollups()');
is(value("$sums WHERE payments > 0 OR fraud <> 0"), $before, 'a rebuild comes to the same sums');

# A refresh that is under way blocks no payment.
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; SELECT fraud.refresh_rollups();');
my $payment = payment(cc_num => 4000000000000001);
is(value("SET statement_timeout = '10s'; SELECT status FROM fraud.ingest('$payment')"), 'stored', 'a payment is stored while a refresh is not committed');
is(value('SELECT sum(payments) = (SELECT count(*) FROM fraud.transactions) FROM fraud.daily_report'), 't', 'and counted');
$holder->query_safe('COMMIT');
$holder->quit;

# A label that commits between a fold's two looks, with a number before those that it saw, is summed up or
# stays in the log.
value("SELECT fraud.refresh_rollups()");
my $fraud = 'SELECT coalesce(sum(labelled_fraud), 0) FROM fraud.daily_report';
my $labelled = value($fraud);
my ($first, $second) = map { payment(cc_num => 4000000000000002, trans_num => qq("between-$_")) } 1, 2;
value("SELECT status FROM fraud.ingest('$first')");
value("SELECT fraud.refresh_rollups()");
my $label = $node->background_psql('postgres');
$label->query_safe("BEGIN; SELECT fraud.label('between-1', true, 'chargeback')");
value("SELECT status FROM fraud.ingest('$second')");
my $holds = $node->background_psql('postgres');
$holds->query_safe('BEGIN; SELECT 1 FROM fraud.folding FOR UPDATE');
my $folds = $node->background_psql('postgres');
$folds->query_until(qr/begun/, "\\echo begun\nSELECT fraud.refresh_rollups();\n\\echo folded\n");
ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%refresh_rollups%' AND pid <> pg_backend_pid()"), 'a fold waits between its looks');
$label->query_safe('COMMIT');
$label->quit;
$holds->query_safe('ROLLBACK');
$holds->quit;
$folds->query_until(qr/folded/, '');
$folds->quit;
is(value($fraud), $labelled + 1, 'a label that commits there is counted');
value('SELECT fraud.refresh_rollups()');
is(value($fraud), $labelled + 1, 'and once');

done_testing();
