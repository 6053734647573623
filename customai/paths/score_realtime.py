"""Real-time scoring (2-1, 2-2, 2-5): a model folder, an endpoint that serves it, a request with a known answer."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from customai.model import Json, Step
from customai.paths import Files
from customai.provisioning import endpoint, model, smoke_test
from customai.spec import Secret
from customai.spec import key as spec_key

SHA256 = r"^[0-9a-f]{64}$"
HUB = re.compile(r"^hf://[^/@]+/[^/@]+/[^@]+\.onnx(@[^@]+)?$")
CHANNELS = {"gray": 1, "rgb": 3, "bgr": 3}


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the model's input: x = (pixel * scale - mean) / std."""

    size: tuple[int, int] = spec_key("Height and width of the model's input, in pixels.", minimum=1, maximum=8192)
    resize: int | None = spec_key(
        "The shorter side before a centre crop; by default what just covers the size.",
        default=None,
        minimum=1,
        maximum=8192,
    )
    crop: Literal["none", "center"] = spec_key(
        "none squeezes the image to the size; center cuts its middle.", default="none"
    )
    resample: Literal["bilinear", "bicubic", "nearest", "box", "lanczos"] = spec_key(
        "How pixels are resampled.", default="bilinear"
    )
    channels: Literal["rgb", "bgr", "gray"] = spec_key("The channels and their order.", default="rgb")
    scale: float = spec_key("What a pixel of 0 to 255 is multiplied by.", default=1 / 255)
    mean: tuple[float, ...] = spec_key("Subtracted, one number per channel.", default=())
    std: tuple[float, ...] = spec_key("Divided by, one number per channel.", default=())
    layout: Literal["nchw", "nhwc"] = spec_key("The order of the input's axes.", default="nchw")

    def problems(self) -> Iterable[tuple[str, str]]:
        channels = CHANNELS[self.channels]
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values and len(values) != channels:
                yield name, f"expected one number per channel ({channels} for {self.channels}), got {len(values)}"
        if any(value <= 0 for value in self.std):
            yield "std", "expected numbers above 0: they divide"
        if self.resize is not None and self.crop == "none":
            yield "resize", "it belongs to a centre crop: add `crop: center`, or leave resize out"
        if self.resize is not None and self.resize < max(self.size):
            yield "resize", f"expected at least {max(self.size)}, so that the crop fits in"

    def to_json(self) -> Json:
        channels = CHANNELS[self.channels]
        filled = {"mean": self.mean or (0.0,) * channels, "std": self.std or (1.0,) * channels}
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in (asdict(self) | filled).items()
        }


@dataclass(frozen=True)
class Model:
    """The trained model, in ONNX."""

    file: str = spec_key(
        "A path, an https:// URL (with sha256), or hf://owner/repo/file.onnx (with @revision if you like).",
        examples=("model.onnx", "https://example.org/model.onnx", "hf://owner/repo/model.onnx"),
    )
    sha256: str | None = spec_key("The file's SHA-256: another file is refused.", default=None, pattern=SHA256)
    version: str = spec_key("Told with every prediction.", default="1", pattern=r"^[\w.-]{1,64}$")
    labels: str | None = spec_key(
        "A text file with one label a line, in the order of the model's outputs.", default=None
    )
    scores: Literal["probabilities", "logits"] = spec_key("What the model puts out.", default="probabilities")
    preprocessing: Preprocessing | None = spec_key("For models of images.", default=None)

    def problems(self) -> Iterable[tuple[str, str]]:
        if self.file.startswith("https://"):
            if self.sha256 is None:
                yield "file", "a model from a URL needs its sha256 beside it, so that no other file is ever run"
        elif self.file.startswith("hf://"):
            if not HUB.match(self.file):
                yield "file", "expected hf://owner/repo/file.onnx, with @revision after it if you like"
        elif "://" in self.file:
            yield "file", "expected a path, an https:// URL or hf://owner/repo/file.onnx"


