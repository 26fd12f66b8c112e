"""Measures what rules cost and how quick backtests are, on the server that libpq's environment
names (PGHOST, …), which must run on this machine, in a database of its own.

    python3 bench/rules.py [--payments N] [--singles N] [--rounds N] [--database NAME] [--reuse]

Prints a table, and JSON: a list of measurements, each a ratio of one run with its bar. One payment a transaction is measured by the processor
time of its backend and by the clock, with 100 rules and 10 lists of 100,000 values and with none, in turns in one session;
the least of the rounds counts, for whatever else the machine does only adds to it. A backtest is compared with a bare sequential scan (count(*)) of the same
payments, which the planner would rather answer from an index alone, and is told not to.
"""
import argparse
import json
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "cost"))

from libpq import Connection

RULES = """
SELECT fraud.add_rule('r' || i, CASE i % 5
    WHEN 0 THEN format('fraud.in_list(''l%s'', %s) AND amount > %s', 1 + (i / 5) % 10, CASE WHEN 1 + (i / 5) % 10 < 6 THEN 'device' ELSE 'merchant' END, i)
    WHEN 1 THEN format('amount > %s AND category = ''shopping_net''', 100000 + i) WHEN 2 THEN format('count_1h > %s AND sum_24h > %s', 1000 + i, i)
    WHEN 3 THEN format('score > 0.99 AND amount_ratio_30d > %s', 1000 + i) ELSE format('distance_km > %s AND currency <> ''USD''', i) END, 'review', mode => 'enforce')
FROM generate_series(1, 100) i
"""


def enforce(session, stream, on):
    """All rules of a stream decide, or none does."""
    session.run(f"UPDATE fraud.rules SET enforced_version = {'1' if on else 'NULL'} WHERE stream = '{stream}'")
    session.run(f"SELECT fraud._rules_changed('{stream}')")
    session.run("VACUUM fraud.rules, fraud.rule_sets")


def make(options):
    server = Connection("postgres")
    server.run(f"DROP DATABASE IF EXISTS {options.database}")
    server.run(f"CREATE DATABASE {options.database}")
    server.close()
    session = Connection(options.database)
    session.run("CREATE EXTENSION fraud_detect")
    session.run("SELECT fraud.promote('payments', 1, review_at => 0.999999, block_at => 1, override_gate => true, reason => 'no alerts')")
    session.run("SELECT fraud.add_payment_field('device', 'text')")
    stored = 0
    while stored < 0.95 * options.payments:
        stored += int(session.value(f"SELECT fraud.simulate({min(5000, max(200, (options.payments - stored) // 167))}, 500, 60, {stored + 7})"))
        print(f"{stored} payments", file=sys.stderr)
    session.run("SELECT fraud.create_list('l' || i, CASE WHEN i < 6 THEN 'device' ELSE 'merchant' END) FROM generate_series(1, 10) i")
    session.run("SELECT fraud.add_to_list('l' || i, ARRAY(SELECT 'v' || i || '_' || g FROM generate_series(1, 100000) g), null, 'bench') FROM generate_series(1, 10) i")
    session.run(RULES)
    session.run("CREATE TABLE payers AS SELECT row_number() OVER () - 1 AS n, card FROM (SELECT card FROM fraud.customers ORDER BY card LIMIT 2000) c")
    session.run("CREATE TABLE shops AS SELECT row_number() OVER () - 1 AS n, merchant FROM fraud.merchants")
    session.run("VACUUM ANALYZE")
    session.close()


