"""Every request of every plan: right by Microsoft's descriptions, by the SDKs' own types, and by our own rules.

The referee and its data stand beside the repository, not in it; where they are missing those tests are skipped.
"""

from __future__ import annotations

import importlib
import importlib.util
import ipaddress
import json
import re
import sys
from argparse import Namespace
from dataclasses import fields, is_dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from customai import spec
from customai.model import digest, refs
from customai.paths import azure_scoring, azure_training, score_realtime
from customai.paths.azure_section import Cluster, Machine, Pool, Replicas, Scoring, SystemPool, Training
from customai.planner import SpecFiles
from customai.provisioning import KINDS, lowering
from customai.provisioning.api_versions import API_VERSIONS, MACHINE_LEARNING, type_of
from tests.azure.whole import VARIANTS as WHOLE
from tests.azure.whole import Whole

REPOSITORY = Path(__file__).parents[2]
SHARED = REPOSITORY.parent / "shared"
CASES = REPOSITORY / "tests" / "cases" / "azure"
SUBSCRIPTION = "11111111-1111-4111-8111-111111111111"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGq0Xkz9 someone@somewhere"
T4, A100, ND = "Standard_NC4as_T4_v3", "Standard_NC24ads_A100_v4", "Standard_ND96asr_v4"

VARIANTS = {
    "1-1": Training(),
    "1-1 gpu": Training(vm=Machine(size=T4)),
    "1-1 ubuntu-hpc": Training(vm=Machine(size=A100, image="ubuntu-hpc")),
    "1-1 without trusted launch": Training(vm=Machine(size=ND, image="ubuntu-hpc")),
    "1-1 own image": Training(vm=Machine(image="microsoft-dsvm:ubuntu-hpc:2204:latest")),
    "1-1 spot": Training(vm=Machine(spot=True)),
    "1-1 nat": Training(vm=Machine(public_ip=False)),
    "1-1 nat, vpn": Training(vm=Machine(public_ip=False), allow_from=("10.0.0.0/8",)),
    "1-1 named addresses": Training(allow_from=("203.0.113.7/32", "198.51.100.0/24")),
    "1-1 never shut down": Training(vm=Machine(shut_down=None)),
    "1-1 zone, standard disk": Training(vm=Machine(zone=2, disk="standard", disk_gb=512)),
    "1-1 elsewhere": Training(region="westeurope", subscription=SUBSCRIPTION, resource_group="(mine).x", log_days=90),
    "2-5": Scoring(),
    "2-5 gpu": Scoring(cluster=Cluster(pools=(Pool(size=T4, min=0),))),
    "2-5 gpu spot": Scoring(cluster=Cluster(pools=(Pool(size=A100, spot=True, min=0),))),
    "2-5 two pools": Scoring(cluster=Cluster(pools=(Pool(), Pool(name="spare", spot=True, min=0)))),
    "2-5 private": Scoring(cluster=Cluster(private=True)),
    "2-5 standard, zones": Scoring(
        cluster=Cluster(tier="standard", zones=(1, 2, 3), system=SystemPool(min=3, max=5), version="1.35")
    ),
    "2-5 named addresses": Scoring(allow_from=("203.0.113.0/24",)),
    "2-5 premium registry": Scoring(registry="premium"),
    "2-5 size without a disk": Scoring(cluster=Cluster(pools=(Pool(size="Standard_D4s_v5"),))),
    "2-5 own ranges": Scoring(cluster=Cluster(network="192.168.0.0/22", pods="172.16.0.0/16", services="10.0.0.0/20")),
}


VARIANTS |= WHOLE


class Files(SpecFiles):
    """A spec's folder with a public key in it."""

    def lines(self, name):
        return [PUBLIC_KEY] if name.endswith(".pub") else super().lines(name)


