#!/bin/sh
# Features against SQL window queries, in one run on a private server: 1.2 million
# events of 1,000 cards, 11 features of the card, one process and thread; then with
# more threads, of which more features have more. Then fraud.features for new events
# whose card has about 1,000 events in its windows.
#   bench/features.sh [--quiet-cpu]      figures on standard output, in Markdown
# --quiet-cpu (root) gives the server's backend real-time priority, for machines that
# have other things to do. The extension must be built; PG_BIN names the server's programs.
set -eu
cd "$(dirname "$0")/.."
. tools/common.sh
priority=
[ "${1:-}" != --quiet-cpu ] || priority=yes

WORK=$(mktemp -d /tmp/fraud_bench_features.XXXXXX)
chmod 755 "$WORK"
[ "$(id -u)" != 0 ] || chown postgres "$WORK"
stop() { as_server_user "$PG_BIN/pg_ctl" -D "$WORK/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$WORK"; }
trap stop EXIT
as_server_user "$PG_BIN/initdb" -D "$WORK/data" -A trust -E UTF8 --no-locale >/dev/null
printf "port = 5499\nlisten_addresses = ''\nunix_socket_directories = '%s'\ntimezone = 'UTC'\nmax_wal_size = '8GB'\n" \
    "$WORK" >>"$WORK/data/postgresql.conf"
as_server_user "$PG_BIN/pg_ctl" -D "$WORK/data" -w -l "$WORK/log" start >/dev/null
user=$(as_server_user id -un)
run() { "$PG_BIN/psql" -X -q -v ON_ERROR_STOP=1 -h "$WORK" -p 5499 -U "$user" -d postgres "$@"; }

run >/dev/null <<'SQL'
CREATE EXTENSION fraud_detect;
CREATE TABLE events (id bigint PRIMARY KEY, card int NOT NULL, t timestamptz NOT NULL, amount numeric(12, 2) NOT NULL);
-- Cards come in no order; amounts have two decimals; five weeks of events.
INSERT INTO events
SELECT i, 1 + (hashint8(i) & 1048575) % 1000, timestamptz '2025-01-01' + i * interval '2.5 seconds', 1 + (hashint8(i * 7) & 16383) / 100.0
FROM generate_series(1::bigint, 1200000) i;
SQL
run >/dev/null <<'SQL'
SELECT fraud.create_feature_set('cards', 'events', 'id', 't');
SELECT fraud.add_window_feature('cards', 'count_' || n, 'count', NULL, 'card', w),
       fraud.add_window_feature('cards', 'sum_' || n, 'sum', 'amount', 'card', w)
FROM (VALUES ('1h', interval '1 hour'), ('1d', '1 day'), ('7d', '7 days'), ('30d', '30 days')) x(n, w);
SELECT fraud.add_window_feature('cards', 'ratio', 'ratio', 'amount', 'card', '30 days');
SELECT fraud.add_window_feature('cards', 'last_amount', 'last', 'amount', 'card', '365 days');
SELECT fraud.add_window_feature('cards', 'seconds', 'seconds_since_last', NULL, 'card', '365 days');
-- Eight aggregates over the same windows, 32 features.
SELECT fraud.create_feature_set('wide', 'events', 'id', 't');
SELECT fraud.add_window_feature('wide', a || '_' || n, a, CASE a WHEN 'count' THEN NULL ELSE 'amount' END, 'card', w)
FROM (VALUES ('1h', interval '1 hour'), ('1d', '1 day'), ('7d', '7 days'), ('30d', '30 days')) x(n, w),
     unnest('{count,sum,avg,min,max,stddev,distinct,zscore}'::text[]) a;
VACUUM ANALYZE events;
SQL

# The same features by window functions. Moving aggregates need the frame's end
# without EXCLUDE, so "without this event" is said by one microsecond, and so is the
# open end of the window.
query() { # query FRAME-END
    cat <<SQL
SELECT id, t, (count(*) OVER h)::float4 AS count_1h, (sum(amount) OVER h)::float4 AS sum_1h,
  (count(*) OVER d)::float4 AS count_1d, (sum(amount) OVER d)::float4 AS sum_1d,
  (count(*) OVER w)::float4 AS count_7d, (sum(amount) OVER w)::float4 AS sum_7d,
  (count(*) OVER m)::float4 AS count_30d, (sum(amount) OVER m)::float4 AS sum_30d,
  (amount / avg(amount) OVER m)::float4 AS ratio, (lag(amount) OVER o)::float4 AS last_amount,
  extract(epoch FROM t - lag(t) OVER o)::float4 AS seconds
FROM events WINDOW o AS (PARTITION BY card ORDER BY t), h AS (o RANGE BETWEEN (interval '1 hour' - interval '1 us') PRECEDING AND $1),
  d AS (o RANGE BETWEEN (interval '1 day' - interval '1 us') PRECEDING AND $1), w AS (o RANGE BETWEEN (interval '7 days' - interval '1 us') PRECEDING AND $1),
  m AS (o RANGE BETWEEN (interval '30 days' - interval '1 us') PRECEDING AND $1)
SQL
}
# Prints the seconds of CPU and of the clock that one backend takes.
measure() { # measure STATEMENT
    run -At ${priority:+-v priority=1} <<SQL
SET max_parallel_workers_per_gather = 0;
SET work_mem = '64MB';
SET jit = off;
SELECT pg_backend_pid() AS pid, ((string_to_array(pg_read_file('/proc/self/stat'), ' '))[14:15])::int[] AS before, clock_timestamp() AS start \gset
\setenv BACKEND :pid
\if :{?priority}
\! chrt -f -p 50 \$BACKEND
\endif
\o /dev/null
$1;
\o
SELECT round((SELECT sum(b - a) FROM unnest(:'before'::int[], ((string_to_array(pg_read_file('/proc/self/stat'), ' '))[14:15])::int[]) u(a, b)) / 100.0, 2),
       round(extract(epoch FROM clock_timestamp() - :'start'::timestamptz), 2);
SQL
}
total="SELECT count(*), sum(count_1h + sum_1h + count_1d + sum_1d + count_7d + sum_7d + count_30d + sum_30d + ratio + last_amount + seconds) FROM"

