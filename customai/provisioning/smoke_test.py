"""One real request with a known answer, sent through the front door once the endpoint is up."""

from __future__ import annotations

from customai.model import Json, Step


def step(
    id_: str,
    *,
    endpoint: str,
    kind: str,
    file: str,
    sha256: str,
    label: str,
    key: Json,
    certificate: str | None = None,
    why: str,
) -> Step:
    """The step that sends the file (kind: image, or row for one JSON object) to the endpoint step named `endpoint`, after every time that one has changed.

    certificate: the file of the endpoint's own TLS certificate, where it has one.
    """
    inputs = {
        "url": {"$ref": f"{endpoint}#url"},
        "instance": {"$ref": f"{endpoint}#instance"},
        "kind": kind,
        "file": file,
        "sha256": sha256,
        "label": label,
        "key": key,
    }
    if certificate is not None:
        inputs["certificate"] = certificate
    return Step(id_, "run", "smoke_test", "job", inputs, why=why)


def local(inputs: Json) -> Json:
    return dict(inputs)
