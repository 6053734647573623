"""Unity Catalog's objects over one container, by names that are ours: what is there is kept, and taken away in the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from customai.errors import Conflict, NotAvailable
from customai.model import Json, Step
from customai.targets.azure_arm import Arm
from customai.targets.azure_databricks import NEW_ROLE, Workspace
from customai.targets.base import Observed, Watch


def read(step: Step, outputs: Json, arm: Arm) -> Observed:
    del outputs
    storage = _Storage(step, step.inputs, arm, Watch())
    if storage.client() is None:
        return Observed(present=False, as_left=False)
    found = [storage.found(each) for each in storage.parts()]
    ways = [
        {"property": "url", "wanted": storage.url, "found": there.storage_location}
        for there in found[2:]
        if there is not None and there.storage_location.rstrip("/") != storage.url
    ]
    is_whole = all(each is not None for each in found)
    return Observed(is_whole, is_whole and not ways, {"state": "", "differences": ways})


def apply(step: Step, inputs: Json, digest: str, arm: Arm, watch: Watch) -> Json:
    del digest  # its objects are known by their names
    storage = _Storage(step, inputs, arm, watch)
    storage.there()
    for part in storage.parts():
        storage.brought_about(part)
    return {"path": f"/Volumes/{storage.place().replace('.', '/')}"}


def delete(step: Step, outputs: Json, arm: Arm) -> None:
    del outputs
    storage = _Storage(step, step.inputs, arm, Watch())
    if storage.client() is not None:
        for part in reversed(storage.parts()):
            storage.taken_away(part)


class _Part:
    """One of the three: how it is read, made and deleted."""

    def __init__(self, name: str, read: Callable[[], Any], make: Callable[[], Any], delete: Callable[[], Any]) -> None:
        self.name, self.read, self.make, self.delete = name, read, make, delete


class _Storage(Workspace):
    def __init__(self, step: Step, inputs: Json, arm: Arm, watch: Watch) -> None:
        super().__init__(step, inputs, arm, watch)
        self.name, self.comment = inputs["name"], inputs["comment"]
        self.url = str(inputs["location"]).rstrip("/")
        self._place = ""

    def place(self) -> str:
        """CATALOG.SCHEMA.NAME of the volume, in the workspace's own catalog."""
        if not self._place:
            catalog = self.until(self.there().metastores.current).default_catalog_name
            if not catalog or catalog == "hive_metastore":
                hint = "an account admin enables it: https://learn.microsoft.com/azure/databricks/data-governance/unity-catalog"
                raise NotAvailable("the workspace has no Unity Catalog", where=self.step.id, hint=hint)
            self._place = f"{catalog}.{self.inputs['schema']}.{self.name}"
        return self._place

    def parts(self) -> list[_Part]:
        """In the order in which they are made."""
        from databricks.sdk.service.catalog import AzureManagedIdentityRequest, VolumeType

        client, place = self.there(), self.place()
        catalog, schema, _ = place.split(".")
        identity = AzureManagedIdentityRequest.from_dict(self.inputs["credential"]["azure_managed_identity"])
        more = {"name": self.name, "comment": self.comment}
        location = {"url": self.url, "credential_name": self.name}
        volume = {"catalog_name": catalog, "schema_name": schema, "volume_type": VolumeType.EXTERNAL}
        credentials, locations, volumes = client.storage_credentials, client.external_locations, client.volumes
        return [
            _Part(
                "storage credential",
                lambda: credentials.get(self.name),
                lambda: credentials.create(azure_managed_identity=identity, **more),
                lambda: credentials.delete(self.name, force=True),
            ),
            _Part(
                "external location",
                lambda: locations.get(self.name),
                lambda: locations.create(**location, **more),
                lambda: locations.delete(self.name, force=True),
            ),
            _Part(
                "volume",
                lambda: volumes.read(place),
                lambda: volumes.create(**volume, storage_location=self.url, **more),
                lambda: volumes.delete(place),
            ),
        ]

    def found(self, part: _Part) -> Any:
        from databricks.sdk.errors import NotFound

        try:
            return self.until(part.read)
        except NotFound:
            return None

    def brought_about(self, part: _Part) -> None:
        """A request that got no answer may have been heard: it is looked for before it is sent again."""

        def made() -> None:
            there = self.found(part)
            if there is None:
                part.make()
            elif there.comment != self.comment:
                hint = "choose another `name` in the spec, or delete it yourself"
                raise Conflict(
                    f"there is a {part.name} '{self.name}', and it is not ours", where=self.step.id, hint=hint
                )

        self.until(made, passes=NEW_ROLE)

    def taken_away(self, part: _Part) -> None:
        from databricks.sdk.errors import NotFound

        there = self.found(part)
        if there is None or there.comment != self.comment:
            return
        try:
            self.until(part.delete)
        except NotFound:
            return
