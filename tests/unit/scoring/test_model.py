import json
import subprocess
import sys

import numpy as np
import pytest
from onnx import TensorProto, helper

from customai.errors import CustomAIError, NotAvailable, NotFound, RunFailed
from customai.workloads.scoring.inspect import inspect
from customai.workloads.scoring.model import CPU, CUDA, first, load, providers

SMOKE = {"image": "smoke.png", "label": "bright"}


def test_a_good_model_says_what_it_takes_and_gives(folder, models):
    path = folder(
        models.brightness(),
        files={"smoke.png": models.png(255)},
        labels=["bright", "dark"],
        scores="logits",
        preprocessing=models.GRAY,
        smoke_test=SMOKE,
    )
    model = load(path)
    assert model.signature.to_json() == {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 1, 4, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
    }
    assert model.signature.batched
    assert model.smoke.label == "bright"
    assert model.smoke.probability > 0.99


def test_a_gpu_is_used_where_it_is_asked_for_and_the_cpu_for_what_it_lacks():
    assert providers("cpu", [CUDA, CPU], "") == [CPU]
    assert providers("gpu", ["TensorrtExecutionProvider", CUDA, CPU], "") == [CUDA, CPU]
    assert first([CUDA, CPU], [CUDA, CPU], "") == CUDA


def test_a_gpu_that_is_asked_for_and_not_to_be_had_is_told_at_the_start(folder, models):
    with pytest.raises(NotAvailable, match=r"this onnxruntime knows none: it offers CPUExecutionProvider$"):
        providers("gpu", [CPU], "")
    with pytest.raises(NotAvailable, match="cannot use one"):  # onnxruntime itself falls back to the CPU, in silence
        first([CUDA, CPU], [CPU], "")
    path = folder(models.linear())
    assert load(path).provider == CPU
    try:
        assert load(path, device="gpu").provider == CUDA  # on a machine that has one
    except NotAvailable as error:
        assert "a GPU is asked for" in error.message


def test_a_missing_model_is_not_found(folder, models):
    path = folder(models.linear())
    (path / "model.onnx").unlink()
    with pytest.raises(NotFound, match=r"there is no model\.onnx"):
        load(path)


@pytest.mark.parametrize(
    ("onnx", "message"),
    [
        (b"", "not ONNX, or is cut short (0 bytes)"),
        (b"hello, I am a pickle", "not ONNX, or is cut short (20 bytes)"),
        (b"\x80\x04\x95", "not ONNX, or is cut short"),
    ],
)
def test_a_file_that_is_not_onnx_is_told_so(folder, capfd, onnx, message):
    with pytest.raises(RunFailed) as caught:
        load(folder(onnx))
    assert message in caught.value.message
    assert caught.value.where.endswith("model.onnx")
    assert capfd.readouterr() == ("", "")  # onnxruntime keeps quiet


def test_a_truncated_model_is_told_so(folder, models, capfd):
    with pytest.raises(CustomAIError) as caught:
        load(folder(models.linear()[:-30]))
    assert "not ONNX, or is cut short" in caught.value.message
    assert capfd.readouterr() == ("", "")


def test_a_changed_file_shows_both_digests(folder, models):
    with pytest.raises(RunFailed) as caught:
        load(folder(models.linear(), sha256="0" * 64))
    assert "expected 000000000000..." in caught.value.message
    assert "SHA-256 " in caught.value.message


def test_an_operator_nobody_knows_is_not_available(folder, models):
    node = helper.make_node("Nonsense", ["x"], ["y"])
    inputs, outputs = [models.tensor("x", 1, ["n", 2])], [models.tensor("y", 1, ["n", 2])]
    with pytest.raises(CustomAIError) as caught:
        load(folder(models.onnx_bytes([node], inputs, outputs)))
    assert "Nonsense" in caught.value.message


