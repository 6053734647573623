"""`customai logs`: what the processes wrote, the last lines of it, and what they write from now on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest


@contextmanager
def following(deployment):
    """`logs -f`, as lines that grow."""
    command = [sys.executable, "-m", "customai", "logs", deployment.name, "-f"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")))  # as they come
        reader.start()
        try:
            yield process, lines
        finally:
            process.kill()
            reader.join()


def test_a_line_a_request_and_the_last_lines(deployment, cli, wait_for):
    deployment.deploy()
    wait_for(lambda: '"path":"/score"' in cli("logs", deployment.name).out)
    lines = cli("logs", deployment.name).out.splitlines()
    assert any(" supervisor: replica " in line for line in lines)
    assert cli("logs", "2-5", "--tail", 1).out.splitlines() == lines[-1:]
    assert cli("logs", "2-5", "--tail", 0).out == ""
    assert cli("logs", "2-5", "--tail", 2, "-o", "json").json == {"lines": lines[-2:]}
    cli("logs", "2-5", "-f", "--tail", 1, code=2).failed(2, "--follow goes with neither")


def test_who_reads_no_further_is_no_error(deployment):
    deployment.deploy()
    command = f"{sys.executable} -m customai logs {deployment.name} | head -0"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_following_shows_new_lines_across_a_change_until_ctrl_c(deployment, wait_for):
    deployment.deploy()
    with following(deployment) as (process, lines):
        wait_for(lambda: any(" started" in line for line in lines))
        (before,) = deployment.replicas()
        deployment.edit_endpoint("max_body: 4096")
        deployment.deploy()
        (after,) = deployment.replicas()
        wait_for(lambda: any(f"replica {after} started" in line for line in lines))
        assert after != before
        seen = len(lines)
        deployment.score(3)
        wait_for(lambda: any('"path":"/score"' in line for line in lines[seen:]))
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    assert "Traceback" not in process.stderr.read() if not process.stderr.closed else True


def test_following_ends_when_the_deployment_is_destroyed(deployment, cli, wait_for):
    deployment.deploy()
    with following(deployment) as (process, lines):
        wait_for(lambda: lines)
        cli("destroy", deployment.name, "--yes")
        assert process.wait(10) == 0
    assert any("supervisor: stopped" in line for line in lines)


def test_a_log_that_grows_too_long_is_cut_and_following_goes_on(deployment, wait_for):
    deployment.deploy()
    log = deployment.server / "server.log"
    with following(deployment) as (_, lines):
        wait_for(lambda: lines)
        with log.open("a") as file:
            file.write(("x" * 1023 + "\n") * (17 * 1024))
        wait_for(lambda: log.stat().st_size < 1000 and log.with_name("server.log.1").stat().st_size > 16 * 2**20)
        os.kill(deployment.replicas()[0], signal.SIGKILL)
        wait_for(lambda: any("was killed by SIGKILL" in line for line in lines))


@pytest.mark.parametrize("option", ["--tail=1", "-f"])
def test_where_nothing_is_deployed(cli, option):
    cli("logs", "2-5", option, code=3).failed(3, "2-5 is not deployed")
