-- Whether payments arrive as they use to. Counters of sources only grow; what they were a moment
-- ago is noted here by fraud._beat(), each time somebody looks at the health: a silence is
-- longer than usual, a share is of the last hour.
CREATE TABLE fraud.source_habits (
    source text PRIMARY KEY,
    began_at timestamptz NOT NULL DEFAULT now(),
    arrived bigint NOT NULL DEFAULT 0,
    last_new_at timestamptz NOT NULL DEFAULT now(),
    longest_gap interval NOT NULL DEFAULT '0',
    longest_before interval NOT NULL DEFAULT '0',
    week_began_at timestamptz NOT NULL DEFAULT now(),
    max_silence interval CHECK (max_silence > '0'),
    set_by name
) WITH (fillfactor = 50);
COMMENT ON TABLE fraud.source_habits IS 'when each source sent new payments, and how long it is silent at most';
COMMENT ON COLUMN fraud.source_habits.arrived IS 'its payments that were stored or waited at the last look';
COMMENT ON COLUMN fraud.source_habits.last_new_at IS 'the last look that found more of them';
COMMENT ON COLUMN fraud.source_habits.longest_gap IS 'the longest time between two such looks since week_began_at';
COMMENT ON COLUMN fraud.source_habits.longest_before IS 'the same of the week before';
COMMENT ON COLUMN fraud.source_habits.max_silence IS 'what fraud.expect_payments set; null: what it uses to be';

CREATE TABLE fraud.source_samples (
    source text NOT NULL,
    at timestamptz NOT NULL,
    stored bigint NOT NULL,
    duplicates bigint NOT NULL,
    rejected bigint NOT NULL,
    PRIMARY KEY (source, at)
);
COMMENT ON TABLE fraud.source_samples IS 'the counters of each source in the last hour or two, as fraud.source_status had them';

CREATE FUNCTION fraud._expect_payments(source text, within interval) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before interval;
BEGIN
    IF source IS NULL THEN
        RAISE EXCEPTION 'source must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF source !~ '^[A-Za-z0-9_.-]{1,63}$' THEN
        RAISE EXCEPTION 'invalid source name "%"', fraud._mask_card_numbers(source)
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'A name is 1 to 63 letters, digits, underscores, dots or dashes.';
    ELSIF within < interval '1 minute' OR within > interval '366 days' THEN
        RAISE EXCEPTION 'within must be between 1 minute and 366 days, not %', within
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM fraud._check_name('source', source);
    SELECT h.max_silence INTO before FROM fraud.source_habits h WHERE h.source = _expect_payments.source FOR UPDATE;
    INSERT INTO fraud.source_habits AS h (source, max_silence, set_by) VALUES (source, within, fraud._caller())
    ON CONFLICT ON CONSTRAINT source_habits_pkey DO UPDATE SET max_silence = excluded.max_silence, set_by = excluded.set_by;
    PERFORM fraud._audit('alter', 'silence', source, jsonb_build_object('within', before), jsonb_build_object('within', within));
END
$$;
COMMENT ON FUNCTION fraud._expect_payments(text, interval) IS 'internal: the body of fraud.expect_payments, run as the owner';

CREATE FUNCTION fraud.expect_payments(source text, within interval) RETURNS void
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.expect_payments(text, interval) IS
    'says that a source (one that is polled, or a name that fraud.ingest is given) sends a new payment within this time, 1 minute to 366 days, or fraud.health() has an error; null: within what it uses to, which is learnt of sources that are polled';

-- Of sources that are not polled nobody counts; of those that somebody expects payments of, the
-- newest payments are looked at, so many at most.
CREATE FUNCTION fraud._newest_of(source text, since timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT max(n.received_at)
    FROM (SELECT t.source, t.received_at FROM fraud.transactions t
          WHERE t.occurred_at >= since ORDER BY t.occurred_at DESC LIMIT 10000) n
    WHERE n.source = _newest_of.source;
END;
COMMENT ON FUNCTION fraud._newest_of(text, timestamptz) IS 'internal: when the newest payment of a source was stored, among the last 10000 of all that occurred since a time';

-- Notes what the sources have counted; the caller holds the lock 'health'.
CREATE FUNCTION fraud._sample_sources() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO fraud.source_samples (source, at, stored, duplicates, rejected)
    SELECT s.name, now(), coalesce(c.stored, 0), coalesce(c.duplicates, 0), coalesce(c.rejected, 0)
    FROM fraud.sources s LEFT JOIN fraud._source_sums c ON c.source = s.name
    -- Looked at more often than each minute, they would be many.
    WHERE NOT EXISTS (SELECT FROM fraud.source_samples o WHERE o.source = s.name AND o.at > now() - interval '50 seconds')
    ON CONFLICT DO NOTHING;
    DELETE FROM fraud.source_samples o WHERE o.at < now() - interval '90 minutes';

    INSERT INTO fraud.source_habits AS h (source, arrived)
    SELECT s.name, coalesce(c.stored + c.waiting, 0)
    FROM fraud.sources s LEFT JOIN fraud._source_sums c ON c.source = s.name
    ON CONFLICT ON CONSTRAINT source_habits_pkey DO UPDATE SET
        arrived = excluded.arrived,
        last_new_at = now(),
        longest_gap = greatest(CASE WHEN h.week_began_at < now() - interval '7 days' THEN '0' ELSE h.longest_gap END, now() - h.last_new_at),
        longest_before = CASE WHEN h.week_began_at < now() - interval '7 days' THEN h.longest_gap ELSE h.longest_before END,
        week_began_at = CASE WHEN h.week_began_at < now() - interval '7 days' THEN now() ELSE h.week_began_at END
    WHERE excluded.arrived > h.arrived;
    -- Counters begin anew with a source that is added again.
    UPDATE fraud.source_habits h SET arrived = c.stored + c.waiting
    FROM fraud._source_sums c WHERE c.source = h.source AND c.stored + c.waiting < h.arrived;
    UPDATE fraud.source_habits h SET last_new_at = n.at
    FROM (SELECT e.source, fraud._newest_of(e.source, now() - 2 * e.max_silence) AS at
          FROM fraud.source_habits e
          WHERE e.max_silence IS NOT NULL AND NOT EXISTS (SELECT FROM fraud.sources s WHERE s.name = e.source)) n
    WHERE h.source = n.source AND n.at > h.last_new_at;
    DELETE FROM fraud.source_habits h
    WHERE h.max_silence IS NULL AND NOT EXISTS (SELECT FROM fraud.sources s WHERE s.name = h.source);
END
$$;
COMMENT ON FUNCTION fraud._sample_sources() IS 'internal: notes what each source has sent, for fraud.health()';

-- How long a source may be silent: as set; else, when it is known for a day, twice its longest
-- silence in a week or two, and never less than ten minutes.
CREATE FUNCTION fraud._allowed_silence(habit fraud.source_habits, poll_interval interval) RETURNS interval
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE WHEN habit.max_silence IS NOT NULL THEN habit.max_silence
                WHEN habit.arrived > 0 AND habit.began_at < now() - interval '1 day'
                THEN greatest(2 * greatest(habit.longest_gap, habit.longest_before), interval '10 minutes', 5 * poll_interval) END;
END;
COMMENT ON FUNCTION fraud._allowed_silence(fraud.source_habits, interval) IS 'internal: after what silence a source is unusually silent; null: not known yet';
