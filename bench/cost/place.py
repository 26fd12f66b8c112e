"""A database with a history, payments that come next, and the table that a plain INSERT
goes into.

The history is even: with N payments of 60 days each card has about 150 of them in 30 days
and each merchant 203 in 37, whatever N is, so that places differ by what is stored alone.
Payments that are measured are of its cards and merchants, one after another in time, a card
at most once in a batch. Whatever fraud.ingest is given goes into the plain table too, so
that both hold the same.
"""
import hashlib
import json
import random
import sys
import time

from libpq import Connection

DAYS = 60
PER_CARD, PER_MERCHANT = 150 * DAYS / 30, 203 * DAYS / 37  # payments of a card, of a merchant
CATEGORIES = ("food_dining", "gas_transport", "grocery_pos", "home", "misc_net", "shopping_net", "shopping_pos", "travel")
SECRET = b"of the program that is compared with"
COLUMNS = ("card", "transaction_id", "occurred_at", "received_at", "amount", "merchant", "category", "merchant_latitude",
           "merchant_longitude", "home_latitude", "home_longitude", "city_population", "age", "source", "model", "model_version",
           "score", "decision", "features", "is_fraud", "label_known_at", "label_changes", "currency", "base_amount", "attributes")
VECTOR = "{" + ",".join(f"{i * 1.37:.7g}" for i in range(29)) + "}"
INDEXES = ("PRIMARY KEY (card, occurred_at, transaction_id) INCLUDE (base_amount, merchant_latitude, merchant_longitude, category, merchant)",
           "INDEX (occurred_at)",
           "INDEX (merchant, occurred_at, transaction_id) INCLUDE (base_amount, is_fraud, label_known_at, label_changes)")


def say(text):
    print(text, file=sys.stderr, flush=True)


def with_check_digit(number):
    digits = [int(d) for d in str(number)]
    total = sum(d if i % 2 else (2 * d - 9 if d > 4 else 2 * d) for i, d in enumerate(reversed(digits)))
    return number * 10 + -total % 10


def card_number(i):
    return with_check_digit(400000000000000 + i)


def card_of(number):
    """A card as the plain table has it: a keyed hash, as a UUID."""
    digest = hashlib.sha256(SECRET + str(number).encode()).hexdigest()[:32]
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:]}"


def home(i):
    return 30 + i % 997 / 50, -120 + i % 1499 / 30


