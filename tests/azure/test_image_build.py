"""The scoring image of 2-5, built from the very archive that a registry's task gets, run as the cluster runs it, and asked.

buildah builds it. Microsoft's base image is not asked for: a Debian with Python, made by debootstrap, stands in its place
under its name, once per machine, in the user's cache folder. The packages come from where pip gets them on this machine.
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from customai.provisioning import image
from customai.targets.azure_image_context import packed
from customai.targets.base import Watch
from tests.azure.test_requests import REPOSITORY, VARIANTS, lowered
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the first time on a machine, the base is made: two minutes

SUITE, PACKAGES = "bookworm", "python3,python3-pip,ca-certificates"
KEY = "a-key-of-more-than-sixteen-letters"
PATIENCE = 300.0
ALONE = ("unshare", "--mount")  # what is mounted goes when the command ends, however it ends
PIP = ("cert", "proxy", "trusted-host", "index-url", "extra-index-url", "timeout", "default-timeout", "retries")

# As the cluster: nothing can be written but the folder in memory, nothing of the caller's groups.
CONTAINER = """
set -eu
root=$1 user=$2 folder=$3 where=$4 memory=$5 run=$6
shift 6
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
mount -t tmpfs -o "size=$memory,uid=${user%:*},gid=${user#*:}" tmpfs "$root$run"
mount --bind "$folder" "$root$where"
mount -o remount,bind,ro "$root"
exec chroot --userspec="$user" --groups="${user#*:}" "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$@"
"""


def ran(*command: object, **settings: Any) -> str:
    """What the command says; where it fails, its last words."""
    words = [str(word) for word in command]
    made = subprocess.run(words, capture_output=True, text=True, check=False, umask=0o022, **settings)
    if made.returncode:
        raise RuntimeError(f"{' '.join(words[:6])} ...: exit {made.returncode}\n{(made.stdout + made.stderr)[-4000:]}")
    return made.stdout.strip()


@dataclass(frozen=True)
class Images:
    """A store of images, and perhaps another whose images are seen too, and stay as they are."""

    folder: Path
    beneath: Path | None = None

    def buildah(self, *arguments: object) -> str:
        store = ["--storage-driver", "vfs", "--root", self.folder / "images", "--runroot", self.folder / "run"]
        if self.beneath is not None:
            store += ["--storage-opt", f"vfs.imagestore={self.beneath / 'images'}"]
        return ran(*ALONE, "buildah", *store, *arguments)


def make_base(folder: Path) -> None:
    root, images = folder / "root", Images(folder)
    ran(*ALONE, "debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, root)
    for rest in (root / "var/cache/apt", root / "var/lib/apt/lists"):
        shutil.rmtree(rest)
    for mark in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):  # Microsoft's has none
        mark.unlink()
    container = images.buildah("from", "scratch")
    images.buildah("add", "--quiet", container, root, "/")
    images.buildah("config", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container)
    images.buildah("commit", "--quiet", "--rm", container, image.BASE)
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def base() -> Path:
    """The folder with the base image; made whole beside its place and then moved there, by one process at a time."""
    if os.geteuid() != 0:
        pytest.skip("not root: an image's files cannot be given their owners")
    for program in ("buildah", "debootstrap", "unshare"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install buildah debootstrap util-linux")
    try:
        ran(*ALONE, "true")
    except RuntimeError as error:
        pytest.skip(f"nothing may be mounted here: {error}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "customai-tests"
    cache.mkdir(parents=True, exist_ok=True)
    kind = hashlib.sha256(f"{image.BASE} {SUITE} {PACKAGES}".encode()).hexdigest()[:12]
    made = cache / f"image-base-{kind}"
    with open(cache / f"image-base-{kind}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.is_dir():
            for left in cache.glob(f"making-{kind}-*"):  # by one that was killed
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=f"making-{kind}-", dir=cache) as folder:
                try:
                    make_base(Path(folder) / "base")
                except RuntimeError as error:
                    pytest.skip(f"no base image can be made here: {error}")
                (Path(folder) / "base").rename(made)
    return made


def pip_settings() -> dict[str, str]:
    """How pip gets packages on this machine, as far as it holds in another root: folders of this one are left out."""
    shown = ran(sys.executable, "-m", "pip", "config", "list")
    found = {}
    for line in reversed(shown.splitlines()):  # the environment's come first, and win
        name, _, value = line.partition("=")
        setting, words = name.rpartition(".")[2], ast.literal_eval(value).split()
        if setting.endswith("index-url"):
            words = [word for word in words if word.startswith(("http://", "https://"))]
        if setting in PIP and words:
            found[setting] = " ".join(words)
    return found


def pip_volumes(folder: Path) -> list[str]:
    """Lent to the build, and no part of the image."""
    settings, volumes = pip_settings(), []
    if "cert" in settings:
        volumes.append(f"--volume={Path(settings['cert']).resolve()}:/etc/pip-cert.pem:ro")
        settings["cert"] = "/etc/pip-cert.pem"
    conf = folder / "pip.conf"
    conf.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()), encoding="utf-8")
    return [*volumes, f"--volume={conf}:/etc/pip.conf:ro"]


@dataclass(frozen=True)
class Built:
    said: str
    config: dict[str, Any]
    root: Path  # of a container made of it


@pytest.fixture(scope="module")
def plan() -> list[Any]:
    return lowered(VARIANTS["2-5"])


@pytest.fixture(scope="module")
def built(base: Path, plan: list[Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    folder = tmp_path_factory.mktemp("image")
    try:
        context, images = folder / "context", Images(folder, base)
        context.mkdir()
        with packed(next(step for step in plan if step["kind"] == "image")["inputs"], Watch()) as archive:
            ran("tar", "-xzf", "-", "-C", context, "--no-same-owner", stdin=archive)
        options = ("--isolation=chroot", "--pull=never", "--layers=false", *pip_volumes(folder))
        said = images.buildah("bud", *options, "--tag", "localhost/scoring", context)
        config = json.loads(images.buildah("inspect", "--type", "image", "localhost/scoring"))["OCIv1"]["config"]
        root = Path(images.buildah("mount", images.buildah("from", "localhost/scoring")))
        yield Built(said, config, root)
    finally:
        shutil.rmtree(folder)  # hundreds of megabytes, and nothing to learn from


@pytest.fixture(scope="module")
def pod(plan: list[Any]) -> Any:
    manifests = next(step for step in plan if step["kind"] == "kubernetes")["inputs"]["manifests"]
    return next(each for each in manifests if each["kind"] == "Deployment")["spec"]["template"]["spec"]


@dataclass(frozen=True)
class Container:
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def wait_for(self, path: str) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask("GET", path)[0] == 200:
                    return
            time.sleep(0.2)
        pytest.fail(f"not ready after {PATIENCE} s: {self.log.read_text(encoding='utf-8')}")

    def statuses(self) -> list[dict[str, str]]:
        """/proc/PID/status of each process in it that lives."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it ended meanwhile
                if os.getsid(int(folder.name)) == self.process.pid:
                    lines = (folder / "status").read_text(encoding="utf-8").splitlines()
                    found.append({name: text.strip() for name, _, text in (line.partition(":") for line in lines)})
        return [status for status in found if not status["State"].startswith("Z")]


