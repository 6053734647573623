"""Train the two models of path 2-2: who is about to leave?

    python train.py                    # writes beside this file
    python train.py --out /tmp/churn   # writes elsewhere

The story in five steps: draw the customers, hold a fifth of them back, train two pipelines on the rest, export each to
ONNX, and measure the exported files themselves on those held back. What is served is the file, so the file is what must
be good: every held-out row is scored by scikit-learn and by the file, and they must agree.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime reads this once, when it is imported

import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
import skl2onnx
import sklearn
from data import CATEGORIES, COLUMNS, LABELS, NUMBERS, ROWS, SEED, customers
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.base import TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HERE = Path(__file__).resolve().parent
MISSING = ""  # ONNX has no null among texts: this stands for it, here and in customai.yaml (default)
TOLERANCE = 1e-5  # between scikit-learn, which counts in 64 bits, and the file, which counts in 32


def main() -> None:
    args = arguments()
    table, left = customers(args.rows)
    train_x, test_x, train_y, test_y = train_test_split(table, left, test_size=0.2, random_state=0, stratify=left)

    measured = {}
    for version, pipeline in pipelines().items():
        pipeline.fit(as_trained(train_x), train_y)
        file = args.out / "models" / f"{version}.onnx"
        file.parent.mkdir(parents=True, exist_ok=True)
        export(pipeline, file)
        scores = score(file, test_x)
        difference = check_same(pipeline, test_x, scores)
        measured[version] = figures(type(pipeline[-1]).__name__, file, test_y, scores, difference)
        print(f"version {version}: {json.dumps(measured[version])}", flush=True)

    write_samples(args.out / "samples", test_x, test_y, scores)
    (args.out / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS), encoding="utf-8")
    card = CARD.format(**settings(args.rows, table, test_y), table=card_table(measured), front=front(measured))
    (args.out / "MODEL_CARD.md").write_text(card, encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train, export and measure the churn models.")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (default: beside this file)")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"customers to draw (default: {ROWS})")
    return parser.parse_args()


# The pipelines


def pipelines() -> dict[str, Pipeline]:
    """Build a straight line that needs its numbers on one scale, and trees that do not.

    Trees are better off without: a scaled number, rounded to 32 bits, may fall on the other side of a split than it did
    in training. `check_same` would find it.
    """
    trees = GradientBoostingClassifier(n_estimators=120, max_depth=3, learning_rate=0.1, random_state=0)
    return {
        "1": make_pipeline(features(StandardScaler()), LogisticRegression(max_iter=1000)),
        "2": make_pipeline(features(), trees),
    }


def features(*scaler: TransformerMixin) -> ColumnTransformer:
    """Fill what is missing, and give each category a column of its own."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), *scaler)
    categories = make_pipeline(
        SimpleImputer(missing_values=MISSING, strategy="constant", fill_value="unknown"),
        OneHotEncoder(handle_unknown="ignore"),  # a category that was not there in training: all of its columns are 0
    )
    return ColumnTransformer([("numbers", numbers, NUMBERS), ("categories", categories, CATEGORIES)])


def as_trained(table: pd.DataFrame) -> pd.DataFrame:
    """The table as the models see it: numbers in 32 bits, because the file's are, and MISSING for unknown texts."""
    numbers = table[NUMBERS].astype(np.float32)
    categories = table[CATEGORIES].astype(object).where(table[CATEGORIES].notna(), MISSING)
    return pd.concat([numbers, categories], axis=1)[COLUMNS]


# The file


