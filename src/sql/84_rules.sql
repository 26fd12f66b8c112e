-- --------------------------------------------------- what conditions see
-- As a select list over rows of fraud.transactions called t. A feature that is called as a column is feature_NAME.
CREATE FUNCTION fraud._rule_row(score text DEFAULT 't.score', decision text DEFAULT 't.decision') RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 't.card, t.card AS customer, t.transaction_id, t.occurred_at, t.amount, t.merchant, t.category,'
           ' t.merchant_latitude, t.merchant_longitude, t.home_latitude, t.home_longitude, t.city_population, t.age,'
           ' t.currency, t.base_amount, t.attributes, (' || score || ')::float8 AS score, (' || decision || ')::text COLLATE "C" AS decision'
           || fraud._field_columns('t')
           -- Of the customer and the merchant, what stays as it is.
           || coalesce((SELECT string_agg(format(', (%s) AS %I', o.query, o.name), '' ORDER BY o.name)
                        FROM (VALUES ('customer_first_payment_at', 'SELECT c.first_payment_at FROM fraud.customers c WHERE c.card = t.card'),
                                     ('customer_kind', 'SELECT c.customer_kind FROM fraud.customers c WHERE c.card = t.card'),
                                     ('merchant_category', 'SELECT m.category FROM fraud.merchants m WHERE m.merchant = t.merchant'),
                                     ('merchant_first_payment_at', 'SELECT m.first_payment_at FROM fraud.merchants m WHERE m.merchant = t.merchant')) o(name, query)
                        WHERE NOT EXISTS (SELECT FROM fraud.payment_fields f WHERE f.name = o.name)), '')
           || coalesce((SELECT string_agg(format(', nullif(t.features[%s], ''NaN''::float4)::float8 AS %I', d.position,
                            CASE WHEN d.feature IN ('card', 'customer', 'transaction_id', 'occurred_at', 'amount', 'merchant', 'category', 'merchant_latitude',
                                                    'merchant_longitude', 'home_latitude', 'home_longitude', 'city_population', 'age', 'currency',
                                                    'base_amount', 'attributes', 'score', 'decision',
                                                    'customer_first_payment_at', 'customer_kind', 'merchant_category', 'merchant_first_payment_at')
                                      OR EXISTS (SELECT FROM fraud.payment_fields f WHERE f.name = d.feature)
                                 THEN 'feature_' || d.feature ELSE d.feature END), '' ORDER BY d.position)
                        FROM fraud.feature_definitions d WHERE d.feature_set = 'payments'), '');
END;
COMMENT ON FUNCTION fraud._rule_row(text, text) IS 'internal: what a condition sees, as a select list over fraud.transactions t; score and decision as expressions';

CREATE FUNCTION fraud.rule_columns(stream text DEFAULT 'payments', OUT name text, OUT type text) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'fraud_detect_rule_columns'
LANGUAGE C STABLE PARALLEL RESTRICTED ROWS 50;
COMMENT ON FUNCTION fraud.rule_columns(text) IS
    'what a rule''s condition may name; of a stream score, decision (of the model alone), event_time, the columns of its table (column_NAME where one of these is so called) and its features (feature_NAME likewise); of payments: the payment, its fields, what is known of customer and merchant for good (the time of the first payment, the customer''s kind, the merchant''s first category), score (0 to 1), decision (of the model alone), and its features (float8, null where missing; one that is called as a column is feature_NAME)';

CREATE FUNCTION fraud._condition_as_of(condition text, stream text DEFAULT 'payments', plain boolean DEFAULT false) RETURNS text
AS 'MODULE_PATHNAME', 'fraud_detect_condition_as_of'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION fraud._condition_as_of(text, text, boolean) IS
    'internal: a condition as an expression over a row of fraud._rule_row(), or of a stream''s events, which looks into lists as they were at the payment''s, or event''s, time; plain: it must run nobody''s functions';

-- ----------------------------------------------------------- what is live
CREATE FUNCTION fraud._live_rules(stream text) RETURNS TABLE (
    rule text, version int, expression text, action text, reason text, priority int, on_error text, enforced boolean,
    valid_from timestamptz, valid_until timestamptz, tag text, defined_by name, snooze_id bigint, snoozed_until timestamptz, asks_lists boolean, features text[], foreign_names text[])
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.rule, v.version, v.expression, v.action, v.reason, v.priority, v.on_error,
           coalesce(v.version = r.enforced_version, false)
           AND NOT EXISTS (SELECT FROM fraud.slow_rules s WHERE s.rule = v.rule AND s.version = v.version AND s.noticed_at > r.changed_at),
           v.valid_from, v.valid_until, v.tag, v.created_by, z.snooze_id, z."until", v.lists <> '{}', v.features, v.foreign_names
    FROM fraud.rules r
    JOIN fraud.rule_versions v ON v.rule = r.rule AND v.version IN (r.enforced_version, r.observed_version)
    LEFT JOIN LATERAL (SELECT s.snooze_id, s."until" FROM fraud.snoozes s
                       WHERE s.kind = 'rule' AND s.name = r.rule AND s.ended_at IS NULL AND s."until" > now()
                       ORDER BY s."until" DESC LIMIT 1) z ON true
    WHERE r.stream = _live_rules.stream
      -- What is over comes back with a new version alone.
      AND (v.valid_until IS NULL OR v.valid_until > now())
      AND NOT EXISTS (SELECT FROM fraud.slow_rules s WHERE s.rule = v.rule AND s.version = v.version AND s.noticed_at > r.changed_at AND s.stopped)
    ORDER BY v.created_by NULLS FIRST, v.priority, r.rule, v.version;
