#!/bin/sh
# Run by the start script of PostgreSQL's image (Dockerfile) when it has made a cluster: the extensions in the database of POSTGRES_DB.
set -eu
printf "cron.database_name = '%s'\n" "$(printf %s "$POSTGRES_DB" | sed "s/'/''/g")" >>"$PGDATA/postgresql.conf"
pg_ctl -D "$PGDATA" -m fast -w restart
PGHOST= PGHOSTADDR= psql -X -v ON_ERROR_STOP=1 --no-password -U "$POSTGRES_USER" -d "$POSTGRES_DB" \
    -c 'CREATE EXTENSION fraud_detect' -c 'CREATE EXTENSION pg_cron' -c "SELECT * FROM fraud.schedule()"
