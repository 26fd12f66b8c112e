"""A working morning at the desk: by HTTP (below), and in Chromium (test_browser.py)."""

import pathlib
import re
import time
import unittest
import urllib.parse

import place
from browser import Browser
from place import NASTY, PASSWORD, Desk, sql, value
from test_browser import BrowserWalk  # noqa: F401


class Walk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.desk = Desk()

    @classmethod
    def tearDownClass(cls):
        log = cls.desk.stop()
        assert PASSWORD not in log, "a password is in the log"
        assert "Traceback" not in log, log

    def logged_in(self, user):
        browser = Browser(self.desk.address).log_in(user, PASSWORD)
        self.assertEqual((browser.status, browser.url), (200, self.desk.address + "/queue"))
        return browser

    def test_1_a_morning(self):
        one = self.logged_in("desk_one")
        # Takes three, the worst first.
        one.press("Take", where={"count": "10"}, count="3")
        mine = [n for (n,) in sql("SELECT case_id FROM fraud.cases WHERE assignee = 'desk_one' AND status = 'acknowledged' ORDER BY priority DESC, case_id")]
        self.assertEqual(len(mine), 3)
        self.assertEqual([int(n) for n in re.findall(r'<tr data-case="(\d+)"', one.text)], mine, "the queue shows what was taken, worst first")
        # Confirms one, with a note; dismisses another.
        one.get(f"/cases/{mine[0]}")
        self.assertIn("Expected loss", one.text)
        one.press("Confirm fraud", note="the customer says it was not hers")
        self.assertIn(f"case {mine[0]} is fraud", one.text)
        one.get(f"/cases/{mine[1]}").press("Dismiss")
        self.assertEqual(sql("SELECT status, status_by FROM fraud.cases WHERE case_id = ANY (%s) ORDER BY status", [mine[:2]]), [("confirmed", "desk_one"), ("dismissed", "desk_one")])
        self.assertEqual(sql("SELECT DISTINCT t.is_fraud FROM fraud.transactions t JOIN fraud.alerts a USING (card, transaction_id) WHERE a.case_id = ANY (%s) ORDER BY 1", [mine[:2]]), [(False,), (True,)])
        self.assertEqual(value("SELECT note FROM fraud.case_history WHERE case_id = %s AND action = 'confirm'", [mine[0]]), "the customer says it was not hers")
        # Reopens and assigns.
        one.press("Reopen", note="asked again").press("Assign", assignee="desk_two")
        self.assertEqual(sql("SELECT status, assignee FROM fraud.cases WHERE case_id = %s", [mine[1]]), [("open", "desk_two")])
        # Decides payment by payment.
        payment = value("SELECT transaction_id FROM fraud.alerts WHERE case_id = %s", [mine[2]])
        one.get(f"/cases/{mine[2]}").press("Decide so", fraud=payment, note="one of one")
        self.assertEqual(value("SELECT status FROM fraud.cases WHERE case_id = %s", [mine[2]]), "confirmed")

        # Blocks a device for a week: one click from the case, and what it would have caught is there.
        device = value("SELECT t.attributes -> 'device' ->> 'id' FROM fraud.transactions t WHERE t.transaction_id = %s", [payment])
        one.press("Block for a week", where={"list": "block_device", "value": device})
        self.assertTrue(one.url.endswith("/lists/block_device/newest"), one.url)
        self.assertIn("What it would have hit in the last 30 days", one.text)
        hits = value("SELECT value FROM fraud.backtest_rule(format('device = %%L', %s::text), now() - interval '30 days', now()) WHERE metric = 'hits'", [device])
        self.assertGreater(hits, 1)
        self.assertIn(f'<div class="name">Payments hit</div><div class="figure">{hits:.0f}</div>', one.text)
        self.assertEqual(value("SELECT date_trunc('day', until - now()) FROM fraud.list_values WHERE list = 'block_device' AND value = %s", [device]).days, 6)
        self.assertEqual(place.pay("blocked", 500, device), "block")

        # Writes a rule from a case: tried, stored as observed.
        one.get(f"/cases/{mine[0]}").press("Write a rule", where={"note": f"case {mine[0]}"})
        self.assertIn(f'value="case {mine[0]}"', one.text)
        one.press("Backtest", condition="device = 'd-seen' OR amount > 985", rule="costly")
        hits = value("SELECT value FROM fraud.backtest_rule('device = ''d-seen'' OR amount > 985', now() - interval '30 days', now()) WHERE metric = 'hits'")
        self.assertGreater(hits, 0)
        self.assertIn(f'<div class="name">Payments hit</div><div class="figure">{hits:.0f}</div>', one.text)
        self.assertRegex(one.text, r"<title>\d{4}-\d\d-\d\d: \d+</title>")
        one.press("Store, observed", reason="costs {amount}", action="block")
        self.assertTrue(one.url.endswith("/rules/of/costly"), one.url)
        self.assertEqual(sql("SELECT mode, author, action FROM fraud.rule_status WHERE rule = 'costly'"), [("observe", "desk_one", "block")])
        self.assertEqual(place.pay("seen-1", 501, "d-seen"), "review", "what is observed decides nothing")
        one.get(one.url)
        self.assertIn("seen-1", one.text)
        # Its author may not enforce it; another may, and it decides.
        one.press("Enforce", reason="mine")
        self.assertEqual(one.status, 403)
        self.assertIn("SQLSTATE 42501", one.text)
        self.assertIn("What was sent", one.text)
        two = self.logged_in("desk_two").get("/rules/of/costly").press("Enforce", reason="looked at its hits")
        self.assertIn("version 1 of rule costly decides", two.text)
        self.assertEqual(place.pay("seen-2", 502, "d-seen"), "block")
        two.get("/rules/of/costly")
        self.assertIn("seen-2", two.text)
        self.assertEqual(value("SELECT reason FROM fraud.rule_history WHERE rule = 'costly' AND act = 'enforce' AND by = 'desk_two'"), "looked at its hits")
        # Takes the device out of the list again.
        two.get("/lists/block_device").press("Take out", where={"value": device}, reason="a shared one")
        self.assertEqual(value("SELECT count(*) FROM fraud.list_values WHERE value = %s", [device]), 0)

    def test_2_searches(self):
        one = self.logged_in("desk_one").get("/search").press("Find", id="w-5")
        self.assertIn("1 found", one.text)
        one.press("Find", id="", attribute="device", value="d-1")
        self.assertIn("w-7", one.text)
        self.assertNotIn("d-1", one.url, "what is looked for is in no address")
        one.press("Find", value="", attribute="", last_four="12")
        self.assertIn("last_four must be four digits", one.text)
        one.get("/payments/w-5").press("It is legitimate", overrule="yes")
        self.assertIs(value("SELECT is_fraud FROM fraud.transactions WHERE transaction_id = 'w-5'"), False)
        one.press("It is fraud", overrule="yes")
        self.assertIs(value("SELECT is_fraud FROM fraud.transactions WHERE transaction_id = 'w-5'"), True)

    def test_3_models(self):
        two = self.logged_in("desk_two").get("/models/payments/1")
        self.assertIn("auc_roc", two.text)
        # What cannot be measured says why, on its page.
        of_others = bytes(value("SELECT fraud.export_model('payments/1')")).replace(b"amount", b"volume")
        value("SELECT fraud.import_model('elsewhere', %s)", [of_others])
        two.get("/models/elsewhere/1")
        self.assertEqual(two.status, 200)
        self.assertIn('role="alert"', two.text)
        two.get("/models/payments").press("Promote", version="1", review_at="0.9", block_at="0.1", reason="a slip")
        self.assertEqual(two.status, 409)
        self.assertIn("Nothing was changed", two.text)
        self.assertIn('value="a slip"', two.text, "what was sent is not lost")
        two.get("/models/payments").press("Promote", version="1", review_at="0.0001", block_at="0.999", reason="a little less", override_gate="yes")
        self.assertEqual(sql("SELECT review_at, promoted_by FROM fraud.model_aliases"), [(0.0001, "desk_two")])
        two.press("Roll back to the one before", reason="after all")
        self.assertEqual(value("SELECT review_at FROM fraud.model_aliases"), 0)

    def test_4_every_page(self):
        one = self.logged_in("desk_one")
        for path in ("/queue", "/queue?whose=mine&overdue=yes&decision=block&least=3", "/queue/rows", "/search", "/rules", "/rules/new", "/rules/suggested", "/rules/suggested?days=30", "/rules/decision", "/streams", "/models", "/models/payments", "/health"):
            self.assertEqual(one.get(path).status, 200, path)
            self.assertNotIn(PASSWORD, one.text)
            self.assertNotRegex(one.text, r'<script(?! src=)|\son\w+="|\sstyle="|<style', f"{path}: inline script or style, which the policy forbids")
            self.assertIn("default-src 'self'", one.headers["Content-Security-Policy"])
            self.assertIn("frame-ancestors 'none'", one.headers["Content-Security-Policy"])
            self.assertEqual(one.headers["Cache-Control"], "no-store")
        case = value("SELECT case_id FROM fraud.alerts WHERE transaction_id = 'w-0'")
        one.get(f"/cases/{case}")
        self.assertNotRegex(one.text, r'<script(?! src=)|\sstyle="|<style')
        self.assertIn("&lt;script&gt;", one.text)
        self.assertEqual(one.get("/report.css").headers["Content-Type"], "text/css; charset=utf-8")
        self.assertEqual(one.get("/cases/99999999").status, 404)
        self.assertEqual(one.get("/queue?least=x").status, 400)
        self.assertEqual(one.get("/rules/of/none").status, 404)

    def test_41_many_cases_at_once(self):
        for n in range(6):
            place.pay(f"many-{n}", 700 + n, "d-many", amount=5)
        cases = [c for (c,) in sql("SELECT case_id FROM fraud.alerts WHERE transaction_id ~ '^many-' ORDER BY transaction_id")]
        chosen = [str(c) for c in cases]
        one = self.logged_in("desk_one").press("Assign all", cases=chosen[:3], assignee="desk_two")
        self.assertIn("assigned: ", one.text)
        self.assertEqual(sql("SELECT DISTINCT assignee FROM fraud.cases WHERE case_id = ANY (%s)", [cases[:3]]), [("desk_two",)])
        one.get("/queue").press("Dismiss all", cases=chosen[:2], note="a class outing")
        self.assertEqual(sql("SELECT DISTINCT status FROM fraud.cases WHERE case_id = ANY (%s)", [cases[:2]]), [("dismissed",)])
        one.get("/queue").press("Confirm all as fraud", cases=chosen[2:3])
        self.assertEqual(value("SELECT status FROM fraud.cases WHERE case_id = %s", [cases[2]]), "confirmed")
        one.get("/queue").press("Dismiss all", cases=["17x"])
        self.assertEqual(one.status, 400)
        # Merges two of one customer.
        sql("SET fraud_detect.alert_window = 0; SELECT status FROM fraud.ingest(jsonb_build_array(jsonb_build_object('cc_num', '4000000000000703', 'trans_num', 'many-3b', 'amt', 7,"
            " 'merchant', 'shop 1', 'category', 'travel', 'unix_time', extract(epoch FROM now())::bigint - 30)))")
        other = value("SELECT case_id FROM fraud.alerts WHERE transaction_id = 'many-3b'")
        one.get(f"/cases/{cases[3]}").press("Merge into this", other_cases=f"{other}, {cases[4]}")
        self.assertIn("is of another customer", one.text)
        one.get(f"/cases/{cases[3]}").press("Merge into this", other_cases=str(other))
        self.assertIn(f"merged into case {cases[3]}", one.text)
        self.assertEqual(sql("SELECT status, merged_into FROM fraud.cases WHERE case_id = %s", [other]), [("merged", cases[3])])
        # A flood: what nobody has is closed, and labelled as nothing.
        since = value("SELECT min(opened_at) FROM fraud.cases WHERE case_id = ANY (%s)", [cases[3:]])
        one.get("/queue").press("Close them", **{"from": since.isoformat(), "to": "2999-01-01", "reason": "a slip of the threshold"})
        self.assertIn("no payment is labelled", one.text)
        self.assertEqual(value("SELECT status FROM fraud.cases WHERE case_id = %s", [cases[5]]), "closed")
        self.assertIsNone(value("SELECT is_fraud FROM fraud.transactions WHERE transaction_id = 'many-5'"))

    def test_42_suggested_and_backtested(self):
        sql("SELECT count(fraud.label(t.transaction_id, t.amount > 900, 'chargeback', card => t.card)::text) FROM fraud.transactions t WHERE t.transaction_id ~ '^w-'")
        one = self.logged_in("desk_one").get("/rules/suggested").press("Suggest", days="30")
        self.assertIn("Frauds hit", one.text)
        condition = value("SELECT condition FROM fraud.suggest_rules(now() - interval '30 days', now(), 1)")
        one.press("Write it", where={"condition": condition})
        self.assertIn("suggested from 30 days", one.text)
        one.get("/rules/decision").press("Backtest", review_at="0.5", block_at="0.9", all_rules="")
        self.assertEqual(one.status, 200)
        alerts = value("SELECT candidate FROM fraud.backtest_decision(now() - interval '30 days', now(), review_at => 0.5, block_at => 0.9, rules => '{}') WHERE metric = 'alerts'")
        self.assertRegex(one.text, rf"(?s)>alerts</td>.*?as it would be".replace("as it would be", "As it would be") + rf'">{alerts:.0f}</td>')
        one.press("Backtest", review_at="0.9", block_at="0.1")
        self.assertEqual(one.status, 409)
        self.assertIn("invalid thresholds", one.text)
        self.assertIn('value="0.9"', one.text)

    def test_43_ends_a_snooze(self):
        one = self.logged_in("desk_one")
        snooze = value("SELECT fraud.snooze('merchant', 'shop 1', now() + interval '1 day', 'a sale')")
        one.get("/rules").press("End it", where={"snooze_id": str(snooze)}, reason="the sale is over")
        self.assertEqual(sql("SELECT ended_by, end_reason FROM fraud.snoozes WHERE snooze_id = %s", [snooze]), [("desk_one", "the sale is over")])
        self.assertNotIn("a sale", one.get("/rules").text)

    def test_44_cases_of_streams(self):
        place.watch_claims()
        one = self.logged_in("desk_one").get("/streams")
        self.assertIn("claims", one.text)
        case = value("SELECT case_id FROM fraud.stream_case_queue ORDER BY priority DESC, case_id LIMIT 1")
        one.press("Take", count="1")
        self.assertEqual(sql("SELECT status, assignee FROM fraud.stream_cases WHERE case_id = %s", [case]), [("acknowledged", "desk_one")])
        one.get(f"/streams/{case}").press("Note", note="asked the holder")
        self.assertIn("asked the holder", one.text)
        one.press("Assign", assignee="desk_two").press("Confirm fraud", note="it is")
        self.assertEqual(sql("SELECT status, status_by FROM fraud.stream_cases WHERE case_id = %s", [case]), [("confirmed", "desk_one")])
        one.get(f"/streams/{case}").press("Reopen", note="after all")
        self.assertEqual(value("SELECT status FROM fraud.stream_cases WHERE case_id = %s", [case]), "open")
        self.assertEqual(one.get("/streams/99999999").status, 404)

        # A rule of the stream: by who may not read the table, then written, tried, stored, and shown with what it matched.
        self.assertIn("claims", one.get("/rules/new").text)
        one.get("/rules/new?stream=claims").press("Store, observed", rule="costly_claims", condition="amount > 1500")
        self.assertIn("permission denied for table claims", one.text)
        sql("GRANT SELECT ON claims TO desk_one")
        one.get("/rules/new?stream=claims").press("Backtest", rule="costly_claims", condition="amount > 1500")
        self.assertIn('<div class="name">Events hit</div><div class="figure">2</div>', one.text)
        one.press("Store, observed", reason="costs {amount}")
        self.assertEqual(sql("SELECT stream, mode FROM fraud.rule_status WHERE rule = 'costly_claims'"), [("claims", "observe")])
        sql("SELECT fraud.enforce_rule('costly_claims', 'a test')")
        sql("INSERT INTO claims VALUES (33, now(), 'cid', 1600)")
        self.assertIn('data-name="Event">33</td>', one.get("/rules/of/costly_claims").text)
        case = value("SELECT case_id FROM fraud.stream_alerts WHERE event_id = '33'")
        self.assertIn("costly_claims", one.get(f"/streams/{case}").text)
        self.assertIn('data-name="Of">claims</td>', one.get("/rules").text)

        # The whole decision of the stream, rules that its labels speak for, and its entity, snoozed.
        one.get("/rules/decision?stream=claims").press("Backtest", review_at="0", block_at="1", all_rules="")
        self.assertRegex(one.text, r'(?s)>alerts</td>.*?As it would be">3</td>')
        sql("SELECT fraud.label_event('claims', '33', true, 'adjuster')")
        one.get("/rules/suggested?stream=claims").press("Suggest", days="30")
        self.assertIn("Frauds hit", one.text)
        one.press("Write it", where={"condition": value("SELECT condition FROM fraud.suggest_rules(now() - interval '30 days', now(), 1, 'claims')")})
        self.assertIn("New rule of claims", one.text)
        one.get("/rules/suggested?stream=nothing&days=30")
        self.assertEqual(one.status, 409)
        one.get(f"/streams/{case}").press("Snooze for a day")
        self.assertEqual(sql("SELECT kind, name, stream, reason FROM fraud.snoozes WHERE stream = 'claims'"), [("entity", "cid", "claims", f"case {case}")])
        self.assertIn("entity of claims", one.get("/rules").text)

    def test_5_bad_input_loses_nothing(self):
        one = self.logged_in("desk_one").get("/rules/new").press("Store, observed", rule="bad", condition="amount >> 'x' AND now() > occurred_at", note="kept")
        self.assertEqual(one.status, 409)
        self.assertIn("amount &gt;&gt; &#39;x&#39; AND now() &gt; occurred_at", one.text)
        self.assertIn('value="kept"', one.text)
        self.assertIn("SQLSTATE 42883", one.text)
        one.press("Backtest", condition="now() > occurred_at")
        self.assertEqual(one.status, 409)

    def test_6_rights_are_the_databases(self):
        auditor = Browser(self.desk.address).log_in("desk_auditor", PASSWORD)
        self.assertEqual(auditor.status, 403)
        self.assertIn("permission denied for view case_queue", auditor.text)
        self.assertEqual(auditor.get("/models").status, 200)
        before = value("SELECT count(*) FROM fraud.audit_log")
        auditor.get("/rules").post("/do/take", {"csrf": auditor.token(), "count": "1", "next": "/"})
        self.assertEqual(auditor.status, 403)
        self.assertEqual(value("SELECT count(*) FROM fraud.audit_log"), before)

    def test_7_nothing_without_session_and_token(self):
        stranger = Browser(self.desk.address)
        for path in ("/queue", "/queue/rows", "/cases/1", "/report.css", "/do/take", "/rules", "/nowhere"):
            self.assertIn("/login", stranger.get(path).url, path)
        stranger.get("/queue/rows", {"X-Fragment": "yes"})
        self.assertEqual(stranger.status, 401)
        one = self.logged_in("desk_one")
        before = value("SELECT count(*) FROM fraud.case_history")
        for fields in ({}, {"csrf": ""}, {"csrf": "x" * 43}, {"csrf": self.logged_in("desk_two").token()}):
            self.assertEqual(one.post("/do/take", {"count": "1", "next": "/"} | fields).status, 400, fields)
        self.assertEqual(value("SELECT count(*) FROM fraud.case_history"), before)
        self.assertEqual(one.get("/do/take").status, 405)
        cookie = next(c for c in one.cookies if c.name == "desk_session")
        self.assertTrue(cookie.has_nonstandard_attr("HttpOnly"))
        self.assertEqual(cookie.get_nonstandard_attr("SameSite"), "Lax")
        self.assertNotIn(PASSWORD, cookie.value)
        # An address of elsewhere is not gone to.
        one.get("/queue")
        for elsewhere in ("//example.org/", "https://example.org/", "/\\example.org", "\t//example.org"):
            one.post("/do/note", {"csrf": one.get("/queue").token(), "case_id": value("SELECT min(case_id) FROM fraud.cases"), "note": "n", "next": elsewhere})
            self.assertTrue(one.url.startswith(self.desk.address + "/"), one.url)
        # Logged out, the same cookie is worth nothing.
        kept = cookie.value
        one.get("/queue").press("Log out")
        self.assertIn("/login", stranger.get("/queue", {"Cookie": f"desk_session={kept}"}).url)

    def test_8_passwords_are_tried_slowly(self):
        stranger = Browser(self.desk.address)
        stranger.get("/login")
        stranger.post("/login", {"user": "desk_one", "password": PASSWORD, "csrf": "x"})
        self.assertEqual(stranger.status, 400, "a form of elsewhere logs nobody in")
        # The superuser needs no password here, so the desk does not let it in at all.
        for password in ("", "anything"):
            stranger.log_in("postgres", password)
            self.assertIn(stranger.status, (400, 403))
            self.assertFalse([c for c in stranger.cookies if c.name == "desk_session"])
        self.assertIn("asks this role for no password", stranger.text)
        answers = []
        for _ in range(5):
            stranger.log_in("nobody_of_here", "guess")
            answers.append(stranger.status)
            self.assertNotIn("does not exist", stranger.text)
            self.assertFalse([c for c in stranger.cookies if c.name == "desk_session"])
        self.assertEqual(answers[:3], [403] * 3)
        self.assertIn(429, answers[3:])
        deadline = time.monotonic() + 60
        while stranger.log_in("desk_one", PASSWORD).status == 429 and time.monotonic() < deadline:
            time.sleep(0.5)
        self.assertEqual(stranger.status, 200, "who waits, gets in")

    def test_8a_whatever_is_stored_is_shown(self):
        """Each page that any other leads to, a few of each kind, with values as people and programs leave them."""
        sql("""SELECT fraud.create_list('no_end', 'merchant', description => '<i>"&');
            SELECT fraud.add_to_list('no_end', ARRAY(SELECT '<b>''"{x} ' || i FROM generate_series(1, 300) i), NULL, '</script>');
            SELECT fraud.add_to_list('no_end', 'far', '294276-12-31', 'far'); SELECT fraud.add_to_list('no_end', 'late', '9999-12-31 23:59:59', 'late');
            SELECT fraud.add_rule('no_end', 'amount > 7777', 'review', '{{a}} <i>{merchant}</i>', valid_from => '-infinity', valid_until => 'infinity', note => '</script>');
            SELECT fraud.snooze('rule', 'no_end', '294276-12-31', '</script>')""")
        place.pay("'\"<odd>/?&#% \u00e9", 900, "d '\"<odd>", merchant="<odd>")
        one = self.logged_in("desk_two")
        shapes, waiting, seen = {}, [one.url, self.desk.address + "/search"], set()
        while waiting:
            url = waiting.pop()
            shape = re.sub(r"\d+|(?<=/payments/).*", "N", url)
            if url in seen or shapes.setdefault(shape, 0) == 3:
                continue
            seen.add(url)
            shapes[shape] += 1
            self.assertEqual(one.get(url).status, 200, f"{url}: {one.text}")
            waiting += one.links()
        self.assertGreater(len(shapes), 15)
        self.assertIn(self.desk.address + "/lists/no_end", seen)
        self.assertIn("no end", one.get("/lists/no_end?part=300").text)
        self.assertEqual(one.get("/search").press("Find", id="'\"<odd>/?&#% \u00e9").status, 200)
        self.assertIn("&lt;odd&gt;", one.text)

    def test_8b_whatever_is_typed_is_answered(self):
        """Each field of each form with what it was not made for: a refusal, or what was asked for, and no fault of the desk's, or the database's, own."""
        one, forms = self.logged_in("desk_two"), {}
        case, stream_case = value("SELECT max(case_id) FROM fraud.cases"), value("SELECT max(case_id) FROM fraud.stream_cases")
        for path in ("/queue", f"/cases/{case}", f"/streams/{stream_case}", "/streams", "/search", "/rules", "/rules/new", "/rules/of/no_end", "/rules/suggested", "/rules/decision", "/lists/no_end", "/models/payments"):
            one.get(path)
            for action, method, fields, buttons in one.forms():
                forms.setdefault((action, tuple(sorted(fields))), (path, method, fields, buttons))
        self.assertGreater(len(forms), 20)
        for (action, _), (path, method, fields, buttons) in forms.items():
            if action.endswith("/logout"):
                continue
            for name in fields.keys() - {"csrf"}:
                for typed in ("", "-1", "3000000000", "nan", "a\0b'\"<{x}>%s"):
                    sent = {"reason": "r", "note": "n"} | fields | {name: typed}
                    if buttons and buttons[-1]["name"]:
                        sent[buttons[-1]["name"]] = buttons[-1]["value"]
                    if method == "post":
                        one.post(action, sent)
                    else:
                        one.get(action + "?" + urllib.parse.urlencode(sent))
                    what = f"{path}, {action}: {name} = {typed!r}"
                    self.assertLess(one.status, 500, what)
                    self.assertNotRegex(one.text, r"function [\w.]+\([^)]*\) does not exist|cannot be reached|PostgreSQL text fields", what)

    def test_9_long_queue(self):
        sql("INSERT INTO fraud.case_states (card, priority, opened_at) SELECT gen_random_uuid(), random() * 1000, now() - random() * interval '30 days' FROM generate_series(1, 100000)")
        one = self.logged_in("desk_one")
        for path in ("/queue", "/queue?whose=mine", "/queue?whose=nobody&least=10", "/queue?overdue=yes", "/queue?decision=block"):
            # Of processor time: what else this machine does is another matter.
            self.assertEqual(one.get(path).status, 200)
            before = processor_seconds("desk_one")
            self.assertEqual(one.get(path).status, 200)
            self.assertLess(processor_seconds("desk_one") - before, 0.3, f"{path} of 100,000 open cases")
        # Page by page, nothing is left out and nothing comes twice.
        one.get("/queue")
        seen = re.findall(r'<tr data-case="(\d+)"', one.text)
        for _ in range(2):
            one.get(re.search(r'<a href="([^"]*)">Next', one.text).group(1).replace("&amp;", "&"))
            seen += re.findall(r'<tr data-case="(\d+)"', one.text)
        self.assertEqual([int(n) for n in seen], [n for (n,) in sql("SELECT case_id FROM fraud.case_queue ORDER BY priority DESC, case_id LIMIT 150")])


