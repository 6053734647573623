"""A stateful Azure Resource Manager on loopback, for tests: real HTTP, so that the real SDK clients talk to it.

    with Simulator() as azure:
        client = ComputeManagementClient(credential, SUBSCRIPTION, base_url=azure.url, per_call_policies=[PlainHttp()], ...)
        azure.fault(faults.throttled(nth=3))
        ...
        assert azure.log.puts() == [...]

What is where:

    table.py    a row per resource type: shapes of its answers, name rule, nested types, actions, durations
    filled.py   what Azure fills in            catalog.py  regions, sizes, quota, images, roles: for tests to change
    rules.py    what Azure refuses             effects.py  what making and deleting one thing does to others
    cloud.py    PUT, PATCH, GET, DELETE, POST, and operations that go on; lazy in time, one lock
    reads.py    what is read and is no resource, lists, polls            view.py  a resource as a GET shows it
    faults.py   what goes wrong, by rule       log.py      every request
    jobs.py     jobs of Azure ML: states, run history, what they leave; invocations of a batch endpoint
    web.py      apps of Functions, and the place that their code is published to
    runs.py     builds of a registry           kubernetes.py  the API of clusters (kubernetes_apply.py, kubernetes_life.py)
    databricks.py  the API of Databricks workspaces
    server.py   HTTP, hooks, faults            control.py  the same from another process (python -m tests.azure.simulator)
    recordings.py  real traffic, sent again    samples.py  small bodies for tests
"""

from __future__ import annotations

from .catalog import CALLER, SUBSCRIPTION, TENANT, Catalog, Size
from .cloud import Cloud
from .control import Remote
from .errors import ArmError
from .faults import Fault
from .log import Entry, Log
from .server import Simulator

__all__ = [
    "CALLER",
    "SUBSCRIPTION",
    "TENANT",
    "ArmError",
    "Catalog",
    "Cloud",
    "Entry",
    "Fault",
    "Log",
    "Remote",
    "Simulator",
    "Size",
]
