"""The machine of 1-1: Azure is simulated, ssh is real. An OpenSSH server on loopback stands in for the machine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from customai import history
from customai.journal import folder_of
from customai.targets.azure_login import NOBODY
from customai.targets.azure_machine import Machine
from customai.targets.azure_run import Runs, moved, requirements
from tests.azure import driven, stand_in
from tests.azure.simulator import SUBSCRIPTION, Simulator
from tests.azure.stand_in import StandIn
from tests.ports import free_port

pytest.importorskip("azure.mgmt.compute", reason="the extra azure is not installed")
pytestmark = [
    pytest.mark.skipif(stand_in.SSHD is None, reason=stand_in.MISSING),
    pytest.mark.skipif(stand_in.CLIENT is None, reason=stand_in.MISSING),
]
NAME = "digits-training"
SCRIPT = """
import argparse, time
from pathlib import Path
from customai.workloads.training import Run
import words

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--seed", type=int)
parser.add_argument("--until", default="")
arguments = parser.parse_args()
run = Run.start(vars(arguments))
step, _ = run.resume() or (0, None)
while step < arguments.epochs:
    step += 1
    print(words.SAID, step, flush=True)
    run.log(step, accuracy=step / 10)
    run.checkpoint(step, {"step": step})
    run.progress(step, arguments.epochs, "epochs")
    while step == 2 and arguments.until and not Path(arguments.until).exists():
        time.sleep(0.02)
if arguments.seed == 13:
    raise ValueError("thirteen")
(run.folder / "model.onnx").write_bytes(b"model")
(run.folder / "MODEL_CARD.md").write_text("# The card")
run.finish({"accuracy": 0.9, "model": "model.onnx"})
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with stand_in.machine(tmp_path_factory.mktemp("stand-in") / "machine") as made:
        yield made


Run = Callable[..., subprocess.CompletedProcess[str]]


class Deployed:
    """1-1, deployed on the simulator, with a script of a few milliseconds; its machine is the stand-in."""

    def __init__(self, azure: Simulator, machine: StandIn, folder: Path) -> None:
        self.azure, self.machine, self.folder = azure, machine, folder
        self.file = driven.spec(folder, "1-1")
        (self.file.parent / "key.pub").write_text(machine.public_key, encoding="utf-8")
        (self.file.parent / "key").write_bytes((machine.folder / "user").read_bytes())
        (self.file.parent / "key").chmod(0o600)
        (self.file.parent / "train.py").write_text(textwrap.dedent(SCRIPT), encoding="utf-8")
        (self.file.parent / "digits.py").rename(self.file.parent / "words.py")
        (self.file.parent / "words.py").write_text("SAID = 'epoch'\n", encoding="utf-8")
        self.write(epochs=3)
        one = driven.Driven(azure.url, self.file, folder_of(NAME))
        one.deploy()
        history.ask(one.folder, one.plan())
        history.reach(one.folder, one.plan())
        azure.cloud.catalog.run_output = machine.host_key
        azure.log.clear()

    def write(self, **parameters: Any) -> None:
        given = "".join(f"    {name}: {value}\n" for name, value in parameters.items())
        train = f"train:\n  script: train.py\n  parameters:\n{given}  files: [words.py]\n"
        text = self.file.read_text(encoding="utf-8")
        text = re.sub(r"(?ms)^train:.*?(?=^(tracking|azure):)", train + "\n", text)
        text = re.sub(r"(?ms)^tracking:.*?(?=^azure:)", "", text)
        self.file.write_text(text, encoding="utf-8")

    def sent(self) -> list[str]:
        found = ["/".join(entry.path.split("/")[-2:]) for entry in self.azure.log.writes()]
        self.azure.log.clear()
        return found


