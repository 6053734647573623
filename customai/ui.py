"""The only printer: results go to stdout, progress and errors to stderr; with --output json, one JSON document."""

from __future__ import annotations

import errno
import itertools
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from customai.errors import CustomAIError, Interrupted, RunFailed, StateError
from customai.model import Json, Step

if TYPE_CHECKING:
    from customai.engine import Result

USAGE = 2
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def show(result: Json, lines: Iterable[str], output: str) -> None:
    """A command's result: one JSON document, or text."""
    for line in [json.dumps(result, indent=2, ensure_ascii=False)] if output == "json" else lines:
        click.echo(line)


def say(line: str) -> None:
    """A line for people, beside the result."""
    click.echo(line, err=True)


def table(rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> Iterator[str]:
    """Aligned columns; nothing is cut, so that the lines can be searched and piped."""
    every = [head, *rows] if head else list(rows)
    widths = [max(map(len, column)) for column in zip(*every, strict=True)] if every else []
    for number, row in enumerate(every):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        yield click.style(line, bold=True) if head and number == 0 else line


def ago(moment: float) -> str:
    """How long ago, in the largest unit that fits."""
    seconds = max(0.0, time.time() - moment)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def report(error: BaseException, arguments: Sequence[str]) -> int:
    """Tells of an error that ended the program; gives the exit code."""
    if isinstance(error, click.Abort) and error.__context__ is None:
        error = RunFailed("nothing was done: the answer was no")
    elif isinstance(error, KeyboardInterrupt | click.Abort):
        error = Interrupted("stopped by Ctrl-C")
    elif isinstance(error, OSError) and error.errno in NO_ROOM:  # where files are written, this is caught
        error = StateError(f"the result cannot be written: {error.strerror}")
    if "--debug" in arguments:
        traceback.print_exception(error)
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        message = " ".join(error.format_message().split())  # click puts choices on lines of their own
        told = _told("UsageError", message, hint=f"{context.command_path} --help" if context else "")
        told["exit_code"] = USAGE
    elif isinstance(error, CustomAIError):
        told = error.to_json()
    else:
        told = _told(
            type(error).__name__,
            f"this is a mistake in customai: {type(error).__name__}: {error}",
            hint="see where with --debug, and please report it",
        )
    try:
        if _wants_json(arguments):
            click.echo(json.dumps({"error": told}, indent=2, ensure_ascii=False))
        else:
            _tell(told)
    except OSError:  # then where people read
        _tell(told)
    return int(told["exit_code"])


def _told(kind: str, message: str, hint: str) -> Json:
    return {"type": kind, "message": message, "where": "", "hint": hint, "exit_code": 1}


def _tell(told: Json) -> None:
    say(click.style("Error: ", fg="red", bold=True) + told["message"])
    for problem in told.get("problems", ()):
        key = f"{problem['key']}: " if problem["key"] else ""
        say(f"  {problem['file']}:{problem['line']}:{problem['column']}: {key}{problem['message']}")
    if told["where"] and not told.get("problems"):
        say(f"  where: {told['where']}")
    if told["hint"]:
        say(f"  hint:  {told['hint']}")


def _wants_json(arguments: Sequence[str]) -> bool:
    pairs = itertools.pairwise(arguments)
    return any(word in ("--output=json", "-ojson") for word in arguments) or any(
        word in ("--output", "-o") and following == "json" for word, following in pairs
    )


class Silent:
    """Nobody watches."""

    def began(self, step: Step, doing: str) -> None:
        pass

    def progress(self, step: Step, message: str) -> None:
        pass

    def ended(self, result: Result) -> None:
        pass


class Plain(Silent):
    """A line when a step begins and one when it has ended: for logs and CI."""

    def began(self, step: Step, doing: str) -> None:
        say(f"{step.id}: {doing}")

    def ended(self, result: Result) -> None:
        say(_ended(result))


class Live(Silent):
    """What runs, with a clock for each, redrawn in place; what has ended stays as a line above."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        self.view = Progress(*columns, console=Console(stderr=True, highlight=False), transient=True)
        self.tasks: dict[str, int] = {}
        self.lock = threading.Lock()

    def began(self, step: Step, doing: str) -> None:
        with self.lock:
            self.tasks[step.id] = self.view.add_task(f"{step.id}: {doing}", total=None)

    def progress(self, step: Step, message: str) -> None:
        self.view.update(self.tasks[step.id], description=f"{step.id}: {message}")  # type: ignore[arg-type]

    def ended(self, result: Result) -> None:
        with self.lock:
            task = self.tasks.pop(result.step.id, None)
            if task is not None:
                self.view.remove_task(task)  # type: ignore[arg-type]
        self.view.console.print(_ended(result), markup=False)


def _ended(result: Result) -> str:
    mark = {"failed": "✗", "skipped": "-", "kept": "=", "begun": "…"}.get(result.action, "✓")
    took = f" in {result.seconds:.1f} s" if result.action not in ("kept", "skipped", "begun") else ""
    reason = f": {result.error.message}" if result.error is not None else ""
    return f"{mark} {result.step.id} {result.action}{took}{reason}"


@contextmanager
def watching(output: str) -> Iterator[Silent]:
    """Who watches an engine's walk: a live view on a terminal, plain lines elsewhere, nobody with --output json."""
    if output == "json":
        yield Silent()
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        live = Live()
        with live.view:
            yield live
    else:
        yield Plain()
