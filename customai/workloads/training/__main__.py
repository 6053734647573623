"""Sees one training script through: `python -m customai.workloads.training SCRIPT [ARGUMENT ...]`.

The script runs in the run folder, with its own folder on sys.path. Its errors become error.json: what, where, what to do.
"""

from __future__ import annotations

import errno
import os
import runpy
import signal
import sys
import traceback
from io import TextIOBase
from pathlib import Path
from typing import TextIO

from customai.errors import CustomAIError, Interrupted, NoQuota, NotFound, NotInstalled, RunFailed, StateError
from customai.workloads.job.run import Run as Job
from customai.workloads.job.run import write_json
from customai.workloads.training import lifeline
from customai.workloads.training.run import Run

# Modules that come with an extra of customai: module -> extra.
EXTRAS = {
    **dict.fromkeys(("numpy", "onnx", "onnxruntime", "onnxscript", "PIL", "skl2onnx", "sklearn", "torch"), "train"),
    "mlflow": "tracking",
}
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class LastLine(TextIOBase):
    """A stream that remembers the last line that went through it."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.line = ""

    def write(self, text: str) -> int:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        self.line = lines[-1] if lines else self.line
        return self.stream.write(text)

    def flush(self) -> None:
        self.stream.flush()

    def fileno(self) -> int:
        return self.stream.fileno()

    def isatty(self) -> bool:
        return False


class PeerLost(Exception):
    """Another process of the same training went away; torchrun starts all of them again."""


def main(script: Path, arguments: list[str]) -> int:
    run = Run(Job.current().folder)
    lifeline.hold()
    together = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if not together:  # one that waits for others in torch's own code would not hear it as an exception
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        os.chdir(run.folder)
        _execute(script, arguments)
    except PeerLost as lost:
        print(f"another node went away: {lost}", file=sys.stderr)
        return 1
    except CustomAIError as error:
        if not isinstance(error, Interrupted):
            run.fail(error.message)  # first: where there are other nodes, error.json ends us all
        write_json(run.folder / "error.json", error.to_json())
        print(f"error: {error.message}", file=sys.stderr)
        return error.exit_code
    return 0


def _execute(script: Path, arguments: list[str]) -> None:
    if not script.is_file():
        raise NotFound("the script is not there", where=str(script))
    sys.argv = [str(script), *arguments]
    sys.path[0] = str(script.parent)
    heard = LastLine(sys.stderr)
    sys.stderr = heard
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as ended:
        if isinstance(ended.code, str):
            raise RunFailed(ended.code, where=str(script)) from None
        if ended.code:
            said = f": {heard.line}" if heard.line else ""
            raise RunFailed(f"the script ended with exit code {ended.code}{said}", where=str(script)) from None
    except CustomAIError:
        raise
    except KeyboardInterrupt:
        raise Interrupted("it was cancelled", hint="run it again to continue where it was") from None
    except BaseException as error:
        if _is_of_a_lost_peer(error):
            raise PeerLost(str(error).partition(". ")[0]) from None
        traceback.print_exc()
        raise _explained(error, script) from error
    finally:
        sys.stderr = heard.stream


def _explained(error: BaseException, script: Path) -> CustomAIError:
    where = _place(error, script)
    said = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        hint = "a package: install it; a file of yours: put it beside the script, and name it in train.files"
        if package in EXTRAS:
            hint = f"pip install 'customai[{EXTRAS[package]}]'"
        return NotInstalled(f"the script needs {package}, which is not installed here", where=where, hint=hint)
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        hint = "a smaller batch, fewer nodes or slots at a time, or a machine with more memory"
        return NoQuota(f"out of memory: {said or 'MemoryError'}", where=where, hint=hint)
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return NoQuota(f"it cannot be written: {error.strerror}", where=where, hint="free some disk space")
    if isinstance(error, PermissionError):
        return StateError(f"no right to use {error.filename}: {error.strerror}", where=where)
    return RunFailed(f"{type(error).__name__}: {said}", where=where, hint="the whole traceback: customai logs")


def _place(error: BaseException, script: Path) -> str:
    """The line of the user's own code where it happened."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).parent == script.parent]
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    return f"{own[-1].filename}:{own[-1].lineno}" if own else str(script)


def _is_of_a_lost_peer(error: BaseException) -> bool:
    """What the processes that are left get to see when one of a training's processes dies."""
    if "torch.distributed" not in sys.modules:
        return False
    from torch.distributed import DistError

    return isinstance(error, DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute(), sys.argv[2:]))
