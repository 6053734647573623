"""`kill -9` at any moment, then the same command again: the same end state as an undisturbed run, nothing twice."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

MOMENTS = 8  # spread over the whole run
LINES = 7  # of an undisturbed journal: the header, then begin and done of three steps


def end_state(deployment) -> object:
    """All there is in the end, but for process ids, times, and what each process that served has counted."""
    status = deployment.status()
    endpoint = status["endpoint"]
    assert len({replica["pid"] for replica in endpoint["replicas"]}) == endpoint["wanted"]
    assert len(deployment.processes("scoring.supervisor")) == 1
    paths = (path.relative_to(deployment.state) for path in deployment.state.rglob("*"))
    files = {str(path) for path in paths if "metrics" not in path.parts}
    return (
        endpoint["url"],
        endpoint["health"],
        endpoint["wanted"],
        endpoint["failure"],
        status["model"],
        [(step["id"], step["event"], step["as_left"]) for step in status["steps"]],
        files,
        deployment.score(5),
    )


def killed(deployment, verb: str, when) -> None:
    """Runs the command and kills it as soon as `when(seconds)` is true."""
    command = [sys.executable, "-m", "customai", verb, deployment.name if verb == "destroy" else deployment.spec]
    more = ["--yes"] if verb == "destroy" else []
    started = time.monotonic()
    with subprocess.Popen([*command, *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not when(time.monotonic() - started):
            time.sleep(0.0005)
        process.kill()


def settled(deployment, wait_for) -> None:
    """What was draining, or was left by the killed one, has ended."""
    wait_for(lambda: len(deployment.processes()) == 2 and len(deployment.status()["endpoint"]["replicas"]) == 1)


@pytest.fixture
def undisturbed(deployment, wait_for):
    """The end state of an undisturbed run, and how many seconds it took; it is destroyed again."""
    started = time.monotonic()
    deployment.deploy()
    whole = time.monotonic() - started
    state = end_state(deployment)
    assert len(deployment.events()) == LINES - 1
    subprocess.run([sys.executable, "-m", "customai", "destroy", deployment.name, "--yes"], check=True)
    return state, whole


def written(deployment, lines: int):
    def there(_seconds: float) -> bool:
        return len(deployment.events()) >= lines - 1 and (deployment.state / "journal.jsonl").exists()

    return there


def test_at_every_line_of_the_journal(deployment, undisturbed, cli, wait_for):
    for lines in range(1, LINES + 1):
        killed(deployment, "deploy", written(deployment, lines))
        deployment.deploy()
        settled(deployment, wait_for)
        assert end_state(deployment) == undisturbed[0], f"killed at line {lines}"
        assert [event["step"] for event in deployment.events() if event["event"] == "done"] == [
            "model",
            "endpoint",
            "smoke-test",
        ], "a step was done twice"
        cli("destroy", deployment.name, "--yes")


def test_at_many_moments_of_deploy_and_of_destroy(deployment, undisturbed, cli, wait_for):
    state, whole = undisturbed
    for number in range(1, MOMENTS + 1):
        moment = whole * number / MOMENTS
        killed(deployment, "deploy", lambda seconds, moment=moment: seconds > moment)
        deployment.deploy()
        settled(deployment, wait_for)
        assert end_state(deployment) == state, f"killed after {moment:.2f} s"
        killed(deployment, "destroy", lambda seconds, moment=moment: seconds > moment / 2)
        cli("destroy", deployment.name, "--yes")
        deployment.assert_nothing_is_left()


def test_at_many_moments_of_an_update(deployment, cli, wait_for):
    labels = deployment.folder / "labels.txt"
    names = labels.read_text()
    deployment.deploy()

    def update(number: int) -> None:
        labels.write_text(names.replace("0", f"zero-{number}"))

    update(0)
    started = time.monotonic()
    deployment.deploy()
    whole = time.monotonic() - started
    settled(deployment, wait_for)
    *undisturbed, files, _answer = end_state(deployment)
    for number in range(1, MOMENTS + 1):
        moment = whole * number / MOMENTS
        update(number)
        killed(deployment, "deploy", lambda seconds, moment=moment: seconds > moment)
        assert deployment.score(4) == "4"  # whatever is up answers
        deployment.deploy()
        settled(deployment, wait_for)
        *found, there, _answer = end_state(deployment)
        assert found == undisturbed, f"killed after {moment:.2f} s"
        assert len(there) == len(files), f"killed after {moment:.2f} s: {there}"
        assert deployment.score(0) == f"zero-{number}"


def test_with_more_replicas_none_is_started_twice(deployment, wait_for):
    deployment.edit(replicas=3)
    killed(deployment, "deploy", lambda _seconds: (deployment.state / "servers").exists())
    deployment.deploy()
    wait_for(lambda: len(deployment.processes()) == 4)
    (log,) = deployment.state.glob("servers/*/server.log")
    assert log.read_text().count(" started\n") == 3
