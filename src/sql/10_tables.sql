-- -------------------------------------------------------- ids of payments
-- The key under which ids that hold a card number are replaced. It is never changed:
-- such an id must be found again for as long as its payment is stored.
CREATE TABLE fraud.id_keys (
    key_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    key bytea NOT NULL CHECK (octet_length(key) >= 32),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE fraud.id_keys IS
    'secret: the HMAC key that replaces ids of payments that hold a card number; the oldest row is in use, and must stay. Readable by its owner alone';
COMMENT ON COLUMN fraud.id_keys.key IS 'at least 32 random bytes';

INSERT INTO fraud.id_keys (key)
VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));

-- ------------------------------------------------- customers, merchants
-- The fill factor leaves room for heap-only updates: each payment updates its
-- customer's row, which is also the lock that orders the payments of one card.
CREATE TABLE fraud.customers (
    card uuid PRIMARY KEY,
    last_four text CHECK (last_four ~ '^[0-9]{4}$'),
    first_name text,
    last_name text,
    gender text,
    street text,
    city text,
    state text,
    zip text,
    latitude float8,
    longitude float8,
    city_population bigint,
    job text,
    date_of_birth date,
    first_payment_at timestamptz NOT NULL,
    last_payment_at timestamptz NOT NULL,
    erased_at timestamptz,
    customer_kind text,
    customer_id text
) WITH (fillfactor = 80);
-- People look for a card by its last digits (fraud.find_payments); an update of the row changes none of them.
CREATE INDEX customers_last_four_idx ON fraud.customers (last_four);
CREATE INDEX customers_erased_at_idx ON fraud.customers (erased_at) WHERE erased_at IS NOT NULL;
COMMENT ON TABLE fraud.customers IS 'one row a customer (a card, or who else pays), as of the latest payment';
COMMENT ON COLUMN fraud.customers.card IS
    'the customer''s id, which never changes: HMAC-SHA256 of the card number (or "iban:" and the IBAN) under the key that was in use when it first came, as a UUID (version 8); numbers find it through fraud.customer_ids. Of an id that is no secret the HMAC of its kind and the id under the key in fraud.id_keys';
COMMENT ON COLUMN fraud.customers.last_four IS 'last four digits of the card number; null where a caller named the card by its uuid alone';
COMMENT ON COLUMN fraud.customers.customer_kind IS 'what names the customer, such as iban, token, wallet or account; null: a card number';
COMMENT ON COLUMN fraud.customers.customer_id IS 'the id itself, of kinds that are no secret; null of cards and IBANs';
COMMENT ON COLUMN fraud.customers.latitude IS 'of the home, degrees';
COMMENT ON COLUMN fraud.customers.longitude IS 'of the home, degrees';
COMMENT ON COLUMN fraud.customers.city_population IS 'inhabitants of the home city';
COMMENT ON COLUMN fraud.customers.first_payment_at IS 'time of the earliest payment stored';
COMMENT ON COLUMN fraud.customers.last_payment_at IS 'time of the latest payment stored';
COMMENT ON COLUMN fraud.customers.erased_at IS 'when fraud.erase_customer removed what identifies the customer, last';

CREATE TABLE fraud.merchants (
    merchant text PRIMARY KEY,
    category text,
    first_payment_at timestamptz NOT NULL
);
COMMENT ON TABLE fraud.merchants IS 'one row a merchant name';
COMMENT ON COLUMN fraud.merchants.category IS 'category of the first payment seen';
COMMENT ON COLUMN fraud.merchants.first_payment_at IS 'time of the first payment seen';

-- ---------------------------------------------------------- payments
-- A payment's identity, apart from the partitioned table because the same
-- payment can come again with another time. Every unique key here starts from or
-- contains the card, so that all can be distributed by it.
CREATE TABLE fraud.payment_keys (
    transaction_id text COLLATE "C" NOT NULL,
    card uuid NOT NULL,
    occurred_at timestamptz NOT NULL,
    content_hash bigint,
    PRIMARY KEY (transaction_id, card)
);
COMMENT ON TABLE fraud.payment_keys IS
    'which payments are stored, or were before retention took them (known for fraud_detect.key_retention), and at what time: a payment is stored once, whatever time it comes with again';
