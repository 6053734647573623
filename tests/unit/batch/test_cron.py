from __future__ import annotations

import re
from datetime import datetime, timezone

import pytest

from customai.paths.cron import parsed
from customai.workloads.job.schedule import following


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("cron", "after", "due"),
    [
        ("*/5 * * * *", "2026-11-24T22:44:10", "2026-11-24T22:45"),
        ("*/5 * * * *", "2026-11-24T22:45:00", "2026-11-24T22:50"),
        ("*/5 * * * *", "2026-12-31T23:59:59", "2027-01-01T00:00"),
        ("30 2 * * *", "2026-11-24T02:30:00", "2026-11-25T02:30"),
        ("0 9-17/4 * * mon-fri", "2026-11-27T17:30:00", "2026-11-30T09:00"),
        ("0 0 1,15 * *", "2026-11-02T00:00:00", "2026-11-15T00:00"),
        ("0 0 29 2 *", "2026-11-24T00:00:00", "2028-02-29T00:00"),
        ("0 0 13 * 5", "2026-11-24T00:00:00", "2026-11-27T00:00"),  # either the 13th or a Friday
        ("5 4 * jan 7", "2026-11-24T00:00:00", "2027-01-03T04:05"),
        ("@daily", "2026-11-24T00:00:00", "2026-11-25T00:00"),
        ("59 23 31 12 *", "2026-12-31T23:59:00", "2027-12-31T23:59"),
        ("10/20 1 * * *", "2026-11-24T01:15:00", "2026-11-24T01:30"),
    ],
)
def test_the_next_time_is_found(cron: str, after: str, due: str) -> None:
    assert following(parsed(cron), at(after)) == at(due)


@pytest.mark.parametrize(
    ("cron", "told"),
    [
        ("", "got 0"),
        ("* * * *", "expected five fields"),
        ("* * * * * *", "got 6"),
        ("60 * * * *", "minute: '60' is not from 0 to 59"),
        ("* 24 * * *", "hour: '24' is not from 0 to 23"),
        ("* * 0 * *", "day: '0' is not from 1 to 31"),
        ("* * * foo *", "month: 'foo' is not from 1 to 12"),
        ("* * * * 8", "weekday: '8' is not from 0 to 7"),
        ("*/0 * * * *", "no step above 0"),
        ("5-1 * * * *", "runs backwards"),
        ("1,,2 * * * *", "minute: '' is not"),
        ("0 0 30 2 *", "it never comes"),
        ("0 0 31 4,6,9,11 *", "it never comes"),
    ],
)
def test_what_is_no_time_is_told(cron: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        parsed(cron)
