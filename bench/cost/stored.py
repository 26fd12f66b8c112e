"""What is left of a payment, and what is made of many: bytes on disk and in the WAL, sums,
histories and their memory."""
import dataclasses
import threading
import time

from online import Ours
from place import Place


@dataclasses.dataclass
class Watched:
    value: str
    clock: float      # seconds
    processor: float  # seconds, of the backend
    threads: float    # seconds, of the backend and its threads, to a hundredth
    private_kib: int  # the most that it came to


def watched(session, statement):
    """Runs a statement that returns one value, and watches its backend."""
    peak = [session.private_kib()]
    done = threading.Event()

    def look():
        while not done.wait(0.02):
            peak[0] = max(peak[0], session.private_kib())
    thread = threading.Thread(target=look)
    thread.start()
    try:
        before, group, begin = session.processor_seconds(), group_seconds(session), time.monotonic()
        value = session.value(statement)
        clock = time.monotonic() - begin
        return Watched(value, clock, session.processor_seconds() - before, group_seconds(session) - group, peak[0])
    finally:
        done.set()
        thread.join()


def group_seconds(session):
    """Processor time of all threads of a backend, those that have ended too."""
    with open(f"/proc/{session.pid}/stat", encoding="ascii", errors="replace") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


SIZES = ("SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
         "WHERE n.nspname = 'fraud' AND c.relkind = 'r'")
BY_TABLE = ("SELECT CASE WHEN c.relname LIKE 'transactions\\_%' THEN 'transactions' ELSE c.relname END, "
            "sum(pg_relation_size(c.oid)), sum(pg_indexes_size(c.oid)), sum(pg_total_relation_size(c.oid)) "
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'fraud' AND c.relkind = 'r' "
            "GROUP BY 1 HAVING sum(pg_total_relation_size(c.oid)) > 0 ORDER BY 4 DESC")


def hold_folding(session):
    """In the session's transaction: no worker folds until its end."""
    session.run("BEGIN")
    session.run("SELECT fraud._lock('rollups')")


def disk(bench):
    """A database that has got all its payments one after another, without attributes and alerts."""
    place = Place(bench.name("disk"), 0, plain=False)
    place.cards, place.merchants = max(2, bench.kept * 30 // (150 * 60)), max(2, bench.kept * 37 // (203 * 60))
    session = place.connect()
    session.run("VACUUM")
    empty = int(session.value(SIZES))
    tables = {name: int(total) for name, _, _, total in session.run(BY_TABLE)}
    ours = Ours(place)
    for _ in range(bench.kept // 100):
        ours.store(place.batch(100))
    # What the log of changes has taken is given back when nobody can see it any more.
    for _ in range(5):
        session.run("SELECT fraud.refresh_rollups()")
        session.run("VACUUM (ANALYZE)")
        time.sleep(0.5)
    bench.report(f"disk, a payment of {bench.kept:,} without attributes and alert, all tables and indexes",
                 (int(session.value(SIZES)) - empty) / bench.kept, "bytes", "disk")
    for name, heap, indexes, total in session.run(BY_TABLE):
        more = (int(total) - tables.get(name, 0)) / bench.kept
        if more >= 1:
            bench.report(f"of which fraud.{name} (its indexes now {int(indexes) / bench.kept:.0f})", more, "bytes")
    wal(bench, place, ours, session)
    sums(bench, place, ours, session)
    ours.connection.close()
    session.close()
    place.drop()


def wal(bench, place, ours, session):
    """One payment a transaction, no full-page images: as between checkpoints."""
    session.run("ALTER SYSTEM SET full_page_writes = off")
    session.run("SELECT pg_reload_conf()")
    while session.value("SHOW full_page_writes") != "off":
        time.sleep(0.01)
    hold_folding(session)
    count = min(bench.singles, 2000)
    before = session.value("SELECT pg_current_wal_insert_lsn()")
    for _ in range(count):
        ours.store(place.payment())
    written = int(session.value(f"SELECT pg_current_wal_insert_lsn() - '{before}'"))
    before = session.value("SELECT pg_current_wal_insert_lsn()")
    session.run("SELECT fraud.refresh_rollups()")
    folded = int(session.value(f"SELECT pg_current_wal_insert_lsn() - '{before}'"))
    session.run("COMMIT")
    session.run("ALTER SYSTEM RESET full_page_writes")
    session.run("SELECT pg_reload_conf()")
    bench.report("WAL between checkpoints, a payment, one a transaction, commit included", written / count, "bytes", "wal")
    bench.report("WAL of adding it to the sums", folded / count, "bytes")


def sums(bench, place, ours, session):
    """fraud.refresh_rollups of payments that came in batches, and fraud.rebuild_rollups."""
    session.run("SELECT fraud.refresh_rollups()")
    hold_folding(session)
    count = max(1000, bench.kept // 2) // 100 * 100
    for _ in range(count // 100):
        ours.store(place.batch(100))
    session.run("ANALYZE fraud.changes")
    refreshed = watched(session, "SELECT fraud.refresh_rollups()")
    session.run("COMMIT")
    if int(refreshed.value) < count:
        raise RuntimeError(f"{refreshed.value} payments of {count} were added to the sums")
    bench.report(f"refresh of the sums, {count:,} payments, each", refreshed.processor / int(refreshed.value) * 1e6, "µs", "refresh")


def history(bench):
    """fraud.load_history of the large place, and fraud.simulate, which is heavier on merchants; rebuild of the sums."""
    place = bench.large()
    if place.loaded is not None:
        bench.report(f"fraud.load_history, {place.payments:,} payments", place.payments / place.loaded.clock, "payments/s")
        bench.report("its backend's private memory, the most", place.loaded.private_kib / 1024, "MB",
                     "memory" if place.payments >= 10000000 else None)
    simulated = Place(bench.name("simulated"), 0, plain=False)
    session = simulated.connect()
    done = watched(session, "SELECT fraud.simulate({}, {}, {})".format(*bench.simulated))
    bench.report("fraud.simulate({}, {}, {}), {:,} payments".format(*bench.simulated, int(done.value)), int(done.value) / done.clock,
                 "payments/s", "history")
    bench.report("the same by the backend's processor time, threads added up", int(done.value) / max(done.threads, 0.01), "payments/s")
    bench.report("its backend's private memory, the most", done.private_kib / 1024, "MB")
    session.close()
    simulated.drop()


def rebuild(bench):
    """fraud.rebuild_rollups of the large place."""
    place = bench.large()
    session = place.connect()
    done = watched(session, "SELECT fraud.rebuild_rollups()")
    bench.report(f"fraud.rebuild_rollups of {int(done.value):,} payments", done.clock, "s")
    bench.report("the same, a payment, processor time", done.processor / int(done.value) * 1e6, "µs")
    bench.report("rebuild of the sums, 10 million payments at this rate", done.clock / int(done.value) * 1e7, "s", "rebuild")
    session.close()
