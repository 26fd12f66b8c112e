-- Fields that payments bring beside those with a name here, as columns of fraud.payment_events:
-- by name, in a type, indexed on request. What is promoted is how a value of the attributes is
-- read; the value stays where it is. So it is there for all payments at once, nothing waits for
-- a lock on fraud.transactions, and a dump carries it (docs/decisions.md).

CREATE FUNCTION fraud._attribute_text(attributes jsonb, path jsonpath) RETURNS text
AS 'MODULE_PATHNAME', 'fraud_detect_attribute_text' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud._attribute_text(jsonb, jsonpath) IS 'internal: the first value at a path; null of objects and arrays, and of more than 2000 bytes';
CREATE FUNCTION fraud._attribute_numeric(attributes jsonb, path jsonpath) RETURNS numeric
AS 'MODULE_PATHNAME', 'fraud_detect_attribute_numeric' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud._attribute_numeric(jsonb, jsonpath) IS 'internal: the first value at a path, if it is a number, or a text that is one';
CREATE FUNCTION fraud._attribute_float8(attributes jsonb, path jsonpath) RETURNS float8
AS 'MODULE_PATHNAME', 'fraud_detect_attribute_float8' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud._attribute_float8(jsonb, jsonpath) IS 'internal: as fraud._attribute_numeric, of those within 1e300';
CREATE FUNCTION fraud._attribute_bigint(attributes jsonb, path jsonpath) RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_attribute_bigint' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud._attribute_bigint(jsonb, jsonpath) IS 'internal: as fraud._attribute_numeric, of whole ones';
CREATE FUNCTION fraud._attribute_boolean(attributes jsonb, path jsonpath) RETURNS boolean
AS 'MODULE_PATHNAME', 'fraud_detect_attribute_boolean' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud._attribute_boolean(jsonb, jsonpath) IS 'internal: the first value at a path, if it says yes or no: true, t, yes, y, 1 and their contraries';
CREATE FUNCTION fraud._attribute_timestamptz(attributes jsonb, path jsonpath) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'fraud_detect_attribute_timestamptz' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud._attribute_timestamptz(jsonb, jsonpath) IS
    'internal: the first value at a path, if it is a time: ISO 8601, in UTC unless an offset follows, or an epoch in seconds or milliseconds';
CREATE FUNCTION fraud._attribute_inet(attributes jsonb, path jsonpath) RETURNS inet
AS 'MODULE_PATHNAME', 'fraud_detect_attribute_inet' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud._attribute_inet(jsonb, jsonpath) IS 'internal: the first value at a path, if it is an IP address';

CREATE TABLE fraud.payment_fields (
    name text COLLATE "C" PRIMARY KEY CHECK (name ~ '^[a-z_][a-z0-9_]{0,62}$'),
    type text NOT NULL CHECK (type IN ('text', 'numeric', 'float8', 'bigint', 'boolean', 'timestamptz', 'inet')),
    path jsonpath NOT NULL,
    indexed boolean NOT NULL,
    "position" int GENERATED ALWAYS AS IDENTITY,
    added_at timestamptz NOT NULL DEFAULT now(),
    added_by name NOT NULL DEFAULT fraud._caller()
);
COMMENT ON TABLE fraud.payment_fields IS 'columns of fraud.payment_events that come from attributes: fraud.add_payment_field';
COMMENT ON COLUMN fraud.payment_fields.path IS 'where the value is in fraud.transactions.attributes; of several the first counts';
COMMENT ON COLUMN fraud.payment_fields.indexed IS 'whether each month has an index on (it, occurred_at, transaction_id)';
COMMENT ON COLUMN fraud.payment_fields."position" IS 'orders the columns';

