"""Makes the tables of what was measured, beside the bars, and prints them.

    report.py FOLDER [PAGE]

FOLDER holds the results that bench/run left; with PAGE, the tables also replace what
stands between that page's markers: of scoring, of the feed, of what a payment costs and of
volume, each if it was measured.
"""
import json
import os
import pathlib
import platform
import re
import statistics
import sys

BEGIN = "<!-- measured: written by make bench -->"
END = "<!-- end of what make bench writes -->"
FEED_BEGIN = "<!-- the feed: written by make bench -->"
FEED_END = "<!-- end of what make bench writes of the feed -->"
COST_BEGIN = "<!-- what a payment costs: written by make bench -->"
COST_END = "<!-- end of what make bench writes of a payment's cost -->"
VOLUME_BEGIN = "<!-- volume: written by make bench -->"
VOLUME_END = "<!-- end of what make bench writes of volume -->"
NOTIFY_BEGIN = "<!-- deliveries: written by make bench -->"
NOTIFY_END = "<!-- end of what make bench writes of deliveries -->"
TASKS = {"one_row": "one row", "batch": "batch", "explain": "explain one row"}
KERNELS = {"ours-scalar": "scalar", "ours-avx2": "AVX2", "ours-avx512": "AVX-512"}
# task, model, our side, bar for XGBoost ÷ ours
CORE_BARS = [("one_row", "300x6", "ours-avx512", 22), ("one_row", "300x6", "ours-avx2", 14),
             ("one_row", "300x6", "ours-scalar", 10), ("batch", "300x6", "ours-avx512", 8),
             ("batch", "300x6", "ours-avx2", 4), ("batch", "300x6", "ours-scalar", 2),
             ("batch", "1000x8", "best", 3), ("explain", "300x6", "ours", 3)]
SQL_BARS = {"scan": ("≤ 3", lambda value: value <= 3), "fresh": ("< 2 ms", lambda value: value < 2),
            "memory": ("≤ 256 KiB", lambda value: value <= 256)}
LIVE_BARS = {"gap": ("≤ 1.2", lambda value: value <= 1.2), "wait": ("≤ 0.3 s", lambda value: value <= 0.3),
             "alert": ("≤ 0.3 s", lambda value: value <= 0.3), "scaling": ("≥ 1.5", lambda value: value >= 1.5),
             "drain": ("≤ 12", lambda value: value <= 12), "receipt": ("≥ 40,000", lambda value: value >= 40000),
             "deadlocks": ("0", lambda value: value == 0)}

NOTIFY_BARS = {"rate": ("≥ 1,000", lambda value: value >= 1000), "backlog": ("≥ 0.9", lambda value: value >= 0.9),
               "work": ("≤ 1.2", lambda value: value <= 1.2), "told": ("≤ 0.3 s", lambda value: value <= 0.3)}


def at_most(bar, unit=""):
    return f"≤ {bar:,g}{unit}", lambda value: value <= bar


def at_least(bar, unit=""):
    return f"≥ {bar:,g}{unit}", lambda value: value >= bar


COST_BARS = {"single": at_most(4), "batch100": at_most(6), "batch1000": at_most(8), "lean": at_least(4), "lean100": at_least(6),
             "clock": at_most(2), "drain": at_most(8), "assess": at_most(1.3), "reasons": at_most(2), "months": at_most(1.1),
             "locks": at_most(40), "disk": at_most(600), "wal": at_most(1200), "p99": at_most(1.3), "refresh": at_most(8, " µs"),
             "rebuild": at_most(60, " s"), "history": at_least(45000), "memory": at_most(500, " MB")}
VOLUME_BARS = {"merchant": at_most(1.5), "card": at_most(2), "delay": at_most(10, " ms"), "untiled": at_most(3, " %"), "fold": at_most(30, " µs"),
               "disk": at_most(0.1)}


def load(path):
    return json.loads(path.read_text()) if path.exists() else None


