"""Which trials a sweep makes, which one is the best, and how that looks."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from customai.errors import RunFailed
from customai.workloads.training import sweep
from customai.workloads.training.plot import svg

ASKED = {"parameters": {"lr": [0.1, 0.2, 0.3], "batch": [32, 64]}, "trials": None, "seed": 0, "metric": "loss"}


def combinations(**changes):
    return [trial.parameters for trial in sweep.trials({**ASKED, **changes}, Path("/trials"))]


def row(trial, loss, error=None):
    return {"trial": trial, "lr": 0.1 * trial, "batch": 32, "loss": loss, "error": error, "folder": f"/trials/{trial}"}


def test_every_combination_is_tried_once():
    every = combinations()
    assert len(every) == 6
    assert {(each["lr"], each["batch"]) for each in every} == {
        (lr, batch) for lr in (0.1, 0.2, 0.3) for batch in (32, 64)
    }


def test_fewer_are_chosen_by_the_seed_and_the_same_seed_chooses_the_same():
    assert combinations(trials=3) == combinations(trials=3)
    assert len(combinations(trials=3)) == 3
    assert len({str(combinations(trials=3, seed=seed)) for seed in range(10)}) > 1


def test_a_trials_folder_is_named_by_its_parameters():
    def names(**changes):
        return {str(trial.folder) for trial in sweep.trials({**ASKED, **changes}, Path("/trials"))}

    assert len(names()) == 6
    assert names() == names(metric="accuracy", slots=7)
    assert not names() & names(parameters={"lr": [0.4, 0.5], "batch": [32]})


@pytest.mark.parametrize(("goal", "best"), [("min", 2), ("max", 1)])
def test_the_best_is_the_first_of_those_that_are_best_and_done(goal, best):
    table = [row(1, 0.9), row(2, 0.1), row(3, 0.1), row(4, None, "failed"), row(5, 0.9)]
    assert sweep._best(table, {**ASKED, "goal": goal})["trial"] == best


def test_when_none_comes_to_an_end_the_first_reason_is_told():
    with pytest.raises(RunFailed, match="none of the 2 trials came to an end: no such flag"):
        sweep._best([row(1, None, "no such flag"), row(2, None, "another")], {**ASKED, "goal": "min"})
    with pytest.raises(RunFailed, match="no trial has 'loss' in its result"):
        sweep._best([row(1, None)], {**ASKED, "goal": "min"})


def test_the_plot_has_a_panel_for_each_parameter_and_a_dot_for_each_trial():
    drawn = ET.fromstring(svg([row(1, 0.9), row(2, 0.1), row(3, None, "failed")], ["batch", "lr"], "loss"))
    dots = drawn.findall("{*}circle")
    assert len(dots) == 4
    assert {dot[0].text for dot in dots} >= {"trial 2: batch 32, loss 0.1"}
    width, height = float(drawn.attrib["width"]), float(drawn.attrib["height"])
    assert all(0 < float(dot.attrib["cx"]) < width and 0 < float(dot.attrib["cy"]) < height for dot in dots)
    heights = {dot[0].text: float(dot.attrib["cy"]) for dot in dots}
    assert heights["trial 1: batch 32, loss 0.9"] < heights["trial 2: batch 32, loss 0.1"]  # up is more


def test_the_plot_of_equal_trials_and_of_words_is_a_plot_too():
    table = [{**row(1, 0.5), "kernel": "a<b"}, {**row(2, 0.5), "kernel": "&"}]
    assert len(ET.fromstring(svg(table, ["kernel"], "loss")).findall("{*}circle")) == 2
