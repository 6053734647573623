"""Which version of the model answers a request: shares of 100, kept exactly."""

from collections.abc import Sequence
from hashlib import sha256
from itertools import accumulate

WHOLE = 100


class Traffic:
    """Shares are percentages that add up to 100, in the order of the versions."""

    def __init__(self, shares: Sequence[int]) -> None:
        self._turns = turns(shares)
        self._ends = list(accumulate(shares))
        self._next = 0

    def next(self) -> int:
        """By turns: of every hundred requests each version gets its share."""
        chosen = self._turns[self._next]
        self._next = (self._next + 1) % WHOLE
        return chosen

    def of(self, identity: bytes) -> int:
        """The same version for the same identity, in every replica and after every start."""
        place = int.from_bytes(sha256(identity).digest()[:8], "big") % WHOLE
        return next(i for i, end in enumerate(self._ends) if place < end)


def turns(shares: Sequence[int]) -> list[int]:
    """A hundred turns in which each version has its share, spread evenly: 75 and 25 are 0 0 1 0, 0 0 1 0, ..."""
    credit = [0] * len(shares)
    order = []
    for _ in range(WHOLE):
        credit = [have + share for have, share in zip(credit, shares, strict=True)]
        chosen = credit.index(max(credit))
        credit[chosen] -= WHOLE
        order.append(chosen)
    return order
