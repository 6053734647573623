"""What a model takes and gives: names, datatypes, shapes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from customai.workloads.scoring.tensors import DATATYPES

Feed = dict[str, NDArray[Any]]  # input name -> array, in the signature's order


@dataclass(frozen=True)
class Tensor:
    """One input or output: name, Open Inference Protocol datatype, shape with -1 where any size goes."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclass(frozen=True)
class Signature:
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @cached_property
    def by_name(self) -> dict[str, Tensor]:
        return {tensor.name: tensor for tensor in self.inputs}

    @cached_property
    def output_index(self) -> dict[str, int]:
        return {tensor.name: i for i, tensor in enumerate(self.outputs)}

    def to_json(self) -> dict[str, Any]:
        return {"inputs": [t.to_json() for t in self.inputs], "outputs": [t.to_json() for t in self.outputs]}

    @cached_property
    def batched(self) -> bool:
        """Is the first dimension of every input and output free, as a batch's is?"""
        return all(t.shape[:1] == (-1,) for t in self.inputs + self.outputs)

    @cached_property
    def classes(self) -> int | None:
        """The index of the output that is a [batch, classes] float matrix, more than one class; None: there is none."""
        for i, tensor in enumerate(self.outputs):
            if DATATYPES[tensor.datatype].dtype.kind == "f" and len(tensor.shape) == len(("batch", "classes")):
                return None if tensor.shape[1] == 1 else i
        return None

    @cached_property
    def label(self) -> int | None:
        """The index of the output that names each row's class, as scikit-learn's classifiers have it."""
        return self._single("iuO") if self.classes is not None else None

    @cached_property
    def value(self) -> int | None:
        """The index of the one output of a regression: one number a row."""
        return self._single("f") if len(self.outputs) == 1 else None

    def _single(self, kinds: str) -> int | None:
        for i, tensor in enumerate(self.outputs):
            if tensor.shape in ((-1,), (-1, 1)) and DATATYPES[tensor.datatype].dtype.kind in kinds:
                return i
        return None


def fits(shape: Sequence[int], declared: Sequence[int]) -> bool:
    """Is this shape one the declared shape, with -1 where any size goes, allows?"""
    if len(shape) != len(declared):
        return False
    for size, wanted in zip(shape, declared, strict=True):  # noqa: SIM110 - on the hot path, and a generator costs as much again
        if wanted not in (size, -1):
            return False
    return True
