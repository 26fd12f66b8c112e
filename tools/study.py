"""Writes docs/study.md: run by tools/study, which starts the server that it asks."""

import argparse
import csv
import io
import json
import subprocess
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

matplotlib.rcParams["svg.hashsalt"] = "fraud_detect"  # the same figures give the same files
matplotlib.rcParams["svg.fonttype"] = "none"

SIMULATION = dict(customers=600, merchants=300, days=100, seed=7)
XGBOOST = {"max_depth": 6, "eta": 0.3, "min_child_weight": 1, "subsample": 1, "colsample_bytree": 1, "lambda": 1}
DRAWS = 8
SEARCH = {"max_depth": {"min": 3, "max": 8, "int": True}, "eta": {"min": 0.03, "max": 0.3, "log": True},
          "min_child_weight": {"min": 1, "max": 20, "log": True}, "subsample": {"min": 0.6, "max": 1},
          "colsample_bytree": {"min": 0.5, "max": 1}, "lambda": {"min": 0.5, "max": 10, "log": True}}
HISTORY_COLUMNS = """index int, trans_date_trans_time timestamp, cc_num bigint, merchant text, category text,
    amt numeric, first text, last text, gender text, street text, city text, state text, zip text,
    lat float8, long float8, city_pop int, job text, dob date, trans_num text, unix_time bigint,
    merch_lat float8, merch_long float8, is_fraud int"""


class Database:
    def __init__(self, options):
        self.command = [options.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", options.host, "-p", options.port,
                        "-U", "postgres", "-d", "postgres"]

    def run(self, sql):
        subprocess.run(self.command + ["-c", sql], check=True, stdout=subprocess.DEVNULL)

    def rows(self, sql):
        done = subprocess.run(self.command + ["--csv", "-c", sql], check=True, stdout=subprocess.PIPE, text=True)
        return list(csv.DictReader(io.StringIO(done.stdout)))

    def value(self, sql):
        return next(iter(self.rows(sql)[0].values()))


def number(text, places=4):
    return "–" if text in ("", None) else f"{float(text):.{places}f}"


def table(heads, rows, aligned="l"):
    marks = ["---" if i == 0 and aligned == "l" else "--:" for i in range(len(heads))]
    lines = ["| " + " | ".join(heads) + " |", "|" + "|".join(marks) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]) + "\n"


