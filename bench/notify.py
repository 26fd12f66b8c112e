"""Measures deliveries: alerts go from the outbox of the server that libpq's environment names
(PGHOST, …) to a receiver of this program's own, which answers at once. Three databases, made
anew, take turns, so that what else the machine does is shared: in one nothing waits, in one a
hundred deliveries to a receiver that is dead, in one as many as asked for.

    notify.py ALERTS WAITING ROUNDS SECONDS

ALERTS is the size of a burst, WAITING how many wait in the third, ROUNDS how often they take
turns, SECONDS how long a hundred alerts a second go. Times are taken where they are made: the
arrival at the receiver here, commits from track_commit_timestamp, which must be on; both are of
this machine's clock. Prints JSON: a list of measurements with a unit.
"""
import asyncio
import json
import multiprocessing
import os
import pathlib
import re
import statistics
import sys
import time

from session import Session

ALERT = re.compile(rb'"alert_id":\s*(\d+)')
LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
PATH = re.compile(rb"^POST /(\S*)")


class Request(asyncio.Protocol):
    """Answers each request of a connection with 200, and notes when it was there."""

    arrivals = {}  # path → [(when, alert)]

    def connection_made(self, transport):
        self.transport = transport
        self.bytes = b""

    def data_received(self, data):
        self.bytes += data
        while True:
            end = self.bytes.find(b"\r\n\r\n") + 4
            if end < 4:
                return
            size = end + int(LENGTH.search(self.bytes, 0, end)[1])
            if len(self.bytes) < size:
                return
            request, self.bytes = self.bytes[:size], self.bytes[size:]
            alert = ALERT.search(request, end)
            self.arrivals.setdefault(PATH.match(request)[1].decode(), []).append(
                (time.time(), int(alert[1]) if alert else None))
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def receive(pipe):
    """The receiver's process: says its port, then for each path asked for what has arrived since."""
    async def serve():
        server = await asyncio.get_running_loop().create_server(Request, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        loop = asyncio.get_running_loop()

        def answer():
            path = pipe.recv()
            pipe.send(Request.arrivals.pop(path, []))

        loop.add_reader(pipe.fileno(), answer)
        await server.serve_forever()

    asyncio.run(serve())


class Receiver:
    def __init__(self):
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=receive, args=(theirs,), daemon=True)
        self.process.start()
        self.port = self.pipe.recv()

    def url(self, path):
        return f"http://127.0.0.1:{self.port}/{path}"

    def take(self, path):
        self.pipe.send(path)
        return self.pipe.recv()

    def wait_for(self, path, count, seconds=600):
        """The arrivals at a path, when there are so many."""
        arrived, end = [], time.monotonic() + seconds
        while len(arrived) < count:
            if time.monotonic() > end:
                raise RuntimeError(f"{len(arrived)} of {count} alerts arrived within {seconds} s")
            time.sleep(0.02)
            arrived += self.take(path)
        return arrived


