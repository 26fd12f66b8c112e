# SPDX-License-Identifier: PostgreSQL
# PostgreSQL 15 with fraud_detect: docker build -t fraud_detect . && docker run -e POSTGRES_PASSWORD=… fraud_detect
FROM postgres:15-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
        g++ make postgresql-server-dev-15 nlohmann-json3-dev libcurl4-openssl-dev libcsv-dev libxgboost-dev
COPY . /src
RUN make -C /src -j"$(nproc)" && make -C /src install DESTDIR=/installed

FROM postgres:15-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends libcurl4 libcsv3 libxgboost0 ca-certificates postgresql-15-cron \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /installed /
# What a new cluster begins with: both libraries preloaded. pg_cron lives in one database, that of POSTGRES_DB, which is known when
# the cluster is made; the server that the image's start script runs for that is restarted with it.
RUN printf "%s\n" "shared_preload_libraries = 'pg_cron,fraud_detect'" "cron.use_background_workers = on" \
        "max_worker_processes = 24" "timezone = 'UTC'" >> /usr/share/postgresql/postgresql.conf.sample
COPY tools/docker-init.sh /docker-entrypoint-initdb.d/fraud_detect.sh
