"""model.json and server.json: what is served, and how."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from customai.errors import NotFound, StateError
from customai.workloads.scoring.keys import Keys, is_number, is_whole

FORMAT = 1
MODEL_FILE = "model.onnx"
MODEL_CONFIG_FILE = "model.json"

Scores = Literal["probabilities", "logits"]
SCORES = ("probabilities", "logits")
CROPS = ("none", "center")
RESAMPLES = ("bilinear", "bicubic", "nearest", "box", "lanczos")
CHANNELS = ("rgb", "bgr", "gray")
LAYOUTS = ("nchw", "nhwc")
DEVICES = ("cpu", "gpu")
TYPES = ("number", "integer", "text", "boolean")


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the model's input: x = (pixel * scale - mean) / std.

    size is (height, width) in pixels. resize is the shorter side before a centre crop; None: what just covers size.
    mean and std have one number per channel; empty means 0 and 1.
    """

    size: tuple[int, int]
    resize: int | None = None
    crop: Literal["none", "center"] = "none"
    resample: Literal["bilinear", "bicubic", "nearest", "box", "lanczos"] = "bilinear"
    channels: Literal["rgb", "bgr", "gray"] = "rgb"
    scale: float = 1 / 255
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    layout: Literal["nchw", "nhwc"] = "nchw"

    @property
    def depth(self) -> int:
        return 1 if self.channels == "gray" else 3

    @property
    def row_shape(self) -> tuple[int, int, int]:
        height, width = self.size
        return (self.depth, height, width) if self.layout == "nchw" else (height, width, self.depth)


@dataclass(frozen=True)
class Column:
    """One named value of a row. default is what the model gets for null; without one, null becomes NaN."""

    name: str
    type: Literal["number", "integer", "text", "boolean"]
    nullable: bool = False
    default: float | str | bool | None = None


@dataclass(frozen=True)
class SmokeTest:
    """An image or a row (a JSON object) in the model folder, and the label the model must give it."""

    label: str
    image: str | None = None
    row: str | None = None

    @property
    def file(self) -> str:
        return self.image or self.row or ""


@dataclass(frozen=True)
class ModelConfig:
    """model.json. sha256 is the hex digest of model.onnx; labels[i] names class i, None: classes have no names.

    columns says what a row holds, in the order of the model's input; None: what the model's inputs are called.
    """

    name: str
    version: str
    sha256: str
    labels: tuple[str, ...] | None = None
    scores: Scores = "probabilities"
    preprocessing: Preprocessing | None = None
    columns: tuple[Column, ...] | None = None
    smoke_test: SmokeTest | None = None

    @classmethod
    def from_json(cls, document: Any, where: str = "model.json") -> "ModelConfig":
        """Raises StateError naming the key that is wrong, or the format number that is not known."""
        return _model_config(document, where)

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}


@dataclass(frozen=True)
class ServedModel:
    """A model folder, and the percentage of the requests that it answers; 0: only those that name its version."""

    folder: str
    traffic: int = 100


@dataclass(frozen=True)
class Tls:
    """PEM files."""

    certificate: str
    key: str


@dataclass(frozen=True)
class ServerConfig:
    """server.json. models are versions of one model.

    max_body in bytes, max_rows a request, max_queue in rows and in requests, max_wait, body_timeout and drain in seconds;
    0 means automatic. tracing: where OpenTelemetry's traces go, None: nowhere. run: the folder that the replicas share,
    None: there is only one. device: where the models are run, cpu or gpu.
    """

    models: tuple[ServedModel, ...]
    host: str = "127.0.0.1"
    port: int = 8000
    replicas: int = 1
    threads: int = 0
    device: str = "cpu"
    max_batch: int = 0
    max_body: int = 10 * 2**20
    max_rows: int = 10_000
    body_timeout: float = 30.0
    max_queue: int = 1024
    max_wait: float = 2.0
    key_sha256: str | None = None
    drain: float = 10.0
    tls: Tls | None = None
    tracing: str | None = None
    run: str | None = None

    @classmethod
    def from_json(cls, document: Any, where: str = "server.json") -> "ServerConfig":
        """Raises StateError naming the key that is wrong, or the format number that is not known."""
        return _server_config(document, where)

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}


def load_model_config(folder: Path) -> ModelConfig:
    """Read folder/model.json. Raises NotFound, or StateError naming the key that is wrong."""
    path = folder / MODEL_CONFIG_FILE
    return ModelConfig.from_json(_read(path), str(path))


def load_server_config(path: Path) -> ServerConfig:
    """Read server.json. Raises NotFound, or StateError naming the key that is wrong."""
    return ServerConfig.from_json(_read(path), str(path))


def dump(config: ModelConfig | ServerConfig) -> str:
    """The text of model.json or server.json."""
    return json.dumps(config.to_json(), indent=2, ensure_ascii=False) + "\n"


