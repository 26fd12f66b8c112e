#!/usr/bin/env python3
"""A receiver of webhooks for tests and the demo: notes every request as a line of
JSON, and answers as its path says.

  /ok...          200
  /500            500
  /429            429 with Retry-After: 2 at first, then 200
  /fail-N         500 to the first N requests with the same webhook-id, then 200
  /redirect       302 to /stolen
  /half           200, and half of the answer that it promises
  /hang           no answer
  /hold           no answer to the first request, then 200

Only for loopback: no limit, no authentication. TLS is nginx's, in front of it.
"""

import argparse
import http.server
import json
import os
import re
import threading
import time

lock = threading.Lock()
seen = {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.split("?")[0]
        with lock:
            key = (path, self.headers.get("webhook-id"))
            seen[key] = seen.get(key, 0) + 1
            times = seen[key]
            seen[path] = seen.get(path, 0) + 1
            with open(self.server.log_path, "a", encoding="utf-8") as log:
                line = {"at": time.time(), "path": self.path, "body": body.decode("utf-8"),
                        "headers": {k.lower(): v for k, v in self.headers.items()}}
                log.write(json.dumps(line) + "\n")
            first = seen[path] == 1
        status, headers = 200, {}
        fails = re.fullmatch(r"/fail-(\d+)", path)
        if path == "/500" or (fails and times <= int(fails[1])):
            status = 500
        elif path == "/429" and times == 1:
            status, headers = 429, {"Retry-After": "2"}
        elif path == "/redirect":
            status, headers = 302, {"Location": "/stolen"}
        elif path == "/hang" or (path == "/hold" and first):
            time.sleep(3600)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "100" if path == "/half" else "0")
        self.end_headers()
        if path == "/half":
            self.wfile.write(b"x" * 50)
            self.close_connection = True

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    # Beyond the queue, five by default, a connection is tried again after a second.
    request_queue_size = 128


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--port-file", help="written when it listens")
    parser.add_argument("--log", required=True, help="requests, one a line of JSON")
    options = parser.parse_args()
    server = Server(("127.0.0.1", options.port), Handler)
    server.log_path = options.log
    if options.port_file:
        with open(options.port_file + ".new", "w", encoding="ascii") as file:
            file.write(f"{server.server_port}\n")
        os.rename(options.port_file + ".new", options.port_file)
    server.serve_forever()


if __name__ == "__main__":
    main()
