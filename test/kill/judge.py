"""Holds what is stored against what was said. Every check is a function of both, which
yields one line a fault; test_judge.py gives each something to find."""

import collections
import datetime
import struct

import features

SHOWN = 100      # messages of a digest: fraud_detect.max_digest_messages


def said_to_be_there(truth):
    return [p for p in truth.payments.values() if p.settled]


# ----------------------------------------------------------------- payments
def nothing_lost(truth, stored, _):
    """What was settled is stored, or a dead letter where it could not be."""
    there = {t["id"] for t in stored["transactions"]}
    dead = {d["id"] for d in stored["dead_letters"]}
    for p in said_to_be_there(truth):
        if p.bad and p.id not in dead:
            yield f"no dead letter of {p.id}"
        if not p.bad and p.id not in there:
            yield f"lost: {p.id}" + (" (it is a dead letter)" if p.id in dead else "")


def nothing_twice(truth, stored, _):
    for payment, times in collections.Counter(t["id"] for t in stored["transactions"]).items():
        if times > 1:
            yield f"stored {times} times: {payment}"


def nothing_invented(truth, stored, _):
    """What is stored is what was sent: card, amount, merchant, a time and a source that it came with."""
    cards, numbers = {}, {}
    for t in stored["transactions"]:
        p = truth.payments.get(t["id"])
        if p is None or p.bad:
            yield f"stored, but never sent so: {t['id']}"
            continue
        f = p.fields
        for what, found, sent in [
                ("amount", t["cents"], round(f["amt"] * 100)), ("merchant", t["merchant"], f["merchant"].removeprefix("fraud_")),
                ("category", t["category"], f["category"]), ("population", t["city_population"], f["city_pop"]),
                ("place", [t["merchant_latitude"], t["merchant_longitude"]], [f["merch_lat"], f["merch_long"]]),
                ("home", [t["home_latitude"], t["home_longitude"]], [f["lat"], f["long"]])]:
            if found != sent:
                yield f"{t['id']}: {what} {found}, sent was {sent}"
        if t["at"] % 1000 or t["at"] // 1000 not in p.times:
            yield f"{t['id']}: at {t['at']}, never sent with that time"
        if t["source"] not in p.sources:
            yield f"{t['id']}: source {t['source']}, sent by {p.sources}"
        age = datetime.date.fromtimestamp(t["at"] / 1e6) - datetime.date(*map(int, f["dob"].split("-")))
        if abs(t["age"] - age.days / 365.2425) > 0.01:
            yield f"{t['id']}: age {t['age']}, born {f['dob']}"
        if cards.setdefault(p.number, t["card"]) != t["card"] or numbers.setdefault(t["card"], p.number) != p.number:
            yield f"{t['id']}: another card than that of its number's other payments"
    last_four = {c["card"]: c["last_four"] for c in stored["customers"]}
    for number, card in cards.items():
        if last_four.get(card) != str(number)[-4:]:
            yield f"customer {card}: last four {last_four.get(card)}, sent was {str(number)[-4:]}"


def nothing_waits(truth, stored, _):
    yield from (f"still in the inbox: {i['id']}" for i in stored["inbox"])
    yield from (f"still held: {h['card']}: {h['reason']}" for h in stored["held"])


def dead_letters_deserved(truth, stored, extra):
    broken = collections.Counter()
    for d in stored["dead_letters"]:
        p = truth.payments.get(d["id"])
        if d["id"] is None:
            broken[d["source"]] += d["occurrences"]
        elif p is None or not p.bad:
            yield f"dead letter of a good payment: {d['id']}: {d['reason']}"
    for source, count in extra["broken"].items():
        if broken[source] < count:
            yield f"{broken[source]} dead letters of {source}'s {count} broken bodies"


# ------------------------------------------------------ what goes with them
def nothing_orphaned(truth, stored, _):
    yield from (f"{o['what']}: {o['id']}" for o in stored["orphans"])


def customers_and_merchants(truth, stored, _):
    first, last = {}, {}
    for t in stored["transactions"]:
        first[t["card"]] = min(first.get(t["card"], t["at"]), t["at"])
        last[t["card"]] = max(last.get(t["card"], t["at"]), t["at"])
    for c in stored["customers"]:
        if (first.get(c["card"]), last.get(c["card"])) != (c["first"], c["last"]):
            yield f"customer {c['card']}: payments from {c['first']} to {c['last']}, stored are {first.get(c['card'])} to {last.get(c['card'])}"
    known = {m["merchant"] for m in stored["merchants"]}
    yield from (f"merchant without a row: {m}" for m in sorted({t["merchant"] for t in stored["transactions"]} - known))


def counters(truth, stored, _):
    counted = collections.Counter(t["source"] for t in stored["transactions"])
    for s in stored["sources"]:
        if s["stored"] != counted[s["name"]]:
            yield f"source {s['name']} counts {s['stored']} stored payments, there are {counted[s['name']]}"


