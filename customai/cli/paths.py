from __future__ import annotations

import click

from customai import ui
from customai.cli import options
from customai.paths import PATHS


@click.command("paths")
@options.output
def command(output: str) -> None:
    """The eight learning paths: number, group, what it is for, and the Azure service."""
    rows = [(path.id, path.group, path.title, path.service) for path in PATHS.values()]
    found = [dict(zip(("id", "group", "title", "service"), row, strict=True)) for row in rows]
    ui.show({"paths": found}, ui.table(rows, ("PATH", "GROUP", "WHAT FOR", "ON AZURE")), output)
