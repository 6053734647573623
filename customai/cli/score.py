from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from customai import secret, ui
from customai.cli import options
from customai.client import Endpoint
from customai.errors import NotFound, RunFailed
from customai.journal import Journal
from customai.model import Json


@click.command("score")
@options.deployment()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="IMAGE...")
@options.output
def command(deployment: str, images: tuple[Path, ...], output: str) -> int:
    """Send images (PNG or JPEG) to the endpoint; print label and probability. One that fails does not stop the others."""
    endpoint = _endpoint(options.deployment_of(deployment))
    found = [_scored(endpoint, image) for image in images]
    ui.show({"predictions": found}, _lines(found), output)
    return 1 if any("error" in prediction for prediction in found) else 0


def _endpoint(journal: Journal) -> Endpoint:
    name = journal.header.name
    known = next((known for known in journal.known.values() if known.step.kind == "endpoint"), None)
    if known is None or known.outputs is None:
        raise NotFound(f"{name} has no endpoint that is up", hint=f"customai deploy {journal.header.spec}")
    asked = known.step.inputs["key"]
    return Endpoint(known.outputs["url"], secret.read(asked["$secret"]) if asked is not None else None)


def _scored(endpoint: Endpoint, image: Path) -> Json:
    try:
        data = image.read_bytes()
    except OSError as error:
        return {"image": str(image), "error": f"it cannot be read: {error.strerror}"}
    try:
        answer = endpoint.score(data, name=image.name)
    except RunFailed as error:
        return {"image": str(image), "error": error.message}
    return {"image": str(image), **answer["predictions"][0]}


def _lines(found: list[Json]) -> Iterator[str]:
    rows = []
    for prediction in found:
        if "error" in prediction:
            rows.append((prediction["image"], "error", prediction["error"]))
        elif "label" in prediction:
            rows.append((prediction["image"], prediction["label"], f"{prediction['probability']:.1%}"))
        else:
            rows.append((prediction["image"], "", str(prediction["outputs"])))
    return ui.table(rows, ("IMAGE", "LABEL", "PROBABILITY"))
