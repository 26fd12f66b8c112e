# A table of insurance claims: trained on, watched, and told of; and what training says of
# rows that are not as they should be.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main');
sub value { return $node->safe_psql('postgres', $_[0]) }
sub refusal
{
    my ($code, $out, $err) = $node->psql('postgres', $_[0]);
    return $err;
}

# Two of three large claims are frauds.
value(q{
    CREATE TABLE claims (claim_no bigint PRIMARY KEY, filed_at timestamptz NOT NULL, policy_holder int NOT NULL, amount float8 NOT NULL,
                         days_insured int NOT NULL DEFAULT 100);
    INSERT INTO claims SELECT i, timestamptz '2025-01-01' + i * interval '10 minutes', i * 7919 % 400, 100 + i * 104729 % 4900
    FROM generate_series(1, 12000) i;
    SELECT fraud.create_feature_set('claims', 'claims', 'claim_no', 'filed_at',
        label => $$fraud.event_is_fraud('claims', claim_no::text)$$,
        label_known_at => $$fraud.event_label_known_at('claims', claim_no::text)$$, create_indexes => true);
    SELECT fraud.add_feature('claims', 'amount', 'amount', reason => 'claims {amount:.0}');
    SELECT fraud.add_window_feature('claims', 'count_30d', 'count', NULL, 'policy_holder', '30 days');
    SELECT fraud.add_window_feature('claims', 'rate_30d', 'rate', NULL, 'policy_holder', '30 days', delay => '1 day');
});

# ------------------------------------------------- periods without rows or labels
my $train = q(SELECT fraud.train('claims', 'claims', '{"num_boost_round": 20}', train_from => '%s', train_to => '%s'));
sub run_of { return value(sprintf($train, @_)) }
my $run = run_of('2025-01-01', '2025-03-01');
like(refusal("SELECT fraud.wait_for_training($run)"),
    qr/training run \d+ failed: no row of the training period, from 2025-01-01.* to 2025-03-01.*, has a label\. It has 8495 rows, of which none is labelled/,
    'a period without labels');
$run = run_of('2020-01-01', '2021-01-01');
like(refusal("SELECT fraud.wait_for_training($run)"),
    qr/the training period, from 2020-01-01.* to 2021-01-01.*, has no rows\. There are some from 2025-01-01 .* to 2025-03-25/,
    'is told from one without rows');
value(q{SELECT fraud.label_event('claims', array_agg(claim_no::text), amount > 3000 AND claim_no % 3 <> 0, 'history', '2025-04-01')
        FROM claims GROUP BY amount > 3000 AND claim_no % 3 <> 0});

# ------------------------------------------------------- a feature that fails
value(q(SELECT fraud.add_feature('claims', 'per_day', 'amount / days_insured')));
value('UPDATE claims SET days_insured = 0 WHERE claim_no = 777');
$run = run_of('2025-01-01', '2025-03-01');
like(refusal("SELECT fraud.wait_for_training($run)"),
    qr/training run \d+ failed: could not compute feature "per_day" of event "777": division by zero/, 'a feature that fails is named, with the event');
like(refusal("SELECT fraud.materialize_features('claims', 'matrix')"),
    qr/ERROR:  could not compute feature "per_day" of event "777": division by zero/, 'also where features are written');
like(refusal("SELECT fraud.features('claims', c) FROM claims c WHERE claim_no IN (777, 778)"),
    qr/ERROR:  could not compute feature "per_day" of event "777": division by zero/, 'and where one is asked for');
value(q(SELECT fraud.drop_feature('claims', 'per_day')));

# -------------------------------------------- from the user's table to decisions
$run = run_of('2025-01-01', '2025-03-01');
is(value("SELECT fraud.wait_for_training($run)"), 'succeeded', 'a model is trained on the table');
is(value(q(SELECT value > 0.85 FROM fraud.evaluate('claims/1', '2025-03-01', '2025-03-25') WHERE metric = 'auc_roc')), 't', 'and measured on its labels');
like(refusal(q(\set VERBOSITY verbose
               SELECT * FROM fraud.evaluate('claims/1', '2024-03-01', '2024-03-25'))),
    qr/no events from 2024-03-01.*\nHINT:  There are some from 2025-01-01/, 'an empty period says where there are events');