FILES = Files(REPOSITORY / "paths" / "2-5")
SPEC = spec.load(
    (FILES.folder / "customai.yaml").read_text(encoding="utf-8"), score_realtime.Spec, file="customai.yaml"
)
MODELS = tuple(step for step in score_realtime.steps(SPEC, FILES) if step.kind == "model")
SERVED = next(step for step in score_realtime.steps(SPEC, FILES) if step.kind == "endpoint")


def neutral(section, name="digits"):
    if isinstance(section, Whole):
        return section.steps()
    given = {"name": name, "spec_digest": digest("spec"), "subscription": None, "files": FILES}
    if isinstance(section, Training):
        return azure_training.steps(section, path="1-1", **given)
    return azure_scoring.steps(section, path="2-5", models=MODELS, served=SERVED, **given)


def lowered(section, name="digits"):
    """The plan's steps as JSON, as `plan --target azure --output json` shows them."""
    found = []
    for step in neutral(section, name):
        asked = lowering(step.kind, "azure")(step.inputs)
        shown = {"request": asked} if "url" in asked else {"inputs": asked}
        found.append({"id": step.id, "kind": step.kind, "verb": step.verb, "after": step.needs, **shown})
    return json.loads(json.dumps(found))


def all_problems(section):
    """What is wrong with a section and everything in it; a whole spec was read, so nothing is."""
    if isinstance(section, Whole):
        return
    yield from getattr(section, "problems", tuple)()
    for each in fields(section):
        value = getattr(section, each.name)
        for part in value if isinstance(value, tuple) else (value,):
            if is_dataclass(part):
                yield from all_problems(part)


@pytest.fixture(scope="module", params=VARIANTS)
def plan(request):
    return lowered(VARIANTS[request.param])


@pytest.fixture(scope="module")
def referee():
    """(steps) -> the referee's report."""
    file = SHARED / "tools" / "arm_check.py"
    if not file.is_file():
        pytest.skip("there is no ../shared/tools/arm_check.py: Microsoft's descriptions are not at hand")
    loading = importlib.util.spec_from_file_location("arm_check", file)
    module = sys.modules["arm_check"] = importlib.util.module_from_spec(loading)
    loading.loader.exec_module(module)
    library = module.Library(SHARED / "azure")
    options = Namespace(allow_unknown=[], allow_preview=False, exact=False, lenient_enums=False)

    def judge(steps):
        entries, is_plan = module.read_requests(json.dumps({"steps": steps}))
        return module.check_all(library, entries, is_plan, options)["results"]

    return judge


def test_a_variant_is_one_that_the_spec_allows():
    assert {name: found for name, section in VARIANTS.items() if (found := list(all_problems(section)))} == {}


def test_the_referee_accepts_every_request(plan, referee):
    results = referee(plan)
    assert [result for result in results if result["status"] in ("FAIL", "unknown")] == []
    assert (
        sum(result["status"] == "ok" for result in results)
        == sum("request" in step for step in plan)
        > (5 if is_batch_ai(plan) else 8)
    )


# The SDKs ship TypedDicts of what they send: pydantic makes validators of them.

