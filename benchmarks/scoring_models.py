"""The models that are scored: boosted trees, a network of ResNet-18's shape with random weights, and the digits of 2-5."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

REPOSITORY = Path(__file__).parents[1]
_STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels, stride of the first block


def gbt(folder: Path) -> list[float]:
    """200 trees on 30 floats; one row of them."""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import GradientBoostingClassifier

    x, y = load_breast_cancer(return_X_y=True)
    x = x.astype(np.float32)
    model = GradientBoostingClassifier(n_estimators=200, random_state=0).fit(x, y)
    data = to_onnx(model, x[:1], options={id(model): {"zipmap": False}}).SerializeToString()
    _save(folder, data, name="gbt")
    return [float(value) for value in x[0]]


def resnet18(folder: Path) -> None:
    """Convolutions, additions and ReLU as in ResNet-18, batch norms folded in; the weights are noise that keeps its scale."""
    rng = np.random.default_rng(0)
    nodes: list[Any] = []
    weights: list[Any] = []

    def conv(x: str, name: str, shape: tuple[int, int], kernel: int, stride: int, *, relu: bool) -> str:
        out, into = shape
        noise = rng.standard_normal((out, into, kernel, kernel)).astype(np.float32)
        weights.append(numpy_helper.from_array(noise * np.float32((2 / (into * kernel**2)) ** 0.5), f"{name}.w"))
        weights.append(numpy_helper.from_array(np.zeros(out, np.float32), f"{name}.b"))
        nodes.append(
            helper.make_node(
                "Conv", [x, f"{name}.w", f"{name}.b"], [name], strides=[stride] * 2, pads=[kernel // 2] * 4
            )
        )
        if not relu:
            return name
        nodes.append(helper.make_node("Relu", [name], [f"{name}.r"]))
        return f"{name}.r"

    x = conv("x", "stem", (64, 3), 7, 2, relu=True)
    nodes.append(helper.make_node("MaxPool", [x], ["pool"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4))
    x, into = "pool", 64
    for stage, (out, first) in enumerate(_STAGES):
        for block in range(2):
            name, stride = f"s{stage}b{block}", first if block == 0 else 1
            inner = conv(x, f"{name}.1", (out, into), 3, stride, relu=True)
            inner = conv(inner, f"{name}.2", (out, out), 3, 1, relu=False)
            beside = x if into == out else conv(x, f"{name}.d", (out, into), 1, stride, relu=False)
            nodes.append(helper.make_node("Add", [inner, beside], [f"{name}.a"]))
            nodes.append(helper.make_node("Relu", [f"{name}.a"], [f"{name}.o"]))
            x, into = f"{name}.o", out
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["flat"]))
    last = rng.standard_normal((512, 1000)).astype(np.float32) / 512
    weights.append(numpy_helper.from_array(last, "fc.w"))
    nodes.append(helper.make_node("MatMul", ["flat", "fc.w"], ["y"]))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 224, 224])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1000])]
    graph = helper.make_graph(nodes, "resnet18", inputs, outputs, weights)
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    how = {
        "size": [224, 224],
        "resize": 224,
        "crop": "center",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    }
    _save(folder, data, name="resnet18", scores="logits", preprocessing=how)


def digits(folder: Path) -> bytes:
    """The model of 2-5; one of its images."""
    from customai import spec
    from customai.paths import score_realtime

    source = REPOSITORY / "paths" / "2-5"
    text = (source / "customai.yaml").read_text(encoding="utf-8")
    found = spec.load(text, score_realtime.Spec, file="customai.yaml").model
    how = found.preprocessing.to_json() if found.preprocessing is not None else None
    _save(folder, (source / "model.onnx").read_bytes(), name="digits", scores=found.scores, preprocessing=how)
    shutil.copy(source / "labels.txt", folder)
    return (source / "samples" / "3.png").read_bytes()


def jpeg() -> bytes:
    """A 224 x 224 photograph of nothing, as smooth as photographs are."""
    import io

    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 255, (28, 28, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((224, 224), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _save(folder: Path, data: bytes, **keys: Any) -> None:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(data)
    document = {"format": 1, "version": "1", "sha256": hashlib.sha256(data).hexdigest(), **keys}
    (folder / "model.json").write_text(json.dumps(document))
