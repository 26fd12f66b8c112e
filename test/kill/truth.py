"""What was said: the payment API's, the application's and the analyst's side of the story.

What can be promised of an answer. The receiver keeps it within a second of its last byte
(a piece of 10,000 payments a second); a crash within that second may lose it, and nobody can
tell from the outside. So the API counts an answer as settled, and from then on takes the
payments in it for received, whether it ever sends them again or not, when either

  - the same source was polled again, and nothing was killed between the beginning of the
    answer and that poll: a source is not polled anew before its last answer is committed; or
  - a kill came, but later after its last byte than the promised second a piece (more on a
    machine that has more to do than processors).

What is not settled it sends again, in the same order, until it is. Bodies that are broken or
break off settle nothing but themselves: a broken one has to leave a dead letter. An
application's fraud.ingest, a label, a decision on a case count from COMMIT's answer on;
without one the application sends its payment again, and the rest may or may not be there.
"""

import json
import os
import random
import threading
import time

PIECE = 10000
CATEGORIES = ("entertainment food_dining gas_transport grocery_net grocery_pos health_fitness home kids_pets "
              "misc_net misc_pos personal_care shopping_net shopping_pos travel").split()
COLUMNS = ("cc_num merchant category amt first last gender street city state zip lat long city_pop job dob "
           "trans_num merch_lat merch_long is_fraud current_time").split()
DAY_MS = 24 * 3600 * 1000


