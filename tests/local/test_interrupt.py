"""Two deploys at once; Ctrl-C and SIGTERM at many moments: the journal is complete, nothing is half-started."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import pytest


def locked_by(deployment, pid: int) -> bool:
    with suppress(FileNotFoundError):
        return f'"pid":{pid},' in (deployment.state / "lock").read_text()
    return False


@contextmanager
def deploying(deployment, *more: str):
    """A deploy that has begun: it holds the lock."""
    command = [sys.executable, "-m", "customai", "deploy", deployment.spec, *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            while process.poll() is None and not locked_by(deployment, process.pid):
                time.sleep(0.0005)
            yield process
        finally:
            process.kill()


def unfinished(deployment) -> list[str]:
    """The steps that were begun and have no word on how they ended."""
    last = {event["step"]: event["event"] for event in deployment.events()}
    return [step for step, event in last.items() if event == "begin"]


def test_the_second_of_two_deploys_says_who_holds_the_lock_since_when(deployment, cli):
    with deploying(deployment) as first:
        os.kill(first.pid, signal.SIGSTOP)
        today = time.strftime("%Y-%m-%d")
        who = f"digits is locked by `customai deploy {deployment.spec}` (process {first.pid}) since {today} "
        deployment.deploy(4).failed(4, who, str(deployment.state), "hint:  wait until it has ended")
        second = cli("destroy", deployment.name, "--yes", code=None)
        assert second.code == 4 or "is not deployed" in second.out  # it had not begun its journal yet
        os.kill(first.pid, signal.SIGCONT)
        said, err = first.communicate(timeout=30)
    assert first.returncode == 0, err
    assert "is up" in said
    assert "nothing to do" in deployment.deploy().out


def test_status_and_score_need_no_lock(deployment, cli):
    deployment.deploy()
    deployment.edit(replicas=2)
    with deploying(deployment) as process:
        os.kill(process.pid, signal.SIGSTOP)
        assert deployment.status()["endpoint"]["health"] in ("healthy", "degraded")
        assert deployment.score(3) == "3"
        os.kill(process.pid, signal.SIGCONT)
        process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_start_that_is_stopped_leaves_nothing_half_started(deployment, wait_for, number):
    moment, stopped = 0.0, 0
    while True:
        with deploying(deployment) as process:
            time.sleep(moment)
            process.send_signal(number)
            _, said = process.communicate(timeout=30)
        assert "Traceback" not in said, said
        assert unfinished(deployment) == []
        if "endpoint created" in said:
            break  # too late to stop its start
        assert process.returncode == 130, said
        assert "Error: stopped by Ctrl-C" in said
        left = deployment.processes()
        assert not left, f"{number!r} after {moment:.2f} s: {left}"
        assert not deployment.listens()
        stopped += 1
        moment = 1.3 * moment + 0.06
    assert stopped >= 3
    deployment.deploy()
    assert deployment.score(7) == "7"
    assert "nothing to do" in deployment.deploy().out


def test_ctrl_c_during_a_change_leaves_what_was_up(deployment, wait_for):
    deployment.deploy()
    deployment.edit_endpoint("max_body: 4096")
    before = deployment.replicas()
    with deploying(deployment) as process:
        wait_for(lambda: len(deployment.processes("scoring.replica")) == 2)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert unfinished(deployment) == []
    wait_for(lambda: deployment.processes("scoring.replica") == before)
    assert deployment.status()["complete"] is False
    assert deployment.score(5) == "5"
    assert deployment.redeploy() == {"model": "kept", "endpoint": "changed", "smoke-test": "changed"}
    assert deployment.replicas() != before


def test_impatience_does_not_help(deployment):
    """Ctrl-C again and again: the lock is held, and the journal written, until what had begun has ended."""
    with deploying(deployment) as process:
        time.sleep(0.35)
        for _ in range(10):
            process.send_signal(signal.SIGINT)
            time.sleep(0.01)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert unfinished(deployment) == []
    assert not deployment.processes()


def test_with_json_an_interrupt_is_told_in_json_alone(deployment, wait_for):
    with deploying(deployment, "--output", "json") as process:
        wait_for(deployment.events)
        process.send_signal(signal.SIGINT)
        said, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")
    assert re.search(r'"exit_code": 130', said)
