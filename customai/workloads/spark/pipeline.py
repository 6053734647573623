"""What a SparkML pipeline reads: the raw columns that none of its stages makes."""

from __future__ import annotations

from typing import Any

from customai.workloads.spark.dataset import NUMBER, TEXT


def inputs_of(pipeline: Any) -> dict[str, str]:
    """The raw columns that a fitted pipeline reads: column -> number | text."""
    made: set[str] = set()
    found: dict[str, str] = {}
    last = pipeline.stages[-1]
    label = last.getLabelCol() if last.hasParam("labelCol") else None
    for stage in pipeline.stages[:-1]:
        outputs = named(stage, "outputCol")
        if label not in outputs:  # the answer's own encoding is no part of scoring
            kind = TEXT if type(stage).__name__ == "StringIndexerModel" else NUMBER
            found |= {name: kind for name in named(stage, "inputCol") if name not in made and name not in found}
            made.update(outputs)
    return found


def named(stage: Any, parameter: str) -> list[str]:
    """The columns of a stage's parameter, whether it was given one or several."""
    if stage.hasParam(f"{parameter}s") and stage.isSet(f"{parameter}s"):
        return list(stage.getOrDefault(f"{parameter}s"))
    return [stage.getOrDefault(parameter)] if stage.hasParam(parameter) else []
