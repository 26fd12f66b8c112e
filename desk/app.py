"""Puts the desk together."""

import psycopg
import psycopg_pool
from flask import Flask, g, render_template, request
from markupsafe import Markup
from werkzeug.exceptions import HTTPException

from . import actions, charts, database, pages, security
from .settings import Settings


def _error_page(faults, status):
    """What went wrong, and what was sent, so that nothing typed is lost."""
    sent = []
    if request.method == "POST":
        sent = [(name, value) for name, value in request.form.items(multi=True) if name not in ("csrf", "password")]
    return render_template("error.html", fault=faults, sent=sent, retry=request.method == "POST" and g.get("session") is not None), status


def _on_database_error(error):
    return _error_page(database.told(error), database.status_of(error))


def _on_pool_error(error):
    return _error_page({"message": "the database cannot be reached, or all connections of this session are busy", "detail": None,
                        "hint": "Try again; then log out and in again.", "sqlstate": None}, 503)


def _on_http_error(error):
    return _error_page({"message": error.description if error.code in (400, 413) else error.name, "detail": None, "hint": None, "sqlstate": None}, error.code)


def _token():
    """What each form has to bring back."""
    return Markup('<input type="hidden" name="csrf" value="{}">').format(g.session.csrf)


def _said():
    """What was done since the last page, once."""
    messages, g.session.messages = g.session.messages, []
    return messages


def create_app(settings=None):
    app = Flask("desk")
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.config["MAX_CONTENT_LENGTH"] = 1 << 20
    security.secure(app, settings or Settings())
    app.jinja_env.filters.update(charts.FILTERS)
    app.jinja_env.globals.update(bars=charts.bars, curve=charts.curve, pairs=charts.pairs)
    app.context_processor(lambda: {"session": g.get("session"), "token": _token, "said": _said})
    for error, handler in ((psycopg_pool.PoolTimeout, _on_pool_error), (psycopg.Error, _on_database_error), (HTTPException, _on_http_error)):
        app.register_error_handler(error, handler)
    app.add_url_rule("/do/<name>", "act", actions.act, methods=["POST"])
    app.add_url_rule("/alive", "alive", lambda: ("alive\n", 200, {"Content-Type": "text/plain"}))
    pages.add_to(app)
    return app
