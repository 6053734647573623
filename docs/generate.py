"""Writes what the code already says: docs/cli.md, docs/spec.md, docs/errors.md and paths/customai.schema.json.

python -m docs.generate            writes them
python -m docs.generate --check    exit 1 if one is stale; a test does this
"""

# ruff: noqa: INP001 (a script's folder, not a package)

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, cast

import click

from customai import errors, paths, targets
from customai.cli import GROUPS, OF_A_GROUP, VERBS, Lazy, root
from customai.spec.keys import Key, keys_of, without_none
from customai.spec.schema import json_schema, to_json
from customai.spec.wording import expected

REPOSITORY = Path(__file__).parent.parent
NOTE = "<!-- Written by `make docs` from the code: change it there. -->\n"
WIDTH = 80  # of the help texts, whatever the terminal

WHAT_TO_DO = {
    "SpecError": "Each problem comes with its file, line, key and what was expected: mend it, then `customai check`.",
    "TargetError": "The message says what the target refused; `customai status` says what is there.",
    "NotInstalled": "Run the `pip install` line in the hint.",
    "NotLoggedIn": "Log in to the target, as the hint says.",
    "Forbidden": "Ask for the role, change the file's mode, or send the right API key.",
    "NoQuota": "Free what is used up, or ask for more of it: cores, disk, memory.",
    "NotAvailable": "Choose what the target does offer; `customai paths` lists the paths that run.",
    "NotFound": "Check the name; `customai status` lists what is deployed.",
    "Conflict": "Choose another name or port, or stop what uses it.",
    "TimedOut": "Look into `customai logs`, then run the same command again: it goes on where it stopped.",
    "StateError": "Wait for the command that holds the lock, or make the state folder usable, as the hint says.",
    "RunFailed": "Mend what failed, then run the same command again: what is done is not done twice.",
    "Interrupted": "Run the same command again to continue, or `customai destroy` to take away what is there.",
}


def cli() -> str:
    """Every command and group with its help, from the live command tree."""
    top = click.Context(root, info_name="customai", terminal_width=WIDTH, **root.context_settings)
    parts = ["# The commands\n", NOTE]
    parts.append(f"Results go to stdout, progress and errors to stderr.\n\n{_help(top)}")
    parts.extend(f"## customai {name}\n\n{_help(_below(top, name))}" for name in VERBS)
    for group in GROUPS:
        context = _below(top, group)
        own = [name for name in OF_A_GROUP[group] if name not in VERBS]
        parts.append(f"## customai {group}\n\n{_help(context)}")
        parts.append(f"A command that is also among those above is the same one, for the paths of {group} alone.\n")
        parts.extend(f"### customai {group} {name}\n\n{_help(_below(context, name))}" for name in own)
    return "\n".join(parts)


def _below(context: click.Context, name: str) -> click.Context:
    command = cast("Lazy", context.command).get_command(context, name)
    assert command is not None, name  # noqa: S101 (for the type checker)
    return click.Context(command, context, name, terminal_width=WIDTH, **command.context_settings)


def _help(context: click.Context) -> str:
    return f"```text\n{context.get_help().rstrip()}\n```\n"


def spec() -> str:
    """Every key of every path's customai.yaml, from the classes that read it."""
    parts = ["# customai.yaml, key by key\n", NOTE]
    parts.append(
        "A key that is not listed here is an error, as is a value that does not fit: `customai check` tells all at once, "
        "with file, line and key. Paths of files are relative to the customai.yaml they stand in. "
        "Each block of keys has a table; a key with a default may be left out.\n"
    )
    for id_, cls in paths.specs().items():
        example = (paths.folders() / id_ / "customai.yaml").read_text(encoding="utf-8")
        parts.append(f"## Path {id_}\n\n{paths.PATHS[id_].title}: a whole example, from `paths/{id_}`.\n")
        parts.append(f"```yaml\n{example.rstrip()}\n```\n")
        parts.extend(_block(cls, ""))
    return "\n".join(parts)


def _block(cls: type, place: str) -> Iterator[str]:
    title = f"### `{place}`\n\n{inspect.cleandoc(cls.__doc__ or '')}\n" if place else "### The first level\n"
    rows = [_row(key, place) for key in keys_of(cls).values()]
    head = "| Key | What it takes | Default | Meaning |\n|---|---|---|---|"
    yield "\n".join((title, head, *rows, ""))
    for key in keys_of(cls).values():
        inner, _ = without_none(key.type)
        if is_dataclass(inner):
            yield from _block(inner, _join(place, key.name))  # type: ignore[arg-type]


def _row(key: Key, place: str) -> str:
    inner, _ = without_none(key.type)
    if is_dataclass(inner):
        anchor = _join(place, key.name).replace(".", "")
        takes, default = f"[a block](#{anchor})", "none" if key.default is None else "as in the block"
    else:
        takes, default = _takes(key), _default(key.default)
    examples = ", ".join(f"`{example}`" for example in key.rule.examples)
    meaning = key.rule.doc + (f" Example: {examples}." if examples else "")
    cells = (f"`{key.name}`", takes, "**required**" if key.required else default, meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _takes(key: Key) -> str:
    said = expected(key.type, key.rule)
    pattern = key.rule.pattern
    return f"text that matches `{pattern}`" if pattern and not key.rule.expected else said


def _default(value: Any) -> str:
    return "none" if value is None else f"`{json.dumps(to_json(value))}`"


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def error_tree() -> str:
    """The error tree with its exit codes and what to do."""
    try:
        targets.load("mars", Path())
    except errors.NotAvailable as error:
        example = json.dumps({"error": error.to_json()}, indent=2)
    tree = "\n".join(line[4:] for line in (errors.__doc__ or "").splitlines() if line.startswith("    "))
    rows = [
        f"| `{cls.__name__}` | {cls.exit_code} | {WHAT_TO_DO[cls.__name__]} |" for cls in _tree(errors.CustomAIError)
    ]
    return "\n".join(
        (
            "# Errors and exit codes\n",
            NOTE,
            "An exit code of 0 is success; 1, 2, 3, 4 and 130 are the errors below. Wrong usage of a command is 2.\n",
            f"```text\n{tree}\n```\n",
            "| Error | Exit code | What to do |\n|---|---|---|",
            *rows,
            "",
            "An error is told on stderr. With `--output json` it is one JSON document on stdout instead, here of",
            "`customai plan 2-5 --target mars --output json`:\n",
            f"```json\n{example}\n```\n",
            "A wrong spec has `problems` beside these: a list of `file`, `line`, `column`, `key` and `message`.",
            "`--debug` adds the traceback, on stderr. No command shows one without it.\n",
        )
    )


def _tree(cls: type[errors.CustomAIError]) -> Iterator[type[errors.CustomAIError]]:
    for child in cls.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from _tree(child)


def schema() -> str:
    """The JSON Schema that editors read."""
    return json.dumps(json_schema(paths.specs()), indent=2, ensure_ascii=False) + "\n"


PAGES = {
    "docs/cli.md": cli,
    "docs/spec.md": spec,
    "docs/errors.md": error_tree,
    "paths/customai.schema.json": schema,
}


def main(arguments: list[str]) -> int:
    """Writes what is stale, or with --check only tells of it."""
    stale = []
    for name, page in PAGES.items():
        file, text = REPOSITORY / name, page()
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in arguments:
                file.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"{name} is stale: make docs" if "--check" in arguments else f"{name} written")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
