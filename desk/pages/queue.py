"""The queue: worst first, live by asking again for its rows."""

from flask import g, redirect, render_template, request, url_for

from ..actions import number
from ..database import ask

PAGE = 50
# A case's decision is that of its alerts, looked up for each: so it is looked for among so many, else a page of few hits reads all.
LOOKED_THROUGH = 2000
COLUMNS = "case_id, status, priority, decision, max_score, amount, alerts, age_hours, due_at, overdue, assignee, last_four, card, reason"


def _rows():
    """The page's rows, and the row from which the next page goes on."""
    conditions, values = [], {"page": PAGE + 1, "me": g.session.user}
    given = request.args
    if given.get("whose") == "mine":
        conditions.append("assignee = %(me)s")
    elif given.get("whose") == "nobody":
        conditions.append("assignee IS NULL")
    if given.get("overdue"):
        conditions.append("overdue")
    if given.get("least"):
        conditions.append("priority >= %(least)s")
        values["least"] = number(given["least"], float)
    if given.get("after"):
        conditions.append("priority <= %(at)s AND (priority < %(at)s OR case_id > %(after)s)")
        values |= {"after": number(given["after"]), "at": number(given.get("at", ""), float)}
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    # First which cases, then their sums: so these are made for the page alone, also after a flood of cases that was not analysed yet.
    worst = f"SELECT case_id FROM fraud.case_queue {where}ORDER BY priority DESC, case_id LIMIT %(most)s"
    values["most"] = PAGE + 1
    if given.get("decision") in ("review", "block"):
        values |= {"decision": given["decision"], "most": LOOKED_THROUGH}
        worst = (f"SELECT case_id FROM fraud.case_queue WHERE case_id = ANY (ARRAY({worst})) AND decision = %(decision)s"
                 " ORDER BY priority DESC, case_id LIMIT %(page)s")
    rows = ask(f"SELECT {COLUMNS} FROM fraud.case_queue WHERE case_id = ANY (ARRAY({worst})) ORDER BY priority DESC, case_id", values)
    more = rows[PAGE - 1] if len(rows) > PAGE else None
    return rows[:PAGE], more


def queue():
    rows, more = _rows()
    kept = {name: value for name, value in request.args.items() if name in ("whose", "decision", "overdue", "least") and value}
    older = url_for("queue", **kept, after=more["case_id"], at=repr(more["priority"])) if more else None
    return render_template("queue.html", rows=rows, older=older, kept=kept, fragment=url_for("queue_rows", **request.args.to_dict()))


def queue_rows():
    rows, _ = _rows()
    return render_template("queue_rows.html", rows=rows)


def first():
    return redirect(url_for("queue"), 303)


PAGES = [("/", first, ["GET"]), ("/queue", queue, ["GET"]), ("/queue/rows", queue_rows, ["GET"])]
