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
# Where a new cluster is made: the library preloaded, and the extension in the database of POSTGRES_DB.
RUN printf "shared_preload_libraries = 'fraud_detect'\nmax_worker_processes = 16\n" >> /usr/share/postgresql/postgresql.conf.sample \
    && echo 'CREATE EXTENSION fraud_detect;' > /docker-entrypoint-initdb.d/fraud_detect.sql
