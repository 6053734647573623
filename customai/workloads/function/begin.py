"""Begins a run: asks a batch endpoint of Azure ML for it, with the token of the function app's own identity and no secret.

Only the standard library: what runs in Azure is these files as they are. The settings that come along in settings.json:

    url       the endpoint's, and the headers it is asked with
    body      what it is asked; the run's name is put into it
    audience  whom the token is for
"""

from __future__ import annotations

import copy
import json
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlencode

Json = Any

TRIES = 5
AGAIN = (429, 503)  # the endpoint has not begun anything, and says so
TIMEOUT = 100.0  # seconds for one answer
IDENTITY = "2019-08-01"  # of App Service's own address for tokens
log = logging.getLogger("customai")


def at_its_time(settings: Json, now: datetime | None = None) -> Json:
    """Begins the run of this moment; what the endpoint answers."""
    moment = (now or datetime.now(timezone.utc)).strftime("%Y%m%dT%H%M%S")
    return asked(settings, {"run": f"{settings['run']}-{moment}"})


def asked(settings: Json, values: Mapping[str, str], wait: Callable[[float], None] = time.sleep) -> Json:
    """Asks the endpoint; where it is busy, again."""
    body = copy.deepcopy(settings["body"])
    for name, value in values.items():
        body["properties"]["InputData"][name] = {"JobInputType": "Literal", "Value": value}
    content = json.dumps(body).encode()
    for left in reversed(range(TRIES)):
        headers = settings["headers"] | {"Authorization": f"Bearer {token(settings['audience'])}"}
        request = urllib.request.Request(settings["url"], content, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                told = error.read().decode(errors="replace")[:2000]
            if error.code not in AGAIN or not left:
                log.exception("the endpoint refuses run %s: HTTP %d: %s", values["run"], error.code, told)
                raise
            seconds = _seconds(error.headers.get("Retry-After"), 2.0 ** (TRIES - left))
            log.warning("the endpoint is busy (HTTP %d): trying again in %.0f s", error.code, seconds)
            wait(seconds)
        else:
            log.info("run %s is begun: job %s", values["run"], found.get("name"))
            return found
    raise AssertionError


def token(audience: str) -> str:
    """Of the app's identity, from where App Service keeps it for the app alone."""
    asked_for = {"resource": audience, "api-version": IDENTITY}
    url = f"{os.environ['IDENTITY_ENDPOINT']}?{urlencode(asked_for)}"
    request = urllib.request.Request(url, headers={"X-IDENTITY-HEADER": os.environ["IDENTITY_HEADER"]})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        return str(json.load(answer)["access_token"])


def _seconds(said: str | None, otherwise: float) -> float:
    try:
        return min(float(said or otherwise), 60.0)
    except ValueError:
        return otherwise