END;
COMMENT ON FUNCTION fraud._live_rules(text) IS 'internal: the rules that payments, or events of a stream, meet';

-- Numbers by chance: one that a rollback takes back is not given again.
CREATE FUNCTION fraud._rules_changed(stream text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO fraud.rule_sets AS s (stream, revision, live)
    SELECT _rules_changed.stream, ('x0' || left(md5(gen_random_uuid()::text), 15))::bit(64)::bigint, count(*) FROM fraud.rules r
    WHERE r.stream = _rules_changed.stream AND num_nonnulls(r.enforced_version, r.observed_version) > 0
    ON CONFLICT ON CONSTRAINT rule_sets_pkey DO UPDATE SET revision = excluded.revision, live = excluded.live;
END;
COMMENT ON FUNCTION fraud._rules_changed(text) IS 'internal: has sessions read the rules again';

-- ---------------------------------------------------------- writing rules
-- What alter_rule is not told stays as the newest version has it. The lock: of two who change a rule the second sees the first.
CREATE FUNCTION fraud._write_rule(name text, is_new boolean, stream text, condition text, expression text, columns text[], lists text[], features text[],
    foreign_names text[], plain boolean, action text,
    reason text, mode text, valid_from timestamptz, valid_until timestamptz, priority int, on_error text, tag text, note text) RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    four_eyes boolean := coalesce(nullif(current_setting('fraud_detect.four_eyes', true), ''), 'off')::boolean;
    current fraud.rules;
    before fraud.rule_versions;
    new fraud.rule_versions;
BEGIN
    IF name IS NULL OR is_new AND num_nulls(condition, action, mode) > 0 THEN
        RAISE EXCEPTION 'name, condition, action and mode must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM fraud._check_written_name('rule', name);
    IF action NOT IN ('allow', 'block', 'review', 'raise', 'lower', 'tag') THEN
        RAISE EXCEPTION 'invalid action "%"', action
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Actions are allow, block, review, raise, lower and tag.';
    ELSIF on_error NOT IN ('ignore', 'review', 'block') THEN
        RAISE EXCEPTION 'invalid on_error "%"', on_error
            USING ERRCODE = 'invalid_parameter_value', HINT = 'What happens where the condition fails is ignore, review or block.';
    ELSIF mode NOT IN ('observe', 'enforce') THEN
        RAISE EXCEPTION 'invalid mode "%"', mode
            USING ERRCODE = 'invalid_parameter_value', HINT = 'A rule is observed (observe) or decides (enforce).';
    ELSIF mode = 'enforce' AND four_eyes THEN
        RAISE EXCEPTION 'rule "%" must be enforced by another than its author', name
            USING ERRCODE = 'insufficient_privilege', DETAIL = 'fraud_detect.four_eyes is on.',
                  HINT = 'Add it with mode => ''observe''; somebody else then calls fraud.enforce_rule.';
    ELSIF octet_length(reason) > 1000 OR octet_length(condition) > 100000 THEN
        RAISE EXCEPTION 'the % of rule "%" is too long', CASE WHEN octet_length(reason) > 1000 THEN 'reason' ELSE 'condition' END, name
            USING ERRCODE = 'string_data_right_truncation', DETAIL = 'Expected at most 1,000 bytes of a reason, 100,000 of a condition.';
    END IF;
    IF is_new THEN
        -- The row comes first: who adds a rule of the same name at the same moment waits here, and is told.
        INSERT INTO fraud.rules (rule, stream) VALUES (name, _write_rule.stream) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'rule "%" exists already', name
                USING ERRCODE = 'duplicate_object', HINT = 'fraud.alter_rule changes it; fraud.drop_rule drops it.';
        END IF;
    ELSE
        current := fraud._rule(name);
    END IF;
    IF current.of_list IS NOT NULL THEN
        RAISE EXCEPTION 'rule "%" comes with list "%" and cannot be changed', name, current.of_list
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'fraud.disable_rule has it decide nothing.';
    END IF;
    IF NOT is_new AND num_nonnulls(condition, action, reason, mode, valid_from, valid_until, priority, on_error, tag, note) = 0 THEN
        RAISE EXCEPTION 'nothing of rule "%" is to be altered', name
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'What is not given stays, so the new version would be as the one before.',
                  HINT = 'Give what is to be another: condition, action, reason, mode, valid_from, valid_until, priority, on_error or tag; or a note.';
    END IF;
    IF NOT is_new THEN
        SELECT * INTO before FROM fraud.rule_versions v WHERE v.rule = name ORDER BY v.version DESC LIMIT 1;
        -- The new version has the caller's rights: functions of another would have them without a word.
        IF condition IS NULL AND NOT before.plain AND before.created_by IS DISTINCT FROM fraud._caller() THEN
            RAISE EXCEPTION 'the condition of rule "%" runs functions of its author, "%"', name, before.created_by
                USING ERRCODE = 'insufficient_privilege', DETAIL = 'A version has the rights of who writes it, and so would these functions.',
                      HINT = 'Give the condition, too, if its functions may have your rights; fraud.rule_versions has it.';
        END IF;
    END IF;
    new.rule := name;
    new.version := coalesce((SELECT max(v.version) FROM fraud.rule_versions v WHERE v.rule = name), 0) + 1;
    new.condition := coalesce(fraud._mask_card_numbers(condition), before.condition);
    new.expression := coalesce(expression, before.expression);
    new.columns := coalesce(columns, before.columns);
    new.lists := coalesce(lists, before.lists);
    new.features := coalesce(features, before.features);
    new.foreign_names := coalesce(foreign_names, before.foreign_names);
    new.plain := coalesce(plain, before.plain);
    new.action := coalesce(action, before.action);
    new.reason := coalesce(fraud._kept_text(reason), before.reason);
    new.priority := coalesce(priority, before.priority, 100);
    new.on_error := coalesce(on_error, before.on_error, 'ignore');
    new.valid_from := coalesce(valid_from, before.valid_from);
    new.valid_until := coalesce(valid_until, before.valid_until);
    new.tag := coalesce(fraud._mask_card_numbers(tag), before.tag);
    new.note := fraud._kept_text(note);
    new.created_at := now();
    new.created_by := fraud._caller();
    IF fraud._mask_card_numbers(new.expression) <> new.expression THEN
        RAISE EXCEPTION 'the condition of rule "%" may hold a card number', name
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Card numbers are kept nowhere.',
                  HINT = 'List the customer: fraud.add_to_list(''block_customer'', …).';
    ELSIF new.valid_from >= new.valid_until THEN
        RAISE EXCEPTION 'valid_from % is not before valid_until %', new.valid_from, new.valid_until USING ERRCODE = 'invalid_parameter_value';
    ELSIF new.action = 'tag' AND new.tag IS NULL THEN
        new.tag := name;
    END IF;
    PERFORM fraud._ensure_list(n.list) FROM (SELECT DISTINCT l AS list FROM unnest(new.lists) l ORDER BY l) n;
    INSERT INTO fraud.rule_versions SELECT (new).*;
    IF is_new THEN
        UPDATE fraud.rules r SET enforced_version = CASE mode WHEN 'enforce' THEN new.version END, observed_version = CASE mode WHEN 'observe' THEN new.version END
        WHERE r.rule = name;
    ELSIF current.enforced_version IS NOT NULL AND NOT four_eyes AND mode IS DISTINCT FROM 'observe' OR mode = 'enforce' THEN
        UPDATE fraud.rules r SET enforced_version = new.version, observed_version = NULL, changed_at = clock_timestamp(), changed_by = fraud._caller() WHERE r.rule = name;
    ELSE
        UPDATE fraud.rules r SET observed_version = new.version, changed_by = fraud._caller() WHERE r.rule = name;
    END IF;
    INSERT INTO fraud.rule_history (rule, version, act, reason) VALUES (name, new.version, CASE WHEN is_new THEN 'add' ELSE 'alter' END, new.note);
    -- A version that decides at once was enforced, and can be gone back to.
    INSERT INTO fraud.rule_history (rule, version, act, reason)
    SELECT name, new.version, 'enforce', new.note FROM fraud.rules r WHERE r.rule = name AND r.enforced_version = new.version;
    PERFORM fraud._rules_changed(stream);
    -- Notes and reasons, which may name a customer, are in fraud.rule_versions and fraud.rule_history alone, where erasure finds them.
    PERFORM fraud._audit(CASE WHEN is_new THEN 'add' ELSE 'alter' END, 'rule', name,
        CASE WHEN NOT is_new THEN jsonb_build_object('version', before.version, 'condition', before.condition, 'action', before.action) END,
        jsonb_build_object('version', new.version, 'condition', new.condition, 'action', new.action)
        || CASE WHEN stream <> 'payments' THEN jsonb_build_object('stream', stream) ELSE '{}' END
        || jsonb_build_object(
            'mode', (SELECT CASE WHEN r.enforced_version = new.version THEN 'enforce' ELSE 'observe' END FROM fraud.rules r WHERE r.rule = name)));
    RETURN new.version;
END
$$;
COMMENT ON FUNCTION fraud._write_rule(text, boolean, text, text, text, text[], text[], text[], text[], boolean, text, text, text, timestamptz, timestamptz, int, text, text, text) IS
    'internal: a rule''s new version, run as the owner once its condition has been read as the caller';

CREATE FUNCTION fraud.add_rule(name text, condition text, action text, reason text DEFAULT NULL, mode text DEFAULT 'observe',
    valid_from timestamptz DEFAULT NULL, valid_until timestamptz DEFAULT NULL, priority int DEFAULT 100, on_error text DEFAULT 'ignore',
    tag text DEFAULT NULL, note text DEFAULT NULL, stream text DEFAULT 'payments') RETURNS int
AS 'MODULE_PATHNAME', 'fraud_detect_add_rule'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.add_rule(text, text, text, text, text, timestamptz, timestamptz, int, text, text, text, text) IS
    'makes a rule of payments, or of the events of a stream (fraud.watch), whose table the caller may read; returns its version, 1. condition: a boolean SQL expression over fraud.rule_columns(stream) without subqueries and volatile functions, fraud.in_list(''list'', column) among others; it runs with the rights of who adds it. action: allow, block, review, raise or lower (the model''s decision by one band) or tag; reason: what alerts say, {column} stands for a value; mode: observe (counted, decides nothing) or enforce. Errors: 42601 and others of the condition, 42710 it exists, 42704 no such stream, 42501 fraud_detect.four_eyes, or no right to read the stream''s table';

CREATE FUNCTION fraud.alter_rule(name text, condition text DEFAULT NULL, action text DEFAULT NULL, reason text DEFAULT NULL, mode text DEFAULT NULL,
    valid_from timestamptz DEFAULT NULL, valid_until timestamptz DEFAULT NULL, priority int DEFAULT NULL, on_error text DEFAULT NULL,
    tag text DEFAULT NULL, note text DEFAULT NULL) RETURNS int
AS 'MODULE_PATHNAME', 'fraud_detect_alter_rule'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.alter_rule(text, text, text, text, text, timestamptz, timestamptz, int, text, text, text) IS
    'makes a new version of a rule; what is null stays. Of an enforced rule it decides at once, unless mode is observe or fraud_detect.four_eyes is on: then the version before goes on deciding, and the new one is observed beside it. note: why. Returns the version. Errors as fraud.add_rule, and 42704 no such rule, 22023 nothing is given';

-- -------------------------------------------------------- enforce, observe
CREATE FUNCTION fraud._rule(name text) RETURNS fraud.rules
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locked fraud.rules;
BEGIN
    SELECT * INTO locked FROM fraud.rules r WHERE r.rule = name FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM fraud._no_such('rule', name, 'fraud.rule_status has all rules.');
    END IF;
    RETURN locked;
END
$$;
COMMENT ON FUNCTION fraud._rule(text) IS 'internal: locks a rule, or says that there is none';

CREATE FUNCTION fraud._rule_version(name text, version int) RETURNS fraud.rule_versions
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    said fraud.rule_versions;
BEGIN
    SELECT * INTO said FROM fraud.rule_versions v WHERE v.rule = name AND v.version = _rule_version.version;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'rule "%" has no version %', name, version
            USING ERRCODE = 'undefined_object', HINT = 'fraud.rule_versions has all versions.';
    END IF;
    RETURN said;
END
$$;
COMMENT ON FUNCTION fraud._rule_version(text, int) IS 'internal: a version of a rule, or an error that says that there is none';

CREATE FUNCTION fraud._set_rule(act text, name text, reason text, enforced int, observed int) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before fraud.rules := fraud._rule(name);
BEGIN
    PERFORM fraud._check_reason(reason, format('to %s a rule', act));
    -- What was dropped while the rule was off.
    PERFORM fraud._ensure_list(n.list)
    FROM (SELECT DISTINCT l AS list FROM fraud.rule_versions v, unnest(v.lists) l
          WHERE v.rule = name AND v.version IN (enforced, observed) ORDER BY l) n;
    UPDATE fraud.rules r SET enforced_version = enforced, observed_version = observed, changed_at = clock_timestamp(), changed_by = fraud._caller() WHERE r.rule = name;
    INSERT INTO fraud.rule_history (rule, version, act, reason) VALUES (name, coalesce(enforced, observed), act, fraud._kept_text(reason));
    PERFORM fraud._rules_changed(before.stream);
    PERFORM fraud._audit(CASE act WHEN 'rollback' THEN 'rollback' ELSE 'alter' END, 'rule', name,
        jsonb_build_object('enforced_version', before.enforced_version, 'observed_version', before.observed_version),
        jsonb_build_object('enforced_version', enforced, 'observed_version', observed));
END
$$;
COMMENT ON FUNCTION fraud._set_rule(text, text, text, int, int) IS 'internal: which versions of a rule are live';

CREATE FUNCTION fraud._enforce_rule(name text, reason text, version int) RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    current fraud.rules := fraud._rule(name);
    wanted int := coalesce(version, current.observed_version, (SELECT max(v.version) FROM fraud.rule_versions v WHERE v.rule = name));
    draft fraud.rule_versions := fraud._rule_version(name, wanted);
BEGIN
    IF coalesce(nullif(current_setting('fraud_detect.four_eyes', true), ''), 'off')::boolean THEN
        IF draft.created_by = fraud._caller() THEN
            RAISE EXCEPTION 'version % of rule "%" must be enforced by another than its author', wanted, name
                USING ERRCODE = 'insufficient_privilege', DETAIL = format('"%s" wrote it, and fraud_detect.four_eyes is on.', draft.created_by);
        ELSIF NOT draft.plain THEN
            -- Else who wrote it could have it do something else once it is enforced.
            RAISE EXCEPTION 'version % of rule "%" runs functions that are not PostgreSQL''s or ours', wanted, name
                USING ERRCODE = 'insufficient_privilege', DETAIL = 'fraud_detect.four_eyes is on, and their bodies can be changed without a second person.',
                      HINT = 'Write the condition without them; values that they look up belong in a list (fraud.in_list).';
        END IF;
    END IF;
    PERFORM fraud._set_rule('enforce', name, reason, wanted, nullif(current.observed_version, wanted));
    RETURN wanted;
END
$$;
COMMENT ON FUNCTION fraud._enforce_rule(text, text, int) IS 'internal: the body of fraud.enforce_rule, run as the owner';
CREATE FUNCTION fraud.enforce_rule(name text, reason text, version int DEFAULT NULL) RETURNS int
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.enforce_rule(text, text, int) IS
    'has a version of a rule (by default the observed one, else the newest) decide payments from COMMIT on; returns it. Errors: 42704 no such rule or version, 42501 the author calls and fraud_detect.four_eyes is on, 22023 no reason';

CREATE FUNCTION fraud._observe_rule(name text, reason text, version int) RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    current fraud.rules := fraud._rule(name);
    wanted int := coalesce(version, current.observed_version, current.enforced_version, (SELECT max(v.version) FROM fraud.rule_versions v WHERE v.rule = name));
BEGIN
    PERFORM fraud._rule_version(name, wanted);
    PERFORM fraud._set_rule('observe', name, reason, NULL, wanted);
    RETURN wanted;
END
$$;
COMMENT ON FUNCTION fraud._observe_rule(text, text, int) IS 'internal: the body of fraud.observe_rule, run as the owner';
CREATE FUNCTION fraud.observe_rule(name text, reason text, version int DEFAULT NULL) RETURNS int
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.observe_rule(text, text, int) IS
    'has a rule decide nothing any more: the matches of a version (by default the observed one, else the enforced) are counted. Returns it. Errors: 42704 no such rule or version, 22023 no reason';

CREATE FUNCTION fraud._disable_rule(name text, reason text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT fraud._set_rule('disable', name, reason, NULL, NULL); END;
COMMENT ON FUNCTION fraud._disable_rule(text, text) IS 'internal: the body of fraud.disable_rule, run as the owner';
CREATE FUNCTION fraud.disable_rule(name text, reason text) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.disable_rule(text, text) IS
    'has a rule neither decide nor be counted, until fraud.enforce_rule or fraud.observe_rule. Errors: 42704 no such rule, 22023 no reason';

CREATE FUNCTION fraud._rollback_rule(name text, reason text) RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    current fraud.rules := fraud._rule(name);
    target int;
BEGIN
    -- What was enforced before what is enforced now, or was last.
    SELECT h.version INTO target FROM fraud.rule_history h
    WHERE h.rule = name AND h.act IN ('enforce', 'rollback') AND h.version IS DISTINCT FROM current.enforced_version
      AND (current.enforced_version IS NULL OR h.event_id < (SELECT max(n.event_id) FROM fraud.rule_history n
               WHERE n.rule = name AND n.act IN ('enforce', 'rollback') AND n.version = current.enforced_version))
    ORDER BY h.event_id DESC LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'rule "%" has no earlier version that was enforced', name
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'fraud.rule_history has what was; fraud.observe_rule and fraud.disable_rule end its deciding.';
    END IF;
    PERFORM fraud._set_rule('rollback', name, reason, target, NULL);
    RETURN target;
END
$$;
COMMENT ON FUNCTION fraud._rollback_rule(text, text) IS 'internal: the body of fraud.rollback_rule, run as the owner';
CREATE FUNCTION fraud.rollback_rule(name text, reason text) RETURNS int
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.rollback_rule(text, text) IS
    'enforces the version of a rule that was enforced before the present one, and returns it; anybody who may enforce rules, since it was enforced already. Errors: 55000 there is none, 42704 no such rule, 22023 no reason';

CREATE FUNCTION fraud._drop_rule(name text, reason text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone fraud.rules := fraud._rule(name);
BEGIN
    PERFORM fraud._check_reason(reason, 'to drop a rule');
    DELETE FROM fraud.rules r WHERE r.rule = name;
    INSERT INTO fraud.rule_history (rule, version, act, reason) VALUES (name, NULL, 'drop', fraud._kept_text(reason));
    PERFORM fraud._rules_changed(gone.stream);
    PERFORM fraud._audit('drop', 'rule', name, jsonb_build_object('enforced_version', gone.enforced_version, 'observed_version', gone.observed_version));
END
$$;
COMMENT ON FUNCTION fraud._drop_rule(text, text) IS 'internal: the body of fraud.drop_rule, run as the owner';
CREATE FUNCTION fraud.drop_rule(name text, reason text) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.drop_rule(text, text) IS
    'drops a rule; its versions, history and matches stay. Errors: 42704 no such rule, 22023 no reason';

-- The rule of a list that comes with a field: it has the owner's rights, and decides at once, for
-- whoever lists a value means just that.
CREATE FUNCTION fraud._add_list_rule(list text, action text, field text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_column text := quote_ident(CASE field WHEN 'customer' THEN 'card' ELSE field END);
    expression text := format('fraud.in_list(%L::text, %s)', list, of_column);
BEGIN
    INSERT INTO fraud.rules (rule, of_list) VALUES (list, list) ON CONFLICT DO NOTHING;
    IF NOT FOUND AND NOT EXISTS (SELECT FROM fraud.rules r WHERE r.rule = list AND r.of_list = list) THEN
        RAISE WARNING 'rule "%" is not that of the list, which so decides nothing by itself', list
            USING HINT = 'Have it ask the list, or drop it and list the value again.';
        RETURN;
    END IF;
    -- One that was switched off before its list was dropped decides again, with the list.
    INSERT INTO fraud.rule_versions (rule, version, condition, expression, columns, lists, plain, action, reason, priority, on_error, note, created_by)
    VALUES (list, coalesce((SELECT max(v.version) FROM fraud.rule_versions v WHERE v.rule = list), 0) + 1, format('fraud.in_list(%L, %s)', list, of_column),
            expression, ARRAY[CASE field WHEN 'customer' THEN 'card' ELSE field END], ARRAY[list], true, action,
            CASE WHEN field = 'customer' THEN format('customer is on the list %s', list) ELSE format('%s {%s} is on the list %s', field, field, list) END,
            10, 'ignore', 'comes with the list', NULL);
    UPDATE fraud.rules r SET enforced_version = (SELECT max(v.version) FROM fraud.rule_versions v WHERE v.rule = list), observed_version = NULL,
        changed_at = clock_timestamp(), changed_by = fraud._caller()
    WHERE r.rule = list;
    INSERT INTO fraud.rule_history (rule, version, act, reason) SELECT list, max(v.version), 'enforce', 'comes with the list' FROM fraud.rule_versions v WHERE v.rule = list;
    PERFORM fraud._rules_changed('payments');
    PERFORM fraud._audit('add', 'rule', list, NULL, jsonb_build_object('condition', expression, 'action', action, 'mode', 'enforce'));
END
$$;
COMMENT ON FUNCTION fraud._add_list_rule(text, text, text) IS 'internal: the rule of a list that comes with a field';

-- ----------------------------------------------------------------- snooze
CREATE FUNCTION fraud._snooze(kind text, name text, "until" timestamptz, reason text, stream text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    named text := name;
    made bigint;
BEGIN
    IF num_nulls(kind, name, "until") > 0 THEN
        RAISE EXCEPTION 'kind, name and until must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF kind NOT IN ('customer', 'merchant', 'rule', 'entity') THEN
        RAISE EXCEPTION 'a "%" cannot be snoozed', kind
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Snoozed are a customer (by card), a merchant, a rule, or an entity of a stream.';
    ELSIF (kind = 'entity') <> (stream IS NOT NULL) THEN
        RAISE EXCEPTION 'stream must be given of an entity, and of nothing else'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as fraud.snooze(''entity'', ''ann'', now() + ''7 days'', ''known'', stream => ''claims''); a rule knows its stream.';
    ELSIF kind = 'entity' AND NOT EXISTS (SELECT FROM fraud.streams s WHERE s.stream = _snooze.stream) THEN
        PERFORM fraud._no_such('stream', stream, 'fraud.stream_status lists the streams; fraud.watch makes one.');
    ELSIF "until" <= now() OR "until" = 'infinity' THEN
        RAISE EXCEPTION 'until is %, expected a time to come', "until"
            USING ERRCODE = 'invalid_parameter_value', HINT = 'A snooze ends, such as at now() + ''7 days''.';
    END IF;
    PERFORM fraud._check_reason(reason, 'a snooze');
    IF kind = 'customer' THEN
        named := fraud._customer_named(name)::text;
    ELSIF kind = 'entity' THEN
        -- As the stream keeps it: a card number as a hash.
        named := fraud._event_key(name);
        IF octet_length(named) > 1000 THEN
            RAISE EXCEPTION 'the entity has % bytes, expected at most 1000', octet_length(named) USING ERRCODE = 'program_limit_exceeded';
        END IF;
    ELSIF kind = 'rule' THEN
        PERFORM fraud._rule(name);
    ELSIF NOT EXISTS (SELECT FROM fraud.merchants m WHERE m.merchant = name) THEN
        RAISE EXCEPTION 'merchant "%" does not exist', fraud._mask_card_numbers(name)
            USING ERRCODE = 'undefined_object', HINT = 'fraud.merchants has all merchants.';
    END IF;
    INSERT INTO fraud.snoozes (kind, name, card, stream, "until", reason)
    VALUES (kind, named, CASE kind WHEN 'customer' THEN named::uuid END, stream, "until", fraud._kept_text(reason)) RETURNING snooze_id INTO made;
    IF kind = 'rule' THEN
        PERFORM fraud._rules_changed(r.stream) FROM fraud.rules r WHERE r.rule = name;
    END IF;
    -- An entity may be a customer's plain id, and a reason may name one: both stay with the snooze, where erasure finds them.
    PERFORM fraud._audit('add', 'snooze', made::text, NULL, jsonb_build_object('kind', kind, 'until', "until")
        || CASE kind WHEN 'customer' THEN jsonb_build_object('card', named) WHEN 'entity' THEN jsonb_build_object('stream', stream) ELSE jsonb_build_object('name', named) END);
    RETURN made;
END
$$;
COMMENT ON FUNCTION fraud._snooze(text, text, timestamptz, text, text) IS 'internal: the body of fraud.snooze, run as the owner';
CREATE FUNCTION fraud.snooze(kind text, name text, "until" timestamptz, reason text, stream text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.snooze(text, text, timestamptz, text, text) IS
    'has a customer (kind:id, card or number), a merchant, a rule or an entity of a stream raise no alert until a time; payments and events are stored, scored and decided, and fraud.snoozed_alerts (of streams fraud.stream_snoozed_alerts) counts what would have been alerted. A snoozed rule keeps an alert back that is its own alone. Returns the id for fraud.end_snooze. Errors: 22023, 42704 no such merchant, rule or stream';

CREATE FUNCTION fraud._end_snooze(snooze_id bigint, reason text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ended fraud.snoozes;
BEGIN
    PERFORM fraud._check_reason(reason, 'to end a snooze');
    UPDATE fraud.snoozes s SET ended_at = now(), ended_by = fraud._caller(), end_reason = fraud._kept_text(_end_snooze.reason)
    WHERE s.snooze_id = _end_snooze.snooze_id AND s.ended_at IS NULL AND s."until" > now() RETURNING * INTO ended;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no snooze % is in force', snooze_id
            USING ERRCODE = 'undefined_object', HINT = 'SELECT * FROM fraud.snoozes WHERE ended_at IS NULL AND until > now().';
    END IF;
    IF ended.kind = 'rule' THEN
        PERFORM fraud._rules_changed(r.stream) FROM fraud.rules r WHERE r.rule = ended.name;
    END IF;
    PERFORM fraud._audit('drop', 'snooze', snooze_id::text, jsonb_build_object('kind', ended.kind, 'until', ended."until"),
        CASE ended.kind WHEN 'customer' THEN jsonb_build_object('card', ended.name) ELSE '{}' END);
END
$$;
COMMENT ON FUNCTION fraud._end_snooze(bigint, text) IS 'internal: the body of fraud.end_snooze, run as the owner';
CREATE FUNCTION fraud.end_snooze(snooze_id bigint, reason text) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.end_snooze(bigint, text) IS 'ends a snooze before its time. Errors: 42704 none of that id is in force, 22023 no reason';

-- ----------------------------------------------------------------- status
CREATE VIEW fraud.rule_status WITH (security_barrier) AS
    SELECT r.rule, CASE WHEN r.enforced_version IS NULL AND r.observed_version IS NULL THEN 'off'
                        WHEN r.stream <> 'payments' AND NOT EXISTS (SELECT FROM fraud.streams w WHERE w.stream = r.stream AND w.unwatched_at IS NULL) THEN 'unwatched'
                        WHEN r.stream <> 'payments' AND NOT EXISTS (SELECT FROM fraud.feature_sets f JOIN pg_class c ON c.oid = f.events
                                                                    JOIN fraud._stream_triggers(r.stream) g ON g.events = c.oid AND g.enabled
                                                                    WHERE f.feature_set = r.stream) THEN 'unwatched'
                        WHEN s.stopped THEN 'stopped'
                        WHEN r.enforced_version IS NULL THEN 'observe'
                        WHEN s.slow_id IS NOT NULL THEN 'slow' ELSE 'enforce' END AS mode,
           coalesce(r.enforced_version, r.observed_version) AS version,
           CASE WHEN r.enforced_version IS NOT NULL THEN r.observed_version END AS draft,
           v.action, v.condition, v.reason, v.priority, v.on_error, v.valid_from, v.valid_until, v.created_by AS author,
           r.changed_at, r.changed_by,
           (SELECT count(*) FROM fraud.rule_matches m WHERE m.rule = r.rule AND m.matched_at > now() - interval '1 day' AND m.error IS NULL)
           + (SELECT count(*) FROM fraud.stream_rule_matches m WHERE m.rule = r.rule AND m.matched_at > now() - interval '1 day' AND m.error IS NULL) AS matches_24h,
           (SELECT count(*) FROM fraud.rule_matches m WHERE m.rule = r.rule AND m.matched_at > now() - interval '1 day' AND m.error IS NOT NULL)
           + (SELECT count(*) FROM fraud.stream_rule_matches m WHERE m.rule = r.rule AND m.matched_at > now() - interval '1 day' AND m.error IS NOT NULL) AS failures_24h,
           s.mean_ms AS slow_ms,
           (SELECT max(z."until") FROM fraud.snoozes z WHERE z.kind = 'rule' AND z.name = r.rule AND z.ended_at IS NULL AND z."until" > now()) AS snoozed_until,
           r.stream
    FROM fraud.rules r
    LEFT JOIN fraud.rule_versions v ON v.rule = r.rule
         AND v.version = coalesce(r.enforced_version, r.observed_version, (SELECT max(n.version) FROM fraud.rule_versions n WHERE n.rule = r.rule))
    LEFT JOIN LATERAL (SELECT n.slow_id, n.mean_ms, n.stopped FROM fraud.slow_rules n
                       WHERE n.rule = r.rule AND n.version = coalesce(r.enforced_version, r.observed_version) AND n.noticed_at > r.changed_at
                       ORDER BY n.stopped DESC, n.slow_id DESC LIMIT 1) s ON true;
COMMENT ON VIEW fraud.rule_status IS 'the rules, how each stands and what it did in the last day';
COMMENT ON COLUMN fraud.rule_status.mode IS 'enforce (decides), observe (is counted), slow (was put back to observe, fraud_detect.rule_time_limit), stopped (is not evaluated, fraud_detect.rule_timeout), unwatched (its stream is not watched, or has lost its table, feature set or trigger: fraud.stream_status) or off';
COMMENT ON COLUMN fraud.rule_status.stream IS 'what it decides: payments, or a stream';
COMMENT ON COLUMN fraud.rule_status.draft IS 'the version that is observed beside the enforced one';

CREATE FUNCTION fraud._rule_health() RETURNS TABLE (item text, status text, since timestamptz, detail text, advice text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r record;
    of_payments boolean;
    event text;
    events text;
    matches text;
BEGIN
    FOR r IN SELECT * FROM fraud.rules q WHERE num_nonnulls(q.enforced_version, q.observed_version) > 0 ORDER BY q.rule LOOP
        of_payments := r.stream = 'payments';
        event := CASE WHEN of_payments THEN 'a payment' ELSE 'an event' END;
        events := CASE WHEN of_payments THEN 'payments' ELSE 'events' END;
        matches := CASE WHEN of_payments THEN 'rule_matches' ELSE 'stream_rule_matches' END;
        -- Of the last hour, and counted up to a point. Errors hold values of payments, and what is told here is mailed.
        RETURN QUERY
            SELECT 'rule ' || r.rule, CASE WHEN f.failures > 0 OR s.slow_id IS NOT NULL THEN 'warning' ELSE 'ok' END,
                   coalesce(CASE WHEN s.slow_id IS NOT NULL THEN s.noticed_at END, f.first_at),
                   CASE WHEN s.stopped THEN format('it took more than %s ms of %s and is not evaluated any more', round(s.mean_ms::numeric), event)
                        WHEN s.slow_id IS NOT NULL THEN format('it took %s ms of %s and is only observed', round(s.mean_ms::numeric, 1), event)
                        WHEN f.failures > 0 THEN format('its condition failed on %s %s in the last hour', CASE WHEN f.failures > 1000 THEN 'more than 1000' ELSE f.failures::text END, events)
                        ELSE CASE WHEN r.enforced_version IS NULL THEN 'observed' ELSE 'enforced' END END,
                   CASE WHEN s.stopped THEN 'make its condition cheaper (fraud.alter_rule), or fraud.enforce_rule or fraud.observe_rule to try again (fraud_detect.rule_timeout)'
                        WHEN s.slow_id IS NOT NULL THEN 'make its condition cheaper (fraud.alter_rule), or fraud.enforce_rule to try again (fraud_detect.rule_time_limit)'
                        WHEN f.failures > 0 THEN format('fraud.%s says why (error); mend the condition: fraud.alter_rule(%L, …)', matches, r.rule) END
            FROM (SELECT count(*) AS failures, min(m.matched_at) AS first_at
                  FROM (SELECT n.matched_at FROM (
                            (SELECT m.matched_at FROM fraud.rule_matches m
                             WHERE m.rule = r.rule AND m.matched_at > now() - interval '1 hour' AND m.error IS NOT NULL ORDER BY m.matched_at DESC LIMIT 1001)
                            UNION ALL
                            (SELECT m.matched_at FROM fraud.stream_rule_matches m
                             WHERE m.rule = r.rule AND m.matched_at > now() - interval '1 hour' AND m.error IS NOT NULL ORDER BY m.matched_at DESC LIMIT 1001)) n) m) f
            LEFT JOIN LATERAL (SELECT n.* FROM fraud.slow_rules n WHERE n.rule = r.rule AND (n.version = r.enforced_version OR n.stopped AND n.version = r.observed_version)
                                 AND n.noticed_at > r.changed_at
                               ORDER BY n.stopped DESC, n.slow_id DESC LIMIT 1) s ON true
            WHERE f.failures > 0 OR s.slow_id IS NOT NULL;
    END LOOP;
END
$$;
COMMENT ON FUNCTION fraud._rule_health() IS 'internal: the items of fraud.health() on rules that fail or are slow';
