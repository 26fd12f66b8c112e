"""Rules and lists, and what a condition would have done."""

import psycopg
from flask import abort, g, redirect, render_template, request, url_for

from ..actions import number, parameters_of
from ..database import ask, ask_one, told

FIELDS = ("rule:text", "condition:text", "action:text", "reason:text", "priority:count", "note:text", "stream:text")
EMPTY = {"rule": "", "condition": "", "action": "review", "reason": "", "priority": 100, "note": "", "stream": "payments"}
ENTRIES = 200


def backtest_of(condition, days, stream="payments"):
    """fraud.backtest_rule of the last days, taken apart: measures, hits by day, and of which rules too."""
    rows = ask("SELECT metric, item, value FROM fraud.backtest_rule(%s, now() - make_interval(days => %s), now(), stream => %s)", [condition, days, stream])
    return {"condition": condition, "days": days, "stream": stream, "measures": {r["metric"]: r["value"] for r in rows if r["item"] is None},
            "by_day": [(r["item"], r["value"]) for r in rows if r["metric"] == "hits_of_day"],
            "rules": [(r["item"], r["value"]) for r in rows if r["metric"] == "hits_of_rule_too"]}


def rules():
    return render_template("rules.html", rules=ask("SELECT * FROM fraud.rule_status ORDER BY mode = 'off', rule"),
                           snoozes=ask("SELECT z.snooze_id, z.kind, z.name, z.stream, z.until, z.reason, z.created_by,"
                                       " (SELECT count(*) FROM fraud.snoozed_alerts a WHERE a.snooze_id = z.snooze_id)"
                                       " + (SELECT count(*) FROM fraud.stream_snoozed_alerts a WHERE a.snooze_id = z.snooze_id) AS kept_back"
                                       " FROM fraud.snoozes z WHERE z.ended_at IS NULL AND z.until > now() ORDER BY z.until, z.snooze_id LIMIT 200"),
                           lists=ask("SELECT l.list, l.field, l.stream, l.description, l.created_by, (SELECT count(*) FROM (SELECT FROM fraud.list_values v WHERE v.list = l.list LIMIT 10001) n) AS entries"
                                     " FROM fraud.lists l ORDER BY l.list"))


def _columns(stream):
    """What a condition may name; of a stream whose table the role may not read: nothing."""
    try:
        return ask("SELECT name, type FROM fraud.rule_columns(%s) ORDER BY name", [stream])
    except psycopg.Error:
        return []


def new_rule():
    """A rule written, tried and stored by one form; what fails is said above what was written."""
    values, error, tried = EMPTY | {"stream": request.args.get("stream") or "payments"}, None, None
    if request.method == "POST":
        values = parameters_of(FIELDS, request.form)
        values["stream"] = values["stream"] or "payments"
        error, tried, stored = _try_or_store(values, "SELECT fraud.add_rule(%(rule)s, %(condition)s, %(action)s, %(reason)s, priority => %(priority)s, note => %(note)s, stream => %(stream)s)")
        if stored:
            return redirect(url_for("rule", name=values["rule"]), 303)
    return render_template("rule_form.html", values=values, error=error, tried=tried, columns=_columns(values["stream"]), is_new=True,
                           streams=ask("SELECT stream FROM fraud.stream_status ORDER BY stream")), 409 if error else 200


def rule(name):
    status = ask_one("SELECT * FROM fraud.rule_status WHERE rule = %s", [name]) or abort(404)
    newest = ask_one("SELECT condition, action, reason, priority, version FROM fraud.rule_versions WHERE rule = %s ORDER BY version DESC LIMIT 1", [name])
    of = {"rule": name, "stream": status["stream"]}
    values, error, tried = EMPTY | of | newest, None, None
    if request.method == "POST":
        values = parameters_of(FIELDS, request.form) | of
        error, tried, stored = _try_or_store(values, "SELECT fraud.alter_rule(%(rule)s, %(condition)s, %(action)s, %(reason)s, priority => %(priority)s, note => %(note)s)")
        if stored:
            return redirect(url_for("rule", name=name), 303)
    return render_template("rule.html", status=status, values=values, error=error, tried=tried, columns=_columns(status["stream"]), is_new=False,
                           history=ask("SELECT * FROM fraud.rule_history WHERE rule = %s ORDER BY event_id DESC LIMIT 100", [name]),
                           versions=ask("SELECT * FROM fraud.rule_versions WHERE rule = %s ORDER BY version DESC LIMIT 50", [name]),
                           matches=ask(f"SELECT * FROM fraud.{'rule_matches' if status['stream'] == 'payments' else 'stream_rule_matches'} WHERE rule = %s ORDER BY matched_at DESC LIMIT 20", [name])), 409 if error else 200


