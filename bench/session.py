"""One connection to the server that libpq's environment names, for what measures in SQL."""
import os
import pathlib
import re
import subprocess
import time


def program(name):
    return os.path.join(os.environ.get("PG_BIN", ""), name)


class Session:
    """One connection, through psql."""

    count = 0

    def __init__(self, database=None, settings=()):
        Session.count += 1
        self.name = f"bench-{os.getpid()}-{Session.count}"
        self.psql = subprocess.Popen(
            [program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
            + (["-d", database] if database else []), env={**os.environ, "PGAPPNAME": self.name},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for setting in settings:
            self.run(f"SET {setting}")

    def find_backend(self, other):
        """Learns its backend's process from another session, so as not to run anything in it."""
        deadline = time.monotonic() + 30
        found = []
        while not found and time.monotonic() < deadline:
            found = other.run(f"SELECT pid FROM pg_stat_activity "
                              f"WHERE application_name = '{self.name}' AND state = 'idle'")
        self.pid = int(found[0])

    def run(self, statement):
        """Returns the lines of a statement's result."""
        self.psql.stdin.write(f"{statement}\n;\n\\echo =done=\n")
        self.psql.stdin.flush()
        lines = []
        for line in self.psql.stdout:
            line = line.rstrip("\n")
            if line == "=done=":
                return lines
            lines.append(line)
        raise RuntimeError(f"{statement[:300]}: " + " ".join(lines))

    def value(self, statement):
        return self.run(statement)[0]

    def milliseconds(self, statement):
        """Runs a statement and returns how long it took, as psql has it (\\timing)."""
        self.psql.stdin.write("\\timing on\n")
        lines = self.run(statement)
        self.psql.stdin.write("\\timing off\n")
        return next(float(match.group(1)) for line in lines
                    if (match := re.match(r"Time: ([0-9.]+) ms", line)))

    def processor_milliseconds(self, statement):
        """Runs a statement and returns the time that the backend was at work."""
        def spent():
            return int(pathlib.Path(f"/proc/{self.pid}/schedstat").read_text().split()[0])

        before = spent()
        self.run(statement)
        return (spent() - before) / 1e6

    def copy(self, table, lines):
        self.psql.stdin.write(f"COPY {table} FROM STDIN;\n")
        self.psql.stdin.writelines(lines)
        self.psql.stdin.write("\\.\n")
        self.run("SELECT")

    def close(self):
        self.psql.stdin.close()
        self.psql.wait()
        self.psql.stdout.close()
