from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from customai import planner, ui
from customai.cli import options
from customai.errors import SpecError, StateError
from customai.journal import folder_of
from customai.targets import load
from customai.targets.azure_template import Exported, exported

UNIQUE = (
    "Names that are unique in all of Azure are made for a subscription, and none is known: "
    "az account set -s ID, AZURE_SUBSCRIPTION_ID, or azure.subscription in the spec; then export again"
)


@click.command("export")
@options.spec
@click.option("--format", "form", type=click.Choice(["arm"]), default="arm", help="arm: one ARM template.")
@click.option(
    "--out", metavar="FILE", type=click.Path(path_type=Path), help="Where it is written; stdout if not given."
)
@options.output
def command(spec: str, *, form: str, out: Path | None, output: str) -> None:
    """The plan for Azure as one ARM template, to deploy it with az or a pipeline of your own. Needs no account.

    It is deployed to a subscription. What no template can hold (to build an image, to apply manifests to a cluster)
    is named in its metadata, and told.
    """
    del form  # the only one there is
    source = options.source_of(spec)
    plan = planner.plan(source, load("azure", folder_of(source.name)))
    found = exported(plan)
    text = json.dumps(found.template, indent=2, ensure_ascii=False)
    if out is None:
        ui.show(found.template, [text], output)
    else:
        _write(out, text)
        result = {
            "file": str(out),
            "resources": _count(found),
            "parameters": list(found.parameters),
            "left_out": [step.id for step in found.left_out],
        }
        ui.show(result, [f"{out}: a resource group and the {_count(found)} resources in it"], output)
    for line in _notes(found, str(out or "FILE")):
        ui.say(line)


def _write(out: Path, text: str) -> None:
    try:
        out.write_text(f"{text}\n", encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise SpecError(f"it cannot be written: {error.strerror}", where=str(out), hint="--out names a file") from None
    except OSError as error:
        raise StateError(f"it cannot be written: {error.strerror}", where=str(out)) from None


def _count(found: Exported) -> int:
    return len(found.template["resources"][1]["properties"]["template"]["resources"])


def _notes(found: Exported, file: str) -> list[str]:
    group = found.template["resources"][0]
    asked = "".join(f" {name}=..." for name in found.parameters)
    deploy = f"az deployment sub create --location {group['location']} --template-file {shlex.quote(file)}"
    return [
        *([] if found.is_somewhere else [UNIQUE]),
        *(f"Not in the template: {step.id}, {step.why}" for step in found.left_out if step.kind != "caller"),
        f"To deploy it: {deploy}" + (f" --parameters{asked}" if asked else ""),
    ]
