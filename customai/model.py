"""Plans as data: what will be done, in JSON both ways, before anything is done.

A value that is known only later is {"$ref": "step#output"}, or "step#output/key" for a part of an output; a secret is
{"$secret": "env:NAME"} or {"$secret": "file:PATH"} and is read only when its step is applied.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import getitem
from typing import Any

Json = Any  # what json.loads gives back


@dataclass(frozen=True)
class Ref:
    """The output of another step."""

    step: str
    output: str

    def to_json(self) -> Json:
        return {"$ref": f"{self.step}#{self.output}"}


@dataclass(frozen=True)
class Step:
    """One thing to do.

    Attributes:
        id: "train/vm": stable, made from the spec's names; never random, never a clock.
        verb: put | upload | build | apply | run | serve.
        kind: which module of customai.provisioning.
        role: scope | net | identity | store | registry | compute | service | job.
        inputs: JSON only. From a path: what is wanted, in neutral words; in a plan: the target's true request.
        after: ids of steps that must be done first, besides those that `inputs` refers to.
        why: one line for people.
    """

    id: str
    verb: str
    kind: str
    role: str
    inputs: Json
    after: tuple[str, ...] = ()
    why: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(sorted({*self.after, *(ref.step for ref in refs(self.inputs))}))

    @property
    def is_request(self) -> bool:
        """Whether what the target is asked is one HTTP request: {"method", "url", "body"}."""
        return isinstance(self.inputs, Mapping) and {"method", "url"} <= set(self.inputs)

    def to_json(self) -> Json:
        return {
            "id": self.id,
            "verb": self.verb,
            "kind": self.kind,
            "role": self.role,
            "why": self.why,
            "after": list(self.needs),
            ("request" if self.is_request else "inputs"): self.inputs,
        }

    @classmethod
    def from_json(cls, data: Json) -> Step:
        inputs = data["request"] if "request" in data else data["inputs"]
        return cls(data["id"], data["verb"], data["kind"], data["role"], inputs, tuple(data["after"]), data["why"])


@dataclass(frozen=True)
class Plan:
    """The steps of one deployment on one target, lowered to the target's requests."""

    name: str
    path: str
    target: str
    spec_digest: str
    steps: tuple[Step, ...] = field(default=())

    def to_json(self) -> Json:
        return {
            "name": self.name,
            "path": self.path,
            "target": self.target,
            "spec_digest": self.spec_digest,
            "steps": [step.to_json() for step in self.steps],
        }

    @classmethod
    def from_json(cls, data: Json) -> Plan:
        steps = tuple(Step.from_json(step) for step in data["steps"])
        return cls(data["name"], data["path"], data["target"], data["spec_digest"], steps)


def refs(value: Json) -> Iterator[Ref]:
    """Every reference inside a JSON value."""
    if isinstance(value, Mapping):
        if set(value) == {"$ref"}:
            step, _, output = value["$ref"].partition("#")
            yield Ref(step, output)
            return
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for item in value:
        yield from refs(item)


def resolve(value: Json, outputs: Mapping[str, Mapping[str, Json]], secret: Callable[[str], Json]) -> Json:
    """The value with every reference replaced by what the steps put out, and every secret by `secret(name)`.

    Raises:
        KeyError: a step or an output that is not there yet.
    """
    if isinstance(value, Mapping):
        if set(value) == {"$ref"}:
            step, _, output = value["$ref"].partition("#")
            return reduce(getitem, output.split("/"), outputs[step])
        if set(value) == {"$secret"}:
            return secret(value["$secret"])
        return {key: resolve(item, outputs, secret) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(item, outputs, secret) for item in value]
    return value


def dumps(value: Json) -> str:
    """The one text of a JSON value: sorted keys, so that equal values have equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Json) -> str:
    """SHA-256 of a JSON value's one text, in hex."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()
