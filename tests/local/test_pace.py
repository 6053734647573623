"""`status` says how the model is run: replicas, threads, rows a run, and what runs it."""

from __future__ import annotations

import re


def test_status_says_how_the_model_is_run(deployment, cli):
    deployment.edit(replicas=2)
    deployment.edit_endpoint("threads: 1")
    deployment.edit_endpoint("max_batch: 16")
    deployment.deploy()
    told = cli("status", deployment.spec).out
    assert re.search(r"(?m)^  replicas  2 of 2 ready \(process \d+ for ", told)
    assert re.search(
        r"(?m)^  pace      1 thread a replica on CPU, up to 16 rows a run, [\d.e-]+ ms for one row$", told
    ), told
    endpoint = deployment.status()["endpoint"]
    assert (endpoint["wanted"], endpoint["threads"]) == (2, 1)
    (pace,) = endpoint["pace"]
    assert (pace["max_batch"], pace["provider"], pace["version"]) == (16, "CPUExecutionProvider", "1")
    assert pace["latency_ms"] > 0
