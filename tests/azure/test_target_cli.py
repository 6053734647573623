"""The command line against a simulated Azure in another process, as a user types it; and without any Azure at all."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.azure.simulator import SUBSCRIPTION, Remote

REPOSITORY = Path(__file__).parents[2]
NEEDS_SDK = "the extra azure is not installed"


class Address(BaseHTTPRequestHandler):
    """Tells the address from which it is seen, as the service on the internet does."""

    seen = "20.1.2.3"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.seen)))
        self.end_headers()
        self.wfile.write(self.seen.encode())

    def log_message(self, *_: Any) -> None:
        """Silent."""


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Address) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
        Address.seen = "20.1.2.3"


@pytest.fixture
def remote() -> Iterator[Remote]:
    pytest.importorskip("azure.mgmt.compute", reason=NEEDS_SDK)
    command = [sys.executable, "-m", "tests.azure.simulator", "--attached", "--seconds", "0.05"]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as simulator:
        assert simulator.stdout is not None
        yield Remote(simulator.stdout.readline().strip())
        simulator.stdin.close()  # type: ignore[union-attr]
        simulator.wait(20)


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with an ssh key in it, and nothing of any login."""
    (tmp_path / ".ssh").mkdir()
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGq0Xkz9 someone@somewhere"
    (tmp_path / ".ssh" / "id_ed25519.pub").write_text(key, encoding="utf-8")
    for name in list(os.environ):
        if name.startswith("AZURE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("CUSTOMAI_AZURE_ENDPOINT", raising=False)
    return tmp_path


@pytest.fixture
def on_azure(remote: Remote, address: str, surroundings: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    monkeypatch.setenv("CUSTOMAI_AZURE_ENDPOINT", remote.url)
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    monkeypatch.setenv("CUSTOMAI_ADDRESS_SERVICE", address)
    return remote


Run = Callable[..., subprocess.CompletedProcess[str]]


def writes(remote: Remote) -> list[str]:
    return [f"{entry['method']} {entry['name']}" for entry in remote.log() if entry["method"] not in ("GET", "HEAD")]


def test_1_1_from_its_first_word_to_its_last(on_azure: Remote, customai: Run) -> None:
    done = customai("deploy", "1-1", "--target", "azure", "--yes")
    assert (done.returncode, "ssh azureuser@20." in done.stdout) == (0, True), done.stderr
    assert "vm created in" in done.stderr
    assert len(on_azure.resources()) > 10

    on_azure.clear()
    done = customai("deploy", "1-1", "--target", "azure", "--yes", "-o", "json")
    assert json.loads(done.stdout)["changed"] is False
    assert writes(on_azure) == []

    found = json.loads(customai("status", "1-1", "-o", "json").stdout)["deployments"][0]
    assert {each["state"] for each in found["resources"]} <= {"succeeded", "there"}
    assert all(each["differences"] == [] for each in found["resources"])
    vm = next(each for each in found["resources"] if each["id"] == "vm")
    assert (vm["name"], vm["size"]) == ("digits-training", "Standard_D4ds_v5")
    assert "vm              succeeded: digits-training" in customai("status", "1-1").stdout

    planned = customai("plan", "1-1", "--target", "azure")
    assert "Nothing to do: it is as planned." in planned.stdout

    done = customai("destroy", "1-1", "--yes", "--purge", "-o", "json")
    receipt = json.loads(done.stdout)
    assert (done.returncode, receipt["remaining"], "vm" in receipt["deleted"]) == (0, [], True)
    assert on_azure.resources() == {}
    assert "is not deployed" in customai("destroy", "1-1", "--yes").stdout


def test_a_caller_who_has_moved_is_let_in_from_there_alone(on_azure: Remote, customai: Run) -> None:
    customai("deploy", "1-1", "--target", "azure", "--yes")
    on_azure.clear()
    Address.seen = "20.9.9.9"
    done = customai("deploy", "1-1", "--target", "azure", "--yes", "-o", "json")
    assert done.returncode == 0, done.stdout
    assert writes(on_azure) == ["PUT nsg-digits-training"]
    rule = next(body for id_, body in on_azure.resources().items() if id_.endswith("/securityRules/ssh"))
    assert rule["properties"]["sourceAddressPrefixes"] == ["20.9.9.9/32"]


@pytest.mark.parametrize("seen", ["10.0.0.1", "::1", "<html>hello</html>", ""])
def test_an_address_that_nobody_could_come_from_opens_nothing(on_azure: Remote, customai: Run, seen: str) -> None:
    Address.seen = seen
    done = customai("deploy", "1-1", "--target", "azure", "--yes")
    assert done.returncode == 3
    assert "azure.allow_from" in done.stderr
    assert not [each for each in on_azure.resources() if "networkSecurityGroups" in each]


def test_nobody_is_asked_where_nobody_can_answer(on_azure: Remote, customai: Run) -> None:
    done = customai("deploy", "1-1", "--target", "azure")
    assert (done.returncode, "give --yes" in done.stderr) == (2, True)
    assert writes(on_azure) == []
    assert json.loads(customai("status", "-o", "json").stdout) == {"deployments": []}


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("y", 0)])
def test_on_a_terminal_one_is_asked_and_shown_what(
    on_azure: Remote, tmp_path: Path, customai: Run, answer: str, code: int
) -> None:
    def deploy() -> tuple[int, str]:
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "customai", "deploy", "1-1", "--target", "azure"]
        with subprocess.Popen(command, cwd=tmp_path, stdin=theirs, stderr=subprocess.PIPE, text=True) as asking:
            os.write(ours, f"{answer}\n".encode())
            _, told = asking.communicate(timeout=60)
        os.close(ours)
        os.close(theirs)
        return asking.returncode, told

    done, told = deploy()
    assert done == code
    assert "Do 11 of 11 steps on azure? It costs money." in told
    assert "Standard_D4ds_v5" in told
    assert "206.64 if it is forgotten (730 h)" in told
    assert bool(on_azure.resources()) == (answer == "y")
    if answer == "y":
        assert "costs money" not in deploy()[1]  # there is nothing to do: nobody is asked


