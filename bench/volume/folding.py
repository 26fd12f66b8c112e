"""What it takes to make tiles: processor time, disk, and what a payment beside it feels."""
import threading
import time

from history import Folders
from libpq import Connection
from online import Ours, percentile
from place import as_json

SET = "(SELECT set_id FROM fraud.tile_sets WHERE feature_set = 'payments')"
TRANSACTIONS = ("SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid "
                "WHERE i.inhparent = 'fraud.transactions'::regclass")
# What tiles stand for: payments of tiled keys in the time that is covered, each once.
COVERED = ("SELECT count(*) FROM fraud.transactions t WHERE EXISTS (SELECT FROM fraud.tiled_keys k WHERE k.parts[1] IN (t.merchant, t.card::text) "
           "AND t.occurred_at >= k.covered_from AND t.occurred_at < k.covered_to)")
# By key: pages, tiles, and their bytes. A page says in its first bytes which tiles it has.
BY_KEY = ("SELECT k.parts[1], count(*), sum(bit_count(substr(t.page, 2, 8))), sum(pg_column_size(t.*)), "
          "sum(bit_count(substr(t.page, 2, 8))) FILTER (WHERE t.shift = k.shift), k.shift, count(*) FILTER (WHERE t.key_no <> t.reader_no) "
          "FROM fraud.tiles t JOIN fraud.tiled_keys k ON k.set_id = t.set_id AND k.key_no = t.reader_no AND k.key = t.reader_key "
          "GROUP BY k.parts[1], k.shift, k.key")


def fold_anew(place, session):
    session.run(f"SELECT fraud._drop_tiles({SET}, false)")
    session.run("VACUUM fraud.tiles, fraud.tiled_keys, fraud.tile_requests")
    place.fold(session)


def folding(bench):
    """Few keys, all of them tiled: their history, then payments that come in the same density."""
    place = bench.few()
    session = place.connect()
    costs = [] if place.folded is None else [place.folded / place.stored]
    for _ in range(bench.refolds):
        fold_anew(place, session)
        costs.append(place.folded / place.stored)
    bench.report(f"folding a history, processor time a payment, all of whose keys are tiled (median of {len(costs)})",
                 percentile(costs, 0.5) * 1e6, "µs", "fold")
    ours = Ours(place)
    for count, size in bench.pieces:
        come(bench, place, session, ours, count, size)
    ours.connection.close()
    session.close()


# How often a payment since a time is in tiles: once for its card, once for its merchant.
IN_TILES = ("SELECT count(*) FROM fraud.tiled_keys k JOIN fraud.transactions t ON t.occurred_at >= to_timestamp({0}) AND t.occurred_at < k.covered_to "
            "AND CASE WHEN k.key_no = {1} THEN t.card::text ELSE t.merchant END = k.parts[1]")


