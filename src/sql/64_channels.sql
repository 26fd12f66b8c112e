-- What a channel is, to whom messages of fraud.outbox go, and which cannot be.
CREATE TABLE fraud.channels (
    name text PRIMARY KEY CHECK (name ~ '^[A-Za-z0-9_.-]{1,63}$'),
    kind text NOT NULL CHECK (kind IN ('webhook', 'email', 'notify')),
    target text NOT NULL,
    takes text[] NOT NULL CHECK (takes <@ '{alert,report,health,warning}' AND takes <> '{}'),
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
    old_secret text,
    old_secret_until timestamptz,
    smtp_url text,
    smtp_user text,
    smtp_password text,
    sender text,
    starttls boolean NOT NULL,
    paused boolean NOT NULL DEFAULT false,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by name NOT NULL DEFAULT fraud._caller()
);
COMMENT ON TABLE fraud.channels IS
    'to whom messages go; target, headers, secret and password are secrets, so it is readable by its owner alone: read fraud.channel_status';
COMMENT ON COLUMN fraud.channels.target IS 'webhook: the URL; email: recipients, separated by commas; notify: the name that listeners LISTEN to';
COMMENT ON COLUMN fraud.channels.takes IS 'kinds of messages: alert, report, health, and with it warning: that health messages tell warnings, too';
COMMENT ON COLUMN fraud.channels.min_decision IS 'of alerts: the least decision';
COMMENT ON COLUMN fraud.channels.condition IS 'of alerts: a boolean SQL expression, evaluated with the rights of condition_by';
COMMENT ON COLUMN fraud.channels.condition_by IS 'the role that gave the condition';
COMMENT ON COLUMN fraud.channels.repeats IS 'of alerts: also those that join a case without making it severer';
COMMENT ON COLUMN fraud.channels.revisions IS 'of reports: also later revisions of a closed day';
COMMENT ON COLUMN fraud.channels.digest_interval IS 'alerts of such a time go together; null: each by itself';
COMMENT ON COLUMN fraud.channels.changed_at IS 'when it was altered, resumed, or a delivery of it asked for again: the notify worker begins with it anew';
COMMENT ON COLUMN fraud.channels.headers IS 'secret: request headers of a webhook, a JSON object of texts';
COMMENT ON COLUMN fraud.channels.smtp_password IS 'secret: of the mail server';
COMMENT ON COLUMN fraud.channels.secret IS 'secret: the key of a webhook''s signature';
COMMENT ON COLUMN fraud.channels.old_secret IS 'secret: the key before it, which signs beside it until old_secret_until';

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
    last_error_at timestamptz,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    urgent_mark bigint NOT NULL DEFAULT 0,
    turn_mark bigint NOT NULL DEFAULT 0,
    failing_condition text,
    condition_error text,
    condition_failing_since timestamptz
) WITH (fillfactor = 50);
COMMENT ON COLUMN fraud.channel_state.failing_condition IS 'the condition that failed when it was last asked; once the channel has another, nothing is known of it';
COMMENT ON COLUMN fraud.channel_state.condition_failing_since IS 'since when it has failed each time';
COMMENT ON TABLE fraud.channel_state IS 'the notify worker''s notes on each channel; read fraud.channel_status';
COMMENT ON COLUMN fraud.channel_state.hold_until IS 'nothing is sent until then: the receiver asked for it (Retry-After), or failed some times in a row';
COMMENT ON COLUMN fraud.channel_state.begun_at IS 'when it was added, or resumed after it came with a dump';
COMMENT ON COLUMN fraud.channel_state.urgent_mark IS 'notification_id to which all that is urgent has had its turn';
COMMENT ON COLUMN fraud.channel_state.turn_mark IS 'notification_id to which all that is not urgent has had its turn';

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
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bad text;
    address constant text := '^[A-Za-z0-9.!#$%&''*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$';
