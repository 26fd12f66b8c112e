-- What was received and waits to be scored. The ingest worker writes it, in the commit
-- that ends a poll; scorers take a payment out in the commit that stores it.
CREATE TABLE fraud.inbox (
    inbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shard smallint NOT NULL,
    card uuid NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    source text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    payment text NOT NULL,
    content_hash bigint,
    number_hashes uuid[] NOT NULL DEFAULT '{}'
);
-- The number is not a column of these two: what is asked for by number alone would seem to be
-- found as quickly in all of such an index, where the table was empty when it was vacuumed last.
CREATE INDEX inbox_card_idx ON fraud.inbox (card, (inbox_id + 0));
-- What a poll repeats is looked for here, also where thousands of one customer wait.
CREATE INDEX inbox_source_idx ON fraud.inbox (source, (inbox_id + 0));
CREATE INDEX inbox_transaction_idx ON fraud.inbox (transaction_id, card);
COMMENT ON TABLE fraud.inbox IS
    'payments that were received and wait to be scored; at every moment a payment is here, in fraud.transactions or in fraud.ingest_errors';
COMMENT ON COLUMN fraud.inbox.inbox_id IS 'in order of receipt, which is kept for each customer';
COMMENT ON COLUMN fraud.inbox.shard IS 'of the customer, 0 to 63: each belongs to one scorer';
COMMENT ON COLUMN fraud.inbox.payment IS 'the payment as JSON, the card in place of its number';
COMMENT ON COLUMN fraud.inbox.content_hash IS 'of amount and merchant, as in fraud.payment_keys; null: not known';
COMMENT ON COLUMN fraud.inbox.number_hashes IS
    'key ids and hashes of the card number, in turns, that fraud.customer_ids is to have when the payment is stored';

-- Customers whose payments cannot be stored just now. Workers alone write it, so that no
-- person's transaction can hold a row of it.
CREATE TABLE fraud.held_customers (
    card uuid PRIMARY KEY,
    held_since timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_try_at timestamptz NOT NULL,
    attempts int NOT NULL DEFAULT 1,
    reason text NOT NULL,
    blocking_pid int,
    month timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE fraud.held_customers IS
    'customers whose payments wait in fraud.inbox because something is in their way; those of all others go on';
COMMENT ON COLUMN fraud.held_customers.attempts IS 'how often their next payment was tried';
COMMENT ON COLUMN fraud.held_customers.blocking_pid IS 'the session that is in the way, where it could be told: pg_stat_activity says what it does';
COMMENT ON COLUMN fraud.held_customers.month IS 'the month (its beginning, UTC) whose partition their next payment waits for; the ingest worker makes it';

-- By the file: whoever looks for a row passes all of a large load that has not committed, again and again.
CREATE FUNCTION fraud._takes_payments() RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT pg_relation_size('fraud.payment_keys') > 0 OR EXISTS (SELECT FROM fraud.sources);
END;
COMMENT ON FUNCTION fraud._takes_payments() IS 'internal: whether payments are, or were, stored, or there are sources that they may come of';

-- The months that payments of sources may be of, from now on: the present one first, then
-- those that payments wait for. In a database that takes none there are none: while a dump is
-- restored, its own partitions come first. Farther back than ten years they are made when a
-- payment is there that waits for one.
CREATE FUNCTION fraud._missing_months(max_age interval) RETURNS SETOF timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
BEGIN ATOMIC
    SELECT w.month
    FROM (
        SELECT m AS month
        FROM generate_series(date_trunc('month', now() - least(max_age, interval '10 years')),
                             date_trunc('month', now()) + interval '2 months', interval '1 month') m
        WHERE fraud._takes_payments()
          AND NOT fraud._is_past_retention(m)
        UNION
        SELECT h.month FROM fraud.held_customers h WHERE h.month IS NOT NULL
    ) w
    WHERE to_regclass(format('fraud.transactions_%s', to_char(w.month, 'YYYY_MM'))) IS NULL
    ORDER BY w.month <> date_trunc('month', now()), NOT EXISTS (SELECT FROM fraud.held_customers h WHERE h.month = w.month),
             abs(extract(epoch FROM w.month - now()));
END;
COMMENT ON FUNCTION fraud._missing_months(interval) IS
    'internal: months without a partition that payments may come of, in the order in which the ingest worker makes them';

-- What each worker counts for itself: a row that several wrote would make them wait for each other.
CREATE TABLE fraud.source_counts (
    source text NOT NULL,
    writer smallint NOT NULL,
    stored bigint NOT NULL DEFAULT 0,
    duplicates bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    differing bigint NOT NULL DEFAULT 0,
    received bigint NOT NULL DEFAULT 0,
    newest_payment_at timestamptz,
    PRIMARY KEY (source, writer)
) WITH (fillfactor = 50);
COMMENT ON TABLE fraud.source_counts IS 'payments of each source by worker, for fraud.source_status';
COMMENT ON COLUMN fraud.source_counts.writer IS 'below -1: a session that sends dead letters again, -1: the ingest worker, 0 and more: a scorer';
COMMENT ON COLUMN fraud.source_counts.differing IS 'of those rejected, payments that are known with another amount or merchant';
COMMENT ON COLUMN fraud.source_counts.received IS 'put into fraud.inbox; what scorers have counted is out of it again';

-- What sources send beside the fields that have a name: counted where payments are received, by
-- the ingest worker alone. Of values the shape is kept: they are a customer's.
CREATE TABLE fraud.source_field_counts (
    source text NOT NULL,
    name text NOT NULL,
    type text NOT NULL,
    payments bigint NOT NULL,
    example text,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, name, type)
) WITH (fillfactor = 50);
COMMENT ON TABLE fraud.source_field_counts IS 'the ingest worker''s counts of what payments hold beside the fields with a name; read fraud.source_fields';

