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
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts int NOT NULL DEFAULT 0,
    attempts_forgiven int NOT NULL DEFAULT 0,
    finished_at timestamptz,
    last_status int,
    last_error text
) WITH (fillfactor = 70);
CREATE INDEX notifications_due_idx ON fraud.notifications (channel, next_attempt_at)
    WHERE state IN ('pending', 'sending');
CREATE INDEX notifications_finished_at_idx ON fraud.notifications (finished_at);
CREATE INDEX notifications_dead_idx ON fraud.notifications (channel) WHERE state = 'dead';
COMMENT ON TABLE fraud.notifications IS 'deliveries: what goes to one receiver of a channel, and how that fares';
COMMENT ON COLUMN fraud.notifications.recipient IS 'the address of a mail: each recipient is a delivery of its own';
COMMENT ON COLUMN fraud.notifications.messages IS 'number of messages in it; more than one only in a digest';
COMMENT ON COLUMN fraud.notifications.idempotency_key IS 'the same in each attempt, so that a receiver can leave out what came twice';
COMMENT ON COLUMN fraud.notifications.state IS
    'pending, sending, delivered, dead (given up; fraud.retry_notification sends it again), discarded (its channel was dropped, or resumed without what waited)';
COMMENT ON COLUMN fraud.notifications.next_attempt_at IS 'while sending: when the attempt is taken for lost';
COMMENT ON COLUMN fraud.notifications.attempts_forgiven IS 'attempts before the last fraud.retry_notification, which do not count';
COMMENT ON COLUMN fraud.notifications.finished_at IS 'when it was delivered, given up or discarded';

CREATE TABLE fraud.notification_messages (
    notification_id bigint NOT NULL REFERENCES fraud.notifications ON DELETE CASCADE,
    outbox_id bigint NOT NULL,
    PRIMARY KEY (notification_id, outbox_id)
);
CREATE INDEX notification_messages_outbox_idx ON fraud.notification_messages (outbox_id);
COMMENT ON TABLE fraud.notification_messages IS 'which messages of fraud.outbox a delivery holds';

