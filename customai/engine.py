"""Walks a plan: up, down, diff. Knows no kind and no target.

Every step is journaled before it is begun and after it is done, so that whatever ends this process, the next one
finds out where it was. Steps that do not need each other run at the same time; a failed one stops only what needs it.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Protocol

from customai.errors import CustomAIError, Interrupted, RunFailed
from customai.journal import Journal, Known, Record
from customai.model import Json, Plan, Step, digest, refs, resolve
from customai.targets.base import Begun, Target, Watch

WORKERS = 16


class Observer(Protocol):
    """Who is told as it happens. Called from several threads."""

    def began(self, step: Step, doing: str) -> None: ...
    def progress(self, step: Step, message: str) -> None: ...
    def ended(self, result: Result) -> None: ...


@dataclass(frozen=True)
class Result:
    """What became of a step: created | changed | kept | deleted | failed | skipped (it needed one that failed).

    begun: it goes on, and nobody waits for it. started | stopped: by these two commands.
    """

    step: Step
    action: str
    seconds: float = 0.0
    error: CustomAIError | None = None

    def to_json(self) -> Json:
        found = {"id": self.step.id, "kind": self.step.kind, "action": self.action, "seconds": round(self.seconds, 3)}
        return found if self.error is None else {**found, "error": self.error.to_json()}


@dataclass(frozen=True)
class Change:
    """What `up` would do to a step: create | change | keep | delete; `ways`: the properties that are otherwise."""

    step: Step
    action: str
    ways: tuple[Json, ...] = ()


class StepsFailed(RunFailed):
    """Some steps failed; the exit code is the first one's own."""

    def __init__(self, results: tuple[Result, ...]) -> None:
        failed = [result for result in results if result.error is not None]
        first = failed[0].error
        assert first is not None  # noqa: S101 (for the type checker)
        skipped = [result.step.id for result in results if result.action == "skipped"]
        also = f"; {len(failed) - 1} more failed: {', '.join(r.step.id for r in failed[1:])}" if failed[1:] else ""
        never = f" (never started: {', '.join(skipped)})" if skipped else ""
        where = f"step {failed[0].step.id}" + (f", {first.where}" if first.where else "")
        super().__init__(first.message + also + never, where=where, hint=first.hint)
        self.exit_code = first.exit_code
        self.results = results


def up(plan: Plan, target: Target, journal: Journal, observer: Observer, *, wait: bool = True) -> tuple[Result, ...]:
    """Makes the target as the plan says; what the journal has beyond the plan is taken away afterwards.

    Without `wait`, long operations are begun and not waited for; what needs them is skipped.

    Raises:
        StepsFailed: after everything that did not need a failed step was done.
        Interrupted: after what had been begun was brought to an end and written down.
    """
    results = _Walk(target, journal, observer, wait=wait).run(plan.steps)
    if any(result.error is not None for result in results):
        raise StepsFailed(results)
    if any(result.action == "begun" for result in results):
        return results
    wanted = {step.id for step in plan.steps}
    left_over = [known for id_, known in journal.known.items() if id_ not in wanted]
    results += _delete(left_over, target, journal, observer)
    if any(result.error is not None for result in results):
        raise StepsFailed(results)
    return results


def down(target: Target, journal: Journal, observer: Observer) -> tuple[Result, ...]:
    """Takes away everything the journal knows of, what depends on others first; tries all, even if some fail."""
    return _delete(list(journal.known.values()), target, journal, observer)


def stop(target: Target, journal: Journal, observer: Observer) -> tuple[Result, ...]:
    """Stops what can be stopped, what depends on others first; tries all, even if some fail."""

    def stopped(known: Known, watch: Watch) -> str:
        return "stopped" if target.stop(known.step, known.outputs, watch) else "kept"

    return tuple(_switched(known, stopped, observer) for known in reversed(_that_stop(target, journal)))


def start(target: Target, journal: Journal, observer: Observer) -> tuple[Result, ...]:
    """Starts what was stopped, as it was left; what was never brought to its end is deploy's business."""
    outputs = {id_: known.outputs for id_, known in journal.known.items() if known.outputs is not None}

    def started(known: Known, watch: Watch) -> str:
        inputs = resolve(known.step.inputs, outputs, target.secret)
        found = target.start(known.step, inputs, known.digest, watch)
        if found is None:
            return "kept"
        journal.append(Record(known.step.id, "done", known.digest, outputs=found))
        outputs[known.step.id] = found
        return "started"

    return tuple(_switched(known, started, observer) for known in _that_stop(target, journal) if known.done)


