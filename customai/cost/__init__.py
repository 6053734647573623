"""What a plan costs, before money is spent.

    plan -> what of it is billed      (meters)   pure: names of Azure's own meters, and how many
    meter -> USD                      (prices)   the list in the package, or (live) the Azure Retail Prices API
    both -> what a newcomer must know (sheet)    an hour, a month, at rest, quota, providers, rights, what is not counted

What is not known is said to be unknown, and never taken for nothing.
"""

from __future__ import annotations
