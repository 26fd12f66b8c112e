#!/usr/bin/env python3
"""A real SMTP server for tests (aiosmtpd, Debian's python3-aiosmtpd): keeps every
mail as a file and notes it as a line of JSON. It takes mails over TLS alone, from
STARTTLS on or, with --smtps, from the start, and with a password if one is given; or,
with --no-tls, it knows no TLS.

By the recipient's name:
  unknown@…   550 at RCPT, always
  busy@…      451 at DATA to the first attempt of a mail, then taken
  hang@…      no reply to DATA
  hold@…      no reply to the first DATA, then taken
"""

import argparse
import asyncio
import email
import json
import os
import signal
import ssl
import time

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Keeper:
    def __init__(self, options):
        self.options = options
        self.seen = {}
        self.count = 0

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address.startswith("unknown@"):
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        name = envelope.rcpt_tos[0].split("@")[0]
        message = email.message_from_bytes(envelope.content)
        key = (name, message["Message-ID"])
        self.seen[key] = self.seen.get(key, 0) + 1
        if name == "hang" or (name == "hold" and self.seen[key] == 1):
            self.note(envelope, session, message, False)
            await asyncio.sleep(3600)
        if name == "busy" and self.seen[key] == 1:
            self.note(envelope, session, message, False)
            return "451 4.7.1 try again later"
        self.note(envelope, session, message, True)
        return "250 2.0.0 taken"

    def note(self, envelope, session, message, taken):
        self.count += 1
        path = os.path.join(self.options.mails, f"{self.count}.eml")
        with open(path, "wb") as file:
            file.write(envelope.content)
        line = {"at": time.time(), "taken": taken, "from": envelope.mail_from, "to": envelope.rcpt_tos,
                "message_id": message["Message-ID"], "tls": session.ssl is not None or self.options.smtps,
                "user": getattr(session.auth_data, "login", b"").decode(), "file": path}
        with open(os.path.join(self.options.mails, "log"), "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")


async def serve(options):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.key)
    keeper = Keeper(options)

    def authenticate(server, session, envelope, mechanism, data):
        good = (isinstance(data, LoginPassword) and data.login.decode() == options.user
                and data.password.decode() == options.password)
        return AuthResult(success=good, handled=False, auth_data=data if good else None)

    def session():
        common = {"enable_SMTPUTF8": True, "hostname": "localhost"}
        if options.user:
            common.update(authenticator=authenticate, auth_required=True, auth_require_tls=not options.smtps)
        if not options.smtps and not options.no_tls:
            common.update(tls_context=context, require_starttls=True)
        return SMTP(keeper, **common)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", options.port, ssl=context if options.smtps else None)
    with open(options.port_file + ".new", "w", encoding="ascii") as file:
        file.write(f"{server.sockets[0].getsockname()[1]}\n")
    os.rename(options.port_file + ".new", options.port_file)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--port-file", required=True, help="written when it listens")
    parser.add_argument("--mails", required=True, help="folder for the mails")
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--smtps", action="store_true")
    parser.add_argument("--no-tls", action="store_true")
    parser.add_argument("--user")
    parser.add_argument("--password")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
