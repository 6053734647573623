"""K trials of a script over N slots: `python -m customai.workloads.training.sweep {"parameters": {...}, ...} SCRIPT ...`.

Each trial has a run folder of its own, named by its parameters: a sweep that was stopped finds there what is finished, and
what can go on from a checkpoint. A trial that fails is told of in the table; the others go on.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from customai.errors import RunFailed
from customai.workloads.job.run import FOLDER_VARIABLE, Run, main, read_json
from customai.workloads.training import lifeline
from customai.workloads.training.plot import svg
from customai.workloads.training.run import read_lines

TICK = 0.05  # seconds
KEPT = ("model.onnx", "MODEL_CARD.md", "labels.txt", "metrics.jsonl")  # of the best trial, beside the table


@dataclass(frozen=True)
class Trial:
    number: int
    parameters: dict[str, Any]
    folder: Path

    def to_json(self, metric: str) -> dict[str, Any]:
        result, error = read_json(self.folder / "result.json"), read_json(self.folder / "error.json")
        begun = read_lines(self.folder / "attempts.jsonl")[:1]
        ended = self.folder / "result.json"
        seconds = ended.stat().st_mtime - begun[0]["time"] if begun and ended.exists() else None
        return {
            "trial": self.number,
            "status": "done" if result else "failed" if error else "stopped",
            **self.parameters,
            metric: result.get(metric),
            "seconds": None if seconds is None else round(seconds, 1),
            "error": error.get("message"),
            "folder": str(self.folder),
        }


def trials(asked: dict[str, Any], folder: Path) -> list[Trial]:
    """The combinations in the order of the values; some of them, chosen by the seed, where fewer are asked for."""
    names = sorted(asked["parameters"])
    every = [
        dict(zip(names, values, strict=True)) for values in itertools.product(*map(asked["parameters"].get, names))
    ]
    if asked["trials"] is not None:
        chosen = Random(asked["seed"]).sample(range(len(every)), asked["trials"])  # noqa: S311 (no secret)
        every = [every[index] for index in sorted(chosen)]
    return [Trial(number, each, folder / _name(number, each)) for number, each in enumerate(every, 1)]


def _name(number: int, parameters: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()
    return f"{number:03}-{digest[:8]}"


def work(run: Run, arguments: list[str]) -> dict[str, Any]:
    asked, *script = json.loads(arguments[0]), *arguments[1:]
    every = trials(asked, run.folder / "trials")
    _see_through(run, every, asked["slots"], script)
    table = [trial.to_json(asked["metric"]) for trial in every]
    best = _best(table, asked)
    _keep(run.folder, every[best["trial"] - 1].folder, table, asked)
    return {
        "best": best["trial"],
        "metric": asked["metric"],
        asked["metric"]: best[asked["metric"]],
        **{name: best[name] for name in asked["parameters"]},
        **({"model": "model.onnx"} if (run.folder / "model.onnx").exists() else {}),
        "failed": sum(row["status"] != "done" for row in table),
        "trials": table,
    }


def _see_through(run: Run, every: list[Trial], slots: int, script: list[str]) -> None:
    waiting = [trial for trial in every if not (trial.folder / "result.json").exists()]
    done, failed = len(every) - len(waiting), 0
    running: dict[subprocess.Popen[bytes], Trial] = {}
    try:
        while waiting or running:
            while waiting and len(running) < slots:
                trial = waiting.pop(0)
                running[_start(trial, script)] = trial
            for process in [each for each in running if each.poll() is not None]:
                trial = running.pop(process)
                done += 1
                failed += _ended(trial, process.returncode)
            run.progress(
                done, len(every), "trials", message=f"{len(running)} running" + f", {failed} failed" * (failed > 0)
            )
            time.sleep(TICK)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def _start(trial: Trial, script: list[str]) -> subprocess.Popen[bytes]:
    trial.folder.mkdir(parents=True, exist_ok=True)
    (trial.folder / "error.json").unlink(missing_ok=True)
    env = {**os.environ, FOLDER_VARIABLE: str(trial.folder), lifeline.VARIABLE: "1", "OMP_NUM_THREADS": "1"}
    with open(trial.folder / "job.log", "ab") as log:
        command = [sys.executable, "-m", "customai.workloads.training", *script, *_arguments(trial.parameters)]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)


def _ended(trial: Trial, code: int) -> bool:
    """Tells of a trial that has ended; gives whether it failed."""
    if code == 0 and (trial.folder / "result.json").exists():
        print(f"trial {trial.number} done: {trial.parameters}", flush=True)
        return False
    told = read_json(trial.folder / "error.json")
    if not told:
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else "it told no result: let it call Run.finish"
        told = RunFailed(how, hint="is there enough memory?" if code == -signal.SIGKILL else "").to_json()
        (trial.folder / "error.json").write_text(json.dumps(told))
    print(f"trial {trial.number} failed: {trial.parameters}: {told['message']}", flush=True)
    return True


def _arguments(parameters: dict[str, Any]) -> list[str]:
    pairs = [(f"--{name}", value) for name, value in parameters.items() if value is not False]
    return [word for name, value in pairs for word in ((name,) if value is True else (name, str(value)))]


def _best(table: list[dict[str, Any]], asked: dict[str, Any]) -> dict[str, Any]:
    metric = asked["metric"]
    measured = [row for row in table if isinstance(row[metric], int | float)]
    if not measured:
        failed = [row for row in table if row["error"]]
        said = failed[0]["error"] if failed else f"no trial has '{metric}' in its result"
        where = failed[0]["folder"] if failed else ""
        raise RunFailed(f"none of the {len(table)} trials came to an end: {said}", where=where)
    choose = max if asked["goal"] == "max" else min
    return choose(measured, key=lambda row: row[metric])  # of equals, the first


def _keep(folder: Path, best: Path, table: list[dict[str, Any]], asked: dict[str, Any]) -> None:
    for name in KEPT:
        if (best / name).exists():
            shutil.copy(best / name, folder / name)
    with open(folder / "trials.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)
    (folder / "trials.svg").write_text(svg(table, sorted(asked["parameters"]), asked["metric"]), encoding="utf-8")


if __name__ == "__main__":
    main(work)