def processor_seconds(role):
    """What the backends of the desk's role have taken."""
    pids = sql(f"SELECT pid FROM pg_stat_activity WHERE application_name = 'fraud_desk' AND usename = '{role}'")
    assert pids
    return sum(int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for (pid,) in pids) / 1e9


class Sessions(unittest.TestCase):
    def test_idle_sessions_end(self):
        desk = Desk(idle_timeout=3)
        self.addCleanup(desk.stop)
        one = Browser(desk.address).log_in("desk_one", PASSWORD)
        self.assertTrue(value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fraud_desk' AND usename = 'desk_one'"))
        deadline = time.monotonic() + 60
        # What the page asks for by itself keeps nobody logged in.
        while one.get("/queue/rows", {"X-Fragment": "yes"}).status == 200 and time.monotonic() < deadline:
            time.sleep(0.3)
        self.assertEqual(one.status, 401)
        self.assertIn("/login", one.get("/queue").url)

    def test_behind_a_proxy(self):
        desk = Desk(prefix="/desk", trusted_proxy="127.0.0.1")
        self.addCleanup(desk.stop)
        one = Browser(desk.address)
        one.get(desk.address + "/login", {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"})
        self.assertIn("Secure", one.headers["Set-Cookie"])
        self.assertIn("Path=/desk/", one.headers["Set-Cookie"])
        self.assertIn("Strict-Transport-Security", one.headers)
        self.assertIn('href="/desk/static/desk.css"', one.text)
        one = Browser(desk.address).log_in("desk_two", PASSWORD)
        self.assertEqual((one.status, one.url), (200, desk.address + "/queue"))
        self.assertTrue(one.press("Take", where={"count": "10"}, count="1").url.startswith(desk.address + "/queue"))
        one.get(desk.address + "/rules/new").press("Store, observed", rule="odd name? 100 %/2", condition="amount < 0")
        self.assertEqual(one.status, 409, "a name that the database refuses")
        one.press("Store, observed", rule="proxied")
        self.assertEqual((one.status, one.url), (200, desk.address + "/rules/of/proxied"))
        one.press("Store as a new version", condition="amount < 1")
        self.assertEqual((one.status, one.url), (200, desk.address + "/rules/of/proxied"))
        one.press("Snooze", where={"kind": "rule"}, reason="loud")
        self.assertIn("Snoozed until", one.text)
        self.assertEqual(value("SELECT condition FROM fraud.rule_versions WHERE rule = 'proxied' ORDER BY version DESC LIMIT 1"), "amount < 1")

    def test_no_proxy_is_believed_unasked(self):
        desk = Desk()
        self.addCleanup(desk.stop)
        one = Browser(desk.address)
        one.get(desk.address + "/login", {"X-Forwarded-Proto": "https"})
        self.assertNotIn("Secure", one.headers["Set-Cookie"])


if __name__ == "__main__":
    place.set_up()
    unittest.main(verbosity=2)
