"""The model, checked before it is served: what is loaded is what was digested, and it does what model.json says."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from customai.errors import CustomAIError, NotAvailable, NotFound, RunFailed
from customai.workloads.scoring.answers import RequestError, bad
from customai.workloads.scoring.classes import best, label_of, probabilities
from customai.workloads.scoring.config import MODEL_FILE, ModelConfig, Preprocessing, SmokeTest, load_model_config
from customai.workloads.scoring.image import open_image, to_row
from customai.workloads.scoring.json_body import parse_object
from customai.workloads.scoring.rows import Rows, rows_of
from customai.workloads.scoring.signature import Feed, Signature, Tensor, fits
from customai.workloads.scoring.tensors import BY_ORT, DATATYPES

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, at import
import onnxruntime as ort

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"  # onnxruntime's names of what runs a model
_FATAL = 4  # only what would end the process; everything else comes back as an exception and is told in our words
ort.set_default_logger_severity(_FATAL)


@dataclass(frozen=True)
class Smoke:
    """What the model said to its smoke-test image."""

    label: str
    probability: float


@dataclass(frozen=True)
class Model:
    """run(feed) -> outputs, in the signature's order; from any thread. Raises RequestError (400) on a feed it cannot score.

    rows: how it reads rows by column name, None: it does not. provider: what of onnxruntime runs it.
    """

    config: ModelConfig
    signature: Signature
    run: Callable[[Feed], list[NDArray[Any]]]
    rows: Rows | None = None
    smoke: Smoke | None = None
    provider: str = CPU


def load(folder: Path | str, threads: int = 1, device: str = "cpu") -> Model:
    """Check and load a model folder. threads: per run, 0 lets onnxruntime choose. device: cpu or gpu.

    Raises NotFound (a file is missing), StateError (model.json), NotAvailable (an operator or a kind of tensor that
    this server lacks, or no GPU where one is asked for), RunFailed (everything the model does not keep of what model.json promises).
    """
    folder = Path(folder)
    config = load_model_config(folder)
    where = str(folder / MODEL_FILE)
    asked = providers(device, ort.get_available_providers(), where)
    session = _session(_checked_bytes(folder / MODEL_FILE, config.sha256), threads, asked, where)
    provider = first(asked, session.get_providers(), where)
    signature = Signature(
        tuple(_tensor(node, where) for node in session.get_inputs()),
        tuple(_tensor(node, where) for node in session.get_outputs()),
    )
    check_labels(config, signature, where)
    check_preprocessing(config.preprocessing, signature, where)
    rows = rows_of(config, signature, where)
    run = _runner(session, [tensor.name for tensor in signature.outputs])
    model = Model(config, signature, run, rows, provider=provider)
    if config.smoke_test is None:
        return model
    return replace(model, smoke=_smoke(model, config.smoke_test, folder / config.smoke_test.file))


def providers(device: str, available: Sequence[str], where: str) -> list[str]:
    """What is to run the model, the first choice first. Raises NotAvailable: a GPU is asked for, and not to be had."""
    if device == "cpu":
        return [CPU]
    if CUDA not in available:
        raise NotAvailable(
            f"a GPU is asked for, and this onnxruntime knows none: it offers {', '.join(available)}",
            where=where,
            hint="install onnxruntime-gpu[cuda,cudnn] in the place of onnxruntime",
        )
    return [CUDA, CPU]  # the CPU for operators that CUDA lacks


def first(asked: Sequence[str], used: Sequence[str], where: str) -> str:
    """What runs the model. Raises NotAvailable: onnxruntime has fallen back to the CPU, which it does in silence."""
    if asked[0] not in used:
        raise NotAvailable(
            "a GPU is asked for, and onnxruntime cannot use one: there is no NVIDIA GPU here, no driver, or no CUDA",
            where=where,
            hint="nvidia-smi says whether there is a GPU; a pod needs nvidia.com/gpu in its limits",
        )
    return asked[0]


def check_labels(config: ModelConfig, signature: Signature, where: str) -> None:
    """The model has as many classes as model.json has labels. Raises RunFailed with both numbers."""
    if config.labels is None:
        return
    if signature.classes is None:
        shapes = ", ".join(f"{t.name} {t.datatype} {list(t.shape)}" for t in signature.outputs)
        raise RunFailed(
            f"model.json has {len(config.labels)} labels, but no output of the model is a [batch, classes] float matrix ({shapes})",
            where=where,
            hint="set labels to null, or export the model with its scores as an output",
        )
    classes = signature.outputs[signature.classes].shape[1]
    if classes not in (-1, len(config.labels)):
        raise RunFailed(
            f"the model has {classes} classes, but model.json has {len(config.labels)} labels",
            where=where,
            hint="list one label per class, in the order of the model's output",
        )


def check_preprocessing(how: Preprocessing | None, signature: Signature, where: str) -> None:
    """What an image becomes is what the model takes. Raises RunFailed with both shapes."""
    if how is None:
        return
    if len(signature.inputs) != 1:
        raise RunFailed(
            f"preprocessing needs a model with one input; this one has {len(signature.inputs)}", where=where
        )
    tensor = signature.inputs[0]
    made = (1, *how.row_shape)
    if not fits(made, tensor.shape):
        raise RunFailed(
            f"preprocessing makes {list(made)} ({how.layout}, {how.channels}), but the model takes {list(tensor.shape)}",
            where=where,
            hint="set size, channels and layout in model.json to what the model was trained with",
        )
    if tensor.datatype not in ("FP16", "FP32", "FP64", "UINT8"):
        raise RunFailed(
            f"preprocessing makes FP16, FP32, FP64 or UINT8, but the model takes {tensor.datatype}", where=where
        )


def _checked_bytes(path: Path, expected: str) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"there is no {path.name} beside model.json", where=str(path)) from None
    except OSError as error:
        raise RunFailed(f"{path.name} cannot be read: {error.strerror}", where=str(path)) from None
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise RunFailed(
            f"{path.name} is not the file model.json describes: SHA-256 {found[:12]}..., expected {expected[:12]}...",
            where=str(path),
            hint="copy the model again; if the change is wanted, write the new digest into model.json",
        )
    return data


def _session(data: bytes, threads: int, asked: list[str], where: str) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = threads
    # Spinning threads take the cores of the other replicas while they wait.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(data, options, providers=asked)
    except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions share no base class
        raise _not_loaded(error, len(data), where) from None


def _runner(session: Any, names: list[str]) -> Callable[[Feed], list[NDArray[Any]]]:
    def run(feed: Feed) -> list[NDArray[Any]]:
        try:
            outputs: list[NDArray[Any]] = session.run(names, feed)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions share no base class
            # The model has run before, so it is the input: a row too short, an index beyond the vocabulary.
            raise bad(f"the model cannot score this input: {short(error)}") from None
        return outputs

    return run


def _not_loaded(error: Exception, size: int, where: str) -> CustomAIError:
    kind, reason = type(error).__name__, short(error)
    if kind in ("InvalidProtobuf", "NoModel") or size == 0:
        return RunFailed(
            f"the file is not ONNX, or is cut short ({size} bytes)",
            where=where,
            hint="export it again, with onnx.save or torch.onnx.export",
        )
    if kind == "NotImplemented" or "opset" in reason:
        return NotAvailable(
            f"onnxruntime {ort.__version__} cannot run this model: {reason}",
            where=where,
            hint="export with a lower opset",
        )
    if "external data" in reason.lower() or "external_data" in reason.lower():
        return NotAvailable(
            "the model keeps its weights in a second file",
            where=where,
            hint="save it as one file: onnx.save(model, path, save_as_external_data=False)",
        )
    return RunFailed(
        f"onnxruntime cannot load the model: {reason}", where=where, hint="onnx.checker.check_model says more"
    )


def short(error: Exception) -> str:
    """Cut the prefix and source paths from onnxruntime's message."""
    text = str(error).strip().partition("\n")[0]
    return text.rpartition(" : ")[2][:200] or type(error).__name__