# ------------------------------------------------------ features and scores
def features_recomputed(truth, stored, _):
    """Each stored vector is that of what was stored of the card before it."""
    names = [n["n"] for n in stored["names"]]
    by_card = collections.defaultdict(list)
    for t in stored["transactions"]:
        by_card[t["card"]].append(t)
    for payments in by_card.values():
        batches = collections.defaultdict(list)
        for t in payments:
            batches[(t["committed"], t["xact"])].append(facts(t))
        card = features.Card()
        for moment in sorted(batches):
            # Of one transaction, those before it in time and id count: it stores them together.
            for p in batches[moment]:
                card.add(p)
            for p in batches[moment]:
                expected = features.vector(p, card)
                for name, value in zip(names, p["features"]):
                    if name not in features.OF_OTHERS and features.differs(float(value), expected[name], name):
                        yield f"{p['id']}: {name} is {value}, recomputed {expected[name]}"


def facts(t):
    return {"at": t["at"], "id": t["id"], "cents": t["cents"], "category": t["category"], "merchant": t["merchant"],
            "home": (t["home_latitude"], t["home_longitude"]), "place": (t["merchant_latitude"], t["merchant_longitude"]),
            "population": t["city_population"], "age": t["age"], "features": t["features"]}


def merchants_bounded(truth, stored, _):
    """A merchant's count of a day is between what had committed well before, and what had at all."""
    names = [n["n"] for n in stored["names"]]
    place = names.index("merchant_count_24h")
    by_merchant = collections.defaultdict(list)
    for t in stored["transactions"]:
        by_merchant[t["merchant"]].append((t["at"], t["committed"], t["id"]))
    for payments in by_merchant.values():
        payments.sort()
    for t in stored["transactions"]:
        end = t["at"] - features.HOUR
        window = [p for p in by_merchant[t["merchant"]] if end - features.DAY < p[0] <= end]
        least = sum(p[1] < t["committed"] - 30 for p in window)
        most = sum(p[1] <= t["committed"] for p in window)
        if not least <= float(t["features"][place]) <= most:
            yield f"{t['id']}: merchant_count_24h is {t['features'][place]}, expected {least} to {most}"


def scores_of_vectors(truth, stored, _):
    review_at, block_at = stored["thresholds"][0]["review_at"], stored["thresholds"][0]["block_at"]
    for t in stored["transactions"]:
        if t["score"] != t["score_of_vector"]:
            yield f"{t['id']}: score {t['score']}, of its vector {t['score_of_vector']}"
        # Thresholds are compared as the scorer has them, in single precision or in double.
        narrow = struct.unpack("f", struct.pack("f", t["score"]))[0]
        decisions = {"block" if block_at is not None and s >= block_at else "review" if review_at is not None and s >= review_at else "approve"
                     for s in (t["score"], narrow)}
        if t["decision"] not in decisions:
            yield f"{t['id']}: decision {t['decision']} of score {t['score']}"


# --------------------------------------------------------- labels and cases
def labels_kept(truth, stored, _):
    said = collections.Counter((l["id"], l["source"]) for l in stored["labels"] if l["is_fraud"])
    there = {t["id"]: t for t in stored["transactions"]}
    for p in truth.payments.values():
        labels = said[p.id, "payload"]
        if labels > 1:
            yield f"{p.id}: labelled {labels} times by its payload"
        if labels and not p.fraud_said:
            yield f"{p.id}: labelled, but no payload said so"
        if p.fraud_settled and not p.bad and not labels:
            yield f"{p.id}: the payload's label is lost"
    promised = collections.Counter(truth.labels)
    for (payment, source), times in promised.items():
        if said[payment, source] < times:
            yield f"{payment}: {said[payment, source]} of {times} labels by {source}"
    for payment, t in there.items():
        labelled = any(said[payment, s] for s in ("payload", "chargeback", "analyst"))
        if bool(t["is_fraud"]) != labelled:
            yield f"{payment}: is_fraud is {t['is_fraud']}, labelled it is{'' if labelled else ' not'}"


def decisions_kept(truth, stored, _):
    status = {c["case_id"]: c["status"] for c in stored["cases"]}
    confirms = collections.Counter(h["case_id"] for h in stored["history"] if h["new_status"] == "confirmed")
    for case in truth.confirmed:
        if status.get(case) != "confirmed":
            yield f"case {case} was confirmed, it is {status.get(case)}"
    yield from (f"case {case} was confirmed {times} times" for case, times in confirms.items() if times > 1)


