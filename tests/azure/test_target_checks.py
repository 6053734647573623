"""What would stop a deployment is said before anything is made: all of it at once, and nothing is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from customai.errors import CustomAIError, NotAvailable, NotLoggedIn, SpecError
from customai.targets import azure_login
from tests.azure.simulator import SUBSCRIPTION, Simulator, faults

pytest.importorskip("azure.mgmt.compute", reason="the extra azure is not installed")


@pytest.fixture(autouse=True)
def _nothing_is_made(azure: Simulator) -> Iterator[None]:
    yield
    asked = [entry for entry in azure.log.writes() if not entry.path.endswith("/checkNameAvailability")]
    assert asked == []
    assert azure.standing() == []


def refused(one: Any) -> CustomAIError:
    with pytest.raises(CustomAIError) as error:
        one.target().check(one.target() and one.plan())
    return error.value


def change(**fields: Any) -> Callable[[Simulator], None]:
    def do(azure: Simulator) -> None:
        for name, value in fields.items():
            setattr(azure.cloud.catalog, name, value)

    return do


def restrict(azure: Simulator) -> None:
    for size in azure.cloud.catalog.sizes:
        size.restricted = "Location"


def disable(azure: Simulator) -> None:
    azure.cloud.catalog.add_subscription(SUBSCRIPTION, "Mine", state="Disabled")


def forget(azure: Simulator) -> None:
    azure.cloud.catalog.registered -= {"microsoft.compute", "microsoft.network"}


def reader(azure: Simulator) -> None:
    azure.cloud.catalog.permissions = [{"actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write"]}]


CASES = [
    ("1-1", "", disable, "is Disabled", "az account set"),
    ("1-1", "", reader, "may not do this there: Microsoft.Authorization/roleAssignments/write", "Role Based Access Control Administrator"),
    ("1-1", "", change(permissions=[]), "Microsoft.Compute/virtualMachines/write", "Contributor"),
    ("1-1", "", forget, "has never used Microsoft.Compute, Microsoft.Network", "az provider register --wait -n Microsoft.Compute"),
    ("1-1", "region: atlantis", None, "no region 'atlantis'", "az account list-locations"),
    ("1-1", "vm: {ssh_key: key.pub, size: Standard_D999ds_v5}", None, "no size Standard_D999ds_v5 in eastus", "az vm list-skus"),
    ("1-1", "", restrict, "Standard_D4ds_v5 is not offered to your subscription", "another region"),
    ("1-1", "", change(quota={"standardDDSv5Family": 3}), "4 more are needed, 0 of 3 are used: 1 too few", "ask for more"),
    ("1-1", "", change(quota={"cores": 2}), "Total Regional vCPUs", "ask for more"),
    ("1-1", "vm: {ssh_key: key.pub, image: 'no:such:image:latest'}", None, "no image no:such:image:latest", "az vm image list"),
    ("2-5", "", change(taken={"customaidigits5a43ec0a"}), "is taken", "another `name`"),
    ("2-5", "", change(quota={"standardDDSv5Family": 5}), "6 more are needed", "ask for more"),
    ("1-2", "", change(quota={"ml standardDDSv5Family": 7}), "Azure ML's quota: Standard DDSv5 Family Cluster Dedicated vCPUs in eastus: 8 more are needed, 0 of 7 are used", "ask for more"),
    ("1-2", "", change(permissions=[]), "Microsoft.KeyVault/vaults/write", "Contributor"),
    ("2-5", 'cluster: {version: "1.99"}', None, "no Kubernetes 1.99", "customai"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "more", "spoil", "words", "hint"), CASES, ids=[case[3][:30] for case in CASES])
def test_each_is_said_in_plain_words(
    azure: Simulator, driven: Any, path: str, more: str, spoil: Any, words: str, hint: str
) -> None:
    one = driven(path, more)
    if "is taken" in words:
        name = next(step for step in one.plan().steps if step.kind == "registry").inputs["url"]
        azure.cloud.catalog.taken = {name.partition("?")[0].rpartition("/")[2].lower()}
    elif spoil is not None:
        spoil(azure)
    error = refused(one)
    assert words in error.message
    assert error.exit_code == 3
    assert hint in error.hint or hint == "customai"


def test_all_of_it_is_said_at_once(azure: Simulator, driven: Any) -> None:
    forget(azure)
    reader(azure)
    azure.cloud.catalog.quota = {"cores": 0}
    error = refused(driven("1-1", "vm: {ssh_key: key.pub, image: 'no:such:image:latest'}"))
    for words in ("4 things stand in the way", "may not do this", "has never used", "no image", "Total Regional vCPUs"):
        assert words in error.message
    assert len(error.to_json()["reasons"]) == 4  # type: ignore[arg-type]


def test_what_is_right_is_let_through(driven: Any) -> None:
    for path in ("1-1", "2-5"):
        one = driven(path)
        one.target().check(one.plan())


def test_a_subscription_that_is_not_there_is_said(azure: Simulator, driven: Any) -> None:
    azure.cloud.catalog.subscriptions.clear()
    assert "not there, not yours, or disabled" in refused(driven("1-1")).message


def test_an_expired_login_is_said(azure: Simulator, driven: Any) -> None:
    azure.fault(faults.token_expired(times=99))
    error = refused(driven("1-1"))
    assert isinstance(error, NotLoggedIn)
    assert "az login" in error.hint


def test_another_tenants_login_is_said(azure: Simulator, driven: Any) -> None:
    wrong = faults.errors.wrong_tenant("t1", "t2")
    azure.fault(faults.answers(wrong, method="GET", times=99))
    assert isinstance(refused(driven("1-1")), NotLoggedIn)


def test_a_plan_with_what_cannot_be_carried_out_yet_is_refused_whole(
    azure: Simulator, driven: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from customai.targets import azure as module

    monkeypatch.delitem(module.STEPS, "kubernetes")
    one = driven("2-5")
    with pytest.raises(NotAvailable, match="cannot carry out 'kubernetes'"):
        one.target().check(one.plan())
    assert len(azure.log) == 0


def test_without_a_subscription_nothing_is_begun(driven: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID", raising=False)
    one = driven("1-1")
    one.file.write_text(one.file.read_text().replace(f"  subscription: {SUBSCRIPTION}\n", ""))
    error = refused(one)
    assert isinstance(error, SpecError)
    assert "az account set" in error.hint


@pytest.mark.parametrize(
    ("endpoint", "right"),
    [
        ("http://127.0.0.1:8080", True),
        ("https://management.usgovcloudapi.net", True),
        ("http://management.azure.com", False),
        ("http://127.0.0.1.example.com:80", False),
        ("http://localhost:8080", False),
        ("https://someone@example.com", False),
        ("https://example.com/path", False),
    ],
)
def test_a_login_is_sent_only_where_it_belongs(monkeypatch: pytest.MonkeyPatch, endpoint: str, right: bool) -> None:
    monkeypatch.setenv(azure_login.ENDPOINT_VARIABLE, endpoint)
    if right:
        assert azure_login.endpoint() == endpoint
    else:
        with pytest.raises(SpecError):
            azure_login.endpoint()


@pytest.mark.parametrize("endpoint", ["", "https://management.usgovcloudapi.net", "https://example.com"])
def test_the_token_that_opens_nothing_goes_to_this_machine_alone(
    monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv(azure_login.ENDPOINT_VARIABLE, endpoint)
    arm = azure_login.connect(SUBSCRIPTION)
    assert not isinstance(arm._credential, azure_login.Nobody)
    monkeypatch.setenv(azure_login.ENDPOINT_VARIABLE, "http://127.0.0.1:1")
    assert isinstance(azure_login.connect(SUBSCRIPTION)._credential, azure_login.Nobody)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'{{"subscriptions": [{{"id": "a", "isDefault": false}}, {{"id": "{SUBSCRIPTION}", "isDefault": true}}]}}', SUBSCRIPTION),
        ('{"subscriptions": []}', None),
        ("not json", None),
        (None, None),
    ],
)  # fmt: skip
def test_the_azure_clis_own_choice_is_found_offline(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, text: str | None, expected: str | None
) -> None:
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID", raising=False)
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path))
    if text is not None:
        (tmp_path / "azureProfile.json").write_text("\ufeff" + text, encoding="utf-8")  # as the CLI writes it
    assert azure_login.subscription() == expected


def test_a_named_subscription_wins_over_the_clis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    assert azure_login.subscription() == SUBSCRIPTION
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", "mine")
    with pytest.raises(SpecError, match="GUID"):
        azure_login.subscription()
