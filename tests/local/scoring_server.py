"""A scoring server in a thread of the test, on a port of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

from customai.workloads.scoring.app import create
from customai.workloads.scoring.config import ServedModel, ServerConfig
from customai.workloads.scoring.server import Server, limits, tls
from tests.ports import free_port


class Running:
    """app, config, port, and the server once it has started; lines is the access log."""

    def __init__(self, models, **settings):
        self.lines = []
        self.config = ServerConfig((ServedModel("x"),), **settings)
        self.app = create(models, self.config, self.lines.append)
        self.service = self.app
        self.port = free_port()
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self):
        self.loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.server = Server(self.service, limits(self.config), tls(self.config.tls))
        await self.server.start(listener)
        self._started.set()
        await self._ending.wait()
        self.app.draining = True
        await self.server.drain(5)
        self.service.close()

    def start(self):
        self._thread.start()
        assert self._started.wait(30)

    def stop(self):
        self.loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(30)
        assert not self._thread.is_alive()


@contextlib.contextmanager
def serving(model, wrap=None, **settings):
    """The Running server of one model; wrap: what to put around the application."""
    running = Running([model], **settings)
    if wrap is not None:
        running.service = wrap(running.app)
    running.start()
    try:
        yield running
    finally:
        running.stop()
