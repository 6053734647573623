import sys

import numpy as np
import onnxruntime as ort
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options)
app = FastAPI()


class Request(BaseModel):
    rows: list[list[float]]


@app.post("/score")
async def score(request: Request):
    labels, probabilities = session.run(None, {"X": np.array(request.rows, np.float32)})
    return {"labels": labels.tolist(), "probabilities": probabilities.tolist()}


uvicorn.run(app, port=int(sys.argv[2]), access_log=False, log_level="error")
