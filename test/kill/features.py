"""The features of a payment, computed anew from docs/features.md and nothing else: exact
sums of cents, a list of the card's payments, no window that moves. Slow, and none of the
extension's code."""

import bisect
import math
import struct
from fractions import Fraction

from truth import CATEGORIES

HOUR = 3600 * 10 ** 6
DAY = 24 * HOUR
WINDOWS = {"1h": HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
# Left out: what other cards' payments count in depends on what had committed at a moment
# that nobody can tell from outside; of merchant_count_24h there are bounds (judge.py).
OF_OTHERS = {"merchant_count_24h", "merchant_amount_ratio_30d", "merchant_fraud_rate_30d"}
NAN = float("nan")


def float32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def distance_km(a, b):
    lat1, lon1, lat2, lon2 = map(math.radians, (*a, *b))
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * 6371.0088 * math.asin(min(1.0, math.sqrt(h)))


class Card:
    """The payments of a card that were stored before, in order of (time, id)."""

    def __init__(self):
        self.keys, self.payments = [], []

    def add(self, p):
        at = bisect.bisect(self.keys, (p["at"], p["id"]))
        self.keys.insert(at, (p["at"], p["id"]))
        self.payments.insert(at, p)

    def before(self, p, width):
        """Those in (time - width, time] that come before p."""
        end = bisect.bisect_left(self.keys, (p["at"], p["id"]))
        start = bisect.bisect_right(self.keys, (p["at"] - width, "\U0010ffff"))
        return self.payments[start:end]


def vector(p, card):
    """The features of p as of its own time, where `card` holds what was stored before it.
    p: at (microseconds since 1970), id, cents, category, merchant, home, place, population, age."""
    amount = p["cents"] / 100
    seconds = p["at"] // 10 ** 6
    f = {"amount": amount,
         "category": CATEGORIES.index(p["category"]) if p["category"] in CATEGORIES else NAN,
         "hour": seconds // 3600 % 24,
         "weekday": (seconds // 86400 + 4) % 7,        # 1 January 1970 was a Thursday
         "age": p["age"],
         "distance_km": distance_km(p["home"], p["place"]),
         "city_population": p["population"]}
    for name, width in WINDOWS.items():
        window = card.before(p, width)
        cents = sum(w["cents"] for w in window)
        f["count_" + name] = len(window)
        f["sum_" + name] = cents / 100
        f["mean_" + name] = float(Fraction(cents, 100 * len(window))) if window else NAN
    last = window[-1] if window else None
    f["seconds_since_last"] = (p["at"] - last["at"]) / 10 ** 6 if last else NAN
    f["distance_from_last_km"] = distance_km(last["place"], p["place"]) if last else NAN
    f["speed_from_last_kmh"] = f["distance_from_last_km"] / (max(10 ** 6, p["at"] - last["at"]) / HOUR) if last else NAN
    f["amount_ratio_30d"] = float(Fraction(p["cents"] * len(window), cents)) if window and cents else NAN
    f["amount_zscore_30d"] = NAN
    if len(window) > 1:
        mean = Fraction(cents, len(window))
        squares = sum((w["cents"] - mean) ** 2 for w in window) / (len(window) - 1)
        if squares:
            f["amount_zscore_30d"] = float(p["cents"] - mean) / math.sqrt(squares)
    f["category_count_30d"] = sum(w["category"] == p["category"] for w in window)
    f["merchant_visits_30d"] = sum(w["merchant"] == p["merchant"] for w in window)
    return f


def differs(stored, expected, name):
    """Whether a stored float32 is another number than the expected one."""
    if math.isnan(stored) or math.isnan(expected):
        return math.isnan(stored) != math.isnan(expected)
    if name.startswith(("count_", "category", "merchant_visits", "hour", "weekday")):
        return stored != expected
    tolerance = 1e-3 if "distance" in name or "speed" in name or "zscore" in name else 1e-6
    return abs(stored - float32(expected)) > max(tolerance * abs(expected), 1e-4 if tolerance > 1e-6 else 1e-9)
