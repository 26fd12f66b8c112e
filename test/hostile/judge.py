"""Judges a run of test/hostile/run.

usage: judge.py SERVER_LOG REGRESS_LOG DIFFERS EXPRESSIONS

SERVER_LOG has a line a call of an overload from inside other code. DIFFERS lists the tests
whose output may differ, and EXPRESSIONS the calls that a test asks for itself, in an
expression that it declares; both are exact.
"""
import pathlib
import re
import subprocess
import sys

LOOK = pathlib.Path(__file__).resolve().parent.parent / "server_logs"
SOURCES = pathlib.Path(__file__).resolve().parent.parent.parent / "src/sql"
OURS = set(re.findall(r"CREATE FUNCTION (?:fraud|@extschema@)\.(\w+)", "".join(p.read_text() for p in SOURCES.glob("*.sql"))))
LINE = re.compile(r"^(?P<test>.*): LOG:  HOSTILE \| (?P<name>.*?) \| (?P<user>.*?) \| (?P<session>.*?) \| (?P<path>.*?) \| (?P<stack>.*)$")
PINNED = "pg_catalog, pg_temp"


def caught_by(path, stack):
    """Tells how a call shows that it came from our code; None where it came from a test's own."""
    frames = stack.split(" <- ")[1:]
    for frame in frames:
        if "PL/pgSQL function fraud." in frame:
            return "a body of ours"
        function = re.search(r'SQL function "(\w+)"', frame)
        if function and function[1] in OURS:
            return "a body of ours"
    if path == PINNED:
        return "code with a pinned search_path"
    if frames and frames[-1].startswith("SQL statement"):
        return "SQL that a function in C runs"
    return None


def entries(path):
    """Returns the lines of a list, without its comments."""
    return {line for line in path.read_text().splitlines() if line and not line.startswith("#")}


def main():
    server_log, regress_log, differs, expressions = (pathlib.Path(a) for a in sys.argv[1:5])
    wanted, seen, captured, calls = {"a body of ours", "code with a pinned search_path", "SQL that a function in C runs"}, set(), {}, 0
    declared, used = entries(expressions), set()
    for line in server_log.read_text(errors="replace").splitlines():
        match = LINE.match(line)
        if not match:
            continue
        calls += 1
        how = caught_by(match["path"], match["stack"])
        if match["test"] == "captured on purpose":
            # The one with a pinned search_path stands in a body of ours, too.
            seen |= {how, "code with a pinned search_path"} if match["path"] == PINNED else {how}
        elif how:
            asked_for = f"{match['test'].split('/')[-1]}: {match['name']}"
            if asked_for in declared and match["path"] == PINNED:
                used.add(asked_for)
                continue
            captured.setdefault((match["name"], match["stack"].split(" <- ")[-1][:160]), (match["test"], how, match["user"], match["session"]))
    may_differ = entries(differs)
    # As pg_regress writes it up to PostgreSQL 15, and from 16 on.
    results = {before or after: {"ok": "ok"}.get(result or verdict, "FAILED") for before, result, verdict, after in
               re.findall(r"(?m)^(?:test (\w+) +\.\.\. (ok|FAILED)|(ok|not ok) +\d+ +[-+] (\w+))", regress_log.read_text())}
    failed = [test for test, result in results.items() if result != "ok" and test not in may_differ]
    same = [test for test in may_differ & set(results) if results[test] == "ok"]
    faults = [f"{name} was called as {user} (session of {session}) in {test} by {how}: {last}"
              for (name, last), (test, how, user, session) in sorted(captured.items())]
    faults += [f"{test} printed something else" for test in failed]
    faults += [f"{test} prints the same: take it off {differs}" for test in same]
    faults += [f"{entry}: was not called, take it off {expressions}"
               for entry in sorted(declared - used) if entry.split(":")[0] in results]
    faults += [f"a call that is captured on purpose was not seen: from {how}" for how in sorted(wanted - seen)]
    faults += subprocess.run([LOOK, server_log], capture_output=True, text=True, errors="replace", check=False).stdout.splitlines()[:-1]
    if not results:
        faults.append("pg_regress ran no test")
    for fault in faults:
        print(fault)
    print(f"{calls} calls of overloads from inside other code, {len(captured)} kinds of them from ours")
    print(f"{len(results) - len(failed) + (not captured)} passed, {len(faults)} failed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
