-- Channels: to whom messages of fraud.outbox go.
CREATE TABLE fraud.channels (
    name text PRIMARY KEY CHECK (name ~ '^[A-Za-z0-9_.-]{1,63}$'),
    kind text NOT NULL CHECK (kind IN ('webhook', 'email', 'notify')),
    target text NOT NULL,
    takes text[] NOT NULL CHECK (takes <@ '{alert,report,health}' AND takes <> '{}'),
    min_decision text NOT NULL CHECK (min_decision IN ('review', 'block')),
    condition text,
    condition_by name,
    repeats boolean NOT NULL,
    revisions boolean NOT NULL,
    digest_interval interval,
    max_per_minute int CHECK (max_per_minute > 0),
    headers jsonb NOT NULL,
    template jsonb,
    secret text,
    smtp_url text,
    smtp_user text,
    smtp_password text,
    sender text,
    starttls boolean NOT NULL,
    paused boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by name NOT NULL DEFAULT fraud._caller()
);
COMMENT ON TABLE fraud.channels IS
    'to whom messages go; target, headers, secret and password are secrets, so it is readable by its owner alone: read fraud.channel_status';
COMMENT ON COLUMN fraud.channels.target IS 'webhook: the URL; email: recipients, separated by commas; notify: the name that listeners LISTEN to';
COMMENT ON COLUMN fraud.channels.takes IS 'kinds of messages: alert, report, health';
COMMENT ON COLUMN fraud.channels.min_decision IS 'of alerts: the least decision';
COMMENT ON COLUMN fraud.channels.condition IS 'of alerts: a boolean SQL expression, evaluated with the rights of condition_by';
COMMENT ON COLUMN fraud.channels.condition_by IS 'the role that gave the condition';
COMMENT ON COLUMN fraud.channels.repeats IS 'of alerts: also those that join a case without making it severer';
COMMENT ON COLUMN fraud.channels.revisions IS 'of reports: also later revisions of a closed day';
COMMENT ON COLUMN fraud.channels.digest_interval IS 'alerts of such a time go together; null: each by itself';
COMMENT ON COLUMN fraud.channels.secret IS 'secret: the key of a webhook''s signature';

