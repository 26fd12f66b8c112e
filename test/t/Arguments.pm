# Arguments for every function of the catalog: those that work, and those that a
# stranger would try.
package Arguments;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT_OK = qw(make_world functions_of calls_of fuzz_calls trigger_calls);

# What the functions of the catalog are tried on: payments with alerts, labels and
# cases, a feature set, a table of features, a source, a channel, models, a run.
sub make_world
{
    my ($node) = @_;
    my $sql = sub { $node->safe_psql('postgres', $_[0]) };
    $sql->('CREATE SCHEMA world; GRANT USAGE ON SCHEMA world TO PUBLIC');
    # The kinds of access are those that the function says it knows.
    my (undef, undef, $hint) = $node->psql('postgres', q{\set VERBOSITY verbose
        SELECT fraud.grant_access('postgres', 'nonsense')});
    my ($kinds) = $hint =~ /kinds of access are ([^.]*)\./ or die "no kinds of access: $hint";
    my @roles = split /, | and /, $kinds;
    $sql->("CREATE ROLE $_ LOGIN; SELECT fraud.grant_access('$_', '$_'); GRANT CREATE ON SCHEMA world TO $_") for @roles;
    $sql->('CREATE ROLE nobody LOGIN');

    $sql->(q{
CREATE TABLE world.events (id bigint PRIMARY KEY, at timestamptz NOT NULL, label boolean, card text, amount float8, shop text, extra int);
INSERT INTO world.events SELECT i, timestamptz '2026-01-01' + i * interval '10 minutes', i % 7 = 0, 'c' || i % 5, i % 100, 's' || i % 3, i FROM generate_series(1, 400) i;
ALTER TABLE world.events DROP COLUMN extra;
CREATE INDEX events_idx ON world.events (card, at);
CREATE VIEW world.a_view AS SELECT * FROM world.events;
CREATE MATERIALIZED VIEW world.a_matview AS SELECT * FROM world.events LIMIT 3;
CREATE TABLE world.parted (LIKE world.events) PARTITION BY RANGE (at);
CREATE SEQUENCE world.a_sequence;
CREATE TYPE world.a_type AS (a int, b text);
CREATE DOMAIN world.a_domain AS world.a_type CHECK ((VALUE).a > 0);
CREATE TABLE world.empty ();
CREATE TABLE world.history (cc_num bigint, trans_num text, amt numeric, merchant text, category text, unix_time bigint, is_fraud int);
INSERT INTO world.history SELECT 4000000000000002, 'h' || i, i, 'M', 'misc_pos', 1700000000 + i, i % 2 FROM generate_series(1, 20) i;
ALTER TABLE world.events OWNER TO scientist;
GRANT SELECT ON ALL TABLES IN SCHEMA world TO PUBLIC;
GRANT SELECT, USAGE ON ALL SEQUENCES IN SCHEMA world TO PUBLIC;
SET client_min_messages = error;
SELECT fraud.promote('payments', 1, review_at => 0.000001, block_at => 0.99);
SELECT count(*) FROM fraud.ingest((SELECT jsonb_agg(jsonb_build_object('cc_num', 4000000000000002, 'trans_num', 'p' || i, 'amt', 10 * i, 'merchant', 'M', 'category', 'misc_pos', 'unix_time', 1767225600 + i * 3600)) FROM generate_series(1, 30) i));
SELECT count(*) FROM fraud.ingest('{"cc_num": 4000000000000010, "trans_num": "q1", "amt": 5, "merchant": "M", "category": "misc_pos", "unix_time": 1767225600}');
CREATE TABLE world.closed AS SELECT max(case_id) AS case_id FROM fraud.cases;
SELECT fraud.dismiss_case(case_id) FROM world.closed;
SET fraud_detect.alert_window = 0;
SELECT count(*) FROM fraud.ingest('[{"cc_num": 4000000000000028, "trans_num": "m1", "amt": 5, "merchant": "M", "category": "misc_pos", "unix_time": 1767225600}, {"cc_num": 4000000000000028, "trans_num": "m2", "amt": 5, "merchant": "M", "category": "misc_pos", "unix_time": 1767225600}]');
RESET fraud_detect.alert_window;
CREATE TABLE world.mergeable AS SELECT case_id FROM fraud.alerts WHERE transaction_id IN ('m1', 'm2');
SELECT count(*) FROM fraud.ingest('{"cc_num": 4000000000000010, "trans_num": "unread", "amt": "x", "merchant": "M", "unix_time": 1767225600}');
SELECT fraud.label('p1', true, known_at => '2026-01-03');
SELECT fraud.import_model('payments', fraud.export_model('payments/1'));
SELECT fraud.promote('payments', 2, 'challenger');
SELECT fraud.add_payment_field('field', 'text');
SELECT fraud.create_feature_set('tiled', 'world.events', 'id', 'at'), fraud.add_window_feature('tiled', 'n', 'count', NULL, 'card', '1 day'), fraud.tile_features('tiled');
SELECT fraud.create_list('list', 'merchant'), fraud.add_to_list('list', 'amount', reason => 'x');
SELECT fraud.add_rule('rule', 'amount > 1000000', 'review'), fraud.enforce_rule('rule', 'x'), fraud.alter_rule('rule', 'amount > 2000000');
SELECT fraud.snooze('merchant', 'M', 'tomorrow', 'x');
SELECT fraud.add_channel('channel', 'notify', 'target');
SELECT fraud.test_channel('channel');
SELECT fraud.add_source('source', 'https://payments.invalid/', poll_interval => '1 day');
SELECT fraud.pause_source('source');
SELECT fraud.add_source('polled', 'https://payments.invalid/y', poll_interval => '1 day');
SELECT fraud.refresh_rollups(), fraud.close_day('2026-01-02');
});
    $node->safe_psql('postgres', q{
SELECT fraud.create_feature_set('events', 'world.events', 'id', 'at', label => 'label');
SELECT fraud.add_feature('events', 'amount', 'amount');
SELECT fraud.add_feature('events', 'shop', 'shop', 'category', '{s0,s1}');
SELECT fraud.add_window_feature('events', 'spent', 'sum', 'amount', 'card', '1 day');
CREATE TABLE world.claims AS SELECT id, at, label, card, amount, shop FROM world.events LIMIT 0;
GRANT SELECT ON world.claims TO PUBLIC;
SELECT fraud.create_feature_set('streamed', 'world.claims', 'id', 'at', label => 'label');
SELECT fraud.add_feature('streamed', 'amount', 'amount');
SELECT fraud.add_feature('streamed', 'shop', 'shop', 'category', '{s0,s1}');
SELECT fraud.add_window_feature('streamed', 'spent', 'sum', 'amount', 'card', '1 day');
SELECT fraud.train('mine', 'events', params => '{"num_boost_round": 2}', train_from => '2026-01-01', train_to => '2026-01-02', test_from => '2026-01-02', test_to => '2026-01-03');
SELECT fraud.train('small', rel => 'world.events', columns => '{"event_id": "id", "event_time": "at", "label": "label"}', params => '{"num_boost_round": 2}', train_from => '2026-01-01', train_to => '2026-01-02', test_from => '2026-01-02', test_to => '2026-01-03');
}, extra_params => [ '-U', 'scientist' ]);
    $sql->(q{DO $$ DECLARE r record; BEGIN FOR r IN SELECT run FROM fraud.training_runs LOOP PERFORM fraud.wait_for_training(r.run, '2 min'); END LOOP; END $$});
    $sql->(q{
SET client_min_messages = error;
SELECT fraud.promote(m, 1) FROM unnest('{small,mine}'::text[]) m;
SELECT fraud.import_model('mine', fraud.export_model('mine/1'), feature_set => 'events');
SELECT fraud.promote('mine', 1, review_at => 0, block_at => 1);
SELECT fraud.watch('streamed', 'mine', entity => 'card', amount => 'amount');
INSERT INTO world.claims VALUES (1, '2026-01-01', NULL, 'c1', 5, 's1');
CREATE TABLE world.stream_case AS SELECT min(case_id) AS case_id FROM fraud.stream_case_states;
CREATE TABLE world.artifacts AS SELECT fraud.export_model('payments/1') AS a;
CREATE TABLE world.runs AS SELECT * FROM fraud.training_runs;
CREATE TABLE world.vector AS SELECT array_fill(1::float4, ARRAY[cardinality(feature_names)]) AS v FROM fraud.model_versions WHERE model = 'payments' AND version = 1;
DO $$ BEGIN EXECUTE (SELECT 'CREATE TABLE world.vectors AS SELECT ' || string_agg(format('1.5::float8 AS %I', f), ', ') FROM fraud.model_versions, unnest(feature_names) f WHERE model = 'payments' AND version = 1); END $$;
GRANT SELECT ON world.stream_case, world.closed, world.mergeable, world.artifacts, world.runs, world.vector, world.vectors TO PUBLIC;
});
    return @roles;
}

