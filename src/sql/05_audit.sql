-- ------------------------------------------------------------ audit log
-- Who did what, when. Written by the functions that do it, each by one call of
-- fraud._audit in the act's own transaction: no act that stays without its row, no row
-- of an act that was taken back. Not by triggers: tables that every node of a cluster
-- will hold have none.
CREATE TABLE fraud.audit_log (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    who name NOT NULL DEFAULT fraud._caller(),
    login name NOT NULL DEFAULT session_user,
    action text NOT NULL CHECK (action IN (
        'acknowledge', 'add', 'alter', 'assign', 'cancel', 'close', 'confirm', 'decide', 'delete', 'describe', 'dismiss', 'drop', 'erase',
        'export', 'grant', 'hold', 'import', 'label', 'limit', 'load', 'merge', 'note', 'pause', 'poll', 'preview', 'promote', 'purge', 'rebuild',
        'release', 'reopen', 'resume', 'retry', 'revoke', 'rollback', 'rotate', 'schedule', 'simulate', 'tag', 'take', 'test',
        'train', 'unschedule', 'warn')),
    object_kind text NOT NULL,
    object_name text,
    old jsonb,
    new jsonb,
    client inet DEFAULT inet_client_addr(),
    application text DEFAULT current_setting('application_name')
);
CREATE INDEX audit_log_at_idx ON fraud.audit_log (at);
CREATE INDEX audit_log_object_idx ON fraud.audit_log (object_kind, object_name);
COMMENT ON TABLE fraud.audit_log IS
    'who did what, when: rows are only added, and removed only by fraud.purge() past fraud_detect.audit_retention; docs/security.md lists what is noted';
COMMENT ON COLUMN fraud.audit_log.at IS 'when it was done, by the clock; it counts from that transaction''s commit';
COMMENT ON COLUMN fraud.audit_log.who IS 'the role that called';
COMMENT ON COLUMN fraud.audit_log.login IS 'the role that had logged in';
COMMENT ON COLUMN fraud.audit_log.action IS 'one verb: docs/security.md lists them';
COMMENT ON COLUMN fraud.audit_log.object_kind IS 'what it was done to: source, channel, model, case, customer, …';
COMMENT ON COLUMN fraud.audit_log.object_name IS 'its name; of a customer the card, of a payment its id, of a case its number';
COMMENT ON COLUMN fraud.audit_log.old IS
    'what was before, of a change only what is another now. Of URLs only the host is shown, of secrets only that they are there';
COMMENT ON COLUMN fraud.audit_log.new IS 'what is now, likewise';
COMMENT ON COLUMN fraud.audit_log.client IS 'address of the client; null: a unix socket, or a worker';
COMMENT ON COLUMN fraud.audit_log.application IS 'what the client calls itself';

