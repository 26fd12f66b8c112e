#!/usr/bin/env python3
"""A stand-in for the payment API: plays payments back, and misbehaves on demand.

README.md beside this file describes the options and the paths.
"""

import argparse
import bisect
import gzip
import http.server
import json
import os
import re
import select
import signal
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time
import urllib.parse
import zlib

import bank

COLUMNS = [
    "cc_num", "merchant", "category", "amt", "first", "last", "gender", "street", "city", "state",
    "zip", "lat", "long", "city_pop", "job", "dob", "trans_num", "merch_lat", "merch_long",
    "is_fraud", "current_time",
]

API_KEY = "secret-key-1"
HUGE_BYTES = 100 * 1000 * 1000
BOMB_BYTES = 200 * 1000 * 1000
LONG_HEADER_BYTES = 200 * 1000
MINUTE_MS = 60 * 1000
YEAR_MS = 365 * 24 * 60 * MINUTE_MS

# Played back, and misbehaved with, where no file of payments is given.
BUILT_IN_PAYMENTS = [
    dict(zip(COLUMNS, values))
    for values in [
        (4497913965512794052, "fraud_Berge, Kautzer and Harris", "personal_care", 60.16, "Scott",
         "Edwards", "M", "838 Amy Street Suite 107", "Pembroke", "NC", 28372, 34.6902, -79.1834,
         14783, "Hospital doctor", "1955-11-07", "3cb54a489fb351f73a7db98f6c7bb1ad", 34.38451,
         -78.621062, 0, 1730134684025),
        (30263540414123, "fraud_Harbor Books", "shopping_pos", 12.5, "Ada", "Nilsen", "F",
         "4 Quay Road", "Salem", "MA", 1970, 42.5195, -70.8967, 43000, "Surveyor", "1979-02-28",
         "0d1f5a7be2c94c6e8a31f0b7d2c4e690", 42.61, -70.95, 0, 1730134744025),
        (4497913965512794052, "fraud_Night Owl Fuel", "gas_transport", 899.99, "Scott", "Edwards",
         "M", "838 Amy Street Suite 107", "Pembroke", "NC", 28372, 34.6902, -79.1834, 14783,
         "Hospital doctor", "1955-11-07", "77aa0c9e5b6d4f11a2b3c4d5e6f70819", 35.0, -78.9, 1,
         1730134804025),
    ]
]


def compact(value):
    """Returns the value as JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))


def split_layout(payments, index=None):
    """Returns the wire format's inner JSON."""
    index = list(range(len(payments))) if index is None else list(index)
    rows = [[payment.get(name) for name in COLUMNS] for payment in payments]
    return compact({"columns": COLUMNS, "index": index, "data": rows})


def wire_body(payments, index=None):
    """Returns a body in the wire format: JSON within a JSON string."""
    return compact(split_layout(payments, index)).encode("ascii")


class History:
    """The payments to play back; lines are parsed only when they are sent."""

    _TIME = re.compile(r'"current_time"\s*:\s*(\d+)')

    def __init__(self, lines):
        self.lines = []
        self.times_ms = []
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if not line:
                continue
            found = self._TIME.search(line)
            if not found:
                raise ValueError(f"line {number} of the payments has no current_time")
            self.lines.append(line)
            self.times_ms.append(int(found.group(1)))
            if len(self.times_ms) > 1 and self.times_ms[-1] < self.times_ms[-2]:
                raise ValueError(f"line {number} of the payments is out of time order")

    def __len__(self):
        return len(self.lines)

    def get(self, begin, end):
        return [json.loads(line) for line in self.lines[begin:end]]


