"""Azure's errors in our words, for every exception azure.core has and every error body that was recorded."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

from customai.errors import Conflict, CustomAIError, Forbidden, NoQuota, NotAvailable, NotFound, NotLoggedIn, RunFailed
from customai.targets.azure_advice import ADVICE
from customai.targets.azure_errors import from_body, innermost, translated

core = pytest.importorskip("azure.core.exceptions", reason="needs customai[azure]")
SHARED = Path(__file__).parents[3] / "shared" / "azure"
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="needs the recorded error bodies, which are not in the project"
)


def exceptions() -> list[type[Exception]]:
    modules = [core, pytest.importorskip("azure.identity")]
    found = {kind for module in modules for _, kind in inspect.getmembers(module, inspect.isclass)}
    return sorted((kind for kind in found if issubclass(kind, Exception)), key=lambda kind: kind.__name__)


def raised(kind: type[Exception]) -> Exception:
    if kind.__name__ == "ResponseNotReadError":
        return kind(type("R", (), {"request": None})())  # type: ignore[call-arg]
    if kind.__name__ in ("StreamClosedError", "StreamConsumedError"):
        return kind(type("R", (), {"request": None})())  # type: ignore[call-arg]
    if kind.__name__ == "TooManyRedirectsError":
        return kind([])  # type: ignore[call-arg]
    if kind.__name__ == "AuthenticationRequiredError":
        return kind(["scope"], "log in")  # type: ignore[call-arg]
    if kind.__name__ == "ODataV4Error":
        response = type("R", (), {"reason": "no", "status_code": 400, "text": lambda _self: "{}", "headers": {}})()
        return kind(response)  # type: ignore[call-arg]
    return kind("no")


@pytest.mark.parametrize("kind", exceptions(), ids=lambda kind: kind.__name__)
def test_every_exception_of_azure_core_and_identity_is_translated(kind: type[Exception]) -> None:
    ours = translated(raised(kind), "step x")
    assert isinstance(ours, CustomAIError)
    assert ours.where == "step x"
    assert ours.exit_code in (1, 3)


def test_what_is_not_azures_is_not_taken_for_it() -> None:
    with pytest.raises(TypeError):
        translated(ValueError("ours"))


def body(code: str, message: str = "text", **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, **more}}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (body("ResourceNotFound"), "ResourceNotFound"),
        (
            body(
                "DeploymentFailed",
                details=[{"code": "Conflict", "message": "", "details": [{"code": "SkuNotAvailable"}]}],
            ),
            "SkuNotAvailable",
        ),
        (body("InvalidTemplateDeployment", details=[{"code": "QuotaExceeded", "message": "m"}]), "QuotaExceeded"),
        (body("BadRequest", json.dumps(body("SubnetIsFull"))), "SubnetIsFull"),
        ({"code": "QuotaExceeded", "message": "flat"}, "QuotaExceeded"),
        (body("Conflict"), "Conflict"),
        ({}, ""),
        (None, ""),
        ("text", ""),
    ],
)
def test_the_innermost_code_decides(given: Any, code: str) -> None:
    assert innermost(given)[0] == code


@pytest.mark.parametrize(
    ("given", "kind", "said", "hint"),
    [
        (body("SkuNotAvailable"), NotAvailable, "not offered to your subscription", "another size"),
        (body("OperationNotAllowed", "exceeding approved NC Cores quota. Current Limit: 0"), NoQuota, "Current Limit: 0", "ask for more"),
        (body("OperationNotAllowed", "cannot be changed"), Conflict, "cannot be changed once", "destroy"),
        (body("MissingSubscriptionRegistration", "namespace 'Microsoft.ContainerService'"), NotAvailable, "never used", "--namespace Microsoft.ContainerService --wait"),
        (body("AuthorizationFailed", "does not have authorization to perform action 'x/write'"), Forbidden, "x/write", "Contributor"),
        (body("ExpiredAuthenticationToken"), NotLoggedIn, "expired", "az login"),
        (body("RequestDisallowedByPolicy"), Forbidden, "policy", "subscription"),
        (body("RegistryNameAlreadyInUse"), Conflict, "unique in all of Azure", "name"),
        (body("ResourceGroupNotFound"), NotFound, "not there", "deploy"),
        (body("SomethingNew", "Azure's own words"), RunFailed, "SomethingNew: Azure's own words", ""),
    ],
    ids=lambda value: value["error"]["code"] if isinstance(value, dict) else None,
)  # fmt: skip
def test_a_newcomer_is_told_what_it_means_and_what_to_do(
    given: Any, kind: type[CustomAIError], said: str, hint: str
) -> None:
    ours = from_body(given)
    assert type(ours) is kind
    assert said in ours.message
    assert hint in ours.hint


@needs_shared
def test_every_recorded_error_body_is_told_in_one_line_with_its_code() -> None:
    rows = [json.loads(line) for line in (SHARED / "errors.jsonl").read_text().splitlines()]
    assert len(rows) > 100
    for row in rows:
        try:
            given = json.loads(row["body"])
        except ValueError:
            given = None
        ours = from_body(given, "here", row["status"])
        assert "\n" not in ours.message, row
        assert "{" not in ours.hint, row
        code = innermost(given)[0]
        assert not code or code in ours.message, row
        if row["status"] in (401, 403):
            assert isinstance(ours, NotLoggedIn | Forbidden), row
        if row["status"] == 404:
            assert isinstance(ours, NotFound | RunFailed), row


@needs_shared
def test_every_code_that_the_facts_name_has_advice_of_its_own() -> None:
    text = (SHARED / "facts" / "names-and-errors.md").read_text().split("# Top failures")[1]
    first_column = [line.split("|")[1] for line in text.splitlines() if line.startswith("|")]
    words = {word for cell in first_column for word in re.findall(r"\b[A-Z][A-Za-z]+(?:_[A-Za-z0-9]+)?\b", cell)}
    codes = {word for word in words if re.search(r"[a-z][A-Z]", word) and not word.startswith("VMExtensionError")}
    not_codes = {
        "OperationNotAllowed",
        "ConflictError",
        "ReadOnlyDisabledSubscription",
    }  # by message; or advice under their own name
    assert codes - set(ADVICE) - not_codes <= {"InvalidTemplateDeployment"}


@needs_shared
@pytest.mark.parametrize("number", range(5))
def test_quota_and_size_errors_seen_in_public_are_told_as_such(number: int) -> None:
    items = json.loads((SHARED / "quota-and-sku-errors.json").read_text())["items"]
    ours = from_body(items[number]["shape"])
    assert type(ours).__name__ in ("NoQuota", "NotAvailable", "TargetError")