CREATE FUNCTION fraud._audit(action text, kind text, name text, old jsonb DEFAULT NULL, new jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- What a ROLLBACK cannot take back is in the server's log whatever becomes of the row.
    IF action = 'export' THEN
        RAISE LOG 'fraud_detect: % "%" is exported by role "%"', kind, name, fraud._caller();
    END IF;
    old := fraud._mask_card_numbers(old);
    new := fraud._mask_card_numbers(new);
    INSERT INTO fraud.audit_log (action, object_kind, object_name, old, new)
    SELECT action, kind, fraud._mask_card_numbers(name),
           CASE WHEN new IS NULL THEN jsonb_strip_nulls(old) ELSE (SELECT jsonb_object_agg(o.key, o.value) FROM jsonb_each(old) o
                                                WHERE o.value <> coalesce(new -> o.key, 'null')) END,
           CASE WHEN old IS NULL THEN jsonb_strip_nulls(new) ELSE (SELECT jsonb_object_agg(n.key, n.value) FROM jsonb_each(new) n
                                                WHERE n.value <> coalesce(old -> n.key, 'null')) END;
END
$$;
COMMENT ON FUNCTION fraud._audit(text, text, text, jsonb, jsonb) IS
    'internal: notes an act in fraud.audit_log; of old and new, which are JSON objects without secrets, what is the same in both is left out, and of an object that came or went what it has not';

-- A URL's path and query may be a key, and so may what stands before an @.
CREATE FUNCTION fraud._shown_url(url text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce((SELECT concat(m[1], m[2], m[3], CASE WHEN length(url) > length(concat(m[1], m[2], m[3])) + 1 THEN '/…' END)
                     FROM regexp_match(url, '^([A-Za-z]+://)(?:[^/?#]*@)?(\[[0-9A-Fa-f:.]+\]|[^/?#@:]+)(:[0-9]+)?(?=$|[/?#])') m
                     WHERE m IS NOT NULL), '…');
END;
COMMENT ON FUNCTION fraud._shown_url(text) IS 'internal: a URL as others than the owner may see it: scheme, host and port';

-- Of a JSON object whose values are secrets: its keys, and which values are others than before.
CREATE FUNCTION fraud._shown_secrets(secrets jsonb, was jsonb DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(jsonb_object_agg(s.key, CASE WHEN s.value <> was -> s.key THEN 'changed' ELSE 'present' END), '{}') FROM jsonb_each(secrets) s;
END;
COMMENT ON FUNCTION fraud._shown_secrets(jsonb, jsonb) IS 'internal: the names in a JSON object, without the values, and which of these are others than before';

-- ------------------------------------------------- tables that only grow
CREATE FUNCTION fraud._append_only() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Where an argument names the column of free text, fraud.erase_customer, in whose
    -- transaction alone a customer is erased now, may change it and nothing else.
    IF TG_OP = 'UPDATE' AND TG_NARGS = 1 THEN
        IF to_jsonb(NEW) - TG_ARGV[0] = to_jsonb(OLD) - TG_ARGV[0]
           AND EXISTS (SELECT FROM fraud.customers c WHERE c.erased_at = now()) THEN
            RETURN NEW;
        END IF;
    END IF;
    -- An alert goes to the case that its own was merged into, and nowhere else.
    IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'alerts' THEN
        IF to_jsonb(NEW) - 'case_id' = to_jsonb(OLD) - 'case_id'
           AND EXISTS (SELECT FROM fraud.case_states c
                       WHERE c.card = (to_jsonb(OLD) ->> 'card')::uuid AND c.case_id = (to_jsonb(OLD) ->> 'case_id')::bigint
                         AND c.merged_into = (to_jsonb(NEW) ->> 'case_id')::bigint) THEN
            RETURN NEW;
        END IF;
    END IF;
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME IN ('labels', 'alerts', 'case_history') THEN
        IF fraud._is_past_record(TG_TABLE_NAME, to_jsonb(OLD)) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'rows of %.% cannot be changed or removed', TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'object_not_in_prerequisite_state',
              HINT = CASE TG_TABLE_NAME
                  WHEN 'promotions' THEN 'Promote another version, or call fraud.rollback.'
                  WHEN 'alerts' THEN 'Decide its case: fraud.dismiss_case, fraud.confirm_case.'
                  WHEN 'case_history' THEN 'Reopen the case, or decide it anew.'
                  WHEN 'currency_rates' THEN 'Set another rate with fraud.set_currency_rate.'
                  WHEN 'labels' THEN 'Record another label with fraud.label.'
                  WHEN 'event_labels' THEN 'Record another label with fraud.label_event.'
                  WHEN 'stream_case_history' THEN 'Decide the case anew.'
                  WHEN 'audit_log' THEN 'fraud.purge() removes what is older than fraud_detect.audit_retention.'
                  ELSE 'Import the changed model as another version.'
              END;
END
$$;
COMMENT ON FUNCTION fraud._append_only() IS 'internal: refuses what would rewrite history';

-- By its trigger, not by who deletes: nobody removes a younger row by mistake.
CREATE FUNCTION fraud._keep_audit_log() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    retention interval := coalesce(nullif(current_setting('fraud_detect.audit_retention', true), ''), '0')::interval;
BEGIN
    IF TG_OP = 'DELETE' AND retention > interval '0' AND OLD.at < now() - retention THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'rows of fraud.audit_log cannot be changed or removed'
        USING ERRCODE = 'object_not_in_prerequisite_state',
              HINT = 'fraud.purge() removes what is older than fraud_detect.audit_retention.';
END
$$;
COMMENT ON FUNCTION fraud._keep_audit_log() IS 'internal: refuses to change the audit log, and to remove what is not past its retention';