def _that_stop(target: Target, journal: Journal) -> list[Known]:
    steps = ordered(tuple(known.step for known in journal.known.values()), missing=True)
    return [journal.known[step.id] for step in steps if target.stops(step.kind)]


def _switched(known: Known, switch: Callable[[Known, Watch], str], observer: Observer) -> Result:
    observer.began(known.step, known.step.why or known.step.verb)
    watch, began = Watch(lambda message: observer.progress(known.step, message)), time.monotonic()
    try:
        result = Result(known.step, switch(known, watch), time.monotonic() - began)
    except CustomAIError as error:
        result = Result(known.step, "failed", time.monotonic() - began, error)
    observer.ended(result)
    return result


def diff(plan: Plan, target: Target, journal: Journal | None) -> tuple[Change, ...]:
    """What `up` would do now. Reads the target, changes nothing."""
    known = journal.known if journal is not None else {}
    kept: dict[str, Json] = {}
    changes = []
    for step in ordered(plan.steps):
        before = known.get(step.id)
        if before is None:
            action = "create"
        elif all(ref.step in kept for ref in refs(step.inputs)) and _is_as_left(step, before, kept, target):
            action = "keep"
            kept[step.id] = before.outputs
        else:
            action = "change" if before.outputs is not None else "create"
        changes.append(Change(step, action))
    wanted = {step.id for step in plan.steps}
    return (*changes, *(Change(entry.step, "delete") for id_, entry in known.items() if id_ not in wanted))


def compare(plan: Plan, target: Target, journal: Journal | None) -> tuple[Change, ...]:
    """What `up` would do by what is there, whoever made it: for a target that knows its things again by their ids."""
    known = journal.known if journal is not None else {}
    outputs = {id_: entry.outputs for id_, entry in known.items() if entry.outputs is not None}
    steps = ordered(plan.steps)
    with ThreadPoolExecutor(WORKERS) as pool:
        seen = list(pool.map(lambda step: target.read(informed(step, outputs), outputs.get(step.id)), steps))
    changes = (
        Change(
            step,
            "create" if not each.present else "keep" if each.as_left else "change",
            tuple((each.detail or {}).get("differences", ())),
        )
        for step, each in zip(steps, seen, strict=True)
    )
    wanted = {step.id for step in plan.steps}
    return (*changes, *(Change(entry.step, "delete") for id_, entry in known.items() if id_ not in wanted))


def ordered(steps: tuple[Step, ...], *, missing: bool = False) -> tuple[Step, ...]:
    """The steps, each after what it needs; `missing`: what they need may not be among them."""
    by_id = {step.id: step for step in steps}
    order = TopologicalSorter({step.id: step.needs for step in steps}).static_order()
    return tuple(by_id[id_] for id_ in order if not missing or id_ in by_id)


def _is_as_left(step: Step, before: Known, outputs: Mapping[str, Json], target: Target) -> bool:
    return (
        before.done
        and before.digest == fingerprint(step, outputs, target)
        and target.read(informed(step, outputs), before.outputs).as_left
    )


def informed(step: Step, outputs: Mapping[str, Json]) -> Step:
    """The step with what is known by now in the place of its references; secrets stay where they are."""
    if any(ref.step not in outputs for ref in refs(step.inputs)):
        return step
    return replace(step, inputs=resolve(step.inputs, outputs, lambda name: {"$secret": name}), after=step.needs)


def fingerprint(step: Step, outputs: Mapping[str, Json], target: Target) -> str:
    """What the step is asked, as a digest. A secret counts by its own digest: a new key is a change."""

    def hashed(name: str) -> str:
        return hashlib.sha256(target.secret(name).encode()).hexdigest()

    return digest({"verb": step.verb, "kind": step.kind, "inputs": resolve(target.asked(step), outputs, hashed)})


