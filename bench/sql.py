"""Measures scoring in SQL, on the server that libpq's environment names (PGHOST, …),
in its database PGDATABASE, which is made anew with the extension in it.

    sql.py FOLDER ROWS ROUNDS SECONDS

FOLDER is what bench_models made. ROWS is the size of the scanned tables, ROUNDS how
often each statement is timed, SECONDS how long each pgbench script runs (0: for a few
transactions). What is compared takes turns, statement after statement, and ratios are
the median of the rounds' ratios. Statements of one process are timed by the processor
time of its backend, which does not count what else the machine is doing. Prints JSON:
a list of measurements with a unit.
"""
import array
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

from session import Session, program

COLUMNS = [f"c{i}" for i in range(1, 25)]
BASE_ROWS = 100000
PAYMENT = ("jsonb_build_object('cc_num', 4000000000000000 + :card, 'trans_num', 'b-' || :id, "
           "'amt', :cents / 100.0, 'merchant', 'Corner Shop', 'category', 'grocery_pos', "
           "'lat', 40.71, 'long', -74.01, 'merch_lat', 40.73, 'merch_long', -73.99, "
           "'city_pop', 8804190, 'dob', '1980-05-17', "
           "'current_time', floor(extract(epoch FROM clock_timestamp()) * 1000))")


def shown(shape):
    return shape.replace("x", "×")


