"""One node of a training: torchrun with one worker, as it would run on a machine of its own.

    python -m customai.workloads.training.node TORCHRUN-ARGUMENTS ...

What its worker died of, beyond what that could say itself, goes into error.json once torchrun gives up.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import Any

from customai.errors import RunFailed
from customai.workloads.job.run import Run, write_json
from customai.workloads.training import lifeline


def main(arguments: list[str]) -> int:
    lifeline.hold()
    os.environ["TORCHELASTIC_ENABLE_FILE_TIMER"] = "0"
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous.dynamic_rendezvous import DynamicRendezvousHandler

    _mend(DynamicRendezvousHandler)
    try:
        torchrun.main(arguments)
    except SignalException as ended:
        return 128 + int(ended.sigval)
    except ChildFailedError as failed:
        _, failure = failed.get_first_failure()
        error = Run.current().folder / "error.json"
        if not error.exists():
            write_json(error, _explained(failure.exitcode).to_json())
        return 1
    return 0


def _mend(handler: Any) -> None:
    """Two things that torch 2.13's rendezvous does not do by itself; tests hold both.

    The store of the workers listens on this node's own address, and not on every one of the machine. And whoever keeps
    it says so anew in every round: else a node that takes the place of a lost one never learns where it is.
    """
    meet = handler.next_rendezvous

    def meet_anew(self: Any) -> Any:
        self._bootstrap_store_info = None
        return meet(self)

    handler.next_rendezvous = meet_anew
    handler._create_tcp_store_server = lambda _self, address, port: store(address, port)  # noqa: SLF001


def store(address: str, port: int = 0) -> Any:
    """A store of torch's that only this address leads to. Whoever reaches one can stop, or take over, a training."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    door = socket.create_server((address, port))
    port = door.getsockname()[1]
    return TCPStore(address, port, is_master=True, wait_for_workers=False, master_listen_fd=door.detach())


def _explained(code: int) -> RunFailed:
    if code < 0:
        name = signal.Signals(-code).name
        hint = "is there enough memory for every node?" if name == "SIGKILL" else ""
        return RunFailed(f"a worker was ended by {name}, again and again", hint=hint)
    hint = "run the same command again to go on from the last checkpoint"
    return RunFailed("the nodes lost each other, again and again", hint=hint)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
