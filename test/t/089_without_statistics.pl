# Much comes in before anything was analysed: at the first hour of an installation, after a restore, in one statement. What
# is looked up for an event, and what is joined for a backtest, is read by its key all the same, and not as often as there are rows.
use strict;
use warnings;

use FraudDetect;
use Test::More;

my $node = new_server('main', preload => 0, conf => "autovacuum = off\n");
sub value { return $node->safe_psql('postgres', $_[0]) }

# How many rows a statement has read of the tables that fit a pattern; after another one in its session, whose plans it has.
sub rows_read
{
    my ($statement, $tables, $first) = @_;
    my $read = "SELECT 'read ' || sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_xact_user_tables WHERE relname ~ '$tables'";
    my ($before, $after) = value('BEGIN; ' . ($first // 'SELECT') . "; $read; $statement; $read; COMMIT") =~ /^read (\d+)$/mg;
    return $after - $before;
}

my $most = 3000;

# ----------------------------------------------------------------- a stream
value(q{
    CREATE TABLE claims (claim_no text PRIMARY KEY, filed_at timestamptz NOT NULL, policy_holder text, amount numeric);
    SELECT fraud.create_feature_set('claims', 'claims', 'claim_no', 'filed_at', create_indexes => true);
    SELECT fraud.add_feature('claims', 'amount', 'amount');
    SELECT fraud.import_model('claims', $$} . stump('amount', 5) . q{$$), fraud.import_model('claims', $$} . stump('amount', 7) . q{$$);
    SELECT fraud.promote('claims', 1, review_at => 0.5, block_at => 0.9), fraud.promote('claims', 2, 'challenger');
    SELECT fraud.watch('claims', entity => 'policy_holder', amount => 'amount')});
my $insert = "INSERT INTO claims SELECT 'c' || i, now() - i * interval '1 minute', 'h' || i, 10 FROM generate_series(1, $most) i";
cmp_ok(rows_read("INSERT INTO claims VALUES ('again', now(), 'h7', 10)", '', $insert), '<', 100, 'an event reads what is of its own key, of all tables');
is(value('SELECT count(*), count(DISTINCT case_id) FROM fraud.stream_alerts'), $most + 1 . "|$most", 'each holder has a case, and one has two alerts in it');

my $period = "now() - interval '30 days', now()";
cmp_ok(rows_read("SELECT FROM fraud.backtest_rule('amount > 5', $period, stream => 'claims')", '^(claims|stream_decisions)$'), '<', 10 * $most, 'a backtest reads events and decisions a few times');
cmp_ok(rows_read("SELECT FROM fraud.backtest_decision($period, stream => 'claims')", '^(claims|stream_decisions)$'), '<', 10 * $most, 'of a decision, too');
value("SELECT fraud.label_event('claims', array_agg(claim_no), false) FROM claims; SELECT fraud.label_event('claims', '{c1,c2}', true)");
cmp_ok(rows_read("SELECT FROM fraud.suggest_rules($period, 1, 'claims')", '^(claims|stream_decisions)$'), '<', 20 * $most, 'and what suggests rules');
cmp_ok(rows_read("SELECT FROM fraud.compare_models('claims', 'claims\@challenger', $period, scores => 'shadow')", '^(stream_decisions|stream_shadow_scores|labelled_events)$'),
    '<', 10 * $most, 'and what compares scores in shadow');
is(value("SELECT count(*) FROM fraud.backtest_rule('amount > 5', $period, stream => 'claims'); SHOW enable_nestloop") =~ s/.*\n//r, 'on', 'the session plans as before');

# --------------------------------------------------------------- payments
value("SELECT fraud.promote('payments', 1, reason => 'all alert', review_at => 0, block_at => 1, override_gate => true)");
my $pay = q{SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', (4000000000000000 + i)::text, 'trans_num', '%s' || i, 'amt', 10, 'merchant', 'm' || i %% 50,
    'category', 'travel', 'unix_time', extract(epoch FROM now())::bigint - 60)) FROM generate_series(%d, %d) i))};
cmp_ok(rows_read(sprintf($pay, 'q', 9, 9), '', sprintf($pay, 'p', 1, $most)), '<', 100, 'a payment reads what is of its own keys, of all tables');
is(value('SELECT count(*), count(DISTINCT case_id) FROM fraud.alerts'), $most + 1 . "|$most", 'each card has a case');

done_testing();
