"""A storage account: data in and out, and what Azure ML keeps of its own. Entra only: it has keys, and takes none."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.Storage/storageAccounts"
OUTPUTS = {"blob_endpoint": "properties.primaryEndpoints.blob"}
FIXED = ("kind", "properties.isHnsEnabled")


def step(id_: str, *, place: Json, hierarchical: bool, after: str, why: str) -> Step:
    """The step that makes the account; a hierarchical one has folders (abfss://), which Azure ML's own cannot have."""
    inputs = {"place": place, "name": azure_names.storage(place), "hierarchical": hierarchical}
    return Step(id_, "put", "storage_account", "store", inputs, (after,), why)


def id_of(place: Json) -> str:
    return azure_names.resource_id(place, TYPE, azure_names.storage(place))


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    properties = {
        "supportsHttpsTrafficOnly": True,
        "minimumTlsVersion": "TLS1_2",
        "allowBlobPublicAccess": False,
        "allowSharedKeyAccess": False,
        "isLocalUserEnabled": False,
        "isHnsEnabled": inputs["hierarchical"],
        "sasPolicy": {"sasExpirationPeriod": "0.08:00:00", "expirationAction": "Log"},
        # Waivers CKV_AZURE_35, 36: whoever uploads from a laptop comes from the internet, with an Entra token.
        "networkAcls": {"defaultAction": "Allow", "bypass": "AzureServices"},
    }
    body = azure_names.tracked(place, properties, kind="StorageV2", sku={"name": "Standard_ZRS"})
    return put(azure_names.resource_id(place, TYPE, inputs["name"]), body)
