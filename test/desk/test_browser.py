"""The same morning in Chromium, by mouse and keyboard, with the pages' looks: nothing may hang over the edge, and nothing may be
complained of in the console. DESK_PICTURES names a folder for pictures."""

import os
import pathlib
import shutil
import unittest

import place
from place import PASSWORD, Desk, sql, value

OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
PICTURES = os.environ.get("DESK_PICTURES")


@unittest.skipUnless(shutil.which("chromium"), "Chromium is not installed")
class BrowserWalk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        from playwright.sync_api import sync_playwright
        cls.desk = Desk()
        cls.playwright = sync_playwright().start()
        cls.chromium = cls.playwright.chromium.launch(executable_path=shutil.which("chromium"), args=OPTIONS)

    @classmethod
    def tearDownClass(cls):
        cls.chromium.close()
        cls.playwright.stop()
        cls.desk.stop()

    def person(self, user, width=1440, scheme="light"):
        context = self.chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.addCleanup(context.close)
        page = context.new_page()
        page.set_default_timeout(60_000)
        self.complaints = []
        page.on("console", lambda message: self.complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda fault: self.complaints.append(str(fault)))
        page.goto(self.desk.address + "/")
        page.fill("[name=user]", user)
        page.fill("[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/queue")
        return page

    def test_a_morning(self):
        page = self.person("desk_one")
        # The keyboard: down, up, confirm the second, dismiss the first.
        first, second = page.eval_on_selector_all("#rows tr[data-case]", "rows => rows.slice(0, 2).map(row => row.dataset.case)")
        for key in "jj":
            page.keyboard.press(key)
        page.keyboard.press("c")
        page.fill("dialog [name=note]", "seen in the list")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        self.assertEqual(sql("SELECT status, status_by FROM fraud.cases WHERE case_id = %s", [second]), [("confirmed", "desk_one")])
        page.keyboard.press("j")
        page.keyboard.press("d")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        self.assertEqual(value("SELECT status FROM fraud.cases WHERE case_id = %s", [first]), "dismissed")
        # Live: a new case comes up by itself.
        place.pay("live", 700, "d-live", amount=5000)
        case = value("SELECT case_id FROM fraud.alerts WHERE transaction_id = 'live'")
        page.wait_for_selector(f"#rows tr[data-case='{case}']")
        page.keyboard.press("j")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        page.wait_for_url("**/cases/*")
        page.goto(f"{self.desk.address}/cases/{case}")
        # Three clicks at most: block a device for a week, see what it would have caught.
        page.locator("tr", has_text="d-live").get_by_role("button", name="Block for a week").click()
        page.wait_for_url("**/lists/block_device/newest")
        self.assertGreater(page.locator("section.backtest svg rect").count(), 0)
        # A rule from the case, tried, stored; enforced by another.
        page.goto(f"{self.desk.address}/cases/{case}")
        page.locator("tr", has_text="customer").last.get_by_role("button", name="Write a rule").click()
        page.fill("[name=rule]", "by_browser")
        page.get_by_role("button", name="Backtest").click()
        page.wait_for_selector("section.backtest")
        page.set_viewport_size({"width": 390, "height": 900})
        self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"), 0)
        page.get_by_role("button", name="Store, observed").click()
        page.wait_for_url("**/rules/of/by_browser")
        self.assertEqual(self.complaints, [])
        other = self.person("desk_two")
        other.goto(f"{self.desk.address}/rules/of/by_browser")
        other.fill(".steps [name=reason]", "agreed")
        other.get_by_role("button", name="Enforce").click()
        other.wait_for_selector(".mode.enforce")
        self.assertEqual(place.pay("by-browser", 700, "d-other"), "review")
        other.reload()
        self.assertEqual(other.locator("td", has_text="by-browser").count(), 1)
        self.assertEqual(self.complaints, [])

    def test_looks(self):
        case = value("SELECT case_id FROM fraud.alerts WHERE transaction_id = 'w-0'")
        pages = {"queue": "/queue", "queue-empty": "/queue?least=1e12", "case": f"/cases/{case}", "search": "/search", "rules": "/rules", "rule-new": "/rules/new", "models": "/models",
                 "model": "/models/payments", "version": "/models/payments/1", "health": "/health", "error": "/cases/99999999"}
        for width in (1440, 390):
            for scheme in ("light", "dark"):
                page = self.person("desk_one", width, scheme)
                for name, path in pages.items():
                    self.complaints.clear()
                    page.goto(self.desk.address + path)
                    over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                    with self.subTest(page=name, width=width, scheme=scheme):
                        self.assertLessEqual(over, 0, "it hangs over the edge")
                        self.assertEqual([c for c in self.complaints if "404" not in c], [])
                    if PICTURES:
                        page.screenshot(path=str(pathlib.Path(PICTURES) / f"desk-{name}-{width}-{scheme}.png"), full_page=name in ("case", "rule-new"))
