-- ------------------------------------------------- the keys of card numbers
-- One key is in use. fraud.rotate_card_key() retires it, and it stays in force, so that
-- numbers are found by it, until it is destroyed. A restored dump brings its keys beside
-- the one that CREATE EXTENSION has just made: fraud._card_key_in_use() tells them apart.
CREATE FUNCTION fraud._card_key_id(key bytea) RETURNS uuid
AS 'MODULE_PATHNAME', 'fraud_detect_card_key_id'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud._card_key_id(bytea) IS 'internal: what a key is known by, a hash under it of a text that is no number';

CREATE TABLE fraud.card_keys (
    key_id uuid PRIMARY KEY,
    key bytea CHECK (octet_length(key) >= 32),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at timestamptz,
    destroyed_at timestamptz,
    CHECK (destroyed_at IS NULL OR (key IS NULL AND retired_at IS NOT NULL))
);
COMMENT ON TABLE fraud.card_keys IS
    'secret: the keys that card numbers are hashed under. Readable by its owner alone';
COMMENT ON COLUMN fraud.card_keys.key_id IS
    'the check value: HMAC-SHA256 under the key of a text that is no number, as a UUID; so a file''s key is known again, and a changed one is not taken for it';
COMMENT ON COLUMN fraud.card_keys.key IS 'at least 32 random bytes; null: in a file of fraud_detect.card_key_file, or destroyed';
COMMENT ON COLUMN fraud.card_keys.retired_at IS 'when another took its place; null: in use';
COMMENT ON COLUMN fraud.card_keys.destroyed_at IS 'when it and its hashes were destroyed; null: in force';

-- Two random UUIDs hold 244 bits from the server's strong random source.
INSERT INTO fraud.card_keys (key_id, key)
SELECT fraud._card_key_id(n.key), n.key
FROM (SELECT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) AS key OFFSET 0) n;

-- No foreign keys: every node of a cluster holds the keys, one the row of a hash.
CREATE TABLE fraud.customer_ids (
    kind text NOT NULL CHECK (kind = 'card'),
    key_id uuid NOT NULL,
    hash uuid NOT NULL,
    card uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, key_id, hash)
);
CREATE INDEX customer_ids_card_idx ON fraud.customer_ids (card);
COMMENT ON TABLE fraud.customer_ids IS
    'which customer a card number is: the number''s hash under each key in force that it was stored under. Readable by its owner alone';
COMMENT ON COLUMN fraud.customer_ids.kind IS 'what was hashed: card, a card number, or what is as secret, after its kind (iban:…)';
COMMENT ON COLUMN fraud.customer_ids.key_id IS 'the key: fraud.card_keys.key_id';
COMMENT ON COLUMN fraud.customer_ids.hash IS 'the first 16 bytes of HMAC-SHA256(key, digits), as a UUID (version 8)';
COMMENT ON COLUMN fraud.customer_ids.card IS 'the customer: fraud.customers.card';

-- Of several that are not retired, only one has hashes; where none has, the oldest is as
-- good as any, and the same for all sessions.
CREATE FUNCTION fraud._card_key_in_use() RETURNS uuid
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT k.key_id FROM fraud.card_keys k
    WHERE k.retired_at IS NULL
    ORDER BY EXISTS (SELECT FROM fraud.customer_ids i WHERE i.kind = 'card' AND i.key_id = k.key_id) DESC,
             k.created_at, k.key_id
    LIMIT 1;
END;
COMMENT ON FUNCTION fraud._card_key_in_use() IS 'internal: the key that new hashes are made with';

CREATE FUNCTION fraud._card_key_files() RETURNS TABLE (key_id uuid, file text, fault text)
AS 'MODULE_PATHNAME', 'fraud_detect_card_key_files'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 2;
COMMENT ON FUNCTION fraud._card_key_files() IS 'internal: the files that fraud_detect.card_key_file names, and the keys in them';

CREATE FUNCTION fraud._card_key_fault() RETURNS text
AS 'MODULE_PATHNAME', 'fraud_detect_card_key_fault'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud._card_key_fault() IS 'internal: why card numbers cannot be hashed; null: they can';

CREATE FUNCTION fraud._card_key_retention() RETURNS interval
AS 'MODULE_PATHNAME', 'fraud_detect_card_key_retention'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud._card_key_retention() IS
    'internal: fraud_detect.card_key_retention, from the library itself: what a session without it has set is not taken';

