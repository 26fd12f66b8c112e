-- ------------------------------------------------------- feature sets
-- Expressions are kept as Postgres prints them, with every name qualified; they are
-- parsed again under a pinned search_path. Roles are kept by name: a dump may be
-- restored where the role does not exist (yet).
CREATE TABLE fraud.feature_sets (
    feature_set text PRIMARY KEY CHECK (feature_set ~ '^[A-Za-z0-9_.-]{1,63}$'),
    events regclass NOT NULL,
    event_id text NOT NULL,
    event_time text NOT NULL,
    label text,
    label_known_at text,
    label_delay interval NOT NULL,
    label_changes text,
    create_indexes boolean NOT NULL,
    last_position int NOT NULL DEFAULT 0,
    description text,
    defined_by name DEFAULT fraud._caller(),
    created_at timestamptz NOT NULL DEFAULT now(),
    revision uuid NOT NULL DEFAULT gen_random_uuid(),
    builtin boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE fraud.feature_sets IS 'feature sets: which events, their id, time and label';
COMMENT ON COLUMN fraud.feature_sets.events IS 'the table or view with one row an event';
COMMENT ON COLUMN fraud.feature_sets.event_id IS 'expression; orders events of the same time';
COMMENT ON COLUMN fraud.feature_sets.event_time IS 'expression: timestamptz, or timestamp in UTC';
COMMENT ON COLUMN fraud.feature_sets.label IS 'expression: boolean; null where it is not known';
COMMENT ON COLUMN fraud.feature_sets.label_known_at IS 'expression: from when the label counts';
COMMENT ON COLUMN fraud.feature_sets.label_delay IS 'the label counts from event_time + label_delay where label_known_at is not given or null';
COMMENT ON COLUMN fraud.feature_sets.label_changes IS
    'expression, timestamptz[]: of an event whose label turned more than once, the times at which it turned true, false, true and so on; null or empty: label and label_known_at tell it';
COMMENT ON COLUMN fraud.feature_sets.create_indexes IS 'whether fraud.add_window_feature makes the index that its key needs';
COMMENT ON COLUMN fraud.feature_sets.last_position IS 'of the feature that was added last: positions are not used again';
COMMENT ON COLUMN fraud.feature_sets.defined_by IS 'the role whose rights the expressions have; null: the extension''s owner';
COMMENT ON COLUMN fraud.feature_sets.revision IS 'another one after each change';

CREATE TABLE fraud.feature_definitions (
    feature_set text NOT NULL,
    position int NOT NULL CHECK (position > 0),
    feature text NOT NULL CHECK (feature ~ '^[A-Za-z_][A-Za-z0-9_]{0,62}$'),
    kind text NOT NULL CHECK (kind IN ('number', 'category', 'code')),
    expression text,
    aggregate text,
    value text[],
    key text[],
    "window" interval,
    delay interval,
    filter text,
    include_current boolean,
    columns text[] NOT NULL,
    reason text,
    description text,
    PRIMARY KEY (feature_set, position),
    UNIQUE (feature_set, feature),
    CHECK ((expression IS NULL) <> (aggregate IS NULL)),
    CHECK ((aggregate IS NULL) = (key IS NULL) AND (aggregate IS NULL) = ("window" IS NULL)
           AND (aggregate IS NULL) = (delay IS NULL) AND (aggregate IS NULL) = (include_current IS NULL))
);
COMMENT ON TABLE fraud.feature_definitions IS
    'the features of each set, in vector order: an expression over the event''s row, or an aggregate over a window';
COMMENT ON COLUMN fraud.feature_definitions.position IS 'orders the vector; numbers of dropped features are not used again';
COMMENT ON COLUMN fraud.feature_definitions.kind IS
    'number; category: a code that XGBoost treats as a category; code: a code that it treats as a number';
COMMENT ON COLUMN fraud.feature_definitions.expression IS 'of a local feature';
COMMENT ON COLUMN fraud.feature_definitions.aggregate IS 'of a window feature';
COMMENT ON COLUMN fraud.feature_definitions.value IS 'what is aggregated; latitude and longitude for distance and speed';
COMMENT ON COLUMN fraud.feature_definitions.key IS 'the window holds events with the same values of these';
COMMENT ON COLUMN fraud.feature_definitions."window" IS 'its width; it ends at the event''s time - delay';
COMMENT ON COLUMN fraud.feature_definitions.filter IS 'only events for which it is true count';
COMMENT ON COLUMN fraud.feature_definitions.include_current IS 'whether the event itself counts';
COMMENT ON COLUMN fraud.feature_definitions.columns IS 'columns of the events that value and filter read';
COMMENT ON COLUMN fraud.feature_definitions.reason IS 'how the feature is said in words: docs/features.md';

CREATE TABLE fraud.feature_categories (
    feature_set text NOT NULL,
    feature text NOT NULL,
    code int NOT NULL CHECK (code >= 0),
    category text NOT NULL,
    PRIMARY KEY (feature_set, feature, code),
    UNIQUE (feature_set, feature, category)
);
COMMENT ON TABLE fraud.feature_categories IS
    'the codes of categorical features; they are only added, so that a code keeps its meaning. What has no code is missing';

CREATE VIEW fraud.feature_catalog AS
    SELECT s.feature_set, s.events, f.position, f.feature, f.kind,
           CASE
               WHEN f.expression IS NOT NULL THEN f.expression
               ELSE concat(f.aggregate, '(', coalesce(array_to_string(f.value, ', '), '*'), ')',
                           ' of ', array_to_string(f.key, ', '), ' over ', f."window",
                           CASE WHEN f.delay <> '0' THEN concat(' until ', f.delay, ' before') END,
                           CASE WHEN f.filter IS NOT NULL THEN concat(' where ', f.filter) END,
                           CASE WHEN f.include_current THEN ', this event included' END)
           END AS definition,
           (SELECT count(*) FROM fraud.feature_categories c
            WHERE c.feature_set = f.feature_set AND c.feature = f.feature) AS categories,
           f.description, f.reason
    FROM fraud.feature_sets s JOIN fraud.feature_definitions f USING (feature_set);
COMMENT ON VIEW fraud.feature_catalog IS 'every feature of every set in words, in vector order by position';
COMMENT ON COLUMN fraud.feature_catalog.definition IS 'the expression, or the aggregate, its key and its window';
COMMENT ON COLUMN fraud.feature_catalog.categories IS 'how many values have a code';

CREATE FUNCTION fraud.create_feature_set(
    name text,
    events regclass,
    event_id text,
    event_time text,
    label text DEFAULT NULL,
    label_delay interval DEFAULT '0',
    label_known_at text DEFAULT NULL,
    create_indexes boolean DEFAULT false,
    description text DEFAULT NULL,
    label_changes text DEFAULT NULL
) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_create_feature_set'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.create_feature_set(text, regclass, text, text, text, interval, text, boolean, text, text) IS
    'declares a set of features over a table of events: id, time and label are expressions over its row; create_indexes makes the indexes that fraud.features needs as window features are added';

CREATE FUNCTION fraud.add_feature(
    feature_set text,
    feature text,
    expression text,
    kind text DEFAULT NULL,
    categories text[] DEFAULT NULL,
    description text DEFAULT NULL,
    reason text DEFAULT NULL
) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_add_feature'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.add_feature(text, text, text, text, text[], text, text) IS
    'adds a feature that is a SQL expression over the event''s row; text becomes a category, whose codes are those of categories, or of what the events hold now';

CREATE FUNCTION fraud.add_window_feature(
    feature_set text,
    feature text,
    aggregate text,
    value text,
    key text,
    "window" interval,
    delay interval DEFAULT '0',
    filter text DEFAULT NULL,
    include_current boolean DEFAULT false,
    description text DEFAULT NULL,
    reason text DEFAULT NULL
) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_add_window_feature'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.add_window_feature(text, text, text, text, text, interval, interval, text, boolean, text, text) IS
    'adds a feature over the events with the same key in (t - delay - window, t - delay]: count, sum, avg, min, max, stddev, distinct, last, seconds_since_last, rate, ratio, zscore, distance or speed';

CREATE FUNCTION fraud._expression_columns(feature_set text, expression text) RETURNS text[]
AS 'MODULE_PATHNAME', 'fraud_detect_expression_columns'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION fraud._expression_columns(text, text) IS 'internal: the columns that an expression of a feature set reads';

CREATE FUNCTION fraud._add_column_features(
    feature_set text,
    columns text[],
    leave_out text[],
    max_categories int
) RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    set_row fraud.feature_sets;
    missing text;
    c record;
    used text[];
    values bigint;
    added int := 0;
    skipped text := '';
BEGIN
    IF leave_out IS NULL OR max_categories IS NULL THEN
        RAISE EXCEPTION 'leave_out and max_categories must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    SELECT * INTO set_row FROM fraud.feature_sets s WHERE s.feature_set = _add_column_features.feature_set;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'feature set "%" does not exist', feature_set
            USING ERRCODE = 'undefined_object', HINT = 'fraud.feature_sets lists the feature sets.';
    END IF;
    SELECT n.name INTO missing FROM unnest(coalesce(columns, '{}') || leave_out) n(name)
    WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = set_row.events AND a.attname = n.name AND a.attnum > 0 AND NOT a.attisdropped);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'the events of feature set "%" have no column "%"', feature_set, missing
            USING ERRCODE = 'undefined_column',
                  HINT = (SELECT format('They have %s.', string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum))
                          FROM pg_attribute a WHERE a.attrelid = set_row.events AND a.attnum > 0 AND NOT a.attisdropped);
    END IF;
    -- What tells the event, its time or its label is no feature of it unless it is asked for.
    SELECT coalesce(array_agg(x), '{}') INTO used
    FROM unnest(ARRAY[set_row.event_id, set_row.event_time, set_row.label, set_row.label_known_at, set_row.label_changes]) e,
         unnest(fraud._expression_columns(set_row.feature_set, e)) x;
    FOR c IN
        SELECT a.attname AS name, t.typcategory IN ('N', 'B') AS is_number, t.typcategory IN ('S', 'E') AS is_text,
               regexp_replace(regexp_replace(a.attname, '[^A-Za-z0-9_]', '_', 'g'), '^(?=[0-9])', '_') AS feature
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = set_row.events AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> ALL (leave_out)
          AND CASE WHEN columns IS NULL THEN a.attname <> ALL (used) ELSE a.attname = ANY (columns) END
        ORDER BY coalesce(array_position(columns, a.attname::text), a.attnum)
    LOOP
        IF NOT c.is_number AND NOT c.is_text THEN
            skipped := skipped || format(', %s (neither number nor text)', quote_ident(c.name));
            CONTINUE;
        ELSIF c.is_text THEN
            EXECUTE format('SELECT count(*) FROM (SELECT DISTINCT %1$I FROM %2$s WHERE %1$I IS NOT NULL LIMIT $1) d', c.name, set_row.events)
                INTO values USING max_categories + 1;
            IF values > max_categories THEN
                skipped := skipped || format(', %s (more than %s different values)', quote_ident(c.name), max_categories);
                CONTINUE;
            END IF;
        END IF;
        BEGIN
            PERFORM fraud.add_feature(set_row.feature_set, CASE WHEN c.feature IN ('event_id', 'event_time', 'label') THEN '_' ELSE '' END || c.feature, quote_ident(c.name));
            added := added + 1;
        EXCEPTION WHEN invalid_parameter_value OR feature_not_supported THEN
            -- Values that may be card numbers are no categories; what is generated when it is read is no feature.
            skipped := skipped || format(', %s (%s)', quote_ident(c.name), SQLERRM);
        END;
    END LOOP;
    IF skipped <> '' THEN
        RAISE NOTICE 'left out of feature set "%": %', feature_set, substr(skipped, 3)
            USING HINT = 'fraud.add_feature adds an expression over them, fraud.add_window_feature takes them for keys.';
    END IF;
    RETURN added;
