"""One resource, brought about and taken away: read, compared, asked for, followed, until it is as wanted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module

from customai.errors import Conflict, NotFound, RunFailed
from customai.model import Json, Step
from customai.provisioning import KINDS
from customai.targets import azure_factory
from customai.targets.azure_arm import Address, Operation
from customai.targets.azure_compare import Difference, besides, differences, is_at, only, without
from customai.targets.azure_errors import innermost_code
from customai.targets.azure_power import stands_still, switched
from customai.targets.azure_wait import ENDED, IN_USE, Followed, Tries, state_of
from customai.targets.base import Begun

OWNER = "customai:deployment"  # the tag of everything that can carry tags
UNREGISTERED = {"MissingSubscriptionRegistration", "MissingRegistrationForLocation", "NoRegisteredProviderFound"}
KEPT_VAULT = {"ConflictError", "VaultAlreadyExists"}
PROVIDERS = "2021-04-01"
ASSIGNMENTS = "2022-04-01"


def differing(kind: str, wanted: Json, found: Json) -> Iterator[Difference]:
    """How a resource differs from what was asked for; what is Azure's own to change is no difference."""
    module = import_module(KINDS[kind])
    passed_over = (*own(kind, wanted), *getattr(module, "TOLD", ()))
    if shared := getattr(module, "SHARED", None):
        found = only(wanted, found, shared)
    if others := getattr(module, "OTHERS", None):
        found = besides(found, *others)
    return (each for each in differences(wanted, found) if not is_at(each.place, passed_over))


def outputs_of(kind: str, resource: Json) -> Json:
    """What later steps may refer to: the kind's OUTPUTS, out of Azure's answer."""
    places: dict[str, str] = import_module(KINDS[kind]).OUTPUTS
    found = {"id": resource.get("id")}
    for name, place in places.items():
        value = resource
        for key in place.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if value is None:
            raise RunFailed(f"Azure's answer has no {place}", where=str(found["id"]), hint="run the same command again")
        found[name] = value
    return found


def own(kind: str, wanted: Json) -> tuple[str, ...]:
    """The places of what is Azure's own to change; a number of nodes is not where no autoscaler is asked for."""
    asked = wanted.get("properties") or {}
    return () if asked.get("enableAutoScaling") is False else getattr(import_module(KINDS[kind]), "OWN", ())


def fixed(kind: str, ways: list[Difference]) -> list[Difference]:
    """Of these differences, those that no request can do away with."""
    return [each for each in ways if is_at(each.place, getattr(import_module(KINDS[kind]), "FIXED", ()))]


def cannot_change(step_id: str, ways: list[Difference]) -> Conflict:
    what = "; ".join(f"{each.place} is {told(each.found)}, not {told(each.wanted)}" for each in ways)
    hint = "put the old value back, or destroy first: customai destroy, then customai deploy"
    return Conflict(f"this cannot be changed once it is there: {what}", where=step_id, hint=hint)


def told(value: Json) -> str:
    """A value in few words; what is long is not shown."""
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def is_ours(wanted: Json, found: Json) -> bool:
    """Whether this deployment made it; what carries no tags hangs on something that does."""
    mine = (wanted.get("tags") or {}).get(OWNER)
    return mine is None or (found.get("tags") or {}).get(OWNER) == mine


