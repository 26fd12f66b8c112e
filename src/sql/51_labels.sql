-- Labels as people and programs write them, and what was believed at a time.

-- ------------------------------------------------------- one order of locks
-- All that decides of payments locks in this order: cases, by card and number; the
-- customer, if it is about one; payments, by card and id. Payments on their way in lock
-- customers and then payments, and pass over cases that are locked. So whoever waits here
-- for a payment on its way waits for somebody who does not wait for him.
--
-- For people he waits with empty hands: what he has locked in this call is let go first
-- (a subtransaction that is rolled back). One who confirms case by case in one
-- transaction holds cases in any order; if others waited for him while holding what he
-- comes to next, all would end in a deadlock.
--
-- An alert that joins a case has it too, until its payment's commit in a moment. For that he waits
-- with what he has: letting go of forty cases whenever one of them gets an alert, he would never
-- have them all. A moment is less than the least that a deadlock is looked for after.
CREATE FUNCTION fraud._wait_for_alert(card uuid, case_id bigint) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '30ms'
AS $$
BEGIN
    PERFORM FROM fraud.case_states c WHERE c.card = _wait_for_alert.card AND c.case_id = _wait_for_alert.case_id FOR NO KEY UPDATE;
    RETURN true;
EXCEPTION
    WHEN lock_not_available THEN RETURN false;
END
$$;
COMMENT ON FUNCTION fraud._wait_for_alert(uuid, bigint) IS
    'internal: locks a case that somebody has for a moment; false where he has it for longer';