def _model_config(document: Any, where: str) -> ModelConfig:
    keys = Keys(document, where)
    keys.format(FORMAT)
    labels = keys.optional("labels")
    config = ModelConfig(
        name=keys.text("name"),
        version=keys.text("version"),
        sha256=keys.digest("sha256"),
        labels=None if labels is None else keys.texts("labels"),
        scores=keys.choice("scores", "probabilities", SCORES),
        preprocessing=_preprocessing(keys.child("preprocessing")),
        columns=_columns(keys),
        smoke_test=_smoke_test(keys.child("smoke_test")),
    )
    if config.smoke_test and config.smoke_test.image and not config.preprocessing:
        raise keys.wrong("smoke_test", "null where preprocessing is null: nothing says how to read the image")
    if config.columns and config.preprocessing:
        raise keys.wrong("columns", "null where there is preprocessing: a model takes rows or images")
    return config


def _server_config(document: Any, where: str) -> ServerConfig:
    keys = Keys(document, where)
    keys.format(FORMAT)
    default = ServerConfig(models=())
    return ServerConfig(
        models=_served_models(keys),
        host=keys.text("host", default.host),
        port=keys.whole("port", default.port, 0, 65535),
        replicas=keys.whole("replicas", default.replicas, 1),
        threads=keys.whole("threads", default.threads, 0),
        device=keys.choice("device", default.device, DEVICES),
        max_batch=keys.whole("max_batch", default.max_batch, 0),
        max_body=keys.whole("max_body", default.max_body, 1),
        body_timeout=keys.number("body_timeout", default.body_timeout, above=0),
        max_rows=keys.whole("max_rows", default.max_rows, 1),
        max_queue=keys.whole("max_queue", default.max_queue, 1),
        key_sha256=None if keys.optional("key_sha256") is None else keys.digest("key_sha256"),
        max_wait=keys.number("max_wait", default.max_wait, above=0),
        drain=keys.number("drain", default.drain, low=0),
        tls=_tls(keys.child("tls")),
        tracing=None if keys.optional("tracing") is None else keys.text("tracing"),
        run=None if keys.optional("run") is None else keys.text("run"),
    )


def _tls(keys: Keys | None) -> Tls | None:
    return None if keys is None else Tls(keys.text("certificate"), keys.text("key"))


def _served_models(keys: Keys) -> tuple[ServedModel, ...]:
    models = tuple(
        ServedModel(each.text("folder"), each.whole("traffic", 100, 0, 100)) for each in keys.children("models")
    )
    if sum(model.traffic for model in models) != 100:
        raise keys.wrong("models", "one model or more, whose traffic adds up to 100")
    return models


def _columns(keys: Keys) -> tuple[Column, ...] | None:
    if keys.optional("columns") is None:
        return None
    columns = tuple(_column(each) for each in keys.children("columns"))
    if not columns or len({column.name for column in columns}) < len(columns):
        raise keys.wrong("columns", "one column or more, each name once, or null")
    return columns


def _column(keys: Keys) -> Column:
    type_ = keys.choice("type", "", TYPES)
    default = keys.optional("default")
    if default is not None and not _is_a(default, type_):
        raise keys.wrong("default", f"a {type_}, as the column's type says")
    return Column(keys.text("name"), type_, keys.truth("nullable", default=False), default)


def _is_a(value: Any, type_: str) -> bool:
    if type_ == "number":
        return is_number(value)
    return type(value) is {"integer": int, "text": str, "boolean": bool}[type_]


def _preprocessing(keys: Keys | None) -> Preprocessing | None:
    if keys is None:
        return None
    size = keys.optional("size")
    if not (isinstance(size, list) and len(size) == len(("height", "width")) and all(is_whole(n, 1) for n in size)):
        raise keys.wrong("size", "[height, width] in pixels")
    result = Preprocessing(
        size=(size[0], size[1]),
        resize=None if keys.optional("resize") is None else keys.whole("resize", 0, max(size)),
        crop=keys.choice("crop", "none", CROPS),
        resample=keys.choice("resample", "bilinear", RESAMPLES),
        channels=keys.choice("channels", "rgb", CHANNELS),
        scale=keys.number("scale", 1 / 255, above=0),
        mean=keys.numbers("mean"),
        std=keys.numbers("std"),
        layout=keys.choice("layout", "nchw", LAYOUTS),
    )
    for key, values in (("mean", result.mean), ("std", result.std)):
        if values and len(values) != result.depth:
            raise keys.wrong(key, f"{result.depth} number(s), one per channel of {result.channels!r}")
    if 0 in result.std:
        raise keys.wrong("std", "numbers other than 0")
    return result


def _smoke_test(keys: Keys | None) -> SmokeTest | None:
    if keys is None:
        return None
    key = "image" if keys.optional("row") is None else "row"
    file = keys.text(key)
    if Path(file).name != file:
        raise keys.wrong(key, "the name of a file in the model folder")
    return SmokeTest(keys.text("label"), **{key: file})


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(
            f"there is no {path.name}",
            where=str(path),
            hint=f"a model folder holds both {MODEL_FILE} and {MODEL_CONFIG_FILE}"
            if path.name == MODEL_CONFIG_FILE
            else "",
        ) from None
    except OSError as error:
        raise StateError(f"{path.name} cannot be read: {error.strerror}", where=str(path)) from None
    except (ValueError, RecursionError) as error:
        raise StateError(f"{path.name} is not JSON: {error}", where=str(path)) from None
