"""What a cluster of Databricks runs: one of customai's workloads, or a script, in the Spark session that is there.

customai MODULE ARGUMENT...      the module's work(run, arguments); its result is the last line of the log
customai FILE.py ARGUMENT...     the script, in its own folder
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from customai.errors import CustomAIError
from customai.workloads.job.run import Run


def main() -> None:
    """Fails as a command does: with the error's exit code, and what to do about it on stderr."""
    work, *arguments = sys.argv[1:]
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        if work.endswith(".py"):
            _script(Path(work), arguments)
        else:
            run = Run(Path(tempfile.mkdtemp(prefix="customai-")))
            told = import_module(work).work(run, arguments)
            print(json.dumps(told), flush=True)
    except CustomAIError as error:
        where = f"\n  at {error.where}" if error.where else ""
        hint = f"\n  {error.hint}" if error.hint else ""
        print(f"error: {error.message}{where}{hint}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)


def _script(file: Path, arguments: list[str]) -> None:
    os.chdir(file.parent)
    sys.path.insert(0, str(file.parent))
    sys.argv = [str(file), *arguments]
    runpy.run_path(str(file), run_name="__main__")