unlike(refusal(q(SELECT * FROM fraud.evaluate('claims/1', '2024-03-01', '2024-03-25'))), qr/CONTEXT/, 'and no more');
value(q(SELECT fraud.promote('claims', 1, review_at => 0.5, block_at => 0.95)));
value(q(SELECT fraud.watch('claims', entity => 'policy_holder', amount => 'amount')));
value(q(CREATE ROLE clerk; GRANT INSERT ON claims TO clerk));
value(q(BEGIN; SET ROLE clerk; INSERT INTO claims VALUES (20001, '2025-03-26', 400, 4900); ROLLBACK));
is(value('SELECT count(*) FROM fraud.stream_decisions'), '0', 'nothing is decided of an INSERT that rolls back');
is(value('SELECT count(*) FROM fraud.stream_alerts'), '0', 'nor is an alert raised');
value(q(SET ROLE clerk; INSERT INTO claims SELECT 20000 + i, timestamptz '2025-03-26' + i * interval '1 minute', i * 4, 4900 FROM generate_series(1, 3) i));
is(value(q(SELECT count(*), bool_and(decision IN ('review', 'block')), bool_and(reasons[1] LIKE 'claims 4900%') FROM fraud.stream_alerts)), '3|t|t',
    'large claims are alerted, with reasons');
value(q(INSERT INTO claims SELECT 21000 + i, timestamptz '2025-03-27' + i * interval '1 second', i % 400, 100 + i FROM generate_series(1, 100) i));
is(value(q(SELECT count(*), count(score) FROM fraud.stream_decisions WHERE event_id >= '21')), '100|100', 'a hundred rows of one INSERT');
is(value(q(SELECT count(*) FROM fraud.verify_parity('claims', 500))), '0', 'features are those of a pass');

# Who else is told.
my $listener = $node->background_psql('postgres');
$listener->query_safe('LISTEN fraud_alerts');
value(q(INSERT INTO claims VALUES (20010, '2025-03-28', 8, 4950)));
my $heard = '';
ok(wait_for(sub { $heard .= $listener->query_safe('SELECT 1'); $heard =~ /"stream": ?"claims"/ }, 'NOTIFY'), 'listeners hear of the stream');
$listener->quit;

# Two sessions at once: nobody waits for anybody.
my $one = $node->background_psql('postgres');
$one->query_safe(q(BEGIN; INSERT INTO claims VALUES (20020, '2025-03-29', 12, 4900)));
value(q(SET statement_timeout = '20s'; INSERT INTO claims VALUES (20021, '2025-03-29', 12, 4900)));
$one->query_safe('COMMIT');
$one->quit;
is(value(q(SELECT count(*) FROM fraud.stream_decisions WHERE event_id IN ('20020', '20021'))), '2', 'two sessions decide of one entity');

# ------------------------------------------------------------------ a leak
value(q{CREATE TABLE judged AS
    SELECT i AS event_id, timestamptz '2025-01-01' + i * interval '1 minute' AS event_time, i % 50 = 0 AS label,
           CASE WHEN i % 50 = 0 THEN 12.5 END AS refunded, (i * 7919 % 1000)::float8 AS noise, 'text' AS remark
    FROM generate_series(1, 5000) i});
my ($code, $out, $err) = $node->psql('postgres',
    q(SELECT fraud.train('leaky', rel => 'judged', params => '{"num_boost_round": 3}', train_from => '2025-01-01', train_to => '2025-02-01')));
like($err, qr/NOTICE:  features are the columns refunded, noise\nDETAIL:  Left out: event_id \(event_id\), event_time \(event_time\), label \(label\), remark \(text\)\./,
    'fraud.train says which columns it took and which it left out');
($code, undef, $err) = $node->psql('postgres', "SELECT fraud.wait_for_training($out)");
like($err, qr/WARNING:  training run \d+: feature "refunded" alone separates the labels \(AUC 1.0000\)/, 'a column that alone separates the labels is warned of');
is(value("SELECT cardinality(warnings), left_out[4] FROM fraud.training_runs WHERE run = $out"), '1|remark (text)', 'and the run says it too');

done_testing();