END
$$;
COMMENT ON FUNCTION fraud._add_column_features(text, text[], text[], int) IS
    'internal: the body of fraud.add_column_features, run as its caller';

CREATE FUNCTION fraud.add_column_features(
    feature_set text,
    columns text[] DEFAULT NULL,
    leave_out text[] DEFAULT '{}',
    max_categories int DEFAULT 1000
) RETURNS int
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.add_column_features(text, text[], text[], int) IS
    'adds a feature for each of the columns, by their names (what is no letter, digit or underscore becomes one, and one goes before a name that is reserved: event_id, event_time, label); null: all but those that id, time and label read and those of leave_out. Numbers and booleans are numbers, text of at most max_categories different values becomes a category; a notice says what was left out. Returns how many were added';

CREATE FUNCTION fraud.add_categories(feature_set text, feature text, categories text[] DEFAULT NULL) RETURNS int
AS 'MODULE_PATHNAME', 'fraud_detect_add_categories'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.add_categories(text, text, text[]) IS
    'gives codes to categories that have none: those named, or those that the events hold now; returns how many';

CREATE FUNCTION fraud.drop_feature(feature_set text, feature text) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_drop_feature'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.drop_feature(text, text) IS 'takes a feature out of a set';

CREATE FUNCTION fraud.drop_feature_set(feature_set text) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_drop_feature_set'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.drop_feature_set(text) IS 'drops a feature set; the events stay as they are';