class _Walk:
    """One run of `up`."""

    def __init__(self, target: Target, journal: Journal, observer: Observer, *, wait: bool) -> None:
        self.target = target
        self.wait = wait
        self.journal = journal
        self.observer = observer
        self.stop = threading.Event()
        self.outputs: dict[str, Json] = {}
        self.results: dict[str, Result] = {}

    def run(self, steps: tuple[Step, ...]) -> tuple[Result, ...]:
        by_id = {step.id: step for step in steps}
        sorter = TopologicalSorter({step.id: step.needs for step in steps})
        sorter.prepare()
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="step")
        try:
            self._drive(by_id, sorter, pool)
        except KeyboardInterrupt:
            self.stop.set()  # what runs comes to an end and writes its record; nothing new starts
        while not self._ended(pool):
            self.stop.set()
        if self.stop.is_set():
            raise Interrupted("stopped by Ctrl-C", hint="run the same command again to continue")
        for step in steps:
            if step.id not in self.results:
                self._end(Result(step, "skipped"))
        return tuple(self.results[step.id] for step in steps)

    def _ended(self, pool: ThreadPoolExecutor) -> bool:
        try:
            pool.shutdown()
        except KeyboardInterrupt:
            return False
        return True

    def _drive(self, by_id: Mapping[str, Step], sorter: TopologicalSorter[str], pool: ThreadPoolExecutor) -> None:
        running: dict[Future[Result], str] = {}
        while True:
            running.update({pool.submit(self._step, by_id[id_]): id_ for id_ in sorter.get_ready()})
            if not running:
                return
            done, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)  # to notice Ctrl-C in any case
            for future in done:
                result = future.result()
                if result.error is None and result.action != "begun":
                    sorter.done(running[future])
                del running[future]

    def _step(self, step: Step) -> Result:
        started = time.monotonic()
        try:
            action = self._bring_about(step)
        except CustomAIError as error:
            result = Result(step, "failed", time.monotonic() - started, error)
        else:
            result = Result(step, action, time.monotonic() - started)
        return self._end(result)

    def _bring_about(self, step: Step) -> str:
        mark = fingerprint(step, self.outputs, self.target)
        before = self.journal.known.get(step.id)
        if before is not None and _is_as_left(step, before, self.outputs, self.target):
            self.outputs[step.id] = before.outputs
            return "kept"
        self.observer.began(step, step.why or step.verb)
        inputs = resolve(step.inputs, self.outputs, self.target.secret)
        self.journal.append(Record(step.id, "begin", mark, asked=step.to_json()))
        watch = Watch(lambda message: self.observer.progress(step, message), self.stop, self.wait)
        try:
            outputs = self.target.apply(step, inputs, mark, watch)
        except Begun:
            return "begun"
        except CustomAIError as error:
            self.journal.append(Record(step.id, "failed", mark, error=error.to_json()))
            raise
        self.journal.append(Record(step.id, "done", mark, outputs=outputs))
        self.outputs[step.id] = outputs
        return "changed" if before is not None and before.outputs is not None else "created"

    def _end(self, result: Result) -> Result:
        self.results[result.step.id] = result
        self.observer.ended(result)
        return result


def _delete(entries: list[Known], target: Target, journal: Journal, observer: Observer) -> tuple[Result, ...]:
    steps = {entry.step.id: entry.step for entry in entries}
    sorter = TopologicalSorter({id_: [need for need in step.needs if need in steps] for id_, step in steps.items()})
    results = []
    still_needed: set[str] = set()  # by something that could not be taken away
    for id_ in reversed(tuple(sorter.static_order())):
        step = steps[id_]
        if id_ in still_needed:
            result = Result(step, "skipped")
        else:
            observer.began(step, "taking it away")
            result = _take_away(step, target, journal)
        if result.action != "deleted":
            still_needed.update(step.needs)
        observer.ended(result)
        results.append(result)
    return tuple(results)


def _take_away(step: Step, target: Target, journal: Journal) -> Result:
    started = time.monotonic()
    try:
        kept = target.delete(step, journal.known[step.id].outputs)
        journal.append(Record(step.id, "kept" if kept else "gone"))
    except CustomAIError as error:
        return Result(step, "failed", time.monotonic() - started, error)
    return Result(step, "deleted", time.monotonic() - started)
