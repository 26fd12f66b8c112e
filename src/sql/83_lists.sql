-- Lists: values of a field of payments, or of a column of a stream's table, each until a time, with who put it there and why. What was
-- in a list when is never forgotten: an entry that ends, or is taken out, stays as a row.
--
-- Workers only read them, straight by the index (src/pg/rules/list_lookup.cpp).
CREATE TABLE fraud.lists (
    list text COLLATE "C" PRIMARY KEY CHECK (list ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$'),
    field text COLLATE "C" NOT NULL,
    type text NOT NULL CHECK (type IN ('card', 'text', 'numeric', 'float8', 'bigint', 'boolean', 'timestamptz', 'inet', 'date', 'uuid')),
    description text,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by name NOT NULL DEFAULT fraud._caller(),
    stream text COLLATE "C" NOT NULL DEFAULT 'payments'
);
COMMENT ON TABLE fraud.lists IS 'lists of values of payments'' fields, and of columns of streams: fraud.create_list, fraud.add_to_list, fraud.in_list';
COMMENT ON COLUMN fraud.lists.field IS 'the column of fraud.payment_events that its values are of; customer: the card; of a stream a column of its table';
COMMENT ON COLUMN fraud.lists.stream IS 'whose field it is: payments, or a stream (fraud.streams)';
COMMENT ON COLUMN fraud.lists.type IS 'of the field; card: a customer, as fraud.customers.card';

CREATE TABLE fraud.list_entries (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    list text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL CHECK (octet_length(value) <= 2000),
    card uuid,
    added_at timestamptz NOT NULL DEFAULT now(),
    added_by name NOT NULL DEFAULT fraud._caller(),
    reason text,
    "until" timestamptz NOT NULL DEFAULT 'infinity',
    removed_at timestamptz,
    removed_by name,
    removed_reason text
) WITH (fillfactor = 90);
-- By value first: a payment finds all the lists that one of its values is in at once.
CREATE INDEX list_entries_value_idx ON fraud.list_entries (value, list);
CREATE INDEX list_entries_list_idx ON fraud.list_entries (list, entry_id);
CREATE INDEX list_entries_card_idx ON fraud.list_entries (card) WHERE card IS NOT NULL;
COMMENT ON TABLE fraud.list_entries IS 'what is in the lists, and what was: a value is in its list from added_at to the earlier of until and removed_at; fraud.list_values has what is in them now';
COMMENT ON COLUMN fraud.list_entries.value IS 'as fraud.in_list compares it: of numbers without trailing zeros, of a customer the card';
COMMENT ON COLUMN fraud.list_entries.card IS 'of a list of customers: the customer';
COMMENT ON COLUMN fraud.list_entries.reason IS 'why it was added; card numbers in it are masked';

CREATE VIEW fraud.list_values AS
    SELECT e.list, l.field, e.value, e.card, e.added_at, e.added_by, e.reason, e."until", e.entry_id, l.stream
    FROM fraud.list_entries e JOIN fraud.lists l USING (list)
    WHERE e.removed_at IS NULL AND e."until" > now();
COMMENT ON VIEW fraud.list_values IS 'what is in the lists now';

-- ------------------------------------------------------------ looking up
CREATE FUNCTION fraud.in_list(list text, value "any") RETURNS boolean
AS 'MODULE_PATHNAME', 'fraud_detect_in_list'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION fraud.in_list(text, "any") IS
    'whether the value is in the list now (as of the start of the transaction), by the index; false where the value is null. Errors: 42704, no such list';
CREATE FUNCTION fraud.in_list(list text, value "any", at timestamptz) RETURNS boolean
AS 'MODULE_PATHNAME', 'fraud_detect_in_list'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION fraud.in_list(text, "any", timestamptz) IS
    'whether the value was in the list at that time, by the list''s history; false where value or time is null. Errors: 42704, no such list';

-- ------------------------------------------------------------- fields
CREATE FUNCTION fraud._list_field_type(field text, stream text DEFAULT 'payments') RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE WHEN stream = 'payments' THEN coalesce(
        (SELECT b.type FROM (VALUES ('customer', 'card'), ('card', 'card'), ('merchant', 'text'), ('category', 'text'), ('currency', 'text'),
                                    ('transaction_id', 'text'), ('amount', 'numeric'), ('base_amount', 'numeric')) b(name, type)
         WHERE b.name = field),
        (SELECT f.type FROM fraud.payment_fields f WHERE f.name = field))
    ELSE (SELECT CASE WHEN t.oid IN ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'name'::regtype) THEN 'text'
                      WHEN t.oid IN ('smallint'::regtype, 'int'::regtype, 'bigint'::regtype) THEN 'bigint'
                      WHEN t.oid IN ('real'::regtype, 'float8'::regtype) THEN 'float8'
                      WHEN t.oid IN ('numeric'::regtype, 'boolean'::regtype, 'timestamptz'::regtype, 'inet'::regtype, 'date'::regtype, 'uuid'::regtype)
                      THEN CASE t.typname WHEN 'bool' THEN 'boolean' ELSE t.typname::text END
                      WHEN t.typtype = 'e' THEN 'text' END
          FROM fraud.streams n
          JOIN fraud.feature_sets s ON s.feature_set = n.stream
          JOIN pg_attribute a ON a.attrelid = s.events AND a.attname = field AND a.attnum > 0 AND NOT a.attisdropped
          JOIN pg_type d ON d.oid = a.atttypid
          JOIN pg_type t ON t.oid = CASE WHEN d.typtype = 'd' THEN d.typbasetype ELSE d.oid END
          WHERE n.stream = _list_field_type.stream) END;
