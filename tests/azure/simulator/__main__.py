"""python -m tests.azure.simulator [--port N] [--seconds S | --scale X]: prints its URL on the first line, and runs until it
is stopped or its standard input ends (`--attached`), so that it never outlives the test that started it."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading

from . import Simulator


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.azure.simulator", description="A simulated Azure Resource Manager on loopback."
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--seconds", type=float, default=0.05, help="how long each operation takes")
    parser.add_argument("--scale", type=float, help="instead: realistic durations times this")
    parser.add_argument("--attached", action="store_true", help="end when standard input ends")
    given = parser.parse_args()
    with Simulator(port=given.port) as simulator:
        simulator.cloud.times.seconds, simulator.cloud.times.scale = given.seconds, given.scale
        print(simulator.url, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            if given.attached:
                sys.stdin.read()
            else:
                threading.Event().wait()


if __name__ == "__main__":
    main()
