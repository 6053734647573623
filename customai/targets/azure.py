"""A subscription as a target: every step is one resource, made by its request and known again by its id.

Nothing is remembered that Azure knows itself: before a request is sent the resource is read, so that after a crash
what is there is kept, what goes on is waited for, and only what is missing or differs is asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from customai import secret
from customai.errors import Conflict, NotAvailable, SpecError
from customai.model import Json, Plan, Step, dumps
from customai.provisioning import KINDS, lowering
from customai.provisioning.azure_names import NO_SUBSCRIPTION
from customai.targets import azure_kept, azure_login
from customai.targets.azure_arm import Arm, Pace
from customai.targets.azure_compare import Difference, without
from customai.targets.azure_machine import Machine, pinned
from customai.targets.azure_power import RUNNING, STOPPED, SWITCHES, stands_still, switched
from customai.targets.azure_resource import Resource, differing, outputs_of
from customai.targets.azure_wait import Followed, state_of
from customai.targets.base import Begun, Observed, Watch
from customai.targets.findings import Finding, stops

PATIENCE_VARIABLE = "CUSTOMAI_AZURE_PATIENCE"  # seconds until one gives up on a resource that does not end
TENANT = "tenant"  # in the state folder: what to log in to for status and destroy, which know no spec
HURRY = 10.0  # the patience of whoever only wants to know
STEPS = {  # what is no single request: kind -> the module that reads, applies and deletes it
    "caller": "customai.targets.azure_caller",
    "databricks_job": "customai.targets.azure_databricks_job",
    "databricks_run": "customai.targets.azure_databricks_run",
    "databricks_storage": "customai.targets.azure_databricks_storage",
    "image": "customai.targets.azure_image",
    "data_factory_start": "customai.targets.azure_factory",
    "function_code": "customai.targets.azure_function",
    "job_image": "customai.targets.azure_image",
    "kubernetes": "customai.targets.azure_kubernetes",
    "traffic": "customai.targets.azure_traffic",
    "upload": "customai.targets.azure_upload",
}


WAITING = (
    "function_code",
    "image",
    "job_image",
    "kubernetes",
    "traffic",
    "upload",
)  # which nobody continues but who waits: left to a deploy that does


class AzureTarget:
    """Everything of a deployment is in its resource group.

    Args:
        folder: the deployment's state folder; of Azure's, only the tenant is kept there.
        connect: (subscription, tenant) -> Arm; the user's own login if not given.
        pace: how often to look, and for how long.
    """

    name = "azure"
    costs = True

    def __init__(
        self,
        folder: Path,
        connect: Callable[[str, str | None], Arm] | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.folder = folder
        self.pace = pace or _pace()
        self.tenant: str | None = None
        self._connect = connect or azure_login.connect
        self._arms: dict[str, Arm] = {}

    def surroundings(self, spec: Any) -> Json:
        section = spec.azure
        self.tenant = getattr(section, "tenant", None)
        named = getattr(section, "subscription", None)
        return {"subscription": named or self._subscription}

    @cached_property
    def _subscription(self) -> str | None:
        """Of the surroundings, where a spec names none."""
        return azure_login.subscription()

    def lowers(self, kind: str) -> bool:
        return lowering(kind, self.name) is not None

    def lower(self, step: Step) -> Json:
        lower = lowering(step.kind, self.name)
        if lower is None:
            raise KeyError(step.kind)
        return lower(step.inputs)

    def asked(self, step: Step) -> Json:
        return without(step.inputs, [f"body.{place}" for place in told(step.kind)]) if step.is_request else step.inputs

    def can_read(self) -> bool:
        """Whether there seem to be the SDKs and a login: a plan needs neither, and waits for neither."""
        self.pace = replace(self.pace, patience=min(self.pace.patience, HURRY))
        try:
            return azure_login.is_likely() and find_spec("azure.identity") is not None
        except ImportError:
            return False

    def check(self, plan: Plan) -> None:
        from customai.targets import azure_checks

        self.carries_out(plan)
        for name in re.findall(r'{"\$secret":"([^"]+)"}', dumps([step.inputs for step in plan.steps])):
            self.secret(name)  # missing, it would be missed when all else is there, and paid for
        azure_checks.check(plan, self.arm(_subscription_of(plan)))

    def findings(self, plan: Plan | None) -> list[Finding]:
        from customai.targets import azure_checks

        if plan is None:
            return azure_checks.looked_at(
                None, lambda: self.arm() if self._subscription else azure_login.no_subscription()
            )
        subscription, cannot = _subscription_of(plan), _cannot(plan)
        ask = azure_login.no_subscription if subscription == NO_SUBSCRIPTION else partial(self.arm, subscription)
        return [*([stops("version", cannot)] if cannot else []), *azure_checks.looked_at(plan, ask)]

    def register(self, providers: Sequence[str], watch: Watch) -> None:
        from customai.targets import azure_providers

        azure_providers.register(self.arm(), providers, watch, self.pace)

    def carries_out(self, plan: Plan) -> None:
        """Raises NotAvailable where the plan has a step that this version cannot carry out."""
        if (error := _cannot(plan)) is not None:
            raise error
        if _subscription_of(plan) == NO_SUBSCRIPTION:
            azure_login.no_subscription()

    def read(self, step: Step, outputs: Json) -> Observed:
        if not step.is_request:
            module = _module(step.kind)
            if module is None:
                return Observed(present=outputs is not None, as_left=outputs is not None)
            read: Observed = module.read(step, outputs, self.arm(step))
            return read
        followed = self._followed(step, Watch(), _elsewhere(outputs, step))
        found = followed.found()
        if found is None:
            return Observed(present=False, as_left=False)
        wanted = step.inputs["body"]
        ways = [each.to_json() for each in differing(step.kind, wanted, found)]
        state = state_of(found)
        if still := stands_still(followed, step.kind, found):
            ways.append(Difference("power", RUNNING, still).to_json())
            state = STOPPED if state == "succeeded" else state
        detail = {"state": state, "differences": ways}
        return Observed(present=True, as_left=not ways and state in ("succeeded", ""), detail=detail)

    def apply(self, step: Step, inputs: Json, digest: str, watch: Watch) -> Json:
        self._keep_tenant()
        if not step.is_request:
            module = _module(step.kind)
            if module is None:
                raise NotAvailable(f"steps of kind {step.kind} cannot be carried out yet", where=step.id)
            if not watch.wait and step.kind in WAITING:
                raise Begun
            return module.apply(step, inputs, digest, self.arm(step), watch)
        followed = self._followed(step, watch)
        found = Resource(followed, step, inputs).brought_about()
        return outputs_of(step.kind, found)

    def delete(self, step: Step, outputs: Json) -> bool:
        if not step.is_request:
            module = _module(step.kind)
            if module is not None:
                module.delete(step, outputs, self.arm(step))
            return False
        resource = self._resource(step)
        made = outputs is not None
        if step.kind == "resource_group" and resource.is_to_go(made=made) and (others := self._others(step, [])):
            names = ", ".join(each.rpartition("/")[2] for each in others[:5])
            raise Conflict(
                f"the resource group holds what customai did not make, so it is kept: {names}",
                where=step.id,
                hint="move or delete it, then run the same command again",
            )
        resource.taken_away(made=made)
        return step.kind in azure_kept.KEPT and azure_kept.is_kept(step, self._follow(Watch()))

    def beside(self, steps: Sequence[Step]) -> list[str]:
        """The ids of what else is in the group that these steps have made: somebody else's."""
        groups = [step for step in steps if step.kind == "resource_group" and self._resource(step).is_to_go(made=False)]
        return [id_ for group in groups for id_ in self._others(group, steps)]

    def sweep(self, steps: Sequence[Step], watch: Watch) -> None:
        """Takes away what goes in one request: a group that we made, with nothing in it but what we made."""
        for group in (step for step in steps if step.kind == "resource_group"):
            resource = self._resource(group, watch)
            if resource.is_to_go(made=False) and not self._others(group, steps):
                for step in reversed(steps):  # what its group's end would leave behind, or its name taken
                    if hasattr(import_module(KINDS[step.kind]), "DELETED_WITH"):
                        self.delete(step, None)
                resource.taken_away(made=False)

    def purge(self, steps: Sequence[Step], watch: Watch) -> list[str]:
        kept = [step for step in steps if step.kind in azure_kept.KEPT]
        alone = not any(step.kind == "resource_group" for step in steps)
        return [step.id for step in kept if azure_kept.purged(step, self._follow(watch), alone=alone)]

    def kubeconfig(self, step: Step, name: str) -> str:
        """The text of a kubeconfig for this step's cluster."""
        from customai.targets import azure_kubeconfig

        return azure_kubeconfig.kubeconfig(self.arm(step), step.inputs["url"], name)

    def pin(self, step: Step, machine: Machine) -> bool:
        """Asks Azure for the host keys of this step's machine, and keeps them; whether it told any."""
        return pinned(machine, self._followed(step, Watch()))

    def _follow(self, watch: Watch) -> Callable[[Step], Followed]:
        return lambda step: self._followed(step, watch)

    def stops(self, kind: str) -> bool:
        return kind in SWITCHES

    def stop(self, step: Step, outputs: Json, watch: Watch) -> bool:
        return switched(self._followed(step, watch), step.kind, on=False)

    def start(self, step: Step, inputs: Json, digest: str, watch: Watch) -> Json:
        followed = self._followed(step, watch)
        return outputs_of(step.kind, followed.settled()) if switched(followed, step.kind, on=True) else None

    def _others(self, group: Step, steps: Sequence[Step]) -> list[str]:
        """The ids of what is in the group, but for what these steps make."""
        own = [id_.lower() for step in steps if step.is_request and step != group for id_ in _ids(step)]
        there = self._followed(group, Watch()).patiently(partial(_inside, self.arm(group), group))
        ids = [str(each["id"]) for each in there]
        return [id_ for id_ in ids if not any(f"{id_.lower()}/".startswith(f"{one}/") for one in own)]

    def _resource(self, step: Step, watch: Watch | None = None) -> Resource:
        return Resource(self._followed(step, watch or Watch()), step, step.inputs)

    def secret(self, name: str) -> str:
        return secret.read(name)

    def runs(self, step: str) -> list[Json]:
        return []

    def cancel(self, step: str, digest: str) -> None:
        """Those of Azure ML are known to azure_ml_runs alone."""

    def logs(self, step: Step, outputs: Json, *, follow: bool) -> Iterator[str]:
        """Those of pods; a machine's are its runs', which whoever knows how to reach it asks for (azure_run)."""
        if step.kind != "kubernetes" or outputs is None:
            return iter(())
        from customai.targets import azure_pods

        return azure_pods.lines(step, self.arm(step), follow=follow)

    def arm(self, of: Step | str | None = None) -> Arm:
        """The clients of the subscription that a step is in; of any, where it is all one."""
        if isinstance(of, Step):
            named = re.search(r'"/subscriptions/([^/"]+)', dumps(of.inputs))
            of = named[1] if named is not None else None
        subscription = of or next(iter(self._arms), None) or self._subscription or NO_SUBSCRIPTION
        if subscription not in self._arms:
            self._arms[subscription] = self._connect(subscription, self.tenant or self._kept_tenant())
        self._arms[subscription].pace = self.pace
        return self._arms[subscription]

    def _followed(self, step: Step, watch: Watch, url: str | None = None) -> Followed:
        return Followed(self.arm(step), url or step.inputs["url"], step.id, watch, self.pace)

    def _kept_tenant(self) -> str | None:
        try:
            return (self.folder / TENANT).read_text(encoding="utf-8").strip() or None
        except OSError:
            return None

    def _keep_tenant(self) -> None:
        if self.tenant is not None and self.folder.is_dir() and self._kept_tenant() != self.tenant:
            (self.folder / TENANT).write_text(self.tenant, encoding="utf-8")


