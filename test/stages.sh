# The stages of make check (sh), sourced by test/run-all after tools/common.sh. A stage
# writes what it has to say to its output, which is shown when it ends, and counts by
# count; one that counts nothing has failed.

TREE=$WORK/tree
OUT=$WORK/out
# The server's own pg_regress and Perl modules, unless others are named.
PGXS_TEST=${PGXS_TEST:-$("$PG_BIN/pg_config" --pgxs 2>/dev/null | sed 's,/makefiles/pgxs.mk$,,')/test}
: >"$WORK/counts"

# stage NAME TITLE FUNCTION ARGUMENT…: runs the function, then shows what it wrote.
stage() {
    stage_name=$1 stage_title=$2
    shift 2
    stage_start=$(date +%s)
    : >"$WORK/$stage_name.counts"
    (COUNTS=$WORK/$stage_name.counts; "$@") >"$WORK/$stage_name.out" 2>&1
    if [ ! -s "$WORK/$stage_name.counts" ]; then
        echo '0 1 0' >>"$WORK/$stage_name.counts"
        echo "$stage_name: ended without a result" >>"$WORK/$stage_name.out"
    fi
    cat "$WORK/$stage_name.counts" >>"$WORK/counts"
    {
        echo "$stage_title ($(($(date +%s) - stage_start)) s)"
        sed 's/^/  /' "$WORK/$stage_name.out"
    } >"$WORK/$stage_name.block"
    cat "$WORK/$stage_name.block"
}

# count WHAT PASSED FAILED [SKIPPED]
count() {
    echo "$2 $3 ${4:-0}" >>"$COUNTS"
    if [ "${4:-0}" = 0 ]; then say "$1: $2 passed, $3 failed"; else say "$1: $2 passed, $3 failed, $4 skipped"; fi
}

first_number() { grep -oE "$1" "$2" | tail -n 1 | grep -oE '[0-9]+' | head -n 1; }

# The server's user may be unable to enter this folder, so what it needs is copied.
copy_tree() {
    mkdir -p "$TREE/build" "$OUT"
    cp -R sql expected test models bench docs README.md "$TREE/"
    for program in simulate bench_models elsewhere network_client_asan network_client_tsan; do
        [ ! -e "build/$program" ] || cp "build/$program" "$TREE/build/"
    done
    [ "$(id -u)" != 0 ] || chown -R postgres "$TREE" "$OUT"
}

# -------------------------------------------------------------------- core
run_ctest() { # run_ctest NAME FOLDER ARGUMENT…
    name=$1 folder=$2 log=$WORK/$1.log
    shift 2
    ctest --test-dir "$folder" --output-on-failure -j"$(nproc)" "$@" >"$log" 2>&1
    status=$?
    total=$(first_number 'out of [0-9]+' "$log")
    bad=$(grep -oE '[0-9]+ tests? failed out of' "$log" | grep -oE '^[0-9]+')
    if [ -z "$total" ] || { [ $status != 0 ] && [ "${bad:-0}" = 0 ]; }; then
        tail -n 40 "$log"
        count "$name" 0 1
    else
        [ $status = 0 ] || tail -n 60 "$log"
        count "$name" $((total - ${bad:-0})) "${bad:-0}"
    fi
}

# ------------------------------------------------- Python's tests, and guards
run_unittest() { # run_unittest FILE
    log=$WORK/$(basename "$1").log
    python3 "$1" >"$log" 2>&1
    status=$?
    total=$(first_number 'Ran [0-9]+ tests?' "$log")
    skipped=$(first_number 'skipped=[0-9]+' "$log")
    skipped=${skipped:-0}
    if [ $status = 0 ] && [ -n "$total" ]; then
        count "$1" "$((total - skipped))" 0 "$skipped"
    else
        tail -n 40 "$log"
        bad=$(grep -cE '^(FAIL|ERROR):' "$log")
        [ "$bad" -gt 0 ] || bad=1
        [ "${total:-0}" -ge $((bad + skipped)) ] || total=$((bad + skipped))
        count "$1" "$((total - bad - skipped))" "$bad" "$skipped"
    fi
}

# A guard that is a program passes by exit status 0, and is skipped by 77. One that
# checks several things may end with a line of counts as make check itself does.
run_check() { # run_check FILE
    log=$WORK/$(basename "$1").log
    "$1" >"$log" 2>&1
    status=$?
    counts=$(tail -n 1 "$log" | sed -nE 's/^([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$/\1 \2 \4/p')
    if [ -n "$counts" ]; then
        set -- "$1" $counts
        # Neither may hide the other: a failure counted, and one that the status tells.
        [ "$3" != 0 ] || [ $status = 0 ] || set -- "$1" "$2" 1 "${4:-0}"
        [ "$3" = 0 ] && [ "${4:-0}" = 0 ] || tail -n 60 "$log"
        count "$1" "$2" "$3" "${4:-0}"
    elif [ $status = 0 ]; then
        count "$1" 1 0
    elif [ $status = 77 ]; then
        tail -n 3 "$log"
        count "$1" 0 0 1
    else
        tail -n 60 "$log"
        count "$1" 0 1
    fi
}

