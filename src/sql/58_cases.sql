-- What analysts do with cases. A decision writes labels in the same transaction,
-- and taking it back writes the labels that correct them.
CREATE TRIGGER case_history_append_only BEFORE UPDATE OR DELETE ON fraud.case_history
    FOR EACH ROW EXECUTE FUNCTION fraud._append_only('note');
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON fraud.case_history
    FOR EACH STATEMENT EXECUTE FUNCTION fraud._append_only();

-- `allowed` are the states from which the change may come. `is_fraud` is the label
-- for each payment of the case, or null: take back what was decided before.
CREATE FUNCTION fraud._change_case(
    case_id bigint, new_status text, allowed text[], note text, known_at timestamptz, is_fraud boolean
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    matter fraud.cases;
    earliest timestamptz;
BEGIN
    IF case_id IS NULL OR known_at IS NULL THEN
        RAISE EXCEPTION 'case_id and known_at must not be null'
            USING ERRCODE = 'null_value_not_allowed';
    ELSIF length(note) > 10000 THEN
        RAISE EXCEPTION 'the note has % characters, expected at most 10000', length(note)
            USING ERRCODE = 'string_data_right_truncation';
    END IF;
    SELECT * INTO matter FROM fraud.cases c WHERE c.case_id = _change_case.case_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'case % does not exist', case_id
            USING ERRCODE = 'no_data_found',
                  HINT = 'fraud.cases lists the cases.';
    ELSIF matter.status <> ALL (allowed) THEN
        RAISE EXCEPTION 'case % is %, expected %', case_id, matter.status, array_to_string(allowed, ' or ')
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = CASE WHEN new_status = 'acknowledged' AND matter.status <> new_status
                              THEN 'Call fraud.reopen_case first.'
                              ELSE 'fraud.case_history says who changed it, and when.' END;
    END IF;
    SELECT min(a.occurred_at) INTO earliest FROM fraud.alerts a
    WHERE a.card = matter.card AND a.case_id = matter.case_id;
    IF known_at > now() OR known_at < least(earliest, now()) THEN
        RAISE EXCEPTION 'known_at % is not between the first payment''s time % and now', known_at, earliest
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    IF is_fraud IS NOT NULL THEN
        INSERT INTO fraud.labels (card, transaction_id, is_fraud, source, known_at)
        SELECT a.card, a.transaction_id, _change_case.is_fraud, 'analyst', greatest(_change_case.known_at, least(a.occurred_at, now()))
        FROM fraud.alerts a WHERE a.card = matter.card AND a.case_id = matter.case_id
        ORDER BY a.alert_id;
    ELSIF matter.status IN ('confirmed', 'dismissed') THEN
        -- What others than analysts have said counts again; else nothing is known.
        INSERT INTO fraud.labels (card, transaction_id, is_fraud, source, known_at)
        SELECT a.card, a.transaction_id,
               (SELECT l.is_fraud FROM fraud.labels l
                WHERE l.card = a.card AND l.transaction_id = a.transaction_id
                  AND l.source <> 'analyst' AND l.known_at <= now()
                ORDER BY l.known_at DESC, l.label_id DESC LIMIT 1),
               'analyst', now()
        FROM fraud.alerts a WHERE a.card = matter.card AND a.case_id = matter.case_id
        ORDER BY a.alert_id;
    END IF;
    UPDATE fraud.cases c SET status = new_status, status_at = now(), status_by = fraud._caller()
    WHERE c.card = matter.card AND c.case_id = matter.case_id;
    INSERT INTO fraud.case_history (card, case_id, old_status, new_status, note)
    VALUES (matter.card, matter.case_id, matter.status, new_status, fraud._mask_card_numbers(note));
    -- The note is in fraud.case_history alone: it may name the customer, and the log is kept.
    PERFORM fraud._audit(CASE new_status WHEN 'acknowledged' THEN 'acknowledge' WHEN 'confirmed' THEN 'confirm'
                                         WHEN 'dismissed' THEN 'dismiss' ELSE 'reopen' END,
        'case', matter.case_id::text, jsonb_build_object('status', matter.status), jsonb_build_object('status', new_status));
END
$$;
COMMENT ON FUNCTION fraud._change_case(bigint, text, text[], text, timestamptz, boolean) IS
    'internal: one step of a case, with its labels and its line of history';

CREATE FUNCTION fraud._acknowledge_case(case_id bigint, note text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT fraud._change_case(case_id, 'acknowledged', '{open}', note, now(), NULL); END;
COMMENT ON FUNCTION fraud._acknowledge_case(bigint, text) IS 'internal: the body of fraud.acknowledge_case, run as the owner';

CREATE FUNCTION fraud.acknowledge_case(case_id bigint, note text DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.acknowledge_case(bigint, text) IS 'says that somebody looks into an open case';

CREATE FUNCTION fraud._confirm_case(case_id bigint, note text, known_at timestamptz)
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT fraud._change_case(case_id, 'confirmed', '{open,acknowledged,dismissed}', note, known_at, true); END;
COMMENT ON FUNCTION fraud._confirm_case(bigint, text, timestamptz) IS 'internal: the body of fraud.confirm_case, run as the owner';

CREATE FUNCTION fraud.confirm_case(case_id bigint, note text DEFAULT NULL, known_at timestamptz DEFAULT now()) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.confirm_case(bigint, text, timestamptz) IS
    'decides that the payments of a case are fraud: labels each, with source analyst, from known_at on';

CREATE FUNCTION fraud._dismiss_case(case_id bigint, note text, known_at timestamptz)
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT fraud._change_case(case_id, 'dismissed', '{open,acknowledged,confirmed}', note, known_at, false); END;
COMMENT ON FUNCTION fraud._dismiss_case(bigint, text, timestamptz) IS 'internal: the body of fraud.dismiss_case, run as the owner';

CREATE FUNCTION fraud.dismiss_case(case_id bigint, note text DEFAULT NULL, known_at timestamptz DEFAULT now()) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.dismiss_case(bigint, text, timestamptz) IS
    'decides that the payments of a case are legitimate: labels each, with source analyst, from known_at on';

CREATE FUNCTION fraud._reopen_case(case_id bigint, note text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT fraud._change_case(case_id, 'open', '{acknowledged,confirmed,dismissed}', note, now(), NULL); END;
COMMENT ON FUNCTION fraud._reopen_case(bigint, text) IS 'internal: the body of fraud.reopen_case, run as the owner';

CREATE FUNCTION fraud.reopen_case(case_id bigint, note text DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.reopen_case(bigint, text) IS
    'makes a case open again; a decision is taken back by labels from now on: what others than analysts have said of each payment, or that nothing is known';
