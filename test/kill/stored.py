"""What the database has: its public tables and views, read in one snapshot."""

import json

# In a crash's wake, after every kill: rows that contradict each other. No row may come back.
ORPHANS = {
    "payment without key": "SELECT t.transaction_id FROM fraud.transactions t WHERE NOT EXISTS (SELECT FROM fraud.payment_keys k"
                           " WHERE (k.card, k.transaction_id, k.occurred_at) = (t.card, t.transaction_id, t.occurred_at))",
    "key without payment": "SELECT k.transaction_id FROM fraud.payment_keys k WHERE NOT EXISTS (SELECT FROM fraud.transactions t"
                           " WHERE (k.card, k.transaction_id, k.occurred_at) = (t.card, t.transaction_id, t.occurred_at))",
    "payment twice": "SELECT t.transaction_id FROM fraud.transactions t GROUP BY t.card, t.transaction_id HAVING count(*) > 1",
    "payment without customer": "SELECT t.transaction_id FROM fraud.transactions t WHERE NOT EXISTS (SELECT FROM fraud.customers c WHERE c.card = t.card)",
    "payment decided without an alert": "SELECT t.transaction_id FROM fraud.transactions t WHERE t.decision <> 'approve' AND NOT EXISTS"
                                        " (SELECT FROM fraud.alerts a WHERE (a.card, a.transaction_id) = (t.card, t.transaction_id))",
    "alert without payment": "SELECT a.transaction_id FROM fraud.alerts a WHERE NOT EXISTS (SELECT FROM fraud.transactions t"
                             " WHERE (t.card, t.transaction_id, t.occurred_at, t.score, t.decision) = (a.card, a.transaction_id, a.occurred_at, a.score, a.decision))",
    "alert twice": "SELECT a.transaction_id FROM fraud.alerts a GROUP BY a.card, a.transaction_id HAVING count(*) > 1",
    "alert without case": "SELECT a.transaction_id FROM fraud.alerts a WHERE NOT EXISTS (SELECT FROM fraud.cases c WHERE (c.card, c.case_id) = (a.card, a.case_id))",
    "case without alert": "SELECT c.case_id::text FROM fraud.cases c WHERE NOT EXISTS (SELECT FROM fraud.alerts a WHERE (c.card, c.case_id) = (a.card, a.case_id))",
    "alert without message": "SELECT a.alert_id::text FROM fraud.alerts a WHERE NOT EXISTS (SELECT FROM fraud.outbox o"
                             " WHERE o.kind = 'alert' AND (o.payload ->> 'alert_id')::bigint = a.alert_id)",
    "message without alert": "SELECT o.outbox_id::text FROM fraud.outbox o WHERE o.kind = 'alert' AND NOT EXISTS (SELECT FROM fraud.alerts a"
                             " WHERE (o.payload ->> 'alert_id')::bigint = a.alert_id AND o.payload ->> 'transaction_id' = a.transaction_id)",
    "message of an alert twice": "SELECT o.payload ->> 'alert_id' FROM fraud.outbox o WHERE o.kind = 'alert' GROUP BY 1 HAVING count(*) > 1",
    "delivery of no message": "SELECT m.notification_id::text FROM fraud.notification_messages m WHERE NOT EXISTS (SELECT FROM fraud.outbox o WHERE o.outbox_id = m.outbox_id)",
    "addressed message without delivery": "SELECT o.outbox_id::text FROM fraud.outbox o WHERE o.kind = 'alert' AND o.dispatched_at IS NOT NULL AND NOT EXISTS"
                                          " (SELECT FROM fraud.notification_messages m WHERE m.outbox_id = o.outbox_id)",
    "label without payment": "SELECT l.transaction_id FROM fraud.labels l WHERE NOT EXISTS (SELECT FROM fraud.payment_keys k"
                             " WHERE (k.card, k.transaction_id) = (l.card, l.transaction_id))",
    "case decided without history": "SELECT c.case_id::text FROM fraud.cases c WHERE c.status = 'confirmed' AND NOT EXISTS"
                                    " (SELECT FROM fraud.case_history h WHERE (h.card, h.case_id, h.new_status) = (c.card, c.case_id, c.status))",
    "case confirmed without label": "SELECT a.transaction_id FROM fraud.cases c JOIN fraud.alerts a USING (card, case_id) WHERE c.status = 'confirmed' AND NOT EXISTS"
                                    " (SELECT FROM fraud.labels l WHERE (l.card, l.transaction_id, l.source) = (a.card, a.transaction_id, 'analyst') AND l.is_fraud)",
}

