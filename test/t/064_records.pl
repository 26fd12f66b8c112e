# What is kept of payments past their month: ids, alerts, cases, labels, shadow scores,
# follow-ups. They go when they are old enough, in pieces, and nothing of a stored payment goes.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', conf => "fraud_detect.alert_window = 0\n");
sub value { return $node->safe_psql('postgres', $_[0]) }
sub failure { my ($out, $err); $node->psql('postgres', $_[0], stderr => \$err); return $err }
sub setting { my ($name, $value) = @_; value("ALTER SYSTEM SET fraud_detect.$name = '$value'"); $node->reload; $node->poll_query_until('postgres', "SHOW fraud_detect.$name", $value) or die $name; }
# Calls until there is no more; returns how many calls there were.
sub purge_all { my ($rows) = @_; for my $n (1 .. 500) { return $n if value("SELECT fraud.purge_records($rows)") eq 'f' } die 'no end' }
# Of the payments of a month, so many months ago: rows in each table.
sub rows_of
{
    my ($month) = @_;
    my $like = "LIKE 'm$month-%'";
    return value(qq{SELECT concat_ws(' ',
        'payments', (SELECT count(*) FROM fraud.transactions WHERE transaction_id $like), 'ids', (SELECT count(*) FROM fraud.payment_keys WHERE transaction_id $like),
        'alerts', (SELECT count(*) FROM fraud.alerts WHERE transaction_id $like),
        'cases', (SELECT count(*) FROM fraud.case_states c JOIN public.case_months m USING (case_id) WHERE m.month = $month),
        'history', (SELECT count(*) FROM fraud.case_history c JOIN public.case_months m USING (case_id) WHERE m.month = $month),
        'labels', (SELECT count(*) FROM fraud.labels WHERE transaction_id $like), 'shadows', (SELECT count(*) FROM fraud.shadow_scores WHERE transaction_id $like),
        'followups', (SELECT count(*) FROM fraud.payment_followups WHERE reference $like), 'notes', (SELECT count(*) FROM fraud.rollup_labels WHERE transaction_id $like))});
}

# ------------------------------------------------- twenty payments in each of four months
value(q{SELECT fraud.promote('payments', 1, review_at => 0, block_at => 0.5); SELECT fraud.import_model('payments', fraud.export_model('payments/1'), 'again'); SELECT fraud.promote('payments', 2, 'challenger')});
my @months = (2, 5, 10, 20);
for my $month (@months)
{
    my $at = "extract(epoch FROM date_trunc('month', now()) - interval '$month months' + interval '3 days' + i * interval '1 hour')::bigint";
    value(qq{SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4000000000000002 + 18 * i, 'trans_num', 'm$month-' || i, 'amt', 100 + i, 'merchant', 'M' || i, 'category', 'misc_net', 'unix_time', $at)) FROM generate_series(1, 20) i))});
    value(qq{SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('kind', 'refund', 'reference', 'm$month-' || i, 'cc_num', 4000000000000002 + 18 * i, 'trans_num', 'r$month-' || i, 'amt', 10, 'unix_time', $at + 60)) FROM generate_series(1, 20) i))});
    value(qq{SELECT count(*) FROM fraud.label(ARRAY(SELECT 'm$month-' || i FROM generate_series(1, 10) i), true, 'chargeback', date_trunc('month', now()) - interval '$month months' + interval '10 days')});
}
value('CREATE TABLE public.case_months AS SELECT a.case_id, substr(split_part(a.transaction_id, $$-$$, 1), 2)::int AS month, a.transaction_id FROM fraud.alerts a');
value('SELECT count(*) FROM fraud.confirm_cases(ARRAY(SELECT case_id FROM fraud.cases WHERE case_id % 2 = 0))');
value('SELECT fraud.refresh_rollups()');
my %whole = map { $_ => rows_of($_) } @months;
like($whole{20}, qr/^payments 20 ids 20 alerts 20 cases 20 history 10 labels 20 shadows 20 followups 20 notes [12]\d$/, 'each month has something of everything') or diag($whole{20});
my @views = qw(daily_report hourly_activity merchant_risk category_risk customer_activity model_performance score_distribution);
my $sums = 'SELECT md5(string_agg(v, $$;$$ ORDER BY v)) FROM (' . join(' UNION ALL ', map { "SELECT to_jsonb(t)::text AS v FROM fraud.$_ t" } @views) . ') a';
my $views = value($sums);

