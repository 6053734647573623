"""Names and ids: pure functions of subscription, group and deployment, within Azure's own rules."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customai.errors import SpecError
from customai.paths.azure_online import deployment_of
from customai.provisioning import (
    aks,
    azure_names,
    identity,
    interface,
    log_workspace,
    namespace,
    nat_gateway,
    network,
    node_pool,
    public_ip,
    registry,
    security_group,
)
from customai.provisioning.api_versions import API_VERSIONS, BATCH_AI, type_of

PLACE = azure_names.place(subscription=None, group="customai-digits", region="eastus", deployment="digits")
DEPLOYMENTS = st.from_regex(r"[a-z][a-z0-9-]{0,30}[a-z0-9]", fullmatch=True)

RIGHT_AND_WRONG = [  # of facts/names-and-errors.md
    *(
        (f"Microsoft.BatchAI/workspaces{each}", ["a", "a-b_1", "a" * 64], ["", "a" * 65, "a.b", "a b"])
        for each in BATCH_AI
    ),
    ("Microsoft.ContainerRegistry/registries", ["abcde", "A" * 50], ["abcd", "a" * 51, "a-bcd", "ab_cde", "äbcde"]),
    (aks.TYPE, ["a", "a-b", "a" * 63, "a_b"], ["", "a" * 64, "-a", "a-", "_a"]),
    (node_pool.TYPE, ["a", "pool1", "a" * 12], ["", "a" * 13, "1a", "Pool", "a-b"]),
    (namespace.TYPE, ["a", "a-b", "a" * 63], ["a" * 64, "-a", "A", "a.b"]),
    ("Microsoft.Compute/virtualMachines", ["a", "a-b", "a" * 64], ["", "a" * 65, "-a", "a-", "a/b"]),
    (identity.TYPE, ["abc", "a" * 128, "id-a_b"], ["ab", "a" * 129, "-abc"]),
    (log_workspace.TYPE, ["abcd", "log-a", "a" * 63], ["abc", "a" * 64, "log-", "log_a"]),
    (network.TYPE, ["ab", "a" * 64, "vnet-a_"], ["a", "a" * 65, "-ab", "ab-"]),
    (security_group.TYPE, ["a", "a" * 80, "nsg-a_"], ["", "a" * 81, "_a", "a-"]),
    (public_ip.TYPE, ["a", "pip.a"], ["a" * 81, "a."]),
    (nat_gateway.TYPE, ["a"], ["a-"]),
    (interface.TYPE, ["a"], ["-a"]),
    ("Microsoft.DataFactory/factories", ["abc", "a-b", "a" * 63], ["ab", "a" * 64, "-ab", "a_b"]),
    ("Microsoft.Insights/components", ["a", "appi-a.b(c)", "a" * 260], ["", "a" * 261, "a/b"]),
    ("Microsoft.KeyVault/vaults", ["abc", "kv-a-1", "a" * 24], ["ab", "a" * 25, "1ab", "a--b", "ab-"]),
    ("Microsoft.MachineLearningServices/workspaces", ["abc", "ml-a", "a" * 33], ["ab", "a" * 34, "-ab", "a_b"]),
    (
        "Microsoft.MachineLearningServices/workspaces/computes",
        ["abc", "nodes-c1", "a" * 16],
        ["ab", "a" * 17, "a-1", "1ab", "ab-"],
    ),
    ("Microsoft.MachineLearningServices/workspaces/jobs", ["a", "train-1_2", "a" * 255], ["", "a" * 256, "a.b"]),
    *(
        (
            f"Microsoft.MachineLearningServices/workspaces/{each}",
            ["abc", "a-b1", "a" * 32],
            ["ab", "a" * 33, "1ab", "a--b", "ab-"],
        )
        for each in ("batchEndpoints", "batchEndpoints/deployments", "onlineEndpoints", "onlineEndpoints/deployments")
    ),
    ("Microsoft.Databricks/accessConnectors", ["abc", "a_b-1", "a" * 64], ["ab", "a" * 65, "a.b"]),
    ("Microsoft.Databricks/workspaces", ["abc", "a_b-1", "a" * 30], ["ab", "a" * 31, "a.b"]),
    ("Microsoft.Web/serverfarms", ["a", "a-B1", "a" * 60], ["", "a" * 61, "a_b"]),
    ("Microsoft.Web/sites", ["ab", "a-B1", "a" * 60], ["a", "a" * 61, "-ab", "ab-", "a_b"]),
    ("Microsoft.Storage/storageAccounts", ["abc", "0bc", "a" * 24], ["ab", "a" * 25, "aBc", "a-b"]),
    (
        "Microsoft.Storage/storageAccounts/blobServices/containers",
        ["abc", "a-b", "0" * 63],
        ["ab", "a" * 64, "a--b", "-ab"],
    ),
    ("Microsoft.Resources/resourceGroups", ["a", "(a)", "a" * 90, ".a"], ["", "a" * 91, "a.", "a/b", "a b"]),
]


@pytest.mark.parametrize(("type_", "right", "wrong"), RIGHT_AND_WRONG, ids=[row[0] for row in RIGHT_AND_WRONG])
def test_names_are_held_to_azures_rules(type_, right, wrong):
    assert [name for name in right if not azure_names.fits(type_, name)] == []
    assert [name for name in wrong if azure_names.fits(type_, name)] == []


def test_every_rule_has_its_case():
    assert {row[0] for row in RIGHT_AND_WRONG} == set(azure_names.RULES)


def test_a_name_too_long_is_told_before_anything_is_made():
    with pytest.raises(SpecError, match=r"Azure does not take 'a{65}' \(65 characters\) as a name in virtualMachines"):
        azure_names.resource_id(PLACE, "Microsoft.Compute/virtualMachines", "a" * 65)


@given(DEPLOYMENTS)
def test_every_deployment_that_a_spec_can_name_has_names_for_what_azure_ml_needs(deployment):
    place = azure_names.place(subscription=None, group="g", region="eastus", deployment=deployment)
    learning = "Microsoft.MachineLearningServices/workspaces"
    for name, type_ in (
        (azure_names.storage, "Microsoft.Storage/storageAccounts"),
        (azure_names.key_vault, "Microsoft.KeyVault/vaults"),
        (azure_names.data_factory, "Microsoft.DataFactory/factories"),
        (azure_names.ml_workspace, learning),
        (azure_names.ml_compute, f"{learning}/computes"),
        (azure_names.ml_endpoint, f"{learning}/onlineEndpoints"),
    ):
        assert azure_names.fits(type_, name(place)), name(place)
        assert name(place) == name(dict(place)), "it is the same each time"


@given(st.from_regex(r"[\w.-]{1,64}", fullmatch=True))
def test_every_version_of_a_model_has_a_name_for_its_deployment(version):
    type_ = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments"
    assert azure_names.fits(type_, deployment_of(version)), deployment_of(version)


def test_versions_that_are_spelt_alike_are_other_deployments():
    alike = ["1.0", "1-0", "1_0", "A", "a", "1" * 30, "1" * 31]
    assert len({deployment_of(version) for version in alike}) == len(alike)


@given(DEPLOYMENTS)
def test_every_deployment_that_a_spec_can_name_has_a_name_for_its_registry(deployment):
    place = azure_names.place(subscription=None, group="g", region="eastus", deployment=deployment)
    name = azure_names.registry(place)
    assert azure_names.fits(registry.TYPE, name)
    assert name == azure_names.registry(dict(place)), "it is the same each time"


def test_registries_of_other_subscriptions_or_deployments_have_other_names():
    def named(subscription, deployment):
        place = azure_names.place(subscription=subscription, group="g", region="eastus", deployment=deployment)
        return azure_names.registry(place)

    one, two = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
    assert len({named(one, "digits"), named(two, "digits"), named(one, "other"), named(one, "dig-its")}) == 4
    assert named(one, "digits") == named(one.upper(), "digits")


def test_ids_are_written_out_from_names():
    found = azure_names.resource_id(PLACE, node_pool.TYPE, "digits", "scoring")
    assert found == (
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/customai-digits"
        "/providers/Microsoft.ContainerService/managedClusters/digits/agentPools/scoring"
    )
    assert type_of(found) == node_pool.TYPE
    assert type_of(azure_names.group_id(PLACE)) == "Microsoft.Resources/resourceGroups"
    assert type_of(f"{found}/providers/Microsoft.Authorization/roleAssignments/x") == (
        "Microsoft.Authorization/roleAssignments"
    )


def test_guids_are_the_same_for_the_same_words():
    assert azure_names.guid("/scope", "Role", "who") == azure_names.guid("/SCOPE", "role", "who")
    assert azure_names.guid("/scope", "Role", "who") != azure_names.guid("/scope", "Role", "else")
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", azure_names.guid("a"))


def test_tag_names_are_ones_that_azure_takes():
    assert not [name for name in azure_names.tags(PLACE) if set(name) & set("<>%&\\?/")]


@pytest.mark.parametrize("type_", API_VERSIONS)
def test_api_versions_are_finished_ones(type_):
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", API_VERSIONS[type_])
