"""What a target is: the only code that touches the outside world."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Protocol

from customai.errors import Interrupted
from customai.model import Json, Plan, Step
from customai.targets.findings import Finding


@dataclass(frozen=True)
class Observed:
    """What is there of a step: present at all, as it was left, and what to tell about it."""

    present: bool
    as_left: bool
    detail: Json = None


@dataclass
class Watch:
    """What a long `apply` reports to, and asks whether to stop."""

    report: Callable[[str], None] = lambda _message: None
    stop: Event = field(default_factory=Event)
    wait: bool = True  # whether a long operation is waited for; else it is begun, and Begun raised

    def pause(self, seconds: float) -> None:
        """Waits; Interrupted when the user wants to stop."""
        if self.stop.wait(seconds):
            raise Interrupted("stopped by Ctrl-C")


class Begun(Exception):
    """A long operation goes on, and nobody waits for it: the next deploy finds it and goes on from there."""


class Target(Protocol):
    name: str
    costs: bool  # whether it asks before it makes anything: it costs somebody's money

    def lowers(self, kind: str) -> bool:
        """Whether this kind of step exists here. A path's other steps are left out of the plan."""

    def surroundings(self, spec: Any) -> Json:
        """What a plan depends on beside the spec, found offline; takes note of what the spec says of the target."""

    def lower(self, step: Step) -> Json:
        """Pure: what is wanted, in neutral words -> this target's true request."""

    def asked(self, step: Step) -> Json:
        """Of a step's request, what makes it another one: what is only told along does not."""

    def can_read(self) -> bool:
        """Whether `read` may be asked here and now. From then on it gives up soon: a plan is made in any case."""

    def carries_out(self, plan: Plan) -> None:
        """Offline: raises what would stop the plan whatever the target says, before anything is done."""

    def check(self, plan: Plan) -> None:
        """Reads only: raises the TargetError that would stop the plan, before anything is done."""

    def findings(self, plan: Plan | None) -> list[Finding]:
        """Reads only: everything that was looked at, good or bad; without a plan, what holds for any. Never raises."""

    def register(self, providers: Sequence[str], watch: Watch) -> None:
        """Mends findings that name providers to register."""

    def read(self, step: Step, outputs: Json) -> Observed:
        """Is it there, and as we left it?"""

    def apply(self, step: Step, inputs: Json, digest: str, watch: Watch) -> Json:
        """Does it, waits, and gives the outputs. The same digest never does the work twice, not even after a crash."""

    def delete(self, step: Step, outputs: Json) -> bool | None:
        """Takes it away and waits until it is gone. Missing is success; outputs are None when it was only begun.

        True where the target keeps it for a while, to be brought back: it is not gone yet.
        """

    def beside(self, steps: Sequence[Step]) -> list[str]:
        """What stands among these steps' things and is somebody else's."""

    def sweep(self, steps: Sequence[Step], watch: Watch) -> None:
        """Before all of these steps are taken away one by one: takes away at once what can be."""

    def purge(self, steps: Sequence[Step], watch: Watch) -> list[str]:
        """Before that, if it is asked for: takes away for good what would be kept for a while. The ids of its steps."""

    def stops(self, kind: str) -> bool:
        """Whether what a step of this kind makes can be stopped, and started again as it was."""

    def stop(self, step: Step, outputs: Json, watch: Watch) -> bool:
        """Stops it and waits until it stands still; whether it ran. What it has written stays."""

    def start(self, step: Step, inputs: Json, digest: str, watch: Watch) -> Json:
        """Starts what stands still, and waits until it runs; gives the outputs, or None where it ran already."""

    def runs(self, step: str) -> list[Json]:
        """What has become of each run of a job step, oldest first: run, digest, status, since, progress, result, error."""

    def cancel(self, step: str, digest: str) -> None:
        """Stops that run and waits until it has; it can go on later. Missing is success."""

    def secret(self, name: str) -> str:
        """The value of {"$secret": name}."""

    def logs(self, step: Step, outputs: Json, *, follow: bool) -> Iterator[str]:
        """The lines it has written; with follow, until interrupted."""
