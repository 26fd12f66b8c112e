# A team at its cases while payments come in: no two take the same, nobody waits for a colleague who
# went for coffee in the middle of a transaction, a flood is closed beside payments, and the queue
# and a case's page answer at once however much there is.
use strict;
use warnings;

use FraudDetect;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_server('main', preload => 0, conf => "fraud_detect.alert_window = 1s\ndeadlock_timeout = 50ms\nlog_lock_waits = on\nshared_buffers = 128MB\n");
sub value { return $node->safe_psql('postgres', $_[0]) }
sub seconds { my ($what) = @_; my $start = time; value($what); return time - $start }

value(q{
SELECT fraud.promote('payments', 1, reason => 'all alert', review_at => 0, block_at => 0.5, override_gate => true);
CREATE ROLE ana LOGIN; CREATE ROLE bo LOGIN; CREATE ROLE cy LOGIN;
SELECT fraud.grant_access(r, 'analyst') FROM unnest('{ana,bo,cy}'::text[]) r;
CREATE SEQUENCE public.n;
GRANT USAGE ON SEQUENCE public.n TO PUBLIC});
my $ingest = q{SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4000000000000000 + (random() * 100000)::int, 'trans_num', 'w-' || nextval('public.n'),
    'amt', round((random() * 1000)::numeric, 2), 'merchant', 'M' || (random() * 20)::int, 'category', 'travel', 'unix_time', extract(epoch FROM now())::bigint)) FROM generate_series(1, 20)))};
value($ingest) for 1 .. 10;

# ------------------------------------------------------------- two, never the same
my $directory = PostgreSQL::Test::Utils::tempdir();
sub script
{
    my ($name, $sql) = @_;
    PostgreSQL::Test::Utils::append_to_file("$directory/$name.sql", "$sql;\n");
    return "$directory/$name.sql";
}
my $take = script(take => 'BEGIN; SELECT case_id FROM fraud.take_case(); SELECT pg_sleep(0.002); COMMIT');
my $pay = script(pay => $ingest);
# The sessions of one pgbench are one role; three of them at once, and one that pays.
my @clients;
for (qw(ana bo cy))
{
    my ($out, $err) = ('', '');
    push @clients, { h => IPC::Run::start([ 'pgbench', '-n', '-U', $_, '-c', '3', '-t', '20', '-f', $take, $node->connstr('postgres') ], '>', \$out, '2>', \$err), out => \$out, err => \$err };
}
{
    my ($out, $err) = ('', '');
    push @clients, { h => IPC::Run::start([ 'pgbench', '-n', '-c', '2', '-t', '10', '-f', $pay, $node->connstr('postgres') ], '>', \$out, '2>', \$err), out => \$out, err => \$err };
}
$_->{h}->finish for @clients;
unlike(join('', map { ${ $_->{err} } } @clients), qr/ERROR|deadlock/, 'nobody fails') or diag(map { ${ $_->{err} } } @clients);
is(value(q{SELECT count(*) FROM (SELECT case_id FROM fraud.case_history WHERE action = 'take' GROUP BY case_id HAVING count(*) > 1) twice}), '0', 'no case is taken twice');
is(value(q{SELECT count(*) FROM fraud.case_history WHERE action = 'take'}), '180', 'and each call got one');
is(value(q{SELECT string_agg(assignee || ' ' || n, ', ' ORDER BY assignee) FROM (SELECT assignee, count(*) AS n FROM fraud.case_states WHERE assignee IS NOT NULL GROUP BY 1) a}),
    'ana 60, bo 60, cy 60', 'each has what it took');

