"""What is asked of a batch run, as it stands in the job's arguments."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from customai.errors import StateError

FORMAT = 1
# What changes how a run is done, but not what comes out of it.
_NOT_THE_RESULT = ("format", "run", "output", "limit_errors", "workers")


@dataclass(frozen=True)
class Request:
    """One batch run.

    Attributes:
        kind: rows | images.
        run: the run's name.
        input: a folder, a file or a URL; absolute.
        output: the folder or URL that holds a folder `run=NAME` for each run.
        model: the model folder; empty where there is one model per key.
        models: key -> [file, sha256] of its model.
        key: the column that chooses among `models`.
        card: model.json for every one of `models`.
        columns: the model's inputs in order; empty: all numeric ones.
        keep: columns carried to the output.
        predictions: auto | label | outputs.
        null_text: what a null is to an input of texts.
        csv: also write the predictions as CSV.
        limit_errors: more errors than this make the run fail, when all is done.
        workers, batch, chunk: processes, rows per call of the model, rows per part; 0: chosen.
    """

    kind: str
    run: str
    input: str
    output: str
    model: str = ""
    models: dict[str, list[str]] = field(default_factory=dict)
    key: str = ""
    card: dict[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    predictions: str = "auto"
    delimiter: str = ","
    null_text: str = ""
    csv: bool = False
    limit_errors: int = 0
    workers: int = 0
    batch: int = 0
    chunk: int = 0
    format: int = FORMAT

    @classmethod
    def from_json(cls, text: str, model: str = "") -> Request:
        """The request, with the model folder that was known only when the job began."""
        asked = json.loads(text)
        unknown = asked.keys() - {each.name for each in fields(cls)}
        if asked.get("format") != FORMAT or unknown:
            raise StateError(f"a batch request of another version of customai: {', '.join(sorted(unknown))}")
        made: dict[str, Any] = {**asked, **{name: tuple(asked.get(name, ())) for name in ("columns", "keep")}}
        return cls(**{**made, "model": model or made.get("model", "")})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def model_sha256(self) -> str:
        """Of the model, or of all models together."""
        if self.models:
            return hashlib.sha256(json.dumps(self.models, sort_keys=True).encode()).hexdigest()
        try:
            return str(json.loads((Path(self.model) / "model.json").read_bytes())["sha256"])
        except (OSError, ValueError, KeyError):
            raise StateError("this is not a model folder", where=self.model, hint="run deploy again") from None

    def mark(self) -> dict[str, Any]:
        """What decides what comes out, the input's content aside."""
        asked = {name: value for name, value in self.to_json().items() if name not in _NOT_THE_RESULT}
        return asked | {"model": self.model_sha256()}
