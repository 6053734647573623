"""Train the model of path 2-1 with Spark: will this machine fail within the next 24 hours?

    python train.py                       # on a million generated rows; writes into the current folder
    python train.py --rows 200000         # quicker; how the kept model was made
    python train.py --data my/parquet     # on data of your own, with the same columns

The story: read the data, hold a fifth of the machines back, train a pipeline, write it as ONNX, and let the file answer
for the held-back machines, row by row beside Spark itself. What is served is the file, so the file is what must be good.
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from generate import generate

from customai.errors import RunFailed
from customai.workloads.job.run import Run, main
from customai.workloads.spark import session
from customai.workloads.spark.export import to_onnx

NUMBERS = ["age", "since_service", "voltage", "rotation", "pressure", "vibration", "alarms"]
TEXTS = ["type"]
LABEL = "failed"
LABELS = ["ok", "failure"]
TOLERANCE = 1e-6  # between Spark's probabilities (64 bits) and the file's (32 bits)


@dataclass(frozen=True)
class Measured:
    """How good the file is on the rows that were held back."""

    held_out: int
    auc: float
    accuracy: float
    caught: float  # of the failures, at 0.5
    precise: float  # of the alarms at 0.5
    failures: float  # of all rows
    difference: float  # largest, between the file's probabilities and Spark's


def work(run: Run, arguments: list[str]) -> dict[str, Any]:
    args = parsed(arguments)
    data = args.data or run.folder / "data"
    if args.data is None:
        run.progress(0, 4, "steps", message=f"generating {args.rows:,} rows")
        generate(data, args.rows)
    with session.session("customai train", conf={"spark.driver.memory": args.memory}) as spark:
        run.progress(1, 4, "steps", message="training")
        frame = spark.read.parquet(str(data))
        trained = pipeline(args.trees, args.depth, args.seed).fit(frame.where("machine % 5 != 0"))
        run.progress(2, 4, "steps", message="writing the model")
        trained.write().overwrite().save(f"file:{run.folder}/pipeline")
        to_onnx(trained, run.folder / "model.onnx", about="will this machine fail within 24 hours?")
        run.progress(3, 4, "steps", message="checking it against Spark")
        answers = trained.transform(frame.where("machine % 5 = 0"))
        measured = compare(run.folder / "model.onnx", columns(answers))
    (run.folder / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    (run.folder / "MODEL_CARD.md").write_text(card(run.folder / "model.onnx", args, measured))
    model = run.folder / "model.onnx"
    return {"model": str(model), "sha256": sha256(model), **vars(measured)}


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="how many to generate (default: 1000000)")
    parser.add_argument("--data", type=Path, help="a folder of Parquet files, instead of generating them")
    parser.add_argument("--trees", type=int, default=30, help="how many (default: 30)")
    parser.add_argument("--depth", type=int, default=5, help="questions a tree may ask (default: 5)")
    parser.add_argument("--seed", type=int, default=1, help="of the trees (default: 1)")
    parser.add_argument("--memory", default="2g", help="Spark's (default: 2g)")
    return parser.parse_args(arguments)


def pipeline(trees: int, depth: int, seed: int) -> Any:
    """Texts become numbers, numbers are brought to one scale, and boosted trees decide."""
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import GBTClassifier
    from pyspark.ml.feature import OneHotEncoder, StandardScaler, StringIndexer, VectorAssembler

    indexed, hot = [f"{name}_index" for name in TEXTS], [f"{name}_hot" for name in TEXTS]
    return Pipeline(
        stages=[
            StringIndexer(inputCols=TEXTS, outputCols=indexed, handleInvalid="keep", stringOrderType="alphabetAsc"),
            OneHotEncoder(inputCols=indexed, outputCols=hot),
            VectorAssembler(inputCols=NUMBERS, outputCol="numbers"),
            StandardScaler(inputCol="numbers", outputCol="scaled", withMean=True),
            VectorAssembler(inputCols=["scaled", *hot], outputCol="features"),
            GBTClassifier(labelCol=LABEL, maxIter=trees, maxDepth=depth, stepSize=0.2, seed=seed),
        ]
    )


def columns(answers: Any) -> pa.Table:
    """What was asked, what is right, and what Spark says."""
    from pyspark.ml.functions import vector_to_array

    spark_says = vector_to_array("probability")[1].alias("probability")
    return answers.select(*TEXTS, *NUMBERS, LABEL, spark_says, "prediction").toArrow()


def compare(model: Path, asked: pa.Table) -> Measured:
    """Measure the file, and raise an error where it does not say what Spark says."""
    import onnxruntime

    inputs = {name: asked[name].to_numpy().astype(object)[:, None] for name in TEXTS}
    inputs |= {name: asked[name].to_numpy().astype(np.float64)[:, None] for name in NUMBERS}
    (probabilities,) = onnxruntime.InferenceSession(model).run(["probability"], inputs)
    says, truth = probabilities[:, 1], asked[LABEL].to_numpy()
    spark_says, spark_decides = asked["probability"].to_numpy(), asked["prediction"].to_numpy()
    difference = float(np.abs(says - spark_says).max())
    other = (probabilities.argmax(1) != spark_decides) & (np.abs(spark_says - 0.5) > TOLERANCE)
    if difference > TOLERANCE or other.any():
        raise RunFailed(
            f"the ONNX file does not say what Spark says: {other.sum()} of {len(says)} rows decided otherwise, "
            f"probabilities up to {difference:.2e} apart",
            where=str(model),
        )
    alarm = says > 0.5
    return Measured(
        held_out=len(says),
        auc=area_under_curve(says, truth),
        accuracy=float((alarm == truth).mean()),
        caught=float(alarm[truth == 1].mean()),
        precise=float(truth[alarm].mean()) if alarm.any() else 0.0,
        failures=float(truth.mean()),
        difference=difference,
    )


def area_under_curve(scores: np.ndarray, truth: np.ndarray) -> float:
    """How often a machine that failed is given more than one that did not; equals count half."""
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    failed = int(truth.sum())
    return float((rank[truth == 1].sum() - failed * (failed + 1) / 2) / (failed * (len(truth) - failed)))


def card(model: Path, args: argparse.Namespace, measured: Measured) -> str:
    import onnx
    import pyspark

    source = f"{args.rows:,} rows of generate.py, seed 1" if args.data is None else "data of your own"
    return f"""---
