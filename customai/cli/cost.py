from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from customai import planner, ui
from customai.cli import options
from customai.errors import SpecError
from customai.journal import folder_of, home
from customai.model import Plan
from customai.targets import load

if TYPE_CHECKING:
    from customai.cost.live import Live
    from customai.cost.sheet import Line, Sheet


WHOSE = {"compute": "quota", "ml": "Azure ML's quota", "batchai": "quota of Batch AI"}


@click.command("cost")
@options.spec
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), help="How long it is there; a month is 730.")
@click.option("--region", metavar="NAME", help="What it would cost in another region.")
@click.option("--live", is_flag=True, help="Today's prices, from the Azure Retail Prices API.")
@options.output
def command(spec: str, *, hours: float | None, region: str | None, live: bool, output: str) -> None:
    """What a path costs on Azure: an hour, a month, at rest; each thing, and what is not counted.

    Needs no account. Prices are list prices in USD, of the day that is shown.
    """
    from customai.cost.prices import Snapshot
    from customai.cost.sheet import sheet

    source = options.source_of(spec)
    target = load("azure", folder_of(source.name))
    plan = planner.plan(source, target)
    if region is not None:
        region = region.lower().replace(" ", "")
        if not region.isalnum():
            raise SpecError(f"'{region}' is no region", where="--region", hint="its short name, such as westeurope")
    found = sheet(plan, _live() if live else Snapshot(), region)
    result = {"name": plan.name, "path": plan.path, "target": plan.target, **found.to_json()}
    result["warnings"] = [each.to_json() for each in source.warnings]
    result |= {"hours": hours, "usd_for_hours": _of_hours(found, hours)} if hours is not None else {}
    ui.show(result, _lines(plan.name, found, hours, live=live), output)


def sheet_of(plan: Plan, limit: float | None) -> Sheet | None:
    """What a plan of Azure costs; None where the target costs nothing. Raises TargetError if it may cost more than `limit`."""
    if plan.target == "local":
        return None
    from customai.cost.live import Filled
    from customai.cost.prices import Snapshot
    from customai.cost.sheet import sheet

    if limit is None:
        return sheet(plan, Snapshot())
    found = sheet(plan, Filled(Snapshot(), _live()))
    found.hold(limit)
    return found


def _live() -> Live:
    from customai.cost.live import Live

    return Live(home() / "prices")


def _lines(name: str, found: Sheet, hours: float | None, *, live: bool) -> Iterator[str]:
    yield f"{name} on target azure, in {found.region}: USD, {found.source}, {found.date}"
    yield ""
    rows = [_row(line) for line in found.lines]
    yield from ui.table(rows, ("RESOURCE", "WHAT", "HOW MANY", "AN HOUR", "A MONTH", "AT REST", "NOTE"))
    yield ""
    yield from totals(found)
    if hours is not None:
        total = _of_hours(found, hours)
        shown = f"{total:.2f}" if isinstance(total, float) else f"unknown; {found.least * hours:.2f} of it is known"
        yield f"  {f'in {hours:g} h'.ljust(12)} {shown}"
    yield f"  not counted  {'; '.join(found.not_counted)}"
    if found.unknown and not live:
        yield ""
        yield "What is unknown, the Azure Retail Prices API may know: --live"


def _row(line: Line) -> tuple[str, ...]:
    meter = line.meter
    many = str(meter.count) if meter.count == meter.most else f"{meter.count} to {meter.most}"
    hour, rest = line.usd(meter.count), line.usd(meter.idle)
    return (
        meter.step,
        meter.what,
        many,
        money(hour, 3),
        money(hour, 2, 730),
        money(rest, 2, 730),
        line.note,
    )


def money(usd: float | None, digits: int = 2, times: float = 1) -> str:
    return "unknown" if usd is None else f"{usd * times:.{digits}f}"


def totals(found: Sheet) -> Iterator[str]:
    """What all of it costs."""
    if found.hourly is None:
        missing = ", ".join(found.unknown)
        yield f"  an hour      unknown: at least {found.least:.3f}, and the price of {missing}"
    else:
        grown = (
            f"; at most {money(found.most, 3)}, when all that can grow has grown" if found.most != found.hourly else ""
        )
        yield f"  an hour      {money(found.hourly, 3)}{grown}"
    yield f"  a month      {money(found.hourly, 2, 730)} if it is forgotten (730 h)"
    yield f"  at rest      {money(found.rest, 2, 730)} a month{_at_rest(found)}"


def _at_rest(found: Sheet) -> str:
    billed = [line.meter.what for line in found.lines if line.meter.idle]
    return f": {'; '.join(dict.fromkeys(billed))}" if billed else ""


def sheet_lines(found: Sheet) -> Iterator[str]:
    """The sheet that a plan ends with; the same to be read before a deployment."""
    yield f"Before money is spent, in {found.region} (USD, {found.source}, {found.date}):"
    yield from totals(found)
    for need in found.quota:
        count = "unknown" if need.vcpus is None else f"{need.vcpus}"
        grown = f", at most {need.most}" if need.most != need.vcpus else ""
        reserve = ", Azure ML's 20 % reserve included" if need.reserve else ""
        whose = WHOSE[need.service]
        yield f"  vCPUs        {count}{grown} of the {whose} {need.family}{reserve}; free: unknown"
    yield f"  providers    {', '.join(found.providers)}; registered: unknown"
    yield f"  rights       {len(found.actions)} actions, such as {_rights(found)}; granted: unknown"
    yield f"  not counted  {'; '.join(found.not_counted)}"


def _rights(found: Sheet) -> str:
    roles = [action for action in found.actions if "roleAssignments" in action]
    return ", ".join([*roles, *(action for action in found.actions if action not in roles)][:2])


def _of_hours(found: Sheet, hours: float) -> float | str:
    return "unknown" if found.hourly is None else round(found.hourly * hours, 2)
