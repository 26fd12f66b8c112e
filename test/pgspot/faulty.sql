-- What test/pgspot/run must find fault with, so that it is known to look.
CREATE SCHEMA fraud;
CREATE FUNCTION fraud.no_path(a text) RETURNS boolean LANGUAGE sql AS $$ SELECT a = lower(a) $$;
CREATE FUNCTION fraud.row_type() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    described fraud.model_versions := NEW;
BEGIN
    described.description := lower(described.description);
    RETURN described;
END
$$;
CREATE FUNCTION fraud.parsed(a text) RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT lower(a); END;
