"""Saves a model of MLflow's that runs the ONNX file, then becomes `mlflow models serve`."""

import os
import sys
import tempfile
from pathlib import Path

import mlflow

folder = Path(tempfile.mkdtemp())
code = folder / "gbt.py"
code.write_text(
    f"""
import mlflow
import numpy as np
import onnxruntime as ort


class Gbt(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession({sys.argv[1]!r}, options)

    def predict(self, context, model_input, params=None):
        return self.session.run(None, {{"X": np.asarray(model_input, np.float32)}})[1]


mlflow.models.set_model(Gbt())
"""
)
os.chdir(folder)
mlflow.pyfunc.save_model(str(folder / "model"), python_model=str(code), pip_requirements=[])
command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(folder / "model")]
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where it looks for uvicorn
os.execv(sys.executable, [*command, "--env-manager", "local", "--port", sys.argv[2], "--workers", "1"])
