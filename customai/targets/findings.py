"""What was found out before anything is made: one finding for each thing that was looked at.

`customai doctor` shows all of them; a deployment is stopped by those that stand in its way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from customai.errors import CustomAIError, TargetError
from customai.model import Json

OK, WARNING, PROBLEM, UNKNOWN = "ok", "warning", "problem", "unknown"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        check: what was looked at, in a word: "quota".
        state: OK, WARNING, PROBLEM, or UNKNOWN: it could not be asked.
        message: what is so.
        where: a step, a key of the spec, an id.
        hint: the command that mends it.
        error: what a deployment is stopped with; None where it is not.
        register: the providers that registering mends it.
    """

    check: str
    state: str
    message: str
    where: str = ""
    hint: str = ""
    error: CustomAIError | None = None
    register: tuple[str, ...] = ()

    def to_json(self) -> Json:
        words = {"check": self.check, "state": self.state, "message": self.message}
        return words | {"where": self.where, "hint": self.hint, "register": list(self.register)}


def stops(check: str, error: CustomAIError, *, state: str = PROBLEM, register: tuple[str, ...] = ()) -> Finding:
    """The finding of an error."""
    return Finding(check, state, error.message, error.where, error.hint, error, register)


def not_asked(checks: Iterable[str], reason: str) -> Iterator[Finding]:
    """What could not be looked at, for a reason that is told by a finding of its own."""
    return (Finding(check, UNKNOWN, f"not asked: {reason}") for check in checks)


class Unready(TargetError):
    """Several things would stop the plan."""

    def __init__(self, problems: tuple[CustomAIError, ...]) -> None:
        lines = "".join(f"\n  - {each.message}" + (f" ({each.hint})" if each.hint else "") for each in problems)
        super().__init__(f"{len(problems)} things stand in the way; nothing was made:{lines}")
        self.exit_code = problems[0].exit_code
        self.reasons = problems

    def to_json(self) -> dict[str, object]:
        return {**super().to_json(), "reasons": [each.to_json() for each in self.reasons]}


def stand(findings: Iterable[Finding]) -> None:
    """Raises the one error that stands in the way, or Unready with all of them."""
    errors = tuple(each.error for each in findings if each.error is not None)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise Unready(errors)