# ------------------------------------------------------- arguments that work

# By "function.argument", else "argument type", else by the argument's name.
my %good = (
    # names
    model => "'payments'", ref => "'payments'", champion => "'payments'", challenger => "'payments/2'",
    'champion integer' => 1, 'challenger integer' => 2, candidate => 2, version => 2, alias => "'champion'",
    reason => "'a reason'", description => "'a description'", note => "'a note'", 'describe_model.model' => "'payments'", 'delete_version.model' => "'mine'", 'import_model.feature_set' => 'NULL::text',
    'poll_now.name' => "'polled'", 'reopen_case.case_id' => "(SELECT case_id FROM world.closed)", '_score_columns.model' => "'small'",
    '_scored_table.ref' => "'small'", '_scored_set.ref' => "'mine'", '_scored_features.ref' => "'mine'", '_change_cases.new_status' => "'acknowledged'",
    'add_channel.headers' => "'{}'::jsonb",
    feature_set => "'events'", feature => "'spent'", 'add_feature.feature' => "'doubled'", 'add_window_feature.feature' => "'mean'",
    'add_categories.feature' => "'shop'", expression => "'amount * 2'", 'add_feature.kind' => "'number'", 'add_feature.categories' => 'NULL::text[]',
    'add_categories.categories' => "'{s2,s3}'::text[]", '_indexed_part.part' => "'card'", '_expression_columns.expression' => "'label'",
    'add_column_features.columns' => "'{label}'::text[]", 'add_column_features.leave_out' => "'{}'::text[]", max_categories => 10,
    aggregate => "'avg'", value => "'amount'", key => "'card'", window => "'1 hour'::interval", filter => "'amount > 1'",
    'create_feature_set.name' => "'second'", events => "'world.events'::regclass", event_id => "'id'", event_time => "'at'",
    label => "'label'", label_known_at => 'NULL::text', label_changes => 'NULL::text', into => "'world.made'", sample => 5,
    event => "(SELECT e FROM world.events e WHERE id = 400)", 'features record' => '(SELECT e FROM world.vectors e)',
    'features jsonb' => "(SELECT to_jsonb(e) FROM world.vectors e)", 'features real[]' => "(SELECT v FROM world.vector)",
    'features text[]' => "NULL::text[]", index => "'world.events_idx'::regclass::oid", 'names text[]' => "'{amount}'::text[]",
    # streams
    'watch.model' => "'mine'", 'watch.entity' => "'card'", 'watch.amount' => "'amount'", on_error => "'store'", 'unwatch.feature_set' => "'streamed'",
    stream => "'streamed'", 'label_event.event_id' => "'1'", '_label_event.event_id' => "'1'", event_ids => "'{1,2}'::text[]", keys => "'{1,2}'::text[]",
    (map { $_ . 'decide_stream_case.case_id' => '(SELECT case_id FROM world.stream_case)', $_ . 'decide_stream_case.status' => "'acknowledged'" } '', '_'),
    (map { $_ . '.event_id' => "'1'" } qw(event_is_fraud event_label_known_at event_label_changes)), '_event_key.id' => "'e1'",
    # payments
    'payment text' => q('{"cc_num": 4000000000000002, "trans_num": "new2", "amt": 5, "merchant": "M", "category": "misc_pos", "unix_time": 1767400000}'),
    payment => q('{"cc_num": 4000000000000002, "trans_num": "new", "amt": 5, "merchant": "M", "category": "misc_pos", "unix_time": 1767400000}'::jsonb),
    source => "'sql'", 'label.source' => "'analyst'", transaction_id => "'p2'", 'card uuid' => "(SELECT card FROM fraud.customers LIMIT 1)", 'label.card' => 'NULL::uuid', case_id => '1::bigint', 'label_as_of.card' => 'NULL::uuid',
    'set_currency_rate.currency' => "'EUR'", 'set_currency_rate.rate' => '1.1::numeric', 'currency text' => "'EUR'", valid_from => "'2026-01-01'::timestamptz", 'path jsonpath' => q('$.x'::jsonpath),
    'add_payment_field.name' => "'fresh'", 'drop_payment_field.name' => "'field'", 'payment_field_values.name' => "'field'", 'add_payment_field.index' => 'false', 'add_payment_field.path' => q('$.fresh'),
    '_index_payment_field.name' => "'fresh'", 'type text' => "'text'", of_row => "'t'", 'month text' => "'transactions_2026_01'", 'attributes jsonb' => q('{"x": "1"}'::jsonb),
    'assign_case.case_id' => "(SELECT max(case_id) FROM fraud.cases WHERE status = 'open')", assignee => "'analyst'::name", frauds => "'{}'::text[]", legitimate => 'NULL::text[]', count => 1,
    (map { $_ . '_stream_case.case_id' => '(SELECT case_id FROM world.stream_case)' } qw(assign _assign note _note)), '_stream_case_of.case_id' => '(SELECT case_id FROM world.stream_case)',
    'merge_cases.case_id' => "(SELECT max(case_id) FROM world.mergeable)", 'merge_cases.other_cases' => "(SELECT ARRAY[min(case_id)] FROM world.mergeable)",
    'decide_case.case_id' => "(SELECT max(case_id) FROM fraud.cases WHERE status = 'open')", around => "'1 day'::interval", 'payment.id' => "'p2'", 'payment.card' => 'NULL::uuid', 'case.id' => '1::bigint', 'case_page.id' => '1::bigint',
    'of_last_four text' => "'0002'", 'of_merchant text' => "'M'", 'of_attribute text' => 'NULL::text', 'of_value text' => 'NULL::text', 'of_card uuid' => 'NULL::uuid', '_find_payments.since' => "'2026-01-01'::timestamptz",
    '_find_payments.until' => "'2026-02-01'::timestamptz", 'find_payments.last_four' => "'0002'", 'find_payments.attribute' => 'NULL::text', 'find_payments.value' => 'NULL::text', 'find_payments.merchant' => "'M'", max_rows => '10',
    matter => '(SELECT c FROM fraud.cases c LIMIT 1)', '_set_case.matter' => '(SELECT c FROM fraud.case_states c LIMIT 1)', '_set_case.action' => "'note'", '_explain_stored.features' => "(SELECT features FROM fraud.transactions WHERE transaction_id = 'p2')",
    # indexes and tiles
    '_concurrent_statements.columns' => "'(card, at)'", '_feature_index_name.columns' => "'(card, at)'", '_index_obstacle.part' => "'card'", '_may_fail.part' => "'card'",
    '_uncover_key.key_no' => '0::int2', '_uncover_key.key' => "'card'::bytea", '_uncover_key.events' => '1000::bigint', 'request_tiles.feature_set' => "'tiled'", patience => "'1 s'::interval",
    '_give_way.belongs_to' => "'source'::name", '_give_way.key_columns' => "'{transaction_id}'::name[]", '_give_way.relation' => "'labels'::name", '_recall_difference.frauds' => '3::bigint',
    # rules and lists
    '_add_list_rule.action' => "'block'", '_set_rule.act' => "'enforce'", '_write_rule.action' => "'review'", '_write_rule.on_error' => "'ignore'", '_write_rule.lists' => "'{}'::text[]", '_write_rule.features' => "'{}'::text[]", '_write_rule.foreign_names' => "'{}'::text[]", 'create_list.stream' => "'payments'", '_list_field_type.stream' => "'payments'", usage => '0.5::float8',
    list => "'list'", '_ensure_list.list' => "'list'", 'create_list.list' => "'another'", 'field text' => "'merchant'", values => "'{M}'::text[]", 'until timestamp with time zone' => "now() + interval '1 day'",
    (map { ($_ . 'add_rule.name' => "'fresh'", $_ . 'add_rule.on_error' => "'ignore'", $_ . 'alter_rule.on_error' => "'ignore'", $_ . 'add_rule.action' => "'review'", $_ . 'alter_rule.action' => "'review'") } ''), mode => "'observe'",
    (map { ("$_.name" => "'rule'") } qw(alter_rule enforce_rule observe_rule disable_rule rollback_rule drop_rule _rule _set_rule)), 'enforce_rule.version' => '1', 'observe_rule.version' => '1',
    'snooze.kind' => "'merchant'", 'snooze.name' => "'M'", 'snooze.stream' => 'NULL::text', '_event_rows.score' => "'d.score'", '_event_rows.decision' => "'d.decision'",
    '_score_stored.feature_set' => "'payments'", '_check_scores.feature_set' => "'payments'",
    (map { ("$_.stream" => "'payments'") } qw(backtest_rule _backtest_rule _backtest_condition _suggest_rules backtest_decision _backtest_decision suggest_rules _suggested _decision_rows _decision_counts _failing_rules _rules_to_decide _rules_to_compare _condition_outcome)), snooze_id => '1::bigint', most => '2', with_rules => 'true', 'backtest_decision.rules' => "'{rule}'::text[]", 'backtest_decision.model' => "'payments/1'",
    '_backtest_condition.expression' => "'amount > 1'", '_backtest_decision.rules' => "'{rule}'::text[]", '_backtest_decision.ref' => "'payments/1'", '_rules_to_compare.names' => 'NULL::text[]', '_rule_row.score' => "'t.score'", '_rule_row.decision' => "'t.decision'",
 '_decision_counts.decided' => "(fraud._decision_rows(NULL, 0.5, 0.9, 'payments')).decided",
    (map { ("$_.rows" => "(fraud._decision_rows(NULL, 0.5, 0.9, 'payments')).rows", "$_.rules" => "'{rule}'::text[]", "$_.names" => "'{rule}'::text[]") } qw(_decision_counts _failing_rules)), failing => "'{rule}'::text[]",
    '_condition_outcome.condition' => "'amount > 1'", '_condition_outcome.payment' => 'ROW(1)', '_suggestions.frauds' => '2::bigint', '_rule_version.name' => "'rule'", '_rule_version.version' => '1', named => "'{M}'::text[]", '_check_written_name.name' => "'rule'",
    '_list_value.type' => "'text'", '_list_field_type.field' => "'merchant'", '_customer_named.name' => "'account:1'",
    transaction_ids => "'{p2,p3}'::text[]", 'cards uuid[]' => 'NULL::uuid[]', '_write_labels.cards' => '(SELECT array_agg(card) FROM fraud.payment_keys WHERE transaction_id = $$p2$$)',
    '_write_labels.transaction_ids' => "'{p2}'::text[]", '_write_labels.known_at' => "'{2026-01-05}'::timestamptz[]", case_ids => "'{1}'::bigint[]", overrule => 'true', single => 'false',
    '_lock.name' => "'rollups'", '_try_lock.name' => "'rollups'",
    known_at => "'2026-01-05'::timestamptz", rel => 'NULL::regclass', 'load_history.rel' => "'world.history'::regclass", 'load_history_in_batches.rel' => "'world.history'::regclass", batch_size => '1000', resume => 'true',
    'train.rel' => "'world.events'::regclass", '_train.rel' => "'world.events'::regclass", '_table_query.rel' => "'world.events'::regclass", 'train.feature_set' => 'NULL::text', '_train.feature_set' => 'NULL::text',
    '_scored_table.rel' => "'world.events'::regclass", customers => 3, merchants => 3, days => 2, label_delay => "'1 day'::interval",
    columns => q('{"event_id": "id", "event_time": "at", "label": "label"}'::jsonb), artifact => "(SELECT a FROM world.artifacts)",
    feature_names => 'NULL::text[]',
    # periods
    from => "'2026-01-01'::timestamptz", to => "'2026-01-04'::timestamptz", train_from => "'2026-01-01'::timestamptz", train_to => "'2026-01-02'::timestamptz",
    validation_from => 'NULL::timestamptz', validation_to => 'NULL::timestamptz', test_from => "'2026-01-02'::timestamptz", test_to => "'2026-01-03'::timestamptz",
    starts_at => 'NULL::timestamptz', ends_at => 'NULL::timestamptz', labels_as_of => 'NULL::timestamptz', evidence_from => "'2026-01-01'::timestamptz",
    evidence_to => "'2026-01-04'::timestamptz", starts => "'2026-01-01'::timestamptz", ends => "'2026-01-02'::timestamptz", not_before => "'2025-01-01'::timestamptz", after => "'train'",
    day => "'2026-01-02'::date", of_day => "'2026-01-02'::date", since => "'2026-01-01'::date", first_day => "'2026-01-01'::date", 'days date[]' => "'{2026-01-01,2026-01-02}'::date[]",
    # dead letters, months
    max_rows => '100', 'max_rows bigint' => '100::bigint', max_blocks => '100::bigint', 'relation name' => "'labels'::name", removed => q('{}'::jsonb),
    sweep => q{(SELECT ROW(s.relation, s.place, timestamptz '2020-01-01', 0, 0, NULL)::fraud.sweeps FROM fraud.sweeps s WHERE s.relation = 'labels')},
    error_id => '1::bigint', ids => "'{1}'::bigint[]", repaired => q('{"amt": 5}'::jsonb), max_age => "'400 days'::interval",
    # measures
    threshold => '0.5::float8', alert_rates => "'{0.01,0.1}'::float8[]", cards => 10, points => 5, bins => 4, strategy => "'uniform'", alerts_per_day => '10::float8',
    min_precision => 'NULL::float8', alert_cost => 'NULL::float8', fraud_cost => 'NULL::float8', scores => "'history'", alert_rate => '0.1::float8', rate => '0.1::float8',
    steps => '10::float8', score => '0.5::float8', is_fraud => 'true', k => 2, 'card text' => "'c1'", remove_caught => 'true',
    # training
    params => q('{"max_depth": 2, "num_boost_round": 2}'::jsonb), search => 'NULL::jsonb', trials => 'NULL::int', seed => '1::bigint', folds => 0, delay => "'0'::interval", run => '1::bigint',
    'run jsonb' => q((SELECT to_jsonb(r) - 'run' FROM world.runs r LIMIT 1)), timeout => "'10 ms'::interval", caller_path => "'public'", caller_zone => "'UTC'", zone => "'UTC'", 'day int' => '1', 'day integer' => '1', tags => q('{"team": "x"}'::jsonb),
    override_gate => 'true', review_at => '0.1::float8', block_at => '0.9::float8', evidence => "'{}'::jsonb", best_iteration => 'false', iterations => 1, 'rollback.alias' => "'champion'",
    # channels, sources, jobs
    within => "'1 hour'::interval", settled => 'NULL::bigint', names => "'{x}'::text[]", relations => "'{fraud.locks}'::regclass[]", part => "'x'",
    action => "'add'", keep_old_secret => 'NULL::interval',
    name => "'source'", 'add_source.name' => "'another'", url => "'https://payments.invalid/x'", format => "'auto'", poll_interval => "'1 hour'::interval", headers => q('{"X-A": "b"}'::jsonb), max_poll_payments => 10, max_waiting_payments => 10,
    mapping => q('{"fields": {"amount": "$.amt", "transaction_id": "$.trans_num", "merchant": "$.merchant", "cc_num": "$.cc_num", "occurred_at": {"path": "$.unix_time", "time": "epoch_s"}}}'::jsonb),
    'preview_payments.body' => q('{"amt": 1}'), 'preview_source.name' => "'polled'",
    'alter_source.reset' => "'{headers}'::text[]", request => q('{"auth": {"kind": "bearer"}, "paging": {"kind": "page"}}'::jsonb), secrets => q('{"token": "t"}'::jsonb), 'source fraud.sources' => '(SELECT s FROM fraud.sources s LIMIT 1)',
    'add_channel.name' => "'another'", (map { ("$_.name" => "'channel'") } qw(alter_channel pause_channel resume_channel drop_channel test_channel _lock_channel _discard_notifications)),
    'add_channel.kind' => "'notify'", target => "'target'", takes => "'{alert}'::text[]", min_decision => "'review'", condition => "'score > 0.1'", repeats => 'false', digest_interval => 'NULL::interval', max_per_minute => 'NULL::int',
    template => 'NULL::jsonb', secret => 'NULL::text', smtp_url => 'NULL::text', smtp_user => 'NULL::text', smtp_password => 'NULL::text', sender => 'NULL::text', starttls => 'true', revisions => 'false', reset => "'{condition}'::text[]",
    'alter_channel.headers' => 'NULL::jsonb', discard_waiting => 'false', notification_id => '1::bigint', job => "'rollups'", statement => "'SELECT 1'", role_name => "'nobody'", access => "'score'", verb => "'grant'",
    'channel' => '(SELECT c FROM fraud.channels c LIMIT 1)', 'channel text' => "'channel'", message => '(SELECT o FROM fraud.outbox o LIMIT 1)', report => '(SELECT r FROM fraud.daily_reports r LIMIT 1)',
    '_enqueue.kind' => "'test'", payload => q('{"score": 0.5, "decision": "review"}'::jsonb), change => "'pause'", new_status => "'acknowledged'", allowed => "'{open}'::text[]",
    crowded => "'{}'::text[]", budget => "'1 second'::interval", '_is_urgent.kind' => "'alert'", older_than => "'1 day'::interval", 
    occurred_at => "'2026-01-01'::timestamptz", moment => "'2026-01-10'::timestamptz",
);

