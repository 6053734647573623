"""A key vault, which Azure ML keeps its secrets in: access by roles alone, and nothing in it can be lost for a week."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.KeyVault/vaults"
OUTPUTS = {"uri": "properties.vaultUri"}
# A deleted vault holds its name for so long: the shortest that there is, as it cannot be purged before.
KEPT_DAYS = 7


def step(id_: str, *, place: Json, tenant: Json, after: tuple[str, ...], why: str) -> Step:
    """The step that makes the vault, in the tenant of this id (usually a reference: a plan does not know it)."""
    inputs = {"place": place, "name": azure_names.key_vault(place), "tenant": tenant}
    return Step(id_, "put", "key_vault", "store", inputs, after, why)


def id_of(place: Json) -> str:
    return azure_names.resource_id(place, TYPE, azure_names.key_vault(place))


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    properties = {
        "tenantId": inputs["tenant"],
        "sku": {"family": "A", "name": "standard"},
        "accessPolicies": [],
        "enableRbacAuthorization": True,
        "enableSoftDelete": True,
        "softDeleteRetentionInDays": KEPT_DAYS,
        "enablePurgeProtection": True,
        # Waivers CKV_AZURE_109, 189: Azure ML's service reaches it from outside of any network of ours.
        "publicNetworkAccess": "Enabled",
        "networkAcls": {"defaultAction": "Allow", "bypass": "AzureServices"},
    }
    return put(azure_names.resource_id(place, TYPE, inputs["name"]), azure_names.tracked(place, properties))
