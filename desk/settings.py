"""What can be set, by environment variables that begin with FRAUD_DESK_."""

import dataclasses
import os


@dataclasses.dataclass(frozen=True)
class Settings:
    # The database; what is not set is libpq's own (PGHOST, PGPORT, PGDATABASE, PGSSLMODE, …).
    host: str = ""
    port: str = ""
    dbname: str = ""
    statement_timeout: int = 30  # seconds
    # Where the desk listens. Loopback: beyond it, a proxy brings TLS.
    listen: str = "127.0.0.1"
    listen_port: int = 8089
    threads: int = 8
    # The path that a proxy passes on ("/desk"), and the address whose X-Forwarded-* are believed.
    prefix: str = ""
    trusted_proxy: str = ""
    # A session ends after so much idleness, and after so much time whatever happens (seconds).
    idle_timeout: int = 1800
    session_timeout: int = 36000
    max_sessions: int = 200

    @classmethod
    def from_environment(cls):
        given = {}
        for field in dataclasses.fields(cls):
            text = os.environ.get("FRAUD_DESK_" + field.name.upper())
            if not text:
                continue
            if field.type is int or field.type == "int":
                if not text.isdigit() or int(text) == 0:
                    raise SystemExit(f'FRAUD_DESK_{field.name.upper()} is "{text}", expected a number above 0')
                text = int(text)
            given[field.name] = text
        return cls(**given)
