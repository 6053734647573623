"""What users of Azure ML are told by a deploy, and the file by which their own tools find the workspace."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from platformdirs import user_cache_path

from customai.cli import root
from customai.targets.azure_login import NOBODY
from tests.azure import driven
from tests.azure.simulator import SUBSCRIPTION, Simulator

pytest.importorskip("azure.mgmt.compute", reason="the extra azure is not installed")

SDK = "azureml-core>=1.60,<2"  # version 1: its pins exclude our SDKs
CACHE = user_cache_path("customai", appauthor=False) / "tests"  # before a test's own home is in place
WORKSPACES = "/microsoft.machinelearningservices/workspaces"
READ = """
import json
from unittest import mock
from azureml.core import Workspace

with mock.patch.object(Workspace, "get") as get:  # which would ask Azure
    Workspace.from_config()
(name,), more = get.call_args
print(json.dumps([more["subscription_id"], more["resource_group"], name]))
"""


def deployed(
    azure: Simulator, folder: Path, monkeypatch: pytest.MonkeyPatch, path: str, more: str = "", block: str = ""
) -> Path:
    azure.cloud.times.seconds = 0.02
    azure.cloud.catalog.caller = NOBODY
    azure.cloud.view.blobs = f"{azure.url}/_blob"
    monkeypatch.setenv("CUSTOMAI_AZURE_ENDPOINT", azure.url)
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    spec = driven.spec(folder, path, block)
    spec.write_text(spec.read_text(encoding="utf-8") + more, encoding="utf-8")
    code = root.main(["deploy", str(spec), "--target", "azure", "--yes"], prog_name="customai", standalone_mode=False)
    assert not code
    return spec.parent


@pytest.mark.parametrize(
    ("path", "more", "block", "told"),
    [
        ("1-2", "", "", ["studio  https://ml.azure.com/runs/train-", "customai train-multi run"]),
        ("2-1", "", "", ["/score", "100 % to version-1", "customai score"]),
        ("2-2", "", "", ["/score", "90 % to version-1, 10 % to version-2", "customai score"]),
        ("2-4", '\nschedule: "*/5 * * * *"\n', "", ["/jobs", "customai score-batch run", "*/5 * * * *"]),
        ("2-6", "", "cluster: {spot: true}", ["job     deploy-", "deploy does not wait for its end"]),
    ],
)
def test_a_deploy_ends_with_what_to_do_next(
    azure: Simulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    path: str,
    more: str,
    block: str,
    told: list[str],
) -> None:
    deployed(azure, tmp_path, monkeypatch, path, more, block)
    printed, beside = capsys.readouterr()
    assert "mistake in customai" not in printed + beside
    assert f"(path {path}, target azure)" in printed
    for each in told:
        assert each in printed


def test_a_rollback_tells_the_same(
    azure: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    spec = deployed(azure, tmp_path, monkeypatch, "2-2") / "customai.yaml"
    text = spec.read_text(encoding="utf-8").replace("traffic: 90", "traffic: 60").replace("traffic: 10", "traffic: 40")
    spec.write_text(text, encoding="utf-8")
    for words, shares in (
        (("deploy", str(spec), "--target", "azure", "--yes"), "60 % to version-1, 40 % to version-2"),
        (("score-realtime", "rollback", str(spec)), "90 % to version-1, 10 % to version-2"),
    ):
        capsys.readouterr()
        assert not root.main([*words], prog_name="customai", standalone_mode=False)
        assert f"traffic   {shares}" in capsys.readouterr().out


def test_a_destroy_for_good_says_that_a_protected_key_vault_is_kept(
    azure: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    spec = deployed(azure, tmp_path, monkeypatch, "2-2") / "customai.yaml"
    capsys.readouterr()
    code = root.main(["destroy", str(spec), "--yes", "--purge"], prog_name="customai", standalone_mode=False)
    told = capsys.readouterr().out
    assert (code, azure.cloud.standing()) == (1, [])
    assert "Azure keeps vault for a while, at no cost" in told
    assert "It is protected: nobody can delete it for good" in told
    assert "customai destroy" not in told


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_version_1_of_the_sdk_finds_the_workspace_of_a_deployment(
    azure: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = of_version_1()
    folder = deployed(azure, tmp_path, monkeypatch, "2-2")
    below = folder / "notebooks"
    below.mkdir()
    done = subprocess.run([python, "-c", READ], cwd=below, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    workspace = next(id_ for id_ in azure.cloud.standing() if id_.rpartition("/")[0].lower().endswith(WORKSPACES))
    _, _, subscription, _, group, *_, name = str(workspace).split("/")
    assert [each.lower() for each in json.loads(done.stdout)] == [each.lower() for each in (subscription, group, name)]


def of_version_1() -> Path:
    """The Python of an environment with azureml-core alone, kept in the user's cache: half a minute and 285 MB, once."""
    there = CACHE / f"azureml-core-{sys.version_info.major}.{sys.version_info.minor}"
    python = there / "bin" / "python"
    if python.exists():
        return python
    shutil.rmtree(there, ignore_errors=True)  # its Python is gone
    CACHE.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=CACHE))
    try:
        subprocess.run([sys.executable, "-m", "venv", made], check=True, timeout=120)
        # It reads its own plug-ins with pkg_resources, which later versions of setuptools do not have.
        install = [
            made / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--retries",
            "1",
            "--only-binary",
            ":all:",
        ]
        try:
            done = subprocess.run(
                [*install, SDK, "setuptools<81"], capture_output=True, text=True, timeout=300, check=False
            )
        except subprocess.TimeoutExpired:
            pytest.skip("azureml-core cannot be installed here: pip takes more than 5 minutes")
        if done.returncode:
            why = next((line for line in done.stderr.splitlines() if line.startswith("ERROR")), "pip says no reason")
            pytest.skip(f"azureml-core cannot be installed here, for Python {there.name.rpartition('-')[2]}: {why}")
        try:
            made.rename(there)
        except OSError:  # somebody else was quicker
            assert python.exists()
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return python
