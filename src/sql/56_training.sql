CREATE TABLE fraud.training_runs (
    run bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model text NOT NULL,
    description text,
    -- What to train on.
    feature_set text,
    rel text,
    columns jsonb NOT NULL,
    features text[] NOT NULL,
    left_out text[],
    definition jsonb NOT NULL,
    definition_hash text NOT NULL,
    train_from timestamptz NOT NULL,
    train_to timestamptz NOT NULL,
    validation_from timestamptz,
    validation_to timestamptz,
    test_from timestamptz,
    test_to timestamptz,
    delay interval NOT NULL,
    folds int NOT NULL,
    -- How.
    params jsonb NOT NULL,
    num_boost_round int NOT NULL,
    early_stopping_rounds int NOT NULL,
    search jsonb,
    trials int NOT NULL,
    seed bigint NOT NULL,
    threads int NOT NULL,
    settings jsonb NOT NULL,
    requested_by name NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    -- What came of it.
    status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    reason text,
    started_at timestamptz,
    finished_at timestamptz,
    train_rows bigint,
    train_frauds bigint,
    validation_rows bigint,
    validation_frauds bigint,
    test_rows bigint,
    test_frauds bigint,
    data_digest bytea,
    used_params jsonb,
    rounds int,
    metric_name text,
    metric float8,
    history float8[],
    importance jsonb,
    test_metrics jsonb,
    xgboost_version text,
    extension_version text,
    server_version text,
    peak_memory_kb bigint,
    cpu_seconds float8,
    warnings text[],
    model_version int
);
CREATE INDEX training_runs_model_idx ON fraud.training_runs (model, model_version);
COMMENT ON TABLE fraud.training_runs IS 'runs of fraud.train: what it takes to repeat each, and what came of it';
COMMENT ON COLUMN fraud.training_runs.rel IS 'the table of features, where no feature set was given';
COMMENT ON COLUMN fraud.training_runs.columns IS 'of rel: the names of its event_id, event_time, label, card and amount';
COMMENT ON COLUMN fraud.training_runs.left_out IS 'columns of rel that are no features, each with its type or what it is';
COMMENT ON COLUMN fraud.training_runs.warnings IS 'what is odd about the rows, such as a feature that alone separates the labels; fraud.wait_for_training says it too';
COMMENT ON COLUMN fraud.training_runs.definition IS 'of the feature set, or the query that read the rows';
COMMENT ON COLUMN fraud.training_runs.definition_hash IS 'of a feature set its fraud.feature_set_hash, else SHA-256 of definition and feature names';
COMMENT ON COLUMN fraud.training_runs.params IS 'XGBoost''s parameters as given';
COMMENT ON COLUMN fraud.training_runs.used_params IS 'XGBoost''s parameters with those chosen by the search and our defaults';
COMMENT ON COLUMN fraud.training_runs.settings IS 'search_path and time zone of the caller, in which expressions are computed';
COMMENT ON COLUMN fraud.training_runs.reason IS 'why it failed or was cancelled';
COMMENT ON COLUMN fraud.training_runs.data_digest IS 'SHA-256 of all rows read: their labels and features';
COMMENT ON COLUMN fraud.training_runs.rounds IS 'boosting rounds in the model';
COMMENT ON COLUMN fraud.training_runs.metric IS 'the last eval_metric on the validation period, at the best round';
COMMENT ON COLUMN fraud.training_runs.history IS 'that metric, round by round';
COMMENT ON COLUMN fraud.training_runs.importance IS 'loss that each feature''s splits took away in all';
COMMENT ON COLUMN fraud.training_runs.test_metrics IS 'measures on the test period';
COMMENT ON COLUMN fraud.training_runs.peak_memory_kb IS 'of the training process';
COMMENT ON COLUMN fraud.training_runs.cpu_seconds IS 'processor time of the training process and of the worker that read the rows';
COMMENT ON COLUMN fraud.training_runs.model_version IS 'the version that it made';

