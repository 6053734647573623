"""One process that serves one model: `python -m customai.workloads.scoring.replica SOCKET_FD REPORT_FD`.

The supervisor writes the config on stdin and holds it open; see customai.workloads.scoring.process.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from customai.errors import CustomAIError


def main(socket_fd: int, report_fd: int) -> int:
    config = json.loads(sys.stdin.buffer.readline() or b"null")
    if config is None:
        return 0  # the supervisor is gone already

    def report(message: dict[str, Any]) -> None:
        os.write(report_fd, json.dumps(message).encode() + b"\n")

    try:
        serve(config, socket_fd, lambda pace: report({"ready": True, "pace": pace}))
    except CustomAIError as error:
        report({"error": error.to_json()})
        return 1
    except Exception as error:
        report({"error": {"type": "RunFailed", "message": f"{type(error).__name__}: {error}", "where": "", "hint": ""}})
        raise  # to the log
    return 0


def serve(settings: dict[str, Any], socket_fd: int, on_ready: Callable[[Any], object]) -> None:
    """Loads the model, then serves until SIGTERM, or until stdin ends. on_ready gets how the models are run."""
    import uvloop

    from customai.workloads.scoring.app import create
    from customai.workloads.scoring.config import ServerConfig
    from customai.workloads.scoring.model import load
    from customai.workloads.scoring.server import Server, limits, tls
    from customai.workloads.scoring.service import Service

    config = ServerConfig.from_json(settings)
    context = tls(config.tls)
    app = create([load(served.folder, config.threads, config.device) for served in config.models], config)
    service: Service = app
    if config.tracing is not None:
        from customai.workloads.scoring.tracing import Traced

        service = Traced(app, config.tracing, app.versions[0].model.config.name)
    gc.collect()
    gc.freeze()  # what was loaded stays: collections need not look at it again

    async def run() -> None:
        loop, ending = asyncio.get_running_loop(), asyncio.Event()
        server = Server(service, limits(config), context)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ending.set)
        await server.start(socket.socket(fileno=socket_fd))
        loop.add_reader(0, ending.set)  # the supervisor is gone
        on_ready(app.pace())
        await ending.wait()
        loop.remove_reader(0)
        app.draining = True
        await server.drain(config.drain)
        service.close()

    uvloop.run(run())


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
