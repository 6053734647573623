"""Every error a user can meet.

    CustomAIError
    |-- SpecError          2    the spec or the command line is wrong
    |-- TargetError        3    the target cannot do it
    |   |-- NotInstalled        an extra or a program is missing
    |   |-- NotLoggedIn
    |   |-- Forbidden           no right to do it: a role, a file mode, an API key
    |   |-- NoQuota             no room for it: cores, disk, memory
    |   |-- NotAvailable        the target does not offer it (a retired size, a path that does not run there yet)
    |   |-- NotFound
    |   |-- Conflict            someone else has it: a name, a port
    |   `-- TimedOut
    |-- StateError         4    what customai remembers cannot be used: a lock, a journal
    `-- RunFailed          1    the work itself failed
        `-- Interrupted  130    Ctrl-C

Each says what happened (message), where (a file and line, a step, a path) and what to do about it (hint).
The numbers are the process's exit codes. This module imports nothing: workloads carry it into container images.
"""


class CustomAIError(Exception):
    exit_code = 1

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def to_json(self) -> dict[str, object]:
        return {
            "type": type(self).__name__,
            "message": self.message,
            "where": self.where,
            "hint": self.hint,
            "exit_code": self.exit_code,
        }


class SpecError(CustomAIError):
    exit_code = 2


class TargetError(CustomAIError):
    exit_code = 3


class NotInstalled(TargetError):
    pass


class NotLoggedIn(TargetError):
    pass


class Forbidden(TargetError):
    pass


class NoQuota(TargetError):
    pass


class NotAvailable(TargetError):
    pass


class NotFound(TargetError):
    pass


class Conflict(TargetError):
    pass


class TimedOut(TargetError):
    pass


class StateError(CustomAIError):
    exit_code = 4


class RunFailed(CustomAIError):
    exit_code = 1


class Interrupted(RunFailed):
    exit_code = 130