END;
COMMENT ON FUNCTION fraud._list_field_type(text, text) IS 'internal: the type of a list of that field of payments, or column of a stream; null: there can be none';

CREATE FUNCTION fraud._customer_named(name text) RETURNS uuid
AS 'MODULE_PATHNAME', 'fraud_detect_customer_named'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud._customer_named(text) IS
    'internal: the card that a text names: a uuid, kind:id of a customer that is no secret (account:17), or a card number, which counts among the caller''s (fraud_detect.card_number_limit)';

-- The form in which values of a type are equal when they are the same text. Card numbers are kept
-- nowhere, so not here either.
CREATE FUNCTION fraud._list_value(list text, type text, value text) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, YMD'
SET timezone = 'UTC'
AS $$
DECLARE
    canonical text;
BEGIN
    IF value IS NULL THEN
        RAISE EXCEPTION 'a value of list "%" must not be null', list USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF type = 'card' THEN
        RETURN fraud._customer_named(value)::text;
    END IF;
    BEGIN
        canonical := CASE type
            WHEN 'numeric' THEN trim_scale(value::numeric)::text
            WHEN 'float8' THEN trim_scale(value::float8::numeric)::text
            WHEN 'bigint' THEN value::bigint::text
            WHEN 'boolean' THEN value::boolean::text
            WHEN 'timestamptz' THEN value::timestamptz::text
            WHEN 'inet' THEN value::inet::text
            WHEN 'date' THEN value::date::text
            WHEN 'uuid' THEN value::uuid::text
            ELSE value END;
    EXCEPTION WHEN data_exception THEN
        RAISE EXCEPTION 'invalid value "%" for list "%": %', fraud._mask_card_numbers(left(value, 100)), list, fraud._mask_card_numbers(SQLERRM)
            USING ERRCODE = 'invalid_parameter_value', HINT = format('The list is of type %s.', type);
    END;
    IF octet_length(canonical) > 2000 THEN
        RAISE EXCEPTION 'a value of list "%" has % bytes, expected at most 2000', list, octet_length(canonical)
            USING ERRCODE = 'string_data_right_truncation';
    ELSIF type IN ('text', 'numeric', 'float8', 'bigint') AND fraud._mask_card_numbers(canonical) <> canonical THEN
        RAISE EXCEPTION 'a value of list "%" may hold a card number', list
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'Card numbers are kept nowhere; in payments'' attributes they are masked.',
                  HINT = 'Customers are listed by a list of field "customer".';
    END IF;
    RETURN canonical;
END
$$;
COMMENT ON FUNCTION fraud._list_value(text, text, text) IS 'internal: a value as its list keeps it';

