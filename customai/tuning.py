"""How many replicas, threads and rows a run: which combinations are worth a measurement, and which of them is best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median

from customai.load import Load
from customai.model import Json

NOISE = 0.1  # what is not faster than this by more is no reason for a change, or for more replicas
MOST_REPLICAS, MOST_THREADS, MOST_BATCH = 64, 256, 4096  # what a spec may say


@dataclass(frozen=True)
class Setting:
    """As in a spec's `endpoint`: 0 leaves the choice of threads and of rows a run to the server."""

    replicas: int
    threads: int
    max_batch: int

    def to_json(self) -> Json:
        return asdict(self)

    def effective_threads(self, cores: int) -> int:
        return self.threads or max(1, cores // self.replicas)


@dataclass(frozen=True)
class Measured:
    """What a setting gave; chosen: the rows a run that the server went by."""

    setting: Setting
    load: Load
    chosen: int

    def to_json(self) -> Json:
        told = {"requests_per_second": self.load.rate, "p50_ms": self.load.p50, "p99_ms": self.load.p99}
        rounded = {name: round(value, 3) for name, value in told.items()}
        return self.setting.to_json() | {"chosen_batch": self.chosen} | rounded | {"failed": self.load.failed}


def search(
    now: Setting, cores: int, most_replicas: int, measure: Callable[[Setting], Measured]
) -> tuple[list[Measured], Measured]:
    """What was measured, the present setting first, and the best: it, or what was better in two measurements."""
    measured = [measure(setting) for setting in placements(now, cores, most_replicas)]
    known = {each.setting for each in measured}
    measured += [measure(setting) for setting in batches(best(measured)) if setting not in known]
    challenger = best(measured)
    if challenger is measured[0]:
        return measured, challenger
    pair = [again(each, measure(each.setting)) for each in (measured[0], challenger)]
    by_setting = {each.setting: each for each in pair}
    return [by_setting.get(each.setting, each) for each in measured], best(pair)


def again(first: Measured, second: Measured) -> Measured:
    return replace(first, load=together([first.load, second.load]))


def placements(now: Setting, cores: int, most_replicas: int) -> Iterator[Setting]:
    """The cores shared out between processes and their threads: first as it is, then from the fewest processes up."""
    yield now
    shares = {(1, 1), (1, cores), (cores, 1)}
    if cores > 2:
        shares |= {(cores - 1, 1)}  # one is left for what else there is to do
    if cores >= 4:
        shares |= {(cores // 2, 2), (2, cores // 2)}
    for replicas, threads in sorted(shares):
        as_now = (replicas, threads) == (now.replicas, now.effective_threads(cores)) and now.max_batch == 0
        if not as_now and replicas <= min(most_replicas, MOST_REPLICAS) and threads <= MOST_THREADS:
            yield Setting(replicas, threads, 0)


def batches(best: Measured) -> Iterator[Setting]:
    """The best of the placements with fewer and with more rows a run than the server went by."""
    for rows in sorted({1, best.chosen // 2, best.chosen * 2} - {0, best.chosen}):
        if rows <= MOST_BATCH:
            yield Setting(best.setting.replicas, best.setting.threads, rows)


def best(measured: Sequence[Measured]) -> Measured:
    """The fastest of those that refused nothing; of those as good as it, the first."""
    clean = [each for each in measured if not each.load.failed] or list(measured)
    fastest = max(each.load.rate for each in clean)
    return next(each for each in clean if each.load.rate >= fastest * (1 - NOISE))


def together(parts: Sequence[Load]) -> Load:
    """Of several measurements the middle."""
    return Load(
        median(part.rate for part in parts),
        median(part.p50 for part in parts),
        median(part.p99 for part in parts),
        sum(part.failed for part in parts),
    )
