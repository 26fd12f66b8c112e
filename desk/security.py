"""What each request and each answer has to have: a session, a token on what changes something, headers."""

import hmac
import math
import secrets

import psycopg
from flask import abort, current_app, g, redirect, render_template, request, url_for

from .sessions import Attempts, NoPasswordAsked, Sessions

COOKIE = "desk_session"
LOGIN_COOKIE = "desk_login"
OPEN = {"log_in", "static", "alive"}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def same(one, other):
    return bool(one) and bool(other) and hmac.compare_digest(one.encode(), other.encode())


def set_cookie(response, name, value, **more):
    response.set_cookie(name, value, path=request.script_root + "/", httponly=True, samesite="Lax", secure=request.is_secure, **more)


def inside(address):
    """An address of the desk itself to go to next, or its first page."""
    good = address.startswith("/") and not address.startswith(("//", "/\\")) and "\\" not in address and address.isprintable()
    return request.script_root + (address if good else "/")


def log_in():
    app = current_app
    error, status, user = None, 200, request.form.get("user", "")
    next_page = request.values.get("next", "/")
    if request.method == "POST":
        names = ("role " + user, "address " + str(request.remote_addr))
        wait = app.attempts.wait(*names)
        if not same(request.cookies.get(LOGIN_COOKIE), request.form.get("csrf")):
            error, status = "This form is too old, or cookies are not kept. Try again.", 400
        elif wait > 0:
            error, status = f"Too many attempts failed. Try again in {math.ceil(wait)} s.", 429
        elif not user or not request.form.get("password"):
            error, status = "A database role and its password are needed.", 400
        else:
            try:
                session_id = app.sessions.log_in(user, request.form.get("password", ""))
            except NoPasswordAsked:
                error, status = "The server asks this role for no password, so that anybody would be let in: pg_hba.conf has to say scram-sha-256.", 403
            except psycopg.Error as fault:
                # Not what the server says: it would tell which roles there are.
                app.logger.warning("login of role %r from %s refused: %s", user, request.remote_addr, type(fault).__name__)
                app.attempts.failed(*names)
                error, status = "The database does not let this role in: role or password is wrong, or it cannot be reached.", 403
            else:
                app.attempts.succeeded(*names)
                app.sessions.log_out(request.cookies.get(COOKIE))
                response = redirect(inside(next_page), 303)
                set_cookie(response, COOKIE, session_id)
                response.delete_cookie(LOGIN_COOKIE, path=request.script_root + "/")
                return response
    token = secrets.token_urlsafe(32)
    response = app.make_response((render_template("login.html", token=token, error=error, user=user, next=next_page), status))
    set_cookie(response, LOGIN_COOKIE, token, max_age=3600)
    return response


def log_out():
    current_app.sessions.log_out(request.cookies.get(COOKIE))
    response = redirect(url_for("log_in"), 303)
    response.delete_cookie(COOKIE, path=request.script_root + "/")
    return response


def demand_session():
    g.session = None
    if "\0" in request.path or any("\0" in value for sent in (request.args, request.form) for _, value in sent.items(multi=True)):
        abort(400, "What was sent has a character (NUL) that no text in the database has. Nothing was done.")
    if request.endpoint in OPEN:
        return None
    g.session = current_app.sessions.find(request.cookies.get(COOKIE, ""), by_hand=not request.headers.get("X-Fragment"))
    if g.session is None:
        if request.headers.get("X-Fragment"):
            abort(401)
        return redirect(url_for("log_in", next=request.path if request.method == "GET" else "/"), 303)
    if request.method != "GET" and not same(g.session.csrf, request.form.get("csrf")):
        abort(400, "The form's token is missing or of another session. Nothing was done.")
    return None


def add_headers(response):
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    return response


def secure(app, settings):
    app.sessions = Sessions(settings)
    app.attempts = Attempts()
    app.before_request(demand_session)
    app.after_request(add_headers)
    app.add_url_rule("/login", "log_in", log_in, methods=["GET", "POST"])
    app.add_url_rule("/logout", "log_out", log_out, methods=["POST"])
