"""A bank's REST API, as the payment API stand-in has it under /bank (README.md beside this file).

Its transactions are nested objects in an envelope; /bank/flat/… has the same ones in the wire
format's names and the split layout, for what reads no envelopes.
"""

import base64
import datetime
import hashlib
import json
import threading
import time
import urllib.parse

CLIENT_ID = "fraud detect"
CLIENT_SECRET = "s3cret & more"
USER, PASSWORD = "reader", "pass word"
API_KEY = "bank-key-1"
COLUMNS = ["cc_num", "trans_num", "amt", "merchant", "category", "current_time"]
MINUTE_MS = 60 * 1000
COUNTRIES = ["DE", "FR", "JP", "NL"]
MERCHANTS = ["Kuhn GmbH", "Boulangerie Lune", "Sakura Denki", "Fietsenwinkel"]


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def iban(account):
    """Returns a German IBAN with its check digits; DE is 1314."""
    return f"DE{98 - int(account + '131400') % 97:02d}{account}"


class Bank:
    """What the bank knows: transactions, a minute apart, of which so many are booked."""

    def __init__(self, booked, total=100000, token_seconds=3600):
        self.booked = booked
        self.token_seconds = token_seconds
        self.start_ms = (int(time.time() * 1000) // MINUTE_MS - 1440) * MINUTE_MS
        self.lock = threading.Lock()
        self.tokens = {}
        self.log = []
        self.failures = {}
        self.last_limited = 0.0
        self.total = total

    def time_ms(self, i):
        """Transaction i's time: half a second apart, so that thousands are of the last day."""
        return self.start_ms + i * 500

    def transaction(self, i):
        """Transaction i as the bank tells of it: money in minor units, times with an offset."""
        at = datetime.datetime.fromtimestamp(self.time_ms(i) / 1000, datetime.timezone(datetime.timedelta(hours=2)))
        refund = i % 10 == 9
        # What is paid back is of the same customer, account, device and currency.
        k = i - 9 if refund else i
        yen = k % 4 == 2
        found = {
            "transactionId": f"bank-{i:06d}",
            "bookedAt": at.isoformat(timespec="milliseconds"),
            "type": "REFUND" if refund else "PAYMENT",
            "amount": {"value": (1200 + i) if yen else (1250 + i), "currency": "JPY" if yen else "EUR"},
            "debtor": {"name": f"Customer {k % 7}",
                       "account": {"iban": iban(f"5001051754073249{k % 7:02d}")}},
            "creditor": {"name": MERCHANTS[k % 4], "mcc": 5411 + k % 4, "country": COUNTRIES[k % 4]},
            "device": {"id": f"device-{k % 5}", "ip": f"198.51.100.{k % 20}"},
            "contact": {"email": f"customer{k % 7}@example.org"},
        }
        if refund:
            found["originalTransactionId"] = f"bank-{k:06d}"
        return found

    def row(self, i):
        """Transaction i in the wire format."""
        return [4000000000000002 if i % 2 else 4000000000000010, f"flat-{i:06d}", round(12.5 + i / 100, 2),
                MERCHANTS[i % 4], "misc_net", self.time_ms(i)]

    def since(self, text):
        """Returns the first transaction that is not before a time; of none of its own forms, None."""
        if text is None:
            return 0
        if text.isdigit():
            at = int(text)
        else:
            try:
                at = datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000
            except ValueError:
                return None
        return max(0, int(-(-(at - self.start_ms) // 500)))

    def first_token(self, seconds=None):
        token = hashlib.sha256(str(time.monotonic_ns()).encode()).hexdigest()
        with self.lock:
            self.tokens[token] = time.monotonic() + (seconds if seconds is not None else self.token_seconds)
        return token

    def knows(self, token):
        with self.lock:
            return self.tokens.get(token, 0) > time.monotonic()


def one(query, name, default=None):
    return query.get(name, [default])[0]


def handle(handler, bank, method):
    """Answers a request under /bank."""
    parts = urllib.parse.urlsplit(handler.path)
    path = parts.path.removeprefix("/bank/")
    query = urllib.parse.parse_qs(parts.query, keep_blank_values=True)
    length = int(handler.headers.get("Content-Length") or 0)
    body = handler.rfile.read(length).decode() if length else ""
    if path not in ("log", "book"):
        with bank.lock:
            bank.log.append({"method": method, "path": path, "query": {k: v[0] for k, v in query.items()},
                             "body": body, "type": handler.headers.get("Content-Type"),
                             "authorization": (handler.headers.get("Authorization") or "").split(" ")[0],
                             "none_match": handler.headers.get("If-None-Match"), "at": round(time.time(), 3)})

    def answer(status, value, headers=()):
        text = value if isinstance(value, str) else compact(value)
        handler.send(status, text.encode(), headers=headers)

    def page(first, count, limit):
        return range(first, max(first, min(first + limit, count)))

    def payments(numbers, more):
        """The answer's body: flat, or in the bank's own envelope."""
        if flat:
            return {"columns": COLUMNS, "index": list(numbers), "data": [bank.row(i) for i in numbers], **more}
        return {"data": {"transactions": [bank.transaction(i) for i in numbers]}, **more}

    flat = path.startswith("flat/")
    what = path.removeprefix("flat/")
    booked = bank.booked
    limit = int(one(query, "limit", "20"))
    fault = one(query, "fail")

    if path == "log":
        return answer(200, bank.log)
    if path == "book":
        bank.booked = min(bank.total, int(one(query, "count")))
        return answer(200, {"booked": bank.booked})
    if path == "expire":
        with bank.lock:
            bank.tokens.clear()
        return answer(200, {})
    if path == "token":
        return token(handler, bank, method, body, answer)

    # So many requests of a page fail before one is answered: fail=NAME:PAGE:TIMES,…
    for one_fault in fault.split(",") if fault else ():
        name, at, times = one_fault.split(":")
        key = (name, one(query, "cursor") or one(query, "page") or one(query, "offset") or "")
        with bank.lock:
            failed = bank.failures.get(key, 0)
            if key[1] == at and failed < int(times):
                bank.failures[key] = failed + 1
                return answer(500, {"error": "internal error"})

    if what == "transactions":
        kind, _, value = (handler.headers.get("Authorization") or "").partition(" ")
        if kind != "Bearer" or not bank.knows(value):
            return answer(401, {"error": "invalid_token"}, [("WWW-Authenticate", "Bearer")])
        what = "cursor"
    if what == "basic":
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if handler.headers.get("Authorization") != wanted:
            return answer(401, {"error": "who are you"})
        what = "cursor"
    if what == "key":
        if one(query, "api_key") != API_KEY and handler.headers.get("X-Bank-Key") != API_KEY:
            return answer(401, {"error": "no key"})
        what = "cursor"
    if what == "limited":
        with bank.lock:
            early = time.monotonic() < bank.last_limited + float(one(query, "every", "0.2"))
            if not early:
                bank.last_limited = time.monotonic()
        if early:
            return answer(429, {"error": "too many requests"}, [("Retry-After", "1")])
        what = "cursor"

    if what in ("cursor", "loop", "lost", "header"):
        # A cursor names the first transaction that is yet to be told of, and is not to be read.
        cursor = one(query, "cursor")
        if cursor:
            try:
                first = int(base64.urlsafe_b64decode(cursor.encode()).decode().removeprefix("at:"))
            except ValueError:
                return answer(400, {"error": "unknown cursor"})
            if what == "lost" and first >= 40 and bank.failures.setdefault("lost", 0) < 1:
                bank.failures["lost"] += 1
                return answer(410, {"error": "the cursor has expired"})
        else:
            first = bank.since(one(query, "from"))
            if first is None:
                return answer(400, {"error": "no time"})
        numbers = page(first, booked, limit)
        after = base64.urlsafe_b64encode(f"at:{first + len(numbers)}".encode()).decode()
        if what == "loop":
            after = cursor or after
        more = first + len(numbers) < booked
        wants_always = one(query, "always") is not None
        body = payments(numbers, {"next_cursor": after if more or wants_always else None, "has_more": more})
        return answer(200, body, [("X-Next-Cursor", after)] if more else [])

    if what == "link":
        first = int(one(query, "after", "0"))
        numbers = page(first, booked, limit)
        headers = []
        if first + len(numbers) < booked:
            target = one(query, "to") or f"/bank/{path}"
            headers = [("Link", f'<{target}?after=0>; rel="first"'),
                       ("Link", f'<{target}?after={first + len(numbers)}&limit={limit}>; rel="next"')]
        return answer(200, payments(numbers, {}), headers)

    if what == "page":
        first = (int(one(query, "page", "1")) - 1) * limit
        return answer(200, payments(page(first, booked, limit), {"total": booked}))

    if what == "offset":
        first = int(one(query, "offset", "0"))
        return answer(200, payments(page(first, booked, limit), {"total": booked}))

    if what == "search":
        if method != "POST":
            return answer(405, {"error": "POST"})
        try:
            asked = json.loads(body)
        except ValueError:
            return answer(400, {"error": "no JSON"})
        first = int(asked["after"]) if asked.get("after") else max(0, -(-(asked["from"] - bank.start_ms) // 500))
        numbers = page(first, booked, asked["limit"])
        more = first + len(numbers) < booked
        return answer(200, payments(numbers, {"next": str(first + len(numbers)) if more else None}))

    if what == "tagged":
        tag = f'"{booked}"'
        if handler.headers.get("If-None-Match") == tag:
            return handler.begin(304, "application/json", [("ETag", tag)])
        return answer(200, payments(page(0, booked, limit), {}), [("ETag", tag)])

    if what == "feed.csv":
        rows = [bank.transaction(i) for i in page(0, booked, limit)]
        lines = ["id;booked;type;amount;currency;iban;merchant;country;device;email"]
        lines += [";".join([row["transactionId"], row["bookedAt"], row["type"], str(row["amount"]["value"]),
                            row["amount"]["currency"], row["debtor"]["account"]["iban"],
                            '"' + row["creditor"]["name"] + '"', row["creditor"]["country"], row["device"]["id"],
                            row["contact"]["email"]]) for row in rows]
        return handler.send(200, ("\r\n".join(lines) + "\r\n").encode(), "text/csv; charset=utf-8")

    return answer(404, {"error": "no such path"})


def token(handler, bank, method, body, answer):
    """The token endpoint (RFC 6749, 4.4): the client by basic authentication, or in the body."""
    if method != "POST" or (handler.headers.get("Content-Type") or "") != "application/x-www-form-urlencoded":
        return answer(400, {"error": "invalid_request"})
    form = {name: values[0] for name, values in urllib.parse.parse_qs(body).items()}
    client = (form.get("client_id"), form.get("client_secret"))
    kind, _, value = (handler.headers.get("Authorization") or "").partition(" ")
    if kind == "Basic":
        name, _, secret = base64.b64decode(value).decode().partition(":")
        client = (urllib.parse.unquote_plus(name), urllib.parse.unquote_plus(secret))
    if client != (CLIENT_ID, CLIENT_SECRET):
        return answer(401, {"error": "invalid_client", "error_description": f"secret {client[1]} is wrong"})
    if form.get("grant_type") != "client_credentials":
        return answer(400, {"error": "unsupported_grant_type"})
    return answer(200, {"access_token": bank.first_token(), "token_type": "Bearer",
                        "expires_in": int(bank.token_seconds) or 1, "scope": form.get("scope", "")})
