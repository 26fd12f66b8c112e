-- Deliveries: which messages of fraud.outbox go to which receiver of which channel, and
-- how that fares.

-- One row a delivery: a message, or a digest of many, to one receiver.
CREATE TABLE fraud.notifications (
    notification_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel text NOT NULL,
    recipient text,
    kind text NOT NULL,
    digest boolean NOT NULL,
    messages int NOT NULL DEFAULT 1,
    idempotency_key uuid NOT NULL DEFAULT gen_random_uuid(),
    state text NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'sending', 'delivered', 'dead', 'discarded')),
    urgent boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_attempt_at timestamptz,
    attempts int NOT NULL DEFAULT 0,
    attempts_forgiven int NOT NULL DEFAULT 0,
    finished_at timestamptz,
    last_status int,
    last_error text
) WITH (fillfactor = 70);
-- What waits is found by three of these, each read on from where its one reader, the notify worker,
-- has come to: what is in its turn by number, what has a time by its time. So neither what waits nor
-- what went, however long somebody keeps a snapshot that sees it, is walked over. (The number is not a column
-- of the first, so that no plan takes the primary key in its place and walks over all other channels'.)
CREATE INDEX notifications_turn_idx ON fraud.notifications (channel, urgent, (notification_id + 0))
    WHERE state = 'pending' AND next_attempt_at IS NULL;
CREATE INDEX notifications_due_idx ON fraud.notifications (channel, next_attempt_at)
    WHERE state = 'pending' AND next_attempt_at IS NOT NULL;
CREATE INDEX notifications_digest_idx ON fraud.notifications (channel, recipient)
    WHERE digest AND state = 'pending' AND attempts = 0;
CREATE INDEX notifications_sending_idx ON fraud.notifications (channel) WHERE state = 'sending';
CREATE INDEX notifications_finished_at_idx ON fraud.notifications (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX notifications_dead_idx ON fraud.notifications (channel, finished_at) WHERE state = 'dead';
COMMENT ON TABLE fraud.notifications IS 'deliveries: what goes to one receiver of a channel, and how that fares';
COMMENT ON COLUMN fraud.notifications.recipient IS 'the address of a mail: each recipient is a delivery of its own';
COMMENT ON COLUMN fraud.notifications.messages IS 'number of messages in it; more than one only in a digest';
COMMENT ON COLUMN fraud.notifications.idempotency_key IS 'the same in each attempt, so that a receiver can leave out what came twice';
COMMENT ON COLUMN fraud.notifications.state IS
    'pending, sending, delivered, dead (given up; fraud.retry_notification sends it again), discarded (its channel was dropped, or resumed without what waited)';
COMMENT ON COLUMN fraud.notifications.urgent IS 'goes before all of its channel that is not: alerts of blocked payments, health, tests';
COMMENT ON COLUMN fraud.notifications.next_attempt_at IS 'of what is pending: when it is due; null: in its turn; -infinity: at once';
COMMENT ON COLUMN fraud.notifications.attempts_forgiven IS 'attempts that do not count: those that were interrupted, and those before the last fraud.retry_notification';
COMMENT ON COLUMN fraud.notifications.finished_at IS 'when it was delivered, given up or discarded';

CREATE TABLE fraud.notification_messages (
    notification_id bigint NOT NULL,
    outbox_id bigint NOT NULL,
    PRIMARY KEY (notification_id, outbox_id)
);
CREATE INDEX notification_messages_outbox_idx ON fraud.notification_messages (outbox_id);
COMMENT ON TABLE fraud.notification_messages IS 'which messages of fraud.outbox a delivery holds';

CREATE TABLE fraud.notification_attempts (
    notification_id bigint NOT NULL,
    attempt int NOT NULL,
    channel text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    duration interval,
    outcome text CHECK (outcome IN ('delivered', 'failed', 'timeout', 'interrupted')),
    status int,
    error text,
    PRIMARY KEY (notification_id, attempt)
);
CREATE INDEX notification_attempts_channel_idx ON fraud.notification_attempts (channel, started_at);
COMMENT ON TABLE fraud.notification_attempts IS 'each attempt of a delivery; written before it is made';
COMMENT ON COLUMN fraud.notification_attempts.outcome IS
    'delivered, failed, timeout, or interrupted (the worker ended before it knew); null while under way';
COMMENT ON COLUMN fraud.notification_attempts.status IS 'HTTP status, or the SMTP server''s last reply code';

-- ------------------------------------------------------------ inside help
CREATE FUNCTION fraud._enqueue(
    kind text,
    payload jsonb,
    subject text DEFAULT NULL,
    body_text text DEFAULT NULL,
    body_html text DEFAULT NULL,
    channel text DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    new_id bigint;
BEGIN
    INSERT INTO fraud.outbox (kind, payload, subject, body_text, body_html, channel)
    VALUES (kind, payload, subject, body_text, body_html, channel)
    RETURNING outbox_id INTO new_id;
    PERFORM fraud._wake_notify_worker();
    RETURN new_id;
END
$$;
COMMENT ON FUNCTION fraud._enqueue(text, jsonb, text, text, text, text) IS
    'internal: puts a message (kind alert, report or health) into the outbox, for all channels that take its kind, from COMMIT on. payload is a JSON object, a webhook''s data; subject, body_text and body_html are the mail''s and may be null';

-- Where the library is not preloaded nobody sends anything: the outbox keeps the newest messages, for
-- who turns that on later, and does not grow for ever. Elsewhere the worker takes all of them.
CREATE FUNCTION fraud._bound_outbox() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM fraud.outbox o
    WHERE o.outbox_id IN (
        SELECT w.outbox_id FROM fraud.outbox w
        WHERE w.dispatched_at IS NULL
          AND w.outbox_id <= (SELECT max(n.outbox_id) FROM fraud.outbox n)
                             - coalesce(nullif(current_setting('fraud_detect.outbox_limit', true), '')::bigint, 100000)
        ORDER BY w.outbox_id LIMIT 1000 FOR UPDATE SKIP LOCKED);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION fraud._bound_outbox() IS 'internal: keeps the newest fraud_detect.outbox_limit messages where no worker sends them';

CREATE TRIGGER bound_outbox AFTER INSERT ON fraud.outbox
    FOR EACH STATEMENT WHEN (current_setting('fraud_detect.max_databases', true) IS NULL)
    EXECUTE FUNCTION fraud._bound_outbox();

CREATE FUNCTION fraud._takes(channel fraud.channels, message fraud.outbox) RETURNS boolean
LANGUAGE sql STABLE
RETURN CASE
    WHEN (message).channel IS NOT NULL THEN (channel).name = (message).channel
    WHEN (message).kind = 'report' THEN
         'report' = ANY ((channel).takes) AND ((channel).revisions OR NOT coalesce(((message).payload ->> 'revision')::int > 1, false))
    WHEN (message).kind <> 'alert' THEN (message).kind = ANY ((channel).takes)
    ELSE 'alert' = ANY ((channel).takes)
         AND ((channel).min_decision = 'review' OR (message).payload ->> 'decision' = 'block')
         AND ((channel).repeats OR (message).payload @> '{"case_alerts": 1}' OR (message).payload @> '{"escalated": true}')
    END;
COMMENT ON FUNCTION fraud._takes(fraud.channels, fraud.outbox) IS 'internal: tells whether a message goes to a channel, but for its condition';

-- Alerts of blocked payments, health and tests go before what people look at in time.
CREATE FUNCTION fraud._is_urgent(kind text, payload jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN CASE kind WHEN 'alert' THEN coalesce(payload ->> 'decision' = 'block', false) ELSE kind IN ('health', 'test') END;
COMMENT ON FUNCTION fraud._is_urgent(text, jsonb) IS 'internal: tells whether a message goes before others';

-- Addresses messages to the channels that take them: those of `ids`, in this order, as far as nobody
-- has them locked and `budget` lasts. The channels are those of one moment, so none is sent to that
-- has a condition which was not asked. A fault of a condition makes the delivery dead at
-- once: what the condition meant to keep back must not go out by mistake, nor may
-- an alert be lost in silence. `crowded` are channels whose alerts go together until those before them went.
CREATE FUNCTION fraud._address(ids bigint[], crowded text[] DEFAULT '{}', budget interval DEFAULT '1 hour')
RETURNS TABLE (outbox_id bigint, channel text, deliveries bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    chosen constant fraud.channels[] := (SELECT array_agg(c ORDER BY c.name) FROM fraud.channels c);
    deadline constant timestamptz := clock_timestamp() + budget;
    taken bigint[];
    asked int := 0;
    asked_message bigint;
    one fraud.channels;
    asked_channels text[] := '{}';
    asked_ids bigint[] := '{}';
    faults text[] := '{}';     -- null: the condition does not hold
    answers jsonb := '{}';     -- of conditions that failed when they were last asked: which, and how
    answering text[] := '{}';  -- channels that were asked
    bunch record;
    digest_id bigint;
BEGIN
    SELECT array_agg(l.outbox_id ORDER BY l.place) INTO taken
    FROM (SELECT o.outbox_id, array_position(ids, o.outbox_id) AS place FROM fraud.outbox o
          WHERE o.outbox_id = ANY (ids) AND o.dispatched_at IS NULL FOR UPDATE SKIP LOCKED) l;
    IF taken IS NULL THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM unnest(chosen) c WHERE c.condition IS NOT NULL) THEN
        FOREACH asked_message IN ARRAY taken LOOP
            IF asked > 0 AND clock_timestamp() > deadline THEN
                taken := taken[:asked];
                EXIT;
            END IF;
            asked := asked + 1;
            FOR one IN
                SELECT c.*
                FROM fraud.outbox o CROSS JOIN unnest(chosen) c
                WHERE o.outbox_id = asked_message AND o.kind = 'alert' AND o.channel IS NULL AND c.condition IS NOT NULL AND fraud._takes(c, o)
            LOOP
                answers := answers - one.name;
                answering := answering || one.name;
                BEGIN
                    CONTINUE WHEN fraud._condition_holds(one.condition, one.condition_by, (SELECT o.payload FROM fraud.outbox o WHERE o.outbox_id = asked_message));
                    faults := faults || NULL::text;
                EXCEPTION WHEN query_canceled OR OTHERS THEN
                    answers := answers || jsonb_build_object(one.name, jsonb_build_object('condition', one.condition, 'error', left(fraud._mask_card_numbers(SQLERRM), 1000)));
                    faults := faults || left('condition: ' || fraud._mask_card_numbers(SQLERRM), 1000);
                END;
                asked_channels := asked_channels || one.name;
                asked_ids := asked_ids || asked_message;
            END LOOP;
        END LOOP;
        -- Whose row is locked is noted of with the next message.
        UPDATE fraud.channel_state st
        SET failing_condition = n.failing, condition_error = n.error,
            condition_failing_since = CASE WHEN n.failing IS NULL THEN NULL WHEN st.failing_condition = n.failing THEN st.condition_failing_since ELSE clock_timestamp() END
        FROM (SELECT a.name, answers -> a.name ->> 'condition' AS failing, answers -> a.name ->> 'error' AS error FROM unnest(answering) a(name) GROUP BY a.name) n
        WHERE st.name = n.name AND (st.failing_condition, st.condition_error) IS DISTINCT FROM (n.failing, n.error)
          AND st.name IN (SELECT s.name FROM fraud.channel_state s WHERE s.name = ANY (answering) FOR UPDATE SKIP LOCKED);
    END IF;

    RETURN QUERY
    WITH wanted AS MATERIALIZED (
        -- By number, and no join with the numbers: that could be planned to read all of the outbox.
        SELECT c.name, c.target, c.kind = 'email' AS is_mail, o.outbox_id, o.kind, a.fault, array_position(taken, o.outbox_id) AS place,
               fraud._is_urgent(o.kind, o.payload) AS urgent
        FROM fraud.outbox o
        JOIN unnest(chosen) c ON fraud._takes(c, o)
        LEFT JOIN unnest(asked_channels, asked_ids, faults) a(name, id, fault) ON a.name = c.name AND a.id = o.outbox_id
        WHERE o.outbox_id = ANY (taken) AND (a.id IS NULL OR a.fault IS NOT NULL)
          AND (o.kind <> 'alert' OR a.fault IS NOT NULL OR (c.digest_interval IS NULL AND c.name <> ALL (crowded)))
    ), numbered AS MATERIALIZED (
        SELECT nextval('fraud.notifications_notification_id_seq') AS id, w.*
        FROM (SELECT x.*, r.recipient
              FROM wanted x CROSS JOIN LATERAL unnest(CASE WHEN x.is_mail THEN regexp_split_to_array(x.target, ',') ELSE ARRAY[NULL::text] END) r(recipient)
              ORDER BY x.place, x.name, r.recipient) w
    ), added AS (
        INSERT INTO fraud.notifications (notification_id, channel, recipient, kind, digest, urgent, state, finished_at, last_error) OVERRIDING SYSTEM VALUE
        SELECT n.id, n.name, n.recipient, n.kind, false, n.urgent, CASE WHEN n.fault IS NULL THEN 'pending' ELSE 'dead' END,
               CASE WHEN n.fault IS NOT NULL THEN clock_timestamp() END, n.fault
        FROM numbered n
    ), filled AS (
        INSERT INTO fraud.notification_messages (notification_id, outbox_id) SELECT n.id, n.outbox_id FROM numbered n
    )
    SELECT NULL::bigint, n.name, count(*) FROM numbered n GROUP BY n.name;

    -- Digests: those of a time, and those of a crowd, which are in their turn.
    FOR bunch IN
        SELECT c.name, c.digest_interval AS span, r.recipient, c.digest_interval IS NULL AND fraud._is_urgent(o.kind, o.payload) AS urgent,
               array_agg(o.outbox_id) AS messages
        FROM fraud.outbox o
        JOIN unnest(chosen) c ON fraud._takes(c, o)
        CROSS JOIN LATERAL unnest(CASE WHEN c.kind = 'email' THEN regexp_split_to_array(c.target, ',') ELSE ARRAY[NULL::text] END) r(recipient)
        WHERE o.outbox_id = ANY (taken) AND o.kind = 'alert' AND (c.digest_interval IS NOT NULL OR c.name = ANY (crowded))
          AND NOT EXISTS (SELECT FROM unnest(asked_channels, asked_ids) a(name, id) WHERE a.name = c.name AND a.id = o.outbox_id)
        GROUP BY 1, 2, 3, 4 ORDER BY 1, 3, 4
    LOOP
        digest_id := NULL;
        UPDATE fraud.notifications n SET messages = n.messages + cardinality(bunch.messages)
        WHERE n.notification_id = (
            SELECT d.notification_id FROM fraud.notifications d
            WHERE d.channel = bunch.name AND d.recipient IS NOT DISTINCT FROM bunch.recipient AND d.digest AND d.state = 'pending' AND d.attempts = 0
              AND d.urgent = bunch.urgent
              AND CASE WHEN bunch.span IS NULL THEN d.next_attempt_at IS NULL ELSE d.next_attempt_at > clock_timestamp() END
            ORDER BY d.notification_id DESC LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING n.notification_id INTO digest_id;
        IF digest_id IS NULL THEN
            INSERT INTO fraud.notifications (channel, recipient, kind, digest, urgent, messages, next_attempt_at)
            VALUES (bunch.name, bunch.recipient, 'alert', true, bunch.urgent, cardinality(bunch.messages), clock_timestamp() + bunch.span)
            RETURNING notification_id INTO digest_id;
            RETURN QUERY SELECT NULL::bigint, bunch.name, 1::bigint;
        END IF;
        INSERT INTO fraud.notification_messages (notification_id, outbox_id) SELECT digest_id, m FROM unnest(bunch.messages) m;
    END LOOP;

    RETURN QUERY UPDATE fraud.outbox o SET dispatched_at = clock_timestamp() WHERE o.outbox_id = ANY (taken)
                 RETURNING o.outbox_id, NULL::text, NULL::bigint;
END
$$;
COMMENT ON FUNCTION fraud._address(bigint[], text[], interval) IS
    'internal: addresses new messages to the channels that take them; returns a row for each that was, and one for each channel with its number of new deliveries';

CREATE FUNCTION fraud._purge_messages(older_than interval) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    purged bigint;
BEGIN
    WITH gone AS (
        DELETE FROM fraud.notifications n WHERE n.finished_at < now() - older_than RETURNING n.notification_id
    ), attempts AS (
        DELETE FROM fraud.notification_attempts a USING gone g WHERE a.notification_id = g.notification_id
    )
    DELETE FROM fraud.notification_messages m USING gone g WHERE m.notification_id = g.notification_id;
    DELETE FROM fraud.outbox o
    WHERE o.dispatched_at < now() - older_than
      AND (o.kind <> 'alert' OR o.notified_at IS NOT NULL)
      AND NOT EXISTS (SELECT FROM fraud.notification_messages m WHERE m.outbox_id = o.outbox_id);
    GET DIAGNOSTICS purged = ROW_COUNT;
    -- A secret that signs no more is not kept.
    UPDATE fraud.channels c SET old_secret = NULL, old_secret_until = NULL WHERE c.old_secret_until < now();
    RETURN purged;
END
$$;
COMMENT ON FUNCTION fraud._purge_messages(interval) IS
    'internal: removes deliveries that ended longer ago, dead ones too, and messages that no delivery needs any more; returns the number of messages';

CREATE FUNCTION fraud._discard_notifications(name text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    UPDATE fraud.notifications n SET state = 'discarded', finished_at = clock_timestamp()
    WHERE n.channel = name AND n.state IN ('pending', 'sending');
END;
COMMENT ON FUNCTION fraud._discard_notifications(text) IS 'internal: gives up what waits for a channel';

-- After a change of a channel: nobody who was taken off it gets anything any more, and
-- what failed before is tried at once.
CREATE FUNCTION fraud._readdress(channel fraud.channels) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    UPDATE fraud.notifications n SET state = 'discarded', finished_at = clock_timestamp()
    WHERE n.channel = (_readdress.channel).name AND n.state IN ('pending', 'sending', 'dead')
      AND n.recipient <> ALL (regexp_split_to_array((_readdress.channel).target, ','));
    UPDATE fraud.notifications n SET next_attempt_at = '-infinity'
    WHERE n.channel = (_readdress.channel).name AND n.state = 'pending' AND n.next_attempt_at IS NOT NULL AND n.attempts > n.attempts_forgiven;
    UPDATE fraud.channel_state st SET hold_until = NULL, consecutive_failures = 0
    WHERE st.name = (_readdress.channel).name;
END;
COMMENT ON FUNCTION fraud._readdress(fraud.channels) IS 'internal: has what waits go as the channel is now';

-- ---------------------------------------------------------- what people call
CREATE FUNCTION fraud._retry_notification(notification_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    delivery fraud.notifications;
BEGIN
    SELECT * INTO delivery FROM fraud.notifications n
    WHERE n.notification_id = _retry_notification.notification_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'notification % does not exist', notification_id
            USING ERRCODE = 'no_data_found',
                  HINT = 'fraud.notifications lists the deliveries.';
    ELSIF delivery.state NOT IN ('pending', 'dead') THEN
        RAISE EXCEPTION 'notification % is %, expected pending or dead', notification_id, delivery.state
            USING ERRCODE = 'object_not_in_prerequisite_state';
    ELSIF NOT EXISTS (SELECT FROM fraud.channels c WHERE c.name = delivery.channel) THEN
        RAISE EXCEPTION 'channel "%" does not exist any more', delivery.channel
            USING ERRCODE = 'undefined_object', HINT = 'fraud.add_channel makes one of that name again.';
    END IF;
    UPDATE fraud.notifications n
    SET state = 'pending', next_attempt_at = '-infinity', attempts_forgiven = n.attempts, finished_at = NULL
    WHERE n.notification_id = delivery.notification_id;
    -- By which the worker knows that there is something new to look at.
    UPDATE fraud.channels c SET changed_at = clock_timestamp() WHERE c.name = delivery.channel;
    PERFORM fraud._audit('retry', 'delivery', notification_id::text, jsonb_build_object('state', delivery.state),
        jsonb_build_object('state', 'pending', 'channel', delivery.channel));
    PERFORM fraud._wake_notify_worker();
END
$$;
COMMENT ON FUNCTION fraud._retry_notification(bigint) IS 'internal: the body of fraud.retry_notification, run as the owner';

CREATE FUNCTION fraud.retry_notification(notification_id bigint) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.retry_notification(bigint) IS
    'sends a delivery that was given up, or waits, at once, with all attempts anew and the same idempotency key';

CREATE VIEW fraud.channel_status AS
    SELECT c.name, c.kind,
           CASE
               WHEN c.paused THEN 'paused'
               WHEN st.name IS NULL THEN 'restored'
               WHEN coalesce(st.hold_until, '-infinity') < statement_timestamp() - interval '2 minutes'
                    AND due.at < statement_timestamp() - interval '2 minutes'
                    AND coalesce(st.last_attempt_at, st.begun_at) < statement_timestamp() - interval '2 minutes' THEN 'stuck'
               WHEN st.consecutive_failures > 0 OR st.failing_condition = c.condition THEN 'failing'
               WHEN st.last_success_at IS NULL THEN 'new'
               ELSE 'ok'
           END AS state,
           -- No path: it may be a key.
           CASE c.kind WHEN 'webhook' THEN substring(c.target FROM '^[^:]+://[^/?#]+') ELSE c.target END AS destination,
           c.takes, c.min_decision, c.condition, c.condition_by, c.repeats, c.revisions, c.digest_interval, c.max_per_minute,
           c.template IS NOT NULL AS has_template,
           c.secret IS NOT NULL AS is_signed,
           CASE WHEN c.old_secret_until > statement_timestamp() THEN c.old_secret_until END AS old_secret_until,
           -- Counted up to a point: there can be millions.
           (SELECT count(*) FROM ((SELECT FROM fraud.notifications n WHERE n.channel = c.name AND n.state = 'sending')
                                  UNION ALL
                                  (SELECT FROM fraud.notifications n WHERE n.channel = c.name AND n.state = 'pending' AND n.next_attempt_at IS NOT NULL
                                   ORDER BY n.next_attempt_at LIMIT 10001)
                                  UNION ALL
                                  (SELECT FROM fraud.notifications n WHERE n.channel = c.name AND n.state = 'pending' AND n.next_attempt_at IS NULL
                                   ORDER BY n.urgent LIMIT 10001)
                                  LIMIT 10001) w) AS waiting,
           due.since AS waiting_since,
           due.at AS due_at,
           (SELECT count(*) FROM (SELECT FROM fraud.notifications n WHERE n.channel = c.name AND n.state = 'dead' LIMIT 10001) d) AS dead,
           coalesce(st.delivered, 0) AS delivered,
           coalesce(st.failures, 0) AS failures,
           coalesce(st.consecutive_failures, 0) AS consecutive_failures,
           st.hold_until, st.last_attempt_at, st.last_success_at, st.last_status, st.last_error, st.last_error_at,
           c.created_at, c.created_by,
           CASE WHEN st.failing_condition = c.condition THEN st.condition_error END AS condition_error,
           CASE WHEN st.failing_condition = c.condition THEN st.condition_failing_since END AS condition_failing_since
    FROM fraud.channels c
    LEFT JOIN fraud.channel_state st ON st.name = c.name
    -- The first in its turn, the first that has a time, and one that is under way: each by its index.
    LEFT JOIN LATERAL (
        SELECT min(w.at) AS at, min(w.since) AS since
        FROM ((SELECT n.created_at AS at, n.created_at AS since FROM fraud.notifications n
               WHERE n.channel = c.name AND n.state = 'pending' AND n.next_attempt_at IS NULL AND n.urgent
                 AND n.notification_id + 0 > coalesce(st.urgent_mark, 0) ORDER BY n.notification_id + 0 LIMIT 1)
              UNION ALL
              (SELECT n.created_at, n.created_at FROM fraud.notifications n
               WHERE n.channel = c.name AND n.state = 'pending' AND n.next_attempt_at IS NULL AND NOT n.urgent
                 AND n.notification_id + 0 > coalesce(st.turn_mark, 0) ORDER BY n.notification_id + 0 LIMIT 1)
              UNION ALL
              (SELECT greatest(n.next_attempt_at, n.created_at), n.created_at FROM fraud.notifications n
               WHERE n.channel = c.name AND n.state = 'pending' AND n.next_attempt_at IS NOT NULL ORDER BY n.next_attempt_at LIMIT 1)
              UNION ALL
              (SELECT NULL, n.created_at FROM fraud.notifications n WHERE n.channel = c.name AND n.state = 'sending' LIMIT 1)) w
    ) due ON true;
COMMENT ON VIEW fraud.channel_status IS
    'how each channel fares, without its secrets: state is new, ok, failing, paused, restored (came with a dump, or a copy of the database: fraud.resume_channel has it sent to), or stuck (a delivery is overdue: is a worker running?)';
COMMENT ON COLUMN fraud.channel_status.condition_error IS 'how its condition failed when it was last asked: such alerts are given up, since what the condition keeps back must not go out; null: it did not, or is another one now';
COMMENT ON COLUMN fraud.channel_status.condition_failing_since IS 'since when it has failed each time';
COMMENT ON COLUMN fraud.channel_status.destination IS 'of a webhook: scheme and host alone';
COMMENT ON COLUMN fraud.channel_status.old_secret_until IS 'until when the secret before the present one signs too';
COMMENT ON COLUMN fraud.channel_status.waiting IS 'deliveries to come, counted up to 10001: that or more';
COMMENT ON COLUMN fraud.channel_status.due_at IS 'since when, or from when, the first of those is due';
COMMENT ON COLUMN fraud.channel_status.dead IS 'deliveries given up, counted up to 10001';
COMMENT ON COLUMN fraud.channel_status.failures IS 'attempts that failed';

CREATE VIEW fraud.notification_log AS
    SELECT m.outbox_id, n.notification_id, n.channel, n.recipient, n.kind, n.state, n.created_at, n.finished_at,
           a.attempt, a.started_at, a.duration, a.outcome, a.status,
           -- What was given up before any attempt, such as by a condition that failed, says why itself.
           CASE WHEN a.notification_id IS NULL THEN n.last_error ELSE a.error END AS error
    FROM fraud.notifications n
    JOIN fraud.notification_messages m ON m.notification_id = n.notification_id
    LEFT JOIN fraud.notification_attempts a ON a.notification_id = n.notification_id;
COMMENT ON VIEW fraud.notification_log IS 'each attempt of each delivery of each message, and deliveries without one';
