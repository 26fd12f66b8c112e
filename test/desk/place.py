"""A database with payments and cases, roles that work there, and desks that serve it."""

import os
import pathlib
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import psycopg

TREE = pathlib.Path(__file__).parent.parent.parent
PASSWORD = secrets.token_hex(12)  # long and by chance: it must be found nowhere in a page
NASTY = "<script>alert(1)</script> & Söhne, " + "a very long name " * 5

SETUP = """
CREATE EXTENSION fraud_detect;
SELECT fraud.add_payment_field('device', 'text', '$.device.id', index => true);
SELECT fraud.promote('payments', 1, reason => 'all alert', review_at => 0, block_at => 0.9999, override_gate => true);
CREATE ROLE desk_one LOGIN; CREATE ROLE desk_two LOGIN; CREATE ROLE desk_auditor LOGIN;
SELECT fraud.grant_access(r, 'analyst') FROM unnest('{desk_one,desk_two}'::text[]) r;
SELECT fraud.grant_access('desk_two', 'scientist');
SELECT fraud.grant_access('desk_auditor', 'auditor');
ALTER DATABASE postgres SET fraud_detect.four_eyes = on;
ALTER DATABASE postgres SET fraud_detect.label_maturity = '0';
"""


def sql(statement, parameters=None):
    """Rows as the superuser has them."""
    with psycopg.connect() as connection:
        cursor = connection.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def value(statement, parameters=None):
    return sql(statement, parameters)[0][0]


def pay(transaction_id, customer, device, amount=120, merchant="corner shop"):
    """A payment comes in; what was decided."""
    return value("""SELECT decision FROM fraud.ingest(jsonb_build_array(jsonb_build_object('cc_num', (4000000000000000 + %s)::text, 'trans_num', %s::text, 'amt', %s,
                    'merchant', %s::text, 'category', 'travel', 'unix_time', extract(epoch FROM now())::bigint - 60, 'device', jsonb_build_object('id', %s::text))))""",
                 [customer, transaction_id, amount, merchant, device])


def set_up():
    with psycopg.connect(autocommit=True) as connection:
        for statement in SETUP.strip().split(";\n"):
            connection.execute(statement)
        for role in ("desk_one", "desk_two", "desk_auditor"):
            connection.execute(f"ALTER ROLE {role} PASSWORD '{PASSWORD}'")
    for n in range(24):
        pay(f"w-{n}", n, f"d-{n % 6}", amount=1000 - 10 * n, merchant=NASTY if n == 0 else f"shop {n % 4}")


def watch_claims():
    """A table of a user's own that is watched, and two events that alert. The model is that of sql/models.sql."""
    script = (TREE / "sql" / "models.sql").read_text()
    begin = script.index("CREATE TABLE stump")
    sql(script[begin:script.index(";\n", script.index("INSERT INTO stump"))])
    sql("""CREATE TABLE claims (claim_no bigint PRIMARY KEY, filed_at timestamptz NOT NULL, policy_holder text, amount numeric);
        SELECT fraud.create_feature_set('claims', 'claims', 'claim_no', 'filed_at', create_indexes => true);
        SELECT fraud.add_feature('claims', 'amount', 'amount', reason => 'claims {amount:.2}');
        SELECT fraud.add_window_feature('claims', 'claims_30d', 'count', NULL, 'policy_holder', '30 days');
        SELECT fraud.import_model('claims', convert_to(replace(replace(replace(convert_from(artifact, 'UTF8'),
            '"a", "b"', '"amount", "claims_30d"'), '[1.0, 0.5, -0.25]', '[1000.0, -3.0, 3.0]'), '[2.0, 1.0, -1.0]', '[3.0, 0.0, 2.0]'), 'UTF8')) FROM stump;
        SELECT fraud.promote('claims', 1, review_at => 0.5, block_at => 0.97, override_gate => true, reason => 'a test');
        SELECT fraud.watch('claims', entity => 'policy_holder', amount => 'amount');
        INSERT INTO claims VALUES (1, now() - interval '1 hour', 'ann', 2000), (2, now() - interval '1 hour', 'bob <b>', 5000)""")


class Desk:
    """A desk that serves the database; more are FRAUD_DESK_* in small letters."""

    def __init__(self, **more):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}{more.get('prefix', '')}"
        environment = dict(os.environ, FRAUD_DESK_HOST=os.environ["PGHOST"], FRAUD_DESK_PORT=os.environ["PGPORT"], FRAUD_DESK_DBNAME=os.environ["PGDATABASE"],
                           FRAUD_DESK_LISTEN_PORT=str(self.port), **{"FRAUD_DESK_" + name.upper(): str(v) for name, v in more.items()})
        self._process = subprocess.Popen([sys.executable, "-m", "desk"], cwd=TREE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(150):
            try:
                urllib.request.urlopen(self.address + "/alive", timeout=5).close()
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        self.stop()
        raise AssertionError("the desk does not answer")

    def stop(self):
        """Ends it; what it wrote to its log."""
        self._process.terminate()
        return self._process.communicate(timeout=20)[0].decode()
