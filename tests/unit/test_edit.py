"""Numbers written into a spec: the new spec says them, and nothing else has changed."""

from __future__ import annotations

import pytest
import yaml

from customai.spec.edit import with_numbers

# name: (before, after) of replicas 3 and threads 2 in `endpoint`.
CASES = {
    "a value in its place, with the comment behind it": (
        "# top\nendpoint:   # where\n  replicas: 1   # how many\n\n  threads: 0\n# end\n",
        "# top\nendpoint:   # where\n  replicas: 3   # how many\n\n  threads: 2\n# end\n",
    ),
    "a new key behind the one that is there": (
        "endpoint:\n    port: 1\n    replicas: 10\n    # of the host\n    host: h\nname: n\n",
        "endpoint:\n    port: 1\n    replicas: 3\n    threads: 2\n    # of the host\n    host: h\nname: n\n",
    ),
    "new keys first in the block": (
        "a: 1\nendpoint:\n  # the port\n  port: 1\n",
        "a: 1\nendpoint:\n  replicas: 3\n  threads: 2\n  # the port\n  port: 1\n",
    ),
    "no such block": ("a: 1  # one\n", "a: 1  # one\n\nendpoint:\n  replicas: 3\n  threads: 2\n"),
    "no line's end": ("endpoint:\n  replicas: 1", "endpoint:\n  replicas: 3\n  threads: 2\n"),
    "on one line": ("endpoint: {replicas: 1, port: 2}  # c\n", "endpoint: {threads: 2, replicas: 3, port: 2}  # c\n"),
    "an empty one": ("endpoint: {}  # none\n", "endpoint: {replicas: 3, threads: 2}  # none\n"),
    "nothing in it": ("endpoint:   # none\na: 1\n", "endpoint:   # none\n  replicas: 3\n  threads: 2\na: 1\n"),
    "Windows' line ends": ("endpoint:\r\n  replicas: 1\r\n", "endpoint:\r\n  replicas: 3\r\n  threads: 2\r\n"),
    "a block that is alike": (
        "more:\n  replicas: 9\nendpoint:\n  replicas: 1\n  threads: 1\n",
        "more:\n  replicas: 9\nendpoint:\n  replicas: 3\n  threads: 2\n",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_put_in_and_the_rest_stays(name):
    before, after = CASES[name]
    changed = with_numbers(before, "endpoint", {"replicas": 3, "threads": 2})
    assert changed == after
    old = yaml.safe_load(before)
    assert yaml.safe_load(changed) == old | {"endpoint": (old.get("endpoint") or {}) | {"replicas": 3, "threads": 2}}
