"""What the `azure:` block of the paths on Azure ML may say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from customai.paths.azure_section import SIZE, SIZE_EXPECTED, Place, Problems, ending_size, wrong_size
from customai.spec import key as spec_key

CPU, GPU = "Standard_D4ds_v5", "Standard_NC4as_T4_v3"  # where the spec names no size


@dataclass(frozen=True)
class Nodes:
    """The machines that jobs run on: they come when there is work, and go when there is none."""

    size: str | None = spec_key(
        f"The VM size; by default {CPU}, for images {GPU}.", default=None, pattern=SIZE, expected=SIZE_EXPECTED
    )
    min: int = spec_key("Fewest nodes; more than 0 are paid for day and night.", default=0, minimum=0, maximum=100)
    max: int = spec_key("Most nodes.", default=2, minimum=1, maximum=100)
    spot: bool = spec_key(
        "Nodes that Azure may take back, for a fraction of the price: serverless ones, as clusters have none any more.",
        default=False,
    )

    def problems(self) -> Problems:
        if self.size is not None:
            yield from wrong_size("size", self.size)
        if self.max < self.min:
            yield "max", f"expected at least min ({self.min})"
        if self.spot and self.min:
            yield "min", "spot nodes are serverless: they come for a job and go with it, so there is no fewest"

    def warnings(self) -> Problems:
        if self.size is not None:
            yield from ending_size("size", self.size)


@dataclass(frozen=True)
class TrainingCluster(Nodes):
    """The machines that train together."""

    processes: int = spec_key("Processes on each node: one for each of its GPUs.", default=1, minimum=1, maximum=16)


@dataclass(frozen=True)
class MachineLearning(Place):
    """An Azure ML workspace, and where it is."""

    registry: Literal["basic", "standard", "premium"] = spec_key("The container registry's tier.", default="basic")

    def problems(self) -> Problems:
        yield from self.place_problems()


@dataclass(frozen=True)
class Batch(MachineLearning):
    """The cluster that scores data sets, and where it is."""

    cluster: Nodes = spec_key("The nodes that score.", default=Nodes)


@dataclass(frozen=True)
class Together(MachineLearning):
    """The nodes that train together, and where they are."""

    cluster: TrainingCluster = spec_key("The nodes that train.", default=TrainingCluster)


@dataclass(frozen=True)
class Instances:
    """The machines behind an online endpoint."""

    size: str = spec_key("The VM size.", default=CPU, pattern=SIZE, expected=SIZE_EXPECTED)
    count: int = spec_key(
        "How many, for each version that is served; 3 or more for production.", default=1, minimum=1, maximum=50
    )

    def problems(self) -> Problems:
        yield from wrong_size("size", self.size)

    def warnings(self) -> Problems:
        yield from ending_size("size", self.size)


@dataclass(frozen=True)
class Online(MachineLearning):
    """The online endpoint that serves the model, and where it is."""

    instances: Instances = spec_key("The machines that serve.", default=Instances)
    private: bool = spec_key("An endpoint that only the workspace's own network sees.", default=False)