# The same function on other things: a table of features, a feature set's events.
my %of_table = (alerts_per_day => '1000::float8', ref => "'small'", model => "'small'", champion => "'small'", challenger => "'small'", version => 1, rel => "'world.events'::regclass");
my %of_set = (alerts_per_day => '1000::float8', ref => "'mine'", model => "'mine'", champion => "'mine/1'", challenger => "'mine/2'", columns => "'{}'::jsonb");
my %variants = (
    (map { ($_ => [ \%of_table, \%of_set ]) } qw(evaluate precision_recall_curve calibration choose_threshold compare_models scored_events promote)),
    train => [ { rel => 'NULL::regclass', feature_set => "'events'", columns => "'{}'::jsonb" } ],
    features => [ { feature_set => "'payments'", event => '(SELECT e FROM fraud.payment_events e LIMIT 1)' } ],
    (map { ($_ => [ { feature_set => "'payments'" } ]) } qw(verify_parity feature_indexes feature_set_hash feature_set_definition materialize_features)),
    add_channel => [
        { kind => "'webhook'", target => "'https://hooks.invalid/x'", headers => q('{"X-A": "b"}'::jsonb), template => q('{"text": "{{decision}}"}'::jsonb), secret => "'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'" },
        { kind => "'email'", target => "'a\@b.invalid'", smtp_url => "'smtp://mail.invalid:25'", sender => "'c\@d.invalid'", headers => "'{}'::jsonb" } ],
);

