"""tools/build-update: what of two install scripts goes into the step between them."""
import os
import subprocess
import tempfile
import unittest

TOOL = os.path.join(os.path.dirname(__file__), "..", "..", "tools", "build-update")

OLD = """\\echo Use "CREATE EXTENSION x" to load this file. \\quit
CREATE TABLE fraud.t (a int);
-- The body has a semicolon; and a CASE.
CREATE FUNCTION fraud.same() RETURNS int LANGUAGE sql
BEGIN ATOMIC
    SELECT CASE WHEN true THEN 1 ELSE 2 END;
    SELECT 'it''s; one' AS "a;b";
END;
CREATE FUNCTION fraud.changed() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;
COMMENT ON FUNCTION fraud.changed() IS E'a \\'1\\'; b';
SELECT fraud.fill('""" + "x" * 100_000 + """');
"""


class BuildUpdate(unittest.TestCase):
    def update(self, new, step="UPDATE fraud.t SET a = 1;\n"):
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for name, text in (("old", OLD), ("new", new), ("step", step)):
                paths.append(os.path.join(folder, name))
                with open(paths[-1], "w", encoding="utf-8") as file:
                    file.write(text)
            return subprocess.run([TOOL, *paths], check=True, capture_output=True, text=True, encoding="utf-8")

    def body(self, new):
        done = self.update(new)
        self.assertEqual(done.stderr, "")
        start = done.stdout.index("UPDATE fraud.t SET a = 1;\n") + len("UPDATE fraud.t SET a = 1;\n")
        return done.stdout[start:done.stdout.index("-- What is new is nobody's")].strip()

    def test_nothing_changed(self):
        self.assertEqual(self.body(OLD), "")

    def test_the_step_comes_first_and_the_path_is_pinned(self):
        out = self.update(OLD).stdout
        self.assertTrue(out.startswith('\\echo Use "ALTER EXTENSION fraud_detect UPDATE"'))
        self.assertLess(out.index("search_path TO pg_catalog, pg_temp"), out.index("UPDATE fraud.t"))

    def test_a_changed_function_is_replaced_whole(self):
        new = OLD.replace("THEN 1 ELSE 2", "THEN 3 ELSE 2")
        self.assertEqual(self.body(new), """CREATE OR REPLACE FUNCTION fraud.same() RETURNS int LANGUAGE sql
BEGIN ATOMIC
    SELECT CASE WHEN true THEN 3 ELSE 2 END;
    SELECT 'it''s; one' AS "a;b";
END;""")

    def test_a_changed_comment(self):
        new = OLD.replace("; b'", "; c'")
        self.assertEqual(self.body(new), "COMMENT ON FUNCTION fraud.changed() IS E'a \\'1\\'; c';")

    def test_new_views_triggers_and_procedures(self):
        new = OLD + ("CREATE VIEW fraud.v AS SELECT 1;\nCREATE TRIGGER g BEFORE INSERT ON fraud.t FOR EACH ROW EXECUTE FUNCTION fraud.f();\n"
                     "CREATE PROCEDURE fraud.p() LANGUAGE sql BEGIN ATOMIC SELECT 1; END;\n")
        self.assertEqual(self.body(new), "CREATE OR REPLACE VIEW fraud.v AS SELECT 1;\n"
                         "CREATE OR REPLACE TRIGGER g BEFORE INSERT ON fraud.t FOR EACH ROW EXECUTE FUNCTION fraud.f();\n"
                         "CREATE OR REPLACE PROCEDURE fraud.p() LANGUAGE sql BEGIN ATOMIC SELECT 1; END;")

    def test_tables_and_rows_are_the_steps(self):
        new = OLD.replace("(a int)", "(a int, b int)") + "INSERT INTO fraud.t VALUES (1);\n"
        self.assertEqual(self.body(new), "")

    def test_what_says_so_is_done_again(self):
        new = OLD + "-- As the server is. Again at each update.\nDO $$ BEGIN NULL; END $$;\n"
        self.assertEqual(self.body(new), "DO $$ BEGIN NULL; END $$;")


if __name__ == "__main__":
    unittest.main()
