"""How fast a model is, measured once at the start: this decides where it runs and how many rows at a time."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from customai.workloads.scoring.config import Preprocessing
from customai.workloads.scoring.model import Model
from customai.workloads.scoring.signature import Feed, Signature
from customai.workloads.scoring.tensors import DATATYPES, Array

# Below 2 ms a run is cheaper than handing it to a thread and back on a busy machine is certain to be.
QUICK = 0.002
# No run holds the event loop longer than this: it is what reading and health checks may be late by.
BUDGET = 0.005
# Beyond 64 rows a CPU gains almost nothing per row, and everyone in the batch waits for all of it.
MAX_BATCH = 64
# In a thread a batch is doubled only while twice the rows cost clearly less than twice the time.
WORTH = 1.8


@dataclass(frozen=True)
class Pace:
    """inline: run on the event loop. max_batch: rows that different requests may share a run with; 1: they never do.

    piece: rows of one request per run, 0: however many it has. latency: median seconds for one row.
    row_seconds: seconds for a row in the largest batch.
    """

    inline: bool
    max_batch: int
    piece: int
    latency: float
    row_seconds: float = 0.0


def measure(model: Model, max_batch: int = 0) -> Pace:
    """Warm the model up and time it. max_batch: 0 chooses. A model that fails on made-up rows is not trusted to share."""
    signature, how = model.signature, model.config.preprocessing
    fixed = signature.inputs[0].shape[0] if signature.inputs[0].shape else 1
    try:
        one = _seconds(model.run, sample(signature, how, 1), 5)
        shareable = signature.batched and independent(model.run, sample(signature, how, 2))
    except Exception:  # noqa: BLE001 - onnxruntime's exceptions share no base class
        return Pace(inline=False, max_batch=1, piece=max(fixed, 0), latency=0.0)
    # With a free dimension beside the batch (text), one row may cost anything: never on the event loop.
    quick = one < QUICK and not _open_ended(signature, how)
    if not shareable:
        return Pace(quick and fixed > 0, 1, max(fixed, 0), one, one / max(fixed, 1))
    if max_batch:
        taken = _seconds(model.run, sample(signature, how, max_batch), 3)
        return Pace(quick and taken < BUDGET, max_batch, max_batch, one, taken / max_batch)
    chosen, taken = _largest(lambda rows: _seconds(model.run, sample(signature, how, rows), 3), one, inline=quick)
    return Pace(quick, chosen, chosen, one, taken / chosen)


def independent(run: Callable[[Feed], list[Array]], pair: Feed) -> bool:
    """Does a row get the same outputs alone and in company? A softmax over the batch, for one, does not."""
    first = {name: array[:1] for name, array in pair.items()}
    alone, together = run(first), run(pair)
    return all(
        a.shape[:1] == (1,) and b.shape == (2, *a.shape[1:]) and _close(a[0], b[0])
        for a, b in zip(alone, together, strict=True)
    )


def sample(signature: Signature, how: Preprocessing | None, rows: int) -> Feed:
    """Made-up rows, floats from 0 to 1 so that no two rows are alike, zeros elsewhere; free dimensions are 1, or the image's."""
    feed: Feed = {}
    for tensor in signature.inputs:
        row = how.row_shape if how is not None else tuple(1 if size < 0 else size for size in tensor.shape[1:])
        shape = ((rows if tensor.shape[0] < 0 else tensor.shape[0]), *row) if tensor.shape else ()
        dtype = DATATYPES[tensor.datatype].dtype
        if dtype.kind == "f":
            feed[tensor.name] = np.linspace(0, 1, math.prod(shape), dtype=dtype).reshape(shape)
        else:
            feed[tensor.name] = np.full(shape, "" if dtype.kind == "O" else 0, dtype=dtype)
    return feed


def _largest(seconds: Callable[[int], float], one: float, *, inline: bool) -> tuple[int, float]:
    """(rows, seconds) of the largest batch worth it."""
    rows, taken = 1, one
    while rows < MAX_BATCH:
        doubled = seconds(2 * rows)
        if doubled > BUDGET if inline else doubled > WORTH * taken:
            break
        rows, taken = 2 * rows, doubled
    return rows, taken


def _open_ended(signature: Signature, how: Preprocessing | None) -> bool:
    return how is None and any(size < 0 for tensor in signature.inputs for size in tensor.shape[1:])


def _seconds(run: Callable[[Feed], Any], feed: Feed, times: int) -> float:
    run(feed)  # the first run of a shape allocates
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        run(feed)
        taken.append(time.perf_counter() - start)
    return median(taken)


def _close(a: Array, b: Array) -> bool:
    if a.dtype.kind == "f":
        return bool(np.allclose(a, b, rtol=1e-2, atol=1e-4, equal_nan=True))
    return bool(np.array_equal(a, b))
