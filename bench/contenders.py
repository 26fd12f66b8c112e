"""Measures the other ways to run these models: treelite's GTIL, TL2cgen's compiled C,
ONNX Runtime. Runs in the private Python environment that bench/run makes.

    contenders.py FOLDER compile SECONDS SHAPE...   TL2cgen: FOLDER/compiled/SHAPE.so
    contenders.py FOLDER measure SECONDS SHAPE...   GTIL and ONNX Runtime, called from Python

Both print a JSON list with an entry for each shape: what was measured (nanoseconds a
row) or why it could not be. One thread, the rows and the shapes of bench_core, which
also measures what was compiled here. One-row times have Python's call in them (about
a microsecond for an extension function, more for GTIL's wrapper).
"""
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"
FEATURES = 24
BATCH = 4096  # as in bench_core
COMPILE_SECONDS = 180  # for one model
UNITS = 16  # C files of a model


def first_line(error):
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]


def compile_model(folder, shape):
    """Makes FOLDER/compiled/SHAPE.so with TL2cgen and gcc, unless it is there."""
    import tl2cgen
    import treelite

    library = folder / "compiled" / f"{shape}.so"
    refused = folder / "compiled" / f"{shape}.refused"  # not tried at every run
    if library.exists():
        return
    if refused.exists():
        raise RuntimeError(refused.read_text())
    source = folder / "compiled" / shape
    model = treelite.frontend.load_xgboost_model(folder / f"{shape}.ubj", format_choice="ubjson")
    tl2cgen.generate_c_code(model, dirpath=source, params={"parallel_comp": UNITS})
    objects = " ".join(f"{file.stem}.o" for file in sorted(source.glob("*.c")))
    (source / "Makefile").write_text(
        f"predictor.so: {objects}\n\tgcc -shared -o $@ $^ -lm\n%.o: %.c\n\tgcc -O2 -fPIC -c -o $@ $<\n")
    make = subprocess.Popen(["make", f"-j{os.cpu_count()}"], cwd=source, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        _, errors = make.communicate(timeout=COMPILE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(make.pid, signal.SIGKILL)
        make.communicate()
        refused.write_text(f"gcc -O2 had not compiled it after {COMPILE_SECONDS} s")
        raise RuntimeError(refused.read_text()) from None
    if make.returncode != 0:
        raise RuntimeError(first_line(errors))
    (source / "predictor.so").rename(library)


def one_row(call, rows, seconds):
    """Returns the median time of a call with one row, over rows in turn."""
    views = [rows[i:i + 1] for i in range(len(rows))]
    times = []
    end = time.perf_counter() + seconds
    i = 0
    while time.perf_counter() < end or len(times) < 20:
        view = views[i % len(views)]
        start = time.perf_counter_ns()
        call(view)
        times.append(time.perf_counter_ns() - start)
        i += 1
    return statistics.median(times)


def batch(call, rows, seconds):
    """Returns the median processor time of a row, when all are given at once."""
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.process_time_ns()
        call(rows)
        times.append((time.process_time_ns() - start) / len(rows))
    return statistics.median(times)


def gtil(folder, shape):
    import treelite

    model = treelite.frontend.load_xgboost_model(folder / f"{shape}.ubj", format_choice="ubjson")
    return lambda rows: treelite.gtil.predict(model, rows, nthread=1).ravel()


def onnx_runtime(folder, shape):
    import onnxruntime
    import xgboost
    from onnxmltools.convert import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    booster = xgboost.Booster(model_file=folder / f"{shape}.ubj")
    booster.feature_names = None  # the converter takes none but f0, f1, …
    converted = convert_xgboost(booster, initial_types=[("rows", FloatTensorType([None, FEATURES]))])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(converted.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    return lambda rows: session.run(["probabilities"], {"rows": rows})[0][:, 1]


def measure(who, prepare, folder, shape, seconds):
    import numpy
    import xgboost

    rows = numpy.fromfile(folder / "rows.f32", dtype=numpy.float32).reshape(-1, FEATURES)[:BATCH]
    call = prepare(folder, shape)
    expected = xgboost.Booster(model_file=folder / f"{shape}.ubj").inplace_predict(
        rows, validate_features=False)
    error = float(numpy.abs(call(rows) - expected).max())
    if not error < 1e-4:
        raise RuntimeError(f"its answers differ from XGBoost's by {error:.3g}")
    return [{"task": "one_row", "shape": shape, "who": who, "ns": one_row(call, rows, seconds)},
            {"task": "batch", "shape": shape, "who": who, "ns": batch(call, rows, seconds)}]


def version(package):
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def main():
    folder, what, seconds, shapes = (pathlib.Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]),
                                     sys.argv[4:])
    results = []
    # What these libraries print is not part of the result.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if what == "compile":
        (folder / "compiled").mkdir(exist_ok=True)
        for shape in shapes:
            try:
                compile_model(folder, shape)
                results.append({"task": "compiled", "shape": shape, "who": "tl2cgen",
                                "version": version("tl2cgen")})
            except Exception as error:  # whatever it is, it is the reason that is reported
                results.append({"task": "compiled", "shape": shape, "who": "tl2cgen",
                                "version": version("tl2cgen"), "refused": first_line(error)})
    else:
        for who, package, prepare in (("gtil", "treelite", gtil),
                                      ("onnxruntime", "onnxruntime", onnx_runtime)):
            for shape in shapes:
                try:
                    found = measure(who, prepare, folder, shape, seconds)
                except Exception as error:
                    found = [{"task": task, "shape": shape, "who": who, "refused": first_line(error)}
                             for task in ("one_row", "batch")]
                results += [dict(entry, version=version(package)) for entry in found]
    json.dump(results, answer, indent=1)
    answer.write("\n")
    answer.close()


main()
