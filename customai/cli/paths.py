from __future__ import annotations

import click

from customai import ui
from customai.cli import options
from customai.paths import PATHS


@click.command("paths")
@options.output
def command(output: str) -> None:
    """The eight learning paths: number, group, what it is for, the Azure service, and whether it runs yet."""
    found = [
        {
            "id": path.id,
            "group": path.group,
            "title": path.title,
            "service": path.service,
            "runs": path.module is not None,
        }
        for path in PATHS.values()
    ]
    rows = [
        (path.id, path.group, path.title, path.service, "yes" if path.module else "not yet") for path in PATHS.values()
    ]
    ui.show({"paths": found}, ui.table(rows, ("PATH", "GROUP", "WHAT FOR", "ON AZURE", "RUNS HERE")), output)
