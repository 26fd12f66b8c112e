"""Goes through the dashboards and the report in Chromium, as a reader would.

usage: screenshots.py SUPERSET_URL LOGIN PASSWORD REPORT_HTML FOLDER

Writes a picture of each dashboard, and of the report in light and dark, into FOLDER.
Fails when a chart has no data, shows an error or does not come to an end, or when a table
would show a text as HTML: a merchant could put a link into it.
"""

import pathlib
import shutil
import sys

import yaml
from playwright.sync_api import sync_playwright

ASSETS = pathlib.Path(__file__).parent.parent / "dashboard" / "assets"
DASHBOARDS = ["live-payments", "daily-report", "model-health", "rules"]
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
           "--disable-background-networking", "--disable-component-update", "--disable-sync"]
# What Superset shows in place of a chart that has nothing to show.
TROUBLE = ["No results were returned", "No data", "Unexpected error", "An error occurred",
           "Data error", "Database error", "does not exist", "permission denied"]


def look_at_dashboard(page, url, slug, folder):
    page.set_viewport_size({"width": 1600, "height": 1000})
    page.goto(f"{url}/superset/dashboard/{slug}/?standalone=2&show_filters=0", wait_until="domcontentloaded")
    charts = page.locator(".dashboard-chart-id-0, [data-test='chart-container'], .chart-container")
    charts.first.wait_for(timeout=240_000)
    # The page is as high as its charts, so that all are drawn, not only those in view.
    height = page.evaluate("document.querySelector('.grid-container, .dashboard-grid')?.scrollHeight || 2000")
    page.set_viewport_size({"width": 1600, "height": int(height) + 40})
    page.wait_for_function(
        "document.querySelectorAll('.loading, [data-test=\"loading-indicator\"], .ant-spin-spinning').length === 0",
        timeout=240_000)
    page.wait_for_timeout(2500)  # charts move into place
    text = page.inner_text("body")
    faults = [trouble for trouble in TROUBLE if trouble in text]
    page.screenshot(path=str(folder / f"{slug}.png"))
    print(f"{slug}: {charts.count()} charts" + (f", but: {', '.join(faults)}" if faults else ""))
    return not faults and charts.count() > 0


def look_at_report(browser, report, folder):
    for scheme in ["light", "dark"]:
        page = browser.new_page(viewport={"width": 1120, "height": 1100}, color_scheme=scheme)
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(f"file://{report.resolve()}")
        page.screenshot(path=str(folder / f"report-{scheme}.png"))
        page.close()
        print(f"report, {scheme}" + (f", but: {complaints}" if complaints else ""))
        if complaints:
            return False
    return True


def tables_are_text():
    charts = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in ASSETS.glob("charts/*.yaml")]
    loose = [chart["slice_name"] for chart in charts
             if chart["viz_type"] == "table" and chart["params"].get("allow_render_html") is not False]
    if loose:
        print(f"without allow_render_html: false: {', '.join(loose)}")
    return bool(charts) and not loose


def main():
    url, login, password, report, folder = sys.argv[1:]
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=OPTIONS)
        page = browser.new_page()
        page.set_default_timeout(240_000)  # the first page of a busy machine takes its time
        page.set_default_navigation_timeout(240_000)
        page.goto(f"{url}/login/", wait_until="domcontentloaded")
        page.locator("input[name=username], #username").first.fill(login)
        page.locator("input[name=password], #password").first.fill(password)
        page.keyboard.press("Enter")
        page.wait_for_url("**/superset/welcome/**", timeout=240_000)
        good = [tables_are_text()]
        good += [look_at_dashboard(page, url, slug, folder) for slug in DASHBOARDS]
        good.append(look_at_report(browser, pathlib.Path(report), folder))
        browser.close()
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
