-- How the cases of streams are worked: as those of payments (59_case_work.sql), by their own functions, since what
-- they return is another row.
CREATE FUNCTION fraud._take_stream_case(stream text, count int) RETURNS SETOF fraud.stream_cases
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
    of_stream text := stream;
    me name := fraud._caller();
    matter fraud.stream_case_states;
    taken bigint[] := '{}';
BEGIN
    IF wanted IS NULL THEN
        RAISE EXCEPTION 'count must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF wanted NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'count is %, expected 1 to 1000', wanted USING ERRCODE = 'invalid_parameter_value';
    ELSIF of_stream IS NOT NULL AND NOT EXISTS (SELECT FROM fraud.streams s WHERE s.stream = of_stream) THEN
        RAISE EXCEPTION 'stream "%" does not exist', of_stream
            USING ERRCODE = 'undefined_object', HINT = 'fraud.stream_status lists the streams.';
    END IF;
    FOR matter IN
        SELECT c.* FROM fraud.stream_case_states c
        WHERE c.status IN ('open', 'acknowledged') AND c.status = 'open' AND c.assignee IS NULL AND (of_stream IS NULL OR c.stream = of_stream)
        ORDER BY c.priority DESC, c.case_id LIMIT wanted
        FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        UPDATE fraud.stream_case_states c
        SET status = 'acknowledged', status_at = now(), status_by = me, assignee = me, assigned_at = now()
        WHERE c.stream = matter.stream AND c.case_id = matter.case_id;
        INSERT INTO fraud.stream_case_history (stream, case_id, action, old_status, new_status, assignee)
        VALUES (matter.stream, matter.case_id, 'take', matter.status, 'acknowledged', me);
        PERFORM fraud._audit('take', 'stream case', matter.case_id::text, jsonb_build_object('status', matter.status),
                             jsonb_build_object('status', 'acknowledged', 'assignee', me));
        taken := taken || matter.case_id;
    END LOOP;
    RETURN QUERY SELECT c.* FROM fraud.stream_cases c WHERE c.case_id = ANY (taken) ORDER BY c.priority DESC, c.case_id;
END
$$;
COMMENT ON FUNCTION fraud._take_stream_case(text, int) IS 'internal: the body of fraud.take_stream_case, run as the owner';

CREATE FUNCTION fraud.take_stream_case(stream text DEFAULT NULL, count int DEFAULT 1) RETURNS SETOF fraud.stream_cases
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.take_stream_case(text, int) IS
    'as fraud.take_case, of the cases of a stream, or of all streams: gives the caller the open case of the greatest priority that nobody has, or so many (1 to 1000), and acknowledges it';

CREATE FUNCTION fraud._stream_case_of(case_id bigint, note text) RETURNS fraud.stream_case_states
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    matter fraud.stream_case_states;
BEGIN
    IF case_id IS NULL THEN
        RAISE EXCEPTION 'case_id must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF length(note) > 10000 THEN
        RAISE EXCEPTION 'the note has % characters, expected at most 10000', length(note) USING ERRCODE = 'string_data_right_truncation';
    END IF;
    SELECT * INTO matter FROM fraud.stream_case_states c WHERE c.case_id = _stream_case_of.case_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'case % of a stream does not exist', case_id
            USING ERRCODE = 'no_data_found', HINT = 'fraud.stream_cases lists them; those of payments are in fraud.cases.';
    END IF;
    RETURN matter;
END
$$;
COMMENT ON FUNCTION fraud._stream_case_of(bigint, text) IS 'internal: a case of a stream, or an error that says that there is none, or that the note is too long';

CREATE FUNCTION fraud._assign_stream_case(case_id bigint, assignee name, note text) RETURNS fraud.stream_cases
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    to_whom name := assignee;
    matter fraud.stream_case_states := fraud._stream_case_of(case_id, note);
    result fraud.stream_cases;
BEGIN
    PERFORM fraud._check_assignee(to_whom);
    SELECT * INTO matter FROM fraud.stream_case_states c WHERE c.stream = matter.stream AND c.case_id = matter.case_id FOR NO KEY UPDATE;
    IF matter.status NOT IN ('open', 'acknowledged') THEN
        RAISE EXCEPTION 'case % is %, expected open or acknowledged', case_id, matter.status
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'fraud.decide_stream_case(…, ''open'') makes a decided case open again.';
    END IF;
    IF matter.assignee IS DISTINCT FROM to_whom THEN
        UPDATE fraud.stream_case_states c SET assignee = to_whom, assigned_at = CASE WHEN to_whom IS NOT NULL THEN now() END
        WHERE c.stream = matter.stream AND c.case_id = matter.case_id;
        INSERT INTO fraud.stream_case_history (stream, case_id, action, old_status, new_status, assignee, note)
        VALUES (matter.stream, matter.case_id, CASE WHEN to_whom IS NULL THEN 'release' ELSE 'assign' END, matter.status, matter.status, to_whom,
                fraud._kept_text(note));
        PERFORM fraud._audit(CASE WHEN to_whom IS NULL THEN 'release' ELSE 'assign' END, 'stream case', matter.case_id::text,
            jsonb_build_object('assignee', matter.assignee), jsonb_build_object('assignee', to_whom));
    END IF;
    SELECT * INTO result FROM fraud.stream_cases c WHERE c.stream = matter.stream AND c.case_id = matter.case_id;
    RETURN result;
END
$$;
COMMENT ON FUNCTION fraud._assign_stream_case(bigint, name, text) IS 'internal: the body of fraud.assign_stream_case, run as the owner';

CREATE FUNCTION fraud.assign_stream_case(case_id bigint, assignee name, note text DEFAULT NULL) RETURNS fraud.stream_cases
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.assign_stream_case(bigint, name, text) IS
    'gives an undecided case of a stream to a role with access analyst, or takes it from whoever has it (null); returns the case';

CREATE FUNCTION fraud._note_stream_case(case_id bigint, note text) RETURNS fraud.stream_cases
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    matter fraud.stream_case_states := fraud._stream_case_of(case_id, note);
    result fraud.stream_cases;
BEGIN
    IF note IS NULL THEN
        RAISE EXCEPTION 'note must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF note !~ '[^[:space:]]' THEN
        RAISE EXCEPTION 'the note must not be empty' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO fraud.stream_case_history (stream, case_id, action, old_status, new_status, assignee, note)
    VALUES (matter.stream, matter.case_id, 'note', matter.status, matter.status, matter.assignee, fraud._kept_text(note));
    PERFORM fraud._audit('note', 'stream case', matter.case_id::text);
    SELECT * INTO result FROM fraud.stream_cases c WHERE c.stream = matter.stream AND c.case_id = matter.case_id;
    RETURN result;
END
$$;
COMMENT ON FUNCTION fraud._note_stream_case(bigint, text) IS 'internal: the body of fraud.note_stream_case, run as the owner';

CREATE FUNCTION fraud.note_stream_case(case_id bigint, note text) RETURNS fraud.stream_cases
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.note_stream_case(bigint, text) IS
    'adds a note (at most 10,000 characters; card numbers are masked) to the history of a stream''s case, whatever its status, which stays; returns the case';
