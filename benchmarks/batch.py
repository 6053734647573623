"""Batch scoring against onnxruntime's own limit: `python -m benchmarks.batch [--rows 2000000] [--images 20000]`.

The limit is what onnxruntime makes of a matrix that is already in memory, one session for each core, and then the time to
read the same Parquet file and to write the same predictions, nothing else to do. Both are measured in the same run, the runs of one taking turns with the other's, so that whatever else the machine does
slows both. Memory is the proportional set size of all processes together, sampled.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime reads this once, when it is imported

import numpy as np
import onnxruntime as ort
import pyarrow as pa
import pyarrow.parquet as pq
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

REPOSITORY = Path(__file__).parents[1]
COLUMNS = [f"x{number}" for number in range(30)]
CORES = len(os.sched_getaffinity(0))
LIMIT_ROWS = 500_000
SPEED, FLAT = 0.90, 1.10  # the goals: of the limit; memory of ten times the rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure batch scoring.")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--times", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows(Path(folder), args.rows, args.times)
        images(Path(folder), args.images)


def rows(folder: Path, count: int, times: int) -> None:
    data = folder / "rows"
    data.mkdir()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((count, 30), dtype=np.float32)
    table = pa.table({"id": np.arange(count), **{name: x[:, i] for i, name in enumerate(COLUMNS)}})
    pq.write_table(table, data / "0.parquet")
    del table
    y = (x[:8000, :5].sum(1) + x[:8000, 6] * x[:8000, 7] > 0).astype(int)
    trees = GradientBoostingClassifier(n_estimators=200, max_depth=5, subsample=0.5, random_state=0)
    model = _model(folder / "trees", to_onnx(trees.fit(x[:8000], y), x[:1], options={"zipmap": False}))
    alone, limits, whole, scoring, peaks, costs = [], [], [], [], [], []
    for _ in range(times):
        before = time.process_time()
        alone.append(limit(model, x))
        cost = (time.process_time() - before) / min(count, LIMIT_ROWS)
        limits.append(count / (count / alone[-1] + files(data / "0.parquet", folder / "written.parquet")))
        found = run(folder, model, data)
        whole.append(count / found["wall"])
        scoring.append(found["rows_per_second"])
        peaks.append(found["peak"])
        costs.append(cost / (found["cpu"] / count))
    best, ours = median(limits), median(whole)
    print(f"{count:,} rows of 30 floats, 200 trees, {CORES} cores; median of {times}")
    print(f"  onnxruntime alone        {median(alone):>12,.0f} rows/s")
    print(f"  and the files: the limit {best:>12,.0f} rows/s")
    told = "met" if ours / best >= SPEED else "MISSED"
    print(
        f"  a run, start to end      {ours:>12,.0f} rows/s   {ours / best:.0%} of the limit (goal {SPEED:.0%}: {told})"
    )
    share = median(scoring) / best
    print(f"  the same, once it scores {median(scoring):>12,.0f} rows/s   {share:.0%} of the limit")
    print(f"  by processor time, which a busy machine does not change: {median(costs):.0%} of it goes into the model")
    print(f"  memory, all processes    {median(peaks) / 1e6:>12,.0f} MB")
    small = to_onnx(LogisticRegression().fit(x[:8000], y), x[:1], options={"zipmap": False})
    light = _model(folder / "light", small)
    del x
    one = run(folder, light, data)["peak"]
    for number in range(1, 10):
        os.link(data / "0.parquet", data / f"{number}.parquet")
    ten = run(folder, light, data)
    told = "met" if ten["peak"] / one <= FLAT else "MISSED"
    print(f"{10 * count:,} rows, a linear model")
    print(f"  a run, start to end      {10 * count / ten['wall']:>12,.0f} rows/s")
    print(
        f"  memory of 10x the rows   {ten['peak'] / 1e6:>12,.0f} MB, {ten['peak'] / one:.0%} of 1x (goal {FLAT:.0%}: {told})"
    )
    shutil.rmtree(data)


def images(folder: Path, count: int) -> None:
    script, data = REPOSITORY / "paths" / "2-6" / "make_images.py", folder / "images"
    subprocess.run(
        [sys.executable, script, "--count", str(count), "--out", data], check=True, stdout=subprocess.DEVNULL
    )
    how = {"size": [8, 8], "resample": "box", "channels": "gray", "scale": 1 / 255, "crop": "none", "layout": "nchw"}
    model = folder / "digits"
    model.mkdir()
    shutil.copy(REPOSITORY / "paths" / "2-6" / "model.onnx", model)
    _card(model, preprocessing=how)
    found = run(folder, model, data, kind="images", columns=[], keep=[], limit_errors=1)
    print(f"{count:,} PNG images of 8 x 8 pixels, the network of 2-6, {CORES} cores")
    print(f"  a run, start to end      {count / found['wall']:>12,.0f} images/s")
    print(f"  memory, all processes    {found['peak'] / 1e6:>12,.0f} MB")


def limit(folder: Path, x: np.ndarray) -> float:
    """Rows a second of onnxruntime alone, a session with one thread for each core."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    sessions = [ort.InferenceSession(folder / "model.onnx", options) for _ in range(CORES)]
    x = x[: LIMIT_ROWS // CORES * CORES]
    size, share = 16_384, len(x) // CORES

    def score(number: int) -> None:
        for start in range(number * share, (number + 1) * share, size):
            part = x[start : min(start + size, (number + 1) * share)]
            sessions[number].run(["label", "probabilities"], {"X": part})

    started = time.perf_counter()
    threads = [threading.Thread(target=score, args=(number,)) for number in range(CORES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(x) / (time.perf_counter() - started)


def files(read: Path, written: Path) -> float:
    """Seconds to read the rows from Parquet, and to write as many predictions."""
    started, count = time.perf_counter(), 0
    for batch in pq.ParquetFile(read, memory_map=True).iter_batches(16_384):
        count += batch.num_rows
    seconds = time.perf_counter() - started
    ids, rng = np.arange(count), np.random.default_rng(1)
    table = pa.table({"id": ids, "label": ids % 2, "probability": rng.random(count, dtype=np.float32)})
    started = time.perf_counter()
    pq.write_table(table, written, compression="zstd", use_dictionary=["label"])
    return seconds + time.perf_counter() - started


def run(folder: Path, model: Path, data: Path, **asked: Any) -> dict[str, Any]:
    """The summary of a batch run, with `wall` and `cpu` (s) and `peak` (bytes)."""
    output, job = folder / "out", folder / "job"
    job.mkdir(exist_ok=True)
    request = {"format": 1, "kind": "rows", "run": "r", "input": str(data), "output": str(output)}
    request |= {"columns": COLUMNS, "keep": ["id"]} | asked
    command = [sys.executable, "-m", "customai.workloads.batch", json.dumps(request), str(model)]
    started, peak, before = time.perf_counter(), 0, resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        command, env={**os.environ, "CUSTOMAI_RUN_FOLDER": str(job)}, cwd=REPOSITORY, start_new_session=True
    )
    while process.poll() is None:
        peak = max(peak, memory(process.pid))
        time.sleep(0.2)  # asking costs the asked some time, too
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = json.loads((job / "result.json").read_bytes())
    shutil.rmtree(output)
    (job / "result.json").unlink()
    return {**found, "wall": wall, "peak": peak, "cpu": cpu}


def memory(leader: int) -> int:
    """Bytes of this process and its children; what they share counts once."""
    total = 0
    try:
        children = Path(f"/proc/{leader}/task/{leader}/children").read_text().split()
        for pid in [str(leader), *children]:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
    except OSError:  # one has just ended
        return 0
    return total


def _model(folder: Path, onx: Any) -> Path:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(onx.SerializeToString())
    return _card(folder)


def _card(folder: Path, preprocessing: Any = None) -> Path:
    sha256 = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    card = {"format": 1, "name": "m", "version": "1", "sha256": sha256, "labels": None, "scores": "probabilities"}
    (folder / "model.json").write_text(json.dumps({**card, "preprocessing": preprocessing, "smoke_test": None}))
    return folder


if __name__ == "__main__":
    main()
