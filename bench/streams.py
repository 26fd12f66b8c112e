"""Measures fraud.watch against fraud.ingest: the same rows, the same features with the same
history, the same model, one row a transaction; and a hundred rows in one INSERT against one: of these,
whose windows reach over a month of a merchant's payments, and of insurance claims.

    streams.py CUSTOMERS DAYS ROWS ROUNDS

On the server that libpq's environment names, in its database PGDATABASE, which is made anew. Prints a
line a figure: processor time of the backend, the median of the rounds.
"""
import json
import os
import statistics
import sys

from session import Session

customers, days, rows, rounds = (int(argument) for argument in sys.argv[1:5])
database = os.environ.get("PGDATABASE", "streams")
other = Session("postgres")
other.run(f"DROP DATABASE IF EXISTS {database}")
other.run(f"CREATE DATABASE {database}")
session = Session(database)
session.find_backend(other)
session.run("CREATE EXTENSION fraud_detect")
session.run(f"SELECT fraud.simulate({customers}, {max(customers // 2, 20)}, {days}, starts_at => date_trunc('day', now(), 'UTC') - interval '{days + 1} days')")
# A copy of the payments as their features see them, and the same features over it.
session.run("CREATE TABLE purchases AS SELECT * FROM fraud.payment_events")
session.run("ALTER TABLE purchases ADD PRIMARY KEY (transaction_id, card)")
session.run("""
DO $$
DECLARE
    d record;
BEGIN
    PERFORM fraud.create_feature_set('purchases', 'purchases', s.event_id, s.event_time, s.label, s.label_delay, s.label_known_at, true,
                                     label_changes => s.label_changes)
    FROM fraud.feature_sets s WHERE s.feature_set = 'payments';
    FOR d IN SELECT * FROM fraud.feature_definitions f WHERE f.feature_set = 'payments' ORDER BY f.position LOOP
        IF d.expression IS NOT NULL THEN
            PERFORM fraud.add_feature('purchases', d.feature, d.expression, d.kind,
                (SELECT array_agg(c.category ORDER BY c.code) FROM fraud.feature_categories c
                 WHERE c.feature_set = 'payments' AND c.feature = d.feature), reason => d.reason);
        ELSE
            PERFORM fraud.add_window_feature('purchases', d.feature, d.aggregate, array_to_string(d.value, ', '), array_to_string(d.key, ', '),
                d."window", d.delay, d.filter, d.include_current, reason => d.reason);
        END IF;
    END LOOP;
END $$""")
session.run("SELECT fraud.import_model('purchases', fraud.export_model('payments'))")
session.run("SELECT fraud.promote('purchases', 1, review_at => a.review_at, block_at => a.block_at) FROM fraud.model_aliases a WHERE model = 'payments'")
session.run("SELECT fraud.watch('purchases', entity => 'card', amount => 'amount')")
# What comes: payments of those customers, a moment apart, after all others.
wanted = rows * rounds * 4 + 1000
session.run(f"""
CREATE TABLE coming AS
SELECT row_number() OVER () AS i, e.card, 'new-' || row_number() OVER () AS transaction_id,
       now() - interval '12 hours' + row_number() OVER () * interval '100 ms' AS occurred_at,
       e.amount, e.merchant, e.category, e.merchant_latitude, e.merchant_longitude, e.home_latitude, e.home_longitude, e.city_population, NULL::float4 AS age,
       e.currency, e.base_amount, e.attributes, false AS is_fraud, NULL::timestamptz AS label_known_at, NULL::timestamptz[] AS label_changes
FROM (SELECT * FROM purchases, generate_series(1, 100) ORDER BY hashtext(transaction_id || generate_series) LIMIT {wanted}) e""")
session.run("ALTER TABLE coming ADD PRIMARY KEY (i)")
session.run("""
CREATE PROCEDURE ingest(begins bigint, ends bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR n IN begins..ends - 1 LOOP
        PERFORM s.status FROM coming c, fraud.ingest(jsonb_build_object('card', c.card, 'trans_num', c.transaction_id,
            'trans_date_trans_time', to_char(c.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'amt', c.amount, 'merchant', c.merchant,
            'category', c.category, 'merch_lat', c.merchant_latitude, 'merch_long', c.merchant_longitude, 'lat', c.home_latitude,
            'long', c.home_longitude, 'city_pop', c.city_population)) s WHERE c.i = n;
        COMMIT;
    END LOOP;
END $$""")
columns = ("card, transaction_id, occurred_at, amount, merchant, category, merchant_latitude, merchant_longitude, home_latitude, "
           "home_longitude, city_population, age, currency, base_amount, attributes, is_fraud, label_known_at, label_changes")
session.run(f"""
CREATE PROCEDURE watch(begins bigint, ends bigint, at_once bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR n IN 0..(ends - begins) / at_once - 1 LOOP
        INSERT INTO purchases ({columns}) SELECT {columns} FROM coming c WHERE c.i >= begins + n * at_once AND c.i < begins + (n + 1) * at_once;
        COMMIT;
    END LOOP;
END $$""")
session.run("VACUUM ANALYZE")
figures = {}
at = 1


def measure(name, statement, count):
    figures.setdefault(name, []).append(session.processor_milliseconds(statement) / count)


