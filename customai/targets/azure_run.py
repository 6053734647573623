"""Training on a machine in Azure: the script and what it uses are copied there and seen through by the same runner as here.

    here   -- ssh, tar -->  ~/.customai/NAME/code      the package's own workloads
    state folder            ~/.customai/NAME/runs/ID   job.json, files/, and everything that the run writes
      runs/ID  <- ssh, tar --

The run is detached: whoever watches may go, and come back with the same command. ID is the digest of all that it depends
on, the machine's id included, so that nothing is trained twice and what was cut short goes on after its last checkpoint.
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from customai.errors import CustomAIError, RunFailed, StateError, TargetError
from customai.model import Json, digest
from customai.targets.azure_machine import Machine, quoted
from customai.targets.base import Watch
from customai.targets.local_store import revived
from customai.workloads.job.run import read_json, write_json

RUNS = "runs"  # in the state folder
PACKAGE = Path(__file__).parents[1]
CODE = ("__init__.py", "errors.py", "workloads/__init__.py", "workloads/notebook.py")
FOLDERS = ("workloads/job", "workloads/training")
EXTRA = re.compile(r"""extra\s*==\s*["'](?P<extra>\w+)["']""")
AGAIN = 5  # times that a connection may break before one gives up
ENDED = ("succeeded", "failed", "cancelled")


class Runs:
    """The runs on one machine, and what was fetched of them."""

    def __init__(self, folder: Path, machine: Machine | None, name: str) -> None:
        self.folder = folder / RUNS
        self.machine = machine
        self.place = f'"$HOME"/{quoted(f".customai/{name}")}'

    def see_through(self, request: Json, watch: Watch) -> Json:
        """Runs it to its end, or attaches to the same run that goes on; gives {"folder", "result"}, fetched.

        Args:
            request: the job as it is asked of this machine: {"argv", "cwd", "env", "uses", "grace"}.

        Raises:
            RunFailed, or the work's own error: it failed. TargetError: the machine is not reached.
        """
        id_ = digest([request, self._there.alias])[:12]
        folder = self.folder / id_
        if (known := read_json(folder / "result.json")) and read_json(folder / "seen.json").get("fetched"):
            return {"folder": str(folder), "result": known}
        self._keep(folder, request)
        watch.report("copying the script there")
        self._send(id_, request)
        told = self._watch(id_, folder, watch)
        if told["result"] is None:
            raise _failure(told, str(folder))
        watch.report("fetching what it made")
        self._fetch(id_, folder)
        write_json(folder / "seen.json", {**told, "fetched": True})
        return {"folder": str(folder), "result": told["result"]}

    def history(self) -> list[Json]:
        """What has become of each run, oldest first, as it was last seen; of one that goes on, as it is."""
        found = []
        for file in sorted(self.folder.glob("*/request.json"), key=lambda each: each.stat().st_mtime):
            told = self._seen(file.parent)
            state = told.get("state") or {}
            status = state.get("status") or ("preparing" if told.get("alive") else "not started")
            if status == "running" and not told.get("alive"):
                status = "stopped"
            found.append(
                {
                    "run": file.parent.name,
                    "digest": file.parent.name,
                    "status": status,
                    "running": bool(told.get("alive")),
                    "since": state.get("since"),
                    "attempt": state.get("attempt", 0),
                    "progress": told.get("progress") if told.get("alive") else None,
                    "result": told.get("result"),
                    "error": told.get("error"),
                    "log": str(file.parent / "job.log"),
                }
            )
        return found

    def any(self) -> bool:
        return any(self.folder.glob("*/request.json"))

    def log(self, *, follow: bool) -> Iterator[str]:
        """What the newest run writes, as it stands on the machine."""
        newest = self.history()[-1:]
        if newest:
            words = ("--log", "--follow") if follow else ("--log",)
            yield from self._there.lines(self._tell(newest[0]["run"], *words))

    def notebook(self, folder: str) -> Json:
        """{"port", "token"} of JupyterLab on the machine, in this folder of it; started if it does not run."""
        self._send_code()
        code, into = f"{self.place}/code", f"{self.place}/{quoted(folder)}"
        wanted = "".join(f"{line}\n" for line in requirements("notebook")).encode()
        needs = f"{self.place}/notebook.txt"
        python = f"$(sh {code}/customai/workloads/job/python.sh {needs})"
        start = f'PYTHONPATH={code} "$python" -m customai.workloads.notebook {into}'
        told = self._there.run(
            f"set -e; cat > {needs}; mkdir -p {into}; python={python}; {start}", wanted, timeout=1800
        )
        found: Json = json.loads(told)
        return found

    def copy(self, folder: str, files: Mapping[str, Path]) -> None:
        """Copies files there, where they are not there yet: what was changed on the machine stays."""
        into = f"{self.place}/{quoted(folder)}"
        packed = _packed({name: file.read_bytes() for name, file in files.items()})
        self._there.run(f"mkdir -p {into} && tar -xzf - --skip-old-files -C {into}", packed)

    @property
    def where(self) -> str:
        return f"{self._there.user}@{self._there.address}"

    @property
    def _there(self) -> Machine:
        if self.machine is None:
            raise StateError("there is no machine any more", hint="run deploy again")
        return self.machine

    def _keep(self, folder: Path, request: Json) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / "request.json", request)
        except OSError as error:
            raise StateError(f"the run folder cannot be made: {error.strerror}", where=str(folder)) from error

    def _send_code(self) -> None:
        code = f"{self.place}/code"
        self._there.run(f"mkdir -p {code} && tar -xzf - -C {code}", _packed(_own_code()))

    def _send(self, id_: str, request: Json) -> None:
        """Copies code and files, and sees that the run goes on."""
        self._send_code()
        run, code = f"{self.place}/{RUNS}/{id_}", f"{self.place}/code"
        home = self._there.run(f"mkdir -p {run} && cd {run} && pwd -P").decode().strip()
        python = f"{home.rpartition('/.customai/')[0]}/.customai/python/bin/python"
        files, job = moved(request, f"{home}/files", python)
        texts = {name: Path(source).read_bytes() for name, source in files.items()}
        extras = ("train", "tracking") if "CUSTOMAI_TRACKING" in request["env"] else ("train",)
        texts["job.json"] = json.dumps({"format": 1, "digest": id_, **job}).encode()
        texts["requirements.txt"] = "".join(f"{line}\n" for line in requirements(*extras)).encode()
        self._there.run(f"tar -xzf - -C {run}", _packed(texts))
        self._there.run(f"sh {code}/customai/workloads/job/begin.sh {quoted(home)} {code}")

    def _watch(self, id_: str, folder: Path, watch: Watch) -> Json:
        """How it ended. A connection that breaks is made again: the run knows nothing of it."""
        told: Json = {}
        broken = 0
        while True:
            try:
                for line in self._there.lines(self._tell(id_)):
                    told = json.loads(line)
                    write_json(folder / "seen.json", told)
                    watch.report(_describe(told))
                    watch.pause(0)
                    broken = 0
            except TargetError:
                broken += 1
                if broken > AGAIN:
                    raise
                watch.report("the connection broke: trying again")
                watch.pause(2**broken)
            else:
                return told

    def _tell(self, id_: str, *how: str) -> str:
        run = f"{self.place}/{RUNS}/{id_}"
        return f"PYTHONPATH={self.place}/code exec python3 -m customai.workloads.job.tell {run} {quoted(*how)}"

    def _seen(self, folder: Path) -> Json:
        told = read_json(folder / "seen.json")
        if (told.get("state") or {}).get("status") in ENDED or self.machine is None:
            return told
        try:
            told = json.loads(self.machine.run(self._tell(folder.name, "--once"), timeout=30))
            write_json(folder / "seen.json", told)
        except (CustomAIError, ValueError, OSError):
            return {**told, "alive": False}  # what was last seen of it
        return told

    def _fetch(self, id_: str, folder: Path) -> None:
        """All that the run has made, but for its checkpoints."""
        run = f"{self.place}/{RUNS}/{id_}"
        left = " ".join(f"--exclude=./{name}" for name in ("checkpoints", "files", "lock", "begin.lock", "job.json"))
        packed = self._there.run(f"tar -czf - {left} -C {run} .")
        try:
            with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
                _unpack(archive, folder)
        except (tarfile.TarError, OSError) as error:
            raise RunFailed(f"what the run made cannot be unpacked: {error}", where=str(folder)) from error


