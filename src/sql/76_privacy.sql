-- What a customer may ask for: all that is stored of one, and to be forgotten.
-- docs/security.md says what each does and what it does not reach.

CREATE TABLE fraud.customer_holds (
    card uuid PRIMARY KEY,
    reason text NOT NULL,
    held_at timestamptz NOT NULL DEFAULT now(),
    held_by name NOT NULL DEFAULT fraud._caller()
);
COMMENT ON TABLE fraud.customer_holds IS 'customers whose data must be kept, for a court or an inquiry: fraud.erase_customer refuses';

-- ------------------------------------------------- what identifies somebody
-- The texts by which a customer is found in what people and machines have written: of
-- names only the whole one, since half the world shares a half. `own`: in what was
-- written of this very customer, where each part says who it is.
CREATE FUNCTION fraud._identifying_texts(card uuid, own boolean) RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT array_agg(DISTINCT v.text ORDER BY v.text)
    FROM fraud.customers c
    CROSS JOIN LATERAL (VALUES
        (c.first_name || ' ' || c.last_name), (c.last_name || ', ' || c.first_name), (c.last_name || ' ' || c.first_name),
        (c.street), (CASE WHEN own OR length(c.customer_id) >= 6 THEN c.customer_id END),
        (CASE WHEN own THEN c.first_name END), (CASE WHEN own THEN c.last_name END), (CASE WHEN own THEN c.last_four END),
        (CASE WHEN own THEN to_char(c.date_of_birth, 'YYYY-MM-DD') END)) v(text)
    WHERE c.card = _identifying_texts.card AND length(v.text) > 1;
END;
COMMENT ON FUNCTION fraud._identifying_texts(uuid, boolean) IS 'internal: the texts by which a customer is found in free text';