@dataclass(frozen=True)
class Endpoint:
    """Where and how it is served."""

    host: str = spec_key(
        "The address to listen on; 127.0.0.1 is this machine alone.", default="127.0.0.1", pattern=r"^\S+$"
    )
    port: int = spec_key("The port to listen on.", default=8025, minimum=1, maximum=65535)
    replicas: int = spec_key("How many server processes.", default=1, minimum=1, maximum=64)
    key: Secret | None = spec_key(
        "The API key that requests must carry; required unless only this machine is served.", default=None
    )
    threads: int = spec_key(
        "onnxruntime's threads in each replica; 0 shares out the cores.", default=0, minimum=0, maximum=256
    )
    max_batch: int = spec_key(
        "Most rows scored in one run; 0 chooses from the model's speed.", default=0, minimum=0, maximum=4096
    )
    max_body: int = spec_key("Largest request body, in bytes.", default=10 * 2**20, minimum=1024, maximum=2**30)
    body_timeout: float = spec_key("Seconds for a request's body to arrive.", default=30.0, minimum=0.1, maximum=3600)
    max_queue: int = spec_key(
        "Most rows waiting; beyond it the answer is 503.", default=1024, minimum=1, maximum=1_000_000
    )
    drain: float = spec_key(
        "Seconds that a replica may take to finish its requests.", default=10.0, minimum=0, maximum=600
    )

    def problems(self) -> Iterable[tuple[str, str]]:
        if self.key is None and not _is_loopback(self.host):
            how = "add `key: {env: SCORING_KEY}` or `key: {file: PATH}`"
            yield "host", f"{self.host} can be reached from other machines, so an API key is required: {how}"

    def limits(self) -> Json:
        return {
            name: getattr(self, name)
            for name in ("threads", "max_batch", "max_body", "body_timeout", "max_queue", "drain")
        }


@dataclass(frozen=True)
class SmokeTest:
    """A request with a known answer, sent before any traffic."""

    image: str = spec_key("A PNG or JPEG file.")
    label: str = spec_key("The label that the model must give it.")


@dataclass(frozen=True)
class Spec:
    """Path 2-5: real-time scoring of a deep learning model."""

    path: Literal["2-5"] = spec_key("The learning path.")
    name: str = spec_key(
        "The deployment's name, and the model's in requests.",
        pattern=r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$",
        examples=("digits",),
    )
    model: Model = spec_key("The trained model.")
    endpoint: Endpoint = spec_key("Where and how it is served.", default=Endpoint)
    smoke_test: SmokeTest | None = spec_key("A request with a known answer.", default=None)

    def problems(self) -> Iterable[tuple[str, str]]:
        if self.smoke_test is not None and self.model.preprocessing is None:
            yield "smoke_test.image", "the model takes no images: it has no preprocessing"


def files(spec: Spec) -> tuple[tuple[str, str], ...]:
    """(key path, file) of every file of the user's own that the spec names."""
    named = [("model.labels", spec.model.labels)]
    if "://" not in spec.model.file:
        named.insert(0, ("model.file", spec.model.file))
    if spec.smoke_test is not None:
        named.append(("smoke_test.image", spec.smoke_test.image))
    if spec.endpoint.key is not None:
        named.append(("endpoint.key.file", spec.endpoint.key.file))
    return tuple((place, file) for place, file in named if file is not None)


def steps(spec: Spec, files: Files) -> tuple[Step, ...]:
    api_key = _secret(spec.endpoint.key, files)
    known = _known_answer(spec.smoke_test, files)
    is_local = "://" not in spec.model.file
    preprocessing = spec.model.preprocessing
    made = [
        model.step(
            "model",
            source=files.absolute(spec.model.file) if is_local else spec.model.file,
            sha256=files.sha256(spec.model.file) if is_local else spec.model.sha256 or "",
            name=spec.name,
            version=spec.model.version,
            labels=files.lines(spec.model.labels) if spec.model.labels is not None else None,
            scores=spec.model.scores,
            preprocessing=preprocessing.to_json() if preprocessing is not None else None,
            smoke_test=known,
            why="the trained model, fetched, verified and checked against its known answer",
        ),
        endpoint.step(
            "endpoint",
            model={"$ref": "model#folder"},
            host=spec.endpoint.host,
            port=spec.endpoint.port,
            replicas=spec.endpoint.replicas,
            key=api_key,
            limits=spec.endpoint.limits(),
            why=f"{spec.endpoint.replicas} replica(s) of the scoring server behind port {spec.endpoint.port}",
        ),
    ]
    if known is not None:
        made.append(
            smoke_test.step(
                "smoke-test",
                endpoint="endpoint",
                image=known["source"],
                sha256=known["sha256"],
                label=known["label"],
                key=api_key,
                why=f"one real request, whose answer must be '{known['label']}'",
            )
        )
    return tuple(made)


def _known_answer(test: SmokeTest | None, files: Files) -> Json:
    if test is None:
        return None
    return {"source": files.absolute(test.image), "sha256": files.sha256(test.image), "label": test.label}


def _secret(secret: Secret | None, files: Files) -> Json:
    if secret is None:
        return None
    return {"$secret": f"env:{secret.env}" if secret.env else f"file:{files.absolute(secret.file or '')}"}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
