"""What a plan costs: every line by hand, nothing made up, and what is not known said to be."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from customai import planner, retirements
from customai.cost.meters import Meter, disk, meters
from customai.cost.prices import LISTED_REGION, Price, Snapshot, listing
from customai.cost.quota import UNKNOWN, needs, vcpus
from customai.cost.sheet import sheet
from customai.errors import TargetError
from customai.model import Plan, Step
from customai.provisioning.api_versions import API_VERSIONS
from customai.provisioning.machines import machines_of
from customai.targets.azure import AzureTarget
from docs import prices as script

REPOSITORY = Path(__file__).parents[2]
SHARED = REPOSITORY.parent / "shared" / "azure" / "paygo-prices-2026-06-18.json"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGq0Xkz9 someone@somewhere"
PLACE = "/subscriptions/s/resourceGroups/g/providers"


@pytest.fixture(autouse=True)
def _day(monkeypatch):
    monkeypatch.setenv(retirements.TODAY_VARIABLE, "2026-11-25")


@pytest.fixture
def plan(tmp_path):
    """plan("1-1", "vm: {...}") -> the plan of this path on Azure."""

    def make(path, more=""):
        folder = tmp_path / path
        shutil.copytree(REPOSITORY / "paths" / path, folder, dirs_exist_ok=True)
        (tmp_path / ".ssh").mkdir(exist_ok=True)
        (tmp_path / ".ssh" / "id_ed25519.pub").write_text(KEY, encoding="utf-8")
        text = (REPOSITORY / "paths" / path / "customai.yaml").read_text(encoding="utf-8")
        file = folder / "customai.yaml"
        file.write_text(f"{text}\nazure:\n  log_days: 30\n" + "".join(f"  {line}\n" for line in more.splitlines()))
        return planner.plan(planner.read(file), AzureTarget(tmp_path / "state"))

    return make


def request(id_, kind, type_, body, name="x"):
    parts = type_.split("/")
    path = "/".join([parts[0], *(f"{part}/{name}" for part in parts[1:])])
    url = f"{PLACE}/{path}?api-version=1"
    return Step(id_, "put", kind, "compute", {"method": "PUT", "url": url, "body": {"location": "eastus", **body}})


def plan_of(*steps):
    return Plan(name="x", path="1-1", target="azure", spec_digest="", steps=steps)


def test_1_1_by_hand(plan):
    found = sheet(plan("1-1"), Snapshot()).to_json()
    assert [(each["what"], each["usd_per_hour"]) for each in found["lines"]] == [
        ("public address", 0.005),
        ("Standard_D4ds_v5", 0.226),
        ("256 GB disk, Premium_LRS", 0.0521),
    ]
    assert found["usd_per_hour"] == round(0.005 + 0.226 + 38.01 / 730, 4)
    assert found["usd_per_month_if_forgotten"] == round((0.005 + 0.226) * 730 + 38.01, 2)
    assert found["usd_per_month_at_rest"] == round(0.005 * 730 + 38.01, 2)  # deallocated: its disk and its address
    assert found["unknown_prices"] == []
    assert "Log Analytics: each GB of logs" in found["not_counted"]


def test_2_5_by_hand_as_it_is_made_and_grown(plan):
    found = sheet(plan("2-5"), Snapshot()).to_json()
    fixed = (
        0.1666 / 24 + 0.025 + 0.005 + 0.025
    )  # registry, balancer and address of the cluster, balancer of the endpoint
    assert found["usd_per_hour"] == round(fixed + 0.113 + 0.226, 4)
    assert found["usd_per_hour_at_most"] == round(fixed + 3 * 0.113 + 3 * 0.226, 4)
    assert found["usd_per_month_at_rest"] == found["usd_per_month_if_forgotten"]
    system = next(each for each in found["lines"] if each["what"] == "Standard_D2ds_v5")
    assert system["note"] == "reckoned by vCPUs from Standard_D4ds_v5's"


VARIANTS = [
    ("1-1", "vm: {public_ip: false}", {"NAT gateway": 0.045, "public address": 0.005}),
    ("1-1", "vm: {disk: standard, disk_gb: 128}", {"128 GB disk, StandardSSD_LRS": 9.6 / 730}),
    ("1-1", "vm: {size: Standard_NC4as_T4_v3, spot: true}", {"Standard_NC4as_T4_v3, spot": 0.526}),
    ("2-5", "cluster: {tier: standard, system: {min: 3}}", {"the tier standard": 0.1, "Standard_D2ds_v5": 3 * 0.113}),
    ("2-5", "registry: premium", {"container registry, Premium": 1.6666 / 24}),
    ("2-5", "cluster: {pools: [{size: Standard_D4s_v5}]}", {"128 GB disk, Premium_LRS": 19.71 / 730}),
    ("2-5", "cluster: {pools: [{min: 0, max: 2}]}", {"Standard_D4ds_v5": 0.0}),
]


@pytest.mark.parametrize(("path", "more", "expected"), VARIANTS, ids=[case[1] for case in VARIANTS])
def test_what_a_variant_adds(plan, path, more, expected):
    lines = {each["what"]: each for each in sheet(plan(path, more), Snapshot()).to_json()["lines"]}
    for what, usd in expected.items():
        assert lines[what]["usd_per_hour"] == pytest.approx(usd, abs=1e-4)


def test_a_spot_machine_is_counted_as_if_on_demand_and_that_is_said(plan):
    found = sheet(plan("1-1", "vm: {size: Standard_NC4as_T4_v3, spot: true}"), Snapshot())
    line = next(line for line in found.lines if line.meter.spot)
    assert "spot" in line.note
    assert any("spot" in each for each in found.not_counted)
    assert [need.family for need in found.quota] == ["lowPriorityCores"]


def test_what_is_not_known_is_unknown_and_never_nothing(plan):
    found = sheet(plan("1-1", "region: westeurope\nvm: {size: Standard_ND40rs_v2}"), Snapshot())
    told = found.to_json()
    assert told["usd_per_hour"] == told["usd_per_month_if_forgotten"] == told["usd_per_hour_at_most"] == "unknown"
    assert told["unknown_prices"] == ["Standard_ND40rs_v2"]
    assert told["usd_per_hour_known"] > 0
    assert told["quota"][0]["free"] == "unknown"
    assert {each["registered"] for each in told["providers"]} == {"unknown"}
    assert {each["granted"] for each in told["role_actions"]} == {"unknown"}
    assert "Microsoft.Authorization/roleAssignments/write" in {each["action"] for each in told["role_actions"]}
    with pytest.raises(TargetError, match="is unknown"):
        found.hold(1e6)


def test_a_kind_that_nobody_has_thought_of_is_unknown():
    found = sheet(plan_of(request("new", "new", "Microsoft.Quantum/workspaces", {})), Snapshot())
    assert found.unknown == ("Microsoft.Quantum/workspaces",)
    assert found.hourly is None


def test_every_type_that_is_asked_for_is_priced_or_known_to_be_free():
    """Or billed by use, which is said. A new kind must be thought of here."""
    for type_ in API_VERSIONS:
        body = {"properties": {}, "sku": {"name": "Basic", "tier": "Free"}}
        if "agentPools" in type_:
            body["properties"] = {"vmSize": "Standard_D4ds_v5", "count": 1}
        if type_.endswith("virtualMachines"):
            body["properties"] = {"hardwareProfile": {"vmSize": "Standard_D4ds_v5"}}
        step = request("x", "x", type_, body)
        assert [each.what for each in meters(plan_of(step)) if not each.name and each.what == type_] == [], type_


def test_a_limit_holds_for_what_it_can_grow_to(plan):
    found = sheet(plan("2-5"), Snapshot())
    assert found.hourly < 0.5 < found.most
    with pytest.raises(TargetError, match=r"up to 1\.08 USD an hour, more than 0\.5; nothing was made") as error:
        found.hold(0.5)
    assert error.value.exit_code == 3
    found.hold(2.0)


ML = "Microsoft.MachineLearningServices/workspaces"


@pytest.mark.parametrize(
    ("size", "count", "counted"),
    [("Standard_D4ds_v5", 3, 16), ("Standard_D4ds_v5", 1, 8), ("Standard_NC24ads_A100_v4", 2, 48), ("Standard_NC40ads_H100_v5", 1, 40)],
)  # fmt: skip
def test_azure_ml_keeps_a_fifth_more_free_for_an_online_deployment(size, count, counted):
    body = {"properties": {"instanceType": size}, "sku": {"name": "Default", "capacity": count}}
    step = request("blue", "deployment", f"{ML}/onlineEndpoints/deployments", body)
    (need,) = needs(plan_of(step))
    assert (need.service, need.vcpus, need.reserve) == ("ml", counted, size == "Standard_D4ds_v5")
    found = sheet(plan_of(step), Snapshot())
    (line,) = found.lines
    assert line.meter.count == count  # the reserve is quota, and no money


def test_an_azure_ml_cluster_costs_nothing_at_rest_and_what_it_grows_to_at_work():
    own = {"computeType": "AmlCompute", "properties": {"vmSize": "Standard_NC4as_T4_v3", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 4}}}  # fmt: skip
    found = sheet(plan_of(request("cluster", "compute", f"{ML}/computes", {"properties": own})), Snapshot())
    assert (found.hourly, found.rest, found.most) == (0.0, 0.0, pytest.approx(4 * 0.526))
    assert [(need.service, need.vcpus, need.most) for need in found.quota] == [("ml", 0, 16)]


@pytest.mark.parametrize(
    ("size", "expected"),
    [("Standard_D4ds_v5", 4), ("Standard_DS3_v2", 4), ("Standard_NC24ads_A100_v4", 24), ("Standard_B2s", 2), ("Standard_odd", None)],
)  # fmt: skip
def test_vcpus_are_read_from_a_sizes_name(size, expected):
    assert vcpus(size) == expected


def test_a_family_that_is_not_known_is_unknown(plan):
    (need,) = needs(plan("1-1", "vm: {size: Standard_ND96asr_v4}"))
    assert (need.family, need.vcpus) == (UNKNOWN, 96)


def test_quota_of_one_family_is_added_up(plan):
    (need,) = needs(plan("2-5"))
    assert (need.family, need.vcpus, need.most) == ("standardDDSv5Family", 2 + 4, 3 * 2 + 3 * 4)


@pytest.mark.parametrize(
    ("gb", "type_", "meter"),
    [(64, "Premium_LRS", "P6 LRS Disk"), (256, "Premium_LRS", "P15 LRS Disk"), (257, "StandardSSD_LRS", "E20 LRS Disk"),
     (9000, "Premium_LRS", ""), (64, "UltraSSD_LRS", "")],
)  # fmt: skip
def test_a_disk_is_billed_by_its_tier(gb, type_, meter):
    assert disk(gb, type_) == meter


def test_another_region_has_its_own_prices_and_says_whose_are_not(plan):
    here, there = (sheet(plan("1-1"), Snapshot(), region) for region in (None, "westeurope"))
    assert there.region == "westeurope"
    assert there.of("vm") != here.of("vm")
    assert {line.note for line in there.lines} == {"", f"the price of {LISTED_REGION}"}
    nowhere = sheet(plan("1-1"), Snapshot(), "atlantis")
    assert nowhere.hourly is None


def test_the_list_has_a_date_and_no_size_that_has_ended():
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", Snapshot().date)
    text = script.SIZES.read_text(encoding="utf-8").splitlines()
    for size in text[1].split("\t")[1:]:
        known = retirements.find("size", size)
        assert known is None or not known.has_ended(retirements.today()), size
    assert {each.unit for each in listing().values()} <= {"1 Hour", "1/Day", "1/Month"}


def test_price_goes_by_vcpus_in_the_series_where_that_is_reckoned():
    prices = Snapshot()
    for region in ("eastus", "westeurope", "japaneast", "brazilsouth"):
        four, eight = (prices.price(Meter("x", f"Standard_D{n}ds_v5", ""), region).hourly for n in (4, 8))
        assert eight == pytest.approx(2 * four, rel=0.01)
    assert prices.price(Meter("x", "Standard_NC6ads_A10_v4", ""), "eastus").hourly is None


ROWS = {
    **{f"r{number}": {"A": 1.0 + number / 100, "B": 2.0, "C": 5.0} for number in range(9)},
    "odd": {"A": 2.0, "B": 2.0, "C": 5.0},  # A's price is another's
    "dear": {"A": 1.9, "B": 3.7, "C": 9.0},
}


def test_an_odd_price_is_left_out_and_a_dear_region_is_not():
    sane = script.sane(ROWS)
    assert sane["odd"] == {"B": 2.0, "C": 5.0}
    assert sane["dear"] == ROWS["dear"]
    assert sane["r0"] == ROWS["r0"]


def test_the_list_is_what_the_script_makes_of_its_source():
    if not SHARED.is_file():
        pytest.skip("../shared is not there: nothing to compare with")
    given = json.loads(SHARED.read_text(encoding="utf-8"))
    made = script.table(given["source"], given["generated_at"][:10], script.sane(given["prices"]))
    assert script.SIZES.read_text(encoding="utf-8") == made
    assert "Standard_D4as_v5" not in made
    assert Snapshot().price(Meter("x", "Standard_NC4as_T4_v3", ""), "uksouth") == Price(0.615)


@pytest.fixture
def keyed(home):
    """A key to log in with, where the command line looks for it."""
    (home.parent / ".ssh").mkdir()
    (home.parent / ".ssh" / "id_ed25519.pub").write_text(KEY, encoding="utf-8")


def test_a_plan_ends_with_the_sheet(customai, keyed):
    done = customai("plan", "1-1", "--target", "azure")
    assert done.returncode == 0
    assert re.search(r"vm +digits-training +Standard_D4ds_v5 +0\.278 +202\.99", done.stdout)
    for words in (
        "an hour      0.283",
        "206.64 if it is forgotten (730 h)",
        "at rest      41.66 a month: public address; 256 GB disk, Premium_LRS",
        "4 of the quota standardDDSv5Family; free: unknown",
        "registered: unknown",
        "granted: unknown",
        "2026-06-18",
        "customai doctor 1-1 --target azure",
    ):
        assert words in done.stdout
    found = json.loads(customai("plan", "1-1", "--target", "azure", "-o", "json").stdout)
    assert found["sheet"]["usd_per_hour"] == 0.2831
    assert found["warnings"] == []
    assert json.loads(customai("plan", "2-5", "-o", "json").stdout)["sheet"] is None


@pytest.mark.parametrize("verb", ["plan", "deploy"])
def test_what_costs_too_much_ends_before_anything_is_made(customai, keyed, home, verb):
    done = customai(
        verb, "2-5", "--target", "azure", "--max-hourly-usd", "0.5", *(["--yes"] if verb == "deploy" else [])
    )
    assert (done.returncode, "more than 0.5; nothing was made" in done.stderr) == (3, True)
    assert not list(home.rglob("journal.jsonl"))
    assert customai("plan", "2-5", "--target", "azure", "--max-hourly-usd", "5").returncode == 0


def test_cost_needs_no_login_and_says_what_it_does_not_count(customai, keyed):
    done = customai("cost", "2-5", "--hours", "10")
    assert done.returncode == 0
    assert "in 10 h      4.01" in done.stdout
    assert "not counted  building images" in done.stdout
    found = json.loads(customai("cost", "1-1", "--region", "West Europe", "--hours", "10", "-o", "json").stdout)
    assert (found["region"], found["prices"]["date"], found["usd_for_hours"]) == ("westeurope", "2026-06-18", 3.29)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--hours", "0"), "Invalid value"), (("--region", "no/where"), "is no region"), (("--hours", "a"), "Invalid value")],
)  # fmt: skip
def test_wrong_words_are_told(customai, keyed, arguments, words):
    done = customai("cost", "1-1", *arguments)
    assert (done.returncode, words in done.stderr) == (2, True)


def test_machines_are_read_from_the_requests_of_a_plan(plan):
    found = {each.step: each for step in plan("2-5").steps for each in machines_of(step)}
    assert (found["pool/scoring"].count, found["pool/scoring"].most, found["pool/scoring"].disk) == (1, 3, None)
    fixed = replace(found["cluster"], reserve=True)
    assert fixed.counted(5) == 6
