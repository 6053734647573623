"""Ports for servers of the tests."""

from __future__ import annotations

import itertools
import os
import random
import socket

# Below the ports that the system gives to outgoing connections (from 32768 on Linux), where one that was free a moment
# ago may be any other process's; and each of the processes that share the tests has a range of its own.
FIRST, RANGE = 12000, 2000
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
_next = itertools.count(random.randrange(RANGE))


def free_port() -> int:
    """A port on the loopback that nobody listens on, and that is not given out again soon."""
    while True:
        port = FIRST + RANGE * _worker + next(_next) % RANGE
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