-- Apart from fraud.training_runs, so that a dump carries no run to be started.
CREATE TABLE fraud.training_queue (
    run bigint PRIMARY KEY REFERENCES fraud.training_runs ON DELETE CASCADE,
    started boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE fraud.training_queue IS 'internal: runs that are to be started, or under way';

-- A run is looked for when it was asked for, and when a dump's rows are restored.
CREATE FUNCTION fraud._wake_for_training() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM fraud._wake_worker();
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION fraud._wake_for_training() IS 'internal: has the ingest worker look at the training runs';
CREATE TRIGGER wake_worker AFTER INSERT ON fraud.training_runs
    FOR EACH STATEMENT EXECUTE FUNCTION fraud._wake_for_training();

CREATE TABLE fraud.training_trials (
    run bigint NOT NULL,
    trial int NOT NULL,
    fold int NOT NULL,
    params jsonb NOT NULL,
    metric_name text NOT NULL,
    metric float8 NOT NULL,
    best_round int NOT NULL,
    PRIMARY KEY (run, trial, fold)
);
COMMENT ON TABLE fraud.training_trials IS 'of runs with folds or a search: what each set of parameters came to on each fold';
COMMENT ON COLUMN fraud.training_trials.fold IS 'from 1 on in order of time; 0: measured on the validation period';

CREATE FUNCTION fraud._training_progress(OUT run bigint, OUT phase text, OUT rows_read bigint, OUT trial int,
    OUT trials int, OUT fold int, OUT folds int, OUT round int, OUT rounds int, OUT metric_name text,
    OUT metric float8, OUT phase_since timestamptz) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'fraud_detect_training_progress'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 2;
COMMENT ON FUNCTION fraud._training_progress() IS 'internal: where the runs under way are, from shared memory';

CREATE VIEW fraud.training_progress AS
    SELECT r.run, r.model, r.status, coalesce(p.phase, r.status) AS phase, p.rows_read, p.trial, p.trials, p.fold, p.folds,
           p.round, p.rounds, p.metric_name, p.metric, clock_timestamp() - r.started_at AS elapsed,
           -- Of the phase; early stopping may end it sooner.
           CASE WHEN p.round > 0 THEN (clock_timestamp() - p.phase_since) * ((p.rounds - p.round)::float8 / p.round) END
               AS time_left,
           CASE WHEN q.started OR p.run IS NOT NULL THEN NULL
                WHEN m.most IS NULL THEN 'a training worker: fraud_detect is not in shared_preload_libraries'
                WHEN q.run > b.first THEN 'its turn, after ' || b.waiting
                WHEN u.number >= m.most THEN format('the end of %s; fraud_detect.max_training_workers is %s', u.runs, m.most)
                -- Workers are the server's, of all its databases.
                WHEN r.requested_at < clock_timestamp() - interval '5 seconds'
                THEN format('a training worker: other databases train (fraud_detect.max_training_workers is %s), or max_worker_processes has no room', m.most)
                ELSE 'a training worker, which starts at once' END AS waits_for
    FROM fraud.training_queue q
    JOIN fraud.training_runs r ON r.run = q.run
    LEFT JOIN fraud._training_progress() p ON p.run = r.run
    CROSS JOIN (SELECT current_setting('fraud_detect.max_training_workers', true)::int AS most) m
    CROSS JOIN (SELECT count(*) AS number, string_agg(format('run %s of model "%s"', w.run, w.model), ', ' ORDER BY w.run) AS runs
                FROM fraud.training_queue o JOIN fraud.training_runs w USING (run) WHERE o.started) u
    CROSS JOIN (SELECT min(w.run) AS first, format('run %s of model "%s"', min(w.run), (array_agg(w.model ORDER BY w.run))[1]) AS waiting
                FROM fraud.training_queue o JOIN fraud.training_runs w USING (run) WHERE NOT o.started) b;
COMMENT ON VIEW fraud.training_progress IS 'runs that are waiting or under way';
COMMENT ON COLUMN fraud.training_progress.phase IS
    'queued, starting, reading, binning, search, cross-validation, boosting, saving or testing';
COMMENT ON COLUMN fraud.training_progress.metric IS 'the last eval_metric on the validation rows, at the last round';
COMMENT ON COLUMN fraud.training_progress.waits_for IS 'what a run that is queued waits for';
COMMENT ON COLUMN fraud.training_progress.time_left IS 'until all rounds of this fit are done, at its pace so far';

-- The query that reads a table of features, once its columns are checked.
CREATE FUNCTION fraud._table_query(reader name, rel regclass, columns jsonb, INOUT features text[], OUT query text, OUT times text, OUT left_out text[])
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    named jsonb := fraud._table_columns(columns);
    missing text;
    odd text;
BEGIN
    IF NOT has_table_privilege(reader, rel, 'SELECT') THEN
        RAISE EXCEPTION 'permission denied for table %', rel
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('Training reads it as you: GRANT SELECT ON %s TO %I;', rel, reader);
    END IF;
    SELECT n.key || ' "' || n.value || '"' INTO missing FROM jsonb_each_text(named) n
    WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = rel AND a.attname = n.value AND a.attnum > 0 AND NOT a.attisdropped)
    LIMIT 1;
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'table % has no column for %', rel, missing
            USING ERRCODE = 'undefined_column',
                  HINT = 'columns says which is which, such as {"event_id": "id", "event_time": "at", "label": "is_fraud"}.';
    END IF;
    -- All numeric columns, but those that mean something else.
    IF features IS NULL THEN
        SELECT array_agg(a.attname::text ORDER BY a.attnum) INTO features FROM pg_attribute a
        WHERE a.attrelid = rel AND a.attnum > 0 AND NOT a.attisdropped
          AND a.atttypid = ANY ('{int2,int4,int8,float4,float8,numeric,bool}'::regtype[])
          AND NOT EXISTS (SELECT FROM jsonb_each_text(named) n WHERE n.value = a.attname AND n.key <> 'amount');
    END IF;
    IF coalesce(cardinality(features), 0) = 0 THEN
        RAISE EXCEPTION 'table % has no feature', rel
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Features are numeric or boolean columns.';
    END IF;
    SELECT f INTO odd FROM unnest(features) f
    WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = rel AND a.attname = f AND a.attnum > 0 AND NOT a.attisdropped
                        AND a.atttypid = ANY ('{int2,int4,int8,float4,float8,numeric,bool}'::regtype[]))
    LIMIT 1;
    IF odd IS NOT NULL THEN
        RAISE EXCEPTION 'table % has no numeric or boolean column "%"', rel, odd
            USING ERRCODE = 'undefined_column',
                  HINT = 'Leave it out of features, or give a view that has it as a number. Without features all that can be are taken.';
    ELSIF named ->> 'label' = ANY (features) THEN
        RAISE EXCEPTION 'the label "%" cannot be a feature', named ->> 'label'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave it out of features: it is what is to be predicted.';
    END IF;
    SELECT format('SELECT t.%I::timestamptz, t.%I::int::float8, %s FROM %s t WHERE t.%I >= $1 AND t.%I < $2 AND t.%I IS NOT NULL ORDER BY t.%I, t.%I',
                  named ->> 'event_time', named ->> 'label',
                  string_agg(format(CASE a.atttypid WHEN 'bool'::regtype THEN 't.%I::int::float8' WHEN 'float4'::regtype THEN 't.%I' ELSE 't.%I::float8' END, f.name), ', ' ORDER BY f.place),
                  rel, named ->> 'event_time', named ->> 'event_time', named ->> 'label', named ->> 'event_time', named ->> 'event_id')
    INTO query
    FROM unnest(features) WITH ORDINALITY f(name, place)
    JOIN pg_attribute a ON a.attrelid = rel AND a.attname = f.name;
    times := format('SELECT min(t.%1$I)::timestamptz, max(t.%1$I)::timestamptz, count(*) FILTER (WHERE t.%1$I >= $1 AND t.%1$I < $2) FROM %2$s t',
                    named ->> 'event_time', rel);
    -- What it is, where it is more than a column of another type.
    SELECT array_agg(format('%s (%s)', a.attname, coalesce((SELECT string_agg(n.key, ', ' ORDER BY n.key) FROM jsonb_each_text(named) n WHERE n.value = a.attname),
                                                          format_type(a.atttypid, a.atttypmod))) ORDER BY a.attnum)
    INTO left_out
    FROM pg_attribute a WHERE a.attrelid = rel AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> ALL (features);
