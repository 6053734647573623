"""Writes what `mlserver start` reads, then becomes it."""

import json
import os
import sys
import tempfile
from pathlib import Path

folder = Path(tempfile.mkdtemp())
(folder / "gbt.py").write_text(
    """
import onnxruntime as ort
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Gbt(MLModel):
    async def load(self):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(self.settings.parameters.uri, options)
        return True

    async def predict(self, payload):
        arrays = self.session.run(None, {"X": NumpyCodec.decode_input(payload.inputs[0])})
        outputs = [NumpyCodec.encode_output(o.name, a) for o, a in zip(self.session.get_outputs(), arrays)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
"""
)
settings = {"http_port": int(sys.argv[2]), "grpc_port": int(sys.argv[2]) + 1, "metrics_port": int(sys.argv[2]) + 2}
(folder / "settings.json").write_text(json.dumps({**settings, "parallel_workers": 0, "debug": False}))
model = {"name": "gbt", "implementation": "gbt.Gbt", "parameters": {"uri": sys.argv[1]}}
batching = {"max_batch_size": 64, "max_batch_time": 0.001}
(folder / "model-settings.json").write_text(json.dumps({**model, **batching}))
os.chdir(folder)
os.environ["PYTHONPATH"] = str(folder)
os.execv(sys.executable, [sys.executable, "-m", "mlserver.cli.main", "start", str(folder)])