def come(bench, place, session, ours, count, size):
    """Payments in the history's density, folded whenever so many have come, and not between; divided by what came into tiles."""
    pace = place.days * 86400000 // place.stored
    card_no = session.value("SELECT min(k.key_no) FROM fraud.tiled_keys k WHERE k.parts[1] IN (SELECT c.card::text FROM fraud.customers c)")
    in_tiles = IN_TILES.format(place.clock / 1000, card_no)
    before = int(session.value(in_tiles))
    folders = Folders(place.name)
    for _ in range(count):
        session.run("BEGIN")
        session.run("SELECT fraud._lock('tiles')")
        for _ in range(size // 100):
            payments = []
            for _ in range(100):
                place.clock += pace
                payments.append(place.payment())
            ours.store(payments)
        session.run("SELECT fraud.request_tiles('payments')")
        session.run("COMMIT")
        folders.run(session)
    seconds = folders.seconds()
    folders.close()
    folded = (int(session.value(in_tiles)) - before) / 2
    if folded < count * size / 4:
        raise RuntimeError(f"of {count * size} payments {folded} are in tiles")
    bench.report(f"folding payments as they come, every {size:,} of them, {size // bench.size.few[1]} of each key: processor time a payment of the "
                 f"{folded:,.0f} that came into tiles", seconds / folded * 1e6, "µs", "fold")


def disk(bench):
    """Bytes of fraud.tiles, with its index, for the payments that they stand for."""
    for place, what in ((bench.few(), "few keys, all tiled"), (bench.large(), "heavy keys beside ordinary ones")):
        session = place.connect()
        if place.folded is None:
            fold_anew(place, session)
        session.run("VACUUM fraud.tiles")
        tiles = int(session.value("SELECT pg_total_relation_size('fraud.tiles')"))
        all_bytes = int(session.value(TRANSACTIONS))
        payments = int(session.value("SELECT count(*) FROM fraud.transactions"))
        covered = int(session.value(COVERED))
        bench.report(f"disk of tiles ÷ of the payments that they stand for, {what}", tiles / (all_bytes * covered / payments), "×", "disk")
        bench.report(f"fraud.tiles with its index, a payment of the {covered:,} that they stand for, {what}", tiles / covered, "bytes")
        if place is bench.large():
            bench.report(f"folding the history of heavy keys beside ordinary ones, processor time a payment of the {covered:,} that tiles stand for",
                         place.folded / covered * 1e6, "µs", "fold")
        session.close()


def kept(bench):
    """By key: what its tiles are, for the table of docs/features.md."""
    place = bench.large()
    session = place.connect()
    cards = {card: count for card, count in session.run(
        f"SELECT parts[1], events FROM fraud.tiled_keys WHERE key_no = 0 AND set_id = {SET}")}
    names = {f"Merchant {place.merchant(count)}": ("merchant", count) for count in place.heavy_merchants}
    for card, events in cards.items():
        near = min(place.heavy_cards, key=lambda count: abs(count - int(events)))
        if abs(near - int(events)) < near // 5:
            names[card] = ("card", near)
    each = int(session.value(TRANSACTIONS)) / int(session.value("SELECT count(*) FROM fraud.transactions"))
    for part, pages, tiles, size, finest, shift, dependent in session.run(BY_KEY):
        if part in names:
            kind, count = names[part]
            bench.keys.append({"kind": kind, "payments": count, "pages": int(pages), "of_pairs": int(dependent), "tiles": int(tiles),
                               "finest": int(finest or 0), "minutes": 2 ** int(shift) / 6e7, "bytes": int(size), "share": int(size) / count / each})
    bench.keys.sort(key=lambda key: (key["kind"], key["payments"]))
    session.close()


class Turns:
    """A session in a thread of its own, which folds, computes something else, or keeps all folders off, in turns."""

    def __init__(self, place, seconds, turns):
        self.place, self.seconds, self.turns = place, seconds, turns
        self.now, self.fault, self.steps = None, None, 0
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        session = self.place.connect()
        try:
            for _ in range(self.turns):
                for what in ("idle", "folding", "other"):
                    getattr(self, what)(session)
        except Exception as fault:  # the main thread raises it
            self.fault = fault
        finally:
            session.close()
            self.now = "end"

    def until(self, what, work):
        end = time.monotonic() + self.seconds
        self.now = what
        while time.monotonic() < end:
            work()
        self.now = None

    def folding(self, session):
        def step():
            if session.value("SELECT fraud.fold_tiles_step()") == "more":
                self.steps += 1
                return
            # All is made: once more from the beginning.
            self.now = None
            session.run(f"SELECT fraud._drop_tiles({SET}, false)")
            session.run("SELECT fraud.request_tiles('payments')")
            self.now = "folding"
        self.until("folding", step)

    def without_folders(self, session, what, work):
        session.run("BEGIN")
        session.run("SELECT fraud._lock('tiles')")
        self.until(what, work)
        session.run("COMMIT")

    def idle(self, session):
        self.without_folders(session, "idle", lambda: time.sleep(0.02))

    def other(self, session):
        self.without_folders(session, "other", lambda: session.run("SELECT count(*) FROM generate_series(1, 100000)"))


def delay(bench):
    """Payments of ordinary keys, by the client's clock, while tiles are made, while another session computes
    something else, and while neither does."""
    place = bench.large()
    ours = Ours(place)
    for _ in range(bench.warm):
        ours.store(place.payment())
    turns = Turns(place, bench.turn_seconds, bench.turns)
    times = {"idle": [], "folding": [], "other": []}
    while turns.now != "end":
        text = as_json(place.payment())
        before = turns.now
        begin = time.perf_counter()
        ours.execute(text)
        spent = time.perf_counter() - begin
        if before == turns.now and before in times:
            times[before].append(spent)
        time.sleep(0.001)
    turns.thread.join()
    if turns.fault:
        raise turns.fault
    if not turns.steps:
        raise RuntimeError("nothing was folded")
    p99 = {what: percentile(found, 0.99) for what, found in times.items()}
    for what, name in (("idle", "nobody folding"), ("folding", "tiles being made"), ("other", "another session busy with something else")):
        bench.report(f"one payment and its commit, client's clock, p99 of {len(times[what]):,}, {name}", p99[what] * 1e3, "ms")
    bench.report("median by a fold under way less median without", (percentile(times["folding"], 0.5) - percentile(times["idle"], 0.5)) * 1e3, "ms")
    bench.report(f"a payment's delay by a fold under way, p99 less p99 without ({turns.steps:,} pieces of folding)", (p99["folding"] - p99["idle"]) * 1e3, "ms", "delay")
    # What has been begun is brought to its end.
    session = place.connect()
    session.run("SELECT fraud.request_tiles('payments')")
    session.run("CALL fraud.fold_tiles('1 minute')")
    session.close()
    ours.connection.close()