END
$$;
COMMENT ON FUNCTION fraud._table_query(name, regclass, jsonb, text[]) IS 'internal: how the training rows of a table are read, if the reader may';

CREATE FUNCTION fraud._check_period(name text, starts timestamptz, ends timestamptz, not_before timestamptz, after text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (starts IS NULL) <> (ends IS NULL) THEN
        RAISE EXCEPTION 'the % period has one end only', name
            USING ERRCODE = 'invalid_parameter_value', HINT = format('Give %1$s_from and %1$s_to, or neither.', name);
    ELSIF starts >= ends THEN
        RAISE EXCEPTION 'the % period from % to % is empty', name, starts, ends
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Periods are [from, to).';
    ELSIF starts < not_before THEN
        RAISE EXCEPTION 'the % period begins at %, before %', name, starts, not_before
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('It must begin after the end of the %s period and the delay.', after);
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._check_period(text, timestamptz, timestamptz, timestamptz, text) IS
    'internal: refuses a period that is empty or comes too early';

CREATE FUNCTION fraud._train(model text, feature_set text, params jsonb, train_from timestamptz, train_to timestamptz,
    test_from timestamptz, test_to timestamptz, validation_from timestamptz, validation_to timestamptz, delay interval,
    folds int, search jsonb, trials int, seed bigint, rel regclass, columns jsonb, features text[], description text,
    caller_path text, caller_zone text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given jsonb := coalesce(params, '{}');
    rounds int;
    early int;
    threads int := current_setting('fraud_detect.train_threads')::int;
    query text;
    times text;
    left_out text[];
    definition jsonb;
    hash text;
    events regclass;
    last_end timestamptz;
BEGIN
    IF model IS NULL THEN
        RAISE EXCEPTION 'model must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF model !~ '^[A-Za-z0-9_.-]{1,63}$' THEN
        RAISE EXCEPTION 'invalid model name "%"', fraud._mask_card_numbers(left(model, 200))
            USING ERRCODE = 'invalid_name', DETAIL = 'A name is 1 to 63 letters, digits, underscores, dots or dashes.';
    ELSIF num_nonnulls(feature_set, rel) <> 1 THEN
        RAISE EXCEPTION 'expected one of feature_set and rel'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'feature_set is a declared feature set, rel a table with a column a feature.';
    ELSIF train_from IS NULL OR train_to IS NULL OR delay IS NULL OR folds IS NULL OR seed IS NULL THEN
        RAISE EXCEPTION 'train_from, train_to, delay, folds and seed must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF jsonb_typeof(given) <> 'object' OR jsonb_typeof(search) <> 'object' OR search = '{}' THEN
        RAISE EXCEPTION 'params and search must be JSON objects'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Such as {"max_depth": 6, "num_boost_round": 500}, and {"max_depth": [4, 6, 8]}.';
    ELSIF folds NOT BETWEEN 0 AND 100 OR trials NOT BETWEEN 1 AND 1000 OR seed NOT BETWEEN 0 AND 2147483647 OR delay < '0' THEN
        RAISE EXCEPTION 'invalid folds, trials, seed or delay'
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'folds is 0 to 100, trials 1 to 1000, seed 0 to 2147483647, delay not negative.';
    ELSIF trials IS NOT NULL AND search IS NULL THEN
        RAISE EXCEPTION 'trials without a search' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'search says what to draw from, such as {"eta": {"min": 0.02, "max": 0.3, "log": true}}.';
    ELSIF EXISTS (SELECT FROM jsonb_each(given) p WHERE jsonb_typeof(p.value) IN ('object', 'null')) THEN
        RAISE EXCEPTION 'params must hold texts, numbers, booleans and arrays, no objects or nulls' USING ERRCODE = 'invalid_parameter_value';
    ELSIF fraud._mask_card_numbers(given) <> given OR fraud._mask_card_numbers(search) <> search THEN
        RAISE EXCEPTION 'params and search must not hold a card number' USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Card numbers are kept nowhere.';
    END IF;
    PERFORM fraud._check_name('model', model);
    PERFORM fraud._check_period('train', train_from, train_to, NULL, NULL);
    PERFORM fraud._check_period('validation', validation_from, validation_to, train_to + delay, 'train');
    last_end := coalesce(validation_to, train_to);
    PERFORM fraud._check_period('test', test_from, test_to, last_end + delay, CASE WHEN validation_to IS NULL THEN 'train' ELSE 'validation' END);
    IF folds > 0 AND NOT (isfinite(train_from) AND isfinite(train_to)) THEN
        RAISE EXCEPTION 'folds need a train period with two ends' USING ERRCODE = 'invalid_parameter_value';
    ELSIF folds > 0 AND (train_to - train_from) / (folds + 1) <= delay THEN
        RAISE EXCEPTION 'the train period is too short for % folds after a delay of %', folds, delay
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('It must be longer than %s, which is (folds + 1) times the delay.', delay * (folds + 1)),
                  HINT = 'Give a longer period, fewer folds or a shorter delay.';
    END IF;

    rounds := coalesce((given ->> 'num_boost_round')::int, 300);
    early := coalesce((given ->> 'early_stopping_rounds')::int, CASE WHEN validation_from IS NULL AND folds = 0 THEN 0 ELSE 50 END);
    threads := least(threads, coalesce((given ->> 'nthread')::int, threads));
    IF rounds NOT BETWEEN 1 AND 100000 OR early NOT BETWEEN 0 AND 100000 OR threads < 1 THEN
        RAISE EXCEPTION 'invalid num_boost_round, early_stopping_rounds or nthread'
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'num_boost_round is 1 to 100000, early_stopping_rounds 0 to 100000, nthread at least 1.';
    ELSIF (early > 0 OR search IS NOT NULL) AND validation_from IS NULL AND folds = 0 THEN
        RAISE EXCEPTION '% needs a validation period or folds', CASE WHEN early > 0 THEN 'early stopping' ELSE 'a search' END
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give validation_from and validation_to, later than train_to, or folds.';
    END IF;

    IF rel IS NOT NULL THEN
        SELECT * INTO features, query, times, left_out FROM fraud._table_query(fraud._caller(), rel, columns, features);
        definition := jsonb_build_object('query', query, 'times', times);
        RAISE NOTICE 'features are the columns %', array_to_string(features, ', ')
            USING DETAIL = 'Left out: ' || coalesce(array_to_string(left_out, ', '), 'none') || '.';
        hash := encode(sha256(convert_to(definition::text || array_to_json(features)::text, 'UTF8')), 'hex');
    ELSIF features IS NOT NULL THEN
        RAISE EXCEPTION 'features are those of the feature set' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Leave features out; they choose among the columns of rel.';
    ELSE
        SELECT d.features, d.definition, d.hash, d.events INTO features, definition, hash, events
        FROM fraud._training_features(feature_set) d;
        IF feature_set <> 'payments' AND definition ->> 'label' IS NULL THEN
            RAISE EXCEPTION 'feature set "%" has no label', feature_set
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'fraud.create_feature_set takes it.';
        ELSIF NOT has_table_privilege(fraud._caller(), events, 'SELECT') THEN
            RAISE EXCEPTION 'permission denied for table %', events
                USING ERRCODE = 'insufficient_privilege',
                      HINT = format('Training reads it as you: GRANT SELECT ON %s TO %I;', events, fraud._caller());
        END IF;
    END IF;
    RETURN fraud._store_run(jsonb_build_object(
        'model', model, 'description', description, 'feature_set', feature_set, 'rel', rel::text, 'columns', coalesce(columns, '{}'),
        'features', features, 'left_out', left_out, 'definition', definition,
        'definition_hash', hash,
        'train_from', train_from, 'train_to', train_to, 'validation_from', validation_from, 'validation_to', validation_to,
        'test_from', test_from, 'test_to', test_to, 'delay', delay, 'folds', folds,
        'params', given - '{num_boost_round,early_stopping_rounds,nthread,seed,verbosity}'::text[],
        'num_boost_round', rounds, 'early_stopping_rounds', early, 'search', search, 'trials', coalesce(trials, 0),
        'seed', coalesce((given ->> 'seed')::bigint, seed), 'threads', threads,
        'settings', jsonb_build_object('search_path', caller_path, 'timezone', caller_zone)), fraud._caller());
END
$$;
COMMENT ON FUNCTION fraud._train(text, text, jsonb, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, interval, int, jsonb, int, bigint, regclass, jsonb, text[], text, text, text) IS
    'internal: the body of fraud.train, run as the owner: checks what was asked for, and stores the run';

-- The features of a feature set, and all that their values depend on.
CREATE FUNCTION fraud._training_features(feature_set text, OUT features text[], OUT definition jsonb, OUT hash text, OUT events regclass)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    definition := fraud.feature_set_definition(feature_set);
    hash := fraud.feature_set_hash(feature_set);
    events := (definition ->> 'events')::regclass;
    SELECT array_agg(f.feature ORDER BY f.position) INTO features
    FROM fraud.feature_definitions f WHERE f.feature_set = _training_features.feature_set;
    IF features IS NULL THEN
        RAISE EXCEPTION 'feature set "%" has no feature', feature_set
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'fraud.add_feature and fraud.add_window_feature add one.';
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._training_features(text) IS 'internal: the features of a feature set, and its definition';

-- The caller's search_path and time zone are those in which expressions are computed.
CREATE FUNCTION fraud.train(
    model text,
    feature_set text DEFAULT NULL,
    params jsonb DEFAULT '{}',
    train_from timestamptz DEFAULT NULL,
    train_to timestamptz DEFAULT NULL,
    test_from timestamptz DEFAULT NULL,
    test_to timestamptz DEFAULT NULL,
    validation_from timestamptz DEFAULT NULL,
    validation_to timestamptz DEFAULT NULL,
    delay interval DEFAULT '0',
    folds int DEFAULT 0,
    search jsonb DEFAULT NULL,
    trials int DEFAULT NULL,
    seed bigint DEFAULT 0,
    rel regclass DEFAULT NULL,
    columns jsonb DEFAULT '{}',
    features text[] DEFAULT NULL,
    description text DEFAULT NULL
) RETURNS bigint
AS 'MODULE_PATHNAME', 'fraud_detect_train'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.train(text, text, jsonb, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, interval, int, jsonb, int, bigint, regclass, jsonb, text[], text) IS
    'from COMMIT on, trains a model in a process of its own and stores it as the next version; params are XGBoost''s by name, with num_boost_round and early_stopping_rounds; returns the run, for fraud.wait_for_training, fraud.training_progress and fraud.training_runs; docs/training.md says it all';

CREATE FUNCTION fraud._store_run(run jsonb, requested_by name) RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH made AS (
        INSERT INTO fraud.training_runs (model, description, feature_set, rel, columns, features, left_out, definition, definition_hash,
            train_from, train_to, validation_from, validation_to, test_from, test_to, delay, folds, params, num_boost_round,
            early_stopping_rounds, search, trials, seed, threads, settings, requested_by)
        SELECT r.model, fraud._kept_text(r.description), r.feature_set, r.rel, r.columns, r.features, r.left_out, r.definition, r.definition_hash,
            r.train_from, r.train_to, r.validation_from, r.validation_to, r.test_from, r.test_to, r.delay, r.folds, r.params,
            r.num_boost_round, r.early_stopping_rounds, r.search, r.trials, r.seed, r.threads, r.settings, _store_run.requested_by
        FROM jsonb_populate_record(NULL::fraud.training_runs, _store_run.run) r
        RETURNING run
    ), queued AS (INSERT INTO fraud.training_queue (run) SELECT m.run FROM made m),
    noted AS (
        SELECT fraud._audit('train', 'training run', m.run::text, NULL,
            _store_run.run - '{features,left_out,definition,settings}'::text[] || jsonb_build_object('requested_by', requested_by))
        FROM made m
    )
    SELECT m.run FROM made m, noted;
END;
COMMENT ON FUNCTION fraud._store_run(jsonb, name) IS 'internal: stores a run and puts it in the queue';

CREATE FUNCTION fraud._cancel_worker(run bigint) RETURNS boolean
AS 'MODULE_PATHNAME', 'fraud_detect_cancel_training'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud._cancel_worker(bigint) IS 'internal: has the worker of a run stop';

CREATE FUNCTION fraud._cancel_training(run bigint) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    now_is text;
BEGIN
    -- One that waits goes; the ingest worker passes it over while we hold its row.
    DELETE FROM fraud.training_queue q WHERE q.run = _cancel_training.run AND NOT q.started
        AND NOT EXISTS (SELECT FROM fraud._training_progress() p WHERE p.run = q.run);
    IF FOUND THEN
        UPDATE fraud.training_runs r SET status = 'cancelled', finished_at = clock_timestamp(),
            reason = format('cancelled by %s before it began', fraud._caller())
        WHERE r.run = _cancel_training.run;
        PERFORM fraud._audit('cancel', 'training run', run::text, '{"status": "queued"}', '{"status": "cancelled"}');
        RETURN true;
    END IF;
    SELECT r.status INTO now_is FROM fraud.training_runs r WHERE r.run = _cancel_training.run;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'training run % does not exist', run
            USING ERRCODE = 'undefined_object', HINT = 'fraud.training_runs lists the runs.';
    END IF;
    IF NOT fraud._cancel_worker(run) THEN
        RETURN false;
    END IF;
    PERFORM fraud._audit('cancel', 'training run', run::text, jsonb_build_object('status', now_is), '{"status": "cancelled"}');
    RETURN true;
END
$$;
COMMENT ON FUNCTION fraud._cancel_training(bigint) IS 'internal: the body of fraud.cancel_training, run as the owner';

CREATE FUNCTION fraud.cancel_training(run bigint) RETURNS boolean
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.cancel_training(bigint) IS
    'stops a run that waits or is under way, at once; false when it has ended already. What it learned is gone';

CREATE FUNCTION fraud._wait_for_training(run bigint, timeout interval) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Who waits for longer than there are timestamps, or for null, waits for the end.
    until timestamptz := clock_timestamp() + greatest(least(timeout, interval '1000 years'), interval '0');
    -- Who waits a while for its beginning is told what it waits for, and when that changes.
    told text;
    tell_at timestamptz := clock_timestamp() + interval '1 second';
    waits text;
    r record;
    warning text;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'a transaction at % never sees how a run ends', current_setting('transaction_isolation')
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Wait at READ COMMITTED.';
    END IF;
    LOOP
        SELECT t.status, t.reason, t.warnings, t.xmin = pg_current_xact_id_if_assigned()::xid AS ours INTO r
        FROM fraud.training_runs t WHERE t.run = _wait_for_training.run;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'training run % does not exist', run
                USING ERRCODE = 'undefined_object', HINT = 'fraud.training_runs lists the runs.';
        ELSIF r.status = 'queued' AND r.ours THEN
            RAISE EXCEPTION 'training run % begins at COMMIT', run
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Wait in a transaction of its own.';
        ELSIF r.status IN ('failed', 'cancelled') THEN
            RAISE EXCEPTION 'training run % %: %', run, CASE r.status WHEN 'failed' THEN 'failed' ELSE 'was cancelled' END, r.reason
                USING ERRCODE = 'external_routine_exception',
                      HINT = 'fraud.training_runs has the run, the server''s log what led there.';
        END IF;
        EXIT WHEN r.status = 'succeeded' OR clock_timestamp() >= until;
        IF r.status = 'queued' AND clock_timestamp() >= tell_at THEN
            waits := (SELECT p.waits_for FROM fraud.training_progress p WHERE p.run = _wait_for_training.run);
            IF waits IS DISTINCT FROM told AND waits IS NOT NULL THEN
                RAISE NOTICE 'training run % waits for %', run, waits USING HINT = 'fraud.training_progress shows runs that wait and runs under way.';
                told := waits;
            END IF;
            tell_at := clock_timestamp() + interval '1 second';
        END IF;
        PERFORM pg_sleep(0.05);
    END LOOP;
    IF r.status = 'succeeded' THEN
        FOREACH warning IN ARRAY coalesce(r.warnings, '{}') LOOP
            RAISE WARNING 'training run %: %', run, warning
                USING HINT = 'If it is so, leave it out: features names the columns, fraud.drop_feature takes it out of a set.';
        END LOOP;
    END IF;
    RETURN r.status;
END
$$;
COMMENT ON FUNCTION fraud._wait_for_training(bigint, interval) IS 'internal: the body of fraud.wait_for_training, run as the owner';

CREATE FUNCTION fraud.wait_for_training(run bigint, timeout interval DEFAULT '1 day') RETURNS text
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.wait_for_training(bigint, interval) IS
    'waits for the end of a run, saying by a NOTICE what it waits for before it begins (fraud.training_progress.waits_for), and returns its status: succeeded, or queued or running when the time is over (never, where it is null); an error when it failed or was cancelled';
