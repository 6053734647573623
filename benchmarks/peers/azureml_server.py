"""Writes the entry script that Azure's own server runs, then becomes that server."""

import os
import sys
import tempfile
from pathlib import Path

script = Path(tempfile.mkdtemp()) / "score.py"
script.write_text(
    f"""
import json

import numpy as np
import onnxruntime as ort


def init():
    global session
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession({sys.argv[1]!r}, options)


def run(data):
    labels, probabilities = session.run(None, {{"X": np.array(json.loads(data)["rows"], np.float32)}})
    return {{"labels": labels.tolist(), "probabilities": probabilities.tolist()}}
"""
)
os.environ["WORKER_COUNT"] = "1"
server = Path(sys.executable).with_name("azmlinfsrv")
os.execv(server, [str(server), "--entry_script", str(script), "--port", sys.argv[2]])
