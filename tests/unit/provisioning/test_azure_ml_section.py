"""The `azure:` block of the paths on Azure ML: every problem with its place, before anything is made."""

from __future__ import annotations

import pytest

from customai.errors import SpecError
from customai.spec import InvalidSpec
from tests.azure.whole import Whole

SCHEDULE = 'schedule: "%s"\nazure: {}'


@pytest.mark.parametrize(
    ("whole", "place", "words"),
    [
        (Whole("2-4", "azure: {cluster: {spot: true, min: 1}}"), "azure.cluster.min", "spot nodes are serverless"),
        (Whole("2-4", "azure: {cluster: {min: 3}}"), "azure.cluster.max", "at least min (3)"),
        (Whole("2-4", "azure: {cluster: {size: Standard_NC6}}"), "azure.cluster.size", "ended on 20"),
        (Whole("2-4", SCHEDULE % "0 0 1 1 *"), "schedule", "knows no months"),
        (Whole("2-4", SCHEDULE % "0 0 1 * mon"), "schedule", "of the month or of the week"),
        (Whole("2-4", SCHEDULE % "0 0 31 2 *"), "schedule", "it never comes"),
        (
            Whole("2-4", 'schedule: "@daily"\nazure: {cluster: {spot: true}}'),
            "azure.cluster.spot",
            "a schedule needs the cluster's endpoint",
        ),
        (Whole("2-2", "azure: {instances: {count: 0}}"), "azure.instances.count", "from 1 to 50"),
        (Whole("1-2", "nodes: 4\nazure: {}", ("nodes:",)), "azure.cluster.max", "at least nodes (4)"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_problem_is_told_with_its_place(whole, place, words):
    with pytest.raises(InvalidSpec) as found:
        whole.spec()
    assert [problem.key for problem in found.value.problems] == [place]
    assert words in str(found.value.problems[0])


def test_a_cluster_is_large_enough_for_the_nodes_that_train_together():
    cluster = next(step for step in Whole("1-2", "nodes: 5", ("nodes:",)).steps() if step.kind == "ml_compute")
    assert cluster.inputs["nodes"]["max"] == 5


def test_an_input_that_is_not_there_is_told_before_anything_is_made():
    with pytest.raises(SpecError, match="there is nothing to score"):
        Whole("2-4", "input: nowhere", ("input:",)).steps()


def test_other_data_go_to_another_folder_and_another_script_is_another_job():
    one, other = (
        {step.id: step.inputs for step in Whole("2-4", f"input: {where}", ("input:",)).steps()}
        for where in ("data", "models")
    )
    assert one["data"]["folder"] != other["data"]["folder"]
    assert one["score"]["name"] != other["score"]["name"]
    assert one["environment"]["version"] == other["environment"]["version"]


def test_what_is_tried_is_whole_arguments():
    sweep = "sweep: {parameters: {lr: [0.1], fast: [true, false]}}"
    job = next(step for step in Whole("1-2", sweep, ("nodes:",)).steps() if step.kind == "ml_job").inputs["job"]
    assert job["searchSpace"] == {"lr": ["choice", [["--lr 0.1"]]], "fast": ["choice", [["--fast", ""]]]}
    assert job["trial"]["command"].endswith("${{search_space.lr}} ${{search_space.fast}}")
    assert job["objective"] == {"goal": "Maximize", "primaryMetric": "final_accuracy"}
