"""What the `azure:` block of a customai.yaml may say: where, and of what size."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from customai import retirements
from customai.model import Json
from customai.provisioning import aks, azure_names, dsvm, node_pool
from customai.spec import key as spec_key

Problems = Iterable[tuple[str, str]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SIZE = r"^Standard_[A-Z][A-Za-z0-9]*\d[A-Za-z0-9_-]*$"
SIZE_EXPECTED = "the name of a VM size, such as Standard_D4ds_v5"
CIDR_EXPECTED = "an address range such as 10.20.0.0/16"
GUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
# The images bring NVIDIA's data center driver; these sizes need its GRID driver.
GRID = re.compile(r"Standard_NV", re.IGNORECASE)
RESERVED_USERS = {"admin", "administrator", "guest", "root", "test", "user", "owner", "server", "support", "sys"}


PRIVATE = tuple(ipaddress.IPv4Network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))


def wrong_size(place: str, size: str) -> Problems:
    yield from retirements.ended(place, "size", size)


def ending_size(place: str, size: str) -> Problems:
    yield from retirements.ending(place, "size", size)


def network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def wrong_range(place: str, text: str, *, longest: int = 29) -> Problems:
    """What is wrong with a private IPv4 range."""
    try:
        found = ipaddress.IPv4Network(text)
    except ValueError as error:
        yield place, f"expected {CIDR_EXPECTED}: {error}"
        return
    if not any(found.subnet_of(private) for private in PRIVATE):
        yield place, f"{text} is not private: expected a range within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"
    if found.prefixlen > longest:
        yield place, f"{text} has too few addresses: expected at least a /{longest}"


def overlaps(ranges: Mapping[str, str]) -> Problems:
    """Which of these ranges (key -> range) have addresses in common."""
    found = [(key, network(text)) for key, text in ranges.items()]
    for at, (key, one) in enumerate(found):
        for other, another in found[:at]:
            if one is not None and another is not None and one.version == another.version and one.overlaps(another):
                yield key, f"{one} overlaps {other} ({another}): they must have no address in common"


@dataclass(frozen=True)
class Place:
    """Where it is built, and who may come in."""

    region: str = spec_key(
        "The Azure region, by its short name.",
        default="eastus",
        pattern=r"^[a-z]+[a-z0-9]*$",
        examples=("westeurope", "swedencentral"),
        expected="a region's short name in small letters, such as westeurope",
    )
    subscription: str | None = spec_key(
        "The subscription's id; by default AZURE_SUBSCRIPTION_ID.", default=None, pattern=GUID, expected="a GUID"
    )
    tenant: str | None = spec_key(
        "The tenant to log in to: its id or a domain of it.", default=None, pattern=r"^[A-Za-z0-9.-]{3,}$"
    )
    resource_group: str | None = spec_key(
        "The resource group; by default customai- and the deployment's name.",
        default=None,
        pattern=azure_names.RULES["Microsoft.Resources/resourceGroups"],
        expected="1 to 90 letters, digits and _ . - ( ), with no . at the end",
    )
    allow_from: tuple[str, ...] = spec_key(
        "Address ranges that may come in (ssh, the cluster's API); by default the one address that deploys.",
        default=(),
        examples=("203.0.113.7/32",),
    )
    log_days: int = spec_key("Days that logs are kept; 31 cost nothing extra.", default=30, minimum=30, maximum=730)

    def place_problems(self) -> Problems:
        for at, text in enumerate(self.allow_from):
            found = network(text)
            if found is None:
                yield f"allow_from[{at}]", f"expected an address range such as 203.0.113.7/32, got {text}"
            elif found.version != 4:
                yield f"allow_from[{at}]", f"{text} is IPv6, which the networks here do not carry"
            elif found.prefixlen < 8:
                yield f"allow_from[{at}]", f"{text} is a large part of the internet: name the addresses that need it"

    def unseen(self) -> Problems:
        """Which addresses can never come in where one comes from the internet."""
        for at, text in enumerate(self.allow_from):
            found = network(text)
            if isinstance(found, ipaddress.IPv4Network) and any(found.subnet_of(private) for private in PRIVATE):
                yield f"allow_from[{at}]", f"{text} is private: Azure sees the public address that it goes out by"

    def where(self, deployment: str, subscription: str | None) -> Json:
        """The deployment's place; `subscription` is the surroundings', where the spec names none."""
        return azure_names.place(
            subscription=self.subscription or subscription,
            group=self.resource_group or azure_names.resource_group(deployment),
            region=self.region,
            deployment=deployment,
        )

    def allowed(self) -> list[Json]:
        """Who may come in; the caller's own address is known only when the plan is carried out."""
        return list(self.allow_from) or [{"$ref": "caller#address_prefix"}]