def test_status_without_a_login_tells_what_is_known_here(
    on_azure: Remote, customai: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    customai("deploy", "1-1", "--target", "azure", "--yes")
    on_azure.fault("token_expired", times=99)
    done = customai("status", "-o", "json")
    found = json.loads(done.stdout)["deployments"][0]
    assert (done.returncode, found["error"]["type"]) == (0, "NotLoggedIn")
    assert {each["state"] for each in found["resources"]} == {"unknown"}


def test_what_is_not_ours_stops_a_destroy_that_cannot_ask(on_azure: Remote, customai: Run) -> None:
    customai("deploy", "1-1", "--target", "azure", "--yes")
    group = next(id_ for id_ in on_azure.resources() if id_.count("/") == 4)
    put(
        f"{on_azure.url}{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/theirs?api-version=2024-11-30"
    )
    on_azure.clear()
    done = customai("destroy", "1-1", "--yes")
    assert (done.returncode, "theirs" in done.stderr) == (3, True)
    assert writes(on_azure) == []


def put(url: str) -> None:
    import urllib.request

    headers = {"Authorization": "Bearer somebody", "Content-Type": "application/json"}
    request = urllib.request.Request(url, b'{"location": "eastus"}', headers, method="PUT")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status in (200, 201)


def test_what_remains_is_told_and_the_exit_code_says_so(on_azure: Remote, customai: Run) -> None:
    customai("deploy", "1-1", "--target", "azure", "--yes")
    on_azure.fault("authorization_failed", method="DELETE", times=99, action="delete")
    done = customai("destroy", "1-1", "--yes", "--purge", "-o", "json")
    receipt = json.loads(done.stdout)
    assert done.returncode == 1
    assert "group" in receipt["remaining"]
    on_azure.calm()
    done = customai("destroy", "1-1", "--yes", "--purge", "-o", "json")
    assert (done.returncode, json.loads(done.stdout)["remaining"], on_azure.resources()) == (0, [], {})


def test_ctrl_c_is_heard_and_the_next_run_takes_up_what_has_begun(
    on_azure: Remote, customai: Run, tmp_path: Path
) -> None:
    on_azure.times(of={"Microsoft.Compute/virtualMachines": 3.0})
    command = [sys.executable, "-m", "customai", "deploy", "1-1", "--target", "azure", "--yes"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as deploying:
        deadline = time.monotonic() + 30
        while "PUT digits-training" not in writes(on_azure):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        deploying.send_signal(signal.SIGINT)
        _, told = deploying.communicate(timeout=30)
    assert deploying.returncode == 130
    assert "run the same command again to continue" in told
    assert customai("deploy", "1-1", "--target", "azure", "--yes").returncode == 0
    assert writes(on_azure).count("PUT digits-training") == 1


def test_no_token_and_no_secret_is_told_or_kept(on_azure: Remote, customai: Run, home: Path) -> None:
    from customai.targets.azure_login import Nobody

    token = Nobody().get_token().token
    on_azure.fault("fails_late", type="microsoft.compute/virtualmachines")
    done = customai("deploy", "1-1", "--target", "azure", "--yes", "--debug")
    assert "AllocationFailed" in done.stderr
    assert "Traceback" in done.stderr
    planned = customai("plan", "1-1", "--target", "azure", "-o", "json")
    kept = [file.read_text(encoding="utf-8") for file in home.rglob("*") if file.is_file()]
    assert kept
    for text in (done.stderr, done.stdout, planned.stdout, planned.stderr, *kept):
        assert token not in text
        assert "Bearer" not in text


def test_1_2_is_begun_seen_to_its_end_and_failed_jobs_are_exit_code_1(on_azure: Remote, customai: Run) -> None:
    on_azure.here()
    assert customai("deploy", "1-2", "--target", "azure", "--yes").returncode == 0
    done = customai("train-multi", "run", "1-2", "-o", "json")
    assert (done.returncode, json.loads(done.stdout)["result"]["accuracy"]) == (0, 0.97), done.stderr
    on_azure.jobs(fails="no room on the node")
    done = customai("train-multi", "run", "1-2")
    assert (done.returncode, "no room on the node" in done.stderr) == (1, True)


# Without any Azure.


@pytest.mark.parametrize(("path", "count"), [("1-1", 11), ("2-5", 20)])
def test_a_plan_needs_no_login_no_network_and_no_sdk(
    surroundings: Path, customai: Run, path: str, count: int, tmp_path: Path
) -> None:
    """It is run where importing azure fails, as where the extra is not installed."""
    without = tmp_path / "without"
    (without / "azure").mkdir(parents=True)
    (without / "azure" / "__init__.py").write_text("raise ImportError('azure is not to be imported')", encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": f"{without}{os.pathsep}{REPOSITORY}", "https_proxy": "http://127.0.0.1:1"}
    done = customai("plan", path, "--target", "azure", "--output", "json", env=env)
    plan = json.loads(done.stdout)
    assert len(plan["steps"]) == count
    assert plan["changes"] is None
    for step in plan["steps"]:
        assert {"id", "kind", "why", "after"} <= set(step)
        assert ("request" in step) == (step["kind"] not in ("caller", "image", "kubernetes"))
    told = customai("plan", path, "--target", "azure", env=env).stdout
    assert "RESOURCE" in told
    assert "az login" in told


@pytest.mark.slow
def test_a_plan_does_not_wait_for_an_azure_that_does_not_answer(
    surroundings: Path, customai: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("azure.identity", reason=NEEDS_SDK)
    monkeypatch.setenv("CUSTOMAI_AZURE_ENDPOINT", "http://127.0.0.1:1")
    started = time.monotonic()
    done = customai("plan", "1-1", "--target", "azure", "-o", "json")
    assert time.monotonic() - started < 100  # asking in vain takes minutes
    assert json.loads(done.stdout)["changes"] is None
    assert "What is there already is not known: Azure cannot be reached" in done.stderr


def test_every_reference_of_a_plan_is_to_a_step_of_it(surroundings: Path, customai: Run) -> None:
    for path in ("1-1", "2-5"):
        for target in ("local", "azure"):
            steps = json.loads(customai("plan", path, "--target", target, "-o", "json").stdout)["steps"]
            there = {step["id"] for step in steps}
            for step in steps:
                assert set(step["after"]) <= there
                assert {name.partition("#")[0] for name in named(step)} <= there


def named(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if set(value) == {"$ref"}:
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from named(each)


@pytest.mark.parametrize("path", ["1-1", "2-5"])
def test_the_referee_accepts_a_plan_as_it_is_printed(surroundings: Path, customai: Run, path: str) -> None:
    referee = REPOSITORY.parent / "shared" / "tools" / "arm_check.py"
    if not referee.is_file():
        pytest.skip("there is no ../shared/tools/arm_check.py: Microsoft's descriptions are not at hand")
    plan = customai("plan", path, "--target", "azure", "--output", "json").stdout
    done = subprocess.run([sys.executable, referee], input=plan, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_without_the_sdk_deploying_says_what_to_install(surroundings: Path, customai: Run, tmp_path: Path) -> None:
    without = tmp_path / "without"
    (without / "azure").mkdir(parents=True)
    (without / "azure" / "__init__.py").write_text("", encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": f"{without}{os.pathsep}{REPOSITORY}", "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION}
    done = customai("deploy", "1-1", "--target", "azure", "--yes", env=env)
    assert done.returncode == 3
    assert "pip install 'customai[azure]'" in done.stderr


@pytest.mark.parametrize("block", ["", "azure:\n", "azure: {}\n"])
def test_an_empty_block_is_the_default(surroundings: Path, customai: Run, tmp_path: Path, block: str) -> None:
    customai("init", "1-1", "mine")
    file = tmp_path / "mine" / "customai.yaml"
    file.write_text(file.read_text(encoding="utf-8") + f"\n{block}", encoding="utf-8")
    found = json.loads(customai("plan", "mine", "--target", "azure", "-o", "json").stdout)
    vm = next(step["request"]["body"] for step in found["steps"] if step["id"] == "vm")
    assert vm["properties"]["hardwareProfile"]["vmSize"] == "Standard_D4ds_v5"
