# Cases are decided and payments labelled by many at once: nobody ends in a deadlock, no
# alert waits for a person, and what counts is what was said.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = new_server('main', conf => "deadlock_timeout = 200ms\nmax_connections = 40\n");
sub value { return $node->safe_psql('postgres', $_[0]) }

my $directory = PostgreSQL::Test::Utils::tempdir();
my $cards = 60;
value("SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, reason => 'every payment is an alert', override_gate => true)");
# Payments of all cards, in one body: four of each.
my $first = join(',', map { payment(cc_num => 4000000000000000 + ($_ % $cards) * 18, trans_num => qq("p-$_"), merchant => '"Shop ' . $_ % 7 . '"', current_time => int(time * 1000) - $_) } 1 .. 4 * $cards);
value("SELECT count(*) FROM fraud.ingest('[$first]')");
is(value('SELECT count(*) FROM fraud.cases'), $cards, 'a case a card');

# ------------------------------------------------------------ all at the same time
# Sessions by pgbench; some end in errors that are said in advance (a case that another has
# confirmed meanwhile), never in a deadlock.
sub start
{
    my ($name, $script, @options) = @_;
    open(my $out, '>', "$directory/$name.sql") or die $!;
    print $out $script;
    close $out;
    my ($stdout, $stderr) = ('', '');
    my $run = IPC::Run::start([ 'pgbench', '-n', '-f', "$directory/$name.sql", @options, $node->connstr('postgres') ],
        '>', \$stdout, '2>', \$stderr);
    return { name => $name, run => $run, out => \$stdout, err => \$stderr };
}
my $seconds = $ENV{FRAUD_LABELS_SECONDS} // 8;
my @for = ('-T', $seconds);
# In the sessions' own way: a refusal is what this act came to, and not the session's end.
value(<<'SQL');
CREATE TABLE outcomes (kind text, outcome text);
CREATE PROCEDURE attempt(kind text, statement text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    INSERT INTO outcomes VALUES (kind, 'done');
EXCEPTION WHEN OTHERS THEN
    INSERT INTO outcomes VALUES (kind, SQLSTATE || ' ' || SQLERRM);
END
$$;
SQL
sub sessions
{
    return (
        start('ingest', <<'SQL', '-c', '3', '-j', '1', @for),
\set n random(1, 6)
SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4000000000000000 + (random() * 59)::int * 18, 'trans_num', gen_random_uuid(),
    'amt', 10, 'merchant', 'Shop ' || i, 'is_fraud', (random() < 0.1)::int, 'current_time', floor(extract(epoch FROM now()) * 1000))) FROM generate_series(1, :n) i));
SQL
        start('labels', <<'SQL', '-c', '1', @for),
CALL attempt('labels', $$SELECT count(*) FROM fraud.label(ARRAY(SELECT transaction_id FROM fraud.transactions ORDER BY random() LIMIT 20), true, 'chargeback')$$);
SQL
        start('label', <<'SQL', '-c', '1', @for),
CALL attempt('label', $$SELECT fraud.label(transaction_id, true, 'partner') FROM fraud.transactions ORDER BY random() LIMIT 1$$);
SQL
        start('set', <<'SQL', '-c', '1', @for),
CALL attempt('confirm_cases', $$SELECT count(*) FROM fraud.confirm_cases(ARRAY(SELECT case_id FROM fraud.cases WHERE status = 'open' ORDER BY random() LIMIT 40))$$);
SQL
        start('dismiss', <<'SQL', '-c', '1', @for),
CALL attempt('dismiss_cases', $$SELECT count(*) FROM fraud.dismiss_cases(ARRAY(SELECT case_id FROM fraud.cases WHERE status IN ('confirmed', 'open') ORDER BY random() LIMIT 15), overrule => true)$$);
CALL attempt('reopen_cases', $$SELECT count(*) FROM fraud.reopen_cases(ARRAY(SELECT case_id FROM fraud.cases WHERE status <> 'open' ORDER BY random() LIMIT 30))$$);
SQL
        start('single', <<'SQL', '-c', '1', @for),
