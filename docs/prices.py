"""Makes customai/cost/data/sizes.tsv, the list prices of VM sizes, from a whole price list.

python -m docs.prices LIST.json    {"source", "generated_at", "prices": {region: {size: USD an hour on Linux}}}

The list is karpenter-provider-azure's zz_generated.pricing.go (Apache-2.0), whose generator takes the last of several
prices that the Retail Prices API gives for a size: some are Windows' or another kind's. So a size is left out where its
prices cannot be told apart from those, and a price that is out of line with its size and its region is left out.
"""

# ruff: noqa: INP001 (a script's folder, not a package)

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from statistics import median

from customai import retirements
from customai.cost.prices import SIZES

ODD = 1.6  # so many times the size's usual price, in a region that is not dear as a whole
DOUBTFUL = {"Standard_D4as_v5", "Standard_DS3_v2"}  # doubled in about half of the regions
LEAVING = re.compile(r"Standard_ND40rs_v2")  # whether they are still given is not known
HEAD = "# USD an hour, Linux, pay as you go. From: {source}, {date}. Made by `python -m docs.prices`.\n"

Prices = dict[str, dict[str, float]]


def sane(prices: Prices) -> Prices:
    """By region and size, without what is odd."""
    sizes = sorted({size for row in prices.values() for size in row} - DOUBTFUL)
    usual = {
        size: median(row[size] for row in prices.values() if size in row)
        for size in sizes
        if not LEAVING.fullmatch(size) and _stays(size)
    }
    found = {}
    for region, row in sorted(prices.items()):
        ratios = {size: row[size] / usual[size] for size in usual if size in row}
        dear = median(ratios.values())
        found[region] = {size: row[size] for size, ratio in ratios.items() if 1 / ODD < ratio / dear < ODD}
    return found


def _stays(size: str) -> bool:
    known = retirements.find("size", size)
    return known is None or not known.has_ended(retirements.today())


def table(source: str, date: str, prices: Prices) -> str:
    sizes = sorted({size for row in prices.values() for size in row})
    lines = [HEAD.format(source=source, date=date) + "\t".join(["region", *sizes])]
    for region, row in prices.items():
        lines.append("\t".join([region, *(f"{row[size]:g}" if size in row else "" for size in sizes)]))
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    given = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    text = table(given["source"], given["generated_at"][:10], sane(given["prices"]))
    SIZES.write_text(text, encoding="utf-8")
    print(f"{SIZES.name} written: {len(text)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
