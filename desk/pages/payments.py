"""Payments: found by id, or by what is known of them. By POST, so that what is looked for is in no address, and in no proxy's log."""

from flask import render_template, request

from ..actions import parameters_of
from ..database import ask

FIELDS = ("id:text", "last_four:text", "merchant:text", "attribute:text", "value:text", "from:text", "to:text", "min_amount:text", "max_amount:text", "card:text")


def search():
    found, values = None, {}
    if request.method == "POST":
        values = parameters_of(FIELDS, request.form)
        if values["id"]:
            found = ask("SELECT * FROM fraud.payment(%(id)s)", values)
        else:
            found = ask("SELECT * FROM fraud.find_payments(last_four => %(last_four)s, merchant => %(merchant)s, attribute => %(attribute)s, value => %(value)s,"
                        " \"from\" => coalesce(%(from)s::timestamptz, '-infinity'), \"to\" => coalesce(%(to)s::timestamptz, 'infinity'),"
                        " min_amount => %(min_amount)s::numeric, max_amount => %(max_amount)s::numeric, card => %(card)s::uuid)", values)
    fields = ask("SELECT name FROM fraud.payment_fields ORDER BY name")
    return render_template("search.html", found=found, values=values, fields=[f["name"] for f in fields])


def payment(transaction_id):
    return render_template("payment.html", found=ask("SELECT * FROM fraud.payment(%s)", [transaction_id]), transaction_id=transaction_id)


PAGES = [("/search", search, ["GET", "POST"]), ("/payments/<path:transaction_id>", payment, ["GET"])]
