"""Measures what a payment costs whose keys have many payments, and what tiles take, on the server that
libpq's environment names (PGHOST, …), which must run on this machine, in databases of its own.

    python3 bench/volume [OPTION…]

    --size small|medium|full  a few payments of each, to see that it works; 1.3 million stored, of them a million
                       of one merchant (the default); or 10 million
    --rows NAME,…      only these groups of rows: growth, untiled, folding, disk, kept, delay
    --rounds N         how many rounds of the growth
    --databases NAME   makes databases NAME_large and so on (volume)
    --reuse            takes databases as an earlier run left them

Databases stay, for --reuse. Prints JSON: measurements with a unit, and bars; curves; keys.
"""
import argparse
import datetime
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cost"))

import folding
import payments
from history import History
from libpq import Connection
from place import say


class Size:
    """How much is stored, and how often it is measured."""

    def __init__(self, threshold, small, large, few, rounds, warm, untiled, refolds, pieces, turns):
        self.threshold = threshold
        self.small, self.large = small, large  # ordinary payments; of merchants; of cards
        self.few = few                         # payments, cards and merchants
        self.rounds, self.warm, self.untiled, self.refolds = rounds, warm, untiled, refolds
        self.pieces, self.turns = pieces, turns  # each: how many, of how many payments; how many, of how many seconds


SMALL = (78000, (1000, 10000), (1000, 10000))
HEAVY = ((1000, 10000, 100000, 1000000), (1000, 10000, 100000))
SIZES = {"small": Size(250, (500, (300,), (300,)), (1000, (300, 900), (300, 900)), (2000, 4), 3, 1, 3, 1, ((2, 200),), (1, 0.3)),
         "medium": Size(1000, SMALL, (79000, *HEAVY), (200000, 40), 200, 10, 1000, 2, ((10, 2000), (1, 20000)), (6, 4)),
         "full": Size(1000, SMALL, (8779000, *HEAVY), (200000, 40), 200, 10, 2000, 4, ((10, 2000), (1, 20000)), (10, 4))}


class Bench:
    def __init__(self, options):
        size = SIZES[options.size]
        self.size = size
        self.rounds = options.rounds or size.rounds
        self.warm, self.untiled, self.refolds = size.warm, size.untiled, size.refolds
        self.pieces = size.pieces
        self.turns, self.turn_seconds = size.turns
        self.prefix, self.reuse = options.databases, options.reuse
        self.places = {}
        self.results, self.notes, self.curves, self.keys = [], [], [], []

    def report(self, what, value, unit, bar=None):
        self.results.append({"what": what, "value": value, "unit": unit, **({"bar": bar} if bar else {})})
        say(f"{what}: {value:.4g} {unit}")

    # Places are made when the first group needs them.
    def place(self, name, *what, **options):
        if name not in self.places:
            self.places[name] = History(f"{self.prefix}_{name}", *what, threshold=self.size.threshold, reuse=self.reuse, **options)
        return self.places[name]

    def small(self):
        return self.place("small", *self.size.small)

    def large(self):
        return self.place("large", *self.size.large)

    def few(self):
        """Few keys, each with many payments of 30 days; time is left for those that come in the same density."""
        count, keys = self.size.few
        left = 30 * 86400 / count * sum(pieces * size for pieces, size in self.pieces)
        return self.place("few", count, days=30, keys=(keys, keys), gap=int(1.2 * left) + 60)


GROUPS = {"growth": payments.growth, "untiled": payments.untiled, "folding": folding.folding, "disk": folding.disk,
          "kept": folding.kept, "delay": folding.delay}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="medium")
    parser.add_argument("--rows", default=",".join(GROUPS))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--databases", default="volume")
    parser.add_argument("--reuse", action="store_true")
    options = parser.parse_args()
    unknown = [name for name in options.rows.split(",") if name not in GROUPS]
    if unknown:
        parser.error(f"no rows are named {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    bench = Bench(options)
    load = os.getloadavg()[0]
    for name in options.rows.split(","):
        GROUPS[name](bench)
    server = Connection("postgres")
    json.dump({"date": str(datetime.date.today()), "load": load, "load_after": os.getloadavg()[0],
               "postgres": server.value("SHOW server_version"), "results": bench.results, "notes": bench.notes,
               "curves": bench.curves, "keys": bench.keys}, sys.stdout, indent=1, ensure_ascii=False)
    print()


main()
