"""Path 1-2 on this machine: processes as nodes, really taken away; sweeps, really stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from contextlib import suppress
from pathlib import Path

import pytest

from customai.workloads.job.run import read_json
from customai.workloads.training.run import read_lines

pytestmark = pytest.mark.slow
pytest.importorskip("torch", reason="comes with customai[train]")
PATHS = Path(__file__).parents[2] / "paths"
LONG = 240  # seconds

# Every worker counts; the first one tells. Nothing is exchanged, so it starts quickly.
COUNTS = """
import argparse, os, time
from customai.workloads.training import Run

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=40)
parser.add_argument("--pause", type=float, default=0.02)
args = parser.parse_args()
run = Run.start(vars(args))
step, total = run.resume() or (0, 0)
for step in range(step + 1, args.steps + 1):
    time.sleep(args.pause)
    total += step
    run.log(step, total=total)
    run.progress(step, args.steps, "steps")
    if step % 5 == 0:
        run.checkpoint(step, total)
run.finish({"total": total, "processes": int(os.environ["WORLD_SIZE"])})
"""
GLOO = """
import torch
torch.distributed.init_process_group("gloo")
torch.distributed.all_reduce(torch.ones(1))
"""
END = "torch.distributed.barrier()\ntorch.distributed.destroy_process_group()\n"
ADD = "    torch.distributed.all_reduce(torch.ones(1))"
SCORES = """
import argparse, time
from customai.workloads.training import Run

parser = argparse.ArgumentParser()
parser.add_argument("--x", type=int)
parser.add_argument("--y", type=float)
parser.add_argument("--pause", type=float, default=0)
args = parser.parse_args()
run = Run.start(vars(args))
run.resume()
with open("begun", "a") as file:
    file.write("begun ")
if args.x == 13:
    raise ValueError("x brings bad luck")
time.sleep(args.pause)
open("model.onnx", "w").write(f"{args.x} {args.y}")
run.finish({"accuracy": args.x * args.y, "model": "model.onnx"})
"""


class Training:
    """A deployment of 1-2 with a script of the test's own."""

    def __init__(self, cli, folder, home):
        self.cli = cli
        self.folder = folder
        self.state = home / "deployments" / "toy"
        folder.mkdir()

    def write(self, script, more, parameters="{}"):
        (self.folder / "train.py").write_text(script)
        train = f"train:\n  script: train.py\n  parameters: {parameters}\n"
        (self.folder / "customai.yaml").write_text(f"path: 1-2\nname: toy\n{more}\n{train}")

    def result(self):
        outputs = self.cli("deploy", self.folder, "-o", "json", timeout=LONG).json["outputs"]
        return outputs["train"]["result"]

    @property
    def run(self):
        (folder,) = (file.parent for file in self.state.glob("jobs/train/*/job.json"))
        return folder

    def done(self):
        return max(
            (read_json(file).get("done", 0) for file in self.state.glob("jobs/train/*/progress.json")), default=0
        )


