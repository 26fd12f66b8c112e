#!/usr/bin/env python3
"""Makes the golden models: small XGBoost models of many versions with the
margins that XGBoost itself gives for rows chosen to be awkward.

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
SHORT_CASES = ("missing", "named", "base_score", "default_base_score", "extreme_base_score")

HERE = os.path.dirname(os.path.abspath(__file__))
FEATURES = 5


def bits(value):
    """Returns a float32 as eight hexadecimal digits."""
    return "%08x" % struct.unpack("<I", struct.pack("<f", value))[0]


def split_conditions(model):
    """Returns (feature, threshold text) of the splits of a JSON model."""
    found = []
    for tree in model["learner"]["gradient_booster"]["model"]["trees"]:
        for node, left in enumerate(tree["left_children"]):
            if left != -1 and tree["split_indices"][node] < FEATURES:
                found.append((tree["split_indices"][node], tree["split_conditions"][node]))
    return found


def awkward_rows(np, rng, thresholds):
    """Returns rows around the thresholds, with missing and with special values."""
    rows = []

    def random_row():
        row = rng.uniform(-0.2, 1.2, FEATURES).astype(np.float32)
        row[3] = rng.randint(-3, 4)
        row[4] *= np.float32(1e-40)
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
    return np.array(rows, dtype=np.float32)


def margins(np, xgboost, booster, rows, names):
    """Returns XGBoost's margins. Where it refuses a matrix with infinite values,
    they come from prediction in place, which takes them."""
    def from_matrix(part):
        return booster.predict(xgboost.DMatrix(part, missing=np.nan, feature_names=names),
                               output_margin=True)

    finite = ~np.isinf(rows).any(axis=1)
    result = np.empty(len(rows), dtype=np.float32)
    result[finite] = from_matrix(rows[finite])
    try:
        result[~finite] = from_matrix(rows[~finite])
    except Exception:
        in_place = booster.inplace_predict(rows, predict_type="margin", missing=np.nan,
                                           validate_features=False)
        assert (in_place[finite].view(np.uint32) == result[finite].view(np.uint32)).all()
        result = in_place
    return result


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

    half = {"base_score": 0.5}
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
    }
    if version < (1, 1):
        del cases["no_trees"]  # all later versions refuse it
    if xgboost.__version__ in SHORT:
        cases = {name: cases[name] for name in SHORT_CASES}
    for name, (parameters, rounds, features, labels, feature_names) in cases.items():
        parameters = dict(parameters, objective="binary:logistic", seed=7, nthread=1)
        data = xgboost.DMatrix(features, np.asarray(labels, dtype=np.float32), missing=np.nan,
                               feature_names=feature_names)
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
        rows = awkward_rows(np, rng, thresholds)
        # XGBoost 1.0 cannot load a model of its own that was pruned.
        if not (version < (1, 1) and name == "pruned"):
            booster = xgboost.Booster()
            booster.load_model(stem + ".json")
        answers = margins(np, xgboost, booster, rows, feature_names)
        with open(stem + ".csv", "w", encoding="utf-8") as file:
            for row, answer in zip(rows, answers):
                file.write(",".join([bits(answer)] + [bits(value) for value in row]) + "\n")


def compare(folder):
    """Reports where this environment's XGBoost disagrees with the recorded margins,
    and takes its answers for models of XGBoost 1.0, which summed the trees before
    adding the base margin: all later versions score such a model in another order.
    """
    import numpy as np
    import xgboost

    for entry in sorted(os.listdir(folder)):
        if not entry.endswith(".csv"):
            continue
        path = os.path.join(folder, entry)
        with open(path, encoding="utf-8") as file:
            table = [[int(cell, 16) for cell in line.split(",")] for line in file]
        table = np.array(table, dtype=np.uint32).view(np.float32)
        recorded = table[:, 0].copy()
        booster = xgboost.Booster()
        try:
            booster.load_model(path[:-len(".csv")] + ".json")
            answers = margins(np, xgboost, booster, np.ascontiguousarray(table[:, 1:]),
                              booster.feature_names)
        except xgboost.core.XGBoostError as error:
            print("%s: refused by XGBoost %s: %s" %
                  (entry, xgboost.__version__, str(error).splitlines()[0]))
            continue
        different = answers.view(np.uint32) != recorded.view(np.uint32)
        if different.any():
            print("%s: %d of %d rows differ in XGBoost %s, by %g at most" %
                  (entry, different.sum(), len(table), xgboost.__version__,
                   np.abs(answers - recorded).max()))
        if entry.startswith("1.0.") and different.any():
            with open(path, "w", encoding="utf-8") as file:
                for row, answer in zip(table[:, 1:], answers):
                    file.write(",".join([bits(answer)] + [bits(value) for value in row]) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--environments", help="folder for the environments; kept when given")
    parser.add_argument("--make", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--compare", metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make:
        make_models(arguments.make)
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
                                       "xgboost==" + version, numpy, scipy])
            print("XGBoost", version, flush=True)
            subprocess.check_call([python, os.path.abspath(__file__), "--make", HERE])
        # The last environment is the newest version.
        subprocess.check_call([python, os.path.abspath(__file__), "--compare", HERE])


if __name__ == "__main__":
    main()
