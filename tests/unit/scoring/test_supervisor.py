from __future__ import annotations

import pytest

from customai.workloads.scoring import supervisor


@pytest.mark.parametrize(("replicas", "threads", "each"), [(2, 0, 4), (9, 0, 1), (1, 0, 8), (9, 3, 3)])
def test_the_replicas_share_the_cores_unless_the_spec_says_otherwise(monkeypatch, replicas, threads, each):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    config = supervisor._replica_config({"replicas": replicas, "threads": threads, "digest": "d", "port": 1})
    assert config == {"threads": each, "port": 1}
