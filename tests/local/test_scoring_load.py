"""Ten times what can be served: a bounded queue, an answer for everybody, and all as before when it is over."""

from __future__ import annotations

import asyncio
import json
import time

import numpy as np

from customai.workloads.scoring.config import ModelConfig
from customai.workloads.scoring.model import Model
from customai.workloads.scoring.signature import Signature, Tensor
from tests.local.scoring_server import serving

BODY = json.dumps({"rows": [[1.0, 2.0]]}).encode()
HEAD = b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
QUEUE, CLIENTS, EACH = 8, 80, 4


class Slow:
    """A model that takes its time, and knows the longest queue there was."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.rows = 0
        tensor = Tensor("x", "FP32", (-1, 2))
        self.model = Model(ModelConfig("slow", "1", "0" * 64), Signature((tensor,), (tensor,)), self.run)

    def run(self, feed):
        time.sleep(self.seconds)
        self.rows += len(feed["x"])
        return [np.array(feed["x"])]


async def client(port, answers):
    """Sends one request after the other, without waiting when it is told to."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(EACH):
        writer.write(HEAD + BODY)
        answers.append(await answer_of(reader))
    writer.close()
    await writer.wait_closed()


async def answer_of(reader):
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)).decode()
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    await reader.readexactly(int(headers["content-length"]))
    return int(head.split()[1]), headers


def overload(running):
    """(answers, longest queue)"""
    batcher = running.app.versions[0].batcher

    async def run():
        answers, longest = [], 0
        clients = asyncio.gather(*(client(running.port, answers) for _ in range(CLIENTS)))
        while not clients.done():
            longest = max(longest, batcher.waiting)
            await asyncio.sleep(0.001)
        await clients
        return answers, longest

    return asyncio.run(run())


def test_ten_times_the_load_is_refused_early_and_leaves_nothing_behind():
    """80 clients for a queue of 8: each gets an answer, most a 503 with when to come again; the queue never grows."""
    slow = Slow(0.005)
    with serving(slow.model, max_queue=QUEUE, max_batch=1) as running:
        slow.rows = 0
        answers, longest = overload(running)
        statuses = [status for status, _ in answers]
        assert len(answers) == CLIENTS * EACH
        assert set(statuses) == {200, 503}
        assert all(int(headers["retry-after"]) >= 1 for status, headers in answers if status == 503)
        assert slow.rows == statuses.count(200)  # nothing that was refused was scored
        assert longest <= QUEUE
        after = []
        asyncio.run(client(running.port, after))
        assert [status for status, _ in after] == [200] * EACH
        assert running.server.shared.active == running.server.shared.held == 0


def test_the_queue_is_bounded_in_seconds_too():
    """A thousand rows may wait, but not longer than they are worth waiting for."""
    slow = Slow(0.02)
    with serving(slow.model, max_wait=0.1, max_batch=1, max_queue=1000) as running:
        answers, longest = overload(running)
        statuses = [status for status, _ in answers]
        assert set(statuses) == {200, 503}
        assert longest < CLIENTS  # which all would have waited otherwise
        assert running.app.versions[0].batcher.waiting == 0
