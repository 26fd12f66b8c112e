-- What counts of what was said of a payment. Labels are statements, each by a source and
-- known from a time on. fraud._deciding_label alone says which of them decides; tables,
-- windows, sums and views all ask it, with the labels that were known at their time.

-- Money has moved back: a chargeback goes before what the feed, a history or another system
-- says, and that before an analyst's opinion, unless the analyst has overruled it.
CREATE FUNCTION fraud._label_rank(source text) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE lower(source) WHEN 'chargeback' THEN 3 WHEN 'analyst' THEN 1 ELSE 2 END;
END;
COMMENT ON FUNCTION fraud._label_rank(text) IS 'internal: the weight of a source of labels, the highest decides';

CREATE FUNCTION fraud._deciding_label(labels fraud.labels[]) RETURNS fraud.labels
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    deciding fraud.labels;
BEGIN
    IF cardinality(labels) = 1 THEN  -- nearly always
        RETURN labels[1];
    END IF;
    -- Each source stands by what it learned last: files of chargebacks come in any order.
    -- What an analyst decides replaces what analysts had decided, though it be dated back.
    WITH standing AS (
        SELECT DISTINCT ON (lower(l.source)) l.*
        FROM unnest(labels) l
        ORDER BY lower(l.source), CASE WHEN lower(l.source) = 'analyst' THEN l.label_id END DESC NULLS LAST,
                 l.known_at DESC, l.label_id DESC
    )
    SELECT s.* INTO deciding
    FROM standing s
    WHERE s.is_fraud IS NOT NULL
      AND NOT EXISTS (SELECT FROM standing o WHERE s.label_id = ANY (o.overrules))
    ORDER BY fraud._label_rank(s.source) DESC, s.known_at DESC, s.label_id DESC
    LIMIT 1;
    RETURN deciding;
END
$$;
COMMENT ON FUNCTION fraud._deciding_label(fraud.labels[]) IS
    'internal: of the labels of one payment the one that counts; nulls, or a label that says nothing, where nothing is known';

CREATE AGGREGATE fraud._believed(fraud.labels) (
    SFUNC = array_append, STYPE = fraud.labels[], INITCOND = '{}', FINALFUNC = fraud._deciding_label, PARALLEL = SAFE);
COMMENT ON AGGREGATE fraud._believed(fraud.labels) IS 'internal: of the labels of one payment the one that counts';

-- What was believed of one payment in the course of time, as fraud.transactions keeps it.
CREATE FUNCTION fraud._label_course(labels fraud.labels[], OUT is_fraud boolean, OUT known_at timestamptz, OUT changes timestamptz[])
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    moment timestamptz;
    deciding fraud.labels;
BEGIN
    IF cardinality(labels) = 1 THEN
        is_fraud := labels[1].is_fraud;
        known_at := labels[1].known_at;
        RETURN;
    END IF;
    changes := '{}';
    FOR moment IN SELECT DISTINCT l.known_at FROM unnest(labels) l ORDER BY 1 LOOP
        deciding := fraud._deciding_label(ARRAY(SELECT l FROM unnest(labels) l WHERE l.known_at <= moment));
        IF known_at IS NULL OR deciding.is_fraud IS DISTINCT FROM is_fraud THEN
            is_fraud := deciding.is_fraud;
            known_at := moment;
        END IF;
        IF coalesce(deciding.is_fraud, false) <> (cardinality(changes) % 2 = 1) THEN
            changes := changes || moment;
        END IF;
    END LOOP;
    -- All is said by the two others where it turned once.
    IF cardinality(changes) < 2 THEN
        changes := NULL;
    ELSIF cardinality(changes) > 100 THEN
        RAISE EXCEPTION 'what is known of payment "%" has turned more than 100 times', labels[1].transaction_id
            USING ERRCODE = 'program_limit_exceeded',
                  HINT = 'fraud.labels has what each source said of it: two contradict each other again and again.';
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._label_course(fraud.labels[]) IS
    'internal: what the labels of one payment come to, since when, and, where that turned more than once, when';

-- A payment has what is known of it with it, for windows that count frauds. One by one:
-- each step is a look-up by key, whatever the tables looked like when it was planned.
-- Where a label comes before its payment (a dump that is restored), the payment brings
-- its own. In order of the payments, so that two that label the same ones take turns; and
-- what others have said is looked at when the payment's row is locked, not before.
CREATE FUNCTION fraud._note_labels() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n record;
    occurred timestamptz;
BEGIN
    FOR n IN SELECT DISTINCT l.card, l.transaction_id FROM new_labels l ORDER BY l.card, l.transaction_id LOOP
        SELECT k.occurred_at INTO occurred FROM fraud.payment_keys k
        WHERE k.transaction_id = n.transaction_id AND k.card = n.card;
        CONTINUE WHEN NOT FOUND;
        PERFORM FROM fraud.transactions t
        WHERE t.card = n.card AND t.occurred_at = occurred AND t.transaction_id = n.transaction_id
        FOR NO KEY UPDATE;
        CONTINUE WHEN NOT FOUND;
        UPDATE fraud.transactions t SET is_fraud = c.is_fraud, label_known_at = c.known_at, label_changes = c.changes
        FROM fraud._label_course(ARRAY(SELECT l FROM fraud.labels l
                                       WHERE l.transaction_id = n.transaction_id AND l.card = n.card)) c
        WHERE t.card = n.card AND t.occurred_at = occurred AND t.transaction_id = n.transaction_id
          AND (t.is_fraud, t.label_known_at, t.label_changes) IS DISTINCT FROM (c.is_fraud, c.known_at, c.changes);
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION fraud._note_labels() IS
    'internal: keeps fraud.transactions.is_fraud, label_known_at and label_changes';

CREATE TRIGGER note_labels AFTER INSERT ON fraud.labels
    REFERENCING NEW TABLE AS new_labels
    FOR EACH STATEMENT EXECUTE FUNCTION fraud._note_labels();

CREATE TRIGGER labels_append_only BEFORE UPDATE OR DELETE ON fraud.labels
    FOR EACH ROW EXECUTE FUNCTION fraud._append_only('source');
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON fraud.labels
    FOR EACH STATEMENT EXECUTE FUNCTION fraud._append_only();

CREATE VIEW fraud.current_labels WITH (security_barrier) AS
    SELECT c.card, c.transaction_id, (c.label).is_fraud, (c.label).source, (c.label).known_at
    FROM (
        SELECT l.card, l.transaction_id, fraud._believed(l) AS label
        FROM fraud.labels l
        WHERE l.known_at OPERATOR(pg_catalog.<=) now()
        GROUP BY l.transaction_id, l.card
    ) c
    WHERE (c.label).is_fraud IS NOT NULL;
COMMENT ON VIEW fraud.current_labels IS 'the label of each labelled payment that counts, as known now';
COMMENT ON COLUMN fraud.current_labels.source IS 'who says so: of several the one with the most weight';
