-- All that fraud.health() judges, as numbers, in the text format that Prometheus reads.
CREATE FUNCTION fraud._metric_rows() RETURNS TABLE (metric text, type text, help text, labels jsonb, value float8)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
SET lock_timeout = '200ms'
AS $$
DECLARE
    newest record;
BEGIN
    RETURN QUERY SELECT 'fraud_up', 'gauge', 'The extension answers.', '{}'::jsonb, 1::float8;
    RETURN QUERY SELECT 'fraud_health_status', 'gauge', 'Items of fraud.health(): 0 ok, 1 warning, 2 error.', jsonb_build_object('item', h.item),
        CASE h.status WHEN 'ok' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END::float8 FROM fraud.health() h;
    RETURN QUERY SELECT 'fraud_health_last_look_timestamp_seconds', 'gauge', 'When a worker or a job looked at the health last.', '{}'::jsonb,
        extract(epoch FROM m.looked_at)::float8 FROM fraud.health_marks m;
    RETURN QUERY SELECT 'fraud_worker_turned_timestamp_seconds', 'gauge', 'When a worker turned last.', jsonb_build_object('worker', w.worker), extract(epoch FROM w.turned_at)::float8
        FROM fraud._worker_beats() w;
    RETURN QUERY SELECT 'fraud_worker_overdue_seconds', 'gauge', 'How long ago a worker was to turn and has not; 0: it is in time.', jsonb_build_object('worker', w.worker),
        greatest(extract(epoch FROM clock_timestamp() - w.due_at), 0)::float8 FROM fraud._worker_beats() w;
    -- Each metric's rows stand together: a statement a metric.
    RETURN QUERY SELECT 'fraud_source_payments_stored_total', 'counter', 'Payments of a source that were stored.', jsonb_build_object('source', c.source), c.stored::float8 FROM fraud._source_sums c;
    RETURN QUERY SELECT 'fraud_source_payments_duplicate_total', 'counter', 'Payments of a source that were stored already.', jsonb_build_object('source', c.source), c.duplicates::float8 FROM fraud._source_sums c;
    RETURN QUERY SELECT 'fraud_source_payments_rejected_total', 'counter', 'Payments and responses of a source that became dead letters.', jsonb_build_object('source', c.source), c.rejected::float8 FROM fraud._source_sums c;
    RETURN QUERY SELECT 'fraud_source_payments_waiting', 'gauge', 'Payments of a source that wait to be scored.', jsonb_build_object('source', c.source), c.waiting::float8 FROM fraud._source_sums c;
    RETURN QUERY SELECT 'fraud_source_polls_total', 'counter', 'Polls of a source.', jsonb_build_object('source', s.name), s.polls::float8 FROM fraud.source_state s;
    RETURN QUERY SELECT 'fraud_source_poll_failures_total', 'counter', 'Polls of a source that failed.', jsonb_build_object('source', s.name), s.failures::float8 FROM fraud.source_state s;
    RETURN QUERY SELECT 'fraud_source_last_success_timestamp_seconds', 'gauge', 'When a source was polled with success last.', jsonb_build_object('source', s.name), extract(epoch FROM s.last_success_at)::float8
        FROM fraud.source_state s WHERE s.last_success_at IS NOT NULL;
    RETURN QUERY SELECT 'fraud_source_last_new_payment_timestamp_seconds', 'gauge', 'When a source sent a new payment last.', jsonb_build_object('source', h.source), extract(epoch FROM h.last_new_at)::float8 FROM fraud.source_habits h;
    RETURN QUERY SELECT 'fraud_source_allowed_silence_seconds', 'gauge', 'For how long a source is silent at most, as set or learnt.', jsonb_build_object('source', h.source),
        extract(epoch FROM fraud._allowed_silence(h, s.poll_interval))::float8
        FROM fraud.source_habits h LEFT JOIN fraud.sources s ON s.name = h.source WHERE fraud._allowed_silence(h, s.poll_interval) IS NOT NULL;
    RETURN QUERY SELECT 'fraud_inbox_oldest_age_seconds', 'gauge', 'How long the payment that waits longest has waited to be scored.', '{}'::jsonb,
        coalesce(extract(epoch FROM now() - (SELECT b.received_at FROM fraud.inbox b
            WHERE b.inbox_id >= (SELECT coalesce(max(m.inbox_before), 0) FROM fraud.health_marks m) ORDER BY b.inbox_id LIMIT 1)), 0)::float8;
    RETURN QUERY SELECT 'fraud_held_customers', 'gauge', 'Customers whose payments cannot be stored just now.', '{}'::jsonb, count(*)::float8 FROM (SELECT FROM fraud.held_customers LIMIT 10000) h;
    BEGIN
        SELECT count(n.decision) AS payments, count(*) FILTER (WHERE n.decision = 'block') AS blocked, count(*) FILTER (WHERE n.decision IN ('review', 'block')) AS alerted INTO newest
        FROM (SELECT t.decision FROM fraud.transactions t WHERE fraud._has_counted() ORDER BY t.occurred_at DESC LIMIT 1000) n;
        RETURN QUERY SELECT 'fraud_decisions_blocked_ratio', 'gauge', 'Share of the last thousand payments that was blocked.', '{}'::jsonb, newest.blocked::float8 / nullif(newest.payments, 0) WHERE newest.payments > 0;
        RETURN QUERY SELECT 'fraud_decisions_alerted_ratio', 'gauge', 'Share of the last thousand payments that raised an alert.', '{}'::jsonb, newest.alerted::float8 / nullif(newest.payments, 0) WHERE newest.payments > 0;
    EXCEPTION WHEN lock_not_available THEN
        NULL;
    END;
    RETURN QUERY SELECT 'fraud_outbox_oldest_age_seconds', 'gauge', 'How long the message that waits longest has waited to be addressed.', '{}'::jsonb,
        coalesce(extract(epoch FROM now() - (SELECT o.created_at FROM fraud.outbox o WHERE o.dispatched_at IS NULL ORDER BY o.outbox_id LIMIT 1)), 0)::float8;
    RETURN QUERY SELECT 'fraud_channel_delivered_total', 'counter', 'Deliveries of a channel.', jsonb_build_object('channel', s.name), s.delivered::float8 FROM fraud.channel_state s;
    RETURN QUERY SELECT 'fraud_channel_failures_total', 'counter', 'Attempts of a channel that failed.', jsonb_build_object('channel', s.name), s.failures::float8 FROM fraud.channel_state s;
    RETURN QUERY SELECT 'fraud_channel_overdue_seconds', 'gauge', 'How long the oldest due delivery of a channel that is sent to has been due.', jsonb_build_object('channel', c.name),
        CASE WHEN c.state IN ('paused', 'restored') THEN 0 ELSE coalesce(greatest(extract(epoch FROM now() - c.due_at), 0), 0) END::float8 FROM fraud.channel_status c;
    RETURN QUERY SELECT 'fraud_job_last_success_timestamp_seconds', 'gauge', 'When a job ended well last.', jsonb_build_object('job', s.job), extract(epoch FROM s.succeeded_at)::float8
        FROM fraud.job_state s WHERE s.succeeded_at IS NOT NULL;
    RETURN QUERY SELECT 'fraud_job_failures', 'gauge', 'How often a job has failed in a row.', jsonb_build_object('job', s.job), s.failures::float8 FROM fraud.job_state s;
    RETURN QUERY SELECT 'fraud_changes_queued', 'gauge', 'About how many changes wait to be added to the sums.', '{}'::jsonb,
        greatest(s.last_value - greatest(m.folded_to, f.last_id), 0)::float8 FROM fraud.change_ids s, fraud.change_mark m, fraud.folding f;
    RETURN QUERY SELECT 'fraud_oldest_snapshot_age_seconds', 'gauge', 'Age of the oldest transaction with a snapshot.', '{}'::jsonb,
        coalesce(extract(epoch FROM now() - min(a.xact_start)), 0)::float8 FROM pg_stat_activity a WHERE a.backend_xmin IS NOT NULL AND a.datname = current_database();
    RETURN QUERY SELECT 'fraud_oldest_prepared_age_seconds', 'gauge', 'Age of the oldest prepared transaction.', '{}'::jsonb,
        coalesce(extract(epoch FROM now() - min(p.prepared)), 0)::float8 FROM pg_prepared_xacts p WHERE p.database = current_database();
    RETURN QUERY SELECT 'fraud_longest_lock_wait_seconds', 'gauge', 'How long the session that waits longest has waited for a lock.', '{}'::jsonb,
        coalesce(extract(epoch FROM now() - min(l.waitstart)), 0)::float8 FROM pg_locks l WHERE NOT l.granted;
    RETURN QUERY SELECT 'fraud_standby_lag_seconds', 'gauge', 'How far a standby is behind in replay.', jsonb_build_object('standby', coalesce(nullif(r.application_name, ''), r.pid::text)),
        coalesce(extract(epoch FROM max(r.replay_lag)), 0)::float8 FROM pg_stat_replication r GROUP BY 4;
    RETURN QUERY SELECT 'fraud_size_bytes', 'gauge', 'Bytes of tables with their indexes.', jsonb_build_object('part', s.part), sum(s.bytes)::float8 FROM fraud._sizes() s GROUP BY s.part ORDER BY s.part;
    RETURN QUERY SELECT 'fraud_database_size_bytes', 'gauge', 'Bytes of the database.', '{}'::jsonb, pg_database_size(current_database())::float8;
    RETURN QUERY SELECT 'fraud_payments_rows', 'gauge', 'Payments stored, as the last ANALYZE of each month counted them.', '{}'::jsonb, coalesce(sum(s.rows), 0)::float8 FROM fraud._sizes() s WHERE s.relname ~ '^transactions_';
