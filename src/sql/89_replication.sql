-- Logical replication of payments, through fraud.transactions as a whole
-- (publish_via_partition_root): the subscriber has months of its own, and keeps them for as long
-- as it likes. A message then speaks of the partitioned table, which has no primary key; FULL says that all
-- columns may tell a row, and the subscriber goes by its own month's key. What a month writes to
-- WAL is by that key, as before.
ALTER TABLE fraud.transactions REPLICA IDENTITY FULL;

-- What is applied comes by no function of ours, and fires no ordinary trigger: the subscriber's
-- log hears of it by these.
CREATE FUNCTION fraud._follow_label() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO fraud.changes (slot, sign, card, transaction_id, occurred_at, is_fraud, known_at)
    SELECT fraud._open_slot(), 0, NEW.card, NEW.transaction_id,
           (SELECT k.occurred_at FROM fraud.payment_keys k WHERE k.transaction_id = NEW.transaction_id AND k.card = NEW.card),
           NEW.is_fraud, NEW.known_at;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION fraud._follow_label() IS 'internal: logs a label that replication has brought';

CREATE FUNCTION fraud._follow_publication(follow boolean) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $$
BEGIN
    IF follow IS NULL THEN
        RAISE EXCEPTION 'follow must not be null' USING ERRCODE = 'null_value_not_allowed', HINT = 'true: from now on, false: no more.';
    END IF;
    DROP TRIGGER IF EXISTS follow_payments ON fraud.transactions;
    DROP TRIGGER IF EXISTS follow_changes ON fraud.transactions;
    DROP TRIGGER IF EXISTS follow_labels ON fraud.labels;
    IF follow THEN
        CREATE TRIGGER follow_payments AFTER INSERT OR DELETE ON fraud.transactions
            FOR EACH ROW EXECUTE FUNCTION fraud._log_payment();
        -- All columns of an update that is applied count as set.
        CREATE TRIGGER follow_changes AFTER UPDATE ON fraud.transactions
            FOR EACH ROW WHEN ((OLD.base_amount, OLD.merchant, OLD.category, OLD.model, OLD.model_version, OLD.score, OLD.decision)
                               IS DISTINCT FROM (NEW.base_amount, NEW.merchant, NEW.category, NEW.model, NEW.model_version, NEW.score, NEW.decision))
            EXECUTE FUNCTION fraud._log_payment();
        CREATE TRIGGER follow_labels AFTER INSERT ON fraud.labels
            FOR EACH ROW EXECUTE FUNCTION fraud._follow_label();
        ALTER TABLE fraud.transactions ENABLE REPLICA TRIGGER follow_payments;
        ALTER TABLE fraud.transactions ENABLE REPLICA TRIGGER follow_changes;
        ALTER TABLE fraud.labels ENABLE REPLICA TRIGGER follow_labels;
    END IF;
    PERFORM fraud._audit('alter', 'publication', 'followed', NULL, jsonb_build_object('follow', follow));
END
$$;
COMMENT ON FUNCTION fraud._follow_publication(boolean) IS 'internal: the body of fraud.follow_publication, run as its caller';

CREATE FUNCTION fraud.follow_publication(follow boolean DEFAULT true) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_caller'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.follow_publication(boolean) IS
    'on a subscriber of logical replication: has payments and labels that are applied added to the sums that the views read (docs/operations.md); false: no more. For the owner';