@pytest.fixture
def deployed(azure: Simulator, machine: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    azure.cloud.times.seconds = 0.02
    azure.cloud.catalog.caller = NOBODY
    monkeypatch.setenv("CUSTOMAI_AZURE_ENDPOINT", azure.url)
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    monkeypatch.setenv("PATH", f"{machine.bin}{os.pathsep}{os.environ['PATH']}")
    return Deployed(azure, machine, tmp_path)


def test_a_command_runs_there_and_its_exit_code_is_ours(deployed: Deployed, customai: Run) -> None:
    done = customai("ssh", NAME, "--", "echo $HOME; exit 7")
    assert (done.returncode, done.stdout.strip()) == (7, str(deployed.machine.home)), done.stderr
    assert deployed.sent() == [f"{NAME}/runCommand"]  # for its host key
    kept = (folder_of(NAME) / "known_hosts").read_text(encoding="utf-8")
    assert deployed.machine.host_key.split()[1] in kept
    assert kept.startswith("vm-")
    assert customai("ssh", NAME, "--", "true").returncode == 0
    assert deployed.sent() == []  # it is known


def test_a_machine_that_shows_another_key_is_not_logged_in_to(deployed: Deployed, customai: Run) -> None:
    deployed.azure.cloud.catalog.run_output = (deployed.machine.folder / "stranger.pub").read_text(encoding="utf-8")
    done = customai("ssh", NAME, "--", "echo reached")
    assert done.returncode == 255
    assert "reached" not in done.stdout
    done = customai("train-single", "run", str(deployed.file))
    assert done.returncode == 3
    assert "another machine answers there" in done.stderr


def test_where_azure_tells_no_key_the_first_is_taken_and_that_is_said(deployed: Deployed, customai: Run) -> None:
    deployed.azure.cloud.catalog.run_output = ""
    done = customai("ssh", NAME, "--", "echo reached")
    assert done.stdout == "reached\n"
    assert "the key that the machine shows first is taken" in done.stderr
    assert deployed.machine.host_key.split()[1] in (folder_of(NAME) / "known_hosts").read_text(encoding="utf-8")


def test_a_key_that_the_machine_does_not_know_says_so(deployed: Deployed, customai: Run) -> None:
    (deployed.file.parent / "key").write_bytes((deployed.machine.folder / "stranger").read_bytes())
    done = customai("train-single", "run", str(deployed.file))
    assert done.returncode == 3
    assert "not reached by ssh" in done.stderr
    assert "azure.vm.ssh_key" in done.stderr


def test_a_machine_that_is_stopped_says_how_to_start_it(deployed: Deployed, customai: Run) -> None:
    customai("stop", NAME)
    for words in (
        ("ssh", NAME),
        ("train-single", "run", str(deployed.file)),
        ("train-single", "open", str(deployed.file)),
    ):
        done = customai(*words)
        assert (done.returncode, f"customai start {NAME}" in done.stderr) == (3, True), done.stderr


def test_a_training_is_copied_there_seen_through_and_fetched(deployed: Deployed, customai: Run) -> None:
    done = customai("train-single", "run", str(deployed.file), "-o", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    folder = Path(told["folder"])
    assert told["result"] == {"accuracy": 0.9, "model": "model.onnx"}
    assert (folder / "model.onnx").read_bytes() == b"model"
    assert (folder / "MODEL_CARD.md").read_text(encoding="utf-8") == "# The card"
    assert str(deployed.machine.home) not in str(folder)

    assert customai("logs", NAME).stdout.splitlines() == ["epoch 1", "epoch 2", "epoch 3"]
    job = json.loads(customai("status", NAME, "-o", "json").stdout)["deployments"][0]["jobs"][0]
    assert (job["id"], job["status"], job["result"]["accuracy"]) == ("train", "succeeded", 0.9)
    assert "train" in customai("status", NAME).stdout

    again = customai("train-single", "run", str(deployed.file))
    assert "0.9" in again.stdout
    assert customai("logs", NAME).stdout.count("epoch 1") == 1  # nothing was trained twice


def test_whoever_leaves_comes_back_to_the_same_run(deployed: Deployed, customai: Run, tmp_path: Path) -> None:
    until = tmp_path / "go-on"
    deployed.write(epochs=4, until=until)
    command = [sys.executable, "-m", "customai", "train-single", "run", str(deployed.file)]
    for number in (signal.SIGINT, signal.SIGKILL):
        with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as watching:
            wait_for(lambda: "epoch 2" in the_log(deployed))
            time.sleep(0.1)
            watching.send_signal(number)
            _, said = watching.communicate(timeout=60)
        if number == signal.SIGINT:
            assert watching.returncode == 130
            assert "it goes on there" in said
    following = [sys.executable, "-m", "customai", "logs", NAME, "-f"]
    with subprocess.Popen(following, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as followed:
        job = json.loads(customai("status", NAME, "-o", "json").stdout)["deployments"][0]["jobs"][0]
        assert (job["status"], job["progress"]["total"]) == ("running", 4)
        until.touch()
        told = json.loads(customai("train-single", "run", str(deployed.file), "-o", "json").stdout)
        assert told["result"]["accuracy"] == 0.9
        lines = followed.communicate(timeout=60)[0].splitlines()
    assert lines == [f"epoch {step}" for step in range(1, 5)]


def test_what_was_cut_short_goes_on_after_its_last_checkpoint(
    deployed: Deployed, customai: Run, tmp_path: Path
) -> None:
    """As when the machine is deallocated: everything on it is gone, but for its disk."""
    until = tmp_path / "go-on"
    deployed.write(epochs=3, until=until)
    command = [sys.executable, "-m", "customai", "train-single", "run", str(deployed.file)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as watching:
        wait_for(lambda: "epoch 2" in the_log(deployed))
        watching.kill()
    (run,) = (deployed.machine.home / ".customai" / NAME / "runs").glob(newest(deployed))
    state = json.loads((run / "state.json").read_bytes())
    for process in (state["pid"], state["work"]):
        os.kill(process, signal.SIGKILL)
    until.touch()
    told = json.loads(customai("train-single", "run", str(deployed.file), "-o", "json").stdout)
    assert told["result"]["accuracy"] == 0.9
    log = the_log(deployed)
    assert "going on after step 2" in log
    assert log.count("epoch 1") == 1


def test_a_training_that_fails_says_where(deployed: Deployed, customai: Run) -> None:
    deployed.write(epochs=1, seed=13)
    done = customai("train-single", "run", str(deployed.file))
    assert done.returncode == 1
    assert "ValueError: thirteen" in done.stderr
    assert "Traceback" not in done.stderr
    assert "ValueError: thirteen" in customai("logs", NAME).stdout


@pytest.mark.slow
def test_jupyterlab_is_opened_through_a_tunnel_that_only_this_machine_sees(
    deployed: Deployed, customai: Run, tmp_path: Path
) -> None:
    pytest.importorskip("jupyterlab", reason="the extra notebook is not installed")
    port = free_port()
    command = [sys.executable, "-m", "customai", "train-single", "open", str(deployed.file), "--port", str(port)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as opened:
        assert opened.stdout is not None
        url = opened.stdout.readline().strip()
        assert url.startswith(f"http://127.0.0.1:{port}/lab")
        api = f"http://127.0.0.1:{port}/api/contents?token={url.partition('token=')[2]}"
        wait_for(lambda: fetched(api) is not None)
        names = {each["name"] for each in fetched(api)["content"]}
        opened.terminate()
        opened.wait(60)
    assert {"train.py", "words.py", "explore.ipynb"} <= names
    files = list((deployed.machine.home / ".customai" / "jupyter" / "runtime").glob("jpserver-*.json"))
    (server,) = [json.loads(file.read_bytes()) for file in files]
    os.kill(server["pid"], signal.SIGKILL)
    assert server["token"] == url.partition("token=")[2]
    command_line = Path(f"/proc/{opened.pid}/cmdline")
    assert not command_line.exists()


def test_a_training_of_a_machine_without_an_address_says_what_is_missing(
    azure: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, customai: Run
) -> None:
    azure.cloud.times.seconds = 0.02
    monkeypatch.setenv("CUSTOMAI_AZURE_ENDPOINT", azure.url)
    file = driven.spec(tmp_path, "1-1", "vm: {ssh_key: key.pub, public_ip: false}")
    driven.Driven(azure.url, file, folder_of(NAME)).deploy()
    for words in (("ssh", NAME), ("train-single", "run", str(file))):
        done = customai(*words)
        assert (done.returncode, "azure.vm.public_ip" in done.stderr) == (3, True), done.stderr


def test_on_this_machine_there_is_no_other_to_log_in_to(customai: Run, tmp_path: Path) -> None:
    from customai.journal import Header, Journal

    folder_of("mine").mkdir(parents=True)
    Journal.start(folder_of("mine"), Header("mine", "1-1", "local", str(tmp_path / "customai.yaml")))
    done = customai("ssh", "mine")
    assert done.returncode == 3
    assert "customai deploy 1-1 --target azure" in done.stderr


# The pieces.


def test_files_keep_their_places_to_each_other_and_arguments_follow_them() -> None:
    request = {
        "argv": [
            "python",
            "-m",
            "customai.workloads.training",
            "/home/me/code/train.py",
            "--data",
            "/home/me/data/d.csv",
        ],
        "cwd": "/home/me/code",
        "env": {},
        "uses": {"/home/me/code/train.py": "a", "/home/me/data/d.csv": "b"},
        "grace": 30.0,
    }
    files, job = moved(request, "/r/files", "/r/python")
    assert files == {"files/code/train.py": "/home/me/code/train.py", "files/data/d.csv": "/home/me/data/d.csv"}
    assert job["argv"][0] == "/r/python"
    assert job["argv"][3:] == ["/r/files/code/train.py", "--data", "/r/files/data/d.csv"]
    assert (job["cwd"], set(job["uses"])) == ("/r/files/code", {"/r/files/code/train.py", "/r/files/data/d.csv"})


def test_what_the_extras_need_is_installed_there() -> None:
    assert any(line.startswith("torch==") for line in requirements("train"))
    assert any(line.startswith("jupyterlab") for line in requirements("notebook"))
    assert not any(line.startswith("jupyterlab") for line in requirements("train"))


def test_a_machine_that_fetches_nothing_outside_of_the_run_folder(
    machine: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs on the machine may change what is sent back; here it is a link, and a file above the folder."""
    monkeypatch.setenv("PATH", f"{machine.bin}{os.pathsep}{os.environ['PATH']}")
    there = Machine("azureuser", "20.1.2.3", "vm-1", machine.folder / "user", tmp_path / "known_hosts")
    runs = Runs(tmp_path / "state", there, "evil")
    run = machine.home / ".customai" / "evil" / "runs" / "one"
    run.mkdir(parents=True)
    (run / "plain").write_text("plain", encoding="utf-8")
    (run / "link").symlink_to("/etc/passwd")
    runs._fetch("one", tmp_path / "fetched")
    assert sorted(file.name for file in (tmp_path / "fetched").iterdir()) == ["plain"]


@pytest.mark.slow
def test_a_python_of_its_own_is_made_once(tmp_path: Path) -> None:
    from customai.targets import azure_run

    script = azure_run.PACKAGE / "workloads" / "job" / "python.sh"
    (tmp_path / "nothing.txt").write_text("", encoding="utf-8")
    for said in (True, False):
        done = subprocess.run(
            ["sh", script, tmp_path / "nothing.txt"],
            env={**os.environ, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert ("installing" in done.stderr) is said
    assert subprocess.run([done.stdout.strip(), "-c", ""], check=False).returncode == 0


def the_log(deployed: Deployed) -> str:
    log = deployed.machine.home / ".customai" / NAME / "runs" / newest(deployed) / "job.log"
    return log.read_text(encoding="utf-8") if log.exists() else ""


def newest(deployed: Deployed) -> str:
    """The run's name, as this test's own state folder knows it."""
    found = [file.parent.name for file in (folder_of(NAME) / "runs").glob("*/request.json")]
    return found[0] if found else "none"


def fetched(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)
    except OSError:
        return None


def wait_for(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.05)
