"""Whatever goes wrong at whatever request: it ends right, or with a clear error and a state from which all goes well."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from customai.engine import StepsFailed
from customai.ui import Silent
from tests.azure.simulator import Simulator, faults
from tests.azure.simulator.table import TYPES

pytest.importorskip("azure.mgmt.compute", reason="the extra azure is not installed")
from tests.azure import driven as module

Fault = Callable[..., Any]
# What passes by itself: the deployment ends right, and nothing was made twice.
PASSING: dict[str, Fault] = {
    "reset before it is handled": faults.reset,
    "reset after it is handled": lambda **on: faults.reset(after=True, **on),
    "500": faults.server_error,
    "503 with HTML": faults.unavailable,
    "503 after it is handled": lambda **on: faults.unavailable(after=True, **on),
    "429 with Retry-After": lambda **on: faults.throttled(0.03, **on),
    "429 without": lambda **on: faults.throttled(None, **on),
    "another operation": lambda **on: faults.answers(faults.errors.another_operation("o"), **on),
}
# What does not: part of the error's message, and its exit code.
LASTING: dict[str, tuple[Fault, str, int]] = {
    "fails late": (faults.fails_late, "AllocationFailed", 3),
    "never ends": (faults.never_ends, "still", 3),
    "policy": (faults.disallowed_by_policy, "RequestDisallowedByPolicy", 3),
    "no right": (faults.authorization_failed, "AuthorizationFailed", 3),
    "token expired": (lambda **on: faults.token_expired(**{"method": "PUT|PATCH"} | on), "login", 3),
}
WRITES = {"1-1": 10, "2-5": 17}
SOME = [(path, nth) for path, nth in (("1-1", 1), ("1-1", 7), ("1-1", 10), ("2-5", 12))]
EVERY = [(path, nth) for path, count in WRITES.items() for nth in range(1, count + 1) if (path, nth) not in SOME]
AT = [*SOME, *(pytest.param(*each, marks=pytest.mark.slow) for each in EVERY)]


def handled_twice(azure: Simulator) -> list[str]:
    """What was made by two requests that Azure both took."""
    taken = [
        e.path
        for e in azure.log.of("PUT")
        if isinstance(e.answer, dict) and "error" not in e.answer and "code" not in e.answer
    ]
    return sorted({path for path in taken if taken.count(path) > 1})


def test_there_are_as_many_writes_as_are_tried(azure: Simulator, driven: Any) -> None:
    for path, count in WRITES.items():
        azure.log.clear()
        driven(path, without=module.BESIDE).deploy()
        assert len(azure.log.writes()) == count


@pytest.mark.parametrize("name", PASSING)
@pytest.mark.parametrize(("path", "nth"), AT)
def test_what_passes_by_itself_is_waited_for(azure: Simulator, driven: Any, path: str, nth: int, name: str) -> None:
    fault = azure.fault(PASSING[name](nth=nth))
    one = driven(path, without=module.BESIDE)
    assert set(one.deploy().values()) == {"created"}
    assert fault.struck == 1
    assert handled_twice(azure) == []
    assert {change.action for change in one.compared().values()} == {"keep"}


@pytest.mark.parametrize("name", LASTING)
@pytest.mark.parametrize(("path", "nth"), AT)
def test_what_lasts_is_said_and_leaves_a_way_on(azure: Simulator, driven: Any, path: str, nth: int, name: str) -> None:
    make, words, code = LASTING[name]
    fault = azure.fault(make(nth=nth))
    one = driven(path, without=module.BESIDE, patience=1.0 if name == "never ends" else 20.0)
    try:
        with pytest.raises(StepsFailed) as error:
            one.deploy()
    except pytest.fail.Exception:
        struck = next(entry for entry in azure.log if entry.fault == "never")
        assert not TYPES[struck.type].create.long  # it is done at once: nothing that could go on for ever
        return
    assert fault.struck == 1
    unsaid = name == "fails late" and "Azure does not say why" in error.value.message
    if unsaid:  # what is followed by its own state alone tells that it failed, and no more
        struck = next(entry for entry in azure.log if entry.fault == "late")
        assert struck.type == "microsoft.operationalinsights/workspaces"
    else:
        assert words in error.value.message
    assert error.value.exit_code == (1 if unsaid else code)
    assert error.value.hint
    azure.calm()
    if name == "never ends":  # as long as it goes on, nobody can go on from there; but all can be taken away
        one.destroy()
        assert azure.standing() == []
    driven(path, without=module.BESIDE).deploy()
    assert {change.action for change in one.compared().values()} == {"keep"}
    one.destroy()
    assert azure.standing() == []


@pytest.mark.slow
@pytest.mark.parametrize("name", PASSING)
@pytest.mark.parametrize("path", WRITES)
def test_destroy_waits_for_what_passes(azure: Simulator, driven: Any, path: str, name: str) -> None:
    for nth in range(1, WRITES[path] - 1):
        one = driven(path, without=module.BESIDE)
        one.deploy()
        fault = azure.fault(PASSING[name](nth=nth, method="DELETE"))
        assert set(one.destroy(sweep=False).values()) == {"deleted"}
        assert fault.struck in (0, 1)
        azure.calm()
        assert azure.standing() == []


def test_a_new_identity_is_waited_for(azure: Simulator, driven: Any) -> None:
    azure.cloud.principal_tries = 3
    assert set(driven("2-5", without=module.BESIDE).deploy().values()) == {"created"}
    assert handled_twice(azure) == []


def test_a_throttled_read_is_asked_again_when_azure_says(azure: Simulator, driven: Any) -> None:
    fault = azure.fault(faults.throttled(0.3, method="GET", url=".*/virtualMachines/.*", times=3))
    started = time.monotonic()
    driven("1-1").deploy()
    assert fault.struck == 3
    assert time.monotonic() - started > 0.6


def test_a_service_that_was_never_used_is_registered_once(azure: Simulator, driven: Any) -> None:
    azure.cloud.catalog.registered.discard("microsoft.compute")
    told: list[str] = []

    class Heard(Silent):
        def progress(self, step: Any, message: str) -> None:
            told.append(message)

    driven("1-1").deploy(Heard())
    posts = [entry.path.rpartition("/providers/")[2] for entry in azure.log.of("POST")]
    assert posts == ["Microsoft.Compute/register"]
    assert "your subscription has never used Microsoft.Compute: registering it" in told


def test_a_service_that_cannot_be_registered_is_said(azure: Simulator, driven: Any) -> None:
    azure.fault(faults.unregistered("Microsoft.Compute", times=99))
    with pytest.raises(StepsFailed, match="never used this service"):
        driven("1-1").deploy()


def test_the_innermost_error_is_told(azure: Simulator, driven: Any) -> None:
    azure.fault(faults.aks_quota_exceeded(method="PUT"))
    with pytest.raises(StepsFailed, match="quota of vCPUs is too small") as error:
        driven("2-5", without=module.BESIDE).deploy()
    assert error.value.exit_code == 3


def test_two_at_once_make_everything_once(azure: Simulator, driven: Any, tmp_path: Any) -> None:
    """The lock is of one machine; on two machines, Azure itself keeps them apart."""
    one = driven("1-1")
    from tests.azure.driven import Driven

    other = Driven(one.url, one.file, tmp_path / "elsewhere")
    threads = [threading.Thread(target=each.deploy) for each in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {change.action for change in one.compared().values()} == {"keep"}
    assert {change.action for change in other.compared().values()} == {"keep"}
