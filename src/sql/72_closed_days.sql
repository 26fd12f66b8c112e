-- Days are closed: their figures are written down as they were known then, and
-- again when they have changed.

CREATE TABLE fraud.daily_reports (
    day date NOT NULL,
    revision int NOT NULL CHECK (revision > 0),
    closed_at timestamptz NOT NULL DEFAULT now(),
    timezone text NOT NULL,
    payments bigint NOT NULL,
    volume numeric NOT NULL,
    customers bigint NOT NULL,
    alerts bigint NOT NULL,
    alerted_volume numeric NOT NULL,
    approved bigint NOT NULL,
    reviewed bigint NOT NULL,
    blocked bigint NOT NULL,
    undecided bigint NOT NULL,
    labelled_fraud bigint NOT NULL,
    labelled_legitimate bigint NOT NULL,
    labelled_fraud_alerted bigint NOT NULL,
    labelled_fraud_volume numeric NOT NULL,
    top_merchants jsonb,
    top_categories jsonb,
    PRIMARY KEY (day, revision)
);
COMMENT ON TABLE fraud.daily_reports IS
    'closed days: the columns of fraud.daily_report as they were known at closed_at; a later correction is another revision';
COMMENT ON COLUMN fraud.daily_reports.revision IS '1: as it was first closed';
COMMENT ON COLUMN fraud.daily_reports.timezone IS 'whose day it is';

CREATE TABLE fraud.closing (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    first_day date NOT NULL,
    scheduled_at timestamptz
);
COMMENT ON TABLE fraud.closing IS 'one row, from the first fraud.schedule() or fraud.close_due_days() on: the first day that is closed';

COMMENT ON COLUMN fraud.closing.scheduled_at IS 'the first fraud.schedule(): from then on a job that does not run is missed';

-- Payments are from 1970 on. (A loop over the hours of a day that is infinite has no end.)
CREATE FUNCTION fraud._check_day(day date) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF day < '1970-01-01' OR day > '9999-12-31' THEN
        RAISE EXCEPTION 'day % is not between 1970-01-01 and 9999-12-31', day
            USING ERRCODE = 'datetime_field_overflow';
    END IF;
END
$$;
COMMENT ON FUNCTION fraud._check_day(date) IS 'internal: refuses days that no payment can be of';

-- The figures of days, zeros for days without payments.
CREATE FUNCTION fraud._figures(days date[]) RETURNS SETOF fraud.daily_reports
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
-- Compiling what reads the sums and the log takes seconds, reading them a fraction of one.
SET jit = off
BEGIN ATOMIC
    SELECT d.day, 1, now(), fraud.report_timezone(),
           coalesce(r.payments, 0), coalesce(r.volume, 0), coalesce(r.customers, 0),
           coalesce(r.alerts, 0), coalesce(r.alerted_volume, 0),
           coalesce(r.approved, 0), coalesce(r.reviewed, 0), coalesce(r.blocked, 0), coalesce(r.undecided, 0),
           coalesce(r.labelled_fraud, 0), coalesce(r.labelled_legitimate, 0),
           coalesce(r.labelled_fraud_alerted, 0), coalesce(r.labelled_fraud_volume, 0),
           r.top_merchants, r.top_categories
    FROM unnest(days) d(day)
    -- The sums from the first to the last of them, once: day by day, closing all days of some years takes minutes.
    LEFT JOIN (SELECT * FROM fraud.daily_report r
               WHERE r.day BETWEEN (SELECT min(x.day) FROM unnest(days) x(day)) AND (SELECT max(x.day) FROM unnest(days) x(day)) OFFSET 0) r ON r.day = d.day;
END;
COMMENT ON FUNCTION fraud._figures(date[]) IS 'internal: days as they would be closed now';

