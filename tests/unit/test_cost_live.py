"""Today's prices from a server on this machine that speaks the format of the Azure Retail Prices API."""

from __future__ import annotations

import json
import re
import threading
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from customai.cost.live import ENDPOINT_VARIABLE, Filled, Live, endpoint
from customai.cost.meters import BALANCER, Meter
from customai.cost.prices import Price, Snapshot, listing
from customai.errors import SpecError, TargetError

SIZE = "Standard_NC4as_T4_v3"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGq0Xkz9 someone@somewhere"


def item(usd, **words):
    """As the API gives it, with what a test is about changed."""
    return {
        "currencyCode": "USD",
        "tierMinimumUnits": 0.0,
        "retailPrice": usd,
        "unitPrice": usd,
        "armRegionName": "eastus",
        "location": "US East",
        "effectiveStartDate": "2023-04-01T00:00:00Z",
        "meterName": "NC4as T4 v3",
        "productName": "Virtual Machines NCasT4_v3 Series",
        "skuName": "NC4as T4 v3",
        "serviceName": "Virtual Machines",
        "serviceFamily": "Compute",
        "unitOfMeasure": "1 Hour",
        "type": "Consumption",
        "isPrimaryMeterRegion": True,
        "armSkuName": SIZE,
    } | words


class Prices(BaseHTTPRequestHandler):
    """Filters as the API does: every `key eq 'value'` must hold, letter by letter; two items a page."""

    items: list = []  # noqa: RUF012
    asked: list = []  # noqa: RUF012
    failures: list = []  # noqa: RUF012
    following = ""
    page = 2

    def do_GET(self):
        query = parse_qs(urlsplit(self.path).query)
        cls = type(self)
        cls.asked.append(query)
        if cls.failures:
            self.send_response(cls.failures.pop(0))
            self.send_header("Retry-After", "0")
            self.end_headers()
            return
        words = re.findall(r"(\w+) eq '([^']*)'", query["$filter"][0])
        words = {("type" if key == "priceType" else key): value for key, value in words}
        found = [each for each in cls.items if all(str(each.get(key)) == value for key, value in words.items())]
        start = int(query.get("$skip", ["0"])[0])
        body = {"BillingCurrency": "USD", "Items": found[start : start + cls.page], "NextPageLink": None}
        if start + cls.page < len(found):
            host = cls.following or f"http://{self.headers['Host']}"
            body["NextPageLink"] = f"{host}{self.path.partition('&$skip')[0]}&$skip={start + cls.page}"
        sent = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_):
        """Silent."""


@pytest.fixture
def api(monkeypatch):
    handler = type("Own", (Prices,), {"items": [], "asked": [], "failures": []})
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        monkeypatch.setenv(ENDPOINT_VARIABLE, f"http://127.0.0.1:{server.server_address[1]}/api/retail/prices")
        yield handler
        server.shutdown()
        thread.join()


def machine(*, spot=False):
    return Meter("vm", SIZE, SIZE, spot=spot)


NOISE = [
    item(9.0, productName="Virtual Machines NCasT4_v3 Series Windows"),
    item(9.1, skuName="NC4as T4 v3 Low Priority", meterName="NC4as T4 v3 Low Priority"),
    item(0.06, skuName="NC4as T4 v3 Spot", meterName="NC4as T4 v3 Spot"),
    item(9.2, isPrimaryMeterRegion=False),
    item(9.3, type="DevTestConsumption"),
    item(9.4, type="Reservation", unitOfMeasure="1 Hour"),
    item(9.5, effectiveStartDate="2999-01-01T00:00:00Z"),
    item(9.6, effectiveStartDate="2019-01-01T00:00:00Z"),
    item(9.7, productName="NCasT4_v3 Series Cloud Services"),
    item(9.8, armRegionName="westeurope"),
    item(9.9, unitOfMeasure="1 GB"),
    item(9.95, tierMinimumUnits=100.0),
]


def test_of_all_that_the_api_tells_of_a_size_the_one_price_is_taken(api, tmp_path):
    api.items = [*NOISE[:5], item(0.526), *NOISE[5:]]
    live = Live(tmp_path)
    assert live.price(machine(), "eastus") == Price(0.526)
    assert live.price(machine(spot=True), "eastus") == Price(0.06)
    (words,) = {json.dumps(each) for each in api.asked if "$skip" not in each}
    asked = json.loads(words)
    assert asked["api-version"] == ["2023-01-01-preview"]
    assert asked["meterRegion"] == ["'primary'"]
    for part in ("serviceName eq 'Virtual Machines'", f"armSkuName eq '{SIZE}'", "armRegionName eq 'eastus'"):
        assert part in asked["$filter"][0]
    assert len(api.asked) > 3  # all pages


def test_two_prices_of_one_day_are_none(api, tmp_path):
    api.items = [item(0.5), item(0.6)]
    assert Live(tmp_path).price(machine(), "eastus") == Price(None, "the API has several such prices")


