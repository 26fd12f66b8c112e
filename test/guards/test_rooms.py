#!/usr/bin/env python3
"""The rooms of the house: no file includes what src/rooms does not allow it, and what breaks
the list is found."""
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def check(root):
    """Returns what tools/check-rooms prints of a tree."""
    run = subprocess.run([ROOT / "tools/check-rooms", root], capture_output=True, text=True, check=False)
    assert (run.returncode == 0) == (run.stdout == ""), run.stderr
    return run.stdout


class Rooms(unittest.TestCase):
    def test_every_include_is_allowed(self):
        self.assertEqual(check(ROOT), "")

    def assert_found(self, file, include, what):
        """Adds a file with one include to a copy of the tree: the check says what is wrong with it."""
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / "tree"
            shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("*.o", "*.d"))
            path = copy / "src" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"#include {include}\n")
            self.assertIn(what, check(copy))

    def test_a_room_beside(self):
        self.assert_found("core/forest/made_up.cpp", '"core/payments/payment.h"',
                          "core/forest may not include core/payments")

    def test_a_room_above(self):
        self.assert_found("pg/server/made_up.h", '"pg/models/model_store.h"',
                          "pg/server may not include pg/models")

    def test_a_floor_above(self):
        self.assert_found("core/base/made_up.h", "<pg/server/spi.h>", "core/base may not include pg/server")
        self.assert_found("pg/payments/made_up.cpp", '"worker/process.h"', "pg/payments may not include worker")

    def test_a_landing(self):
        self.assert_found("pg/alerts/made_up.cpp", '"pg/hooks.h"', "pg/alerts may not include pg (")

    def test_a_way_around_the_list(self):
        self.assert_found("core/base/made_up.h", '"../forest/forest.h"', "by a path of its own")

    def test_a_file_in_no_room(self):
        self.assert_found("core/made_up.cpp", "<string>", "stands in no room")
        self.assert_found("pg/attic/made_up.cpp", "<string>", "stands in no room")


if __name__ == "__main__":
    unittest.main()