def _inside(arm: Arm, group: Step) -> list[Json]:
    return list(arm.every(f"{_path(group)}/resources?api-version=2021-04-01"))


def _ids(step: Step) -> Iterator[str]:
    """The id of what the step makes, and those of what comes along with it."""
    yield _path(step)
    along = getattr(import_module(KINDS[step.kind]), "along", None)
    yield from along(step.inputs) if along is not None else ()


def told(kind: str) -> tuple[str, ...]:
    places: tuple[str, ...] = getattr(import_module(KINDS[kind]), "TOLD", ())
    return places


def _module(kind: str) -> ModuleType | None:
    """What carries out steps of this kind; None where this version cannot."""
    name = STEPS.get(kind)
    return import_module(name) if name is not None and find_spec(name) is not None else None


def _elsewhere(outputs: Json, step: Step) -> str | None:
    """The URL of what stands for the step, where that has another id: a role that somebody else has given."""
    path, _, query = step.inputs["url"].partition("?")
    id_ = (outputs or {}).get("id") or path
    return f"{id_}?{query}" if step.kind == "role" and id_.lower() != path.lower() else None


def _path(step: Step) -> str:
    return str(step.inputs["url"]).partition("?")[0]


def _cannot(plan: Plan) -> NotAvailable | None:
    missing = [step for step in plan.steps if not step.is_request and _module(step.kind) is None]
    if not missing:
        return None
    ids = ", ".join(f"'{step.id}' ({step.why})" for step in missing)
    return NotAvailable(
        f"this version cannot carry out {ids}: nothing was done",
        hint=f"customai plan shows every request; on this machine it runs: customai deploy {plan.path}",
    )


def _subscription_of(plan: Plan) -> str:
    return next(str(step.inputs["url"]).split("/")[2] for step in plan.steps if step.is_request)


def _pace() -> Pace:
    try:
        given: Any = os.environ.get(PATIENCE_VARIABLE) or Pace.patience
        return Pace(look=azure_login.look(), patience=float(given))
    except ValueError:
        raise SpecError(f"{PATIENCE_VARIABLE} is no number of seconds", where=str(given)) from None
