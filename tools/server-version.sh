# Sourced by tools/common.sh (sh): which PostgreSQL the scripts build for.

# Prints the major version of a server: of the binaries that PG_BIN names, else of the newest one that is
# installed with what building needs, else of the newest one that is installed, else of the one that apt would install.
find_server_version() {
    if [ -n "${PG_BIN:-}" ]; then
        "$PG_BIN/pg_config" --version | sed -nE 's/^PostgreSQL ([0-9]+).*/\1/p'
        return
    fi
    for program in pg_config postgres; do
        found=$(for path in /usr/lib/postgresql/*/bin/"$program"; do
            [ ! -x "$path" ] || { path=${path%/bin/*} && echo "${path##*/}"; }
        done | sort -n | tail -n 1)
        [ -z "$found" ] || { echo "$found"; return; }
    done
    command -v apt-cache >/dev/null || return 0
    # A system that was just installed has no lists of packages yet.
    [ -n "$(candidate_server_version)" ] || as_root apt-get update -q >/dev/null 2>&1 || true
    candidate_server_version
}

# The package's version is that of the server it stands for, then its own: 17+278.
candidate_server_version() { LC_ALL=C apt-cache policy postgresql | sed -nE 's/^ *Candidate: ([0-9]+).*/\1/p'; }