COMMENT ON COLUMN fraud.payment_keys.content_hash IS
    'CRC-32C of the amount (upper half) and of the merchant: a payment of this id with others is no repetition. Null: not known, compares to nothing';

-- Primary key and index are made with each partition, not here: a dump makes the
-- partitions with theirs and then attaches them, which fails where the parent,
-- made by CREATE EXTENSION, has handed down its own already.
CREATE TABLE fraud.transactions (
    card uuid NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    amount numeric NOT NULL,
    merchant text NOT NULL,
    category text,
    merchant_latitude float8,
    merchant_longitude float8,
    home_latitude float8,
    home_longitude float8,
    city_population bigint,
    age float4,
    source text NOT NULL,
    model text,
    model_version int,
    score float8,
    decision text CHECK (decision IN ('approve', 'review', 'block')),
    features float4[] NOT NULL,
    is_fraud boolean,
    label_known_at timestamptz,
    label_changes timestamptz[],
    currency text COLLATE "C" NOT NULL,
    base_amount numeric NOT NULL,
    attributes jsonb
) PARTITION BY RANGE (occurred_at);
COMMENT ON TABLE fraud.transactions IS 'payments, by month of occurred_at (UTC)';
COMMENT ON COLUMN fraud.transactions.card IS 'the customer: fraud.customers.card';
COMMENT ON COLUMN fraud.transactions.transaction_id IS 'the payment''s own id, unique for its card';
COMMENT ON COLUMN fraud.transactions.occurred_at IS 'the payment''s own time';
COMMENT ON COLUMN fraud.transactions.received_at IS 'when it was stored (start of that transaction)';
COMMENT ON COLUMN fraud.transactions.amount IS 'as paid, in its currency, with the decimals of that';
COMMENT ON COLUMN fraud.transactions.currency IS 'ISO 4217; fraud_detect.base_currency where the payment named none';
COMMENT ON COLUMN fraud.transactions.base_amount IS
    'the amount in fraud_detect.base_currency, by the rate (fraud.currency_rates) as of the payment''s time that was known when it was stored: later rates change nothing';
COMMENT ON COLUMN fraud.transactions.attributes IS
    'the payment''s fields that have no column, without what must not be kept, card numbers masked; null where there are none';
COMMENT ON COLUMN fraud.transactions.home_latitude IS 'of the customer''s home as the payment said, degrees';
COMMENT ON COLUMN fraud.transactions.home_longitude IS 'of the customer''s home as the payment said, degrees';
COMMENT ON COLUMN fraud.transactions.city_population IS 'inhabitants of the home city as the payment said';
COMMENT ON COLUMN fraud.transactions.age IS 'the customer''s age at the payment, years';
COMMENT ON COLUMN fraud.transactions.source IS 'a fraud.sources name, or sql, history, simulation, or what fraud.ingest was told';
COMMENT ON COLUMN fraud.transactions.model IS 'the model that gave the score';
COMMENT ON COLUMN fraud.transactions.model_version IS 'the version of it, the champion at that moment';
COMMENT ON COLUMN fraud.transactions.score IS 'probability of fraud, 0 to 1';
COMMENT ON COLUMN fraud.transactions.decision IS 'approve, review or block; null for history, on which nobody decided';
COMMENT ON COLUMN fraud.transactions.is_fraud IS 'what the payment''s labels (fraud.labels) come to; null: nobody has said';
COMMENT ON COLUMN fraud.transactions.label_known_at IS 'since when they come to that';
COMMENT ON COLUMN fraud.transactions.label_changes IS
    'of the few that were not always thought of alike: when it was known to be fraud, no more, again, and so on';
COMMENT ON COLUMN fraud.transactions.features IS
    'the feature vector that was scored, each feature at its place in fraud.payment_features(); NaN is missing';

