"""Yesterday's files become today's specs; what has no equal is listed, and no secret is taken over or shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from customai import planner, retirements
from customai.convert import spec as writer
from customai.convert.old import Old, arguments, read, size
from customai.errors import SpecError
from customai.paths import specs

SECRETS = ("hunter2", "s3cr3t")
CLUSTER = {
    "location": "East US",
    "properties": {
        "vmSize": "STANDARD_NC6",
        "vmPriority": "lowpriority",
        "scaleSettings": {"autoScale": {"minimumNodeCount": 0, "maximumNodeCount": 4, "initialNodeCount": 1}},
        "userAccountSettings": {"adminUserName": "me", "adminUserPassword": "hunter2"},
        "nodeSetup": {"mountVolumes": {"azureFileShares": [{"credentials": {"accountKey": "s3cr3t"}}]}},
    },
}
PYTORCH = {
    "$schema": "2018-03-01/job.json",
    "properties": {
        "nodeCount": 3,
        "pyTorchSettings": {
            "pythonScriptFilePath": "$AZ_BATCHAI_INPUT_SCRIPT/net.py",
            "commandLineArgs": "--epochs 10 --lr=0.01 --world-size 3 --dist-url $AZ_BATCHAI_URL --fast -b 3 --shift -1 --key s3cr3t",
            "communicationBackend": "gloo",
        },
        "containerSettings": {"imageSourceRegistry": {"image": "pytorch/pytorch:0.4"}},
    },
}
CUSTOM = {  # of 2017-09-01-preview: a command line
    "properties": {
        "nodeCount": 2,
        "customToolkitSettings": {"commandLine": "mpirun --hostfile $H python $AZ_BATCHAI_INPUT_SCRIPTS/mnist.py --epochs 5; date"},
        "jobPreparation": {"commandLine": "pip install horovod"},
    }
}  # fmt: skip
SNAKE = {
    "node_count": 2,
    "horovod_settings": {"python_script_file_path": "/mnt/net.py", "command_line_args": "--epochs 7"},
}
MANUAL = {"vm_size": "Standard_D2_v2", "scale_settings": {"manual": {"target_node_count": 2}}}


@pytest.fixture(autouse=True)
def _day(monkeypatch):
    monkeypatch.setenv(retirements.TODAY_VARIABLE, "2026-11-25")


@pytest.fixture
def old(tmp_path):
    """old("job.json", {...}) -> a file with this in it."""

    def write(name, content):
        file = tmp_path / "old" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return str(file)

    return write


def made(done, folder):
    """What the command has said and written, and that no secret is in it."""
    assert done.returncode == 0, done.stderr
    text = "".join(file.read_text(encoding="utf-8") for file in Path(folder).rglob("customai.yaml"))
    assert not [word for word in SECRETS if word in text + done.stdout + done.stderr]
    return json.loads(done.stdout)["made"]


@pytest.mark.parametrize(
    ("cluster", "job", "nodes", "script", "parameters"),
    [
        (CLUSTER, PYTORCH, 3, "net.py", {"epochs": 10, "lr": 0.01, "fast": True, "shift": -1}),
        (CLUSTER, CUSTOM, 2, "mnist.py", {"epochs": 5}),
        (MANUAL, SNAKE, 2, "net.py", {"epochs": 7}),
    ],
    ids=["pytorch", "command", "snake_case"],
)
def test_batch_ai_becomes_training_on_many_nodes(customai, old, tmp_path, cluster, job, nodes, script, parameters):
    files = old("cluster.json", cluster), old("job.json", job)
    (told,) = made(customai("init", "--from-batchai", *files, "new", "-o", "json"), tmp_path / "new")
    assert (told["path"], told["name"], list(told["missing"])) == ("1-2", "new", [script])
    spec = yaml.safe_load((tmp_path / "new" / "customai.yaml").read_text(encoding="utf-8"))
    assert (spec["nodes"], spec["train"]) == (nodes, {"script": script, "parameters": parameters})
    assert customai("check", "new").returncode == 2  # the script is missing
    (tmp_path / "new" / script).write_text("", encoding="utf-8")
    assert customai("check", "new").returncode == 0


def test_each_thing_without_an_equal_is_listed_with_a_reason(customai, old, tmp_path):
    files = old("cluster.json", CLUSTER), old("job.json", PYTORCH)
    (told,) = made(customai("init", "--from-batchai", *files, "new", "-o", "json"), tmp_path / "new")
    why = {(each["file"], each["key"]): each["why"] for each in told["left"]}
    assert "take Standard_NC4as_T4_v3" in why["cluster.json", "vmSize"]
    assert "low-priority nodes ended" in why["cluster.json", "vmPriority"]
    for key in ("properties.userAccountSettings", "properties.nodeSetup"):
        assert why["cluster.json", key]
    assert ("job.json", "properties.containerSettings") in why
    assert not [key for key in why if "$schema" in key[1]]
    reasons = [each["why"] for each in told["left"] if each["key"].endswith("commandLineArgs")]
    for word in ("--world-size: torchrun", "--dist-url", "'-b' is no --name", "--key: no secret"):
        assert [reason for reason in reasons if word in reason], word
    text = (tmp_path / "new" / "customai.yaml").read_text(encoding="utf-8")
    assert all(f"#   {each['file']}: " in text for each in told["left"])


def test_a_script_beside_the_old_files_comes_along(customai, old, tmp_path):
    files = old("cluster.json", CLUSTER), old("job.json", PYTORCH)
    old("net.py", "print(1)\n")
    (told,) = made(customai("init", "--from-batchai", *files, "new", "-o", "json"), tmp_path / "new")
    assert told["missing"] == {}
    assert (tmp_path / "new" / "net.py").read_text(encoding="utf-8") == "print(1)\n"
    assert customai("check", "new").returncode == 0


AZTK = """
id: spark_cluster
toolkit:
  software: spark
  version: 2.3.0
  environment: {environment}
