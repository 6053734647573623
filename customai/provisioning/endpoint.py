"""A scoring endpoint: replicas of the scoring server behind one address."""

from __future__ import annotations

from customai.model import Json, Step

FORMAT = 1  # of server.json, read by customai.workloads.scoring


def step(id_: str, *, model: Json, host: str, port: int, replicas: int, key: Json, limits: Json, why: str) -> Step:
    """The step that serves a model folder.

    Args:
        model: where the model folder is: usually a reference to a model step's `folder`.
        key: {"$secret": ...} of the API key, or None.
        limits: threads, max_batch, max_body (bytes), body_timeout (seconds), max_queue (rows), drain (seconds).
    """
    inputs = {"model": model, "host": host, "port": port, "replicas": replicas, "key": key, "limits": limits}
    return Step(id_, "serve", "endpoint", "service", inputs, why=why)


def local(inputs: Json) -> Json:
    server = {key: inputs[key] for key in ("model", "host", "port", "replicas")} | inputs["limits"]
    return {"server": server | {"format": FORMAT}, "key": inputs["key"]}
