"""Customers of an internet provider that never was: who leaves within the next three months?

The rows are drawn from the rules below, so that there is nothing to download and nobody's data to protect. The same
number of rows and the same seed give the same table. What the rules hold, and a model can find:

- a monthly contract is left easily, a two-year one hardly ever;
- a new customer leaves sooner than an old one;
- calls to support are bad news, and from the third on much worse: a straight line does not see that, a tree does;
- a high fee drives away those who use little;
- where one lives does not matter at all.

And what makes it real: ages that are not known, meters that were not read, customers who never told how they pay.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

ROWS = 20_000
SEED = 20_18
NUMBERS = ["age", "tenure_months", "monthly_fee", "data_gb", "support_calls"]
CATEGORIES = ["contract", "payment", "region"]
COLUMNS = NUMBERS + CATEGORIES
LABELS = ["stays", "leaves"]


def customers(rows: int = ROWS, seed: int = SEED) -> tuple[pd.DataFrame, np.ndarray]:
    """Draw the customers, and for each whether it left (1) or not (0)."""
    random = np.random.default_rng(seed)
    contract = random.choice(["monthly", "yearly", "two_years"], rows, p=[0.5, 0.3, 0.2])
    table = pd.DataFrame(
        {
            "age": random.normal(46, 15, rows).clip(18, 95).round(),
            "tenure_months": random.gamma(2.0, 14.0, rows).clip(0, 120).astype(int),
            "monthly_fee": random.normal(42, 12, rows).clip(15, 95).round(2),
            "data_gb": random.gamma(1.5, 90.0, rows).round(1),
            "support_calls": random.poisson(0.9, rows),
            "contract": contract,
            "payment": random.choice(["card", "transfer", "invoice"], rows, p=[0.5, 0.35, 0.15]),
            "region": random.choice(["north", "east", "south", "west"], rows),
        }
    )
    left = (random.random(rows) < 1 / (1 + np.exp(-_leaning(table)))).astype(np.int64)
    table.loc[random.random(rows) < 0.08, "age"] = np.nan
    table.loc[random.random(rows) < 0.05, "data_gb"] = np.nan
    table.loc[random.random(rows) < 0.10, "payment"] = None
    return table[COLUMNS], left


def _leaning(table: pd.DataFrame) -> pd.Series:
    """Above 0: more likely to leave than not."""
    return (
        table.contract.map({"monthly": 0.5, "yearly": -0.9, "two_years": -2.2})
        - 0.035 * table.tenure_months
        + 0.25 * table.support_calls
        + 1.6 * (table.support_calls >= 3)
        + 0.04 * (table.monthly_fee - 42) * (table.data_gb < 80)
        + 0.4 * (table.payment == "invoice")
        - 0.012 * (table.age - 46)
        - 0.3
    )
