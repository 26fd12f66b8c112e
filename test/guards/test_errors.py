#!/usr/bin/env python3
"""docs/errors.md has every error that the sources raise, and a new one that it lacks is found."""
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def check(root):
    """Returns what tools/errors --check says of a tree."""
    run = subprocess.run([ROOT / "tools/errors", "--check", root], capture_output=True, text=True, check=False)
    assert (run.returncode == 0) == (run.stdout == ""), run.stderr
    return run.stdout


class Errors(unittest.TestCase):
    def test_page(self):
        self.assertEqual(check(ROOT), "")

    def test_sqlstates(self):
        """Names and codes are PostgreSQL's."""
        places = sorted(pathlib.Path("/usr/share/postgresql").glob("*/errcodes.txt"))
        if not places:
            self.skipTest("no errcodes.txt")
        theirs = set(re.findall(r"(?m)^(\w{5}) +\w +\w+ +(\w+)$", places[-1].read_text()))
        ours = set(re.findall(r"(?m)^([0-9A-Z]{5}) (\w+)$", (ROOT / "tools/error_lists/conditions").read_text()))
        self.assertEqual(ours - theirs, set())
        self.assertGreater(len(ours), 30)

    def found(self, place, change):
        """What is said of a copy of the tree one of whose sources was changed."""
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("*.o", "*.d"))
            shutil.copytree(ROOT / "tools/error_lists", root / "tools/error_lists")
            (root / "docs").mkdir()
            shutil.copy(ROOT / "docs/errors.md", root / "docs")
            text = (root / place).read_text()
            self.assertNotEqual(change(text), text)
            (root / place).write_text(change(text))
            return check(root)

    def test_message_that_is_missing(self):
        cases = [
            ("src/sql/18_currencies.sql", lambda t: t.replace("currency \"%\" is not known", "currency \"%\" is strange"), "is not what the sources say"),
            ("src/pg/models/model_lookup.cpp", lambda t: t.replace("invalid model reference", "bad model reference"), "is not what the sources say"),
            ("src/core/model_file/model_objective.cpp", lambda t: t.replace("is not a finite number", "is no number"), "is not what the sources say"),
            ("src/sql/18_currencies.sql", lambda t: t.replace("'null_value_not_allowed'", "'division_by_zero'"), "has no entry for division_by_zero"),
            ("src/pg/payments/payment_store.cpp", lambda t: t.replace(", or it makes too large an amount of it", ""), "the sources do not have"),
        ]
        for place, change, said in cases:
            with self.subTest(place=place, said=said):
                self.assertIn(said, self.found(place, change))

    def test_message_from_elsewhere(self):
        self.assertIn("message or SQLSTATE is not written there", self.found(
            "src/sql/18_currencies.sql", lambda t: re.sub(r"RAISE EXCEPTION 'valid_from must be finite'", "RAISE EXCEPTION '%', x", t)))


if __name__ == "__main__":
    unittest.main()
