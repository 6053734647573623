from types import SimpleNamespace

import pytest

from customai.workloads.scoring.config import ModelConfig
from customai.workloads.scoring.model import Model
from customai.workloads.scoring.pace import measure
from customai.workloads.scoring.signature import Signature, Tensor

CONFIG = ModelConfig("m", "1", "0" * 64)


def model(run, shape=(-1, 2)):
    tensor = Tensor("x", "FP32", shape)
    return Model(CONFIG, Signature((tensor,), (Tensor("y", "FP32", shape),)), run)


CLOCK = SimpleNamespace(now=0.0, perf_counter=lambda: CLOCK.now)  # models take the time they say, on any machine


def takes(seconds, per_row=0.0):
    def run(feed):
        CLOCK.now += seconds + per_row * len(feed["x"])
        return [feed["x"]]

    return run


def fails(feed):
    raise ValueError("no")


def mixes(feed):
    return [feed["x"] - feed["x"].mean(axis=0)]


@pytest.mark.parametrize(
    ("name", "given", "max_batch", "inline", "chosen", "piece"),
    [
        ("quick", model(lambda feed: [feed["x"]]), 0, True, 64, 64),
        ("slow, and a batch costs as little as a row", model(takes(0.004)), 0, False, 64, 64),
        ("slow, and a batch saves nothing", model(takes(0.0, 0.006)), 0, False, 1, 1),
        ("told", model(takes(0.004)), 5, False, 5, 5),
        ("quick alone, not in the batch asked for", model(takes(0.0, 0.0005)), 32, False, 32, 32),
        ("fixed first dimension", model(lambda feed: [feed["x"]], (3, 2)), 0, True, 1, 3),
        ("rows that look at each other", model(mixes), 0, False, 1, 0),
        ("any length of row", model(lambda feed: [feed["x"]], (-1, -1)), 0, False, 64, 64),
        ("fails on what is made up", model(fails), 0, False, 1, 0),
    ],
)
def test_where_a_model_runs_is_measured(monkeypatch, name, given, max_batch, inline, chosen, piece):
    monkeypatch.setattr("customai.workloads.scoring.pace.time", CLOCK)
    pace = measure(given, max_batch)
    assert (pace.inline, pace.piece > 0, pace.max_batch > 1) == (inline, piece > 0, chosen > 1)
    if max_batch or chosen == 1:
        assert (pace.max_batch, pace.piece) == (chosen, piece)
