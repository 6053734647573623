import asyncio
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customai.workloads.scoring.answers import RequestError
from customai.workloads.scoring.batching import Batcher
from customai.workloads.scoring.pace import Pace, independent

INLINE = Pace(inline=True, max_batch=8, piece=8, latency=0.0)
THREAD = Pace(inline=False, max_batch=8, piece=8, latency=0.0)


def double(feed):
    if (feed["x"] < 0).any():
        raise RequestError(400, "negative")
    return [feed["x"] * 2]


def feed(*values):
    return {"x": np.array(values, dtype=np.float32)}


def run(batcher, feeds):
    async def main():
        calls = [batcher.score(one, len(one["x"])) for one in feeds]
        try:
            return await asyncio.gather(*calls, return_exceptions=True)
        finally:
            batcher.close()

    return asyncio.run(main())


@pytest.mark.parametrize("pace", [INLINE, THREAD])
def test_requests_of_one_moment_share_a_run(pace):
    batcher = Batcher(double, pace, 1000)
    answers = run(batcher, [feed(i) for i in range(20)])
    assert [answer[0].tolist() for answer in answers] == [[2 * i] for i in range(20)]
    assert batcher.runs == 3  # 8 + 8 + 4
    assert batcher.rows == 20


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.integers(-1, 9), min_size=1, max_size=12), min_size=1, max_size=12),
    st.sampled_from([INLINE, THREAD, Pace(True, 1, 0, 0.0), Pace(False, 1, 3, 0.0)]),
)
def test_batched_results_are_those_of_one_by_one(requests, pace):
    """-1 poisons a request: it fails, and its neighbours do not."""
    answers = run(Batcher(double, pace, 10_000), [feed(*values) for values in requests])
    for values, answer in zip(requests, answers, strict=True):
        if min(values) < 0:
            assert isinstance(answer, RequestError)
        else:
            assert answer[0].tolist() == [2 * value for value in values]


def test_rows_of_different_shapes_do_not_meet():
    seen = []

    def model(feed):
        seen.append(feed["x"].shape)
        return [feed["x"]]

    feeds = [{"x": np.zeros((1, width), dtype=np.float32)} for width in (2, 3, 2, 3)]
    run(Batcher(model, INLINE, 100), feeds)
    assert seen == [(2, 2), (2, 3)]


def test_a_request_larger_than_a_run_goes_in_pieces():
    batcher = Batcher(double, INLINE, 5)  # an empty queue takes it, whatever the bound
    [answer] = run(batcher, [feed(*range(20))])
    assert answer[0].tolist() == [2 * i for i in range(20)]
    assert batcher.runs == 3


def test_a_full_queue_refuses_and_says_when_to_come_back():
    answers = run(Batcher(double, INLINE, 2), [feed(i) for i in range(4)])
    assert [isinstance(answer, RequestError) for answer in answers] == [False, False, True, True]
    assert answers[2].status == 503
    assert answers[2].headers == ((b"retry-after", b"1"),)


def test_a_cancelled_request_is_dropped_and_leaves_room():
    seen = []

    def model(feed):
        seen.extend(feed["x"].tolist())
        return [feed["x"]]

    async def main():
        batcher = Batcher(model, INLINE, 2)
        first, second = (asyncio.ensure_future(batcher.score(feed(i), 1)) for i in (1, 2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        third = asyncio.ensure_future(batcher.score(feed(3), 1))
        await asyncio.gather(second, third)

    asyncio.run(main())
    assert seen == [2, 3]


def test_a_cancelled_request_behind_a_run_is_never_scored():
    seen, started, go = [], threading.Event(), threading.Event()

    def model(feed):
        started.set()
        go.wait(5)
        seen.extend(feed["x"].tolist())
        return [feed["x"]]

    async def main():
        batcher = Batcher(model, THREAD, 3)
        first = asyncio.ensure_future(batcher.score(feed(1), 1))
        await asyncio.to_thread(started.wait, 5)
        waiting = [asyncio.ensure_future(batcher.score(feed(i), 1)) for i in (2, 3, 4)]
        await asyncio.sleep(0)
        with pytest.raises(RequestError, match="3 rows are waiting"):
            await batcher.score(feed(9), 1)
        waiting[1].cancel()
        await asyncio.sleep(0)
        last = asyncio.ensure_future(batcher.score(feed(5), 1))
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(first, waiting[0], waiting[2], last)
        assert batcher.runs == 2
        batcher.close()

    asyncio.run(main())
    assert seen == [1, 2, 4, 5]


def test_the_loop_goes_on_while_a_slow_model_runs():
    def model(feed):
        time.sleep(0.1)
        return [feed["x"]]

    async def main():
        batcher = Batcher(model, THREAD, 10)
        job = asyncio.ensure_future(batcher.score(feed(1), 1))
        turns = 0
        while not job.done():
            await asyncio.sleep(0.005)
            turns += 1
        batcher.close()
        return turns

    assert asyncio.run(main()) > 3


def test_a_model_that_gives_back_too_few_rows_fails_together_but_not_alone():
    answers = run(Batcher(lambda feed: [feed["x"][:1]], INLINE, 100), [feed(1), feed(2)])
    assert [answer[0].tolist() for answer in answers] == [[1], [2]]


def test_rows_that_look_at_each_other_are_noticed():
    pair = {"x": np.array([[1.0, 2.0], [3.0, 5.0]])}
    assert independent(lambda feed: [feed["x"] * 2], pair)
    assert not independent(lambda feed: [feed["x"] - feed["x"].mean(axis=0)], pair)
    assert not independent(lambda feed: [feed["x"].sum(axis=0)], pair)
