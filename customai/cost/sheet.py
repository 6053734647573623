"""What a newcomer needs to know before money is spent: all of it in one place, and nothing made up.

In JSON, what cannot be known here is the text "unknown".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from customai.cost.meters import Meter, meters, not_counted
from customai.cost.prices import Prices
from customai.cost.quota import UNKNOWN, Need, needs
from customai.errors import TargetError
from customai.model import Json, Plan
from customai.provisioning.api_versions import type_of

MONTH = 730  # hours, as Azure reckons


@dataclass(frozen=True)
class Line:
    """One thing that is billed: USD an hour for each, None where that is not known."""

    meter: Meter
    hourly: float | None
    note: str

    def usd(self, number: int) -> float | None:
        """An hour of so many; none cost nothing, whatever the price."""
        return 0.0 if number == 0 else None if self.hourly is None else self.hourly * number

    def to_json(self) -> Json:
        meter = self.meter
        return {
            "step": meter.step,
            "what": meter.what,
            "count": meter.count,
            "at_most": meter.most,
            "at_rest": meter.idle,
            "usd_per_hour": _known(self.usd(meter.count)),
            "usd_per_hour_at_most": _known(self.usd(meter.most)),
            "usd_per_month_at_rest": _known(_times(self.usd(meter.idle), MONTH), 2),
            "note": self.note,
        }


@dataclass(frozen=True)
class Sheet:
    """A plan's: see to_json for what it tells."""

    region: str
    source: str
    date: str
    lines: tuple[Line, ...]
    quota: tuple[Need, ...]
    providers: tuple[str, ...]
    actions: tuple[str, ...]
    not_counted: tuple[str, ...]

    @property
    def hourly(self) -> float | None:
        """As it is made; None where one of its prices is not known. `least` then says what is."""
        return self._sum(lambda line: line.usd(line.meter.count))

    @property
    def most(self) -> float | None:
        """An hour when all that can grow has grown."""
        return self._sum(lambda line: line.usd(line.meter.most))

    @property
    def rest(self) -> float | None:
        """An hour when nobody uses it: machines deallocated, autoscalers at their fewest."""
        return self._sum(lambda line: line.usd(line.meter.idle))

    @property
    def least(self) -> float:
        """What is known of an hour as it is made."""
        return sum(line.usd(line.meter.count) or 0.0 for line in self.lines)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What has no price here, of what there can be."""
        return tuple(dict.fromkeys(line.meter.what for line in self.lines if line.usd(line.meter.most) is None))

    def _sum(self, of: Callable[[Line], float | None]) -> float | None:
        total = 0.0
        for line in self.lines:
            usd = of(line)
            if usd is None:
                return None
            total += usd
        return total

    def of(self, step: str) -> tuple[str, str]:
        """A step's USD an hour and a month, in words; empty where nothing is billed by the time."""
        lines = [line for line in self.lines if line.meter.step == step]
        if not lines:
            return "", ""
        found = [line.usd(line.meter.count) for line in lines]
        total = None if None in found else sum(each or 0.0 for each in found)
        return (UNKNOWN, UNKNOWN) if total is None else (f"{total:.3f}", f"{total * MONTH:.2f}")

    def hold(self, limit: float) -> None:
        """Raises TargetError where it may cost more than `limit` USD an hour, or where that is not known."""
        if self.unknown:
            raise TargetError(
                f"whether it stays below {limit:g} USD an hour is not known: the price of {', '.join(self.unknown)} is unknown",
                where="--max-hourly-usd",
                hint="customai cost --live asks for today's prices; nothing was made",
            )
        if self.most is not None and self.most > limit:
            raise TargetError(
                f"it costs up to {self.most:.2f} USD an hour, more than {limit:g}; nothing was made",
                where="--max-hourly-usd",
                hint="choose a smaller size, or fewer nodes at most; customai cost shows each",
            )

    def to_json(self) -> Json:
        return {
            "currency": "USD",
            "region": self.region,
            "prices": {"source": self.source, "date": self.date},
            "lines": [line.to_json() for line in self.lines],
            "usd_per_hour": _known(self.hourly),
            "usd_per_hour_known": round(self.least, 4),
            "usd_per_hour_at_most": _known(self.most),
            "usd_per_month_if_forgotten": _known(_times(self.hourly, MONTH), 2),
            "usd_per_month_at_rest": _known(_times(self.rest, MONTH), 2),
            "unknown_prices": list(self.unknown),
            "quota": [_need(each) for each in self.quota],
            "providers": [{"name": name, "registered": UNKNOWN} for name in self.providers],
            "role_actions": [{"action": action, "granted": UNKNOWN} for action in self.actions],
            "not_counted": list(self.not_counted),
        }


def sheet(plan: Plan, prices: Prices, region: str | None = None) -> Sheet:
    """What the plan costs and needs.

    Args:
        plan: of target azure.
        prices: where they are from.
        region: another one than the plan's.
    """
    where = region or region_of(plan)
    found = [(meter, prices.price(meter, where)) for meter in meters(plan)]
    types = sorted({type_of(str(step.inputs["url"]).partition("?")[0]) for step in plan.steps if step.is_request})
    return Sheet(
        region=where,
        source=prices.source,
        date=prices.date,
        lines=tuple(Line(meter, price.hourly, price.note) for meter, price in found),
        quota=needs(plan),
        providers=tuple(sorted({type_.partition("/")[0] for type_ in types})),
        actions=tuple(f"{type_}/write" for type_ in types),
        not_counted=tuple(not_counted(plan)),
    )


def region_of(plan: Plan) -> str:
    bodies = (step.inputs["body"] or {} for step in plan.steps if step.is_request)
    return next((str(body["location"]) for body in bodies if "location" in body), UNKNOWN)


def _need(need: Need) -> Json:
    return {
        "service": need.service,
        "family": need.family,
        "vcpus": UNKNOWN if need.vcpus is None else need.vcpus,
        "vcpus_at_most": UNKNOWN if need.most is None else need.most,
        "with_reserve": need.reserve,
        "free": UNKNOWN,
    }


def _times(value: float | None, number: float) -> float | None:
    return None if value is None else value * number


def _known(value: float | None, digits: int = 4) -> float | str:
    return UNKNOWN if value is None else round(value, digits)