def at_work(folder):
    """The command lines of what runs for this folder's training, by process id."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"customai.workloads.training" in b" ".join(words) and str(folder).encode() in b" ".join(words):
                found[int(process.name)] = b" ".join(words).decode()
    return found


def workers(folder):
    """Those that run the script itself."""
    return sorted(
        pid
        for pid, words in at_work(folder).items()
        if re.search(r"customai\.workloads\.training /", words) and "torchrun" not in words and "rdzv" not in words
    )


@pytest.fixture
def training(cli, tmp_path, home, wait_for):
    made = Training(cli, tmp_path / "toy", home)
    yield made
    cli("destroy", "toy", "--yes", code=None)
    wait_for(lambda: not at_work(made.folder), 5)
    assert not made.state.exists()


@pytest.fixture
def digits(cli, tmp_path, home):
    folder = tmp_path / "digits"
    cli("init", "1-2", folder)
    yield folder
    for each in (home / "deployments").glob("*"):
        cli("destroy", each.name, "--yes")
    assert not at_work(folder)


def edit(folder, **values):
    """The spec with other values; `name` makes it another deployment."""
    text = (folder / "customai.yaml").read_text()
    for key, value in values.items():
        text, count = re.subn(rf"(?m)^( *){key}: [^ \n]+", rf"\g<1>{key}: {value}", text, count=1)
        assert count == 1, key
    (folder / "customai.yaml").write_text(text)


# Nodes


def test_the_script_is_the_same_as_for_a_single_node():
    for name in ("train.py", "digits.py"):
        assert (PATHS / "1-2" / name).read_bytes() == (PATHS / "1-1" / name).read_bytes()


def test_two_nodes_with_the_same_batch_are_as_good_as_one_and_losing_one_changes_nothing(cli, digits):
    edit(digits, epochs=8, batch=64, nodes=1, name="one")
    one = cli("deploy", digits, "-o", "json", timeout=LONG).json["outputs"]["train"]["result"]
    edit(digits, nodes=2, name="two")
    two = cli("deploy", digits, "-o", "json", timeout=LONG).json["outputs"]["train"]["result"]
    assert (one["nodes"], two["nodes"]) == (1, 2)
    assert one["model_sha256"] != two["model_sha256"]
    assert two["test_accuracy"] == pytest.approx(one["test_accuracy"], abs=0.02)
    assert min(one["test_accuracy"], two["test_accuracy"]) >= 0.95

    more = ("--rehearse-eviction", "--notice", "5", "--seed", "2", "-o", "json")
    verdict = cli("train-multi", "run", digits, *more, timeout=LONG).json
    assert (verdict["equal"], verdict["differences"]) == (
        True,
        {},
    )  # model_sha256 and accuracies among what is compared
    assert 0 < verdict["step"] < verdict["steps"] == 8 * (1257 // 64)
    assert 0 < verdict["steps_lost"] <= verdict["step"]
    assert verdict["seconds_lost"] > 0


@pytest.mark.parametrize(("seed", "node"), [(3, 0), (4, 1)])
def test_losing_any_node_changes_nothing(training, seed, node):
    exchanging = COUNTS.replace("run = Run", GLOO + "run = Run").replace(
        "    total += step", "    total += step\n" + ADD
    )
    training.write(exchanging + END, "nodes: 2", "{steps: 100, pause: 0.05}")
    more = ("--rehearse-eviction", "--notice", "5", "--seed", seed, "-o", "json")
    verdict = training.cli("train-multi", "run", training.folder, *more, timeout=LONG).json
    assert (verdict["equal"], verdict["differences"], verdict["node"]) == (True, {}, node)
    assert 0 < verdict["steps_lost"] <= verdict["step"]
    (log,) = training.state.glob("jobs/rehearsal/*/job.log")
    assert log.read_text().count("another one takes its place") == 1


def test_run_without_a_flag_trains_as_deploy_does(training):
    training.write(COUNTS, "nodes: 2", "{steps: 8}")
    ran = training.cli("train-multi", "run", training.folder, "-o", "json", timeout=LONG).json
    result = ran["outputs"]["train"]["result"]
    assert (result["total"], result["processes"]) == (36, 2)
    assert "nothing to do" in training.cli("deploy", training.folder).out


def test_a_killed_worker_is_started_again_from_the_last_checkpoint(training, background, wait_for):
    training.write(COUNTS, "nodes: 2", "{steps: 80, pause: 0.05}")
    deploying = background("deploy", training.folder, "-o", "json")
    wait_for(lambda: training.done() >= 12, 60)
    before = workers(training.folder)
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    out, err = deploying.communicate(timeout=LONG)
    assert deploying.returncode == 0, err
    result = json.loads(out)["outputs"]["train"]["result"]
    assert (result["total"], result["processes"], result["nodes"]) == (80 * 81 / 2, 2, 2)
    attempts = [line["step"] for line in read_lines(training.run / "attempts.jsonl")]
    assert attempts[0] == 0
    assert len(attempts) == 2
    assert attempts[1] >= 10
    assert [line["step"] for line in read_lines(training.run / "metrics.jsonl")] == list(range(1, 81))


def test_when_everything_is_killed_nothing_goes_on_by_itself_and_deploy_goes_on_where_it_was(
    training, background, wait_for
):
    training.write(COUNTS, "nodes: 2", "{steps: 60, pause: 0.05}")
    deploying = background("deploy", training.folder)
    wait_for(lambda: training.done() >= 12, 60)
    state = read_json(training.run / "state.json")
    for pid in (deploying.pid, state["pid"], state["work"]):
        os.kill(pid, signal.SIGKILL)
    deploying.communicate()
    wait_for(lambda: not at_work(training.folder), 10)
    assert not (training.run / "result.json").exists()
    assert training.result()["total"] == 60 * 61 / 2
    assert read_lines(training.run / "attempts.jsonl")[-1]["step"] >= 10


def test_a_worker_that_dies_once_the_result_is_there_does_not_keep_it_back(training):
    training.write(COUNTS + "if run.first: raise SystemExit\nos.abort()", "nodes: 2", "{steps: 3}")
    assert training.result()["total"] == 6


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_nobody_but_this_machine_reaches_the_nodes(training, background, wait_for):
    """torch's stores ask for no password, and the rendezvous reads what they hold as pickles."""
    training.write(COUNTS.replace("run = Run", GLOO + "run = Run"), "nodes: 2", "{steps: 400, pause: 0.05}")
    background("deploy", training.folder)
    wait_for(lambda: training.done() >= 1, 60)
    addresses = [address for pid in at_work(training.folder) for address in listens_on(pid)]
    assert len(addresses) >= 4  # the meeting point, the workers' store, and each worker
    assert set(addresses) == {"0100007F"}  # 127.0.0.1


