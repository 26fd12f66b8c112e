"""The leanest thing that a good engineer would write instead of the extension: one Python
process, one query of window aggregates (lean.sql) for the features of a payment, XGBoost
in the process, one INSERT. It keeps no customers, raises no alerts, and holds no card's next
payment back while it reads the card's past. Query and INSERT are committed by themselves, or in
one transaction; of a batch there is one query, or one for each payment.

First of all its features are compared with those that fraud.ingest stored of the same
payments, value by value, as float32. They may differ by one unit in the last place of a float32:
sums are exact on both sides, of decimals here and of their doubles there, so that
what lies next to the middle of two floats may be rounded to either.
"""
import datetime
import json
import math
import pathlib
import statistics
import struct
import time

from libpq import Processor
from online import Ours
from place import CATEGORIES, COLUMNS, as_json, card_of, instant, say

FOLDER = pathlib.Path(__file__).resolve().parent
MODEL = FOLDER.parent.parent / "models" / "payments.ubj"
ALL_CATEGORIES = ("entertainment", "food_dining", "gas_transport", "grocery_net", "grocery_pos", "health_fitness", "home",
                  "kids_pets", "misc_net", "misc_pos", "personal_care", "shopping_net", "shopping_pos", "travel")
CODES = {name: code for code, name in enumerate(ALL_CATEGORIES)}
NAN = math.nan
RADIUS = 6371.0088
WINDOWS = (FOLDER / "lean.sql").read_text()
BODY = WINDOWS[WINDOWS.index("SELECT"):]
ONE = ("SELECT w.* FROM (SELECT $1::uuid AS card, $2::timestamptz AS at, $3::text AS id, $4::text AS merchant, $5::text AS category) p, "
       f"LATERAL ({BODY}) w")
MANY = ("SELECT w.* FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[]) "
        f"WITH ORDINALITY p(card, at, id, merchant, category, n), LATERAL ({BODY}) w ORDER BY p.n")
KEPT = ("card", "transaction_id", "occurred_at", "received_at", "amount", "merchant", "category", "merchant_latitude", "merchant_longitude",
        "home_latitude", "home_longitude", "city_population", "age", "source", "model", "model_version", "score", "decision", "features",
        "currency", "base_amount")
TYPES = ("uuid", "text", "timestamptz", "timestamptz", "numeric", "text", "text", "float8", "float8", "float8", "float8", "bigint",
         "float4", "text", "text", "int", "float8", "text", "float4[]", "text", "numeric")
assert set(KEPT) <= set(COLUMNS)
INSERT = (f"INSERT INTO plain ({', '.join(KEPT)}) VALUES ("
          + ", ".join(f"${i}::{kind}" for i, kind in enumerate(TYPES, 1)) + ") ON CONFLICT DO NOTHING")
# Vectors go as texts here: an array of arrays would be one of two dimensions.
INSERT_MANY = (f"INSERT INTO plain ({', '.join(KEPT)}) SELECT "
               + ", ".join(f"r.{name}" + ("::float4[]" if name == "features" else "") for name in KEPT) + " FROM unnest("
               + ", ".join(f"${i}::{'text' if name == 'features' else kind}[]" for i, (name, kind) in enumerate(zip(KEPT, TYPES), 1))
               + f") r({', '.join(KEPT)}) ON CONFLICT DO NOTHING")
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def distance(latitude1, longitude1, latitude2, longitude2):
    a, b = math.radians(latitude1), math.radians(latitude2)
    h = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(math.radians(longitude2 - longitude1) / 2) ** 2
    return 2 * RADIUS * math.asin(min(1.0, math.sqrt(h)))


def age_of(payment):
    days = payment["current_time"] // 86400000
    return (days - (datetime.date.fromisoformat(payment["dob"]) - datetime.date(1970, 1, 1)).days) / 365.2425


