"""Who deploys, from where: the login's own token says who, a service on the internet from which address."""

from __future__ import annotations

import ipaddress
import os
import re
import urllib.error
import urllib.request
from typing import Any

from customai.errors import NotAvailable, SpecError, TargetError
from customai.model import Json, Step
from customai.targets.azure_arm import Arm
from customai.targets.azure_wait import Tries
from customai.targets.base import Observed, Watch

ADDRESS_SERVICE = "https://api.ipify.org"  # answers with the address that it sees, and nothing else
ADDRESS_VARIABLE = "CUSTOMAI_ADDRESS_SERVICE"
TYPES = {"user": "User", "app": "ServicePrincipal"}


def read(step: Step, outputs: Json, arm: Arm) -> Observed:
    """Whether whoever asks now is where, and who, they were."""
    if outputs is None:
        return Observed(present=False, as_left=False)
    now = _answers(step.inputs["ask"], arm, step.id, Watch())
    differing = [
        {"property": name, "wanted": outputs.get(name), "found": found}
        for name, found in now.items()
        if found != outputs.get(name)
    ]
    return Observed(present=True, as_left=not differing, detail={"state": "", "differences": differing})


def apply(step: Step, inputs: Json, digest: str, arm: Arm, watch: Watch) -> Json:
    del digest  # asking again does no work twice
    return _answers(inputs["ask"], arm, step.id, watch)


def delete(step: Step, outputs: Json, arm: Arm) -> None:
    """There is nothing of it in Azure."""


def _answers(ask: list[str], arm: Arm, where: str, watch: Watch) -> Json:
    found: dict[str, Any] = {}
    if "address_prefix" in ask:
        found["address_prefix"] = f"{_address(where)}/32"
    if {"object_id", "object_type", "tenant_id"} & set(ask):
        claims = Tries(where, watch, arm.pace).until(arm.claims)
        kind = TYPES.get(str(claims.get("idtyp")), "User" if "scp" in claims else "ServicePrincipal")
        found |= {"object_id": claims["oid"], "object_type": kind, "tenant_id": claims.get("tid", "")}
    return {name: found[name] for name in ask}


def _address(where: str) -> str:
    service = os.environ.get(ADDRESS_VARIABLE) or ADDRESS_SERVICE
    if not re.match(r"https://|http://127\.0\.0\.1:", service):
        raise SpecError(f"{ADDRESS_VARIABLE} is no https address", where=service)
    hint = "name the addresses that may come in: azure.allow_from in the spec"
    try:
        with urllib.request.urlopen(service, timeout=15) as answer:
            text = answer.read(100).decode("ascii", errors="replace").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise TargetError(
            f"the address from which the internet sees this machine is not known: {service}: {reason}",
            where=where,
            hint=hint,
        ) from None
    try:
        found = ipaddress.IPv4Address(text)
    except ValueError:
        raise NotAvailable(f"{service} answers with no IPv4 address: {text[:60]}", where=where, hint=hint) from None
    if not found.is_global:
        raise NotAvailable(f"{service} says {found}, which is no public address", where=where, hint=hint)
    return str(found)
