#!/usr/bin/env python3
"""docs/reference is what the catalog says (of the server that libpq's environment leads to, which
preloads the library), and docs/settings.md has the same settings with the same defaults."""
import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def settings(page, name):
    """Returns {setting: (default, when it changes)} of a page's table."""
    rows = re.findall(name, (ROOT / page).read_text(), re.M)
    return {setting: (default.strip("` "), change) for setting, default, change in rows}


class Reference(unittest.TestCase):
    def test_pages(self):
        if not os.environ.get("PGDATABASE"):
            self.skipTest("no database: PGDATABASE is not set")
        run = subprocess.run([ROOT / "tools/reference", "--check"], capture_output=True, text=True, check=False)
        self.assertEqual((run.stdout, run.returncode), ("", 0), run.stderr)

    def test_settings(self):
        theirs = settings("docs/reference/settings.md", r"^\| `fraud_detect\.(\w+)` \| (.*?) \| .*? \| (\w+) \|")
        ours = settings("docs/settings.md", r"^\| `(\w+)` \| (.*?) \| (\w+) \|")
        self.assertGreater(len(theirs), 50)
        self.assertEqual(theirs, ours)


if __name__ == "__main__":
    unittest.main()