TYPED = {
    "Microsoft.Compute/disks": ("azure.mgmt.compute", "DiskUpdate"),
    "Microsoft.Compute/virtualMachines": ("azure.mgmt.compute", "VirtualMachine"),
    "Microsoft.ContainerService/managedClusters": ("azure.mgmt.containerservice", "ManagedCluster"),
    "Microsoft.ContainerService/managedClusters/agentPools": ("azure.mgmt.containerservice", "AgentPool"),
    "Microsoft.ContainerService/managedClusters/maintenanceConfigurations": (
        "azure.mgmt.containerservice",
        "MaintenanceConfiguration",
    ),
    "Microsoft.ContainerService/managedClusters/managedNamespaces": ("azure.mgmt.containerservice", "ManagedNamespace"),
    "Microsoft.DataFactory/factories": ("azure.mgmt.datafactory", "Factory"),
    "Microsoft.DataFactory/factories/pipelines": ("azure.mgmt.datafactory", "PipelineResource"),
    "Microsoft.DataFactory/factories/triggers": ("azure.mgmt.datafactory", "TriggerResource"),
    "Microsoft.Databricks/accessConnectors": ("azure.mgmt.databricks", "AccessConnector"),
    "Microsoft.Databricks/workspaces": ("azure.mgmt.databricks", "Workspace"),
    "Microsoft.KeyVault/vaults": ("azure.mgmt.keyvault", "VaultCreateOrUpdateParameters"),
    "Microsoft.Network/natGateways": ("azure.mgmt.network", "NatGateway"),
    "Microsoft.Network/networkInterfaces": ("azure.mgmt.network", "NetworkInterface"),
    "Microsoft.Network/networkSecurityGroups": ("azure.mgmt.network", "NetworkSecurityGroup"),
    "Microsoft.Network/publicIPAddresses": ("azure.mgmt.network", "PublicIPAddress"),
    "Microsoft.Network/virtualNetworks": ("azure.mgmt.network", "VirtualNetwork"),
    "Microsoft.Storage/storageAccounts": ("azure.mgmt.storage", "StorageAccountCreateParameters"),
    "Microsoft.Storage/storageAccounts/blobServices": ("azure.mgmt.storage", "BlobServiceProperties"),
    "Microsoft.Storage/storageAccounts/blobServices/containers": ("azure.mgmt.storage", "BlobContainer"),
    "Microsoft.Web/serverfarms": ("azure.mgmt.web", "AppServicePlan"),
    "Microsoft.Web/sites": ("azure.mgmt.web", "Site"),
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": (
        "azure.mgmt.web",
        "CsmPublishingCredentialsPoliciesEntity",
    ),
}
VALIDATORS = {}


def validator(type_):
    """A strict validator of a resource type's body; keys that the SDK does not know are refused."""
    if type_ not in VALIDATORS:
        pydantic = pytest.importorskip("pydantic", reason="pydantic turns the SDKs' types into validators")
        package, name = TYPED[type_]
        types = pytest.importorskip(f"{package}.types", reason=f"{package} is not installed")
        models = importlib.import_module(f"{package}.models")
        for enum in dir(models):  # which the types import for type checkers only
            if not hasattr(types, enum):
                setattr(types, enum, getattr(models, enum))
        for typed in vars(types).values():
            if hasattr(typed, "__required_keys__"):
                typed.__pydantic_config__ = pydantic.ConfigDict(extra="forbid", strict=True)
                # A class that extends another is written without total=False, which makes all its keys required.
                written = ((key, str(value)) for key, value in typed.__annotations__.items())
                typed.__required_keys__ = frozenset(key for key, value in written if "Required[" in value)
        VALIDATORS[type_] = pydantic.TypeAdapter(getattr(types, name))
    return VALIDATORS[type_]


def known(value):
    """The value with something in the place of what is known later."""
    if isinstance(value, dict):
        return "later" if set(value) in ({"$ref"}, {"$secret"}) else {key: known(each) for key, each in value.items()}
    return [known(each) for each in value] if isinstance(value, list) else value


def requests(steps):
    for step in steps:
        if "request" in step:
            url = step["request"]["url"]
            yield step["id"], type_of(url.partition("?")[0]), url, step["request"]["body"]


def test_the_sdks_types_accept_every_body(plan):
    judged = 0
    for _, type_, _, body in requests(plan):
        if type_ in TYPED:
            validator(type_).validate_python(known(body))
            judged += 1
    assert judged >= (0 if is_batch_ai(plan) else 4)  # its SDK is older than such types: see the next test


def is_batch_ai(steps):
    return any(step["kind"].startswith("batchai_") for step in steps)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if "batchai" in name])
