"""A service of BentoML's; started as a script, it becomes `bentoml serve` of itself."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    os.environ["GBT_MODEL"] = sys.argv[1]
    os.environ["BENTOML_DO_NOT_TRACK"] = "1"
    os.chdir(Path(__file__).parent)
    serve = [sys.executable, "-m", "bentoml", "serve", "bentoml_server:Gbt", "--port", sys.argv[2]]
    os.execv(sys.executable, serve)

import bentoml
import numpy as np
import onnxruntime as ort


@bentoml.service(workers=1)
class Gbt:
    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(os.environ["GBT_MODEL"], options)

    @bentoml.api(batchable=False)
    def score(self, rows: list[list[float]]) -> list[list[float]]:
        return self.session.run(None, {"X": np.array(rows, np.float32)})[1].tolist()