def shown(value):
    """Three digits, as people read them."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


class Core:
    """One run of bench_core: the median of each benchmark's repetitions, in nanoseconds."""

    def __init__(self, result):
        self.context = result["context"]
        times = {}
        for entry in result["benchmarks"]:
            if entry["run_type"] == "iteration":
                task, shape, who = entry["name"].split("/")[:3]
                times.setdefault((task, shape, who), []).append(entry["ns"])
        self.times = {key: statistics.median(values) for key, values in times.items()}
        self.xgboost = f"XGBoost {self.context['xgboost']}"

    def get(self, task, shape, who):
        if who == "best":
            who = "ours-" + self.context["best_kernel"]
        return self.times.get((task, shape, who))

    def shapes(self):
        return sorted({key[1] for key in self.times}, key=lambda shape: [int(n) for n in re.findall(r"\d+", shape)])

    def ratio(self, task, shape, who, theirs=None):
        if theirs is None:
            theirs = "xgboost" if task == "explain" else "xgboost-in-place"
        over, under = self.get(task, shape, theirs), self.get(task, shape, who)
        return over / under if over and under else None


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def bars(debian, newest, sql):
    rows = []
    for task, shape, who, bar in CORE_BARS:
        if debian is None or shape not in debian.shapes():
            continue
        kernel = {"best": "best kernel", "ours": "", **KERNELS}[who]
        what = ", ".join(part for part in (TASKS[task], shape.replace("x", "×"), kernel) if part)
        ratio = debian.ratio(task, shape, who)
        other = newest.ratio(task, shape, who) if newest else None
        rows.append([f"{what}: XGBoost ÷ ours", f"≥ {bar}",
                     shown(ratio) if ratio else "not on this CPU",
                     "" if ratio is None else "met" if ratio >= bar else "**missed**",
                     shown(other) if other else ""])
    for entry in sql["results"] if sql else []:
        if "bar" in entry:
            bar, met = SQL_BARS[entry["bar"]]
            rows.append([entry["what"], bar, f"{shown(entry['value'])} {entry['unit']}",
                         "met" if met(entry["value"]) else "**missed**", ""])
    header = ["bar", "wanted", "measured", "", f"against {newest.xgboost}" if newest else "against a newer XGBoost"]
    return table(header, rows)


def core_table(debian, newest, others):
    """A row for each task and model, a column for each way to do it."""
    refused, reasons = {}, []
    for entry in others:
        key = (entry["task"], entry["shape"], entry["who"])
        for task in ("one_row", "batch") if entry["task"] == "compiled" else (entry["task"],):
            if "refused" in entry:
                refused[(task, *key[1:])] = len(reasons)
                reason = f"{entry['who']}, {entry['shape'].replace('x', '×')}: {entry['refused']}"
                if reason not in reasons:
                    reasons.append(reason)
                refused[(task, *key[1:])] = reasons.index(reason) + 1
    measured = {(entry["task"], entry["shape"], entry["who"]): entry["ns"]
                for entry in others if "ns" in entry}
    versions = {entry["who"]: entry.get("version") for entry in others}

    def named(name, who):
        return f"{name} {versions[who]}" if versions.get(who) else name

    columns = [(KERNELS[who], [(debian, who)]) for who in KERNELS]
    columns[0][1].append((debian, "ours"))  # explanations have one kernel
    columns += [(f"{debian.xgboost} in place", [(debian, "xgboost-in-place")]),
                (f"{debian.xgboost} DMatrix", [(debian, "xgboost-dmatrix"), (debian, "xgboost")])]
    if newest:
        columns += [(f"{newest.xgboost} in place", [(newest, "xgboost-in-place")]),
                    (f"{newest.xgboost} DMatrix", [(newest, "xgboost-dmatrix"), (newest, "xgboost")])]
    columns += [(named("TL2cgen", "tl2cgen"), [(debian, "tl2cgen")]),
                (named("treelite GTIL", "gtil"), [(None, "gtil")]),
                (named("ONNX Runtime", "onnxruntime"), [(None, "onnxruntime")])]
    shapes = debian.shapes()
    rows = []
    for task, label in TASKS.items():
        for shape in shapes:
            row = [label, shape.replace("x", "×").replace("-1024", ", 1024 bins")]
            for _, sources in columns:
                cell = "–"
                for core, who in sources:
                    time = core.get(task, shape, who) if core else measured.get((task, shape, who))
                    if time is not None:
                        cell = shown(time / 1000)
                    elif (task, shape, who) in refused:
                        cell = f"[{refused[(task, shape, who)]}]"
                row.append(cell)
            rows.append(row)
    text = table(["µs a row", "model", *(name for name, _ in columns)], rows)
    for number, reason in enumerate(reasons, 1):
        text += f"\n{'' if number > 1 else chr(10)}[{number}] {reason}  "
    return text


