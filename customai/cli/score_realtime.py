"""What only real-time scoring has."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from customai import history, ui
from customai.cli import azure_ml, options
from customai.cli.deploy import bring_about
from customai.client import Endpoint
from customai.errors import NotAvailable, NotFound, SpecError, StateError
from customai.journal import Journal, locked
from customai.model import Json, Plan, Step
from customai.targets import load


@click.command("rollback")
@options.deployment()
@options.output
def rollback(deployment: str, output: str) -> None:
    """Bring back what was deployed before the last change, model files and traffic included. No request is refused.

    The same command again goes forward. The spec stays as it is: the next deploy brings about what it says.
    """
    options.hear_interrupts_once()
    journal = options.deployment_of(deployment)
    with locked(journal.folder, f"customai score-realtime rollback {deployment}"):
        plans = history.read(journal.folder)
        if plans.before is None:
            hint = "one deployment, and no change since: there is nothing to go back to"
            raise NotFound(f"{journal.header.name} has no earlier deployment", where=str(journal.folder), hint=hint)
        result = _bring_about(plans.before, journal, output)
    _tell(result, plans.before, deployment, "is back at what was deployed before", output)


@click.command("kubeconfig")
@options.deployment()
@click.option(
    "--file", type=click.Path(path_type=Path), help="Where to write it; default: the deployment's state folder."
)
@options.output
def kubeconfig(deployment: str, *, file: Path | None, output: str) -> None:
    """Write a kubeconfig for the cluster, in a file of its own: it is never merged into another.

    There is no key and no token in it: kubectl logs you in with kubelogin and the Azure CLI, each time.
    """
    journal = options.deployment_of(deployment)
    known = next((known for known in journal.known.values() if known.step.kind == "aks"), None)
    if known is None or not known.outputs:
        hint = "2-5 has one on Azure: customai deploy 2-5 --target azure"
        raise NotFound(f"{journal.header.name} has no cluster that is deployed", hint=hint)
    target = load(journal.header.target, journal.folder)
    text = target.kubeconfig(known.step, journal.header.name)  # type: ignore[attr-defined]
    place = (file or journal.folder / "kubeconfig").absolute()
    _write(place, text, theirs=file is not None)
    lines = [
        f"{place} (only you can read it)",
        "",
        f"export KUBECONFIG={shlex.quote(str(place))}",
        "kubectl get pods      # needs kubectl and kubelogin: az aks install-cli",
    ]
    ui.show({"file": str(place), "context": journal.header.name}, lines, output)


def _write(place: Path, text: str, *, theirs: bool) -> None:
    """All or nothing, and for its owner alone. What is there already, and says something else, may be somebody's work."""
    try:
        if theirs and place.exists() and place.read_text(encoding="utf-8") != text:
            hint = "choose a new file; kubectl can merge two: KUBECONFIG=A:B"
            raise StateError("there is already another file", where=str(place), hint=hint)
        new = place.with_name(f".{place.name}.new")
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
            opened.write(text)
        new.replace(place)
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "it is not text"
        raise StateError(f"the kubeconfig cannot be written: {said}", where=str(place)) from error


@click.command("traffic")
@options.deployment()
@click.argument("shares", nargs=-1, required=True, metavar="VERSION=PERCENT...")
@options.output
def traffic(deployment: str, shares: tuple[str, ...], output: str) -> None:
    """Share the requests out among the model's versions; no request is refused. A version that is not named gets none.

    The spec stays as it is: the next deploy brings about what it says.
    """
    options.hear_interrupts_once()
    journal, wanted = options.deployment_of(deployment), dict(_share(share) for share in shares)
    if sum(wanted.values()) != 100 or len(wanted) < len(shares):
        raise SpecError("the shares must name each version once and add up to 100", where=" ".join(shares))
    with locked(journal.folder, f"customai score-realtime traffic {deployment}"):
        plan = history.read(journal.folder).now
        if plan is None:
            hint = "bring it to an end with deploy, or go back with rollback"
            raise StateError(f"the last deployment of {journal.header.name} was not brought to its end", hint=hint)
        plan = _shared_out(plan, wanted)
        result = _bring_about(plan, journal, output)
    _tell(result, plan, deployment, "shares its requests out anew", output)


def _share(given: str) -> tuple[str, int]:
    found = re.fullmatch(r"([\w.-]+)=(\d{1,3})%?", given)
    if found is None:
        raise SpecError(f"'{given}' is not VERSION=PERCENT", hint="customai score-realtime traffic 2-2 1=50 2=50")
    return found[1], int(found[2])


