"""Who is logged in. A session is a role's password and its few connections, in memory alone."""

import secrets
import threading
import time

import psycopg
import psycopg_pool
from psycopg.rows import dict_row

from .database import read_times


class NoPasswordAsked(psycopg.OperationalError):
    """The server let the role in without its password."""


class Session:
    def __init__(self, user, pool):
        self.user = user
        self.pool = pool
        self.csrf = secrets.token_urlsafe(32)
        self.began = self.seen = time.monotonic()
        self.messages = []  # shown once, on the next page


def _see_times_as_reports_do(connection):
    read_times(connection)
    try:
        connection.execute("SELECT set_config('timezone', fraud.report_timezone(), false)")
        connection.commit()
    except psycopg.Error:  # a role without that right sees the server's own time zone
        connection.rollback()


class Sessions:
    def __init__(self, settings):
        self.settings = settings
        self._by_id = {}
        self._lock = threading.Lock()
        # Forgets passwords also while nobody asks for anything.
        threading.Thread(target=self._keep_sweeping, daemon=True).start()

    def log_in(self, user, password):
        """Opens a session with the role's own password: psycopg.OperationalError where the database refuses it."""
        parameters = {name: getattr(self.settings, name) for name in ("host", "port", "dbname") if getattr(self.settings, name)}
        parameters |= {"user": user, "password": password, "application_name": "fraud_desk", "connect_timeout": 5, "passfile": "/dev/null",
                       "options": f"-c statement_timeout={self.settings.statement_timeout}s -c datestyle=ISO -c jit=off"}
        with psycopg.connect(**parameters) as connection:
            # A server that asks for none (trust, peer) would let in who knows a name.
            if not connection.pgconn.used_password:
                raise NoPasswordAsked
        self.sweep()
        pool = psycopg_pool.ConnectionPool(kwargs=parameters | {"row_factory": dict_row}, min_size=0, max_size=3, max_idle=60,
                                           timeout=10, num_workers=1, configure=_see_times_as_reports_do,
                                           check=psycopg_pool.ConnectionPool.check_connection, open=True)
        session_id = secrets.token_urlsafe(32)
        with self._lock:
            full = len(self._by_id) >= self.settings.max_sessions
            if not full:
                self._by_id[session_id] = Session(user, pool)
        if full:
            pool.close()
            raise psycopg.OperationalError("too many people are logged in")
        return session_id

    def find(self, session_id, by_hand=True):
        """The session of an id; what a page asks for by itself does not keep it alive."""
        with self._lock:
            session = self._by_id.get(session_id)
            if session is None or self._over(session):
                return None
            if by_hand:
                session.seen = time.monotonic()
            return session

    def log_out(self, session_id):
        with self._lock:
            session = self._by_id.pop(session_id, None)
        if session is not None:
            session.pool.close()

    def sweep(self):
        with self._lock:
            over = [session_id for session_id, session in self._by_id.items() if self._over(session)]
        for session_id in over:
            self.log_out(session_id)

    def _over(self, session):
        now = time.monotonic()
        return now - session.seen > self.settings.idle_timeout or now - session.began > self.settings.session_timeout

    def _keep_sweeping(self):
        while True:
            time.sleep(10)
            self.sweep()


class Attempts:
    """Slows down who tries passwords: from the third failure on a wait that doubles, of a role and of an address."""

    FREE = 3
    LONGEST = 300
    MOST = 10000  # so many names are remembered

    def __init__(self):
        self._failures = {}  # name -> (how many, when the next may be)
        self._lock = threading.Lock()

    def wait(self, *names):
        """Seconds until these may try again; 0: now."""
        now = time.monotonic()
        with self._lock:
            return max([0] + [self._failures[n][1] - now for n in names if n in self._failures])

    def failed(self, *names):
        now = time.monotonic()
        with self._lock:
            for name in names:
                count = self._failures.pop(name, (0, 0))[0] + 1
                pause = 0 if count < self.FREE else min(2 ** (count - self.FREE), self.LONGEST)
                self._failures[name] = (count, now + pause)
            while len(self._failures) > self.MOST:  # those that failed longest ago
                self._failures.pop(next(iter(self._failures)))

    def succeeded(self, *names):
        with self._lock:
            for name in names:
                self._failures.pop(name, None)
