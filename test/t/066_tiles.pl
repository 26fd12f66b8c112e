# Tiles beside all that changes events: at every snapshot windows merged from tiles are those of the events, to
# the last bit, while sessions add events late and in order, label, correct, delete and roll back at every isolation level, and
# the folder goes on, is ended and is killed in the middle. Nobody waits for it.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $node = new_server('main', conf => "max_connections = 40\nrestart_after_crash = on\n");
sub value { return $node->safe_psql('postgres', $_[0]) }

value(<<'SQL');
CREATE TABLE visits (id bigint PRIMARY KEY, at timestamptz NOT NULL, who text NOT NULL, shop text NOT NULL, amount numeric,
    latitude float8, longitude float8, is_fraud boolean, known_at timestamptz, changes timestamptz[]);
CREATE INDEX ON visits (who, at, id);
CREATE INDEX ON visits (shop, at, id);
CREATE SEQUENCE ids START 6001;
CREATE FUNCTION at(i bigint) RETURNS timestamptz LANGUAGE sql AS $$SELECT timestamptz '2026-01-01 00:00+00' + i * interval '20 seconds'$$;
INSERT INTO visits SELECT i, at(i), CASE WHEN i % 10 < 8 THEN 'often' ELSE 'rare ' || i % 97 END, 'shop ' || i % 3,
    round(((i * 48271) % 99991) / 100.0, 2), 40 + i % 17, -70 + i % 23 FROM generate_series(1, 6000) i;
SELECT fraud.create_feature_set('visits', 'visits', 'id', 'at', label => 'is_fraud', label_known_at => 'known_at', label_changes => 'changes');
SELECT fraud.add_window_feature('visits', format('%s_%s_%s', a, replace(k, ', ', '_'), w), a,
    CASE WHEN a IN ('count', 'seconds_since_last', 'rate') THEN NULL WHEN a IN ('distance', 'speed') THEN 'latitude, longitude' WHEN a = 'distinct' THEN 'shop' ELSE 'amount' END,
    k, (w || ' minutes')::interval, delay => CASE WHEN k = 'shop' THEN interval '10 minutes' ELSE '0' END)
FROM unnest('{count,sum,avg,stddev,min,max,distinct,rate,ratio,zscore,last,seconds_since_last,distance,speed}'::text[]) a,
     unnest('{who,shop,"who, shop"}'::text[]) k, unnest('{30,900}'::int[]) w;
SET fraud_detect.tile_threshold = 300;
SELECT fraud.tile_features('visits');
SELECT fraud.request_tiles('visits');
ALTER SYSTEM SET fraud_detect.tile_threshold = 300;
SELECT pg_reload_conf();
SQL
my $covered = "SELECT count(*) = 4 FROM fraud.tiled_keys WHERE covered_to > covered_from AND NOT wanted";
ok($node->poll_query_until('postgres', $covered), 'the ingest worker makes the tiles that are asked for');
is(value("SELECT count(*) FROM fraud.verify_parity('visits', 300)"), '0', 'windows from tiles are those of the events');

# ----------------------------------------------------- all at once
my $script = $node->basedir . '/changes.sql';
append_to_file($script, <<'SQL');
\set what random(1, 12)
\set old random(1, 6000)
\set level random(1, 3)
\set undo random(1, 6)
\if :level = 1
BEGIN ISOLATION LEVEL READ COMMITTED;
\elif :level = 2
BEGIN ISOLATION LEVEL REPEATABLE READ;
\else
BEGIN ISOLATION LEVEL SERIALIZABLE;
\endif
\if :what <= 4
INSERT INTO visits SELECT i, at(i), 'often', 'shop ' || i % 3, round(i % 1000 / 7.0, 2), 41, -71 FROM nextval('ids') i;
\elif :what <= 7
INSERT INTO visits SELECT i, at(:old) + i % 19 * interval '1 second', 'often', 'shop ' || i % 3, round(i % 1000 / 7.0, 2), 42, -72 FROM nextval('ids') i;
\elif :what <= 9
UPDATE visits SET is_fraud = :old % 2 = 0, known_at = at + :old * interval '1 second' WHERE id = :old;
\elif :what = 10
DELETE FROM visits WHERE id = :old;
\elif :what = 11
UPDATE visits SET amount = amount + 1, who = CASE :old % 5 WHEN 0 THEN 'often' ELSE who END WHERE id = :old;
\else
UPDATE visits SET at = at + interval '13 minutes' WHERE id = :old;
\endif
\if :undo = 1
ROLLBACK;
\else
COMMIT;
\endif
SQL
chmod 0644, $script;
my ($seconds, $clients) = (25, 3);
my ($pgbench_out, $pgbench_err) = ('', '');
my $changes = IPC::Run::start(['pgbench', '-n', '-c', $clients, '-T', $seconds, '--max-tries=50', '-R', 120, '-f', $script,
    '-h', $node->host, '-p', $node->port, 'postgres'], '>', \$pgbench_out, '2>', \$pgbench_err);
