"""What a payment costs of keys with few payments and with many, with tiles and without them."""
import random
import statistics
import time

from history import MEMORY
from online import Ours


class Side:
    """A connection, and what is measured by it."""

    def __init__(self, place, tiles):
        self.tiles = tiles
        self.ours = Ours(place, ("synchronous_commit = off", MEMORY, f"fraud_detect.tiles = {'on' if tiles else 'off'}"))
        self.times = {}

    def store(self, key, payment, keep):
        spent = self.ours.seconds(payment)
        if keep:
            self.times.setdefault(key, []).append(spent)


def payment_of(place, kind, count):
    """One of the key that has so many payments; 0: of one that has none."""
    if kind == "ordinary":
        return place.payment()
    if kind == "merchant":
        return place.payment(merchant=place.merchant(count) if count else place.stranger())
    return place.payment(card=place.card(count) if count else place.stranger())


def turns_of(count, tiles, rounds):
    """Every how many rounds it is measured: what takes a second is not measured a thousand times."""
    return 1 if tiles or count <= 1000 else max(1, rounds // max(5, min(rounds, 200000 // count)))


def grow(bench, place):
    """Each key in turn, in an order of chance, with tiles and without. Returns (kind, count, tiles) -> seconds, the median."""
    shuffle = random.Random(5)
    sides = {tiles: Side(place, tiles) for tiles in (True, False)}
    keys = [(kind, count) for kind, counts in (("merchant", place.heavy_merchants), ("card", place.heavy_cards)) for count in (0, *counts)]
    keys.append(("ordinary", 0))
    # As many since the last tile as there are on average, if the folder makes more when 64 are.
    for kind, count in keys:
        if count:
            sides[True].ours.store([payment_of(place, kind, count) for _ in range(32)])
    # A round is as long as the heaviest card has between two payments.
    left = int(time.time() * 1000) - place.clock
    pace = min(26000, left // (bench.rounds + bench.warm + 1))
    for turn in range(-bench.warm, bench.rounds):
        place.clock += pace
        todo = [(kind, count, tiles) for kind, count in keys for tiles in sides
                if (tiles or count <= 1000 if turn < 0 else turn % turns_of(count, tiles, bench.rounds) == 0)]
        shuffle.shuffle(todo)
        for kind, count, tiles in todo:
            sides[tiles].store((kind, count), payment_of(place, kind, count), turn >= 0)
    found = {(kind, count, tiles): statistics.median(times) for tiles, side in sides.items() for (kind, count), times in side.times.items()}
    for side in sides.values():
        side.ours.connection.close()
    return found


def growth(bench):
    """The rows of the issue, and the curve; in each place that there is."""
    for place in (bench.small(), bench.large()):
        found = grow(bench, place)
        for kind, counts in (("merchant", place.heavy_merchants), ("card", place.heavy_cards)):
            for tiles in (True, False):
                bench.curves.append({"kind": kind, "tiles": tiles, "stored": place.stored, "points": [
                    [count, found[kind, count, tiles] * 1e6, found[kind, count, tiles] / found[kind, 0, True]] for count in (0, *counts)]})
            most = max(counts)
            bars = {"merchant": "merchant", "card": "card"} if place is bench.large() else {}
            bench.report(f"{place.stored:,} stored: {kind} with {most:,} payments in its windows ÷ ordinary {kind}",
                         found[kind, most, True] / found["ordinary", 0, True], "×")
            for tiles in (True, False):
                bench.report(f"{place.stored:,} stored: {kind} with {most:,} payments in its windows ÷ new {kind}"
                             + ("" if tiles else ", without tiles"), found[kind, most, tiles] / found[kind, 0, tiles], "×",
                             bars.get(kind) if tiles else None)
            bench.report(f"{place.stored:,} stored: one payment of a new {kind}", found[kind, 0, True] * 1e6, "µs")
        bench.report(f"{place.stored:,} stored: one payment of an ordinary card at an ordinary merchant", found["ordinary", 0, True] * 1e6, "µs")


def untiled(bench):
    """Ordinary keys beside tiled ones: fraud_detect.tiles on and off, the same payments' neighbours in turns."""
    place = bench.large()
    sides = {tiles: Side(place, tiles) for tiles in (True, False)}
    ratios = []
    for turn in range(-bench.warm, bench.untiled):
        order = (True, False, False, True) if turn % 2 else (False, True, True, False)
        for tiles in order:
            sides[tiles].store("ordinary", place.payment(), turn >= 0)
        if turn >= 0:
            on, off = (sum(sides[tiles].times["ordinary"][-2:]) for tiles in (True, False))
            ratios.append(on / off)
    on, off = (statistics.median(sides[tiles].times["ordinary"]) for tiles in (True, False))
    bench.report("one payment none of whose keys is tiled, fraud_detect.tiles = on", on * 1e6, "µs")
    bench.report("the same, off", off * 1e6, "µs")
    bench.report("what tiles add to a payment none of whose keys is tiled, median of pairs in turns", 100 * (statistics.median(ratios) - 1), "%", "untiled")
    for side in sides.values():
        side.ours.connection.close()
