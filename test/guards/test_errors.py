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

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.copy = pathlib.Path(folder.name)
        shutil.copytree(ROOT / "src", cls.copy / "src", ignore=shutil.ignore_patterns("*.o", "*.d", "*.bc"))
        shutil.copytree(ROOT / "tools/error_lists", cls.copy / "tools/error_lists")
        (cls.copy / "docs").mkdir()
        shutil.copy(ROOT / "docs/errors.md", cls.copy / "docs")

    def found(self, place, change):
        """What is said of a copy of the tree one of whose sources was changed."""
        file = self.copy / place
        text = file.read_text()
        self.assertNotEqual(change(text), text)
        try:
            file.write_text(change(text))
            return check(self.copy)
        finally:
            file.write_text(text)

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

    def test_order(self):
        """SQLSTATEs are in order, and each has as many rows as the first table says."""
        page = (ROOT / "docs/errors.md").read_text()
        sections = [(m[1], m[2].count("\n| `")) for m in re.finditer(r"(?ms)^## (\w{5}) .*?$(.*?)(?=^## |\Z)", page)]
        self.assertGreater(len(sections), 30)
        self.assertEqual([state for state, _ in sections], sorted(state for state, _ in sections))
        self.assertEqual(sections, [(m[1], int(m[2])) for m in re.finditer(r"(?m)^\| \[(\w{5})\].*\| (\d+) \|$", page)])

    def test_message_without_explanation(self):
        """A message that does not say what is expected needs a detail or a hint."""
        told = "DETAIL = 'It is 1 to 9.'"
        raised = "RAISE EXCEPTION 'valid_from must be finite' USING ERRCODE = 'invalid_parameter_value'"
        odd = raised.replace("must be finite", "is odd")
        wanting = "says neither what is expected"
        cases = [
            ("src/sql/18_currencies.sql", lambda t: t.replace(raised, odd), True),
            ("src/sql/18_currencies.sql", lambda t: t.replace(raised, odd + ", " + told), False),
            ("src/sql/18_currencies.sql", lambda t: t.replace(raised, odd.replace("odd", "odd, expected another")), False),
            ("src/core/requests/request.cpp", lambda t: t.replace("auth's user must have no colon", "auth's user is odd"), True),
            ("src/pg/payments/mapping.cpp", lambda t: t.replace(', "", "Name it once.")', ")"), True),
            ("src/pg/server/keyed_hash.cpp", lambda t: re.sub(r",\s*errdetail\(.*?\), errhint\(.*?\)\)\)", "))", t), True),
            ("src/worker/training/training_program.h", lambda t: re.sub(r"(kOtherProgram\[\] =)[^;]*;", r'\1 "";', t), True),
            ("src/core/model_file/model_faults.cpp", lambda t: t.replace("message, {},", "message); //", 1), True),
        ]
        for place, change, found in cases:
            with self.subTest(place=place, found=found):
                (self.assertIn if found else self.assertNotIn)(wanting, self.found(place, change))
        more = "src/sql/18_currencies.sql | valid_from must be finite\n"
        self.assertIn("has no need of it", self.found("tools/error_lists/unexplained", lambda t: t + more))

    def test_message_from_elsewhere(self):
        self.assertIn("message or SQLSTATE is not written there", self.found(
            "src/sql/18_currencies.sql", lambda t: re.sub(r"RAISE EXCEPTION 'valid_from must be finite'", "RAISE EXCEPTION '%', x", t)))


if __name__ == "__main__":
    unittest.main()