-- What was learned of earlier days between the report of the day before and this one.
CREATE FUNCTION fraud._corrections(of_day date)
RETURNS TABLE (day date, revision int, payments_before bigint, payments bigint, fraud_before bigint, fraud bigint,
               fraud_volume_before numeric, fraud_volume numeric)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.day, r.revision, b.payments, r.payments, b.labelled_fraud, r.labelled_fraud,
           b.labelled_fraud_volume, r.labelled_fraud_volume
    FROM fraud.daily_reports r
    JOIN fraud.daily_reports b ON b.day = r.day AND b.revision = r.revision - 1
    WHERE r.day < of_day
      AND r.closed_at > (SELECT y.closed_at FROM fraud.daily_reports y WHERE y.day = of_day - 1 AND y.revision = 1)
      AND r.closed_at <= coalesce((SELECT t.closed_at FROM fraud.daily_reports t WHERE t.day = of_day AND t.revision = 1), now())
    ORDER BY r.day, r.revision;
END;
COMMENT ON FUNCTION fraud._corrections(date) IS 'internal: revisions of earlier days, made since the report of the day before';

-- Sends a closed day to the channels that take reports, a revision to those that take
-- these too; the mail is the page.
CREATE FUNCTION fraud._send_report(report fraud.daily_reports) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    title text := format('Fraud report %s', report.day) || CASE WHEN report.revision > 1 THEN format(', revision %s', report.revision) ELSE '' END;
BEGIN
    IF NOT EXISTS (SELECT FROM fraud.channels c WHERE 'report' = ANY (c.takes) AND (c.revisions OR report.revision = 1)) THEN
        RETURN;
    END IF;
    PERFORM fraud._enqueue('report', to_jsonb(report), title,
        format(E'%s (%s)\n\npayments %s, volume %s, customers %s\nalerts %s, alerted volume %s\n'
               'approved %s, reviewed %s, blocked %s\nknown fraud %s, volume %s\n',
               title, report.timezone, report.payments, report.volume, report.customers,
               report.alerts, report.alerted_volume, report.approved, report.reviewed, report.blocked,
               report.labelled_fraud, report.labelled_fraud_volume)
        || coalesce((SELECT E'\ncorrections of earlier days\n'
                         || string_agg(format(E'%s, revision %s: payments %s, before %s; known fraud %s, before %s; its volume %s, before %s\n',
                                              c.day, c.revision, c.payments, c.payments_before, c.fraud, c.fraud_before,
                                              c.fraud_volume, c.fraud_volume_before), '' ORDER BY c.day, c.revision)
                     FROM fraud._corrections(report.day) c HAVING count(*) > 0), ''),
        fraud.report_html(report.day));
END
$$;
COMMENT ON FUNCTION fraud._send_report(fraud.daily_reports) IS 'internal: a closed day, for the channels that take reports';

-- Writes revisions of those days whose figures are others than last written down.
CREATE FUNCTION fraud._close(days date[]) RETURNS TABLE (day date, revision int)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    written fraud.daily_reports;
BEGIN
    FOR written IN
    WITH latest AS (
        SELECT DISTINCT ON (r.day) r.* FROM fraud.daily_reports r
        WHERE r.day = ANY (days) ORDER BY r.day, r.revision DESC
    ), closed AS (
        INSERT INTO fraud.daily_reports AS n
        SELECT f.day, coalesce(l.revision, 0) + 1, f.closed_at, f.timezone, f.payments, f.volume, f.customers,
               f.alerts, f.alerted_volume, f.approved, f.reviewed, f.blocked, f.undecided,
               f.labelled_fraud, f.labelled_legitimate, f.labelled_fraud_alerted, f.labelled_fraud_volume,
               f.top_merchants, f.top_categories
        FROM fraud._figures(days) f LEFT JOIN latest l ON l.day = f.day
        WHERE (f.payments, f.volume, f.customers, f.alerts, f.alerted_volume, f.approved, f.reviewed,
               f.blocked, f.undecided, f.labelled_fraud, f.labelled_legitimate, f.labelled_fraud_alerted,
               f.labelled_fraud_volume, f.top_merchants, f.top_categories)
            IS DISTINCT FROM
              (l.payments, l.volume, l.customers, l.alerts, l.alerted_volume, l.approved, l.reviewed,
               l.blocked, l.undecided, l.labelled_fraud, l.labelled_legitimate, l.labelled_fraud_alerted,
               l.labelled_fraud_volume, l.top_merchants, l.top_categories)
        RETURNING n.*
    )
    SELECT * FROM closed c ORDER BY c.day
    LOOP
        PERFORM fraud._audit('close', 'day', written.day::text, NULL, jsonb_build_object('revision', written.revision));
        PERFORM fraud._send_report(written);
        day := written.day;
        revision := written.revision;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION fraud._close(date[]) IS 'internal: closes days; the caller holds the lock';

