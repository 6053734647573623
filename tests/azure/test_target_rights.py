"""A right that is missing when it is destroyed: told by the action's name, in a state from which destroy goes on."""

from __future__ import annotations

from typing import Any

import pytest

from customai import engine
from customai.errors import Forbidden
from customai.journal import Journal
from customai.ui import Silent
from tests.azure.simulator import Simulator, faults

pytest.importorskip("azure.mgmt.compute", reason="the extra azure is not installed")
from tests.azure import driven as module


@pytest.mark.parametrize(
    ("path", "type_", "action"),
    [
        ("1-1", "Microsoft.Compute/virtualMachines", "Microsoft.Compute/virtualMachines/delete"),
        ("2-5", "Microsoft.Authorization/roleAssignments", "Microsoft.Authorization/roleAssignments/delete"),
    ],
)
def test_destroy_names_the_action_that_is_not_allowed_and_goes_on_once_it_is(
    azure: Simulator, driven: Any, path: str, type_: str, action: str
) -> None:
    one = driven(path, without=module.BESIDE)
    one.deploy()
    azure.fault(faults.authorization_failed(action, method="DELETE", type=type_, times=99))
    journal = Journal.read(one.folder)
    assert journal is not None
    results = engine.down(one.target(), Journal.start(one.folder, journal.header), Silent())
    refused = [each.error for each in results if each.error is not None]
    assert refused
    assert all(isinstance(error, Forbidden) and action in error.message for error in refused)
    skipped = {each.step.id for each in results if each.action == "skipped"}
    assert "group" in skipped  # what holds something that stays, stays
    azure.calm()
    assert set(one.destroy(sweep=False).values()) == {"deleted"}
    assert azure.standing() == []


def test_a_group_that_one_may_not_delete_is_told_and_nothing_is_forgotten(azure: Simulator, driven: Any) -> None:
    one = driven("1-1", without=module.BESIDE)
    made = set(one.deploy())
    action = "Microsoft.Resources/subscriptions/resourceGroups/delete"
    azure.fault(faults.authorization_failed(action, method="DELETE", type="Microsoft.Resources/resourceGroups"))
    with pytest.raises(Forbidden, match=action):
        one.destroy()
    journal = Journal.read(one.folder)
    assert journal is not None
    assert set(journal.known) == made
    assert set(one.destroy().values()) == {"deleted"}
    assert azure.standing() == []
