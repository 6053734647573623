"""What only real-time scoring has."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from customai import ui
from customai.model import Json, Plan


def deployed(plan: Plan, outputs: Json, given: str) -> Iterator[str]:
    """What to tell once it is up: the endpoint, and what to type next."""
    by_kind = {step.kind: step for step in plan.steps}
    endpoint, model = outputs["endpoint"], outputs["model"]
    replicas = by_kind["endpoint"].inputs["server"]["replicas"]
    rows = [
        ("endpoint", f"{endpoint['url']}  ({replicas} replica{'s' * (replicas > 1)})"),
        ("model", f"sha256 {model['sha256'][:12]}  ({model['bytes'] / 1e3:.0f} kB)"),
    ]
    known = by_kind.get("smoke_test")
    if known is None:
        yield from ui.table(rows)
        return
    answer, image = outputs[known.id], known.inputs["image"]
    yield from ui.table([*rows, ("smoke test", f"'{answer['label']}' with {answer['probability']:.1%}, as expected")])
    yield ""
    yield "Try it:"
    yield f"  customai score {given} {shlex.quote(image)}"
    yield f"  {_curl(endpoint['url'], image, by_kind['endpoint'].inputs['key'])}"


def _curl(url: str, image: str, key: Json) -> str:
    kind = "image/png" if image.lower().endswith(".png") else "image/jpeg"
    bearer = ""
    if key is not None:  # named, never shown
        source, _, place = key["$secret"].partition(":")
        value = f"${place}" if source == "env" else f"$(cat {shlex.quote(place)})"
        bearer = f'-H "Authorization: Bearer {value}" '
    return f"curl {bearer}-H 'Content-Type: {kind}' --data-binary {shlex.quote('@' + image)} {url}/score"
