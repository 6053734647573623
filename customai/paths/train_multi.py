"""Training on many nodes (1-2): one model on N nodes with torchrun, or K trials over N slots."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Literal

from customai.model import Json, Step, digest
from customai.paths import Files, azure_multi
from customai.paths.azure_ml_section import Together, TrainingCluster
from customai.paths.train_single import NAME, Tracking, Train, named, script_of, step, wrong_names
from customai.spec import Scalar
from customai.spec import key as spec_key


@dataclass(frozen=True)
class Sweep:
    """Trials of the same script with different parameters, of which the best is chosen."""

    parameters: dict[str, tuple[Scalar, ...]] = spec_key("The values to try, by parameter.")
    trials: int | None = spec_key(
        "How many combinations, chosen at random; by default all of them.", default=None, minimum=1, maximum=1000
    )
    slots: int = spec_key("How many trials run at the same time.", default=2, minimum=1, maximum=64)
    metric: str = spec_key("The number in the script's result that says which is best.", default="accuracy")
    goal: Literal["max", "min"] = spec_key("Whether the best is the largest or the smallest.", default="max")
    seed: int = spec_key("Chooses the combinations: the same seed, the same ones.", default=0, minimum=0)

    def problems(self) -> Iterable[tuple[str, str]]:
        yield from wrong_names("parameters", self.parameters)
        if not self.parameters:
            yield "parameters", "expected at least one parameter with the values to try"
        for name, values in self.parameters.items():
            if not values:
                yield f"parameters.{name}", "expected at least one value to try"
            if any(isinstance(value, bool) for value in values) and not all(
                isinstance(value, bool) for value in values
            ):
                yield f"parameters.{name}", "true and false do not go together with other values"
        combinations = math.prod(len(values) for values in self.parameters.values())
        if self.trials is not None and self.trials > combinations > 0:
            yield "trials", f"there are only {combinations} combinations; leave `trials` out to try them all"


@dataclass(frozen=True)
class Spec:
    """Path 1-2: training on many nodes."""

    path: Literal["1-2"] = spec_key("The learning path.")
    name: str = spec_key(
        "The deployment's name, and the experiment's in MLflow.",
        pattern=NAME,
        examples=("digits-nodes",),
        expected="2 to 32 small letters, digits and hyphens, a letter first",
    )
    train: Train = spec_key("What is trained, and how.")
    nodes: int | None = spec_key(
        "How many nodes train the model together; on this machine, processes. 2 unless there is a sweep.",
        default=None,
        minimum=1,
        maximum=64,
    )
    restarts: int = spec_key(
        "How often the nodes may begin again from the last checkpoint, after one of them was lost.",
        default=3,
        minimum=0,
        maximum=100,
    )
    sweep: Sweep | None = spec_key("Trials of the script, in place of one training on many nodes.", default=None)
    tracking: Tracking = spec_key("Who is told of each run.", default=Tracking)
    azure: Together | None = spec_key("With --target azure: where, and on what nodes.", default=None)

    def problems(self) -> Iterable[tuple[str, str]]:
        if self.azure is not None and self.sweep is None and self.azure.cluster.max < self.together:
            yield "azure.cluster.max", f"expected at least nodes ({self.together}): they train together"
        if self.sweep is None:
            return
        if self.nodes is not None:
            yield "nodes", "a trial of a sweep runs on one node: leave `nodes` out, and set sweep.slots"
        for name in sorted(set(self.sweep.parameters) & set(self.train.parameters)):
            yield f"sweep.parameters.{name}", "it is fixed in train.parameters: keep one of the two"

    @property
    def together(self) -> int:
        """How many nodes train one model."""
        return self.nodes or 2


def files(spec: Spec) -> tuple[tuple[str, str], ...]:
    """(key path, file) of every file of the user's own that the spec names."""
    return named(spec.train)


def steps(spec: Spec, files: Files) -> tuple[Step, ...]:
    script = script_of(spec.train, files)
    if spec.sweep is not None:
        asked = json.dumps(asdict(spec.sweep), sort_keys=True)
        command = ["python", "-m", "customai.workloads.training.sweep", asked, *script]
        why = f"trials of {spec.train.script}, {spec.sweep.slots} at a time, and the best of them"
    else:
        nodes = spec.together
        command = ["python", "-m", "customai.workloads.training.nodes", json.dumps(_nodes(spec)), *script]
        why = f"{spec.train.script} on {nodes} node{'s' * (nodes > 1)}, from the last checkpoint if there is one"
    return (step(command, spec.train, spec.tracking.env(spec.name), files, why),)


def azure_steps(spec: Spec, files: Files, surroundings: Json) -> tuple[Step, ...]:
    """Nodes that run the same script with the same parameters."""
    return azure_multi.steps(
        spec.azure or Together(cluster=TrainingCluster(max=spec.together)),
        name=spec.name,
        path=spec.path,
        spec_digest=digest(asdict(spec)),
        subscription=surroundings["subscription"],
        files=files,
        spec=spec,
    )


def rehearsal(spec: Spec, files: Files, notice: float, seed: int) -> Step:
    """Trains once more; `seed` chooses when which node is taken away, `notice` is the seconds that it is given."""
    asked = json.dumps({**_nodes(spec), "notice": notice, "seed": seed})
    undisturbed = {"$ref": "train#folder"}
    command = [
        "python",
        "-m",
        "customai.workloads.training.rehearsal",
        undisturbed,
        asked,
        *script_of(spec.train, files),
    ]
    made = step(command, spec.train, {}, files, "the same once more, with a node taken away")
    return replace(made, id="rehearsal")


def _nodes(spec: Spec) -> Json:
    return {"nodes": spec.together, "restarts": spec.restarts}
