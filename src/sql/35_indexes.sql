-- ------------------------------------------------------- indexes of feature sets
-- One index a key: its parts, the time, the id; what the windows read beside it, so
-- that the table need not be visited. Whatever a row of the table holds, it must fit: of what
-- can be long there is a hash or nothing, and nothing is included that would not spare the
-- visit.
CREATE FUNCTION fraud._index_columns(index oid) RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT array_agg(pg_get_indexdef(x.indexrelid, n, false) ORDER BY n)
    FROM pg_index x, generate_series(1, x.indnatts) n WHERE x.indexrelid = index;
END;
COMMENT ON FUNCTION fraud._index_columns(oid) IS 'internal: the columns and expressions of an index, those included at the end';

CREATE FUNCTION fraud._indexed_part(feature_set text, part text) RETURNS text
AS 'MODULE_PATHNAME', 'fraud_detect_indexed_part'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION fraud._indexed_part(text, text) IS
    'internal: what an index has of a part of a key: the part, or where it can be long its hash; null where there is neither';

CREATE FUNCTION fraud._index_obstacle(feature_set text, part text) RETURNS text
AS 'MODULE_PATHNAME', 'fraud_detect_index_obstacle'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION fraud._index_obstacle(text, text) IS
    'internal: why no index can have an expression of a feature set, in words; null: it can';

CREATE FUNCTION fraud._may_fail(feature_set text, part text) RETURNS boolean
AS 'MODULE_PATHNAME', 'fraud_detect_may_fail'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION fraud._may_fail(text, text) IS
    'internal: whether there may be rows for which an expression of a feature set is an error';

-- The most bytes that a value of a column has in an index; null: any number.
CREATE FUNCTION fraud._most_bytes(relation regclass, "column" text) RETURNS int
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE WHEN a.attlen > 0 THEN a.attlen
                WHEN a.atttypmod < 4 THEN NULL
                WHEN a.atttypid = 'numeric'::regtype THEN 16 + ((a.atttypmod - 4) >> 16 & 65535) / 2
                WHEN a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype) THEN 4 + (a.atttypmod - 4) * 4 END
    FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum > 0 AND quote_ident(a.attname) = "column";
END;
COMMENT ON FUNCTION fraud._most_bytes(regclass, text) IS 'internal: the most bytes of a column''s values; null: there is no bound';

-- Of the same columns of a table always the same, and short enough that Postgres cuts nothing off.
CREATE FUNCTION fraud._feature_index_name(relation regclass, columns text) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT (SELECT left(c.relname, n) FROM generate_series(0, 40) n WHERE octet_length(left(c.relname, n)) <= 40 ORDER BY n DESC LIMIT 1)
           || '_features_' || left(md5(columns), 8)
    FROM pg_class c WHERE c.oid = relation;
END;
COMMENT ON FUNCTION fraud._feature_index_name(regclass, text) IS 'internal: the name of an index of ours on a table, without its schema';

-- Whether a table has an index that begins with these expressions, in one of two ways to write each, and
-- has those columns beside it. An index by another collation than the column's finds nothing for us.
CREATE FUNCTION fraud._has_feature_index(relation regclass, indexed text[], plain text[], read text[]) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT EXISTS (
        SELECT FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_am a ON a.oid = c.relam
        WHERE x.indrelid = relation AND x.indisvalid AND x.indpred IS NULL AND a.amname = 'btree'
          AND x.indnkeyatts >= array_length(indexed, 1)
          AND coalesce(read, '{}') <@ fraud._index_columns(x.indexrelid)
          AND NOT EXISTS (
              SELECT FROM (SELECT replace(n.e, 'pg_catalog.', ''), n.p, n.i
                           FROM unnest(indexed, plain) WITH ORDINALITY n(e, p, i)) u(e, p, i)
              WHERE pg_get_indexdef(x.indexrelid, u.i::int, false) NOT IN (u.e, '(' || u.e || ')', u.p, '(' || u.p || ')')
                 OR x.indcollation[u.i - 1] <> (SELECT t.attcollation FROM pg_attribute t
                                                WHERE t.attrelid = x.indrelid AND t.attnum = x.indkey[u.i - 1] AND t.attnum > 0)));
