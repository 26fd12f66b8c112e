#!/usr/bin/env python3
"""The judge's own test: a small world in which all is well, and then one thing that is not.
Each check must find what is its own; one that finds nothing in any of these would pass whatever
the extension does, and is a failure here."""

import copy
import datetime
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import features
import judge
from truth import Feed, Generator, Truth, card_numbers

NOW = 1767225600000          # 2026-01-01


def world():
    """Twenty payments of four cards that were sent, settled, stored, scored and told."""
    truth = Truth()
    generator = Generator("judge", card_numbers("judge", "few", 4))
    names = list(features.vector(dict(at=0, id="", cents=1, category="", merchant="", home=(0, 0), place=(0, 0), population=1, age=1), features.Card()))
    names.insert(0, "merchant_count_24h")
    stored = {name: [] for name in ("transactions inbox held dead_letters customers merchants alerts cases history labels messages deliveries"
                                    " days hours current_labels sources orphans").split()}
    stored["names"] = [{"n": n} for n in names]
    stored["thresholds"] = [{"review_at": 0.5, "block_at": 0.9}]
    received = []
    cards = {}
    days, hours = {}, {}
    for i in range(20):
        p = generator.payment("left")
        p.age_ms = (40 - i) * 600000
        p.fraud = i in (3, 4)
        wire = p.wire("left", NOW)
        truth.payments[p.id] = p
        truth.settle([(p, p.fraud)])
        at, f = wire["current_time"] * 1000, p.fields
        card = cards.setdefault(p.number, (f"card-{len(cards)}", features.Card(), []))
        age = (datetime.date.fromtimestamp(at / 1e6) - datetime.date(*map(int, f["dob"].split("-")))).days / 365.2425
        score = [0.25, 0.25, 0.625, 0.25, 0.9375][i % 5]
        t = dict(card=card[0], id=p.id, at=at, cents=round(f["amt"] * 100), merchant=f["merchant"][6:], category=f["category"],
                 merchant_latitude=f["merch_lat"], merchant_longitude=f["merch_long"], home_latitude=f["lat"], home_longitude=f["long"],
                 city_population=f["city_pop"], age=age, source="left", score=score, score_of_vector=score,
                 decision={0.25: "approve", 0.625: "review", 0.9375: "block"}[score], is_fraud=True if p.fraud else None,
                 xact=str(i), committed=i, features=[])
        facts = judge.facts(t)
        card[1].add(facts)
        card[2].append(at)
        vector = features.vector(facts, card[1])
        vector["merchant_count_24h"] = 0
        t["features"] = [vector[n] for n in names]
        stored["transactions"].append(t)
        if p.fraud:
            stored["labels"].append({"id": p.id, "source": "payload", "is_fraud": True})
            stored["current_labels"].append({"id": p.id, "is_fraud": True})
        if score > 0.5:
            stored["alerts"].append({"alert_id": i, "case_id": i, "card": card[0], "id": p.id, "score": score, "decision": t["decision"]})
            stored["cases"].append({"case_id": i, "status": "open"})
            data = {"alert_id": i, "transaction_id": p.id, "card": card[0], "score": score, "decision": t["decision"]}
            stored["messages"].append({"outbox_id": i, "payload": data})
            stored["deliveries"].append({"channel": "each", "key": f"key-{i}", "state": "delivered", "digest": False, "messages": [i]})
            received.append(("each", f"key-{i}", f"key-{i}", {"id": f"key-{i}", "digest": False, "count": 1, "data": data}))
        alerted = score > 0.5
        for table, key, name in [(days, str(datetime.datetime.fromtimestamp(at // 10 ** 6, datetime.timezone.utc).date()), "day"), (hours, at // features.HOUR * 3600, "hour")]:
            row = table.setdefault(key, {name: key, "payments": 0, "cents": 0, "alerts": 0, "labelled_fraud": 0})
            row["payments"] += 1
            row["cents"] += t["cents"]
            row["alerts"] += alerted
            row["labelled_fraud"] += p.fraud
        row = days[str(datetime.datetime.fromtimestamp(at // 10 ** 6, datetime.timezone.utc).date())]
        for column, more in [("alerted_cents", alerted * t["cents"]), ("approved", not alerted), ("reviewed", t["decision"] == "review"),
                             ("blocked", t["decision"] == "block"), ("labelled_fraud_alerted", alerted and p.fraud)]:
            row[column] = row.get(column, 0) + more
        row.setdefault("cards", set()).add(card[0])
    for row in days.values():
        row["customers"] = len(row.pop("cards"))
    stored["days"], stored["hours"] = list(days.values()), list(hours.values())
    stored["customers"] = [{"card": c, "last_four": str(n)[-4:], "first": min(times), "last": max(times)} for n, (c, _, times) in cards.items()]
    stored["merchants"] = [{"merchant": m} for m in {t["merchant"] for t in stored["transactions"]}]
    stored["sources"] = [{"name": "left", "stored": 20}]
    return truth, stored, {"received": received, "channels": ["each"], "broken": {"left": 0}}


WORLD = world()


class Judge(unittest.TestCase):
    seen = set()

    def setUp(self):
        self.truth, self.stored, self.extra = copy.copy(WORLD[0]), copy.deepcopy(WORLD[1]), copy.deepcopy(WORLD[2])
        lock = WORLD[0].lock
        WORLD[0].lock = None
        self.truth = copy.deepcopy(WORLD[0])
        WORLD[0].lock = lock
        self.payment = self.stored["transactions"][7]
        self.sent = self.truth.payments[self.payment["id"]]

    def finds(self, *checks):
        found = {check for check, _ in judge.CHECKS if list(check(self.truth, self.stored, self.extra))}
        self.assertEqual(found, set(checks))
        Judge.seen |= found

    def test_all_is_well(self):
        self.finds()

    def test_lost(self):
        self.truth.settle([(self.more("lost"), False)])
        self.finds(judge.nothing_lost)

    def more(self, name, bad=False):
        payment = Generator(name, [self.sent.number]).payment("left")
        payment.bad = bad
        payment.wire("left", NOW)
        self.truth.payments[payment.id] = payment
        return payment

    def test_lost_as_a_dead_letter(self):
        payment = self.more("refused")
        self.truth.settle([(payment, False)])
        self.stored["dead_letters"].append({"id": payment.id, "source": "left", "reason": "no reason", "occurrences": 1})
        self.finds(judge.nothing_lost, judge.dead_letters_deserved)

    def test_a_bad_payment_without_dead_letter(self):
        self.truth.settle([(self.more("bad", bad=True), False)])
        self.finds(judge.nothing_lost)

    def test_a_broken_body_without_dead_letter(self):
        self.extra["broken"]["left"] = 1
        self.finds(judge.dead_letters_deserved)

    def test_twice(self):
        self.stored["transactions"].append(dict(self.payment, xact="99", committed=99))
        self.finds(judge.nothing_twice, judge.sums_recounted, judge.counters)

    def test_waiting(self):
        self.stored["inbox"].append({"id": self.payment["id"]})
        self.finds(judge.nothing_waits)

    def test_held(self):
        self.stored["held"].append({"card": self.payment["card"], "reason": "a lock"})
        self.finds(judge.nothing_waits)

    def test_another_amount(self):
        self.sent.fields["amt"] += 1
        self.finds(judge.nothing_invented)

    def test_a_time_that_was_never_sent(self):
        self.sent.times = {1}
        self.finds(judge.nothing_invented)

    def test_another_customer(self):
        self.sent.number += 1
        self.finds(judge.nothing_invented)

    def test_an_orphan(self):
        self.stored["orphans"].append({"what": "key without payment", "id": "x"})
        self.finds(judge.nothing_orphaned)

    def test_a_merchant_without_row(self):
        self.stored["merchants"].pop()
        self.finds(judge.customers_and_merchants)

    def test_a_customer_who_was_seen_later(self):
        self.stored["customers"][0]["last"] -= 1
        self.finds(judge.customers_and_merchants)

    def test_a_counter(self):
        self.stored["sources"][0]["stored"] += 1
        self.finds(judge.counters)

    def test_each_feature(self):
        place = {n["n"]: i for i, n in enumerate(self.stored["names"])}
        vector = self.payment["features"]
        for name, i in place.items():
            before = vector[i]
            vector[i] = before + max(1, abs(before) / 100) if before == before else 0.0
            self.finds(judge.merchants_bounded if name in features.OF_OTHERS else judge.features_recomputed)
            vector[i] = before

    def test_a_vector_without_the_payment_before(self):
        card = [t for t in self.stored["transactions"] if t["card"] == self.payment["card"]]
        self.assertGreater(len(card), 2)
        card[0]["committed"], card[1]["committed"] = card[1]["committed"], card[0]["committed"]
        self.finds(judge.features_recomputed)

    def test_a_score(self):
        self.payment["score_of_vector"] += 1e-9
        self.finds(judge.scores_of_vectors)

    def test_a_decision(self):
        self.stored["thresholds"][0]["review_at"] = 0.2
        self.finds(judge.scores_of_vectors)

    def test_a_label_lost(self):
        self.stored["labels"].pop()
        self.finds(judge.labels_kept)

    def test_a_label_twice(self):
        self.stored["labels"].append(self.stored["labels"][0])
        self.finds(judge.labels_kept)

    def test_a_person_s_label_lost(self):
        self.truth.labels.append((self.payment["id"], "chargeback"))
        self.finds(judge.labels_kept)

    def test_a_label_without_effect(self):
        self.stored["transactions"][3]["is_fraud"] = None
        self.finds(judge.labels_kept)

    def test_a_decision_on_a_case_lost(self):
        self.truth.confirmed[self.stored["cases"][0]["case_id"]] = 1
        self.finds(judge.decisions_kept)

    def test_a_case_confirmed_twice(self):
        self.stored["history"] += [{"case_id": 2, "new_status": "confirmed"}] * 2
        self.finds(judge.decisions_kept)

    def test_sums(self):
        self.stored["days"][0]["customers"] += 1
        self.finds(judge.sums_recounted)

    def test_an_hour_too_many(self):
        self.stored["hours"].append({"hour": 0, "payments": 1})
        self.finds(judge.sums_recounted)

    def test_an_alert_untold(self):
        self.extra["received"].pop()
        self.finds(judge.alerts_told)

    def test_an_alert_told_that_is_none(self):
        self.stored["alerts"].pop()
        self.finds(judge.alerts_told)

    def test_an_alert_in_two_deliveries(self):
        path, _, _, body = self.extra["received"][0]
        self.stored["deliveries"].append(dict(self.stored["deliveries"][0], key="other"))
        self.extra["received"].append((path, "other", "other", dict(body, id="other")))
        self.finds(judge.alerts_told)

    def digest(self, shown, count):
        """Has a second channel with one digest of all alerts."""
        held = [m["payload"] for m in self.stored["messages"]]
        self.extra["channels"].append("digest")
        self.stored["deliveries"].append({"channel": "digest", "key": "many", "state": "delivered", "digest": True,
                                          "messages": [m["outbox_id"] for m in self.stored["messages"]]})
        self.extra["received"].append(("digest", "many", "many", {"id": "many", "digest": True, "count": count, "data": held[:shown]}))

    def test_a_digest(self):
        self.digest(8, 8)
        self.finds()

    def test_a_digest_that_shows_too_little(self):
        self.digest(7, 8)
        self.finds(judge.alerts_told)

    def test_a_digest_that_counts_wrongly(self):
        self.digest(8, 9)
        self.finds(judge.alerts_told)

    def test_a_delivery_again_is_no_fault(self):
        self.extra["received"].append(self.extra["received"][0])
        self.finds()

    def test_a_delivery_again_with_another_body(self):
        path, key, idempotency, body = self.extra["received"][0]
        self.extra["received"].append((path, key, idempotency, dict(body, more=1)))
        self.finds(judge.alerts_told)

    @classmethod
    def tearDownClass(cls):
        left = [check.__name__ for check, _ in judge.CHECKS if check not in cls.seen]
        assert not left, f"nothing was found by {left}"


class Settling(unittest.TestCase):
    """When an answer counts as received."""

    def setUp(self):
        self.truth = Truth()
        self.feed = Feed(self.truth, "left", 1, Generator(1, card_numbers(1, "few", 3)), faults=False)
        self.answer = self.feed.answer()
        while not self.answer.payments:
            self.answer = self.feed.answer()
        self.payments = [p for p, _ in self.answer.payments]

    def settled(self):
        return all(p.settled for p in self.payments)

    def test_the_next_poll_settles(self):
        self.feed.served(self.answer)
        self.assertFalse(self.settled())
        self.feed.answer()
        self.assertTrue(self.settled())

    def test_a_kill_between_does_not(self):
        self.feed.served(self.answer)
        self.truth.kill_begins()
        self.truth.kill_ends()
        again = self.feed.answer()
        self.assertFalse(self.settled())
        self.assertEqual([p for p, _ in again.payments][:len(self.payments)], self.payments)

    def test_nor_a_poll_during_one(self):
        self.truth.kill_begins()
        answer = self.feed.answer()
        self.feed.served(answer)
        self.truth.kill_ends()
        self.feed.answer()
        self.assertFalse(any(p.settled for p, _ in answer.payments if p not in self.payments))

    def test_a_second_does(self):
        self.feed.served(self.answer)
        self.answer.served_at -= 100
        self.truth.kill_begins()
        self.assertTrue(self.settled())

    def test_what_broke_off_does_not(self):
        self.feed.answer()
        self.assertFalse(self.settled())


if __name__ == "__main__":
    unittest.main()
