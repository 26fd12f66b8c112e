"""What a payment costs that comes by itself, or in a batch: fraud.ingest and fraud.assess
beside a plain INSERT of a row that is as wide, into a table with the same indexes.

In the server means: the processor time of the backend for the statement, in a transaction
that began before it and is committed after it. Payments are given to both sides in turns.
"""
import json
import statistics
import time

from place import as_json, plain_copy, plain_insert, plain_row

INGEST = "SELECT transaction_id, status, score, decision, error FROM fraud.ingest($1::text)"


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


class Ours:
    """A connection that stores by fraud.ingest."""

    def __init__(self, place, settings=("synchronous_commit = off",)):
        self.connection = place.connect(settings)
        self.execute = self.connection.prepare("ingest", INGEST)

    def store(self, payments):
        """Stores one payment, or a list of them."""
        found = self.execute(as_json(payments))
        if any(status != "stored" for _, status, _, _, _ in found):
            raise RuntimeError(f"not stored: {[f for f in found if f[1] != 'stored'][0]}")
        return found

    def seconds(self, payments, whole=False):
        """The same in its own transaction, and how long the backend took for it."""
        return in_transaction(self.connection, lambda: self.store(payments), whole)


def in_transaction(connection, work, whole=False):
    """Returns how long the backend took: without BEGIN and COMMIT, or as a whole."""
    first = connection.processor_seconds()
    connection.run("BEGIN")
    before = connection.processor_seconds()
    work()
    spent = connection.processor_seconds() - before
    connection.run("COMMIT")
    return connection.processor_seconds() - first if whole else spent


class Plain:
    """A connection that stores by INSERT, or by COPY."""

    def __init__(self, place, settings=("synchronous_commit = off",)):
        self.connection = place.connect(settings)
        self.inserts = {}

    def store(self, payments):
        payments = payments if isinstance(payments, list) else [payments]
        if len(payments) not in self.inserts:
            self.inserts[len(payments)] = self.connection.prepare(f"plain{len(payments)}", plain_insert(len(payments)))
        self.inserts[len(payments)](*(value for p in payments for value in plain_row(p)))

    def copy(self, payments):
        self.connection.copy("COPY plain FROM STDIN", plain_copy(payments))

    def seconds(self, payments, copy=False):
        store = self.copy if copy else self.store
        return in_transaction(self.connection, lambda: store(payments))


def in_turns(place, count, size, ours, plain, copy=False, warm=10):
    """Returns the seconds of `count` payments or batches, ours and the plain ones."""
    times = ([], [])
    for turn in range(-warm, count):
        payments = place.payment() if size == 1 else place.batch(size)
        sides = [(times[0], lambda: ours.seconds(payments)), (times[1], lambda: plain.seconds(payments, copy))]
        # Who comes second finds more in the processor's caches.
        for kept, seconds in sides[::-1] if turn % 2 else sides:
            spent = seconds()
            if turn >= 0:
                kept.append(spent / size)
    return times


