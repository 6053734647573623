"""What a meter costs today: from the Azure Retail Prices API, which asks for no login; kept for the day.

Of a size the API gives several items: of Windows, of spot and low-priority machines, of cloud services, of meters that
are not a region's primary ones, of the past and the future. What remains must be one price, or none is told.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from datetime import date, datetime, timezone
from pathlib import Path

from customai.cost.meters import Meter
from customai.cost.prices import HOURS, SPOT, Price, Prices, listing
from customai.errors import SpecError, TargetError
from customai.model import Json

ENDPOINT = "https://prices.azure.com/api/retail/prices"
ENDPOINT_VARIABLE = "CUSTOMAI_PRICES_ENDPOINT"
VERSION = "2023-01-01-preview"  # from this one on, the words in a filter must be written as the API writes them
PAGES = 20
TIMEOUT = 30  # seconds
TRIES = 3
MACHINE = re.compile(r"Virtual Machines .*")
FOREIGN = re.compile(r"Windows$|CloudServices|Cloud Services|Promo", re.IGNORECASE)


class Live:
    """Prices of the day.

    Args:
        cache: the folder that keeps the answers, until the next day.
    """

    source = "Azure Retail Prices API"

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.day = datetime.now(timezone.utc).date()
        self.date = self.day.isoformat()

    def price(self, meter: Meter, region: str) -> Price:
        listed = listing().get(meter.name)
        if meter.is_machine:
            words = {"serviceName": "Virtual Machines", "armRegionName": region, "armSkuName": meter.name}
            unit = "1 Hour"
        elif listed is not None:
            where = "Global" if listed.scope == "Global" else region
            words = {
                "serviceName": listed.service,
                "armRegionName": where,
                "productName": listed.product,
                "skuName": listed.sku,
                "meterName": listed.name,
            }
            unit = listed.unit
        else:
            return Price(None, "no meter of it is known here")
        items = self._items(" and ".join(f"{key} eq '{value}'" for key, value in words.items()))
        fitting = [item for item in items if _fits(item, meter, unit, self.day)]
        found = _newest([item for item in fitting if _is_spot(item) == meter.spot])
        if found.hourly is None and meter.spot:
            demand = _newest([item for item in fitting if not _is_spot(item)])
            return Price(demand.hourly, SPOT if demand.hourly is not None else demand.note)
        return found

    def _items(self, asked: str) -> list[Json]:
        """What the API has of these words, today's answer from the cache."""
        words = {
            "api-version": VERSION,
            "meterRegion": "'primary'",
            "$filter": f"{asked} and priceType eq 'Consumption'",
        }
        url = f"{endpoint()}?{urllib.parse.urlencode(words, quote_via=urllib.parse.quote)}"
        file = self.cache / f"{hashlib.sha256(url.encode()).hexdigest()[:24]}.json"
        kept = _kept(file)
        if kept is not None and kept["day"] == self.date:
            return list(kept["items"])
        items = _every(url)
        _keep(file, {"day": self.date, "url": url, "items": items})
        return items


class Filled:
    """The list in the package, and today's prices for what it does not have; unknown where they cannot be had."""

    def __init__(self, first: Prices, live: Live) -> None:
        self.first, self.live = first, live
        self.source = f"{first.source}, what is not in it from the {live.source}"
        self.date = first.date

    def price(self, meter: Meter, region: str) -> Price:
        found = self.first.price(meter, region)
        if found.hourly is not None:
            return found
        try:
            return self.live.price(meter, region)
        except TargetError as error:
            return Price(None, error.message)


def endpoint() -> str:
    """Of the API; for tests, one on this machine.

    Raises:
        SpecError: it is neither https nor on this machine.
    """
    at = os.environ.get(ENDPOINT_VARIABLE) or ENDPOINT
    if not re.match(r"https://[\w.-]+(:\d+)?/|http://127\.0\.0\.1:\d+/", at):
        raise SpecError(f"{ENDPOINT_VARIABLE} is no endpoint", where=at, hint=f"such as {ENDPOINT}")
    return at


def _every(url: str) -> list[Json]:
    """The items of every page."""
    items: list[Json] = []
    for _ in range(PAGES):
        page = _page(url)
        items += page["Items"]
        following = page.get("NextPageLink")
        if not following:
            return items
        if _host(following) != _host(url):
            raise _unreachable(url, f"its next page is on another host, {_host(following)}")
        url = following
    raise _unreachable(url, f"it has more than {PAGES} pages of one size's prices")


def _page(url: str) -> Json:
    for left in reversed(range(TRIES)):
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
                page = json.load(answer)
            if not isinstance(page, dict) or not isinstance(page.get("Items"), list):
                raise _unreachable(url, "it answered with something else than prices")
        except urllib.error.HTTPError as error:
            error.close()
            if not left or error.code not in (429, 500, 502, 503, 504):
                raise _unreachable(url, f"it answered {error.code} {error.reason}") from None
            time.sleep(_wait(error.headers.get("Retry-After")))
        except (OSError, ValueError) as error:
            raise _unreachable(url, str(getattr(error, "reason", error))) from None
        else:
            return page
    raise AssertionError("unreachable")


def _wait(asked: str | None) -> float:
    return min(float(asked), 10.0) if asked and asked.isdigit() else 1.0


def _unreachable(url: str, reason: str) -> TargetError:
    return TargetError(
        f"the Azure Retail Prices API cannot be used: {reason}",
        where=url.partition("?")[0],
        hint="without --live, the list in customai is taken, which says of what day it is",
    )


def _fits(item: Json, meter: Meter, unit: str, day: date) -> bool:
    """Whether this is an item of what is meant, in force, on Linux, as one goes."""
    units = {other for other, hours in HOURS.items() if hours == HOURS[unit]}
    named = MACHINE.fullmatch(str(item.get("productName"))) if meter.is_machine else item.get("meterName") == meter.name
    return (
        bool(named)
        and item.get("type") == "Consumption"
        and item.get("unitOfMeasure") in units
        and item.get("isPrimaryMeterRegion", True) is True
        and not item.get("tierMinimumUnits")
        and FOREIGN.search(str(item.get("productName"))) is None
        and "Low Priority" not in f"{item.get('meterName')} {item.get('skuName')}"
        and str(item.get("effectiveStartDate", ""))[:10] <= day.isoformat()
    )


def _is_spot(item: Json) -> bool:
    return str(item.get("skuName", "")).endswith(" Spot")


def _newest(items: Sequence[Json]) -> Price:
    if not items:
        return Price(None, "the API has no such price")
    newest = max(str(item.get("effectiveStartDate", "")) for item in items)
    prices = {
        float(item["retailPrice"]) / HOURS[item["unitOfMeasure"]]
        for item in items
        if str(item.get("effectiveStartDate", "")) == newest
    }
    return Price(prices.pop()) if len(prices) == 1 else Price(None, "the API has several such prices")


def _kept(file: Path) -> Json:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return found if {"day", "items"} <= set(found) else None
    except (OSError, ValueError, TypeError):
        return None


def _keep(file: Path, answer: Json) -> None:
    """Whole or not at all; where it cannot be kept, it is asked for again."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(answer), encoding="utf-8")
        draft.replace(file)
    except OSError:
        return


def _host(url: str) -> tuple[str, int | None]:
    parts = urllib.parse.urlsplit(url)
    return parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme)
