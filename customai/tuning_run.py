"""`score-realtime tune`: the settings are measured on servers of their own, and the best is written into the spec."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from customai import engine, planner, spec, tuning
from customai.client import Endpoint, url_of
from customai.errors import NotAvailable, SpecError, StateError
from customai.load import load, post
from customai.model import Json
from customai.planner import Source
from customai.spec import edit
from customai.targets import load as target
from customai.targets import local_trial
from customai.targets.base import Watch
from customai.tuning import Measured, Setting

PARTS = 3  # of a measurement: its rate is their median, as a machine has always something else to do
WARM_UP = 0.3  # seconds
EACH = 150e6  # bytes of a replica beside its model
COPIES = 3  # of the model in a replica's memory, at most


def may_be_written(source: Source, given: str) -> None:
    """Before anything is measured.

    Raises:
        SpecError: it is a path's own spec; StateError: the file cannot be written.
    """
    if planner.is_packaged(source.file.parent):
        hint = f"make it yours: customai init {source.path.id} DIR, then tune DIR; or only look: "
        hint += f"customai score-realtime tune {shlex.quote(given)} --dry-run"
        raise SpecError("a path's own spec is not written", where=str(source.file), hint=hint)
    file = source.file.resolve()
    if not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):
        raise StateError("the spec cannot be written", where=str(file), hint="whose is it? ls -l; or: --dry-run")


def tuned(
    source: Source, file: Path | None, *, connections: int, seconds: float, tell: Callable[[str], object]
) -> Json:
    """Every measurement, the best of them, and what the spec must say for it ("changes")."""
    if getattr(source.spec, "mode", "serve") != "serve" or getattr(source.spec, "train", None) is not None:
        hint = "it needs `mode: serve`, and a model that is there: no `train`"
        raise NotAvailable("there is no endpoint to tune in this spec", where=str(source.file), hint=hint)
    sent, body, kind = _sent(source, file)
    endpoint, cores = source.spec.endpoint, local_trial.cores()
    now = Setting(endpoint.replicas, endpoint.threads, endpoint.max_batch)
    with tempfile.TemporaryDirectory(prefix="customai-tune-", ignore_cleanup_errors=True) as folder:
        server, most = _server(source, Path(folder))

        def measure(setting: Setting) -> Measured:
            with local_trial.serving(Path(tempfile.mkdtemp(dir=folder)), server | setting.to_json(), Watch()) as state:
                Endpoint(url_of(local_trial.HOST, state["port"]), timeout=60).score(body, name=sent)
                request = post("/score", body, {"content-type": kind})
                load(state["port"], request, connections, WARM_UP)
                parts = [load(state["port"], request, connections, seconds / PARTS) for _ in range(PARTS)]
            made = Measured(setting, tuning.together(parts), max(pace["max_batch"] for pace in state["pace"]))
            tell(f"  {_told(made)}")
            return made

        tell(f"Measuring, {seconds:g} s for each:")
        measured, found = tuning.search(now, cores, most, measure)
    changes = {name: value for name, value in found.setting.to_json().items() if value != getattr(endpoint, name)}
    changes = {} if found.load.failed else changes
    told = {"name": source.name, "path": source.path.id, "spec": str(source.file), "input": sent, "cores": cores}
    results = {"measured": [each.to_json() for each in measured], "now": measured[0].to_json(), "best": found.to_json()}
    return told | {"connections": connections, "seconds": seconds} | results | {"changes": changes}


def write(source: Source, numbers: Mapping[str, int]) -> None:
    """Puts the numbers into the spec's `endpoint`, all or nothing.

    Raises:
        StateError: the file was changed meanwhile, or cannot be written; SpecError: it is written in a way that is not
            edited here.
    """
    file = source.file.resolve()
    by_hand = ", ".join(f"{name}: {number}" for name, number in numbers.items())
    hint = f"write them by hand, into endpoint: {by_hand}"
    try:
        text = file.read_bytes().decode("utf-8")
        if text.splitlines() != source.text.splitlines():
            raise StateError("the spec was changed while its settings were measured", where=str(file), hint=hint)
        new = edit.with_numbers(text, "endpoint", numbers)
        if not _says(new, source, numbers):
            raise SpecError(
                "the spec's endpoint is written in a way that is not edited here", where=str(file), hint=hint
            )
        beside = file.with_name(f".{file.name}.new")
        beside.write_bytes(new.encode("utf-8"))
        shutil.copymode(file, beside)
        beside.replace(file)
    except OSError as error:
        raise StateError(f"the spec cannot be written: {error.strerror}", where=str(file), hint=hint) from error


def _says(text: str, source: Source, numbers: Mapping[str, int]) -> bool:
    """Whether the text is the spec with these numbers, and nothing else."""
    wanted = replace(source.spec, endpoint=replace(source.spec.endpoint, **numbers))
    try:
        return bool(spec.load(text, type(source.spec), file=str(source.file)) == wanted)
    except SpecError:
        return False


def _sent(source: Source, file: Path | None) -> tuple[str, bytes, str]:
    """(name, body, content type) of what is sent."""
    if file is None and source.spec.smoke_test is None:
        raise SpecError("there is nothing to send", where=str(source.file), hint="--input FILE, or a smoke_test")
    place = file or source.file.parent / source.spec.smoke_test.file
    try:
        data = place.read_bytes()
        if data.startswith((b"\x89PNG", b"\xff\xd8")):
            return place.name, data, "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
        row = json.loads(data)
    except OSError as error:
        raise SpecError(f"the input cannot be read: {error.strerror}", where=str(place)) from None
    except ValueError:
        row = None
    if not isinstance(row, dict):
        hint = "such as the spec's smoke_test"
        raise SpecError("the input is no PNG, no JPEG and no row: one JSON object", where=str(place), hint=hint)
    return place.name, json.dumps({"rows": [row]}).encode(), "application/json"


def _server(source: Source, folder: Path) -> tuple[Json, int]:
    """What server.json says, its models fetched and checked; and how many replicas have room in the memory."""
    there = target("local", folder)
    plan = planner.plan(source, there)
    outputs = {step.id: there.apply(step, step.inputs, "", Watch()) for step in plan.steps if step.kind == "model"}
    step = next(step for step in plan.steps if step.kind == "endpoint")
    size = sum(made["bytes"] for made in outputs.values())
    free = local_trial.memory()
    most = tuning.MOST_REPLICAS if free is None else max(1, int(free / (EACH + COPIES * size)))
    return engine.informed(step, outputs).inputs["server"], most


def _told(measured: Measured) -> str:
    setting, found = measured.setting, measured.load
    failed = f", {found.failed} failed" if found.failed else ""
    told = ", ".join(f"{name} {value}" for name, value in setting.to_json().items())
    return f"{told}: {found.rate:,.0f} requests/s{failed}"