CREATE TABLE fraud.notification_attempts (
    notification_id bigint NOT NULL REFERENCES fraud.notifications ON DELETE CASCADE,
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

-- Makes the deliveries of one message to one channel. A fault makes them dead at
-- once: what the condition meant to keep back must not go out by mistake, nor may
-- an alert be lost in silence.
CREATE FUNCTION fraud._address(message fraud.outbox, channel fraud.channels, fault text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    receiver text;
    in_digest boolean := channel.digest_interval IS NOT NULL AND message.kind = 'alert' AND fault IS NULL;
    id bigint;
BEGIN
    FOREACH receiver IN ARRAY CASE WHEN channel.kind = 'email' THEN regexp_split_to_array(channel.target, ',')
                                   ELSE ARRAY[NULL::text] END
    LOOP
        id := NULL;
        IF in_digest THEN
            UPDATE fraud.notifications n SET messages = n.messages + 1
            WHERE n.notification_id = (
                SELECT o.notification_id FROM fraud.notifications o
                WHERE o.channel = channel.name AND o.state = 'pending' AND o.digest AND o.attempts = 0
                  AND o.recipient IS NOT DISTINCT FROM receiver AND o.next_attempt_at > clock_timestamp()
                ORDER BY o.next_attempt_at LIMIT 1)
            RETURNING n.notification_id INTO id;
        END IF;
        IF id IS NULL THEN
            INSERT INTO fraud.notifications (channel, recipient, kind, digest, next_attempt_at, state, finished_at, last_error)
            VALUES (channel.name, receiver, message.kind, in_digest,
                    clock_timestamp() + CASE WHEN in_digest THEN channel.digest_interval ELSE interval '0' END,
                    CASE WHEN fault IS NULL THEN 'pending' ELSE 'dead' END,
                    CASE WHEN fault IS NOT NULL THEN clock_timestamp() END, fault)
            RETURNING notification_id INTO id;
        END IF;
        INSERT INTO fraud.notification_messages (notification_id, outbox_id) VALUES (id, message.outbox_id);
    END LOOP;
END
$$;
COMMENT ON FUNCTION fraud._address(fraud.outbox, fraud.channels, text) IS 'internal: makes the deliveries of one message to one channel';

CREATE FUNCTION fraud._dispatch(max_messages int) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    message fraud.outbox;
    channel fraud.channels;
    fault text;
    done bigint := 0;
BEGIN
    FOR message IN
        SELECT * FROM fraud.outbox o WHERE o.dispatched_at IS NULL
        ORDER BY o.outbox_id LIMIT max_messages FOR UPDATE SKIP LOCKED
    LOOP
        FOR channel IN
            SELECT * FROM fraud.channels c
            WHERE CASE
                WHEN message.channel IS NOT NULL THEN c.name = message.channel
                WHEN message.kind = 'report' THEN
                     'report' = ANY (c.takes) AND (c.revisions OR NOT coalesce((message.payload ->> 'revision')::int > 1, false))
                WHEN message.kind <> 'alert' THEN message.kind = ANY (c.takes)
                ELSE 'alert' = ANY (c.takes)
                     AND (c.min_decision = 'review' OR message.payload ->> 'decision' = 'block')
                     AND (c.repeats OR message.payload @> '{"case_alerts": 1}' OR message.payload @> '{"escalated": true}')
                END
            ORDER BY c.name
        LOOP
            fault := NULL;
            IF channel.condition IS NOT NULL AND message.kind = 'alert' THEN
                BEGIN
                    CONTINUE WHEN NOT fraud._condition_holds(channel.condition, channel.condition_by, message.payload);
                EXCEPTION WHEN query_canceled OR OTHERS THEN
                    fault := left('condition: ' || fraud._mask_card_numbers(SQLERRM), 1000);
                END;
            END IF;
            PERFORM fraud._address(message, channel, fault);
        END LOOP;
        UPDATE fraud.outbox o SET dispatched_at = clock_timestamp() WHERE o.outbox_id = message.outbox_id;
        done := done + 1;
    END LOOP;
    RETURN done;
END
$$;
COMMENT ON FUNCTION fraud._dispatch(int) IS
    'internal: addresses new messages to the channels that take them; returns how many';

-- Which channels may be sent to: how many deliveries now, and if none, from when on.
CREATE FUNCTION fraud._sendable_channels(concurrency int, OUT name text, OUT room int, OUT free_at timestamptz)
RETURNS SETOF record
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT c.name,
           -- A receiver that fails gets one attempt at a time.
           CASE WHEN st.hold_until > clock_timestamp() THEN 0
                -- A NOTIFY waits for nobody, and one transaction makes many.
                ELSE least(CASE WHEN st.consecutive_failures >= 3 THEN 1 WHEN c.kind = 'notify' THEN 200 ELSE concurrency END - sending.number,
                           c.max_per_minute - recent.number) END::int,
           greatest(st.hold_until, CASE WHEN recent.number >= c.max_per_minute
                                        THEN recent.oldest + interval '1 minute' END)
    FROM fraud.channels c
    JOIN fraud.channel_state st ON st.name = c.name
    CROSS JOIN LATERAL (
        SELECT count(*) AS number FROM fraud.notifications n
        WHERE n.channel = c.name AND n.state = 'sending' AND n.next_attempt_at > clock_timestamp()
    ) sending
    CROSS JOIN LATERAL (
        SELECT count(*) AS number, min(a.started_at) AS oldest
        FROM (SELECT a.started_at FROM fraud.notification_attempts a
              WHERE c.max_per_minute IS NOT NULL AND a.channel = c.name
                AND a.started_at > clock_timestamp() - interval '1 minute'
              ORDER BY a.started_at DESC LIMIT c.max_per_minute) a
    ) recent
    WHERE NOT c.paused;
END;
COMMENT ON FUNCTION fraud._sendable_channels(int) IS 'internal: the channels that may be sent to now, or from when on';

-- Takes the deliveries that are due. `lease` is how long an attempt can last; after
-- it a delivery is taken again, should its worker not have told how it went.
CREATE FUNCTION fraud._claim_notifications(concurrency int, lease interval, max_attempts int) RETURNS SETOF bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    channel record;
    delivery record;
BEGIN
    FOR channel IN
        SELECT * FROM fraud._sendable_channels(concurrency) c WHERE c.room > 0 ORDER BY c.name
    LOOP
        FOR delivery IN
            SELECT n.notification_id, n.attempts, n.attempts_forgiven FROM fraud.notifications n
            WHERE n.channel = channel.name AND n.state IN ('pending', 'sending')
              AND n.next_attempt_at <= clock_timestamp()
            ORDER BY n.next_attempt_at, n.notification_id LIMIT channel.room
            FOR UPDATE SKIP LOCKED
        LOOP
            UPDATE fraud.notification_attempts a SET outcome = 'interrupted'
            WHERE a.notification_id = delivery.notification_id AND a.outcome IS NULL;
            -- Only one whose last attempts were all interrupted gets here.
            IF delivery.attempts - delivery.attempts_forgiven >= max_attempts THEN
                UPDATE fraud.notifications n
                SET state = 'dead', finished_at = clock_timestamp(), last_error = 'the last attempt was interrupted'
                WHERE n.notification_id = delivery.notification_id;
                CONTINUE;
            END IF;
            UPDATE fraud.notifications n
            SET state = 'sending', attempts = n.attempts + 1, next_attempt_at = clock_timestamp() + lease
            WHERE n.notification_id = delivery.notification_id;
            INSERT INTO fraud.notification_attempts (notification_id, attempt, channel)
            VALUES (delivery.notification_id, delivery.attempts + 1, channel.name);
            UPDATE fraud.channel_state st SET last_attempt_at = clock_timestamp() WHERE st.name = channel.name;
            RETURN NEXT delivery.notification_id;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION fraud._claim_notifications(int, interval, int) IS
    'internal: takes the deliveries that are due, counting the attempt before it is made';

CREATE FUNCTION fraud._next_notification_at(concurrency int) RETURNS timestamptz
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT min(greatest(due.at, c.free_at))
    FROM fraud._sendable_channels(concurrency) c
    CROSS JOIN LATERAL (
        SELECT n.next_attempt_at AS at FROM fraud.notifications n
        WHERE n.channel = c.name AND n.state IN ('pending', 'sending')
        ORDER BY n.next_attempt_at LIMIT 1
    ) due
    -- One that is busy is looked at again when an attempt ends.
    WHERE c.room > 0 OR c.free_at IS NOT NULL;
END;
COMMENT ON FUNCTION fraud._next_notification_at(int) IS 'internal: when the next delivery is due';

-- Notes how an attempt went. A failed delivery is tried again after one second, two,
-- four, … up to max_delay, a fifth more or less.
CREATE FUNCTION fraud._end_attempt(
    notification_id bigint, outcome text, status int, error text, duration interval,
    permanent boolean, retry_after interval, max_attempts int, max_delay interval
) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    delivery fraud.notifications;
    counted int;
    new_state text;
BEGIN
    -- A receiver's answer may repeat what it was sent, or anything else.
    error := fraud._mask_card_numbers(error);
    SELECT * INTO delivery FROM fraud.notifications n
    WHERE n.notification_id = _end_attempt.notification_id FOR UPDATE;
    UPDATE fraud.notification_attempts a
    SET outcome = _end_attempt.outcome, status = _end_attempt.status, error = _end_attempt.error,
        duration = _end_attempt.duration
    WHERE a.notification_id = delivery.notification_id AND a.attempt = delivery.attempts;
    UPDATE fraud.channel_state st
    SET hold_until = CASE WHEN _end_attempt.retry_after IS NOT NULL AND outcome <> 'delivered'
                          THEN clock_timestamp() + _end_attempt.retry_after END,
        consecutive_failures = CASE outcome WHEN 'delivered' THEN 0 ELSE st.consecutive_failures + 1 END,
        delivered = st.delivered + (outcome = 'delivered')::int,
        failures = st.failures + (outcome <> 'delivered')::int,
        last_success_at = CASE outcome WHEN 'delivered' THEN clock_timestamp() ELSE st.last_success_at END,
        last_status = _end_attempt.status,
        last_error = coalesce(_end_attempt.error, st.last_error),
        last_error_at = CASE outcome WHEN 'delivered' THEN st.last_error_at ELSE clock_timestamp() END
    WHERE st.name = delivery.channel;
    IF delivery.state IS DISTINCT FROM 'sending' THEN
        RETURN delivery.state;  -- discarded meanwhile
    END IF;
    counted := delivery.attempts - delivery.attempts_forgiven;
    new_state := CASE WHEN outcome = 'delivered' THEN 'delivered'
                      WHEN permanent OR counted >= max_attempts THEN 'dead'
                      ELSE 'pending' END;
    UPDATE fraud.notifications n
    SET state = new_state,
        last_status = _end_attempt.status,
        last_error = _end_attempt.error,
        finished_at = CASE WHEN new_state <> 'pending' THEN clock_timestamp() END,
        next_attempt_at = clock_timestamp() + greatest(
            least(interval '1 second' * power(2, least(counted - 1, 20)), max_delay) * (0.8 + 0.4 * random()),
            coalesce(retry_after, interval '0'))
    WHERE n.notification_id = delivery.notification_id;
    RETURN new_state;
END
$$;
COMMENT ON FUNCTION fraud._end_attempt(bigint, text, int, text, interval, boolean, interval, int, interval) IS
    'internal: notes how an attempt went, and what comes next; returns the delivery''s new state';

CREATE FUNCTION fraud._purge_messages(older_than interval) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    purged bigint;
BEGIN
    DELETE FROM fraud.notifications n WHERE n.finished_at < now() - older_than;
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
    UPDATE fraud.notifications n SET next_attempt_at = clock_timestamp()
    WHERE n.channel = (_readdress.channel).name AND n.state = 'pending' AND n.attempts > n.attempts_forgiven;
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
            USING ERRCODE = 'undefined_object';
    END IF;
    UPDATE fraud.notifications n
    SET state = 'pending', next_attempt_at = clock_timestamp(), attempts_forgiven = n.attempts, finished_at = NULL
    WHERE n.notification_id = delivery.notification_id;
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
               WHEN waiting.due < statement_timestamp() - interval '2 minutes'
                    AND st.last_attempt_at < statement_timestamp() - interval '2 minutes' THEN 'stuck'
               WHEN st.consecutive_failures > 0 THEN 'failing'
               WHEN st.last_success_at IS NULL THEN 'new'
               ELSE 'ok'
           END AS state,
           -- No path: it may be a key.
           CASE c.kind WHEN 'webhook' THEN substring(c.target FROM '^[^:]+://[^/?#]+') ELSE c.target END AS destination,
           c.takes, c.min_decision, c.condition, c.condition_by, c.repeats, c.revisions, c.digest_interval, c.max_per_minute,
           c.template IS NOT NULL AS has_template,
           c.secret IS NOT NULL AS is_signed,
           CASE WHEN c.old_secret_until > statement_timestamp() THEN c.old_secret_until END AS old_secret_until,
           coalesce(waiting.number, 0) AS waiting,
           waiting.oldest AS waiting_since,
           (SELECT count(*) FROM fraud.notifications n WHERE n.channel = c.name AND n.state = 'dead') AS dead,
           coalesce(st.delivered, 0) AS delivered,
           coalesce(st.failures, 0) AS failures,
           coalesce(st.consecutive_failures, 0) AS consecutive_failures,
           st.hold_until, st.last_attempt_at, st.last_success_at, st.last_status, st.last_error, st.last_error_at,
           c.created_at, c.created_by
    FROM fraud.channels c
    LEFT JOIN fraud.channel_state st ON st.name = c.name
    LEFT JOIN LATERAL (
        SELECT count(*) AS number, min(n.created_at) AS oldest, min(n.next_attempt_at) AS due
        FROM fraud.notifications n WHERE n.channel = c.name AND n.state IN ('pending', 'sending')
    ) waiting ON true;
COMMENT ON VIEW fraud.channel_status IS
    'how each channel fares, without its secrets: state is new, ok, failing, paused, restored (came with a dump: fraud.resume_channel has it sent to), or stuck (a delivery is overdue: is a worker running?)';
COMMENT ON COLUMN fraud.channel_status.destination IS 'of a webhook: scheme and host alone';
COMMENT ON COLUMN fraud.channel_status.old_secret_until IS 'until when the secret before the present one signs too';
COMMENT ON COLUMN fraud.channel_status.waiting IS 'deliveries to come';
COMMENT ON COLUMN fraud.channel_status.dead IS 'deliveries given up';
COMMENT ON COLUMN fraud.channel_status.failures IS 'attempts that failed';

CREATE VIEW fraud.notification_log AS
    SELECT m.outbox_id, n.notification_id, n.channel, n.recipient, n.kind, n.state, n.created_at, n.finished_at,
           a.attempt, a.started_at, a.duration, a.outcome, a.status, a.error
    FROM fraud.notifications n
    JOIN fraud.notification_messages m ON m.notification_id = n.notification_id
    LEFT JOIN fraud.notification_attempts a ON a.notification_id = n.notification_id;
COMMENT ON VIEW fraud.notification_log IS 'each attempt of each delivery of each message';
