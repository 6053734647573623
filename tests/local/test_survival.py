"""The service outlives the terminal and the command; what dies of it comes back, the rest goes on answering."""

from __future__ import annotations

import fcntl
import os
import pty
import resource
import signal
import subprocess
import sys
import termios
import threading
import time

import pytest

LIMITS = resource.getrlimit(resource.RLIMIT_NOFILE)


@pytest.fixture
def answering(deployment):
    """Scores all the time on connections of its own; gives how many were answered and what went wrong."""
    import http.client

    image = (deployment.folder / "samples" / "4.png").read_bytes()
    stop, right, wrong = threading.Event(), [], []

    def score() -> None:
        while not stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", deployment.port, timeout=10)
            try:
                connection.request("POST", "/score", image, {"content-type": "image/png", "connection": "close"})
                right.append(b'"label":"4"' in connection.getresponse().read())
            except OSError as error:
                wrong.append(error)
            finally:
                connection.close()
            time.sleep(0.01)

    thread = threading.Thread(target=score)
    deployment.edit(replicas=2)
    deployment.deploy()
    thread.start()
    yield right, wrong
    stop.set()
    thread.join()


def test_it_goes_on_when_the_terminal_hangs_up(deployment, wait_for):
    ours, theirs = pty.openpty()

    def take_the_terminal() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a gate that was started by nohup ignores it
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    shell = subprocess.Popen(
        ["sh", "-c", f"{sys.executable} -m customai deploy {deployment.spec}; sleep 60"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=take_the_terminal,  # noqa: PLW1509 (no thread of ours runs here)
        env=os.environ | {"TERM": "xterm"},
    )
    os.close(theirs)
    said = b""
    while b"Next:" not in said:
        said += os.read(ours, 65536)
    before = sorted(deployment.processes())
    os.close(ours)  # the kernel sends SIGHUP to the session
    assert shell.wait(10) == -signal.SIGHUP
    time.sleep(0.3)
    assert sorted(deployment.processes()) == before
    assert deployment.status()["endpoint"]["health"] == "healthy"
    assert deployment.score(5) == "5"
    assert "nothing to do" in deployment.deploy().out


def test_a_replica_that_is_killed_is_started_again_while_the_other_answers(deployment, answering, wait_for):
    right, wrong = answering
    first, second = deployment.replicas()
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: len(found := deployment.replicas()) == 2 and first not in found and second in found)
    status = deployment.status()["endpoint"]
    assert (status["health"], status["restarts"], status["failure"]) == ("healthy", 1, None)
    answered = len(right)
    wait_for(lambda: len(right) > answered + 20)
    assert all(right)
    assert len(wrong) <= 1  # what the killed one was just answering
    assert "nothing to do" in deployment.deploy().out
    assert "was killed by SIGKILL\n" in (deployment.server / "server.log").read_text()


def test_a_replica_that_hangs_is_replaced_by_a_change(deployment, wait_for):
    deployment.edit_endpoint("drain: 0.1")
    deployment.deploy()
    (hung,) = deployment.replicas()
    os.kill(hung, signal.SIGSTOP)
    deployment.edit(drain="0.2")
    deployment.deploy()
    assert hung not in deployment.replicas()
    wait_for(lambda: hung not in deployment.processes(), 8)


def test_when_the_supervisor_is_killed_all_ends_and_deploy_brings_it_up_again(deployment, cli, wait_for):
    deployment.edit(replicas=2)
    deployment.deploy()
    os.kill(deployment.supervisor, signal.SIGKILL)
    wait_for(lambda: not deployment.processes(), 5)
    assert not deployment.listens()
    stopped = deployment.status()["endpoint"]
    assert (stopped["health"], stopped["replicas"]) == ("stopped", [])
    assert "stopped" in cli("status", deployment.name).out
    assert deployment.redeploy() == {"model": "kept", "endpoint": "changed", "smoke-test": "changed"}
    assert deployment.score(8) == "8"


def test_deploy_and_destroy_right_after_the_supervisor_was_killed(deployment, cli):
    deployment.deploy()
    for _ in range(3):
        os.kill(deployment.supervisor, signal.SIGKILL)
        deployment.deploy()
        assert deployment.score(2) == "2"
        assert len(deployment.processes("scoring.supervisor")) == 1
    os.kill(deployment.supervisor, signal.SIGKILL)
    cli("destroy", deployment.name, "--yes")
    assert not deployment.processes()  # destroy waited for the replicas, which nobody supervised any more


def test_a_replica_that_keeps_dying_is_started_again_later_each_time(deployment, die, wait_for):
    deployment.deploy()
    die.write_text("7")
    os.kill(deployment.replicas()[0], signal.SIGKILL)
    time.sleep(4)
    log = (deployment.server / "server.log").read_text()
    assert 4 <= log.count(" started\n") <= 6, log  # at 0, 0, 0.5, 1.5, 3.5 s
    assert "ended with exit code 7 before it was ready" in log
    status = deployment.status()["endpoint"]
    assert status["health"] == "not ready"
    assert status["restarts"] >= 3
    die.unlink()
    deployment.deploy()
    assert deployment.score(1) == "1"


def test_where_no_process_can_be_started_the_others_go_on(deployment, answering, wait_for):
    right, wrong = answering
    first, second = deployment.replicas()
    supervisor = deployment.supervisor
    in_use = max(int(fd) for fd in os.listdir(f"/proc/{supervisor}/fd"))
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (in_use + 1, LIMITS[1]))
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: "cannot be started: Too many open files" in (deployment.server / "server.log").read_text())
    wait_for(lambda: deployment.status()["endpoint"]["health"] == "degraded")
    assert deployment.replicas() == [second]
    answered = len(right)
    wait_for(lambda: len(right) > answered + 20)
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, LIMITS)
    wait_for(lambda: len(deployment.replicas()) == 2)
    assert deployment.supervisor == supervisor
    assert all(right)
    assert len(wrong) <= 1
