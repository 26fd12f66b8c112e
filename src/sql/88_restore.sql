-- Whether a dump was restored as a whole: it can be taken in in parts, in any order and side by
-- side, and a part that was forgotten or failed is told here.

-- Apart: a query of payments is planned for each of their months, and mostly there is nothing to ask. In the first pages
-- alone, which a restored month has filled: of a large load that has not committed all rows would be passed.
CREATE FUNCTION fraud._has_payments() RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM fraud.transactions t WHERE t.ctid < '(64,0)');
END
$$;
COMMENT ON FUNCTION fraud._has_payments() IS 'internal: whether any payment is stored, as the first pages of the months tell';

-- What health looks at: catalogs and small tables.
CREATE FUNCTION fraud._restore_faults() RETURNS TABLE (relation text, detail text, advice text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- Rows that came with CREATE EXTENSION give way table by table.
    SELECT 'fraud.' || t.relname, 'has the rows of CREATE EXTENSION, while other tables have those of a dump',
           format('restore its data: pg_restore --data-only --schema=fraud --table=%s', t.relname)
    FROM (SELECT c.relname, EXISTS (SELECT FROM fraud.builtin_rows b WHERE b.relation = c.relname) AS waits,
                 bool_or(NOT EXISTS (SELECT FROM fraud.builtin_rows b WHERE b.relation = c.relname)) OVER () AS any_gone
          FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
          WHERE g.tgname = 'replace_builtin' AND g.tgfoid = 'fraud._replace_builtin()'::regprocedure) t
    WHERE t.waits AND t.any_gone
    UNION ALL
    SELECT 'fraud.feature_sets', format('has no feature set "%s", of which there are features', d.feature_set), 'restore its data'
    FROM (SELECT DISTINCT f.feature_set FROM fraud.feature_definitions f) d
    WHERE NOT EXISTS (SELECT FROM fraud.feature_sets s WHERE s.feature_set = d.feature_set)
    UNION ALL
    SELECT 'fraud.feature_definitions', format('has no feature of the feature set "%s"', s.feature_set), 'restore its data, or drop the set'
    FROM fraud.feature_sets s
    WHERE s.last_position > 0 AND NOT EXISTS (SELECT FROM fraud.feature_definitions f WHERE f.feature_set = s.feature_set)
    UNION ALL
    SELECT 'fraud.feature_categories', format('has no category of feature "%s" of feature set "%s"', f.feature, f.feature_set),
           'restore its data, or add some: fraud.add_categories'
    FROM fraud.feature_definitions f
    WHERE f.kind IN ('category', 'code')
      AND NOT EXISTS (SELECT FROM fraud.feature_categories c WHERE c.feature_set = f.feature_set AND c.feature = f.feature)
    UNION ALL
    SELECT 'fraud.feature_definitions', format('has no feature "%s" of feature set "%s", of which there are categories', c.feature, c.feature_set), 'restore its data'
    FROM (SELECT DISTINCT k.feature_set, k.feature FROM fraud.feature_categories k) c
    WHERE NOT EXISTS (SELECT FROM fraud.feature_definitions f WHERE f.feature_set = c.feature_set AND f.feature = c.feature)
    UNION ALL
    SELECT 'fraud.models', format('has no model "%s", of which there are versions', v.model), 'restore its data'
    FROM (SELECT DISTINCT m.model FROM fraud.model_versions m) v
    WHERE NOT EXISTS (SELECT FROM fraud.models m WHERE m.model = v.model)
    UNION ALL
    SELECT 'fraud.model_versions', format('has no version %s of model "%s", which %s names', a.version, a.model, a.alias), 'restore its data'
    FROM fraud.model_aliases a
    WHERE NOT EXISTS (SELECT FROM fraud.model_versions v WHERE v.model = a.model AND v.version = a.version)
    UNION ALL
    SELECT 'fraud.promotions', format('has no promotion of model "payments", of which there are versions: none scores'), 'restore its data, or promote one: fraud.promote'
    WHERE EXISTS (SELECT FROM fraud.model_versions v WHERE v.model = 'payments')
      AND NOT EXISTS (SELECT FROM fraud.promotions p WHERE p.model = 'payments')
    UNION ALL
    -- A dump has the indexes of months behind all rows.
    SELECT format('fraud.%I', c.relname), CASE WHEN x.primary_key THEN 'has not all of its indexes' ELSE 'has no primary key: payments of the month are looked for row by row, and could be stored twice' END,
           'restore what follows the data: pg_restore --section=post-data'
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL (SELECT coalesce(bool_or(n.indisprimary), false) AS primary_key, count(*) AS indexes FROM pg_index n
                        WHERE n.indrelid = c.oid AND n.indisvalid) x
    WHERE i.inhparent = 'fraud.transactions'::regclass
      AND (NOT x.primary_key OR x.indexes < 3 + (SELECT count(*) FROM fraud.payment_fields f WHERE f.indexed))
    UNION ALL
    -- Whose months were not there when their data was to be restored.
    SELECT 'fraud.transactions', 'has no payment, and fraud.payment_keys has some', 'restore the months with their data: pg_restore without --data-only'
    WHERE CASE WHEN EXISTS (SELECT FROM fraud.payment_keys k WHERE k.ctid < '(64,0)')
                    AND NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'fraud.transactions'::regclass AND c.relpages > 0)
                    AND NOT EXISTS (SELECT FROM fraud.audit_log a WHERE a.action = 'drop' AND a.object_kind = 'partition') THEN NOT fraud._has_payments() ELSE false END
    UNION ALL
    SELECT 'fraud.rollups', 'has no sums, and payments are stored', 'restore its data, or make them anew: fraud.rebuild_rollups()'
    -- One after the other, in the first pages: none looks for a row past those of a large load, or refresh, that has not committed.
    WHERE CASE WHEN pg_relation_size('fraud.payment_keys') = 0 THEN false
               WHEN EXISTS (SELECT FROM fraud.rollups r WHERE r.ctid < '(64,0)') THEN false
               WHEN EXISTS (SELECT FROM fraud.changes c WHERE c.ctid < '(64,0)' AND c.sign <> 0) THEN false
               WHEN fraud._has_payments() THEN NOT EXISTS (SELECT FROM fraud.rollups)
               ELSE false END;
