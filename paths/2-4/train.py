"""Train the models of path 2-4: one for each sensor, that tells its normal readings from the others.

    python train.py                    # writes models/ and MODEL_CARD.md beside this file
    python train.py --out /tmp/models

For each sensor, two kinds of model learn from 20 days of readings without being told which are wrong (isolation forest,
one-class SVM); the better of them on 10 later days is exported to ONNX. What is measured is the exported file.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime reads this once, when it is imported

import numpy as np
import onnxruntime as ort
from make_data import SENSORS, readings
from skl2onnx import to_onnx
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

HERE = Path(__file__).resolve().parent
COLUMNS = ["temperature", "vibration", "current"]
TRAIN_DAYS, TEST_DAYS = range(100, 120), range(120, 130)  # none of the days in data/


def main() -> None:
    parser = argparse.ArgumentParser(description="Train one model for each sensor.")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (default: beside this file)")
    args = parser.parse_args()
    (args.out / "models").mkdir(parents=True, exist_ok=True)
    rows = []
    for number, sensor in enumerate(SENSORS):
        train_x, _ = sample(number, TRAIN_DAYS)
        test_x, test_y = sample(number, TEST_DAYS)
        found = [(name, export(model.fit(train_x), train_x)) for name, model in candidates()]
        measured = [(*measure(data, test_x, test_y), name, data) for name, data in found]
        f1, precision, recall, name, data = max(measured, key=lambda each: each[0])
        (args.out / "models" / f"{sensor}.onnx").write_bytes(data)
        rows.append((sensor, name, f1, precision, recall, hashlib.sha256(data).hexdigest()))
        print(f"{sensor}: {name}, found {recall:.0%} of the wrong readings, {precision:.0%} of its alarms were right")
    table = "\n".join(
        f"| {sensor} | {name} | {recall:.2f} | {precision:.2f} | {f1:.2f} | `{sha256[:12]}` |"
        for sensor, name, f1, precision, recall, sha256 in rows
    )
    worst = min(rows, key=lambda row: row[2])
    mean = np.mean([row[2] for row in rows])
    text = CARD.format(table=table, mean=mean, worst=worst[0], worst_f1=worst[2], sensors=len(rows))
    (args.out / "MODEL_CARD.md").write_text(text, encoding="utf-8", newline="\n")


def sample(sensor: int, days: range) -> tuple[np.ndarray, np.ndarray]:
    """(readings [n, 3], which of them are wrong [n])."""
    tables = [readings(sensor, day) for day in days]
    x = np.concatenate([np.column_stack([table[name].to_numpy() for name in COLUMNS]) for table in tables])
    return x, np.concatenate([table["anomaly"].to_numpy() for table in tables])


def candidates() -> list[tuple[str, object]]:
    forest = IsolationForest(n_estimators=25, max_samples=64, contamination=0.02, random_state=0)
    machine = OneClassSVM(nu=0.02, gamma=0.5)
    return [
        ("isolation forest", make_pipeline(StandardScaler(), forest)),
        ("one-class SVM", make_pipeline(StandardScaler(), machine)),
    ]


def export(model: object, x: np.ndarray) -> bytes:
    onx = to_onnx(model, x[:1], target_opset={"": 18, "ai.onnx.ml": 3})
    return onx.SerializeToString(deterministic=True)


def measure(data: bytes, x: np.ndarray, wrong: np.ndarray) -> tuple[float, float, float]:
    """(F1, precision, recall) of the exported file: it says -1 for a reading that is not normal."""
    label, _ = ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"X": x})
    alarm = label.ravel() == -1
    hits = (alarm & wrong).sum()
    precision, recall = hits / max(alarm.sum(), 1), hits / wrong.sum()
    return 2 * precision * recall / max(precision + recall, 1e-9), precision, recall


CARD = """\
---
name: sensors
task: anomaly-detection
license: MIT
mean_f1: {mean:.4f}
---

# One model for each sensor

Written by `train.py`; change that file, not this one.

## What they are for

Each of the {sensors} models knows the normal readings of one pump: temperature, vibration and current. It says 1 for a
reading like those, -1 for one unlike them, and a score that is lower the stranger the reading is. Use them to learn
with: no real pump was measured.

## How they came to be

For each sensor an isolation forest and a one-class SVM learn from 20 days of generated readings (5,760, about 2 % of
them wrong, which the models are not told). The better of the two on 10 later days is kept. All data come from
`make_data.py`, with fixed seeds; the days in `data/` are none of these.

## How good they are

Measured from the exported files with onnxruntime, on the 2,880 later readings of each sensor:

| Sensor | Model | Found | Right alarms | F1 | SHA-256 |
|---|---|---|---|---|---|
{table}

Found: the share of the wrong readings that it calls wrong. Right alarms: the share of its alarms that are right.
The mean F1 is {mean:.2f}; {worst} is the weakest, with {worst_f1:.2f}.

## Limits

- Each model knows one pump. A new pump needs a model of its own; rows of unknown sensors are not guessed at.
- They know single readings, not what went before: a slow drift stays unseen until it has gone far.
- About one normal reading in fifty to a hundred raises an alarm, for that is how the models were set (2 %).
"""


if __name__ == "__main__":
    main()
