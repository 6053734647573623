"""The scoring server: an ONNX model behind HTTP.

    config     what is served and how: model.json, server.json
    model      the checked model: digest, signature, labels, preprocessing, smoke test
    image      PNG or JPEG -> pixels in the model's shape
    tensors    JSON arrays -> numpy arrays, or the one element that is wrong
    protocol   Open Inference Protocol v2: JSON -> arrays -> JSON
    score      the short form, POST /score: images or rows -> labels
    rows       JSON objects with a value per column -> numpy arrays, or the one value that is wrong
    batching   requests that wait are scored together
    version    one version of the model at work
    traffic    which version answers
    app        ASGI: routes, limits, key, errors
    inspect    `python -m customai.workloads.scoring.inspect FOLDER`: the checks, as JSON

Nothing is imported here: reading a config must not load onnxruntime.
"""