def test_the_sdk_of_batch_ai_loses_nothing_of_a_body(variant):
    """Its models drop what they do not know: what they were made from is what they send."""
    models = pytest.importorskip("azure.mgmt.batchai.models", reason="azure-mgmt-batchai is not installed")
    serialization = pytest.importorskip("msrest.serialization")
    classes = {name: each for name, each in vars(models).items() if isinstance(each, type)}
    into, out = serialization.Deserializer(classes), serialization.Serializer(classes)
    judged = 0
    for _, type_, _, body in requests(lowered(VARIANTS[variant])):
        if type_ in CREATED_WITH:
            name = CREATED_WITH[type_]
            assert out.body(into(name, known(body)), name) == known(body)
            judged += 1
    assert judged == len(CREATED_WITH)


CREATED_WITH = {
    "Microsoft.BatchAI/workspaces": "WorkspaceCreateParameters",
    "Microsoft.BatchAI/workspaces/clusters": "ClusterCreateParameters",
    "Microsoft.BatchAI/workspaces/experiments/jobs": "JobCreateParameters",
    "Microsoft.BatchAI/workspaces/fileServers": "FileServerCreateParameters",
}


@pytest.mark.parametrize(
    ("type_", "place", "value"),
    [
        ("Microsoft.Compute/virtualMachines", ("properties", "osProfile", "adminPasword"), "x"),
        ("Microsoft.ContainerService/managedClusters", ("properties", "enableRBAC"), "true"),
        ("Microsoft.Network/virtualNetworks", ("properties", "addressSpace"), []),
    ],
)
def test_the_sdks_types_refuse_what_is_wrong(type_, place, value):
    section = Training() if "Compute" in type_ else Scoring()
    body = next(body for _, found, _, body in requests(lowered(section)) if found == type_)
    *outer, last = place
    inner = body
    for key in outer:
        inner = inner[key]
    inner[last] = value
    check = validator(type_)
    with pytest.raises(ValueError, match=last):
        check.validate_python(known(body))