def patience():
    """How much longer things may take on a machine with more to do than processors."""
    return 1 + min(9.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class Payment:
    """One payment as its sender knows it."""

    def __init__(self, number, fields, bad=False):
        self.number = number            # of the card
        self.fields = fields            # but for is_fraud and current_time
        self.id = fields["trans_num"]
        self.bad = bad                  # cannot be stored, has to become a dead letter
        self.fraud = False              # what the API knows of it now
        self.settled = False
        self.fraud_settled = False      # it was told to be fraud, in an answer that is settled
        self.fraud_said = False         # or in any
        self.times = set()              # milliseconds, all that it ever came with
        self.sources = set()

    def wire(self, source, now_ms):
        """The payment as it is sent this time; current_time is another each time."""
        if not self.times:
            at = now_ms - self.age_ms
        else:
            at = min(max(self.times) + 1 + len(self.times) * 977, now_ms)
        self.times.add(at)
        self.sources.add(source)
        self.fraud_said |= self.fraud
        return dict(self.fields, is_fraud=int(self.fraud), current_time=at)


class Generator:
    """Payments without end, the same for a seed."""

    def __init__(self, seed, cards):
        self.random = random.Random(f"payments {seed}")
        self.seed = seed
        self.count = 0
        self.cards = cards
        self.homes = {}

    def home(self, number):
        if number not in self.homes:
            r = random.Random(f"home {number}")
            self.homes[number] = {
                "first": r.choice("Ada Ben Cleo Dan Eva".split()), "last": r.choice("Ash Birch Cole Dunn".split()),
                "gender": r.choice("FM"), "street": f"{r.randrange(1, 999)} Quay Road", "city": "Salem",
                "state": r.choice("MA NC OH TX".split()), "zip": r.randrange(1000, 99999),
                "lat": round(r.uniform(30, 45), 4), "long": round(r.uniform(-100, -75), 4),
                "city_pop": r.randrange(100, 2000000), "job": "Surveyor",
                "dob": f"{r.randrange(1940, 2003)}-{r.randrange(1, 13):02}-{r.randrange(1, 29):02}"}
        return self.homes[number]

    def payment(self, name, cards=None, bad=0.0):
        r = self.random
        self.count += 1
        number = r.choice(cards or self.cards)
        home = self.home(number)
        large = r.random() < 0.15
        fields = dict(home, cc_num=number, merchant=f"fraud_Merchant {r.randrange(150)}", category=r.choice(CATEGORIES),
                      amt=round(r.uniform(300, 1500) if large else r.uniform(1, 200), 2),
                      trans_num=f"{name}.{self.seed}.{self.count}",
                      merch_lat=round(home["lat"] + r.uniform(-1, 1), 6), merch_long=round(home["long"] + r.uniform(-1, 1), 6))
        payment = Payment(number, fields, bad=r.random() < bad)
        if payment.bad:
            fields["amt"] = "much"
        payment.fraud = r.random() < 0.03
        payment.age_ms = r.choice([r.randrange(60 * 1000), r.randrange(DAY_MS), r.randrange(40 * DAY_MS)])
        return payment


def card_numbers(seed, name, count):
    r = random.Random(f"cards {seed} {name}")
    return sorted({4 * 10 ** 15 + r.randrange(10 ** 15) for _ in range(count)})


class Truth:
    """All payments and promises; every part of the campaign writes it under its lock."""

    def __init__(self):
        self.lock = threading.RLock()
        self.epoch = 0                # odd while something is being killed
        self.payments = {}
        self.feeds = []
        self.labels = []              # (id, source) that COMMIT has answered for
        self.confirmed = {}           # case -> how often COMMIT has answered for it
        self.errors = []              # of clients, that no kill explains
        self.retried = {}             # errors after which clients try again -> how often

    def kill_begins(self):
        with self.lock:
            self.epoch += 1
            for feed in self.feeds:
                feed.judge_by_time()

    def kill_ends(self):
        with self.lock:
            self.epoch += 1

    def settle(self, payments):
        for payment, fraud in payments:
            payment.settled = True
            payment.fraud_settled |= fraud

    def settled_ids(self):
        with self.lock:
            return {p.id for p in self.payments.values() if p.settled}


class Answer:
    def __init__(self, body, payments, epoch, broken):
        self.body = body
        self.payments = payments      # (payment, said to be fraud)
        self.epoch = epoch            # when it was begun
        self.broken = broken          # None, "body" (unreadable), "cut" (breaks off), "status"
        self.served_at = None         # its last byte
        self.large = len(payments) > PIECE


class Feed:
    """One source's answers. `answer` is a poll, `served` its last byte."""

    def __init__(self, truth, name, seed, generator, per_poll=6, faults=True, cards=None):
        self.truth = truth
        self.name = name
        self.random = random.Random(f"feed {seed} {name}")
        self.generator = generator
        self.cards = cards
        self.per_poll = per_poll
        self.faults = faults
        self.polls = 0
        self.answers = 0
        self.outstanding = None
        self.again = []               # not settled: to be sent again, in order
        self.to_repeat = []           # settled, and sent again nevertheless
        self.ready = []               # a large body that waits to be asked for
        self.finishing = False
        self.broken_settled = 0
        self.settled_by = {"poll": 0, "time": 0, "kill": 0}
        self.served_event = threading.Event()
        truth.feeds.append(self)

    # ------------------------------------------------------------ polls
    def answer(self):
        """A poll came: what it tells of the last answer, and what is answered now."""
        with self.truth.lock:
            self.polls += 1
            last, self.outstanding = self.outstanding, None
            if last is not None:
                self.end(last, last.served_at is not None and last.epoch == self.truth.epoch and last.epoch % 2 == 0, "poll")
            self.outstanding = self.compose()
            return self.outstanding

    def served(self, answer):
        with self.truth.lock:
            answer.served_at = time.monotonic()
            self.answers += 1
        if answer.payments:
            self.served_event.set()

    def end(self, answer, settled, by):
        if answer.broken == "body":
            self.broken_settled += settled
        elif answer.broken is None and settled:
            self.truth.settle(answer.payments)
            for payment, _ in answer.payments:
                if not answer.large and self.random.random() < 0.1:
                    self.to_repeat.append(payment)
            self.settled_by[by] += bool(answer.payments)
            return
        self.settled_by["kill"] += answer.broken is None and bool(answer.payments)
        self.again = [p for p, _ in answer.payments if not p.settled] + self.again

    def judge_by_time(self):
        """A kill comes: an answer whose second is over is kept, promise is promise."""
        answer = self.outstanding
        if answer is None or answer.served_at is None or answer.epoch % 2:
            return
        pieces = 1 + len(answer.payments) // PIECE
        if time.monotonic() - answer.served_at > pieces * patience():
            self.outstanding = None
            self.end(answer, True, "time")

    # ---------------------------------------------------------- answers
    def compose(self):
        r = self.random
        now_ms = int(time.time() * 1000)
        payments = []
        seen = set()
        def take(payment):
            if payment.id not in seen:
                seen.add(payment.id)
                payments.append(payment)
        for payment in self.again:
            take(payment)
        self.again = []
        if self.ready:
            for payment in self.ready:
                take(payment)
            self.ready = []
        elif not self.finishing and self.per_poll:
            for _ in range(r.randrange(self.per_poll + 1)):
                payment = self.generator.payment(self.name, self.cards, bad=0.02 if self.faults else 0)
                self.truth.payments[payment.id] = payment
                take(payment)
            while self.to_repeat and r.random() < 0.5:
                payment = self.to_repeat.pop(r.randrange(len(self.to_repeat)))
                payment.fraud |= r.random() < 0.2      # the feed has learned it meanwhile
                take(payment)
        broken = None
        if self.faults and not self.finishing and payments and r.random() < 0.12:
            broken = r.choice(["body", "cut", "status"])
        wire = [p.wire(self.name, now_ms) for p in payments]
        said = [(p, p.fraud) for p in payments]
        body = self.body(wire, r.choice(["wire", "split", "records", "ndjson"] if len(wire) < 1000 else ["wire", "split"]))
        if broken == "body":
            # The break is in the first payment, so that none is complete.
            body = b'[{"trans_num": "broken-%d", "amt": ' % self.polls
        return Answer(body, said, self.truth.epoch, broken)

    @staticmethod
    def body(payments, layout):
        dumps = lambda value: json.dumps(value, separators=(",", ":"))
        if layout == "ndjson" and payments:
            return "\n".join(dumps(p) for p in payments).encode()
        if layout in ("records", "ndjson"):
            return dumps(payments).encode()
        split = dumps({"columns": COLUMNS, "index": list(range(len(payments))),
                       "data": [[p[c] for c in COLUMNS] for p in payments]})
        return (dumps(split) if layout == "wire" else split).encode()

    def prepare_large(self, count):
        """Has the next answer hold so many payments."""
        payments = [self.generator.payment(self.name, self.cards) for _ in range(count)]
        with self.truth.lock:
            for payment in payments:
                self.truth.payments[payment.id] = payment
            self.ready = payments

    def open_payments(self):
        """Whether anything that was sent is not settled yet."""
        with self.truth.lock:
            return bool(self.again or self.ready or (self.outstanding and any(not p.settled for p, _ in self.outstanding.payments)))