BEGIN
    IF channel.name !~ '^[A-Za-z0-9_.-]{1,63}$' THEN
        RAISE EXCEPTION 'invalid channel name "%"', fraud._mask_card_numbers(channel.name)
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'A name is 1 to 63 letters, digits, underscores, dots or dashes.';
    ELSIF channel.kind NOT IN ('webhook', 'email', 'notify') THEN
        RAISE EXCEPTION 'unknown kind of channel "%"', channel.kind
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The kinds are webhook, email and notify.';
    ELSIF NOT channel.takes <@ '{alert,report,health,warning}' OR cardinality(channel.takes) = 0 OR array_position(channel.takes, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'takes must list kinds of messages'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The kinds of messages are alert, report, health and warning.';
    ELSIF 'warning' = ANY (channel.takes) AND NOT 'health' = ANY (channel.takes) THEN
        RAISE EXCEPTION 'a channel that takes warning must take health'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Health messages tell errors; with warning they tell the warnings of fraud.health(), too.';
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
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave them out.';
    ELSIF channel.kind <> 'email' AND (channel.smtp_url IS NOT NULL OR channel.smtp_user IS NOT NULL OR channel.smtp_password IS NOT NULL OR channel.sender IS NOT NULL) THEN
        RAISE EXCEPTION 'smtp_url, smtp_user, smtp_password and sender are for e-mail, not for a channel of kind %', channel.kind
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave them out.';
    END IF;

    PERFORM fraud._check_name('channel', channel.name);
    CASE channel.kind
    WHEN 'webhook' THEN
        IF octet_length(channel.secret) NOT BETWEEN 16 AND 1000 THEN
            RAISE EXCEPTION 'the secret of channel "%" has % bytes, expected 16 to 1000', channel.name, octet_length(channel.secret)
                USING ERRCODE = 'invalid_parameter_value';
        ELSIF channel.secret ~ E'^[[:space:]\u00a0\u200b\ufeff]|[[:space:]\u00a0\u200b\ufeff]$' THEN
            RAISE EXCEPTION 'the secret of channel "%" begins or ends with white space', channel.name
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = 'It was copied with what stood around it; the receiver''s has none.';
        ELSIF strpos(lower(channel.secret), 'whsec_') > 0 AND NOT starts_with(channel.secret, 'whsec_')
              OR strpos(lower(substr(channel.secret, 2)), 'whsec_') > 0 THEN
            RAISE EXCEPTION 'the secret of channel "%" holds whsec_ elsewhere than at its start', channel.name
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = 'It was copied with what stood around it, or is two secrets; give one, and the one before it stays valid by keep_old_secret.';
        ELSIF starts_with(channel.secret, 'whsec_') AND substr(channel.secret, 7) !~ '^([A-Za-z0-9+/]{4})+([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$' THEN
            RAISE EXCEPTION 'the secret of channel "%" is not whsec_ and base64', channel.name
                USING ERRCODE = 'invalid_parameter_value',
                      DETAIL = 'After whsec_ only base64 with its padding is expected.',
                      HINT = 'Copy it again from the receiver; any text of 16 bytes that does not begin with whsec_ will do, too.';
        END IF;
        PERFORM fraud._check_headers(format('channel "%s"', channel.name), channel.headers,
            '{content-type,idempotency-key,webhook-id,webhook-timestamp,webhook-signature}');
        PERFORM fraud._check_template(channel.template);
        PERFORM fraud._check_destination(format('URL for channel "%s"', channel.name), channel.target, 'http,https',
            channel.headers, channel.secret IS NOT NULL);
    WHEN 'email' THEN
        IF channel.smtp_url IS NULL OR channel.sender IS NULL THEN
            RAISE EXCEPTION 'an e-mail channel needs smtp_url and sender'
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = 'For example: smtp_url => ''smtp://mail.example:587'', sender => ''fraud@example.com''.';
        ELSIF channel.smtp_url !~ '^[^/]*//[^/?#]*$' THEN
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
        PERFORM fraud._check_destination(format('smtp_url for channel "%s"', channel.name), channel.smtp_url, 'smtp,smtps', '{}', false);
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

-- Of a webhook the path is often the key, and a template can hold one.
CREATE FUNCTION fraud._shown_channel(channel fraud.channels, was fraud.channels DEFAULT NULL) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT to_jsonb(channel) - '{name,created_at,created_by,changed_at}'::text[]
        || jsonb_build_object('target', CASE channel.kind WHEN 'webhook' THEN fraud._shown_url(channel.target) ELSE channel.target END)
        || (SELECT jsonb_object_agg(s.key, CASE WHEN s.now IS NULL THEN NULL WHEN s.now = s.before OR was IS NULL THEN 'present' ELSE 'changed' END)
            FROM (VALUES ('secret', channel.secret, was.secret), ('old_secret', channel.old_secret, was.old_secret), ('smtp_user', channel.smtp_user, was.smtp_user),
                         ('smtp_password', channel.smtp_password, was.smtp_password),
                         ('template', channel.template::text, was.template::text)) s(key, now, before))
        || jsonb_build_object('headers', nullif(fraud._shown_secrets(channel.headers, was.headers), '{}'))
        -- Another key at the same host is a change too.
        || CASE WHEN channel.kind = 'webhook' AND channel.target <> was.target THEN '{"url": "changed"}' ELSE '{}'::jsonb END;
END;
COMMENT ON FUNCTION fraud._shown_channel(fraud.channels, fraud.channels) IS
    'internal: a channel as fraud.audit_log shows it: of secrets whether they are there, and whether they are others than before';
