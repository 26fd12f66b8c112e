"""Prepared statements through libpq itself, for what is measured by the statement: no
packages, and nothing of the client's in a figure but the call. Reads the processor
time of its backend, which must run on this machine."""
import ctypes
import ctypes.util
import os
import time

_pq = ctypes.CDLL(ctypes.util.find_library("pq") or "libpq.so.5")
_pq.PQconnectdb.restype = ctypes.c_void_p
for _name in ("PQexec", "PQprepare", "PQexecPrepared", "PQgetResult"):
    getattr(_pq, _name).restype = ctypes.c_void_p
for _name in ("PQerrorMessage", "PQresultErrorMessage", "PQgetvalue"):
    getattr(_pq, _name).restype = ctypes.c_char_p
_COMMAND_OK, _TUPLES_OK, _COPY_IN = 1, 2, 4


class Processor:
    """The processor time of a backend."""

    def __init__(self, pid):
        self.stat, self.schedstat = (os.open(f"/proc/{pid}/{name}", os.O_RDONLY) for name in ("stat", "schedstat"))

    def seconds(self):
        """What it has used, once it has nothing left to do: the kernel adds it up when a process goes to sleep."""
        while os.pread(self.stat, 512, 0).rpartition(b") ")[2][:1] != b"S":
            time.sleep(0)
        return int(os.pread(self.schedstat, 100, 0).split()[0]) / 1e9

    def close(self):
        os.close(self.stat)
        os.close(self.schedstat)


class Connection:
    """One connection to a database of the server that libpq's environment names."""

    def __init__(self, database, settings=()):
        self.pq = ctypes.c_void_p(_pq.PQconnectdb(f"dbname={database}".encode()))
        if _pq.PQstatus(self.pq) != 0:
            raise RuntimeError(_pq.PQerrorMessage(self.pq).decode())
        self.pid = _pq.PQbackendPID(self.pq)
        self.processor = Processor(self.pid)
        self.run("SET client_min_messages = warning")
        for setting in settings:
            self.run(f"SET {setting}")

    def _rows(self, result, statement):
        result = ctypes.c_void_p(result)
        try:
            if _pq.PQresultStatus(result) not in (_COMMAND_OK, _TUPLES_OK, _COPY_IN):
                raise RuntimeError(f"{statement[:300]}: {_pq.PQresultErrorMessage(result).decode()}")
            width = _pq.PQnfields(result)
            return [tuple(None if _pq.PQgetisnull(result, row, column) else _pq.PQgetvalue(result, row, column).decode()
                          for column in range(width)) for row in range(_pq.PQntuples(result))]
        finally:
            _pq.PQclear(result)

    def run(self, statement):
        """Returns the rows of a statement, as text."""
        return self._rows(_pq.PQexec(self.pq, statement.encode()), statement)

    def value(self, statement):
        return self.run(statement)[0][0]

    def prepare(self, name, statement):
        """Returns a function that executes the statement; its arguments are texts or None."""
        self._rows(_pq.PQprepare(self.pq, name.encode(), statement.encode(), 0, None), statement)
        name = name.encode()

        def execute(*arguments):
            values = (ctypes.c_char_p * len(arguments))(*(None if a is None else str(a).encode() for a in arguments))
            return self._rows(_pq.PQexecPrepared(self.pq, name, len(arguments), values, None, None, 0), statement)
        return execute

    def copy(self, statement, lines):
        """Runs a COPY … FROM STDIN of a text."""
        self.run(statement)
        if _pq.PQputCopyData(self.pq, lines, len(lines)) != 1 or _pq.PQputCopyEnd(self.pq, None) != 1:
            raise RuntimeError(_pq.PQerrorMessage(self.pq).decode())
        while result := _pq.PQgetResult(self.pq):
            self._rows(result, statement)

    def processor_seconds(self):
        """The time that the backend was at work."""
        return self.processor.seconds()

    def private_kib(self):
        """Private memory of the backend: anonymous pages, without shared memory."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:"))

    def close(self):
        self.processor.close()
        _pq.PQfinish(self.pq)
