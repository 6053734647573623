import sys

import litserve as ls
import numpy as np
import onnxruntime as ort


class Gbt(ls.LitAPI):
    def setup(self, device):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(sys.argv[1], options)

    def decode_request(self, request):
        return np.array(request["rows"][0], np.float32)

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, x):
        labels, probabilities = self.session.run(None, {"X": x})
        return list(zip(labels.tolist(), probabilities.tolist(), strict=True))

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return {"label": output[0], "probabilities": output[1]}


if __name__ == "__main__":
    server = ls.LitServer(Gbt(max_batch_size=64, batch_timeout=0.001), accelerator="cpu", workers_per_device=1)
    server.run(port=int(sys.argv[2]), num_api_servers=1, generate_client_file=False, log_level="error")
