import sys

import onnxruntime as ort
from kserve import InferOutput, InferResponse, Model, ModelServer


class Gbt(Model):
    def __init__(self, file):
        super().__init__("gbt")
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(file, options)
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None):
        arrays = self.session.run(None, {"X": payload.inputs[0].as_numpy()})
        outputs = []
        for output, array in zip(self.session.get_outputs(), arrays, strict=True):
            datatype = "INT64" if array.dtype == "int64" else "FP32"
            outputs.append(InferOutput(output.name, list(array.shape), datatype, array.ravel().tolist()))
        return InferResponse(payload.id or "", "gbt", outputs)


if __name__ == "__main__":
    server = ModelServer(http_port=int(sys.argv[2]), workers=1, enable_grpc=False, access_log_format=None)
    server.start([Gbt(sys.argv[1])])