def listens_on(pid):
    """The addresses that a process listens on, as Linux writes them."""
    files = (str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir() if file.is_symlink())
    sockets = {file[8:-1] for file in files if file.startswith("socket:[")}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in sockets:
                yield words[1].partition(":")[0]


def test_ctrl_c_ends_every_node(training, background, wait_for):
    training.write(COUNTS, "nodes: 2", "{steps: 400, pause: 0.05}")
    deploying = background("deploy", training.folder)
    wait_for(lambda: training.done() >= 3, 60)
    deploying.send_signal(signal.SIGINT)
    _, err = deploying.communicate(timeout=60)
    assert deploying.returncode == 130, err
    assert not at_work(training.folder)


@pytest.mark.parametrize(
    ("script", "parameters", "code", "words"),
    [
        (COUNTS, "{stepz: 5}", 1, ["unrecognized arguments: --stepz 5"]),
        ("raise ValueError('the reason')", "{}", 1, ["ValueError: the reason", "train.py:1"]),
        ("import os; os.kill(os.getpid(), 9)", "{}", 1, ["a worker was ended by SIGKILL", "is there enough memory"]),
    ],
    ids=["argument", "exception", "killed"],
)
def test_what_went_wrong_in_a_worker_is_told_and_not_tried_again_in_vain(training, script, parameters, code, words):
    training.write(script, "nodes: 2\nrestarts: 1", parameters)
    training.cli("deploy", training.folder, code=code, timeout=LONG).failed(code, *words)
    assert not at_work(training.folder)


def test_the_one_command_that_mends_a_missing_torch_is_told(training, tmp_path):
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "torch.py").write_text("raise ModuleNotFoundError('no torch', name='torch')")
    training.write(COUNTS, "nodes: 2")
    failed = training.cli("deploy", training.folder, code=3, PYTHONPATH=str(tmp_path / "without"))
    failed.failed(3, "several nodes need torch", "pip install 'customai[train]'")


def test_a_script_that_tells_no_progress_cannot_be_rehearsed_and_that_is_said(training):
    training.write("print('done')", "nodes: 1")
    failed = training.cli("train-multi", "run", training.folder, "--rehearse-eviction", code=1, timeout=LONG)
    failed.failed(1, "does not tell how far it is", "Run.progress")


# Sweeps


def test_a_sweep_tries_every_combination_and_keeps_the_best(training):
    training.write(SCORES, "sweep: {parameters: {x: [1, 3, 2], y: [0.5, 1.5]}, slots: 3}")
    result = training.result()
    assert (result["best"], result["x"], result["y"], result["accuracy"], result["failed"]) == (4, 3, 1.5, 4.5, 0)
    assert {(row["x"], row["y"], row["accuracy"]) for row in result["trials"]} == {
        (x, y, x * y) for x in (1, 2, 3) for y in (0.5, 1.5)
    }
    assert (training.run / "model.onnx").read_text() == "3 1.5"
    assert len((training.run / "trials.csv").read_text().splitlines()) == 7
    assert len(ET.parse(training.run / "trials.svg").findall("{*}circle")) == 12
    said = training.cli("deploy", training.folder).out
    assert re.search(r"^TRIAL +X +Y +ACCURACY", said, re.MULTILINE)
    assert re.search(r"^4 +3 +1.5 +4.5 .* best$", said, re.MULTILINE)


def test_a_trial_that_fails_is_told_of_and_the_others_go_on(training):
    training.write(SCORES, "sweep: {parameters: {x: [13, 1]}, goal: min}", "{y: 1}")
    result = training.result()
    assert (result["best"], result["failed"]) == (2, 1)
    assert result["trials"][0]["error"] == "ValueError: x brings bad luck"


def test_when_every_trial_fails_the_reason_is_told(training):
    training.write(SCORES, "sweep: {parameters: {x: [13], z: [1, 2]}}")
    failed = training.cli("deploy", training.folder, code=1)
    failed.failed(1, "none of the 2 trials came to an end", "unrecognized arguments: --z 1")


def test_a_killed_sweep_repeats_no_finished_trial(training, background, wait_for):
    training.write(SCORES, "sweep: {parameters: {x: [1, 2, 3, 4, 5, 6]}, slots: 2}", "{y: 1, pause: 1}")
    deploying = background("deploy", training.folder)
    wait_for(lambda: len(list(training.state.glob("jobs/train/*/trials/*/result.json"))) >= 2, 60)
    state = read_json(training.run / "state.json")
    finished = {file.parent.name for file in training.run.glob("trials/*/result.json")}
    for pid in (deploying.pid, state["pid"], state["work"]):
        os.kill(pid, signal.SIGKILL)
    deploying.communicate()
    wait_for(lambda: not at_work(training.folder), 10)
    finished |= {file.parent.name for file in training.run.glob("trials/*/result.json")}
    assert training.result()["best"] == 6
    begun = {file.parent.name: file.read_text().split() for file in training.run.glob("trials/*/begun")}
    assert len(begun) == 6
    assert {name for name in finished if len(begun[name]) == 1} == finished