def _try_or_store(values, statement):
    try:
        if request.form.get("do") == "store":
            g.acting = True
            ask(statement, values)
            g.session.messages.append(f"rule {values['rule']} is stored")
            g.session.messages.extend(g.get("notices", []))
            return None, None, True
        if values["condition"] and request.form.get("do") == "backtest":
            return None, backtest_of(values["condition"], min(number(request.form.get("days", "")) or 30, 3650), values["stream"]), False
    except psycopg.Error as fault:
        return told(fault), None, False
    return None, None, False


def _days():
    return min(number(request.values.get("days", "")) or 30, 3650)


def _streams():
    return ask("SELECT stream, split_part(model, '@', 1) AS model FROM fraud.stream_status ORDER BY stream")


def suggested_rules():
    """Conditions that the labels of the last days speak for; asked for by a button, since it reads all these payments, or events."""
    found, error, stream = None, None, request.args.get("stream") or "payments"
    if request.args.get("days"):
        try:
            found = ask("SELECT condition, backtest FROM fraud.suggest_rules(now() - make_interval(days => %s), now(), 8, %s)", [_days(), stream])
        except psycopg.Error as fault:
            error = told(fault)
    return render_template("suggested.html", found=found, error=error, days=_days(), stream=stream, streams=_streams()), 409 if error else 200


DECISION = ("model:text", "review_at:float", "block_at:float", "rules:texts", "all_rules:flag")


def whole_decision():
    """What the last days would have been decided by another model, other thresholds or other rules."""
    values = {"model": None, "review_at": None, "block_at": None, "rules": [], "all_rules": True}
    measures = error = None
    stream, streams = request.values.get("stream") or "payments", _streams()
    if request.method == "POST":
        values = parameters_of(DECISION, request.form)
        try:
            measures = ask("SELECT metric, present, candidate FROM fraud.backtest_decision(now() - make_interval(days => %(days)s), now(), %(model)s, %(review_at)s, %(block_at)s,"
                           " CASE WHEN %(all_rules)s THEN NULL ELSE %(rules)s::text[] END, %(stream)s)", values | {"days": _days(), "stream": stream})
        except psycopg.Error as fault:
            error = told(fault)
    notices, g.notices = g.get("notices", []), []
    model = next((s["model"] for s in streams if s["stream"] == stream), "payments")
    return render_template("decision.html", values=values, measures=measures, error=error, notices=notices, days=_days(), stream=stream, streams=streams,
                           rules=ask("SELECT rule, mode, draft FROM fraud.rule_status WHERE stream = %s ORDER BY rule", [stream]),
                           versions=ask("SELECT model || '/' || version AS name FROM fraud.model_versions WHERE model = %s ORDER BY version DESC LIMIT 50", [model])), 409 if error else 200


def list_page(name):
    of_list = ask_one("SELECT * FROM fraud.lists WHERE list = %s", [name]) or abort(404)
    part = request.args.get("part", "")
    return render_template("list.html", list=of_list, part=part,
                           entries=ask("SELECT * FROM fraud.list_values WHERE list = %s AND position(%s IN value) > 0 ORDER BY entry_id DESC LIMIT %s", [name, part, ENTRIES]),
                           most=ENTRIES)


def newest_entry(name):
    """What was listed last by who looks, and what it would have caught."""
    entry = ask_one("SELECT list, field, stream, value, until, reason, format('%%I = %%L', field, value) AS condition FROM fraud.list_values"
                    " WHERE list = %s AND added_by = %s ORDER BY entry_id DESC LIMIT 1", [name, g.session.user]) or abort(404)
    return render_template("entry.html", entry=entry, tried=backtest_of(entry["condition"], 30, entry["stream"]))


PAGES = [("/rules", rules, ["GET"]), ("/rules/new", new_rule, ["GET", "POST"]), ("/rules/suggested", suggested_rules, ["GET"]),
         ("/rules/decision", whole_decision, ["GET", "POST"]), ("/rules/of/<path:name>", rule, ["GET", "POST"]),
         ("/lists/<name>", list_page, ["GET"]), ("/lists/<name>/newest", newest_entry, ["GET"])]
