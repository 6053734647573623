"""kill -9 of the process that deploys, at every single request: the next one takes up what is there, and makes nothing twice."""

from __future__ import annotations

import json
import multiprocessing
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.azure.simulator import SUBSCRIPTION, Simulator

pytest.importorskip("azure.mgmt.compute", reason="the extra azure is not installed")
from tests.azure import driven as module

OFTEN = 400  # more requests than any deployment sends


def killed(azure: Simulator, one: Any, nth: int, *, after: bool, url: str = "/subscriptions/.*") -> bool:
    """Deploys in a process that is killed at its nth request (of those to `url`); False where it has come to its end before that."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.azure.driven"])
    fault = {"nth": nth, "after": after, "url": url}
    process = processes.Process(
        target=module.in_a_process, args=(azure.url, str(one.file), str(one.folder), one.without, fault)
    )
    process.start()
    process.join(60)
    arrived(azure)
    azure.calm()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode == -signal.SIGKILL


def arrived(azure: Simulator) -> None:
    """Waits until what the killed process had sent from other threads is handled: else it may come after the next read."""
    deadline = time.monotonic() + 10
    seen = -1
    while seen != len(azure.log) or any(entry.ended is None for entry in azure.log):
        assert time.monotonic() < deadline
        seen = len(azure.log)
        time.sleep(0.1)


def made_twice(azure: Simulator) -> list[str]:
    def is_taken(answer: Any) -> bool:
        body = json.loads(answer) if isinstance(answer, str) and answer.startswith("{") else answer
        return isinstance(body, dict) and "error" not in body and "code" not in body

    taken = [entry.path for entry in azure.log.of("PUT") if is_taken(entry.answer)]
    return sorted({path for path in taken if taken.count(path) > 1})


@pytest.mark.parametrize("after", [False, True], ids=["before it is handled", "after it is handled"])
@pytest.mark.parametrize(
    ("path", "every"),
    [
        pytest.param("1-1", 9, id="1-1, some"),
        pytest.param("1-1", 1, id="1-1, each", marks=pytest.mark.slow),
        pytest.param("2-5", 1, id="2-5, each", marks=pytest.mark.slow),
    ],
)
def test_killed_at_any_request_the_next_run_goes_on(
    azure: Simulator, driven: Any, tmp_path: Path, path: str, every: int, *, after: bool
) -> None:
    whole = driven(path, without=module.BESIDE)
    whole.deploy()
    expected = azure.standing()
    whole.destroy()
    for nth in range(1, OFTEN, every):
        azure.log.clear()
        azure.cloud.times.seconds = 0.03
        one = module.Driven(azure.url, whole.file, tmp_path / f"killed-{path}-{nth}", without=module.BESIDE)
        went_on = killed(azure, one, nth, after=after)
        one.deploy()
        assert azure.standing() == expected, f"killed at request {nth}"
        twice = made_twice(azure)
        assert twice == [], f"killed at request {nth}: " + "\n".join(
            f"{entry.began:.3f} {entry}" for entry in azure.log if not twice or entry.path == twice[0]
        )
        one.destroy()
        assert azure.standing() == [], f"killed at request {nth}"
        if not went_on:
            assert nth > 20
            return
    pytest.fail("it never came to its end")


def test_killed_while_it_is_taken_away(azure: Simulator, driven: Any) -> None:
    """What a killed destroy leaves, the next one takes: here, everything but the group's own deletion was done."""
    one = driven("1-1")
    one.deploy()
    azure.cloud.times.of["Microsoft.Resources/resourceGroups"] = 0.5
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/customai-digits-training"
    target = one.target()
    target.arm(SUBSCRIPTION).delete(f"{group}?api-version=2025-04-01")  # begun, and nobody waited for it
    assert azure.standing()
    one.destroy()
    assert azure.standing() == []
    assert len(azure.log.of("DELETE")) == 1
