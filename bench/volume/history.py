"""A database whose history has keys of many payments beside ordinary ones.

Ordinary payments lie evenly in 60 days, as in bench/cost. Of each heavy merchant, and of each
heavy card, all payments lie in its windows; those of a merchant come from ordinary cards, those
of a card go to ordinary merchants, of which there are so many that none of them becomes heavy.
"""
import time

from libpq import Connection
from place import CATEGORIES, DAYS, PER_CARD, PER_MERCHANT, Place, card_number, card_of, home, say
from stored import watched

MERCHANT_DAYS, CARD_DAYS = 37, 30  # the reach of the windows of "payments"
MEMORY = "fraud_detect.feature_memory = '8GB'"  # what reads a heavy key's payments one by one needs more than the default
STRANGERS = 10**9  # from here on nothing is stored of cards and merchants


class History(Place):
    """`ordinary` payments, and merchants and cards with so many each; `days` and `keys` make a place of few keys
    instead. The history ends `gap` seconds ago, for those that come then."""

    def __init__(self, name, ordinary, merchants=(), cards=(), days=DAYS, keys=None, gap=10800, threshold=1000, reuse=False):
        self.heavy_merchants, self.heavy_cards = merchants, cards
        self.counts = (ordinary, sum(merchants), sum(cards))
        self.days, self.gap, self.threshold = days, gap, threshold
        self.keys = keys
        self.stored = sum(self.counts)
        self.folded = None  # seconds of the processor
        super().__init__(name, self.stored, plain=False, reuse=reuse)

    def begin(self):
        super().begin()
        self.cards, self.merchants = self.ordinary_keys()
        session = self.connect()
        self.first_stranger = STRANGERS + self.clock % STRANGERS * 1000
        # From the latest payment on: one that goes back in time leaves a mark.
        self.clock = int(float(session.value("SELECT extract(epoch FROM max(occurred_at)) * 1000 FROM fraud.transactions"))) + 1
        session.close()

    def ordinary_keys(self):
        ordinary, at_merchants, of_cards = self.counts
        if self.keys:
            return self.keys
        return max(20, round((ordinary + at_merchants) / PER_CARD)), max(20, round((ordinary + of_cards) / PER_MERCHANT))

    def merchant(self, count):
        """The number of the merchant that has so many payments."""
        return self.merchants + self.heavy_merchants.index(count)

    def card(self, count):
        return self.cards + self.heavy_cards.index(count)

    def stranger(self):
        return self.first_stranger + self.made

    def load(self, session):
        self.cards, self.merchants = self.ordinary_keys()
        say(f"{self.name}: {self.stored:,} payments of {self.cards:,} cards and {self.merchants:,} merchants, "
            f"merchants with {self.heavy_merchants}, cards with {self.heavy_cards} …")
        admin = Connection("postgres")
        admin.run(f"ALTER DATABASE {self.name} SET fraud_detect.tile_threshold = {self.threshold}")
        admin.close()
        session.run(f"SET fraud_detect.tile_threshold = {self.threshold}")
        session.run(f"SET {MEMORY}")
        session.run("CREATE UNLOGGED TABLE customers (i int PRIMARY KEY, number text, latitude float8, longitude float8)")
        session.copy("COPY customers FROM STDIN", "".join(
            "%d\t%d\t%r\t%r\n" % (i, card_number(i), *home(i)) for i in range(self.cards + len(self.heavy_cards))).encode())
        session.run("SELECT setseed(0.5)")
        card, merchant = (f"floor(random() * {count})::int" for count in (self.cards, self.merchants))
        parts = [("h", self.counts[0], self.days, card, merchant)]
        parts += [(f"m{k}", count, MERCHANT_DAYS, card, self.merchants + k) for k, count in enumerate(self.heavy_merchants)]
        parts += [(f"c{k}", count, CARD_DAYS, self.cards + k, merchant) for k, count in enumerate(self.heavy_cards)]
        payments = " UNION ALL ".join(
            f"SELECT '{prefix}-' || n AS id, random() * {days} AS days, {of} AS card, {at} AS merchant FROM generate_series(1, {count}) n"
            for prefix, count, days, of, at in parts)
        categories = ", ".join(f"'{c}'" for c in CATEGORIES)
        session.run(
            "CREATE UNLOGGED TABLE history AS "
            f"SELECT r.id AS trans_num, date_trunc('milliseconds', now() AT TIME ZONE 'UTC' - interval '{self.gap} seconds' "
            " - r.days * interval '1 day') AS trans_date_trans_time, c.number AS cc_num, 'Merchant ' || r.merchant AS merchant, "
            f" (ARRAY[{categories}])[1 + r.merchant % {len(CATEGORIES)}] AS category, "
            " round(exp(2 + 1.1 * (random() + random() + random()))::numeric, 2) AS amt, "
            " 'Ada' AS first, 'Moss' AS last, 'F' AS gender, '1 Main Street' AS street, 'Springfield' AS city, 'IL' AS state, '62701' AS zip, "
            " c.latitude AS lat, c.longitude AS long, 114394 AS city_pop, 'Engineer' AS job, date '1980-05-17' AS dob, "
            " c.latitude + random() AS merch_lat, c.longitude + random() AS merch_long, (random() < 0.005)::int AS is_fraud "
            f"FROM ({payments}) r JOIN customers c ON c.i = r.card")
        session.run("ANALYZE history")
        self.loaded = watched(session, "SELECT fraud.load_history('history')")
        if self.loaded.value != str(self.stored):
            raise RuntimeError(f"{self.loaded.value} payments of {self.stored} were stored")
        session.run("DROP TABLE history, customers")
        # Or a worker would, beside what is measured.
        session.run("SELECT fraud.refresh_rollups()")
        session.run("VACUUM (ANALYZE)")
        self.fold(session, 'The history')

    def fold(self, session, what="Again"):
        """Has tiles made of all keys that have many payments; keeps the processor's seconds."""
        asked = int(session.value("SELECT fraud.request_tiles('payments')"))
        folders = Folders(self.name)
        begin = time.monotonic()
        folders.run(session)
        self.folded = folders.seconds()
        folders.close()
        say(f"{what}: tiles of {asked} keys, {self.folded:.2f} s of the processor, {time.monotonic() - begin:.1f} s by the clock")
        if int(session.value("SELECT count(*) FROM fraud.tiled_keys WHERE covered_to IS NOT NULL AND NOT wanted")) < asked or not asked:
            raise RuntimeError(f"of {asked} keys there are not all tiles")


class Folders:
    """The processor time of all who may make tiles: the session that is told to, and the database's worker."""

    def __init__(self, database):
        from libpq import Processor
        looks = Connection("postgres")
        self.workers = [Processor(int(pid)) for (pid,) in looks.run(
            f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}' AND backend_type LIKE 'fraud_detect ingest%'")]
        looks.close()
        self.before = sum(worker.seconds() for worker in self.workers)
        self.spent = 0

    def run(self, session):
        before = session.processor_seconds()
        session.run("CALL fraud.fold_tiles('1 minute')")
        self.spent += session.processor_seconds() - before

    def seconds(self):
        return self.spent + sum(worker.seconds() for worker in self.workers) - self.before

    def close(self):
        for worker in self.workers:
            worker.close()
