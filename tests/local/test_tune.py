"""`tune`: real servers are measured beside the deployment, the best is in the spec, and nothing stays behind."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.local.conftest import CUSTOMAI, call, environment, eventually, processes

KEYS = ("replicas", "threads", "max_batch")
QUICK = ("--seconds", "0.3", "--connections", "4")


@pytest.fixture
def scratch(tmp_path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def without(text: str) -> list[str]:
    """The spec's lines but those of the keys that are tuned."""
    return [line for line in text.splitlines() if not re.match(rf" +({'|'.join(KEYS)}): ", line)]


@pytest.mark.slow
def test_the_best_of_what_was_measured_is_in_the_spec(deployment, scratch):
    deployment.deploy()
    before, port, serving = deployment.spec.read_text(), deployment.port, deployment.replicas()
    told = call("score-realtime", "tune", deployment.folder, *QUICK, "-o", "json", timeout=300, TMPDIR=str(scratch))
    found, after = told.json, deployment.spec.read_text()
    best = {key: found["best"][key] for key in KEYS}
    assert best in [{key: each[key] for key in KEYS} for each in found["measured"]]
    assert found["best"]["requests_per_second"] > 0
    assert len(found["measured"]) >= 3
    assert "requests/s" in told.err
    assert without(after) == without(before)
    defaults = {"replicas": "1", "threads": "0", "max_batch": "0"}
    written = defaults | dict(re.findall(rf"(?m)^  ({'|'.join(KEYS)}): (\d+)$", after))
    assert {key: int(value) for key, value in written.items()} == best
    assert found["written"] == (after != before)
    assert "is right" in call("check", deployment.spec).out
    assert (deployment.status()["endpoint"]["url"], deployment.replicas()) == (f"http://127.0.0.1:{port}", serving)
    assert list(scratch.iterdir()) == []


@pytest.mark.slow
def test_only_shown_with_dry_run_for_rows_too(churn, scratch):
    before = churn.spec.read_text()
    run = call("score-realtime", "tune", churn.spec, *QUICK, "--dry-run", timeout=300, TMPDIR=str(scratch))
    assert re.search(r"(?m)^REPLICAS +THREADS +MAX_BATCH +REQUESTS/S +P50 +P99", run.out)
    assert re.search(r"(?m)^1 +0 +0 \(\d+\) .* now", run.out)
    assert "best" in run.out
    assert churn.spec.read_text() == before
    assert list(scratch.iterdir()) == []


def test_nothing_is_left_of_the_servers_even_after_kill_9(deployment, scratch):
    command = [*CUSTOMAI, "score-realtime", "tune", str(deployment.spec), "--seconds", "60"]
    pipe = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment(TMPDIR=str(scratch)), stdout=pipe, stderr=pipe) as tune:
        eventually(lambda: any("scoring.replica" in each for each in processes(scratch).values()), 60)
        tune.kill()
    eventually(lambda: not processes(scratch), 60)


def test_an_interrupt_ends_the_servers_too(deployment, scratch):
    command = [*CUSTOMAI, "score-realtime", "tune", str(deployment.spec), "--seconds", "60"]
    with subprocess.Popen(
        command, env=environment(TMPDIR=str(scratch)), stdout=-1, stderr=-1, start_new_session=True
    ) as tune:
        eventually(lambda: any("scoring.replica" in each for each in processes(scratch).values()), 60)
        tune.terminate()
        _, said = tune.communicate(timeout=60)
    assert (tune.returncode, b"Traceback" in said) == (130, False), said
    assert processes(scratch) == {}
    assert list(scratch.iterdir()) == []


def test_what_cannot_be_tuned_is_told_before_anything_is_measured(deployment, tmp_path, cli):
    def tune(*words, code=2):
        return cli("score-realtime", "tune", *words, code=code)

    tune("2-5").failed(2, "a path's own spec is not written", "customai init 2-5 DIR", "--dry-run")
    tune("2-4").failed(2, "belongs to score-batch")
    (tmp_path / "text.json").write_text("[1, 2]")
    tune(deployment.spec, "--input", tmp_path / "text.json").failed(2, "no PNG, no JPEG and no row")
    cli("init", "2-1", tmp_path / "stream")
    stream = tmp_path / "stream" / "customai.yaml"
    stream.write_text(stream.read_text().replace("mode: serve ", "mode: stream"))
    tune(stream, code=3).failed(3, "no endpoint to tune", "mode: serve")
    text = deployment.spec.read_text()
    deployment.spec.write_text(re.sub(r"(?s)smoke_test:.*", "", text))
    tune(deployment.spec).failed(2, "there is nothing to send", "--input FILE")
    deployment.spec.write_text(text)


def test_an_input_that_the_model_refuses_ends_it(deployment, scratch, tmp_path):
    (tmp_path / "row.json").write_text('{"a": 1}')
    command = ("score-realtime", "tune", deployment.spec, "--input", tmp_path / "row.json", *QUICK)
    call(*command, code=1, TMPDIR=str(scratch)).failed(1, "the endpoint refused row.json")
    assert processes(scratch) == {}
    assert list(scratch.iterdir()) == []