def _unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """Plain files alone, and none outside the folder: it comes from a machine that runs whatever it is given."""
    for member in archive.getmembers():
        place = Path(member.name)
        if not member.isreg() or place.is_absolute() or ".." in place.parts:
            continue
        content = archive.extractfile(member)
        if content is not None:
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(content.read())


def moved(request: Json, root: str, python: str) -> tuple[dict[str, str], Json]:
    """(name in the run folder -> file here, the job as it is there): every file that the work uses, below `root`."""
    above = os.path.commonpath([request["cwd"], *(str(Path(file).parent) for file in request["uses"])])
    there = {file: f"{root}/{os.path.relpath(file, above)}" for file in (*request["uses"], request["cwd"])}
    there["python"] = python
    argv = [there.get(word, word) for word in request["argv"]]
    job = {**request, "argv": argv, "cwd": os.path.normpath(there[request["cwd"]])}
    job["uses"] = {there[file]: sha for file, sha in request["uses"].items()}
    return {f"files/{os.path.relpath(file, above)}": file for file in request["uses"]}, job


def requirements(*extras: str) -> list[str]:
    """What these extras of ours need."""
    found = []
    for line in metadata.requires("customai") or ():
        needed, _, marker = line.partition(";")
        of = EXTRA.search(marker)
        if of is not None and of["extra"] in extras:
            found.append(needed.strip())
    return sorted(found)


def _own_code() -> dict[str, bytes]:
    files = [PACKAGE / name for name in CODE]
    for folder in FOLDERS:
        files += sorted(file for file in (PACKAGE / folder).iterdir() if file.suffix in (".py", ".sh"))
    return {f"customai/{file.relative_to(PACKAGE)}": file.read_bytes() for file in files}


def _packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(content), int(time.time()), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _describe(told: Json) -> str:
    progress = told.get("progress")
    if progress:
        total = f" of {progress['total']:,}" if progress.get("total") else ""
        return f"{progress['done']:,}{total} {progress.get('unit', '')} {progress.get('message', '')}".strip()
    return str(told.get("last") or "starting")


def _failure(told: Json, where: str) -> CustomAIError:
    """Why it did not succeed, as the work itself has told, if it could."""
    error, state = told.get("error") or {}, told.get("state") or {}
    if error:
        return revived(error)
    what = f"failed with exit code {state['exit_code']}" if "exit_code" in state else "ended before it began"
    return RunFailed(f"the training on the machine {what}", where=where, hint=str(told.get("last") or "customai logs"))