def singles(options):
    session = Connection(options.database, ["synchronous_commit = off"])
    payers = [row[0] for row in session.run("SELECT card FROM payers ORDER BY n")]
    shops = [row[0] for row in session.run("SELECT merchant FROM shops ORDER BY n")]
    ingest = session.prepare("pay", "SELECT status FROM fraud.ingest($1::jsonb)")
    at = int(time.time()) - 3600
    number = int(time.time() * 1000)
    taken = {"with": [], "without": []}
    for turn in range(2 * options.rounds + 2):
        kind = "with" if turn % 2 else "without"
        enforce(session, "payments", kind == "with")
        clock = []
        for i in range(options.singles + 10):
            number += 1
            payment = json.dumps({"card": payers[number % len(payers)], "trans_num": f"b{number}", "amt": number % 300 + 1, "merchant": shops[number % len(shops)],
                                  "category": "misc_pos", "unix_time": at + number % 3000, "device": f"d{number % 1000}"})
            if i == 10:
                began = session.processor_seconds()
            start = time.perf_counter()
            if ingest(payment)[0][0] != "stored":
                raise RuntimeError("not stored")
            clock.append(time.perf_counter() - start)
        if turn >= 2:  # the first two warm up
            taken[kind].append(((session.processor_seconds() - began) / options.singles, statistics.median(clock[10:])))
    matches = int(session.value("SELECT count(*) FROM fraud.rule_matches"))
    session.run("UPDATE fraud.rules SET enforced_version = 1")
    session.run("SELECT fraud._rules_changed('payments')")
    session.close()
    print(f"rows of fraud.rule_matches: {matches}", file=sys.stderr)
    processor = {kind: min(t[0] for t in turns) for kind, turns in taken.items()}
    clock = {kind: min(t[1] for t in turns) for kind, turns in taken.items()}
    return [{"what": "one payment a transaction, no rules, processor time", "value": processor["without"] * 1e6, "unit": "µs"},
            {"what": "one payment a transaction, 100 rules and 10 lists of 100,000, processor time", "value": processor["with"] * 1e6, "unit": "µs"},
            {"what": "100 rules and 10 lists of 100,000 values ÷ none, processor time", "value": processor["with"] / processor["without"], "unit": "×", "bar": 1.2},
            {"what": "100 rules and 10 lists of 100,000 values ÷ none, by the clock (median)", "value": clock["with"] / clock["without"], "unit": "×", "bar": 1.2}]


def backtests(options):
    session = Connection(options.database)
    first, last = session.run("SELECT min(occurred_at), max(occurred_at) + interval '1 second' FROM fraud.transactions")[0]
    session.run("SELECT fraud.disable_rule('r' || i, 'the overlap is measured with 5') FROM generate_series(6, 100) i")
    queries = {
        "scan": f"SELECT count(*) FROM fraud.transactions t WHERE t.occurred_at >= '{first}' AND t.occurred_at < '{last}'",
        "rule": f"SELECT count(*) FROM fraud.backtest_rule('amount > 500 AND amount_ratio_30d > 5', '{first}', '{last}', false)",
        "list": f"SELECT count(*) FROM fraud.backtest_rule('amount > 500 AND fraud.in_list(''l6'', merchant)', '{first}', '{last}', false)",
        "overlap": f"SELECT count(*) FROM fraud.backtest_rule('amount > 500 AND amount_ratio_30d > 5', '{first}', '{last}', true)",
    }
    taken = {name: [] for name in queries}
    for _ in range(max(3, options.rounds)):
        for name, query in queries.items():
            for way in ("indexscan", "indexonlyscan", "bitmapscan"):
                session.run(f"SET enable_{way} = {'off' if name == 'scan' else 'on'}")
            start = time.perf_counter()
            session.run(query)
            taken[name].append(time.perf_counter() - start)
    seconds = {name: min(times) for name, times in taken.items()}
    payments = int(session.value("SELECT count(*) FROM fraud.transactions"))
    session.close()
    results = [{"what": f"bare sequential scan of {payments:,} payments", "value": seconds["scan"], "unit": "s"}]
    for name, what, bar in (("rule", "backtest of a rule over columns and features", 2), ("list", "with the history of a list", 4), ("overlap", "with the overlap of 5 rules", 4)):
        results.append({"what": f"{what} ÷ the scan", "value": seconds[name] / seconds["scan"], "unit": "×", "bar": bar})
    return results


CLAIMS = """
CREATE TABLE claims (claim_no bigint PRIMARY KEY, filed_at timestamptz NOT NULL, holder text, amount numeric, device text);
SELECT fraud.create_feature_set('claims', 'claims', 'claim_no', 'filed_at', create_indexes => true), fraud.add_feature('claims', 'amount', 'amount'),
       fraud.add_window_feature('claims', 'claims_30d', 'count', NULL, 'holder', '30 days');
INSERT INTO claims SELECT i, now() - interval '40 days' + i * interval '1 second', 'h' || i % 5000, i % 900 + 1, 'd' || i % 1000 FROM generate_series(1, 20000) i
"""