name: maintenance
task: tabular-classification
license: MIT
auc: {measured.auc:.4f}
held_out: {measured.held_out}
trees: {args.trees}
depth: {args.depth}
seed: {args.seed}
model_sha256: {sha256(model)}
versions:
  pyspark: "{pyspark.__version__}"
  onnx: "{onnx.__version__}"
---

# Will this machine fail?

Written by `train.py`; change that file, not this one.

## What it is for

It tells from an hour of a machine's measurements whether it will fail within the next 24 hours. The machines, and what
breaks them, are invented (`generate.py`): learn with it, and put your own data in its place.

## The model

A SparkML pipeline: the type as one-hot columns, the numbers brought to one scale, {args.trees} gradient-boosted trees of
depth {args.depth}. Kept twice: `pipeline/` is Spark's own form, `model.onnx` ({model.stat().st_size:,} bytes) the same without Spark.

| | Name | Type |
|---|---|---|
| Inputs | {", ".join(f"`{name}`" for name in TEXTS)} | text |
| | {", ".join(f"`{name}`" for name in NUMBERS)} | number |
| Output | `probability` | of {" and ".join(LABELS)}, adding up to 1 |

A type that it has never seen counts as none of those it knows.

## The data

{source[0].upper()}{source[1:]}. Machines whose number divides by 5 were held back: {measured.held_out:,} rows, of which
{measured.failures:.2%} fail. None of their hours was trained on.

## How good it is

Measured on the held-back rows, from the exported file:

| | |
|---|---|
| Area under the ROC curve | {measured.auc:.4f} |
| Right, at 0.5 | {measured.accuracy:.2%} (saying "ok" to all: {1 - measured.failures:.2%}) |
| Failures caught, at 0.5 | {measured.caught:.2%} |
| Alarms that were right, at 0.5 | {measured.precise:.2%} |

Whether 0.5 is the right place to raise an alarm depends on what a failure costs beside a visit: choose it for your case.

## The same as Spark

Every one of the {measured.held_out:,} rows was scored by Spark and by the file. The probabilities differ by at most
{measured.difference:.1e} (Spark reckons in 64 bits, the file's answers have 32; up to {TOLERANCE:.0e} is accepted), and no
decision differs. Training stops with an error otherwise.

## Limits

- Invented data: the figures say that the machinery works, nothing about real machines.
- It knows one hour at a time, no trend.
- A missing number is refused by the server and by the batch job; it was never trained with one.
"""


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    main(work)
