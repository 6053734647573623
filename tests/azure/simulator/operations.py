"""Long operations: how they begin, what their first answer says, and what their polls answer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from .catalog import made_up
from .errors import ArmError
from .ids import parent_of, place
from .messages import Answer, Body, Request, Times, Twist
from .shapes import Shape
from .state import Operation, Resource, Store
from .table import poll
from .view import View

CLUSTERS = "Microsoft.ContainerService/managedClusters"


class Operations:
    def __init__(self, store: Store, view: View, times: Times, clock: Callable[[], float]) -> None:
        self.store, self.view, self.times, self.clock = store, view, times, clock
        self._numbers = itertools.count(1)

    def settle(self) -> None:
        """Finishes what is due, in the order in which it came due."""
        now = self.clock()
        due = [one for one in self.store.operations.values() if not one.done and one.ends <= now]
        for one in sorted(due, key=lambda one: one.ends):
            if not one.done:
                one.done = True
                one.finish()

    def begin(
        self,
        verb: str,
        resource: Resource,
        shape: Shape,
        realistic: float,
        request: Request,
        twist: Twist,
        finish: Callable[[ArmError | None], None],
    ) -> Answer:
        """The first answer; what it begins is finished at once, later, late and badly, or never, as shape and twist say."""
        now = self.clock()
        waits = shape.long and shape.state != "Succeeded"
        seconds = self.times.operation(resource.row, verb, realistic) if waits else 0.0
        operation = Operation(
            id=made_up(resource.key, resource.made, next(self._numbers)),
            verb=verb,
            key=resource.key,
            row=resource.row,
            shape=shape,
            location=self.location(resource),
            ends=math.inf if twist.never and shape.long else now + seconds,
            finish=lambda: finish(twist.fails),
            error=twist.fails,
        )
        answer = self.answer(operation, request, resource)
        if shape.long:
            self.store.operations[operation.id] = operation
            resource.operation = operation
        if operation.ends <= now:
            operation.done = True
            operation.finish()
            if not shape.long and shape.body and verb == "put":
                answer.body = self.view.of(resource)
        return answer

    def answer(self, operation: Operation, request: Request, resource: Resource | None = None) -> Answer:
        shape, how = operation.shape, poll(operation.row)
        headers = self.times.header(shape.retry_after)
        if shape.operation:
            headers["Azure-AsyncOperation"] = self._url(operation, how.operations, request)
        if shape.location:
            headers["Location"] = self._url(operation, how.results, request) + ("&monitor=true" if how.monitor else "")
        if shape.where and resource is not None:
            headers["Location"] = (request.base if shape.long else "") + resource.id
        if shape.itself and resource is not None:
            headers["Location"] = f"{request.base}{resource.id}?api-version={request.api_version}"
        return Answer(shape.status, self.view.of(resource) if shape.body and resource is not None else None, headers)

    def poll(self, request: Request) -> Answer | None:
        """The answer to a GET of an operation's URL; None where there is no such operation."""
        *_, segment, token = ["", "", *request.path.rstrip("/").split("/")]
        one = self.store.operations.get(token)
        if one is None or request.method != "GET":
            return None
        how = poll(one.row)
        if "monitor" in request.query or (segment.lower() == how.results.lower() != how.operations.lower()):
            return self._result(one, request)
        headers = {}
        if how.echo:
            headers = {"Azure-AsyncOperation": request.url, **self.times.header(how.retry_after)}
        if not one.done:
            again = {"Location": request.url} if how.again and how.status == 202 else {}
            headers |= self.times.header(how.retry_after) | again
            return Answer(how.status, _status(one, how.going), headers)
        body = _status(one, "Failed" if one.error else "Succeeded")
        if one.error is not None:
            body["error"] = one.error.error
        elif one.result is not None:
            body["properties"] = {"output": one.result}
        return Answer(200, body, headers)

    def _result(self, one: Operation, request: Request) -> Answer:
        """What polling Location answers: 202 until it is done, then the thing itself, or nothing, or the error."""
        how = poll(one.row)
        again = {"Location": request.url}
        if not one.done:
            return Answer(202, None, self.times.header(how.retry_after) | (again if how.again else {}))
        if one.error is not None:
            return Answer(one.error.status, one.error.body)
        there = self.store.get(one.key)
        body = self.view.of(there) if one.verb == "put" and there is not None else one.result
        return Answer(one.shape.end, body, again if how.again == "always" else {})

    def location(self, resource: Resource) -> str:
        """Its region; of what has none, its parent's or its group's."""
        for key in (resource.key, parent_of(resource.key), place(resource.id).group_key):
            found = self.store.get(key) if key else None
            if found is not None and found.location:
                return found.location
        return resource.location or "global"

    def _url(self, operation: Operation, segment: str, request: Request) -> str:
        scope = "/".join(operation.key.split("/")[:3])
        namespace = operation.row.name.split("/")[0]
        if namespace != "Microsoft.Resources":
            scope += f"/providers/{namespace}/locations/{operation.location}"
        return f"{request.base}{scope}/{segment}/{operation.id}?api-version={request.api_version}"


def _status(one: Operation, status: str) -> Body:
    known = {"status": status, "name": one.id, "startTime": "2001-02-03T04:05:06Z"}
    if one.done:
        known["endTime"] = "2001-02-03T04:06:07Z"
    body: Body = {key: known[key] for key in poll(one.row).fields if key in known}
    if one.row.name == CLUSTERS and one.verb in {"delete", "start"}:
        # As recorded: an operation that is well, and even one that succeeded, can carry an error.
        message = "Expected goal state for managed cluster not saved yet. This means saving goal state to database was slow or failed."
        body["error"] = {"code": "NotLatestOperation", "message": message}
    return body
