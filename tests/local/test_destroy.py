"""`customai destroy`: nothing is left running, nothing on disk; it asks first, and again is success."""

from __future__ import annotations

import os
import pty
import subprocess
import sys


def on_a_terminal(deployment, answer: str) -> tuple[int, str]:
    """Runs destroy where somebody can answer: its exit code and all it has said."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "customai", "destroy", deployment.name]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        said = ""
        while "[y/N]" not in said:
            said += os.read(ours, 65536).decode()
        os.write(ours, answer.encode())
        while True:
            try:
                said += os.read(ours, 65536).decode()
            except OSError:  # the terminal's other end is closed
                break
    os.close(ours)
    return process.returncode, said


def test_nothing_is_left_and_again_is_success(deployment, cli, home):
    deployment.edit(replicas=2)
    deployment.deploy()
    running = deployment.processes()
    assert len(running) == 3
    gone = cli("destroy", deployment.spec, "--yes")
    assert gone.out == "digits is gone: smoke-test, endpoint, model. Nothing of it is left running or on disk.\n"
    assert not deployment.processes()  # at once: it has waited for them
    assert not deployment.listens()
    assert not home.exists()
    for word in (deployment.spec, "digits", "2-5"):
        again = cli("destroy", word, "--yes")
        assert "is not deployed: nothing to do" in again.out
    assert not home.exists()
    assert (deployment.folder / "model.onnx").exists()  # the user's own files


def test_where_nobody_can_answer_it_wants_yes(deployment, cli):
    deployment.deploy()
    running = deployment.processes()
    cli("destroy", deployment.name, code=2).failed(2, "destroy asks before it deletes digits", "--yes")
    assert sorted(deployment.processes()) == sorted(running)


def test_on_a_terminal_it_asks_and_no_means_no(deployment):
    deployment.deploy()
    running = deployment.processes()
    code, said = on_a_terminal(deployment, "n\n")
    assert code == 1, said
    assert "nothing was done: the answer was no" in said
    assert "Stop digits (path 2-5, target local) and delete model, endpoint, smoke-test?" in said
    assert sorted(deployment.processes()) == sorted(running)
    assert deployment.score(4) == "4"
    code, said = on_a_terminal(deployment, "y\n")
    assert code == 0, said
    assert "digits is gone" in said
    deployment.assert_nothing_is_left()


def test_a_spec_that_is_not_right_any_more_can_still_be_destroyed(deployment, cli):
    deployment.deploy()
    (deployment.folder / "model.onnx").unlink()
    assert deployment.status()["endpoint"]["health"] == "healthy"
    cli("destroy", deployment.spec, "--yes")
    deployment.assert_nothing_is_left()


def test_what_is_left_of_a_deploy_that_was_killed_at_once(deployment, cli):
    deployment.state.mkdir(parents=True)
    (deployment.state / "lock").touch()
    assert "is not deployed" in cli("destroy", deployment.name, "--yes").out
    cli("status", deployment.name, code=3)
    deployment.deploy()


def test_of_two_deployments_of_a_path_it_takes_the_one_that_is_named(deployment, cli, tmp_path, free_port):
    deployment.deploy()
    cli("init", "2-5", tmp_path / "second")
    spec = tmp_path / "second" / "customai.yaml"
    spec.write_text(spec.read_text().replace("8025", str(free_port())))
    cli("deploy", spec)
    cli("destroy", "2-5", "--yes", code=4).failed(4, "path 2-5 is deployed more than once: digits, second", "the name")
    cli("destroy", "second", "--yes")
    assert deployment.score(1) == "1"
    assert [found["name"] for found in cli("status", "-o", "json").json["deployments"]] == ["digits"]
