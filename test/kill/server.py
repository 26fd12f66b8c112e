"""A PostgreSQL server that gets killed."""

import os
import signal
import subprocess
import time

CONF = """
listen_addresses = ''
unix_socket_directories = '{folder}'
shared_preload_libraries = 'fraud_detect'
max_worker_processes = 32
timezone = 'UTC'
# What is killed are processes, not the machine: what they wrote is with the kernel.
fsync = off
restart_after_crash = on
track_commit_timestamp = on
checkpoint_timeout = 30s
log_line_prefix = '%m [%p] %b '
fraud_detect.allowed_hosts = '*, 127.0.0.1'
fraud_detect.alert_window = '2s'
fraud_detect.max_retry_delay = '1s'
fraud_detect.notify_attempts = 1000
fraud_detect.card_number_limit = -1
fraud_detect.max_response_size = '64MB'
"""


class PsqlError(Exception):
    pass


class Server:
    def __init__(self, folder, pg_bin, settings=""):
        self.folder = folder
        self.pg_bin = pg_bin
        self.data = os.path.join(folder, "data")
        self.log = os.path.join(folder, "server.log")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        self.environment.update(PGHOST=folder, PGUSER="postgres", PGDATABASE="postgres", PGCONNECT_TIMEOUT="10", LC_ALL="C")
        self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as conf:
            conf.write(CONF.format(folder=folder) + settings)

    def run(self, program, *arguments, check=True):
        with open(os.path.join(self.folder, "tools.log"), "ab") as log:
            done = subprocess.run([os.path.join(self.pg_bin, program), *arguments], stdin=subprocess.DEVNULL,
                                  stdout=log, stderr=log, env=self.environment, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"{program} failed: see {self.folder}/tools.log")
        return done.returncode == 0

    # ---------------------------------------------------------------- life
    def start(self, seconds=60):
        """Starts it; a postmaster that was killed may have left processes that end first."""
        deadline = time.monotonic() + seconds
        while not self.run("pg_ctl", "-D", self.data, "-l", self.log, "-w", "start", check=False):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the server does not start: see {self.log}")
            time.sleep(0.1)

    def stop(self, mode, check=True):
        return self.run("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop", check=check)

    def faults_in_log(self):
        """Lines that tell a fault of code in C (test/server_logs)."""
        look = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "server_logs")
        return subprocess.run([look, self.log], capture_output=True, text=True, errors="replace", check=False).stdout.splitlines()[:-1]

    def postmaster(self):
        with open(os.path.join(self.data, "postmaster.pid"), encoding="ascii") as file:
            return int(file.readline())

    def processes(self):
        """Its processes: pid -> title. All of them work in the data directory."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{pid}/cwd") == self.data:
                    with open(f"/proc/{pid}/cmdline", "rb") as file:
                        title = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
                    if title:             # not a zombie
                        found[int(pid)] = title
            except OSError:
                pass
        return found

    def wait_until_gone(self, pid, seconds=60):
        deadline = time.monotonic() + seconds
        while pid in self.processes():
            if time.monotonic() > deadline:
                raise RuntimeError(f"process {pid} does not end")
            time.sleep(0.005)

    def answers(self, seconds):
        """Waits until it takes connections; returns how long that took, or None."""
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            try:
                self.sql("SELECT 1")
                return time.monotonic() - start
            except PsqlError:
                time.sleep(0.05)
        return None

    # ----------------------------------------------------------------- SQL
    def session(self, *statements, name="kill_judge"):
        """Runs statements one after the other in one session; raises PsqlError at the first that fails."""
        arguments = [os.path.join(self.pg_bin, "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1"]
        for statement in statements:
            arguments += ["-c", statement]
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              env=dict(self.environment, PGAPPNAME=name))
        if done.returncode != 0:
            raise PsqlError(done.stderr.decode(errors="replace").strip())
        return done.stdout.decode()

    def sql(self, statement):
        return self.session(statement).rstrip("\n")

    def signal(self, pid, number=signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
