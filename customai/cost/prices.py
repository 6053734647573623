"""What a meter costs: from the price lists in the package, which are as old as they say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from customai.cost.meters import Meter

DATA = Path(__file__).parent / "data"
SIZES, METERS = DATA / "sizes.tsv", DATA / "meters.tsv"
HOURS = {"1 Hour": 1, "1/Hour": 1, "1/Day": 24, "1/Month": 730}  # of the API's units
LISTED_REGION = "eastus"  # whose prices METERS has
LINEAR = re.compile(r"(standard_[de])(\d+)([a-z]*_v[3-9])", re.IGNORECASE)  # series whose price goes by vCPUs
SPOT = "spot: as if on demand, which is the most it can be"


@dataclass(frozen=True)
class Price:
    """USD an hour; None where it is not known. The note says what to know of it."""

    hourly: float | None
    note: str = ""


@dataclass(frozen=True)
class Listed:
    """A line of METERS: how the Azure Retail Prices API calls it, and what it costs."""

    name: str
    service: str
    product: str
    sku: str
    unit: str
    usd: float
    scope: str

    @property
    def hourly(self) -> float:
        return self.usd / HOURS[self.unit]


class Prices(Protocol):
    @property
    def source(self) -> str:
        """For people: where they are from."""

    @property
    def date(self) -> str:
        """Of what day they are."""

    def price(self, meter: Meter, region: str) -> Price: ...


class Snapshot:
    """The lists in the package."""

    source = "the list in customai"

    @property
    def date(self) -> str:
        return _sizes()[0]

    def price(self, meter: Meter, region: str) -> Price:
        if meter.is_machine:
            return _machine(meter, _sizes()[1].get(region, {}), region)
        listed = listing().get(meter.name)
        if listed is None:
            return Price(None, "not in the list")
        elsewhere = listed.scope == "region" and region != LISTED_REGION
        return Price(listed.hourly, f"the price of {LISTED_REGION}" if elsewhere else "")


def _machine(meter: Meter, known: dict[str, float], region: str) -> Price:
    """A size's price; one that is not in the list is reckoned from another of its series, where price goes by cores."""
    spot = SPOT if meter.spot else ""
    if meter.name.lower() in known:
        return Price(known[meter.name.lower()], spot)
    wanted = LINEAR.fullmatch(meter.name)
    for name, usd in known.items() if wanted else ():
        other = LINEAR.fullmatch(name)
        if wanted and other and (wanted[1] + wanted[3]).lower() == (other[1] + other[3]).lower():
            note = f"reckoned by vCPUs from {wanted[1]}{other[2]}{wanted[3]}'s"
            return Price(usd * int(wanted[2]) / int(other[2]), "; ".join(filter(None, (note, spot))))
    return Price(None, f"{meter.name} in {region} is not in the list")


@cache
def listing() -> dict[str, Listed]:
    rows = [line.split("\t") for line in _lines(METERS)[1:]]
    return {
        name: Listed(name, service, product, sku, unit, float(usd), scope)
        for name, service, product, sku, unit, usd, scope in rows
    }


@cache
def _sizes() -> tuple[str, dict[str, dict[str, float]]]:
    """The date of the list, and region -> size in small letters -> USD an hour."""
    head = SIZES.read_text(encoding="utf-8").partition("\n")[0]
    day = re.search(r"\d{4}-\d\d-\d\d", head)
    names, *rows = [line.split("\t") for line in _lines(SIZES)]
    found = {
        row[0]: {name.lower(): float(cell) for name, cell in zip(names[1:], row[1:], strict=True) if cell}
        for row in rows
    }
    return day[0] if day else "", found


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