def test_a_sequence_output_is_not_available(folder, models):
    node = helper.make_node("SequenceConstruct", ["x"], ["y"])
    sequence = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)
    with pytest.raises(NotAvailable, match="plain tensors only") as caught:
        load(folder(models.onnx_bytes([node], [models.tensor("x", 1, ["n", 2])], [sequence])))
    assert "zipmap" in caught.value.hint


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"labels": ["a", "b", "c"]}, "the model has 2 classes, but model.json has 3 labels"),
        (
            {"preprocessing": {"size": [4, 4], "channels": "rgb"}},
            "preprocessing makes [1, 3, 4, 4] (nchw, rgb), but the model takes [-1, 1, 4, 4]",
        ),
        (
            {"preprocessing": {"size": [5, 4], "channels": "gray", "layout": "nhwc"}},
            "makes [1, 5, 4, 1] (nhwc, gray), but the model takes [-1, 1, 4, 4]",
        ),
    ],
)
def test_what_model_json_promises_is_checked(folder, models, keys, message):
    with pytest.raises(RunFailed) as caught:
        load(folder(models.brightness(), scores="logits", **keys))
    assert message in caught.value.message
    assert caught.value.hint


def test_images_need_an_input_that_can_hold_them(folder, models):
    path = folder(models.brightness(kind=TensorProto.INT64), preprocessing=models.GRAY)
    with pytest.raises(RunFailed, match="the model takes INT64"):
        load(path)


def test_labels_need_a_matrix_of_scores(folder, models):
    with pytest.raises(RunFailed, match="no output of the model is a"):
        load(folder(models.identity(shape=("n", 2, 2)), labels=["a", "b"]))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"smoke.png": b"no image"}, "the smoke test fails: the body is not a PNG or JPEG image"),
        ({}, "there is no smoke.png for the smoke test"),
    ],
)
def test_a_smoke_test_needs_its_image(folder, models, files, message):
    path = folder(
        models.brightness(),
        files,
        labels=["bright", "dark"],
        scores="logits",
        preprocessing=models.GRAY,
        smoke_test=SMOKE,
    )
    with pytest.raises(CustomAIError) as caught:
        load(path)
    assert message in caught.value.message


def test_a_failed_smoke_test_says_expected_and_got(folder, models):
    path = folder(
        models.brightness(),
        {"smoke.png": models.png(0)},
        labels=["bright", "dark"],
        scores="logits",
        preprocessing=models.GRAY,
        smoke_test=SMOKE,
    )
    with pytest.raises(RunFailed) as caught:
        load(path)
    assert "expected 'bright' and got 'dark' with probability 1.000" in caught.value.message


@pytest.mark.parametrize(
    "kind", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8, TensorProto.BOOL, TensorProto.STRING]
)
def test_tensors_of_every_kind_are_named_in_the_protocols_words(folder, models, kind):
    names = {1: "FP32", 10: "FP16", 3: "INT8", 9: "BOOL", 8: "BYTES"}
    model = load(folder(models.identity(kind)))
    assert model.signature.inputs[0].datatype == names[kind]


def test_an_input_the_graph_chokes_on_is_a_bad_request(folder, models):
    from customai.workloads.scoring.answers import RequestError

    with pytest.raises(RequestError, match="the model cannot score this input") as caught:
        load(folder(models.picks())).run({"x": np.array([7])})
    assert caught.value.status == 400


def test_inspect_answers_ok(folder, models):
    result = inspect(folder(models.linear(), labels=["a", "b", "c"]))
    assert result["ok"]
    assert result["smoke_test"] is None
    assert result["signature"]["inputs"][0]["shape"] == [-1, 4]


@pytest.mark.parametrize("argument", ["nowhere", "\x01", ""])
def test_inspect_answers_errors_as_json(argument, tmp_path):
    result = inspect(tmp_path / argument)
    assert not result["ok"]
    assert result["error"]["type"] == "NotFound"


def test_inspect_runs_as_a_program(folder, models):
    command = [
        sys.executable,
        "-m",
        "customai.workloads.scoring.inspect",
        str(folder(models.linear(), sha256="0" * 64)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["type"] == "RunFailed"
    assert done.stderr == ""