CLIENTS = {  # resource type -> package, client, and what it is asked
    "Microsoft.Authorization/roleAssignments": ("authorization", "AuthorizationManagementClient", "role_assignments"),
    "Microsoft.BatchAI/workspaces": ("batchai", "BatchAI", "workspaces"),
    "Microsoft.BatchAI/workspaces/clusters": ("batchai", "BatchAI", "clusters"),
    "Microsoft.BatchAI/workspaces/experiments": ("batchai", "BatchAI", "experiments"),
    "Microsoft.BatchAI/workspaces/experiments/jobs": ("batchai", "BatchAI", "jobs"),
    "Microsoft.BatchAI/workspaces/fileServers": ("batchai", "BatchAI", "file_servers"),
    "Microsoft.Compute/disks": ("compute", "ComputeManagementClient", "disks"),
    "Microsoft.Compute/virtualMachines": ("compute", "ComputeManagementClient", "virtual_machines"),
    "Microsoft.ContainerRegistry/registries": (
        "containerregistry",
        "ContainerRegistryManagementClient",
        "registries",
    ),
    "Microsoft.ContainerService/managedClusters": ("containerservice", "ContainerServiceClient", "managed_clusters"),
    "Microsoft.ContainerService/managedClusters/agentPools": (
        "containerservice",
        "ContainerServiceClient",
        "agent_pools",
    ),
    "Microsoft.ContainerService/managedClusters/maintenanceConfigurations": (
        "containerservice",
        "ContainerServiceClient",
        "maintenance_configurations",
    ),
    "Microsoft.ContainerService/managedClusters/managedNamespaces": (
        "containerservice",
        "ContainerServiceClient",
        "managed_namespaces",
    ),
    "Microsoft.DataFactory/factories": ("datafactory", "DataFactoryManagementClient", "factories"),
    "Microsoft.DataFactory/factories/pipelines": ("datafactory", "DataFactoryManagementClient", "pipelines"),
    "Microsoft.DataFactory/factories/triggers": ("datafactory", "DataFactoryManagementClient", "triggers"),
    "Microsoft.Databricks/accessConnectors": ("databricks", "AzureDatabricksManagementClient", "access_connectors"),
    "Microsoft.Databricks/workspaces": ("databricks", "AzureDatabricksManagementClient", "workspaces"),
    "Microsoft.Insights/components": ("applicationinsights", "ApplicationInsightsManagementClient", "components"),
    "Microsoft.KeyVault/vaults": ("keyvault", "KeyVaultManagementClient", "vaults"),
    "Microsoft.ManagedIdentity/userAssignedIdentities": (
        "msi",
        "ManagedServiceIdentityClient",
        "user_assigned_identities",
    ),
    "Microsoft.Network/natGateways": ("network", "NetworkManagementClient", "nat_gateways"),
    "Microsoft.Network/networkInterfaces": ("network", "NetworkManagementClient", "network_interfaces"),
    "Microsoft.Network/networkSecurityGroups": ("network", "NetworkManagementClient", "network_security_groups"),
    "Microsoft.Network/publicIPAddresses": ("network", "NetworkManagementClient", "public_ip_addresses"),
    "Microsoft.Network/virtualNetworks": ("network", "NetworkManagementClient", "virtual_networks"),
    "Microsoft.OperationalInsights/workspaces": ("loganalytics", "LogAnalyticsManagementClient", "workspaces"),
    "Microsoft.Resources/resourceGroups": ("resource.resources", "ResourceManagementClient", "resource_groups"),
    "Microsoft.Storage/storageAccounts": ("storage", "StorageManagementClient", "storage_accounts"),
    "Microsoft.Storage/storageAccounts/blobServices": ("storage", "StorageManagementClient", "blob_services"),
    "Microsoft.Storage/storageAccounts/blobServices/containers": (
        "storage",
        "StorageManagementClient",
        "blob_containers",
    ),
    "Microsoft.Web/serverfarms": ("web", "WebSiteManagementClient", "app_service_plans"),
    "Microsoft.Web/sites": ("web", "WebSiteManagementClient", "web_apps"),
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": ("web", "WebSiteManagementClient", "web_apps"),
    "Microsoft.Web/sites/config": ("web", "WebSiteManagementClient", "web_apps"),
}
GETS = {  # where reading one is not called get(), or takes other than a name for each part of its type
    "resource_groups": ("get", 1),
    "storage_accounts": ("get_properties", 2),
    "blob_services": ("get_service_properties", 2),
    "blob_containers": ("get", 3),
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": ("get_scm_allowed", 2),
    "Microsoft.Web/sites/config": ("get_configuration", 2),
    "file_servers": ("list_by_workspace", 2),
}
BY_ID = {f"Microsoft.MachineLearningServices/{each}" for each in MACHINE_LEARNING}  # the SDK's client is of 2020


class Sent(Exception):
    """A request, at the moment it would leave."""


@pytest.mark.parametrize("type_", [each for each in API_VERSIONS if each not in BY_ID])
def test_api_versions_are_what_the_installed_sdks_send(type_):
    package, client, group = CLIENTS[type_]
    module = pytest.importorskip(f"azure.mgmt.{package}", reason=f"azure-mgmt-{package} is not installed")
    transports = importlib.import_module("azure.core.pipeline.transport")
    credentials = importlib.import_module("azure.core.credentials")

    class Recorder(transports.HttpTransport):
        def open(self): ...
        def close(self): ...
        def __exit__(self, *_): ...
        def send(self, request, **_):
            raise Sent(request.url)

    class Credential:
        def get_token(self, *_, **__):
            return credentials.AccessToken("token", 2**40)

        def get_token_info(self, *_, **__):
            return credentials.AccessTokenInfo("token", 2**40)

    operations = getattr(getattr(module, client)(Credential(), SUBSCRIPTION, transport=Recorder()), group)
    method, names = GETS.get(type_) or GETS.get(group, ("get", type_.count("/") + 1))
    with pytest.raises(Sent) as sent:
        list(getattr(operations, method)(*["group", "above", "name"][: names - 1], "name"))
    assert f"api-version={API_VERSIONS[type_]}" in str(sent.value)


