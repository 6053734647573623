"""What the doctor finds on a subscription: each thing that would stop a deployment, why, and what mends it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from customai.errors import NotFound
from customai.model import Plan, Step
from customai.targets import azure_checks
from customai.targets.base import Watch
from customai.targets.findings import OK, PROBLEM, UNKNOWN, WARNING, Finding, Unready, stand
from tests.azure.simulator import SUBSCRIPTION, Remote, Simulator, faults

pytest.importorskip("azure.mgmt.compute", reason="the extra azure is not installed")

REPOSITORY = Path(__file__).parents[2]
NAMES = ["login", "subscription", "tenant", "rights", "providers", "region", "size", "quota"]


def found(one: Any) -> list[Finding]:
    return one.target().findings(one.plan())  # type: ignore[no-any-return]


def of(findings: list[Finding], check: str) -> list[Finding]:
    return [each for each in findings if each.check == check]


@pytest.mark.parametrize("path", ["1-1", "2-5"])
def test_what_is_right_is_told_as_well(driven: Any, path: str) -> None:
    findings = found(driven(path))
    assert {each.state for each in findings} == {OK}
    assert list(dict.fromkeys(each.check for each in findings))[:8] == NAMES
    (total,) = [each for each in of(findings, "quota") if "Total Regional" in each.message]
    assert total.message.endswith(f"{4 if path == '1-1' else 6} more, 0 of 100 are used")


def test_nothing_is_made_by_looking(azure: Simulator, driven: Any) -> None:
    found(driven("2-5"))
    asked = [entry for entry in azure.log.writes() if not entry.path.endswith("/checkNameAvailability")]
    assert (asked, azure.standing()) == ([], [])


def test_the_doctor_and_a_deployment_find_the_same(azure: Simulator, driven: Any) -> None:
    azure.cloud.catalog.quota = {"cores": 0}
    azure.cloud.catalog.registered -= {"microsoft.compute"}
    one = driven("1-1")
    findings = found(one)
    with pytest.raises(Unready) as error:
        one.target().check(one.plan())
    problems = [each.message for each in findings if each.state == PROBLEM]
    assert [each.message for each in error.value.reasons] == problems
    assert len(problems) == 2


def test_without_a_login_the_rest_is_unknown_and_not_good(azure: Simulator, driven: Any) -> None:
    azure.fault(faults.token_expired(times=99))
    one = driven("1-1")
    findings = found(one)
    (problem,) = [each for each in findings if each.state == PROBLEM]
    assert "az login" in problem.hint
    rest = findings[findings.index(problem) + 1 :]
    assert {each.state for each in rest} == {UNKNOWN}
    assert {each.check for each in rest} >= {"rights", "quota", "names"}


def test_what_may_not_be_asked_is_unknown_and_stops_a_deployment(azure: Simulator, driven: Any) -> None:
    azure.fault(faults.authorization_failed(method="GET", url=".*/usages.*", times=99))
    one = driven("1-1")
    (quota,) = of(found(one), "quota")
    assert quota.state == UNKNOWN
    with pytest.raises(type(quota.error)):  # type: ignore[arg-type]
        one.target().check(one.plan())


@pytest.mark.parametrize(
    ("state", "limit", "expected"),
    [("Enabled", "Off", OK), ("Warned", "Off", WARNING), ("PastDue", "Off", WARNING), ("Disabled", "Off", PROBLEM), ("Enabled", "On", WARNING)],
)  # fmt: skip
def test_the_state_of_a_subscription(azure: Simulator, driven: Any, state: str, limit: str, expected: str) -> None:
    azure.cloud.catalog.add_subscription(SUBSCRIPTION, "Mine", state=state)
    azure.cloud.catalog.subscriptions[SUBSCRIPTION]["subscriptionPolicies"]["spendingLimit"] = limit
    one = driven("1-1")
    (told,) = of(found(one), "subscription")
    assert (told.state, "Mine" in told.message) == (expected, True)
    if expected == WARNING:
        one.target().check(one.plan())  # a warning stops nothing


def restrict(*names: str) -> Callable[[Simulator], None]:
    def do(azure: Simulator) -> None:
        for size in azure.cloud.catalog.sizes:
            size.restricted = "Location" if size.name in names else ""

    return do


def small(azure: Simulator) -> None:
    azure.cloud.catalog.quota = {"standardDDSv5Family": 2}


def no_gpus(azure: Simulator) -> None:
    families = {size.family for size in azure.cloud.catalog.sizes if size.gpus}
    azure.cloud.catalog.quota = dict.fromkeys(families, 0)


@pytest.mark.parametrize(
    ("more", "spoil", "fits"),
    [
        ("", restrict("Standard_D4ds_v5"), "what fits: Standard_D4s_v5 in eastus"),
        ("", small, "what fits: Standard_D4s_v5 in eastus"),
        ("vm: {ssh_key: key.pub, size: Standard_D96ds_v5}", None, "what fits: Standard_D8ds_v5 in eastus"),
        ("vm: {ssh_key: key.pub, size: Standard_NC4as_T4_v3}", restrict("Standard_NC4as_T4_v3"), "Standard_NC8as_T4_v3 in eastus"),
    ],
    ids=["restricted", "quota", "missing", "gpu"],
)  # fmt: skip
def test_a_size_that_fits_is_suggested(azure: Simulator, driven: Any, more: str, spoil: Any, fits: str) -> None:
    if spoil is not None:
        spoil(azure)
    (problem,) = [each for each in found(driven("1-1", more)) if each.state == PROBLEM]
    assert fits in problem.hint


def test_a_region_that_fits_is_suggested(azure: Simulator, driven: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here nothing of the kind is to be had, there it is."""
    catalog, skus = azure.cloud.catalog, azure.cloud.catalog.skus

    def offered(subscription: str, region: str | None) -> list[dict[str, Any]]:
        shown = skus(subscription, region)
        return [each for each in shown if "T4" not in each["name"]] if region == "eastus" else shown

    monkeypatch.setattr(catalog, "skus", offered)
    for size in catalog.sizes:
        if size.gpus and "T4" not in size.name:
            size.restricted = "Location"
    one = driven("1-1", "vm: {ssh_key: key.pub, size: Standard_NC4as_T4_v3}")
    (problem,) = [each for each in found(one) if each.state == PROBLEM]
    assert "what fits: Standard_NC4as_T4_v3 in eastus2" in problem.hint


