"""Bad surroundings: what, where, a hint and the right exit code; nothing half-started left; then the same command works."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from unittest.mock import ANY

import pytest


def works(deployment) -> None:
    """After the cause is gone, the same command does."""
    deployment.deploy()
    assert deployment.score(6) == "6"


def test_a_port_that_another_process_has(deployment):
    with socket.create_server(("127.0.0.1", deployment.port)):
        deployment.deploy(3).failed(
            3, f"127.0.0.1:{deployment.port} is already in use", "endpoint.port", "hint:", "ss -ltnp", "choose another"
        )
    deployment.assert_nothing_is_left()
    works(deployment)


def test_a_port_that_another_process_takes_during_a_change_of_port(deployment, free_port):
    deployment.deploy()
    taken, kept = free_port(), deployment.processes()
    with socket.create_server(("127.0.0.1", taken)):
        deployment.edit(port=taken)
        deployment.deploy(3).failed(3, f"127.0.0.1:{taken} is already in use")
        assert sorted(deployment.processes()) == sorted(kept)
        assert deployment.score(0) == "0"
    deployment.port = taken
    works(deployment)


def test_the_port_of_another_deployment(deployment, cli, tmp_path):
    deployment.deploy()
    cli("init", "2-5", tmp_path / "second")
    spec = tmp_path / "second" / "customai.yaml"
    spec.write_text(spec.read_text().replace("8025", str(deployment.port)))
    cli("deploy", spec, code=3).failed(3, "is already in use", "hint:")
    assert [found["name"] for found in cli("status", "-o", "json").json["deployments"]] == ["digits"]


def test_a_port_that_only_root_may_have(deployment, unprivileged):
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 81:
        pytest.skip("anyone may have port 81 on this machine")
    deployment.edit(port=81)
    failed = unprivileged("net_bind_service", "deploy", deployment.spec)
    failed.failed(3, "no right to listen on 127.0.0.1:81", "endpoint.port", "hint:  choose a port from 1024 up")
    deployment.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("192.0.2.1", ["192.0.2.1 is not an address of this machine", "endpoint.host", "127.0.0.1 is this machine"]),
        ("no-such-host.invalid", ["there is no address 'no-such-host.invalid'", "endpoint.host"]),
    ],
)
def test_an_address_that_is_not_ours(deployment, host, words):
    deployment.edit(host=host)
    deployment.edit_endpoint("key: {env: SCORING_KEY}")
    deployment.deploy(3, SCORING_KEY="0123456789abcdef").failed(3, *words)
    deployment.assert_nothing_is_left()


def test_other_machines_are_not_served_without_a_key(deployment):
    deployment.edit(host="0.0.0.0")
    line = deployment.spec.read_text().split("host:")[0].count("\n") + 1
    deployment.deploy(2).failed(
        2, f"{deployment.spec}:{line}:", "endpoint.host", "an API key is required", "key: {env:"
    )
    deployment.assert_nothing_is_left()


def test_another_address_on_the_same_port_is_in_use_by_the_deployment_itself(deployment):
    deployment.deploy()
    deployment.edit(host="0.0.0.0")
    deployment.edit_endpoint("key: {env: SCORING_KEY}")
    deployment.deploy(3, SCORING_KEY="0123456789abcdef").failed(3, "already in use", "by this deployment itself")
    assert deployment.score(9) == "9"


def missing(deployment) -> None:
    (deployment.folder / "model.onnx").unlink()


def truncated(deployment) -> None:
    os.truncate(deployment.folder / "model.onnx", 100_000)
    deployment.edit(sha256=None)


def not_onnx(deployment) -> None:
    (deployment.folder / "model.onnx").write_bytes(b"this is not a model" * 1000)
    deployment.edit(sha256=None)


def changed(deployment) -> None:
    with (deployment.folder / "model.onnx").open("ab") as file:
        file.write(b"\0")


def few_labels(deployment) -> None:
    (deployment.folder / "labels.txt").write_text("0\n1\n2\n3\n")


def no_labels(deployment) -> None:
    (deployment.folder / "labels.txt").write_text("")


def wrong_answer(deployment) -> None:
    deployment.edit(label='"8"')


def no_image(deployment) -> None:
    (deployment.folder / "samples" / "3.png").write_bytes(b"not an image")


BAD_MODELS = [
    (missing, 2, ["model.file", "there is no file"]),
    (truncated, 1, ["model.onnx", "hint:"]),
    (not_onnx, 1, ["model.onnx", "ONNX"]),
    (changed, 2, ["model.file", "SHA-256", "was the file changed?"]),
    (few_labels, 1, ["4 labels", "10"]),
    (no_labels, 2, ["model.labels", "is empty", "one label a line"]),
    (wrong_answer, 1, ["'3'", "'8'", "preprocessing"]),
    (no_image, 1, ["image"]),
]


@pytest.fixture
def good(deployment, tmp_path):
    """Puts the spec's folder back as it was."""
    shutil.copytree(deployment.folder, tmp_path / "good")
    return lambda: shutil.copytree(tmp_path / "good", deployment.folder, dirs_exist_ok=True)


