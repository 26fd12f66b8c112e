"""What test/server_logs takes for a fault, and what not."""
import pathlib
import subprocess
import tempfile
import unittest

PROGRAM = pathlib.Path(__file__).resolve().parent.parent / "server_logs"
PREFIX = "2026-01-01 00:00:00.000 UTC [4711] "
FAULTS = """
WARNING:  relcache reference leak: relation "transactions" not closed
WARNING:  cache reference leak: cache pg_proc (46), tuple 5/3 has count 1
WARNING:  cache reference leak: cache pg_amop (3), list 0x55d1c2a0 has count 1
WARNING:  01000: plancache reference leak: plan 0x55d1c2a0 not closed
WARNING:  TupleDesc reference leak: TupleDesc 0x7f10 (16384,-1) still referenced
WARNING:  Snapshot reference leak: Snapshot 0x7f10 still referenced
WARNING:  buffer refcount leak: [012] (rel=base/5/1259, blockNum=0, flags=0x83800000, refcount=1 1)
WARNING:  temporary file leak: File 12 still referenced
WARNING:  resource was not closed: relation "transactions"
WARNING:  resource was not closed: cache pg_proc (46), tuple 5/3 has count 1
WARNING:  snapshot 0x7f10 still active
WARNING:  registered snapshots seem to remain after cleanup
WARNING:  transaction left non-empty SPI stack
WARNING:  subtransaction left non-empty SPI stack
WARNING:  leaked hash_seq_search scan for hash table 0x7f10
WARNING:  you don't own a lock of type AccessShareLock
WARNING:  GUC nest level = 2 at transaction start
WARNING:  AbortTransaction while in ABORT state
WARNING:  problem in alloc set ExecutorState: detected write past chunk end in block 0x7f10, chunk 0x7f20
WARNING:  detected write past chunk end in ExprContext 0x7f10
TRAP: FailedAssertion("list != NIL", File: "list.c", Line: 12, PID: 4711)
TRAP: failed Assert("list != NIL"), File: "list.c", Line: 12, PID: 4711
PANIC:  lock table corrupted
LOG:  server process (PID 4711) was terminated by signal 11: Segmentation fault
LOG:  background worker "fraud_detect scorer" (PID 4711) was terminated by signal 6: Aborted
""".strip().splitlines()
INNOCENT = """
WARNING:  there is no transaction in progress
WARNING:  out of shared memory
WARNING:  terminating connection because of crash of another server process
LOG:  background worker "fraud_detect scorer" (PID 4711) was terminated by signal 9: Killed
LOG:  server process (PID 4711) was terminated by signal 15: Terminated
logical replication worker WARNING:  relcache reference leak: relation "transactions_2026_11" not closed
ERROR:  relation "leaked" does not exist
STATEMENT:  SELECT 'resource was not closed: by us', 'snapshot 1 still active'
""".strip().splitlines()


class ServerLogs(unittest.TestCase):
    def look(self, *texts):
        """Returns the exit status and the lines of a look at logs with these texts; None is a log that is not there."""
        with tempfile.TemporaryDirectory() as folder:
            logs = []
            for number, text in enumerate(texts):
                logs.append(pathlib.Path(folder, f"{number}.log"))
                if text is not None:
                    logs[-1].write_text(text)
            done = subprocess.run([PROGRAM, *logs], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines()

    def test_each_fault_is_seen(self):
        for line in FAULTS:
            with self.subTest(line):
                status, said = self.look(f"{PREFIX}LOG:  nothing\n{PREFIX}{line}\n")
                self.assertEqual((status, said[-1]), (1, "0 passed, 1 failed"))
                self.assertIn(line, said[0])

    def test_what_is_none_is_not(self):
        text = "".join(f"{PREFIX}{line}\n" for line in INNOCENT)
        self.assertEqual(self.look(text), (0, ["1 passed, 0 failed"]))

    def test_bytes_of_no_encoding_hide_nothing(self):
        with tempfile.NamedTemporaryFile() as log:
            log.write(b"\0\xff\n" + FAULTS[0].encode() + b"\n")
            log.flush()
            done = subprocess.run([PROGRAM, log.name], capture_output=True, check=False)
        self.assertEqual(done.returncode, 1)

    def test_a_log_that_is_missing_is_a_fault(self):
        self.assertEqual(self.look("", None)[1][-1], "1 passed, 1 failed")
        self.assertEqual(self.look(), (1, ["0 passed, 1 failed"]))


if __name__ == "__main__":
    unittest.main()