# ------------------------------------------- who sits in a transaction is passed over
my $idle = $node->background_psql('postgres', on_error_stop => 1);
my $held = $idle->query('BEGIN; SELECT case_id FROM fraud.take_case()');
my ($seconds, $next) = (0);
{
    my $start = time;
    $next = value('SET lock_timeout = 5000; SELECT case_id FROM fraud.take_case()');
    $seconds = time - $start;
}
isnt($next, $held, 'another gets the next') or diag("both got $next");
like($next, qr/^\d+$/, 'which is one');
cmp_ok($seconds, '<', 2, 'at once');
# Payments neither wait for him nor join his case: they open another.
my ($card, $id) = split /\|/, value("SELECT card, case_id FROM fraud.case_states WHERE case_id = $held");
cmp_ok(seconds("SET lock_timeout = 5000; $ingest"), '<', 4, 'payments go on');
# A note waits for nobody either.
cmp_ok(seconds("SET lock_timeout = 5000; SELECT fraud.note_case($held, 'seen by another')"), '<', 2, 'nor does a note');
$idle->query('ROLLBACK');
is(value("SELECT status || ' ' || coalesce(assignee, 'nobody') FROM fraud.case_states WHERE case_id = $held"), 'open nobody', 'what is rolled back was not taken');

# ----------------------------------------------- an alert that joins adds to the priority
# Beside analysts who change the same case, no share of it is lost.
$node->append_conf('postgresql.conf', "fraud_detect.alert_window = 1h\n");
$node->reload;
my $join = script(join => q{SELECT count(*) FROM fraud.ingest(jsonb_build_object('cc_num', 4929000000000012, 'trans_num', 'j-' || nextval('public.n'), 'amt', 100, 'merchant', 'J', 'category', 'travel', 'unix_time', extract(epoch FROM now())::bigint))});
my $change = script(change => q{SELECT count(*) FROM fraud.assign_cases(ARRAY(SELECT case_id FROM fraud.case_states WHERE status = 'open' ORDER BY case_id DESC LIMIT 3), (ARRAY['ana', 'bo', 'cy'])[1 + floor(random() * 3)::int])});
my ($out, $err) = ('', '');
IPC::Run::run([ 'pgbench', '-n', '-c', '4', '-T', '5', '-f', $join, '-f', $change, $node->connstr('postgres') ], '>', \$out, '2>', \$err);
unlike($err, qr/ERROR|deadlock/, 'alerts that join and analysts who assign do not fail each other') or diag($err);
is(value(q{SELECT count(*) FROM fraud.cases c WHERE abs(c.priority - (SELECT sum(a.score * a.payment_amount::float8) FROM fraud.alerts a WHERE a.card = c.card AND a.case_id = c.case_id)) > 1e-6}),
    '0', 'the priority is the sum over the alerts, of each case');
cmp_ok(value(q{SELECT max(alerts) FROM fraud.cases WHERE card = (SELECT card FROM fraud.alerts WHERE transaction_id LIKE 'j-%' LIMIT 1)}), '>', 3, 'of cases that grew, too');

# ------------------------------------------------------------------ a flood
my $flood = value('SELECT clock_timestamp()');
my ($pays, $pays_err) = ('', '');
my $payer = IPC::Run::start([ 'pgbench', '-n', '-c', '2', '-T', '8', '-f', $pay, $node->connstr('postgres') ], '>', \$pays, '2>', \$pays_err);
my ($closed, $slowest) = (0, 0);
while (time - $^T < 600 && $payer->pumpable)
{
    my $start = time;
    $closed += value("SET lock_timeout = 5000; SET client_min_messages = warning; SELECT fraud.close_flood('$flood', 'infinity', 'a threshold of 0')");
    $slowest = time - $start if time - $start > $slowest;
    eval { $payer->pump_nb };
}
$payer->finish;
unlike($pays_err, qr/ERROR|deadlock/, 'payments go on beside it') or diag($pays_err);
$closed += value("SELECT fraud.close_flood('$flood', 'infinity', 'a threshold of 0')");
cmp_ok($closed, '>', 20, "the flood is closed: $closed cases");
is(value(qq{SELECT count(*) FROM fraud.case_states WHERE opened_at >= '$flood' AND status <> 'closed'}), '0', 'all of it');
is(value(qq{SELECT count(*) FROM fraud.labels}), '0', 'and no payment is labelled');
is(value(qq{SELECT count(*) FROM fraud.alerts a WHERE NOT EXISTS (SELECT FROM fraud.case_states c WHERE c.card = a.card AND c.case_id = a.case_id)}), '0', 'each alert has its case');
is(value(qq{SELECT count(*) FROM fraud.case_states c WHERE status = 'closed' AND NOT EXISTS (SELECT FROM fraud.case_history h WHERE h.card = c.card AND h.case_id = c.case_id AND h.action = 'close')}), '0', 'and each case its line of history');