is(purge_all(1000), 1, 'while payments are kept for ever');
is(rows_of($_), $whole{$_}, "nothing of month $_ goes") for @months;
like(failure("DELETE FROM fraud.labels"), qr/rows of fraud.labels cannot be changed or removed/, 'nobody removes labels');
like(failure("DELETE FROM fraud.alerts"), qr/rows of fraud.alerts cannot/, 'alerts');
like(failure("DELETE FROM fraud.case_history"), qr/rows of fraud.case_history cannot/, 'histories');
like(failure("SELECT fraud.purge_records(0)"), qr/max_rows is 0, expected at least 1/, 'no rows are no piece');
like(failure("SELECT fraud.purge_records(NULL)"), qr/max_rows must not be null/, 'nor is null');

# ------------------------------------------------- months go, what is said of them stays
setting('transaction_retention', '100d');
1 until value('SELECT fraud.drop_past_month()') eq '';
purge_all(1000);
is(rows_of(2), $whole{2}, 'what is stored keeps everything');
(my $month5 = $whole{5}) =~ s/payments 20(.*) notes \d+/payments 0$1 notes 0/;
is(rows_of(5), $month5, 'a month that went keeps all but the notes of its sums');
(my $month20 = $whole{20}) =~ s/payments 20 ids 20(.*) notes \d+/payments 0 ids 0$1 notes 0/;
is(rows_of(20), $month20, 'and past key_retention its ids are known no more');
is(value($sums), $views, 'the views say what they said');
like(failure("SELECT fraud.label('m20-1', true)"), qr/payment "m20-1" does not exist/, 'it cannot be labelled');
is(failure("SELECT fraud.label('m5-11', true)"), '', 'one whose id is known can');
is(value("SELECT status FROM fraud.ingest(jsonb_build_object('cc_num', 4000000000000020, 'trans_num', 'm5-1', 'amt', 101, 'merchant', 'M1', 'category', 'misc_net', 'unix_time', extract(epoch FROM date_trunc('month', now()) - interval '5 months' + interval '3 days 1 hour')::bigint))"), 'duplicate', 'and is not stored again');
1 until value('SELECT fraud.drop_past_month()') eq '';
setting('key_retention', '0');
purge_all(1000);
like(rows_of(5), qr/ids 20/, 'with a retention of 0 ids stay');

