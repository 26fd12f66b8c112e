"""Cases of streams: tables of users' own whose rows are decided."""

from flask import abort, render_template, request

from ..database import ask, ask_one

MOST = 100


def streams():
    stream = request.args.get("stream") or None
    return render_template("streams.html", stream=stream, most=MOST, streams=ask("SELECT stream, state FROM fraud.stream_status ORDER BY stream"),
                           rows=ask("SELECT * FROM fraud.stream_case_queue WHERE %(stream)s::text IS NULL OR stream = %(stream)s ORDER BY priority DESC, case_id LIMIT %(most)s",
                                    {"stream": stream, "most": MOST}))


def stream_case(case_id):
    matter = ask_one("SELECT * FROM fraud.stream_cases WHERE case_id = %s", [case_id]) or abort(404)
    of = [matter["stream"], case_id]
    return render_template("stream_case.html", case=matter,
                           alerts=ask("SELECT * FROM fraud.stream_alerts WHERE stream = %s AND case_id = %s ORDER BY coalesce(score, 1) * coalesce(amount::float8, 1) DESC, alert_id LIMIT 100", of),
                           history=ask("SELECT * FROM fraud.stream_case_history WHERE stream = %s AND case_id = %s ORDER BY history_id DESC LIMIT 100", of))


PAGES = [("/streams", streams, ["GET"]), ("/streams/<int(max=9223372036854775807):case_id>", stream_case, ["GET"])]