def test_a_bad_model_never_starts(deployment, good):
    for spoil, code, words in BAD_MODELS:
        spoil(deployment)
        deployment.deploy(None).failed(code, *words)
        assert not deployment.processes()
        assert not list(deployment.state.glob("store/.new-*"))
        if code == 1:
            assert deployment.status()["steps"] == [{"id": "model", "event": "failed", "as_left": False, "since": ANY}]
        good()
    works(deployment)


def test_a_bad_model_never_replaces_a_good_one(deployment, good):
    deployment.deploy()
    serving = deployment.replicas()
    for spoil, code, words in BAD_MODELS:
        spoil(deployment)
        deployment.deploy(None).failed(code, *words)
        assert deployment.replicas() == serving
        good()
    works(deployment)
    assert deployment.replicas() == serving


def test_a_replica_that_dies_at_the_first_start(deployment, die):
    die.write_text("7")
    failed = deployment.deploy(1).failed(
        1, "a replica ended with exit code 7 before it was ready", "step endpoint", "hint:"
    )
    assert "never started: smoke-test" in failed.err
    assert not deployment.processes()
    assert not deployment.listens()
    assert not any((deployment.state / "servers").iterdir())
    assert deployment.status()["endpoint"]["health"] == "stopped"
    die.unlink()
    works(deployment)


@pytest.mark.parametrize("change", [{"replicas": 3}, {"scores": "logits"}])
def test_a_replica_that_dies_during_a_change(deployment, die, change):
    deployment.edit(replicas=2)
    deployment.edit_endpoint("threads: 1")
    deployment.deploy()
    before = deployment.replicas()
    die.write_text("7")
    deployment.edit(**change)
    deployment.deploy(1).failed(1, "a replica ended with exit code 7 before it was ready")
    assert deployment.replicas() == before
    assert deployment.score(5) == "5"
    status = deployment.status()
    assert (status["complete"], status["endpoint"]["health"]) == (False, "healthy")
    assert "exit code 7" in status["endpoint"]["failure"]["message"]
    die.unlink()
    works(deployment)
    assert deployment.status()["complete"] is True


def test_a_machine_without_the_memory_for_it(deployment):
    command = [sys.executable, "-m", "customai", "deploy", deployment.spec]
    limit = 200 * 2**20  # of address space: enough for the command, not for onnxruntime
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert done.returncode in (1, 3), done
    assert "Error:" in done.stderr
    assert "Traceback" not in done.stderr
    assert not deployment.processes()
    works(deployment)


def test_what_was_spoilt_in_the_state_folder_is_made_anew(deployment, cli):
    deployment.deploy()
    model = next(deployment.state.glob("store/model-*/model.onnx"))
    os.truncate(model, 1000)
    assert deployment.redeploy()["model"] == "changed"
    assert model.stat().st_size == (deployment.folder / "model.onnx").stat().st_size
    os.kill(deployment.supervisor, signal.SIGKILL)
    model.with_name("model.json").write_text("{")
    works(deployment)
