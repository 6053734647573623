"""A scoring endpoint: replicas of the scoring server behind one address."""

from __future__ import annotations

from customai.model import Json, Step

FORMAT = 1  # of server.json, read by customai.workloads.scoring


def step(id_: str, *, models: Json, host: str, port: int, replicas: int, key: Json, limits: Json, why: str) -> Step:
    """The step that serves one version of a model, or several.

    Args:
        models: a list of {"folder", "version", "traffic"}: where a model folder is, usually a reference to a model step's
            `folder`, what it is called, and the percentage of the requests that it answers.
        key: {"$secret": ...} of the API key, or None.
        limits: threads, max_batch, max_body (bytes), max_rows, body_timeout (seconds), max_queue (rows), drain (seconds).
    """
    inputs = {"models": models, "host": host, "port": port, "replicas": replicas, "key": key, "limits": limits}
    return Step(id_, "serve", "endpoint", "service", inputs, why=why)


def local(inputs: Json) -> Json:
    server = {key: inputs[key] for key in ("models", "host", "port", "replicas")} | inputs["limits"]
    return {"server": server | {"format": FORMAT}, "key": inputs["key"]}