END;
COMMENT ON FUNCTION fraud._has_feature_index(regclass, text[], text[], text[]) IS
    'internal: whether a table has an index that begins with these expressions and has those columns beside it';

-- An index on a partitioned table takes for its parts those that its partitions have already: so these are made
-- first, each while others write, and the one on the table itself is then a matter of a moment. Those of the
-- newest months come first: new events read them.
CREATE FUNCTION fraud._concurrent_statements(relation regclass, columns text) RETURNS text[]
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH tables AS (
        SELECT t.relid, t.relid <> relation AS is_part, n.nspname AS place, c.relkind, fraud._feature_index_name(t.relid, columns) AS name
        FROM (SELECT p.relid FROM pg_partition_tree(relation) p WHERE p.isleaf UNION SELECT relation) t
        JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind <> 'f'
    ), there AS (
        SELECT t.*, x.indisvalid AS valid, EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = x.indexrelid) AS attached
        FROM tables t LEFT JOIN (pg_class i JOIN pg_namespace n ON n.oid = i.relnamespace JOIN pg_index x ON x.indexrelid = i.oid)
             ON x.indrelid = t.relid AND i.relname = t.name AND n.nspname = t.place
    )
    SELECT array_agg(s.statement ORDER BY t.is_part DESC, t.relid::regclass::text COLLATE "C" DESC, s.step)
    FROM there t
    CROSS JOIN LATERAL (
        -- What was broken off has left an index that serves nobody.
        SELECT 1, format('DROP INDEX %s%I.%I', CASE WHEN t.relkind <> 'p' THEN 'CONCURRENTLY ' END, t.place, t.name)
        WHERE NOT t.valid AND NOT t.attached
        UNION ALL
        SELECT 2, format('CREATE INDEX %s%I ON %s %s', CASE WHEN t.relkind <> 'p' THEN 'CONCURRENTLY ' END, t.name, t.relid, columns)
        WHERE t.valid IS NOT TRUE AND NOT (t.attached AND t.valid IS NOT NULL)
        UNION ALL
        SELECT 3, format('COMMENT ON INDEX %I.%I IS %L', t.place, t.name, 'made by fraud.create_feature_indexes')
        WHERE NOT t.is_part) s(step, statement);
END;
COMMENT ON FUNCTION fraud._concurrent_statements(regclass, text) IS
    'internal: the statements, in their order, that make an index while others write: partition by partition, what was broken off anew';

CREATE FUNCTION fraud._feature_indexes(
    feature_set text,
    OUT definition text,
    OUT present boolean,
    OUT concurrent_statements text[],
    OUT obstacle text,
    OUT may_fail text[]
) RETURNS SETOF record
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most_columns constant int := 32;     -- INDEX_MAX_KEYS
    most_bytes constant int := 2000;     -- of 2704 that a row of a btree may have
    set_row fraud.feature_sets;
    events regclass;
    wanted text[];
    plain text[];
    read text[];
    indexed text[];
    columns text;
    kind "char";
    has_id boolean;
    relation regclass;
