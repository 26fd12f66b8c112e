-- What the installation itself did is the same everywhere, and where a dump is restored
-- its rows would stand in the way of the dump's own: the log begins here, empty.
TRUNCATE fraud.audit_log RESTART IDENTITY;

CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON fraud.audit_log
    FOR EACH ROW EXECUTE FUNCTION fraud._keep_audit_log();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON fraud.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION fraud._append_only();
