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
from typing import NoReturn

import click

from customai import paths, planner, ui
from customai.cli import deploy, options, ssh
from customai.errors import Conflict, Interrupted, NotAvailable, NotFound, NotInstalled
from customai.journal import Journal, folder_of, locked
from customai.model import Json, Plan
from customai.targets import load
from customai.targets.base import Watch


def deployed(plan: Plan, outputs: Json, given: str) -> Iterator[str]:
    """What to tell once it is trained: how good, where the model is, and what to type next."""
    if plan.target == "azure":
        yield from _machine(plan, outputs, given)
        return
    run = outputs["train"]
    yield from ui.table(list(rows_of(run)))
    yield ""
    yield f"Look into it: customai {paths.PATHS[plan.path].group} open {given}" if plan.path == "1-1" else _card(run)


def _machine(plan: Plan, outputs: Json, given: str) -> Iterator[str]:
    """A machine in Azure: how to train on it."""
    vm = next(step.inputs["body"]["properties"] for step in plan.steps if step.kind == "dsvm")
    yield f"The machine is up: {vm['hardwareProfile']['vmSize']}"
    address, user = outputs["public-ip"]["address"], vm["osProfile"]["adminUsername"]
    if any(step.kind == "nat_gateway" for step in plan.steps):
        yield "It is reached from its own network only: log in from there to train (azure.vm.public_ip in the spec)"
        return
    yield ""
    yield "Train on it, and use it:"
    rows = [
        (f"  customai train-single run {given}", "trains there, and fetches the model"),
        (f"  customai train-single open {given}", "JupyterLab on it, through a tunnel"),
        (f"  customai ssh {given}", f"a shell: ssh {user}@{address}"),
        (f"  customai stop {given}", "deallocates it: only its disk and address are paid for"),
    ]
    yield from ui.table(rows)


def rows_of(run: Json) -> Iterator[tuple[str, str]]:
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


@click.command("run")
@options.spec
@options.output
@click.pass_context
def run(context: click.Context, spec: str, output: str) -> None:
    """Train, and see it through: on the machine in Azure that is deployed, or else on this one, as deploy does.

    In Azure it goes on when you leave (Ctrl-C); the same command attaches to it again, and in the end fetches what it
    made. Nothing is trained twice: what was cut short goes on after its last checkpoint.
    """
    source = options.source_of(spec)
    journal = Journal.read(folder_of(source.name))
    if journal is None or journal.header.target == "local":
        context.invoke(deploy.command, spec=spec, target="local", output=output)
        return
    options.hear_interrupts_once()
    step = next(step for step in planner.plan(source, load("local", journal.folder)).steps if step.kind == "job")
    with locked(journal.folder, f"customai train-single run {spec}"):
        runs = ssh.runs_on(ssh.reached(journal), journal)
        with ui.watching(output) as observer:
            observer.began(step, f"{step.why}, on {runs.where}")
            watch = Watch(lambda message: observer.progress(step, message))
            try:
                found = runs.see_through(step.inputs, watch)
            except KeyboardInterrupt:
                hint = f"it goes on there: the same command follows it; to end it: customai stop {shlex.quote(spec)}"
                raise Interrupted("stopped watching", hint=hint) from None
    ui.show({"name": source.name, "target": journal.header.target, **found}, _trained(found), output)


def _trained(found: Json) -> Iterator[str]:
    yield from ui.table(list(rows_of(found)))
    yield ""
    yield _card(found)


@click.command("open")
@options.spec
@click.option("--ui", "mlflow", is_flag=True, help="Open MLflow's page of the runs instead.")
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="The port; by default any that is free.")
@options.output
def open(spec: str, *, mlflow: bool, port: int | None, output: str) -> None:  # noqa: A001 (the command's name)
    """Start JupyterLab in the path's folder, on this machine alone, until Ctrl-C.

    Where the path is deployed on Azure: on its machine, through an ssh tunnel that only this machine sees. It runs on
    when the tunnel is closed, and so does what you have begun in it.
    """
    source = options.source_of(spec)
    folder = source.file.resolve().parent
    port = _port(port)
    journal = Journal.read(folder_of(source.name))
    if journal is not None and journal.header.target != "local":
        if mlflow:
            hint = f"its runs are in the run folder: customai ssh {shlex.quote(spec)}"
            raise NotAvailable("MLflow's page is not opened on the machine in Azure", hint=hint)
        _open_there(journal, folder, port, output)
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


def _open_there(journal: Journal, folder: Path, port: int, output: str) -> NoReturn:
    """JupyterLab on the deployment's machine, with the path's files in its folder, which become the machine's own."""
    with locked(journal.folder, f"customai train-single open {journal.header.name}"):
        machine = ssh.reached(journal)
        runs = ssh.runs_on(machine, journal)
        ui.say("Starting JupyterLab there: the first time, what it needs is installed, which takes minutes")
        runs.copy("notebook", {file.name: file for file in sorted(folder.iterdir()) if file.is_file()})
        told = runs.notebook("notebook")
    page = "/lab/tree/explore.ipynb" if (folder / "explore.ipynb").exists() else "/lab"
    url = f"http://127.0.0.1:{port}{page}?token={told['token']}"
    ui.show({"url": url, "folder": runs.where}, [url, "Ctrl-C closes the tunnel; JupyterLab runs on there."], output)
    forward = f"127.0.0.1:{port}:127.0.0.1:{told['port']}"
    ssh.become(machine.ssh("-N", "-L", forward, "-o", "ExitOnForwardFailure=yes", asks=True))


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