def test_no_price_is_unknown_and_a_spot_price_that_is_not_there_is_that_on_demand(api, tmp_path):
    live = Live(tmp_path)
    assert live.price(machine(), "eastus").hourly is None
    assert live.price(Meter("x", "", "something"), "eastus").hourly is None
    api.items = [item(0.526, armRegionName="uksouth")]
    found = live.price(machine(spot=True), "uksouth")
    assert (found.hourly, "on demand" in found.note) == (0.526, True)


def test_every_meter_of_the_list_can_be_asked_for(api, tmp_path):
    for listed in listing().values():
        where = "Global" if listed.scope == "Global" else "uksouth"
        words = {"serviceName": listed.service, "productName": listed.product, "skuName": listed.sku}
        words |= {"meterName": listed.name, "unitOfMeasure": listed.unit, "armRegionName": where, "armSkuName": ""}
        api.items = [item(listed.usd, **words), item(99, **words | {"meterName": f"{listed.name} Mount"})]
        found = Live(tmp_path / listed.name.replace("/", "-")).price(Meter("x", listed.name, ""), "uksouth")
        assert found.hourly == pytest.approx(listed.hourly)
    assert listing()[BALANCER].scope == "Global"


def test_an_answer_is_kept_for_its_day_and_asked_for_again_the_next(api, tmp_path):
    api.items = [item(0.5)]
    assert Live(tmp_path).price(machine(), "eastus").hourly == 0.5
    count = len(api.asked)
    api.items = [item(0.7)]
    assert Live(tmp_path).price(machine(), "eastus").hourly == 0.5
    assert len(api.asked) == count
    (file,) = tmp_path.glob("*.json")
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert kept["day"] == Live(tmp_path).date
    file.write_text(json.dumps(kept | {"day": "2020-01-01"}), encoding="utf-8")
    assert Live(tmp_path).price(machine(), "eastus").hourly == 0.7
    file.write_text("not json", encoding="utf-8")
    assert Live(tmp_path).price(machine(), "eastus").hourly == 0.7
    assert date.fromisoformat(kept["day"])


def test_a_folder_that_keeps_nothing_is_no_reason_to_fail(api, tmp_path):
    api.items = [item(0.5)]
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert Live(tmp_path / "file").price(machine(), "eastus").hourly == 0.5


def test_what_passes_by_itself_is_tried_again_and_what_does_not_is_told(api, tmp_path):
    api.items, api.failures = [item(0.5)], [429, 503]
    assert Live(tmp_path / "a").price(machine(), "eastus").hourly == 0.5
    for failures, words in (([500, 500, 500], "500"), ([400], "400")):
        api.failures = list(failures)
        with pytest.raises(TargetError, match=words) as error:
            Live(tmp_path / "b").price(machine(), "eastus")
        assert "without --live" in error.value.hint
        assert api.failures == []


def test_a_next_page_on_another_host_is_not_followed(api, tmp_path):
    api.items, api.following = [item(0.5), item(0.6), item(0.7)], "http://127.0.0.1:9"
    with pytest.raises(TargetError, match="another host"):
        Live(tmp_path).price(machine(), "eastus")


def test_what_the_list_does_not_have_is_asked_for_and_else_unknown(api, tmp_path):
    api.items = [item(0.5, armSkuName="Standard_Z1_v9")]
    filled = Filled(Snapshot(), Live(tmp_path))
    assert filled.price(Meter("x", "Standard_D4ds_v5", ""), "eastus") == Price(0.226)
    assert api.asked == []
    assert filled.price(Meter("x", "Standard_Z1_v9", ""), "eastus").hourly == 0.5
    api.failures = [400]
    found = filled.price(Meter("x", "Standard_Z2_v9", ""), "eastus")
    assert (found.hourly, "cannot be used" in found.note) == (None, True)


@pytest.mark.parametrize("at", ["http://example.com/", "ftp://127.0.0.1/", "https://someone@example.com/"])
def test_prices_are_asked_for_over_https_or_on_this_machine(monkeypatch, at):
    monkeypatch.setenv(ENDPOINT_VARIABLE, at)
    with pytest.raises(SpecError):
        endpoint()


def test_cost_live_from_the_command_line(api, customai, home: Path):
    (home.parent / ".ssh").mkdir()
    (home.parent / ".ssh" / "id_ed25519.pub").write_text(KEY, encoding="utf-8")
    d4 = {"armSkuName": "Standard_D4ds_v5", "productName": "Virtual Machines Ddsv5 Series", "meterName": "D4ds v5"}
    api.items = [item(0.3, **d4)]
    done = customai("cost", "1-1", "--live", "-o", "json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["prices"]["source"]) == (0, "Azure Retail Prices API")
    assert next(each for each in found["lines"] if each["what"] == "Standard_D4ds_v5")["usd_per_hour"] == 0.3
    assert found["usd_per_hour"] == "unknown"  # this API has no disks
    assert (home / "prices").is_dir()
    api.failures = [400]
    done = customai("cost", "1-1", "--live", "--region", "uksouth")
    assert (done.returncode, "without --live" in done.stderr) == (3, True)
