"""What the verbs share: their options, and how a word of the user's becomes a spec or a deployment."""

from __future__ import annotations

import inspect
import shlex
import signal
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from customai import paths, ui
from customai.cli import GROUPS
from customai.errors import NotAvailable, NotFound, SpecError, StateError
from customai.journal import Journal, deployments
from customai.planner import Source, locate, read
from customai.targets import TARGETS

F = TypeVar("F", bound=Callable[..., Any])


def output(function: F) -> F:
    """--output text|json, and --debug wherever one types it."""
    function = click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks of errors.")(function)
    return click.option(
        "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How the result is printed."
    )(function)


def target(function: F) -> F:
    return click.option(
        "--target",
        default="local",
        show_default=True,
        metavar="NAME",
        shell_complete=lambda _ctx, _parameter, start: [name for name in TARGETS if name.startswith(start)],
        help="Where it runs: local is this machine.",
    )(function)


def max_hourly(function: F) -> F:
    return click.option(
        "--max-hourly-usd",
        type=click.FloatRange(min=0),
        metavar="USD",
        help="On Azure: end with exit code 3 if an hour may cost more.",
    )(function)


def complete_path(context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """The paths of the command's group."""
    group = _group(context)
    return [
        CompletionItem(id_, help=path.title)
        for id_, path in paths.PATHS.items()
        if group in (None, path.group) and id_.startswith(start)
    ]


def _complete(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    return complete_path(context, parameter, start) or [CompletionItem(start, type="file")]


def spec(function: F) -> F:
    """The argument that names a spec: a path's id, a customai.yaml, or the folder it is in."""
    _add(function, "PATH is the number of a path, such as 2-5. FILE is a customai.yaml, or the folder it is in.")
    return click.argument("spec", metavar="PATH|FILE", shell_complete=_complete)(function)


def deployment(*, required: bool = True) -> Callable[[F], F]:
    """The argument that names a deployment: a path's id, its name, or its spec."""

    def decorate(function: F) -> F:
        _add(
            function,
            "PATH is the number of a path, such as 2-5. NAME is a deployment's own name. "
            "FILE is its customai.yaml, or the folder it is in.",
        )
        metavar = "PATH|NAME|FILE" if required else "[PATH|NAME|FILE]"
        return click.argument("deployment", metavar=metavar, required=required, shell_complete=_complete)(function)

    return decorate


def _add(function: F, text: str) -> None:
    """Adds a paragraph to what --help says."""
    function.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\n{text}"


def hear_interrupts_once() -> None:
    """SIGTERM is as Ctrl-C, and the first one counts: what runs is brought to an end, however often one presses."""

    def interrupt(_number: int, _frame: object) -> None:
        for number in both:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    both = (signal.SIGINT, signal.SIGTERM)
    for number in both:
        signal.signal(number, interrupt)


def source_of(given: str) -> Source:
    """The spec that is meant, read and right, and of the group the command was called in."""
    in_group(given)
    source = read(locate(given))
    in_group(source.path.id)
    for warning in source.warnings:
        ui.say(f"Warning: {warning}")
    return source


def deployments_of(given: str | None) -> list[Journal]:
    """The deployments that are meant: all of a path, the one of a name or of a spec, or all."""
    known = deployments()
    group = _group(click.get_current_context())
    if group is not None:
        known = [journal for journal in known if paths.find(journal.header.path).group == group]
    if given is None:
        return known
    if given in paths.PATHS:
        in_group(given)
        return [journal for journal in known if journal.header.path == given]
    by_name = [journal for journal in known if journal.header.name == given]
    if by_name or not _is_file(given):
        return by_name
    file = str(locate(given).resolve())
    by_file = [journal for journal in known if journal.header.spec == file]
    if by_file:  # also when the spec is not right any more
        return by_file
    name = source_of(given).name
    return [journal for journal in known if journal.header.name == name]


def deployment_of(given: str) -> Journal:
    """The one deployment that is meant.

    Raises:
        NotFound: there is none; StateError: there are several.
    """
    found = deployments_of(given)
    if not found:
        deployable = given in paths.PATHS or _is_file(given)
        hint = f"customai deploy {shlex.quote(given)}" if deployable else "what is deployed: customai status"
        raise NotFound(f"{given} is not deployed", hint=hint)
    if len(found) > 1:
        names = ", ".join(journal.header.name for journal in found)
        raise StateError(f"path {given} is deployed more than once: {names}", hint="give the name instead")
    return found[0]


def deployment_here(given: str, instead: str) -> Journal:
    """The one that is meant, if it is on this machine.

    Raises:
        NotAvailable: it is elsewhere, where customai does not do this yet; `instead`: what does.
    """
    journal = deployment_of(given)
    if journal.header.target != "local":
        told = f"{journal.header.name} is on target {journal.header.target}, where this command does nothing yet"
        raise NotAvailable(told, hint=instead)
    return journal


def _is_file(given: str) -> bool:
    try:
        return locate(given).is_file()
    except SpecError:
        return False


def _group(context: click.Context) -> str | None:
    return next((name for name in _names(context) if name in GROUPS), None)


def _names(context: click.Context | None) -> list[str]:
    return [] if context is None else [context.info_name or "", *_names(context.parent)]


def in_group(given: str) -> None:
    group = _group(click.get_current_context())
    if group is not None and given in paths.PATHS and paths.PATHS[given].group != group:
        hint = f"customai {paths.PATHS[given].group} ..., or the same command without {group}"
        raise SpecError(f"path {given} belongs to {paths.PATHS[given].group}, not to {group}", hint=hint)
