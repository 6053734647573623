"""Scores -> labels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from customai.workloads.scoring.config import ModelConfig, Scores

TOP = 5
_DIGITS = 6  # of a probability; float32 has no more


def probabilities(scores: NDArray[Any], kind: Scores) -> NDArray[Any]:
    """[rows, classes] in, the same out. Logits go through a softmax that cannot overflow; probabilities pass as they are."""
    if kind == "probabilities":
        return scores
    with np.errstate(invalid="ignore"):  # inf - inf: the model's own NaN, told as null
        exponents = np.exp((scores - scores.max(axis=1, keepdims=True)).astype(np.float64))
    shares: NDArray[Any] = exponents / exponents.sum(axis=1, keepdims=True)
    return shares


def best(row: NDArray[Any], count: int) -> list[tuple[int, float]]:
    """(class, probability) of the highest `count` classes, highest first; ties go to the lower class."""
    order = np.argsort(-row, kind="stable")[:count]
    return list(zip(order.tolist(), row[order].tolist(), strict=True))


def predictions(scores: NDArray[Any], config: ModelConfig) -> list[dict[str, Any]]:
    """One {"label", "index", "probability", "top"} per row of scores [rows, classes]."""
    return [_prediction(row, config.labels) for row in probabilities(scores, config.scores)]


def named(scores: NDArray[Any], config: ModelConfig, names: NDArray[Any]) -> list[dict[str, Any]]:
    """One {"label", "probability"} per row, where the model itself names the row's class and model.json names none."""
    shares = probabilities(scores, config.scores).max(axis=1)
    pairs = zip(names.reshape(-1).tolist(), shares.tolist(), strict=True)
    return [{"label": str(name), "probability": round(share, _DIGITS)} for name, share in pairs]


def _prediction(row: NDArray[Any], labels: tuple[str, ...] | None) -> dict[str, Any]:
    ranked = best(row, TOP)
    top = [{"label": label_of(index, labels), "probability": round(share, _DIGITS)} for index, share in ranked]
    return {"label": top[0]["label"], "index": ranked[0][0], "probability": top[0]["probability"], "top": top}


def label_of(index: int, labels: tuple[str, ...] | None) -> str:
    return labels[index] if labels is not None and index < len(labels) else str(index)
