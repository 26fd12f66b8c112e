"""Draws how the cost of a payment grows with the payments of its keys.

    picture.py RESULTS.json PICTURE.svg

Both axes are logarithmic; left of the first thousand stands a key that nothing is stored of.
"""
import json
import math
import pathlib
import sys

PANEL, HEIGHT, LEFT, GAP, TOP, BOTTOM = 330, 300, 56, 60, 62, 50
COLOURS = {True: "tiled", False: "untiled"}
STYLE = """text { font: 12px sans-serif; fill: #333 } .title { font-weight: bold } .axis { stroke: #999 } .grid { stroke: #ddd }
.tiled { stroke: #4477aa } .untiled { stroke: #cc4455 } path { fill: none; stroke-width: 2 } circle { stroke: none } circle.tiled { fill: #4477aa }
circle.untiled { fill: #cc4455 } .fewer { stroke-dasharray: 5 4 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .grid { stroke: #444 } .tiled { stroke: #77aadd } circle.tiled { fill: #77aadd }
.untiled { stroke: #ff8899 } circle.untiled { fill: #ff8899 } }"""


def short(number):
    """1,000,000 as 10⁶."""
    if number < 1000:
        return f"{number:g}"
    power = round(math.log10(number))
    return "10" + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(power)) if number == 10**power else f"{number:,}"


class Panel:
    """The curves of one kind of key."""

    def __init__(self, left, kind, curves, least, most):
        self.left, self.kind, self.curves = left, kind, curves
        self.least, self.most = least, most
        self.counts = sorted({point[0] for curve in curves for point in curve["points"]})
        self.stored = sorted({curve["stored"] for curve in curves})

    def x(self, count):
        return self.left + 20 + (PANEL - 40) * self.counts.index(count) / max(1, len(self.counts) - 1)

    def y(self, ratio):
        low, high = math.log10(self.least), math.log10(self.most)
        return TOP + HEIGHT * (1 - (math.log10(ratio) - low) / (high - low))

    def draw(self):
        parts = [f'<text class="title" x="{self.left}" y="{TOP - 14}">payments of the {self.kind} in its windows</text>']
        power = math.ceil(math.log10(self.least))
        while 10**power <= self.most:
            y = self.y(10**power)
            parts.append(f'<line class="grid" x1="{self.left}" x2="{self.left + PANEL}" y1="{y:.1f}" y2="{y:.1f}"/>'
                         f'<text x="{self.left - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
            power += 1
        bottom = TOP + HEIGHT
        parts.append(f'<line class="axis" x1="{self.left}" x2="{self.left + PANEL}" y1="{bottom}" y2="{bottom}"/>')
        for count in self.counts:
            parts.append(f'<text x="{self.x(count):.1f}" y="{bottom + 18}" text-anchor="middle">{short(count) if count else "new"}</text>')
        for curve in self.curves:
            points = [(self.x(count), self.y(ratio)) for count, _, ratio in curve["points"]]
            kind = COLOURS[curve["tiles"]] + ("" if curve["stored"] == self.stored[-1] else " fewer")
            parts.append(f'<path class="{kind}" d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in points)}"/>')
            parts += [f'<circle class="{COLOURS[curve["tiles"]]}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in points]
            if curve["stored"] == self.stored[-1]:
                x, y = points[-1]
                parts.append(f'<text x="{x - 8:.1f}" y="{y + (18 if curve["tiles"] else -9):.1f}" text-anchor="end">{"with" if curve["tiles"] else "without"} tiles</text>')
        return parts


def draw(curves):
    """The picture's text."""
    ratios = [ratio for curve in curves for _, _, ratio in curve["points"]]
    least, most = min(0.3, min(ratios) * 0.9), max(10, max(ratios) * 2)
    width, height = LEFT + 2 * PANEL + GAP + 20, TOP + HEIGHT + BOTTOM
    stored = sorted({curve["stored"] for curve in curves})
    legend = "; ".join(f"{'dashed' if count != stored[-1] else 'whole'} line: {count:,} payments stored" for count in reversed(stored))
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
             "<title>processor time of one payment, divided by that of a key that nothing is stored of</title>", f"<style>{STYLE}</style>",
             f'<text x="{LEFT}" y="20">processor time of one payment ÷ that of a key that nothing is stored of</text>',
             f'<text x="{LEFT}" y="{height - 8}">{legend}</text>']
    for i, kind in enumerate(("merchant", "card")):
        of_kind = [curve for curve in curves if curve["kind"] == kind]
        parts += Panel(LEFT + i * (PANEL + GAP), kind, of_kind, least, most).draw()
    return "\n".join(parts + ["</svg>"]) + "\n"


def main():
    curves = json.loads(pathlib.Path(sys.argv[1]).read_text())["curves"]
    if curves:
        pathlib.Path(sys.argv[2]).write_text(draw(curves))


if __name__ == "__main__":
    main()
