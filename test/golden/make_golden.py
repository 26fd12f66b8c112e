#!/usr/bin/env python3
"""Makes the golden models: small XGBoost models of many versions with the
margins and predictions that XGBoost itself gives for rows chosen to be awkward.

    python3 test/golden/make_golden.py [--environments DIR]

Needs Python 3.11 and a network; takes a few minutes and about 2 GB in DIR (a
temporary folder by default). Every version of XGBoost runs in an environment of
its own, with the newest NumPy and SciPy that it works with.
"""

import argparse
import os
import struct
import subprocess
import sys
import tempfile

# XGBoost, NumPy, SciPy. 1.0 and 1.3 use names that NumPy 1.24 dropped.
VERSIONS = [
    ("1.0.2", "numpy==1.23.5", "scipy==1.11.4"),
    ("1.3.3", "numpy==1.23.5", "scipy==1.11.4"),
    ("1.7.6", "numpy==1.26.4", "scipy==1.13.1"),
    ("2.1.4", "numpy==1.26.4", "scipy==1.13.1"),
    ("3.0.5", "numpy==2.2.6", "scipy==1.15.3"),
    ("3.1.3", "numpy==2.2.6", "scipy==1.15.3"),
    ("3.2.0", "numpy==2.2.6", "scipy==1.15.3"),
]
# These write what their neighbours write, but for the version and base_score.
SHORT = ("3.0.5", "3.1.3")
SHORT_CASES = ("missing", "named", "base_score", "default_base_score", "extreme_base_score",
               "dart", "partition", "logitraw", "poisson", "table")
# What the case "table" needs: XGBoost takes the categories of its columns since 3.1.
TABLE_VERSIONS = ("3.1.3", "3.2.0")
PANDAS = ("pandas==2.2.3", "python-dateutil==2.9.0.post0", "pytz==2024.2", "tzdata==2024.2",
          "six==1.16.0")

# What the case "placeholder" needs: the wrapper notes missing=-999 in the file, in 1.x.
WRAPPER_VERSIONS = ("1.0.2", "1.3.3", "1.7.6")
WRAPPER = ("scikit-learn==1.3.2", "joblib==1.3.2", "threadpoolctl==3.1.0")
PLACEHOLDER = -999

HERE = os.path.dirname(os.path.abspath(__file__))
FEATURES = 5
CATEGORIES = 12


def bits(value):
    """Returns a float32 as eight hexadecimal digits."""
    return "%08x" % struct.unpack("<I", struct.pack("<f", value))[0]


def split_conditions(model):
    """Returns (feature, threshold text) of the numerical splits of a JSON model."""
    found = []
    booster = model["learner"]["gradient_booster"]
    for tree in booster.get("gbtree", booster)["model"]["trees"]:
        types = tree.get("split_type", [0] * len(tree["left_children"]))
        for node, left in enumerate(tree["left_children"]):
            if left != -1 and not types[node]:
                found.append((tree["split_indices"][node], tree["split_conditions"][node]))
    return found