my ($looks, $differences, $kills, $read) = (0, 0, 0, 0);
my $end = time() + $seconds - 2;
while (time() < $end) {
    $differences += value("SELECT count(*) FROM fraud.verify_parity('visits', 25)");
    ++$looks;
    # In the middle of a piece, where there is one.
    my $ended = value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type LIKE 'fraud_detect ingest%' AND query = 'making tiles' AND state = 'active'")
        if $looks % 4 == 0;
    $kills += $ended // 0;
    value("SELECT fraud.request_tiles('visits')") if $looks % 5 == 0;
}
$changes->finish;
like($pgbench_out, qr/number of failed transactions: 0 /, 'no change of an event failed');
ok($looks > 3, "looked $looks times meanwhile; the folder was ended $kills times");
is($differences, 0, 'and each time windows from tiles were those of the events');
my $quiet = 'SELECT NOT EXISTS (SELECT FROM fraud.tile_marks) AND NOT EXISTS (SELECT FROM fraud.tile_requests) AND NOT EXISTS (SELECT FROM fraud.tiled_keys WHERE wanted)';
ok($node->poll_query_until('postgres', $quiet), 'the folder comes to an end');
is(value("SELECT count(*) FROM fraud.verify_parity('visits', 1000)"), '0', 'then they are still');
isnt(value("BEGIN; DELETE FROM fraud.tiles; SELECT count(*) FROM fraud.verify_parity('visits', 100); ROLLBACK;"), '0', 'tiles are what was read');

# ------------------------------------------------ who does not end
# A session that may still add events has looked at what is marked before: tiles of later times wait for it, nobody else does.
my $open = $node->background_psql('postgres', on_error_stop => 0);
$open->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO visits SELECT i, at(i), 'often', 'shop 1', 5, 41, -71 FROM nextval('ids') i");
value("INSERT INTO visits SELECT i, at(i), 'often', 'shop ' || i % 3, 7, 41, -71 FROM (SELECT nextval('ids') i FROM generate_series(1, 300)) n");
value("SELECT fraud.request_tiles('visits')");
ok($node->poll_query_until('postgres', 'SELECT bool_or(wanted AND waits_for IS NOT NULL) FROM fraud.tile_status'), 'what is later waits for it');
sleep(2);
is(value("SELECT bool_or(wanted) FROM fraud.tiled_keys"), 't', 'as long as it is open');
is(value("SELECT count(*) FROM fraud.verify_parity('visits', 200)"), '0', 'and is read from the events');
$open->query_safe("INSERT INTO visits SELECT i, at(i) - interval '1 minute', 'often', 'shop 1', 5, 41, -71 FROM nextval('ids') i; COMMIT");
$open->quit;
ok($node->poll_query_until('postgres', $quiet), 'its tiles are made when it has ended');
is(value("SELECT count(*) FROM fraud.verify_parity('visits', 1000)"), '0', 'with what it added');

# ------------------------------------------------------------ a crash
value("INSERT INTO visits SELECT i, at(i), 'often', 'shop ' || i % 3, 7, 41, -71 FROM (SELECT nextval('ids') i FROM generate_series(1, 5000)) n; SELECT fraud.request_tiles('visits')");
sleep(0.3);
$node->stop('immediate');
$node->start;
ok($node->poll_query_until('postgres', $quiet), 'after a crash the folder goes on');
is(value("SELECT count(*) FROM fraud.verify_parity('visits', 1000)"), '0', 'and tiles are right');

# ------------------------------------------------------------ payments
value("SELECT fraud.simulate(40, 3, 40, 7)");
is(value("SELECT fraud.request_tiles('payments') > 0"), 't', 'merchants with many payments are asked for');
ok($node->poll_query_until('postgres', $quiet), 'their tiles are made');
is(value("SELECT count(*) FROM fraud.verify_parity('payments', 300)"), '0', 'payments: windows from tiles are those of the events');
# One that comes late, a label, one that is taken away.
my $late = value("SELECT extract(epoch FROM max(occurred_at) - interval '9 days')::bigint FROM fraud.transactions");
my $merchant = value("SELECT merchant FROM fraud.transactions GROUP BY 1 ORDER BY count(*) DESC LIMIT 1");
isnt(value(<<"SQL"), "0", "a payment that comes late leaves a mark");
BEGIN;
DO \$\$BEGIN PERFORM fraud.ingest(jsonb_build_object('cc_num', 4000000000001001, 'trans_num', 'late', 'amt', 123.45, 'merchant', '$merchant', 'unix_time', $late, 'category', 'home')); END\$\$;
SELECT count(*) FROM fraud.tile_marks;
COMMIT;
SQL
is(value("SELECT count(*) FROM fraud.verify_parity('payments', 300)"), '0', 'and counts at once');
value("SELECT fraud.label(transaction_id, true, 'test') FROM (SELECT transaction_id FROM fraud.transactions WHERE merchant = '$merchant' ORDER BY occurred_at LIMIT 20) t");
is(value("SELECT count(*) FROM fraud.verify_parity('payments', 300)"), '0', 'labels too');
value("DELETE FROM fraud.transactions WHERE transaction_id = 'late'");
is(value("SELECT count(*) FROM fraud.verify_parity('payments', 300)"), '0', 'and one that is taken away does no more');
ok($node->poll_query_until('postgres', $quiet), 'the folder takes them in');
is(value("SELECT count(*) FROM fraud.verify_parity('payments', 300)"), '0', 'with the same windows');
is(value("BEGIN; DELETE FROM fraud.tiles; SELECT count(*) > 0 FROM fraud.verify_parity('payments', 300); ROLLBACK;"), 't', 'tiles are what was read');
# A history.
value("SELECT fraud.simulate(10, 3, 10, 8)");
is(value("SELECT count(*) FROM fraud.verify_parity('payments', 300)"), '0', 'a history counts at once');
ok($node->poll_query_until('postgres', $quiet), 'tiles are made anew');
is(value("SELECT count(*) FROM fraud.verify_parity('payments', 300)"), '0', 'with it');

$node->stop;
done_testing();
