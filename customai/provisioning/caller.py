"""Who deploys, from where: not known offline, so it is asked when the plan is carried out."""

from __future__ import annotations

from customai.model import Json, Step

# Known only to the target: from what address Azure sees us (IPv4, as a /32), and who we are in the tenant.
OUTPUTS = {"address_prefix": "", "object_id": "", "object_type": "", "tenant_id": ""}


def step(id_: str, *, ask: tuple[str, ...], why: str) -> Step:
    """The step that finds out; `ask` names which of OUTPUTS somebody refers to."""
    return Step(id_, "run", "caller", "scope", {"ask": list(ask)}, why=why)


def azure(inputs: Json) -> Json:
    return dict(inputs)