CALL attempt('confirm_case', $$SELECT count(fraud.confirm_case(case_id)) FROM fraud.cases WHERE status = 'open'$$);
SQL
    );
}
# Again where a kind of act has hardly gone through by then, as on a machine with much else to do.
for my $round (1 .. 10)
{
    my @sessions = sessions();
    for my $session (@sessions)
    {
        $session->{run}->finish;
        is($session->{run}->result(0), 0, "$session->{name}: the session runs to its end") or diag(${ $session->{err} });
    }
    last if value("SELECT count(*) FROM (SELECT FROM outcomes WHERE outcome = 'done' GROUP BY kind HAVING count(*) > 2) k") eq '6';
}
is(value("SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'"), '0', 'no deadlock');
note(value("SELECT string_agg(format('%s: %s x %s', kind, n, outcome), E'\\n' ORDER BY kind, n DESC) FROM (SELECT kind, regexp_replace(outcome, '[0-9]{2,}', 'N', 'g') AS outcome, count(*) AS n FROM outcomes GROUP BY 1, 2) o"));
is(value("SELECT count(*) FROM outcomes WHERE outcome ~ '^(40|55P03|57|XX)'"), '0', 'nor another failure of locking');
is(value("SELECT count(*) FROM outcomes WHERE outcome <> 'done' AND outcome !~ '^55000 case \\d+ is (confirmed|dismissed), expected'"), '0', 'what was refused was decided by another meanwhile')
  or diag(value("SELECT string_agg(DISTINCT kind || ': ' || outcome, E'\\n') FROM outcomes WHERE outcome <> 'done' AND outcome !~ '^55000 case'"));
for my $kind (qw(labels label confirm_cases dismiss_cases reopen_cases confirm_case))
{
    cmp_ok(value("SELECT count(*) FROM outcomes WHERE kind = '$kind' AND outcome = 'done'"), '>', 2, "$kind has gone through");
}

# What stands beside the payments is what their labels say, whoever came first.
my $stale = <<'SQL';
SELECT count(*) FROM fraud.transactions t
LEFT JOIN LATERAL fraud._label_course(ARRAY(SELECT l FROM fraud.labels l WHERE l.card = t.card AND l.transaction_id = t.transaction_id)) c ON EXISTS (SELECT FROM fraud.labels l WHERE l.card = t.card AND l.transaction_id = t.transaction_id)
WHERE (t.is_fraud, t.label_known_at, t.label_changes) IS DISTINCT FROM (c.is_fraud, c.known_at, c.changes)
SQL
is(value($stale), '0', 'each payment has with it what its labels come to');
cmp_ok(value('SELECT count(*) FROM fraud.transactions WHERE label_changes IS NOT NULL'), '>', 10, 'of many that has turned');
is(value("SELECT count(*) FROM fraud.verify_parity('payments', 2000)"), '0', 'features are equal in both ways');
is(value("SELECT count(*) FROM fraud.cases c WHERE alerts <> (SELECT count(*) FROM fraud.alerts a WHERE a.card = c.card AND a.case_id = c.case_id) OR alerts = 0"), '0', 'each case has its alerts');
is( value("SELECT count(*) FROM fraud.cases c JOIN fraud.alerts a USING (card, case_id) WHERE c.status = 'confirmed'"
          . " AND NOT EXISTS (SELECT FROM fraud.labels l WHERE l.card = a.card AND l.transaction_id = a.transaction_id AND l.source = 'analyst' AND l.is_fraud)"),
    '0', 'no alert has joined a case that was decided without it');

# --------------------------------------------------------- each against each other
# Two sessions: the first does one thing in an open transaction, the second another, on
# what the first holds and on more, and then the first does one thing more. Whatever
# changes cases or labels is found in the catalog.
value('DELETE FROM outcomes');
my @public = split /\n/, value(<<'SQL');
SELECT DISTINCT p.proname || ' ' || CASE WHEN p.proargtypes[0] = 'bigint'::regtype THEN 'case' WHEN p.proargtypes[0] = 'bigint[]'::regtype THEN 'cases'
                                WHEN p.proargtypes[0] = 'text'::regtype THEN 'payment' WHEN p.proargtypes[0] = 'text[]'::regtype THEN 'payments' ELSE 'customer' END
