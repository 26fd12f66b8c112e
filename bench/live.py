"""Measures the feed: an API of this process's own is polled by the server that libpq's
environment names (PGHOST, …), in its database PGDATABASE, which is made anew.

    live.py SECONDS PAYMENTS ROUNDS

SECONDS is how long each scene runs, PAYMENTS how many payments the large bodies hold,
ROUNDS how often one and two scorers take turns. Times are taken where they are made:
the last byte of an answer here, commits from track_commit_timestamp, which must be on;
both are of this machine's clock. Prints JSON: a list of measurements with a unit.
"""
import http.server
import json
import os
import pathlib
import random
import statistics
import sys
import threading
import time

from session import Session

CARDS = 2000
LARGE = "large"


class Api(http.server.ThreadingHTTPServer):
    """Answers each path with the bodies put there, once each, in order; then with []."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.waiting = {}  # path → bodies
        self.asked = {}    # path → when it was asked
        self.ended = {}    # body's name → when its last byte had been sent
        self.makers = {}   # path → makes a body for each request
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"

    def put(self, path, name, payments):
        body = json.dumps(payments).encode()
        with self.lock:
            self.waiting.setdefault(path, []).append((name, body))

    def make(self, path, maker):
        with self.lock:
            self.makers[path] = maker

    def take(self, path):
        with self.lock:
            self.asked.setdefault(path, []).append(time.time())
            maker = self.makers.get(path)
            if self.waiting.get(path):
                return self.waiting[path].pop(0)
        if maker is None:
            return None, b"[]"
        name, payments = maker()
        return name, json.dumps(payments).encode()

    def wait_for(self, name, seconds=300):
        end = time.time() + seconds
        while name not in self.ended:
            if time.time() > end:
                raise RuntimeError(f"{name} was not polled within {seconds} s")
            time.sleep(0.005)
        return self.ended[name]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name, body = self.server.take(self.path.lstrip("/"))
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            return  # the source was dropped in the middle of it, or the answer is too large
        if name is not None:
            self.server.ended[name] = time.time()

    def log_message(self, *_):
        pass


def luhn(number):
    """The number with its check digit."""
    digits = [int(d) for d in str(number)]
    total = sum(d if i % 2 else (2 * d - 9 if d > 4 else 2 * d) for i, d in enumerate(reversed(digits)))
    return number * 10 + -total % 10


CARD_NUMBERS = [luhn(400000000000000 + i) for i in range(CARDS + 1000)]


class Bench:
    def __init__(self, seconds, payments, rounds):
        self.seconds = seconds
        self.payments = payments
        self.rounds = rounds
        self.random = random.Random(7)
        self.results = []
        self.made = 0
        self.api = Api()
        database = os.environ["PGDATABASE"]
        admin = Session("postgres")
        admin.run(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        admin.run(f"CREATE DATABASE {database} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
        admin.close()
        self.session = Session()
        if self.session.value("SHOW track_commit_timestamp") != "on":
            raise RuntimeError("track_commit_timestamp must be on")
        self.session.run("CREATE EXTENSION fraud_detect")
        self.session.run("SELECT fraud.simulate(customers => 500, merchants => 300, days => 10)")

    def report(self, what, value, unit, bar=None):
        self.results.append({"what": what, "value": value, "unit": unit, **({"bar": bar} if bar else {})})
        print(f"{what}: {value:.4g} {unit}", file=sys.stderr, flush=True)

    # ---------------------------------------------------------------- payments

    def payment(self, card=None, merchant=None, **more):
        self.made += 1
        number = card if card is not None else self.random.randrange(CARDS)
        return {"cc_num": CARD_NUMBERS[number], "trans_num": f"live-{self.made}",
                "amt": round(self.random.lognormvariate(3.5, 1), 2) + 1,
                "merchant": merchant or f"Merchant {self.random.randrange(300)}", "category": "grocery_pos",
                "first": "Ada", "last": "Moss", "gender": "F", "street": "1 Main Street", "city": "Springfield",
                "state": "IL", "zip": "62701", "lat": 39.78, "long": -89.65, "city_pop": 114394, "job": "Engineer",
                "dob": "1980-05-17", "merch_lat": 39.9, "merch_long": -89.5,
                "current_time": int(time.time() * 1000), **more}

    def body(self, path, count, name=None, **more):
        payments = [self.payment(**more) for _ in range(count)]
        name = name or f"{path}-{self.made}"
        self.api.put(path, name, payments)
        return name, payments

    def add_source(self, path, interval):
        self.session.run(f"SELECT fraud.add_source('{path}', '{self.api.url(path)}', poll_interval => '{interval}')")

    def until_scored(self, seconds=600):
        end = time.time() + seconds
        while self.session.value("SELECT EXISTS (SELECT FROM fraud.inbox)") == "t":
            if time.time() > end:
                raise RuntimeError("payments wait still in the inbox")
            time.sleep(0.05)

    def stored(self):
        return int(self.session.value("SELECT coalesce(sum(stored), 0) FROM fraud.source_status"))

    def until_stored(self, count, seconds=900):
        """Waits until so many payments more than before (of stored()) are stored."""
        end = time.time() + seconds
        while self.stored() < count:
            if time.time() > end:
                raise RuntimeError(f"{count - self.stored()} payments are not stored after {seconds} s")
            time.sleep(0.1)

    def committed(self, transaction_id, seconds=60):
        """When a payment was stored."""
        end = time.time() + seconds
        while time.time() < end:
            found = self.session.run("SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin)) "
                                     f"FROM fraud.transactions WHERE transaction_id = '{transaction_id}' "
                                     "AND occurred_at > now() - interval '1 hour'")
            if found:
                return float(found[0])
            time.sleep(0.02)
        raise RuntimeError(f"{transaction_id} was not stored within {seconds} s")

    # ------------------------------------------------------------------ scenes

    def warm(self):
        """Customers, merchants and months are there, plans are made."""
        self.body(LARGE, CARDS)
        self.add_source(LARGE, "1 second")
        self.until_stored(CARDS)
        self.session.run("ANALYZE")

    def quiet_source(self):
        interval = 1.0
        self.add_source("quiet", f"{interval} seconds")
        time.sleep(2)
        before = self.stored()
        begin = time.time()
        name, _ = self.body(LARGE, self.payments)
        self.api.wait_for(name)
        self.until_stored(before + self.payments)
        asked = [t for t in self.api.asked["quiet"] if t >= begin - interval]
        gaps = [b - a for a, b in zip(asked, asked[1:])]
        self.report(f"poll gap of a quiet source while another stores {self.payments:,} payments ÷ its interval, "
                    f"the longest of {len(gaps)}", max(gaps) / interval, "×", "gap")
        self.session.run("SELECT fraud.drop_source('quiet')")

    def held(self):
        """What a payment waits while an idle session holds another card, case or new merchant."""
        self.session.run("SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, reason => 'a case', override_gate => true)")
        _, payments = self.body("few", 1, card=1)
        self.add_source("few", "200 milliseconds")
        self.committed(payments[0]["trans_num"])
        one = json.dumps(self.payment(card=CARDS + 1)).replace("'", "''")
        shop = json.dumps(self.payment(card=CARDS + 2, merchant="A new shop")).replace("'", "''")
        holds = {"another card": f"SELECT * FROM fraud.ingest('{one}')",
                 "another case": "SELECT fraud.confirm_case(max(case_id)) FROM fraud.cases",
                 "another's new merchant": f"SELECT * FROM fraud.ingest('{shop}')"}
        for what, statement in holds.items():
            idle = Session()
            idle.run("BEGIN")
            idle.run(statement)
            waits = []
            for i in range(max(5, self.seconds)):
                name, payments = self.body("few", 5, merchant="A new shop")
                sent = self.api.wait_for(name)
                waits += [self.committed(p["trans_num"]) - sent for p in payments]
                time.sleep(0.1)
            idle.run("ROLLBACK")
            idle.close()
            self.report(f"a payment's wait while an idle session holds {what}, the longest of {len(waits)}",
                        max(waits), "s", "wait")
        self.session.run("SELECT fraud.drop_source('few')")
        self.until_scored()

    def alerts(self, rate=300):
        """From the last byte to the alert's commit."""
        scores = "SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY score) FROM fraud.transactions WHERE source = 'large'"
        level = self.session.value(scores)
        self.session.run(f"SELECT fraud.promote('payments', 1, review_at => {level}, block_at => 1, reason => 'one in twenty', override_gate => true)")
        bodies = {}

        def make():
            payments = [self.payment() for _ in range(rate)]
            name = f"rate-{self.made}"
            for p in payments:
                bodies[p["trans_num"]] = name
            return name, payments
        self.api.make("rate", make)
        self.add_source("rate", "1 second")
        time.sleep(max(5, self.seconds))
        self.session.run("SELECT fraud.drop_source('rate')")
        self.until_scored()
        time.sleep(0.2)
        for what, table in (("the alert's", "alerts"), ("the payment's", "transactions")):
            waits = []
            for row in self.session.run("SELECT transaction_id, extract(epoch FROM pg_xact_commit_timestamp(xmin)) "
                                        f"FROM fraud.{table} WHERE occurred_at > now() - interval '1 hour'"):
                name, _, when = row.partition("|")
                if name in bodies and bodies[name] in self.api.ended:
                    waits.append(float(when) - self.api.ended[bodies[name]])
            if len(waits) < 20:
                raise RuntimeError(f"{len(waits)} of {table} at {rate} payments a second")
            self.report(f"from the last byte of an answer to {what} commit, {rate} payments a second, one poll a second, "
                        f"p99 of {len(waits):,}", statistics.quantiles(waits, n=100)[98], "s",
                        "alert" if table == "alerts" else None)
        self.session.run("SELECT fraud.promote('payments', 1, review_at => 1, block_at => 1, reason => 'no alerts', override_gate => true)")

    def prefill(self, count, mark):
        """Puts payments of known customers into the inbox, in one commit."""
        self.session.run(
            "INSERT INTO fraud.inbox (shard, card, transaction_id, occurred_at, source, payment) "
            "SELECT get_byte(uuid_send(c.card), 0) % 64, c.card, f.id, f.at, 'large', "
            " json_build_object('card', c.card, 'last_four', c.last_four, 'merchant', 'Merchant ' || i % 300, 'category', 'grocery_pos',"
            "  'amt', 5 + i % 97, 'trans_num', f.id, 'merch_lat', 39.9, 'merch_long', -89.5, 'lat', 39.78, 'long', -89.65, 'city_pop', 114394,"
            "  'dob', '1980-05-17', 'current_time', floor(extract(epoch FROM f.at) * 1000))::text "
            "FROM (SELECT row_number() OVER () AS n, card, last_four FROM fraud.customers "
            f"  WHERE card IN (SELECT DISTINCT card FROM fraud.transactions WHERE source = 'large')) c, "
            f" generate_series(1, {count // CARDS}) i, "
            f" LATERAL (SELECT '{mark}-' || c.n || '-' || i AS id, clock_timestamp() + i * interval '1 ms' AS at) f ORDER BY i, c.n")

    def scaling(self):
        rates = {1: [], 2: []}
        count = max(CARDS, min(self.payments, 20000) // CARDS * CARDS)
        for turn in range(self.rounds * 2):
            workers = 1 + (turn + turn // 2) % 2
            self.session.run(f"ALTER SYSTEM SET fraud_detect.ingest_workers = {workers}")
            self.session.run("SELECT pg_reload_conf()")
            while self.session.value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'fraud_detect scorer' "
                                     "AND datname = current_database()") != str(workers):
                time.sleep(0.05)
            self.session.run("CHECKPOINT")
            time.sleep(0.5)
            self.prefill(count, f"fill-{turn}")
            self.until_scored()
            # From the first commit to the last: how soon the scorers looked is not counted.
            first, last, of_first = self.session.value(
                "SELECT extract(epoch FROM min(t.at)), extract(epoch FROM max(t.at)), count(*) FILTER (WHERE t.at = t.first) "
                "FROM (SELECT pg_xact_commit_timestamp(xmin) AS at, min(pg_xact_commit_timestamp(xmin)) OVER () AS first "
                f" FROM fraud.transactions WHERE transaction_id LIKE 'fill-{turn}-%' AND occurred_at > now() - interval '1 hour') t").split("|")
            rates[workers].append((count - int(of_first)) / (float(last) - float(first)))
        self.session.run("ALTER SYSTEM RESET fraud_detect.ingest_workers")
        self.session.run("SELECT pg_reload_conf()")
        for workers, values in rates.items():
            self.report(f"scoring from a prefilled inbox, {workers} worker{'s' if workers > 1 else ''}", statistics.median(values), "payments/s")
        ratio = statistics.median(b / a for a, b in zip(rates[1], rates[2]))
        self.report("scoring from a prefilled inbox, 2 workers ÷ 1 worker", ratio, "×", "scaling")

    def drain(self):
        """200,000 payments from two answers to the last commit, and COPY of the same rows."""
        half = self.payments
        begin = None
        ids = []
        before = self.stored()
        cpu = self.receiver_seconds()
        for _ in range(2):
            name, payments = self.body(LARGE, half)
            ids.append((payments[0]["trans_num"], payments[-1]["trans_num"]))
            ended = self.api.wait_for(name)
            begin = begin or ended
        while self.session.value("SELECT polling_since IS NOT NULL FROM fraud.source_state WHERE name = 'large'") == "t":
            time.sleep(0.05)
        cpu = self.receiver_seconds() - cpu
        self.until_stored(before + 2 * half)
        last = self.session.value("SELECT extract(epoch FROM max(pg_xact_commit_timestamp(xmin))) FROM fraud.transactions "
                                  "WHERE source = 'large' AND occurred_at > now() - interval '1 hour'")
        took = float(last) - begin
        self.report(f"receipt: parse, tokenise, durable, {2 * half:,} payments, by the receiver's processor time",
                    2 * half / cpu, "payments/s", "receipt")
        self.report(f"drain of {2 * half:,} payments, from the first answer's last byte to the last commit", 2 * half / took, "payments/s")
        folder = pathlib.Path(self.session.value("SHOW data_directory"))
        first_id = int(ids[0][0].split("-")[1])
        month = self.session.value("SELECT tableoid::regclass FROM fraud.transactions ORDER BY occurred_at DESC LIMIT 1")
        rows = f"SELECT * FROM {month} WHERE transaction_id LIKE 'live-%' AND split_part(transaction_id, '-', 2)::int >= {first_id}"
        self.session.run(f"COPY ({rows}) TO '{folder}/rows' (FORMAT binary)")
        copies = []
        for _ in range(self.rounds):
            self.session.run(f"CREATE TABLE copied (LIKE {month} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)")
            start = time.time()
            self.session.run(f"COPY copied FROM '{folder}/rows' (FORMAT binary)")
            copies.append(time.time() - start)
            indexes = self.session.value("SELECT count(*) FROM pg_index WHERE indrelid = 'copied'::regclass")
            copied = int(self.session.value("SELECT count(*) FROM copied"))
            self.session.run("DROP TABLE copied")
        if copied != 2 * half:
            raise RuntimeError(f"{copied} rows of {2 * half} were copied")
        self.report(f"COPY of the same rows into a table with the same {indexes} indexes", copied / statistics.median(copies), "payments/s")
        self.report(f"drain of {2 * half:,} payments ÷ that COPY", took / statistics.median(copies), "×", "drain")

    def receiver_seconds(self):
        pid = self.session.value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'fraud_detect ingest' AND datname = current_database()")
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def deadlocks(self):
        """Sets of confirms, labels and payments of 60 cards, side by side."""
        self.session.run("SELECT fraud.promote('payments', 1, review_at => 0, block_at => 1, reason => 'cases', override_gate => true)")
        count = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        before = int(self.session.value(count))
        end = time.time() + max(5, self.seconds * 3)
        failed, done = [], [0, 0, 0]

        def run(kind, statement):
            session = Session()
            while time.time() < end:
                try:
                    session.run(statement())
                    done[kind] += 1
                except RuntimeError as error:
                    failed.append(str(error))
                    session = Session()
            session.close()

        def ingest():
            payments = json.dumps([self.payment(card=self.random.randrange(60)) for _ in range(20)])
            return f"SELECT count(*) FROM fraud.ingest('{payments}')"

        def label():
            return ("SELECT count(*) FROM fraud.label(ARRAY(SELECT transaction_id FROM fraud.alerts "
                    "ORDER BY random() LIMIT 50), random() < 0.5, 'chargeback')")

        def confirm():
            return ("SELECT count(*) FROM fraud.confirm_cases(ARRAY(SELECT case_id FROM fraud.cases "
                    "WHERE status = 'open' ORDER BY random() LIMIT 20), overrule => true)")
        threads = [threading.Thread(target=run, args=a) for a in ((0, ingest), (0, ingest), (0, ingest), (1, label), (2, confirm))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(1)  # the statistics' own delay
        found = int(self.session.value(count)) - before
        if failed and not found:
            raise RuntimeError(failed[0])
        self.report(f"deadlocks among {done[0]:,} ingests of 20, {done[1]:,} labels of 50 and {done[2]:,} confirms of 20, on 60 cards, "
                    f"{max(5, self.seconds * 3)} s", found, "", "deadlocks")

    def run(self):
        self.warm()
        self.quiet_source()
        self.held()
        self.alerts()
        self.scaling()
        self.drain()
        self.deadlocks()


def main():
    bench = Bench(*(int(a) for a in sys.argv[1:4]))
    date, load = time.strftime("%Y-%m-%d"), os.getloadavg()[0]
    bench.run()
    json.dump({"date": date, "load": load, "postgres": bench.session.value("SHOW server_version"), "results": bench.results}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
