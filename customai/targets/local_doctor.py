"""What this machine has for a plan: Python, the extras, Java, ports, disk, memory, cores. Without a plan: for any."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from customai.errors import CustomAIError
from customai.model import Plan, Step, dumps
from customai.targets import local_checks
from customai.targets.findings import OK, PROBLEM, UNKNOWN, WARNING, Finding, stops
from customai.workloads.spark import session

OLDEST, NEWEST = (3, 10), (3, 13)
EXTRAS = {  # extra -> (modules, the paths that need it, the word in a plan's step that tells)
    "serve": (local_checks.SERVE_EXTRA, "2-1, 2-2, 2-5", "customai.workloads.scoring"),
    "batch": (("numpy", "onnxruntime", "orjson", "PIL", "pyarrow"), "2-4, 2-6", "customai.workloads.batch"),
    "spark": (("pyspark", "pyarrow", "pandas", "onnxruntime"), "2-1, 2-3", "customai.workloads.spark"),
    "train": (("torch", "sklearn", "onnx", "skl2onnx"), "1-1, 1-2", "customai.workloads.training"),
    "blob": (("adlfs",), "2-3, 2-4, 2-6 with data in Azure", "abfs"),
    "hub": (("huggingface_hub",), "models named hf://", "hf://"),
    "azure": (("azure.identity", "azure.mgmt.compute"), "--target azure", ""),
}
MEMORY = 1.0  # GB that is little for anything; Spark needs SPARK_MEMORY
SPARK_MEMORY = 2.0
DISK = 1.0  # GB


def of_plan(plan: Plan, store: Path, servers: Path, secret: Callable[[str], str]) -> Iterator[Finding]:
    """What stops a deployment: addresses, what serving needs, secrets, room for the files."""
    for step in plan.steps:
        if step.verb == "serve":
            server = step.inputs["server"]
            yield _looked_at(
                "ports", f"{server['host']}:{server['port']} can be had", local_checks.serving, server, servers
            )
            if step.inputs["key"] is not None:
                name = step.inputs["key"]["$secret"]
                yield _looked_at("secrets", f"{name} is there", secret, name)
        elif step.verb == "upload":
            yield _looked_at(
                "disk", f"there is room for {step.id}", local_checks.uploading, step.inputs["files"], store
            )


def findings(plan: Plan | None, store: Path, servers: Path, secret: Callable[[str], str]) -> list[Finding]:
    steps = plan.steps if plan is not None else ()
    found = [_python(), *_extras(plan)]
    if plan is None or any(session.__package__ in dumps(step.inputs) for step in steps):
        found.append(_java(needed=plan is not None))
    if plan is not None:
        found += of_plan(plan, store, servers, secret)
    return [*found, _disk(store), _memory(spark=_uses(steps, "spark")), _cores(steps)]


def _looked_at(check: str, good: str, look: Callable[..., object], *arguments: object) -> Finding:
    try:
        look(*arguments)
    except CustomAIError as error:
        return stops(check, error)
    return Finding(check, OK, good)


def _python() -> Finding:
    version = sys.version_info[:2]
    if OLDEST <= version <= NEWEST:
        return Finding("python", OK, f"Python {sys.version.split()[0]}", sys.executable)
    wanted = f"{'.'.join(map(str, OLDEST))} to {'.'.join(map(str, NEWEST))}"
    return Finding("python", PROBLEM, f"Python {sys.version.split()[0]}, not {wanted}", sys.executable)


def _uses(steps: tuple[Step, ...], extra: str) -> bool:
    word = EXTRAS[extra][2]
    return any(word in dumps(step.inputs) or (extra == "serve" and step.verb == "serve") for step in steps if word)


def _extras(plan: Plan | None) -> Iterator[Finding]:
    """Those that the plan needs; without a plan all, and none of them is a problem."""
    for extra, (modules, paths, _) in EXTRAS.items():
        if plan is not None and not _uses(plan.steps, extra):
            continue
        missing = [module for module in modules if not _is_there(module)]
        if not missing:
            yield Finding("extras", OK, f"{extra} is installed", hint="")
            continue
        state = PROBLEM if plan is not None and extra != "train" else WARNING  # a script may not need all of `train`
        message = f"{extra} is not installed ({', '.join(missing)}): for {paths}"
        yield Finding("extras", state, message, hint=f"pip install 'customai[{extra}]'")


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:  # not even its parent is
        return False


def _java(*, needed: bool) -> Finding:
    try:
        program = session.java_program()
        version = session.java_version(program)
    except CustomAIError as error:
        state = PROBLEM if needed else WARNING
        return Finding("java", state, error.message, error.where, error.hint)
    if version < session.JAVA:
        message = f"Spark needs Java {session.JAVA} or later, this is Java {version}"
        return Finding("java", PROBLEM if needed else WARNING, message, program)
    return Finding("java", OK, f"Java {version}", program)


def _disk(store: Path) -> Finding:
    existing = next(parent for parent in (store, *store.parents) if parent.exists())
    free = shutil.disk_usage(existing).free / 1e9
    hint = "" if free >= DISK else "free some disk space, or set CUSTOMAI_HOME to a folder on another disk"
    return Finding("disk", WARNING if hint else OK, f"{free:.1f} GB free", str(existing), hint)


def _memory(*, spark: bool) -> Finding:
    found = available_memory()
    if found is None:
        return Finding("memory", UNKNOWN, "this system does not tell how much memory is free")
    least = SPARK_MEMORY if spark else MEMORY
    message = f"{found:.1f} GB of memory can be had"
    if found >= least:
        return Finding("memory", OK, message)
    return Finding("memory", WARNING, f"{message}: {least:g} GB are little enough", hint="end other programs")


def available_memory() -> float | None:
    """GB that a new program could have."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) / 1e6 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None


def _cores(steps: tuple[Step, ...]) -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    replicas = max((int(step.inputs["server"]["replicas"]) for step in steps if step.verb == "serve"), default=0)
    message = f"{cores} core{'s' if cores > 1 else ''}"
    if replicas > cores:
        hint = f"endpoint.replicas: {cores} in the spec"
        return Finding("cores", WARNING, f"{message}, for {replicas} replicas of the scoring server", hint=hint)
    return Finding("cores", OK, message)
