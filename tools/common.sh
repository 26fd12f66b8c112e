# Sourced by the scripts that set themselves up (sh): paths, and how to do things
# as root or as the server's user. The caller is in the repository's root.

ROOT=$(pwd)

say() { printf '%s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Runs a command as root.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else fail "this needs root: become root, or install sudo"
    fi
}

. tools/server-version.sh
PG_MAJOR=${PG_MAJOR:-$(find_server_version)}
PG_BIN=${PG_BIN:-/usr/lib/postgresql/$PG_MAJOR/bin}

# Runs a command as a user that PostgreSQL agrees to run as: ourselves, or for
# root the user that Debian's package brings.
as_server_user() {
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

# Runs a step that takes a while: shows its name, then its time; its output goes
# to a log that is shown when it fails.
step() {
    step_name=$1
    shift
    printf '%s … ' "$step_name"
    step_start=$(date +%s)
    if "$@" >"$LOG" 2>&1; then
        printf 'done (%s s)\n' "$(($(date +%s) - step_start))"
    else
        printf 'failed\n'
        tail -n 40 "$LOG" >&2
        exit 1
    fi
}

# Builds the extension and installs it into the system's PostgreSQL.
build_extension() { make -j"$(nproc)" PG_CONFIG="$PG_BIN/pg_config" PCH=yes "$@"; }
install_extension() { as_root make install PG_CONFIG="$PG_BIN/pg_config" "$@"; }

# Builds the core's tools and tests, of the objects that build_extension made.
configure_core() { cmake -S . -B build -DCMAKE_BUILD_TYPE=RelWithDebInfo -DFRAUD_BUILT=ON \
    -DCMAKE_CXX_FLAGS_RELWITHDEBINFO='-O2 -DNDEBUG'; }
build_core() { cmake --build build -j"$(nproc)" "$@"; }

# The same with sanitizers, apart from the tools.
build_sanitized_core() {
    cmake -S . -B build/sanitizers -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS='-O1 -g1' \
        -DFRAUD_SANITIZE=address,undefined &&
        cmake --build build/sanitizers -j"$(nproc)" \
        --target unit_tests fuzz_model fuzz_flat fuzz_payments fuzz_mapping fuzz_mask fuzz_hosts fuzz_requests fuzz_tiles
}

# Starts a server of the build's own in a folder that everybody may write in; its
# superuser is postgres, its port 5998.
start_private_server() {
    as_server_user "$PG_BIN/initdb" -D "$1/data" -U postgres -A trust -E UTF8 --locale=C &&
        cat >>"$1/data/postgresql.conf" <<CONF &&
shared_preload_libraries = 'fraud_detect'
listen_addresses = ''
unix_socket_directories = '$1'
port = 5998
timezone = 'UTC'
max_worker_processes = 16
max_wal_size = 4GB
CONF
        as_server_user "$PG_BIN/pg_ctl" -D "$1/data" -l "$1/server.log" -w start
}
stop_private_server() { as_server_user "$PG_BIN/pg_ctl" -D "$1/data" -m immediate stop >/dev/null 2>&1 || true; }
