"""A schedule by an app of Azure Functions, on a simulated Azure; and the function's own code, really run."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from customai.engine import StepsFailed
from customai.errors import SpecError
from customai.paths import azure_function, cron
from customai.provisioning import function_app
from tests.azure.simulator import Simulator
from tests.azure.simulator.errors import ArmError
from tests.azure.simulator.faults import Fault, answers

FUNCTIONS = "schedule: {service: functions}"
SCHEDULE = '\nschedule: "30 2 * * mon-fri"\n'
PARTS = re.compile(r"/sites/[^/]+/(config|basicPublishingCredentialsPolicies)/")


@pytest.fixture
def deployment(driven: Any) -> Any:
    one = driven("2-4", FUNCTIONS)
    one.file.write_text(one.file.read_text(encoding="utf-8") + SCHEDULE, encoding="utf-8")
    return one


def refusing(status: int, **on: Any) -> Fault:
    return answers(ArmError(status, "Refused", "for a while"), **on)


def published(azure: Simulator) -> dict[str, bytes]:
    return azure.cloud.publishing.packages[-1][1]


def test_it_is_made_kept_changed_and_taken_away(azure: Simulator, deployment: Any) -> None:
    assert set(deployment.deploy().values()) == {"created"}
    settings = json.loads(published(azure)["settings.json"])
    assert settings["schedule"] == "0 30 2 * * 1,2,3,4,5"
    assert settings["url"] == deployment.outputs("endpoint")["scoring_uri"]
    assert {change.action for change in deployment.compared().values()} == {"keep"}
    azure.log.clear()
    assert set(deployment.deploy().values()) == {"kept"}
    assert [
        each for each in azure.log.writes() if not each.path.endswith("/list")
    ] == []  # which is how settings are read

    text = deployment.file.read_text(encoding="utf-8")
    deployment.file.write_text(text.replace("30 2 * * mon-fri", "*/10 * * * *"), encoding="utf-8")
    results = deployment.deploy()
    changed = {step for step, action in results.items() if action != "kept"}
    assert {"function/code"} <= changed <= {"group", "function/code"}
    assert json.loads(published(azure)["settings.json"])["schedule"] == "0 0,10,20,30,40,50 * * * *"
    assert len(azure.cloud.publishing.packages) == 2

    assert set(deployment.destroy(sweep=False).values()) == {"deleted"}
    assert azure.standing() == []


def test_what_somebody_has_changed_is_seen_and_put_back(azure: Simulator, deployment: Any) -> None:
    deployment.deploy()
    site = next(each for each in azure.standing() if re.search(r"/sites/[^/]+$", each))
    azure.cloud.change(f"{site}/config/web", {"properties": {"ftpsState": "AllAllowed"}})
    azure.cloud.change(f"{site}/config/appsettings", {"properties": {"AzureWebJobsStorage__accountName": "another"}})
    azure.cloud.change(f"{site}/basicPublishingCredentialsPolicies/scm", {"properties": {"allow": True}})
    changed = {step for step, change in deployment.compared().items() if change.action != "keep"}
    assert changed == {"function/config", "function/settings", "function/scm"}
    deployment.deploy()
    assert {change.action for change in deployment.compared().values()} == {"keep"}


def test_code_that_cannot_be_built_shows_its_log_and_leaves_a_way_on(azure: Simulator, deployment: Any) -> None:
    azure.cloud.publishing.fails = "ERROR: No matching distribution found for azure-functions"
    with pytest.raises(StepsFailed, match="publishing the function's code failed") as error:
        deployment.deploy()
    assert error.value.exit_code == 1
    assert "No matching distribution found" in error.value.hint
    azure.cloud.publishing.fails = ""
    results = deployment.deploy()
    assert {step for step, action in results.items() if action != "kept"} == {"function/code"}


def test_a_new_app_that_takes_no_code_yet_is_waited_for(azure: Simulator, deployment: Any) -> None:
    faults = [azure.fault(refusing(status, method="POST", url="/_scm/.*/publish")) for status in (403, 404, 503)]
    assert set(deployment.deploy().values()) == {"created"}
    assert [fault.struck for fault in faults] == [1, 1, 1]


# Times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*/20 * * * *", "0 0,20,40 * * * *"),
        ("30 2 * * mon-fri", "0 30 2 * * 1,2,3,4,5"),
        ("0 6 1 jan,jul *", "0 0 6 1 1,7 *"),
        ("@daily", "0 0 0 * * *"),
    ],
)
def test_a_timer_says_the_same_times_in_six_fields(text: str, expected: str) -> None:
    assert function_app.problem(cron.parsed(text)) is None
    assert function_app.timer(cron.parsed(text)) == expected


def test_days_of_the_month_or_of_the_week_are_no_timer(driven: Any) -> None:
    one = driven("2-4", FUNCTIONS)
    one.file.write_text(one.file.read_text(encoding="utf-8") + '\nschedule: "0 6 1 * mon"\n', encoding="utf-8")
    with pytest.raises(SpecError) as error:
        one.plan()
    assert "both of the month's and of the week's" in json.dumps(error.value.to_json())


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("service: functions, plan: consumption", "ends on 2028-09-30: take flex (Flex Consumption)"),
        ('service: functions, python: "3.9"', "ended on 2025-10-31: take 3.12"),
        ('service: functions, python: "3.14"', "Functions runs Python 3.10, 3.11, 3.12, 3.13"),
    ],
)
def test_what_functions_has_no_more_names_its_successor(driven: Any, wanted: str, said: str) -> None:
    one = driven("2-4", f"schedule: {{{wanted}}}")
    with pytest.raises(SpecError) as error:
        one.plan()
    assert said in json.dumps(error.value.to_json())


def test_months_are_no_times_of_a_data_factory_even_where_the_spec_has_no_block_for_azure() -> None:
    from tests.azure.whole import Whole

    with pytest.raises(SpecError, match="a data factory knows no months"):
        Whole("2-4", 'schedule: "0 6 1 jan *"').steps()


# The function's own code


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """code(settings) -> (the function app as Azure Functions reads it, what it calls)."""
    pytest.importorskip("azure.functions", reason="azure-functions is not installed")
    monkeypatch.syspath_prepend(str(tmp_path))

    def load(settings: Any) -> tuple[ModuleType, ModuleType]:
        (tmp_path / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        for name in azure_function.FILES:
            (tmp_path / name).write_bytes((azure_function.CODE / name).read_bytes())
        found = importlib.util.spec_from_file_location("function_app", tmp_path / "function_app.py")
        assert found is not None
        assert found.loader is not None
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        return module, sys.modules["begin"]

    yield load
    sys.modules.pop("begin", None)


class Identity(BaseHTTPRequestHandler):
    """The address that App Service gives an app for tokens."""

    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        self.asked.append((query["resource"][0], str(self.headers["X-IDENTITY-HEADER"])))
        body = json.dumps({"access_token": "of-the-app"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    asked: list[tuple[str, str]] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), type("One", (Identity,), {"asked": asked})) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "header-of-the-app")
        yield asked
        server.shutdown()


def test_the_function_begins_a_run_of_the_endpoint(
    azure: Simulator, deployment: Any, code: Any, identity: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.deploy()
    module, begin = code(json.loads(published(azure)["settings.json"]))
    (function,) = module.app.get_functions()
    assert json.loads(function.get_function_json())["bindings"][0]["schedule"] == "0 30 2 * * 1,2,3,4,5"
    busy = azure.fault(refusing(503, method="POST", url="/_inference/.*"))
    before = len(azure.log.of("POST"))
    monkeypatch.setattr(begin.asked, "__defaults__", (lambda _seconds: None,))
    function.get_user_function()(None)
    sent = [each for each in azure.log.of("POST")[before:] if "/_inference/" in each.path]
    assert [each.status for each in sent] == [503, 200]
    assert busy.struck == 1
    given = sent[-1].body["properties"]["InputData"]
    assert re.fullmatch(r"scheduled-\d{8}T\d{6}", given["run"]["Value"])
    assert given["input"]["Value"].startswith("abfss://data@")
    assert identity == [("https://ml.azure.com", "header-of-the-app")] * 2
    jobs = [each for each in azure.standing() if "/jobs/batchjob-" in each]
    assert len(jobs) == 1


def test_a_refusal_of_the_endpoint_is_raised_for_the_apps_log(
    azure: Simulator, deployment: Any, code: Any, identity: list[tuple[str, str]], caplog: Any
) -> None:
    deployment.deploy()
    module, begin = code(json.loads(published(azure)["settings.json"]))
    azure.fault(refusing(403, method="POST", url="/_inference/.*"))
    with pytest.raises(OSError, match="403"):
        module.app.get_functions()[0].get_user_function()(None)
    assert "the endpoint refuses run scheduled-" in caplog.text
    assert "of-the-app" not in caplog.text
    assert begin.TRIES > 1
    assert len(identity) == 1


def test_the_same_code_is_the_same_package(azure: Simulator, deployment: Any, tmp_path: Path) -> None:
    from customai.targets.azure_function import packed

    step = next(each for each in deployment.plan().steps if each.id == "function/code")
    one, two = packed(step.inputs), packed(step.inputs)
    assert one == two
    (tmp_path / "p.zip").write_bytes(one)
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        assert archive.namelist() == ["begin.py", "function_app.py", "host.json", "requirements.txt", "settings.json"]
        assert "azure-functions" in archive.read("requirements.txt").decode()
