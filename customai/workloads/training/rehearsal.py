"""What if a node is taken away? `python -m customai.workloads.training.rehearsal FOLDER {"nodes": N, ...} SCRIPT ...`.

Trains once more, as the undisturbed run did; at a random moment one node is told to end, given notice, and ended, as a
spot eviction does; another one takes its place. The verdict: work lost, time lost, and whether the result is the same.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from random import Random
from typing import Any

from customai.errors import RunFailed
from customai.workloads.job.run import Run, main, read_json, write_json
from customai.workloads.training.nodes import TICK, Nodes, started
from customai.workloads.training.run import read_lines

LATEST = 0.8  # of the steps: after that there may be nothing left to disturb


def work(run: Run, arguments: list[str]) -> dict[str, Any]:
    undisturbed, asked, *script = Path(arguments[0]), json.loads(arguments[1]), *arguments[2:]
    steps = int(read_json(undisturbed / "progress.json").get("total") or 0)
    if steps < 2:
        hint = "let the script call Run.progress(step, steps) for every step"
        raise RunFailed("it cannot be rehearsed: the script does not tell how far it is", hint=hint)
    random = Random(asked["seed"])  # noqa: S311 (no secret depends on it)
    moment, victim = random.randint(1, max(1, int(steps * LATEST))), random.randrange(asked["nodes"])

    folder = run.folder / "disturbed"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with started(Nodes(folder, script, asked["nodes"], asked["restarts"])) as nodes:
        while _steps_done(folder) < moment:
            _go_on(nodes, run, "before the eviction")
        print(f"taking node {victim} away at step {_steps_done(folder)} of {steps}", flush=True)
        told = time.time()
        nodes.evict(victim, asked["notice"])
        reached, before = _steps_done(folder), len(read_lines(folder / "attempts.jsonl"))
        while len(attempts := read_lines(folder / "attempts.jsonl")) == before or _steps_done(folder) < reached:
            _go_on(nodes, run, "getting back to where it was")
        lost = time.time() - told
        while not nodes.step():
            _mirror(folder, run, "after the eviction")
            time.sleep(TICK)
    return {
        "node": victim,
        "step": reached,
        "steps": steps,
        "seed": asked["seed"],
        "notice": asked["notice"],
        "steps_lost": reached - attempts[-1]["step"],
        "seconds_lost": round(lost, 1),
        **_compared(read_json(undisturbed / "result.json"), read_json(folder / "result.json")),
    }


def _compared(expected: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Everything that the script itself put into its result."""
    differences = {
        name: {"undisturbed": expected.get(name), "disturbed": value}
        for name, value in found.items()
        if expected.get(name) != value
    }
    return {"equal": not differences, "differences": differences}


def _go_on(nodes: Nodes, run: Run, when: str) -> None:
    if nodes.step():
        raise RunFailed("the training ended before a node could be taken away", hint="rehearse with more epochs")
    _mirror(nodes.folder, run, when)
    time.sleep(TICK)


def _mirror(folder: Path, run: Run, when: str) -> None:
    if progress := read_json(folder / "progress.json"):
        write_json(run.folder / "progress.json", {**progress, "message": when})


def _steps_done(folder: Path) -> int:
    return int(read_json(folder / "progress.json").get("done", 0))


if __name__ == "__main__":
    main(work)