def export(pipeline: Pipeline, path: Path) -> None:
    """Write the whole pipeline, one input per column, as one ONNX file: label and probabilities come out."""
    kinds = [(name, (FloatTensorType if name in NUMBERS else StringTensorType)([None, 1])) for name in COLUMNS]
    model = skl2onnx.to_onnx(pipeline, initial_types=kinds, name="churn", options={"zipmap": False}, target_opset=18)
    opsets = sorted((opset.domain, opset.version) for opset in model.opset_import)  # of a set: in any order
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(*opset) for opset in opsets)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def score(path: Path, table: pd.DataFrame) -> np.ndarray:
    """What the file says to each row: the probability of each label."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    trained = as_trained(table)
    return session.run(["probabilities"], {name: trained[[name]].to_numpy() for name in COLUMNS})[0]


def check_same(pipeline: Pipeline, table: pd.DataFrame, exported: np.ndarray) -> float:
    """Fail if the file says anything else than the pipeline, row by row. Give the largest difference."""
    trained = pipeline.predict_proba(as_trained(table))
    np.testing.assert_allclose(exported, trained, atol=TOLERANCE, err_msg="the file differs from the pipeline")
    return float(np.abs(exported - trained).max())


# What people see


def figures(name: str, file: Path, truth: np.ndarray, scores: np.ndarray, difference: float) -> dict[str, object]:
    return {
        "model": name,
        "accuracy": round(float((scores.argmax(1) == truth).mean()), 4),
        "auc": round(float(roc_auc_score(truth, scores[:, 1])), 4),
        "brier": round(float(brier_score_loss(truth, scores[:, 1])), 4),
        "bytes": file.stat().st_size,
        "difference": float(f"{difference:.0e}"),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }


def write_samples(folder: Path, table: pd.DataFrame, truth: np.ndarray, scores: np.ndarray) -> None:
    """Write the row the last model is surest of for each label, and fifty rows as CSV."""
    folder.mkdir(exist_ok=True)
    for label, name in enumerate(LABELS):
        surest = np.where(truth == label, scores[:, label], 0).argmax()
        row = json.loads(table.iloc[surest].to_json())
        (folder / f"{name}.json").write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")
    table.head(50).to_csv(folder / "customers.csv", index=False, lineterminator="\n")


def settings(rows: int, table: pd.DataFrame, test_y: np.ndarray) -> dict[str, object]:
    return {
        "rows": rows,
        "seed": SEED,
        "held_out": len(test_y),
        "leave": float(test_y.mean()),
        "majority": 1 - float(test_y.mean()),
        "data_sha256": hashlib.sha256(table.to_csv(index=False).encode()).hexdigest(),
        "python": ".".join(platform.python_version_tuple()[:2]),
        "sklearn": sklearn.__version__,
        "skl2onnx": skl2onnx.__version__,
        "onnxruntime": ort.__version__,
    }


def front(measured: dict[str, dict[str, object]]) -> str:
    return "\n".join(
        f'  "{version}": {{auc: {found["auc"]}, accuracy: {found["accuracy"]}, sha256: {found["sha256"]}}}'
        for version, found in measured.items()
    )


def card_table(measured: dict[str, dict[str, object]]) -> str:
    return "\n".join(
        f"| {version} | {found['model']} | {found['auc']:.3f} | {found['accuracy']:.1%} | {found['brier']:.3f} "
        f"| {found['difference']:.0e} | {found['bytes']:,} |"
        for version, found in measured.items()
    )


CARD = """\
---
name: churn
task: tabular-classification
license: MIT
held_out: {held_out}
rows: {rows}
seed: {seed}
data_sha256: {data_sha256}
models:
{front}
versions:
  python: "{python}"
  scikit-learn: "{sklearn}"
  skl2onnx: "{skl2onnx}"
  onnxruntime: "{onnxruntime}"
---

# Who is about to leave?

Written by `train.py`; change that file, not this one.

## What it is for

Given what an internet provider knows of a customer, the models say how likely that customer is to leave within three
months. They exist to be served by path 2-2, and as a start for a model of your own. The customers are drawn from rules
(`data.py`): **nothing here says anything about real people**, and no decision about one should rest on it.

## How good the exported files are

Measured on {held_out} customers that no model has seen in training; {leave:.1%} of them left, so always saying "stays"
would be right {majority:.1%} of the time.

| Version | Model | AUC | Right | Brier | From scikit-learn at most | Bytes |
|---|---|---|---|---|---|---|
{table}

AUC: how often one who left gets a higher score than one who stayed; 0.5 is chance. Brier: the mean squared error of the
probability; lower is better. "From scikit-learn": the largest difference, over all held-out rows, between the file's
probability and the pipeline's own.

Version 2 sees what version 1 cannot: from the third call to support on, customers leave in numbers. That is why it gets
its chance, and why it first gets a tenth of the requests: better on held-out rows is not yet better in use.

## What goes in

| Column | Type | Null? | What it is |
|---|---|---|---|
| age | number | yes | years |
| tenure_months | integer | | months since the contract began |
| monthly_fee | number | | what is paid a month |
| data_gb | number | yes | gigabytes used last month |
| support_calls | integer | | calls to support in the last three months |
| contract | text | | monthly, yearly or two_years |
| payment | text | yes | card, transfer or invoice |
| region | text | | north, east, south or west |

A missing number is filled with the median of the training rows, a missing text becomes a category of its own. A category
that was not there in training counts as none: the models still answer, and are less sure than they look.

## Where it fails

- Its rules do not change; real customers do. A model in use wants to be measured again, and trained again.
- Outside what it has seen (a fee of 500, an age of 5) it answers as if nothing were odd.
- Age is among its columns. For real people, ask first whether it may be.
"""


if __name__ == "__main__":
    main()
