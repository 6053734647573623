"""Mixed load for half an hour, and whether memory grows: `python -m benchmarks.soak [--minutes 30]`.

The digits of 2-5 behind two replicas: images, rows, tensors as JSON and as bytes, requests that are refused, clients that
go away in the middle. The slope is that of a line through the memory of all replicas after the first fifth.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import re
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks import scoring_models as models
from benchmarks.scoring import AUTHORIZED, KEY, _port, ours
from benchmarks.scoring_load import Request

CLIENTS, EVERY = 16, 5.0
SLOPE = 1.0  # MB an hour for each replica: what is less is noise


def main() -> None:
    parser = argparse.ArgumentParser(description="Look for memory that grows.")
    parser.add_argument("--minutes", type=float, default=30)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photo = models.digits(Path(folder) / "digits")
        port = _port()
        with ours(Path(folder), Path(folder) / "digits", port, replicas=2):
            answers, memory = asyncio.run(soak(port, photo, args.minutes * 60))
    told = ", ".join(f"{status}: {count:,}" for status, count in sorted(answers.items()))
    print(f"{args.minutes:g} minutes, {sum(answers.values()):,} requests ({told})")
    settled = memory[len(memory) // 5 :]
    at, size = np.array(settled).T
    slope = float(np.polyfit(at, size, 1)[0]) * 3600 / 1e6
    print(
        f"memory {memory[0][1] / 1e6:.1f} MB at the start, {size[0] / 1e6:.1f} after warm-up, {size[-1] / 1e6:.1f} at the end"
    )
    print(
        f"slope after warm-up: {slope:+.2f} MB an hour (goal: less than {SLOPE:g} for each of 2 replicas, over 30 minutes)"
    )
    wrong = [status for status in answers if status not in ("200", "400", "401", "413", "gone")]
    if wrong:
        sys.exit(f"not expected: {', '.join(wrong)}")


async def soak(port: int, photo: bytes, seconds: float) -> tuple[Counter[str], list[tuple[float, float]]]:
    answers: Counter[str] = Counter()
    memory: list[tuple[float, float]] = []
    until = time.monotonic() + seconds
    kinds = requests(port, photo)

    async def client(number: int) -> None:
        rng = random.Random(number)
        while time.monotonic() < until:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                for _ in range(rng.randrange(1, 200)):
                    raw = rng.choice(kinds).raw
                    if rng.random() < 0.01:  # goes away in the middle
                        writer.write(raw[: rng.randrange(len(raw))])
                        answers["gone"] += 1
                        break
                    writer.write(raw)
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    length = re.search(r"content-length: (\d+)", head)
                    await reader.readexactly(int(length[1]) if length else 0)
                    answers[head.split()[1]] += 1
                    if "connection: close" in head:
                        break
            writer.close()

    async def watch() -> None:
        url = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {KEY}"})
        while time.monotonic() < until:
            text = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=30).read().decode())
            found = re.search(r"(?m)^process_resident_memory_bytes (\d+)", text)
            memory.append((time.monotonic(), float(found[1]) if found else 0.0))
            await asyncio.sleep(min(EVERY, seconds / 20))

    await asyncio.gather(watch(), *(client(number) for number in range(CLIENTS)))
    return answers, memory


def requests(port: int, photo: bytes) -> list[Request]:
    row = [[[0.5] * 8] * 8]
    tensor = {"name": "image", "shape": [1, 1, 8, 8], "datatype": "FP32"}
    name = json.loads(urllib.request.urlopen(_metadata(port), timeout=30).read())["inputs"][0]["name"]
    infer = "/v2/models/digits/infer"
    flat = json.dumps({"inputs": [tensor | {"name": name, "data": [0.5] * 64}]}).encode()
    many = np.zeros((64, 1, 8, 8), np.float32)
    told = tensor | {"name": name, "shape": list(many.shape), "parameters": {"binary_data_size": many.nbytes}}
    head = json.dumps({"inputs": [told], "parameters": {"binary_data_output": True}}).encode()
    binary = {**AUTHORIZED, "Inference-Header-Content-Length": str(len(head))}
    return [
        Request(port, "/score", photo, AUTHORIZED | {"Content-Type": "image/png"}),
        Request(port, "/score", json.dumps({"rows": [row] * 3}).encode(), AUTHORIZED),
        Request(port, infer, flat, AUTHORIZED),
        Request(port, infer, head + many.tobytes(), binary),
        Request(port, infer, flat[:-5], AUTHORIZED),
        Request(port, "/score", b"\x89PNG but no image", AUTHORIZED | {"Content-Type": "image/png"}),
        Request(port, infer, flat, {"Content-Type": "application/json"}),
    ]


def _metadata(port: int) -> urllib.request.Request:
    url = f"http://127.0.0.1:{port}/v2/models/digits"
    return urllib.request.Request(url, headers={"Authorization": f"Bearer {KEY}"})


if __name__ == "__main__":
    main()
