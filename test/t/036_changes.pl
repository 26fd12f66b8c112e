# The log of changes: views equal a recount at every look, in one snapshot, while payments are
# stored, labelled, corrected, deleted, erased and folded, and slots of the log turn; old
# snapshots stay what they were; and all of it goes on with a publication of all tables.
use strict;
use warnings;

use FraudDetect;
use File::Temp ();
use PostgreSQL::Test::Utils;
use Test::More;

my $bodies = File::Temp->newdir;
my $api = start_api('--bodies', "$bodies");
my $node = new_server('main', conf => "wal_level = logical\nautovacuum_naptime = 1s\n");
sub value { return $node->safe_psql('postgres', $_[0]) }

value("CREATE PUBLICATION everything FOR ALL TABLES");
value("SELECT pg_create_logical_replication_slot('everything', 'pgoutput')");
value("SELECT fraud.promote('payments', 1, review_at => 0.001, block_at => 0.5)");
value('SELECT fraud._ensure_partition(to_timestamp(1700000000))');

my $directory = PostgreSQL::Test::Utils::tempdir();
sub script
{
    my ($name, $weight, $text) = @_;
    open(my $out, '>', "$directory/$name.sql") or die $!;
    print $out $text;
    close $out;
    return ('-f', "$directory/$name.sql\@$weight");
}

# An error with the rows where the views and the tables differ: a text that is no number.
my $compare = <<'SQL';
SELECT coalesce(string_agg(concat(r, ' is not ', t), '; '), '1')::int FROM
    (SELECT day, payments, volume, customers, alerts, labelled_fraud, labelled_legitimate, labelled_fraud_volume FROM fraud.daily_report) r
FULL JOIN
    (SELECT (p.occurred_at AT TIME ZONE 'UTC')::date AS day, count(*) AS n, sum(p.amount) AS v, count(DISTINCT p.card) AS c, count(*) FILTER (WHERE p.decision IN ('review', 'block')) AS a,
            count(*) FILTER (WHERE l.is_fraud) AS f, count(*) FILTER (WHERE NOT l.is_fraud) AS g, coalesce(sum(p.amount) FILTER (WHERE l.is_fraud), 0) AS w
     FROM fraud.transactions p LEFT JOIN fraud.current_labels l USING (card, transaction_id) GROUP BY 1) t USING (day)
WHERE (r.payments, r.volume, r.customers, r.alerts, r.labelled_fraud, r.labelled_legitimate, r.labelled_fraud_volume) IS DISTINCT FROM (t.n, t.v, t.c, t.a, t.f, t.g, t.w);
SELECT coalesce(string_agg(concat(r, ' is not ', t), '; '), '1')::int FROM
    (SELECT card, active_days, payments, volume, labelled_fraud, labelled_fraud_volume FROM fraud.customer_activity) r
FULL JOIN
    (SELECT p.card, count(DISTINCT (p.occurred_at AT TIME ZONE 'UTC')::date) AS d, count(*) AS n, sum(p.amount) AS v, count(*) FILTER (WHERE l.is_fraud) AS f, coalesce(sum(p.amount) FILTER (WHERE l.is_fraud), 0) AS w
     FROM fraud.transactions p LEFT JOIN fraud.current_labels l USING (card, transaction_id) GROUP BY 1) t USING (card)
WHERE (r.active_days, r.payments, r.volume, r.labelled_fraud, r.labelled_fraud_volume) IS DISTINCT FROM (t.d, t.n, t.v, t.f, t.w);
SQL
# A payment whose number in the log is smaller than those that were folded before it committed, and which is
# gone before it is folded: its end comes first, where the last piece ended, or in a slot of its own.
my $full = "BEGIN; SELECT fraud._lock('rollups'); UPDATE fraud.change_slots SET first_id = 1 WHERE slot = (SELECT last_value FROM fraud.change_slot); COMMIT;";
my $turns = 0;
for my $turning ('', $full) {
    my @ids = map { 10 * length($turning) + $_ } 1 .. 3;
    my @stored = map { "SELECT status FROM fraud.ingest(jsonb_build_object('cc_num', 4200000000000000 + $_, 'trans_num', 'late-$_', 'amt', 5, 'merchant', 'shop $_', 'category', 'c1', 'unix_time', 1700000000))" } @ids;
    my $late = $node->background_psql('postgres', on_error_stop => 0);
    $late->query_safe("BEGIN; $stored[0]");
    value("$stored[1]; $turning SELECT fraud.refresh_rollups()");
    # A slot is made a spare by one refresh and opened by the next.
    value("$full SELECT fraud.refresh_rollups()") for $turning ? (1 .. 3) : ();
    value("$stored[2]; SELECT fraud.refresh_rollups()");
    $late->query_safe('COMMIT');
    $late->quit;
    value("DELETE FROM fraud.transactions WHERE transaction_id = 'late-$ids[0]'");
    value($compare);
    for my $fold ('_fold(1)', '_fold(1)', 'refresh_rollups()') {
        value("SELECT fraud.$fold");
        value($compare);
        $turns++;
    }
    is(value("SELECT sum(customers) FROM fraud._rollups WHERE kind = 'day'"), value('SELECT count(DISTINCT card) FROM fraud.transactions'),
        'a payment that went before it was folded leaves no customer behind' . ($turning ? ', in another slot' : ''));
}
is($turns, 6, 'and the views were right at each step');