def _shared_out(plan: Plan, wanted: Mapping[str, int]) -> Plan:
    """The plan with other shares."""
    step = next((step for step in plan.steps if step.kind in ("endpoint", "traffic")), None)
    if step is not None and step.kind == "traffic":
        return _split_in_azure(plan, step, wanted)
    if step is None:
        hint = "put the versions and their shares into the spec, and deploy"
        raise NotAvailable(f"{plan.name} shares no requests out (target {plan.target})", hint=hint)
    server = step.inputs["server"]
    _are_known(wanted, [served["version"] for served in server["models"]])
    models = [served | {"traffic": wanted.get(served["version"], 0)} for served in server["models"]]
    changed = replace(step, inputs=step.inputs | {"server": server | {"models": models}})
    return replace(plan, steps=tuple(changed if each is step else each for each in plan.steps))


def _split_in_azure(plan: Plan, step: Step, wanted: Mapping[str, int]) -> Plan:
    deployments = azure_ml.versions(plan.steps)
    _are_known(wanted, list(deployments))
    shares = {deployments[version]: wanted.get(version, 0) for version in deployments}
    why = ", ".join(f"{share} % to {deployment}" for deployment, share in shares.items())
    inputs = step.inputs | {"wanted": {"traffic": shares}}
    changed = replace(step, inputs=inputs, after=step.needs, why=why)
    return replace(plan, steps=tuple(changed if each is step else each for each in plan.steps))


def _are_known(wanted: Mapping[str, int], known: list[str]) -> None:
    for version in wanted:
        if version not in known:
            raise SpecError(f"there is no version '{version}'", hint=f"the versions are {', '.join(known)}")


@click.command("tune")
@options.spec
@click.option("--dry-run", is_flag=True, help="Only show what is best: the spec stays as it is.")
@click.option(
    "--input",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What is sent: an image, or a JSON file with one row; by default the spec's smoke test.",
)
@click.option("--connections", type=click.IntRange(1, 1000), default=64, show_default=True, help="Clients at a time.")
@click.option("--seconds", type=click.FloatRange(0.1, 60), default=3.0, show_default=True, help="For each measurement.")
@options.output
def tune(spec: str, *, dry_run: bool, file: Path | None, connections: int, seconds: float, output: str) -> None:
    """Measure which replicas, threads and max_batch answer most requests on this machine, and write them into the spec.

    Each combination gets a server of its own, on another port and without a key; what is deployed is not touched. At most
    ten are measured, and what would take the place of the present one is measured twice. The spec's comments and order stay.
    """
    from customai import tuning_run

    options.hear_interrupts_once()
    source = options.source_of(spec)
    if not dry_run:
        tuning_run.may_be_written(source, spec)
    result = tuning_run.tuned(source, file, connections=connections, seconds=seconds, tell=ui.say)
    if result["changes"] and not dry_run:
        tuning_run.write(source, result["changes"])
    ui.show(
        result | {"written": bool(result["changes"]) and not dry_run}, _tuned(result, spec, dry_run=dry_run), output
    )


def _tuned(result: Json, given: str, *, dry_run: bool) -> Iterator[str]:
    rows = []
    for each in result["measured"]:
        marks = ["now"] * (each == result["now"]) + ["best"] * (each == result["best"])
        failed = f"{each['failed']} failed" if each["failed"] else ""
        batch = str(each["max_batch"]) if each["max_batch"] else f"0 ({each['chosen_batch']})"
        numbers = (f"{each['requests_per_second']:,.0f}", f"{each['p50_ms']:.2f} ms", f"{each['p99_ms']:.2f} ms")
        told = " ".join([*marks, failed]).strip()
        rows.append((str(each["replicas"]), str(each["threads"]), batch, *numbers, told))
    yield f"{result['name']} on {result['cores']} cores, {result['connections']} connections sending {result['input']}"
    yield ""
    yield from ui.table(rows, ("REPLICAS", "THREADS", "MAX_BATCH", "REQUESTS/S", "P50", "P99", ""))
    yield ""
    yield "The load is made on this machine too: compare the rows with each other. 0 leaves the choice to the server."
    told = ", ".join(f"{name}: {value}" for name, value in result["changes"].items())
    if result["best"]["failed"]:
        yield "No combination answered every request, so nothing is written: fewer --connections?"
    elif not told:
        yield "The spec says what is best already: nothing to write."
    elif dry_run:
        yield f"Best in the spec's endpoint: {told} (not written: --dry-run)"
    else:
        yield f"Written into {result['spec']}, endpoint: {told}"
        yield f"Next: customai deploy {shlex.quote(given)}"


def _bring_about(plan: Plan, journal: Journal, output: str) -> Json:
    there = load(plan.target, journal.folder)
    return bring_about(plan, there, journal.header, output) | {"traffic": _traffic(plan)}


def _tell(result: Json, plan: Plan, given: str, what: str, output: str) -> None:
    given, there = shlex.quote(given), "" if plan.target == "local" else f" --target {plan.target}"
    lines = [
        f"{plan.name} {what} (path {plan.path}, target {plan.target})",
        "",
        *deployed(plan, result["outputs"], given),
        "",
        f"To undo this: customai score-realtime rollback {given}",
        f"The spec was not touched; what it says comes back with: customai deploy {given}{there}",
    ]
    ui.show(result, lines, output)


