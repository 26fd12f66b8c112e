"""The payment API and the webhook receiver, in the campaign's own process: who decides on a
kill knows what had been said before it, to the byte."""

import http.server
import json
import random
import threading


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass                          # the other side was killed

    def start(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server_port}"


class ApiHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        feed = self.server.feeds[self.path.strip("/")]
        answer = feed.answer()
        if answer.broken == "status":
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if answer.broken == "cut":
            self.wfile.write(answer.body[:len(answer.body) // 2])
            self.close_connection = True
            return
        self.wfile.write(answer.body)
        self.wfile.flush()
        feed.served(answer)

    def log_message(self, *_):
        pass


class ReceiverHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.server.lock:
            self.server.received.append((self.path.strip("/"), self.headers.get("webhook-id"),
                                         self.headers.get("Idempotency-Key"), json.loads(body)))
            mood = self.server.random.random() if self.server.moody else 1
        if mood < 0.03:
            self.close_connection = True       # received, but nobody knows
            return
        self.send_response(500 if mood < 0.08 else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def start_api(feeds):
    """Serves each feed at /NAME; returns its address."""
    server = Server(("127.0.0.1", 0), ApiHandler)
    server.feeds = {feed.name: feed for feed in feeds}
    return server.start()


def start_receiver(seed):
    """Takes every POST down: (path, webhook-id, Idempotency-Key, body)."""
    server = Server(("127.0.0.1", 0), ReceiverHandler)
    server.lock = threading.Lock()
    server.received = []
    server.random = random.Random(f"receiver {seed}")
    server.moody = True
    server.url = server.start()
    return server