-- Apart from fraud.channels: it changes at each attempt, and a dump must not carry
-- it. A channel without a row here came with a dump: nothing is sent until it is
-- resumed, for the copy of a database must not write to people on its own.
CREATE TABLE fraud.channel_state (
    name text PRIMARY KEY REFERENCES fraud.channels ON DELETE CASCADE,
    hold_until timestamptz,
    consecutive_failures int NOT NULL DEFAULT 0,
    delivered bigint NOT NULL DEFAULT 0,
    failures bigint NOT NULL DEFAULT 0,
    last_attempt_at timestamptz,
    last_success_at timestamptz,
    last_status int,
    last_error text,
    last_error_at timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE fraud.channel_state IS 'the notify worker''s notes on each channel; read fraud.channel_status';
COMMENT ON COLUMN fraud.channel_state.hold_until IS 'the receiver asked to be left alone until then (Retry-After)';

-- ------------------------------------------------------------ inside help
CREATE FUNCTION fraud._wake_notify_worker() RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_wake_notify_worker'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud._wake_notify_worker() IS
    'internal: at commit, has this database''s notify worker look at its messages at once';

-- Evaluates a condition over one alert's payload, with the rights of a role for at most
-- fraud_detect.condition_timeout; without a payload it only checks that the condition is one.
-- Volatile functions are refused: it is a question, and must leave nothing behind.
CREATE FUNCTION fraud._condition_holds(condition text, role_name name, payload jsonb) RETURNS boolean
AS 'MODULE_PATHNAME', 'fraud_detect_condition_holds'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud._condition_holds(text, name, jsonb) IS
    'internal: evaluates a channel''s condition with the rights of the role that gave it';

CREATE FUNCTION fraud._check_template(template jsonb) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_check_template'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud._check_template(jsonb) IS 'internal: refuses a template with unknown placeholders';

-- Refuses a channel that cannot be, and returns it as it is kept. The condition is
-- checked apart, with the rights of who gives it.
CREATE FUNCTION fraud._checked_channel(channel fraud.channels) RETURNS fraud.channels
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bad text;
    address constant text := '^[A-Za-z0-9.!#$%&''*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$';
BEGIN
    IF channel.name !~ '^[A-Za-z0-9_.-]{1,63}$' THEN
        RAISE EXCEPTION 'invalid channel name "%"', channel.name
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'A name is 1 to 63 letters, digits, underscores, dots or dashes.';
    ELSIF channel.kind NOT IN ('webhook', 'email', 'notify') THEN
        RAISE EXCEPTION 'unknown kind of channel "%"', channel.kind
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The kinds are webhook, email and notify.';
    ELSIF NOT channel.takes <@ '{alert,report,health}' OR cardinality(channel.takes) = 0 OR array_position(channel.takes, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'takes must list kinds of messages'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The kinds of messages are alert, report and health.';
    ELSIF channel.min_decision NOT IN ('review', 'block') THEN
        RAISE EXCEPTION 'min_decision must be review or block, not "%"', channel.min_decision
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF channel.digest_interval < interval '1 second' OR channel.digest_interval > interval '1 day' THEN
        RAISE EXCEPTION 'digest_interval must be between 1 second and 1 day, not %', channel.digest_interval
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF channel.max_per_minute NOT BETWEEN 1 AND 100000 THEN
        RAISE EXCEPTION 'max_per_minute must be between 1 and 100000, not %', channel.max_per_minute
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF channel.kind <> 'webhook' AND (channel.headers <> '{}' OR channel.template IS NOT NULL OR channel.secret IS NOT NULL) THEN
        RAISE EXCEPTION 'headers, template and secret are for webhooks, not for a channel of kind %', channel.kind
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF channel.kind <> 'email' AND (channel.smtp_url IS NOT NULL OR channel.smtp_user IS NOT NULL OR channel.smtp_password IS NOT NULL OR channel.sender IS NOT NULL) THEN
        RAISE EXCEPTION 'smtp_url, smtp_user, smtp_password and sender are for e-mail, not for a channel of kind %', channel.kind
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    CASE channel.kind
    WHEN 'webhook' THEN
        -- The URL itself may hold a key, so it is not repeated here.
        IF channel.target !~* '^https?://[^[:space:][:cntrl:]/?#@]+([/?#][^[:space:][:cntrl:]]*)?$' THEN
            RAISE EXCEPTION 'invalid URL for channel "%"', channel.name
                USING ERRCODE = 'invalid_parameter_value',
                      DETAIL = 'The URL must begin with http:// or https://, hold no white space, and no user before the host.',
                      HINT = 'Credentials go into headers.';
        ELSIF octet_length(channel.secret) NOT BETWEEN 16 AND 1000 THEN
            RAISE EXCEPTION 'the secret of channel "%" has % bytes, expected 16 to 1000', channel.name, octet_length(channel.secret)
                USING ERRCODE = 'invalid_parameter_value';
        ELSIF channel.secret LIKE 'whsec\_%' AND substr(channel.secret, 7) !~ '^([A-Za-z0-9+/]{4})+([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$' THEN
            RAISE EXCEPTION 'the secret of channel "%" is not whsec_ and base64', channel.name
                USING ERRCODE = 'invalid_parameter_value';
        ELSIF jsonb_typeof(channel.headers) <> 'object' THEN
            RAISE EXCEPTION 'headers must be a JSON object, not %', jsonb_typeof(channel.headers)
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = 'For example: {"Authorization": "…"}.';
        END IF;
        SELECT h.key INTO bad FROM jsonb_each(channel.headers) h
        WHERE jsonb_typeof(h.value) <> 'string'
           OR h.key !~ '^[A-Za-z0-9!#$%&''*+.^_`|~-]+$'
           OR (h.value #>> '{}') ~ '[[:cntrl:]]'
           OR lower(h.key) IN ('content-length', 'transfer-encoding', 'host', 'content-type', 'idempotency-key', 'webhook-id', 'webhook-timestamp', 'webhook-signature')
        LIMIT 1;
        IF bad IS NOT NULL THEN
            RAISE EXCEPTION 'invalid header "%" for channel "%"', bad, channel.name
                USING ERRCODE = 'invalid_parameter_value',
                      DETAIL = 'A header''s name is an HTTP token that fraud_detect does not set itself, its value a text without control characters.';
        END IF;
        PERFORM fraud._check_template(channel.template);
    WHEN 'email' THEN
        IF channel.smtp_url IS NULL OR channel.sender IS NULL THEN
            RAISE EXCEPTION 'an e-mail channel needs smtp_url and sender'
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = 'For example: smtp_url => ''smtp://mail.example:587'', sender => ''fraud@example.com''.';
        ELSIF channel.smtp_url !~* '^smtps?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$' THEN
            RAISE EXCEPTION 'invalid smtp_url for channel "%"', channel.name
                USING ERRCODE = 'invalid_parameter_value',
                      DETAIL = 'It must be smtp://HOST:PORT or smtps://HOST:PORT, without a user.',
                      HINT = 'Credentials go into smtp_user and smtp_password.';
        ELSIF channel.sender !~ address THEN
            RAISE EXCEPTION 'invalid sender "%"', channel.sender
                USING ERRCODE = 'invalid_parameter_value',
                      DETAIL = 'Expected an address such as fraud@example.com.';
        ELSIF channel.smtp_user ~ '[[:cntrl:]]' OR channel.smtp_password ~ '[[:cntrl:]]' OR (channel.smtp_user IS NULL) <> (channel.smtp_password IS NULL) THEN
            RAISE EXCEPTION 'smtp_user and smtp_password must be given together, without control characters'
                USING ERRCODE = 'invalid_parameter_value';
        ELSIF channel.smtp_password IS NOT NULL AND NOT channel.starttls AND channel.smtp_url !~* '^smtps:' THEN
            RAISE EXCEPTION 'a password is not sent without TLS'
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = 'Leave starttls on, or give an smtps:// address.';
        END IF;
        channel.target := regexp_replace(channel.target, '[[:space:]]', '', 'g');
        SELECT r INTO bad FROM regexp_split_to_table(channel.target, ',') r WHERE r !~ address LIMIT 1;
        IF bad IS NOT NULL THEN
            RAISE EXCEPTION 'invalid recipient "%"', bad
                USING ERRCODE = 'invalid_parameter_value',
                      DETAIL = 'Expected addresses such as fraud@example.com, separated by commas.';
        ELSIF cardinality(regexp_split_to_array(channel.target, ',')) > 100 THEN
            RAISE EXCEPTION 'a channel has at most 100 recipients'
                USING ERRCODE = 'program_limit_exceeded',
                      HINT = 'Use a mailing list.';
        END IF;
    WHEN 'notify' THEN
        IF octet_length(channel.target) NOT BETWEEN 1 AND 63 THEN
            RAISE EXCEPTION 'the name to NOTIFY must have 1 to 63 bytes, not %', octet_length(channel.target)
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END CASE;
    channel.digest_interval := make_interval(secs => extract(epoch FROM channel.digest_interval)::float8);
    RETURN channel;
END
$$;
COMMENT ON FUNCTION fraud._checked_channel(fraud.channels) IS 'internal: refuses a channel that cannot be; returns it as it is kept';

CREATE FUNCTION fraud._lock_channel(name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM 1 FROM fraud.channels c WHERE c.name = _lock_channel.name FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'channel "%" does not exist', name
            USING ERRCODE = 'undefined_object',
                  HINT = 'fraud.channel_status lists the channels.';
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._lock_channel(text) IS 'internal: locks a channel''s row, or says that there is none';

-- ---------------------------------------------------------- what people call
CREATE FUNCTION fraud._add_channel(
    name text,
    kind text,
    target text,
    takes text[],
    min_decision text,
    condition text,
    repeats boolean,
    digest_interval interval,
    max_per_minute int,
    headers jsonb,
    template jsonb,
    secret text,
    smtp_url text,
    smtp_user text,
    smtp_password text,
    sender text,
    starttls boolean,
    revisions boolean
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    channel fraud.channels;
BEGIN
    IF name IS NULL OR kind IS NULL OR target IS NULL OR takes IS NULL OR min_decision IS NULL
       OR repeats IS NULL OR headers IS NULL OR starttls IS NULL OR revisions IS NULL THEN
        RAISE EXCEPTION 'name, kind, target, takes, min_decision, repeats, headers, starttls and revisions must not be null'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    channel.name := name;
    channel.kind := kind;
    channel.target := target;
    channel.takes := takes;
    channel.min_decision := min_decision;
    channel.condition := condition;
    channel.condition_by := CASE WHEN condition IS NOT NULL THEN fraud._caller() END;
    channel.repeats := repeats;
    channel.revisions := revisions;
    channel.digest_interval := digest_interval;
    channel.max_per_minute := max_per_minute;
    channel.headers := headers;
    channel.template := template;
    channel.secret := secret;
    channel.smtp_url := smtp_url;
    channel.smtp_user := smtp_user;
    channel.smtp_password := smtp_password;
    channel.sender := sender;
    channel.starttls := starttls;
    channel.paused := false;
    channel.created_at := now();
    channel.created_by := fraud._caller();
    channel := fraud._checked_channel(channel);
    IF condition IS NOT NULL THEN
        PERFORM fraud._condition_holds(condition, channel.condition_by, NULL);
    END IF;
    INSERT INTO fraud.channels SELECT channel.* ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'channel "%" already exists', name
            USING ERRCODE = 'duplicate_object',
                  HINT = 'fraud.alter_channel changes a channel, fraud.drop_channel removes it.';
    END IF;
    INSERT INTO fraud.channel_state (name) VALUES (name);
    PERFORM fraud._warn_without_worker();
    PERFORM fraud._wake_notify_worker();
END
$$;
COMMENT ON FUNCTION fraud._add_channel(text, text, text, text[], text, text, boolean, interval, int, jsonb, jsonb, text, text, text, text, text, boolean, boolean) IS 'internal: the body of fraud.add_channel, run as the owner';

CREATE FUNCTION fraud.add_channel(
    name text,
    kind text,
    target text,
    takes text[] DEFAULT '{alert}',
    min_decision text DEFAULT 'review',
    condition text DEFAULT NULL,
    repeats boolean DEFAULT false,
    digest_interval interval DEFAULT NULL,
    max_per_minute int DEFAULT NULL,
    headers jsonb DEFAULT '{}',
    template jsonb DEFAULT NULL,
    secret text DEFAULT NULL,
    smtp_url text DEFAULT NULL,
    smtp_user text DEFAULT NULL,
    smtp_password text DEFAULT NULL,
    sender text DEFAULT NULL,
    starttls boolean DEFAULT true,
    revisions boolean DEFAULT false
) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.add_channel(text, text, text, text[], text, text, boolean, interval, int, jsonb, jsonb, text, text, text, text, text, boolean, boolean) IS
    'has messages sent to a webhook (target is its URL), by e-mail (target: recipients, separated by commas) or by NOTIFY (target: the name to LISTEN to), from COMMIT on; docs/alerts.md says what each parameter does. URL, headers, secret and password are not readable again';

CREATE FUNCTION fraud._alter_channel(
    name text,
    target text,
    takes text[],
    min_decision text,
    condition text,
    repeats boolean,
    digest_interval interval,
    max_per_minute int,
    headers jsonb,
    template jsonb,
    secret text,
    smtp_url text,
    smtp_user text,
    smtp_password text,
    sender text,
    starttls boolean,
    revisions boolean,
    reset text[]
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    resettable constant text[] := '{condition,digest_interval,max_per_minute,headers,template,secret,smtp_user,smtp_password}';
    before fraud.channels;
    channel fraud.channels;
BEGIN
    PERFORM fraud._lock_channel(name);
    SELECT * INTO before FROM fraud.channels c WHERE c.name = _alter_channel.name;
    IF NOT coalesce(reset, '{}') <@ resettable THEN
        RAISE EXCEPTION 'reset names what cannot be reset'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('It can name %s.', array_to_string(resettable, ', '));
    END IF;
    channel := before;
    IF 'condition' = ANY (reset) THEN channel.condition := NULL; channel.condition_by := NULL; END IF;
    IF 'digest_interval' = ANY (reset) THEN channel.digest_interval := NULL; END IF;
    IF 'max_per_minute' = ANY (reset) THEN channel.max_per_minute := NULL; END IF;
    IF 'headers' = ANY (reset) THEN channel.headers := '{}'; END IF;
    IF 'template' = ANY (reset) THEN channel.template := NULL; END IF;
    IF 'secret' = ANY (reset) THEN channel.secret := NULL; END IF;
    IF 'smtp_user' = ANY (reset) THEN channel.smtp_user := NULL; END IF;
    IF 'smtp_password' = ANY (reset) THEN channel.smtp_password := NULL; END IF;
    channel.target := coalesce(target, channel.target);
    channel.takes := coalesce(takes, channel.takes);
    channel.min_decision := coalesce(min_decision, channel.min_decision);
    channel.condition := coalesce(condition, channel.condition);
    channel.repeats := coalesce(repeats, channel.repeats);
    channel.revisions := coalesce(revisions, channel.revisions);
    channel.digest_interval := coalesce(digest_interval, channel.digest_interval);
    channel.max_per_minute := coalesce(max_per_minute, channel.max_per_minute);
    channel.headers := coalesce(headers, channel.headers);
    channel.template := coalesce(template, channel.template);
    channel.secret := coalesce(secret, channel.secret);
    channel.smtp_url := coalesce(smtp_url, channel.smtp_url);
    channel.smtp_user := coalesce(smtp_user, channel.smtp_user);
    channel.smtp_password := coalesce(smtp_password, channel.smtp_password);
    channel.sender := coalesce(sender, channel.sender);
    channel.starttls := coalesce(starttls, channel.starttls);
    channel := fraud._checked_channel(channel);

    -- Who cannot read a credential must not have it sent to an address of his own.
    IF channel.kind = 'webhook' AND channel.target <> before.target AND headers IS NULL AND channel.headers <> '{}' THEN
        RAISE EXCEPTION 'the headers of channel "%" must be given again with another target', name
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'They may hold credentials, and would be sent to the new address.',
                  HINT = 'Or leave them out with reset => ''{headers}''.';
    ELSIF (channel.smtp_url <> before.smtp_url OR channel.starttls <> before.starttls)
          AND smtp_password IS NULL AND channel.smtp_password IS NOT NULL THEN
        RAISE EXCEPTION 'the password of channel "%" must be given again with another smtp_url or starttls', name
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'It would be sent to the new address.',
                  HINT = 'Or leave it out with reset => ''{smtp_user,smtp_password}''.';
    END IF;
    -- A condition has the rights of who gave it, not of who gave the one before.
    IF condition IS NOT NULL THEN
        channel.condition_by := fraud._caller();
        PERFORM fraud._condition_holds(condition, channel.condition_by, NULL);
    END IF;

    UPDATE fraud.channels c
    SET target = channel.target, takes = channel.takes, min_decision = channel.min_decision, condition = channel.condition,
        condition_by = channel.condition_by, repeats = channel.repeats, revisions = channel.revisions,
        digest_interval = channel.digest_interval, max_per_minute = channel.max_per_minute, headers = channel.headers,
        template = channel.template, secret = channel.secret, smtp_url = channel.smtp_url, smtp_user = channel.smtp_user,
        smtp_password = channel.smtp_password, sender = channel.sender, starttls = channel.starttls
    WHERE c.name = channel.name;
    PERFORM fraud._readdress(channel);
    PERFORM fraud._wake_notify_worker();
END
$$;
COMMENT ON FUNCTION fraud._alter_channel(text, text, text[], text, text, boolean, interval, int, jsonb, jsonb, text, text, text, text, text, boolean, boolean, text[]) IS 'internal: the body of fraud.alter_channel, run as the owner';

CREATE FUNCTION fraud.alter_channel(
    name text,
    target text DEFAULT NULL,
    takes text[] DEFAULT NULL,
    min_decision text DEFAULT NULL,
    condition text DEFAULT NULL,
    repeats boolean DEFAULT NULL,
    digest_interval interval DEFAULT NULL,
    max_per_minute int DEFAULT NULL,
    headers jsonb DEFAULT NULL,
    template jsonb DEFAULT NULL,
    secret text DEFAULT NULL,
    smtp_url text DEFAULT NULL,
    smtp_user text DEFAULT NULL,
    smtp_password text DEFAULT NULL,
    sender text DEFAULT NULL,
    starttls boolean DEFAULT NULL,
    revisions boolean DEFAULT NULL,
    reset text[] DEFAULT '{}'
) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.alter_channel(text, text, text[], text, text, boolean, interval, int, jsonb, jsonb, text, text, text, text, text, boolean, boolean, text[]) IS
    'changes a channel from COMMIT on; its deliveries, dead ones too, stay, and what waits is sent as the channel is then. What is not given stays; reset names what is to be as if it had never been given, before what is given is set';

CREATE FUNCTION fraud._pause_channel(name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM fraud._lock_channel(name);
    UPDATE fraud.channels c SET paused = true WHERE c.name = _pause_channel.name;
    PERFORM fraud._wake_notify_worker();
END
$$;
COMMENT ON FUNCTION fraud._pause_channel(text) IS 'internal: the body of fraud.pause_channel, run as the owner';

CREATE FUNCTION fraud.pause_channel(name text) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.pause_channel(text) IS 'sends nothing more to a channel; what it would get waits';

CREATE FUNCTION fraud._resume_channel(name text, discard_waiting boolean) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM fraud._lock_channel(name);
    IF discard_waiting THEN
        PERFORM fraud._discard_notifications(name);
    END IF;
    UPDATE fraud.channels c SET paused = false WHERE c.name = _resume_channel.name;
    INSERT INTO fraud.channel_state (name) VALUES (name) ON CONFLICT DO NOTHING;
    PERFORM fraud._wake_notify_worker();
END
$$;
COMMENT ON FUNCTION fraud._resume_channel(text, boolean) IS 'internal: the body of fraud.resume_channel, run as the owner';

CREATE FUNCTION fraud.resume_channel(name text, discard_waiting boolean DEFAULT false) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.resume_channel(text, boolean) IS
    'sends to a paused or restored channel again: what waited too, unless discard_waiting';

CREATE FUNCTION fraud._drop_channel(name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM fraud._lock_channel(name);
    PERFORM fraud._discard_notifications(name);
    DELETE FROM fraud.channels c WHERE c.name = _drop_channel.name;
    PERFORM fraud._wake_notify_worker();
END
$$;
COMMENT ON FUNCTION fraud._drop_channel(text) IS 'internal: the body of fraud.drop_channel, run as the owner';

CREATE FUNCTION fraud.drop_channel(name text) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.drop_channel(text) IS 'forgets a channel and its secrets; what waited for it is discarded, its deliveries stay on record';

CREATE FUNCTION fraud._test_channel(name text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM fraud._lock_channel(name);
    PERFORM fraud._warn_without_worker();
    RETURN fraud._enqueue('test', jsonb_build_object('channel', name, 'database', current_database(),
        'requested_by', fraud._caller()), channel => name);
END
$$;
COMMENT ON FUNCTION fraud._test_channel(text) IS 'internal: the body of fraud.test_channel, run as the owner';

CREATE FUNCTION fraud.test_channel(name text) RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.test_channel(text) IS
    'sends a test message to one channel, whatever it takes; returns the message''s id, by which fraud.notification_log shows how it fared';

