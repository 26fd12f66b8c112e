"""Figures and times as pages show them, and small charts as lists of shapes: templates draw them."""

import datetime


def figure(value, decimals=None):
    """A number with thousands apart; – where there is none."""
    if value is None:
        return "–"
    if decimals is None:
        decimals = 0 if float(value).is_integer() else 2
    return f"{value:,.{decimals}f}"


def measure(value):
    """A share to four places, a count to none."""
    return figure(value, None if value is None or float(value).is_integer() else 4)


def moment(value):
    if value is None:
        return "–"
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    return str(value)


def score(value):
    return "–" if value is None else f"{value:.4f}"


def span(value):
    """A length of time, in its greatest unit."""
    if value is None:
        return "–"
    seconds = value.total_seconds() if isinstance(value, datetime.timedelta) else float(value)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


FILTERS = {"figure": figure, "measure": measure, "moment": moment, "score": score, "span": span}


def _top(most):
    """The least of 1, 2, 5 times a power of ten that is not below it."""
    power = 1
    while True:
        for step in (1, 2, 5):
            if step * power >= most:
                return step * power
        power *= 10


def bars(points, width=520, height=170):
    """A column a point (label, value): x, y, width and height in the chart, and its axes."""
    top = _top(max([value for _, value in points] + [1]))
    left, high, base = 62, 16, height - 26
    step = (width - left - 4) / max(len(points), 1)
    columns = [{"x": round(left + i * step, 1), "w": round(max(step * 0.8, 1), 1), "h": round(value * (base - high) / top, 1),
                "y": round(base - value * (base - high) / top, 1), "label": label, "value": value} for i, (label, value) in enumerate(points)]
    return {"width": width, "height": height, "left": left, "high": high, "base": base, "top": top, "columns": columns}


def curve(points, width=420, height=280):
    """A line through points (x, y), each from 0 to 1."""
    left, base = 44, height - 40
    return {"width": width, "height": height, "left": left, "base": base,
            "line": " ".join(f"{left + x * (width - left - 10):.1f},{base - y * (base - 10):.1f}" for x, y in points),
            "ticks": [{"x": left + t * (width - left - 10), "y": base - t * (base - 10), "label": f"{t:.1f}"} for t in (0, 0.5, 1)]}


def pairs(points):
    """Recall and precision of rows of fraud.precision_recall_curve."""
    return [(point["recall"], point["precision"]) for point in points]