def ingest(bench):
    """One payment a transaction; batches of 100 and of 1,000."""
    place = bench.large()
    ours, plain = Ours(place), Plain(place)
    for size, count, copy, what, bar in (
            (1, bench.singles, False, "one payment a transaction ÷ a plain INSERT", "single"),
            (100, bench.batches, False, "a batch of 100, each payment ÷ a multi-row INSERT of 100", "batch100"),
            (1000, max(2, bench.batches // 5), True, "a batch of 1,000, each payment ÷ COPY of 1,000", "batch1000")):
        times, theirs = in_turns(place, count, size, ours, plain, copy, bench.warm if size == 1 else 2)
        a, b = statistics.median(times), statistics.median(theirs)
        name = {1: "one payment a transaction", 100: "in batches of 100", 1000: "in batches of 1,000"}[size]
        bench.report(f"fraud.ingest, {name}, a payment", a * 1e6, "µs")
        bench.report(f"{'COPY' if copy else 'plain INSERT'}, {name}, a row", b * 1e6, "µs")
        bench.report(f"fraud.ingest, {what}", a / b, "×", bar)
    ours.connection.close()
    plain.connection.close()


def assess(bench):
    """A customer and a merchant that nothing is stored of."""
    place = bench.large()
    plain = Plain(place)
    connection = place.connect()
    # How reasons are left out: by an argument, where fraud.assess has one.
    argument = connection.run("SELECT a FROM pg_proc p, unnest(p.proargnames) WITH ORDINALITY a(a, n) WHERE p.oid::regprocedure::text "
                              "LIKE 'fraud.assess(jsonb%' AND a.n <= p.pronargs AND a LIKE '%reason%'")
    without, included = (f", {argument[0][0]} => {value}" if argument else "" for value in ("false", "true"))
    statements = {"without": connection.prepare("without", f"SELECT score, decision FROM fraud.assess($1::jsonb{without})"),
                  "with": connection.prepare("with", f"SELECT score, decision, reasons FROM fraud.assess($1::jsonb{included})")}
    times = {"without": [], "with": [], "plain": []}
    order = list(times)
    for turn in range(-bench.warm, bench.singles):
        order.append(order.pop(0))
        for name in order if turn % 2 else reversed(order):
            if name == "plain":
                payment = place.payment()
                spent = plain.seconds(payment)
                bench.keep(place, payment)
            else:
                stranger = place.cards + 1000 + place.made  # no two are alike
                text = json.dumps(place.payment(stranger, stranger))
                spent = in_transaction(connection, lambda: statements[name](text))
            if turn >= 0:
                times[name].append(spent)
    a, b, c = (statistics.median(times[name]) for name in ("without", "with", "plain"))
    bench.report(f"fraud.assess, customer and merchant without a past, {'without' if argument else 'with'} reasons", a * 1e6, "µs")
    bench.report(f"fraud.assess {'without' if argument else 'with'} reasons ÷ a plain INSERT", a / c, "×", "assess")
    if argument:
        bench.report("what reasons add to fraud.assess ÷ a plain INSERT", (b - a) / c, "×", "reasons")
    else:
        bench.note("what reasons add to fraud.assess (it makes them always)")
    connection.close()
    plain.connection.close()


def sizes(bench):
    """The same at a small and at a large stored volume, in turns."""
    places = {place.payments: place for place in (bench.small(), bench.large())}
    sides = {size: (Ours(place), Plain(place)) for size, place in places.items()}
    times = {size: [] for size in places}
    for turn in range(-bench.warm, bench.singles):
        for size, (ours, plain) in sides.items():
            payment = places[size].payment()
            spent = ours.seconds(payment)
            plain.seconds(payment)
            if turn >= 0:
                times[size].append(spent)
    for size, found in times.items():
        for share in (0.5, 0.99):
            bench.report(f"fraud.ingest, one payment a transaction, {size:,} stored, p{share * 100:.0f}", percentile(found, share) * 1e6, "µs")
    small, large = sorted(times)
    bench.report(f"p99 at {large:,} stored ÷ at {small:,}", percentile(times[large], 0.99) / percentile(times[small], 0.99), "×", "p99")
    for ours, plain in sides.values():
        ours.connection.close()
        plain.connection.close()


def months(bench):
    """Many months beside few, and the locks of a payment."""
    few, many = bench.parted(bench.small(), 5), bench.parted(bench.place("months", bench.stored_small), bench.months)
    sides = {place.name: (place, Ours(place), Plain(place)) for place in (few, many)}
    times = {name: [] for name in sides}
    looks = few.connect()
    locks = {}
    for turn in range(-bench.warm, bench.singles):
        for name, (place, ours, plain) in sides.items():
            payment = place.payment()
            # With the commit: it lets go of the locks.
            spent = ours.seconds(payment, whole=True)
            plain.seconds(payment)
            if turn >= 0:
                times[name].append(spent)
    for name, (place, ours, plain) in sides.items():
        ours.connection.run("BEGIN")
        payment = place.payment()
        ours.store(payment)
        locks[name] = int(looks.value(f"SELECT count(*) FROM pg_locks WHERE pid = {ours.connection.pid}"))
        ours.connection.run("ROLLBACK")
    count = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'fraud.transactions'::regclass"
    parts = {name: int(ours.connection.value(count)) for name, (_, ours, _) in sides.items()}
    bench.report(f"fraud.ingest, one payment a transaction and its commit, {parts[many.name]} months ÷ {parts[few.name]}",
                 statistics.median(times[many.name]) / statistics.median(times[few.name]), "×", "months")
    for name in sides:
        bench.report(f"locks that a payment's transaction holds, {parts[name]} months", locks[name], "", "locks" if name == many.name else None)
    looks.close()
    for _, ours, plain in sides.values():
        ours.connection.close()
        plain.connection.close()


def clock(bench):
    """By the client's clock: statement, round trip and commit."""
    for flush in ("on", "off"):
        clock_with(bench, bench.large(), flush)


def clock_with(bench, place, flush):
    settings = (f"synchronous_commit = {flush}",)
    ours, plain = Ours(place, settings), Plain(place, settings)
    times = ([], [])
    for turn in range(-bench.warm, bench.singles):
        payment = place.payment()
        text = as_json(payment)
        values = plain_row(payment)
        if turn == -bench.warm:
            ours.store(payment)
            plain.store(payment)
            continue
        sides = [(times[0], ours.execute, (text,)), (times[1], plain.inserts[1], values)]
        for kept, execute, arguments in sides[::-1] if turn % 2 else sides:
            begin = time.perf_counter()
            execute(*arguments)
            if turn >= 0:
                kept.append(time.perf_counter() - begin)
    a, b = (statistics.median(found) for found in times)
    how = "client's clock, round trip and commit, " + (
        f"fsync {ours.connection.value('SHOW fsync')}" if flush == "on" else "not waiting for the disk")
    bench.report(f"fraud.ingest, {how}", a * 1e6, "µs")
    bench.report(f"plain INSERT, {how}", b * 1e6, "µs")
    bench.report(f"fraud.ingest ÷ plain INSERT, {how}", a / b, "×", "clock" if flush == "on" else None)
    ours.connection.close()
    plain.connection.close()


def loop(place, seconds, size):
    """Stores payments for so long, for a profiler; returns how many, and what one took in the backend."""
    ours = Ours(place)
    plain = Plain(place)
    for _ in range(20):
        payment = place.payment()
        ours.store(payment)
        plain.store(payment)
    print(f"backend {ours.connection.pid}: perf record -g -p {ours.connection.pid}", flush=True)
    end = time.monotonic() + seconds
    spent, count, stored = ours.connection.processor_seconds(), 0, []
    while time.monotonic() < end:
        payments = [place.payment()] if size == 1 else place.batch(size)
        ours.store(payments)
        stored.append(payments)
        count += size
    spent = ours.connection.processor_seconds() - spent
    print(f"{count:,} payments, {spent / count * 1e6:.1f} µs of the processor each, commit included", flush=True)
    for payments in stored:
        plain.store(payments)
    ours.connection.close()
    plain.connection.close()
