"""What goes along with a job of Batch AI, and how its processes hear who they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from customai.errors import SpecError
from customai.provisioning import batchai_job
from customai.spec import InvalidSpec
from customai.workloads.job.run import read_json
from customai.workloads.training.batchai import as_torchrun_says
from tests.azure.whole import VARIANTS, Whole
from tests.ports import free_port

REPOSITORY = Path(__file__).parents[3]


def job(variant):
    return next(step for step in VARIANTS[variant].steps() if step.kind == "batchai_job")


def unpacked(code, folder):
    """Runs the second half of the preparation, as bash does on a node: the first half installs packages."""
    command = batchai_job.preparation(["numpy"], code, str(folder)).partition(" && ")[2]
    subprocess.run(["bash", "-c", command], check=True, env={**os.environ, "PATH": path_with_this_python()})


def path_with_this_python():
    return f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def test_files_are_packed_the_same_each_time_and_come_out_as_they_went_in(tmp_path):
    files = {"a/b.py": b"print('it is \"here\"')\n", "files/data.bin": bytes(range(256))}
    packed = batchai_job.packed(files)
    assert packed == batchai_job.packed(dict(reversed(files.items())))
    unpacked(packed, tmp_path)
    found = {str(each.relative_to(tmp_path)): each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()}
    assert found == files


def test_another_script_is_another_job_and_the_same_one_is_not():
    names = {job(variant).inputs["name"] for variant in VARIANTS if "batchai" in variant}
    assert len(names) == sum("batchai" in variant for variant in VARIANTS)
    assert job("1-2 batchai").inputs["name"] == job("1-2 batchai").inputs["name"]


def test_a_sweep_is_one_job_on_one_node():
    inputs = job("1-2 batchai, sweep").inputs
    assert inputs["nodes"] == 1
    command = inputs["toolkit"]["customToolkitSettings"]["commandLine"]
    assert command.startswith(
        "CUSTOMAI_RUN_FOLDER=$AZ_BATCHAI_OUTPUT_RUN python3 -m customai.workloads.training.sweep "
    )


def test_what_is_too_large_for_a_command_is_told_before_anything_is_made(monkeypatch):
    monkeypatch.setattr(batchai_job, "LONGEST", 1000)
    with pytest.raises(SpecError, match="what goes along with a job of Batch AI may be") as error:
        job("1-2 batchai")
    assert (error.value.where, "service: aml" in error.value.hint) == ("train.files", True)


def test_spot_nodes_are_refused_and_the_service_warns_of_its_end():
    with pytest.raises(InvalidSpec) as found:
        Whole("1-2", "azure: {cluster: {service: batchai, spot: true}}").spec()
    assert [problem.key for problem in found.value.problems] == ["azure.cluster.spot"]
    (warning,) = VARIANTS["1-2 batchai"].spec().azure.cluster.warnings()
    assert warning[0] == "service"
    assert warning[1].startswith("Batch AI ended on 2019-03-31: take aml")


@pytest.mark.parametrize(("index", "rank", "local"), [("0", "0", "0"), ("3", "3", "1"), ("4", "4", "0")])
def test_a_process_hears_who_it_is_as_from_torchrun(index, rank, local):
    told = {
        "AZ_BATCHAI_TASK_INDEX": index,
        "AZ_BATCHAI_JOB_MASTER_NODE_IP": "10.0.0.4",
        "AZ_BATCHAI_OUTPUT_RUN": "/mnt/run",
    }
    assert as_torchrun_says(told, 6, 2) == {
        "RANK": rank,
        "LOCAL_RANK": local,
        "WORLD_SIZE": "6",
        "MASTER_ADDR": "10.0.0.4",
        "MASTER_PORT": "29500",
        "CUSTOMAI_RUN_FOLDER": "/mnt/run",
    }


@pytest.mark.slow
def test_what_goes_along_trains_on_two_nodes(tmp_path):
    """The job's own code, unpacked as on a node and begun as Batch AI begins it: one model of two processes."""
    pytest.importorskip("torch", reason="the extra train is not installed")
    app, run = tmp_path / "app", tmp_path / "run"
    app.mkdir()
    run.mkdir()
    unpacked(job("1-2 batchai").inputs["code"], app)
    settings = job("1-2 batchai").inputs["toolkit"]["pyTorchSettings"]
    script = settings["pythonScriptFilePath"].replace(batchai_job.APP, str(app))
    words = settings["commandLineArgs"].replace(batchai_job.APP, str(app)).replace("--epochs 60", "--epochs 12").split()
    told = {
        "PYTHONPATH": str(app),
        "AZ_BATCHAI_JOB_MASTER_NODE_IP": "127.0.0.1",
        "AZ_BATCHAI_OUTPUT_RUN": str(run),
        "MASTER_PORT": str(free_port()),
        "OMP_NUM_THREADS": "1",
    }
    nodes = [
        subprocess.Popen(
            [sys.executable, script, *words],
            cwd=tmp_path,
            env={**os.environ, **told, "AZ_BATCHAI_TASK_INDEX": str(index)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in range(settings["processCount"])
    ]
    logs = [node.communicate(timeout=280)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], "\n".join(logs)
    assert read_json(run / "result.json")["accuracy"] > 0.5  # by chance: 0.1
    assert (run / "model.onnx").stat().st_size > 1000
