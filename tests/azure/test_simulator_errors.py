"""The simulator's errors have the code, the status and the form of the real ones."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.azure.simulator import ArmError, errors, rules
from tests.azure.simulator.table import TYPES

G = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network"
REGISTRIES = TYPES["microsoft.containerregistry/registries"]


def in_use(kind: str) -> ArmError:
    row = TYPES[f"microsoft.network/{kind.lower()}"]
    assert row.in_use is not None
    status, code, message = row.in_use
    return ArmError(status, code, message.format(id=f"{G}/{kind}/x", name="x", by=f"{G}/other/y"), details=[])


MADE = [
    errors.not_found("Microsoft.ContainerService/managedClusters", "k", "g"),
    errors.group_not_found("g"),
    errors.cluster_not_found("k", "s", "g"),
    errors.unregistered("Microsoft.Relay"),
    errors.principal_not_found("66b6afbe-9b37-48e5-9dc0-c263551ce320", "72f988bf-86f1-41af-91ab-2d7cd011db47"),
    errors.authorization_failed("Microsoft.Authorization/roleAssignments/write", G),
    errors.another_operation("f29edd04-6048-4119-9a5c-908d89462843"),
    errors.token_expired(),
    errors.server_error(),
    errors.unknown_type("Microsoft.Network", "2020-07-01"),
    rules.taken(REGISTRIES, "images"),
    ArmError(409, "RoleAssignmentExists", "The role assignment already exists."),
    in_use("networkInterfaces"),
    in_use("networkSecurityGroups"),
    in_use("publicIPAddresses"),
    in_use("virtualNetworks/subnets"),
]


def words(text: str) -> set[str]:
    """The words of a message that are not names, numbers or paths."""
    return set(re.findall(r"[a-z]{4,}", re.sub(r"'[^']*'|/\S+|\S+\d\S*", "", text)))


def recorded(shared: Path, code: str) -> list[tuple[int, dict[str, Any]]]:
    found = []
    for line in (shared / "errors.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["code"] == code:
            with contextlib.suppress(ValueError):  # long bodies are cut short in the file
                found.append((row["status"], json.loads(row["body"])))
    return found


@pytest.mark.parametrize("made", MADE, ids=lambda one: one.code)
def test_errors_are_as_recorded(shared: Path, made: ArmError) -> None:
    real = recorded(shared, made.code)
    assert real, "not recorded"
    body = json.loads(made.body)
    near = [one for status, one in real if status == made.status and ("error" in one) == ("error" in body)]
    assert near, f"recorded only as {[(status, sorted(one)) for status, one in real]}"
    inner = body.get("error", body)
    alike = [
        one
        for one in (body.get("error", body) for body in near)
        if set(one) - {"target"} <= set(inner) | {"details"}
        and len(words(one.get("message", "")) & words(inner["message"])) >= 0.7 * len(words(one.get("message", "")))
    ]
    assert alike, f"{inner}\nis not like\n{near}"


def test_a_page_of_html_is_as_recorded(shared: Path) -> None:
    pages = [row for row in map(json.loads, (shared / "errors.jsonl").read_text().splitlines()) if row["status"] == 503]
    assert pages
    for page in pages:
        assert page["body"][:100] == errors.HTML_503[:100]
        assert "Our services aren't available right now" in page["body"]


@pytest.mark.parametrize(
    "made",
    [
        errors.core_quota("Standard NCASv3_T4 Family", "eastus", 100, 96, 64),
        errors.aks_quota("k", "g", "Standard NCASv3_T4 Family", "eastus", 100, 96, 64),
        errors.sku_not_available("Standard_B1s", "eastus"),
        errors.throttled(120),
    ],
    ids=lambda one: one.code,
)
def test_quota_and_sku_errors_are_as_reported(shared: Path, made: ArmError) -> None:
    items = json.loads((shared / "quota-and-sku-errors.json").read_text())["items"]
    real = next(one for one in items if one["code"] == made.code)
    assert str(made.status) in str(real["http"])
    body = json.loads(made.body)
    assert ("error" in body) == ("error" in real["shape"])
    theirs, mine = real["shape"].get("error", real["shape"]), body.get("error", body)
    assert set(theirs) <= set(mine)
    assert words(theirs["message"]) - words(mine["message"]) <= {"family", "container", "service"}