# Our own rules


def test_every_id_is_made_once(plan):
    ids = [url.lower() for _, _, url, _ in requests(plan)]
    patched = [step["id"] for step in plan if step.get("request", {}).get("method") == "PATCH"]
    assert len(set(ids)) == len(ids)
    assert len({step["id"] for step in plan}) == len(plan)
    assert patched in ([], ["disk-access"])


def test_what_a_step_refers_to_is_there_and_made_before_it(plan):
    """A {"$ref"} names an output that its kind puts out; an id that another step makes is a reason to wait for it."""
    kinds = {step["id"]: importlib.import_module(KINDS[step["kind"]]) for step in plan}
    needs = {step["id"]: set(step["after"]) for step in plan}
    before = {}
    for id_ in TopologicalSorter(needs).static_order():
        before[id_] = needs[id_].union(*(before[need] for need in needs[id_]))
    made = {url.partition("?")[0]: id_ for id_, _, url, _ in requests(plan) if id_ != "disk-access"}
    for step in plan:
        for ref in refs(step):
            assert ref.step in before[step["id"]]
            assert ref.output in {"id", *kinds[ref.step].OUTPUTS}
        for text in strings(step.get("request", step.get("inputs"))):
            mine = text.partition("?")[0]
            for id_, maker in made.items():
                if maker != step["id"] and (mine == id_ or mine.startswith(f"{id_}/")):
                    assert maker in before[step["id"]], f"{step['id']} names {id_} and does not wait for {maker}"


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for key, each in value.items() for text in (key, *strings(each)))
    elif isinstance(value, list):
        yield from (text for each in value for text in strings(each))


def test_a_plan_is_the_same_each_time():
    for section in VARIANTS.values():
        assert lowered(section) == lowered(section)