vm_size: standard_f2
size: 2
username: spark
plugins:
wait: false
"""
AZTK_JOB = """
job:
  id: x
  cluster_configuration: {vm_size: standard_d2_v2, size_low_priority: 3, toolkit: {software: spark}}
  spark_configuration: {spark_defaults_conf: .aztk/spark-defaults.conf}
  applications:
    - name: pipy100
      application: ./pi.py
      application_args: [100]
      driver_memory: 3G
      executor_memory: 2g
      main_class:
      jars:
        -
"""


def test_aztk_becomes_batch_scoring_with_spark(customai, old, tmp_path):
    files = old("cluster.yaml", AZTK), old("job.yaml", AZTK_JOB)
    old(".aztk/spark-defaults.conf", "# old\nspark.sql.shuffle.partitions 50\nspark.hadoop.account.key s3cr3t\nnoise\n")
    (told,) = made(customai("init", "--from-aztk", *files, "new", "-o", "json"), tmp_path / "new")
    spec = planner.read(tmp_path / "new" / "customai.yaml").spec
    assert (spec.spark.memory, spec.name) == ("3g", "new")
    assert spec.spark.conf == {"spark.executor.memory": "2g", "spark.sql.shuffle.partitions": "50"}
    why = {each["key"]: each["why"] for each in told["left"]}
    assert "pi.py is a program of its own" in why["applications[0].application"]
    assert "no secret" in why["spark.hadoop.account.key"]
    assert "toolkit" in why
    assert (tmp_path / "new" / "model.onnx").is_file()  # the rest is the path's own example
    assert len(made(customai("init", "--from-aztk", files[0], "alone", "-o", "json"), tmp_path / "alone")) == 1


RUN = """
script: src/train.py
arguments: [--epochs, 5, --data-folder, "DatasetConsumptionConfig:mnist"]
target: cpu-cluster
framework: Python
communicator: None
nodeCount: {nodes}
environment: {{python: {{condaDependenciesFile: conda.yml}}}}
amlcompute: {{vmSize: STANDARD_D2_V2, vmPriority: lowpriority, clusterMaxNodeCount: 4}}
history: {{outputCollection: true}}
"""
AKS = {
    "computeType": "AKS",
    "autoScaler": {"autoscaleEnabled": True, "minReplicas": 1, "maxReplicas": 3, "targetUtilization": 70},
    "containerResourceRequirements": {"cpu": 0.5, "memoryInGB": 1.0},
    "authEnabled": True,
}
ACI = {"computeType": "ACI", "containerResourceRequirements": {"cpu": 1, "memoryInGB": 0.5}}


@pytest.mark.parametrize(("nodes", "path"), [(1, "1-1"), (4, "1-2")])
def test_a_run_configuration_becomes_a_training(customai, old, tmp_path, nodes, path):
    old(".azureml/train.runconfig", RUN.format(nodes=nodes))
    old("src/train.py", "")
    old("notes.json", "[1, 2]")  # somebody's own
    (told,) = made(customai("init", "--from-azureml-v1", "old", "new", "-o", "json"), tmp_path / "new")
    found = planner.read(tmp_path / "new" / "customai.yaml").spec
    assert (told["path"], found.train.parameters) == (path, {"epochs": 5})
    if path == "1-1":
        assert (found.azure.vm.size, found.azure.vm.spot) == ("Standard_D2_v2", True)
    else:
        assert found.nodes == 4
    assert {each["key"] for each in told["left"]} >= {"arguments", "target", "environment"}
    assert "history" not in {each["key"] for each in told["left"]}


def test_a_deployment_becomes_the_replicas_of_an_endpoint(customai, old, tmp_path):
    old("aks.json", AKS)
    old("aci.yml", yaml.safe_dump(ACI))
    old("inference.json", {"entryScript": "score.py", "condaFile": "env.yml"})
    (told,) = made(customai("init", "--from-azureml-v1", "old", "new", "-o", "json"), tmp_path / "new")
    replicas = planner.read(tmp_path / "new" / "customai.yaml").spec.azure.replicas
    assert (replicas.min, replicas.max, replicas.cpu, replicas.memory_gb, replicas.cpu_percent) == (1, 3, 0.5, 1.0, 70)
    why = {(each["file"], each["key"]): each["why"] for each in told["left"]}
    assert "only aks.json was taken" in why["aci.yml", ""]
    assert "ONNX" in why["inference.json", "entryScript"]


def test_both_become_two_folders(customai, old, tmp_path):
    old("train.runconfig", RUN.format(nodes=1))
    old("aci.json", ACI)
    told = made(customai("init", "--from-azureml-v1", "old", "new", "-o", "json"), tmp_path / "new")
    assert [(each["path"], each["name"]) for each in told] == [
        ("1-1", "new-train-single"),
        ("2-5", "new-score-realtime"),
    ]
    assert planner.read(tmp_path / "new" / "score-realtime" / "customai.yaml").spec.azure.replicas.memory_gb == 0.5


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "neither JSON nor YAML"), ("[1]", "holds no keys"), ("a: [b", "neither JSON nor YAML"), ("x: !!python/object:os.x {}", "neither")],
)  # fmt: skip
def test_what_is_no_such_file_is_told(customai, old, content, words):
    done = customai("init", "--from-batchai", old("cluster.json", content), old("job.json", PYTORCH), "new")
    assert (done.returncode, words in done.stderr) == (2, True)
    assert not Path("new").exists()


@pytest.mark.parametrize(
    ("arguments_", "words"),
    [
        (("--from-batchai", "cluster.json", "new"), "Missing argument 'DIR'"),
        (("--from-batchai", "nothere.json", "job.json", "new"), "does not exist"),
        (("--from-azureml-v1", "old", "too", "many"), "Too many arguments"),
        (("--from-azureml-v1", "old", "new"), "nothing of Azure ML's version 1"),
        (("--from-aztk", "cluster.json", "--from-batchai", "cluster.json", "new"), "one of --from"),
        (("--from-batchai", "cluster.json", "job.json", "old"), "not an empty folder"),
        (("2-5",), "Missing argument 'DIR'"),
        ((), "Missing argument 'PATH'"),
    ],
)
def test_wrong_words_are_told(customai, old, tmp_path, arguments_, words):
    for name, content in (("cluster.json", CLUSTER), ("job.json", PYTORCH)):
        Path(old(name, content)).rename(tmp_path / name)
    old("other.txt", "")
    done = customai("init", *arguments_)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr


def test_a_command_of_another_group_does_not_take_them(customai, old):
    done = customai(
        "score-batch", "init", "--from-batchai", old("cluster.json", CLUSTER), old("job.json", PYTORCH), "new"
    )
    assert (done.returncode, "belongs to train-multi" in done.stderr) == (2, True)


def test_keys_are_found_however_they_are_written():
    old_ = Old("f", {"vm_size": "a", "VMSize": "b", "ScaleSettings": {"minNodes": 1, "Rest": 2}, "empty": None})
    assert old_.get("vmSize") == "a"
    assert old_.block("scale_settings").number("min_nodes") == 1
    assert [each.key for each in old_.left()] == ["VMSize", "ScaleSettings.Rest"]


@pytest.mark.parametrize(
    ("line", "parameters", "count"),
    [
        ("--a 1 --b=x --c --d -2.5", {"a": 1, "b": "x", "c": True, "d": -2.5}, 0),
        ("--a 1e-3 --b 007 --a 2", {"a": 0.001, "b": "007"}, 1),
        ('--name "two words" file.txt', {"name": "two words"}, 1),
        ('--open "never closed', {"open": '"never'}, 1),
        (["--x", None, 3], {"x": 3}, 0),
        (None, {}, 0),
    ],
)
def test_a_command_line_becomes_parameters(line, parameters, count):
    found, left = arguments(line, "f", "k")
    assert (found, len(left)) == (parameters, count)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("STANDARD_D2_V2", "Standard_D2_v2"), ("standard_nc6", "Standard_NC4as_T4_v3"), ("NC24rs_v3", "Standard_NC24ads_A100_v4"),
     ("Standard_D4ds_v5", "Standard_D4ds_v5"), ("large", None), (None, None)],
)  # fmt: skip
def test_a_size_is_written_as_today_or_replaced(given, wanted):
    assert size(given, "f", "k")[0] == wanted


def test_what_the_specs_reader_does_not_take_is_left_out_and_told(tmp_path):
    values = {
        "path": "1-2",
        "name": "x1",
        "nodes": 999,
        "train": {"script": "a.py", "parameters": {"ok": 1}},
        "nonsense": 1,
    }
    text, left = writer.written(values, specs()["1-2"], tmp_path / "customai.yaml")
    assert yaml.safe_load(text) == {"path": "1-2", "name": "x1", "train": {"script": "a.py", "parameters": {"ok": 1}}}
    assert {each.key for each in left} == {"nodes", "nonsense"}
    with pytest.raises(SpecError):
        writer.written({"path": "1-2"}, specs()["1-2"], tmp_path / "customai.yaml")


def test_a_file_that_is_too_large_or_not_text_is_told(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.json").write_bytes(b" " * (2**20 + 1))
    for name, words in (("a.json", "not UTF-8"), ("b.json", "too large"), ("c.json", "cannot be read")):
        with pytest.raises(SpecError, match=words):
            read(tmp_path / name)