class Place:
    """A database with a channel to the receiver, and one to nobody, for which so many wait."""

    def __init__(self, name, waiting, receiver):
        self.name, self.waiting, self.receiver = name, waiting, receiver
        self.alerts = 0
        admin = Session("postgres")
        admin.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.run(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
        admin.close()
        self.session = Session(name)
        if self.session.value("SHOW track_commit_timestamp") != "on":
            raise RuntimeError("track_commit_timestamp must be on")
        self.session.run("CREATE EXTENSION fraud_detect")
        self.session.run("CREATE TABLE sent (alert_id bigint PRIMARY KEY)")
        self.session.run(f"SELECT fraud.add_channel('quick', 'webhook', '{receiver.url(name)}', repeats => true)")
        self.session.run("SELECT fraud.add_channel('dead', 'webhook', 'http://127.0.0.1:1/', takes => '{report}')")
        if waiting > 0:
            self.fill()
        self.session.run("VACUUM ANALYZE fraud.outbox, fraud.notifications, fraud.notification_messages, fraud.notification_attempts")
        self.session.run("CHECKPOINT")

    def fill(self):
        """Has deliveries wait, as if their messages had been addressed."""
        self.session.run("SELECT fraud.pause_channel('dead')")
        self.session.run("WITH told AS (INSERT INTO fraud.outbox (kind, payload, dispatched_at, notified_at) "
                         f"SELECT 'report', jsonb_build_object('day', i), now(), now() FROM generate_series(1, {self.waiting}) i RETURNING outbox_id), "
                         "numbered AS MATERIALIZED (SELECT nextval('fraud.notifications_notification_id_seq') AS id, outbox_id FROM told), "
                         "made AS (INSERT INTO fraud.notifications (notification_id, channel, kind, digest) OVERRIDING SYSTEM VALUE "
                         "SELECT id, 'dead', 'report', false FROM numbered) "
                         "INSERT INTO fraud.notification_messages (notification_id, outbox_id) SELECT id, outbox_id FROM numbered")
        self.session.run("SELECT fraud.resume_channel('dead')")

    def worker_time(self):
        """Seconds of a processor that the notify worker has had."""
        pid = self.session.value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'fraud_detect notify' AND datname = current_database()")
        return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9

    def raise_alerts(self, count):
        """Puts alerts into the outbox, in one transaction."""
        first, self.alerts = self.alerts + 1, self.alerts + count
        self.session.run("WITH s AS (INSERT INTO sent SELECT generate_series"
                         f"({first}, {self.alerts})) INSERT INTO fraud.outbox (kind, payload) SELECT 'alert', jsonb_build_object("
                         "'alert_id', i, 'case_id', i, 'case_alerts', 1, 'escalated', false, 'transaction_id', 'bench-' || i, 'card', gen_random_uuid(), "
                         "'last_four', '0002', 'occurred_at', now(), 'amount', 12.5, 'merchant', 'Corner Shop', 'category', 'misc_pos', 'score', 0.71, "
                         "'decision', 'review', 'model', 'payments/1', 'reasons', jsonb_build_array('amount 12.50', 'the third payment within the hour')) "
                         f"FROM generate_series({first}, {self.alerts}) i; SELECT fraud._wake_notify_worker()")

    def burst(self, count):
        """Deliveries a second, and the worker's time for each."""
        before = self.worker_time()
        begin = time.time()
        self.raise_alerts(count)
        arrived = self.receiver.wait_for(self.name, count)
        took = max(at for at, _ in arrived) - begin
        # What is delivered is to be noted, too.
        while int(self.session.value("SELECT count(*) FROM fraud.notifications WHERE state = 'sending' AND channel = 'quick'")):
            time.sleep(0.01)
        return count / took, (self.worker_time() - before) / count


class Bench:
    def __init__(self, alerts, waiting, rounds, seconds):
        self.alerts, self.waiting, self.rounds, self.seconds = alerts, waiting, rounds, seconds
        self.results = []
        self.receiver = Receiver()
        database = os.environ["PGDATABASE"]
        self.places = {name: Place(f"{database}_{name}", number, self.receiver)
                       for name, number in (("none", 0), ("few", 100), ("many", waiting))}

    def report(self, what, value, unit, bar=None):
        self.results.append({"what": what, "value": value, "unit": unit, **({"bar": bar} if bar else {})})
        print(f"{what}: {value:.4g} {unit}", file=sys.stderr, flush=True)

    def backlog(self):
        for place in self.places.values():  # caches, connections, plans
            place.burst(max(self.alerts // 4, 1))
        measured = {name: [] for name in self.places}
        for turn in range(self.rounds):
            names = list(self.places)
            for name in names if turn % 2 == 0 else reversed(names):
                measured[name].append(self.places[name].burst(self.alerts))
        rate = {name: [m[0] for m in found] for name, found in measured.items()}
        spent = {name: [m[1] for m in found] for name, found in measured.items()}
        many = f"{self.waiting:,}"
        self.report("deliveries to one receiver that answers at once, nothing else waiting", statistics.median(rate["none"]), "a second", "rate")
        self.report(f"the same with {many} waiting for a dead one", statistics.median(rate["many"]), "a second")
        self.report(f"deliveries a second with {many} waiting for a dead channel ÷ with none, median of {self.rounds} turns",
                    statistics.median(a / b for a, b in zip(rate["many"], rate["none"])), "×", "backlog")
        self.report("the notify worker's processor time a delivery, 100 waiting", statistics.median(spent["few"]) * 1e6, "µs")
        self.report(f"the same at {many} waiting ÷ at 100, median of {self.rounds} turns",
                    statistics.median(a / b for a, b in zip(spent["many"], spent["few"])), "×", "work")

    def latency(self):
        place = self.places["many"]
        begin = time.monotonic()
        count, first = int(100 * self.seconds), place.alerts + 1
        for i in range(count):
            wait = begin + i / 100 - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            place.raise_alerts(1)
        arrived = {alert: at for at, alert in self.receiver.wait_for(place.name, count)}
        committed = {int(alert): float(at) for alert, at in (line.split("|") for line in place.session.run(
            f"SELECT alert_id, extract(epoch FROM pg_xact_commit_timestamp(xmin)) FROM sent WHERE alert_id >= {first}"))}
        waits = sorted(arrived[alert] - at for alert, at in committed.items())
        rate = count / (max(committed.values()) - min(committed.values())) if count > 1 else 0
        self.report(f"from an alert's commit to the receiver, p99 of {count:,} alerts, {rate:.0f} a second, {self.waiting:,} waiting for a dead channel",
                    waits[int(0.99 * (len(waits) - 1))], "s", "told")
        self.report("the same, median", statistics.median(waits), "s")

    def old_snapshot(self):
        """What went through while somebody holds a snapshot is in nobody's way."""
        place = self.places["none"]
        before = [place.burst(self.alerts)[1] for _ in range(3)]
        other = Session(place.name)
        other.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
        other.run("SELECT count(*) FROM fraud.notifications")
        for _ in range(4):
            place.burst(self.alerts)
        beside = [place.burst(self.alerts)[1] for _ in range(3)]
        other.run("COMMIT")
        other.close()
        self.report(f"the worker's time a delivery beside a snapshot held while {4 * self.alerts:,} deliveries went ÷ before",
                    statistics.median(beside) / statistics.median(before), "×")

    def run(self):
        self.backlog()
        self.latency()
        self.old_snapshot()


def main():
    date, load = time.strftime("%Y-%m-%d"), os.getloadavg()[0]
    bench = Bench(*(int(a) for a in sys.argv[1:5]))
    bench.run()
    postgres = bench.places["none"].session.value("SHOW server_version")
    json.dump({"date": date, "load": load, "postgres": postgres, "results": bench.results}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
