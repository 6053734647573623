"""A state folder that cannot be written or is full: said before anything is done, or with nothing half-done left."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

MB = 2**20


def mount(*arguments: object) -> None:
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"needs the right to mount a file system: {done.stderr.strip()}")


@contextmanager
def small_disk(folder: Path):
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=80m", "none", folder)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def read_only(folder: Path):
    """For who opens a file in it from now on."""
    mount("--bind", folder, folder)
    try:
        mount("-o", "remount,bind,ro", folder)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path, leave: int) -> Path:
    """Leaves only so many bytes free."""
    found = os.statvfs(folder)
    filler = folder / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - leave)
    return filler


def test_a_state_folder_without_the_right_to_write(deployment, unprivileged, home):
    home.mkdir()
    home.chmod(0o500)
    failed = unprivileged("dac_override,dac_read_search", "deploy", deployment.spec)
    failed.failed(4, "the state folder cannot be used: Permission denied", str(home), "hint:", "CUSTOMAI_HOME")
    assert not list(home.iterdir())
    home.chmod(0o700)
    deployment.deploy()


def test_a_read_only_state_folder(deployment, home, cli):
    home.mkdir()
    with read_only(home):
        deployment.deploy(4).failed(4, "the state folder cannot be used: Read-only file system", str(home), "hint:")
        assert not list(home.iterdir())
    deployment.deploy()
    with read_only(home):
        assert deployment.status()["endpoint"]["health"] == "healthy"
        assert deployment.score(3) == "3"
        deployment.deploy(4).failed(4, "Read-only file system")
        cli("destroy", "2-5", "--yes", code=4).failed(4, "Read-only file system")
    assert "nothing to do" in deployment.deploy().out


def test_a_disk_without_room_for_the_deployment(deployment, home):
    with small_disk(home):
        filler = fill(home, leave=20 * MB)
        deployment.deploy(3).failed(3, "the disk has 21 MB free", "the deployment needs", str(home), "hint:  free some")
        assert not deployment.state.exists()
        filler.unlink()
        deployment.deploy()


def test_a_disk_that_is_full(deployment, home):
    with small_disk(home):
        filler = fill(home, leave=0)
        deployment.deploy(None).failed(
            4, "the state folder cannot be used: No space left on device", "hint:  free some"
        )
        assert not deployment.processes()
        filler.unlink()
        deployment.deploy()


def test_a_disk_that_fills_up_does_not_stop_the_service(deployment, home, cli, wait_for):
    with small_disk(home):
        deployment.edit(replicas=2)
        deployment.deploy()
        fill(home, leave=0)
        before = deployment.replicas()
        for digit in range(10):
            assert deployment.score(digit) == str(digit)
        os.kill(before[0], 9)
        wait_for(lambda: before[0] not in deployment.processes("scoring.replica"))
        wait_for(lambda: len(deployment.processes("scoring.replica")) == 2)
        assert deployment.score(3) == "3"
        (home / "filler").unlink()
        wait_for(lambda: len(deployment.replicas()) == 2)
        assert set(deployment.replicas()) != set(before)
        assert "nothing to do" in deployment.deploy().out
        fill(home, leave=0)
        cli("destroy", deployment.name, "--yes")
        assert not deployment.processes()
        (home / "filler").unlink()


def test_an_update_on_a_full_disk_leaves_what_is_up(deployment, home):
    with small_disk(home):
        deployment.deploy()
        before = deployment.replicas()
        filler = fill(home, leave=0)
        deployment.edit(replicas=2)
        deployment.deploy(None).failed(3, "MB free", "hint:  free some")
        assert deployment.replicas() == before
        assert deployment.score(3) == "3"
        filler.unlink()
        deployment.deploy()
        assert len(deployment.replicas()) == 2
