"""The page at `/`: one HTML file, which asks this server and nobody else."""

import base64
import hashlib
import re
from pathlib import Path

from customai.workloads.scoring.answers import Answer

_FILE = Path(__file__).with_name("page.html")
_KIND = b"text/html; charset=utf-8"


def load(*, asks_for_key: bool) -> Answer:
    """The page, with a policy that lets the browser run its own script and style and nothing else."""
    text = _FILE.read_text(encoding="utf-8").replace("{asks-for-key}", str(asks_for_key).lower())
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {_digest(text, 'script')}",
            f"style-src {_digest(text, 'style')}",
            "connect-src 'self'",
            "img-src blob: data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )
    headers = (
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-cache"),
        (b"vary", b"accept"),
    )
    return Answer(200, text.encode(), headers, _KIND)


def _digest(text: str, tag: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    assert found is not None, tag  # noqa: S101 - of a file that is ours
    return f"'sha256-{base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()}'"