# A payment out of those that are there, at random.
my $some = "FROM fraud.payment_keys WHERE transaction_id >= 'p-' || :id ORDER BY transaction_id LIMIT 1";
my @scripts = (
    script('ingest', 12, <<'SQL'),
\set id random(1, 1000000000)
\set card 4000000000000000 + random(1, 40)
\set moment 1700000000 + random(1, 259200)
SELECT status FROM fraud.ingest(jsonb_build_object('cc_num', :card, 'trans_num', 'p-' || :id, 'amt', (:id % 100000) / 100.0, 'merchant', 'shop ' || :id % 7, 'category', 'c' || :id % 3, 'state', 'NC', 'unix_time', :moment));
SQL
    script('label', 6, "\\set id random(1, 1000000000)\nSELECT fraud.label(transaction_id, :id % 2 = 0, 'pgbench', now() + (CASE WHEN :id % 5 = 0 THEN interval '5 minutes' ELSE interval '-1 minute' END)) FROM (SELECT transaction_id $some) k;\n"),
    script('correct', 2, "\\set id random(1, 1000000000)\nUPDATE fraud.transactions SET amount = amount + 1, merchant = 'other' WHERE (card, occurred_at, transaction_id) = (SELECT card, occurred_at, transaction_id $some);\n"),
    script('delete', 2, "\\set id random(1, 1000000000)\nDELETE FROM fraud.transactions WHERE (card, occurred_at, transaction_id) = (SELECT card, occurred_at, transaction_id $some);\n"),
    script('erase', 1, "SELECT count(*) FROM (SELECT card FROM fraud.customers ORDER BY random() LIMIT 1) c, fraud.erase_customer(c.card, 'asked', true);\n"),
    # The open slot counts as full, so that each refresh turns to another.
    script('refresh', 2, "BEGIN; SELECT fraud._lock('rollups'); UPDATE fraud.change_slots SET first_id = 1 WHERE slot = (SELECT last_value FROM fraud.change_slot); COMMIT;\nSELECT fraud.refresh_rollups();\n"),
    script('piece', 2, "SELECT fraud._fold(3);\n"),
    script('rebuild', 1, "SELECT fraud.rebuild_rollups();\n"),
    script('compare', 2, $compare),
    script('old_snapshot', 1, "BEGIN ISOLATION LEVEL REPEATABLE READ;\n${compare}\\sleep 300 ms\n${compare}COMMIT;\n"),
    # With a snapshot that is older than the slot which is open when it writes; when it commits, another is.
    script('old_writer', 1, <<'SQL'));
\set id random(1, 1000000000)
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM fraud.change_slots;
\sleep 300 ms
SELECT status FROM fraud.ingest(jsonb_build_object('cc_num', 4100000000000000 + :id, 'trans_num', 'p-' || :id, 'amt', 5, 'merchant', 'shop 1', 'category', 'c1', 'unix_time', 1700000000 + :id % 1000));
\sleep 200 ms
COMMIT;
SQL
$node->command_ok([ 'pgbench', '-n', '-c', '8', '-j', '2', '-T', '12', @scripts, $node->connstr('postgres') ], 'the views are what the tables are, in every snapshot');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/invalid input syntax for type integer|deadlock|replica identity/, 'no look differed, nothing stood in the way of another');
cmp_ok(value("SELECT count(*) FROM fraud.change_slots WHERE turned_by IS NOT NULL"), '>', 1, 'slots of the log took turns');
value('SELECT fraud.refresh_rollups()');
value($compare);
pass('the same when all is folded');
my $sums = "SELECT md5(string_agg(r::text, chr(10) ORDER BY r::text)) FROM (SELECT kind, starts_at, key, model, model_version, sum(payments), sum(customers), sum(volume), sum(alerted_volume), sum(score_sum), sum(fraud), sum(legitimate), sum(fraud_volume) FROM fraud._rollups WHERE kind <> 'state' GROUP BY 1, 2, 3, 4, 5 HAVING sum(payments) <> 0) r";
my $before = value($sums);
value('SELECT fraud.rebuild_rollups()');
is(value($sums), $before, 'a rebuild comes to the same sums');

