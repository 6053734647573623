"""What both examples share: the digits, the measurement of the exported file, and the card that goes with it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime reads this once, when it is imported

import numpy as np
import onnxruntime as ort
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SPLIT_SEED = 0  # apart from the training's seed: whatever that is, the same digits are held back


class Images(NamedTuple):
    x: np.ndarray  # [n,1,8,8], 0 (background) to 1 (ink)
    y: np.ndarray  # [n], 0 to 9


class Data(NamedTuple):
    train: Images
    validation: Images  # chooses the best model
    test: Images  # measures the one that was chosen, once, at the end


def load() -> Data:
    """Read the 1,797 digits that come with scikit-learn; a fifth is held back for the test, as in path 2-5."""
    data = load_digits()
    x = (data.images / 16.0).astype(np.float32)[:, None]
    rest_x, test_x, rest_y, test_y = _split(x, data.target, 0.2)
    train_x, validation_x, train_y, validation_y = _split(rest_x, rest_y, 0.125)
    return Data(Images(train_x, train_y), Images(validation_x, validation_y), Images(test_x, test_y))


def _split(x: np.ndarray, y: np.ndarray, size: float) -> list[np.ndarray]:
    return train_test_split(x, y, test_size=size, random_state=SPLIT_SEED, stratify=y)


def finish(model: Path, trained: np.ndarray, test: Images, what: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Measure the exported file on the test digits, write its card, and give the figures.

    `trained` is what the model in memory says of the same digits: the file must say the same.
    """
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    exported = session.run(["probabilities"], {"image": test.x})[0]
    np.testing.assert_allclose(exported, trained, atol=1e-4, err_msg="the exported file differs from the model")
    wrong = int((exported.argmax(1) != test.y).sum())
    figures = {
        "test_accuracy": (len(test.y) - wrong) / len(test.y),
        "model": model.name,
        "model_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
    }
    model.with_name("labels.txt").write_text("".join(f"{digit}\n" for digit in range(10)))
    model.with_name("MODEL_CARD.md").write_text(
        CARD.format(
            what=what,
            parameters="\n".join(f"| `{name}` | {value} |" for name, value in parameters.items()),
            right=len(test.y) - wrong,
            held_out=len(test.y),
            size=model.stat().st_size,
            **figures,
        )
    )
    return figures


# No date in it: training again with the same seed must leave the same card.
CARD = """\
---
name: digits
task: image-classification
license: MIT
accuracy: {test_accuracy:.6f}
held_out: {held_out}
model_sha256: {model_sha256}
---

# Handwritten digits

It tells which digit, 0 to 9, is in a small image of one handwritten digit, light ink on a dark ground. Use it to learn
with, not to read cheques.

## The model

{what}, in one ONNX file of {size:,} bytes.

| | Name | Type | Shape |
|---|---|---|---|
| Input | `image` | float32, 0 (background) to 1 (ink) | batch, 1, 8, 8 |
| Output | `probabilities` | float32, each row sums to 1 | batch, 10 |

| Parameter | Value |
|---|---|
{parameters}

## The data

The 1,797 images of 8x8 pixels that come with scikit-learn (`load_digits`): real handwriting of 13 people (E. Alpaydin and
C. Kaynak, UCI Machine Learning Repository, 1998, CC BY 4.0). A fifth was held back for the test below; an eighth of the
rest chose the best model and was not learnt from.

## How good it is

**{right} of the {held_out} held-out digits right: {test_accuracy:.2%}**, measured from the exported file with onnxruntime.
One answer more or less moves the figure by a quarter of a percentage point.

## Limits

The digits held back were written by the same 13 people as those it learnt from: expect less from a new hand. It always
answers with a digit, also for a blank page or a cat.
"""