def vector(payment, found):
    """The 29 features, of a payment and what the query found."""
    (count_1h, sum_1h, count_24h, sum_24h, count_7d, sum_7d, count_30d, sum_30d, deviation, categories, visits,
     seconds, last_latitude, last_longitude, merchant_count, merchant_mean, fraud_rate) = found
    amount = payment["amt"]
    seconds_of_day = payment["current_time"] // 1000
    mean_30d = sum_30d / count_30d if count_30d else NAN
    from_last = distance(last_latitude, last_longitude, payment["merch_lat"], payment["merch_long"]) if seconds is not None else NAN
    return (amount, CODES.get(payment["category"], NAN), seconds_of_day % 86400 // 3600, (seconds_of_day // 86400 + 4) % 7,
            age_of(payment), distance(payment["lat"], payment["long"], payment["merch_lat"], payment["merch_long"]), payment["city_pop"],
            count_1h, sum_1h, sum_1h / count_1h if count_1h else NAN, count_24h, sum_24h, sum_24h / count_24h if count_24h else NAN,
            count_7d, sum_7d, sum_7d / count_7d if count_7d else NAN, count_30d, sum_30d, mean_30d,
            seconds if seconds is not None else NAN, from_last, from_last / (max(seconds, 1.0) / 3600) if seconds is not None else NAN,
            amount / mean_30d if mean_30d else NAN, (amount - mean_30d) / deviation if deviation else NAN, categories, visits,
            merchant_count, amount / merchant_mean if merchant_mean else NAN, fraud_rate if fraud_rate is not None else NAN)


def key(payment):
    return card_of(payment["cc_num"]), instant(payment["current_time"]), payment["trans_num"], payment["merchant"], payment["category"]


def row(payment, features, score):
    at = instant(payment["current_time"])
    return (card_of(payment["cc_num"]), payment["trans_num"], at, at, f"{payment['amt']:.2f}", payment["merchant"], payment["category"],
            payment["merch_lat"], payment["merch_long"], payment["lat"], payment["long"], payment["city_pop"], features[4], "sql",
            "payments", 1, score, "approve" if score < 0.5 else "review", features, "EUR", f"{payment['amt']:.2f}")


def in_text(values):
    return "{" + ",".join("NaN" if v != v else repr(float(v)) for v in values) + "}"


def order(value):
    """The place of a float32 among all of them."""
    bits = struct.unpack("<i", struct.pack("<f", value))[0]
    return bits if bits >= 0 else -(bits & 0x7FFFFFFF)


def compare(bench, place):
    """Fails unless the lean program's features are those that fraud.ingest stores. Through libpq alone."""
    ours, theirs = Ours(place), place.connect()
    query, many, insert = theirs.prepare("one", ONE), theirs.prepare("many", MANY), theirs.prepare("insert", INSERT)
    names = ours.connection.value("SELECT array_to_string(fraud.payment_features(), ',')").split(",")
    stored = ours.connection.prepare("stored", "SELECT array_to_string(features, ',', 'NaN'), score FROM fraud.transactions "
                                     "WHERE transaction_id = $1::text AND occurred_at = $2::timestamptz")
    compared = unlike = 0
    for size in (1,) * min(bench.singles, 300) + (100,) * 2:
        payments = [place.payment()] if size == 1 else place.batch(min(size, place.cards))
        ours.store(payments)
        if size == 1:
            rows = query(*key(payments[0]))
        else:
            rows = many(*("{" + ",".join(f'"{value}"' for value in column) + "}" for column in zip(*map(key, payments))))
        for payment, found in zip(payments, rows):
            features = vector(payment, [None if value is None else float(value) for value in found])
            values, score = stored(payment["trans_num"], instant(payment["current_time"]))[0]
            values = [float(value) for value in values.split(",")]
            if len(values) != len(features):
                raise RuntimeError(f"{len(features)} features, not the {len(values)} of {', '.join(names)}")
            for name, here, there in zip(names, features, values):
                compared += 1
                if here != here and there != there:
                    continue
                if here != here or there != there or abs(order(here) - order(there)) > 1:
                    raise RuntimeError(f"{name} of {payment['trans_num']}: {here!r}, and fraud.ingest stored {there!r}. (Databases of an "
                                       "earlier run that was broken off hold different payments: run without --reuse.)")
                unlike += order(here) != order(there)
            insert(*(in_text(v) if isinstance(v, tuple) else v for v in row(payment, features, float(score))))
    say(f"features compared: {compared:,}, of which {unlike} differ, by one unit in the last place")
    ours.connection.close()
    theirs.close()