# ---------------------------------------------- everything else, published
# What workers write, and what people and jobs do.
value("SELECT fraud.add_channel('told', 'notify', 'heard')");
open(my $file, '>', "$bodies/feed") or die $!;
print $file '[' . join(',', map { payment(cc_num => 4000000000000000 + 18 * $_, trans_num => qq("feed-$_"), current_time => time * 1000, is_fraud => $_ % 2) } 1 .. 50) . ',{"trans_num": "broken"}]';
close($file);
value("SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, reason => 'alert on all', override_gate => true)");
value("SELECT fraud.add_source('feed', '$api->{url}/bodies/feed', poll_interval => '200 ms')");
ok($node->poll_query_until('postgres', "SELECT count(*) = 50 FROM fraud.transactions WHERE source = 'feed'"), 'a feed is stored');
ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM fraud.notifications WHERE state = 'delivered'"), 'and told of');
ok($node->poll_query_until('postgres', "SELECT duplicates > 0 FROM fraud.source_status"), 'its repetitions are counted');
value("SELECT fraud.acknowledge_case(case_id), fraud.confirm_case(case_id, overrule => true), fraud.reopen_case(case_id), fraud.dismiss_case(case_id, overrule => true) FROM (SELECT min(case_id) AS case_id FROM fraud.cases WHERE status = 'open') c");
value("SELECT fraud.simulate(10, 10, 100)");
value("SELECT fraud.pause_source('feed'), fraud.resume_source('feed'), fraud.poll_now('feed'), fraud.drop_source('feed')");
value("SELECT fraud.pause_channel('told'), fraud.resume_channel('told'), fraud.drop_channel('told')");
value("SELECT fraud.rotate_card_key()") if value("SELECT to_regproc('fraud.rotate_card_key')");
value("SET fraud_detect.transaction_retention = '40d'; SELECT fraud.maintain_partitions(); DO \$\$ BEGIN WHILE fraud.drop_past_month() IS NOT NULL LOOP END LOOP; END \$\$; SET fraud_detect.outbox_retention = '1us'; SET fraud_detect.dead_letter_retention = '1us'; SELECT fraud.purge()");
is(value("SELECT string_agg(fraud.run_job(job), ' ') FROM fraud._job_list()"), 'done done done done done done done', 'the jobs run');
value('SELECT fraud.close_due_days(current_date - 3), fraud.rebuild_rollups()');
is(value("SELECT fraud.import_model('payments', fraud.export_model('payments/1'))"), '2', 'models are stored');
value("SELECT fraud.promote('payments', 2, 'challenger', 'a second one')");
ok(value("SELECT count(*) > 0 FROM pg_logical_slot_get_binary_changes('everything', NULL, NULL, 'proto_version', '1', 'publication_names', 'everything')") eq 't', 'a subscriber can be told');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/replica identity/, 'no statement lacked a replica identity');

# The sums of months that retention dropped stay.
is(value("SELECT count(*) FROM fraud.transactions WHERE occurred_at < '2024-01-01'"), '0', 'old months went');
cmp_ok(value("SELECT sum(payments) FROM fraud.daily_report WHERE day < '2024-01-01'"), '>', 100, 'their sums stayed');

# ------------------------------------------ a worker folds when nobody else does
my $folded = value('SELECT refreshed_at FROM fraud.rollup_state');
value("SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4000000000000000 + i % 30, 'trans_num', 'w-' || i, 'amt', i % 90 + 1, 'merchant', 'M', 'category', 'c', 'unix_time', extract(epoch FROM now())::int - i)) FROM generate_series(1, 5000) i))");
ok($node->poll_query_until('postgres', "SELECT count(*) < 1000 FROM fraud._log"), 'a log that grows is folded by a worker');
is(value("SELECT sum(payments) FROM fraud.merchant_risk WHERE merchant = 'M'"), '5000', 'and counted once');

done_testing();
