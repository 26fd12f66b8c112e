"""Sources, and whether everything is as it should be."""

from flask import render_template

from ..database import ask


def health():
    return render_template("health.html", items=ask("SELECT * FROM fraud.health() ORDER BY array_position('{error,warning,ok}', status), item"),
                           sources=ask("SELECT * FROM fraud.source_status ORDER BY name"))


PAGES = [("/health", health, ["GET"])]