def test_the_example_of_a_sweep_is_right(cli):
    cli("check", PATHS / "1-2" / "sweep.yaml")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("nodes: 0", ["nodes: expected a whole number from 1 to 64"]),
        ("nodes: 2\nsweep: {parameters: {x: [1]}}", ["nodes: a trial of a sweep runs on one node"]),
        ("sweep: {parameters: {}}", ["sweep.parameters: expected at least one parameter"]),
        ("sweep: {parameters: {x: []}}", ["sweep.parameters.x: expected at least one value"]),
        ("sweep: {parameters: {x: [1, true]}}", ["sweep.parameters.x: true and false do not go together"]),
        ("sweep: {parameters: {x: [1, 2]}, trials: 3}", ["sweep.trials: there are only 2 combinations"]),
        ("sweep: {parameters: {y: [1, 2]}}", ["sweep.parameters.y: it is fixed in train.parameters"]),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_spec_is_told(training, more, words):
    training.write(SCORES, more, "{y: 1}")
    training.cli("check", training.folder, code=2).failed(2, *words)


def test_a_sweep_cannot_be_rehearsed(training):
    training.write(SCORES, "sweep: {parameters: {x: [1, 2]}}")
    failed = training.cli("train-multi", "run", training.folder, "--rehearse-eviction", code=2)
    failed.failed(2, "a sweep has no nodes to take away")


# Two hosts


HOST = "customai-host"
SUM = """
import os, torch
from torch import distributed
distributed.init_process_group("gloo")
mine = torch.tensor([float(distributed.get_rank() + 1)])
distributed.all_reduce(mine)
print("sum", mine.item(), "of", distributed.get_world_size(), flush=True)
distributed.destroy_process_group()
"""


@pytest.fixture
def two_hosts():
    """Two hosts on one machine: network namespaces with an address each and a cable between them."""

    def ip(*words):
        return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)

    names = [f"{HOST}-{os.getpid()}-{number}" for number in (1, 2)]
    try:
        made = [ip("netns", "add", name) for name in names]
    except FileNotFoundError:
        pytest.skip("there is no `ip` here (Debian: apt-get install iproute2)")
    if any(each.returncode for each in made):
        pytest.skip(f"network namespaces need root: {made[0].stderr.strip()}")
    try:
        cable = [f"ca{os.getpid() % 10000}{end}" for end in "ab"]
        laid = ip(
            "link", "add", cable[0], "netns", names[0], "type", "veth", "peer", "name", cable[1], "netns", names[1]
        )
        if laid.returncode:
            pytest.skip(f"no cable between network namespaces here: {laid.stderr.strip()}")
        for number, (name, end) in enumerate(zip(names, cable, strict=True), 1):
            for words in (
                ("addr", "add", f"10.77.0.{number}/24", "dev", end),
                ("link", "set", end, "up"),
                ("link", "set", "lo", "up"),
            ):
                assert ip("-n", name, *words).returncode == 0
        yield [(name, f"10.77.0.{number}", end) for number, (name, end) in enumerate(zip(names, cable, strict=True), 1)]
    finally:
        for name in names:
            ip("netns", "del", name)


def test_nodes_meet_across_hosts(two_hosts, tmp_path):
    """The same node as on one machine, each on a host of its own; the first one keeps the meeting point."""
    (tmp_path / "sum.py").write_text(SUM)
    nodes = []
    for number, (host, address, cable) in enumerate(two_hosts):
        torchrun = [
            *("--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", "--rdzv-id=hosts"),
            *(f"--rdzv-endpoint={two_hosts[0][1]}:29512", f"--rdzv-conf=is_host={str(number == 0).lower()}"),
            *(f"--local-addr={address}", "--module", "customai.workloads.training", str(tmp_path / "sum.py")),
        ]
        command = ["ip", "netns", "exec", host, sys.executable, "-m", "customai.workloads.training.node", *torchrun]
        env = {**os.environ, "GLOO_SOCKET_IFNAME": cable, "CUSTOMAI_RUN_FOLDER": str(tmp_path)}
        nodes.append(
            subprocess.Popen(
                command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path
            )
        )
    try:
        said = [node.communicate(timeout=90)[0] for node in nodes]
    finally:
        for node in nodes:
            node.kill()
    assert [node.returncode for node in nodes] == [0, 0], said
    assert all("sum 3.0 of 2" in each for each in said), said
