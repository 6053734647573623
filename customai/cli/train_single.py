"""What only training on a single node has."""

from __future__ import annotations

import os
import secrets
import shlex
import socket
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import click

from customai import paths, ui
from customai.cli import options
from customai.errors import Conflict, NotFound, NotInstalled
from customai.model import Json, Plan


def deployed(plan: Plan, outputs: Json, given: str) -> Iterator[str]:
    """What to tell once it is trained: how good, where the model is, and what to type next."""
    if plan.target == "azure":
        yield from _machine(plan, outputs)
        return
    run = outputs["train"]
    yield from ui.table(list(_rows(run)))
    yield ""
    yield f"Look into it: customai {paths.PATHS[plan.path].group} open {given}" if plan.path == "1-1" else _card(run)


def _machine(plan: Plan, outputs: Json) -> Iterator[str]:
    """A machine in Azure: how to get there."""
    vm = next(step.inputs["body"]["properties"] for step in plan.steps if step.kind == "dsvm")
    yield f"The machine is up: {vm['hardwareProfile']['vmSize']}"
    address, user = outputs["public-ip"]["address"], vm["osProfile"]["adminUsername"]
    inside = any(step.kind == "nat_gateway" for step in plan.steps)
    yield "It is reached from its own network only" if inside else f"Log in: ssh {user}@{address}"


def _rows(run: Json) -> Iterator[tuple[str, str]]:
    result = dict(run["result"])
    told, model = result.pop("tracking", None), result.pop("model", None)
    for name, value in sorted(result.items()):
        if isinstance(value, int | float):
            yield name.replace("_", " "), f"{value:.4f}" if isinstance(value, float) else str(value)
    if model is not None:
        yield "model", str(Path(run["folder"]) / model)
    yield "run folder", run["folder"]
    if told:
        yield "MLflow", told["uri"] if told["mlflow"] == "on" else f"off: {told['why']} ({told['hint']})"


def _card(run: Json) -> str:
    return f"Its card: {Path(run['folder']) / 'MODEL_CARD.md'}"


@click.command("open")
@options.spec
@click.option("--ui", "mlflow", is_flag=True, help="Open MLflow's page of the runs instead.")
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="The port; by default any that is free.")
@options.output
def open(spec: str, *, mlflow: bool, port: int | None, output: str) -> None:  # noqa: A001 (the command's name)
    """Start JupyterLab in the path's folder, on this machine alone, until Ctrl-C."""
    folder = options.source_of(spec).file.resolve().parent
    port = _port(port)
    if mlflow:
        _become(*_mlflow(spec, port), folder, output)
    _need("jupyterlab", "notebook")
    token = secrets.token_urlsafe(24)
    url = f"http://127.0.0.1:{port}/lab{'/tree/explore.ipynb' if (folder / 'explore.ipynb').exists() else ''}"
    if paths.folders() in folder.parents:
        ui.say(f"This is the example itself; for a copy of your own: customai init {shlex.quote(spec)} DIR")
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.ip=127.0.0.1"),
        *(f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--ServerApp.answer_yes=True"),
        *("--log-level=WARN", f"--ServerApp.root_dir={folder}"),
        *(["--allow-root"] if os.geteuid() == 0 else []),
    ]
    _become(command, f"{url}?token={token}", {"JUPYTER_TOKEN": token}, folder, output)


def _mlflow(spec: str, port: int) -> tuple[list[str], str, dict[str, str]]:
    """MLflow's own page needs all of MLflow, not only the part that writes runs down."""
    _need("mlflow.server", "", "pip install 'mlflow>=2.20,<3.18'")
    journal = options.deployment_of(spec)
    known = journal.known.get("train")
    told = known.outputs["result"].get("tracking") if known and known.outputs else None
    if not told or told["mlflow"] != "on":
        hint = "set tracking.mlflow to true in the spec, and deploy"
        raise NotFound(f"no run of {journal.header.name} was told to MLflow", hint=hint)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", told["uri"], "--port", str(port)]
    env = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return [*command, "--host", "127.0.0.1"], f"http://127.0.0.1:{port}", env


def _need(module: str, extra: str, hint: str = "") -> None:
    try:
        found = find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None or (module == "mlflow.server" and find_spec("flask") is None):
        name = module.partition(".")[0]
        raise NotInstalled(f"{name} is not installed here", hint=hint or f"pip install 'customai[{extra}]'")


def _port(asked: int | None) -> int:
    """The one that is asked for, or any that is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", asked or 0))
        except OSError as error:
            message = f"port {asked} cannot be used: {error.strerror}"
            raise Conflict(message, hint="leave --port out, and one that is free is taken") from None
        return int(probe.getsockname()[1])


def _become(command: list[str], url: str, env: dict[str, str], folder: Path, output: str) -> None:
    """Ends this program by becoming that one: Ctrl-C, the terminal and the exit code are its own."""
    ui.show({"url": url, "folder": str(folder)}, [url, "Ctrl-C ends it."], output)
    sys.stdout.flush()
    os.chdir(folder)
    os.execve(command[0], command, {**os.environ, **env})  # noqa: S606 (a program of our own Python, no shell)
