"""Recorded traffic, read from the files that stand beside the project, and sent again to a simulated cloud."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

from .catalog import Size
from .cloud import Cloud
from .ids import GROUPS, parent_of, place
from .messages import Answer, Request
from .state import Operation
from .table import TYPES

GO_ON = ("azure-asyncoperation", "location")
ON_THE_WAY = {"InProgress", "Creating", "Updating", "Accepted", "Running", "RegisteringDns"}


@dataclass
class Exchange:
    method: str
    url: str
    sent: Any
    status: int
    headers: dict[str, str]
    body: Any

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def state(self) -> Any:
        if not isinstance(self.body, dict):
            return None
        return self.body.get("status") or (self.body.get("properties") or {}).get("provisioningState")


def parsed(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return None


def exchanges(file: Path) -> Iterator[Exchange]:
    """Both forms of recording: of Python's vcrpy and of Go's go-vcr."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for one in yaml.load(file.read_text(), loader)["interactions"]:
        asked, got = one["request"], one["response"]
        url = asked.get("uri") or asked["url"]
        if urlsplit(url).netloc != "management.azure.com":
            continue
        status = got["code"] if "code" in got else got["status"]["code"]
        body = got["body"]["string"] if isinstance(got["body"], dict) else got["body"]
        headers = {
            name.lower(): value[0] if isinstance(value, list) else value for name, value in got["headers"].items()
        }
        yield Exchange(asked["method"], url, parsed(asked.get("body")), status, headers, parsed(body))


class Replay:
    """Sends a recording to a simulated cloud whose clock stands still unless the recording says that time passed."""

    def __init__(self, recording: list[Exchange]) -> None:
        self.now = 0.0
        self.cloud = Cloud(clock=lambda: self.now)
        self.cloud.times.seconds, self.cloud.times.retry_after = 10.0, "recorded"
        self.cloud.catalog.kubernetes_versions = ("1.25.6", "1.27.7", "1.33.5", "1.34.1")
        self.cloud.catalog.quota = {"cores": 10_000, "standardDSv2Family": 10_000}
        for region in set(re.findall(r'"location": "([\w ]+)"', json.dumps([one.sent for one in recording]))):
            self.cloud.catalog.regions.setdefault(region.lower().replace(" ", ""), region)
        for size in set(re.findall(r'"vmSize": "(\w+)"', json.dumps([one.sent for one in recording]))):
            if self.cloud.catalog.size(size) is None:
                self.cloud.catalog.sizes.append(Size(size, "recorded", 1, 1))
        self.cloud.principal_tries = sum("PrincipalNotFound" in str(one.body) for one in recording)
        self.principals: dict[str, str] = {}  # as recorded -> the simulator's
        self.polls: dict[str, str] = {}  # the recorded operation's path -> the simulator's URL
        for subscription in {one.url.split("/")[4] for one in recording if "/subscriptions/" in one.url}:
            self.cloud.catalog.add_subscription(subscription, "recorded")
        self._before(recording)

    def _before(self, recording: list[Exchange]) -> None:
        """What must have been there when the recording began."""
        met: set[str] = set()
        for one in recording:
            where = place(one.path)
            group = where.group_key
            begins = (
                where.type == GROUPS and one.method == "PUT" and one.status == 201
            ) or "ResourceGroupNotFound" in str(one.body)
            if group and group not in met and not begins:
                self.cloud.seed(group, {"location": self._home(recording, group)})
            met.add(group)
            if where.type not in TYPES or where.key in met:
                continue
            if where.tail:
                if one.method == "POST" and one.status == 200:  # an action on what no request has made
                    self.cloud.seed(where.id, {"location": self._home(recording, group)})
                    met.add(where.key)
                continue
            above = parent_of(where.key)
            if above and above not in met and place(above).type in TYPES and self.cloud.store.get(above) is None:
                self.cloud.seed(place(one.path).id.rsplit("/", 2)[0], {"location": "westus2"})
            met |= {where.key, above}
            if (
                one.method in {"GET", "PUT", "DELETE"}
                and self._was_there(one)
                and self.cloud.store.get(where.key) is None
            ):
                body = one.body if isinstance(one.body, dict) else {}
                self.cloud.seed(
                    where.id,
                    {
                        key: value
                        for key, value in body.items()
                        if key in {"location", "properties", "tags", "sku", "identity", "kind"}
                    }
                    | ({"location": body.get("location") or "westus2"}),
                )

    def _home(self, recording: list[Exchange], group: str) -> str:
        bodies = [one.body for one in recording if place(one.path).key == group and isinstance(one.body, dict)]
        return next((body["location"] for body in bodies if "location" in body), "westus2")

    def _was_there(self, one: Exchange) -> bool:
        row = TYPES[place(one.path).type]
        made_with_200 = row.create.status in {200, row.update.status}
        return one.status == 200 and (one.method != "PUT" or not made_with_200)

    def send(self, one: Exchange) -> Answer | None:
        path, query = one.path, dict(parse_qsl(urlsplit(one.url).query))
        if path in self.polls:
            mine = urlsplit(self.polls[path + ("#monitor" if "monitor" in query else "")])
            path, query = mine.path, dict(parse_qsl(mine.query))
        elif re.search(r"/(operation|asyncoperation|\w+Operation)\w*/", path, re.IGNORECASE):
            return None  # of an operation that began before the recording
        request = Request(
            one.method, path, {"api-version": "x"} | query, self._sent(one), {}, "https://management.azure.com"
        )
        self._pass(one)
        answer = self.cloud.handle(request)
        if answer.status in {409, 429} and one.status < 300:
            self._finish()  # in the recording, time had passed by then
            answer = self.cloud.handle(request)
        if (
            place(path).type.endswith("/userassignedidentities")
            and isinstance(one.body, dict)
            and isinstance(answer.body, dict)
        ):
            self.principals[one.body["properties"]["principalId"]] = answer.body["properties"]["principalId"]
        names = {name.lower(): value for name, value in answer.headers.items()}
        begun: dict[str, str] = {}
        for header in GO_ON if one.method != "GET" else ():
            url = names.get(header, "")
            if header in one.headers and urlsplit(url).path.rpartition("/")[2] in self.cloud.store.operations:
                monitor = "#monitor" if "monitor" in one.headers[header] else ""
                begun.setdefault(urlsplit(one.headers[header]).path + monitor, url)
                begun.setdefault(urlsplit(one.headers[header]).path, url)
        self.polls |= begun
        return answer

    def _sent(self, one: Exchange) -> Any:
        text = json.dumps(one.sent or {})
        for theirs, mine in self.principals.items():
            text = text.replace(theirs, mine)
        return json.loads(text)

    def _pass(self, one: Exchange) -> None:
        """Lets that operation end which the recording says has ended."""
        if one.method != "GET" or one.status == 202 or one.state in ON_THE_WAY:
            return
        operations = self.cloud.store.operations
        if one.path in self.polls:
            self._finish(operations[urlsplit(self.polls[one.path]).path.rpartition("/")[2]])
        where = place(one.path)
        for there in (self.cloud.store.get(where.key), self.cloud.store.get(where.group_key)):
            if there is not None and there.operation is not None and (one.status == 404 or there.key == where.key):
                self._finish(there.operation)

    def _finish(self, *those: Operation) -> None:
        for one in those or self.cloud.store.operations.values():
            one.ends = min(one.ends, self.now)
        self.cloud.settle()
