"""What the `azure:` block of the paths on Azure ML may say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from customai import retirements
from customai.paths.azure_section import SIZE, SIZE_EXPECTED, Place, Problems, ending_size, wrong_size
from customai.provisioning import function_app
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
    service: Literal["aml", "batchai"] = spec_key(
        "Azure Machine Learning; or Batch AI, which ended on 2019-03-31: for endpoints that still speak it.",
        default="aml",
    )
    ssh_key: str = spec_key(
        "With batchai: the file of the public key that logs in to its file server and nodes.",
        default="~/.ssh/id_ed25519.pub",
        pattern=r"^.+\.pub$",
        expected="the file of a public key, NAME.pub",
    )

    def problems(self) -> Problems:
        yield from super().problems()
        if self.spot and self.service == "batchai":
            yield "spot", "Batch AI knows low-priority nodes only, which ended too: leave `spot` out, or take aml"

    def warnings(self) -> Problems:
        yield from super().warnings()
        found = retirements.find("service", self.service)
        if found is not None:
            told = found.told("Batch AI", retirements.today())
            yield "service", f"{told}. It can still be planned and exported; deploy refuses it"


@dataclass(frozen=True)
class MachineLearning(Place):
    """An Azure ML workspace, and where it is."""

    registry: Literal["basic", "standard", "premium"] = spec_key("The container registry's tier.", default="basic")

    def problems(self) -> Problems:
        yield from self.place_problems()


@dataclass(frozen=True)
class Schedule:
    """What begins the runs that come by themselves."""

    service: Literal["datafactory", "functions"] = spec_key(
        "Azure Data Factory; or an app of Azure Functions, whose code is in customai.", default="datafactory"
    )
    plan: Literal["flex", "consumption"] = spec_key("Of functions: Flex Consumption.", default="flex")
    python: str = spec_key(
        "Of functions: the version of Python that the app runs.",
        default=function_app.PYTHON,
        pattern=r"^3\.\d+$",
        expected='a version such as "3.12", in quotes',
    )

    def problems(self) -> Problems:
        if self.plan == "consumption":
            ends = retirements.find("tier", "functions-consumption")
            told = ends.told("consumption", retirements.today()) if ends is not None else "take flex"
            yield "plan", f"{told} (Flex Consumption), the only one that is built here"
        ended = list(retirements.ended("python", "runtime", f"functions-python-{self.python}"))
        yield from ended
        if self.python not in function_app.PYTHONS and not ended:
            yield "python", f"Functions runs Python {', '.join(function_app.PYTHONS)}"


@dataclass(frozen=True)
class Batch(MachineLearning):
    """The cluster that scores data sets, and where it is."""

    cluster: Nodes = spec_key("The nodes that score.", default=Nodes)
    schedule: Schedule = spec_key("What begins the runs that come by themselves.", default=Schedule)


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
