"""Cron expressions: five fields (minute, hour, day of the month, month, day of the week) -> the values each allows."""

from __future__ import annotations

from customai.model import Json

FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
NAMES = {
    "month": ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    "weekday": ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
}
DAILY = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}
DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # of each month, at most


def parsed(text: str) -> Json:
    """{"minute": [...], ...}, and "either": whether day and weekday are both restricted, so that either is enough.

    Raises:
        ValueError: it is not a cron expression, or it never comes.
    """
    words = DAILY.get(text.strip().lower(), text).split()
    if len(words) != len(FIELDS):
        raise ValueError(f"expected five fields (minute hour day month weekday), got {len(words)}")
    found: dict[str, Json] = {
        name: sorted(_values(word, name, low, high)) for word, (name, low, high) in zip(words, FIELDS, strict=True)
    }
    found["weekday"] = sorted({day % 7 for day in found["weekday"]})  # 7 is Sunday too
    found["either"] = not words[2].startswith("*") and not words[4].startswith("*")
    if not found["either"] and all(day > DAYS[month - 1] for day in found["day"] for month in found["month"]):
        raise ValueError(f"it never comes: no such month has a day {found['day'][0]}")
    return found


def _values(word: str, name: str, low: int, high: int) -> set[int]:
    values: set[int] = set()
    for part in word.lower().split(","):
        span, slash, step = part.partition("/")
        if slash and (not step.isdecimal() or int(step) == 0):
            raise ValueError(f"{name}: '{part}' has no step above 0 after the /")
        first, dash, last = span.partition("-")
        if span == "*":
            start, end = low, high
        else:
            start = _number(first, name, low, high)
            end = _number(last, name, low, high) if dash else high if slash else start
        if start > end:
            raise ValueError(f"{name}: '{part}' runs backwards")
        values.update(range(start, end + 1, int(step) if slash else 1))
    return values


def _number(word: str, name: str, low: int, high: int) -> int:
    names = NAMES.get(name, ())
    if word in names:
        return names.index(word) + low
    if not word.isdecimal() or not low <= int(word) <= high:
        raise ValueError(f"{name}: '{word}' is not from {low} to {high}")
    return int(word)
