"""A plan as one ARM template, for whoever deploys with `az deployment` or a pipeline of their own.

The template is deployed to a subscription: it makes the resource group and, in a nested deployment, everything in it.
Ids become resourceId(), references to later values reference(), secrets and what only whoever deploys knows parameters.
What is no resource in the group (an image to build, manifests to apply, a change to what Azure has made along with
something else) cannot stand there: the template's metadata name it. Pure: no SDK, no login, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module

from customai import __version__
from customai.errors import NotAvailable
from customai.model import Json, Plan, Step
from customai.provisioning import KINDS
from customai.provisioning.api_versions import API_VERSIONS, type_of
from customai.provisioning.azure_names import NO_SUBSCRIPTION

SCHEMAS = "https://schema.management.azure.com/schemas"
OF_SUBSCRIPTION = f"{SCHEMAS}/2018-05-01/subscriptionDeploymentTemplate.json#"
OF_GROUP = f"{SCHEMAS}/2019-04-01/deploymentTemplate.json#"
GROUPS = "Microsoft.Resources/resourceGroups"
NAMED_BY_GUID = "Microsoft.Authorization/roleAssignments"  # unique in the tenant, wherever the template is deployed
OWN_KEYS = {"id", "name", "type"}  # of a body: the template says them in its own way


@dataclass(frozen=True)
class Exported:
    """The template, and the steps that it cannot hold."""

    template: Json
    left_out: tuple[Step, ...]
    is_somewhere: bool  # whether its names were made for a subscription

    @property
    def parameters(self) -> tuple[str, ...]:
        """What whoever deploys has to say."""
        return tuple(self.template["parameters"])


def exported(plan: Plan) -> Exported:
    """The plan as a template. The same plan gives the same template.

    Raises:
        NotAvailable: the plan makes no resource group, or more than one.
    """
    groups = [step for step in plan.steps if step.is_request and type_of(_id(step)) == GROUPS]
    if len(groups) != 1:
        raise NotAvailable(f"a template holds one resource group; this plan has {len(groups)}", where=plan.name)
    inside = _Group(plan, groups[0])
    resources = [inside.resource(step) for step in inside.steps]
    left_out = tuple(step for step in plan.steps if step not in (groups[0], *inside.steps))
    metadata = {
        "_generator": {"name": "customai", "version": __version__},
        "deployment": plan.name,
        "path": plan.path,
        "notInThisTemplate": [_told(step) for step in left_out],
    }
    inner = {
        "$schema": OF_GROUP,
        "contentVersion": "1.0.0.0",
        "parameters": inside.parameters.declared,
        "resources": resources,
    }
    outer = {
        "$schema": OF_SUBSCRIPTION,
        "contentVersion": "1.0.0.0",
        "metadata": metadata,
        "parameters": inside.parameters.declared,
        "resources": [_group(groups[0]), _nested(plan, groups[0], inner)],
    }
    return Exported(outer, left_out, NO_SUBSCRIPTION not in inside.id)


def _group(step: Step) -> Json:
    name = _id(step).rpartition("/")[2]
    return {"type": GROUPS, "apiVersion": _version(step), "name": name, **_escaped(step.inputs["body"])}


def _nested(plan: Plan, group: Step, inner: Json) -> Json:
    name = _id(group).rpartition("/")[2]
    return {
        "type": "Microsoft.Resources/deployments",
        "apiVersion": API_VERSIONS[GROUPS],
        "name": f"customai-{plan.name}",
        "resourceGroup": name,
        "dependsOn": [f"[{_call('subscriptionResourceId', GROUPS, name)}]"],
        "properties": {
            "mode": "Incremental",
            "expressionEvaluationOptions": {"scope": "inner"},
            "parameters": {each: {"value": f"[parameters('{each}')]"} for each in inner["parameters"]},
            "template": inner,
        },
    }


def _told(step: Step) -> Json:
    told = {"step": step.id, "kind": step.kind, "what": step.why}
    return told | ({"request": _escaped(step.inputs)} if step.is_request else {})


@dataclass
class _Parameters:
    """What a template asks for, by where it comes from."""

    declared: dict[str, Json] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)

    def named(self, source: str, type_: str, description: str) -> str:
        """The expression that stands for what comes from there."""
        if source not in self._names:
            name = start = _camel(source)
            taken = {each.lower() for each in self.declared}  # names differ by more than their case
            number = 2
            while name.lower() in taken:
                name, number = f"{start}{number}", number + 1
            self._names[source] = name
            self.declared[name] = {"type": type_, "metadata": {"description": description}}
        return _call("parameters", self._names[source])


class _Group:
    """What is made in the resource group."""

    def __init__(self, plan: Plan, group: Step) -> None:
        self.id = _id(group)
        self.by_id = {step.id: step for step in plan.steps}
        self.parameters = _Parameters()

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for step in self.by_id.values() if self._holds(step))

    def _holds(self, step: Step) -> bool:
        """Whether it is something that stays: a run is asked for by a PUT, too."""
        stays = step.is_request and step.verb == "put" and step.inputs["method"] == "PUT"
        return stays and _id(step).startswith(f"{self.id}/providers/")

    def resource(self, step: Step) -> Json:
        scope, _, own = _id(step).rpartition("/providers/")
        type_ = type_of(_id(step))
        body = {key: value for key, value in step.inputs["body"].items() if key not in OWN_KEYS}
        name = self._guid(_id(step)) if type_ == NAMED_BY_GUID else None
        depends = sorted({f"[{self._code(_id(each))}]" for each in self._needed(step)})
        return {
            "type": type_,
            "apiVersion": _version(step),
            "name": f"[{name}]" if name else "/".join(own.split("/")[2::2]),
            **({"scope": f"[{self._code(scope)}]"} if scope != self.id else {}),
            **({"dependsOn": depends} if depends else {}),
            **self._value(body),
        }

    def _needed(self, step: Step) -> Iterator[Step]:
        """The resources of the group that this one waits for; through what is no resource to what that waits for."""
        for need in (self.by_id[id_] for id_ in step.needs if id_ in self.by_id):
            if self._holds(need):
                yield need
            else:
                yield from self._needed(need)

    def _value(self, value: Json) -> Json:
        if isinstance(value, Mapping):
            if set(value) == {"$ref"}:
                return f"[{self._later(value['$ref'])}]"
            if set(value) == {"$secret"}:
                return f"[{self.parameters.named(value['$secret'], 'secureString', 'a secret')}]"
            return {self._text(key): self._value(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(each) for each in value]
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        code = self._code(text) or self._joined(text)
        return f"[{code}]" if code else _literal(text)

    def _joined(self, text: str) -> str:
        """The function that gives a text with ids in it; "" where none is."""
        pieces = re.split(rf"{re.escape(self.id)}(?![\w.()-])", text)
        codes = [code for piece in pieces for code in (_quoted(piece), "resourceGroup().id")][:-1]
        return _called("concat", *(each for each in codes if each != "''")) if len(pieces) > 1 else ""

    def _later(self, ref: str) -> str:
        """What another step puts out."""
        id_, _, output = ref.partition("#")
        step = self.by_id[id_]
        output, *parts = output.split("/")
        if not self._holds(step):
            description = f"{step.why}: the {output.replace('_', ' ')}"
            return ".".join([self.parameters.named(f"{id_} {output}", "string", description), *parts])
        own = self._code(_id(step))
        if output == "id":
            return own
        place: str = import_module(KINDS[step.kind]).OUTPUTS[output]
        of_properties = place.startswith("properties.")
        found = _called("reference", own, _quoted(_version(step)), *(() if of_properties else ("'full'",)))
        return ".".join([found, place.removeprefix("properties."), *parts])

    def _code(self, text: str) -> str:
        """The function that gives this id; "" for what is no id of the group's or of its subscription's."""
        if text == self.id:
            return "resourceGroup().id"
        subscription = self.id.rpartition("/resourceGroups/")[0]
        if text.rpartition("/")[0] == f"{subscription}/resourceGroups":  # another group, which a service makes
            return _called("concat", "subscription().id", _quoted(text.removeprefix(subscription)))
        before, found, own = text.rpartition("/providers/")
        provider, *pairs = own.split("/")
        if not found or not pairs or len(pairs) % 2:
            return ""
        type_ = "/".join([provider, *pairs[::2]])
        names = [self._guid(text)] if type_ == NAMED_BY_GUID else [_quoted(each) for each in pairs[1::2]]
        if before == self.id:
            return _called("resourceId", _quoted(type_), *names)
        if before == subscription:
            return _called("subscriptionResourceId", _quoted(type_), *names)
        scope = self._code(before)
        return scope and _called("extensionResourceId", scope, _quoted(type_), *names)

    def _guid(self, id_: str) -> str:
        scope, _, own = id_.rpartition("/providers/")
        return _called("guid", self._code(scope), _quoted(own.rpartition("/")[2]))


def _id(step: Step) -> str:
    return str(step.inputs["url"]).partition("?")[0]


def _version(step: Step) -> str:
    return str(step.inputs["url"]).rpartition("api-version=")[2]


def _escaped(value: Json) -> Json:
    """The value with no text in it that Azure would take for an expression."""
    return _map_texts(value, _literal)


def _map_texts(value: Json, change: Callable[[str], str]) -> Json:
    if isinstance(value, Mapping):
        return {change(key): _map_texts(each, change) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_map_texts(each, change) for each in value]
    return change(value) if isinstance(value, str) else value


def _literal(text: str) -> str:
    """[text] is an expression, [[text] is not."""
    return f"[{text}" if text.startswith("[") and text.endswith("]") else text


def _call(function: str, *texts: str) -> str:
    return _called(function, *map(_quoted, texts))


def _called(function: str, *codes: str) -> str:
    return f"{function}({', '.join(codes)})"


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def _camel(source: str) -> str:
    """A parameter's name: scoringKey of env:SCORING_KEY, callerAddressPrefix of "caller address_prefix"."""
    source = re.sub(r"^(env|file):", "", source)
    words: list[str] = re.findall(r"[A-Za-z0-9]+", source.rpartition("/")[2] if source.startswith("/") else source)
    first, *rest = [word.lower() for word in words] or ["secret"]
    return first + "".join(word.capitalize() for word in rest)