BEGIN
    SELECT * INTO set_row FROM fraud.feature_sets s WHERE s.feature_set = _feature_indexes.feature_set;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'feature set "%" does not exist', feature_set
            USING ERRCODE = 'undefined_object', HINT = 'fraud.feature_sets lists the feature sets.';
    END IF;
    -- Of payments we know what is behind the view.
    events := CASE WHEN set_row.builtin THEN 'fraud.transactions' ELSE set_row.events END;
    kind := (SELECT c.relkind FROM pg_class c WHERE c.oid = events);
    IF kind IS NULL THEN
        RETURN;
    END IF;
    FOR wanted IN
        SELECT k.reader FROM fraud._feature_keys(set_row.feature_set) k
        -- Each partition of payments has these (fraud._ensure_partition).
        WHERE NOT (set_row.builtin AND (k.reader IN ('{card}', '{merchant}')
                                        OR k.reader IN (SELECT ARRAY[f.name] FROM fraud.payment_fields f WHERE f.indexed)))
        GROUP BY k.reader ORDER BY min(k.position) FILTER (WHERE k.key = k.reader)
    LOOP
        definition := NULL; present := false; concurrent_statements := NULL; obstacle := NULL; may_fail := NULL;
        IF kind IN ('v', 'f') THEN
            obstacle := format('%s %s has no indexes: the tables behind it have', CASE kind WHEN 'v' THEN 'the view' ELSE 'the foreign table' END, events);
        ELSIF NOT set_row.builtin THEN
            -- A key of which nothing can be indexed has no index; of one that has a part, that part is read by.
            SELECT coalesce(max(fraud._index_obstacle(set_row.feature_set, set_row.event_time)),
                            CASE WHEN count(*) = count(o.obstacle) THEN max(o.obstacle) END)
            INTO obstacle FROM unnest(wanted) w CROSS JOIN LATERAL fraud._index_obstacle(set_row.feature_set, w) o(obstacle);
        END IF;
        IF obstacle IS NOT NULL THEN
            RETURN NEXT;
            CONTINUE;
        END IF;
        has_id := set_row.builtin OR (fraud._index_obstacle(set_row.feature_set, set_row.event_id) IS NULL
                                      AND fraud._indexed_part(set_row.feature_set, set_row.event_id) = set_row.event_id);
        -- A field of payments is an expression of what the table has. The id of payments, and what they
        -- have for keys, is never long. What is too many parts for an index is compared with the row.
        SELECT array_agg(e.part ORDER BY e.i), array_agg(e.indexed ORDER BY e.i) INTO plain, indexed
        FROM (SELECT u.e AS part, u.i,
                     CASE WHEN set_row.builtin
                          THEN coalesce((SELECT fraud._field_expression(f.type, f.path, NULL) FROM fraud.payment_fields f WHERE f.name = u.e), u.e)
                          WHEN fraud._index_obstacle(set_row.feature_set, u.e) IS NULL
                          THEN fraud._indexed_part(set_row.feature_set, u.e) END AS indexed
              FROM unnest(wanted) WITH ORDINALITY u(e, i)) e WHERE e.indexed IS NOT NULL;
        plain := plain[:most_columns - 2] || set_row.event_time;
        indexed := indexed[:most_columns - 2] || set_row.event_time;
        IF has_id THEN
            plain := plain || set_row.event_id;
            indexed := indexed || set_row.event_id;
        END IF;
        -- Also for the keys that are filled from it.
        read := NULL;
        IF indexed = wanted || set_row.event_time || set_row.event_id THEN
            SELECT array_agg(DISTINCT c ORDER BY c) INTO read
            FROM fraud.feature_definitions d JOIN fraud._feature_keys(set_row.feature_set) k ON k.key = d.key
            CROSS JOIN LATERAL (SELECT quote_ident(u) FROM unnest(d.columns) u UNION ALL
                                SELECT p FROM unnest(d.key) p JOIN pg_attribute a
                                ON a.attrelid = events AND a.attnum > 0 AND quote_ident(a.attname) = p) c(c)
            WHERE d.feature_set = set_row.feature_set AND k.reader = wanted AND c <> ALL (indexed) AND NOT set_row.builtin;
            IF cardinality(indexed) + cardinality(read) > most_columns
               -- What is indexed as it is has at most 64 bytes.
               OR (SELECT 64 * cardinality(indexed) + sum(m.bytes) > most_bytes OR bool_or(m.bytes IS NULL)
                   FROM (SELECT fraud._most_bytes(events, u) AS bytes FROM unnest(read) u) m) THEN
                read := NULL;
            END IF;
        END IF;
        columns := format('USING btree (%s)', (SELECT string_agg(format('(%s)', e), ', ' ORDER BY i) FROM unnest(indexed) WITH ORDINALITY u(e, i)))
            || coalesce(' INCLUDE (' || array_to_string(read, ', ') || ')', '');
        IF NOT set_row.builtin THEN
            may_fail := (SELECT array_agg(u.e ORDER BY u.i) FROM unnest(plain) WITH ORDINALITY u(e, i) WHERE fraud._may_fail(set_row.feature_set, u.e));
        END IF;
        -- Tables that inherit from it are read with it.
        FOR relation IN
            WITH RECURSIVE heirs(relid, depth) AS (
                SELECT events::oid, 0
                UNION ALL
                SELECT i.inhrelid, h.depth + 1 FROM heirs h JOIN pg_inherits i ON i.inhparent = h.relid JOIN pg_class c ON c.oid = i.inhrelid
                WHERE kind = 'r' AND c.relkind = 'r')
            SELECT h.relid FROM heirs h GROUP BY h.relid ORDER BY min(h.depth), h.relid
        LOOP
            definition := format('CREATE INDEX ON %s %s', relation, columns);
            present := fraud._has_feature_index(relation, indexed, plain, read);
            concurrent_statements := CASE WHEN NOT present THEN fraud._concurrent_statements(relation, columns) END;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION fraud._feature_indexes(text) IS
    'internal: the body of fraud.feature_indexes, run as its caller';