class Feed:
    """What /current-transactions answers: it changes at each tick."""

    def __init__(self, history, tick, per_tick, speed, overlap):
        self.history = history
        self.tick = tick
        self.per_tick = per_tick
        self.speed = speed
        self.overlap = overlap
        self.started = time.monotonic()
        self.started_ms = time.time() * 1000
        self._lock = threading.Lock()
        self._body_tick = None
        self._body = b""

    def _current_tick(self):
        return int((time.monotonic() - self.started) / self.tick)

    def _published_at(self, tick):
        """Returns how many payments have been published at the start of a tick."""
        if tick < 0 or not len(self.history):
            return 0
        if self.speed is None:
            return min((tick + 1) * self.per_tick, len(self.history))
        elapsed_ms = tick * self.tick * 1000
        simulated_ms = min(self.history.times_ms[0] + elapsed_ms * self.speed,
                           self.started_ms + elapsed_ms)
        return bisect.bisect_right(self.history.times_ms, simulated_ms)

    def body(self):
        tick = self._current_tick()
        with self._lock:
            if tick != self._body_tick:
                begin = self._published_at(tick - 1 - self.overlap)
                end = self._published_at(tick)
                self._body = wire_body(self.history.get(begin, end), range(begin, end))
                self._body_tick = tick
            return self._body

    def published(self):
        end = self._published_at(self._current_tick())
        return [payment["trans_num"] for payment in self.history.get(0, end)]


