"""Do two endpoints say the same? The largest difference of their answers to the same inputs, and how long each took."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from customai.model import Json

TOP = 5  # labels in an answer; one that is not among so many may still be less likely than the last of them


@dataclass(frozen=True)
class Reply:
    """What one endpoint said to one input: a prediction, or the error that stands in for it."""

    prediction: Json
    version: str
    seconds: float
    error: str | None = None


def report(urls: Sequence[str], names: Sequence[str], pairs: Sequence[tuple[Reply, Reply]], tolerance: float) -> Json:
    """The parity report. same: every answer is within the tolerance, and each input was answered by both or by neither."""
    compared = [
        (name, replies, found)
        for name, replies in zip(names, pairs, strict=True)
        if all(reply.error is None for reply in replies)
        for found in [difference(replies[0].prediction, replies[1].prediction)]
    ]
    refused = [(name, replies) for name, replies in zip(names, pairs, strict=True) if any(r.error for r in replies)]
    at, _, largest = max(compared, key=lambda each: each[2], default=("", None, None))
    one_refused = any((mine.error is None) != (theirs.error is None) for _, (mine, theirs) in refused)
    return {
        "endpoints": [_endpoint(url, [replies[i] for replies in pairs]) for i, url in enumerate(urls)],
        "inputs": len(pairs),
        "compared": len(compared),
        "tolerance": tolerance,
        "largest_difference": largest if largest is None or math.isfinite(largest) else None,
        "at": at or None,
        "label_disagreements": [
            {"input": name, "labels": labels, "difference": found if math.isfinite(found) else None}
            for name, replies, found in compared
            if len(set(labels := [reply.prediction.get("label") for reply in replies])) > 1
        ],
        "errors": [{"input": name, "errors": [reply.error for reply in replies]} for name, replies in refused],
        "same": largest is not None and largest <= tolerance and not one_refused,
    }


def difference(mine: Json, theirs: Json) -> float:
    """The largest difference between two predictions; infinite where they are not of one kind."""
    if "value" in mine and "value" in theirs:
        return _apart(mine["value"], theirs["value"])
    if "outputs" in mine and "outputs" in theirs:
        return _apart(mine["outputs"], theirs["outputs"])
    if "label" in mine and "label" in theirs:
        ours, others = _shares(mine), _shares(theirs)
        return max(_gap(label, ours, others) for label in {*ours, *others})
    return math.inf


def _apart(mine: Json, theirs: Json) -> float:
    """The largest difference of two numbers, or within two lists or objects of the same shape."""
    if isinstance(mine, dict) and isinstance(theirs, dict) and mine.keys() == theirs.keys():
        return max((_apart(mine[key], theirs[key]) for key in mine), default=0.0)
    if isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        return max((_apart(a, b) for a, b in zip(mine, theirs, strict=True)), default=0.0)
    if _is_number(mine) and _is_number(theirs):
        return abs(float(mine) - float(theirs))
    return 0.0 if mine == theirs else math.inf


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shares(prediction: Json) -> dict[str, float]:
    top = prediction.get("top") or [prediction]
    return {each["label"]: each["probability"] if each["probability"] is not None else math.nan for each in top}


def _gap(label: str, ours: dict[str, float], others: dict[str, float]) -> float:
    if label in ours and label in others:
        gap = abs(ours[label] - others[label])
        return 0.0 if math.isnan(ours[label]) and math.isnan(others[label]) else math.inf if math.isnan(gap) else gap
    known, other = (ours, others) if label in ours else (others, ours)
    return max(0.0, known[label] - (min(other.values()) if len(other) >= TOP else 0.0))


def _endpoint(url: str, replies: Sequence[Reply]) -> Json:
    times = sorted(reply.seconds for reply in replies if reply.error is None)
    return {
        "url": url,
        "versions": dict(sorted(Counter(reply.version for reply in replies if reply.error is None).items())),
        "median_ms": round(median(times) * 1000, 3) if times else None,
        "p95_ms": round(times[math.ceil(0.95 * len(times)) - 1] * 1000, 3) if times else None,
    }
