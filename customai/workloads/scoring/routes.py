"""Which path answers what. Everything that does not change is encoded once, at the start."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from customai import __version__
from customai.workloads.scoring import openapi, page
from customai.workloads.scoring.answers import Answer, Headers, RequestError, answer
from customai.workloads.scoring.metrics import ROUTES
from customai.workloads.scoring.model import Model
from customai.workloads.scoring.service import Handler
from customai.workloads.scoring.version import Version

_INFER, _SCORE, _OTHER = map(ROUTES.index, ("infer", "score", "other"))


@dataclass(frozen=True)
class Route:
    """handlers by method. open: needs no key. counted: as which of metrics.ROUTES. page: for browsers, and open."""

    handlers: dict[str, Handler]
    open: bool = False
    counted: int = _OTHER
    page: Handler | None = None


class Service(Protocol):
    """What the routes call."""

    async def ready(self, headers: Headers, body: bytes) -> Answer: ...
    async def metrics(self, headers: Headers, body: bytes) -> Answer: ...
    async def infer(self, headers: Headers, body: bytes) -> Answer: ...
    async def score(self, headers: Headers, body: bytes) -> Answer: ...


def routes(service: Service, versions: Sequence[Version], *, asks_for_key: bool = False) -> dict[str, Route]:
    """Path -> Route. Paths are compared whole, so a name with a slash or a space is no special case."""
    leading = max(versions, key=lambda version: version.traffic)
    name = leading.model.config.name
    table = {
        "/v2": _fixed({"name": "customai", "version": __version__, "extensions": ["binary_tensor_data"]}),
        "/v2/health/live": _fixed({"live": True}, open=True),
        "/v2/health/ready": Route(_get(service.ready), open=True),
        "/score": Route({"POST": service.score}, counted=_SCORE),
        "/metrics": Route(_get(service.metrics)),
    }
    for prefix, version, infer in (
        (f"/v2/models/{name}", leading, service.infer),
        *((f"/v2/models/{name}/versions/{version.name}", version, version.infer) for version in versions),
    ):
        told = versions if infer == service.infer else [version]
        table[prefix] = _fixed(_metadata(version, [each.name for each in told]))
        table[f"{prefix}/ready"] = _fixed({"name": name, "ready": True})
        table[f"{prefix}/infer"] = Route({"POST": infer}, counted=_INFER)
    model, names = leading.model, [version.name for version in versions]
    table["/openapi.json"] = _fixed(openapi.document(model, names, asks_for_key=asks_for_key))
    index = _fixed(_index(leading, versions, table))
    table["/"] = replace(index, page=_constant(page.load(asks_for_key=asks_for_key)))
    return table


def unknown(path: str, versions: Sequence[Version]) -> RequestError:
    """404, and what there is instead."""
    name = versions[0].model.config.name
    prefix = f"/v2/models/{name}"
    if path.startswith(f"{prefix}/versions/"):
        return no_version(versions)
    if path.startswith("/v2/models/") and not path.startswith(f"{prefix}/"):
        return RequestError(404, "there is no such model", expected=f"model {name}")
    return RequestError(404, "there is nothing here", expected="GET / lists the routes")


def no_version(versions: Sequence[Version], field: str | None = None) -> RequestError:
    name, names = versions[0].model.config.name, " | ".join(version.name for version in versions)
    return RequestError(404, f"model {name!r} has no such version", field=field, expected=f"version {names}")


def _metadata(version: Version, names: Sequence[str]) -> dict[str, Any]:
    return {
        "name": version.model.config.name,
        "versions": names,
        "platform": "onnxruntime_onnx",
        **version.model.signature.to_json(),
        **_columns(version.model),
    }


def _columns(model: Model) -> dict[str, Any]:
    return {} if model.rows is None else {"columns": [asdict(column) for column in model.rows.columns]}


def _index(leading: Version, versions: Sequence[Version], table: dict[str, Route]) -> dict[str, Any]:
    lines = [f"{method} {path}" for path, route in table.items() for method in route.handlers if method != "HEAD"]
    config = leading.model.config
    return {
        "name": "customai",
        "about": "a model behind HTTP: POST an image or JSON to /score, or speak the Open Inference Protocol v2",
        "model": {"name": config.name, "version": config.version, "sha256": config.sha256},
        "versions": [
            {"version": each.name, "sha256": each.model.config.sha256, "traffic": each.traffic} for each in versions
        ],
        **_columns(leading.model),
        "takes": _takes(leading.model),
        "labels": config.labels,
        "routes": ["GET /", *lines],
    }


def _takes(model: Model) -> dict[str, Any]:
    """What /score takes, for those who make a form of it."""
    how = model.config.preprocessing
    if how is not None:
        return {"images": {"size": how.size, "channels": how.channels}}
    if model.rows is not None:
        return {"rows": "objects"}
    inputs = model.signature.inputs
    shape = inputs[0].shape if len(inputs) == 1 else ()
    return {"rows": list(shape[1:])} if shape else {}


def _fixed(document: dict[str, Any], *, open: bool = False) -> Route:  # noqa: A002 - Route's own word
    return Route(_get(_constant(answer(document))), open=open)


def _constant(encoded: Answer) -> Handler:
    async def get(_headers: Headers, _body: bytes) -> Answer:
        return encoded

    return get


def _get(handler: Handler) -> dict[str, Handler]:
    return {"GET": handler, "HEAD": handler}
