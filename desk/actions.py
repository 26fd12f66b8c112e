"""What can be done at the desk: each action is one SQL function, called as who is logged in."""

import dataclasses
import re

from flask import abort, g, redirect, request

from .database import ask
from .security import inside


@dataclasses.dataclass(frozen=True)
class Action:
    statement: str
    done: str  # what is said then: {field} is a value of the form, {result} the function's
    fields: tuple
    goes_to: str = ""  # where to, if not where the form says


# A field's name, then what it is: text (empty: null), number, count (a number that is an int to the function), float, flag, numbers or texts (several of the name).
ACTIONS = {
    "take": Action("SELECT case_id AS result FROM fraud.take_case(%(count)s)", "taken: {result}", ("count:count",)),
    "take_this": Action("SELECT (fraud.acknowledge_case(%(case_id)s)).case_id AS result", "case {result} is yours", ("case_id:number",)),
    "assign": Action("SELECT (fraud.assign_case(%(case_id)s, %(assignee)s, %(note)s)).case_id AS result", "case {result} is assigned",
                     ("case_id:number", "assignee:text", "note:text")),
    "confirm": Action("SELECT (fraud.confirm_case(%(case_id)s, %(note)s, overrule => %(overrule)s)).case_id AS result", "case {result} is fraud",
                      ("case_id:number", "note:text", "overrule:flag")),
    "dismiss": Action("SELECT (fraud.dismiss_case(%(case_id)s, %(note)s, overrule => %(overrule)s)).case_id AS result", "case {result} is dismissed",
                      ("case_id:number", "note:text", "overrule:flag")),
    "decide": Action("SELECT (fraud.decide_case(%(case_id)s, %(fraud)s, %(legitimate)s, %(note)s, overrule => %(overrule)s)).case_id AS result",
                     "case {result} is decided payment by payment", ("case_id:number", "fraud:texts", "legitimate:texts", "note:text", "overrule:flag")),
    "merge": Action("SELECT (fraud.merge_cases(%(case_id)s, %(other_cases)s, %(note)s)).case_id AS result", "merged into case {result}",
                    ("case_id:number", "other_cases:numbers", "note:text"), "/cases/{case_id}"),
    # Of many cases at once: all of them, or none.
    "confirm_all": Action("SELECT c.case_id AS result FROM fraud.confirm_cases(%(cases)s, %(note)s, overrule => %(overrule)s) c", "fraud: {result}",
                          ("cases:numbers", "note:text", "overrule:flag")),
    "dismiss_all": Action("SELECT c.case_id AS result FROM fraud.dismiss_cases(%(cases)s, %(note)s, overrule => %(overrule)s) c", "dismissed: {result}",
                          ("cases:numbers", "note:text", "overrule:flag")),
    "assign_all": Action("SELECT c.case_id AS result FROM fraud.assign_cases(%(cases)s, %(assignee)s, %(note)s) c", "assigned: {result}",
                         ("cases:numbers", "assignee:text", "note:text")),
    "note_all": Action("SELECT c.case_id AS result FROM fraud.note_cases(%(cases)s, %(note)s) c", "noted: {result}", ("cases:numbers", "note:text")),
    "close_flood": Action("SELECT fraud.close_flood(%(from)s::timestamptz, %(to)s::timestamptz, %(reason)s) AS result", "closed cases: {result}; no payment is labelled",
                          ("from:text", "to:text", "reason:text")),
    "take_stream": Action("SELECT case_id AS result FROM fraud.take_stream_case(%(stream)s, %(count)s)", "taken: {result}", ("stream:text", "count:count")),
    "assign_stream": Action("SELECT (fraud.assign_stream_case(%(case_id)s, %(assignee)s, %(note)s)).case_id AS result", "case {result} is assigned",
                            ("case_id:number", "assignee:text", "note:text")),
    "note_stream": Action("SELECT (fraud.note_stream_case(%(case_id)s, %(note)s)).case_id AS result", "noted", ("case_id:number", "note:text")),
    "decide_stream": Action("SELECT (fraud.decide_stream_case(%(case_id)s, %(status)s, %(note)s)).status AS result", "case {case_id} is {result}",
                            ("case_id:number", "status:text", "note:text")),
    "note": Action("SELECT (fraud.note_case(%(case_id)s, %(note)s)).case_id AS result", "noted", ("case_id:number", "note:text")),
    "reopen": Action("SELECT (fraud.reopen_case(%(case_id)s, %(note)s)).case_id AS result", "case {result} is open", ("case_id:number", "note:text")),
    "label": Action("SELECT fraud.label(%(transaction_id)s, %(is_fraud)s, card => %(card)s, overrule => %(overrule)s) AS result",
                    "payment {transaction_id} is labelled", ("transaction_id:text", "is_fraud:flag", "card:text", "overrule:flag")),
    "create_list": Action("SELECT fraud.create_list(%(list)s, %(field)s, %(description)s)::text AS result", "list {list} is made",
                          ("list:text", "field:text", "description:text")),
    "drop_list": Action("SELECT fraud.drop_list(%(list)s)::text AS result", "list {list} is dropped", ("list:text",)),
    "add_to_list": Action("SELECT fraud.add_to_list(%(list)s, %(value)s, now() + make_interval(days => %(days)s), %(reason)s) AS result",
                          "listed in {list}", ("list:text", "value:text", "days:count", "reason:text")),
    # The same, and then what the value would have caught: the entry is found by its number, so that no value is in an address.
    "block": Action("SELECT fraud.add_to_list(%(list)s, %(value)s, now() + make_interval(days => %(days)s), %(reason)s) AS result",
                    "listed in {list}", ("list:text", "value:text", "days:count", "reason:text"), "/lists/{list}/newest"),
    "remove_from_list": Action("SELECT fraud.remove_from_list(%(list)s, %(value)s, %(reason)s) AS result", "taken out of {list}",
                               ("list:text", "value:text", "reason:text")),
    "enforce": Action("SELECT fraud.enforce_rule(%(rule)s, %(reason)s) AS result", "version {result} of rule {rule} decides", ("rule:text", "reason:text")),
    "observe": Action("SELECT fraud.observe_rule(%(rule)s, %(reason)s) AS result", "version {result} of rule {rule} is observed", ("rule:text", "reason:text")),
    "disable": Action("SELECT fraud.disable_rule(%(rule)s, %(reason)s)::text AS result", "rule {rule} is off", ("rule:text", "reason:text")),
    "rollback_rule": Action("SELECT fraud.rollback_rule(%(rule)s, %(reason)s) AS result", "version {result} of rule {rule} decides", ("rule:text", "reason:text")),
    "drop_rule": Action("SELECT fraud.drop_rule(%(rule)s, %(reason)s)::text AS result", "rule {rule} is dropped", ("rule:text", "reason:text"), "/rules"),
    "snooze": Action("SELECT fraud.snooze(%(kind)s, %(name)s, now() + make_interval(days => %(days)s), %(reason)s, %(stream)s) AS result", "snoozed for {days} days",
                     ("kind:text", "name:text", "days:count", "reason:text", "stream:text")),
    "end_snooze": Action("SELECT fraud.end_snooze(%(snooze_id)s, %(reason)s)::text AS result", "snooze {snooze_id} is ended", ("snooze_id:number", "reason:text")),
    "promote": Action("SELECT fraud.promote(%(model)s, %(version)s, reason => %(reason)s, review_at => %(review_at)s, block_at => %(block_at)s,"
                      " override_gate => %(override_gate)s)::text AS result", "version {version} of {model} decides",
                      ("model:text", "version:count", "reason:text", "review_at:float", "block_at:float", "override_gate:flag")),
    "rollback": Action("SELECT fraud.rollback(%(model)s, reason => %(reason)s) AS result", "version {result} of {model} decides again", ("model:text", "reason:text")),
}