CREATE VIEW fraud.source_fields WITH (security_barrier) AS
    SELECT f.source, f.name, f.type, f.payments, round(least(f.payments / nullif(s.received, 0), 1), 4) AS share, f.example,
           f.first_seen_at, f.last_seen_at
    FROM fraud.source_field_counts f
    LEFT JOIN (SELECT c.source, sum(c.received) AS received FROM fraud.source_counts c GROUP BY c.source) s ON s.source = f.source
    UNION ALL
    -- Sessions that counted would wait for each other: of what they store the newest is looked at. The shape is as
    -- where counts are made (src/pg/payments/inbox.cpp).
    SELECT t.source, left(k.key, 200), jsonb_typeof(k.value), count(*), round(count(*)::numeric / t.payments, 4),
           min(CASE WHEN jsonb_typeof(k.value) = 'object'
                    THEN left((SELECT string_agg(o, ', ' ORDER BY o) FROM jsonb_object_keys(k.value) o), 100)
                    ELSE regexp_replace(regexp_replace(regexp_replace(left(k.value #>> '{}', 100), '[[:digit:]]', '9', 'g'),
                         '[[:upper:]]', 'X', 'g'), '[[:lower:]]', 'x', 'g') END),
           min(t.received_at), max(t.received_at)
    FROM (SELECT n.source, n.attributes, n.received_at, count(*) OVER (PARTITION BY n.source) AS payments
          FROM (SELECT p.source, p.attributes, p.received_at FROM fraud.transactions p ORDER BY p.occurred_at DESC LIMIT 10000) n
          WHERE NOT EXISTS (SELECT FROM fraud.source_counts c WHERE c.source = n.source)) t
    CROSS JOIN LATERAL jsonb_each(t.attributes) k
    WHERE jsonb_typeof(t.attributes) = 'object'
    GROUP BY t.source, t.payments, left(k.key, 200), jsonb_typeof(k.value);
COMMENT ON VIEW fraud.source_fields IS
    'fields of each source that have no name here and are kept as attributes: fraud.add_payment_field makes a column of one. Of a source that is polled all payments that were received count; of fraud.ingest (source sql, unless it says another) and of histories those among the newest 10,000 payments';
COMMENT ON COLUMN fraud.source_fields.type IS 'as jsonb_typeof says; a field of several types has several rows';
COMMENT ON COLUMN fraud.source_fields.payments IS 'payments received with it, each once';
COMMENT ON COLUMN fraud.source_fields.share IS 'of the payments received from the source, 0 to 1';
COMMENT ON COLUMN fraud.source_fields.example IS 'a value''s shape: 9 for each digit, x and X for each letter; of an object the names of its fields';

-- Counted and not looked for: a source is not polled while too many of its payments wait, and
-- the inbox can be long. Both sides are counted in the commits that put payments in and take
-- them out, so the difference is exact at every snapshot.
CREATE VIEW fraud._source_sums AS
    SELECT k.source, sum(k.stored)::bigint AS stored, sum(k.duplicates)::bigint AS duplicates,
           sum(k.rejected)::bigint AS rejected, sum(k.differing)::bigint AS differing,
           greatest(sum(k.received - CASE WHEN k.writer >= 0 THEN k.stored + k.duplicates + k.rejected ELSE 0 END), 0)::bigint AS waiting,
           max(k.newest_payment_at) AS newest_payment_at
    FROM fraud.source_counts k GROUP BY k.source;
COMMENT ON VIEW fraud._source_sums IS 'internal: what all workers have counted of each source, and how many of its payments wait to be scored';

-- Merchants that scorers have seen first. Their rows are made a moment later, apart: two
-- that make the row of one merchant wait for each other, and one of them may be a person.
CREATE TABLE fraud.merchant_queue (
    merchant_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant text NOT NULL,
    category text,
    first_payment_at timestamptz NOT NULL
);
COMMENT ON TABLE fraud.merchant_queue IS 'internal: merchants whose row in fraud.merchants is yet to be made';

-- Wishes for a poll at once: rows that only the ingest worker takes out.
CREATE TABLE fraud.poll_requests (
    request_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL
);
COMMENT ON TABLE fraud.poll_requests IS 'internal: what fraud.poll_now asked for';

CREATE VIEW fraud.inbox_status WITH (security_barrier) AS
    SELECT i.source, count(*) AS waiting, min(i.received_at) AS oldest_received_at,
           count(h.card) AS held, min(h.held_since) AS held_since,
           array_agg(DISTINCT h.blocking_pid) FILTER (WHERE h.blocking_pid IS NOT NULL) AS blocking_pids
    FROM fraud.inbox i
    LEFT JOIN fraud.held_customers h ON h.card = i.card
    GROUP BY i.source;
COMMENT ON VIEW fraud.inbox_status IS 'payments that were received and wait to be scored, by source; none when all are scored';
COMMENT ON COLUMN fraud.inbox_status.held IS 'of those, payments of customers that are held (fraud.held_customers)';
COMMENT ON COLUMN fraud.inbox_status.blocking_pids IS 'the sessions that are in the way, where they could be told';
