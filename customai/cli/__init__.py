"""The command line: a lazy root. Each verb is one module and one line here, and is imported only when it is called."""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module

import click

from customai import __version__

VERBS = {
    "paths": "The eight learning paths.",
    "init": "Copy a path's folder, to make it your own.",
    "check": "Is a spec right? If not, every problem and where.",
    "plan": "What deploy would do, and what is already done.",
    "cost": "What a path costs on Azure, an hour and a month.",
    "doctor": "Would it work here? What is wrong, and what mends it.",
    "export": "The plan for Azure as one ARM template.",
    "deploy": "Run a path: on this machine, unless told otherwise.",
    "status": "What runs, and how it is.",
    "score": "Send images or rows to a real-time endpoint.",
    "logs": "What the deployment has written.",
    "stop": "Stop what runs, and keep everything: start brings it back.",
    "start": "Start again what was stopped.",
    "scale": "More or fewer replicas, nodes, or another size.",
    "ssh": "A shell on the machine of 1-1, or one command.",
    "destroy": "Stop it all and take it away.",
    "completion": "A script that completes commands in your shell.",
}
GROUPS = {
    "train-single": "Train on one machine: 1-1.",
    "train-multi": "Train on many machines: 1-2.",
    "score-realtime": "Score one request at a time, at once: 2-1, 2-2, 2-5.",
    "score-batch": "Score a whole data set: 2-3, 2-4, 2-6.",
}
FOR_A_PATH = ("init", "check", "plan", "cost", "doctor", "deploy", "status", "logs", "stop", "start", "destroy")
# What only one group has: a verb of the root, or a function of the group's own module (customai.cli.train_single ...).
OF_A_GROUP: dict[str, dict[str, str]] = {
    "train-single": {
        "run": "Train: on this machine, or on the one in Azure that is deployed.",
        "open": "JupyterLab in the path's folder, or MLflow's page of the runs.",
        "ssh": VERBS["ssh"],
        "scale": VERBS["scale"],
    },
    "train-multi": {
        "run": "Train, or rehearse that a node is taken away; see a job in Azure to its end.",
        "runs": "The runs so far: which, and how they went.",
        "cancel": "Stop the training that goes on.",
    },
    "score-realtime": {
        "score": VERBS["score"],
        "scale": VERBS["scale"],
        "rollback": "Back to what was deployed before the last change; again: forward.",
        "tune": "Measure what is best here, and write it into the spec.",
        "traffic": "Share the requests out among the model's versions.",
        "kubeconfig": "For kubectl: how to reach the cluster of 2-5, with your own login.",
    },
    "score-batch": {
        "run": "Score the data set: again, another one, or to see what would happen.",
        "runs": "The runs so far: which, how they went, how fast.",
        "cancel": "Stop a run; the next one of its name goes on where it was.",
    },
}


class Lazy(click.Group):
    """A group whose subcommands are imported when called: their one-line helps stand in tables."""

    def __init__(self, table: dict[str, str], *, name: str, text: str) -> None:
        names = {"help_option_names": ["-h", "--help"]}  # inherited by every command
        super().__init__(name, help=text, invoke_without_command=True, callback=_help, context_settings=names)
        self.table = table
        self.params.append(
            click.Option(["--debug"], is_flag=True, expose_value=False, help="Show tracebacks of errors.")
        )

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name in GROUPS and name in self.table:
            return _group(name)
        if name not in self.table:
            return None
        if name in VERBS:
            command: click.Command = import_module(f"customai.cli.{name}").command
        else:
            command = getattr(import_module(f"customai.cli.{module_of(self.name or '')}"), name.replace("-", "_"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.table, 1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"There is no command '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in (
            ("Commands", [name for name in self.table if name not in GROUPS]),
            ("Groups", [name for name in self.table if name in GROUPS]),
        ):
            if names:
                with formatter.section(title):
                    formatter.write_dl([(name, self.table[name]) for name in names])


def _help() -> None:
    """A group that is called without a command says what there is."""
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        from customai import ui

        ui.show(None, [context.get_help()], "text")


def module_of(group: str) -> str:
    """The module of what only this group has."""
    return group.replace("-", "_")


def _group(name: str) -> click.Group:
    verbs = {verb: text for verb, text in VERBS.items() if verb in FOR_A_PATH} | OF_A_GROUP[name]
    return Lazy(verbs, name=name, text=GROUPS[name])


root = Lazy(
    {**VERBS, **GROUPS},
    name="customai",
    text=(
        "Custom AI on Azure: eight learning paths to train and score your own models, on this machine or on your "
        "subscription.\n\nStart with: customai deploy 2-5"
    ),
)
click.version_option(__version__, prog_name="customai")(root)


def main() -> None:
    """The program: every error ends as a message, where, a hint and an exit code; never as a traceback."""
    if sys.platform == "win32":
        sys.exit("customai needs Linux or macOS; on Windows, use WSL: https://aka.ms/wsl")
    for stream in (sys.stdout, sys.stderr):  # what the terminal or a file name cannot say never ends the program
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = root.main(prog_name="customai", standalone_mode=False)
    except BaseException as error:
        if isinstance(error, SystemExit | GeneratorExit):
            raise
        from customai.ui import report

        code = report(error, sys.argv[1:])
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:  # whoever read our output has gone, or the disk is full: Python is not to try again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = code or 1
    sys.exit(code if isinstance(code, int) else 0)