# One stump, which no amount here passes.
MODEL = {"version": [1, 7, 4], "learner": {
    "attributes": {}, "feature_names": ["amount", "claims_30d"], "feature_types": ["float", "float"],
    "learner_model_param": {"base_score": "5E-1", "num_class": "0", "num_feature": "2", "num_target": "1"},
    "objective": {"name": "binary:logistic", "reg_loss_param": {"scale_pos_weight": "1"}},
    "gradient_booster": {"name": "gbtree", "model": {
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": "1", "size_leaf_vector": "0"}, "tree_info": [0], "trees": [{
            "id": 0, "left_children": [1, -1, -1], "right_children": [2, -1, -1], "parents": [2147483647, 0, 0], "split_indices": [0, 0, 0], "split_conditions": [1e9, -3.0, 3.0],
            "default_left": [1, 0, 0], "split_type": [0, 0, 0], "categories": [], "categories_nodes": [], "categories_segments": [], "categories_sizes": [], "base_weights": [0, 0, 0],
            "loss_changes": [0, 0, 0], "sum_hessian": [4, 2, 2], "tree_param": {"num_deleted": "0", "num_feature": "2", "num_nodes": "3", "size_leaf_vector": "0"}}]}}}}

STREAM_RULES = """
SELECT fraud.add_rule('s' || i, CASE i % 5
    WHEN 0 THEN format('fraud.in_list(''l%s'', %s) AND amount > %s', 1 + (i / 5) % 10, CASE WHEN 1 + (i / 5) % 10 < 6 THEN 'device' ELSE 'holder' END, i)
    WHEN 1 THEN format('amount > %s AND device = ''x''', 100000 + i) WHEN 2 THEN format('claims_30d > %s AND feature_amount > %s', 1000000 + i, i)
    WHEN 3 THEN format('score > 0.99 AND amount > %s', 1000 + i) ELSE format('amount > %s AND holder <> ''y''', 100000 + i) END, 'review', mode => 'enforce', stream => 'claims')
FROM generate_series(1, 100) i
"""


def streams(options):
    """INSERTs into a watched table: with 100 rules, of which 20 ask 10 lists of 100,000 values, and with none, in turns; processor time."""
    session = Connection(options.database, ["synchronous_commit = off"])
    if session.value("SELECT to_regclass('claims') IS NULL") == "t":
        for statement in CLAIMS.strip().split(";\n"):
            session.run(statement)
        session.run(f"SELECT fraud.import_model('claims', convert_to('{json.dumps(MODEL)}', 'UTF8'))")
        session.run("SELECT fraud.promote('claims', 1, review_at => 0.99, block_at => 1, override_gate => true, reason => 'no alerts')")
        session.run("SELECT fraud.watch('claims', entity => 'holder', amount => 'amount')")
        session.run(STREAM_RULES)
        session.run("VACUUM ANALYZE claims")
    number = int(session.value("SELECT max(claim_no) FROM claims"))
    results = []
    for rows, times in ((1, options.singles), (1000, 5)):
        taken = {"with": [], "without": []}
        for turn in range(2 * options.rounds + 2):
            kind = "with" if turn % 2 else "without"
            enforce(session, "claims", kind == "with")
            for i in range(times + 2):
                if i == 2:
                    began = session.processor_seconds()
                session.run(f"INSERT INTO claims SELECT {number} + i, now(), 'h' || ({number} + i) % 5000, i % 300 + 1, 'd' || i % 1000 FROM generate_series(1, {rows}) i")
                number += rows
            if turn >= 2:  # the first two warm up
                taken[kind].append((session.processor_seconds() - began) / times)
        least = {kind: min(turns) for kind, turns in taken.items()}
        what = "an INSERT of one row" if rows == 1 else f"an INSERT of {rows:,} rows"
        results += [{"what": f"{what} into a watched table, no rules, processor time", "value": least["without"] * 1e6, "unit": "µs"},
                    {"what": f"{what}, 100 rules of the stream and 10 lists of 100,000 values ÷ none, processor time", "value": least["with"] / least["without"], "unit": "×"}]
    matches = int(session.value("SELECT count(*) FROM fraud.stream_rule_matches"))
    print(f"rows of fraud.stream_rule_matches: {matches}", file=sys.stderr)
    session.close()
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payments", type=int, default=1000000)
    parser.add_argument("--singles", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--database", default="bench_rules")
    parser.add_argument("--reuse", action="store_true")
    options = parser.parse_args()
    if not options.reuse:
        make(options)
    results = singles(options) + streams(options) + backtests(options)
    for one in results:
        bar = f"bar ≤ {one['bar']}: {'met' if one['value'] <= one['bar'] else 'missed'}" if "bar" in one else ""
        print(f"{one['what']}: {one['value']:.3g} {one['unit']} {bar}", file=sys.stderr)
    print(json.dumps({"results": results}, indent=1))


main()