def number(text, kind=int, bits=64):
    text = text.strip()
    if not text:
        return None
    try:
        value = kind(text)
    except ValueError:
        abort(400, f'"{text[:50]}" is no number. Nothing was done.')
    if kind is int and not -2**(bits - 1) <= value < 2**(bits - 1):
        abort(400, f'"{text[:50]}" is too large a number. Nothing was done.')
    return value


def parameters_of(fields, form):
    values = {}
    for field in fields:
        name, kind = field.split(":")
        text = form.get(name, "")
        if kind == "text":
            values[name] = text.strip() or None
        elif kind == "number":
            values[name] = number(text)
        elif kind == "count":
            values[name] = number(text, bits=32)
        elif kind == "float":
            values[name] = number(text, float)
        elif kind == "flag":
            values[name] = text == "yes"
        elif kind == "texts":
            values[name] = form.getlist(name)
        elif kind == "numbers":
            values[name] = [number(part) for given in form.getlist(name) for part in re.split(r"[\s,;]+", given) if part]
    return values


def act(name):
    action = ACTIONS.get(name) or abort(404)
    g.acting = True
    values = parameters_of(action.fields, request.form)
    rows = ask(action.statement, values)
    result = ", ".join(str(row["result"]) for row in rows) or "none is left"
    g.session.messages.append(action.done.format(**values | {"result": result}))
    g.session.messages.extend(g.get("notices", []))
    return redirect(inside(action.goes_to.format(**values) if action.goes_to else request.form.get("next", "/")), 303)