FROM pg_proc p
WHERE p.pronamespace = 'fraud'::regnamespace AND p.proname !~ '^_' AND p.provolatile = 'v'
  AND (p.prorettype IN ('fraud.cases'::regtype, 'fraud.labels'::regtype) OR p.proname IN ('label', 'erase_customer'))
  OR EXISTS (SELECT FROM pg_proc b WHERE b.pronamespace = p.pronamespace AND b.proname = '_' || p.proname AND p.proname !~ '^_'
             AND b.prosrc ~ '(UPDATE|INSERT INTO|DELETE FROM) fraud\.(labels|case_states)\M')
SQL
# These wait for nobody (test/t/072_case_work.pl).
@public = grep { !/^(?:take_case|close_flood|note_cases?) / } @public;
cmp_ok(scalar @public, '>=', 15, 'functions that change cases or labels: ' . join(', ', @public));
sub call
{
    my ($entry, $n, $from, $to) = @_;    # of one thing, or from this to that
    my ($function, $kind) = split / /, $entry;
    my $more = $function =~ /^(confirm|dismiss)/ ? ', overrule => true' : $function =~ /^decide/ ? q(, '{}', overrule => true) : '';
    # Another assignee each time: what stays as it is waits for nobody, once it is locked.
    $more = ', (ARRAY[$$postgres$$, NULL])[1 + floor(random() * 2)::int]' if $function =~ /^assign/;
    # The customer's other cases that are still open go into this one, where it has such.
    return "SELECT count(*) FROM test_cases t CROSS JOIN LATERAL (SELECT array_agg(o.case_id) AS ids FROM test_cases o JOIN fraud.case_states s USING (card, case_id)"
      . " WHERE o.card = t.card AND o.n > 9 AND o.n <> t.n AND s.status = 'open') o CROSS JOIN LATERAL fraud.merge_cases(t.case_id, o.ids) m WHERE t.n = $n AND o.ids IS NOT NULL"
      if $function eq 'merge_cases';
    return "SELECT count(fraud.$function(case_id$more)) FROM test_cases WHERE n = $n" if $kind eq 'case';
    return "SELECT count(*) FROM fraud.$function(ARRAY(SELECT case_id FROM test_cases WHERE n BETWEEN $from AND $to ORDER BY n DESC)$more)" if $kind eq 'cases';
    return "SELECT fraud.$function((SELECT transaction_id FROM test_cases WHERE n = $n), true, 'partner')" if $kind eq 'payment';
    return "SELECT count(*) FROM fraud.$function(ARRAY(SELECT transaction_id FROM test_cases WHERE n BETWEEN $from AND $to ORDER BY n DESC), true, 'partner')" if $kind eq 'payments';
    return "SELECT count(*) FROM fraud.$function((SELECT card FROM test_cases WHERE n = $n), 'asked to', true)" if $function eq 'erase_customer';
    die "no call for $entry: add one";
}
# Has the cases in a state that the function may change.
sub ready
{
    my ($entry) = @_;
    my $state = $entry =~ /^reopen/ ? 'acknowledged' : 'open';
    value("UPDATE fraud.case_states c SET status = '$state' FROM test_cases t WHERE t.n <= 9 AND c.card = t.card AND c.case_id = t.case_id AND c.status <> '$state'");
}
value('CREATE TABLE test_cases AS SELECT row_number() OVER (ORDER BY c.card, c.case_id) AS n, c.card, c.case_id, min(a.transaction_id) AS transaction_id'
      . ' FROM fraud.case_states c JOIN fraud.alerts a USING (card, case_id) GROUP BY c.card, c.case_id');