CREATE FUNCTION fraud._check_reason(reason text, what text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(reason, '') !~ '[^[:space:]]' THEN
        RAISE EXCEPTION '% needs a reason', what
            USING ERRCODE = 'invalid_parameter_value', HINT = 'It is kept beside who did it and when.';
    ELSIF length(reason) > 10000 THEN
        RAISE EXCEPTION 'the reason has % characters, expected at most 10000', length(reason) USING ERRCODE = 'string_data_right_truncation';
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._check_reason(text, text) IS 'internal: refuses an act without a reason';

CREATE FUNCTION fraud._check_written_name(kind text, name text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF name !~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$' OR fraud._mask_card_numbers(name) <> name THEN
        RAISE EXCEPTION 'invalid % name "%"', kind, fraud._mask_card_numbers(left(name, 200))
            USING ERRCODE = 'invalid_name', DETAIL = 'A name is a letter or underscore, then up to 62 letters, digits, underscores, dots or dashes.';
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._check_written_name(text, text) IS 'internal: refuses what is no name of a list or rule';

CREATE FUNCTION fraud._no_such(kind text, name text, hint text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF name IS NULL THEN
        RAISE EXCEPTION 'the % must not be null', kind USING ERRCODE = 'null_value_not_allowed', HINT = hint;
    END IF;
    RAISE EXCEPTION '% "%" does not exist', kind, fraud._mask_card_numbers(left(name, 200)) USING ERRCODE = 'undefined_object', HINT = hint;
END
$$;
COMMENT ON FUNCTION fraud._no_such(text, text, text) IS 'internal: says that there is no list or rule of that name';

-- ------------------------------------------------------- making, dropping
CREATE FUNCTION fraud._create_list(list text, field text, description text, stream text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_type text := fraud._list_field_type(field, stream);
BEGIN
    IF num_nulls(list, field, stream) > 0 THEN
        RAISE EXCEPTION 'list, field and stream must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM fraud._check_written_name('list', list);
    IF stream <> 'payments' AND NOT EXISTS (SELECT FROM fraud.streams s WHERE s.stream = _create_list.stream) THEN
        PERFORM fraud._no_such('stream', stream, 'fraud.stream_status lists the streams; fraud.watch makes one.');
    ELSIF stream <> 'payments' AND NOT EXISTS (SELECT FROM fraud.feature_sets f JOIN pg_class c ON c.oid = f.events WHERE f.feature_set = _create_list.stream) THEN
        RAISE EXCEPTION 'the feature set of stream "%", or its table, is gone', stream
            USING ERRCODE = 'undefined_table', DETAIL = 'A list of a stream is of a column of its table.', HINT = 'fraud.stream_status has the state of each stream; fraud.create_feature_set and fraud.watch make it anew.';
    ELSIF of_type IS NULL THEN
        RAISE EXCEPTION 'there is no field "%" that a list can be of', fraud._mask_card_numbers(left(field, 200))
            USING ERRCODE = 'undefined_column',
                  HINT = CASE stream WHEN 'payments'
                         THEN 'Fields are customer, merchant, category, currency, transaction_id, amount, base_amount and those of fraud.payment_fields (fraud.add_payment_field).'
                         ELSE 'Fields of a stream are the columns of its table that are texts, enums, numbers, boolean, timestamptz, date, uuid or inet.' END;
    END IF;
    INSERT INTO fraud.lists (list, field, type, description, stream)
    VALUES (list, CASE WHEN stream = 'payments' AND field = 'card' THEN 'customer' ELSE field END, of_type, fraud._kept_text(description), stream)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'list "%" exists already', list
            USING ERRCODE = 'duplicate_object', HINT = 'fraud.lists has all lists; fraud.add_to_list adds to one.';
    END IF;
    PERFORM fraud._audit('add', 'list', list, NULL, jsonb_build_object('field', field, 'description', fraud._kept_text(description))
        || CASE WHEN stream <> 'payments' THEN jsonb_build_object('stream', stream) ELSE '{}' END);
END
$$;
COMMENT ON FUNCTION fraud._create_list(text, text, text, text) IS 'internal: the body of fraud.create_list, run as the owner';
CREATE FUNCTION fraud.create_list(list text, field text, description text DEFAULT NULL, stream text DEFAULT 'payments') RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.create_list(text, text, text, text) IS
    'makes a list of values of a field: customer (by card), merchant, category, currency, transaction_id, amount, base_amount, or one of fraud.payment_fields; or of a column of a stream''s table. Errors: 42602 the name, 42703 no such field, 42704 no such stream, 42P01 its table or feature set is gone, 42710 it exists';

CREATE FUNCTION fraud._drop_list(list text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    used text;
    gone fraud.lists;
BEGIN
    -- Who is about to have a rule use it holds it, and is waited for.
    PERFORM FROM fraud.lists l WHERE l.list = _drop_list.list FOR UPDATE;
    SELECT string_agg(format('"%s"', r.rule), ', ' ORDER BY r.rule) INTO used
    FROM fraud.rules r JOIN fraud.rule_versions v ON v.rule = r.rule AND v.version IN (r.enforced_version, r.observed_version)
    WHERE _drop_list.list = ANY (v.lists);
    IF used IS NOT NULL THEN
        RAISE EXCEPTION 'list "%" is used by rules', list
            USING ERRCODE = 'dependent_objects_still_exist', DETAIL = format('Rules: %s.', used),
                  HINT = 'Change or drop them first: fraud.alter_rule, fraud.drop_rule.';
    END IF;
    DELETE FROM fraud.lists l WHERE l.list = _drop_list.list RETURNING * INTO gone;
    IF NOT FOUND THEN
        PERFORM fraud._no_such('list', list, 'fraud.lists has all lists.');
    END IF;
    DELETE FROM fraud.list_entries e WHERE e.list = _drop_list.list;
    PERFORM fraud._rules_changed(s.stream) FROM fraud.rule_sets s ORDER BY s.stream;
    PERFORM fraud._audit('drop', 'list', list, jsonb_build_object('field', gone.field, 'description', gone.description));
END
$$;
COMMENT ON FUNCTION fraud._drop_list(text) IS 'internal: the body of fraud.drop_list, run as the owner';
CREATE FUNCTION fraud.drop_list(list text) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.drop_list(text) IS
    'drops a list with its history; refused (2BP01) while a rule that is enforced or observed uses it. Errors: 42704 no such list';

-- -------------------------------------------------------- adding, removing
-- A list that comes with a field, block_device or allow_merchant, and its rule are made when
-- somebody first lists something: where nobody does, a payment looks at neither.
CREATE FUNCTION fraud._ensure_list(list text) RETURNS fraud.lists
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_list fraud.lists;
    part text[];
BEGIN
    SELECT * INTO found_list FROM fraud.lists l WHERE l.list = _ensure_list.list FOR KEY SHARE;
    IF FOUND THEN
        RETURN found_list;
    END IF;
    part := regexp_match(list, '^(allow|block)_(.+)$');
    IF part IS NULL OR part[2] = 'card' OR fraud._list_field_type(part[2]) IS NULL THEN
        PERFORM fraud._no_such('list', list,
            'fraud.create_list makes one. allow_FIELD and block_FIELD come by themselves for customer, merchant and each field of fraud.payment_fields.');
    END IF;
    INSERT INTO fraud.lists (list, field, type, description)
    VALUES (list, part[2], fraud._list_field_type(part[2]), format('%ss payments by their %s', part[1], part[2]))
    ON CONFLICT DO NOTHING;
    -- Else somebody has made both at the same moment.
    IF FOUND THEN
        PERFORM fraud._add_list_rule(list, part[1], part[2]);
    END IF;
    SELECT * INTO found_list FROM fraud.lists l WHERE l.list = _ensure_list.list;
    RETURN found_list;
END
$$;
COMMENT ON FUNCTION fraud._ensure_list(text) IS 'internal: a list by its name; one that comes with a field is made, with its rule';

-- Entries are locked in one order, so that of two who list the same values one waits for the other, and neither for both.
CREATE FUNCTION fraud._end_entries(list text, named text[], why text) RETURNS bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH locked AS MATERIALIZED (
        SELECT e.entry_id FROM fraud.list_entries e
        WHERE e.list = _end_entries.list AND e.value = ANY (named) AND e.removed_at IS NULL AND e."until" > now()
        ORDER BY e.value, e.entry_id FOR NO KEY UPDATE),
    ended AS (
        UPDATE fraud.list_entries e SET removed_at = now(), removed_by = fraud._caller(), removed_reason = why
        FROM locked l WHERE e.entry_id = l.entry_id RETURNING e.entry_id)
    SELECT count(*) FROM ended;
END;
COMMENT ON FUNCTION fraud._end_entries(text, text[], text) IS 'internal: ends what the list has of these values, which stays as history; returns how many entries';

CREATE FUNCTION fraud._add_to_list(list text, "values" text[], "until" timestamptz, reason text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ends timestamptz := coalesce("until", 'infinity');
    of_list fraud.lists;
    named text[];
    kept_reason text := fraud._kept_text(reason);
    added bigint;
BEGIN
    IF num_nulls(list, "values") > 0 THEN
        RAISE EXCEPTION 'list and values must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF ends <= now() THEN
        RAISE EXCEPTION 'until is %, which is past', ends
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give a time to come, such as now() + ''7 days'', or null for no end.';
    END IF;
    PERFORM fraud._check_reason(reason, 'what is listed');
    of_list := fraud._ensure_list(list);
    SELECT array_agg(DISTINCT fraud._list_value(list, of_list.type, v)) INTO named FROM unnest("values") v;
    -- A value that is listed already gets the new end and reason: its old entry ends, as history.
    PERFORM fraud._end_entries(list, named, 'listed anew');
    INSERT INTO fraud.list_entries (list, value, card, reason, "until")
    SELECT _add_to_list.list, n, CASE of_list.type WHEN 'card' THEN n::uuid END, kept_reason, ends FROM unnest(named) n;
    GET DIAGNOSTICS added = ROW_COUNT;
    -- Why something is listed may say whose it is: that stays with the entry, where erasure finds it.
    PERFORM fraud._audit('add', 'list_entry', list, NULL,
        jsonb_build_object('entries', added, 'until', nullif(ends, 'infinity'))
        || CASE WHEN cardinality(named) = 1 AND of_list.type = 'card' THEN jsonb_build_object('card', named[1])
                WHEN cardinality(named) = 1 THEN jsonb_build_object('value', named[1]) ELSE '{}' END);
    RETURN added;
END
$$;
COMMENT ON FUNCTION fraud._add_to_list(text, text[], timestamptz, text) IS 'internal: the body of fraud.add_to_list, run as the owner';
CREATE FUNCTION fraud.add_to_list(list text, "values" text[], "until" timestamptz DEFAULT NULL, reason text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.add_to_list(text, text[], timestamptz, text) IS
    'lists values, of a query too (ARRAY(SELECT …)), until a time (null: no end), with a reason; returns how many. A value that is listed already gets the new end and reason. Errors: 42704 no such list, 22023 a value that does not fit the field, may hold a card number, an end that is past, no reason';

CREATE FUNCTION fraud._add_to_list(list text, value text, "until" timestamptz, reason text) RETURNS bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT fraud._add_to_list(list, ARRAY[value], "until", reason); END;
COMMENT ON FUNCTION fraud._add_to_list(text, text, timestamptz, text) IS 'internal: the body of fraud.add_to_list, run as the owner';
CREATE FUNCTION fraud.add_to_list(list text, value text, "until" timestamptz DEFAULT NULL, reason text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.add_to_list(text, text, timestamptz, text) IS
    'lists one value, until a time (null: no end), with a reason; of a list of customers a card (uuid), kind:id, or a card number, of which only the card is kept. fraud.add_to_list(''block_device'', …) blocks payments by a field. Errors as of the form for many';

CREATE FUNCTION fraud._remove_from_list(list text, value text, reason text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_list fraud.lists;
    named text;
    removed boolean;
BEGIN
    PERFORM fraud._check_reason(reason, 'what is taken from a list');
    SELECT * INTO of_list FROM fraud.lists l WHERE l.list = _remove_from_list.list;
    IF NOT FOUND THEN
        PERFORM fraud._no_such('list', list, 'fraud.lists has all lists.');
    END IF;
    named := fraud._list_value(list, of_list.type, value);
    removed := fraud._end_entries(list, ARRAY[named], fraud._kept_text(reason)) > 0;
    IF removed THEN
        PERFORM fraud._audit('drop', 'list_entry', list,
            CASE WHEN of_list.type <> 'card' THEN jsonb_build_object('value', named) ELSE '{}' END,
            CASE of_list.type WHEN 'card' THEN jsonb_build_object('card', named) ELSE '{}' END);
    END IF;
    RETURN removed;
END
$$;
COMMENT ON FUNCTION fraud._remove_from_list(text, text, text) IS 'internal: the body of fraud.remove_from_list, run as the owner';
CREATE FUNCTION fraud.remove_from_list(list text, value text, reason text) RETURNS boolean
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.remove_from_list(text, text, text) IS
    'takes a value out of a list from now on, with a reason; its entry stays as history. Returns whether it was in it. Errors: 42704 no such list';