EXCEPTION WHEN lock_not_available THEN
    NULL;  -- what came before is told, and the item health says what could not be looked at
END
$$;
COMMENT ON FUNCTION fraud._metric_rows() IS 'internal: the samples of fraud.metrics()';

CREATE FUNCTION fraud.metrics() RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- All digits of a number, whatever the session shows.
SET extra_float_digits = 1
AS $$
BEGIN
    RETURN (
        SELECT string_agg(
            CASE WHEN m.first THEN format(E'# HELP %s %s\n# TYPE %s %s\n', m.metric, replace(replace(m.help, E'\\', E'\\\\'), E'\n', E'\\n'), m.metric, m.type) ELSE '' END
            || m.metric
            || format('{%s}', (SELECT string_agg(format('%s="%s"', l.key, replace(replace(replace(l.value, E'\\', E'\\\\'), '"', E'\\"'), E'\n', E'\\n')), ',' ORDER BY l.key)
                               FROM jsonb_each_text(m.labels || jsonb_build_object('database', current_database())) l))
            || ' ' || m.value || E'\n', '' ORDER BY m.place)
        FROM (SELECT r.*, row_number() OVER (PARTITION BY r.metric ORDER BY r.place) = 1 AS first
              FROM fraud._metric_rows() WITH ORDINALITY r(metric, type, help, labels, value, place)) m);
END
$$;
COMMENT ON FUNCTION fraud.metrics() IS
    'what fraud.health() judges, as numbers in the text format of Prometheus: one call is one scrape (docs/operations.md)';
