"""What is counted while serving, and Prometheus's text of it: https://prometheus.io/docs/instrumenting/exposition_formats/

All replicas behind one port count into files of their own (see series); whichever is asked tells the sums, so a scrape
sees one server. A request costs three additions.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import accumulate, groupby
from pathlib import Path

from customai.workloads.scoring.series import Series, Values

KIND = b"text/plain; version=0.0.4; charset=utf-8"
ROUTES = ("infer", "score", "other")
STATUSES = (200, 400, 401, 404, 405, 408, 411, 413, 415, 431, 499, 500, 503, 0)  # 0: any other
SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0)
_CPU = "process_cpu_seconds_total"
_FAMILIES = {  # name: type, help
    "customai_requests_total": (
        "counter",
        "Requests that were answered, by route and status; 499: the client was gone.",
    ),
    "customai_request_seconds": ("histogram", "From a request's first byte to its answer, by route."),
    "customai_batch_rows": ("histogram", "Rows that were scored in one run of the model, by version."),
    "customai_model_seconds": ("histogram", "How long one run of the model took, by version."),
    "customai_queue_rows": ("gauge", "Rows that wait for a run of the model."),
    "customai_active_requests": ("gauge", "Requests that are being answered."),
    "customai_connections": ("gauge", "Open connections."),
    "customai_replicas": ("gauge", "Server processes behind this port."),
    _CPU: ("counter", "CPU time of all server processes."),
    "process_resident_memory_bytes": ("gauge", "Memory of all server processes."),
}


class Histogram:
    """Counts in places `start` to `start + len(bounds)`, and the sum in the place after."""

    __slots__ = ("_bounds", "_start", "_sum", "_values")

    def __init__(self, values: memoryview[float], start: int, bounds: Sequence[float]) -> None:
        self._values, self._start, self._bounds = values, start, bounds
        self._sum = start + len(bounds) + 1

    def add(self, value: float) -> None:
        values = self._values
        values[self._start + bisect_left(self._bounds, value)] += 1
        values[self._sum] += value


class Metrics:
    """Counts of one process. folder: where those of the other replicas are, None: there are none."""

    def __init__(self, versions: Sequence[str], folder: Path | None = None) -> None:
        keys = [_key("customai_requests_total", route=r, status=str(s)) for r in ROUTES for s in STATUSES]
        places = {}
        for name, label, labels, bounds in (
            ("customai_request_seconds", "route", ROUTES, SECONDS),
            ("customai_batch_rows", "version", versions, ROWS),
            ("customai_model_seconds", "version", versions, SECONDS),
        ):
            for each in labels:
                places[name, each] = len(keys), bounds
                keys += [_key(f"{name}_bucket", **{label: each, "le": le}) for le in (*map(_number, bounds), "+Inf")]
                keys.append(_key(f"{name}_sum", **{label: each}))
        gauges = ("customai_queue_rows", "customai_active_requests", "customai_connections")
        self._gauges = {name: len(keys) + i for i, name in enumerate(gauges)}
        self._series = Series([*keys, *gauges, _CPU], folder)
        values = self._values = self._series.values
        made = {place: Histogram(values, *found) for place, found in places.items()}
        self._latency = [made["customai_request_seconds", route] for route in ROUTES]
        self._status = [{s: i * len(STATUSES) + j for j, s in enumerate(STATUSES)} for i in range(len(ROUTES))]
        self.batch_rows = {version: made["customai_batch_rows", version] for version in versions}
        self.model_seconds = {version: made["customai_model_seconds", version] for version in versions}

    def request(self, route: int, status: int, seconds: float) -> None:
        """route: its place in ROUTES."""
        places = self._status[route]
        self._values[places[status] if status in places else places[0]] += 1
        self._latency[route].add(seconds)

    def text(self, *, queue: int, active: int, connections: int) -> bytes:
        """Prometheus's text of all replicas. The three are this one's; those of the others are as of their last `rest`."""
        self.rest(queue=queue, active=active, connections=connections)
        alive, ended = self._series.read()
        values: Values = {key: value for key, value in ended.items() if key not in self._gauges}
        for _, found in alive:
            for key, value in found.items():
                values[key] = values.get(key, 0.0) + value
        pids = [pid for pid, _ in alive]
        values["customai_replicas"] = len(pids)
        values["process_resident_memory_bytes"] = sum(map(_resident, pids))
        return render(values)

    def rest(self, *, queue: int, active: int, connections: int) -> None:
        """What is so at this moment."""
        for name, value in zip(self._gauges.values(), (queue, active, connections), strict=True):
            self._values[name] = value
        self._values[-1] = time.process_time()


def render(values: Values) -> bytes:
    """Histograms get their sums over buckets and their counts here."""
    lines = []
    for name, (kind, said) in _FAMILIES.items():
        lines += [f"# HELP {name} {said}", f"# TYPE {name} {kind}"]
        found = [(key, value) for key, value in values.items() if key.partition("{")[0].startswith(name)]
        lines += _histogram(name, found) if kind == "histogram" else [f"{key} {_number(v)}" for key, v in found]
    return "\n".join([*lines, ""]).encode()


def _histogram(name: str, found: Iterable[tuple[str, float]]) -> Iterable[str]:
    buckets = [(key, value) for key, value in found if key.startswith(f"{name}_bucket")]
    for labels, group in groupby(buckets, key=lambda pair: pair[0].rpartition(",le=")[0].partition("{")[2]):
        pairs = list(group)
        counts = list(accumulate(value for _, value in pairs))
        yield from (f"{key} {_number(count)}" for (key, _), count in zip(pairs, counts, strict=True))
        yield f"{name}_sum{{{labels}}} {_number(dict(found)[f'{name}_sum{{{labels}}}'])}"
        yield f"{name}_count{{{labels}}} {_number(counts[-1])}"


def _key(name: str, **labels: str) -> str:
    escaped = {
        label: text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for label, text in labels.items()
    }
    return name + "{" + ",".join(f'{label}="{text}"' for label, text in escaped.items()) + "}"


def _number(value: float) -> str:
    return repr(int(value)) if value == int(value) else repr(value)


def _resident(pid: int) -> int:
    with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
