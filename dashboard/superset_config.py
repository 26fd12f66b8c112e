"""Superset's settings for `make dashboard`: a private instance on loopback."""

import os

HOME = os.environ["FRAUD_SUPERSET_HOME"]
SQLALCHEMY_DATABASE_URI = f"sqlite:///{HOME}/superset.db"
with open(f"{HOME}/key", encoding="ascii") as key:
    SECRET_KEY = key.read().strip()
# Plain HTTP on loopback, and maps and charts come from Superset itself.
TALISMAN_ENABLED = False
SQLLAB_TIMEOUT = 30
SUPERSET_WEBSERVER_TIMEOUT = 60
