# pg_dump | psql carries everything, and what comes with the extension is not
# there twice.
use strict;
use warnings;

use FraudDetect;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main');
sub value { return $node->safe_psql($_[1] // 'postgres', $_[0]) }

value("SELECT fraud.simulate(30, 20, 40, starts_at => '2024-01-01 00:00:00+00')");
my $payment = payment();
value("SELECT fraud.promote('payments', 1, review_at => 0, block_at => 0.5, reason => 'strict')");
value("SELECT * FROM fraud.ingest('$payment')");
value("SELECT * FROM fraud.ingest('{\"trans_num\": \"broken\"}')");
value("SELECT fraud.import_model('payments', fraud.export_model('payments/1'), 'again')");
value("SELECT fraud.promote('payments', 2, 'challenger', 'a second one')");
value("SELECT fraud.label('t-1', true, 'chargeback')");
value('SELECT fraud.refresh_rollups()');
value("SELECT fraud.label('t-1', false, 'analyst', overrule => true)");
my $next_payment = payment(trans_num => '"t-queued"', cc_num => 4000000000000028);
value("SELECT * FROM fraud.ingest('$next_payment')");
value(q(SELECT fraud.add_source('api', 'http://127.0.0.1:1/', headers => '{"X-Api-Key": "k"}')));
value("SELECT fraud.expect_payments('api', '7 hours')");
value("SELECT fraud.hold_customer(card, 'a court') FROM fraud.customers ORDER BY card LIMIT 1");
value('CREATE ROLE clerk');
value("SELECT fraud.grant_access('clerk', 'analyst')");
# A feature set over a table that only its schema's name finds, defined by a role.
value(q{
    CREATE SCHEMA shop;
    CREATE TABLE shop.orders (no int PRIMARY KEY, placed timestamptz NOT NULL, customer text, total numeric, channel text);
    INSERT INTO shop.orders SELECT i, timestamptz '2026-01-01' + i * interval '1 hour', 'c' || i % 5, i % 90, 'ch' || i % 3 FROM generate_series(1, 200) i;
    CREATE FUNCTION shop.half(numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 2';
    CREATE ROLE definer;
    GRANT USAGE ON SCHEMA shop TO definer;
    GRANT SELECT ON shop.orders TO definer;
    SELECT fraud.grant_access('definer', 'scientist');
    SET ROLE definer;
    SET search_path = shop;
    SELECT fraud.create_feature_set('orders', 'orders', 'no', 'placed');
    SELECT fraud.add_feature('orders', 'half', 'half(total)');
    SELECT fraud.add_feature('orders', 'channel', 'channel');
    SELECT fraud.add_window_feature('orders', 'sum_1d', 'sum', 'total', 'customer', '1 day', reason => 'much');
});

# That table is watched: by the set's definer, who owns it then.
value(q{
    ALTER TABLE shop.orders OWNER TO definer;
    ALTER FUNCTION shop.half(numeric) OWNER TO definer;
    GRANT CREATE ON SCHEMA shop TO definer;
    SELECT fraud.import_model('orders', $$}.stump('half', 30).q{$$::bytea);
    SELECT fraud.promote('orders', 1, review_at => 0.5, block_at => 0.9);
    SET ROLE definer;
    SELECT fraud.watch('orders', entity => 'customer', amount => 'total');
    INSERT INTO shop.orders SELECT i, timestamptz '2026-02-01' + i * interval '1 hour', 'c' || i % 5, 40 * (i - 200), 'ch1' FROM generate_series(201, 203) i;
});
value("SELECT fraud.label_event('orders', '203', true)");
is(value('SELECT string_agg(decision, \',\' ORDER BY decision_id) FROM fraud.stream_decisions'), 'approve,review,review', 'a watched table decides');

my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
value('CREATE DATABASE copy');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('copy') ], 'psql takes it');

# Every table is the same row for row, but for what says which database it is, the key that the new CREATE
# EXTENSION made beside the old one, and for the log of changes: restored labels are in it
# once more, which changes no sum.
for my $table (split /\n/, value("SELECT relname FROM pg_class WHERE relnamespace = 'fraud'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1"))
{
    next if $table =~ /^(home|months|source_state|source_field_counts|channel_state|card_keys|id_keys|job_state|changes|change_slots|change_mark|folding|health_marks|health_states|health_told|job_skips|sweeps|source_samples|source_habits|builtin_rows)$/;
    my $digest = "SELECT count(*), md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '')) FROM fraud.$table t";
    is(value($digest, 'copy'), value($digest), "fraud.$table is carried");
}
is(value('SELECT source, max_silence FROM fraud.source_habits', 'copy'), 'api|07:00:00', 'what was set of a source is carried, whatever the workers have noted of it since');
is(value('SELECT * FROM fraud.daily_report ORDER BY day', 'copy'), value('SELECT * FROM fraud.daily_report ORDER BY day'), 'the days are reported alike');
value('SELECT fraud.refresh_rollups()', 'copy');
is(value('SELECT * FROM fraud.daily_report ORDER BY day', 'copy'), value('SELECT * FROM fraud.daily_report ORDER BY day'), 'and so they are after a refresh');
is(value('SELECT * FROM fraud.model_aliases ORDER BY alias', 'copy'), value('SELECT * FROM fraud.model_aliases ORDER BY alias'), 'the same versions are in force');
is(value("SELECT has_table_privilege('clerk', 'fraud.transactions', 'SELECT')", 'copy'), 't', 'rights are carried');
is(value("SELECT has_table_privilege('clerk', 'fraud.card_keys', 'SELECT')", 'copy'), 'f', 'and not more than they were');

value("SELECT fraud.materialize_features('orders', 'order_features')", $_) for ('postgres', 'copy');
my $vectors = "SELECT count(*), md5(string_agg(f::text, E'\\n' ORDER BY event_id)) FROM order_features f";
is(value($vectors, 'copy'), value($vectors), 'a feature set gives the same features');
is(value("SELECT fraud.feature_set_hash('orders')", 'copy'), value("SELECT fraud.feature_set_hash('orders')"), 'and has the same hash');

# Nothing was decided again, and what comes is.
is(value('SELECT state FROM fraud.stream_status', 'copy'), 'watching', 'the table is watched in the copy');
value(q(INSERT INTO shop.orders VALUES (300, '2026-03-01', 'c1', 90, 'ch1')), 'copy');
is(value('SELECT event_id, decision, entity FROM fraud.stream_decisions ORDER BY decision_id DESC LIMIT 1', 'copy'), '300|review|c1', 'and decides');
is(value('SELECT count(DISTINCT alert_id) = count(*) FROM fraud.stream_alerts', 'copy'), 't', 'alerts have new numbers');

# Cards are recognised, payments are known, new rows get new numbers.
is(value("SELECT status FROM fraud.ingest('$payment')", 'copy'), 'duplicate', 'a payment that was stored before the dump is known');
my $next = payment(trans_num => '"t-2"', current_time => 1700000001000);
is(value("SELECT status FROM fraud.ingest('$next')", 'copy'), 'stored', 'payments go on');
is(value("SELECT count(DISTINCT card) FROM fraud.transactions WHERE transaction_id IN ('t-1', 't-2')", 'copy'), '1', 'the card is the same');
is(value("SELECT features[8] FROM fraud.transactions WHERE transaction_id = 't-2'", 'copy'), '1', 'its history counts');
is(value("SELECT fraud.import_model('payments', fraud.export_model('payments'))", 'copy'), '3', 'versions go on');
is(value("SELECT count(*) FROM fraud.transactions t WHERE fraud_score(t) <> score", 'copy'), '0', 'scores are the same');

# A copy does not call anybody on its own.
is(value('SELECT state, polls FROM fraud.source_status', 'copy'), 'restored|0', 'a restored source is not polled');
value("SELECT fraud.resume_source('api')", 'copy');
ok($node->poll_query_until('copy', 'SELECT failures > 0 FROM fraud.source_status'), 'until it is resumed');

# A dump of the restored database restores as well.
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('copy') ], 'pg_dump again');
value('CREATE DATABASE third');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('third') ], 'psql takes it again');
is(value("SELECT status FROM fraud.ingest('$payment')", 'third'), 'duplicate', 'the card is still recognised');

# Nothing of it stays.
my ($code, $out, $err) = $node->psql('third', 'DROP EXTENSION fraud_detect');
like($err, qr/trigger fraud_watch_orders on table shop.orders depends on/, 'DROP EXTENSION says which tables are watched');
value('DROP EXTENSION fraud_detect CASCADE', 'third');
value(q(INSERT INTO shop.orders VALUES (400, '2026-03-01', 'c1', 90, 'ch1')), 'third');
is(value("SELECT count(*) FROM pg_class WHERE relname LIKE 'transactions%'", 'third'), '0', 'DROP EXTENSION takes the partitions along');

done_testing();