def _traffic(plan: Plan) -> Json:
    for step in plan.steps:
        if step.kind == "traffic":
            shares = step.inputs["wanted"]["traffic"]
            return {version: shares[deployment] for version, deployment in azure_ml.versions(plan.steps).items()}
    steps = [step for step in plan.steps if step.kind == "endpoint"]
    return {served["version"]: served["traffic"] for step in steps for served in step.inputs["server"]["models"]}


def deployed(plan: Plan, outputs: Json, given: str) -> Iterator[str]:
    """What to tell once it is up: the endpoint, and what to type next."""
    by_kind = {step.kind: step for step in plan.steps}
    if "stream" in by_kind:
        yield from _streaming(by_kind["stream"], given)
        return
    if azure_ml.runs(plan):
        yield from azure_ml.deployed(plan, outputs, given)
        return
    if "kubernetes" in by_kind:
        yield from _in_a_cluster(by_kind["kubernetes"], outputs, given)
        return
    endpoint, server = outputs["endpoint"], by_kind["endpoint"].inputs["server"]
    replicas = server["replicas"]
    rows = [
        ("endpoint", f"{endpoint['url']}  ({replicas} replica{'s' * (replicas > 1)})"),
        *(("model", _model(served, outputs, alone=len(server["models"]) == 1)) for served in server["models"]),
    ]
    known = by_kind.get("smoke_test")
    if known is None:
        yield from ui.table(rows)
        return
    answer, file = outputs[known.id], known.inputs["file"]
    yield from ui.table([*rows, ("smoke test", f"'{answer['label']}', as expected ({answer['probability']:.1%})")])
    yield ""
    yield "Try it:"
    yield f"  customai score {given} {shlex.quote(file)}"
    yield f"  {_curl(endpoint['url'], known.inputs, by_kind['endpoint'].inputs['key'], server.get('tls'))}"


def _in_a_cluster(step: Step, outputs: Json, given: str) -> Iterator[str]:
    """What to tell of pods in Azure: where they answer, and how one gets there."""
    scaler = next(each["spec"] for each in step.inputs["manifests"] if each["kind"] == "HorizontalPodAutoscaler")
    yield from ui.table(
        [
            ("endpoint", f"{outputs[step.id]['url']}  (in its own network)"),
            ("pods", f"{scaler['minReplicas']} to {scaler['maxReplicas']}"),
        ]
    )
    yield ""
    yield "Next:"
    yield f"  customai scale {given} --replicas 3-10"
    yield f"  customai score-realtime kubeconfig {given}"


def _streaming(step: Step, given: str) -> Iterator[str]:
    """What to tell of rows that are scored as they arrive: from where, to where."""
    asked = json.loads(step.inputs["argv"][3])
    yield from ui.table(
        [("reads", asked.get("input") or f"{asked['topic']} at {asked['servers']}"), ("writes", asked["output"])]
    )
    yield ""
    yield "Each batch is a folder of Parquet; how many rows so far:"
    yield f"  customai status {given} -o json"


def _model(served: Json, outputs: Json, *, alone: bool) -> str:
    made = outputs[served["folder"]["$ref"].partition("#")[0]]
    told = f"sha256 {made['sha256'][:12]}  ({made['bytes'] / 1e3:.0f} kB)"
    return told if alone else f"version {served['version']}, {served['traffic']} % of the requests, {told}"


def _trusted(url: str, certificate: str) -> tuple[str, str]:
    """What curl needs to trust the certificate, and the URL by a name that it is made for."""
    there, trusted = urlsplit(url), f"--cacert {shlex.quote(certificate)} "
    names = Endpoint(url, timeout=5, certificate=certificate).names()
    named = next((name for name in names if re.fullmatch(r"[\w.-]+", name)), None)
    if there.hostname in names or named is None:
        return trusted, url
    return f"{trusted}--connect-to ::{there.netloc} ", f"https://{named}:{there.port}"


def _curl(url: str, known: Any, key: Json, tls: Json) -> str:
    file, bearer = known["file"], ""
    trusted, url = _trusted(url, tls["certificate"]) if tls else ("", url)
    if key is not None:  # named, never shown
        source, _, place = key["$secret"].partition(":")
        value = f"${place}" if source == "env" else f"$(cat {shlex.quote(place)})"
        bearer = f'-H "Authorization: Bearer {value}" '
    if known["kind"] == "row":
        kind, data = "application/json", f'-d "{{\\"rows\\": [$(cat {shlex.quote(file)})]}}"'
    else:
        kind = "image/png" if file.lower().endswith(".png") else "image/jpeg"
        data = f"--data-binary {shlex.quote('@' + file)}"
    return f"curl {trusted}{bearer}-H 'Content-Type: {kind}' {data} {shlex.quote(url + '/score')}"
