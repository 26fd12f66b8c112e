"""Statements with the rights of who is logged in."""

import datetime

import psycopg
from flask import g, has_request_context, request
from psycopg.adapt import Loader


class _Moment(Loader):
    """A time; none where it never comes (infinity), and its text where Python knows no such year."""

    def load(self, data):
        text = bytes(data).decode()
        try:
            return datetime.datetime.fromisoformat(text)
        except ValueError:
            return None if text.endswith("infinity") else text


def read_times(connection):
    """psycopg's own reading of times fails with such ones, and with it the page."""
    for name in ("timestamptz", "timestamp"):
        connection.adapters.register_loader(name, _Moment)


def _hear(diagnostic):
    if has_request_context():
        g.setdefault("notices", []).append(diagnostic.message_primary)


def ask(statement, parameters=None):
    """Rows of a statement, as dicts; in a transaction that can change nothing unless the request is an action."""
    with g.session.pool.connection() as connection:
        connection.read_only = not g.get("acting", False)
        connection.add_notice_handler(_hear)
        try:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []
        finally:
            connection.remove_notice_handler(_hear)


def ask_one(statement, parameters=None):
    rows = ask(statement, parameters)
    return rows[0] if rows else None


def told(error):
    """A database's error for people: message, detail, hint, SQLSTATE."""
    diagnostic = error.diag
    if diagnostic.message_primary:
        return {"message": diagnostic.message_primary, "detail": diagnostic.message_detail, "hint": diagnostic.message_hint, "sqlstate": error.sqlstate}
    if not _is_lost(error):
        return {"message": str(error), "detail": None, "hint": None, "sqlstate": None}
    return {"message": "the database cannot be reached, or does not let this role in any more", "detail": None,
            "hint": "Log out and in again; else ask who runs the database.", "sqlstate": None}


def _is_lost(error):
    """Whether the connection is, and not what was sent, or answered."""
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))


def status_of(error):
    """The HTTP status of a database's error."""
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return 403
    if isinstance(error, psycopg.errors.NoDataFound):
        return 404
    if _is_lost(error) if error.sqlstate is None else error.sqlstate[:2] in ("08", "53", "57"):
        return 503
    return 409 if request.method == "POST" else 400