@dataclass(frozen=True)
class Machine:
    """The virtual machine that trains."""

    size: str = spec_key(
        "The VM size; with a GPU: Standard_NC4as_T4_v3.",
        default="Standard_D4ds_v5",
        pattern=SIZE,
        expected=SIZE_EXPECTED,
        examples=("Standard_NC4as_T4_v3", "Standard_NC24ads_A100_v4"),
    )
    image: str = spec_key(
        "dsvm (Data Science VM), ubuntu-hpc (for A100 and later), or publisher:offer:sku:version.",
        default="dsvm",
        pattern=rf"^({'|'.join(dsvm.IMAGES)}|[\w-]+:[\w-]+:[\w.-]+:(latest|\d+(\.\d+)+))$",
        expected="dsvm, ubuntu-hpc, or publisher:offer:sku:version",
    )
    user: str = spec_key(
        "Who logs in.",
        default="azureuser",
        pattern=r"^[a-z_][a-z0-9_-]{0,31}$",
        expected="at most 32 small letters, digits, _ and -",
    )
    ssh_key: str = spec_key(
        "The file of the public key that logs in.",
        default="~/.ssh/id_ed25519.pub",
        pattern=r"^.+\.pub$",
        expected="the file of a public key, NAME.pub",
    )
    disk_gb: int = spec_key("Size of the disk.", default=256, minimum=64, maximum=4095)
    disk: Literal["premium", "standard"] = spec_key("Premium or standard SSD.", default="premium")
    spot: bool = spec_key("A machine that Azure may take back, for a fraction of the price.", default=False)
    zone: Literal[1, 2, 3] | None = spec_key("The availability zone; by default Azure's choice.", default=None)
    public_ip: bool = spec_key(
        "An address of its own to reach it by ssh; without, it is reached from its network only, and goes out through a NAT gateway.",
        default=True,
    )
    shut_down: str | None = spec_key(
        "When it deallocates itself, every day; null: never.",
        default="19:00",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        expected="a time such as 19:00, in quotes",
    )
    time_zone: str = spec_key(
        "The time zone of shut_down.",
        default="UTC",
        pattern=r"^[A-Za-z]+([/_+-][A-Za-z0-9_+-]+)*$",
        examples=("Europe/Berlin",),
        expected="a time zone's name, such as Europe/Berlin",
    )

    def problems(self) -> Problems:
        yield from wrong_size("size", self.size)
        if GRID.match(self.size) and not list(wrong_size("size", self.size)):
            yield (
                "size",
                f"{self.size} needs NVIDIA's GRID driver, which no image here brings: take Standard_NC4as_T4_v3",
            )
        if self.user in RESERVED_USERS:
            yield "user", f"Azure does not take '{self.user}' as a user's name"
        yield from retirements.ended("image", "image", self.image)
        if self.image == "ubuntu-hpc" and self.disk_gb < 128:
            yield "disk_gb", "the image ubuntu-hpc needs at least 128"

    def warnings(self) -> Problems:
        yield from ending_size("size", self.size)
        yield from retirements.ending("image", "image", self.image)


@dataclass(frozen=True)
class Training(Place):
    """The machine that trains, and where it is."""

    vm: Machine = spec_key("The virtual machine.", default=Machine)
    network: str = spec_key("The virtual network's address range.", default="10.10.0.0/24")

    def problems(self) -> Problems:
        yield from self.place_problems()
        yield from wrong_range("network", self.network)
        if self.vm.public_ip:
            yield from self.unseen()


@dataclass(frozen=True)
class SystemPool:
    """The nodes that the cluster itself needs."""

    size: str = spec_key("The VM size.", default="Standard_D2ds_v5", pattern=SIZE, expected=SIZE_EXPECTED)
    min: int = spec_key("Fewest nodes.", default=1, minimum=1, maximum=100)
    max: int = spec_key("Most nodes.", default=3, minimum=1, maximum=1000)

    def problems(self) -> Problems:
        yield from wrong_size("size", self.size)
        if self.size.startswith("Standard_B"):
            yield "size", "AKS takes no B-series in the system pool: take Standard_D2ds_v5"
        if node_pool.is_gpu(self.size):
            yield "size", "a GPU would idle in the system pool: ask for it in cluster.pools"
        if self.max < self.min:
            yield "max", f"expected at least min ({self.min})"

    def warnings(self) -> Problems:
        yield from ending_size("size", self.size)


