"""Which path answers what. Everything that does not change is encoded once, at the start."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from customai import __version__
from customai.workloads.scoring.answers import Answer, RequestError, answer
from customai.workloads.scoring.model import Model
from customai.workloads.scoring.reading import Headers, Receive
from customai.workloads.scoring.version import Version

Handler = Callable[..., Awaitable[Answer]]


@dataclass(frozen=True)
class Route:
    """handlers by method; GET and HEAD take nothing, POST takes (headers, body, receive). open: needs no key."""

    handlers: dict[str, Handler]
    open: bool = False


class Service(Protocol):
    """What the routes call."""

    async def ready(self) -> Answer: ...
    async def infer(self, headers: Headers, body: bytes, receive: Receive) -> Answer: ...
    async def score(self, headers: Headers, body: bytes, receive: Receive) -> Answer: ...


def routes(service: Service, versions: Sequence[Version]) -> dict[str, Route]:
    """Path -> Route. Paths are compared whole, so a name with a slash or a space is no special case."""
    leading = max(versions, key=lambda version: version.traffic)
    name = leading.model.config.name
    table = {
        "/v2": _fixed({"name": "customai", "version": __version__, "extensions": []}),
        "/v2/health/live": _fixed({"live": True}, open=True),
        "/v2/health/ready": Route(_get(service.ready), open=True),
        "/score": Route({"POST": service.score}),
    }
    for prefix, version, infer in (
        (f"/v2/models/{name}", leading, service.infer),
        *((f"/v2/models/{name}/versions/{version.name}", version, version.infer) for version in versions),
    ):
        told = versions if infer == service.infer else [version]
        table[prefix] = _fixed(_metadata(version, [each.name for each in told]))
        table[f"{prefix}/ready"] = _fixed({"name": name, "ready": True})
        table[f"{prefix}/infer"] = Route({"POST": infer})
    table["/"] = _fixed(_index(leading, versions, table))
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
        "routes": ["GET /", *lines],
    }


def _fixed(document: dict[str, Any], *, open: bool = False) -> Route:  # noqa: A002 - Route's own word
    encoded = answer(document)

    async def get() -> Answer:
        return encoded

    return Route(_get(get), open=open)


def _get(handler: Handler) -> dict[str, Handler]:
    return {"GET": handler, "HEAD": handler}