CREATE FUNCTION fraud._lock_matters(case_ids bigint[], cards uuid[], transaction_ids text[], customer uuid DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n record;
    busy_case bigint;
    busy_payment record;
    of_card uuid;
BEGIN
    LOOP
        of_card := NULL;
        busy_case := NULL;
        BEGIN
            FOR n IN SELECT c.card, c.case_id FROM fraud.case_states c WHERE c.case_id = ANY (case_ids) ORDER BY c.card, c.case_id LOOP
                -- Against others who decide, and alerts that join the case.
                PERFORM FROM fraud.case_states c WHERE c.card = n.card AND c.case_id = n.case_id FOR NO KEY UPDATE SKIP LOCKED;
                IF NOT FOUND AND NOT fraud._wait_for_alert(n.card, n.case_id) THEN
                    of_card := n.card;
                    busy_case := n.case_id;
                    RAISE SQLSTATE 'FD001';
                END IF;
                PERFORM FROM fraud.case_states c WHERE c.card = n.card AND c.case_id = n.case_id FOR UPDATE;
            END LOOP;
            PERFORM FROM fraud.customers c WHERE c.card = customer FOR UPDATE;
            FOR n IN
                SELECT k.card, k.transaction_id, k.occurred_at
                FROM (SELECT a.card, a.transaction_id FROM fraud.alerts a
                      WHERE (a.card, a.case_id) IN (SELECT c.card, c.case_id FROM fraud.case_states c WHERE c.case_id = ANY (case_ids))
                      UNION
                      SELECT g.card, g.transaction_id COLLATE "C" FROM unnest(cards, transaction_ids) g(card, transaction_id)) w
                JOIN fraud.payment_keys k ON k.transaction_id = w.transaction_id AND k.card = w.card
                UNION
                SELECT t.card, t.transaction_id, t.occurred_at FROM fraud.transactions t WHERE t.card = customer
                ORDER BY card, transaction_id
            LOOP
                PERFORM FROM fraud.transactions t
                WHERE t.card = n.card AND t.occurred_at = n.occurred_at AND t.transaction_id = n.transaction_id
                FOR NO KEY UPDATE SKIP LOCKED;
                CONTINUE WHEN FOUND;
                PERFORM FROM fraud.transactions t
                WHERE t.card = n.card AND t.occurred_at = n.occurred_at AND t.transaction_id = n.transaction_id;
                CONTINUE WHEN NOT FOUND;  -- retention has taken it
                of_card := n.card;
                busy_payment := n;
                RAISE SQLSTATE 'FD001';
            END LOOP;
        EXCEPTION
            WHEN SQLSTATE 'FD001' THEN NULL;
        END;
        EXIT WHEN of_card IS NULL;
        BEGIN
            IF busy_case IS NOT NULL THEN
                PERFORM FROM fraud.case_states c WHERE c.card = of_card AND c.case_id = busy_case FOR NO KEY UPDATE;
            ELSE
                PERFORM FROM fraud.transactions t
                WHERE t.card = of_card AND t.occurred_at = busy_payment.occurred_at AND t.transaction_id = busy_payment.transaction_id
                FOR NO KEY UPDATE;
            END IF;
            RAISE SQLSTATE 'FD001';
        EXCEPTION
            WHEN SQLSTATE 'FD001' THEN NULL;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION fraud._lock_matters(bigint[], uuid[], text[], uuid) IS
    'internal: locks cases with their payments, a customer with its payments, and further payments, in the one order that all use; waits for people with empty hands';

-- ------------------------------------------------------------------ labels
-- An analyst who says otherwise than a source of more weight is asked whether he means it.
CREATE FUNCTION fraud._contradicting_labels(card uuid, transaction_id text, is_fraud boolean) RETURNS fraud.labels[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    others fraud.labels[] := ARRAY(
        SELECT l FROM fraud.labels l
        WHERE l.transaction_id = _contradicting_labels.transaction_id AND l.card = _contradicting_labels.card
          AND fraud._label_rank(l.source) > fraud._label_rank('analyst'));
    deciding fraud.labels;
BEGIN
    deciding := fraud._deciding_label(others);
    IF deciding.is_fraud IS DISTINCT FROM NOT _contradicting_labels.is_fraud THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(SELECT l FROM unnest(others) l WHERE l.is_fraud = NOT _contradicting_labels.is_fraud ORDER BY l.label_id);
END
$$;
COMMENT ON FUNCTION fraud._contradicting_labels(uuid, text, boolean) IS
    'internal: the labels of a payment that would keep an analyst''s from counting';

-- Writes a label for each payment, which must be locked (fraud._lock_matters), and its
-- line in the audit log unless that is the caller's.
CREATE FUNCTION fraud._write_labels(
    cards uuid[], transaction_ids text[], known_at timestamptz[], is_fraud boolean, source text, overrule boolean
) RETURNS SETOF fraud.labels
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    contradicted text;
    payments bigint;
BEGIN
    IF fraud._label_rank(source) = fraud._label_rank('analyst') AND overrule IS NOT TRUE THEN
        SELECT count(DISTINCT (c.card, c.transaction_id)),
               string_agg(format('payment "%s" is %s by %s', c.transaction_id,
                                 CASE WHEN c.is_fraud THEN 'fraud' ELSE 'legitimate' END, c.source), ', '
                          ORDER BY c.transaction_id, c.label_id) FILTER (WHERE c.place <= 100)
        INTO payments, contradicted
        FROM (SELECT l.*, row_number() OVER (ORDER BY l.transaction_id, l.label_id) AS place
              FROM unnest(cards, transaction_ids) n(card, transaction_id)
              CROSS JOIN LATERAL unnest(fraud._contradicting_labels(n.card, n.transaction_id, _write_labels.is_fraud)) l) c;
        IF payments > 0 THEN
            RAISE EXCEPTION '% % labelled %', payments,
                CASE payments WHEN 1 THEN 'payment is' ELSE 'payments are' END,
                CASE WHEN is_fraud THEN 'legitimate by others' ELSE 'fraud by others' END
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      DETAIL = upper(left(contradicted, 1)) || substr(contradicted, 2) || CASE WHEN payments > 100 THEN ', …' ELSE '' END || '.',
                      HINT = 'Pass overrule => true to set aside what they say.';
        END IF;
    END IF;
    RETURN QUERY
        INSERT INTO fraud.labels (card, transaction_id, is_fraud, source, known_at, overrules)
        SELECT n.card, n.transaction_id, _write_labels.is_fraud, _write_labels.source, n.known_at,
               CASE WHEN overrule AND fraud._label_rank(_write_labels.source) = fraud._label_rank('analyst')
                    THEN nullif(ARRAY(SELECT l.label_id
                                      FROM unnest(fraud._contradicting_labels(n.card, n.transaction_id, _write_labels.is_fraud)) l), '{}') END
        FROM unnest(cards, transaction_ids, known_at) n(card, transaction_id, known_at)
        ORDER BY n.card, n.transaction_id COLLATE "C"
        RETURNING *;
END
$$;
COMMENT ON FUNCTION fraud._write_labels(uuid[], text[], timestamptz[], boolean, text, boolean) IS
    'internal: records a label of each payment, or says which of them others contradict';

CREATE FUNCTION fraud._check_known_at(known_at timestamptz) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF known_at > clock_timestamp() + coalesce(nullif(current_setting('fraud_detect.max_future', true), ''), '0')::interval THEN
        RAISE EXCEPTION 'known_at % is in the future, beyond fraud_detect.max_future', known_at
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Record the label when it is known.';
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._check_known_at(timestamptz) IS 'internal: refuses what nobody can know yet';

-- Ids as they are stored, whichever of the two the caller has (an id that holds a card
-- number is replaced), with the card of each.
CREATE FUNCTION fraud._find_payments(transaction_ids text[], cards uuid[])
RETURNS TABLE (given text, card uuid, transaction_id text, occurred_at timestamptz)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    n record;
    found_cards uuid[];
    unknown text[] := '{}';
BEGIN
    IF array_ndims(transaction_ids) > 1 OR array_ndims(cards) > 1 THEN
        RAISE EXCEPTION 'transaction_ids and cards must have one dimension' USING ERRCODE = 'array_subscript_error';
    ELSIF array_position(transaction_ids, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'transaction_ids must not hold a null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF cards IS NOT NULL AND cardinality(cards) <> cardinality(transaction_ids) THEN
        RAISE EXCEPTION 'cards has % elements, expected %', cardinality(cards), cardinality(transaction_ids)
            USING ERRCODE = 'array_subscript_error', HINT = 'Give a card, or null, for each id.';
    END IF;
    FOR n IN SELECT DISTINCT g.id, g.card FROM unnest(transaction_ids, cards) g(id, card) ORDER BY g.id, g.card LOOP
        FOREACH transaction_id IN ARRAY fraud._payment_ids(n.id) LOOP
            SELECT array_agg(k.card), min(k.occurred_at) INTO found_cards, occurred_at FROM fraud.payment_keys k
            WHERE k.transaction_id = _find_payments.transaction_id COLLATE "C" AND (n.card IS NULL OR k.card = n.card);
            EXIT WHEN found_cards IS NOT NULL;
        END LOOP;
        IF found_cards IS NULL THEN
            unknown := unknown || n.id;
            CONTINUE;
        ELSIF cardinality(found_cards) > 1 THEN
            RAISE EXCEPTION 'payment id "%" is used by % cards', transaction_id, cardinality(found_cards)
                USING ERRCODE = 'cardinality_violation',
                      HINT = 'Give the card too: fraud.label(…, card => …).';
        END IF;
        given := n.id;
        card := found_cards[1];
        RETURN NEXT;
    END LOOP;
    IF cardinality(unknown) = 1 THEN
        RAISE EXCEPTION 'payment "%" does not exist', fraud._mask_card_numbers(unknown[1])
            USING ERRCODE = 'no_data_found',
                  HINT = 'fraud.transactions lists the payments by transaction_id.';
    ELSIF cardinality(unknown) > 1 THEN
        RAISE EXCEPTION '% payments do not exist', cardinality(unknown)
            USING ERRCODE = 'no_data_found',
                  DETAIL = format('Their ids: %s%s.',
                                  (SELECT string_agg(format('"%s"', fraud._mask_card_numbers(u.id)), ', ' ORDER BY u.place)
                                   FROM unnest(unknown[1:100]) WITH ORDINALITY u(id, place)),
                                  CASE WHEN cardinality(unknown) > 100 THEN ', …' ELSE '' END),
                  HINT = 'fraud.transactions lists the payments by transaction_id.';
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._find_payments(text[], uuid[]) IS 'internal: the payments of ids that callers give, or which are not there';

CREATE FUNCTION fraud._label(
    transaction_ids text[], is_fraud boolean, source text, known_at timestamptz, cards uuid[], overrule boolean
) RETURNS SETOF fraud.labels
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_cards uuid[];
    ids text[];
    early record;
    written fraud.labels;
BEGIN
    IF transaction_ids IS NULL OR is_fraud IS NULL OR source IS NULL OR known_at IS NULL THEN
        RAISE EXCEPTION 'transaction_ids, is_fraud, source and known_at must not be null'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM fraud._check_known_at(known_at);
    SELECT array_agg(f.card ORDER BY f.card, f.transaction_id COLLATE "C"), array_agg(f.transaction_id ORDER BY f.card, f.transaction_id COLLATE "C")
    INTO of_cards, ids
    FROM (SELECT DISTINCT p.card, p.transaction_id, p.occurred_at FROM fraud._find_payments(transaction_ids, cards) p) f;
    SELECT k.occurred_at INTO early
    FROM unnest(of_cards, ids) n(card, transaction_id)
    JOIN fraud.payment_keys k ON k.transaction_id = n.transaction_id COLLATE "C" AND k.card = n.card
    WHERE _label.known_at < least(k.occurred_at, now())
    ORDER BY k.occurred_at DESC LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'known_at % is before the payment''s own time %', known_at, early.occurred_at
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give the time at which the label became known, which is later.';
    END IF;
    PERFORM fraud._lock_matters('{}', of_cards, ids);
    FOR written IN
        SELECT w.* FROM fraud._write_labels(of_cards, ids, array_fill(known_at, ARRAY[coalesce(cardinality(ids), 0)]), is_fraud,
                                            fraud._kept_text(source), overrule) w
    LOOP
        PERFORM fraud._audit('label', 'payment', written.transaction_id, NULL,
            jsonb_build_object('card', written.card, 'label_id', written.label_id, 'is_fraud', written.is_fraud, 'known_at', written.known_at)
            || CASE WHEN written.overrules IS NULL THEN '{}' ELSE jsonb_build_object('overrules', written.overrules) END);
        RETURN NEXT written;
    END LOOP;
END
$$;
COMMENT ON FUNCTION fraud._label(text[], boolean, text, timestamptz, uuid[], boolean) IS 'internal: the body of fraud.label for many payments, run as the owner';

CREATE FUNCTION fraud._label(
    transaction_id text, is_fraud boolean, source text, known_at timestamptz, card uuid, overrule boolean
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF transaction_id IS NULL OR is_fraud IS NULL OR source IS NULL OR known_at IS NULL THEN
        RAISE EXCEPTION 'transaction_id, is_fraud, source and known_at must not be null'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    RETURN (SELECT l.label_id FROM fraud._label(ARRAY[transaction_id], is_fraud, source, known_at, ARRAY[card], overrule) l);
END
$$;
COMMENT ON FUNCTION fraud._label(text, boolean, text, timestamptz, uuid, boolean) IS 'internal: the body of fraud.label, run as the owner';

CREATE FUNCTION fraud.label(
    transaction_id text,
    is_fraud boolean,
    source text DEFAULT 'analyst',
    known_at timestamptz DEFAULT now(),
    card uuid DEFAULT NULL,
    overrule boolean DEFAULT false
) RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.label(text, boolean, text, timestamptz, uuid, boolean) IS
    'records what was learned of a payment, from known_at on; returns the label''s id. card is needed only where two cards used one payment id. An analyst''s label that a source of more weight contradicts is refused, unless overrule sets that aside';

CREATE FUNCTION fraud.label(
    transaction_ids text[],
    is_fraud boolean,
    source text DEFAULT 'analyst',
    known_at timestamptz DEFAULT now(),
    cards uuid[] DEFAULT NULL,
    overrule boolean DEFAULT false
) RETURNS SETOF fraud.labels
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.label(text[], boolean, text, timestamptz, uuid[], boolean) IS
    'records the same of many payments, all or none; returns the labels. Of cards, one an id, only those are needed whose payment id another card used too';

-- ------------------------------------------------------ what was believed
CREATE FUNCTION fraud._label_as_of(transaction_id text, moment timestamptz, card uuid)
RETURNS TABLE (is_fraud boolean, source text, known_at timestamptz, label_id bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF transaction_id IS NULL OR moment IS NULL THEN
        RAISE EXCEPTION 'transaction_id and moment must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    RETURN QUERY
        SELECT b.is_fraud, b.source, b.known_at, b.label_id
        FROM fraud._find_payments(ARRAY[_label_as_of.transaction_id], ARRAY[_label_as_of.card]) p
        CROSS JOIN LATERAL fraud._deciding_label(ARRAY(
            SELECT l FROM fraud.labels l
            WHERE l.transaction_id = p.transaction_id COLLATE "C" AND l.card = p.card AND l.known_at <= moment)) b
        WHERE b.is_fraud IS NOT NULL;
END
$$;
COMMENT ON FUNCTION fraud._label_as_of(text, timestamptz, uuid) IS 'internal: the body of fraud.label_as_of, run as the owner';

CREATE FUNCTION fraud.label_as_of(transaction_id text, moment timestamptz DEFAULT now(), card uuid DEFAULT NULL)
RETURNS TABLE (is_fraud boolean, source text, known_at timestamptz, label_id bigint)
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 1;
COMMENT ON FUNCTION fraud.label_as_of(text, timestamptz, uuid) IS
    'the label of a payment that counted at a moment, by what is recorded now: by whom, and since when he knew it; no row where nothing was known';