def test_only_the_caller_is_asked_what_others_refer_to(plan):
    asked = {name for step in plan if step["kind"] == "caller" for name in step["inputs"]["ask"]}
    assert asked == {ref.output for step in plan for ref in refs(step) if ref.step == "caller"}


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name.startswith("2-5")])
def test_the_server_runs_models_where_its_pool_has_them_run(variant):
    manifests = next(step for step in lowered(VARIANTS[variant]) if step["kind"] == "kubernetes")["inputs"]["manifests"]
    pod = next(each for each in manifests if each["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"][0]
    server = json.loads(next(each["value"] for each in pod["env"] if each["name"] == "CUSTOMAI_SERVER"))
    has_gpu = "nvidia.com/gpu" in pod["resources"]["limits"]
    assert server.get("device", "cpu") == ("gpu" if has_gpu else "cpu")
    assert has_gpu == ("gpu" in variant)


def test_no_secret_stands_in_a_plan(plan):
    secrets = [each for step in plan for each in found_secrets(step)]
    assert secrets in ([], ["env:SCORING_KEY"])


def found_secrets(value):
    if isinstance(value, dict):
        if set(value) == {"$secret"}:
            yield value["$secret"]
        else:
            yield from (each for inner in value.values() for each in found_secrets(inner))
    elif isinstance(value, list):
        yield from (each for inner in value for each in found_secrets(inner))


@cache
def bodies(type_):
    """The body of every request of this type, over all variants."""
    plans = every_plan()
    return [body for steps in plans for _, found, _, body in requests(steps) if found == type_]


@cache
def every_plan():
    return [lowered(section) for section in VARIANTS.values()]


def secure_defaults():
    rows = (CASES / "secure-defaults.tsv").read_text(encoding="utf-8").splitlines()
    return [row.split("\t") for row in rows if row and not row.startswith("#")]


@pytest.mark.parametrize(("type_", "place", "expected", "rule"), secure_defaults(), ids=lambda each: each[:40])
def test_secure_defaults_are_always_on(type_, place, expected, rule):
    assert bodies(type_)
    for body in bodies(type_):
        values = list(values_at(body, place.split(".")))
        assert values, f"nothing at {place} ({rule})"
        assert all(value in json.loads(expected) for value in values), f"{place} is {values} ({rule})"


@pytest.mark.parametrize("variant", VARIANTS)
def test_nobody_comes_in_but_from_named_addresses(variant):
    """A machine's ssh and a cluster's API server: from the caller, or from where the spec says; never from anywhere."""
    for _, type_, _, body in requests(lowered(VARIANTS[variant])):
        properties = body.get("properties", {})
        if type_ == "Microsoft.Network/networkSecurityGroups":
            for rule in properties["securityRules"]:
                own = rule["properties"]
                if own["access"] == "Allow" and own["direction"] == "Inbound":
                    froms = [own[key] for key in ("sourceAddressPrefix", "sourceAddressPrefixes") if own.get(key)]
                    assert froms, rule
                    assert not {"*", "Internet", "Any", "0.0.0.0/0"} & set(strings(froms)), rule
                    assert own["destinationPortRange"] == "22", rule
        if type_ == "Microsoft.BatchAI/workspaces/fileServers":
            froms = properties["sshConfiguration"]["publicIPsToAllow"]
            assert froms  # none named would be everybody
            assert not {"*", "0.0.0.0/0"} & set(strings(froms))
        if type_ == "Microsoft.ContainerService/managedClusters":
            access = properties["apiServerAccessProfile"]
            ranges = access.get("authorizedIPRanges")
            assert access.get("enablePrivateCluster") is True or ranges
            assert "0.0.0.0/0" not in (ranges or [])


def values_at(value, place):
    """The values at a dotted place; [] goes through a list; a place that is not there is None."""
    if not place:
        yield value
    elif place[0] == "[]":
        for each in value or ():
            yield from values_at(each, place[1:])
    else:
        yield from values_at((value or {}).get(place[0]), place[1:])


def test_waivers_name_the_rule_and_the_reason():
    rows = [row.split("\t") for row in (CASES / "waivers.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    assert all(len(row) == 3 and all(row) for row in rows)
    assert len({(rule, type_) for rule, type_, _ in rows}) == len(rows)
    assert {type_ for _, type_, _ in rows} <= {*API_VERSIONS, "kubernetes"}


@pytest.mark.parametrize("version", ["1.34", "1.35", "1.36"])
@pytest.mark.parametrize("variant", [name for name in VARIANTS if name.startswith("2-5")])
def test_manifests_are_right_by_kubernetes_own_schemas(variant, version):
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    manifests = next(step for step in lowered(VARIANTS[variant]) if step["kind"] == "kubernetes")["inputs"]["manifests"]
    for manifest in manifests:
        kubernetes_validate.validate(known(manifest), version, strict=True)
    kinds = {manifest["kind"] for manifest in manifests}
    assert {"Secret", "Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"} <= kinds
    assert ("DaemonSet" in kinds) == ("gpu" in variant)


# Properties over specs

ADDRESSES = st.builds(
    lambda address, length: str(ipaddress.ip_network((address, length), strict=False)),
    st.integers(0x10000000, 0xDFFFFFFF),
    st.integers(8, 32),
)
COMMON = {
    "region": st.sampled_from(["eastus", "westeurope", "germanywestcentral", "southeastasia2"]),
    "subscription": st.sampled_from([None, SUBSCRIPTION]),
    "resource_group": st.none() | st.from_regex(r"[A-Za-z0-9_()-]{1,90}", fullmatch=True),
    "allow_from": st.lists(ADDRESSES, max_size=3).map(tuple),
    "log_days": st.integers(30, 730),
}
SIZES = st.sampled_from(["Standard_D4ds_v5", "Standard_D8s_v5", "Standard_E4-2ds_v5", T4, A100, ND])
BETWEEN = st.tuples(st.integers(1, 20), st.integers(0, 20)).map(lambda each: (each[0], sum(each)))
POOLS = st.lists(
    st.builds(
        lambda name, size, between, spot: Pool(name=name, size=size, min=between[0], max=between[1], spot=spot),
        st.from_regex(r"[a-z][a-z0-9]{0,11}", fullmatch=True),
        SIZES,
        BETWEEN,
        st.booleans(),
    ),
    min_size=1,
    max_size=3,
).map(tuple)
CLUSTERS = st.builds(
    lambda system, **rest: Cluster(system=SystemPool(min=system[0], max=system[1]), **rest),
    BETWEEN,
    version=st.sampled_from([None, "1.35", "1.36.2"]),
    tier=st.sampled_from(["free", "standard"]),
    private=st.booleans(),
    zones=st.sampled_from([(), (1,), (1, 2, 3)]),
    pools=POOLS,
    network=st.sampled_from(["10.20.0.0/20", "192.168.0.0/16", "172.16.4.0/22"]),
    pods=st.sampled_from(["10.244.0.0/16", "172.20.0.0/14"]),
    services=st.sampled_from(["10.100.0.0/16", "10.0.0.0/22"]),
)
SCORING = st.builds(
    Scoring,
    **COMMON,
    registry=st.sampled_from(["basic", "standard", "premium"]),
    cluster=CLUSTERS,
    replicas=st.builds(
        lambda between, cpu, memory: Replicas(min=between[0], max=between[1], cpu=cpu, memory_gb=memory),
        BETWEEN,
        st.floats(0.1, 64),
        st.floats(0.25, 256),
    ),
)
TRAINING = st.builds(
    Training,
    **COMMON,
    network=st.sampled_from(["10.10.0.0/24", "192.168.7.0/29"]),
    vm=st.builds(
        Machine,
        size=SIZES,
        image=st.sampled_from(["dsvm", "ubuntu-hpc", "microsoft-dsvm:ubuntu-hpc:2404:24.4.2026072801"]),
        user=st.from_regex(r"[a-z][a-z0-9-]{3,30}", fullmatch=True),
        disk_gb=st.integers(128, 4095),
        disk=st.sampled_from(["premium", "standard"]),
        spot=st.booleans(),
        zone=st.sampled_from([None, 1, 3]),
        public_ip=st.booleans(),
        shut_down=st.sampled_from([None, "00:00", "23:59"]),
        time_zone=st.sampled_from(["UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5"]),
    ),
)
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,30}[a-z0-9]", fullmatch=True)


anything = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@anything
@given(section=SCORING | TRAINING, name=NAMES)
def test_every_spec_without_problems_is_a_plan_by_our_rules(section, name):
    assume(not list(all_problems(section)))
    steps = lowered(section, name)
    test_every_id_is_made_once(steps)
    test_what_a_step_refers_to_is_there_and_made_before_it(steps)
    test_only_the_caller_is_asked_what_others_refer_to(steps)
    test_no_secret_stands_in_a_plan(steps)


@anything
@given(section=SCORING | TRAINING, name=NAMES)
def test_every_spec_without_problems_is_accepted(section, name, referee):
    assume(not list(all_problems(section)))
    steps = lowered(section, name)
    test_the_sdks_types_accept_every_body(steps)
    test_the_referee_accepts_every_request(steps, referee)


@pytest.mark.parametrize(("cls", "section"), [(Scoring, VARIANTS["2-5"]), (Training, VARIANTS["1-1"])])
def test_an_empty_section_is_the_default_one(cls, section):
    assert spec.load("{}", cls, file="customai.yaml") == section == cls()


def test_the_zero_subscription_stands_where_none_is_known():
    for section in (Training(), Scoring()):
        urls = [url for _, _, url, _ in requests(lowered(section))]
        assert all(re.match(r"/subscriptions/00000000-0000-0000-0000-000000000000/", url) for url in urls)