session.run("CALL ingest(1, 20)")
session.run("CALL watch(1, 20, 1)")
at = 20
for _ in range(rounds):
    # The same rows both ways, in turns.
    measure("fraud.ingest, ms a row", f"CALL ingest({at}, {at + rows})", rows)
    measure("fraud.watch, ms a row", f"CALL watch({at}, {at + rows}, 1)", rows)
    at += rows
    hundreds = max(rows // 100, 1)
    measure("fraud.watch, ms an INSERT of 100 rows", f"CALL watch({at}, {at + 100 * hundreds}, 100)", hundreds)
    # The history stays the same on both sides.
    session.run(f"CALL ingest({at}, {at + 100 * hundreds})")
    at += 100 * hundreds
# Insurance claims: six features of the policy holder, who has thirty claims.
tree = {"id": 0, "left_children": [1, -1, -1], "right_children": [2, -1, -1], "parents": [2147483647, 0, 0], "split_indices": [0, 0, 0],
        "split_conditions": [4990, -2.0, 2.0], "default_left": [1, 0, 0], "split_type": [0, 0, 0], "categories": [], "categories_nodes": [],
        "categories_segments": [], "categories_sizes": [], "base_weights": [0, 0, 0], "loss_changes": [0, 0, 0], "sum_hessian": [4, 2, 2],
        "tree_param": {"num_deleted": "0", "num_feature": "2", "num_nodes": "3", "size_leaf_vector": "0"}}
model = {"version": [1, 7, 4], "learner": {
    "attributes": {}, "feature_names": ["amount", "count_30d"], "feature_types": ["float", "float"],
    "learner_model_param": {"base_score": "5E-1", "num_class": "0", "num_feature": "2", "num_target": "1"},
    "objective": {"name": "binary:logistic", "reg_loss_param": {"scale_pos_weight": "1"}},
    "gradient_booster": {"name": "gbtree", "model": {
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": "1", "size_leaf_vector": "0"}, "tree_info": [0], "trees": [tree]}}}}
holders = customers
session.run("CREATE TABLE claims (claim_no bigint PRIMARY KEY, filed_at timestamptz NOT NULL, policy_holder int NOT NULL, amount float8 NOT NULL)")
session.run(f"INSERT INTO claims SELECT i, now() - interval '40 days' + i * interval '40 days' / ({holders} * 30), i * 7919 % {holders}, "
            f"100 + i * 104729 % 4900 FROM generate_series(1::bigint, {holders} * 30) i")
session.run("SELECT fraud.create_feature_set('claims', 'claims', 'claim_no', 'filed_at', create_indexes => true)")
session.run("SELECT fraud.add_feature('claims', 'amount', 'amount')")
session.run("""SELECT fraud.add_window_feature('claims', a || '_' || w, a, CASE WHEN a <> 'count' THEN 'amount' END, 'policy_holder', v)
            FROM unnest(ARRAY['count', 'sum', 'max']) a, (VALUES ('7d', interval '7 days'), ('30d', '30 days')) x(w, v)""")
session.run(f"SELECT fraud.import_model('claims', convert_to($model${json.dumps(model)}$model$, 'UTF8'))")
session.run("SELECT fraud.promote('claims', 1, review_at => 0.5, block_at => 0.9)")
session.run("SELECT fraud.watch('claims', entity => 'policy_holder', amount => 'amount')")
session.run(f"""
CREATE PROCEDURE claim(begins bigint, ends bigint, at_once bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR n IN 0..(ends - begins) / at_once - 1 LOOP
        INSERT INTO claims SELECT 1000000 + i, now(), i * 104729 % {holders}, 100 + i * 104729 % 4900
        FROM generate_series(begins + n * at_once, begins + (n + 1) * at_once - 1) i;
        COMMIT;
    END LOOP;
END $$""")
session.run("VACUUM ANALYZE claims")
session.run("CALL claim(1, 11, 1)")
at = 11
for _ in range(rounds):
    measure("claims, ms a row", f"CALL claim({at}, {at + rows}, 1)", rows)
    at += rows
    measure("claims, ms an INSERT of 100 rows", f"CALL claim({at}, {at + 10 * 100}, 100)", 10)
    at += 10 * 100
found = {name: statistics.median(values) for name, values in figures.items()}
for name, value in found.items():
    print(f"{name}: {value:.3f}")
print(f"watch / ingest: {found['fraud.watch, ms a row'] / found['fraud.ingest, ms a row']:.2f}")
for what in "fraud.watch", "claims":
    print(f"{what}, 100 rows / 1 row: {found[what + ', ms an INSERT of 100 rows'] / found[what + ', ms a row']:.1f}")
same = session.value("SELECT count(*) FILTER (WHERE t.score = d.score) || ' of ' || count(*) FROM fraud.transactions t "
                     "JOIN fraud.stream_decisions d ON d.event_id = t.transaction_id")
print(f"scores that are the same: {same}")
print("share of alerts:", session.value("SELECT round(avg((decision <> 'approve')::int), 4) FROM fraud.stream_decisions"))
print("unscored:", session.value("SELECT count(error) FROM fraud.stream_decisions"))