# By type, where the name says nothing.
my %good_of_type = (
    text => "'x'", name => "'postgres'::name", 'double precision' => '0.5::float8', real => '0.5::float4', integer => '1', bigint => '1::bigint', numeric => '1.5::numeric',
    boolean => 'true', date => "'2026-01-02'::date", interval => "'1 hour'::interval", 'timestamp with time zone' => "'2026-01-02'::timestamptz", jsonb => "'{}'::jsonb", json => "'{}'::json",
    bytea => "'\\x00'::bytea", uuid => "'00000000-0000-0000-0000-000000000001'::uuid", regclass => "'world.events'::regclass", oid => "'world.events'::regclass::oid", internal => 'NULL::internal', '"any"' => '1.5::float8', record => 'ROW(1, 2)',
    'text[]' => "'{a,b}'::text[]", 'numeric[]' => "'{1,2}'::numeric[]", 'double precision[]' => "'{0.1,0.2}'::float8[]", 'real[]' => "'{1,2}'::float4[]", 'bigint[]' => "'{1,2}'::bigint[]", 'uuid[]' => "'{00000000-0000-0000-0000-000000000001}'::uuid[]", 'timestamp with time zone[]' => "'{2026-01-02}'::timestamptz[]",
    'fraud.labels' => '(SELECT l FROM fraud.labels l LIMIT 1)', 'fraud.labels[]' => 'ARRAY(SELECT l FROM fraud.labels l)', 'date[]' => "'{2026-01-02}'::date[]",
);

