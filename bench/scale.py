#!/usr/bin/env python3
"""Measures how many pages a payment touches, and how many of them have to be read when none is in
memory, beside so many stored: the figures of docs/scale.md that tools/capacity reckons with.

    bench/scale.py CUSTOMERS…        a database for each (one that is there is taken), with a merchant for six customers, and 60 days

Needs a server without the preload and with autovacuum = off (nobody else touches pages then), libpq's
environment, a superuser, and RESTART, a shell command that restarts the server. Pages are counted by
PostgreSQL, so a busy machine changes nothing. Prints a Markdown table.
"""
import json
import os
import subprocess
import sys

PAYMENTS = 500
TABLES = "SELECT sum(heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0)), sum(heap_blks_read + coalesce(idx_blks_read, 0)) " \
         "FROM pg_statio_all_tables WHERE schemaname = 'fraud'"


def psql(database, *statements):
    """Runs statements in one session; returns the last lines."""
    command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database]
    return subprocess.run(command, input=";\n".join(statements) + ";\n", check=True, capture_output=True, text=True).stdout.strip()


def statements(database, seed):
    """Returns payments of cards and merchants by chance, a statement each, a day after the history."""
    rows = psql(database, f"SELECT setseed({seed})", f"""
        SELECT jsonb_build_object('card', c.card, 'trans_num', md5('{seed}' || n || now()), 'amt', 10 + n % 90, 'merchant', m.merchant, 'category', m.category,
            'lat', 40, 'long', -74, 'merch_lat', 40.1, 'merch_long', -74.1, 'unix_time', extract(epoch FROM last.at)::bigint + 3600 + n)
        FROM (SELECT n, floor(random() * customers)::int AS card, floor(random() * merchants)::int AS merchant
              FROM generate_series(1, {PAYMENTS}) n, (SELECT count(*) AS customers FROM fraud.customers) c, (SELECT count(*) AS merchants FROM fraud.merchants) m) r
        JOIN (SELECT card, row_number() OVER (ORDER BY card) - 1 AS place FROM fraud.customers) c ON c.place = r.card
        JOIN (SELECT merchant, category, row_number() OVER (ORDER BY merchant) - 1 AS place FROM fraud.merchants) m ON m.place = r.merchant,
        (SELECT max(occurred_at) AS at FROM fraud.transactions) last ORDER BY n""").splitlines()
    return ["SELECT FROM fraud.ingest('" + row.replace("'", "''") + "')" for row in rows if row.startswith("{")]


def touched(database, payments):
    """Returns pages touched and pages read by these payments, in one session."""
    before = psql(database, TABLES).split("|")
    psql(database, *payments, "SELECT pg_stat_force_next_flush()")
    after = psql(database, TABLES).split("|")
    return [(int(a) - int(b)) / len(payments) for a, b in zip(after, before)]


def main():
    print("| stored | payments of a card in 30 days | pages touched a payment | pages read a payment, none in memory | database, bytes a payment |")
    print("|--:|--:|--:|--:|--:|")
    for customers in map(int, sys.argv[1:]):
        database = f"scale_{customers}"
        if psql("postgres", f"SELECT count(*) FROM pg_database WHERE datname = '{database}'") == "0":
            psql("postgres", f"CREATE DATABASE {database}")
            psql(database, "CREATE EXTENSION fraud_detect", f"SELECT fraud.simulate({customers}, {max(customers // 6, 10)}, 60, seed => 7, starts_at => '2026-01-01')")
        psql(database, "SELECT fraud.refresh_rollups()", "VACUUM ANALYZE", "CHECKPOINT")
        stored, size = psql(database, "SELECT count(*), (SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE relnamespace = 'fraud'::regnamespace AND relkind = 'r') "
                            "FROM fraud.transactions").split("|")
        cold = statements(database, 0.1)
        warm = statements(database, 0.2)
        subprocess.run(os.environ["RESTART"], shell=True, check=True, capture_output=True)
        psql(database, *["SELECT FROM fraud.assess('" + json.dumps({"card": "00000000-0000-8000-8000-000000000000", "trans_num": "w", "amt": 1, "merchant": "w"}) + "')"])
        _, read = touched(database, cold)
        hit, _ = touched(database, warm)
        print(f"| {int(stored):,} | {int(stored) / customers / 2:.0f} | {hit:.0f} | {read:.1f} | {int(size) / int(stored):.0f} |", flush=True)


if __name__ == "__main__":
    main()
