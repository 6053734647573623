"""The API key: required beyond this machine, checked, changed without a stop, and never written down or shown."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

KEY = "a-key-that-nobody-sees-0123456789"
OTHER = "another-key-for-the-next-day-98765"


@pytest.fixture
def env_key(deployment):
    deployment.edit(host="0.0.0.0", replicas=2)
    deployment.edit_endpoint("key: {env: SCORING_KEY}")
    return deployment


@pytest.fixture
def file_key(deployment, tmp_path):
    (tmp_path / "the key").write_text(KEY + "\n")
    deployment.edit_endpoint(f"key: {{file: {tmp_path / 'the key'}}}")
    return deployment


def status_with(deployment, key: str | None, host: str = "127.0.0.1") -> int:
    """The HTTP status of a request with this key."""
    headers = {"Content-Type": "image/png"} | ({"Authorization": f"Bearer {key}"} if key else {})
    image = (deployment.folder / "samples" / "3.png").read_bytes()
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"http://{host}:{deployment.port}/score", image, headers), timeout=10
        ) as response:
            return response.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def curl_of(said: str) -> str:
    (line,) = re.findall(r"^  (curl .*)$", said, re.MULTILINE)
    return line


def run(line: str, **env: str) -> str:
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, env=os.environ | env)
    return done.stdout


def assert_kept_nowhere(deployment, home: Path, *said: str) -> None:
    for text in said:
        assert KEY not in text
    for path in home.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path
    for process in (*Path("/proc").glob("[0-9]*/cmdline"), *Path("/proc").glob("[0-9]*/environ")):
        with suppress(OSError):
            assert KEY.encode() not in process.read_bytes(), process


def test_a_key_from_the_environment(env_key, cli, home, wait_for):
    deployed = env_key.deploy(SCORING_KEY=KEY)
    assert [status_with(env_key, key) for key in (None, OTHER, KEY)] == [401, 401, 200]
    outside = socket.gethostbyname(socket.gethostname())
    assert status_with(env_key, KEY, outside) == 200
    assert '"label":"3"' in run(curl_of(deployed.out), SCORING_KEY=KEY)
    assert '-H "Authorization: Bearer $SCORING_KEY"' in curl_of(deployed.out)
    assert env_key.score(3, SCORING_KEY=KEY) == "3"
    assert env_key.status()["endpoint"]["health"] == "healthy"  # needs no key
    wait_for(lambda: "/score" in cli("logs", env_key.name).out)
    others = [
        cli(verb, env_key.spec, "--output", "json", SCORING_KEY=KEY)
        for verb in ("plan", "check", "deploy", "status", "logs")
    ]
    assert_kept_nowhere(env_key, home, deployed.out, deployed.err, *(each.out + each.err for each in others))


def test_a_key_from_a_file(file_key, cli, home, tmp_path):
    deployed = file_key.deploy()
    assert [status_with(file_key, key) for key in (None, OTHER, KEY)] == [401, 401, 200]
    assert '"label":"3"' in run(curl_of(deployed.out))
    assert f"""Bearer $(cat '{tmp_path / "the key"}')""" in curl_of(deployed.out)
    assert file_key.score(3) == "3"
    assert_kept_nowhere(file_key, home, deployed.out, deployed.err)


def test_another_key_takes_over_and_the_old_one_is_refused(file_key, tmp_path, wait_for):
    file_key.deploy()
    before = file_key.replicas()
    assert "nothing to do" in file_key.deploy().out
    (tmp_path / "the key").write_text(OTHER)
    assert file_key.redeploy() == {"model": "kept", "endpoint": "changed", "smoke-test": "changed"}
    assert set(file_key.replicas()).isdisjoint(before)
    wait_for(lambda: len(file_key.processes("scoring.replica")) == 1)
    assert [status_with(file_key, key) for key in (None, KEY, OTHER)] == [401, 401, 200]
    assert file_key.score(3) == "3"


@pytest.mark.parametrize(
    ("key", "code", "words"),
    [
        ("", 3, ["the environment variable SCORING_KEY is not set", "export SCORING_KEY="]),
        ("too-short", 2, ["the secret is shorter than 16 characters", "env:SCORING_KEY", "hint:"]),
        ("with a space in it, and long", 2, ["cannot travel in an HTTP header"]),
    ],
)
def test_a_key_in_the_environment_that_is_no_good(env_key, key, code, words):
    env_key.deploy(code, SCORING_KEY=key).failed(code, *words)
    env_key.assert_nothing_is_left()


def test_a_key_file_that_is_no_good(file_key, tmp_path):
    (tmp_path / "the key").write_bytes(b"\xff\xfe" * 20)
    file_key.deploy(3).failed(3, "the secret's file cannot be read", str(tmp_path / "the key"))
    (tmp_path / "the key").unlink()
    file_key.deploy(2).failed(2, "endpoint.key.file", "there is no file")
    file_key.assert_nothing_is_left()


def test_scoring_with_a_wrong_key_says_so(env_key, cli):
    env_key.deploy(SCORING_KEY=KEY)
    image = env_key.folder / "samples" / "3.png"
    cli("score", env_key.name, image, code=3, SCORING_KEY=OTHER).failed(3, "the endpoint refused the API key", "hint:")
    cli("score", env_key.name, image, code=3, SCORING_KEY="").failed(3, "SCORING_KEY is not set")