# --------------------------------------------------------- merging beside alerts
$node->append_conf('postgresql.conf', "fraud_detect.alert_window = 0\n");
$node->reload;
value(q{SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4929000000000103, 'trans_num', 'm-' || i, 'amt', i, 'merchant', 'J', 'unix_time', extract(epoch FROM now())::bigint)) FROM generate_series(1, 5) i))});
my $merged = value(q{SELECT (fraud.merge_cases(min(case_id), (array_agg(case_id ORDER BY case_id))[2:])).alerts FROM fraud.alerts WHERE transaction_id ~ '^m-'});
is($merged, '5', 'cases are merged');

# ------------------------------------------------- however many, however much
value(q{INSERT INTO fraud.case_states (card, priority, opened_at) SELECT gen_random_uuid(), random() * 1000, now() - random() * interval '30 days' FROM generate_series(1, 100000)});
value('ANALYZE fraud.case_states');
my $page = seconds('SELECT count(*) FROM (SELECT * FROM fraud.case_queue LIMIT 50) q');
cmp_ok($page, '<', 0.5, "the first page of a queue of 100,000: $page s");
my $plan = value('EXPLAIN (COSTS OFF) SELECT * FROM fraud.case_queue LIMIT 50');
like($plan, qr/case_states_queue_idx/, 'by its index');
unlike($plan, qr/Sort Key: c\.priority/, 'without sorting') or diag($plan);
my $taken = seconds('SELECT fraud.take_case()');
cmp_ok($taken, '<', 0.5, "the next of 100,000: $taken s");

value(q{SELECT fraud.promote('payments', 1, review_at => 1, block_at => 1);
SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4929000000000202, 'trans_num', 'big-' || i, 'amt', 10 + i % 90, 'merchant', 'Shop ' || i % 40, 'category', 'food_dining', 'lat', 40, 'long', -80, 'merch_lat', 40 + (i % 10) / 10.0, 'merch_long', -80,
    'unix_time', extract(epoch FROM now() - interval '60 days')::bigint + i * 500)) FROM generate_series(1, 10000) i));
SELECT fraud.promote('payments', 1, review_at => 0, block_at => 0.5);
SELECT count(*) FROM fraud.ingest(jsonb_build_object('cc_num', 4929000000000202, 'trans_num', 'big', 'amt', 2000, 'merchant', 'Elsewhere', 'category', 'travel', 'lat', 40, 'long', -80, 'merch_lat', 10, 'merch_long', 10,
    'unix_time', extract(epoch FROM now())::bigint))});
value('ANALYZE');
my $big = value(q{SELECT case_id FROM fraud.payment('big')});
my ($first, $again) = split /\n/, $node->safe_psql('postgres', qq{
SET fraud_detect.alert_window = 0;
SELECT extract(epoch FROM clock_timestamp()) AS t0 \\gset
SELECT length(fraud.case_page($big)) > 5000 AS drawn \\gset
SELECT extract(epoch FROM clock_timestamp()) AS t1 \\gset
SELECT length(fraud.case_page($big)) > 5000 AS drawn \\gset
SELECT extract(epoch FROM clock_timestamp()) AS t2 \\gset
SELECT :t1 - :t0;
SELECT :t2 - :t1;
});
note("fraud.case_page of a card with 10,000 payments: first $first s, then $again s");
# The bar is 0.3 s; a machine that does other things too has more time.
cmp_ok($again, '<', 1.5, 'the page of a card with 10,000 payments');
my $look = seconds(q{SELECT count(*) FROM fraud.payment('big-777')});
cmp_ok($look, '<', 0.5, "a payment by its id: $look s");
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/deadlock detected/, 'no deadlock in the log');

done_testing();
