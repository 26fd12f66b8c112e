-- Dead letters that are tried again. What is taken in, or was stored meanwhile, leaves the list
-- in the commit that does so: at every moment a payment is in the inbox, stored, or here.

CREATE FUNCTION fraud._retry_letter(error_id bigint, repaired jsonb, OUT outcome text, OUT detail text)
RETURNS record
AS 'MODULE_PATHNAME', 'fraud_detect_retry_letter'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud._retry_letter(bigint, jsonb) IS
    'internal: sends the payment of a dead letter again, and takes the letter from the list where that succeeds';

-- What follows a payment may come before it.
CREATE FUNCTION fraud._send_waiting_again() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    letter bigint;
    outcome text;
BEGIN
    FOR letter IN
        SELECT e.error_id FROM fraud.ingest_errors e
        WHERE e.waits_for IS NOT NULL
          AND EXISTS (SELECT FROM fraud.payment_keys k WHERE k.transaction_id = e.waits_for AND (e.card IS NULL OR k.card = e.card))
        ORDER BY e.error_id LIMIT 200 FOR UPDATE SKIP LOCKED
    LOOP
        SELECT r.outcome INTO outcome FROM fraud._retry_letter(letter, '{}') r;
        -- That its payment is there does not help it.
        IF outcome NOT IN ('received', 'stored', 'duplicate') THEN
            UPDATE fraud.ingest_errors e SET waits_for = NULL WHERE e.error_id = letter;
        END IF;
    END LOOP;
    RETURN EXISTS (SELECT FROM fraud.ingest_errors e WHERE e.waits_for IS NOT NULL);
END
$$;
COMMENT ON FUNCTION fraud._send_waiting_again() IS
    'internal: sends those dead letters again whose payment (waits_for) has been stored since; true: others wait still';

CREATE FUNCTION fraud._retry_dead_letters(ids bigint[], source text, reason text)
RETURNS TABLE (error_id bigint, outcome text, detail text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    letter bigint;
    met bigint[] := '{}';
    outcomes jsonb := '{}';
BEGIN
    IF num_nonnulls(ids, source, reason) = 0 THEN
        RAISE EXCEPTION 'no dead letters are named'
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'At least one of ids, source and reason must be given.',
                  HINT = 'All of them: reason => ''%''.';
    END IF;
    FOR letter IN
        SELECT e.error_id FROM fraud.ingest_errors e
        WHERE (_retry_dead_letters.ids IS NULL OR e.error_id = ANY (_retry_dead_letters.ids))
          AND (_retry_dead_letters.source IS NULL OR e.source = _retry_dead_letters.source)
          AND (_retry_dead_letters.reason IS NULL OR e.reason LIKE _retry_dead_letters.reason)
        ORDER BY e.error_id FOR UPDATE SKIP LOCKED
    LOOP
        SELECT letter, r.outcome, r.detail INTO error_id, outcome, detail FROM fraud._retry_letter(letter, '{}') r;
        outcomes := outcomes || jsonb_build_object(outcome, coalesce((outcomes ->> outcome)::bigint, 0) + 1);
        met := met || letter;
        RETURN NEXT;
    END LOOP;
    -- Of those that were named and not met.
    RETURN QUERY
        SELECT i, CASE WHEN e.error_id IS NULL THEN 'not found'
                       WHEN (_retry_dead_letters.source IS NULL OR e.source = _retry_dead_letters.source)
                            AND (_retry_dead_letters.reason IS NULL OR e.reason LIKE _retry_dead_letters.reason) THEN 'locked'
                       ELSE 'not meant' END,
               CASE WHEN e.error_id IS NOT NULL THEN format('source %s: %s', e.source, e.reason) END
        FROM (SELECT DISTINCT unnest(_retry_dead_letters.ids) AS i) n
        LEFT JOIN fraud.ingest_errors e ON e.error_id = n.i
        WHERE n.i IS NOT NULL AND n.i NOT IN (SELECT unnest(met)) ORDER BY n.i;
    -- A reason quotes payments.
    PERFORM fraud._audit('retry', 'dead letters', NULL, NULL,
        jsonb_build_object('source', _retry_dead_letters.source, 'outcomes', outcomes));
END
$$;
COMMENT ON FUNCTION fraud._retry_dead_letters(bigint[], text, text) IS 'internal: the body of fraud.retry_dead_letters, run as the owner';

CREATE FUNCTION fraud.retry_dead_letters(ids bigint[] DEFAULT NULL, source text DEFAULT NULL, reason text DEFAULT NULL)
RETURNS TABLE (error_id bigint, outcome text, detail text)
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.retry_dead_letters(bigint[], text, text) IS
    'sends dead letters again: those of these ids, of this source, and whose reason is LIKE this. A row a letter: received (it waits in fraud.inbox; where no worker runs it is stored at once), stored, duplicate, rejected (detail says why; the letter stays), not repairable (detail says what is missing), locked (by another session), not meant (its source or reason is another), not found';

CREATE FUNCTION fraud._retry_dead_letter(error_id bigint, repaired jsonb) RETURNS TABLE (outcome text, detail text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF error_id IS NULL OR repaired IS NULL THEN
        RAISE EXCEPTION 'error_id and repaired must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF jsonb_typeof(repaired) <> 'object' THEN
        RAISE EXCEPTION 'repaired must be a JSON object, not %', jsonb_typeof(repaired)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'For example: {"amt": 12.5}.';
    END IF;
    PERFORM FROM fraud.ingest_errors e WHERE e.error_id = _retry_dead_letter.error_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'dead letter % does not exist', error_id
            USING ERRCODE = 'no_data_found', HINT = 'fraud.ingest_errors lists them by error_id.';
    END IF;
    SELECT r.outcome, r.detail INTO outcome, detail FROM fraud._retry_letter(error_id, repaired) r;
    -- Which fields, not what is in them.
    PERFORM fraud._audit('retry', 'dead letter', error_id::text, NULL,
        jsonb_build_object('outcome', outcome, 'repaired', (SELECT jsonb_agg(k ORDER BY k) FROM jsonb_object_keys(repaired) k)));
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION fraud._retry_dead_letter(bigint, jsonb) IS 'internal: the body of fraud.retry_dead_letter, run as the owner';

CREATE FUNCTION fraud.retry_dead_letter(error_id bigint, repaired jsonb DEFAULT '{}') RETURNS TABLE (outcome text, detail text)
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.retry_dead_letter(bigint, jsonb) IS
    'sends one dead letter again, with these fields in place of its own (null takes one out), as fraud.retry_dead_letters does';