CREATE FUNCTION fraud.materialize_features(
    feature_set text,
    "into" text,
    "from" timestamptz DEFAULT '-infinity',
    "to" timestamptz DEFAULT 'infinity'
) RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_materialize_features'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.materialize_features(text, text, timestamptz, timestamptz) IS
    'makes a table with event_id, event_time, label and one real column a feature for the events at from <= time < to; returns how many';

CREATE FUNCTION fraud.features(feature_set text, event record) RETURNS jsonb
AS 'MODULE_PATHNAME', 'fraud_detect_features'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION fraud.features(text, record) IS
    'the features of one event, stored or not, as of its own time: an object that fraud_score takes';

CREATE FUNCTION fraud.verify_parity(
    feature_set text,
    sample int DEFAULT 1000,
    OUT event_id text,
    OUT event_time timestamptz,
    OUT feature text,
    OUT offline float4,
    OUT online float4
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'fraud_detect_verify_parity'
LANGUAGE C STABLE PARALLEL UNSAFE COST 1000000;
COMMENT ON FUNCTION fraud.verify_parity(text, int) IS
    'the features of a sample of the events whose value differs, in any bit, between the pass over all events and fraud.features: there must be none';

-- The definition as an object: what it takes to compute the features again.
CREATE FUNCTION fraud._feature_set_definition(feature_set text) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET extra_float_digits = 1
AS $$
DECLARE
    result jsonb;
BEGIN
    SELECT jsonb_build_object(
        'feature_set', s.feature_set, 'events', s.events::text, 'event_id', s.event_id,
        'event_time', s.event_time, 'label', s.label, 'label_known_at', s.label_known_at, 'label_changes', s.label_changes,
        'label_delay', extract(epoch FROM s.label_delay)::float8,
        'features', coalesce((
            SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                'feature', f.feature, 'kind', f.kind, 'expression', f.expression,
                'aggregate', f.aggregate, 'value', f.value, 'key', f.key,
                'window', extract(epoch FROM f."window")::float8, 'delay', extract(epoch FROM f.delay)::float8,
                'filter', f.filter, 'include_current', f.include_current,
                'categories', (SELECT jsonb_agg(c.category ORDER BY c.code) FROM fraud.feature_categories c
                               WHERE c.feature_set = f.feature_set AND c.feature = f.feature)))
                ORDER BY f.position)
            FROM fraud.feature_definitions f WHERE f.feature_set = s.feature_set), '[]'))
    INTO result
    FROM fraud.feature_sets s WHERE s.feature_set = _feature_set_definition.feature_set;
    IF result IS NULL THEN
        RAISE EXCEPTION 'feature set "%" does not exist', feature_set
            USING ERRCODE = 'undefined_object', HINT = 'fraud.feature_sets lists the feature sets.';
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION fraud._feature_set_definition(text) IS
    'internal: the body of fraud.feature_set_definition, run as its caller';