run_guards() {
    for guard in test/guards/test_*.py; do
        run_unittest "$guard"
    done
    for guard in test/guards/check_*; do
        [ -f "$guard" ] && [ -x "$guard" ] || continue
        run_check "$guard"
    done
}

# ------------------------------------------------------------ servers of ours
# start_server NAME CONFIG: starts a server with the file's settings and points libpq's
# environment at it; stop_server ends it.
start_server() {
    server_folder=$WORK/server_$1
    mkdir -p "$server_folder"
    [ "$(id -u)" != 0 ] || chown postgres "$server_folder"
    {
        as_server_user "$PG_BIN/initdb" -D "$server_folder/data" -U postgres -A trust -E UTF8 --locale=C &&
            as_server_user sh -c "cat '$2' - >>'$server_folder/data/postgresql.conf'" <<CONF &&
listen_addresses = ''
unix_socket_directories = '$server_folder'
CONF
            as_server_user "$PG_BIN/pg_ctl" -D "$server_folder/data" -l "$server_folder/server.log" -w start
    } >"$server_folder.log" 2>&1 || {
        tail -n 20 "$server_folder.log" "$server_folder/server.log"
        return 1
    }
    export PGHOST="$server_folder" PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
}
stop_server() { as_server_user "$PG_BIN/pg_ctl" -D "$WORK/server_$1/data" -m fast -w stop >/dev/null 2>&1; }

# Ends what a stage that was broken off has left.
stop_servers() {
    for running in "$WORK"/server_*/data/postmaster.pid; do
        [ ! -f "$running" ] || as_server_user "$PG_BIN/pg_ctl" -D "$(dirname "$running")" -m immediate stop >/dev/null 2>&1
    done
}

