#!/usr/bin/env python3
"""Tests of the payment API stand-in: every path, and the way payments are played back."""

import gzip
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

PROGRAM = pathlib.Path(__file__).with_name("payment_api.py")
COLUMNS = [
    "cc_num", "merchant", "category", "amt", "first", "last", "gender", "street", "city", "state",
    "zip", "lat", "long", "city_pop", "job", "dob", "trans_num", "merch_lat", "merch_long",
    "is_fraud", "current_time",
]


class Api:
    """A running stand-in."""

    def __init__(self, *options, payments=None):
        self.folder = tempfile.TemporaryDirectory()
        port_file = os.path.join(self.folder.name, "port")
        if payments is not None:
            name = os.path.join(self.folder.name, "payments.ndjson")
            with open(name, "w", encoding="utf-8") as file:
                file.writelines(json.dumps(payment) + "\n" for payment in payments)
            options += ("--payments", name)
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), "--port-file", port_file, *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.line = self.process.stdout.readline()
        if not self.line:
            raise RuntimeError(self.process.communicate()[1])
        with open(port_file, encoding="ascii") as file:
            self.port = int(file.read())

    def stop(self, number=signal.SIGTERM):
        """Stops it, and returns its exit status and what it wrote on standard error."""
        self.process.send_signal(number)
        errors = self.process.communicate(timeout=10)[1]
        self.folder.cleanup()
        return self.process.returncode, errors

    def open(self, path, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
        except OSError:
            connection.close()
            raise
        response.connection = connection
        return response

    def get(self, path, **headers):
        """Returns status, headers and body."""
        response = self.open(path, **headers)
        try:
            return response.status, response.headers, response.read()
        finally:
            response.close()
            response.connection.close()

    def payments(self, path="/current-transactions", **headers):
        """Returns the payments of a body in the wire format, as objects."""
        status, reply, body = self.get(path, **headers)
        assert status == 200, (path, status, body)
        assert reply["Content-Type"] == "application/json"
        return unwrap(body)


def unwrap(body):
    inner = json.loads(body)
    assert isinstance(inner, str)
    document = json.loads(inner)
    assert list(document) == ["columns", "index", "data"]
    assert document["columns"] == COLUMNS
    assert len(document["index"]) == len(document["data"])
    return [dict(zip(COLUMNS, row)) for row in document["data"]]


def ids(payments):
    return [payment["trans_num"] for payment in payments]


def history(count, first_ms, step_ms):
    """Returns payments at equal distances in time."""
    values = [9999999999999999999, "fraud_Böhm", "travel", 60.16, "A", "B", "F", "S", "C", "NC",
              1056, 34.6902, -79.1834, 1, "J", "1955-11-07", "", 34.4, -78.6, 0, 0]
    payments = []
    for i in range(count):
        payment = dict(zip(COLUMNS, values))
        payment.update(trans_num=f"t{i}", current_time=first_ms + i * step_ms)
        payments.append(payment)
    return payments


class FaultPaths(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.api = Api("--fault-seconds", "1.5")

    @classmethod
    def tearDownClass(cls):
        status, errors = cls.api.stop()
        assert status == 0 and errors == "", (status, errors)

    def test_ordinary_answer(self):
        self.assertEqual(self.api.line,
                         f"listening on http://127.0.0.1:{self.api.port}/current-transactions\n")
        body = self.api.get("/current-transactions")[2]
        self.assertTrue(body.startswith(b'"{\\"columns\\":[\\"cc_num\\",'))
        self.assertIn(b"[[4497913965512794052,", body)

    def test_statuses(self):
        self.assertEqual(self.api.get("/204")[0], 204)
        self.assertEqual(self.api.get("/500")[0], 500)
        status, headers, _ = self.api.get("/429")
        self.assertEqual((status, headers["Retry-After"]), (429, "2"))
        self.assertEqual(self.api.get("/nowhere")[0], 404)
        statuses = [self.api.get("/503-then-ok")[0] for _ in range(3)]
        self.assertEqual(statuses, [503, 503, 200])

    def test_key(self):
        self.assertEqual(self.api.get("/needs-key")[0], 401)
        self.assertEqual(self.api.get("/needs-key", **{"X-Api-Key": "wrong"})[0], 401)
        self.assertEqual(len(self.api.payments("/needs-key", **{"X-Api-Key": "secret-key-1"})), 2)

    def test_redirects(self):
        status, headers, _ = self.api.get("/redirect")
        self.assertEqual((status, headers["Location"]), (302, "/current-transactions"))
        status, headers, _ = self.api.get("/redirect-loop")
        self.assertEqual((status, headers["Location"]), (302, "/redirect-loop"))
        status, headers, _ = self.api.get("/redirect-nowhere")
        self.assertEqual((status, headers["Location"]), (302, None))
        status, headers, _ = self.api.get("/redirect-out?to=http%3A%2F%2Fother.example%2Fa")
        self.assertEqual((status, headers["Location"]), (302, "http://other.example/a"))

    def test_drip(self):
        started = time.monotonic()
        status, headers, body = self.api.get("/drip")
        self.assertEqual((status, headers["Content-Length"]), (200, None))
        self.assertEqual(body, b'"{')
        self.assertGreater(time.monotonic() - started, 1.4)

    def test_hang(self):
        started = time.monotonic()
        with self.assertRaises(http.client.RemoteDisconnected):
            self.api.get("/hang")
        self.assertGreater(time.monotonic() - started, 1.4)

    def test_reset(self):
        with self.assertRaises(ConnectionResetError):
            with socket.create_connection(("127.0.0.1", self.api.port), timeout=10) as client:
                client.sendall(b"GET /reset HTTP/1.1\r\nHost: x\r\n\r\n")
                client.recv(1)

    def test_empty_and_truncated(self):
        self.assertEqual(self.api.get("/empty")[::2], (200, b""))
        status, headers, body = self.api.get("/truncated")
        self.assertEqual((status, int(headers["Content-Length"])), (200, len(body)))
        with self.assertRaises(ValueError):
            json.loads(body)
        with self.assertRaises(http.client.IncompleteRead):
            self.api.get("/truncated-transfer")

    def test_once(self):
        ids = [payment["trans_num"] for _ in range(3) for payment in self.api.payments("/once")]
        self.assertEqual(ids, ["once-1", "once-2", "once-3"])
        for first in (1, 4):
            with self.assertRaises(http.client.IncompleteRead) as broken:
                self.api.get("/once-cut")
            self.assertIn(f"once-cut-{first + 1}".encode(), broken.exception.partial)

    def test_wrong_content(self):
        status, headers, body = self.api.get("/wrong-content-type")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn(b"<html>", body)
        with self.assertRaises(UnicodeDecodeError):
            self.api.get("/not-utf8")[2].decode()
        self.assertEqual(len(unwrap(self.api.get("/not-utf8")[2].decode("latin-1"))), 2)

    def test_wrong_types(self):
        good, amount, card, latitude, number, birth = self.api.payments("/wrong-types")
        self.assertEqual(good["trans_num"], "fault-wrong-types-1")
        self.assertEqual(amount["amt"], "abc")
        self.assertIsInstance(card["cc_num"], float)
        self.assertEqual(latitude["lat"], 999)
        self.assertIsNone(number["trans_num"])
        self.assertEqual(birth["dob"], "1955-13-40")

    def test_odd_orders_and_times(self):
        first = self.api.payments("/duplicates")
        self.assertEqual(ids(first), [f"fault-duplicates-{i}" for i in (1, 1, 2, 1)])
        self.assertNotEqual(first[0]["current_time"], first[3]["current_time"])
        self.assertEqual(self.api.payments("/duplicates"), first)

        order = [ids(self.api.payments("/out-of-order")) for _ in range(4)]
        self.assertEqual(order, [[f"fault-out-of-order-{i}" for i in pair]
                                 for pair in ((6, 5), (4, 3), (2, 1), (2, 1))])

        ahead, good = self.api.payments("/future")
        now = time.time() * 1000
        self.assertGreater(ahead["current_time"], now + 364 * 86400 * 1000)
        self.assertLess(good["current_time"], now)
        self.assertGreater(good["current_time"], now - 600 * 1000)

    def test_other_layouts(self):
        records = json.loads(self.api.get("/records")[2])
        self.assertEqual(ids(records), ["fault-records-1", "fault-records-2"])
        lines = self.api.get("/ndjson")[2].decode().splitlines()
        self.assertEqual(ids(map(json.loads, lines)), ["fault-ndjson-1", "fault-ndjson-2"])
        self.assertEqual(list(json.loads(self.api.get("/one")[2])), COLUMNS)

    def test_gzip(self):
        _, headers, body = self.api.get("/gzip", **{"Accept-Encoding": "gzip"})
        self.assertEqual(headers["Content-Encoding"], "gzip")
        self.assertEqual(len(unwrap(gzip.decompress(body))), 2)
        _, headers, body = self.api.get("/gzip", **{"Accept-Encoding": "identity"})
        self.assertIsNone(headers["Content-Encoding"])
        self.assertEqual(len(unwrap(body)), 2)

    def test_bomb(self):
        body = self.api.get("/bomb")[2]
        self.assertLess(len(body), 1000000)
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        size = 0
        piece = body
        while not unpacker.eof:
            size += len(unpacker.decompress(piece, 1 << 20))
            piece = unpacker.unconsumed_tail
        self.assertEqual(size, 200000002)

    def test_huge(self):
        for path in ("/huge", "/huge-length"):
            response = self.api.open(path)
            start = response.read(4096)
            size = len(start)
            while piece := response.read(1 << 20):
                size += len(piece)
                end = piece
            response.connection.close()
            self.assertGreater(size, 99000000)
            # The first row and the end make a valid body.
            head, rest = start.split(b'\\"data\\":[')
            row = rest.split(b"],[")[0] + b"]"
            self.assertTrue(end.endswith(b']]}"'))
            self.assertEqual(ids(unwrap(head + b'\\"data\\":[' + row + b']}"')), ["fault-huge-1"])

    def test_requests_are_counted(self):
        before = json.loads(self.api.get("/requests")[2]).get("/one", 0)
        self.api.get("/one")
        self.api.get("/one?x=1")
        self.assertEqual(json.loads(self.api.get("/requests")[2])["/one"], before + 2)


class Playback(unittest.TestCase):
    def start(self, *options, payments):
        api = Api(*options, payments=payments)
        self.addCleanup(lambda: api.process.poll() is None and api.stop())
        return api

    def collect(self, api, count):
        """Polls until `count` payments were published; returns the different bodies."""
        deadline = time.monotonic() + 20
        bodies = []
        while time.monotonic() < deadline:
            body = ids(api.payments())
            if not bodies or body != bodies[-1]:
                bodies.append(body)
            if len(json.loads(api.get("/published")[2])) >= count and not body:
                break
            time.sleep(0.02)
        return bodies

    def test_per_tick(self):
        payments = history(7, 1730134684025, 60000)
        api = self.start("--tick", "0.4", "--per-tick", "3", payments=payments)
        self.assertEqual(api.payments()[0], payments[0])
        bodies = self.collect(api, 7)
        self.assertEqual(bodies, [["t0", "t1", "t2"], ["t3", "t4", "t5"], ["t6"], []])
        self.assertEqual(json.loads(api.get("/published")[2]), [f"t{i}" for i in range(7)])

    def test_overlap(self):
        api = self.start("--tick", "0.4", "--per-tick", "2", "--overlap", "1",
                         payments=history(4, 1730134684025, 60000))
        bodies = self.collect(api, 4)
        self.assertEqual(bodies, [["t0", "t1"], ["t0", "t1", "t2", "t3"], ["t2", "t3"], []])

    def test_answer_repeats_within_a_tick(self):
        api = self.start("--per-tick", "2", payments=history(9, 1730134684025, 1000))
        self.assertEqual(api.get("/current-transactions")[2], api.get("/current-transactions")[2])
        self.assertEqual(json.loads(api.get("/published")[2]), ["t0", "t1"])

    def test_speed(self):
        # A payment every 100 simulated seconds, at 1000 seconds a second.
        api = self.start("--tick", "0.2", "--speed", "1000",
                         payments=history(10, 1730134684025, 100000))
        bodies = self.collect(api, 10)
        self.assertEqual([number for body in bodies for number in body],
                         [f"t{i}" for i in range(10)])
        self.assertEqual(bodies[0], ["t0"])
        self.assertGreaterEqual(len(bodies), 5)

    def test_speed_stops_at_the_present(self):
        now = int(time.time() * 1000)
        api = self.start("--tick", "0.1", "--speed", "100000",
                         payments=history(3, now - 60000, 60000 * 30))
        time.sleep(0.4)
        self.assertEqual(json.loads(api.get("/published")[2]), ["t0"])

    def test_empty_file_is_no_payments(self):
        api = self.start(payments=[])
        self.assertEqual(api.payments(), [])
        self.assertEqual(len(api.payments("/duplicates")), 4)

    def test_faults_are_made_from_the_file(self):
        api = self.start(payments=history(1, 1730134684025, 1))
        self.assertEqual(json.loads(api.get("/one")[2])["cc_num"], 9999999999999999999)

    def test_ends_cleanly(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            api = self.start(payments=[])
            # A request that hangs does not keep it alive.
            with socket.create_connection(("127.0.0.1", api.port), timeout=10) as client:
                client.sendall(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
                deadline = time.monotonic() + 10
                while "/hang" not in json.loads(api.get("/requests")[2]):
                    self.assertLess(time.monotonic(), deadline)
                self.assertEqual(api.stop(number), (0, ""))

    def test_standard_input_and_wrong_files(self):
        def run(payments):
            return subprocess.run([sys.executable, str(PROGRAM), "--payments", "-"],
                                  input=payments, capture_output=True, text=True, timeout=10)
        result = run('{"trans_num":"t"}\n')
        self.assertEqual((result.returncode, result.stderr), (
            1, "payment_api.py: could not read the payments: "
               "line 1 of the payments has no current_time\n"))
        result = run('{"current_time":2}\n\n{"current_time":1}\n')
        self.assertIn("line 3 of the payments is out of time order", result.stderr)


class BankPaths(unittest.TestCase):
    """The bank's paths: the same transactions in each, whatever the way to page."""

    def start(self, *options):
        api = Api(*options)
        self.addCleanup(lambda: api.process.poll() is None and api.stop())
        return api

    def ids(self, value):
        return [row[1] for row in value["data"]] if "columns" in value else [
            row["transactionId"] for row in value["data"]["transactions"]]

    def json(self, api, path, **headers):
        status, _, body = api.get(path, **headers)
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def post(self, api, path, body, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=20)
        try:
            connection.request("POST", path, body=body, headers=headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def test_every_way_to_page(self):
        api = self.start("--booked", "45")
        whole = [f"flat-{i:06d}" for i in range(45)]
        cursors, cursor = [], ""
        while cursor is not None:
            value = self.json(api, f"/bank/flat/cursor?limit=20&cursor={cursor}")
            cursors += self.ids(value)
            self.assertEqual(value["has_more"], value["next_cursor"] is not None)
            cursor = value["next_cursor"]
        self.assertEqual(cursors, whole)
        pages = [self.ids(self.json(api, f"/bank/flat/page?limit=20&page={page}")) for page in (1, 2, 3, 4)]
        self.assertEqual((sum(pages, []), pages[3]), (whole, []))
        offsets = [self.ids(self.json(api, f"/bank/flat/offset?limit=30&offset={offset}")) for offset in (0, 30, 45)]
        self.assertEqual(sum(offsets, []), whole)
        links, path = [], "/bank/flat/link?limit=20"
        while path:
            _, headers, body = api.get(path)
            links += self.ids(json.loads(body))
            path = next((link[1:].partition(">")[0] for link in headers.get_all("Link") or [] if "next" in link), None)
        self.assertEqual(links, whole)
        self.assertEqual(self.post(api, "/bank/flat/search", json.dumps({"after": "40", "limit": 9}))[1]["next"], None)
        self.assertEqual(api.get("/bank/flat/cursor?cursor=bad")[0], 400)

    def test_transactions_need_a_token_that_is_good(self):
        api = self.start("--token-seconds", "0.5")
        self.assertEqual(api.get("/bank/transactions")[0], 401)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        wrong = "grant_type=client_credentials&client_id=fraud+detect&client_secret=x"
        self.assertEqual(self.post(api, "/bank/token", wrong, **form)[0], 401)
        right = wrong[:-1] + "s3cret+%26+more"
        token = self.post(api, "/bank/token", right, **form)[1]["access_token"]
        row = self.json(api, "/bank/transactions", Authorization=f"Bearer {token}")["data"]["transactions"]
        self.assertEqual(row[2]["amount"], {"value": 1202, "currency": "JPY"})
        self.assertEqual((row[9]["type"], row[9]["originalTransactionId"]), ("REFUND", "bank-000000"))
        self.assertTrue(row[0]["bookedAt"].endswith("+02:00"))
        time.sleep(0.6)
        self.assertEqual(api.get("/bank/transactions", Authorization=f"Bearer {token}")[0], 401)

    def test_tags_limits_and_csv(self):
        api = self.start("--booked", "3")
        _, headers, _ = api.get("/bank/flat/tagged")
        self.assertEqual(api.get("/bank/flat/tagged", **{"If-None-Match": headers["ETag"]})[0], 304)
        api.get("/bank/book?count=4")
        self.assertEqual(api.get("/bank/flat/tagged", **{"If-None-Match": headers["ETag"]})[0], 200)
        statuses = [api.get("/bank/flat/limited?every=5")[0] for _ in range(2)]
        self.assertEqual(statuses, [200, 429])
        lines = api.get("/bank/feed.csv")[2].decode().split("\r\n")
        self.assertEqual(lines[0].split(";")[:3], ["id", "booked", "type"])
        self.assertEqual(len(lines), 6)
        log = self.json(api, "/bank/log")
        self.assertEqual(log[0]["path"], "flat/tagged")


if __name__ == "__main__":
    unittest.main()
