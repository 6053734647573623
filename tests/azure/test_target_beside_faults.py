"""The image and the objects of 2-5: whatever goes wrong at whatever request of theirs, and kill -9 at each of them.

What Azure Resource Manager makes is there beforehand, so that each try is of these two steps alone.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from customai.engine import StepsFailed
from tests.azure.simulator import Simulator, faults

pytest.importorskip("azure.mgmt.compute", reason="the extra azure is not installed")
pytest.importorskip("kubernetes", reason="the extra azure is not installed")
from tests.azure import driven as module
from tests.azure.test_target_kill import killed

# Every request of the two steps: builds, blobs, the cluster's API, and who lets into it.
THEIRS = r"/_blob/.*|/_kubernetes/.*|.*/(tasks|runs)(/.*)?|.*/(scheduleRun|list\w+)"
Fault = Callable[..., Any]
PASSING: dict[str, Fault] = {
    "reset before it is handled": faults.reset,
    "reset after it is handled": lambda **on: faults.reset(after=True, **on),
    "500": faults.server_error,
    "503 with HTML": faults.unavailable,
    "503 after it is handled": lambda **on: faults.unavailable(after=True, **on),
    "429 with Retry-After": lambda **on: faults.throttled(0.02, **on),
}
LASTING: dict[str, Fault] = {
    "no right": lambda **on: faults.authorization_failed(**{"method": ".*"} | on),
    "token expired": faults.token_expired,
}
pytestmark = pytest.mark.timeout(900)  # each sweep is many deployments, and the machine may be busy
OFTEN = 80  # more requests than the two steps send


class Ground:
    """A deployment without its image and its objects, to which every try goes back."""

    def __init__(self, azure: Simulator, driven: Any) -> None:
        self.azure = azure
        self.base = driven("2-5", without=module.BESIDE)
        self.base.deploy()
        self.standing = azure.standing()
        self.tries = 0

    def again(self, patience: float = 20.0) -> Any:
        """All of 2-5, from the same beginning."""
        self.tries += 1
        self.azure.calm()
        self.azure.log.clear()
        cloud = self.azure.cloud
        with cloud.lock:
            for each in [one for one in cloud.store.resources.values() if "/tasks/" in one.key]:
                cloud.store.remove(each.key)
            cloud.kubernetes.spaces.clear()
            cloud.kubernetes.life.born.clear()
            cloud.runs.all.clear()
            cloud.uploads.clear()
        folder = self.base.folder.parent / f"try-{self.tries}"
        shutil.copytree(self.base.folder, folder)
        return dataclasses.replace(self.base, folder=folder, without=(), patience=patience)

    def is_right(self, one: Any) -> None:
        """One build, one task, seven objects, and nothing that the plan does not know."""
        cloud = self.azure.cloud
        assert len(cloud.runs.all) == 1, self.azure.log.entries
        tasks = [each for each in self.azure.standing() if "/tasks/" in each]
        assert len(tasks) == 1
        assert [each for each in self.azure.standing() if each not in tasks] == self.standing
        assert len(cloud.kubernetes.standing()) == 7
        assert {change.action for change in one.compared().values()} == {"keep"}


@pytest.fixture
def ground(azure: Simulator, driven: Any) -> Ground:
    return Ground(azure, driven)


def some(whole: bool) -> int:
    """Every how many-th request is tried."""
    return 1 if whole else 9


THIRDS = 3  # at every third request, where a try is two deployments

# Of the faults that look alike to us (refused, and nothing done), one is tried at every request, the others at some.
THOROUGH = ("reset before it is handled", "reset after it is handled", "503 after it is handled", "no right")
EACH = [pytest.param(False, id="some"), pytest.param(True, id="each", marks=pytest.mark.slow)]


def of(names: Iterable[str]) -> list[Any]:
    some = [pytest.param(name, False, id=f"{name}, some") for name in names]
    each = [name for name in names if name in THOROUGH]
    return [*some, *(pytest.param(name, True, id=f"{name}, each", marks=pytest.mark.slow) for name in each)]


@pytest.mark.parametrize(("name", "whole"), of(PASSING))
def test_what_passes_by_itself_is_waited_for(ground: Ground, name: str, *, whole: bool) -> None:
    for nth in range(1, OFTEN, some(whole)):
        one = ground.again()
        fault = ground.azure.fault(PASSING[name](nth=nth, url=THEIRS, method=".*"))
        one.deploy()
        ground.azure.calm()
        ground.is_right(one)
        if not fault.struck:
            assert nth > 30
            return
    pytest.fail("there are more requests than are tried")


@pytest.mark.parametrize(("name", "whole"), of(LASTING))
def test_what_lasts_is_said_and_leaves_a_way_on(ground: Ground, name: str, *, whole: bool) -> None:
    for nth in range(1, OFTEN, THIRDS if whole else 9):
        one = ground.again(patience=0.3)
        fault = ground.azure.fault(LASTING[name](nth=nth, times=10**6, url=THEIRS))
        try:
            one.deploy()
        except StepsFailed as error:
            assert error.exit_code in (1, 3)
            assert error.message
            assert error.hint
        else:  # nothing depends on a log that is only shown
            assert not [entry for entry in ground.azure.log if entry.fault and "log" not in entry.path.lower()]
        ground.azure.calm()
        one.patience = 20.0
        one.deploy()
        ground.is_right(one)
        if not fault.struck:
            assert nth > 30
            return
    pytest.fail("there are more requests than are tried")


@pytest.mark.parametrize("after", [False, True], ids=["before it is handled", "after it is handled"])
@pytest.mark.parametrize("whole", EACH)
def test_killed_at_any_request_the_next_run_goes_on(ground: Ground, *, whole: bool, after: bool) -> None:
    for nth in range(1, OFTEN, some(whole)):
        one = ground.again()
        went_on = killed(ground.azure, one, nth, after=after, url=THEIRS)
        one.deploy()
        ground.is_right(one)
        if not went_on:
            assert nth > 30
            return
    pytest.fail("it never came to its end")


@pytest.mark.parametrize("name", PASSING)
def test_destroy_waits_for_what_passes(ground: Ground, name: str) -> None:
    one = ground.again()
    one.deploy()
    folder = one.folder
    fault = ground.azure.fault(PASSING[name](url=THEIRS, method="DELETE", nth=3))
    assert set(one.destroy(sweep=False).values()) == {"deleted"}
    assert fault.struck == 1
    assert ground.azure.standing() == []
    assert Path(folder).is_dir()
