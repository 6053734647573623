"""Setting and reading a simulator that runs as its own process: JSON under /_simulator, and `Remote`, which asks for it.

GET    /_simulator/log                    every request, as Entry's fields
DELETE /_simulator/log
GET    /_simulator/resources              id -> body, of everything that stands
PUT    /_simulator/times                  fields of Times
PUT    /_simulator/jobs                   fields of Jobs
PUT    /_simulator/view                   where blobs and Azure ML's own services are: here
PUT    /_simulator/catalog                fields of Catalog (quota, registered, taken, caller, ...), principal_tries, page_size
POST   /_simulator/faults                 {"fault": "throttled", ...its arguments}; error: {"status", "code", "message"}
DELETE /_simulator/faults
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import faults
from .errors import ArmError
from .messages import Answer

if TYPE_CHECKING:
    from .server import Simulator

OF_THE_CLOUD = ("principal_tries", "page_size")


def control(simulator: Simulator, method: str, path: str, body: dict[str, Any]) -> Answer:
    name = f"{method} {path.removeprefix('/_simulator/')}"
    if name not in ORDERS:
        return Answer(404, {"error": f"no {name}"})
    with simulator.cloud.lock:
        simulator.cloud.settle()
        found = ORDERS[name](simulator, body)
    return Answer(204) if found is None else Answer(200, found)


def _resources(simulator: Simulator, _: Any) -> Any:
    return {one.id: simulator.cloud.view.of(one) for one in simulator.cloud.store.resources.values()}


def _times(simulator: Simulator, body: dict[str, Any]) -> None:
    for name, value in body.items():
        setattr(simulator.cloud.times, name, value)


def _jobs(simulator: Simulator, body: dict[str, Any]) -> None:
    for name, value in body.items():
        setattr(simulator.cloud.jobs, name, value)


def _view(simulator: Simulator, _: Any) -> None:
    simulator.cloud.view.blobs, simulator.cloud.view.ml = f"{simulator.url}/_blob", simulator.url


def _catalog(simulator: Simulator, body: dict[str, Any]) -> None:
    for name, value in body.items():
        target = simulator.cloud if name in OF_THE_CLOUD else simulator.cloud.catalog
        setattr(target, name, set(value) if isinstance(getattr(target, name), set) else value)


def _fault(simulator: Simulator, body: dict[str, Any]) -> None:
    named = dict(body)
    if "error" in named:
        named["error"] = ArmError(**named["error"])
    simulator.fault(faults.BY_NAME[named.pop("fault")](**named))


ORDERS: dict[str, Callable[[Simulator, Any], Any]] = {
    "GET log": lambda simulator, _: simulator.log.as_json(),
    "DELETE log": lambda simulator, _: simulator.log.clear(),
    "GET resources": _resources,
    "PUT times": _times,
    "PUT jobs": _jobs,
    "PUT view": _view,
    "PUT catalog": _catalog,
    "POST faults": _fault,
    "DELETE faults": lambda simulator, _: simulator.calm(),
}


class Remote:
    """A simulator in another process, from a test's side."""

    def __init__(self, url: str) -> None:
        self.url = url

    def log(self) -> list[dict[str, Any]]:
        return list(self.ask("GET", "log"))

    def clear(self) -> None:
        self.ask("DELETE", "log")

    def resources(self) -> dict[str, Any]:
        return dict(self.ask("GET", "resources"))

    def times(self, **fields: Any) -> None:
        self.ask("PUT", "times", fields)

    def jobs(self, **fields: Any) -> None:
        self.ask("PUT", "jobs", fields)

    def here(self) -> None:
        """Blobs and Azure ML's own services are at the simulator, too."""
        self.ask("PUT", "view", {})

    def catalog(self, **fields: Any) -> None:
        self.ask("PUT", "catalog", fields)

    def fault(self, name: str, **on: Any) -> None:
        self.ask("POST", "faults", {"fault": name, **on})

    def calm(self) -> None:
        self.ask("DELETE", "faults")

    def ask(self, method: str, what: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_simulator/{what}", data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            raw = answer.read()
        return json.loads(raw) if raw else None