CREATE FUNCTION fraud.feature_indexes(
    feature_set text,
    OUT definition text,
    OUT present boolean,
    OUT concurrent_statements text[],
    OUT obstacle text,
    OUT may_fail text[]
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION fraud.feature_indexes(text) IS
    'the indexes that fraud.features needs to be fast, one a key (and table that inherits from the events), and whether each is there. concurrent_statements make one that is not there while others write, which no function can: SELECT unnest(concurrent_statements) FROM fraud.feature_indexes(…), each run by itself in this order; obstacle: why there cannot be one; may_fail: expressions in it that may be an error for a row, which the table then refuses';

CREATE FUNCTION fraud._create_feature_indexes(feature_set text) RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mark CONSTANT text := 'made by fraud.create_feature_indexes';
    missing record;
    place text;
    name text;
    made int := 0;
    superfluous regclass;
    foreign_part text;
BEGIN
    -- CREATE INDEX computes expressions with the rights of who calls: those of somebody who has
    -- not these rights anyhow must not run so.
    SELECT p.part INTO foreign_part
    FROM fraud.feature_sets s, LATERAL (SELECT unnest(k.reader) FROM fraud._feature_keys(s.feature_set) k
                                        UNION ALL VALUES (s.event_time), (s.event_id)) p(part)
    WHERE s.feature_set = _create_feature_indexes.feature_set AND NOT s.builtin
      AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = s.events AND a.attnum > 0 AND quote_ident(a.attname) = p.part)
      AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = s.defined_by AND pg_has_role(r.oid, current_user, 'USAGE'))
    LIMIT 1;
    IF foreign_part IS NOT NULL THEN
        RAISE EXCEPTION 'an index of feature set "%" would run expressions of its definer with the rights of "%"', feature_set, current_user
            USING ERRCODE = 'insufficient_privilege', DETAIL = format('Such as %s.', foreign_part),
                  HINT = 'Call it as the definer, or look at fraud.feature_indexes and run what it says.';
    END IF;
    -- One that was made when a column had another type may have become too narrow for what it holds now.
    FOR superfluous IN
        SELECT x.indexrelid FROM fraud.feature_sets s JOIN pg_index x ON x.indrelid = s.events
        WHERE s.feature_set = _create_feature_indexes.feature_set AND obj_description(x.indexrelid, 'pg_class') = mark
          AND EXISTS (SELECT FROM unnest(x.indkey::int2[]) k JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k AND k > 0
                      WHERE fraud._most_bytes(x.indrelid, quote_ident(a.attname)) IS NULL)
    LOOP
        EXECUTE format('DROP INDEX %s', superfluous);
    END LOOP;
    FOR missing IN
        SELECT i.obstacle, i.may_fail, m[1]::regclass AS events, m[2] AS columns
        FROM fraud.feature_indexes(feature_set) i
        LEFT JOIN LATERAL regexp_match(i.definition, '^CREATE INDEX ON (.*?) (USING btree .*)$') m ON true
        WHERE NOT i.present
    LOOP
        IF missing.obstacle IS NOT NULL THEN
            RAISE WARNING 'no index was made for a key of feature set "%": %', feature_set, missing.obstacle
                USING ERRCODE = '01000', HINT = 'fraud.features reads all events for such a key.';
            CONTINUE;
        END IF;
        SELECT n.nspname, fraud._feature_index_name(missing.events, missing.columns) INTO place, name
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = missing.events;
        BEGIN
            -- One that was broken off while others wrote.
            IF EXISTS (SELECT FROM pg_index x WHERE x.indexrelid = to_regclass(format('%I.%I', place, name)) AND NOT x.indisvalid) THEN
                EXECUTE format('DROP INDEX %I.%I', place, name);
            END IF;
            EXECUTE format('CREATE INDEX %I ON %s %s', name, missing.events, missing.columns);
        EXCEPTION WHEN data_exception OR raise_exception OR invalid_object_definition OR program_limit_exceeded OR feature_not_supported THEN
            RAISE WARNING 'no index was made for a key of feature set "%": %', feature_set, SQLERRM
                USING ERRCODE = '01000', DETAIL = format('CREATE INDEX ON %s %s', missing.events, missing.columns),
                      HINT = 'The other indexes are made all the same. fraud.features reads all events for such a key.';
            CONTINUE;
        END;
        EXECUTE format('COMMENT ON INDEX %I.%I IS %L', place, name, mark);
        IF missing.may_fail IS NOT NULL THEN
            RAISE NOTICE 'table % now refuses rows for which what is indexed cannot be computed', missing.events
                USING DETAIL = format('It may fail for some values: %s.', array_to_string(missing.may_fail, ', ')),
                      HINT = format('A column that holds the value, such as a generated one, is checked alike. DROP INDEX %I.%I takes it back.', place, name);
        END IF;
        -- What was made for fewer features has become superfluous.
        FOR superfluous IN
            SELECT o.indexrelid FROM pg_index o, pg_index n
            WHERE n.indexrelid = format('%I.%I', place, name)::regclass AND o.indrelid = n.indrelid
              AND o.indexrelid <> n.indexrelid AND o.indnkeyatts = n.indnkeyatts
              AND obj_description(o.indexrelid, 'pg_class') = mark
              AND (fraud._index_columns(o.indexrelid))[:o.indnkeyatts] = (fraud._index_columns(n.indexrelid))[:n.indnkeyatts]
              AND fraud._index_columns(o.indexrelid) <@ fraud._index_columns(n.indexrelid)
        LOOP
            EXECUTE format('DROP INDEX %s', superfluous);
        END LOOP;
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION fraud._create_feature_indexes(text) IS
    'internal: the body of fraud.create_feature_indexes, run as its caller';

CREATE FUNCTION fraud.create_feature_indexes(feature_set text) RETURNS int
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.create_feature_indexes(text) IS
    'makes the indexes of fraud.feature_indexes that are missing and can be made, with the caller''s rights, warns of the others, and drops those that it made for fewer features of the same key or for columns whose type was another; returns how many it made. It keeps others from writing meanwhile: fraud.feature_indexes says how not to';
