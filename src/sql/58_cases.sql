-- What analysts do with cases. A decision writes labels in the same transaction,
-- and taking it back takes those back.
CREATE TRIGGER case_history_append_only BEFORE UPDATE OR DELETE ON fraud.case_history
    FOR EACH ROW EXECUTE FUNCTION fraud._append_only('note');
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON fraud.case_history
    FOR EACH STATEMENT EXECUTE FUNCTION fraud._append_only();
CREATE TRIGGER alerts_append_only BEFORE UPDATE OR DELETE ON fraud.alerts
    FOR EACH ROW EXECUTE FUNCTION fraud._append_only('reasons');
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON fraud.alerts
    FOR EACH STATEMENT EXECUTE FUNCTION fraud._append_only();

-- One step of a case that is locked: how it stands from now on, and its line of history. Who decides
-- of a case that nobody has, has it; and a case that is opened anew is due anew.
CREATE FUNCTION fraud._set_case(matter fraud.case_states, new_status text, action text, note text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me name := fraud._caller();
BEGIN
    UPDATE fraud.case_states c
    SET status = new_status, status_at = now(), status_by = me,
        assignee = CASE WHEN new_status = 'open' THEN c.assignee ELSE coalesce(c.assignee, me) END,
        assigned_at = CASE WHEN new_status = 'open' THEN c.assigned_at ELSE coalesce(c.assigned_at, now()) END,
        due_at = CASE WHEN new_status = 'open' AND c.status <> 'acknowledged'
                      THEN now() + nullif(coalesce(nullif(current_setting('fraud_detect.case_due', true), ''), '1d')::interval, interval '0')
                      ELSE c.due_at END
    WHERE c.card = matter.card AND c.case_id = matter.case_id;
    INSERT INTO fraud.case_history (card, case_id, action, old_status, new_status, assignee, note)
    VALUES (matter.card, matter.case_id, action, matter.status, new_status,
            CASE WHEN new_status = 'open' THEN matter.assignee ELSE coalesce(matter.assignee, me) END, fraud._kept_text(note));
END
$$;
COMMENT ON FUNCTION fraud._set_case(fraud.case_states, text, text, text) IS 'internal: changes the status of a case, with its line of history';

-- `allowed` are the states from which the change may come; cases in another are left out,
-- or, of a single one, an error. `is_fraud` is the label for each payment of a case, or
-- null: take back what was decided before.
CREATE FUNCTION fraud._change_cases(
    case_ids bigint[], new_status text, allowed text[], note text, known_at timestamptz, is_fraud boolean, overrule boolean,
    single boolean
) RETURNS SETOF fraud.cases
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    matter record;
    step fraud.case_states;
    verb text := CASE new_status WHEN 'acknowledged' THEN 'acknowledge' WHEN 'confirmed' THEN 'confirm'
                                 WHEN 'dismissed' THEN 'dismiss' ELSE 'reopen' END;
    changed bigint[];
    unknown bigint[];
    of_cards uuid[];
    ids text[];
    known timestamptz[];
    overruled jsonb;
BEGIN
    IF case_ids IS NULL OR array_position(case_ids, NULL) IS NOT NULL OR known_at IS NULL THEN
        RAISE EXCEPTION '% and known_at must not be null', CASE WHEN single THEN 'case_id' ELSE 'case_ids' END
            USING ERRCODE = 'null_value_not_allowed';
    ELSIF length(note) > 10000 THEN
        RAISE EXCEPTION 'the note has % characters, expected at most 10000', length(note)
            USING ERRCODE = 'string_data_right_truncation';
    END IF;
    PERFORM fraud._lock_matters(case_ids, NULL, NULL);
    unknown := ARRAY(SELECT DISTINCT n.case_id FROM unnest(case_ids) n(case_id)
                     WHERE NOT EXISTS (SELECT FROM fraud.case_states c WHERE c.case_id = n.case_id) ORDER BY 1);
    IF cardinality(unknown) = 1 THEN
        RAISE EXCEPTION 'case % does not exist', unknown[1]
            USING ERRCODE = 'no_data_found',
                  HINT = 'fraud.cases lists the cases.';
    ELSIF cardinality(unknown) > 1 THEN
        RAISE EXCEPTION '% cases do not exist', cardinality(unknown)
            USING ERRCODE = 'no_data_found',
                  DETAIL = format('Their numbers: %s%s.', array_to_string(unknown[1:100], ', '), CASE WHEN cardinality(unknown) > 100 THEN ', …' ELSE '' END),
                  HINT = 'fraud.cases lists the cases.';
    END IF;
    IF single THEN
        SELECT c.case_id, c.status INTO matter FROM fraud.case_states c WHERE c.case_id = case_ids[1] AND c.status <> ALL (allowed);
        IF FOUND THEN
            RAISE EXCEPTION 'case % is %, expected %', matter.case_id, matter.status, array_to_string(allowed, ' or ')
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = CASE WHEN new_status = 'acknowledged' AND matter.status <> new_status
                                  THEN 'Call fraud.reopen_case first.'
                                  WHEN matter.status = 'merged'
                                  THEN format('Its alerts are those of case %s now.', (SELECT c.merged_into FROM fraud.case_states c WHERE c.case_id = matter.case_id))
                                  ELSE 'fraud.case_history says who changed it, and when.' END;
        END IF;
    END IF;
    changed := ARRAY(SELECT c.case_id FROM fraud.case_states c
                     WHERE c.case_id = ANY (case_ids) AND c.status = ANY (allowed) ORDER BY c.card, c.case_id);
    SELECT m.* INTO matter
    FROM (SELECT c.case_id, (SELECT min(a.occurred_at) FROM fraud.alerts a WHERE a.case_id = c.case_id AND a.card = c.card) AS earliest
          FROM fraud.case_states c WHERE c.case_id = ANY (changed)) m
    WHERE known_at > now() OR known_at < least(m.earliest, now())
    ORDER BY m.earliest DESC LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'known_at % is not between the first payment''s time % and now', known_at, matter.earliest
            USING ERRCODE = 'invalid_parameter_value', DETAIL = format('The case is %s.', matter.case_id);
    END IF;

    -- A payment has one alert, and so is of one case. What is taken back is what analysts
    -- said: then what others have said counts again, else nothing is known.
    SELECT array_agg(a.card ORDER BY a.alert_id), array_agg(a.transaction_id ORDER BY a.alert_id),
           array_agg(CASE WHEN is_fraud IS NULL THEN now() ELSE greatest(known_at, least(a.occurred_at, now())) END ORDER BY a.alert_id)
    INTO of_cards, ids, known
    FROM fraud.case_states c JOIN fraud.alerts a ON a.card = c.card AND a.case_id = c.case_id
    WHERE c.case_id = ANY (changed) AND (is_fraud IS NOT NULL OR c.status IN ('confirmed', 'dismissed'));
    SELECT jsonb_object_agg(a.case_id, a.labels) INTO overruled
    FROM (SELECT a.case_id, jsonb_agg(o.label_id ORDER BY o.label_id) AS labels
          FROM fraud._write_labels(of_cards, ids, known, is_fraud, 'analyst', overrule) w
          JOIN fraud.alerts a ON a.card = w.card AND a.transaction_id = w.transaction_id
          CROSS JOIN unnest(w.overrules) o(label_id)
          GROUP BY a.case_id) a;

    FOR step IN SELECT c.* FROM fraud.case_states c WHERE c.case_id = ANY (changed) ORDER BY c.card, c.case_id LOOP
        PERFORM fraud._set_case(step, new_status, verb, note);
        -- The note is in fraud.case_history alone: it may name the customer, and the log is kept.
        PERFORM fraud._audit(verb, 'case', step.case_id::text, jsonb_build_object('status', step.status),
            jsonb_build_object('status', new_status)
            || CASE WHEN overruled ? step.case_id::text THEN jsonb_build_object('overrules', overruled -> step.case_id::text) ELSE '{}' END);
    END LOOP;
    RETURN QUERY SELECT c.* FROM fraud.cases c WHERE c.case_id = ANY (changed) ORDER BY c.case_id;
END
$$;
COMMENT ON FUNCTION fraud._change_cases(bigint[], text, text[], text, timestamptz, boolean, boolean, boolean) IS
    'internal: one step of cases, with their labels and their lines of history; returns those that were changed';

CREATE FUNCTION fraud._acknowledge_case(case_id bigint, note text) RETURNS fraud.cases
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT c.* FROM fraud._change_cases(ARRAY[case_id], 'acknowledged', '{open}', note, now(), NULL, false, true) c; END;
COMMENT ON FUNCTION fraud._acknowledge_case(bigint, text) IS 'internal: the body of fraud.acknowledge_case, run as the owner';

CREATE FUNCTION fraud.acknowledge_case(case_id bigint, note text DEFAULT NULL) RETURNS fraud.cases
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.acknowledge_case(bigint, text) IS
    'says that somebody looks into an open case; returns it';

CREATE FUNCTION fraud._acknowledge_cases(case_ids bigint[], note text) RETURNS SETOF fraud.cases
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT c.* FROM fraud._change_cases(case_ids, 'acknowledged', '{open}', note, now(), NULL, false, false) c; END;
COMMENT ON FUNCTION fraud._acknowledge_cases(bigint[], text) IS 'internal: the body of fraud.acknowledge_cases, run as the owner';

CREATE FUNCTION fraud.acknowledge_cases(case_ids bigint[], note text DEFAULT NULL) RETURNS SETOF fraud.cases
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.acknowledge_cases(bigint[], text) IS
    'says that somebody looks into cases; returns those that were open till now';

CREATE FUNCTION fraud._confirm_case(case_id bigint, note text, known_at timestamptz, overrule boolean) RETURNS fraud.cases
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT c.* FROM fraud._change_cases(ARRAY[case_id], 'confirmed', '{open,acknowledged,dismissed,closed}', note, known_at, true, overrule, true) c; END;
COMMENT ON FUNCTION fraud._confirm_case(bigint, text, timestamptz, boolean) IS 'internal: the body of fraud.confirm_case, run as the owner';

CREATE FUNCTION fraud.confirm_case(case_id bigint, note text DEFAULT NULL, known_at timestamptz DEFAULT now(), overrule boolean DEFAULT false) RETURNS fraud.cases
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.confirm_case(bigint, text, timestamptz, boolean) IS
    'decides that the payments of a case are fraud: labels each, with source analyst, from known_at on; returns the case. Where others say otherwise (a chargeback, the feed), it names the payments, unless overrule sets that aside';

CREATE FUNCTION fraud._confirm_cases(case_ids bigint[], note text, known_at timestamptz, overrule boolean) RETURNS SETOF fraud.cases
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT c.* FROM fraud._change_cases(case_ids, 'confirmed', '{open,acknowledged,dismissed,closed}', note, known_at, true, overrule, false) c; END;
COMMENT ON FUNCTION fraud._confirm_cases(bigint[], text, timestamptz, boolean) IS 'internal: the body of fraud.confirm_cases, run as the owner';

CREATE FUNCTION fraud.confirm_cases(case_ids bigint[], note text DEFAULT NULL, known_at timestamptz DEFAULT now(), overrule boolean DEFAULT false) RETURNS SETOF fraud.cases
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.confirm_cases(bigint[], text, timestamptz, boolean) IS
    'decides that the payments of cases are fraud, as fraud.confirm_case does, all or none; returns those that were not confirmed before';

CREATE FUNCTION fraud._dismiss_case(case_id bigint, note text, known_at timestamptz, overrule boolean) RETURNS fraud.cases
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT c.* FROM fraud._change_cases(ARRAY[case_id], 'dismissed', '{open,acknowledged,confirmed,closed}', note, known_at, false, overrule, true) c; END;
COMMENT ON FUNCTION fraud._dismiss_case(bigint, text, timestamptz, boolean) IS 'internal: the body of fraud.dismiss_case, run as the owner';

CREATE FUNCTION fraud.dismiss_case(case_id bigint, note text DEFAULT NULL, known_at timestamptz DEFAULT now(), overrule boolean DEFAULT false) RETURNS fraud.cases
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.dismiss_case(bigint, text, timestamptz, boolean) IS
    'decides that the payments of a case are legitimate: labels each, with source analyst, from known_at on; returns the case. Where others say that one is fraud (a chargeback, the feed), it names the payments, unless overrule sets that aside';

CREATE FUNCTION fraud._dismiss_cases(case_ids bigint[], note text, known_at timestamptz, overrule boolean) RETURNS SETOF fraud.cases
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT c.* FROM fraud._change_cases(case_ids, 'dismissed', '{open,acknowledged,confirmed,closed}', note, known_at, false, overrule, false) c; END;
COMMENT ON FUNCTION fraud._dismiss_cases(bigint[], text, timestamptz, boolean) IS 'internal: the body of fraud.dismiss_cases, run as the owner';

CREATE FUNCTION fraud.dismiss_cases(case_ids bigint[], note text DEFAULT NULL, known_at timestamptz DEFAULT now(), overrule boolean DEFAULT false) RETURNS SETOF fraud.cases
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.dismiss_cases(bigint[], text, timestamptz, boolean) IS
    'decides that the payments of cases are legitimate, as fraud.dismiss_case does, all or none; returns those that were not dismissed before';

CREATE FUNCTION fraud._reopen_case(case_id bigint, note text) RETURNS fraud.cases
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT c.* FROM fraud._change_cases(ARRAY[case_id], 'open', '{acknowledged,confirmed,dismissed,closed}', note, now(), NULL, false, true) c; END;
COMMENT ON FUNCTION fraud._reopen_case(bigint, text) IS 'internal: the body of fraud.reopen_case, run as the owner';

CREATE FUNCTION fraud.reopen_case(case_id bigint, note text DEFAULT NULL) RETURNS fraud.cases
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.reopen_case(bigint, text) IS
    'makes a case open again; a decision is taken back: from now on what others than analysts have said of each payment counts, or nothing is known; returns the case';

CREATE FUNCTION fraud._reopen_cases(case_ids bigint[], note text) RETURNS SETOF fraud.cases
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT c.* FROM fraud._change_cases(case_ids, 'open', '{acknowledged,confirmed,dismissed,closed}', note, now(), NULL, false, false) c; END;
COMMENT ON FUNCTION fraud._reopen_cases(bigint[], text) IS 'internal: the body of fraud.reopen_cases, run as the owner';

CREATE FUNCTION fraud.reopen_cases(case_ids bigint[], note text DEFAULT NULL) RETURNS SETOF fraud.cases
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.reopen_cases(bigint[], text) IS
    'makes cases open again, as fraud.reopen_case does; returns those that were not';