class Faults:
    """The payments of the fault paths: their own ids, and times near the present."""

    def __init__(self, history):
        self.models = history.get(0, 8) or BUILT_IN_PAYMENTS
        self.now_ms = int(time.time() * 1000)
        self._bomb_lock = threading.Lock()
        self._bomb = None

    def payments(self, fault, count):
        """Returns payments of consecutive minutes; the last one is a minute old."""
        payments = []
        for i in range(count):
            payment = dict(self.models[i % len(self.models)])
            payment["trans_num"] = f"fault-{fault}-{i + 1}"
            payment["current_time"] = self.now_ms - (count - i) * MINUTE_MS
            payments.append(payment)
        return payments

    def once(self, fault, answer, count):
        payments = self.payments(fault, count)
        for i, payment in enumerate(payments):
            payment["trans_num"] = f"{fault}-{answer * count + i + 1}"
        return payments

    def wrong_types(self):
        payments = self.payments("wrong-types", 6)
        payments[1]["amt"] = "abc"
        payments[2]["cc_num"] = float(payments[2]["cc_num"])
        payments[3]["lat"] = 999
        payments[4]["trans_num"] = None
        payments[5]["dob"] = "1955-13-40"
        return payments

    def duplicates(self):
        first, second = self.payments("duplicates", 2)
        again = dict(first, current_time=first["current_time"] + MINUTE_MS)
        return [first, first, second, again]

    def out_of_order(self, answer):
        """Returns the later payments first; each answer goes further back."""
        payments = self.payments("out-of-order", 6)[::-1]
        begin = 2 * min(answer, 2)
        return payments[begin:begin + 2]

    def future(self):
        ahead, good = self.payments("future", 2)
        ahead["current_time"] = self.now_ms + YEAR_MS
        return [ahead, good]

    def huge(self):
        """Yields a valid body of about HUGE_BYTES bytes, in pieces."""
        payment = self.payments("huge", 1)[0]
        head, tail = wire_body([payment]).split(b"\\\"data\\\":[")
        row = tail[:-len(b']}"')]
        yield head + b"\\\"data\\\":["
        piece = (row + b",") * max(1, 65536 // len(row))
        for _ in range(HUGE_BYTES // len(piece)):
            yield piece
        yield tail

    def bomb(self):
        """Returns a small gzip stream of a large and valid body: an array of blanks."""
        with self._bomb_lock:
            if self._bomb is None:
                packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
                blanks = b" " * 1000000
                pieces = [packer.compress(b"[")]
                pieces += [packer.compress(blanks) for _ in range(BOMB_BYTES // len(blanks))]
                pieces += [packer.compress(b"]"), packer.flush()]
                self._bomb = b"".join(pieces)
            return self._bomb


class Server(http.server.ThreadingHTTPServer):
    """The server and what its requests share."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port, feed, faults, fault_seconds, bodies=None, accounts=None):
        self.bodies = bodies
        self.bank = accounts or bank.Bank(100)
        self.feed = feed
        self.faults = faults
        self.fault_seconds = fault_seconds
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._requests = {}
        super().__init__(("127.0.0.1", port), Handler)

    def server_bind(self):
        # The base class asks the resolver for the host's name, which can hang.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, request, client_address):
        # Clients that go away early are what the fault paths are for.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def count(self, path):
        """Counts a request and returns how many of its path came before."""
        with self._lock:
            before = self._requests.get(path, 0)
            self._requests[path] = before + 1
            return before

    def requests(self):
        with self._lock:
            return dict(self._requests)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "payment-api"
    sys_version = ""

    def log_message(self, format, *args):
        pass

    def do_POST(self):
        self.do_GET()

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        self.earlier = self.server.count(path)
        if path.startswith("/bank/"):
            bank.handle(self, self.server.bank, self.command)
            return
        if self.command != "GET":
            self.close_connection = True
            self.send(405, compact({"error": "only GET"}).encode())
            return
        self.faults = self.server.faults
        answer = self.ROUTES.get(path)
        if answer is None and path.startswith("/bodies/") and self.server.bodies:
            self.body_of_file(path.removeprefix("/bodies/"))
        elif answer is None:
            self.send(404, compact({"error": "no such path"}).encode())
        else:
            answer(self)

    # Ways to send.

    def send(self, status, body, content_type="application/json", headers=()):
        self.begin(status, content_type, [*headers, ("Content-Length", len(body))])
        self.wfile.write(body)

    def begin(self, status, content_type, headers):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        for name, value in headers:
            self.send_header(name, str(value))
        self.end_headers()

    def send_payments(self, payments):
        self.send(200, wire_body(payments))

    def send_good(self, fault):
        self.send_payments(self.faults.payments(fault, 2))

    def wait(self, seconds):
        """Waits; returns False as soon as the client or the server goes away."""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return True
            if self.server.stopping.is_set():
                return False
            readable, _, _ = select.select([self.connection], [], [], min(left, 0.2))
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                return False
            if readable:
                self.server.stopping.wait(min(left, 0.2))

    # Ordinary paths.

    def body_of_file(self, name):
        """Answers with a file of the folder of bodies, as it is now; without it, with no payments."""
        try:
            with open(os.path.join(self.server.bodies, os.path.basename(name)), "rb") as file:
                body = file.read()
        except FileNotFoundError:
            body = b"[]"
        self.send(200, body)

    def current_transactions(self):
        self.send(200, self.server.feed.body())

    def published(self):
        self.send(200, compact(self.server.feed.published()).encode())

    def requests(self):
        self.send(200, compact(self.server.requests()).encode())

    def nothing(self):
        self.send(204, b"")

    # Faults.

    def status_500(self):
        self.send(500, compact({"error": "internal error"}).encode())

    def status_429(self):
        self.send(429, compact({"error": "too many requests"}).encode(),
                  headers=[("Retry-After", 2)])

    def status_503_then_ok(self):
        if self.earlier < 2:
            self.send(503, compact({"error": "starting"}).encode(), headers=[("Retry-After", 1)])
        else:
            self.send_good("503-then-ok")

    def drip(self):
        self.close_connection = True
        self.begin(200, "application/json", [("Connection", "close")])
        body = wire_body(self.faults.payments("drip", 2))
        deadline = time.monotonic() + self.server.fault_seconds
        sent = 0
        while time.monotonic() < deadline:
            # It never ends: blanks before the body are still JSON.
            self.wfile.write(body[sent:sent + 1] if sent < len(body) - 1 else b" ")
            sent += 1
            if not self.wait(1):
                return

    def hang(self):
        self.close_connection = True
        self.wait(self.server.fault_seconds)

    def empty(self):
        self.send(200, b"")

    def truncated(self):
        body = wire_body(self.faults.payments("truncated", 2))
        self.send(200, body[:len(body) // 2])

    def truncated_transfer(self):
        self.close_connection = True
        body = wire_body(self.faults.payments("truncated-transfer", 2))
        self.begin(200, "application/json", [("Content-Length", len(body))])
        self.wfile.write(body[:len(body) // 2])

    def once(self):
        self.send_payments(self.faults.once("once", self.earlier, 1))

    def once_cut(self):
        self.close_connection = True
        body = wire_body(self.faults.once("once-cut", self.earlier, 3))
        self.begin(200, "application/json", [("Content-Length", len(body))])
        self.wfile.write(body[:-40])

    def wrong_types(self):
        self.send_payments(self.faults.wrong_types())

    def huge(self):
        self.begin(200, "application/json", [("Transfer-Encoding", "chunked")])
        for piece in self.faults.huge():
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def huge_length(self):
        size = sum(len(piece) for piece in self.faults.huge())
        self.begin(200, "application/json", [("Content-Length", size)])
        for piece in self.faults.huge():
            self.wfile.write(piece)

    def redirect_loop(self):
        self.send(302, b"", headers=[("Location", "/redirect-loop")])

    def redirect(self):
        self.send(302, b"", headers=[("Location", "/current-transactions")])

    def redirect_nowhere(self):
        self.send(302, b"")

    def redirect_out(self):
        """Leads to the URL that the query names."""
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        self.send(302, b"", headers=[("Location", query["to"][0])])

    def not_modified(self):
        self.begin(304, "application/json", [])

    def long_header(self):
        self.send(200, b"[]", headers=[("X-Long", "x" * LONG_HEADER_BYTES)])

    def many_headers(self):
        self.send(200, b"[]", headers=[(f"X-Many-{i}", "x" * 1000) for i in range(90)])

    def page(self):
        self.send(200, b"<html>" + b"internal " * 5000, "text/html; charset=utf-8")

    def wrong_content_type(self):
        page = b"<!DOCTYPE html><html><body><h1>Scheduled maintenance</h1></body></html>\n"
        self.send(200, page, "text/html; charset=utf-8")

    def duplicates(self):
        self.send_payments(self.faults.duplicates())

    def out_of_order(self):
        self.send_payments(self.faults.out_of_order(self.earlier))

    def future(self):
        self.send_payments(self.faults.future())

    def not_utf8(self):
        payments = self.faults.payments("not-utf8", 2)
        payments[1]["last"] = "M@ller"
        self.send(200, wire_body(payments).replace(b"M@ller", b"M\xfcller"))

    def gzip(self):
        body = wire_body(self.faults.payments("gzip", 2))
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            self.send(200, gzip.compress(body), headers=[("Content-Encoding", "gzip")])
        else:
            self.send(200, body)

    def bomb(self):
        self.send(200, self.faults.bomb(), headers=[("Content-Encoding", "gzip")])

    def records(self):
        self.send(200, compact(self.faults.payments("records", 2)).encode())

    def ndjson(self):
        lines = [compact(payment) + "\n" for payment in self.faults.payments("ndjson", 2)]
        self.send(200, "".join(lines).encode(), "application/x-ndjson")

    def one(self):
        self.send(200, compact(self.faults.payments("one", 1)[0]).encode())

    def needs_key(self):
        if self.headers.get("X-Api-Key") == API_KEY:
            self.send_good("needs-key")
        else:
            self.send(401, compact({"error": "no valid key"}).encode())

    def reset(self):
        self.close_connection = True
        # With a linger time of zero, closing resets the connection.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    ROUTES = {
        "/current-transactions": current_transactions,
        "/published": published,
        "/requests": requests,
        "/204": nothing,
        "/500": status_500,
        "/429": status_429,
        "/503-then-ok": status_503_then_ok,
        "/drip": drip,
        "/hang": hang,
        "/empty": empty,
        "/truncated": truncated,
        "/truncated-transfer": truncated_transfer,
        "/once": once,
        "/once-cut": once_cut,
        "/wrong-types": wrong_types,
        "/huge": huge,
        "/huge-length": huge_length,
        "/redirect-loop": redirect_loop,
        "/redirect": redirect,
        "/redirect-nowhere": redirect_nowhere,
        "/redirect-out": redirect_out,
        "/not-modified": not_modified,
        "/long-header": long_header,
        "/many-headers": many_headers,
        "/page": page,
        "/wrong-content-type": wrong_content_type,
        "/duplicates": duplicates,
        "/out-of-order": out_of_order,
        "/future": future,
        "/not-utf8": not_utf8,
        "/gzip": gzip,
        "/bomb": bomb,
        "/records": records,
        "/ndjson": ndjson,
        "/one": one,
        "/needs-key": needs_key,
        "/reset": reset,
    }


def positive(kind):
    """Returns an argument type that takes numbers above zero."""
    def parse(text):
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not above zero")
        return value
    parse.__name__ = "number"
    return parse


def not_negative(text):
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below zero")
    return value


def parse_arguments():
    parser = argparse.ArgumentParser(description="A stand-in for the payment API.")
    parser.add_argument("--port", type=not_negative, default=0, help="0 (default): any free port")
    parser.add_argument("--payments", metavar="FILE",
                        help="one payment object a line, in time order; - is standard input")
    parser.add_argument("--tick", type=positive(float), default=60, metavar="SECONDS",
                        help="how often the answer changes (default 60)")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--per-tick", type=positive(int), metavar="N",
                      help="publish N payments a tick (default 1)")
    pace.add_argument("--speed", type=positive(float), metavar="X",
                      help="publish X simulated seconds a second, up to the present")
    parser.add_argument("--overlap", type=not_negative, default=0, metavar="N",
                        help="repeat the payments of the last N ticks (default 0)")
    parser.add_argument("--port-file", metavar="FILE", help="write the port there once listening")
    parser.add_argument("--bodies", metavar="FOLDER", help="answer /bodies/NAME with the file NAME of it")
    parser.add_argument("--booked", type=not_negative, default=100, metavar="N",
                        help="transactions that the bank has booked (default 100); /bank/book?count=N changes it")
    parser.add_argument("--token-seconds", type=positive(float), default=3600, metavar="SECONDS",
                        help="how long the bank's access tokens are good (default 3600)")
    parser.add_argument("--certificate", metavar="FILE", help="serve over TLS, with this certificate and key")
    parser.add_argument("--client-ca", metavar="FILE", help="over TLS, only to clients with a certificate of this authority")
    parser.add_argument("--fault-seconds", type=positive(float), default=600, metavar="SECONDS",
                        help="how long /drip and /hang last at most (default 600)")
    return parser.parse_args()


def read_history(name):
    if name is None:
        return History(map(compact, BUILT_IN_PAYMENTS))
    if name == "-":
        return History(sys.stdin)
    with open(name, encoding="utf-8") as file:
        return History(file)


def write_port(name, port):
    """Writes the port so that a reader sees all of it or nothing."""
    temporary = f"{name}.{os.getpid()}.tmp"
    with open(temporary, "w", encoding="ascii") as file:
        file.write(f"{port}\n")
    os.replace(temporary, name)


def main():
    arguments = parse_arguments()
    try:
        history = read_history(arguments.payments)
    except (OSError, ValueError) as error:
        sys.exit(f"payment_api.py: could not read the payments: {error}")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    feed = Feed(history, arguments.tick, arguments.per_tick or 1, arguments.speed,
                arguments.overlap)
    server = Server(arguments.port, feed, Faults(history), arguments.fault_seconds, arguments.bodies,
                    bank.Bank(arguments.booked, token_seconds=arguments.token_seconds))
    if arguments.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.certificate)
        if arguments.client_ca:
            context.load_verify_locations(arguments.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        # The handshake is each connection's own thread's.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1},
                     daemon=True).start()
    port = server.server_address[1]
    if arguments.port_file:
        write_port(arguments.port_file, port)
    print(f"listening on http://127.0.0.1:{port}/current-transactions", flush=True)
    stop.wait()
    server.stopping.set()
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    main()