# -------------------------------------------------------------------- sums
def sums_recounted(truth, stored, _):
    labels = {l["id"]: l["is_fraud"] for l in stored["current_labels"]}
    days, hours = {}, {}
    for t in stored["transactions"]:
        alerted, fraud = t["decision"] != "approve", bool(labels.get(t["id"]))
        day = days.setdefault(str(datetime.datetime.fromtimestamp(t["at"] // 10 ** 6, datetime.timezone.utc).date()), collections.Counter())
        day.update(payments=1, cents=t["cents"], alerts=alerted, alerted_cents=alerted * t["cents"], approved=t["decision"] == "approve",
                   reviewed=t["decision"] == "review", blocked=t["decision"] == "block", labelled_fraud=fraud, labelled_fraud_alerted=fraud and alerted)
        day.setdefault("cards", set())
        day["cards"].add(t["card"])
        hour = hours.setdefault(t["at"] // features.HOUR * 3600, collections.Counter())
        hour.update(payments=1, cents=t["cents"], alerts=alerted, labelled_fraud=fraud)
    for day in days.values():
        day["customers"] = len(day.pop("cards"))
    for what, counted, view in [("day", days, stored["days"]), ("hour", hours, stored["hours"])]:
        found = {row[what]: row for row in view}
        for key in sorted(counted.keys() | found.keys()):
            mine, theirs = counted.get(key, {}), found.get(key, {})
            for column in (set(mine) | set(theirs)) - {what}:
                if mine.get(column, 0) != theirs.get(column, 0):
                    yield f"{what} {key}: {column} {theirs.get(column)}, recounted {mine.get(column)}"


# ------------------------------------------------------------------ alerts
def alerts_told(truth, stored, extra):
    """Each channel has had each alert, in deliveries that keep their id; and nothing else."""
    alerts = {a["alert_id"]: a for a in stored["alerts"]}
    messages = {m["outbox_id"]: m["payload"] for m in stored["messages"]}
    keys = {d["key"]: d for d in stored["deliveries"]}
    told = collections.defaultdict(lambda: collections.defaultdict(set))
    bodies = {}
    for channel, delivery, idempotency_key, body in extra["received"]:
        if delivery != idempotency_key or body.get("id") != delivery:
            yield f"delivery {delivery}: Idempotency-Key {idempotency_key}, id {body.get('id')}"
        if bodies.setdefault(delivery, body) != body:
            yield f"delivery {delivery} came again with another body"
        if delivery not in keys or keys[delivery]["channel"] != channel:
            yield f"delivery {delivery} to {channel} is not in fraud.notifications"
        shown = body["data"] if body["digest"] else [body["data"]]
        for data in shown:
            alert = alerts.get(data["alert_id"])
            if alert is None or any(alert[c] != data[n] for c, n in [("id", "transaction_id"), ("card", "card"), ("score", "score"), ("decision", "decision")]):
                yield f"told was alert {data['alert_id']} of {data['transaction_id']}, which there is not"
        # A digest shows some of its messages, and says how many there are.
        held = [messages[m]["alert_id"] for m in keys.get(delivery, {"messages": []})["messages"] if m in messages]
        if len({d["alert_id"] for d in shown} & set(held)) != min(SHOWN, len(held)) or len(shown) > len(held) or body["count"] != len(held):
            yield f"delivery {delivery} shows {len(shown)} alerts of {body['count']}, it holds {len(held)}"
        for alert in held:
            told[channel][alert].add(delivery)
    for d in stored["deliveries"]:
        if d["state"] != "delivered":
            yield f"delivery {d['key']} to {d['channel']} is {d['state']}"
    for channel in extra["channels"]:
        for alert in alerts:
            times = len(told[channel][alert])
            if times != 1:
                yield f"{channel}: alert {alert} in {times} deliveries"
    if sorted(m["alert_id"] for m in messages.values()) != sorted(alerts):
        yield f"{len(messages)} messages of {len(alerts)} alerts"


CHECKS = [
    (nothing_lost, "nothing that was settled is lost"),
    (nothing_twice, "no payment is stored twice"),
    (nothing_invented, "what is stored is what was sent, each card number one customer"),
    (nothing_waits, "nothing waits or is held in the end"),
    (dead_letters_deserved, "dead letters are those of what cannot be stored"),
    (nothing_orphaned, "no row without what goes with it"),
    (customers_and_merchants, "customers and merchants have their rows"),
    (counters, "sources count what is stored"),
    (features_recomputed, "features are those recomputed from what was stored before"),
    (merchants_bounded, "a merchant's count is of what had committed"),
    (scores_of_vectors, "scores are those of the vectors, decisions those of the scores"),
    (labels_kept, "labels are kept, none twice"),
    (decisions_kept, "decisions on cases are kept"),
    (sums_recounted, "sums equal a recount"),
    (alerts_told, "each alert is told to each channel, and nothing else"),
]


def judge(truth, stored, extra):
    """Returns for each check its title and its faults."""
    return [(title, list(check(truth, stored, extra))) for check, title in CHECKS]