# ------------------------------------------- arguments that a stranger tries

my @deep = (q((repeat('[', 100) || repeat(']', 100))), q((repeat('{"a":', 100) || '1' || repeat('}', 100))));
my %bad_of_type = (
    text => [ "''", "repeat('x', 1000000)", "'payments/99999999999999999999'", "'a\@b/c'", q(E'it''s "odd" \\\\ %s%n $1 \\n\\x01'), "'NULL'", "'-1'", "'pg_catalog.pg_class'", "U&'\\+01F600'", "'1/0'", "'infinity'",
        "'(SELECT 1)'", "'count(*)'", "'generate_series(1, 3)'", "'row_number() OVER ()'", "'1; SELECT 1'", "'amount) --'", q('$1'), "'pg_sleep(9)'", "'NULL'", "repeat('(', 20000) || '1' || repeat(')', 20000)", "repeat('a+', 5000) || '1'" ],
    name => [ "''::name", "repeat('x', 70)::name", "'no such role'::name" ],
    'double precision' => [ map { "'$_'::float8" } qw(NaN infinity -infinity -1 0 1 1e308 5e-324 2) ],
    real => [ map { "'$_'::float4" } qw(NaN infinity -infinity -1 0 3e38) ],
    numeric => [ "'NaN'::numeric", "'infinity'::numeric", "'-infinity'::numeric", '-1::numeric', '0::numeric', '1e131071::numeric', '1e-16383::numeric' ],
    integer => [ -1, 0, 2147483647, '(-2147483648)', 1001 ],
    bigint => [ '(-1)::bigint', '0::bigint', '9223372036854775807', '(-9223372036854775807 - 1)', '2147483648' ],
    boolean => [ 'false', 'true' ],
    'timestamp with time zone' => [ map { "'$_'::timestamptz" } 'infinity', '-infinity', '4714-11-24 00:00 BC', '294276-12-31 23:59:59.999999', 'epoch', '2026-01-01' ],
    date => [ map { "'$_'::date" } 'infinity', '-infinity', '4714-11-24 BC', '5874897-12-31', 'epoch' ],
    interval => [ map { "'$_'::interval" } '0', '-1 day', '1 microsecond', '178000000 years', '-178000000 years', '2147483647 days', '-2147483648 days', '1 mon -1 day' ],
    bytea => [ "''::bytea", "'\\x7b'::bytea", "convert_to(repeat('x', 1000000), 'UTF8')", "convert_to($deep[0], 'UTF8')", "substr((SELECT a FROM world.artifacts), 1, 2000)", "set_byte((SELECT a FROM world.artifacts), 500, 255)" ],
    uuid => [ "'00000000-0000-0000-0000-000000000000'::uuid", "'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid" ],
    record => [ 'ROW()', 'ROW(NULL)', q(ROW(1, 'x', NULL::text)), q((SELECT c FROM pg_class c LIMIT 1)), '(SELECT e FROM world.events e LIMIT 1)', '(SELECT t FROM fraud.transactions t LIMIT 1)',
        '(NULL::fraud.transactions)', 'ROW(1, 2)::world.a_type', q('(1,x)'::world.a_domain), '(SELECT p FROM pg_proc p LIMIT 1)', '(SELECT e FROM world.empty e LIMIT 1)',
        '(SELECT t FROM (SELECT ARRAY[1]::float4[] AS features) t)', q(jsonb_populate_record(NULL::fraud.transactions, '{"features": [1, null]}')), q(jsonb_populate_record(NULL::fraud.transactions, '{"features": [1, 2]}')) ],
    internal => [],
    '"any"' => [ "'x'::text", "ARRAY[1]", 'ROW(1)', "'NaN'::float8", "'x'", 'NULL', "'1 day'::interval", "'{}'::jsonb", '1::numeric', "'infinity'::numeric", "'1'::\"char\"", "'1'::cstring" ],
);
my @json = ('null', '{}', '[]', '[[]]', '[[1, 2], [3]]', '0', '-1', '1e400', '"x"', 'true', '{"": ""}', '{"a": null}', '[null]', '[{}]', '{"a": {"b": []}}');
for my $type (qw(json jsonb))
{
    $bad_of_type{$type} = [ (map { "'$_'::$type" } @json), (map { "$_\::$type" } @deep), "to_json(repeat('x', 1000000))::$type", "(SELECT json_object_agg('k' || i, i) FROM generate_series(1, 1000) i)::$type" ];
}
# Kinds of relation, and none.
my @relations = map { "'$_'::regclass" } qw(pg_catalog.pg_class pg_catalog.pg_stats pg_catalog.pg_class_oid_index world.a_sequence world.a_view world.a_matview world.parted world.a_type world.empty world.events_idx world.events fraud.transactions fraud.alerts);
$bad_of_type{regclass} = [ @relations, '0::regclass', '4294967295::regclass', '1::regclass', '(SELECT reltoastrelid FROM pg_class WHERE reltoastrelid <> 0 LIMIT 1)::regclass' ];
$bad_of_type{oid} = [ map { "$_\::oid" } @{ $bad_of_type{regclass} } ];
# Shapes of arrays; and each odd element.
for my $element ('text', 'double precision', 'real', 'numeric', 'date', 'integer', 'bigint')
{
    my $good = $good_of_type{$element};
    my $type = "$element\[]";
    $bad_of_type{$type} = [
        "'{}'::$type", "'{NULL}'::$type", "ARRAY[$good, NULL]::$type", "ARRAY[[$good, $good], [$good, $good]]::$type", "array_fill($good\::$element, '{2}', '{-5}')",
        "array_fill($good\::$element, '{10000}')", "array_fill(NULL::$element, '{1000}')", "array_fill($good\::$element, '{1,1,1,1,1,1}')",
        map { "ARRAY[$_]::$type" } @{ $bad_of_type{$element} } ];
}

