"""The run that a training script works for."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from customai.errors import RunFailed
from customai.workloads.job import run as job
from customai.workloads.job.run import read_json, write_json
from customai.workloads.training import checkpoint, tracking


class Run(job.Run):
    """Where a script tells what it measures and keeps what it must not lose.

        run = Run.start(vars(arguments))
        step, state = run.resume() or (0, None)
        ...
        run.log(step, loss=loss, accuracy=accuracy)
        run.checkpoint(step, {"network": network.state_dict(), ...})
        ...
        run.finish({"accuracy": ..., "model": "model.onnx"})

    Where several processes train together, only the first (RANK 0) writes; the others may call everything all the same.
    """

    def __init__(self, folder: Path, parameters: Mapping[str, Any] | None = None) -> None:
        super().__init__(folder)
        self.parameters = dict(parameters or {})
        self.first = os.environ.get("RANK", "0") == "0"
        self._last = ""

    @classmethod
    def start(cls, parameters: Mapping[str, Any]) -> Run:
        """The run of this process. What another run with other parameters left in the folder is taken away."""
        plain = json.loads(json.dumps(dict(parameters), default=str))
        run = cls(job.Run.current().folder, plain)
        if run.first:
            if read_json(run.folder / "parameters.json") != plain:
                run._forget()
            write_json(run.folder / "parameters.json", plain)
        return run

    def resume(self) -> tuple[int, Any] | None:
        """(step, state) of the last checkpoint, or None. What was measured after it is dropped: it will be measured again."""
        found = checkpoint.load(self.folder / "checkpoints")
        if self.first:
            step = found[0] if found else 0
            self._cut_metrics(step)
            self._append("attempts.jsonl", {"step": step, "time": time.time()})
            if found:
                print(f"going on after step {step}", flush=True)
        return found

    def progress(self, done: float, total: float | None = None, unit: str = "", **more: Any) -> None:
        if self.first:
            super().progress(done, total, unit, **{"message": self._last, **more})

    def log(self, step: int, **metrics: float) -> None:
        """Writes down what was measured.

        Raises:
            RunFailed: one of the numbers is not finite. Every process raises, so that none waits for another.
        """
        numbers = {name: float(value) for name, value in metrics.items()}
        for name, value in numbers.items():
            if not math.isfinite(value):
                hint = "a smaller learning rate is the usual cure; the last checkpoint is kept"
                raise RunFailed(f"{name} is {value} at step {step}: the training has diverged", hint=hint)
        self._last = ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        if self.first:
            self._append("metrics.jsonl", {"step": step, "time": time.time(), **numbers})

    def checkpoint(self, step: int, state: Any) -> None:
        """Keeps what the script needs to go on after this step: tensors, numbers, texts, lists and dicts of them."""
        if self.first:
            checkpoint.save(self.folder / "checkpoints", step, state)

    def finish(self, result: dict[str, Any]) -> None:
        """What came of it. Tells the tracking server first: a run that has its result is complete."""
        if not self.first:
            return
        told = tracking.tell(self.folder, self.parameters, result)
        super().finish({**result, "tracking": told} if told else result)
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)

    def fail(self, message: str) -> None:
        """Tells the tracking server that it failed, and why."""
        if self.first:
            tracking.tell(self.folder, read_json(self.folder / "parameters.json"), {}, message)

    def metrics(self) -> list[dict[str, float]]:
        return read_lines(self.folder / "metrics.jsonl")

    def _append(self, name: str, line: Mapping[str, Any]) -> None:
        with open(self.folder / name, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _cut_metrics(self, step: int) -> None:
        kept = [line for line in self.metrics() if line["step"] <= step]
        temporary = self.folder / ".metrics.jsonl"
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
        temporary.replace(self.folder / "metrics.jsonl")

    def _forget(self) -> None:
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)
        for name in ("metrics.jsonl", "attempts.jsonl"):
            (self.folder / name).unlink(missing_ok=True)


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file; a line cut short by a kill is left out."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found