-- ------------------------------------------------- cases, alerts, labels
-- What an analyst works on: the alerts of one card that came close together. What they sum
-- up to is not kept here but told by the view fraud.cases, save the priority, by which cases
-- are taken in order. An alert waits for no row that an analyst's transaction may hold: it
-- takes its case FOR NO KEY UPDATE, passing over one that is locked, and adds to the priority;
-- who decides a case takes it FOR UPDATE (fraud._lock_matters).
CREATE TABLE fraud.case_states (
    case_id bigint GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME fraud.cases_case_id_seq),
    card uuid NOT NULL,
    status text NOT NULL DEFAULT 'open'
        CHECK (status IN ('open', 'acknowledged', 'confirmed', 'dismissed', 'closed', 'merged')),
    status_at timestamptz NOT NULL DEFAULT now(),
    status_by name,
    opened_at timestamptz NOT NULL DEFAULT now(),
    priority float8 NOT NULL DEFAULT 0,
    due_at timestamptz DEFAULT now()
        + nullif(coalesce(nullif(current_setting('fraud_detect.case_due', true), ''), '1d')::interval, interval '0'),
    assignee name,
    assigned_at timestamptz,
    merged_into bigint,
    alerts int NOT NULL DEFAULT 0,
    decision text,
    last_alert_at timestamptz,
    PRIMARY KEY (card, case_id),
    CHECK ((status = 'merged') = (merged_into IS NOT NULL)),
    CHECK ((assignee IS NULL) = (assigned_at IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX case_states_case_id_idx ON fraud.case_states (case_id);
CREATE INDEX case_states_opened_at_idx ON fraud.case_states (opened_at);
CREATE INDEX case_states_unresolved_idx ON fraud.case_states (card, case_id) WHERE status IN ('open', 'acknowledged');
-- The order in which cases are worked: fraud.case_queue, fraud.take_case.
CREATE INDEX case_states_queue_idx ON fraud.case_states (priority DESC, case_id) WHERE status IN ('open', 'acknowledged');
CREATE INDEX case_states_assignee_idx ON fraud.case_states (assignee, priority DESC) WHERE status IN ('open', 'acknowledged') AND assignee IS NOT NULL;
COMMENT ON TABLE fraud.case_states IS 'how each case stands; read fraud.cases, which sums up its alerts too';
COMMENT ON COLUMN fraud.case_states.status IS 'open, acknowledged, confirmed (fraud), dismissed, closed (decided of nothing: fraud.close_flood) or merged (its alerts are another case''s); changed by fraud.acknowledge_case and its like';
COMMENT ON COLUMN fraud.case_states.status_by IS 'who set the status; null while nobody has looked';
COMMENT ON COLUMN fraud.case_states.priority IS
    'sum of score × payment_amount of its alerts: the loss to be expected, in fraud_detect.base_currency; the greatest is worked first';
COMMENT ON COLUMN fraud.case_states.due_at IS 'until when it should be decided: fraud_detect.case_due after it was opened, or reopened; null: no time';
COMMENT ON COLUMN fraud.case_states.assignee IS 'the role that works on it, or did; null: nobody';
COMMENT ON COLUMN fraud.case_states.merged_into IS 'of a merged case: the case that has its alerts now';
COMMENT ON COLUMN fraud.case_states.alerts IS 'number of its alerts: kept here, so that one that joins a thousand costs what the second does; of a merged case, those it had';
COMMENT ON COLUMN fraud.case_states.decision IS 'the severest of its alerts; of a merged case, of those it had';
COMMENT ON COLUMN fraud.case_states.last_alert_at IS 'when its latest alert was raised: another joins within fraud_detect.alert_window; of a merged case, of those it had';

CREATE TABLE fraud.case_history (
    event_id bigint GENERATED ALWAYS AS IDENTITY,
    card uuid NOT NULL,
    case_id bigint NOT NULL,
    action text NOT NULL CHECK (action IN (
        'acknowledge', 'assign', 'close', 'confirm', 'decide', 'dismiss', 'merge', 'note', 'release', 'reopen', 'take')),
    old_status text NOT NULL,
    new_status text NOT NULL,
    assignee name,
    other_case bigint,
    note text,
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by name NOT NULL DEFAULT fraud._caller(),
    PRIMARY KEY (card, event_id)
);
CREATE INDEX case_history_case_id_idx ON fraud.case_history (case_id);
COMMENT ON TABLE fraud.case_history IS 'who did what to a case, when and why; rows are only added, and removed only with their case, by fraud.purge_records()';
COMMENT ON COLUMN fraud.case_history.action IS 'what was done: the function''s verb';
COMMENT ON COLUMN fraud.case_history.old_status IS 'the status before; the same as new_status where only a note was added, or somebody else works on it';
COMMENT ON COLUMN fraud.case_history.assignee IS 'who works on it since then; null: nobody';
COMMENT ON COLUMN fraud.case_history.other_case IS 'of a merge: the other case';
COMMENT ON COLUMN fraud.case_history.note IS 'free text; card numbers in it are masked';

CREATE TABLE fraud.alerts (
    alert_id bigint GENERATED ALWAYS AS IDENTITY,
    card uuid NOT NULL,
    case_id bigint NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    raised_at timestamptz NOT NULL DEFAULT now(),
    score float8 NOT NULL,
    decision text NOT NULL CHECK (decision IN ('review', 'block')),
    model text NOT NULL,
    model_version int NOT NULL,
    reasons text[] NOT NULL,
    payment_amount numeric NOT NULL,
    rules text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (card, alert_id),
    UNIQUE (card, transaction_id)
);
CREATE INDEX alerts_alert_id_idx ON fraud.alerts (alert_id);
CREATE INDEX alerts_raised_at_idx ON fraud.alerts (raised_at);
CREATE INDEX alerts_case_idx ON fraud.alerts (case_id, card);
COMMENT ON TABLE fraud.alerts IS 'one row a payment that was decided review or block; rows are only added, and removed only by fraud.purge_records() past fraud_detect.record_retention';
COMMENT ON COLUMN fraud.alerts.case_id IS 'the case that it belongs to: fraud.cases says how that stands';
COMMENT ON COLUMN fraud.alerts.occurred_at IS 'the payment''s own time';
COMMENT ON COLUMN fraud.alerts.raised_at IS 'when the alert was raised: the commit''s transaction start';
COMMENT ON COLUMN fraud.alerts.reasons IS 'what spoke for fraud, in words: rules, then what did most for the score';
COMMENT ON COLUMN fraud.alerts.rules IS 'enforced rules that matched, in order of their priority; fraud.rule_matches has all that did';
COMMENT ON COLUMN fraud.alerts.payment_amount IS 'the payment''s base_amount, which fraud.cases sums up when retention has dropped the payment, too';

-- Each sum by itself: one that is not asked for costs nothing. No row is left out, so it
-- need be no security barrier, and joins to it find their rows by key.
CREATE VIEW fraud.cases AS
    SELECT c.case_id, c.card, c.status, c.status_at, c.status_by,
           CASE WHEN c.merged_into IS NULL THEN c.alerts ELSE 0 END AS alerts,
           CASE WHEN c.merged_into IS NULL THEN c.decision END AS decision,
           (SELECT max(a.score) FROM (SELECT c.card, c.case_id) k JOIN fraud.alerts a USING (card, case_id)) AS max_score,
           (SELECT sum(a.payment_amount) FROM (SELECT c.card, c.case_id) k JOIN fraud.alerts a USING (card, case_id)) AS amount,
           c.opened_at,
           CASE WHEN c.merged_into IS NULL THEN c.last_alert_at END AS last_alert_at,
           c.priority, c.due_at, c.assignee, c.assigned_at, c.merged_into
    FROM fraud.case_states c;
COMMENT ON VIEW fraud.cases IS
    'the alerts of one card that came within fraud_detect.alert_window of each other, as one matter for an analyst';
COMMENT ON COLUMN fraud.cases.status IS 'open, acknowledged, confirmed (fraud), dismissed, closed (decided of nothing: fraud.close_flood) or merged (its alerts are another case''s); changed by fraud.acknowledge_case and its like';
COMMENT ON COLUMN fraud.cases.status_by IS 'who set the status; null while nobody has looked';
COMMENT ON COLUMN fraud.cases.alerts IS 'number of alerts';
COMMENT ON COLUMN fraud.cases.decision IS 'the severest of its alerts';
COMMENT ON COLUMN fraud.cases.max_score IS 'the highest of its alerts';
COMMENT ON COLUMN fraud.cases.amount IS 'sum of the alerted payments, in fraud_detect.base_currency';
COMMENT ON COLUMN fraud.cases.last_alert_at IS 'when its latest alert was raised';
COMMENT ON COLUMN fraud.cases.priority IS
    'sum of score × payment_amount of its alerts: the loss to be expected, in fraud_detect.base_currency';
COMMENT ON COLUMN fraud.cases.due_at IS 'until when it should be decided (fraud_detect.case_due); null: no time';
COMMENT ON COLUMN fraud.cases.assignee IS 'the role that works on it, or did; null: nobody';
COMMENT ON COLUMN fraud.cases.merged_into IS 'of a merged case: the case that has its alerts now';

CREATE TABLE fraud.labels (
    label_id bigint GENERATED ALWAYS AS IDENTITY,
    card uuid NOT NULL,
    transaction_id text COLLATE "C" NOT NULL,
    is_fraud boolean,
    source text NOT NULL,
    known_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    recorded_by name NOT NULL DEFAULT fraud._caller(),
    overrules bigint[],
    PRIMARY KEY (card, label_id)
);
CREATE INDEX labels_transaction_idx ON fraud.labels (transaction_id, card);
CREATE INDEX labels_known_at_idx ON fraud.labels (known_at);
COMMENT ON TABLE fraud.labels IS
    'what was said of payments, by whom and since when known; rows are only added, and removed only by fraud.purge_records() past fraud_detect.record_retention. fraud.current_labels has what counts of it';
COMMENT ON COLUMN fraud.labels.is_fraud IS 'null: what this source said before is taken back';
COMMENT ON COLUMN fraud.labels.source IS 'who says so: payload, history, simulation, chargeback, analyst, …; a chargeback goes before all others, an analyst after';
COMMENT ON COLUMN fraud.labels.known_at IS 'when we learned it: before that moment it does not count';
COMMENT ON COLUMN fraud.labels.overrules IS 'of an analyst''s: labels of others that it sets aside (label_id), as he was asked to say';

-- --------------------------------------------------------------- messages
CREATE TABLE fraud.outbox (
    outbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('alert', 'report', 'health', 'test')),
    payload jsonb NOT NULL CHECK (jsonb_typeof(payload) = 'object'),
    subject text,
    body_text text,
    body_html text,
    channel text,
    created_at timestamptz NOT NULL DEFAULT now(),
    dispatched_at timestamptz,
    notified_at timestamptz
);
CREATE INDEX outbox_unheard_idx ON fraud.outbox (outbox_id) WHERE kind = 'alert' AND notified_at IS NULL;
CREATE INDEX outbox_undispatched_idx ON fraud.outbox (outbox_id) WHERE dispatched_at IS NULL;
CREATE INDEX outbox_dispatched_at_idx ON fraud.outbox (dispatched_at) WHERE dispatched_at IS NOT NULL;
COMMENT ON TABLE fraud.outbox IS
    'messages to be delivered, written in the transaction of what they tell; none holds a card number';
COMMENT ON COLUMN fraud.outbox.kind IS 'alert, report, health or test';
COMMENT ON COLUMN fraud.outbox.payload IS 'what a webhook gets as data; of an alert also what conditions and templates see';
COMMENT ON COLUMN fraud.outbox.subject IS 'of the mail; null: made from the payload';
COMMENT ON COLUMN fraud.outbox.body_text IS 'plain text of the mail; null: made from the payload';
COMMENT ON COLUMN fraud.outbox.body_html IS 'HTML page of the mail; null: made from the payload';
COMMENT ON COLUMN fraud.outbox.channel IS 'the one channel that it is for; null: all that take its kind';
COMMENT ON COLUMN fraud.outbox.dispatched_at IS 'when it was addressed to the channels that take it (fraud.notifications)';
COMMENT ON COLUMN fraud.outbox.notified_at IS 'of an alert: when NOTIFY fraud_alerts was sent for it';

-- ----------------------------------------------------- sources, errors
CREATE TABLE fraud.sources (
    name text PRIMARY KEY CHECK (name ~ '^[A-Za-z0-9_.-]{1,63}$'),
    url text NOT NULL,
    format text NOT NULL CHECK (format IN ('auto', 'split', 'records', 'ndjson', 'csv')),
    poll_interval interval NOT NULL,
    headers jsonb NOT NULL,
    max_poll_payments int,
    max_waiting_payments int,
    mapping jsonb,
    request jsonb,
    secrets jsonb NOT NULL DEFAULT '{}',
    asked_anew_at timestamptz NOT NULL DEFAULT now(),
    paused boolean NOT NULL DEFAULT false,
    url_by name NOT NULL DEFAULT fraud._caller(),
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by name NOT NULL DEFAULT fraud._caller()
);
COMMENT ON TABLE fraud.sources IS
    'payment APIs that the ingest worker polls; url, headers, request and secrets are readable by the owner alone';
COMMENT ON COLUMN fraud.sources.poll_interval IS 'time from one poll''s start to the next''s';
COMMENT ON COLUMN fraud.sources.headers IS 'secret: request headers, a JSON object of texts';
COMMENT ON COLUMN fraud.sources.max_poll_payments IS 'in place of fraud_detect.max_poll_payments; null: that';
COMMENT ON COLUMN fraud.sources.max_waiting_payments IS 'in place of fraud_detect.max_waiting_payments; null: that';
COMMENT ON COLUMN fraud.sources.mapping IS 'how the API''s payments become ours (docs/sources.md); null: they have our names';
COMMENT ON COLUMN fraud.sources.request IS 'how it is asked beyond the URL: method, query, body, paging, sign-on (docs/requests.md); null: one GET';
COMMENT ON COLUMN fraud.sources.secrets IS 'secret: what the request''s sign-on needs, a JSON object of texts';
COMMENT ON COLUMN fraud.sources.asked_anew_at IS 'since when its place in fraud.source_positions counts: fraud.alter_source(reset => ''{position}'') begins anew';
COMMENT ON COLUMN fraud.sources.url_by IS 'who gave the URL: card numbers that come from there count for this role';

-- Apart from fraud.sources: it changes at each poll, and a dump must not carry it. The
-- ingest worker alone writes it, so that no person's transaction can hold a row.
CREATE TABLE fraud.source_state (
    name text PRIMARY KEY,
    next_poll_at timestamptz NOT NULL DEFAULT now(),
    polling_since timestamptz,
    behind_since timestamptz,
    rejecting_since timestamptz,
    last_poll_at timestamptz,
    last_success_at timestamptz,
    last_status int,
    last_error text,
    last_error_at timestamptz,
    consecutive_failures int NOT NULL DEFAULT 0,
    polls bigint NOT NULL DEFAULT 0,
    failures bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
COMMENT ON TABLE fraud.source_state IS 'the ingest worker''s notes on each source; read fraud.source_status';

-- Not in a dump: a copy that CREATE DATABASE … TEMPLATE makes has all rows, and another id.
CREATE TABLE fraud.home (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    database oid NOT NULL
);
COMMENT ON TABLE fraud.home IS 'internal: the database in which sources are polled and channels told; in another one, a copy of it, they are restored';
INSERT INTO fraud.home (database) SELECT d.oid FROM pg_database d WHERE d.datname = current_database();

-- In a dump: a copy that is polled one day goes on where the payments in it end. The ingest
-- worker alone writes it, in the commits that keep payments.
CREATE TABLE fraud.source_positions (
    name text PRIMARY KEY,
    anew_at timestamptz NOT NULL,
    asked text NOT NULL,
    position text,
    walk_at timestamptz,
    since timestamptz,
    seen_at timestamptz,
    newest_at timestamptz,
    etag text,
    last_modified text,
    validators_of text,
    pages bigint NOT NULL DEFAULT 0,
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
COMMENT ON TABLE fraud.source_positions IS
    'where each source with a request has come to; what a cursor or a link says is between the API and us, so it is readable by its owner alone: read fraud.source_status';
COMMENT ON COLUMN fraud.source_positions.anew_at IS 'fraud.sources.asked_anew_at as it was: of another the row counts no more';
COMMENT ON COLUMN fraud.source_positions.asked IS 'of which request position is a page (fraud._position_key)';
COMMENT ON COLUMN fraud.source_positions.position IS 'the next page: its cursor, link, number or offset; null: the first';
COMMENT ON COLUMN fraud.source_positions.walk_at IS 'when the walk through pages began that is not at its end: what {{now}} stands for; null: none';
COMMENT ON COLUMN fraud.source_positions.since IS 'what {{since}} stands for throughout the walk';
COMMENT ON COLUMN fraud.source_positions.seen_at IS 'time of the newest payment of the walk; counts when it has come to its end, since pages may begin with the newest';
COMMENT ON COLUMN fraud.source_positions.newest_at IS 'time of the newest payment of the walks that ended';
COMMENT ON COLUMN fraud.source_positions.etag IS 'of the last answer, for If-None-Match; so last_modified for If-Modified-Since';
COMMENT ON COLUMN fraud.source_positions.validators_of IS 'the request that these two are of';
COMMENT ON COLUMN fraud.source_positions.pages IS 'answers kept';

CREATE TABLE fraud.ingest_errors (
    error_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    reason text NOT NULL,
    payload bytea NOT NULL,
    payload_size bigint NOT NULL,
    card uuid,
    last_four text,
    transaction_id text COLLATE "C",
    occurrences bigint NOT NULL DEFAULT 1,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    digest bytea NOT NULL,
    occurred_at timestamptz,
    received_at timestamptz NOT NULL DEFAULT now(),
    number_hashes uuid[] NOT NULL DEFAULT '{}',
    waits_for text COLLATE "C",
    UNIQUE (source, digest)
);
CREATE INDEX ingest_errors_last_seen_idx ON fraud.ingest_errors (last_seen_at);
CREATE INDEX ingest_errors_waiting_idx ON fraud.ingest_errors (waits_for) WHERE waits_for IS NOT NULL;
-- A payment that was read whole is known by its id and card here too, when a feed repeats it.
CREATE INDEX ingest_errors_payment_idx ON fraud.ingest_errors (transaction_id, card) WHERE occurred_at IS NOT NULL;
COMMENT ON TABLE fraud.ingest_errors IS
    'dead letters: what could not be stored, with its bytes and the reason; fraud.retry_dead_letters sends them again';
COMMENT ON COLUMN fraud.ingest_errors.payload IS
    'the payment, or the whole response; card numbers are masked; what is longer than fraud_detect.max_dead_letter_size is cut, and the reason says so';
COMMENT ON COLUMN fraud.ingest_errors.payload_size IS 'bytes before cutting';
COMMENT ON COLUMN fraud.ingest_errors.card IS
    'for the owner alone: the card, where its number was readable; null too where whose numbers these are has sent more than fraud_detect.card_number_limit within an hour';
COMMENT ON COLUMN fraud.ingest_errors.occurrences IS 'how often the same came from the same source';
COMMENT ON COLUMN fraud.ingest_errors.digest IS 'SHA-256 of reason and payload, or of what else makes two the same: of a payment that differs from the stored one its id, card, amount and merchant';
COMMENT ON COLUMN fraud.ingest_errors.occurred_at IS
    'the payment''s own time, of one that was read whole and failed later; its payload is never cut. Null of others';
COMMENT ON COLUMN fraud.ingest_errors.received_at IS 'when it was received first: what it says of fraud is known from then on';
COMMENT ON COLUMN fraud.ingest_errors.waits_for IS
    'of what follows a payment that is not stored: the payment''s id; once that is stored it is sent again by itself. Null of others, and where that did not help';
COMMENT ON COLUMN fraud.ingest_errors.number_hashes IS
    'for the owner alone: hashes of the card number that fraud.customer_ids is to have when the payment is stored after all';