END;
COMMENT ON FUNCTION fraud._restore_faults() IS 'internal: what is missing of a dump that was restored in parts, as far as small tables tell it';

CREATE FUNCTION fraud._restore_health() RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'restore', CASE WHEN count(*) = 0 THEN 'ok' ELSE 'error' END, NULL::timestamptz,
           CASE WHEN count(*) = 0 THEN 'nothing of a dump is missing, as far as small tables tell'
                ELSE (array_agg(concat(f.relation, ' ', f.detail)))[1] || CASE WHEN count(*) > 1 THEN format('; and %s more', count(*) - 1) ELSE '' END END,
           CASE WHEN count(*) > 0 THEN 'SELECT * FROM fraud.check_restore() says what to do of each' END
    FROM fraud._restore_faults() f;
END;
COMMENT ON FUNCTION fraud._restore_health() IS 'internal: the item of fraud.health() on what was restored';

-- What takes reading all rows. References that a dump's order cannot break are no foreign keys
-- (docs/decisions.md): here they are looked up.
CREATE FUNCTION fraud._restore_gaps() RETURNS TABLE (relation text, detail text, advice text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    reference record;
    counter record;
    -- Keys of payments are kept longer than the payments: all are there of months that retention has not taken.
    first_month timestamptz := greatest(
        (SELECT max(to_date(substr(a.object_name, 14), 'YYYY_MM'))::timestamptz + interval '1 month' FROM fraud.audit_log a
         WHERE a.action = 'drop' AND a.object_kind = 'partition' AND a.object_name ~ '^transactions_[0-9]{4,}_[0-9]{2}$'),
        (SELECT max(m) + interval '1 month' FROM generate_series((SELECT date_trunc('month', min(k.occurred_at)) FROM fraud.payment_keys k), now(), interval '1 month') m
         WHERE fraud._is_past_retention(m)),
        '-infinity');
    missing bigint;
    reached bigint;
    given bigint;
BEGIN
    FOR reference IN
        SELECT r.* FROM (VALUES
            ('customers', 'transactions', '{card}', 'true'),
            ('payment_keys', 'transactions', '{transaction_id,card,occurred_at}', 'true'),
            ('transactions', 'payment_keys', '{card,occurred_at,transaction_id}', format('r.occurred_at >= %L', first_month)),
            ('labels', 'transactions', '{transaction_id,card}', 'r.is_fraud IS NOT NULL'),
            ('case_states', 'alerts', '{card,case_id}', 'true'),
            ('case_states', 'case_history', '{card,case_id}', 'true'),
            ('card_keys', 'customer_ids', '{key_id}', 'true'),
            ('customers', 'customer_ids', '{card}', 'true'),
            ('training_runs', 'training_trials', '{run}', 'true'),
            ('model_versions', 'version_tags', '{model,version}', 'true'),
            ('notifications', 'notification_messages', '{notification_id}', 'true'),
            ('streams', 'stream_decisions', '{stream}', 'true'),
            ('stream_decisions', 'stream_rule_matches', '{stream,decision_id}', 'true'),
            ('stream_case_states', 'stream_alerts', '{stream,case_id}', 'true'),
            ('stream_case_states', 'stream_case_history', '{stream,case_id}', 'true'),
            ('labelled_events', 'event_labels', '{stream,event_id}', 'true')) r(refers_to, relation, columns, condition)
    LOOP
        EXECUTE format('SELECT count(*) FROM fraud.%I r WHERE %s AND NOT EXISTS (SELECT FROM fraud.%I t WHERE (%s) = (%s))',
            reference.relation, reference.condition, reference.refers_to,
            (SELECT string_agg(format('t.%I', k), ', ') FROM unnest(reference.columns::text[]) k),
            (SELECT string_agg(format('r.%I', k), ', ') FROM unnest(reference.columns::text[]) k))
        INTO missing;
        IF missing > 0 THEN
            RETURN QUERY SELECT 'fraud.' || reference.refers_to, format('lacks what %s rows of fraud.%s belong to', missing, reference.relation), 'restore its data';
        END IF;
    END LOOP;
    SELECT count(*) INTO missing
    FROM (SELECT DISTINCT t.model, t.model_version FROM fraud.transactions t WHERE t.model IS NOT NULL) u
    WHERE NOT EXISTS (SELECT FROM fraud.model_versions v WHERE v.model = u.model AND v.version = u.model_version)
      AND NOT EXISTS (SELECT FROM fraud.deleted_versions v WHERE v.model = u.model AND v.version = u.model_version);
    IF missing > 0 THEN
        RETURN QUERY SELECT 'fraud.model_versions', format('lacks %s versions that scored payments', missing), 'restore its data';
    END IF;
    -- A number that is given out again is refused, or names two things.
    FOR counter IN
        SELECT s.oid::regclass AS sequence, c.relname, a.attname
        FROM pg_depend d
        JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
        JOIN pg_class c ON c.oid = d.refobjid AND c.relnamespace = 'fraud'::regnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
        ORDER BY 1
    LOOP
        EXECUTE format('SELECT (SELECT max(%I) FROM fraud.%I), (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM %s)',
                       counter.attname, counter.relname, counter.sequence) INTO reached, given;
        IF reached > given THEN
            RETURN QUERY SELECT counter.sequence::text, format('has come to %s, and fraud.%s to %s: numbers would be given twice', given, counter.relname, reached),
                                format('SELECT setval(%L, %s)', counter.sequence, reached);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION fraud._restore_gaps() IS 'internal: what is missing of a dump that was restored in parts, by reading all rows';

CREATE FUNCTION fraud.check_restore() RETURNS TABLE (relation text, detail text, advice text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT f.relation, f.detail, f.advice FROM fraud._restore_faults() f
    UNION ALL
    SELECT g.relation, g.detail, g.advice FROM fraud._restore_gaps() g;
END;
COMMENT ON FUNCTION fraud.check_restore() IS
    'what is missing after a dump was restored in parts, or a restore that failed: a row for each relation that lacks rows, indexes or numbers which others refer to, what it lacks, and what to do; no row: nothing. Reads all payments; fraud.health() has what small tables tell';
