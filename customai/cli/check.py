from __future__ import annotations

import click

from customai import ui
from customai.cli import options
from customai.journal import folder_of
from customai.planner import plan
from customai.targets import load


@click.command("check")
@options.spec
@options.target
@options.output
def command(spec: str, target: str, output: str) -> None:
    """Is the spec right? If not: every problem, with file and line, key, and what was expected (exit 2)."""
    source = options.source_of(spec)
    planned = plan(source, load(target, folder_of(source.name)))
    result = {
        "valid": True,
        "file": str(source.file),
        "path": source.path.id,
        "name": source.name,
        "steps": [step.id for step in planned.steps],
        "problems": [],
        "warnings": [each.to_json() for each in source.warnings],
    }
    line = f"{source.file} is right: path {source.path.id}, deployment {source.name}, {len(planned.steps)} steps"
    ui.show(result, [line], output)