# ------------------------------------------------- what is said goes, too: in pieces, interrupted, one row in somebody's hands
setting('record_retention', '250d');
my $others = q{SELECT sum(n) FROM (SELECT count(*) AS n FROM fraud.shadow_scores UNION ALL SELECT count(*) FROM fraud.payment_followups) s};
is(value('SELECT fraud.purge_records(7)'), 't', 'a piece goes, and there is more');
is(value($others), 160 - 7, 'no more than was asked for');
failure('BEGIN; SELECT fraud.purge_records(7); ROLLBACK');
is(value($others), 160 - 7, 'one that is rolled back takes nothing');
$node->stop('immediate');
$node->start;
my $court = value(q{SELECT card FROM fraud.alerts WHERE transaction_id = 'm10-7'});
value("SELECT fraud.hold_customer('$court', 'a court')");
my $analyst = $node->background_psql('postgres');
my $case = value(q{SELECT case_id FROM fraud.alerts WHERE transaction_id = 'm20-11'});
$analyst->query_safe('BEGIN');
$analyst->query_safe("SELECT status FROM fraud.dismiss_cases(ARRAY[$case])");
my $changes = value('SELECT last_value FROM fraud.change_ids');
cmp_ok(purge_all(7), '>', 10, 'after a crash the rest goes, in pieces');
is(value('SELECT last_value FROM fraud.change_ids'), $changes, 'and changes no sum');
is(value(q{SELECT string_agg(transaction_id, ' ' ORDER BY transaction_id) FROM fraud.alerts WHERE transaction_id ~ '^m[12]0-'}), 'm10-7 m20-11 m20-7', 'but for the case that an analyst has, and the customer who is held');
$analyst->query_safe('COMMIT');
$analyst->quit;
purge_all(100);
is(value(q{SELECT string_agg(transaction_id, ' ' ORDER BY transaction_id) FROM fraud.alerts WHERE transaction_id ~ '^m[12]0-'}), 'm10-7 m20-7', 'the case goes when he has ended');
value("SELECT fraud.release_customer('$court', 'over'); UPDATE fraud.sweeps SET cutoff = NULL");    # another month comes
# The analyst's label is known since today, and the id is not: it stays as long as any that is said today.
purge_all(100);
is(rows_of(10), 'payments 0 ids 20 alerts 0 cases 0 history 0 labels 0 shadows 0 followups 0 notes 0', 'of a month past record_retention nothing stays but ids, where these do');
is(rows_of(20) =~ s/labels \d+/labels n/r, 'payments 0 ids 0 alerts 0 cases 0 history 0 labels n shadows 0 followups 0 notes 0', 'nor of one whose ids were not known');
is(value(q{SELECT count(*) FROM fraud.labels l WHERE l.transaction_id LIKE 'm20-%' AND NOT EXISTS (SELECT FROM fraud.labels n WHERE n.transaction_id = l.transaction_id AND n.card = l.card AND n.known_at > now() - interval '250 days')}), '0', 'labels of theirs stay that were known lately');
(my $with_label = $month5) =~ s/labels (\d+)/'labels ' . ($1 + 1)/e;
is(rows_of(5), $with_label, 'what is younger stays');
is(rows_of(2), $whole{2}, 'and what is stored');
is(value($sums), $views, 'the views say what they said');
like(failure(q{DELETE FROM fraud.labels WHERE transaction_id = 'm5-1'}), qr/rows of fraud.labels cannot be changed or removed/, 'nobody removes a label that is younger');
is(value(q{SELECT string_agg(DISTINCT object_name, ' ' ORDER BY object_name) FROM fraud.audit_log WHERE action = 'purge'}), 'fraud.case_states fraud.labels fraud.payment_followups fraud.payment_keys fraud.rollup_labels fraud.shadow_scores', 'what went is noted');
is(value(q{SELECT sum((new ->> 'rows')::int) FROM fraud.audit_log WHERE action = 'purge' AND object_name IN ('fraud.shadow_scores', 'fraud.case_states')}), '80', 'with how many rows');

# ------------------------------------------------- what is stored by hand, of long ago
setting('key_retention', '30d');
value(q{SELECT count(*) FROM fraud.ingest(jsonb_build_object('cc_num', 4000000000000002, 'trans_num', 'ancient', 'amt', 1, 'merchant', 'M', 'unix_time', extract(epoch FROM '2009-05-05'::timestamptz)))});
value('UPDATE fraud.sweeps SET cutoff = date_trunc($$month$$, now()) - interval $$1 month$$, next_block = 0');
purge_all(100);
is(value(q{SELECT count(*) FROM fraud.payment_keys JOIN fraud.transactions USING (card, transaction_id) WHERE transaction_id = 'ancient'}), '1', 'keeps its id, whatever the sweeps have come to');
like(rows_of(2), qr/payments 20 ids 20/, 'so do all that are stored');
like(rows_of(5), qr/^payments 0 ids 0 alerts 20/, 'others go');
# A second session finds the lock taken.
my $other = $node->background_psql('postgres');
$other->query_safe('BEGIN; SELECT fraud.purge_records()');
is(value('SELECT fraud.purge_records()'), 'f', 'one at a time');
$other->query_safe('COMMIT');
$other->quit;
is(value("SELECT fraud.run_job('records')"), 'done', 'a job does it');

done_testing();