class Study:
    def __init__(self, database, output, csv_path):
        self.db, self.csv = database, csv_path
        self.output = Path(output)
        self.pictures = self.output / "study"
        self.pictures.mkdir(parents=True, exist_ok=True)
        self.text = []
        self.models = []  # (name, reference, run)

    def write(self, text):
        self.text.append(text)

    def save(self, figure, name, caption):
        figure.savefig(self.pictures / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
        plt.close(figure)
        self.write(f"![{caption}](study/{name}.svg)\n")

    # ------------------------------------------------------------------ data
    def load(self):
        self.db.run("CREATE EXTENSION fraud_detect")
        if self.csv:
            self.db.run(f"CREATE TABLE history ({HISTORY_COLUMNS})")
            with open(self.csv, "rb") as file:
                subprocess.run(self.db.command + ["-c", "COPY history FROM STDIN CSV HEADER"], stdin=file, check=True)
            self.db.run("SELECT fraud.load_history('history')")
        else:
            settings = ", ".join(f"{k} => {v}" for k, v in SIMULATION.items())
            self.db.run(f"SELECT fraud.simulate({settings}, starts_at => '2026-01-01', ends_at => '2026-04-11')")
        self.db.run("CREATE TABLE labelled AS SELECT t.card, t.transaction_id, t.occurred_at, t.amount, t.category, "
                    "coalesce(l.is_fraud, false) AS is_fraud FROM fraud.transactions t "
                    "LEFT JOIN fraud.current_labels l USING (card, transaction_id)")
        self.db.run("ANALYZE")

    def choose_periods(self):
        first, last = (self.db.value(f"SELECT date_trunc('day', {f}(occurred_at)) FROM labelled") for f in ("min", "max"))
        days = int(float(self.db.value(f"SELECT extract(epoch FROM timestamptz '{last}' - timestamptz '{first}') / 86400"))) + 1
        ends = [0, days * 55 // 100, days * 55 // 100 + min(7, days // 20), days * 75 // 100,
                days * 75 // 100 + min(7, days // 20), days]
        at = [self.db.value(f"SELECT (timestamptz '{first}' + {d} * interval '1 day')::text") for d in ends]
        self.periods = {"train": (at[0], at[1]), "validation": (at[2], at[3]), "test": (at[4], at[5])}

    def describe_data(self):
        what = (f"Payments in the layout of Kaggle's fraudTrain.csv (`{Path(self.csv).name}`), loaded by `fraud.load_history`."
                if self.csv else
                "Simulated payments: `fraud.simulate(" + ", ".join(f"{k} => {v}" for k, v in SIMULATION.items())
                + ", starts_at => '2026-01-01', ends_at => '2026-04-11')`. Its people and frauds are invented, so the figures "
                "say how well models know the simulator.")
        total = self.db.rows("SELECT count(*) AS payments, count(DISTINCT card) AS cards, sum(is_fraud::int) AS frauds, "
                             "round(100 * avg(is_fraud::int), 3) AS share FROM labelled")[0]
        self.write(f"## The data\n\n{what}\n\n{int(total['payments']):,} payments of {int(total['cards']):,} cards, "
                   f"{int(total['frauds']):,} frauds ({total['share']} %). Periods follow one another, with a gap between them "
                   "in which labels come in:\n")
        rows = []
        for name, (start, end) in self.periods.items():
            row = self.db.rows(f"SELECT count(*) AS n, sum(is_fraud::int) AS f, round(100 * avg(is_fraud::int), 3) AS s FROM labelled "
                               f"WHERE occurred_at >= '{start}' AND occurred_at < '{end}'")[0]
            rows.append([name, start[:10], end[:10], f"{int(row['n']):,}", row["f"], row["s"] + " %"])
        self.write(table(["period", "from", "to", "payments", "frauds", "share"], rows))

        hours = self.db.rows("SELECT extract(hour FROM occurred_at)::int AS hour, 100 * avg(is_fraud::int) AS share FROM labelled GROUP BY 1 ORDER BY 1")
        amounts = self.db.rows("SELECT is_fraud, percentile_cont(ARRAY[0.05,0.25,0.5,0.75,0.95,0.99]) WITHIN GROUP (ORDER BY amount::float8) AS q FROM labelled GROUP BY 1 ORDER BY 1")
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
        left.bar([int(h["hour"]) for h in hours], [float(h["share"]) for h in hours], color="#4477aa")
        left.set(title="Fraud by hour of day (UTC)", xlabel="hour", ylabel="% of payments")
        categories = self.db.rows("SELECT coalesce(category, '–') AS c, 100 * avg(is_fraud::int) AS share FROM labelled GROUP BY 1 ORDER BY 2 DESC LIMIT 10")[::-1]
        right.barh([c["c"] for c in categories], [float(c["share"]) for c in categories], color="#ee6677")
        right.set(title="The ten categories with most fraud", xlabel="% of payments")
        self.save(figure, "data", "share of fraud by hour and by category")
        self.write("\nAmounts, in quantiles:\n")
        self.write(table(["", "5 %", "25 %", "median", "75 %", "95 %", "99 %"],
                         [["fraud" if a["is_fraud"] == "t" else "the rest"] + [f"{float(v):.2f}" for v in a["q"].strip("{}").split(",")] for a in amounts]))

    # ---------------------------------------------------------------- models
    def train(self, name, params, **more):
        args = [f"params => '{json.dumps(params)}'"]
        for period, (start, end) in self.periods.items():
            args += [f"{period}_from => '{start}'", f"{period}_to => '{end}'"]
        args += [f"{key} => {value}" for key, value in more.items()]
        run = self.db.value(f"SELECT fraud.train('payments', 'payments', {', '.join(args)}, description => '{name.replace(chr(39), chr(39) * 2)}')")
        self.db.run(f"SELECT fraud.wait_for_training({run})")
        version = self.db.value(f"SELECT model_version FROM fraud.training_runs WHERE run = {run}")
        self.models.append((name, f"payments/{version}", run))
        print(f"{name}: run {run}, payments/{version}")

    def train_all(self):
        self.models.append(("the demonstration model that comes with the extension", "payments/1", None))
        self.train("defaults of `fraud.train`", {})
        self.train("XGBoost's own defaults", XGBOOST)
        self.train(f"search, {DRAWS} draws", {}, search=f"'{json.dumps(SEARCH)}'", trials=DRAWS, seed=1)

    def evaluate(self, ref, period="test", threshold=None):
        start, end = self.periods[period]
        extra = "" if threshold is None else f", threshold => {threshold}"
        return {r["metric"]: r["value"] for r in self.db.rows(f"SELECT * FROM fraud.evaluate('{ref}', '{start}', '{end}'{extra})")}

    def compare(self):
        start, end = self.periods["test"]
        alone = self.db.rows(f"SELECT fraud.average_precision(amount::float8, is_fraud) AS ap, fraud.auc_roc(amount::float8, is_fraud) AS auc, "
                             f"fraud.recall_at(amount::float8, is_fraud, 0.005) AS r, fraud.recall_at(amount::float8, is_fraud, 0.01) AS r1 "
                             f"FROM labelled WHERE occurred_at >= '{start}' AND occurred_at < '{end}'")[0]
        rows = [["the amount alone, as a score", number(alone["ap"]), number(alone["auc"]), number(alone["r"], 3), number(alone["r1"], 3), "–", "–", "–"]]
        self.measured = {}
        for name, ref, run in self.models:
            m = self.measured[ref] = self.evaluate(ref)
            rounds = self.db.value(f"SELECT trees FROM fraud.model_versions WHERE model = 'payments' AND version = {ref.split('/')[1]}")
            rows.append([name, number(m["average_precision"]), number(m["auc_roc"]), number(m["recall_at_0.5pct"], 3),
                         number(m["recall_at_1pct"], 3), number(m["card_precision_at_100"], 3), number(m["log_loss"], 5), rounds])
        self.write("\n## Models on the test period\n\nNo model has seen it: it is later than all that they were trained and chosen on.\n")
        self.write(table(["", "average precision", "AUC", "recall at 0.5 %", "recall at 1 %", "card precision@100", "log loss", "trees"], rows))
        trained = [m for m in self.models if m[2]]
        self.best = max(trained, key=lambda m: float(self.validation(m[2])))
        top = max(float(self.measured[m[1]]["average_precision"]) for m in trained)
        gap = top - float(self.measured[trained[0][1]]["average_precision"])
        chosen = json.loads(self.db.value(f"SELECT (SELECT params FROM fraud.training_trials WHERE run = r.run ORDER BY metric DESC LIMIT 1) FROM fraud.training_runs r WHERE run = {trained[2][2]}"))
        best = (f"The defaults are {gap:.4f} of average precision below the best of the three trained here."
                if gap > 0 else "Neither of the other two trained here has a higher average precision than the defaults.")
        self.write(f"\n{best} The search drew {DRAWS} sets from\n"
                   f"`{json.dumps(SEARCH)}`\nand took, by average precision (aucpr) on the validation period, `{json.dumps(chosen)}`.\n")
        figure, axes = plt.subplots(figsize=(6, 4.5))
        for name, ref, _ in self.models:
            curve = self.db.rows(f"SELECT \"precision\" AS p, recall AS r FROM fraud.precision_recall_curve('{ref}', '{start}', '{end}', 400)")
            axes.plot([float(c["r"]) for c in curve], [float(c["p"]) for c in curve], drawstyle="steps-post",
                      label=f"{name.replace('`', '')} ({float(self.measured[ref]['average_precision']):.3f})")
        axes.set(title="Precision and recall on the test period", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        axes.legend(fontsize=7, loc="upper right", title="average precision in brackets", title_fontsize=7)
        axes.grid(alpha=0.3)
        self.save(figure, "precision_recall", "precision-recall curves of the models on the test period")

    def validation(self, run):
        # Of early stopping the metrics differ, so models are compared by the same one.
        version = self.db.value(f"SELECT model_version FROM fraud.training_runs WHERE run = {run}")
        return self.evaluate(f"payments/{version}", "validation")["average_precision"]

    def explain(self):
        name, ref, run = self.best
        importance = json.loads(self.db.value(f"SELECT importance FROM fraud.training_runs WHERE run = {run}"))
        whole = sum(importance.values())
        ranked = sorted(importance.items(), key=lambda item: -item[1])[:15]
        self.write(f"\n## Which features matter\n\nOf the model with the best average precision on the validation period ({name}): the share of the loss "
                   "that each feature's splits took away.\n")
        figure, axes = plt.subplots(figsize=(6, 4))
        axes.barh([n for n, _ in ranked][::-1], [100 * v / whole for _, v in ranked][::-1], color="#228833")
        axes.set(title="Gain by feature", xlabel="% of all gain")
        self.save(figure, "importance", "share of gain by feature")
        self.write(table(["feature", "share of gain"], [[f"`{n}`", f"{100 * v / whole:.1f} %"] for n, v in ranked]))
        history = self.db.rows(f"SELECT h FROM fraud.training_runs, unnest(history) WITH ORDINALITY u(h, i) WHERE run = {run} ORDER BY i")
        start, end = self.periods["test"]
        bins = self.db.rows(f"SELECT mean_score, fraud_rate, events FROM fraud.calibration('{ref}', '{start}', '{end}', 10)")
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5))
        left.plot(range(1, len(history) + 1), [float(h["h"]) for h in history])
        left.set(title="Validation metric by round", xlabel="round", ylabel=self.db.value(f"SELECT metric_name FROM fraud.training_runs WHERE run = {run}"))
        right.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
        right.plot([float(b["mean_score"]) for b in bins], [float(b["fraud_rate"]) for b in bins], marker="o")
        right.set(title="Calibration on the test period", xlabel="mean score", ylabel="share of fraud")
        self.save(figure, "rounds_and_calibration", "validation metric by round, and calibration on the test period")

    def choose(self):
        name, ref, run = self.best
        start, end = self.periods["validation"]
        daily = float(self.db.value(f"SELECT 0.005 * count(*) / (extract(epoch FROM timestamptz '{end}' - timestamptz '{start}') / 86400)::float8 FROM labelled "
                                    f"WHERE occurred_at >= '{start}' AND occurred_at < '{end}'"))
        review = self.db.rows(f"SELECT * FROM fraud.choose_threshold('{ref}', '{start}', '{end}', alerts_per_day => {daily})")[0]
        block = self.db.rows(f"SELECT * FROM fraud.choose_threshold('{ref}', '{start}', '{end}', min_precision => 0.9)")[0]
        block_at = max(float(block["threshold"]), float(review["threshold"]))
        cost = self.db.rows(f"SELECT * FROM fraud.choose_threshold('{ref}', '{start}', '{end}', alert_cost => 5)")[0]
        self.write("\n## The threshold\n\nChosen on the validation period, then held against the test period: review at what alerts one payment in two "
                   f"hundred ({daily:.1f} a day), block where nine of ten alerts are fraud; beside them the threshold with the least cost when an "
                   "alert costs 5 and a missed fraud its amount.\n")
        rows = []
        for what, threshold in (("review", float(review["threshold"])), ("block", block_at), ("least cost", float(cost["threshold"]))):
            m = self.evaluate(ref, "test", threshold)
            alerts = float(m["true_positives"]) + float(m["false_positives"])
            rows.append([what, f"{threshold:.4f}", f"{alerts:.0f}", number(m["precision"], 3), number(m["recall"], 3),
                         f"{float(m['money_caught']):,.0f}", f"{float(m['money_lost']):,.0f}"])
        self.write(table(["", "threshold", "alerts on the test period", "precision", "recall", "money caught", "money lost"], rows))
        version = ref.split("/")[1]
        call = f"fraud.promote('payments', {version}, review_at => {float(review['threshold']):.4f}, block_at => {block_at:.4f})"
        done = subprocess.run(self.db.command + ["-c", f"SELECT {call}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode == 0:
            evidence = json.loads(self.db.value("SELECT evidence FROM fraud.promotions WHERE model = 'payments' ORDER BY promotion_id DESC LIMIT 1"))
            self.write(f"\n`{call}` passes the gate. Its evidence, on the test period at the champion's share of alerts:\n\n```json\n"
                       + json.dumps(evidence, indent=2) + "\n```\n")
        else:
            self.write(f"\n`{call}` does not pass the gate: the demonstration model was trained on more payments of the same kind than these periods "
                       "hold, and is still better at the share of payments that it alerts. The gate's words:\n\n```\n" + done.stderr.split("CONTEXT:")[0].strip() + "\n```\n")

    def run(self):
        self.load()
        self.choose_periods()
        self.describe_data()
        self.train_all()
        self.compare()
        self.explain()
        self.choose()
        runs = self.db.rows("SELECT xgboost_version, server_version FROM fraud.training_runs ORDER BY run DESC LIMIT 1")[0]
        head = ("# A study\n\nFrom payments to a champion, in SQL. Made by `make study`" + (f" (`CSV={Path(self.csv).name}`)" if self.csv else "")
                + f" with XGBoost {runs['xgboost_version']}; every figure is what that command measured. `make study CSV=/path/fraudTrain.csv` makes it of "
                "payments in the layout of that Kaggle file.\n")
        (self.output / "study.md").write_text(head + "\n" + "\n".join(self.text))


def main():
    parser = argparse.ArgumentParser()
    for option in ("--host", "--port", "--psql", "--output"):
        parser.add_argument(option, required=True)
    parser.add_argument("--csv")
    options = parser.parse_args()
    Study(Database(options), options.output, options.csv).run()


main()
