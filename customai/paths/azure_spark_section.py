"""What the `azure:` block of the paths with Spark may say."""

from __future__ import annotations

from dataclasses import dataclass

from customai import retirements
from customai.paths.azure_ml_section import MachineLearning
from customai.paths.azure_section import SIZE, SIZE_EXPECTED, Problems, ending_size, wrong_size
from customai.spec import key as spec_key

SIZE_THERE = "Standard_D4ds_v5"  # where the spec names none, on Databricks
RUNTIME = "17.3"  # of Databricks: Spark 4.0, long-term support until 2028-10-22
OLDEST = 17  # the first with Spark 4, which the workloads need


@dataclass(frozen=True)
class Workers:
    """The machines that work, and one of the same size that drives them: they come for a run, and go with it."""

    size: str | None = spec_key("The VM size.", default=None, pattern=SIZE, expected=SIZE_EXPECTED)
    min: int = spec_key("Fewest workers.", default=1, minimum=1, maximum=1000)
    max: int = spec_key("Most workers: as many as the run has work for.", default=2, minimum=1, maximum=1000)
    spot: bool = spec_key(
        "Workers that Azure may take back, for a fraction of the price; the machine that drives is none.", default=False
    )

    def problems(self) -> Problems:
        if self.size is not None:
            yield from wrong_size("size", self.size)
        if self.max < self.min:
            yield "max", f"expected at least min ({self.min})"

    def warnings(self) -> Problems:
        if self.size is not None:
            yield from ending_size("size", self.size)


@dataclass(frozen=True)
class SparkBatch(MachineLearning):
    """The machines that Spark runs on, and where they are."""

    workers: Workers = spec_key("The machines.", default=Workers)
    runtime: str | None = spec_key(
        f"The version of Databricks' runtime ({RUNTIME}), or of Spark on Azure ML; by default one with long support.",
        default=None,
        pattern=r"^\d+\.\d+$",
        examples=(RUNTIME,),
        expected='a version such as "17.3", in quotes',
    )


def wrong_runtime(place: str, runtime: str | None) -> Problems:
    """What is wrong with a runtime of Databricks: it has ended, or is too old for the workloads."""
    if runtime is None:
        return
    gone = list(retirements.ended(place, "runtime", f"databricks-{runtime}"))
    yield from gone
    if not gone and int(runtime.partition(".")[0]) < OLDEST:
        yield place, f"Databricks' runtime {runtime} has Spark 3, and this needs Spark 4: take {RUNTIME}"


def ending_runtime(place: str, runtime: str | None) -> Problems:
    yield from retirements.ending(place, "runtime", f"databricks-{runtime or RUNTIME}")