class Resource:
    def __init__(self, followed: Followed, step: Step, request: Json) -> None:
        self.followed, self.step = followed, step
        self.arm, self.watch, self.pace = followed.arm, followed.watch, followed.pace
        self.method, self.url, self.body = request["method"], request["url"], request["body"]
        self.registered: set[str] = set()

    def brought_about(self) -> Json:
        """The resource as it is asked for.

        After each request that was refused, or got no answer, the resource is read again: it may be as wanted by now.
        """
        tries = Tries(self.step.id, self.watch, self.pace)
        while True:
            found = self._settled()
            if self._woken(found):
                continue
            ways = self._ways(found)
            if found is not None and not ways and state_of(found) not in ("failed", "canceled"):
                return found
            self._may_be_sent(found, ways)
            try:
                self._seen_to_its_end(self._sent(found))
            except Begun:
                raise
            except Exception as error:  # noqa: BLE001 (what is no error of Azure's is raised as it is)
                if (other := self._instead(error)) is not None:
                    return other
                if not self._mended(error):
                    tries.again(error)
                continue
            if (made := self._settled()) is not None:
                return made

    def is_to_go(self, *, made: bool) -> bool:
        """Whether it is there, and ours to take away; `made`: whether we know that we have made it."""
        found = self.followed.found()
        return found is not None and (made or is_ours(self.body, found))

    def taken_away(self, *, made: bool) -> None:
        """Deletes it and waits until it is gone; `made`: whether we know that we have made it."""
        if self.method == "PATCH" or getattr(import_module(KINDS[self.step.kind]), "PART", False):
            return  # it goes with what it is a part of
        tries = Tries(self.step.id, self.watch, self.pace, also=IN_USE)
        while True:
            found = self.followed.found()
            if found is None or not (made or is_ours(self.body, found)):
                return
            try:
                if state_of(found) != "deleting":
                    self.followed.ended(self.arm.delete(self._url_of_the_end()))
            except Exception as error:  # noqa: BLE001 (what is no error of Azure's is raised as it is)
                tries.again(error)
                continue
            self.followed.gone()
            return

    def _url_of_the_end(self) -> str:
        more = getattr(import_module(KINDS[self.step.kind]), "DELETED_WITH", "")
        return f"{self.url}&{more}" if more else self.url

    def _settled(self) -> Json:
        """The resource once nothing goes on with it.

        Raises:
            Begun: something does, and nobody waits for it.
        """
        if self.watch.wait:
            return self.followed.settled()
        found = self.followed.found()
        if found is not None and state_of(found) not in ENDED:
            raise Begun
        return found

    def _seen_to_its_end(self, operation: Operation) -> None:
        if self.watch.wait:
            self.followed.ended(operation)
        elif not operation.ended(0):
            raise Begun
        else:
            operation.result()

    def _woken(self, found: Json) -> bool:
        """Whether it stood still, and was started: nothing else can be asked of it before."""
        if found is None or not is_ours(self.body, found) or not stands_still(self.followed, self.step.kind, found):
            return False
        return switched(self.followed, self.step.kind, on=True)

    def _ways(self, found: Json) -> list[Difference]:
        return [] if found is None else list(differing(self.step.kind, self.body, found))

    def _may_be_sent(self, found: Json, ways: list[Difference]) -> None:
        if found is None:
            if self.method == "PATCH":
                raise NotFound("what is to be changed is not there", where=self.step.id, hint="deploy again")
            return
        if not is_ours(self.body, found):
            name = Address.of(self.url).id.rpartition("/")[2]
            hint = "choose another `name` in the spec (or azure.resource_group), or delete it yourself"
            raise Conflict(f"'{name}' is there already, and customai did not make it", where=self.step.id, hint=hint)
        if unchangeable := fixed(self.step.kind, ways):
            raise cannot_change(self.step.id, unchangeable)

    def _sent(self, found: Json) -> Operation:
        if self.method == "PATCH":
            return self.arm.patch(self.url, self.body)
        return self.arm.put(
            self.url, self.body if found is None else without(self.body, own(self.step.kind, self.body))
        )

    def _mended(self, error: Exception) -> bool:
        """Does away with what stands in the way, once; whether there was something to do away with."""
        code = innermost_code(error)
        if code == "RoleAssignmentUpdateNotPermitted" and code not in self.registered:
            self.registered.add(code)  # ours, of an identity that has been made anew since
            self.taken_away(made=True)
            return True
        if code == "TriggerEnabledCannotUpdate" and code not in self.registered:
            self.registered.add(code)
            azure_factory.stopped(self.followed)
            return True
        if code in KEPT_VAULT and self.step.kind == "key_vault" and code not in self.registered:
            self.registered.add(code)  # deleted, and its name is still taken: it is brought back
            self.body = self.body | {"properties": self.body["properties"] | {"createMode": "recover"}}
            return True
        namespace = self._namespace(error)
        if code not in UNREGISTERED or namespace in self.registered:
            return False
        self.registered.add(namespace)
        self._register(namespace)
        return True

    def _namespace(self, error: Exception) -> str:
        named = re.search(r"Microsoft\.[A-Za-z]+", str(error))
        return named[0] if named else Address.of(self.url).type.split("/")[0]

    def _register(self, namespace: str) -> None:
        path = f"/subscriptions/{self.arm.subscription}/providers/{namespace}"
        self.watch.report(f"your subscription has never used {namespace}: registering it")
        tries = Tries(self.step.id, self.watch, self.pace)
        tries.until(lambda: self.arm.ask("POST", f"{path}/register?api-version={PROVIDERS}"))
        self.followed.until(
            lambda: tries.until(lambda: self.arm.ask("GET", f"{path}?api-version={PROVIDERS}"))["registrationState"],
            "Registered",
        )

    def _instead(self, error: Exception) -> Json:
        """The assignment of the same role to the same principal that somebody else has made; None in all other cases."""
        if self.step.kind != "role" or innermost_code(error) != "RoleAssignmentExists":
            return None
        scope = self.url.rpartition("/providers/Microsoft.Authorization/")[0]
        path = f"{scope}/providers/Microsoft.Authorization/roleAssignments?$filter=atScope()&api-version={ASSIGNMENTS}"
        wanted = self.body["properties"]
        for each in self.followed.patiently(lambda: list(self.arm.every(path))):
            found = each["properties"]
            same = all(_same(found, wanted, name) for name in ("principalId", "roleDefinitionId"))
            if same and str(found.get("scope", scope)).lower() == scope.lower():
                self.watch.report("somebody has given this role already")
                return each
        return None


def _same(found: Json, wanted: Json, name: str) -> bool:
    last = [str(each.get(name, "")).rpartition("/")[2].lower() for each in (found, wanted)]
    return last[0] == last[1]