def test_nothing_is_suggested_where_nothing_fits(azure: Simulator, driven: Any) -> None:
    no_gpus(azure)
    one = driven("1-1", "vm: {ssh_key: key.pub, size: Standard_NC4as_T4_v3}")
    (problem,) = [each for each in found(one) if each.state == PROBLEM]
    assert "4 too few" in problem.message
    assert "what fits" not in problem.hint


def test_a_provider_is_registered_and_looked_at_again(azure: Simulator, driven: Any) -> None:
    azure.cloud.catalog.registered -= {"microsoft.compute"}
    one = driven("1-1")
    (problem,) = of(found(one), "providers")
    assert problem.register == ("Microsoft.Compute",)
    target = one.target()
    target.findings(one.plan())
    target.register(problem.register, Watch())
    assert {each.state for each in of(found(one), "providers")} == {OK}


@pytest.mark.parametrize("missing", ["subscription", "extra"])
def test_without_a_subscription_or_the_extra_that_is_said(
    driven: Any, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    from customai.errors import NotInstalled

    one = driven("1-1")
    target = one.target()
    if missing == "subscription":
        monkeypatch.delenv("AZURE_SUBSCRIPTION_ID", raising=False)
        one.file.write_text(one.file.read_text().replace(f"  subscription: {SUBSCRIPTION}\n", ""))
    else:

        def connect(*_: Any) -> Any:
            raise NotInstalled("what talks to Azure is not installed here: azure", hint="pip install 'customai[azure]'")

        target._connect = connect
    first, *rest = target.findings(one.plan())
    assert (first.check, first.state) == (missing, PROBLEM)
    assert first.hint
    assert {each.state for each in rest} == {UNKNOWN}


class Asked:
    """Answers what a test says, as ARM would."""

    subscription = SUBSCRIPTION

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        for part, answer in self.answers.items():
            if part in path:
                return answer
        raise NotFound("no such thing")

    def every(self, path: str) -> Iterator[Any]:
        return iter(self.ask("GET", path)["value"])

    def get(self, url: str) -> Any:
        return None

    def claims(self) -> Any:
        return {"oid": "me", "tid": "t1"}


ML = "Microsoft.MachineLearningServices/workspaces"
SIZES = {
    "value": [
        {"resourceType": "virtualMachines", "name": "Standard_D4ds_v5", "family": "standardDDSv5Family",
         "capabilities": [{"name": "vCPUs", "value": "4"}], "restrictions": []},
    ]
}  # fmt: skip


def request(id_: str, kind: str, type_: str, body: Any) -> Step:
    parts = type_.split("/")
    path = "/".join([parts[0], *(f"{part}/name" for part in parts[1:])])
    url = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/{path}?api-version=1"
    return Step(
        id_,
        "put",
        kind,
        "compute",
        {"method": "PUT", "url": url, "body": {"location": "eastus", "properties": {}, **body}},
    )


def about(*steps: Step, **answers: Any) -> azure_checks.About:
    plan = Plan(name="x", path="2-2", target="azure", spec_digest="", steps=steps)
    regions = {"value": [{"name": "eastus"}]}
    return azure_checks.About(plan, Asked(**{"/locations?": regions, "/skus?": SIZES, **answers}))  # type: ignore[arg-type]


def usages(limit: int, used: int = 0, family: str = "Standard DDSv5 Family Cluster Dedicated vCPUs") -> dict[str, Any]:
    names = {family: limit, "Total Cluster Dedicated Regional vCPUs": 300}
    values = [
        {"name": {"value": name, "localizedValue": name}, "limit": most, "currentValue": used}
        for name, most in names.items()
    ]
    return {"MachineLearningServices/locations/eastus/usages": {"value": values}}


def deployment(count: int) -> Step:
    body = {"properties": {"instanceType": "Standard_D4ds_v5"}, "sku": {"name": "Default", "capacity": count}}
    return request("blue", "deployment", f"{ML}/onlineEndpoints/deployments", body)


@pytest.mark.parametrize(
    ("limit", "used", "state"), [(24, 0, OK), (16, 0, OK), (15, 0, PROBLEM), (24, 9, PROBLEM), (0, 0, PROBLEM)]
)
def test_azure_ml_has_a_quota_of_its_own_and_keeps_a_fifth_free(limit: int, used: int, state: str) -> None:
    """Three machines of four cores count as four: sixteen cores."""
    told = azure_checks._asked("quota", azure_checks.CHECKS["quota"], about(deployment(3), **usages(limit, used)))
    own = next(each for each in told if "DDSv5" in each.message)
    assert (own.state, "Azure ML's quota" in own.message) == (state, True)
    if state == PROBLEM:
        assert f"16 more are needed, {used} of {limit} are used: {16 - (limit - used)} too few" in own.message


def test_a_quota_that_azure_does_not_tell_is_unknown() -> None:
    told = azure_checks._asked(
        "quota", azure_checks.CHECKS["quota"], about(deployment(1), **usages(24, family="Something Else"))
    )
    assert [each.state for each in told if "standardddsv5family" in each.message] == [UNKNOWN]


def names(one: azure_checks.About) -> list[Finding]:
    return azure_checks._asked("names", azure_checks.CHECKS["names"], one)


def test_a_vault_in_soft_delete_is_a_conflict_and_how_to_bring_it_back() -> None:
    step = request("vault", "vault", "Microsoft.KeyVault/vaults", {})
    kept = {"properties": {"scheduledPurgeDate": "2027-01-01"}}
    (told,) = names(about(step, **{"/deletedVaults/": kept}))
    assert (told.state, "2027-01-01" in told.message) == (PROBLEM, True)
    assert "az keyvault recover" in told.hint
    (told,) = names(about(step, checkNameAvailability={"nameAvailable": True}))
    assert told.state == OK


@pytest.mark.parametrize("type_", azure_checks.NAMES)
def test_a_name_that_somebody_has_is_a_conflict(type_: str) -> None:
    (told,) = names(
        about(request("x", "x", type_, {}), checkNameAvailability={"nameAvailable": False, "message": "Taken."})
    )
    assert (told.state, "Taken." in told.message) == (PROBLEM, True)


def test_whether_a_workspace_is_in_soft_delete_is_not_known_and_stops_nothing() -> None:
    told = names(about(request("workspace", "workspace", ML, {})))
    assert [each.state for each in told] == [UNKNOWN]
    stand(told)


def test_an_image_that_will_go_is_a_warning() -> None:
    image = {"publisher": "p", "offer": "o", "sku": "s", "version": "1.2.3"}
    body = {
        "properties": {"hardwareProfile": {"vmSize": "Standard_D4ds_v5"}, "storageProfile": {"imageReference": image}}
    }
    step = request("vm", "dsvm", "Microsoft.Compute/virtualMachines", body)
    status = {"imageState": "ScheduledForDeprecation", "scheduledDeprecationTime": "2027-02-03"}
    one = about(step, **{"/versions/1.2.3": {"properties": {"imageDeprecationStatus": status}}})
    (told,) = azure_checks._asked("images", azure_checks.CHECKS["images"], one)
    assert (told.state, "2027-02-03" in told.message) == (WARNING, True)


def test_a_login_of_another_tenant_is_told_with_the_command() -> None:
    one = replace(about(), plan=None)
    one.arm.answers[f"/subscriptions/{SUBSCRIPTION}?"] = {"tenantId": "t2"}  # type: ignore[attr-defined]
    (told,) = azure_checks._asked("tenant", azure_checks.FIRST["tenant"], one)
    assert (told.state, told.hint) == (PROBLEM, "az login --tenant t2; or azure.tenant in the spec")


@pytest.fixture
def on_azure(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    """The command line's surroundings, with a simulated Azure in a process of its own."""
    (home.parent / ".ssh").mkdir()
    (home.parent / ".ssh" / "id_ed25519.pub").write_text(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGq0Xkz9 a@b", encoding="utf-8"
    )
    command = [sys.executable, "-m", "tests.azure.simulator", "--attached", "--seconds", "0.05"]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as simulator:
        assert simulator.stdout is not None
        remote = Remote(simulator.stdout.readline().strip())
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("CUSTOMAI_AZURE_ENDPOINT", remote.url)
        monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
        yield remote
        simulator.stdin.close()  # type: ignore[union-attr]
        simulator.wait(20)


def test_the_command_line_tells_all_of_it(on_azure: Remote, customai: Any) -> None:
    done = customai("doctor", "1-1", "--target", "azure")
    assert done.returncode == 0, done.stdout
    assert "✓ quota         standardDDSv5Family vCPUs in eastus: 4 more, 0 of 100 are used" in done.stdout
    assert "Next: customai deploy 1-1 --target azure" in done.stdout
    without = json.loads(customai("doctor", "--target", "azure", "-o", "json").stdout)
    assert (without["path"], without["ready"]) == (None, True)
    assert [each["check"] for each in without["findings"]] == ["login", "subscription", "tenant", "rights"]


def test_what_is_wrong_ends_with_3_and_providers_are_registered_if_asked(on_azure: Remote, customai: Any) -> None:
    unregister(on_azure)
    done = customai("doctor", "1-1", "--target", "azure", "-o", "json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["ready"], told["count"]["problem"]) == (3, False, 1)
    (problem,) = [each for each in told["findings"] if each["state"] == PROBLEM]
    assert problem["hint"] == "az provider register --wait -n Microsoft.Compute"
    done = customai("doctor", "1-1", "--target", "azure", "--fix")
    assert (done.returncode, "1 problem" in done.stdout) == (0, False), done.stdout + done.stderr
    assert customai("doctor", "1-1", "--target", "azure").returncode == 0


@pytest.mark.parametrize(("answer", "code"), [("n", 3), ("y", 0)])
def test_on_a_terminal_one_is_asked_whether_to_register(
    on_azure: Remote, tmp_path: Path, answer: str, code: int
) -> None:
    unregister(on_azure)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "customai", "doctor", "1-1", "--target", "azure"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as asking:
        os.write(ours, f"{answer}\n".encode())
        _, told = asking.communicate(timeout=120)
    os.close(ours)
    os.close(theirs)
    assert "Register Microsoft.Compute for your subscription? It is free." in told
    assert asking.returncode == code


def unregister(remote: Remote) -> None:
    import urllib.request

    url = f"{remote.url}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/unregister?api-version=2021-04-01"
    headers = {"Authorization": "Bearer somebody"}
    with urllib.request.urlopen(urllib.request.Request(url, b"", headers, method="POST"), timeout=20) as answer:
        assert answer.status == 200


def test_what_stops_a_plan_is_a_finding_and_the_rest_is_looked_at(on_azure: Remote, customai: Any, home: Path) -> None:
    (home.parent / ".ssh" / "id_ed25519.pub").unlink()
    done = customai("doctor", "1-1", "--target", "azure")
    assert done.returncode == 3
    assert "✗ plan" in done.stdout
    assert "ssh-keygen" in done.stdout
    assert "✓ rights" in done.stdout
