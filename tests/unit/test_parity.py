"""The parity report: what counts as a difference, and what the verdict is."""

from __future__ import annotations

import math

import pytest

from customai.parity import Reply, difference, report


def top(**shares):
    ranked = sorted(shares.items(), key=lambda pair: -pair[1])
    entries = [{"label": label, "probability": share} for label, share in ranked]
    return {"label": ranked[0][0], "probability": ranked[0][1], "top": entries}


FIVE = {"a": 0.5, "b": 0.2, "c": 0.1, "d": 0.1, "e": 0.05}


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        ({"value": 1.0}, {"value": 1.25}, 0.25),
        ({"value": None}, {"value": None}, 0),
        ({"value": None}, {"value": 1.0}, math.inf),
        (top(a=0.75, b=0.25), top(a=0.5, b=0.5), 0.25),
        (top(a=0.75, b=0.25), top(b=0.75, a=0.25), 0.5),
        (top(a=1.0), top(b=1.0), 1),
        (top(**FIVE), top(**{**FIVE, "e": 0, "f": 0.04}), 0.05),  # e may be as likely as the last of the five, no more
        ({"label": "a", "probability": 0.75}, {"label": "a", "probability": 0.5}, 0.25),
        ({"label": "a", "probability": None}, {"label": "a", "probability": 0.5}, math.inf),
        ({"label": "a", "probability": None}, {"label": "a", "probability": None}, 0),
        ({"outputs": {"y": [1, 2]}}, {"outputs": {"y": [1, 2.5]}}, 0.5),
        ({"outputs": {"y": [1, 2]}}, {"outputs": {"y": [1]}}, math.inf),
        ({"outputs": {"y": ["a"]}}, {"outputs": {"y": ["b"]}}, math.inf),
        ({"outputs": {"y": ["a", True]}}, {"outputs": {"y": ["a", True]}}, 0),
        ({"outputs": {"y": 1}}, {"outputs": {"z": 1}}, math.inf),
        ({"value": 1.0}, top(a=1.0), math.inf),
        ({}, {}, math.inf),
    ],
)
def test_the_difference_of_two_predictions(mine, theirs, expected):
    assert difference(mine, theirs) == pytest.approx(expected)
    assert difference(theirs, mine) == pytest.approx(expected)


def reply(prediction, seconds=0.001, version="1"):
    return Reply(prediction, version, seconds)


NO = Reply(None, "", 0.5, "it was refused")
URLS = ("http://one", "http://two")


def test_the_largest_difference_is_told_with_its_input():
    pairs = [(reply({"value": 1.0}), reply({"value": 1.0 + gap})) for gap in (0.1, 0.3, 0.2)]
    found = report(URLS, ["a", "b", "c"], pairs, 0.25)
    assert found["largest_difference"] == pytest.approx(0.3)
    assert (found["at"], found["compared"], found["same"]) == ("b", 3, False)
    assert report(URLS, ["a", "b", "c"], pairs, 0.31)["same"]


def test_labels_that_differ_are_listed_even_where_it_is_a_tie():
    pairs = [(reply(top(a=0.51, b=0.49)), reply(top(a=0.49, b=0.51))), (reply(top(a=1.0)), reply(top(a=1.0)))]
    found = report(URLS, ["tie", "clear"], pairs, 0.05)
    assert found["same"]
    [told] = found["label_disagreements"]
    assert (told["input"], told["labels"], told["difference"]) == ("tie", ["a", "b"], pytest.approx(0.02))


@pytest.mark.parametrize(
    ("pairs", "same"),
    [
        ([(reply({"value": 1}), NO)], False),
        ([(reply({"value": 1}), reply({"value": 1})), (NO, reply({"value": 1}))], False),
        ([(reply({"value": 1}), reply({"value": 1})), (NO, NO)], True),  # both refuse it: that is agreement
        ([(NO, NO)], False),  # nothing was compared
        ([(reply({"value": 1}), reply(top(a=1.0)))], False),
    ],
)
def test_the_verdict_counts_refusals(pairs, same):
    found = report(URLS, [str(i) for i in range(len(pairs))], pairs, 0.1)
    assert found["same"] is same
    assert len(found["errors"]) == sum(NO in pair for pair in pairs)


def test_each_endpoint_tells_its_versions_and_times():
    pairs = [(reply({"value": 1}, i / 1000, str(1 + i % 2)), reply({"value": 1}, 0.002)) for i in range(1, 101)]
    mine, theirs = report(URLS, [str(i) for i in range(100)], pairs, 0)["endpoints"]
    assert mine == {"url": "http://one", "versions": {"1": 50, "2": 50}, "median_ms": 50.5, "p95_ms": 95.0}
    assert (theirs["median_ms"], theirs["p95_ms"]) == (2.0, 2.0)
