"""Which path answers what. Everything that does not change is encoded once, at the start."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from customai import __version__
from customai.workloads.scoring.answers import Answer, RequestError, answer
from customai.workloads.scoring.config import ModelConfig
from customai.workloads.scoring.model import Model
from customai.workloads.scoring.reading import Headers, Receive

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


def routes(service: Service, model: Model) -> dict[str, Route]:
    """Path -> Route. Paths are compared whole, so a name with a slash or a space is no special case."""
    name = model.config.name
    table = {
        "/v2": _fixed({"name": "customai", "version": __version__, "extensions": []}),
        "/v2/health/live": _fixed({"live": True}, open=True),
        "/v2/health/ready": Route(_get(service.ready), open=True),
        "/score": Route({"POST": service.score}),
    }
    for prefix in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{model.config.version}"):
        table[prefix] = _fixed(_metadata(model))
        table[f"{prefix}/ready"] = _fixed({"name": name, "ready": True})
        table[f"{prefix}/infer"] = Route({"POST": service.infer})
    table["/"] = _fixed(_index(model, table))
    return table


def unknown(path: str, config: ModelConfig) -> RequestError:
    """404, and what there is instead."""
    prefix = f"/v2/models/{config.name}"
    if path.startswith(f"{prefix}/versions/"):
        return RequestError(404, f"model {config.name!r} has no such version", expected=f"version {config.version}")
    if path.startswith("/v2/models/") and not path.startswith(f"{prefix}/"):
        return RequestError(404, "there is no such model", expected=f"model {config.name}")
    return RequestError(404, "there is nothing here", expected="GET / lists the routes")


def _metadata(model: Model) -> dict[str, Any]:
    config = model.config
    return {
        "name": config.name,
        "versions": [config.version],
        "platform": "onnxruntime_onnx",
        **model.signature.to_json(),
    }


def _index(model: Model, table: dict[str, Route]) -> dict[str, Any]:
    config = model.config
    lines = [f"{method} {path}" for path, route in table.items() for method in route.handlers if method != "HEAD"]
    return {
        "name": "customai",
        "about": "a model behind HTTP: POST an image or JSON to /score, or speak the Open Inference Protocol v2",
        "model": {"name": config.name, "version": config.version, "sha256": config.sha256},
        "routes": ["GET /", *lines],
    }


def _fixed(document: dict[str, Any], *, open: bool = False) -> Route:  # noqa: A002 - Route's own word
    encoded = answer(document)

    async def get() -> Answer:
        return encoded

    return Route(_get(get), open=open)


def _get(handler: Handler) -> dict[str, Handler]:
    return {"GET": handler, "HEAD": handler}
