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
    app        routes, key, errors, what is counted and logged
    http       HTTP/1.1 on one connection, and a bound on all that a client can cost
    server     listening and draining: all connections of a process
    binary     tensors as bytes behind the JSON
    metrics    Prometheus's text of all replicas (series: numbers that several processes share)
    openapi    the server's OpenAPI document; page: what a browser gets at /
    tracing    a span for each request, where the spec asks for it
    inspect    `python -m customai.workloads.scoring.inspect FOLDER`: the checks, as JSON

Nothing is imported here: reading a config must not load onnxruntime.
"""
