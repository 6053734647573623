"""What a spec says of the model that an endpoint serves: its file or its versions, and what goes in and comes out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from customai.model import Json
from customai.spec import Scalar
from customai.spec import key as spec_key

SHA256 = r"^[0-9a-f]{64}$"
VERSION = r"^[\w.-]{1,64}$"
A_VERSION = "text of letters, digits, _ . and -, at most 64"
HUB = re.compile(r"^hf://[^/@]+/[^/@]+/[^@]+\.onnx(@[^@]+)?$")
CHANNELS = {"gray": 1, "rgb": 3, "bgr": 3}
WHOLE = 100  # percent


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
class Column:
    """One named value of a row."""

    name: str = spec_key("Its name in the rows, and of the model's input where each column is one.", pattern=r"^.+$")
    type: Literal["number", "integer", "text", "boolean"] = spec_key("What stands in it.")
    nullable: bool = spec_key("Whether a row may have null here.", default=False)
    default: Scalar | None = spec_key(
        "What the model gets for null; a number's is NaN unless said otherwise, text needs one.", default=None
    )

    def problems(self) -> Iterable[tuple[str, str]]:
        if self.default is not None and not self.nullable:
            yield "default", "it stands in for null: add `nullable: true`, or leave it out"
        if self.default is None and self.nullable and self.type in ("text", "boolean"):
            yield "default", f"a {self.type} column has no null of its own: say what stands for it"
        kinds = {"number": (int, float), "integer": (int,), "text": (str,), "boolean": (bool,)}[self.type]
        if self.default is not None and type(self.default) not in kinds:
            yield "default", f"expected a {self.type}, as the column's type says, got {self.default!r}"


@dataclass(frozen=True)
class Version:
    """One version of the model, and its share of the requests."""

    version: str = spec_key(
        "Its name, told with every prediction; a request may ask for it.", pattern=VERSION, expected=A_VERSION
    )
    file: str = spec_key("As `model.file`.", examples=("models/2.onnx",))
    sha256: str | None = spec_key(
        "The file's SHA-256: another file is refused.", default=None, pattern=SHA256, expected="64 hex digits"
    )
    traffic: int = spec_key(
        "Its share of the requests, in percent; 0 answers only those that ask for it.",
        default=0,
        minimum=0,
        maximum=WHOLE,
    )

    def problems(self) -> Iterable[tuple[str, str]]:
        return _source_problems(self.file, self.sha256)


@dataclass(frozen=True)
class Model:
    """The trained model, in ONNX: a file, or several versions that share the requests."""

    file: str | None = spec_key(
        "A path, an https:// URL (with sha256), or hf://owner/repo/file.onnx (with @revision if you like).",
        default=None,
        examples=("model.onnx", "https://example.org/model.onnx", "hf://owner/repo/model.onnx"),
    )
    sha256: str | None = spec_key(
        "The file's SHA-256: another file is refused.", default=None, pattern=SHA256, expected="64 hex digits"
    )
    version: str = spec_key("Told with every prediction.", default="1", pattern=VERSION, expected=A_VERSION)
    labels: str | None = spec_key(
        "A text file with one label a line, in the order of the model's outputs.", default=None
    )
    scores: Literal["probabilities", "logits"] = spec_key("What the model puts out.", default="probabilities")
    preprocessing: Preprocessing | None = spec_key("For models of images.", default=None)
    columns: tuple[Column, ...] = spec_key("For models of rows: what a row holds.", default=())
    versions: tuple[Version, ...] = spec_key("In place of file, sha256 and version: several of each.", default=())

    def problems(self) -> Iterable[tuple[str, str]]:
        if (self.file is None) == (not self.versions):
            yield "file", "expected either a file or versions"
        elif self.file is not None:
            yield from _source_problems(self.file, self.sha256)
        if self.versions and self.sha256 is not None:
            yield "sha256", "it belongs to a file: give each of the versions its own"
        if self.columns and self.preprocessing is not None:
            yield "columns", "a model takes rows or images: keep either columns or preprocessing"
        yield from _repeated("columns", "name", [column.name for column in self.columns])
        yield from _repeated("versions", "version", [version.version for version in self.versions])
        total = sum(version.traffic for version in self.versions)
        if self.versions and total != WHOLE:
            yield "versions", f"expected traffic that adds up to 100, got {total}"

    @property
    def served(self) -> tuple[Version, ...]:
        """The versions; of a single file the one it is."""
        if self.file is None:
            return self.versions
        return (Version(self.version, self.file, self.sha256, WHOLE),)

    def column_list(self) -> Json:
        return [asdict(column) for column in self.columns] or None


def _source_problems(file: str, sha256: str | None) -> Iterable[tuple[str, str]]:
    if file.startswith("https://"):
        if sha256 is None:
            yield "file", "a model from a URL needs its sha256 beside it, so that no other file is ever run"
    elif file.startswith("hf://"):
        if not HUB.match(file):
            yield "file", "expected hf://owner/repo/file.onnx, with @revision after it if you like"
    elif "://" in file:
        yield "file", "expected a path, an https:// URL or hf://owner/repo/file.onnx"


def _repeated(place: str, key: str, names: list[str]) -> Iterable[tuple[str, str]]:
    for i, name in enumerate(names):
        if name in names[:i]:
            yield f"{place}[{i}].{key}", f"'{name}' is already there, as {place}[{names.index(name)}]"
