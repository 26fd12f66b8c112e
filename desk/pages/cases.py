"""A case: what fraud.case_page says of it, beside what can be done with it."""

import re

from flask import Response, abort, render_template
from markupsafe import Markup

from ..database import ask, ask_one


def case(case_id):
    # The page is made by the database, which escapes all that comes from data.
    page = ask_one("SELECT fraud.case_page(%s) AS page", [case_id])["page"]
    body = Markup(page.partition("<body>")[2].rpartition("</body>")[0])
    matter = ask_one("SELECT case_id, status, assignee, card, merged_into FROM fraud.cases WHERE case_id = %s", [case_id]) or abort(404)
    payments = ask("SELECT a.transaction_id, a.card, a.occurred_at, a.payment_amount, a.score, a.decision, t.merchant, t.is_fraud FROM fraud.alerts a"
                   " LEFT JOIN fraud.transactions t USING (card, occurred_at, transaction_id)"
                   " WHERE a.card = %s AND a.case_id = %s ORDER BY a.score * a.payment_amount::float8 DESC, a.alert_id LIMIT 100", [matter["card"], case_id])
    shared = ask("SELECT kind, value, format('%%I = %%L', kind, value) AS condition FROM fraud.case_links(%s) WHERE value IS NOT NULL"
                 " ORDER BY kind <> 'merchant' DESC, frauds DESC, customers DESC, kind, value LIMIT 12", [case_id])
    shared.append({"kind": "customer", "value": str(matter["card"]), "condition": f"customer = '{matter['card']}'"})
    return render_template("case.html", case=matter, body=body, payments=payments, shared=shared)


def report_style():
    """The style of fraud.case_page as a file, for the policy allows none within a page."""
    head = ask_one("SELECT fraud._html_head('') AS head")["head"]
    style = re.search("<style>(.*)</style>", head, re.DOTALL)
    return Response(style.group(1) if style else "", mimetype="text/css", headers={"Cache-Control": "private, max-age=3600"})


PAGES = [("/cases/<int(max=9223372036854775807):case_id>", case, ["GET"]), ("/report.css", report_style, ["GET"])]
