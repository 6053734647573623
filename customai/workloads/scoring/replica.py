"""One process that serves one model: `python -m customai.workloads.scoring.replica SOCKET_FD REPORT_FD`.

The supervisor writes the config on stdin and holds it open; see customai.workloads.scoring.process.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import sys
import time
from typing import Any

from customai.errors import CustomAIError

QUIET = 0.5  # seconds without a request after which an idle connection may be closed while draining


def main(socket_fd: int, report_fd: int) -> int:
    config = json.loads(sys.stdin.buffer.readline() or b"null")
    if config is None:
        return 0  # the supervisor is gone already

    def report(message: dict[str, Any]) -> None:
        os.write(report_fd, json.dumps(message).encode() + b"\n")

    try:
        serve(config, socket_fd, lambda: report({"ready": True}))
    except CustomAIError as error:
        report({"error": error.to_json()})
        return 1
    except Exception as error:
        report({"error": {"type": "RunFailed", "message": f"{type(error).__name__}: {error}", "where": "", "hint": ""}})
        raise  # to the log
    return 0


def serve(settings: dict[str, Any], socket_fd: int, on_ready: Any) -> None:
    """Loads the model, then serves until SIGTERM, or until stdin ends."""
    import uvicorn

    from customai.workloads.scoring.app import create
    from customai.workloads.scoring.config import ServerConfig
    from customai.workloads.scoring.model import load

    config = ServerConfig.from_json(settings)
    app = create([load(served.folder, config.threads) for served in config.models], config)
    gc.collect()
    gc.freeze()  # what was loaded stays: collections need not look at it again

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            asyncio.get_running_loop().add_reader(0, self._supervisor_gone)
            on_ready()

        def _supervisor_gone(self) -> None:
            asyncio.get_running_loop().remove_reader(0)
            self.should_exit = True

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            app.draining = True  # every answer now says `connection: close`
            for server in self.servers:
                server.close()
            deadline = time.monotonic() + min(config.drain, QUIET)
            while self.server_state.connections and time.monotonic() < deadline:  # noqa: ASYNC110 (no event to wait for)
                await asyncio.sleep(0.02)
            await super().shutdown(sockets)

    Server(
        uvicorn.Config(
            app,
            loop="uvloop",
            http="httptools",
            lifespan="on",
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=int(config.drain),
        )
    ).run(sockets=[socket.socket(fileno=socket_fd)])


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