def awkward_rows(np, rng, thresholds, categories=0):
    """Returns rows around the thresholds, with missing and with special values.
    With `categories` the first feature is a category below that number."""
    rows = []

    def random_row():
        row = rng.uniform(-0.2, 1.2, FEATURES).astype(np.float32)
        row[3] = rng.randint(-3, 4)
        row[4] *= np.float32(1e-40)
        if categories:
            row[0] = rng.randint(0, categories)
        return row

    for _ in range(16):
        row = random_row()
        row[rng.rand(FEATURES) < 0.3] = np.nan
        rows.append(row)
    rows.append(np.full(FEATURES, np.nan, dtype=np.float32))
    specials = [0.0, -0.0, 1e-45, -1e-45, 1.1754942e-38, 3.4028235e38, -3.4028235e38,
                np.inf, -np.inf]
    for i, special in enumerate(specials):
        rows.append(np.full(FEATURES, special, dtype=np.float32))
        row = random_row()
        row[i % FEATURES] = special
        rows.append(row)
    for i in range(min(8, len(thresholds))):
        feature, threshold = thresholds[i * len(thresholds) // min(8, len(thresholds))]
        threshold = np.float32(threshold)
        for value in (threshold, np.nextafter(threshold, np.float32(np.inf)),
                      np.nextafter(threshold, np.float32(-np.inf))):
            row = random_row()
            row[feature] = value
            rows.append(row)
    if categories:
        # Every category, some with a fraction, and what is none.
        values = list(range(categories)) + [0.5, categories - 0.25, categories, categories + 1, 31,
                                            32, 33, 1000, 16777215, 16777216, 2147483648, 1e20,
                                            -0.0, -0.5, -1, -32]
        for value in values:
            row = random_row()
            row[0] = value
            rows.append(row)
    return np.array(rows, dtype=np.float32)


def answers(np, xgboost, booster, rows, names, **arguments):
    """Returns XGBoost's answers. It refuses a matrix with infinite values unless the
    missing value is one, so rows with the positive infinity are told to take the
    negative one for missing, and the other way round. (NaN always is.)"""
    result = np.empty(len(rows), dtype=np.float32)
    positive = np.isposinf(rows).any(axis=1)
    assert not (positive & np.isneginf(rows).any(axis=1)).any()
    for part, missing in ((positive, -np.inf), (~positive, np.inf)):
        if part.any():
            data = xgboost.DMatrix(rows[part], missing=missing, feature_names=names)
            result[part] = booster.predict(data, **arguments)
    return result


def write_answers(np, xgboost, booster, rows, names, path):
    """Writes a line per row: the margin, the prediction, the features."""
    margins = answers(np, xgboost, booster, rows, names, output_margin=True)
    predictions = answers(np, xgboost, booster, rows, names)
    with open(path, "w", encoding="utf-8") as file:
        for row, margin, prediction in zip(rows, margins, predictions):
            cells = [bits(margin), bits(prediction)] + [bits(value) for value in row]
            file.write(",".join(cells) + "\n")


def table(np, features, names):
    """Returns a table whose first column has categories that are strings."""
    import pandas

    words = ["category %d" % i for i in range(CATEGORIES)]
    columns = {name: features[:, i] for i, name in enumerate(names)}
    codes = np.where(np.isnan(features[:, 0]), -1, features[:, 0]).astype(int)
    columns[names[0]] = pandas.Categorical.from_codes(codes, categories=words)
    return pandas.DataFrame(columns)


def make_models(folder):
    """Trains, saves and scores all models with the XGBoost of this environment."""
    import json

    import numpy as np
    import xgboost

    version = tuple(int(part) for part in xgboost.__version__.split("."))
    rng = np.random.RandomState(20240229)
    x = rng.rand(500, FEATURES).astype(np.float32)
    x[:, 3] = rng.randint(-2, 3, len(x))
    x[:, 4] *= np.float32(1e-40)  # denormal
    noise = rng.rand(len(x))
    y = (x[:, 0] + x[:, 1] * (x[:, 3] > 0) + 0.3 * noise > 0.9).astype(np.float32)
    with_gaps = x.copy()
    with_gaps[rng.rand(*x.shape) < 0.2] = np.nan
    rare = ((x[:, 0] > 0.9) & (noise > 0.3)).astype(np.float32)
    names = ["amount", "hour of day", "Ünïcode \"quoted\"", "steps", "tiny"]
    counts = np.floor(3 * x[:, 0] + 2 * noise).astype(np.float32)
    amounts = (0.1 + x[:, 0] + noise).astype(np.float32)
    coded = with_gaps.copy()
    coded[:, 0] = rng.randint(0, CATEGORIES, len(x))
    coded[rng.rand(len(x)) < 0.1, 0] = np.nan
    chosen = np.isin(coded[:, 0], (1, 4, 5, 9)) ^ (noise > 0.9)

    half = {"base_score": 0.5}
    dart = {"booster": "dart", "rate_drop": 0.5, "one_drop": 1, "max_depth": 3}
    by_category = {"tree_method": "hist", "max_depth": 3}
    cases = {
        # name: (parameters, rounds, features, labels, feature names)
        "missing": (dict(half, max_depth=4), 6, with_gaps, y, None),
        "deep": (dict(half, max_depth=14, min_child_weight=0, eta=0.7), 2, x[:300],
                 noise[:300] > 0.5, None),
        "stump": (dict(half, max_depth=1), 4, x, y, None),
        "named": (dict(half, max_depth=3), 3, with_gaps, y, names),
        "base_score": (dict(base_score=0.0037, max_depth=3), 8, x, rare, None),
        "default_base_score": (dict(max_depth=2), 3, x, rare, None),
        "extreme_base_score": (dict(base_score=0.00000001 if version > (1, 1) else 0.000002,
                                    max_depth=2), 2, x, rare, None),
        "single_leaf": (dict(base_score=0.25, max_depth=3), 3, np.ones_like(x), y, None),
        "zero_leaves": (dict(half, max_depth=2, eta=0.0), 2, x, y, None),
        "pruned": (dict(half, max_depth=6, gamma=3.0, tree_method="exact"), 3, with_gaps, y, None),
        "parallel_trees": (dict(half, max_depth=3, num_parallel_tree=3, subsample=0.5), 2, x, y,
                           None),
        "leaf_wise": (dict(half, max_depth=0, max_leaves=9, grow_policy="lossguide",
                           tree_method="hist"), 3, with_gaps, y, None),
        "no_trees": (dict(half), 0, x, y, None),
        "stopped_early": (dict(half, max_depth=2, eta=1.5), 12, x[:250], y[:250], None),
        "dart": (dict(dart, base_score=0.3), 6, with_gaps, y, None),
        # Before 1.3 base_score was a probability here, later it is the margin. With 0.5
        # the margin is 0 in 1.0, so that its own sum has the order of all others.
        "logitraw": (dict(objective="binary:logitraw", base_score=0.2 if version > (1, 1) else 0.5,
                          max_depth=2), 3, x, y, None),
        "reg_logistic": (dict(objective="reg:logistic", base_score=0.7, max_depth=2), 3, x,
                         amounts / 2.2, None),
        "squared_error": (dict(objective="reg:squarederror", base_score=-3.5, max_depth=3), 3,
                          with_gaps, amounts, None),
        "poisson": (dict(objective="count:poisson", base_score=1.7, max_depth=3), 3, with_gaps,
                    counts, None),
        "gamma": (dict(objective="reg:gamma", max_depth=2), 3, x, amounts, None),
        "tweedie": (dict(objective="reg:tweedie", max_depth=2), 3, x, counts, None),
        "rank": (dict(objective="rank:pairwise", max_depth=2), 3, x, y, None),
        "one_hot": (dict(half, max_cat_to_onehot=100, **by_category), 4, coded, chosen, None),
        "partition": (dict(half, max_cat_to_onehot=1, **by_category), 3, coded, chosen, None),
        "dart_partition": (dict(dart, max_cat_to_onehot=1, tree_method="hist"), 4, coded, chosen,
                           None),
        "table": (dict(half, max_cat_to_onehot=1, **by_category), 2, coded, chosen, names),
    }
    categorical = ("one_hot", "partition", "dart_partition", "table")
    if version < (1, 7):
        for name in categorical:
            del cases[name]  # trained on a GPU only, or with rules that were given up
    elif xgboost.__version__ not in TABLE_VERSIONS:
        del cases["table"]
    if version < (1, 1):
        del cases["no_trees"]  # all later versions refuse it
    if xgboost.__version__ in SHORT:
        cases = {name: cases[name] for name in SHORT_CASES if name in cases}
    for name, (parameters, rounds, features, labels, feature_names) in cases.items():
        parameters = dict(dict(objective="binary:logistic", seed=7, nthread=1), **parameters)
        extra = {}
        if name in categorical:
            extra = dict(feature_types=["c"] + ["float"] * (FEATURES - 1), enable_categorical=True)
        if name == "table":
            features, extra = table(np, features, names), dict(enable_categorical=True)
        data = xgboost.DMatrix(features, np.asarray(labels, dtype=np.float32), missing=np.nan,
                               feature_names=feature_names, **extra)
        if name == "rank":
            data.set_group([10] * (len(x) // 10))
        extra = {}
        if name == "stopped_early":
            held_out = xgboost.DMatrix(x[250:], y[250:])
            extra = dict(evals=[(held_out, "held_out")], early_stopping_rounds=3,
                         verbose_eval=False)
        booster = xgboost.train(parameters, data, rounds, **extra)
        stem = os.path.join(folder, "%s-%s" % (xgboost.__version__, name))
        booster.save_model(stem + ".json")
        if version >= (1, 6):
            booster.save_model(stem + ".ubj")
        with open(stem + ".json", encoding="utf-8") as file:
            thresholds = split_conditions(json.load(file))
        rows = awkward_rows(np, rng, thresholds, CATEGORIES if name in categorical else 0)
        # XGBoost 1.0 cannot load a model of its own that was pruned.
        if not (version < (1, 1) and name == "pruned"):
            booster = xgboost.Booster()
            booster.load_model(stem + ".json")
        write_answers(np, xgboost, booster, rows, feature_names, stem + ".csv")


def make_placeholder(folder):
    """Trains, saves and scores a model of scikit-learn's wrapper for which a missing value
    is -999, as many people write it."""
    import numpy as np
    import xgboost

    rng = np.random.RandomState(999)
    x = rng.uniform(0, 1, (400, FEATURES)).astype(np.float32)
    x[rng.rand(*x.shape) < 0.3] = PLACEHOLDER
    # What is missing is mostly fraud: a low number would be none.
    y = ((x[:, 0] > 0.6) | (x[:, 1] == PLACEHOLDER)).astype(int)
    model = xgboost.XGBClassifier(n_estimators=5, max_depth=3, base_score=0.5, n_jobs=1, random_state=7,
                                  missing=PLACEHOLDER)
    model.fit(x, y)
    stem = os.path.join(folder, "%s-placeholder" % xgboost.__version__)
    model.save_model(stem + ".json")
    rows = np.concatenate([x[:40], np.full((1, FEATURES), PLACEHOLDER, dtype=np.float32)])
    rows[40:, 2] = 0.5
    margins = model.predict(rows, output_margin=True)
    predictions = model.predict_proba(rows)[:, 1]
    with open(stem + ".csv", "w", encoding="utf-8") as file:
        for row, margin, prediction in zip(rows, margins, predictions):
            file.write(",".join(bits(value) for value in (margin, prediction, *row)) + "\n")


def compare(folder):
    """Reports where this environment's XGBoost disagrees with the recorded answers,
    and takes its own where trees were summed before the base margin was added: in
    XGBoost 1.0, and for booster dart in 1.3, too. Later versions score such a model in
    another order.
    """
    import numpy as np
    import xgboost

    for entry in sorted(os.listdir(folder)):
        # A booster without its wrapper takes the placeholder for a number.
        if not entry.endswith(".csv") or "placeholder" in entry:
            continue
        path = os.path.join(folder, entry)
        with open(path, encoding="utf-8") as file:
            recorded = [[int(cell, 16) for cell in line.split(",")] for line in file]
        recorded = np.array(recorded, dtype=np.uint32).view(np.float32)
        rows = np.ascontiguousarray(recorded[:, 2:])
        booster = xgboost.Booster()
        try:
            booster.load_model(path[:-len(".csv")] + ".json")
            for column, margin in ((0, True), (1, False)):
                found = answers(np, xgboost, booster, rows, booster.feature_names,
                                output_margin=margin)
                different = found.view(np.uint32) != recorded[:, column].view(np.uint32)
                if different.any():
                    print("%s: %d of %d %s differ in XGBoost %s, by %g at most" %
                          (entry, different.sum(), len(rows),
                           "margins" if margin else "predictions", xgboost.__version__,
                           np.abs(found - recorded[:, column]).max()))
        except xgboost.core.XGBoostError as error:
            print("%s: refused by XGBoost %s: %s" %
                  (entry, xgboost.__version__, str(error).splitlines()[0]))
            continue
        own = "logitraw" in entry  # later versions take base_score otherwise
        if (entry.startswith("1.0.") and not own) or entry == "1.3.3-dart.csv":
            write_answers(np, xgboost, booster, rows, booster.feature_names, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--environments", help="folder for the environments; kept when given")
    parser.add_argument("--make", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--placeholder", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--compare", metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make:
        make_models(arguments.make)
        import xgboost
        if xgboost.__version__ in WRAPPER_VERSIONS:
            make_placeholder(arguments.make)
        return
    if arguments.placeholder:
        make_placeholder(arguments.placeholder)
        return
    if arguments.compare:
        compare(arguments.compare)
        return
    with tempfile.TemporaryDirectory() as temporary:
        base = arguments.environments or temporary
        for version, numpy, scipy in VERSIONS:
            environment = os.path.join(base, version)
            python = os.path.join(environment, "bin", "python")
            if not os.path.exists(python):
                subprocess.check_call([sys.executable, "-m", "venv", environment])
                # Without its dependencies: the newer ones ask for a GPU library.
                subprocess.check_call([python, "-m", "pip", "-q", "install", "--no-deps",
                                       "xgboost==" + version, numpy, scipy] +
                                      list(PANDAS if version in TABLE_VERSIONS else ()) +
                                      list(WRAPPER if version in WRAPPER_VERSIONS else ()))
            print("XGBoost", version, flush=True)
            subprocess.check_call([python, os.path.abspath(__file__), "--make", HERE])
        # The last environment is the newest version.
        subprocess.check_call([python, os.path.abspath(__file__), "--compare", HERE])


if __name__ == "__main__":
    main()