PLACES = ("SELECT json_build_array('inbox', transaction_id) FROM fraud.inbox"
          " UNION ALL SELECT json_build_array('stored', transaction_id) FROM fraud.transactions"
          " UNION ALL SELECT json_build_array('dead letter', transaction_id) FROM fraud.ingest_errors WHERE transaction_id IS NOT NULL")

TABLES = {
    # xact: the payment's own transaction, whose commits are in order for one card, because
    # each locks the customer's row.
    "transactions": "SELECT t.card, t.transaction_id AS id, (extract(epoch FROM t.occurred_at) * 1000000)::bigint AS at, (t.amount * 100)::bigint AS cents,"
                    " t.merchant, t.category, t.merchant_latitude, t.merchant_longitude, t.home_latitude, t.home_longitude, t.city_population, t.age,"
                    " t.source, t.score, t.decision, t.features, t.is_fraud, fraud_score(t) AS score_of_vector, k.xmin::text AS xact,"
                    " extract(epoch FROM pg_xact_commit_timestamp(k.xmin)) AS committed"
                    " FROM fraud.transactions t JOIN fraud.payment_keys k USING (card, transaction_id)",
    "inbox": "SELECT transaction_id AS id FROM fraud.inbox",
    "held": "SELECT card, reason FROM fraud.held_customers",
    "dead_letters": "SELECT transaction_id AS id, source, reason, occurrences FROM fraud.ingest_errors",
    "customers": "SELECT card, last_four, (extract(epoch FROM first_payment_at) * 1000000)::bigint AS first,"
                 " (extract(epoch FROM last_payment_at) * 1000000)::bigint AS last FROM fraud.customers",
    "merchants": "SELECT merchant FROM fraud.merchants",
    "alerts": "SELECT alert_id, case_id, card, transaction_id AS id, score, decision FROM fraud.alerts",
    "cases": "SELECT case_id, status FROM fraud.cases",
    "history": "SELECT case_id, new_status FROM fraud.case_history",
    "labels": "SELECT transaction_id AS id, source, is_fraud FROM fraud.labels",
    "messages": "SELECT o.outbox_id, o.payload FROM fraud.outbox o WHERE o.kind = 'alert'",
    "deliveries": "SELECT n.channel, n.idempotency_key AS key, n.state, n.digest, array_agg(m.outbox_id ORDER BY m.outbox_id) AS messages"
                  " FROM fraud.notifications n JOIN fraud.notification_messages m USING (notification_id) GROUP BY n.notification_id",
    "days": "SELECT day::text, payments, volume * 100 AS cents, customers, alerts, alerted_volume * 100 AS alerted_cents, approved, reviewed, blocked,"
            " labelled_fraud, labelled_fraud_alerted FROM fraud.daily_report",
    "hours": "SELECT extract(epoch FROM hour)::bigint AS hour, payments, volume * 100 AS cents, alerts, labelled_fraud FROM fraud.hourly_activity",
    "current_labels": "SELECT transaction_id AS id, is_fraud FROM fraud.current_labels",
    "sources": "SELECT name, stored FROM fraud.source_status",
    "names": "SELECT n FROM unnest(fraud.payment_features()) WITH ORDINALITY f(n, i) ORDER BY i",
    "thresholds": "SELECT review_at, block_at FROM fraud.model_aliases WHERE model = 'payments' AND alias = 'champion'",
    "orphans": " UNION ALL ".join(f"(SELECT '{what}' AS what, x.id FROM ({query}) x(id) LIMIT 5)" for what, query in ORPHANS.items()),
}


# Nothing has statistics yet: a plan that takes tables for empty would compare each row with each.
BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL jit = off; SET LOCAL enable_nestloop = off"


def read(server, names=None):
    """Returns the tables as lists of dicts, all of one snapshot."""
    statements = [BEGIN]
    wanted = names or list(TABLES)
    for name in wanted:
        statements += [f"SELECT '== {name}'", f"SELECT row_to_json(r) FROM ({TABLES[name]}) r"]
    tables, rows = {}, None
    for line in server.session(*statements).splitlines():
        if line.startswith("== "):
            rows = tables[line[3:]] = []
        else:
            rows.append(json.loads(line))
    return tables


def places(server):
    """Where each payment is, and what contradicts itself, in one snapshot."""
    text = server.session(BEGIN, TABLES["orphans"], "SELECT '=='", PLACES)
    orphans, _, found = text.partition("==\n")
    where = {"inbox": [], "stored": [], "dead letter": []}
    for line in found.splitlines():
        place, payment = json.loads(line)
        where[place].append(payment)
    return orphans.splitlines(), where