# ------------------------------------------------------------------ functions

# The extension's functions that the role may execute, with all that a call needs.
sub functions_of
{
    my ($node, $role) = @_;
    my $rows = $node->safe_psql('postgres', qq{
SELECT p.oid, n.nspname, p.proname, p.prokind, l.lanname, p.proretset OR t.typtype IN ('c', 'p'), p.provariadic::regtype, p.prorettype::regtype,
       array_to_json(coalesce(p.proargnames[1:p.pronargs], array_fill(''::text, ARRAY[p.pronargs::int]))), array_to_json(p.proargtypes::regtype[]),
       p.provolatile, (SELECT string_agg(CASE WHEN pg_get_function_arg_default(p.oid, i) ~ '^NULL' THEN 'may' ELSE 'must not' END, ',' ORDER BY i) FROM generate_series(1, p.pronargs) i)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang JOIN pg_type t ON t.oid = p.prorettype
WHERE EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'fraud_detect'
              WHERE d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
  AND has_function_privilege('$role', p.oid, 'EXECUTE') AND has_schema_privilege('$role', n.oid, 'USAGE')
ORDER BY n.nspname, p.proname, p.oid}, extra_params => [ '-F', "\t" ]);
    my @functions;
    for (split /\n/, $rows)
    {
        my ($oid, $schema, $name, $kind, $language, $rows_of, $variadic, $returns, $names, $types, $volatile, $nulls) = split /\t/;
        my @types = $types eq '' ? () : ($types =~ /"((?:[^"\\]|\\.)*)"/g);
        s/\\"/"/g for @types;
        my @names = $names =~ /"([^"]*)"/g;
        push @functions,
          {
            name => $name, call => "$schema.$name", kind => $kind, language => $language, rows => $rows_of eq 't', variadic => $variadic ne '-', returns => $returns,
            acts => $volatile eq 'v',
            # What is null by default may be null.
            arguments => [ map { { name => $names[$_] // '', type => $types[$_], may_be_null => (split /,/, $nulls)[$_] eq 'may' } } 0 .. $#types ]
          };
    }
    return @functions;
}

sub good
{
    my ($function, $argument) = @_;
    my ($name, $type) = @$argument{qw(name type)};
    my $variant = $function->{variant} // {};
    return $variant->{$name} if exists $variant->{$name};
    (my $public = $function->{name}) =~ s/^_//;
    return $good{"$function->{name}.$name"} // $good{"$public.$name"} // $good{"$name $type"} // of_type($type, $good{$name}) // $good_of_type{$type} // "NULL::$type";
}

# A value that is meant for a name holds where the type fits it.
sub of_type
{
    my ($type, $value) = @_;
    return undef unless defined $value;
    return undef if $type =~ /\[\]$/ && $value !~ /\[\]$/;
    return undef if $type =~ /^(integer|bigint|double precision|numeric)$/ && $value =~ /^'/ && $value !~ /::/;
    return undef if $type =~ /^(boolean|numeric|interval)$/ && $value =~ /::(?!$type)/;
    return $value;
}

sub bads
{
    my ($argument, $good) = @_;
    my $type = $argument->{type};
    my @values = @{ $bad_of_type{$type} // [] };
    # Of an object that works: one of its fields is something else, or is not there.
    if ($type eq 'jsonb' && $good =~ /^'\{.*\}'/)
    {
        for my $key ($good =~ /"(\w+)":/g)
        {
            push @values, "$good - '$key'", map { "jsonb_set($good, '{$key}', $_)" } "'null'", "'[]'", "'{}'", "'-1'", "'1e400'", q('""'), "to_jsonb(repeat('x', 100000))", "$deep[0]::jsonb";
        }
    }
    # A row type: none, one of nulls.
    @values = ("jsonb_populate_record(NULL::$type, '{}')") if !@values && $type =~ /^fraud\./;
    my $null = $type eq '"any"' ? 'NULL' : "NULL::$type";
    return ($null, @values);
}

# A call with these arguments; with rows => 1 it comes after one with good ones, at the
# same place of a query and not as constants.
sub call
{
    my ($function, $values, %how) = @_;
    my @types = map { $_->{type} } @{ $function->{arguments} };
    return "SELECT $function->{call}(" . join(', ', @$values) . ') FROM generate_series(1, 3)' if $function->{kind} eq 'a';
    return "CALL $function->{call}(" . join(', ', @$values) . ')' if $function->{kind} eq 'p';
    if ($how{rows})
    {
        my @good = map { good($function, $_) } @{ $function->{arguments} };
        my @typed = map { $types[$_] eq '"any"' ? [ $good[$_], $good[$_] ] : [ $good[$_], $values->[$_] ] } 0 .. $#types;
        my $columns = join(', ', map { "a$_" } 0 .. $#types);
        my $row = sub { my $i = shift; 'SELECT ' . join(', ', map { "$typed[$_][$i] AS a$_" } 0 .. $#types) };
        return "SELECT $function->{call}($columns) FROM (" . $row->(0) . ' UNION ALL ' . $row->(1) . ' OFFSET 0) s';
    }
    my $call = "$function->{call}(" . join(', ', @$values) . ')';
    return "SELECT * FROM $call" if $how{from};
    return "SELECT $call";
}

sub calls_of
{
    my ($function, $briefly) = @_;
    return systematic_calls($function, 1) if $briefly;
    (my $public = $function->{name}) =~ s/^_//;
    return map { systematic_calls({ %$function, variant => $_ }) } {}, @{ $variants{$public} // [] };
}

# All calls that are not by chance: all good, all null, and one that is not good.
sub systematic_calls
{
    my ($function, $briefly) = @_;
    my @arguments = @{ $function->{arguments} };
    my @good = map { good($function, $_) } @arguments;
    my @calls = ({ good => 1, sql => call($function, \@good) });
    push @calls, { sql => call($function, \@good, from => 1) } if $function->{rows} && $function->{returns} !~ /^(record|internal|trigger)$/;
    return @calls unless @arguments;
    push @calls, { sql => call($function, [ map { $_->{type} eq '"any"' ? 'NULL' : "NULL::$_->{type}" } @arguments ]) };
    for my $i (0 .. $#arguments)
    {
        my @bads = bads($arguments[$i], $good[$i]);
        for my $bad (@bads)
        {
            my @values = @good;
            $values[$i] = $bad;
            push @calls, { sql => call($function, \@values), $bad eq $bads[0] ? (null => $arguments[$i]) : () };
            # What is kept from call to call at one place of a query is C's alone.
            push @calls, { sql => call($function, \@values, rows => 1) }
              if !$briefly && $function->{language} eq 'c' && $function->{kind} eq 'f' && !grep { $_->{type} eq 'internal' } @arguments;
        }
    }
    if ($function->{variadic})
    {
        push @calls, map { { sql => "SELECT $function->{call}(" . join(', ', @good[ 0 .. $#good - 1 ], "VARIADIC $_") . ')' } } 'ARRAY[1.5]', 'NULL::int[]', "'{}'::text[]", "ARRAY[NULL, 'x']";
        push @calls, { sql => "SELECT $function->{call}(" . join(', ', @good[ 0 .. $#good - 1 ], ('1') x $_) . ')' } for 2, 90;
    }
    return @calls;
}

# What fires the triggers' functions on a table that none of them was made for.
sub trigger_calls
{
    my ($function) = @_;
    my @calls = ({ sql => "SELECT $function->{call}()" });
    for my $when (qw(BEFORE AFTER))
    {
        for my $level (qw(ROW STATEMENT))
        {
            push @calls, {
                sql => "CREATE TRIGGER t $when INSERT OR UPDATE OR DELETE ON world.events FOR EACH $level EXECUTE FUNCTION $function->{call}(); $_"
              }
              for 'INSERT INTO world.events (id, at) VALUES (1000, now())', 'UPDATE world.events SET amount = NULL WHERE id < 3', 'DELETE FROM world.events WHERE id < 3';
        }
        push @calls, { sql => "CREATE TRIGGER t $when TRUNCATE ON world.events EXECUTE FUNCTION $function->{call}('a'); TRUNCATE world.events" };
    }
    push @calls, { sql => "CREATE TRIGGER t INSTEAD OF INSERT ON world.a_view FOR EACH ROW EXECUTE FUNCTION $function->{call}('a', 'b'); INSERT INTO world.a_view SELECT * FROM world.events" };
    return @calls;
}

# Combinations by chance, the same in every run.
sub fuzz_calls
{
    my ($function, $count) = @_;
    my @arguments = @{ $function->{arguments} };
    return () unless @arguments;
    return map {
        my @values = map { my $good = good($function, $_); my @bad = bads($_, $good); rand() < 0.6 ? $good : $bad[ rand @bad ] } @arguments;
        { sql => call($function, \@values) }
    } 1 .. $count;
}

1;
