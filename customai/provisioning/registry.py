"""A container registry, where the deployment's images are built and kept."""

from __future__ import annotations

from customai.model import Json, Step
from customai.provisioning import azure_names
from customai.provisioning.api_versions import put

TYPE = "Microsoft.ContainerRegistry/registries"
OUTPUTS = {"login_server": "properties.loginServer"}


def step(id_: str, *, place: Json, tier: str, after: str, why: str) -> Step:
    """The step that makes the registry; tier is basic, standard or premium."""
    inputs = {"place": place, "name": azure_names.registry(place), "tier": tier}
    return Step(id_, "put", "registry", "registry", inputs, (after,), why)


def id_of(place: Json) -> str:
    return azure_names.resource_id(place, TYPE, azure_names.registry(place))


def azure(inputs: Json) -> Json:
    place = inputs["place"]
    properties = {
        "adminUserEnabled": False,
        "anonymousPullEnabled": False,
        # Tokens for Azure as a whole are refused: one that leaks elsewhere opens nothing here.
        "policies": {"azureADAuthenticationAsArmPolicy": {"status": "disabled"}},
        # Waivers CKV_AZURE_139, 233: a private registry needs Premium, and a way in for whoever builds.
        "publicNetworkAccess": "Enabled",
    }
    body = azure_names.tracked(place, properties, sku={"name": inputs["tier"].capitalize()})
    return put(azure_names.resource_id(place, TYPE, inputs["name"]), body)
