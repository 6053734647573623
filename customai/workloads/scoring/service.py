"""What is served, as a connection sees it, and how much of it is served at a time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from customai.workloads.scoring.answers import Answer, Headers

Handler = Callable[[Headers, bytes], Awaitable[Answer]]


@dataclass(frozen=True)
class Limits:
    """Bytes, counts and seconds. memory: bytes of bodies that are being read or worked on. active: requests being answered."""

    head: int = 32 * 1024
    body: int = 10 * 2**20
    memory: int = 160 * 2**20
    active: int = 1024
    connections: int = 10_000
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 75.0
    write_seconds: float = 30.0
    linger_seconds: float = 1.0


class Service(Protocol):
    """What is served."""

    def route(self, method: str, path: str, headers: Headers) -> Handler:
        """Who answers this; looked at before the body is read. Raises RequestError."""

    async def attempt(self, method: str, path: str, handler: Handler, headers: Headers, body: bytes) -> Answer:
        """The handler's answer, or the error's that stands in for it. Raises nothing but CancelledError."""

    def told(self, method: str, path: str, status: int, seconds: float, size: int) -> None:
        """Every answer is told here, to be counted and logged."""

    def rest(self, active: int, connections: int) -> None:
        """How much is going on; told once in a while."""

    def close(self) -> None:
        """Serving has ended."""