class Bench:
    def __init__(self, folder, rows, rounds, seconds):
        self.folder = folder
        self.rows = rows
        self.rounds = rounds
        self.seconds = seconds
        self.results = []
        shapes = [file.stem for file in folder.glob("*.ubj")]
        self.shapes = sorted(shapes)
        self.main = "300x6" if "300x6" in shapes else shapes[0]  # the one that is scored with

    def score(self, features):
        return f"fraud_score({features}, 'bench_{self.main}')"

    def report(self, what, value, unit, **more):
        self.results.append({"what": what, "value": value, "unit": unit, **more})
        print(f"{what}: {value:.4g} {unit}", file=sys.stderr, flush=True)

    def prepare(self):
        database = os.environ["PGDATABASE"]
        admin = Session("postgres")
        admin.run(f"DROP DATABASE IF EXISTS {database}")
        admin.run(f"CREATE DATABASE {database} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
        admin.close()
        session = Session()
        session.run("CREATE EXTENSION fraud_detect")
        for shape in self.shapes:
            artifact = (self.folder / f"{shape}.ubj").read_bytes().hex()
            session.run(f"SELECT fraud.import_model('bench_{shape}', '\\x{artifact}')")
            session.run(f"SELECT fraud.promote('bench_{shape}', 1, review_at => 0.5, block_at => 0.9)")

        values = array.array("f", (self.folder / "rows.f32").read_bytes())
        width = len(COLUMNS)
        base = [values[i * width:(i + 1) * width].tolist()
                for i in range(min(len(values) // width, BASE_ROWS, self.rows))]
        full = []  # a missing value is the one before it in its column
        last = [0.0] * width
        for row in base:
            last = [before if value != value else value for value, before in zip(row, last)]
            full.append(last)
        columns = ", ".join(f"{name} float4" for name in COLUMNS)
        text = {"base": base, "base_full": full}
        for name, rows in text.items():
            session.run(f"CREATE TEMP TABLE {name} (id int, {columns})")
            session.copy(name, ("\t".join([str(i)] + ["\\N" if v != v else repr(v) for v in row]) + "\n"
                                for i, row in enumerate(rows)))
        names = ", ".join(COLUMNS)
        for table, source in (("f", "base"), ("f_full", "base_full")):
            session.run(f"CREATE TABLE {table} ({columns})")
            session.run(f"INSERT INTO {table} SELECT {names} FROM generate_series(1, {self.rows // len(base)}) g, {source}")
        session.run(f"CREATE TABLE keyed (id int PRIMARY KEY, {columns})")
        session.run("INSERT INTO keyed SELECT * FROM base")
        session.run(f"CREATE TABLE arrays AS SELECT ARRAY[{names}]::float4[] AS v FROM base")
        session.run("CREATE TABLE objects AS SELECT to_jsonb(b) - 'id' AS v FROM base b")
        customers = min(1000, self.rows // 100)
        session.run(f"SELECT fraud.simulate(customers => {customers}, merchants => 300, days => 10)")
        for table in ("f", "f_full", "keyed", "arrays", "objects"):
            session.run(f"VACUUM (FREEZE, ANALYZE) {table}")
        session.run("ANALYZE")
        session.run("CHECKPOINT")
        session.close()
        self.base_rows = len(base)
        self.admin = Session()

    def one_process(self):
        session = Session(settings=["max_parallel_workers_per_gather = 0", "jit = off"])
        session.find_backend(self.admin)
        return session

    def take_turns(self, session, statements):
        """Returns each statement's times, a round at a time; the first round warms up."""
        times = {name: [] for name in statements}
        for turn in range(self.rounds + 1):
            for name, statement in statements.items():
                taken = session.processor_milliseconds(statement)
                if turn > 0:
                    times[name].append(taken)
        return times

    def scan(self):
        total = " + ".join(COLUMNS)
        session = self.one_process()
        for table, content in (("f", "10 % null"), ("f_full", "no null")):
            times = self.take_turns(session, {
                "columns": f"SELECT sum({total}) FROM {table}",
                "whole row": f"SELECT count({table}) FROM {table}",
                "score": f"SELECT sum({self.score(table)}) FROM {table}"})
            for name, label in (("columns", "sum(c1 + … + c24)"), ("whole row", "count(f), forms the whole row"),
                                ("score", f"sum(fraud_score(f)), {shown(self.main)}")):
                self.report(f"{self.rows:,} rows, {content}: {label}",
                            statistics.median(times[name]) / 1000, "s")
            ratios = [a / b for a, b in zip(times["score"], times["columns"])]
            self.report(f"{content}: sum(fraud_score(f)) ÷ sum(c1 + … + c24)", statistics.median(ratios),
                        "×", bar="scan")
        score = f"SELECT sum({self.score('f')}) FROM f"
        times = []
        for _ in range(self.rounds):
            session.run("SET jit = on")
            with_jit = session.processor_milliseconds(score)
            session.run("SET jit = off")
            times.append(with_jit / session.processor_milliseconds(score))
        self.report("the same with jit = on (PostgreSQL's default) ÷ off", statistics.median(times), "×")
        speedups = []
        for _ in range(self.rounds):
            one = session.milliseconds(score)
            session.run("SET max_parallel_workers_per_gather = 2")
            speedups.append(one / session.milliseconds(score))
            session.run("SET max_parallel_workers_per_gather = 0")
        self.report(f"one process ÷ planned parallel (2 workers, {os.cpu_count()} CPUs)",
                    statistics.median(speedups), "×")
        session.close()

    def forms(self):
        """The ways to hand features over, and explanations, a row."""
        session = self.one_process()
        explained = min(500, self.base_rows)
        times = self.take_turns(session, {
            "row": f"SELECT sum({self.score('k')}) FROM keyed k",
            "array": f"SELECT sum({self.score('v')}) FROM arrays",
            "jsonb": f"SELECT sum({self.score('v')}) FROM objects",
            "explain": f"SELECT sum(e.contribution) FROM keyed k, fraud_explain(k, 'bench_{self.main}') e "
                       f"WHERE k.id < {explained}"})
        for name, label, count in (("row", "fraud_score(row)", self.base_rows),
                                   ("array", "fraud_score(float4[])", self.base_rows),
                                   ("jsonb", "fraud_score(jsonb)", self.base_rows),
                                   ("explain", "fraud_explain(row)", explained)):
            self.report(f"{label}, {shown(self.main)}, a row of a scan", statistics.median(times[name]) * 1000 / count, "µs")
        session.close()

    def fresh_connections(self):
        for shape in dict.fromkeys([self.main, "1000x8"]):
            if shape not in self.shapes:
                continue
            score = f"SELECT fraud_score(ARRAY[{', '.join(['0.5'] * 24)}]::float4[], 'bench_{shape}')"
            firsts, more, work = [], [], []
            for _ in range(2 * self.rounds + 1):
                session = Session()
                first = session.milliseconds(score)
                more.append(first - session.milliseconds(score))
                firsts.append(first)
                session.close()
                session = Session()
                session.find_backend(self.admin)
                first = session.processor_milliseconds(score)
                work.append(first - session.processor_milliseconds(score))
                session.close()
            self.report(f"fresh connection's first score, {shown(shape)}, by the clock", statistics.median(firsts), "ms")
            self.report(f"first score less second, {shown(shape)}, by the clock", statistics.median(more), "ms")
            self.report(f"fresh connection: first score less second, {shown(shape)}, processor time",
                        statistics.median(work), "ms", bar="fresh")

    def memory(self):
        """Private memory that a model adds to a backend which has scored with another."""
        if not {"100x4", "1000x8"} <= set(self.shapes):
            return

        def private(pid):
            """What is in private mappings: pages of shared memory that only this process happens
            to have touched are private to the kernel, but not to us."""
            total, counted = 0, False
            for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
                if mapping := re.match(r"[0-9a-f]+-[0-9a-f]+ ...([ps]) ", line):
                    counted = mapping.group(1) == "p"
                elif counted and line.startswith(("Private_Clean:", "Private_Dirty:")):
                    total += int(line.split()[1])
            return total

        def score(session, shape):
            for _ in range(2):
                session.run(f"SELECT sum(fraud_score(k, 'bench_{shape}')) FROM keyed k WHERE id < 1000")

        added = []
        for _ in range(max(3, self.rounds)):  # the first is the first of the server
            session = Session(settings=["max_parallel_workers_per_gather = 0"])
            session.find_backend(self.admin)
            score(session, "100x4")
            before = private(session.pid)
            score(session, "1000x8")
            added.append(private(session.pid) - before)
            session.close()
        self.report("private memory that a 1000×8 model adds to a backend", statistics.median(added[1:]), "KiB",
                    bar="memory")
        self.report("the same for the first backend, which brings it into shared memory", added[0], "KiB")

    def pgbench(self):
        values = ", ".join(["0.5"] * 24)
        keyed = "\\set id random(0, %d)\n" % (self.base_rows - 1)
        payment = "\\set card random(1, 1000)\n\\set id random(1, 2000000000)\n\\set cents random(100, 20000)\n"
        scripts = {
            "SELECT 1": "SELECT 1;\n",
            "one row by its key, no score": keyed + "SELECT c1 FROM keyed WHERE id = :id;\n",
            f"fraud_score(float4[]), {shown(self.main)}": f"SELECT {self.score(f'ARRAY[{values}]::float4[]')};\n",
            f"fraud_score(row by its key), {shown(self.main)}":
                keyed + f"SELECT {self.score('k')} FROM keyed k WHERE id = :id;\n",
            "fraud.assess": payment + f"SELECT score FROM fraud.assess({PAYMENT});\n",
            "fraud.ingest": payment + f"SELECT status FROM fraud.ingest({PAYMENT});\n",
        }
        latencies = {name: [] for name in scripts}
        length = ["-T", str(self.seconds)] if self.seconds > 0 else ["-t", "5"]
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(3):
                for name, script in scripts.items():
                    file = pathlib.Path(folder) / "script.sql"
                    file.write_text(script)
                    done = subprocess.run(
                        [program("pgbench"), "-n", "-M", "prepared", "-c", "1", *length, "-f", str(file)], capture_output=True, text=True, check=False)
                    found = re.search(r"latency average = ([0-9.]+) ms", done.stdout)
                    if done.returncode != 0 or not found:
                        raise RuntimeError(f"pgbench, {name}: {done.stderr[-500:]}")
                    latencies[name].append(float(found.group(1)))
        for name, found in latencies.items():
            self.report(f"pgbench, one session, prepared: {name}", statistics.median(found) * 1000, "µs")


def main():
    bench = Bench(pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    bench.prepare()
    load = os.getloadavg()[0]
    bench.memory()
    bench.scan()
    bench.forms()
    bench.fresh_connections()
    bench.pgbench()
    session = Session()
    version = session.value("SHOW server_version")
    session.close()
    json.dump({"date": str(datetime.date.today()), "load": load, "postgres": version, "results": bench.results}, sys.stdout, indent=1, ensure_ascii=False)
    print()


main()
