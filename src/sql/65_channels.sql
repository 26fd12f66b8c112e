-- Channels: what people call.
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
    channel.changed_at := clock_timestamp();
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
    PERFORM fraud._move_in();
    INSERT INTO fraud.channel_state (name) VALUES (name);
    PERFORM fraud._audit('add', 'channel', name, NULL, fraud._shown_channel(channel));
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
    reset text[],
    keep_old_secret interval
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    resettable constant text[] := '{condition,digest_interval,max_per_minute,headers,template,secret,old_secret,smtp_user,smtp_password}';
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
    IF secret IS NOT NULL OR reset && '{secret,old_secret}' THEN
        channel.old_secret := NULL;
        channel.old_secret_until := NULL;
    END IF;
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
    IF keep_old_secret IS NOT NULL THEN
        IF secret IS NULL OR before.secret IS NULL OR secret = before.secret OR channel.target <> before.target THEN
            RAISE EXCEPTION 'keep_old_secret needs a secret other than the one that channel "%" has, for the same target', name
                USING ERRCODE = 'invalid_parameter_value';
        ELSIF keep_old_secret <= interval '0' OR keep_old_secret > interval '1 year' THEN
            RAISE EXCEPTION 'keep_old_secret must be more than 0 and at most 1 year, not %', keep_old_secret
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
        channel.old_secret := before.secret;
        channel.old_secret_until := clock_timestamp() + keep_old_secret;
    -- What another receiver gets must not pass for a message to the one before.
    ELSIF channel.target <> before.target AND secret IS NULL AND channel.secret IS NOT NULL THEN
        channel.secret := NULL;
        channel.old_secret := NULL;
        channel.old_secret_until := NULL;
    END IF;
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

    IF channel.target <> before.target AND before.secret IS NOT NULL AND channel.secret IS NULL AND NOT coalesce('secret' = ANY (reset), false) THEN
        RAISE NOTICE 'the secret of channel "%" is dropped with its target: messages are no longer signed', name
            USING HINT = 'Give secret together with another target.';
    END IF;
    UPDATE fraud.channels c
    SET target = channel.target, takes = channel.takes, min_decision = channel.min_decision, condition = channel.condition,
        condition_by = channel.condition_by, repeats = channel.repeats, revisions = channel.revisions,
        digest_interval = channel.digest_interval, max_per_minute = channel.max_per_minute, headers = channel.headers,
        template = channel.template, secret = channel.secret, old_secret = channel.old_secret,
        old_secret_until = channel.old_secret_until, smtp_url = channel.smtp_url, smtp_user = channel.smtp_user,
        smtp_password = channel.smtp_password, sender = channel.sender, starttls = channel.starttls,
        changed_at = clock_timestamp()
    WHERE c.name = channel.name;
    PERFORM fraud._audit('alter', 'channel', name, fraud._shown_channel(before), fraud._shown_channel(channel, before));
    PERFORM fraud._readdress(channel);
    PERFORM fraud._wake_notify_worker();
END
$$;
COMMENT ON FUNCTION fraud._alter_channel(text, text, text[], text, text, boolean, interval, int, jsonb, jsonb, text, text, text, text, text, boolean, boolean, text[], interval) IS 'internal: the body of fraud.alter_channel, run as the owner';

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
    reset text[] DEFAULT '{}',
    keep_old_secret interval DEFAULT NULL
) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.alter_channel(text, text, text[], text, text, boolean, interval, int, jsonb, jsonb, text, text, text, text, text, boolean, boolean, text[], interval) IS
    'changes a channel from COMMIT on; with keep_old_secret the secret before the new one signs beside it for that long. Its deliveries, dead ones too, stay, and what waits is sent as the channel is then. What is not given stays; reset names what is to be as if it had never been given, before what is given is set';

CREATE FUNCTION fraud._pause_channel(name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM fraud._lock_channel(name);
    PERFORM fraud._audit('pause', 'channel', c.name, jsonb_build_object('paused', c.paused), '{"paused": true}')
    FROM fraud.channels c WHERE c.name = _pause_channel.name;
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
    PERFORM fraud._audit('resume', 'channel', c.name, jsonb_build_object('paused', c.paused),
        jsonb_build_object('paused', false, 'discard_waiting', coalesce(discard_waiting, false)))
    FROM fraud.channels c WHERE c.name = _resume_channel.name;
    UPDATE fraud.channels c SET paused = false, changed_at = clock_timestamp() WHERE c.name = _resume_channel.name;
    PERFORM fraud._move_in();
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
    PERFORM fraud._audit('drop', 'channel', c.name, fraud._shown_channel(c)) FROM fraud.channels c WHERE c.name = _drop_channel.name;
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
    PERFORM fraud._audit('test', 'channel', name);
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

