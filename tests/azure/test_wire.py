"""What leaves this machine is the plan's request to the letter, whichever client of the SDK sends it."""

from __future__ import annotations

import importlib
import json
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from customai.model import dumps
from customai.provisioning.azure_names import NO_SUBSCRIPTION
from customai.targets.azure_arm import TYPED, Address, Arm
from customai.targets.azure_login import Nobody
from tests.azure.test_requests import SUBSCRIPTION, Sent, every_plan, known, requests

transports = pytest.importorskip("azure.core.pipeline.transport", reason="the extra azure is not installed")
ENDPOINT = "http://127.0.0.1:9"  # nothing is ever sent there


class Recorder(transports.HttpTransport):  # type: ignore[misc, name-defined]
    def open(self) -> None: ...
    def close(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...
    def send(self, request: Any, **_: Any) -> None:
        raise Sent(request)


@pytest.fixture
def arm(monkeypatch: pytest.MonkeyPatch) -> Arm:
    settings = Arm._settings
    monkeypatch.setattr(Arm, "_settings", lambda self: settings(self) | {"transport": Recorder()})
    return Arm(Nobody(), NO_SUBSCRIPTION, endpoint=ENDPOINT)


def sent(call: Any, *arguments: Any) -> Any:
    with pytest.raises(Sent) as caught:
        call(*arguments)
    return caught.value.args[0]


def bodies() -> dict[str, dict[str, Any]]:
    """Of each type, every body there is in any variant, by the URL of one that has it."""
    found: dict[str, dict[str, Any]] = {}
    for steps in every_plan():
        for id_, type_, url, body in requests(steps):
            if id_ != "disk-access":  # which changes a part of what it names
                seen = found.setdefault(type_, {})
                if dumps(body) not in {dumps(each) for each in seen.values()}:
                    seen[url] = body
    return found


def test_a_body_goes_out_as_the_plan_has_it(arm: Arm) -> None:
    types = bodies()
    assert {type_.lower() for type_ in types} >= set(TYPED) - {"microsoft.compute/disks"}
    for of_a_type in types.values():
        for url, planned in of_a_type.items():
            body = known(planned)
            request = sent(arm.put, url, body)
            assert request.method == "PUT"
            assert json.loads(request.body or "{}") == body  # an experiment of Batch AI is sent without one
            assert _place(request.url) == _place(url)


@pytest.mark.parametrize("verb", ["get", "delete"])
def test_a_resource_is_read_and_deleted_where_it_was_made(arm: Arm, verb: str) -> None:
    for type_, of_a_type in bodies().items():
        if (verb == "delete" and _goes_with_another(type_)) or type_ == "Microsoft.BatchAI/workspaces/fileServers":
            continue  # Batch AI's file servers can only be made and listed: see test_replay_ml.py
        url = next(iter(of_a_type))
        request = sent(getattr(arm, verb), url)
        assert request.method == verb.upper()
        assert _place(request.url) == _place(url)


def _goes_with_another(type_: str) -> bool:
    from customai.provisioning import KINDS

    modules = (importlib.import_module(name) for name in KINDS.values())
    return any(getattr(module, "TYPE", "") == type_ and getattr(module, "PART", False) for module in modules)


def _place(url: str) -> tuple[str, str]:
    parts = urlsplit(url.replace(SUBSCRIPTION, NO_SUBSCRIPTION))  # a client has one, and a variant another
    return unquote(parts.path).lower(), Address.of(url).api_version
