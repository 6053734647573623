"""Path 2-3 beside what one would write by hand: `python -m benchmarks.spark [ROWS]`.

The same rows, the same model, the same Spark settings: a bare PySpark script with mapInArrow and onnxruntime; our job
alone; `customai deploy`. Goals: at most 1.3 times the script, and at most 3 % or 1 s over our own job.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from customai import planner
from customai.targets import load

PATHS = Path(__file__).parents[1] / "paths"
TIMES = 3
BY_HAND = """
import os, sys
import numpy as np, pyarrow as pa
from pyspark.sql import SparkSession
os.environ["PYSPARK_PYTHON"] = sys.executable
data, model, output, log = sys.argv[1:]
spark = (SparkSession.builder.master("local[*]").config("spark.ui.enabled", "false")
    .config("spark.driver.memory", "2g").config("spark.ui.showConsoleProgress", "false")
    .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile=file:{log}")
    .config("spark.sql.files.maxPartitionBytes", str(32 << 20)).config("spark.sql.files.openCostInBytes", str(1 << 20))
    .config("spark.sql.execution.arrow.maxRecordsPerBatch", "16384").getOrCreate())
model_bytes = open(model, "rb").read()
labels = ["ok", "failure"]
numbers = ["age", "since_service", "voltage", "rotation", "pressure", "vibration", "alarms"]
def score(batches):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model_bytes, options)
    for batch in batches:
        feed = {name: batch[name].to_numpy().astype(np.float64)[:, None] for name in numbers}
        feed["type"] = batch["type"].to_numpy(zero_copy_only=False)[:, None]
        found = session.run(["probability"], feed)[0]
        best = found.argmax(1)
        yield pa.RecordBatch.from_arrays(
            [batch["machine"], batch["hour"], pa.array(labels).take(pa.array(best)), pa.array(found.max(1))],
            names=["machine", "hour", "label", "probability"])
frame = spark.read.parquet(data).select("machine", "hour", "type", *numbers)
frame.mapInArrow(score, "machine int, hour int, label string, probability float").write.mode("overwrite").parquet(output)
spark.stop()
"""


def seconds(*command: str, **more: str) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=os.environ | more)
    return time.perf_counter() - started


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with TemporaryDirectory() as name:
        here = Path(name)
        python, home = sys.executable, str(here / "home")
        subprocess.run([python, PATHS / "2-1" / "generate.py", "--out", here / "data", "--rows", str(rows)], check=True)
        customai = [python, "-m", "customai"]
        spec = here / "bench" / "customai.yaml"
        subprocess.run([*customai, "init", "2-3", spec.parent], check=True, capture_output=True)
        text = spec.read_text().replace("partition_by: [type]", "partition_by: []")
        spec.write_text(text.replace("input: data ", f"input: {here / 'data'} "))
        steps = planner.plan(planner.read(spec), load("local", here)).steps
        request = next(step for step in steps if step.id == "score").inputs["argv"][3]
        times: dict[str, list[float]] = {"by hand": [], "our job": [], "customai deploy": []}
        for _ in range(TIMES):
            log = str(Path(__file__).parents[1] / "customai" / "workloads" / "spark" / "log4j2.properties")
            model = str(PATHS / "2-3" / "model.onnx")
            times["by hand"].append(
                seconds(python, "-c", BY_HAND, str(here / "data"), model, str(here / "by-hand"), log)
            )
            shutil.rmtree(here / "home", ignore_errors=True)
            shutil.rmtree(here / "bench" / "predictions", ignore_errors=True)
            times["customai deploy"].append(seconds(*customai, "deploy", str(spec), CUSTOMAI_HOME=home))
            (folder,) = (here / "home" / "deployments" / "bench" / "store").glob("model-*")
            work = here / "work"
            work.mkdir(exist_ok=True)
            shutil.rmtree(here / "bench" / "predictions")  # the same run again would find itself done
            job = [python, "-m", "customai.workloads.spark.batch", request, str(folder)]
            times["our job"].append(seconds(*job, CUSTOMAI_RUN_FOLDER=str(work)))
        print(
            f"{rows:,} rows, {os.cpu_count()} cores, median of {TIMES} and range, Spark's start included; goals by the best"
        )
        middle = {what: median(found) for what, found in times.items()}
        for what, found in times.items():
            print(
                f"{what:<18}{middle[what]:>7.2f} s   {min(found):.2f}-{max(found):.2f}   {rows / middle[what]:>9,.0f} rows/s"
            )
        least = {what: min(found) for what, found in times.items()}  # what disturbs only ever adds
        ratio, over = least["our job"] / least["by hand"], least["customai deploy"] - least["our job"]
        print(f"our job / by hand: {ratio:.2f} (goal 1.3: {'met' if ratio <= 1.3 else 'MISSED'})")
        most = max(1.0, 0.03 * least["our job"])
        print(f"deploy over our job: {over:+.2f} s (goal {most:.2f} s: {'met' if over <= most else 'MISSED'})")


if __name__ == "__main__":
    main()