-- The one place from which what is done to keys, and what the watch noticed, is noted.
CREATE FUNCTION fraud._note_of_cards(action text, kind text, name text, detail jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- In the server's log too, which a dump does not carry.
    RAISE LOG 'fraud_detect: % of % "%": %', action, kind, name, detail;
    PERFORM fraud._audit(action, kind, name, NULL, detail);
END
$$;
COMMENT ON FUNCTION fraud._note_of_cards(text, text, text, jsonb) IS 'internal: notes what is done to keys of card numbers, and who tries numbers';

CREATE FUNCTION fraud._destroy_hashes(key_id uuid) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hashes bigint;
BEGIN
    UPDATE fraud.card_keys k SET key = NULL, destroyed_at = clock_timestamp()
    WHERE k.key_id = _destroy_hashes.key_id AND k.destroyed_at IS NULL;
    IF FOUND THEN
        PERFORM fraud._note_of_cards('drop', 'card key', key_id::text, NULL);
    END IF;
    DELETE FROM fraud.customer_ids i WHERE i.kind = 'card' AND i.key_id = _destroy_hashes.key_id;
    GET DIAGNOSTICS hashes = ROW_COUNT;
    RETURN hashes;
END
$$;
COMMENT ON FUNCTION fraud._destroy_hashes(uuid) IS 'internal: destroys a key and its hashes; returns how many';

CREATE FUNCTION fraud._rotate_card_key(old_is_lost boolean) RETURNS uuid
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5s'
AS $$
DECLARE
    old fraud.card_keys;
    files uuid[];
    fresh uuid[];
    new_key bytea;
    new_id uuid;
BEGIN
    IF old_is_lost IS NULL THEN
        RAISE EXCEPTION 'old_is_lost must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    -- One at a time; payments only read the table and go on.
    LOCK TABLE fraud.card_keys IN SHARE ROW EXCLUSIVE MODE;
    SELECT k.* INTO old FROM fraud.card_keys k WHERE k.key_id = fraud._card_key_in_use();
    IF NOT FOUND THEN
        RAISE EXCEPTION 'fraud.card_keys holds no key'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Restore its rows from a backup.';
    END IF;
    DECLARE
        fault text := (SELECT f.fault FROM fraud._card_key_files() f WHERE f.fault IS NOT NULL LIMIT 1);
    BEGIN
        IF fault IS NOT NULL THEN
            RAISE EXCEPTION '%', fault
                USING ERRCODE = 'config_file_error',
                      HINT = 'Every file that fraud_detect.card_key_file names must hold a key of 32 to 4096 bytes.';
        END IF;
    END;
    SELECT array_agg(f.key_id), array_agg(f.key_id) FILTER (WHERE NOT EXISTS (SELECT FROM fraud.card_keys k WHERE k.key_id = f.key_id))
    INTO files, fresh FROM (SELECT DISTINCT f.key_id FROM fraud._card_key_files() f) f;
    IF old.key IS NULL AND NOT old.key_id = ANY (coalesce(files, '{}')) AND NOT old_is_lost THEN
        RAISE EXCEPTION 'fraud_detect.card_key_file does not hold the card key in use'
            USING ERRCODE = 'config_file_error',
                  DETAIL = 'Numbers are found by the old key until they have come again: without it, every customer would become a stranger.',
                  HINT = 'Name the old file and the new one, separated by a comma. If the old key is lost: fraud.rotate_card_key(old_is_lost => true).';
    ELSIF cardinality(files) > 0 AND fresh IS NULL THEN
        RAISE EXCEPTION 'fraud_detect.card_key_file names no file with a new key'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'The keys in its files are in use, or were before.',
                  HINT = 'Write a new key to another file, name it beside the old one, separated by a comma, reload, and call this again.';
    ELSIF cardinality(fresh) > 1 THEN
        RAISE EXCEPTION 'fraud_detect.card_key_file names % files with new keys', cardinality(fresh)
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Name one file with a new key beside the old one.';
    END IF;
    IF fresh IS NULL THEN
        new_key := sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
        new_id := fraud._card_key_id(new_key);
    ELSE
        new_id := fresh[1];
    END IF;
    -- What CREATE EXTENSION made before a restore was never in use.
    DELETE FROM fraud.card_keys k WHERE k.retired_at IS NULL AND k.key_id <> old.key_id;
    UPDATE fraud.card_keys k SET retired_at = clock_timestamp() WHERE k.key_id = old.key_id;
    INSERT INTO fraud.card_keys (key_id, key) VALUES (new_id, new_key);
    PERFORM fraud._note_of_cards('rotate', 'card key', new_id::text,
                                 jsonb_build_object('before', old.key_id, 'in_file', new_key IS NULL, 'old_is_lost', old_is_lost));
    IF old_is_lost THEN
        PERFORM fraud._destroy_hashes(old.key_id);
    END IF;
    RETURN new_id;
END
$$;
COMMENT ON FUNCTION fraud._rotate_card_key(boolean) IS 'internal: the body of fraud.rotate_card_key, run as its caller';

CREATE FUNCTION fraud.rotate_card_key(old_is_lost boolean DEFAULT false) RETURNS uuid
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.rotate_card_key(boolean) IS
    'puts a new key of card numbers in use, a random one or that of the one new file in fraud_detect.card_key_file, and retires the old, by which numbers are found until it is destroyed; customers keep their card. old_is_lost: the old key''s file is gone, so all numbers are found no more. Returns the new key''s id. For the owner';

CREATE FUNCTION fraud._destroy_card_key(key_id uuid) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known fraud.card_keys;
BEGIN
    SELECT k.* INTO known FROM fraud.card_keys k WHERE k.key_id = _destroy_card_key.key_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'card key "%" does not exist', key_id
            USING ERRCODE = 'undefined_object', HINT = 'fraud.card_keys lists them.';
    ELSIF known.retired_at IS NULL THEN
        RAISE EXCEPTION 'card key "%" is in use', key_id
            USING ERRCODE = 'object_in_use', HINT = 'Put another in its place first: SELECT fraud.rotate_card_key().';
    END IF;
    RETURN fraud._destroy_hashes(key_id);
END
$$;
COMMENT ON FUNCTION fraud._destroy_card_key(uuid) IS 'internal: the body of fraud.destroy_card_key, run as its caller';

CREATE FUNCTION fraud.destroy_card_key(key_id uuid) RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.destroy_card_key(uuid) IS
    'destroys a retired key of card numbers and the hashes under it: numbers that were not stored since it was retired are found no more, and come as new customers. Returns how many hashes went. For the owner';

CREATE FUNCTION fraud._destroy_old_card_keys() RETURNS bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- Those that were destroyed too: a payment under way may have written hashes since.
    SELECT coalesce(sum(fraud._destroy_hashes(k.key_id)), 0)::bigint FROM fraud.card_keys k
    WHERE k.destroyed_at IS NOT NULL
       OR (fraud._card_key_retention() > interval '0' AND k.retired_at < now() - fraud._card_key_retention());
END;
COMMENT ON FUNCTION fraud._destroy_old_card_keys() IS
    'internal: destroys the keys retired longer ago than fraud_detect.card_key_retention; returns how many hashes went';

-- ------------------------------------------------- who tries card numbers
CREATE FUNCTION fraud._number_alarms()
RETURNS TABLE (kind text, role_name text, last_four text, first_at timestamptz, last_at timestamptz)
AS 'MODULE_PATHNAME', 'fraud_detect_number_alarms'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;
COMMENT ON FUNCTION fraud._number_alarms() IS
    'internal: who asked for more numbers than allowed, and which numbers that begin and end alike came in numbers, since the server started';

CREATE FUNCTION fraud._card_health() RETURNS TABLE (item text, status text, detail text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    fault text := fraud._card_key_fault();
    fresh text;
BEGIN
    IF fault IS NULL THEN
        SELECT min(f.file) INTO fresh FROM fraud._card_key_files() f
        WHERE NOT EXISTS (SELECT FROM fraud.card_keys k WHERE k.key_id = f.key_id);
    END IF;
    RETURN QUERY SELECT 'card key',
        CASE WHEN fault IS NOT NULL THEN 'error' WHEN fresh IS NOT NULL AND i.used THEN 'warning' ELSE 'ok' END,
        CASE WHEN fault IS NOT NULL THEN fault || ': payments by card number cannot be stored'
             WHEN fresh IS NOT NULL AND i.used THEN 'a file of fraud_detect.card_key_file is not in use: call fraud.rotate_card_key()'
             WHEN nullif(current_setting('fraud_detect.card_key_file', true), '') IS NOT NULL THEN 'from a file'
             ELSE 'in fraud.card_keys: in every backup too' END
            || coalesce((SELECT format(', %s retired', count(*)) FROM fraud.card_keys k
                         WHERE k.retired_at IS NOT NULL AND k.destroyed_at IS NULL HAVING count(*) > 0), '')
    FROM (SELECT EXISTS (SELECT FROM fraud.customer_ids) AS used) i;
    RETURN QUERY SELECT 'card numbers', CASE WHEN bool_or(a.kind IS NOT NULL) THEN 'warning' ELSE 'ok' END,
        coalesce(string_agg(DISTINCT
            CASE a.kind WHEN 'limit' THEN format('role "%s" asked for more different numbers than fraud_detect.card_number_limit', coalesce(a.role_name, '?'))
                        ELSE format('more numbers that begin and end alike than fraud_detect.card_number_warning came from role "%s": somebody may be trying them out', coalesce(a.role_name, '?')) END, '; '),
            'nobody has tried many in the last 24 hours')
    FROM fraud._number_alarms() a WHERE a.last_at > now() - interval '1 day';
END
$$;
COMMENT ON FUNCTION fraud._card_health() IS 'internal: the items of fraud.health() on card numbers';