-- Whole words; and texts may hold what patterns take for special.
CREATE FUNCTION fraud._any_of(texts text[]) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT '(?<!\w)(?:' || string_agg(regexp_replace(t, '[^[:alnum:][:space:]]', '\\\&', 'g'), '|' ORDER BY length(t) DESC, t) || ')(?!\w)'
    -- No name or street is longer (payments' texts have at most 200 characters).
    FROM unnest(texts) t WHERE length(t) <= 1000;
END;
COMMENT ON FUNCTION fraud._any_of(text[]) IS 'internal: the pattern that finds any of the texts, the longest first';

CREATE FUNCTION fraud._without(value text, texts text[]) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(regexp_replace(value, fraud._any_of(texts), '[erased]', 'gi'), value);
END;
COMMENT ON FUNCTION fraud._without(text, text[]) IS 'internal: a text without certain texts, whatever their case';

CREATE FUNCTION fraud._in_json(texts text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT array_agg(substr(to_json(t)::text, 2, length(to_json(t)::text) - 2)) FROM unnest(texts) t; END;
COMMENT ON FUNCTION fraud._in_json(text[]) IS 'internal: texts as they stand inside of a JSON string';

-- All that is not ASCII as \u1234, as many JSON writers do.
CREATE FUNCTION fraud._in_ascii(value text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT string_agg(CASE WHEN ascii(l.letter) < 128 THEN l.letter
                           WHEN ascii(l.letter) < 65536 THEN '\u' || lpad(to_hex(ascii(l.letter)), 4, '0')
                           ELSE '\u' || to_hex(55296 + (ascii(l.letter) - 65536) / 1024)
                             || '\u' || to_hex(56320 + (ascii(l.letter) - 65536) % 1024) END, '' ORDER BY l.place)
    FROM regexp_split_to_table(value, '') WITH ORDINALITY l(letter, place);
END;
COMMENT ON FUNCTION fraud._in_ascii(text) IS 'internal: a text inside of a JSON string, in ASCII';

-- As it is, in JSON, and in JSON inside of a JSON string, which is how the payment API
-- answers; in the form in which encode(…, 'escape') shows bytes, lower case.
CREATE FUNCTION fraud._spellings(value text) RETURNS text[]
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT array_agg(DISTINCT lower(encode(convert_to(s.spelling, 'UTF8'), 'escape')))
    FROM (SELECT (fraud._in_json(ARRAY[value]))[1] AS json) j,
         unnest(ARRAY[value, j.json, fraud._in_ascii(j.json)] || fraud._in_json(ARRAY[j.json, fraud._in_ascii(j.json)])) s(spelling)
    WHERE value <> '';
END;
COMMENT ON FUNCTION fraud._spellings(text) IS 'internal: how a text can stand in the bytes of a dead letter';

CREATE FUNCTION fraud._stands_in(spellings text[], bytes text) RETURNS boolean
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- The look for the plain text is quick, and nearly always says no.
    SELECT EXISTS (SELECT FROM unnest(spellings) s
                   WHERE CASE WHEN position(s IN bytes) > 0 THEN bytes ~ fraud._any_of(ARRAY[s]) ELSE false END);
END;
COMMENT ON FUNCTION fraud._stands_in(text[], text) IS 'internal: whether one of the spellings is there, as whole words';

-- How an id that is no secret stands in a dead letter as whose payment it was, short as it may be ("customer": 17).
CREATE FUNCTION fraud._customer_member(customer_id text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT '(?<!\w)customer\\*"\s*:\s*(?:\\*")?(?:' || string_agg(regexp_replace(s, '[^[:alnum:][:space:]]', '\\\&', 'g'), '|' ORDER BY s) || ')(?:\\*")?\s*[,}\n]'
    FROM unnest(fraud._spellings(customer_id)) s;
END;
COMMENT ON FUNCTION fraud._customer_member(text) IS 'internal: the pattern that finds a dead letter''s member customer with that id';

-- The dead letters of a customer: those of the card, and those whose card could not be
-- read but which hold it, the customer's own id, both names, the street, or the id of one of its payments.
CREATE FUNCTION fraud._dead_letters_of(card uuid) RETURNS SETOF bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- Each is looked at often, and made once. An id that looks like nothing else is found anywhere, as in the line of a
    -- CSV file; a number or a word may be anything, and is found where it says whose payment it was, of the kind.
    WITH who AS MATERIALIZED (
        SELECT fraud._spellings(_dead_letters_of.card::text) AS card, fraud._spellings(c.first_name) AS first,
               fraud._spellings(c.last_name) AS last, fraud._spellings(c.street) AS street,
               CASE WHEN length(c.customer_id) >= 8 AND c.customer_id ~ '[[:alpha:]]' AND c.customer_id ~ '[0-9@]' THEN fraud._spellings(c.customer_id) END AS id,
               fraud._spellings(c.customer_id) AS any_id, fraud._customer_member(c.customer_id) AS member, fraud._spellings(c.customer_kind) AS kind
        FROM (SELECT) one LEFT JOIN fraud.customers c ON c.card = _dead_letters_of.card
    )
    SELECT e.error_id FROM fraud.ingest_errors e WHERE e.card = _dead_letters_of.card
    UNION
    SELECT e.error_id
    FROM fraud.ingest_errors e, who w, LATERAL (SELECT lower(encode(e.payload, 'escape')) AS text OFFSET 0) p
    WHERE e.card IS NULL
      AND (EXISTS (SELECT FROM fraud.payment_keys k WHERE k.transaction_id = e.transaction_id AND k.card = _dead_letters_of.card)
           OR fraud._stands_in(w.card, p.text) OR fraud._stands_in(w.street, p.text) OR fraud._stands_in(w.id, p.text)
           OR CASE WHEN EXISTS (SELECT FROM unnest(w.any_id) i WHERE position(i IN p.text) > 0) THEN p.text ~ w.member AND fraud._stands_in(w.kind, p.text) ELSE false END
           OR fraud._stands_in(w.first, p.text) AND fraud._stands_in(w.last, p.text));
END;
COMMENT ON FUNCTION fraud._dead_letters_of(uuid) IS 'internal: the dead letters that hold a customer''s data';

-- ------------------------------------------------------------------ export
CREATE FUNCTION fraud._customer_data(card uuid) RETURNS TABLE (relation text, data jsonb)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
    of_card text;
    found_here bigint;
    rows_in_all bigint := 0;
BEGIN
    IF card IS NULL THEN
        RAISE EXCEPTION 'card must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    -- Every table that has a card in a column of that name, those to come too.
    FOR of_card IN
        SELECT t.relname FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid
        WHERE t.relnamespace = 'fraud'::regnamespace AND t.relkind IN ('r', 'p') AND NOT t.relispartition
          AND a.attname = 'card' AND a.atttypid = 'uuid'::regtype AND NOT a.attisdropped AND t.relname <> 'ingest_errors'
        ORDER BY t.relname
    LOOP
        RETURN QUERY EXECUTE format('SELECT %L, to_jsonb(t) FROM fraud.%I t WHERE t.card = $1', 'fraud.' || of_card, of_card)
            USING card;
        GET DIAGNOSTICS found_here = ROW_COUNT;
        rows_in_all := rows_in_all + found_here;
    END LOOP;
    RETURN QUERY
        SELECT 'fraud.ingest_errors', to_jsonb(e) || jsonb_build_object('payload', encode(e.payload, 'escape'))
        FROM fraud.ingest_errors e WHERE e.error_id IN (SELECT fraud._dead_letters_of(_customer_data.card))
        UNION ALL
        SELECT 'fraud.outbox', to_jsonb(o) FROM fraud.outbox o WHERE o.payload ->> 'card' = _customer_data.card::text
        UNION ALL
        -- To whom it went; a recipient's address is another person's.
        SELECT 'fraud.notifications', to_jsonb(n) - 'recipient'
        FROM fraud.notifications n
        WHERE EXISTS (SELECT FROM fraud.notification_messages m JOIN fraud.outbox o USING (outbox_id)
                      WHERE m.notification_id = n.notification_id AND o.payload ->> 'card' = _customer_data.card::text)
        UNION ALL
        SELECT 'fraud.audit_log', to_jsonb(a) FROM fraud.audit_log a
        WHERE a.object_kind = 'customer' AND a.object_name = _customer_data.card::text
           OR a.new ->> 'card' = _customer_data.card::text;
    GET DIAGNOSTICS found_here = ROW_COUNT;
    rows_in_all := rows_in_all + found_here;
    IF rows_in_all = 0 THEN
        RAISE EXCEPTION 'nothing is stored of customer %', card
            USING ERRCODE = 'no_data_found', HINT = 'fraud.customers lists the customers by card.';
    END IF;
    PERFORM fraud._audit('export', 'customer', card::text, NULL, jsonb_build_object('rows', rows_in_all));
END
$$;
COMMENT ON FUNCTION fraud._customer_data(uuid) IS 'internal: the body of fraud.customer_data, run as the owner';

CREATE FUNCTION fraud.customer_data(card uuid) RETURNS TABLE (relation text, data jsonb)
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.customer_data(uuid) IS
    'all that is stored of one customer: every row of every table that is about the card, dead letters and messages too; noted in fraud.audit_log';

-- ------------------------------------------------------------------- holds
CREATE FUNCTION fraud._check_customer(card uuid, reason text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF card IS NULL OR reason IS NULL THEN
        RAISE EXCEPTION 'card and reason must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF reason !~ '[^[:space:]]' THEN
        RAISE EXCEPTION 'a reason is needed'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'It is kept in fraud.audit_log.';
    ELSIF length(reason) > 10000 THEN
        RAISE EXCEPTION 'the reason has % characters, expected at most 10000', length(reason)
            USING ERRCODE = 'string_data_right_truncation';
    END IF;
    -- The customer's lock: no payment of the card is stored, and nobody else holds or
    -- erases it, until this is done.
    PERFORM FROM fraud.customers c WHERE c.card = _check_customer.card FOR UPDATE;
    IF NOT FOUND AND NOT EXISTS (SELECT FROM fraud.ingest_errors e WHERE e.card = _check_customer.card) THEN
        RAISE EXCEPTION 'customer % does not exist', card
            USING ERRCODE = 'no_data_found', HINT = 'fraud.customers lists the customers by card.';
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._check_customer(uuid, text) IS 'internal: locks a customer, or says that there is none, or no reason';

-- What is kept of a reason names nobody: fraud.audit_log is not changed later.
CREATE FUNCTION fraud._kept_reason(card uuid, reason text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC SELECT fraud._without(fraud._kept_text(reason), fraud._identifying_texts(card, true)); END;
COMMENT ON FUNCTION fraud._kept_reason(uuid, text) IS 'internal: a reason without what identifies the customer';

CREATE FUNCTION fraud._hold_customer(card uuid, reason text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM fraud._check_customer(card, reason);
    INSERT INTO fraud.customer_holds (card, reason) VALUES (card, fraud._kept_reason(card, reason)) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'customer % is on hold already', card
            USING ERRCODE = 'duplicate_object', HINT = 'fraud.customer_holds says why; fraud.release_customer ends it.';
    END IF;
    PERFORM fraud._audit('hold', 'customer', card::text, NULL, jsonb_build_object('reason', fraud._kept_reason(card, reason)));
END
$$;
COMMENT ON FUNCTION fraud._hold_customer(uuid, text) IS 'internal: the body of fraud.hold_customer, run as the owner';

CREATE FUNCTION fraud.hold_customer(card uuid, reason text) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.hold_customer(uuid, text) IS
    'keeps fraud.erase_customer from erasing a customer, for a court or an inquiry, until fraud.release_customer';

CREATE FUNCTION fraud._release_customer(card uuid, reason text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hold fraud.customer_holds;
BEGIN
    PERFORM fraud._check_customer(card, reason);
    DELETE FROM fraud.customer_holds h WHERE h.card = _release_customer.card RETURNING * INTO hold;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'customer % is not on hold', card
            USING ERRCODE = 'no_data_found', HINT = 'fraud.customer_holds lists those that are.';
    END IF;
    PERFORM fraud._audit('release', 'customer', card::text,
        jsonb_build_object('held_at', hold.held_at, 'held_by', hold.held_by, 'reason', hold.reason),
        jsonb_build_object('reason', fraud._kept_reason(card, reason)));
END
$$;
COMMENT ON FUNCTION fraud._release_customer(uuid, text) IS 'internal: the body of fraud.release_customer, run as the owner';

CREATE FUNCTION fraud.release_customer(card uuid, reason text) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.release_customer(uuid, text) IS 'ends a hold of fraud.hold_customer';

-- ----------------------------------------------------------------- erasing
-- What is kept of the vector: the features of today that read nothing of the person.
-- (From age, to the day, and time of payment comes the birthday; from three distances
-- to merchants the home.) A place whose feature was dropped may hold anything.
CREATE FUNCTION fraud._impersonal_features(OUT positions int[])
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(array_agg(f.position), '{}')
    FROM fraud.feature_definitions f,
         -- What attributes hold nobody knows.
         (SELECT '{home_latitude,home_longitude,city_population,age,attributes}'::text[]
                 || coalesce(array_agg(p.name::text), '{}') AS names FROM fraud.payment_fields p) personal
    WHERE f.feature_set = 'payments'
      AND NOT f.columns && personal.names
      AND coalesce(array_to_string(f.key, ' '), '') !~ format('\m(%s)\M', array_to_string(personal.names, '|'));
END;
COMMENT ON FUNCTION fraud._impersonal_features() IS 'internal: places of the vector that say nothing of the customer''s person';

CREATE FUNCTION fraud._erase_payments(card uuid) RETURNS TABLE (relation text, rows bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept int[] := fraud._impersonal_features();
BEGIN
    -- What is logged for the sums, and under what a label is counted, says in which state the
    -- customer lives.
    PERFORM fraud.refresh_rollups();
    UPDATE fraud.rollup_labels o SET state = NULL WHERE o.card = _erase_payments.card AND o.state IS NOT NULL;
    relation := 'fraud.transactions';
    UPDATE fraud.transactions t
    SET merchant_latitude = NULL, merchant_longitude = NULL, home_latitude = NULL, home_longitude = NULL,
        city_population = NULL, age = NULL, attributes = NULL,
        features = ARRAY(SELECT CASE WHEN f.place = ANY (kept) THEN f.value ELSE 'NaN' END
                         FROM unnest(t.features) WITH ORDINALITY f(value, place) ORDER BY f.place)
    WHERE t.card = _erase_payments.card
      AND (num_nonnulls(t.merchant_latitude, t.merchant_longitude, t.home_latitude, t.home_longitude, t.city_population, t.age) > 0 OR t.attributes IS NOT NULL
           OR EXISTS (SELECT FROM unnest(t.features) WITH ORDINALITY f(value, place) WHERE f.place <> ALL (kept) AND f.value <> 'NaN'));
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN NEXT;
    PERFORM fraud._forget_tiled_values(_erase_payments.card);
    relation := 'fraud.payment_followups';
    UPDATE fraud.payment_followups f SET attributes = NULL WHERE f.card = _erase_payments.card AND f.attributes IS NOT NULL;
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN NEXT;
    -- Reasons are the vector in words.
    relation := 'fraud.alerts';
    UPDATE fraud.alerts a SET reasons = '{}' WHERE a.card = _erase_payments.card AND a.reasons <> '{}';
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN NEXT;
    relation := 'fraud.rule_matches';
    UPDATE fraud.rule_matches m SET reason = NULL, error = CASE WHEN m.error IS NOT NULL THEN '[erased]' END
    WHERE m.card = _erase_payments.card AND (m.reason IS NOT NULL OR m.error <> '[erased]');
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN NEXT;
    -- That the customer is listed or snoozed stays, as do its payments, under the card.
    relation := 'fraud.list_entries';
    UPDATE fraud.list_entries e SET reason = fraud._kept_reason(e.card, e.reason), removed_reason = fraud._kept_reason(e.card, e.removed_reason)
    WHERE e.card = _erase_payments.card
      AND (e.reason, e.removed_reason) IS DISTINCT FROM (fraud._kept_reason(e.card, e.reason), fraud._kept_reason(e.card, e.removed_reason));
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN NEXT;
    relation := 'fraud.snoozes';
    UPDATE fraud.snoozes s SET reason = fraud._kept_reason(s.card, s.reason), end_reason = fraud._kept_reason(s.card, s.end_reason)
    WHERE s.card = _erase_payments.card
      AND (s.reason, s.end_reason) IS DISTINCT FROM (fraud._kept_reason(s.card, s.reason), fraud._kept_reason(s.card, s.end_reason));
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN NEXT;
    relation := 'fraud.ingest_errors';
    DELETE FROM fraud.ingest_errors e WHERE e.error_id IN (SELECT fraud._dead_letters_of(_erase_payments.card));
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION fraud._erase_payments(uuid) IS
    'internal: takes out of a customer''s payments and alerts what says who it is, and deletes its dead letters';

-- Messages keep what they say of the payment: those that wait are sent without the rest.
-- A mailed report shows alerts by the card's last digits, else by the card's first.
CREATE FUNCTION fraud._erase_messages(card uuid) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shown text := (SELECT concat_ws('|', left(_erase_messages.card::text, 8) || '…', '•••• ' || c.last_four)
                   FROM (SELECT) one LEFT JOIN fraud.customers c ON c.card = _erase_messages.card);
    changed bigint;
    reports bigint;
BEGIN
    UPDATE fraud.outbox o
    SET payload = (o.payload - 'attributes') || '{"last_four": null, "reasons": []}', subject = NULL, body_text = NULL, body_html = NULL
    WHERE o.kind = 'alert' AND o.payload ->> 'card' = _erase_messages.card::text
      AND (o.payload ->> 'last_four' IS NOT NULL OR o.payload -> 'reasons' <> '[]' OR o.payload ? 'attributes'
           OR num_nonnulls(o.subject, o.body_text, o.body_html) > 0);
    GET DIAGNOSTICS changed = ROW_COUNT;
    UPDATE fraud.outbox o
    SET body_html = regexp_replace(o.body_html, format('<tr>((?!</tr>).)*>(%s)<((?!</tr>).)*</tr>', shown),
                                   '<tr><td colspan="9">an alert of a customer who was erased</td></tr>', 'g')
    WHERE o.kind = 'report' AND o.body_html ~ format('>(%s)<', shown)
      AND EXISTS (SELECT FROM fraud.alerts a WHERE a.card = _erase_messages.card
                  AND a.occurred_at BETWEEN (o.payload ->> 'day')::timestamptz - interval '2 days'
                                        AND (o.payload ->> 'day')::timestamptz + interval '3 days');
    GET DIAGNOSTICS reports = ROW_COUNT;
    RETURN changed + reports;
END
$$;
COMMENT ON FUNCTION fraud._erase_messages(uuid) IS 'internal: takes out of messages what says who a customer is';

-- Where people and machines write freely. A column of text that is on no list of the
-- tests fails them. Labels are many: of those only the customer's own are looked at.
CREATE FUNCTION fraud._free_texts() RETURNS TABLE (relation text, columns text[], own boolean)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    VALUES ('case_history', '{note}'::text[], false), ('channel_state', '{last_error,condition_error}', false),
           ('customer_holds', '{reason}', false), ('held_customers', '{reason}', true), ('ingest_errors', '{reason}', false), ('job_state', '{last_error}', false),
           ('labels', '{source}', true), ('list_entries', '{reason,removed_reason}', false), ('notification_attempts', '{error}', false), ('notifications', '{last_error}', false),
           ('outbox', '{payload,subject,body_text,body_html}', false), ('rule_history', '{reason}', false), ('rule_versions', '{note}', false),
           ('snoozes', '{reason,end_reason}', false), ('source_state', '{last_error}', false),
           ('training_runs', '{reason}', false);
END;
COMMENT ON FUNCTION fraud._free_texts() IS 'internal: columns of free text, in which a customer may be named';

-- Takes out of what was written of its own cases everything, and out of all other free
-- text that names the customer what identifies it.
CREATE FUNCTION fraud._erase_texts(card uuid) RETURNS TABLE (relation text, rows bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    naming text[] := fraud._identifying_texts(card, false);
    told text[] := fraud._identifying_texts(card, true);
    pattern text := fraud._any_of(naming || fraud._in_json(naming));
    place record;
BEGIN
    relation := 'fraud.case_history';
    UPDATE fraud.case_history h SET note = NULL WHERE h.card = _erase_texts.card AND h.note IS NOT NULL;
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN NEXT;
    FOR place IN
        SELECT f.relation, f.own,
               string_agg(format(CASE WHEN c.name = 'payload' THEN '%1$I = fraud._without(t.%1$I::text, fraud._in_json($2))::jsonb'
                                      ELSE '%1$I = fraud._without(t.%1$I, $2)' END, c.name), ', ') AS assignments,
               string_agg(format('t.%I::text ~* $1', c.name), ' OR ') AS condition
        FROM fraud._free_texts() f, unnest(f.columns) c(name)
        WHERE pattern IS NOT NULL
        GROUP BY f.relation, f.own
        ORDER BY f.relation
    LOOP
        relation := 'fraud.' || place.relation;
        EXECUTE format('UPDATE fraud.%I t SET %s WHERE (%s) %s', place.relation, place.assignments, place.condition,
                       CASE WHEN place.own THEN 'AND t.card = $3' ELSE '' END)
            USING pattern, told, card;
        GET DIAGNOSTICS rows = ROW_COUNT;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION fraud._erase_texts(uuid) IS 'internal: takes a customer''s name out of free text';

-- What waits to be scored is scored without the person.
CREATE FUNCTION fraud._erase_waiting(card uuid) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    personal constant text[] := '{last_four,first,last,gender,street,city,state,zip,lat,long,city_pop,job,dob,merch_lat,merch_long,customer,customer_kind,attributes}';
    rows bigint;
BEGIN
    UPDATE fraud.inbox b
    SET payment = (b.payment::jsonb - personal)::text, number_hashes = '{}'
    WHERE b.card = _erase_waiting.card AND (b.payment::jsonb ?| personal OR b.number_hashes <> '{}');
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN rows;
END
$$;
COMMENT ON FUNCTION fraud._erase_waiting(uuid) IS 'internal: takes out of a customer''s payments that wait to be scored what says who it is';

-- Events of watched tables whose entity is the customer, by its card or its plain id, become those of the
-- card, which says whose no more; the vectors, and what says it in words, go. The rows of the tables
-- themselves are not ours. (Streams are declared later in this script.)
CREATE FUNCTION fraud._erase_streams(card uuid) RETURNS TABLE (relation text, rows bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known text[] := ARRAY(SELECT n.id FROM (SELECT _erase_streams.card::text AS id
                                            UNION ALL SELECT c.customer_id FROM fraud.customers c WHERE c.card = _erase_streams.card) n
                          WHERE n.id IS NOT NULL);
    erased text := card::text;
BEGIN
    relation := 'fraud.stream_case_history';
    UPDATE fraud.stream_case_history h SET note = NULL
    FROM fraud.stream_case_states s
    WHERE s.stream = h.stream AND s.case_id = h.case_id AND s.entity = ANY (known) AND h.note IS NOT NULL;
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN NEXT;
    relation := 'fraud.stream_case_states';
    UPDATE fraud.stream_case_states s SET entity = erased WHERE s.entity = ANY (known) AND s.entity <> erased;
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN NEXT;
    relation := 'fraud.snoozes';
    UPDATE fraud.snoozes z SET name = erased, reason = '[erased]', end_reason = CASE WHEN z.end_reason IS NOT NULL THEN '[erased]' END
    WHERE z.kind = 'entity' AND z.name = ANY (known) AND (z.name <> erased OR z.reason <> '[erased]' OR z.end_reason <> '[erased]');
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN NEXT;
    relation := 'fraud.stream_alerts';
    UPDATE fraud.stream_alerts a SET entity = erased, reasons = '{}' WHERE a.entity = ANY (known) AND (a.entity <> erased OR a.reasons <> '{}');
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN NEXT;
    -- By the decisions, whose entity is still who it was.
    relation := 'fraud.stream_rule_matches';
    UPDATE fraud.stream_rule_matches m SET reason = NULL, error = CASE WHEN m.error IS NOT NULL THEN '[erased]' END
    FROM fraud.stream_decisions d
    WHERE d.stream = m.stream AND d.decision_id = m.decision_id AND d.entity = ANY (known) AND (m.reason IS NOT NULL OR m.error <> '[erased]');
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN NEXT;
    relation := 'fraud.stream_decisions';
    UPDATE fraud.stream_decisions d SET entity = erased, reasons = NULL, features = NULL
    WHERE d.entity = ANY (known) AND (d.entity <> erased OR num_nonnulls(d.reasons, d.features) > 0);
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN NEXT;
    relation := 'fraud.outbox';
    UPDATE fraud.outbox o
    SET payload = o.payload || jsonb_build_object('entity', erased, 'reasons', '[]'::jsonb), subject = NULL, body_text = NULL, body_html = NULL
    WHERE o.kind = 'alert' AND o.payload ->> 'stream' IS NOT NULL AND o.payload ->> 'entity' = ANY (known)
      AND (o.payload ->> 'entity' <> erased OR o.payload -> 'reasons' <> '[]' OR num_nonnulls(o.subject, o.body_text, o.body_html) > 0);
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION fraud._erase_streams(uuid) IS
    'internal: takes out of what was decided of events of watched tables, whose entity is the customer''s card or id, what says who it is';

CREATE FUNCTION fraud._erase_customer(card uuid, reason text, force boolean)
RETURNS TABLE (relation text, rows bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    of_card uuid := card;
    open_cases bigint[];
    hold fraud.customer_holds;
    kept_reason text;
    counts jsonb := '{}'::jsonb;
BEGIN
    -- Whoever decides of the customer is waited for while its payments still go on.
    PERFORM fraud._lock_matters(
        ARRAY(SELECT c.case_id FROM fraud.case_states c WHERE c.card = of_card), NULL, NULL, of_card);
    PERFORM fraud._check_customer(card, reason);
    -- Of cases that came meanwhile, too.
    PERFORM FROM fraud.case_states c WHERE c.card = of_card ORDER BY c.case_id FOR UPDATE;
    SELECT array_agg(c.case_id ORDER BY c.case_id) INTO open_cases FROM fraud.case_states c
    WHERE c.card = of_card AND c.status IN ('open', 'acknowledged');
    SELECT * INTO hold FROM fraud.customer_holds h WHERE h.card = of_card;
    IF hold.card IS NOT NULL AND NOT coalesce(force, false) THEN
        RAISE EXCEPTION 'customer % is on hold', of_card
            USING ERRCODE = 'object_in_use',
                  DETAIL = format('Role "%s" holds it since %s.', hold.held_by, hold.held_at),
                  HINT = 'fraud.release_customer ends the hold; force => true erases all the same.';
    ELSIF open_cases IS NOT NULL AND NOT coalesce(force, false) THEN
        RAISE EXCEPTION 'customer % has a case that is not decided', of_card
            USING ERRCODE = 'object_in_use',
                  DETAIL = format('Cases: %s.', array_to_string(open_cases, ', ')),
                  HINT = 'Decide the case first; force => true erases all the same.';
    END IF;

    kept_reason := fraud._kept_reason(of_card, reason);
    -- Before the names go, by which the rest is found; and that it is an erasure is seen
    -- by what guards fraud.case_history.
    UPDATE fraud.customers c SET erased_at = now() WHERE c.card = of_card;
    -- The inbox before the dead letters and after them: what goes from one to the other meanwhile
    -- (rejected, or sent again) has then been met in one of them.
    FOR relation, rows IN
        SELECT 'fraud.inbox', fraud._erase_waiting(of_card)
        UNION ALL SELECT e.relation, e.rows FROM fraud._erase_payments(of_card) e
        UNION ALL SELECT 'fraud.inbox', fraud._erase_waiting(of_card)
        UNION ALL SELECT 'fraud.outbox', fraud._erase_messages(of_card)
        UNION ALL SELECT e.relation, e.rows FROM fraud._erase_streams(of_card) e
        UNION ALL SELECT e.relation, e.rows FROM fraud._erase_texts(of_card) e
    LOOP
        counts := jsonb_set(counts, ARRAY[relation], to_jsonb(coalesce((counts ->> relation)::bigint, 0) + rows));
    END LOOP;
    UPDATE fraud.customers c
    SET last_four = NULL, first_name = NULL, last_name = NULL, gender = NULL, street = NULL, city = NULL, state = NULL,
        zip = NULL, latitude = NULL, longitude = NULL, city_population = NULL, job = NULL, date_of_birth = NULL, customer_id = NULL
    WHERE c.card = of_card;
    GET DIAGNOSTICS rows = ROW_COUNT;
    counts := counts || jsonb_build_object('fraud.customers', rows);

    -- The number finds the customer no more.
    DELETE FROM fraud.customer_ids i WHERE i.card = of_card;
    GET DIAGNOSTICS rows = ROW_COUNT;
    counts := counts || jsonb_build_object('fraud.customer_ids', rows);

    PERFORM fraud._audit('erase', 'customer', of_card::text, NULL,
        jsonb_build_object('reason', kept_reason, 'rows', counts)
        || CASE WHEN hold.card IS NOT NULL OR open_cases IS NOT NULL
                THEN jsonb_build_object('forced', true, 'held', hold.card IS NOT NULL, 'open_cases', coalesce(to_jsonb(open_cases), '[]'))
                ELSE '{}' END);
    RETURN QUERY SELECT c.key, c.value::text::bigint FROM jsonb_each(counts) c WHERE c.value <> '0' ORDER BY c.key;
END
$$;
COMMENT ON FUNCTION fraud._erase_customer(uuid, text, boolean) IS 'internal: the body of fraud.erase_customer, run as the owner';

CREATE FUNCTION fraud.erase_customer(card uuid, reason text, force boolean DEFAULT false) RETURNS TABLE (relation text, rows bigint)
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.erase_customer(uuid, text, boolean) IS
    'forgets who a customer is: names, address, birth date and the like, in payments, alerts, messages, notes, dead letters and decisions of streams too; the payments stay under the card, which no longer says whose. Refused with a case that is open or acknowledged, or on hold (fraud.hold_customer), unless forced. Returns in which table how many rows were changed or deleted';