my ($failed, $pairs, $waits, $slow_alerts) = (0, 0, 0, 0);
for my $a (@public)
{
    # Anew for each: a session has its time.
    my ($one, $two) = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 2;
    my $pid = $two->query_safe('SELECT pg_backend_pid()');
    for my $b (@public)
    {
        # One holds 5; two wants that, or 1 to 9; one goes on to 2, which two would hold if it
        # waited with full hands.
        ready($a);
        $one->query_safe('BEGIN');
        $one->query_safe(call($a, 5, 5, 5));
        my $token = "done_$pairs";
        $two->{stdin} .= call($b, 5, 1, 9) . ";\n\\echo $token\n";
        $two->{run}->pump_nb;
        wait_for(sub {
            $two->{run}->pump_nb;
            return 1 if $two->{stdout} =~ /$token/;
            return 0 if value("SELECT count(*) FROM pg_locks WHERE pid = $pid AND NOT granted") eq '0';
            return ++$waits;
        }, "$b runs or waits", 20);
        # An alert of a card that one of them holds is raised at once.
        if ($pairs % 17 == 0)
        {
            my $took = FraudDetect::seconds_of(sub { value("SELECT * FROM fraud.ingest(jsonb_build_object('card', (SELECT card FROM test_cases WHERE n = 2), 'trans_num', 'x-$pairs', 'amt', 5, 'merchant', 'Shop', 'current_time', floor(extract(epoch FROM now()) * 1000)))") })
              if $a !~ /erase/ && $b !~ /erase/;
            $slow_alerts++ if ($took // 0) > 2;
        }
        $one->query_safe(call($a, 2, 2, 2));
        $one->query('ROLLBACK');
        wait_for(sub { $two->{run}->pump_nb; $two->{stdout} =~ /$token/ }, "$b is done", 20);
        $failed++, diag("$b, while $a: $two->{stderr}") if $two->{stderr} =~ /deadlock|timeout/;
        $two->{stderr} = $two->{stdout} = $one->{stderr} = '';
        $pairs++;
    }
    $one->quit;
    $two->quit;
}
cmp_ok($waits, '>', $pairs / 2, "of $pairs pairs $waits have waited for each other");
is($failed, 0, "none of $pairs pairs ends in a deadlock");
is($slow_alerts, 0, 'and no alert has waited for any');
is(value("SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'"), '0', 'by the count of the server, too');

# ------------------------------------------------- an open transaction of an analyst
my $idle = $node->background_psql('postgres');
$idle->query_safe('BEGIN');
$idle->query_safe("SELECT count(*) FROM fraud.confirm_cases(ARRAY(SELECT case_id FROM fraud.cases WHERE status IN ('open', 'acknowledged', 'dismissed')), overrule => true)");
my $took = FraudDetect::seconds_of(sub { value("SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('card', c.card, 'trans_num', 'idle-' || c.n, 'amt', 5, 'merchant', 'Shop', 'current_time', floor(extract(epoch FROM now()) * 1000))) FROM (SELECT card, min(n) AS n FROM test_cases GROUP BY card) c))") });
cmp_ok($took, '<', 5, 'alerts of all cards are raised while an analyst holds all cases');
is(value("SELECT count(DISTINCT a.card) FROM fraud.alerts a JOIN fraud.case_states c USING (card, case_id) WHERE a.transaction_id LIKE 'idle-%' AND c.status = 'open'"), $cards, 'in new cases');
# What waits for a person holds nothing that others want meanwhile.
my $waiting = $node->background_psql('postgres');
my $waiter = $waiting->query_safe('SELECT pg_backend_pid()');
my $held = value('SELECT max(n) FROM test_cases');
$waiting->{stdin} .= "SELECT count(*) FROM fraud.label(ARRAY(SELECT transaction_id FROM test_cases) || ARRAY['idle-1']::text[], true, 'chargeback');\n\\echo labelled\n";
$waiting->{run}->pump_nb;
wait_for(sub { $waiting->{run}->pump_nb; value("SELECT count(*) FROM pg_locks WHERE pid = $waiter AND NOT granted") ne '0' }, 'chargebacks wait for the analyst');
is(value("SET lock_timeout = '2s'; SELECT fraud.label('idle-1', true, 'partner') > 0"), 't', 'while another labels a payment that both want');
$idle->query_safe('COMMIT');
wait_for(sub { $waiting->{run}->pump_nb; $waiting->{stdout} =~ /labelled/ }, 'the chargebacks are recorded when he is done');
$idle->quit;
$waiting->quit;
is(value($stale), '0', 'and all payments have what their labels come to');
done_testing();
