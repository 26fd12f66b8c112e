#!/usr/bin/env python3
"""tools/capacity reckons with the figures that the pages have, answers at what was measured as it was
measured, and docs/scale.md has the curve that it makes."""
import importlib.machinery
import importlib.util
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def load():
    """The program as a module."""
    loader = importlib.machinery.SourceFileLoader("capacity", str(ROOT / "tools/capacity"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("capacity", loader))
    loader.exec_module(module)
    return module


capacity = load()


class Capacity(unittest.TestCase):
    def near(self, value, expected, share):
        self.assertLess(abs(value / expected - 1), share, f"{value} is not {expected}")

    def test_figures_are_those_of_the_pages(self):
        for name, (_, page, row, shown) in capacity.MEASURED.items():
            with self.subTest(name):
                lines = [line for line in (ROOT / "docs" / page).read_text().splitlines() if row in line]
                self.assertTrue(lines, f"docs/{page} has no line with \"{row}\"")
                self.assertTrue(any(shown in line for line in lines), f"docs/{page}: \"{row}\" is another figure than {shown}")

    def test_measured_points(self):
        self.near(capacity.growth(1_700_000) / capacity.growth(100_000), 410 / 378, 0.005)
        apart = capacity.value("sums_us") + capacity.value("tiles_us")
        self.near(capacity.cost_us("call", 1_700_000, 0) - apart, 398, 0.01)
        self.near(capacity.cost_us("batch", 1_700_000, 0) - apart, 175, 0.01)
        # Two cores, without tiles: what the drain came to.
        self.near(2e6 / (capacity.cost_us("polled", 100_000, 0) - capacity.value("tiles_us")), 17_010, 0.05)
        # What a database grew by, a payment, but for the log of changes, which is folded.
        self.near(sum(map(capacity.value, ("payment_bytes", "key_bytes", "sums_bytes"))), 1_152 - 195, 0.15)

    def test_memory(self):
        """Pages are read as often as there is no room for them."""
        parts = capacity.parts_of(1e8, 1e9, 1e7, 86, 620)
        touched = sum(count for _, _, count in parts)
        hot = sum(pages for _, pages, _ in parts) * capacity.PAGE_BYTES
        reads = [capacity.pages_read(parts, share * hot, payments=2_000, size=8_000) for share in (1.1, 0.7, 0.4, 0.1, 0.0001)]
        self.assertLess(reads[0], 0.1)
        self.assertEqual(reads, sorted(reads))
        self.assertGreater(reads[-1], 0.9 * touched)

    def test_pages_as_measured(self):
        """The simulation reads, with nothing in memory, what the database read (the table of docs/scale.md)."""
        rows = re.findall(r"(?m)^\| ([\d,]+) \| (\d+) \| (\d+) \| ([\d.]+) \| \d+ \|$", (ROOT / "docs/scale.md").read_text())
        self.assertGreater(len(rows), 1)
        for stored, per_card, _, read in rows:
            stored = int(stored.replace(",", ""))
            customers = stored / int(per_card) / 2
            in_windows = stored * 37 / 60
            parts = capacity.parts_of(in_windows, stored, customers, int(per_card), in_windows / (customers / 6))
            with self.subTest(stored):
                self.near(capacity.pages_read(parts, 1e15, payments=500, size=1e12, cold=True), float(read), 0.25)

    def test_page(self):
        run = subprocess.run([ROOT / "tools/capacity", "--check"], capture_output=True, text=True, check=False)
        self.assertEqual((run.stdout, run.returncode), ("", 0), run.stderr)

    def test_answer(self):
        run = subprocess.run([ROOT / "tools/capacity", "--per-second", "1000", "--memory", "64"], capture_output=True, text=True, check=True)
        self.assertIn("for 3,000 payments/s at the peak", run.stdout)
        self.assertNotIn("beyond one database", run.stdout)
        run = subprocess.run([ROOT / "tools/capacity", "--per-second", "20000", "--memory", "64", "--days", "30"], capture_output=True, text=True, check=True)
        self.assertIn("beyond one database", run.stdout)
        run = subprocess.run([ROOT / "tools/capacity", "--per-second", "0"], capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 2)


if __name__ == "__main__":
    unittest.main()