def models_table(debian, folder):
    shapes = debian.shapes()
    rows = []
    for shape in shapes:
        row = [shape.replace("x", "×").replace("-1024", ", 1024 bins")]
        for task, who in (("read", "ours-ubjson"), ("read", "ours-json"), ("compile", "ours"), ("open", "ours")):
            row.append(shown(debian.get(task, shape, who) / 1e6))
        for who in ("ours", "xgboost"):
            found = load(folder / f"memory-{who}-{shape}.json")
            row.append(f"{found['peak_kib'] / 1024:.1f} ({found['held_kib'] / 1024:.1f})" if found else "–")
        rows.append(row)
    return table(["model", "read UBJSON, ms", "read JSON, ms", "compile, ms", "open compiled, ms",
                  "read + score, peak MiB (held)", f"{debian.xgboost}, the same"], rows)


def measured_table(title, results, bars):
    rows = []
    for entry in results:
        bar, met = bars.get(entry.get("bar"), ("", None))
        rows.append([entry["what"], bar, f"{shown(entry['value'])} {entry['unit']}".rstrip(),
                     "" if met is None else "met" if met(entry["value"]) else "**missed**"])
    return table([title, "wanted", "measured", ""], rows)


def sql_table(sql):
    return table(["in SQL", "measured"],
                 [[entry["what"], f"{shown(entry['value'])} {entry['unit']}"] for entry in sql["results"]])


def cpu():
    found = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found.group(1) if found else platform.machine()


def system():
    found = re.search(r'^PRETTY_NAME="(.*)"$', pathlib.Path("/etc/os-release").read_text(), re.MULTILINE)
    return found.group(1) if found else platform.system()


def make(folder):
    debian = load(folder / "core-xgboost-debian.json")
    newest = load(folder / "core-xgboost-newest.json")
    sql = load(folder / "sql.json")
    others = [entry for name in ("compiled", "others") for entry in load(folder / f"{name}.json") or []]
    notes = [line for line in (folder / "notes").read_text().splitlines()] if (folder / "notes").exists() else []
    debian = debian and Core(debian)
    newest = newest and Core(newest)
    dates = ([f"the core on {debian.context['date'][:10]} (load average {debian.context['load_avg'][0]:.1f})"]
             if debian else []) + ([f"SQL on {sql['date']} (load average {sql['load']:.1f})"] if sql else [])
    parts = [f"Measured {', '.join(dates)}: {cpu()}, {os.cpu_count()} CPUs, {system()}"
             + (f", {debian.context['compiler']}" if debian else "")
             + (f", PostgreSQL {sql['postgres']}" if sql else "") + ". One thread each."]
    parts.append(bars(debian, newest, sql))
    if debian:
        parts += [core_table(debian, newest, others), models_table(debian, folder)]
    if sql:
        parts.append(sql_table(sql))
    return "\n\n".join(parts + [f"Not measured: {note}." for note in notes]) + "\n"


