"""The servers that ours is measured beside, each as its own documentation says, in an environment of its own (`make peers`).

NAME_server.py serves the ONNX file that it is given at the port that it is given: one worker, one onnxruntime thread.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
HOME = HERE.parents[1] / ".peers"
_INFER = "/v2/models/gbt/infer"


@dataclass(frozen=True)
class Peer:
    """environment: the folder in HOME; packages: what is in it; package: the one whose version is told."""

    name: str
    environment: str
    packages: tuple[str, ...]
    package: str
    path: str
    form: str = "infer"

    @property
    def python(self) -> Path:
        return HOME / self.environment / "bin" / "python"

    @property
    def command(self) -> list[str]:
        return [str(self.python), str(HERE / f"{self.name}_server.py")]

    def body(self, row: list[float]) -> bytes:
        tensor = {"name": "X", "shape": [1, len(row)], "datatype": "FP32", "data": row}
        forms = {
            "infer": {"inputs": [tensor]},
            "rows": {"rows": [row]},
            "mlflow": {"inputs": [row]},
        }
        return json.dumps(forms[self.form]).encode()


_ORT = ("numpy", "onnxruntime")
_ASGI = ("fastapi", "uvicorn", "uvloop", "httptools", "orjson", *_ORT)
PEERS = (
    Peer("bare", "fastapi", _ASGI, "uvicorn", _INFER),
    Peer("fastapi", "fastapi", _ASGI, "fastapi", "/score", "rows"),
    Peer("kserve", "kserve", ("kserve", *_ORT), "kserve", _INFER),
    Peer("mlserver", "mlserver", ("mlserver", *_ORT), "mlserver", _INFER),
    Peer(
        "azureml",
        "azureml",
        ("azureml-inference-server-http", *_ORT),
        "azureml-inference-server-http",
        "/score",
        "rows",
    ),
    Peer("litserve", "litserve", ("litserve", *_ORT), "litserve", "/predict", "rows"),
    Peer("mlflow", "mlflow", ("mlflow==3.17.2", *_ORT), "mlflow", "/invocations", "mlflow"),
    Peer("bentoml", "bentoml", ("bentoml", *_ORT), "bentoml", "/score", "rows"),
)
