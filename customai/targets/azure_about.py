"""A plan, and what the subscription says about it: each thing is asked once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from customai.errors import CustomAIError
from customai.model import Json, Plan, Step
from customai.provisioning.machines import Machines, machines_of
from customai.targets.azure_arm import Arm, Pace
from customai.targets.azure_wait import Tries, ours
from customai.targets.base import Watch

COMPUTE, SKUS, ML = "2024-07-01", "2021-07-01", "2024-10-01"  # versions of what is asked
VIRTUAL_MACHINES = "/providers/Microsoft.Compute"


@dataclass
class About:
    """Without a plan, only what holds for any."""

    plan: Plan | None
    arm: Arm
    _sizes: dict[str, dict[str, Json]] = field(default_factory=dict)
    _usages: dict[str, list[Json]] = field(default_factory=dict)

    def asked(self, call: Callable[[], Any]) -> Any:
        try:
            return Tries("", Watch(), Pace(patience=30)).until(call)
        except CustomAIError:
            raise
        except Exception as error:
            raise ours(error, "") from error

    def get(self, path: str, version: str, more: str = "") -> Json:
        url = f"/subscriptions/{self.arm.subscription}{path}?api-version={version}{more}"
        return self.asked(lambda: self.arm.ask("GET", url))

    def every(self, path: str, version: str, more: str = "") -> list[Json]:
        url = f"/subscriptions/{self.arm.subscription}{path}?api-version={version}{more}"
        found: list[Json] = self.asked(lambda: list(self.arm.every(url)))
        return found

    @cached_property
    def requests(self) -> list[Step]:
        return [step for step in self.plan.steps if step.is_request] if self.plan is not None else []

    @cached_property
    def there(self) -> dict[str, Json]:
        """What is there already of the plan, by its step."""
        with ThreadPoolExecutor(8) as pool:
            found = pool.map(lambda step: self.asked(lambda: self.arm.get(step.inputs["url"])), self.requests)
            return {step.id: each for step, each in zip(self.requests, found, strict=True) if each is not None}

    @cached_property
    def region(self) -> str:
        """The plan's; "" without a plan."""
        bodies = (step.inputs["body"] or {} for step in self.requests)
        return next((str(body["location"]) for body in bodies if "location" in body), "")

    @cached_property
    def regions(self) -> list[Json]:
        return self.every("/locations", "2022-12-01")

    @property
    def has_region(self) -> bool:
        return any(each["name"] == self.region for each in self.regions)

    @cached_property
    def machines(self) -> list[Machines]:
        return [each for step in self.requests for each in machines_of(step)]

    @property
    def to_come(self) -> list[Machines]:
        """Those that are not there yet."""
        return [each for each in self.machines if each.step not in self.there]

    def sizes(self, region: str) -> dict[str, Json]:
        """What is known of each VM size in a region, by its name in small letters."""
        if region not in self._sizes:
            found = self.every(f"{VIRTUAL_MACHINES}/skus", SKUS, f"&$filter=location eq '{region}'")
            self._sizes[region] = {
                each["name"].lower(): each for each in found if each.get("resourceType") == "virtualMachines"
            }
        return self._sizes[region]

    def usages(self, region: str) -> list[Json]:
        """What of each quota is used there, and how much there is."""
        if region not in self._usages:
            self._usages[region] = self.every(f"{VIRTUAL_MACHINES}/locations/{region}/usages", COMPUTE)
        return self._usages[region]

    @cached_property
    def ml_usages(self) -> list[Json]:
        """The same of Azure Machine Learning, whose quota is its own."""
        return self.every(f"/providers/Microsoft.MachineLearningServices/locations/{self.region}/usages", ML)