@pytest.fixture
def running(built: Built, pod: Any, tmp_path: Path) -> Iterator[Container]:
    """A container of the image with the settings, the mounts and the key that the plan's Deployment gives it."""
    inside, port = pod["containers"][0], free_port()
    given = {each["name"]: each["value"] for each in inside["env"]}
    server = json.loads(given["CUSTOMAI_SERVER"]) | {"host": "127.0.0.1", "port": port}
    environment = dict(each.split("=", 1) for each in built.config["Env"])
    environment |= given | {"CUSTOMAI_SERVER": json.dumps(server)}
    where = {each["name"]: each["mountPath"] for each in inside["volumeMounts"]}
    memory = next(each for each in pod["volumes"] if each["name"] == "run")["emptyDir"]["sizeLimit"].removesuffix("i")
    for place in where.values():
        (built.root / place.lstrip("/")).mkdir(parents=True, exist_ok=True)
    secret = tmp_path / "key"
    secret.mkdir(mode=0o755)
    (secret / "key").write_text(KEY, encoding="utf-8")
    os.chown(secret / "key", 0, pod["securityContext"]["fsGroup"])
    (secret / "key").chmod(0o440)
    order = [built.root, built.config["User"], secret, where["key"], memory, where["run"], built.config["WorkingDir"]]
    command = [str(shutil.which(ALONE[0])), *ALONE[1:], "/bin/sh", "-c", CONTAINER, "container", *map(str, order)]
    log = tmp_path / "log"
    with open(log, "wb") as out:
        process = subprocess.Popen(
            [*command, *built.config["Entrypoint"]],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield Container(process, port, log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_the_image_is_built_and_its_model_has_given_its_known_answer(built: Built, pod: Any) -> None:
    checked = next(json.loads(line) for line in built.said.splitlines() if line.startswith('{"ok"'))
    assert checked["ok"] is True
    assert checked["smoke_test"]["label"] == "3"
    security = pod["securityContext"]
    assert built.config["User"] == f"{security['runAsUser']}:{security['runAsGroup']}"
    assert built.config["User"] != "0:0"


def test_it_answers_as_nobody_in_particular_with_nothing_to_write_on_and_ends_when_told(
    running: Container, pod: Any
) -> None:
    running.wait_for(pod["containers"][0]["startupProbe"]["httpGet"]["path"])
    digit = (REPOSITORY / "paths" / "2-5" / "samples" / "7.png").read_bytes()
    status, body = running.ask("POST", "/score", digit, content_type="image/png", authorization=f"Bearer {KEY}")
    assert status == 200, body
    assert json.loads(body)["predictions"][0]["label"] == "7"
    assert running.ask("POST", "/score", digit, content_type="image/png")[0] == 401

    statuses = running.statuses()
    assert len(statuses) >= 2  # the supervisor and its replica
    user = str(pod["securityContext"]["runAsUser"])
    for status in statuses:
        assert set(status["Uid"].split()) == set(status["Gid"].split()) == set(status["Groups"].split()) == {user}
        assert int(status["CapEff"], 16) == 0
    mounts = Path(f"/proc/{running.process.pid}/mountinfo").read_text(encoding="utf-8").splitlines()
    root = next(line.split() for line in mounts if line.split()[4] == "/")
    assert "ro" in root[5].split(",")

    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(PATIENCE) == 0, running.log.read_text(encoding="utf-8")
    end = time.monotonic() + PATIENCE
    while running.statuses() and time.monotonic() < end:
        time.sleep(0.1)
    assert running.statuses() == []
