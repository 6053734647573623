"""Scaling is a plan with other numbers, brought about like any other: it is kept, and `rollback` undoes it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace

import click

from customai import history, ui
from customai.cli import options
from customai.cli.deploy import bring_about
from customai.errors import NotAvailable, SpecError, StateError
from customai.journal import locked
from customai.model import Json, Plan, Step
from customai.paths.azure_section import SIZE, wrong_size
from customai.targets import load

MOST = 1000


@click.command("scale")
@options.deployment()
@click.option("--replicas", metavar="N|MIN-MAX", help="Copies of the scoring server; on Azure, pods or machines.")
@click.option("--nodes", metavar="N|MIN-MAX", help="On Azure: nodes of 2-5's pool or of the cluster; 0 is none.")
@click.option("--pool", metavar="NAME", help="Of several pools, which.")
@click.option("--size", metavar="SIZE", help="1-1 on Azure: another size of the machine, which is started anew.")
@options.output
def command(
    deployment: str, *, replicas: str | None, nodes: str | None, pool: str | None, size: str | None, output: str
) -> None:
    """Change how much there is of it, and nothing else. A range is the autoscaler's; N alone is that many.

    The spec stays as it is: the next deploy brings about what it says.
    """
    options.hear_interrupts_once()
    if replicas is None and nodes is None and size is None:
        raise click.UsageError("say what: --replicas, --nodes or --size")
    if pool is not None and nodes is None:
        raise click.UsageError("--pool goes with --nodes")
    journal = options.deployment_of(deployment)
    with locked(journal.folder, f"customai scale {deployment}"):
        plan = history.read(journal.folder).now
        if plan is None:
            hint = f"bring it to an end first: customai deploy {shlex.quote(deployment)}"
            raise StateError(f"the last deployment of {journal.header.name} was not brought to its end", hint=hint)
        if replicas is not None:
            wanted = _range("--replicas", replicas, 1)
            machines = [step for step in plan.steps if step.kind == "online_deployment"]
            for changed in [_machines(step, wanted) for step in machines] or [_replicas(plan, wanted)]:
                plan = _with(plan, changed)
        if nodes is not None:
            plan = _with(plan, _nodes(plan, _range("--nodes", nodes, 0), pool))
        if size is not None:
            plan = _with(plan, _sized(plan, size))
        result = bring_about(plan, load(plan.target, journal.folder), journal.header, output)
    ui.show(result, _lines(plan, result, shlex.quote(deployment)), output)


def _range(option: str, given: str, least: int) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", given)
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (-1, -1)
    if not least <= low <= high <= MOST:
        raise SpecError(
            f"{option}: expected a number from {least} to {MOST}, or a range such as 2-10, got '{given}'",
            hint="customai scale 2-5 --replicas 3",
        )
    return low, high


def _with(plan: Plan, changed: Step) -> Plan:
    return replace(plan, steps=tuple(changed if step.id == changed.id else step for step in plan.steps))


def _replicas(plan: Plan, wanted: tuple[int, int]) -> Step:
    low, high = wanted
    if (served := _first(plan, "endpoint")) is not None:
        if low != high:
            hint = f"customai scale {plan.path} --replicas {high}"
            raise NotAvailable("no autoscaler runs on this machine: give one number", hint=hint)
        return _changed(served, {"server": {"replicas": low}})
    applied = _first(plan, "kubernetes")
    if applied is None:
        raise NotAvailable(f"{plan.name} has no replicas (path {plan.path}, target {plan.target})", hint=_what(plan))
    manifests = [
        _merged(each, {"spec": {"minReplicas": low, "maxReplicas": high}})
        if each["kind"] == "HorizontalPodAutoscaler"
        else each
        for each in applied.inputs["manifests"]
    ]
    return _changed(applied, {"manifests": manifests})


def _machines(step: Step, wanted: tuple[int, int]) -> Step:
    """The machines behind a version of the model, in Azure ML."""
    low, high = wanted
    if low != high:
        hint = "give one number; a range is for an autoscale rule of Azure Monitor, which is yours to add"
        raise NotAvailable("customai makes no autoscaler for an endpoint of Azure ML", hint=hint)
    changed = _changed(step, {"body": {"sku": {"capacity": low}}})
    return replace(changed, why=re.sub(r"on \d+ of", f"on {low} of", step.why))


def _cluster(step: Step, wanted: tuple[int, int]) -> Step:
    """The cluster of Azure ML."""
    low, high = wanted
    limits = {"minNodeCount": low, "maxNodeCount": max(high, 1)}
    changed = _changed(step, {"body": {"properties": {"properties": {"scaleSettings": limits}}}})
    return replace(changed, why=re.sub(r"\d+ to \d+ of", f"{low} to {max(high, 1)} of", step.why))


def _nodes(plan: Plan, wanted: tuple[int, int], pool: str | None) -> Step:
    if (cluster := _first(plan, "ml_compute")) is not None:
        return _cluster(cluster, wanted)
    pools = {step.id.rpartition("/")[2]: step for step in plan.steps if step.kind == "node_pool"}
    if not pools:
        raise NotAvailable(f"{plan.name} has no nodes (path {plan.path}, target {plan.target})", hint=_what(plan))
    if pool is None and len(pools) > 1:
        raise SpecError(f"there are {len(pools)} pools: say which", hint=f"--pool {' | '.join(pools)}")
    step = pools.get(pool or next(iter(pools)))
    if step is None:
        raise SpecError(f"there is no pool '{pool}'", hint=f"the pools are {', '.join(pools)}")
    low, high = wanted
    kept = {
        key: value for key, value in step.inputs["body"]["properties"].items() if key not in ("minCount", "maxCount")
    }
    numbers = {"enableAutoScaling": False, "count": low}
    if low != high:
        numbers = {"enableAutoScaling": True, "count": low, "minCount": low, "maxCount": high}
    body = step.inputs["body"] | {"properties": kept | numbers}
    why = f"the nodes that score, {low}" if low == high else f"the nodes that score, {low} to {high}"
    return replace(step, inputs=step.inputs | {"body": body}, after=step.needs, why=why)


def _sized(plan: Plan, size: str) -> Step:
    machine = _first(plan, "dsvm")
    if machine is None:
        raise NotAvailable(f"{plan.name} has no machine of its own to size (target {plan.target})", hint=_what(plan))
    problems = [message for _, message in wrong_size("size", size)]
    if not re.match(SIZE, size):
        problems.append(f"'{size}' is no VM size, such as Standard_D4ds_v5")
    if problems:
        raise SpecError(problems[0], where="--size")
    changed = _changed(machine, {"body": {"properties": {"hardwareProfile": {"vmSize": size}}}})
    return replace(changed, why=f"the machine that trains, {size}")


def _what(plan: Plan) -> str:
    """What of this plan can be scaled."""
    kinds = {"endpoint": "--replicas", "kubernetes": "--replicas", "node_pool": "--nodes", "dsvm": "--size"}
    kinds |= {"online_deployment": "--replicas", "ml_compute": "--nodes"}
    found = list(dict.fromkeys(kinds[step.kind] for step in plan.steps if step.kind in kinds))
    return (
        f"what can be scaled here: {', '.join(found)}" if found else "a job takes what this machine has: see its spec"
    )


def _first(plan: Plan, kind: str) -> Step | None:
    return next((step for step in plan.steps if step.kind == kind), None)


def _changed(step: Step, more: Json) -> Step:
    return replace(step, inputs=_merged(step.inputs, more), after=step.needs)


def _merged(old: Json, new: Json) -> Json:
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: _merged(old.get(key), value) for key, value in new.items()}
    return new


def _lines(plan: Plan, result: Json, given: str) -> Iterator[str]:
    changed = [step["id"] for step in result["steps"] if step["action"] not in ("kept", "deleted")]
    yield (
        f"{plan.name} is scaled: {', '.join(changed)}"
        if changed
        else f"{plan.name} is of that size already: nothing to do"
    )
    again = f"customai deploy {given}" + ("" if plan.target == "local" else f" --target {plan.target}")
    yield f"The spec was not touched; what it says comes back with: {again}"
