"""The kinds of things a step can make: one module each, pure functions from neutral inputs to a target's request.

A kind's module builds its neutral step for the paths (`step`), and has one function per target it exists on, named
after the target (`local`), that lowers the step's inputs to that target's request.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from customai.model import Json

KINDS = {
    "aks": "customai.provisioning.aks",
    "caller": "customai.provisioning.caller",
    "disk_access": "customai.provisioning.disk_access",
    "dsvm": "customai.provisioning.dsvm",
    "endpoint": "customai.provisioning.endpoint",
    "identity": "customai.provisioning.identity",
    "image": "customai.provisioning.image",
    "interface": "customai.provisioning.interface",
    "job": "customai.provisioning.job",
    "kubernetes": "customai.provisioning.kubernetes",
    "log_workspace": "customai.provisioning.log_workspace",
    "maintenance": "customai.provisioning.maintenance",
    "model": "customai.provisioning.model",
    "namespace": "customai.provisioning.namespace",
    "nat_gateway": "customai.provisioning.nat_gateway",
    "network": "customai.provisioning.network",
    "node_pool": "customai.provisioning.node_pool",
    "public_ip": "customai.provisioning.public_ip",
    "registry": "customai.provisioning.registry",
    "resource_group": "customai.provisioning.resource_group",
    "role": "customai.provisioning.role",
    "schedule": "customai.provisioning.schedule",
    "security_group": "customai.provisioning.security_group",
    "smoke_test": "customai.provisioning.smoke_test",
    "stream": "customai.provisioning.stream",
}


def lowering(kind: str, target: str) -> Callable[[Json], Json] | None:
    """How this kind is asked of this target; None where it does not exist there."""
    return cast("Callable[[Json], Json] | None", getattr(import_module(KINDS[kind]), target, None))