row() { printf '| %s | %s | %s |\n' "$1" "$(echo "$2" | cut -d'|' -f1)" "$(echo "$2" | cut -d'|' -f2)"; }
included=$(measure "$total ($(query 'CURRENT ROW')) x")
excluded=$(measure "$total ($(query "'1 us' PRECEDING")) x")
table=$(measure "CREATE TABLE by_sql AS $(query "'1 us' PRECEDING")")
with_threads() { # with_threads THREADS SET TABLE
    measure "SET fraud_detect.feature_threads = $1; SELECT fraud.materialize_features('$2', '$3')"
}
ours=$(with_threads 1 cards by_engine)
two=$(with_threads 2 cards by_two)
wide_one=$(with_threads 1 wide wide_by_one)
wide_two=$(with_threads 2 wide wide_by_two)
wide_three=$(with_threads 3 wide wide_by_three)
memory=$(run -At <<'SQL'
SELECT fraud.materialize_features('cards', 'again') \g /dev/null
SELECT (regexp_match(pg_read_file('/proc/self/status'), 'VmHWM:\s+(\d+)'))[1]::int / 1024 - (regexp_match(pg_read_file('/proc/self/status'), 'RssShmem:\s+(\d+)'))[1]::int / 1024;
SQL
)
streamed=$(run -At <<'SQL'
SET fraud_detect.feature_memory = '64MB';
SELECT fraud.materialize_features('cards', 'thrice') \g /dev/null
SELECT (regexp_match(pg_read_file('/proc/self/status'), 'VmHWM:\s+(\d+)'))[1]::int / 1024 - (regexp_match(pg_read_file('/proc/self/status'), 'RssShmem:\s+(\d+)'))[1]::int / 1024;
SQL
)
echo '| offline: 1.2 M events, 1,000 cards, 11 features, one process | CPU s | clock s |'
echo '|---|--:|--:|'
row 'SQL windows, current event included, summed up' "$included"
row 'SQL windows, current event excluded, summed up' "$excluded"
row 'SQL windows, current event excluded, into a table' "$table"
row '`fraud.materialize_features`, one thread, into a table' "$ours"
row 'the same, two threads (`fraud_detect.feature_threads`)' "$two"
row '32 features, one thread' "$wide_one"
row '32 features, two threads' "$wide_two"
row '32 features, three threads' "$wide_three"
echo
echo "$table $ours $excluded" | tr '|' ' ' | awk '{printf "Ratio, both into a table: %.1f of CPU time, %.1f of the clock. To the query that writes nothing: %.1f and %.1f.\n", $1/$3, $2/$4, $5/$3, $6/$4}'
run -At -c "SELECT 'Rows that differ between one, two and three threads: ' || (SELECT count(*) FROM by_engine a FULL JOIN by_two b USING (event_id) WHERE a::text IS DISTINCT FROM b::text)
    + (SELECT count(*) FROM wide_by_one a FULL JOIN wide_by_two b USING (event_id) FULL JOIN wide_by_three c USING (event_id) WHERE a::text IS DISTINCT FROM b::text OR a::text IS DISTINCT FROM c::text)"
echo "Peak private memory of the pass: $memory MB; with \`fraud_detect.feature_memory\` = 64 MB (streamed): $streamed MB."
run -At -c "SELECT 'Differences to SQL beyond 1e-6: ' || count(*) FROM by_sql s JOIN by_engine e ON e.event_id = s.id, LATERAL (VALUES (s.count_30d, e.count_30d), (s.sum_1h, e.sum_1h), (s.sum_30d, e.sum_30d), (s.ratio, e.ratio), (s.last_amount, e.last_amount)) v(a, b) WHERE abs(coalesce(a, 0)::float8 - coalesce(b, 0)) > 1e-6 * greatest(1, abs(a))"

# ---------------------------------------------------------------- online
run >/dev/null <<'SQL'
SELECT fraud.create_feature_indexes('cards');
VACUUM ANALYZE events;
SQL
echo
run -At ${priority:+-v priority=1} <<'SQL'
SELECT pg_backend_pid() AS pid \gset
\setenv BACKEND :pid
\if :{?priority}
\! chrt -f -p 50 $BACKEND
\endif
CREATE TEMP TABLE times (ms float8, n float8);
DO $$
DECLARE
    event events;
    start timestamptz;
    f jsonb;
BEGIN
    FOR i IN 1 .. 5000 LOOP
        event := ROW(2000000 + i, 1 + (i * 37) % 1000, timestamptz '2025-02-04 12:00' + i * interval '1 second', 12.5)::events;
        start := clock_timestamp();
        f := fraud.features('cards', event);
        INSERT INTO times VALUES (extract(epoch FROM clock_timestamp() - start) * 1000, (f ->> 'count_30d')::float8);
    END LOOP;
END
$$;
SELECT format('Online, `fraud.features`, %s events in the windows: p50 %s ms, p99 %s ms.', round(avg(n)), round((percentile_cont(0.5) WITHIN GROUP (ORDER BY ms))::numeric, 3),
              round((percentile_cont(0.99) WITHIN GROUP (ORDER BY ms))::numeric, 3))
FROM (SELECT * FROM times OFFSET 100) t;
SQL
