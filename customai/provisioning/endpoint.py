"""A scoring endpoint: replicas of the scoring server behind one address."""

from __future__ import annotations

from customai.model import Json, Step

FORMAT = 1  # of server.json, read by customai.workloads.scoring


def step(
    id_: str,
    *,
    models: Json,
    host: str,
    port: int,
    replicas: int,
    key: Json,
    limits: Json,
    tls: Json = None,
    tracing: str | None = None,
    why: str,
) -> Step:
    """The step that serves one version of a model, or several.

    Args:
        models: a list of {"folder", "version", "traffic"}: where a model folder is, usually a reference to a model step's
            `folder`, what it is called, and the percentage of the requests that it answers.
        key: {"$secret": ...} of the API key, or None.
        limits: threads, max_batch, max_body (bytes), max_rows, body_timeout (seconds), max_queue (rows), max_wait, drain (seconds).
        tls: {"certificate", "key", "sha256" of the certificate}, files on this machine, or None.
        tracing: the URL of an OpenTelemetry collector, or None.
    """
    inputs = {"models": models, "host": host, "port": port, "replicas": replicas, "key": key, "limits": limits}
    inputs |= {name: value for name, value in (("tls", tls), ("tracing", tracing)) if value is not None}
    return Step(id_, "serve", "endpoint", "service", inputs, why=why)


def local(inputs: Json) -> Json:
    server = {key: inputs[key] for key in ("models", "host", "port", "replicas")} | inputs["limits"]
    server |= {name: inputs[name] for name in ("tls", "tracing") if name in inputs}
    return {"server": server | {"format": FORMAT}, "key": inputs["key"]}
