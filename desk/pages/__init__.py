"""What is seen at the desk, a module a topic."""

from . import cases, health, models, payments, queue, rules, streams


def add_to(app):
    for topic in (queue, cases, streams, payments, rules, models, health):
        for address, view, methods in topic.PAGES:
            app.add_url_rule(address, view.__name__, view, methods=methods)
