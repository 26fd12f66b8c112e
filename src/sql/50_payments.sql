CREATE FUNCTION fraud.distance_km(latitude1 float8, longitude1 float8, latitude2 float8, longitude2 float8)
RETURNS float8
AS 'MODULE_PATHNAME', 'fraud_detect_distance_km'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fraud.distance_km(float8, float8, float8, float8) IS
    'great-circle distance in km of two places in degrees, on a sphere of radius 6371.0088 km (haversine)';

CREATE FUNCTION fraud.ingest(payment jsonb, source text DEFAULT 'sql', mapping jsonb DEFAULT NULL,
    OUT transaction_id text, OUT status text, OUT score float8, OUT decision text, OUT error text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'fraud_detect_ingest'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;
COMMENT ON FUNCTION fraud.ingest(jsonb, text, jsonb) IS
    'as fraud.ingest(text, text, jsonb, text), of what is jsonb already; jsonb has no NaN and no lone surrogates, and turns a number that was written as 4.497913965512794e+18 into an integer, so a card number that has lost digits is refused only where its check digit shows it';

CREATE FUNCTION fraud.ingest(payment text, source text DEFAULT 'sql', mapping jsonb DEFAULT NULL, format text DEFAULT 'auto',
    OUT transaction_id text, OUT status text, OUT score float8, OUT decision text, OUT error text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'fraud_detect_ingest_text'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;
COMMENT ON FUNCTION fraud.ingest(text, text, jsonb, text) IS
    'stores one payment, or many, in any layout of docs/payments.md, with features, score, decision and alert, in this transaction; mapping says where a body of another layout has our fields (docs/sources.md), and format (auto, split, records, ndjson, csv) how it is written; status is stored, duplicate or rejected (then error says why, and fraud.ingest_errors keeps the payload)';

CREATE FUNCTION fraud.assess(payment jsonb, model text DEFAULT 'payments', mapping jsonb DEFAULT NULL, with_reasons boolean DEFAULT true,
    OUT score float8, OUT decision text, OUT reasons text[], OUT features jsonb)
RETURNS record
AS 'MODULE_PATHNAME', 'fraud_detect_assess'
LANGUAGE C STABLE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION fraud.assess(jsonb, text, jsonb, boolean) IS
    'what fraud.ingest would say of one payment, with a mapping or without, storing nothing; a payment without a time is taken as of now; reasons are what speaks most for fraud, null without with_reasons, which takes a fraction of the time';

CREATE FUNCTION fraud.load_history(rel regclass, label_delay interval DEFAULT '7 days') RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_load_history'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.load_history(regclass, interval) IS
    'stores the payments of a table in the Kaggle fraudTrain.csv layout (columns by name, any types), with features as of each payment''s time and the champion''s score, without decision or alert; is_fraud = 1 becomes a label known label_delay after the payment, at the latest now; returns the number of payments stored';

-- Loads of histories in batches. A row is updated with each batch, in its commit.
CREATE TABLE fraud.history_loads (
    load_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    relation text NOT NULL,
    label_delay interval NOT NULL,
    state text NOT NULL DEFAULT 'loading' CHECK (state IN ('loading', 'finished', 'abandoned')),
    rows_expected bigint,
    payments bigint NOT NULL DEFAULT 0,
    present bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    batches bigint NOT NULL DEFAULT 0,
    stored_up_to timestamptz,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_by name NOT NULL DEFAULT fraud._caller(),
    resumed_at timestamptz,
    payments_before bigint NOT NULL DEFAULT 0,
    updated_at timestamptz,
    finished_at timestamptz
) WITH (fillfactor = 50);
CREATE INDEX history_loads_relation_idx ON fraud.history_loads (relation) WHERE state = 'loading';
COMMENT ON TABLE fraud.history_loads IS 'loads of histories by fraud.load_history_in_batches; read fraud.history_progress';
COMMENT ON COLUMN fraud.history_loads.relation IS 'the table or view that is loaded, with its schema';
COMMENT ON COLUMN fraud.history_loads.state IS 'loading (a load that was stopped, too), finished, or abandoned: another was begun anew';
COMMENT ON COLUMN fraud.history_loads.rows_expected IS 'the planner''s estimate of the relation''s rows at the begin; null: none';
COMMENT ON COLUMN fraud.history_loads.payments IS 'stored';
COMMENT ON COLUMN fraud.history_loads.present IS 'stored before by others, or standing there twice';
COMMENT ON COLUMN fraud.history_loads.rejected IS 'on the list of dead letters';
COMMENT ON COLUMN fraud.history_loads.stored_up_to IS 'all payments from before this are stored';
COMMENT ON COLUMN fraud.history_loads.resumed_at IS 'when it went on, last';
COMMENT ON COLUMN fraud.history_loads.payments_before IS 'payments when it went on';
COMMENT ON COLUMN fraud.history_loads.updated_at IS 'when its last batch was stored';

CREATE PROCEDURE fraud.load_history_in_batches(rel regclass, label_delay interval DEFAULT '7 days', batch_size int DEFAULT 100000, resume boolean DEFAULT true)
AS 'MODULE_PATHNAME', 'fraud_detect_load_history_in_batches'
LANGUAGE C;
COMMENT ON PROCEDURE fraud.load_history_in_batches(regclass, interval, int, boolean) IS
    'stores a history as fraud.load_history does, in order of time and in batches of about batch_size payments, each in a transaction of its own, with the same features; what was stopped goes on where it was when it is called again, unless resume is false. fraud.history_progress shows how far it is. Fails inside a transaction block, where another session loads the same relation, and where the column of times does not sort by time';

CREATE VIEW fraud.history_progress AS
    SELECT l.load_id, l.relation,
           CASE WHEN l.state <> 'loading' OR EXISTS (
                    SELECT FROM pg_locks k
                    WHERE k.locktype = 'object' AND k.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
                      AND k.classid = 'fraud.history_loads'::regclass AND k.objid::bigint = l.load_id AND k.objsubid = 0 AND k.granted)
                THEN l.state ELSE 'stopped' END AS state,
           l.payments, l.present, l.rejected, l.batches, l.rows_expected, l.stored_up_to,
           (l.payments - l.payments_before)
               / nullif(extract(epoch FROM l.updated_at - coalesce(l.resumed_at, l.started_at))::float8, 0) AS payments_per_second,
           l.label_delay, l.started_at, l.started_by, l.resumed_at, l.updated_at, l.finished_at
    FROM fraud.history_loads l;
COMMENT ON VIEW fraud.history_progress IS 'loads of histories in batches, and how far each is';
COMMENT ON COLUMN fraud.history_progress.state IS
    'loading; stopped: nobody loads it, and the same call goes on with it; finished; abandoned: another was begun anew';
COMMENT ON COLUMN fraud.history_progress.rows_expected IS 'the planner''s estimate of the relation''s rows at the begin; null: none';
COMMENT ON COLUMN fraud.history_progress.stored_up_to IS 'all payments from before this are stored';
COMMENT ON COLUMN fraud.history_progress.payments_per_second IS 'since it was begun or went on; the sorting at the begin counts';

CREATE FUNCTION fraud.simulate(
    customers int DEFAULT 1000,
    merchants int DEFAULT 300,
    days int DEFAULT 90,
    seed bigint DEFAULT 1,
    starts_at timestamptz DEFAULT NULL,
    ends_at timestamptz DEFAULT NULL,
    label_delay interval DEFAULT '7 days'
) RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_simulate'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.simulate(int, int, int, bigint, timestamptz, timestamptz, interval) IS
    'stores a simulated, labelled history as fraud.load_history does: `days` days from starts_at (a midnight UTC; by default so that the last day ends today), up to ends_at (default now); the same seed gives the same payments; returns the number stored';