def _tensor(node: Any, where: str) -> Tensor:
    datatype = BY_ORT.get(node.type)
    if datatype is None:
        raise NotAvailable(
            f"{node.name!r} is a {node.type}; the server carries plain tensors only",
            where=where,
            hint="for scikit-learn models: skl2onnx.to_onnx(..., options={'zipmap': False})",
        )
    return Tensor(node.name, datatype.name, tuple(size if isinstance(size, int) else -1 for size in node.shape))


def _smoke(model: Model, test: SmokeTest, path: Path) -> Smoke:
    classes, where = model.signature.classes, str(path)
    if classes is None:
        raise RunFailed("a smoke test needs a model with a [batch, classes] output", where=where)
    try:
        outputs = model.run(_known_feed(model, path.read_bytes()))
    except FileNotFoundError:
        raise NotFound(f"there is no {path.name} for the smoke test", where=where) from None
    except RequestError as error:
        raise RunFailed(f"the smoke test fails: {error.error}", where=where, hint=error.expected or "") from None
    except OSError as error:
        raise RunFailed(f"{path.name} cannot be read: {error.strerror}", where=where) from None
    index, probability = best(probabilities(outputs[classes], model.config.scores)[0], 1)[0]
    label = label_of(index, model.config.labels)
    if model.config.labels is None and model.signature.label is not None:
        label = str(outputs[model.signature.label].reshape(-1)[0])
    if label != test.label:
        raise RunFailed(
            f"the smoke test expected {test.label!r} and got {label!r} with probability {probability:.3f}",
            where=where,
            hint="the labels are in another order, the preprocessing is not what the model was trained with, or it is another model",
        )
    return Smoke(label, probability)


def _known_feed(model: Model, data: bytes) -> Feed:
    """The smoke test's image or row as the model's input. Raises RequestError."""
    how = model.config.preprocessing
    if how is not None:
        tensor = model.signature.inputs[0]
        return {tensor.name: to_row(open_image(data), how, DATATYPES[tensor.datatype].dtype)[np.newaxis]}
    if model.rows is None:
        raise bad("the model takes no rows by column name", expected="columns in model.json")
    return model.rows.feed([parse_object(data)])