CREATE FUNCTION fraud._close_day(day date) RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    over_at timestamptz;
BEGIN
    IF day IS NULL THEN
        RAISE EXCEPTION 'day must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM fraud._check_day(day);
    over_at := (day + 1)::timestamp AT TIME ZONE fraud.report_timezone();
    IF now() < over_at THEN
        RAISE EXCEPTION 'day % is not over before %', day, over_at
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = format('Days are those of time zone "%s"; fraud.daily_report has the figures so far.',
                                fraud.report_timezone());
    END IF;
    PERFORM fraud._lock('reports');
    PERFORM fraud._close(ARRAY[day]);
    RETURN (SELECT max(r.revision) FROM fraud.daily_reports r WHERE r.day = _close_day.day);
END
$$;
COMMENT ON FUNCTION fraud._close_day(date) IS 'internal: the body of fraud.close_day, run as the owner';

CREATE FUNCTION fraud.close_day(day date) RETURNS int
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.close_day(date) IS
    'writes the figures of a day that is over into fraud.daily_reports, as known now; again, as another revision, only if they have changed. Returns the latest revision';

-- No day is closed for being asked for that lies before all months, and more than a year back: nothing is of it, and from
-- 1970 on there are 20,000.
CREATE FUNCTION fraud._first_closed(since date) RETURNS date
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT greatest(since, least((fraud._first_month() AT TIME ZONE fraud.report_timezone())::date, (now() AT TIME ZONE fraud.report_timezone())::date - 400))
    WHERE since IS NOT NULL;
END;
COMMENT ON FUNCTION fraud._first_closed(date) IS 'internal: the first day that is closed, of what was asked for; null for null';

CREATE FUNCTION fraud._close_due_days(since date) RETURNS TABLE (day date, revision int)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hour int := coalesce(nullif(current_setting('fraud_detect.report_hour', true), ''), '6')::int;
    zone text := fraud.report_timezone();
    last_due date := ((now() AT TIME ZONE zone) - make_interval(hours => hour))::date - 1;
    missing date[];
    known date[];
BEGIN
    PERFORM fraud._check_day(since);
    PERFORM fraud._lock('reports');
    INSERT INTO fraud.closing AS c (first_day) VALUES (coalesce(fraud._first_closed(since), last_due))
    ON CONFLICT (only_row) DO UPDATE SET first_day = least(c.first_day, excluded.first_day) WHERE since IS NOT NULL;
    SELECT array_agg(d::date) INTO missing
    FROM fraud.closing c, generate_series(c.first_day::timestamp, last_due, interval '1 day') d
    WHERE NOT EXISTS (SELECT FROM fraud.daily_reports r WHERE r.day = d::date);
    IF missing IS NULL THEN
        RETURN;
    END IF;
    -- Once a day, and so with the new day: what was learned of those before it. First, so
    -- that the report of the new day can tell.
    SELECT array_agg(DISTINCT r.day) INTO known FROM fraud.daily_reports r;
    RETURN QUERY SELECT * FROM fraud._close(known);
    RETURN QUERY SELECT * FROM fraud._close(missing);
END
$$;
COMMENT ON FUNCTION fraud._close_due_days(date) IS 'internal: the body of fraud.close_due_days, run as the owner';

CREATE FUNCTION fraud.close_due_days(since date DEFAULT NULL) RETURNS TABLE (day date, revision int)
AS 'MODULE_PATHNAME', 'fraud_detect_as_owner'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION fraud.close_due_days(date) IS
    'closes the days that are over and not closed yet, from the first one on (`since`, but none that lies before all months and more than 400 days back; or when this was first called), once fraud_detect.report_hour has come; with a new day also revises those before it whose figures have changed. Returns the reports written';