def make_scenes(folder, name, what, bars_of):
    found = load(folder / f"{name}.json")
    if found is None:
        return None
    return (f"Measured on {found['date']} (load average {found['load']:.1f} at the beginning): {cpu()}, {os.cpu_count()} CPUs, "
            f"{system()}, PostgreSQL {found['postgres']}.\n\n{measured_table(what, found['results'], bars_of)}\n")


def make_cost(folder):
    cost = load(folder / "cost.json")
    if cost is None:
        return None
    return (f"Measured on {cost['date']} (load average {cost['load']:.1f} at the beginning, {cost['load_after']:.1f} at the end): {cpu()}, "
            f"{os.cpu_count()} CPUs, {system()}, PostgreSQL {cost['postgres']}.\n\n"
            f"{measured_table('what a payment costs', cost['results'], COST_BARS)}\n"
            + "".join(f"\nNot measured: {note}.\n" for note in cost["notes"]))


def curves_table(curves):
    """A row for each number of payments, a column for each curve."""
    counts = sorted({count for curve in curves for count, _, _ in curve["points"]})
    header = ["payments in the windows"] + [
        f"{curve['kind']}, {'with' if curve['tiles'] else 'without'} tiles, {curve['stored']:,} stored" for curve in curves]
    found = [{count: f"{shown(time)} µs ({shown(ratio)} ×)" for count, time, ratio in curve["points"]} for curve in curves]
    return table(header, [[f"{count:,}" if count else "0, a new key"] + [points.get(count, "") for points in found] for count in counts])


def keys_table(keys):
    """What the tiles of each heavy key are."""
    return table(["key", "payments in its windows", "finest tiles", "tiles", "pages (of pairs)", "bytes", "bytes a tile", "bytes a payment", "÷ the payments' disk"],
                 [[key["kind"], f"{key['payments']:,}", f"{shown(key['minutes'])} minutes", f"{key['tiles']:,}",
                   f"{key['pages']:,} ({key['of_pairs']:,})", f"{key['bytes']:,}", shown(key["bytes"] / key["tiles"]), shown(key["bytes"] / key["payments"]), shown(key["share"])] for key in keys])


def make_volume(folder):
    volume = load(folder / "volume.json")
    if volume is None:
        return None
    parts = [f"Measured on {volume['date']} (load average {volume['load']:.1f} at the beginning, {volume['load_after']:.1f} at the end): {cpu()}, "
             f"{os.cpu_count()} CPUs, {system()}, PostgreSQL {volume['postgres']}.", measured_table("volume", volume["results"], VOLUME_BARS)]
    if volume["curves"]:
        parts += ["One payment a transaction, processor time, and how many times that of a new key:",
                  "![processor time of one payment by the payments that its key has](images/volume.svg)", curves_table(volume["curves"])]
    if volume["keys"]:
        parts += ["What tiles of a key are: rows of `fraud.tiles`, without page headers and index. Pages of pairs are of a card with a category or a merchant:", keys_table(volume["keys"])]
    return "\n\n".join(parts) + "\n"


def replace(page, begin, end, text):
    before, _, rest = page.read_text().partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")


def main():
    folder = pathlib.Path(sys.argv[1])
    scoring = make(folder) if any((folder / name).exists() for name in ("core-xgboost-debian.json", "sql.json")) else None
    for begin, end, text in ((BEGIN, END, scoring), (FEED_BEGIN, FEED_END, make_scenes(folder, "live", "the feed", LIVE_BARS)),
                             (NOTIFY_BEGIN, NOTIFY_END, make_scenes(folder, "notify", "deliveries", NOTIFY_BARS)),
                             (COST_BEGIN, COST_END, make_cost(folder)), (VOLUME_BEGIN, VOLUME_END, make_volume(folder))):
        if text is None:
            continue
        print(text)
        if len(sys.argv) > 2:
            replace(pathlib.Path(sys.argv[2]), begin, end, text)


main()