@dataclass(frozen=True)
class Pool:
    """Nodes that score, and nothing else runs on."""

    name: str = spec_key(
        "The pool's name.",
        default="scoring",
        pattern=azure_names.RULES[node_pool.TYPE],
        expected="at most 12 small letters and digits, a letter first",
    )
    size: str = spec_key(
        "The VM size; with a GPU: Standard_NC4as_T4_v3.",
        default="Standard_D4ds_v5",
        pattern=SIZE,
        expected=SIZE_EXPECTED,
    )
    min: int = spec_key("Fewest nodes.", default=1, minimum=0, maximum=1000)
    max: int = spec_key("Most nodes.", default=3, minimum=1, maximum=1000)
    spot: bool = spec_key("Nodes that Azure may take back, for a fraction of the price.", default=False)

    def problems(self) -> Problems:
        yield from wrong_size("size", self.size)
        if self.name == aks.SYSTEM_POOL:
            yield "name", f"'{aks.SYSTEM_POOL}' is the system pool's own name"
        if self.max < self.min:
            yield "max", f"expected at least min ({self.min})"

    def warnings(self) -> Problems:
        yield from ending_size("size", self.size)


@dataclass(frozen=True)
class Cluster:
    """The Kubernetes cluster."""

    version: str | None = spec_key(
        "Kubernetes' version, such as \"1.35\"; by default AKS's own choice.",
        default=None,
        pattern=r"^1\.\d+(\.\d+)?$",
        expected='a version such as "1.35", in quotes',
    )
    tier: Literal["free", "standard"] = spec_key("standard has an SLA, and its price.", default="free")
    private: bool = spec_key("An API server that only the virtual network sees.", default=False)
    zones: tuple[Literal[1, 2, 3], ...] = spec_key("Availability zones to spread the nodes over.", default=())
    system: SystemPool = spec_key("The nodes that the cluster itself needs.", default=SystemPool)
    pools: tuple[Pool, ...] = spec_key("The nodes that score.", default=lambda: (Pool(),))
    network: str = spec_key("The virtual network's address range; the nodes have all of it.", default="10.20.0.0/20")
    pods: str = spec_key("The pods' address range.", default="10.244.0.0/16")
    services: str = spec_key("The services' address range.", default="10.100.0.0/16")

    def problems(self) -> Problems:
        names = [pool.name for pool in self.pools]
        for at, pool in enumerate(self.pools):
            if pool.name in names[:at]:
                yield f"pools[{at}].name", f"there is already a pool of the name '{pool.name}'"
        if not self.pools:
            yield "pools", "expected at least one pool: something has to score"
        if len({node_pool.is_gpu(pool.size) for pool in self.pools}) > 1:
            yield "pools", "expected GPUs in every pool or in none: one image serves on all of them"
        if self.tier == "standard" and self.system.min < 3:
            yield "system.min", "expected at least 3 with `tier: standard`: an SLA needs more than one node to stand on"
        if len(set(self.zones)) < len(self.zones):
            yield "zones", "each zone once"
        ranges = {"network": self.network, "pods": self.pods, "services": self.services}
        yield from wrong_range("network", self.network, longest=24)
        yield from wrong_range("pods", self.pods, longest=20)
        yield from wrong_range("services", self.services, longest=24)
        yield from overlaps(ranges)
        yield from retirements.ended("version", "kubernetes", self.version or "")

    def warnings(self) -> Problems:
        yield from retirements.ending("version", "kubernetes", self.version or "")


@dataclass(frozen=True)
class Replicas:
    """The pods that score: how many, how large."""

    min: int = spec_key("Fewest pods.", default=2, minimum=1, maximum=1000)
    max: int = spec_key("Most pods.", default=10, minimum=1, maximum=1000)
    cpu: float = spec_key("Cores of each.", default=1.0, minimum=0.1, maximum=128)
    memory_gb: float = spec_key("Memory of each.", default=1.0, minimum=0.25, maximum=1024)
    cpu_percent: int = spec_key(
        "How busy the pods are kept, by starting and ending some.", default=70, minimum=10, maximum=95
    )

    def problems(self) -> Problems:
        if self.max < self.min:
            yield "max", f"expected at least min ({self.min})"


@dataclass(frozen=True)
class Scoring(Place):
    """The cluster that scores, and where it is."""

    registry: Literal["basic", "standard", "premium"] = spec_key("The container registry's tier.", default="basic")
    cluster: Cluster = spec_key("The Kubernetes cluster.", default=Cluster)
    replicas: Replicas = spec_key("The pods that score.", default=Replicas)

    def problems(self) -> Problems:
        yield from self.place_problems()
        if not self.cluster.private:
            yield from self.unseen()
