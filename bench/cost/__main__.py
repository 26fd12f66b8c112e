"""Measures what a payment costs, on the server that libpq's environment names (PGHOST, …),
which must run on this machine, in databases of its own.

    python3 bench/cost [OPTION…]

    --size small|medium|full  a few payments of each, to see that it works; 1.7 million
                       stored (the default); or 10 million
    --rows NAME,…      only these groups of rows: ingest, assess, sizes, months, clock,
                       lean, disk, history, rebuild, drain
    --singles N, --batches N  how many are measured
    --databases NAME   makes databases NAME_large and so on (cost)
    --reuse            takes databases as an earlier run left them
    --loop SECONDS     measures nothing: stores payments for so long, by the pid that it
                       prints, for a profiler; --batch N: in batches

Databases stay, for --reuse. Prints JSON: a list of measurements with a unit, and bars.
"""
import argparse
import datetime
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import online
import stored
from libpq import Connection
from place import Place, say

#            large, small, months, singles, batches, warm, kept, simulated, drained
SCALES = {"small": (3000, 1500, 12, 12, 3, 8, 1500, (50, 20, 20), 2000),
          "medium": (1700000, 100000, 600, 2000, 40, 50, 100000, (3000, 500, 60), 100000),
          "full": (10000000, 100000, 600, 4000, 80, 50, 200000, (3000, 500, 60), 100000)}


class Bench:
    def __init__(self, options):
        (self.stored, self.stored_small, self.months, self.singles, self.batches, self.warm, self.kept, self.simulated,
         self.drained) = SCALES[options.size]
        self.singles = options.singles or self.singles
        self.batches = options.batches or self.batches
        self.reuse = options.reuse
        self.prefix = options.databases
        self.places = {}
        self.results = []
        self.notes = []

    def note(self, what):
        """Something that could not be measured."""
        self.notes.append(what)
        say(f"not measured: {what}")

    def report(self, what, value, unit, bar=None):
        self.results.append({"what": what, "value": value, "unit": unit, **({"bar": bar} if bar else {})})
        say(f"{what}: {value:.4g} {unit}")

    def name(self, of):
        return f"{self.prefix}_{of}"

    # Places are made when the first group needs them.
    def place(self, name, payments):
        if name not in self.places:
            self.places[name] = Place(self.name(name), payments, reuse=self.reuse)
        return self.places[name]

    def large(self):
        return self.place("large", self.stored)

    def small(self):
        return self.place("small", self.stored_small)

    def parted(self, place, months):
        """The place with at least so many months."""
        session = place.connect()
        for i in range(-2, months):
            if int(session.value("SELECT count(*) FROM pg_inherits WHERE inhparent = 'fraud.transactions'::regclass")) >= months:
                break
            session.run(f"SELECT fraud._ensure_partition(now() - {i} * interval '1 month')")
        session.close()
        return place

    def keep(self, place, payment):
        """Has fraud.ingest store what the plain table got by itself."""
        if not hasattr(place, "keeper"):
            place.keeper = online.Ours(place)
        place.keeper.store(payment)


def drain(bench):
    """bench/live.py's drain, with its COPY."""
    import live
    os.environ["PGDATABASE"] = bench.name("drain")
    feed = live.Bench(1, bench.drained, 1)
    feed.warm()
    feed.drain()
    # Receipt has its bar among the feed's.
    bench.results += [{key: value for key, value in entry.items() if (key, value) != ("bar", "receipt")} for entry in feed.results]


def lean(bench):
    import lean as program
    program.run(bench)


GROUPS = {"ingest": online.ingest, "assess": online.assess, "sizes": online.sizes, "months": online.months, "clock": online.clock,
          "lean": lean, "disk": stored.disk, "history": stored.history, "rebuild": stored.rebuild, "drain": drain}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SCALES, default="medium")
    parser.add_argument("--rows", default=",".join(GROUPS))
    parser.add_argument("--singles", type=int)
    parser.add_argument("--batches", type=int)
    parser.add_argument("--databases", default="cost")
    parser.add_argument("--reuse", action="store_true")
    parser.add_argument("--loop", type=float)
    parser.add_argument("--batch", type=int, default=1)
    options = parser.parse_args()
    unknown = [name for name in options.rows.split(",") if name not in GROUPS]
    if unknown:
        parser.error(f"no rows are named {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    bench = Bench(options)
    if options.loop:
        online.loop(bench.large(), options.loop, options.batch)
        return
    load = os.getloadavg()[0]
    for name in options.rows.split(","):
        GROUPS[name](bench)
    server = Connection("postgres")
    json.dump({"date": str(datetime.date.today()), "load": load, "load_after": os.getloadavg()[0],
               "postgres": server.value("SHOW server_version"), "results": bench.results, "notes": bench.notes}, sys.stdout, indent=1, ensure_ascii=False)
    print()


main()