def instant(milliseconds):
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(milliseconds // 1000)) + f".{milliseconds % 1000:03d}+00"


class Place:
    def __init__(self, name, payments, plain=True, reuse=False):
        self.name = name
        self.payments = payments
        self.cards = max(2, round(payments / PER_CARD))
        self.merchants = max(2, round(payments / PER_MERCHANT))
        self.random = random.Random(11)
        self.made = 0
        self.loaded = None  # of the history: seconds by the clock, by the processor, KiB of private memory
        admin = Connection("postgres")
        there = admin.run(f"SELECT FROM pg_database WHERE datname = '{name}'")
        if there and reuse:
            admin.close()
            self.begin()
            return
        admin.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.run(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
        admin.close()
        session = self.connect()
        session.run("CREATE EXTENSION fraud_detect")
        # The model's own thresholds would have alerts among what is stored.
        session.run("SELECT fraud.promote('payments', 1, review_at => 1, block_at => 1, reason => 'no alerts', override_gate => true)")
        if payments:
            self.load(session)
        if plain:
            self.make_plain(session)
        session.run("VACUUM (ANALYZE)")
        session.run("CHECKPOINT")
        session.close()
        self.begin()

    def begin(self):
        self.clock = int(time.time() * 1000)
        # Without digits, or an id might look like a card number, and be masked.
        self.run = f"{self.clock:x}".translate(str.maketrans("0123456789", "ghijklmnop"))

    def connect(self, settings=("synchronous_commit = off",)):
        return Connection(self.name, settings)

    def drop(self):
        """For what is measured once: each database has workers, and there are not many."""
        admin = Connection("postgres")
        admin.run(f"DROP DATABASE {self.name} WITH (FORCE)")
        admin.close()

    def load(self, session):
        """Stores the history by fraud.load_history."""
        say(f"{self.name}: {self.payments:,} payments of {self.cards:,} cards and {self.merchants:,} merchants …")
        session.run("CREATE UNLOGGED TABLE customers (i int PRIMARY KEY, number text, hashed uuid, latitude float8, longitude float8)")
        session.copy("COPY customers FROM STDIN", "".join(
            "%d\t%d\t%s\t%r\t%r\n" % (i, card_number(i), card_of(card_number(i)), *home(i)) for i in range(self.cards)).encode())
        session.run("SELECT setseed(0.5)")
        categories = ", ".join(f"'{c}'" for c in CATEGORIES)
        session.run(
            "CREATE UNLOGGED TABLE history AS "
            "SELECT 'h-' || r.n AS trans_num, date_trunc('milliseconds', now() AT TIME ZONE 'UTC' - interval '1 minute' "
            f" - r.at * interval '{DAYS} days') AS trans_date_trans_time, c.number AS cc_num, 'Merchant ' || r.merchant AS merchant, "
            f" (ARRAY[{categories}])[1 + r.merchant % {len(CATEGORIES)}] AS category, round(exp(3.5 + 1.1 * r.amount)::numeric, 2) AS amt, "
            " 'Ada' AS first, 'Moss' AS last, 'F' AS gender, '1 Main Street' AS street, 'Springfield' AS city, 'IL' AS state, '62701' AS zip, "
            " c.latitude AS lat, c.longitude AS long, 114394 AS city_pop, 'Engineer' AS job, date '1980-05-17' AS dob, "
            " c.latitude + r.a AS merch_lat, c.longitude + r.b AS merch_long, (r.fraud < 0.005)::int AS is_fraud "
            f"FROM (SELECT n, random() AS at, floor(random() * {self.cards})::int AS card, floor(random() * {self.merchants})::int AS merchant, "
            "       random() + random() + random() - 1.5 AS amount, random() AS a, random() AS b, random() AS fraud "
            f"      FROM generate_series(1, {self.payments}) n) r JOIN customers c ON c.i = r.card")
        session.run("ANALYZE history")
        from stored import watched
        self.loaded = watched(session, "SELECT fraud.load_history('history')")
        if self.loaded.value != str(self.payments):
            raise RuntimeError(f"{self.loaded.value} payments of {self.payments} were stored")
        # Or a worker would, beside what is measured.
        session.run("SELECT fraud.refresh_rollups()")

    def make_plain(self, session):
        """The table of the plain INSERT: as wide, with the same indexes and the same rows, in one piece."""
        session.run("CREATE TABLE plain (LIKE fraud.transactions INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        if self.payments:
            columns = ", ".join("c.hashed" if name == "card" else f"t.{name}" for name in COLUMNS)
            session.run(f"INSERT INTO plain ({', '.join(COLUMNS)}) SELECT {columns} FROM fraud.transactions t "
                        "JOIN history h ON h.trans_num = t.transaction_id JOIN customers c ON c.number = h.cc_num")
        for index in INDEXES:
            session.run(f"ALTER TABLE plain ADD {index}" if index.startswith("PRIMARY")
                        else f"CREATE {index.replace('INDEX', 'INDEX ON plain', 1)}")

    def payment(self, card=None, merchant=None):
        """The next payment, as its JSON has it."""
        self.made += 1
        self.clock += self.random.randrange(1, 6)
        number = self.random.randrange(self.cards) if card is None else card
        shop = self.random.randrange(self.merchants) if merchant is None else merchant
        latitude, longitude = home(number)
        return {"cc_num": card_number(number), "trans_num": f"{self.run}-{self.made}",
                "amt": round(self.random.lognormvariate(3.5, 0.6), 2) + 1, "merchant": f"Merchant {shop}",
                "category": CATEGORIES[shop % len(CATEGORIES)], "first": "Ada", "last": "Moss", "gender": "F",
                "street": "1 Main Street", "city": "Springfield", "state": "IL", "zip": "62701", "lat": latitude, "long": longitude,
                "city_pop": 114394, "job": "Engineer", "dob": "1980-05-17", "merch_lat": round(latitude + self.random.random(), 6),
                "merch_long": round(longitude + self.random.random(), 6), "current_time": self.clock}

    def batch(self, size):
        """Payments of different cards, as far as there are so many."""
        cards = self.random.sample(range(self.cards), min(size, self.cards))
        return [self.payment(cards[i % len(cards)]) for i in range(size)]


def as_json(payments):
    return json.dumps(payments)


def plain_row(payment):
    """The row of a payment in the plain table, a text for each of COLUMNS."""
    amount = f"{payment['amt']:.2f}"
    at = instant(payment["current_time"])
    return (card_of(payment["cc_num"]), payment["trans_num"], at, at, amount, payment["merchant"], payment["category"],
            payment["merch_lat"], payment["merch_long"], payment["lat"], payment["long"], payment["city_pop"], "46.53", "sql",
            "payments", "1", "0.0012345678", "approve", VECTOR, None, None, None, "EUR", amount, None)


def plain_insert(rows=1):
    width = len(COLUMNS)
    values = ", ".join("(" + ", ".join(f"${row * width + i + 1}" for i in range(width)) + ")" for row in range(rows))
    return f"INSERT INTO plain ({', '.join(COLUMNS)}) VALUES {values}"


def plain_copy(payments):
    """What COPY reads of them."""
    return "".join("\t".join("\\N" if value is None else str(value) for value in plain_row(p)) + "\n" for p in payments).encode()