CREATE FUNCTION fraud.feature_set_definition(feature_set text) RETURNS jsonb
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud.feature_set_definition(text) IS
    'all that the values of a set''s features depend on, with the codes of its categories; times in seconds';

CREATE FUNCTION fraud._feature_set_hash(feature_set text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET extra_float_digits = 1
BEGIN ATOMIC
    SELECT encode(sha256(convert_to((fraud.feature_set_definition(feature_set) - 'feature_set' - 'events')::text, 'UTF8')), 'hex');
END;
COMMENT ON FUNCTION fraud._feature_set_hash(text) IS 'internal: the body of fraud.feature_set_hash, run as its caller';

CREATE FUNCTION fraud.feature_set_hash(feature_set text) RETURNS text
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION fraud.feature_set_hash(text) IS
    'SHA-256 of the definition without the names of set and table: equal hashes, equal features';

-- As src/pg/features/online_features.cpp plans it: the windows of a key are filled from the
-- events of the first key with fewer parts, all of them among its own, whose windows
-- reach as far.
CREATE FUNCTION fraud._feature_keys(feature_set text, OUT key text[], OUT reader text[], OUT "position" int) RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH keys AS (
        SELECT d.key, max(d.delay + d."window") AS reach, min(d.delay) AS delay, min(d.position) AS position
        FROM fraud.feature_definitions d
        WHERE d.feature_set = _feature_keys.feature_set AND d.key IS NOT NULL
        GROUP BY d.key
    ), filled AS (
        SELECT k.key, o.key AS from_key, o.position
        FROM keys k JOIN keys o ON cardinality(o.key) < cardinality(k.key) AND o.key <@ k.key
                                   AND o.reach >= k.reach AND o.delay <= k.delay
    )
    SELECT k.key,
           coalesce((SELECT f.from_key FROM filled f
                     WHERE f.key = k.key AND NOT EXISTS (SELECT FROM filled g WHERE g.key = f.from_key)
                     ORDER BY f.position LIMIT 1), k.key),
           k.position
    FROM keys k;
END;
COMMENT ON FUNCTION fraud._feature_keys(text) IS 'internal: the keys of a feature set, and from which key''s events each is filled';
