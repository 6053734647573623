"""The scoring server against the limit and its peers: `python -m benchmarks.scoring [--times 5] [--seconds 4] [--peers]`.

One worker on one core, the load on the other; our server checks an API key, validates, counts and logs. The limit of
tabular is a bare ASGI function (see peers/bare_server.py), of images onnxruntime alone in this process. All take turns, so
that whatever else the machine does slows all; medians. Peers are measured where `make peers` has installed them.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime reads this once, when it is imported

import numpy as np

from benchmarks import scoring_models as models
from benchmarks.peers import PEERS, Peer
from benchmarks.scoring_load import WRK, Load, Request, load
from customai.workloads.scoring.image import decoded
from customai.workloads.scoring.model import load as load_model

KEY = "a-key-for-the-benchmark"
AUTHORIZED = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
CORES = sorted(os.sched_getaffinity(0))
RATE, P99, ALONE, TIMES, BATCHING = 15_000.0, 10.0, 3_500.0, 5.0, 0.05  # the goals
JPEG, BINARY, DIGITS, MEMORY, READY = 0.95, 0.97, 0.60, 150.0, 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the scoring server.")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--peers", action="store_true", help="those that are installed, too")
    parser.add_argument("--only", choices=("tabular", "images", "digits"))
    args = parser.parse_args()
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("customai", "onnxruntime", "numpy", "uvloop", "httptools")
    )
    print(
        f"{_processor()}, {len(CORES)} cores, load {os.getloadavg()[0]:.1f} at the start; {time.strftime('%Y-%m-%d')}"
    )
    print(f"Python {platform.python_version()}, {packages}; load by {'wrk' if WRK else 'our own generator'}")
    print(f"medians of {args.times} runs of {args.seconds:g} s\n")
    os.sched_setaffinity(0, {CORES[-1]})  # what is measured gets the first core to itself
    with tempfile.TemporaryDirectory() as folder:
        if args.only in (None, "tabular"):
            tabular(Path(folder), args)
        if args.only in (None, "images"):
            images(Path(folder), args)
        if args.only in (None, "digits"):
            digits(Path(folder), args)


def tabular(folder: Path, args: argparse.Namespace) -> None:
    row = models.gbt(folder / "gbt")
    file = str(folder / "gbt" / "model.onnx")
    tensor = {"inputs": [{"name": "X", "shape": [1, len(row)], "datatype": "FP32", "data": row}]}
    body = json.dumps(tensor).encode()
    rates: dict[str, list[Load]] = {}
    single: dict[str, list[Load]] = {}
    installed = [
        peer for peer in PEERS if (peer.python.parent.parent / "ready").exists() and (args.peers or peer.name == "bare")
    ]
    with contextlib.ExitStack() as stack:
        asked: dict[str, Request] = {}
        for name, more in (("customai", {}), ("customai, no batching", {"max_batch": 1})):
            port = _port()
            ready, pid = stack.enter_context(ours(folder, folder / "gbt", port, **more))
            asked[name] = Request(port, "/v2/models/gbt/infer", body, AUTHORIZED)
            if name == "customai":
                ours_is = ready, pid
        for peer in installed:
            port = _port()
            if stack.enter_context(theirs(peer, file, port, row)):
                asked[peer.name] = Request(port, peer.path, peer.body(row), {"Content-Type": "application/json"})
        for _ in range(args.times):
            for name, request in asked.items():
                rates.setdefault(name, []).append(load(request, 64, args.seconds))
                single.setdefault(name, []).append(load(request, 1, args.seconds))
        memory = _memory(ours_is[1])
    print(
        f"{'200 trees, a row of 30 floats as JSON':<44}{'64 connections':>14}{'p99':>10}{'1 connection':>14}{'p50':>10}"
    )
    for name, found in sorted(rates.items(), key=lambda pair: -_rate(pair[1])):
        failed = sum(each.failed for each in [*found, *single[name]])
        told = _told_version(name, installed)
        p50 = median(each.p50 for each in single[name])
        print(
            f"{told:<44}{_rate(found):>12,.0f}/s{median(each.p99 for each in found):>8.1f}ms"
            f"{_rate(single[name]):>12,.0f}/s{p50 * 1000:>8.0f}us" + (f"   {failed} FAILED" if failed else "")
        )
    best = {name: found for name, found in rates.items() if not name.startswith(("customai", "bare"))}
    mine, alone = rates["customai"], single["customai"]
    print()
    goal("requests a second at 64 connections", _rate(mine), RATE)
    goal("p99 at 64 connections, ms", median(each.p99 for each in mine), P99, most=True)
    goal("requests a second at 1 connection", _rate(alone), ALONE)
    if best:
        goal("times the best peer", _rate(mine) / max(map(_rate, best.values())), TIMES)
    more = median(each.p50 for each in alone) - median(each.p50 for each in single["customai, no batching"])
    goal("p50 at 1 connection beyond that without batching, ms", more, BATCHING, most=True)
    goal("memory, MB", memory, MEMORY, most=True)
    goal("ready after, s", ours_is[0], READY, most=True)


def images(folder: Path, args: argparse.Namespace) -> None:
    models.resnet18(folder / "resnet18")
    photo = models.jpeg()
    os.sched_setaffinity(0, {CORES[0]})
    model = load_model(folder / "resnet18", 1)
    how, dtype = model.config.preprocessing, np.dtype(np.float32)
    assert how is not None
    tensor = decoded([photo], how, dtype)
    shape = {"name": "x", "shape": list(tensor.shape), "datatype": "FP32"}
    parameters = {"parameters": {"binary_data_output": True}}
    head = json.dumps({"inputs": [{**shape, "parameters": {"binary_data_size": tensor.nbytes}}], **parameters}).encode()
    binary = {
        **AUTHORIZED,
        "Inference-Header-Content-Length": str(len(head)),
        "Content-Type": "application/octet-stream",
    }
    found: dict[str, list[float]] = {}
    port = _port()
    with ours(folder, folder / "resnet18", port):
        for _ in range(args.times):
            os.sched_setaffinity(0, {CORES[0]})
            found.setdefault("JPEG, in this process", []).append(
                rate(lambda: model.run({"x": decoded([photo], how, dtype)}), args.seconds)
            )
            found.setdefault("tensor, in this process", []).append(rate(lambda: model.run({"x": tensor}), args.seconds))
            os.sched_setaffinity(0, {CORES[-1]})
            sent = Request(port, "/score", photo, AUTHORIZED | {"Content-Type": "image/jpeg"})
            found.setdefault("JPEG", []).append(_answered(sent, 8, args.seconds))
            sent = Request(port, "/v2/models/resnet18/infer", head + tensor.tobytes(), binary)
            found.setdefault("tensor", []).append(_answered(sent, 8, args.seconds))
    print("\nResNet-18's shape, 224 x 224, one core, 8 connections: images a second")
    for name, rates in found.items():
        print(f"{name:<44}{median(rates):>14.1f}")
    goal("JPEG, of onnxruntime with decoding", _share(found, "JPEG", "JPEG, in this process"), JPEG)
    goal("binary tensors, of onnxruntime", _share(found, "tensor", "tensor, in this process"), BINARY)


def digits(folder: Path, args: argparse.Namespace) -> None:
    photo = models.digits(folder / "digits")
    os.sched_setaffinity(0, {CORES[0]})
    model = load_model(folder / "digits", 1)
    how, dtype = model.config.preprocessing, np.dtype(np.float32)
    assert how is not None
    one = decoded([photo], how, dtype)
    name = model.signature.inputs[0].name
    found: dict[str, list[float]] = {}
    tensor = [{"name": name, "shape": list(one.shape), "datatype": "FP32", "data": one.ravel().tolist()}]
    port = _port()
    with ours(folder, folder / "digits", port):
        for _ in range(args.times):
            os.sched_setaffinity(0, {CORES[0]})
            best = max(
                rate(lambda: model.run({name: batch}), args.seconds / 4) * size  # noqa: B023
                for size in (16, 64, 256)
                for batch in [np.repeat(one, size, axis=0)]
            )
            found.setdefault("onnxruntime's best batch, in this process", []).append(best)
            os.sched_setaffinity(0, {CORES[-1]})
            sent = Request(port, "/score", photo, AUTHORIZED | {"Content-Type": "image/png"})
            found.setdefault("PNG", []).append(_answered(sent, 64, args.seconds))
            sent = Request(port, "/v2/models/digits/infer", json.dumps({"inputs": tensor}).encode(), AUTHORIZED)
            found.setdefault("JSON", []).append(_answered(sent, 64, args.seconds))
            many = {"inputs": [tensor[0] | {"shape": [64, *one.shape[1:]], "data": one.ravel().tolist() * 64}]}
            sent = Request(port, "/v2/models/digits/infer", json.dumps(many).encode(), AUTHORIZED)
            found.setdefault("JSON, 64 rows a request", []).append(_answered(sent, 8, args.seconds) * 64)
            batch = np.repeat(one, 64, axis=0)
            told = [
                {
                    "name": name,
                    "shape": list(batch.shape),
                    "datatype": "FP32",
                    "parameters": {"binary_data_size": batch.nbytes},
                }
            ]
            head = json.dumps({"inputs": told, "parameters": {"binary_data_output": True}}).encode()
            headers = AUTHORIZED | {"Inference-Header-Content-Length": str(len(head))}
            sent = Request(port, "/v2/models/digits/infer", head + batch.tobytes(), headers)
            found.setdefault("bytes, 64 rows a request", []).append(_answered(sent, 8, args.seconds) * 64)
    print("\nThe digits of 2-5, one core: rows a second")
    for what, rates in found.items():
        print(f"{what:<44}{median(rates):>14,.0f}")
    best_of_ours = max((what for what in found if "process" not in what), key=lambda what: median(found[what]))
    share = _share(found, best_of_ours, "onnxruntime's best batch, in this process")
    goal(f"{best_of_ours}, of onnxruntime's best batch", share, DIGITS)


def goal(what: str, value: float, wanted: float, *, most: bool = False) -> None:
    met = value <= wanted if most else value >= wanted
    print(f"  {what:<56}{value:>10,.2f}   {'at most' if most else 'at least'} {wanted:g}: {'met' if met else 'MISSED'}")


@contextlib.contextmanager
def ours(folder: Path, model: Path, port: int, **more: Any) -> Iterator[tuple[float, int]]:
    """(seconds until it was ready, process id of the replica) of our server on the first core."""
    run = Path(tempfile.mkdtemp(dir=folder))
    hashed = hashlib.sha256(KEY.encode()).hexdigest()
    server = {"format": 1, "models": [{"folder": str(model), "traffic": 100}], "port": port, "key_sha256": hashed}
    (run / "server.json").write_text(
        json.dumps({**server, "host": "127.0.0.1", "replicas": 1, "threads": 1, "digest": "b", **more})
    )
    command = [sys.executable, "-m", "customai.workloads.scoring.supervisor", str(run)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with open(run / "server.log", "ab") as log:
        os.sched_setaffinity(0, {CORES[0]})
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        os.sched_setaffinity(0, {CORES[-1]})
    try:
        while True:
            with contextlib.suppress(OSError, ValueError):
                state = json.loads((run / "state.json").read_bytes())
                if state.get("failure"):
                    sys.exit(f"the server does not start: {state['failure']['message']}")
                if any(replica["ready"] for replica in state["replicas"]):
                    break
            time.sleep(0.005)
        yield time.perf_counter() - started, int(state["replicas"][0]["pid"])
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def theirs(peer: Peer, file: str, port: int, row: list[float]) -> Iterator[bool]:
    """Whether the peer answers, on the first core."""
    os.sched_setaffinity(0, {CORES[0]})
    # Each in a session of its own: some leave children behind.
    process = subprocess.Popen([*peer.command, file, str(port)], stdout=-3, stderr=-3, start_new_session=True)
    os.sched_setaffinity(0, {CORES[-1]})
    try:
        deadline = time.monotonic() + 120
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{peer.path}", peer.body(row), {"Content-Type": "application/json"}
        )
        up = False
        while not up and time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5) as answer:
                up = answer.status == 200
            time.sleep(0.1)
        if not up:
            print(f"{peer.name} does not answer: left out", file=sys.stderr)
        yield up
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)


def rate(action: Callable[[], object], seconds: float) -> float:
    """How often a second."""
    action()
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        action()
        count += 1
    return count / (time.perf_counter() - started)


def _answered(request: Request, connections: int, seconds: float) -> float:
    """Answers a second, all of them good."""
    found = load(request, connections, seconds)
    if found.failed or not found.rate:
        sys.exit(f"{request.path}: {found.failed} requests failed, {found.rate:g} answers a second")
    return found.rate


def _rate(found: list[Load]) -> float:
    return median(each.rate for each in found)


def _share(found: dict[str, list[float]], ours: str, limit: str) -> float:
    return median(found[ours]) / median(found[limit])


def _told_version(name: str, installed: list[Peer]) -> str:
    peer = next((peer for peer in installed if peer.name == name), None)
    if peer is None:
        return f"{name} {version('customai')}" if name == "customai" else name
    code = f"from importlib.metadata import version; print(version({peer.package!r}))"
    told = subprocess.run([str(peer.python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    return f"bare ASGI function (uvicorn {told})" if name == "bare" else f"{peer.package} {told}"


def _memory(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _port() -> int:
    """Free, below those that the system gives to outgoing connections; the two after it are the peers', too."""
    for port in range(20_000 + os.getpid() % 1000 * 10, 32_000, 10):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            if port not in _given:
                _given.add(port)
                return port
    sys.exit("no free port")


_given: set[int] = set()


if __name__ == "__main__":
    main()