CREATE FUNCTION fraud._field_expression(type text, path jsonpath, of_row text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT format('fraud._attribute_%s(%sattributes, %L::jsonpath)', type, coalesce(of_row || '.', ''), path); END;
COMMENT ON FUNCTION fraud._field_expression(text, jsonpath, text) IS 'internal: how a field is read';

-- What stands in a SELECT list for all of them, each after a comma.
CREATE FUNCTION fraud._field_columns(of_row text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(string_agg(format(', %s AS %I', fraud._field_expression(f.type, f.path, of_row), f.name), '' ORDER BY f.position), '')
    FROM fraud.payment_fields f;
END;
COMMENT ON FUNCTION fraud._field_columns(text) IS 'internal: the fields as columns of a row that has attributes';

-- Of the view, and of a partition where that is read by itself (src/pg/features/partition_events.h).
CREATE FUNCTION fraud._payment_event_columns() RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 't.card, t.transaction_id, t.occurred_at, t.amount, t.merchant, t.category,'
           ' t.merchant_latitude, t.merchant_longitude, t.home_latitude, t.home_longitude,'
           ' t.city_population, t.age,'
           ' coalesce(t.is_fraud, false) AS is_fraud, t.label_known_at, t.label_changes,'
           ' t.currency, t.base_amount, t.attributes' || fraud._field_columns('t');
END;
COMMENT ON FUNCTION fraud._payment_event_columns() IS 'internal: the columns of fraud.payment_events, as a select list over rows of fraud.transactions called t';

CREATE FUNCTION fraud._show_payment_fields() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE 'CREATE OR REPLACE VIEW fraud.payment_events AS SELECT ' || fraud._payment_event_columns() || ' FROM fraud.transactions t';
END
$$;
COMMENT ON FUNCTION fraud._show_payment_fields() IS 'internal: makes fraud.payment_events, with the fields';

CREATE FUNCTION fraud._describe_payment_events() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    COMMENT ON VIEW fraud.payment_events IS
        'payments with their latest label, for the feature set payments, and the fields of fraud.payment_fields; what nobody has labelled counts as legitimate';
    COMMENT ON COLUMN fraud.payment_events.amount IS 'as paid, in its currency: sums and comparisons are of base_amount';
    COMMENT ON COLUMN fraud.payment_events.label_known_at IS 'from when the label counts; null: it is nobody''s';
    COMMENT ON COLUMN fraud.payment_events.label_changes IS 'fraud.transactions.label_changes';
    COMMENT ON COLUMN fraud.payment_events.card IS 'the customer: fraud.customers.card';
    COMMENT ON COLUMN fraud.payment_events.transaction_id IS 'the payment''s own id, unique for its card';
    COMMENT ON COLUMN fraud.payment_events.occurred_at IS 'the payment''s own time';
    COMMENT ON COLUMN fraud.payment_events.merchant IS 'to whom was paid';
    COMMENT ON COLUMN fraud.payment_events.category IS 'the payment''s category';
    COMMENT ON COLUMN fraud.payment_events.merchant_latitude IS 'of the merchant, degrees';
    COMMENT ON COLUMN fraud.payment_events.merchant_longitude IS 'of the merchant, degrees';
    COMMENT ON COLUMN fraud.payment_events.home_latitude IS 'of the customer''s home as the payment said, degrees';
    COMMENT ON COLUMN fraud.payment_events.home_longitude IS 'of the customer''s home as the payment said, degrees';
    COMMENT ON COLUMN fraud.payment_events.city_population IS 'inhabitants of the home city as the payment said';
    COMMENT ON COLUMN fraud.payment_events.age IS 'the customer''s age at the payment, years';
    COMMENT ON COLUMN fraud.payment_events.is_fraud IS 'whether it is known to be fraud; false where nobody has said';
    COMMENT ON COLUMN fraud.payment_events.currency IS 'ISO 4217';
    COMMENT ON COLUMN fraud.payment_events.base_amount IS 'the amount in fraud_detect.base_currency';
    COMMENT ON COLUMN fraud.payment_events.attributes IS 'the payment''s fields that have no column';
END
$$;
COMMENT ON FUNCTION fraud._describe_payment_events() IS 'internal: the comments of fraud.payment_events';
SELECT fraud._show_payment_fields(), fraud._describe_payment_events();

-- Where a dump is restored, the columns come with the rows. (A view of a user's over one of them
-- is made before: docs/payments.md.)
CREATE FUNCTION fraud._restore_payment_fields() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM fraud._show_payment_fields();
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION fraud._restore_payment_fields() IS 'internal: shows the fields that were added';
CREATE TRIGGER show_fields AFTER INSERT ON fraud.payment_fields
    FOR EACH STATEMENT EXECUTE FUNCTION fraud._restore_payment_fields();

CREATE FUNCTION fraud._check_field_path(path jsonpath) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_check_field_path'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud._check_field_path(jsonpath) IS 'internal: refuses a path whose time grows faster than the payment';

CREATE FUNCTION fraud._index_payment_field(month text, name text, type text, path jsonpath) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET default_tablespace = ''
AS $$
BEGIN
    PERFORM set_config('default_tablespace', fraud._tablespace_of(format('fraud.%I', month)::regclass), true);
    EXECUTE format('CREATE INDEX %I ON fraud.%I ((fraud.%I(attributes, %L::jsonpath)), occurred_at, transaction_id)',
                   -- Names that begin alike have room for what tells them apart.
                   month || '_field_' || CASE WHEN length(name) > 30 THEN left(name, 21) || '_' || left(md5(name), 8) ELSE name END, month, '_attribute_' || type, path);
END
$$;
COMMENT ON FUNCTION fraud._index_payment_field(text, text, text, jsonpath) IS 'internal: makes the index of a field on a month';

-- Payments read the view: whoever waits for it has them wait behind him.
CREATE FUNCTION fraud._add_payment_field(name text, type text, path text, index boolean) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    of_type text := CASE lower(type) WHEN 'double precision' THEN 'float8' WHEN 'int8' THEN 'bigint' WHEN 'bool' THEN 'boolean'
                         WHEN 'timestamp with time zone' THEN 'timestamptz' WHEN 'decimal' THEN 'numeric' ELSE lower(type) END;
    place jsonpath;
BEGIN
    IF num_nulls(name, type, index) > 0 THEN
        RAISE EXCEPTION 'name, type and index must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF name !~ '^[a-z_][a-z0-9_]{0,62}$' THEN
        RAISE EXCEPTION 'invalid field name "%"', name
            USING ERRCODE = 'invalid_name',
                  DETAIL = 'A name is 1 to 63 small letters, digits and underscores, and begins with none of the digits.';
    ELSIF of_type NOT IN ('text', 'numeric', 'float8', 'bigint', 'boolean', 'timestamptz', 'inet') THEN
        RAISE EXCEPTION 'a field cannot be of type "%"', type
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The types are text, numeric, float8, bigint, boolean, timestamptz and inet.';
    END IF;
    PERFORM fraud._check_name('payment field', name);
    BEGIN
        place := coalesce(path, format('$.%s', to_json(name)))::jsonpath;
    EXCEPTION WHEN syntax_error OR invalid_text_representation THEN
        RAISE EXCEPTION 'path "%" is no JSONPath', fraud._mask_card_numbers(path)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'For example: $.device.id, or $."user-agent".';
    END;
    IF fraud._mask_card_numbers(place::text) <> place::text THEN
        RAISE EXCEPTION 'path "%" may hold a card number', fraud._mask_card_numbers(path)
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Card numbers are kept nowhere; in payments'' attributes they are masked, in names of members too.';
    END IF;
    -- In a jsonpath's own text a dollar sign stands right before a quoted name where that is a variable.
    IF regexp_replace(place::text, E'"(\\\\.|[^"\\\\])*"', '""', 'g') ~ E'\\$""' THEN
        RAISE EXCEPTION 'path "%" has a variable, which nobody gives a value', path
            USING ERRCODE = 'invalid_parameter_value', HINT = 'A member is found by a point: $.device.id.';
    END IF;
    PERFORM fraud._check_field_path(place);
    -- Whoever makes a month (fraud._ensure_partition) takes this too, and so makes the index of it.
    LOCK TABLE fraud.transactions IN SHARE UPDATE EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = 'fraud.payment_events'::regclass AND a.attname = name AND NOT a.attisdropped) THEN
        RAISE EXCEPTION 'column "%" of fraud.payment_events is there already', name
            USING ERRCODE = 'duplicate_column', HINT = 'fraud.payment_fields lists the fields; fraud.drop_payment_field drops one.';
    END IF;
    -- The present month last: payments of a month wait while its index is made. The view, which all
    -- read, after that.
    IF index THEN
        PERFORM fraud._index_payment_field(c.relname, name, of_type, place)
        FROM (SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
              WHERE i.inhparent = 'fraud.transactions'::regclass ORDER BY c.relname OFFSET 0) c;
    END IF;
    INSERT INTO fraud.payment_fields (name, type, path, indexed) VALUES (name, of_type, place, index);
    UPDATE fraud.feature_sets s SET revision = gen_random_uuid() WHERE s.feature_set = 'payments' AND s.builtin;
    PERFORM fraud._audit('add', 'payment_field', name, NULL, jsonb_build_object('type', of_type, 'path', place::text, 'index', index));
END
$$;
COMMENT ON FUNCTION fraud._add_payment_field(text, text, text, boolean) IS 'internal: the body of fraud.add_payment_field, run as the owner';

CREATE FUNCTION fraud.add_payment_field(name text, type text, path text DEFAULT NULL, index boolean DEFAULT false) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.add_payment_field(text, text, text, boolean) IS
    'shows a value of the payments'' attributes as a column of fraud.payment_events, of past payments too: for features, window keys, categories and queries. type: text, numeric, float8, bigint, boolean, timestamptz or inet; path: JSONPath, by default $.name; index: an index on (it, occurred_at, transaction_id) for each month, whose payments wait while it is made. What does not fit the type is null, as is a text of more than 2000 bytes or a number of more than 1000 digits (fraud.payment_field_values counts them)';

CREATE FUNCTION fraud._drop_payment_field(name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    gone fraud.payment_fields;
    old_view oid := 'fraud.payment_events'::regclass;
    grants text[];
    part text;
    used text;
BEGIN
    LOCK TABLE fraud.transactions IN SHARE UPDATE EXCLUSIVE MODE;
    DELETE FROM fraud.payment_fields f WHERE f.name = _drop_payment_field.name RETURNING * INTO gone;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'payment field "%" does not exist', name
            USING ERRCODE = 'undefined_column', HINT = 'fraud.payment_fields lists the fields.';
    END IF;
    SELECT string_agg(format('"%s"', d.feature), ', ' ORDER BY d.position) INTO used
    FROM fraud.feature_definitions d
    WHERE d.feature_set = 'payments'
      AND (gone.name = ANY (d.columns)
           OR concat_ws(' ', d.expression, d.filter, array_to_string(d.key, ' '), array_to_string(d.value, ' ')) ~ format('(^|[^[:alnum:]_$])"?%s"?($|[^[:alnum:]_$])', gone.name));
    IF used IS NOT NULL THEN
        RAISE EXCEPTION 'payment field "%" is used by features', name
            USING ERRCODE = 'dependent_objects_still_exist', DETAIL = format('Features: %s.', used),
                  HINT = 'Drop them first: SELECT fraud.drop_feature(''payments'', …).';
    END IF;
    -- A view's column can be taken out only with the view: CASCADE would take what others made of it.
    SELECT string_agg(DISTINCT r.ev_class::regclass::text, ', ') INTO used
    FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = old_view AND r.ev_class <> old_view;
    IF used IS NOT NULL THEN
        RAISE EXCEPTION 'payment field "%" cannot be dropped while views read fraud.payment_events', name
            USING ERRCODE = 'dependent_objects_still_exist', DETAIL = format('Views: %s.', used),
                  HINT = 'Drop them, drop the field, and make them again.';
    END IF;
    grants := ARRAY(SELECT format('GRANT %s ON fraud.payment_events TO %s%s', x.privilege_type,
                                  CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END,
                                  CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
                    FROM pg_class c, LATERAL aclexplode(c.relacl) x WHERE c.oid = old_view AND x.grantee <> c.relowner);
    ALTER EXTENSION fraud_detect DROP VIEW fraud.payment_events;
    DROP VIEW fraud.payment_events;
    PERFORM fraud._show_payment_fields(), fraud._describe_payment_events();
    PERFORM fraud._withdraw_default_privileges('fraud.payment_events');
    ALTER EXTENSION fraud_detect ADD VIEW fraud.payment_events;
    FOREACH part IN ARRAY grants LOOP
        EXECUTE part;
    END LOOP;
    UPDATE fraud.feature_sets s SET events = 'fraud.payment_events', revision = gen_random_uuid() WHERE s.events = old_view;
    FOR part IN SELECT c.relname || '_field_' || CASE WHEN length(gone.name) > 30 THEN left(gone.name, 21) || '_' || left(md5(gone.name), 8) ELSE gone.name END FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE gone.indexed AND i.inhparent = 'fraud.transactions'::regclass LOOP
        EXECUTE format('DROP INDEX IF EXISTS fraud.%I', part);
    END LOOP;
    SELECT string_agg(DISTINCT format('"%s"', l.rule), ', ') INTO used FROM fraud._live_rules('payments') l
    WHERE l.expression ~ format('(^|[^[:alnum:]_$])"?%s"?($|[^[:alnum:]_$])', gone.name);
    IF used IS NOT NULL THEN
        RAISE WARNING 'rules fail from now on, since they name payment field "%": %', name, used
            USING HINT = 'fraud.alter_rule gives them another condition, fraud.drop_rule ends them.';
    END IF;
    PERFORM fraud._audit('drop', 'payment_field', name, jsonb_build_object('type', gone.type, 'path', gone.path::text, 'index', gone.indexed));
END
$$;
COMMENT ON FUNCTION fraud._drop_payment_field(text) IS 'internal: the body of fraud.drop_payment_field, run as the owner';

CREATE FUNCTION fraud.drop_payment_field(name text) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.drop_payment_field(text) IS
    'takes a field out of fraud.payment_events, with its indexes; the values stay in the attributes. Refused while a feature, or a view of a user''s, uses it; rules that name it fail from then on, and are named';

CREATE FUNCTION fraud._payment_field_values(
    name text, "from" timestamptz, "to" timestamptz,
    OUT payments bigint, OUT given bigint, OUT fitting bigint, OUT misfit text)
RETURNS record
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    field fraud.payment_fields;
BEGIN
    PERFORM fraud._check_period("from", "to");
    SELECT * INTO field FROM fraud.payment_fields f WHERE f.name = _payment_field_values.name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'payment field "%" does not exist', name
            USING ERRCODE = 'undefined_column', HINT = 'fraud.payment_fields lists the fields.';
    END IF;
    EXECUTE format(
        'SELECT count(*), count(*) FILTER (WHERE v.given), count(*) FILTER (WHERE v.given AND v.fits),
                (array_agg(left(v.value::text, 100)) FILTER (WHERE v.given AND NOT v.fits))[1]
         FROM (SELECT jsonb_path_query_first(t.attributes, %1$L::jsonpath, ''{}'', true) AS value,
                      coalesce(jsonb_path_query_first(t.attributes, %1$L::jsonpath, ''{}'', true) <> ''null'', false) AS given,
                      %2$s IS NOT NULL AS fits
               FROM fraud.transactions t WHERE t.occurred_at >= $1 AND t.occurred_at < $2) v',
        field.path, fraud._field_expression(field.type, field.path, 't'))
    INTO payments, given, fitting, misfit USING "from", "to";
END
$$;
COMMENT ON FUNCTION fraud._payment_field_values(text, timestamptz, timestamptz) IS
    'internal: the body of fraud.payment_field_values, run as its caller';

CREATE FUNCTION fraud.payment_field_values(
    name text, "from" timestamptz DEFAULT '-infinity', "to" timestamptz DEFAULT 'infinity',
    OUT payments bigint, OUT given bigint, OUT fitting bigint, OUT misfit text)
RETURNS record
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.payment_field_values(text, timestamptz, timestamptz) IS
    'of the payments of [from, to): how many there are, how many give the field, in how many it fits its type, and one value that does not; reads all of them, with the caller''s rights';
