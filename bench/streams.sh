#!/bin/sh
# fraud.watch against fraud.ingest on a private server (bench/streams.py): the same rows, features,
# history and model, one row a transaction; and a hundred rows in one INSERT against one.
#   bench/streams.sh [CUSTOMERS DAYS ROWS ROUNDS]
# The extension must be built and installed; PG_BIN names the server's programs.
set -eu
cd "$(dirname "$0")/.."
. tools/common.sh
[ $# = 4 ] || set -- 1000 90 300 9
WORK=$(mktemp -d /tmp/fraud_bench_streams.XXXXXX)
chmod 755 "$WORK"
[ "$(id -u)" != 0 ] || chown postgres "$WORK"
stop() { as_server_user "$PG_BIN/pg_ctl" -D "$WORK/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$WORK"; }
trap stop EXIT
as_server_user "$PG_BIN/initdb" -D "$WORK/data" -U postgres -A trust -E UTF8 --no-locale >/dev/null
printf "port = 5498\nlisten_addresses = ''\nunix_socket_directories = '%s'\nshared_preload_libraries = 'fraud_detect'\nmax_wal_size = '4GB'\n" \
    "$WORK" >>"$WORK/data/postgresql.conf"
as_server_user "$PG_BIN/pg_ctl" -D "$WORK/data" -w -l "$WORK/log" start >/dev/null
PGHOST=$WORK PGPORT=5498 PGUSER=postgres PGDATABASE=bench_streams PG_BIN=$PG_BIN python3 bench/streams.py "$@"
