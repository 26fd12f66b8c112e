"""Models: versions, how good they were, who promoted what."""

import psycopg
from flask import abort, render_template

from ..database import ask, ask_one, told


def models():
    return render_template("models.html", models=ask("SELECT m.model, m.description, a.version, a.review_at, a.block_at, a.promoted_at, a.promoted_by,"
                                                     " (SELECT count(*) FROM fraud.model_versions v WHERE v.model = m.model) AS versions"
                                                     " FROM fraud.models m LEFT JOIN fraud.model_aliases a ON a.model = m.model AND a.alias = 'champion' ORDER BY m.model"))


def model(name):
    head = ask_one("SELECT * FROM fraud.models WHERE model = %s", [name]) or abort(404)
    return render_template("model.html", model=head,
                           aliases=ask("SELECT * FROM fraud.model_aliases WHERE model = %s ORDER BY alias", [name]),
                           versions=ask("SELECT version, trees, cardinality(feature_names) AS features, objective, description, created_at, created_by FROM fraud.model_versions"
                                        " WHERE model = %s ORDER BY version DESC LIMIT 100", [name]),
                           promotions=ask("SELECT * FROM fraud.promotions WHERE model = %s ORDER BY promotion_id DESC LIMIT 50", [name]),
                           performance=ask("SELECT * FROM fraud.model_performance WHERE model = %s ORDER BY day DESC, model_version DESC LIMIT 30", [name]))


def model_version(name, version):
    """Its measures and its curve over the last 90 days of payments."""
    head = ask_one("SELECT model, version, trees, cardinality(feature_names) AS features, objective, description FROM fraud.model_versions"
                   " WHERE model = %s AND version = %s", [name, version]) or abort(404)
    of = [f"{name}/{version}"]
    measures, points, fault = [], [], None
    try:
        measures = ask("SELECT metric, value FROM fraud.evaluate(%s, now() - interval '90 days', now())", of)
        points = ask("SELECT threshold, alerts, caught, \"precision\", recall FROM fraud.precision_recall_curve(%s, now() - interval '90 days', now(), 100)", of)
    except psycopg.Error as error:
        fault = told(error)
    return render_template("version.html", version=head, measures=measures, points=points, fault=fault)


PAGES = [("/models", models, ["GET"]), ("/models/<name>", model, ["GET"]), ("/models/<name>/<int:version>", model_version, ["GET"])]