class Program:
    """The program itself."""

    def __init__(self, database):
        import numpy
        import psycopg
        import xgboost
        self.numpy = numpy
        self.connection = psycopg.connect(dbname=database, autocommit=True, cursor_factory=psycopg.RawCursor)
        self.cursor = self.connection.cursor()
        self.processor = Processor(self.connection.info.backend_pid)
        self.booster = xgboost.Booster({"nthread": 1}, model_file=str(MODEL))
        self.booster.set_param({"nthread": 1})
        say(f"psycopg {psycopg.__version__}, XGBoost {xgboost.__version__}")

    def score(self, vectors):
        return self.booster.inplace_predict(self.numpy.array(vectors, dtype=self.numpy.float32), validate_features=False)

    def one(self, text):
        """Stores one payment; returns its scores, as all do."""
        payment = json.loads(text)
        found = self.cursor.execute(ONE, key(payment), prepare=True).fetchone()
        features = vector(payment, found)
        score = float(self.score([features])[0])
        self.cursor.execute(INSERT, [list(map(float, v)) if isinstance(v, tuple) else v for v in row(payment, features, score)], prepare=True)
        return [score]

    def one_in_transaction(self, text):
        with self.connection.transaction():
            return self.one(text)

    def many(self, text):
        """Stores a batch, of different cards: its payments do not see one another."""
        payments = json.loads(text)
        found = self.cursor.execute(MANY, [list(column) for column in zip(*map(key, payments))], prepare=True).fetchall()
        return self.keep(payments, found)

    def many_one_by_one(self, text):
        payments = json.loads(text)
        with self.connection.transaction():
            return self.keep(payments, [self.cursor.execute(ONE, key(payment), prepare=True).fetchone() for payment in payments])

    def keep(self, payments, found):
        vectors = [vector(payment, rows) for payment, rows in zip(payments, found)]
        scores = self.score(vectors).tolist()
        rows = [row(*each) for each in zip(payments, vectors, scores)]
        columns = [list(column) for column in zip(*rows)]
        columns[KEPT.index("features")] = [in_text(values) for values in vectors]
        self.cursor.execute(INSERT_MANY, columns, prepare=True)
        return scores


def run(bench):
    place = bench.large()
    compare(bench, place)
    try:
        lean = Program(place.name)
    except ImportError as error:
        bench.note(f"the lean program ({error})")
        return
    # Ours from the same process, by the same driver.
    ours = Program(place.name)
    ingest = "SELECT transaction_id, status, score, decision FROM fraud.ingest($1::text)"
    fsync = ours.cursor.execute("SHOW fsync").fetchone()[0]
    def ingested(text):
        return [found[1:3] for found in ours.cursor.execute(ingest, (text,), prepare=True).fetchall()]

    for size, count, bar, how, store in (
            (1, bench.singles, "lean", "one payment, query and INSERT committed by themselves", lean.one),
            (1, bench.singles, "lean", "one payment, query and INSERT in a transaction", lean.one_in_transaction),
            (100, bench.batches, "lean100", "batches of 100, a query for each payment, one INSERT", lean.many_one_by_one),
            (100, bench.batches, "lean100", "batches of 100, one query, one INSERT", lean.many)):
        sides = [(ours, ingested), (lean, store)]
        clock, work = ([[], []] for _ in range(2))
        for turn in range(-bench.warm if size == 1 else -2, count):
            text = as_json(place.payment() if size == 1 else place.batch(min(size, place.cards)))
            answers = [None, None]
            for side in (1, 0) if turn % 2 else (0, 1):  # in turns, who is first too
                program, work_of = sides[side]
                busy, begin = program.processor.seconds() + time.process_time(), time.perf_counter()
                answers[side] = work_of(text)
                end = time.perf_counter()
                busy = program.processor.seconds() + time.process_time() - busy
                if turn >= 0:
                    clock[side].append((end - begin) / len(answers[side]))
                    work[side].append(busy / len(answers[side]))
            for (status, score), theirs in zip(*answers, strict=True):
                if status != "stored" or abs(score - theirs) > 1e-6:
                    raise RuntimeError(f"{status}, score {score} beside {theirs}")
        for times, by, name in ((clock, f"client's clock, fsync {fsync}", bar), (work, "processor time of client and backend", None)):
            a, b = map(statistics.median, times)
            bench.report(f"the lean program, {how}, a payment, {by}", b * 1e6, "µs")
            bench.report(f"fraud.ingest, beside it, {by}", a * 1e6, "µs")
            bench.report(f"the lean program ÷ fraud.ingest, {how}, {by}", b / a, "×", name)
    lean.connection.close()
    ours.connection.close()