# look_through_logs WHAT FILE…: counts servers' logs without a word of a fault in code in C (test/server_logs).
look_through_logs() {
    what=$1
    shift
    test/server_logs "$@" >"$COUNTS.logs"
    set -- "$what" $(tail -n 1 "$COUNTS.logs" | sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p')
    [ "${3:-1}" = 0 ] || head -n 40 "$COUNTS.logs"
    count "$what" "${2:-0}" "${3:-1}"
}

run_sql() { "$PG_BIN/psql" -X -q -v ON_ERROR_STOP=1 "$@"; }

# The pgTAP tests in a database with the extension; the guards beside it, which find
# that database by libpq's environment.
run_against_server() {
    start_server contract "$TREE/test/regress.conf" || { count 'server of the guards' 0 1; return; }
    run_sql -c 'CREATE DATABASE fraud_contract' -c '\c fraud_contract' \
        -c 'CREATE EXTENSION fraud_detect' -c 'CREATE EXTENSION pgtap SCHEMA public' || count 'database of the guards' 0 1
    export PGDATABASE=fraud_contract
    run_pgtap
    run_guards
    stop_server contract
    look_through_logs "the guards' server's log" "$WORK/server_contract/server.log"
}

# The contract's own script starts what it needs.
run_pgtap() {
    run_counted pgTAP env -u PGDATABASE -u PGHOST -u PGPORT -u PGUSER test/pgtap/run
}

# run_counted WHAT COMMAND…: a command whose last line is "N passed, N failed".
run_counted() {
    what=$1 log=$WORK/$1.log
    shift
    "$@" >"$log" 2>&1
    status=$?
    counts=$(tail -n 1 "$log" | sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p')
    set -- ${counts:-0 1}
    [ "$2" != 0 ] || [ $status = 0 ] || set -- "$1" 1
    [ "$2" = 0 ] || tail -n 60 "$log"
    count "$what" "$1" "$2"
}

# count_prove WHAT STATUS LOG: counts what prove said.
count_prove() {
    total=$(first_number 'Tests=[0-9]+' "$3")
    if [ "$2" = 0 ] && [ -n "$total" ]; then
        count "$1" "$total" 0
    else
        tail -n 60 "$3"
        bad=$(grep -oE 'Failed: [0-9]+' "$3" | grep -oE '[0-9]+' | awk '{s += $1} END {print s + 0}')
        [ "$bad" -gt 0 ] || bad=1
        total=${total:-0}
        [ "$total" -ge "$bad" ] || total=$bad
        count "$1" "$((total - bad))" "$bad"
    fi
}

# -------------------------------------------------------------- pg_regress
# run_regress NAME CONFIG [FOLDER [TEST…]]: the whole schedule, or some tests, on a server of
# its own with the file's settings. Scripts of the folder are run beside it, as the superuser,
# and fail by an error: before.sql in the new database, after_install.sql when the extension is
# there, after.sql at the end.
run_regress() {
    name=$1 config=$2 folder=${3:-}
    tests=$(tr -s ' \n' '\n\n' <test/regress_schedule | grep -vx install)
    if [ $# -gt 3 ]; then
        shift 3
        tests=$*
    fi
    place=$(printf '%s' "$name" | tr -c 'a-zA-Z0-9' _)
    if [ -n "$folder" ]; then
        # Beside the settings that all tests have.
        as_server_user sh -c "cat '$TREE/test/regress.conf' '$config' >'$OUT/$place.conf'"
        config=$OUT/$place.conf
    fi
    start_server "$place" "$config" || { count "$name" 0 1; return; }
    # As pg_regress makes its own.
    run_sql -c "CREATE DATABASE fraud_regress TEMPLATE template0" \
        -c "ALTER DATABASE fraud_regress SET bytea_output = 'hex'" \
        -c "ALTER DATABASE fraud_regress SET timezone_abbreviations = 'Default'" || count "$name" 0 1
    export PGDATABASE=fraud_regress
    good=0 bad=0
    run_regress_script "$folder" before
    run_regress_tests install
    run_regress_script "$folder" after_install
    run_regress_tests $tests
    run_regress_script "$folder" after
    stop_server "$place"
    count "$name" $good $bad
    look_through_logs "its server's log" "$WORK/server_$place/server.log"
}

run_regress_script() { # run_regress_script FOLDER NAME
    [ -n "$1" ] && [ -f "$1/$2.sql" ] || return 0
    if run_sql -f "$1/$2.sql" >"$WORK/$place.$2.log" 2>&1; then
        good=$((good + 1))
    else
        bad=$((bad + 1))
        tail -n 20 "$WORK/$place.$2.log"
    fi
}

run_regress_tests() { # run_regress_tests TEST…
    results=$OUT/$place.$1 log=$WORK/$place.$1.log
    mkdir -p "$results"
    [ "$(id -u)" != 0 ] || chown postgres "$results"
    (cd "$TREE" && as_server_user "$PGXS_TEST/regress/pg_regress" --inputdir="$TREE" --outputdir="$results" \
        --bindir="$PG_BIN" --use-existing --host="$PGHOST" --port="$PGPORT" --user=postgres \
        --dbname=fraud_regress "$@") >"$log" 2>&1
    status=$?
    more_good=$(grep -cE '^(test [^ ]+ +\.\.\. ok|ok [0-9]+)' "$log")
    more_bad=$(grep -cE '^(test [^ ]+ +\.\.\. FAILED|not ok [0-9]+)' "$log")
    if [ $status != 0 ]; then
        grep -vE '\.\.\. ok|^ok ' "$log" | tail -n 30
        [ ! -f "$results/regression.diffs" ] || head -n 200 "$results/regression.diffs"
        [ "$more_bad" -gt 0 ] || more_bad=1
    fi
    good=$((good + more_good)) bad=$((bad + more_bad))
}

# --------------------------------------------------------------------- TAP
# Of the files of test/t those that take longest, mostly to wait for a minute to pass, or to call all functions.
LONG_TESTS='test/t/021_cron.pl test/t/026_arguments.pl'
other_tests() { for test in test/t/*.pl; do case " $LONG_TESTS " in *" $test "*) ;; *) say "$test" ;; esac done; }

# run_tap [NAME [FILE...]]: all of test/t, or PROVE_TESTS, where no file is named. Some may run beside others under another name.
run_tap() {
    tap=${1:-tap}
    [ $# = 0 ] || shift
    [ $# -gt 0 ] || set -- ${PROVE_TESTS:-test/t/*.pl}
    log=$WORK/$tap.log
    as_server_user mkdir -p "$OUT/$tap" "$OUT/ports"
    (cd "$TREE" && as_server_user env PATH="$PG_BIN:$PATH" PG_BIN="$PG_BIN" PG_REGRESS="$PGXS_TEST/regress/pg_regress" \
        PERL5LIB="$PGXS_TEST/perl:$TREE/test/t" TESTDIR="$OUT/$tap" TESTDATADIR="$OUT/$tap/tmp_check" TESTLOGDIR="$OUT/$tap/tmp_check/log" \
        PG_TEST_PORT_DIR="$OUT/ports" TMPDIR="$OUT" FRAUD_UPGRADE_FROM="${FRAUD_UPGRADE_FROM:-}" FRAUD_TREE="$TREE" LANG=C prove --timer --failures "$@") >"$log" 2>&1
    count_prove TAP $? "$log"
    # One that was skipped started no server.
    set -- "$OUT/$tap"/tmp_check/log/*.log
    [ ! -e "$1" ] || look_through_logs "its servers' logs" "$@"
}

# ---------------------------------------------------------- the kill campaign
# Its judge's own test first; then kills of a server of its own.
run_kill() {
    run_unittest test/kill/test_judge.py
    run_counted kill as_server_user env PG_BIN="$PG_BIN" PYTHONDONTWRITEBYTECODE=1 \
        python3 "$TREE/test/kill/kill" --kills "${KILLS:-20}" --seed "${SEED:-1}"
}
