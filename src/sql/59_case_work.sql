-- How a team works its cases: who has which, what is said of it, what belongs together.
-- fraud._change_cases (58_cases.sql) decides them.

-- ------------------------------------------------------------- one at a time
-- As fraud._lock_matters, of cases alone: a note or a name changes no payment. Waits for
-- people with empty hands, so that nobody who goes through cases one by one, in any order,
-- ends in a deadlock with one who takes many.
CREATE FUNCTION fraud._lock_cases(case_ids bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n record;
    busy record;
BEGIN
    LOOP
        busy := NULL;
        BEGIN
            FOR n IN SELECT c.card, c.case_id FROM fraud.case_states c WHERE c.case_id = ANY (case_ids) ORDER BY c.card, c.case_id LOOP
                PERFORM FROM fraud.case_states c WHERE c.card = n.card AND c.case_id = n.case_id FOR NO KEY UPDATE SKIP LOCKED;
                IF NOT FOUND AND NOT fraud._wait_for_alert(n.card, n.case_id) THEN
                    busy := n;
                    RAISE SQLSTATE 'FD001';
                END IF;
            END LOOP;
        EXCEPTION
            WHEN SQLSTATE 'FD001' THEN NULL;
        END;
        EXIT WHEN busy IS NULL;
        BEGIN
            PERFORM FROM fraud.case_states c WHERE c.card = busy.card AND c.case_id = busy.case_id FOR NO KEY UPDATE;
            -- Gone meanwhile: then it is in the way no more.
            RAISE SQLSTATE 'FD001';
        EXCEPTION
            WHEN SQLSTATE 'FD001' THEN NULL;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION fraud._lock_cases(bigint[]) IS
    'internal: locks cases, but not their payments, in the one order that all use; waits for people with empty hands';

CREATE FUNCTION fraud._check_cases(case_ids bigint[], note text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unknown bigint[];
BEGIN
    IF case_ids IS NULL OR array_position(case_ids, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'a case''s number must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF length(note) > 10000 THEN
        RAISE EXCEPTION 'the note has % characters, expected at most 10000', length(note)
            USING ERRCODE = 'string_data_right_truncation';
    END IF;
    unknown := ARRAY(SELECT DISTINCT n.case_id FROM unnest(case_ids) n(case_id)
                     WHERE NOT EXISTS (SELECT FROM fraud.case_states c WHERE c.case_id = n.case_id) ORDER BY 1);
    IF cardinality(unknown) > 0 THEN
        RAISE EXCEPTION '%', CASE cardinality(unknown) WHEN 1 THEN format('case %s does not exist', unknown[1])
                                  ELSE format('%s cases do not exist', cardinality(unknown)) END
            USING ERRCODE = 'no_data_found',
                  DETAIL = CASE WHEN cardinality(unknown) > 1 THEN format('Their numbers: %s%s.', array_to_string(unknown[1:100], ', '),
                                                                          CASE WHEN cardinality(unknown) > 100 THEN ', …' ELSE '' END) ELSE '' END,
                  HINT = 'fraud.cases lists the cases.';
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._check_cases(bigint[], text) IS 'internal: refuses cases that do not exist, and a note that is too long';

CREATE FUNCTION fraud._check_assignee(assignee name) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF assignee IS NULL THEN
        RETURN;
    ELSIF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = assignee) THEN
        RAISE EXCEPTION 'role "%" does not exist', assignee
            USING ERRCODE = 'undefined_object', HINT = 'A case is assigned to a database role, or to nobody: null.';
    ELSIF NOT has_function_privilege(assignee, 'fraud.note_case(bigint, text)', 'EXECUTE') THEN
        RAISE EXCEPTION 'role "%" may not work on cases', assignee
            USING ERRCODE = 'invalid_parameter_value', HINT = format('Give it the access: SELECT fraud.grant_access(%L, ''analyst'').', assignee);
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._check_assignee(name) IS 'internal: refuses to give a case to who cannot work on it';

-- ------------------------------------------------------------------- assign
CREATE FUNCTION fraud._assign_cases(case_ids bigint[], assignee name, note text) RETURNS SETOF fraud.cases
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    to_whom name := assignee;
    matter fraud.case_states;
    changed bigint[] := '{}';
BEGIN
    PERFORM fraud._check_cases(case_ids, note);
    PERFORM fraud._check_assignee(to_whom);
    PERFORM fraud._lock_cases(case_ids);
    FOR matter IN
        SELECT c.* FROM fraud.case_states c
        WHERE c.case_id = ANY (case_ids) AND c.status IN ('open', 'acknowledged') AND c.assignee IS DISTINCT FROM to_whom
        ORDER BY c.card, c.case_id
    LOOP
        UPDATE fraud.case_states c SET assignee = to_whom, assigned_at = CASE WHEN to_whom IS NOT NULL THEN now() END
        WHERE c.card = matter.card AND c.case_id = matter.case_id;
        INSERT INTO fraud.case_history (card, case_id, action, old_status, new_status, assignee, note)
        VALUES (matter.card, matter.case_id, CASE WHEN to_whom IS NULL THEN 'release' ELSE 'assign' END, matter.status, matter.status, to_whom,
                fraud._kept_text(note));
        PERFORM fraud._audit(CASE WHEN to_whom IS NULL THEN 'release' ELSE 'assign' END, 'case', matter.case_id::text,
            jsonb_build_object('assignee', matter.assignee), jsonb_build_object('assignee', to_whom));
        changed := changed || matter.case_id;
    END LOOP;
    RETURN QUERY SELECT c.* FROM fraud.cases c WHERE c.case_id = ANY (changed) ORDER BY c.case_id;
END
$$;
COMMENT ON FUNCTION fraud._assign_cases(bigint[], name, text) IS 'internal: the body of fraud.assign_cases, run as the owner';

CREATE FUNCTION fraud.assign_cases(case_ids bigint[], assignee name, note text DEFAULT NULL) RETURNS SETOF fraud.cases
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.assign_cases(bigint[], name, text) IS
    'gives undecided cases to a role with access analyst, or takes them from whoever has them (null); returns those whose assignee changed';

CREATE FUNCTION fraud._assign_case(case_id bigint, assignee name, note text) RETURNS fraud.cases
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    result fraud.cases;
    at_present text;
BEGIN
    SELECT c.* INTO result FROM fraud._assign_cases(ARRAY[case_id], assignee, note) c;
    IF NOT FOUND THEN
        SELECT c.* INTO result FROM fraud.cases c WHERE c.case_id = _assign_case.case_id;
        at_present := result.status;
        IF at_present NOT IN ('open', 'acknowledged') THEN
            RAISE EXCEPTION 'case % is %, expected open or acknowledged', case_id, at_present
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'fraud.reopen_case makes a decided case open again.';
        END IF;
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION fraud._assign_case(bigint, name, text) IS 'internal: the body of fraud.assign_case, run as the owner';

CREATE FUNCTION fraud.assign_case(case_id bigint, assignee name, note text DEFAULT NULL) RETURNS fraud.cases
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.assign_case(bigint, name, text) IS
    'gives an undecided case to a role with access analyst, or takes it from whoever has it (null); returns the case';

-- ----------------------------------------------------------------- take next
-- What another has locked at this moment, he is taking or deciding: it is passed over, so
-- that two never get the same, and neither waits.
CREATE FUNCTION fraud._take_case(count int) RETURNS SETOF fraud.cases
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- In the order of the index, whatever is known of the table: it may be new.
SET enable_sort = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    wanted int := count;
    me name := fraud._caller();
    matter fraud.case_states;
    taken bigint[] := '{}';
BEGIN
    IF wanted IS NULL THEN
        RAISE EXCEPTION 'count must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF wanted NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'count is %, expected 1 to 1000', wanted USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR matter IN
        SELECT c.* FROM fraud.case_states c
        WHERE c.status IN ('open', 'acknowledged') AND c.status = 'open' AND c.assignee IS NULL
        ORDER BY c.priority DESC, c.case_id LIMIT wanted
        FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        UPDATE fraud.case_states c
        SET status = 'acknowledged', status_at = now(), status_by = me, assignee = me, assigned_at = now()
        WHERE c.card = matter.card AND c.case_id = matter.case_id;
        INSERT INTO fraud.case_history (card, case_id, action, old_status, new_status, assignee)
        VALUES (matter.card, matter.case_id, 'take', matter.status, 'acknowledged', me);
        PERFORM fraud._audit('take', 'case', matter.case_id::text, jsonb_build_object('status', matter.status),
                             jsonb_build_object('status', 'acknowledged', 'assignee', me));
        taken := taken || matter.case_id;
    END LOOP;
    RETURN QUERY SELECT c.* FROM fraud.cases c WHERE c.case_id = ANY (taken) ORDER BY c.priority DESC, c.case_id;
END
$$;
COMMENT ON FUNCTION fraud._take_case(int) IS 'internal: the body of fraud.take_case, run as the owner';

CREATE FUNCTION fraud.take_case(count int DEFAULT 1) RETURNS SETOF fraud.cases
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.take_case(int) IS
    'gives the caller the open case of the greatest priority that nobody has, or so many (1 to 1000), and acknowledges it; no two callers get the same, and nobody waits. No row where there is none';

-- --------------------------------------------------------------------- note
CREATE FUNCTION fraud._note_cases(case_ids bigint[], note text) RETURNS SETOF fraud.cases
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    matter fraud.case_states;
BEGIN
    PERFORM fraud._check_cases(case_ids, note);
    IF note IS NULL THEN
        RAISE EXCEPTION 'note must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF note !~ '[^[:space:]]' THEN
        RAISE EXCEPTION 'the note must not be empty' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Nothing of the case changes, so nobody is waited for.
    FOR matter IN SELECT c.* FROM fraud.case_states c WHERE c.case_id = ANY (case_ids) ORDER BY c.card, c.case_id LOOP
        INSERT INTO fraud.case_history (card, case_id, action, old_status, new_status, assignee, note)
        VALUES (matter.card, matter.case_id, 'note', matter.status, matter.status, matter.assignee, fraud._kept_text(note));
        -- The note is in fraud.case_history alone: it may name the customer, and the log is kept.
        PERFORM fraud._audit('note', 'case', matter.case_id::text);
    END LOOP;
    RETURN QUERY SELECT c.* FROM fraud.cases c WHERE c.case_id = ANY (case_ids) ORDER BY c.case_id;
END
$$;
COMMENT ON FUNCTION fraud._note_cases(bigint[], text) IS 'internal: the body of fraud.note_cases, run as the owner';

CREATE FUNCTION fraud.note_cases(case_ids bigint[], note text) RETURNS SETOF fraud.cases
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.note_cases(bigint[], text) IS
    'adds a note (at most 10,000 characters; card numbers are masked) to the history of cases, whatever their status, which stays; returns the cases';

CREATE FUNCTION fraud._note_case(case_id bigint, note text) RETURNS fraud.cases
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT c.* FROM fraud._note_cases(ARRAY[case_id], note) c; END;
COMMENT ON FUNCTION fraud._note_case(bigint, text) IS 'internal: the body of fraud.note_case, run as the owner';

CREATE FUNCTION fraud.note_case(case_id bigint, note text) RETURNS fraud.cases
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.note_case(bigint, text) IS
    'adds a note (at most 10,000 characters; card numbers are masked) to the history of a case, whatever its status, which stays; returns the case';

-- -------------------------------------------------- each payment by itself
CREATE FUNCTION fraud._decide_case(case_id bigint, frauds text[], legitimate text[], note text, known_at timestamptz, overrule boolean)
RETURNS fraud.cases
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    matter fraud.case_states;
    result fraud.cases;
    new_status text;
    unknown text;
    twice text;
    earliest timestamptz;
    overruled jsonb := '[]';
    said record;
BEGIN
    PERFORM fraud._check_cases(ARRAY[case_id], note);
    IF frauds IS NULL OR known_at IS NULL THEN
        RAISE EXCEPTION 'frauds and known_at must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF array_position(frauds, NULL) IS NOT NULL OR array_position(legitimate, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'frauds and legitimate must not hold a null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM fraud._lock_matters(ARRAY[case_id], NULL, NULL);
    SELECT c.* INTO matter FROM fraud.case_states c WHERE c.case_id = _decide_case.case_id;
    IF matter.status = 'merged' THEN
        RAISE EXCEPTION 'case % is merged, expected another status', case_id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = format('Its alerts are those of case %s now.', matter.merged_into);
    END IF;
    SELECT g.id INTO unknown FROM unnest(frauds || legitimate) g(id)
    WHERE NOT EXISTS (SELECT FROM fraud.alerts a WHERE a.card = matter.card AND a.case_id = matter.case_id AND a.transaction_id = ANY (fraud._payment_ids(g.id)))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'payment "%" is not one of case %', fraud._mask_card_numbers(unknown), case_id
            USING ERRCODE = 'no_data_found', HINT = 'fraud.alerts lists the payments of a case, by case_id.';
    END IF;
    SELECT g.id INTO twice FROM unnest(frauds) g(id) WHERE g.id = ANY (legitimate) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'payment "%" is both in frauds and in legitimate', fraud._mask_card_numbers(twice)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name it in one of them.';
    END IF;
    SELECT min(a.occurred_at) INTO earliest FROM fraud.alerts a WHERE a.card = matter.card AND a.case_id = matter.case_id;
    IF known_at > now() OR known_at < least(earliest, now()) THEN
        RAISE EXCEPTION 'known_at % is not between the first payment''s time % and now', known_at, earliest
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    new_status := CASE WHEN cardinality(frauds) > 0 THEN 'confirmed' ELSE 'dismissed' END;
    -- Of payments that are on neither list what was decided before is taken back, if it was.
    FOR said IN
        SELECT w.is_fraud, array_agg(w.card ORDER BY w.alert_id) AS cards, array_agg(w.transaction_id ORDER BY w.alert_id) AS ids,
               array_agg(CASE WHEN w.is_fraud IS NULL THEN now() ELSE greatest(_decide_case.known_at, least(w.occurred_at, now())) END ORDER BY w.alert_id) AS known
        FROM (SELECT a.*, CASE WHEN f.ids && fraud._payment_ids(a.transaction_id) THEN true
                               WHEN legitimate IS NULL OR f.clean && fraud._payment_ids(a.transaction_id) THEN false END AS is_fraud
              FROM fraud.alerts a,
                   (SELECT ARRAY(SELECT unnest(fraud._payment_ids(g.id)) FROM unnest(frauds) g(id)) AS ids,
                           ARRAY(SELECT unnest(fraud._payment_ids(g.id)) FROM unnest(legitimate) g(id)) AS clean) f
              WHERE a.card = matter.card AND a.case_id = matter.case_id) w
        WHERE w.is_fraud IS NOT NULL OR matter.status IN ('confirmed', 'dismissed')
        GROUP BY w.is_fraud
    LOOP
        overruled := overruled || coalesce((SELECT jsonb_agg(o.label_id ORDER BY o.label_id)
            FROM fraud._write_labels(said.cards, said.ids, said.known, said.is_fraud, 'analyst', overrule) w
            CROSS JOIN unnest(w.overrules) o(label_id)), '[]');
    END LOOP;
    PERFORM fraud._set_case(matter, new_status, 'decide', note);
    PERFORM fraud._audit('decide', 'case', case_id::text, jsonb_build_object('status', matter.status),
        jsonb_build_object('status', new_status, 'frauds', cardinality(frauds)) || CASE WHEN overruled <> '[]' THEN jsonb_build_object('overrules', overruled) ELSE '{}' END);
    SELECT c.* INTO result FROM fraud.cases c WHERE c.card = matter.card AND c.case_id = matter.case_id;
    RETURN result;
END
$$;
COMMENT ON FUNCTION fraud._decide_case(bigint, text[], text[], text, timestamptz, boolean) IS 'internal: the body of fraud.decide_case, run as the owner';

CREATE FUNCTION fraud.decide_case(
    case_id bigint, frauds text[], legitimate text[] DEFAULT NULL, note text DEFAULT NULL, known_at timestamptz DEFAULT now(), overrule boolean DEFAULT false
) RETURNS fraud.cases
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.decide_case(bigint, text[], text[], text, timestamptz, boolean) IS
    'decides each payment of a case by itself: those of the ids in frauds are fraud, those in legitimate (by default all others) are not, the rest stays without a label of an analyst; the case is confirmed if any is fraud, else dismissed; returns it. Labels and overrule as in fraud.confirm_case';

-- -------------------------------------------------------------------- merge
CREATE FUNCTION fraud._merge_cases(case_id bigint, other_cases bigint[], note text) RETURNS fraud.cases
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target fraud.case_states;
    matter fraud.case_states;
    result fraud.cases;
BEGIN
    IF other_cases IS NULL THEN
        RAISE EXCEPTION 'other_cases must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM fraud._check_cases(_merge_cases.case_id || other_cases, note);
    IF case_id = ANY (other_cases) THEN
        RAISE EXCEPTION 'case % cannot be merged into itself: expected other cases', case_id
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF cardinality(other_cases) = 0 THEN
        RAISE EXCEPTION 'other_cases must not be empty' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM fraud._lock_matters(_merge_cases.case_id || other_cases, NULL, NULL);
    SELECT c.* INTO target FROM fraud.case_states c WHERE c.case_id = _merge_cases.case_id;
    SELECT c.* INTO matter FROM fraud.case_states c
    WHERE c.case_id = ANY (_merge_cases.case_id || other_cases) AND c.status NOT IN ('open', 'acknowledged') ORDER BY c.case_id LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'case % is %, expected open or acknowledged', matter.case_id, matter.status
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Reopen it first: fraud.reopen_case.';
    END IF;
    SELECT c.* INTO matter FROM fraud.case_states c WHERE c.case_id = ANY (other_cases) AND c.card <> target.card ORDER BY c.case_id LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'case % is of another customer than case %', matter.case_id, target.case_id
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'A case is of one customer. fraud.case_links shows what customers share; fraud.note_cases writes the same into several cases.';
    END IF;
    FOR matter IN SELECT c.* FROM fraud.case_states c WHERE c.card = target.card AND c.case_id = ANY (other_cases) ORDER BY c.case_id LOOP
        UPDATE fraud.case_states c SET status = 'merged', status_at = now(), status_by = fraud._caller(), merged_into = target.case_id
        WHERE c.card = matter.card AND c.case_id = matter.case_id;
        UPDATE fraud.alerts a SET case_id = target.case_id WHERE a.card = matter.card AND a.case_id = matter.case_id;
        INSERT INTO fraud.case_history (card, case_id, action, old_status, new_status, assignee, other_case, note)
        VALUES (matter.card, matter.case_id, 'merge', matter.status, 'merged', matter.assignee, target.case_id, fraud._kept_text(note)),
               (target.card, target.case_id, 'merge', target.status, target.status, target.assignee, matter.case_id, fraud._kept_text(note));
        PERFORM fraud._audit('merge', 'case', matter.case_id::text, jsonb_build_object('status', matter.status),
                             jsonb_build_object('status', 'merged', 'into', target.case_id));
    END LOOP;
    UPDATE fraud.case_states c
    SET priority = o.priority, due_at = o.due_at, opened_at = o.opened_at, alerts = o.alerts, decision = o.decision, last_alert_at = o.last_alert_at
    -- In the alphabet, block is before review.
    FROM (SELECT sum(m.priority) AS priority, min(m.due_at) AS due_at, min(m.opened_at) AS opened_at, sum(m.alerts) AS alerts,
                 min(m.decision) AS decision, max(m.last_alert_at) AS last_alert_at
          FROM fraud.case_states m WHERE m.card = target.card AND m.case_id = ANY (_merge_cases.case_id || other_cases)) o
    WHERE c.card = target.card AND c.case_id = _merge_cases.case_id;
    SELECT c.* INTO result FROM fraud.cases c WHERE c.card = target.card AND c.case_id = _merge_cases.case_id;
    RETURN result;
END
$$;
COMMENT ON FUNCTION fraud._merge_cases(bigint, bigint[], text) IS 'internal: the body of fraud.merge_cases, run as the owner';

CREATE FUNCTION fraud.merge_cases(case_id bigint, other_cases bigint[], note text DEFAULT NULL) RETURNS fraud.cases
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.merge_cases(bigint, bigint[], text) IS
    'puts the alerts of undecided cases of a customer into another undecided case of the same, which takes their priority and the earliest time due; they are merged from then on, and stay so. Returns the case';

-- -------------------------------------------------------------- after a flood
-- In one statement and not case by case: a bad threshold opens a hundred thousand in an hour. What
-- somebody, or an alert that joins it just now, has locked is passed over, and nobody waits.
CREATE FUNCTION fraud._close_flood("from" timestamptz, "to" timestamptz, reason text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    closed bigint;
    in_use bigint;
BEGIN
    IF num_nulls("from", "to", reason) > 0 THEN
        RAISE EXCEPTION 'from, to and reason must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF reason !~ '[^[:space:]]' THEN
        RAISE EXCEPTION 'a reason is needed' USING ERRCODE = 'invalid_parameter_value', HINT = 'It is kept in the history of each case.';
    ELSIF length(reason) > 10000 THEN
        RAISE EXCEPTION 'the reason has % characters, expected at most 10000', length(reason) USING ERRCODE = 'string_data_right_truncation';
    END IF;
    PERFORM fraud._check_period("from", "to");
    WITH flood AS (
        SELECT c.card, c.case_id FROM fraud.case_states c
        WHERE c.opened_at >= "from" AND c.opened_at < "to" AND c.status = 'open' AND c.assignee IS NULL
        FOR NO KEY UPDATE SKIP LOCKED
    ), done AS (
        UPDATE fraud.case_states c SET status = 'closed', status_at = now(), status_by = fraud._caller()
        FROM flood f WHERE c.card = f.card AND c.case_id = f.case_id
        RETURNING c.card, c.case_id
    )
    INSERT INTO fraud.case_history (card, case_id, action, old_status, new_status, note)
    SELECT d.card, d.case_id, 'close', 'open', 'closed', fraud._kept_text(reason) FROM done d;
    GET DIAGNOSTICS closed = ROW_COUNT;
    SELECT count(*) INTO in_use FROM fraud.case_states c
    WHERE c.opened_at >= "from" AND c.opened_at < "to" AND c.status IN ('open', 'acknowledged');
    IF in_use > 0 THEN
        RAISE NOTICE '% of the time stay as they are: somebody has, or is changing, them',
            CASE in_use WHEN 1 THEN '1 case' ELSE in_use || ' cases' END;
    END IF;
    PERFORM fraud._audit('close', 'flood', NULL, NULL, jsonb_build_object('from', "from", 'to', "to", 'cases', closed));
    RETURN closed;
END
$$;
COMMENT ON FUNCTION fraud._close_flood(timestamptz, timestamptz, text) IS 'internal: the body of fraud.close_flood, run as the owner';

CREATE FUNCTION fraud.close_flood("from" timestamptz, "to" timestamptz, reason text) RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.close_flood(timestamptz, timestamptz, text) IS
    'after a flood of alerts (a threshold that was wrong): closes the cases that were opened in [from, to) and that nobody has taken up, and labels no payment; returns how many. What came later to a case that was opened in that time is closed with it; fraud.reopen_cases takes it back';

-- -------------------------------------------------------------------- queue
-- Worst first by the index: the first page costs the same whether ten wait or 100,000. The order is made of the
-- cases' own rows, and the sums, each by itself, of those that are shown: also right after a flood, where the planner
-- knows nothing of the table yet, and sorts.
CREATE VIEW fraud.case_queue WITH (security_barrier) AS
    SELECT c.case_id, c.status, c.priority,
           c.decision,
           -- As fraud.cases.
           (SELECT max(a.score) FROM (SELECT c.card, c.case_id) k JOIN fraud.alerts a USING (card, case_id)) AS max_score,
           (SELECT sum(a.payment_amount) FROM (SELECT c.card, c.case_id) k JOIN fraud.alerts a USING (card, case_id)) AS amount,
           c.alerts,
           c.opened_at, round(extract(epoch FROM now() - c.opened_at) / 3600, 2) AS age_hours,
           c.due_at, coalesce(c.due_at < now(), false) AS overdue,
           c.assignee, c.assigned_at,
           c.last_alert_at,
           c.card,
           (SELECT u.last_four FROM fraud.customers u WHERE u.card = c.card) AS last_four,
           (SELECT a.reasons[1] FROM fraud.alerts a WHERE a.card = c.card AND a.case_id = c.case_id
            ORDER BY a.score * a.payment_amount::float8 DESC, a.alert_id LIMIT 1) AS reason
    FROM (SELECT s.case_id, s.card, s.status, s.priority, s.opened_at, s.due_at, s.assignee, s.assigned_at, s.alerts, s.decision, s.last_alert_at
          FROM fraud.case_states s
          WHERE s.status IN ('open', 'acknowledged')
          ORDER BY s.priority DESC, s.case_id) c
    -- The same, which the planner then knows of what is read from here.
    ORDER BY c.priority DESC, c.case_id;
COMMENT ON VIEW fraud.case_queue IS
    'the cases that wait for a decision, the greatest loss to be expected first: read it with LIMIT, or from a priority on';
COMMENT ON COLUMN fraud.case_queue.priority IS
    'sum of score × payment_amount of its alerts: the loss to be expected, in fraud_detect.base_currency';
COMMENT ON COLUMN fraud.case_queue.decision IS 'the severest of its alerts';
COMMENT ON COLUMN fraud.case_queue.amount IS 'sum of the alerted payments, in fraud_detect.base_currency';
COMMENT ON COLUMN fraud.case_queue.age_hours IS 'hours since it was opened';
COMMENT ON COLUMN fraud.case_queue.due_at IS 'until when it should be decided (fraud_detect.case_due); null: no time';
COMMENT ON COLUMN fraud.case_queue.overdue IS 'due_at has passed';
COMMENT ON COLUMN fraud.case_queue.assignee IS 'the role that works on it; null: nobody';
COMMENT ON COLUMN fraud.case_queue.last_four IS 'last four digits of the card number; null where there is none';
COMMENT ON COLUMN fraud.case_queue.reason IS 'what spoke most for fraud in the worst of its alerts, in words';
