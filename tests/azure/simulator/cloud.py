"""The simulated cloud: what each request does to it, and what it answers. Time passes only when somebody looks: whatever is
due is finished at the beginning of every request, in the order in which it came due. One lock; nothing waits inside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from . import answers, lists, reads
from .catalog import Catalog
from .databricks import Databricks
from .effects import Effects
from .errors import ArmError
from .ids import GROUPS, Place, parent_of, place
from .jobs import Jobs
from .kubernetes import Kubernetes
from .messages import Answer, Body, Request, Times, Twist, refusal
from .nesting import Nesting, own
from .operations import Operations
from .rules import Rules
from .runs import Runs
from .shapes import Shape, Type
from .state import Resource, Store
from .table import TYPES
from .view import View, etag
from .web import Publishing


class Cloud:
    def __init__(self, catalog: Catalog | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.catalog: Catalog = catalog or Catalog()
        self.clock, self.times, self.store = clock, Times(), Store()
        self.view = View(self.store, self.catalog.tenant)
        self.rules = Rules(self.store, self.catalog)
        self.nesting = Nesting(self.store, self.rules)
        self.operations = Operations(self.store, self.view, self.times, self.clock)
        self.effects = Effects(self.store, self.view)
        self.runs = Runs(self.clock, lambda: self.times.plain(120))
        self.kubernetes: Kubernetes = Kubernetes(self)
        self.databricks: Databricks = Databricks(self)
        self.lock = threading.RLock()
        self.principal_tries = 0  # how often a role assignment meets PrincipalNotFound, for each identity
        self.tries: dict[str, int] = {}
        self.registering: dict[str, float] = {}  # namespace -> when it will be registered
        self.page_size = 100
        self.uploads: dict[str, bytes] = {}
        self.publishing = Publishing()
        self.jobs = Jobs(self.clock, lambda: self.times.plain(600), self.store, self.uploads)
        self.view.jobs = self.jobs
        if not self.catalog.registered:
            self.catalog.registered = {row.name.split("/")[0].lower() for row in TYPES.values()}

    def handle(self, request: Request, twist: Twist | None = None) -> Answer:
        with self.lock:
            self.settle()
            try:
                return self._route(request, twist or Twist())
            except ArmError as error:
                return refusal(error)

    def settle(self) -> None:
        self.operations.settle()
        self.jobs.settle()
        for namespace in [name for name, when in self.registering.items() if when <= self.clock()]:
            del self.registering[namespace]
            self.catalog.registered.add(namespace)

    def seed(self, identifier: str, body: Body | None = None, *, state: str = "Succeeded") -> Resource:
        """Puts a resource there, whole, without a request and without a check: what was there before a test begins."""
        with self.lock:
            where = place(identifier)
            resource = self.nesting.made(where, TYPES[where.type], dict(body or {}))
            self.nesting.bring(resource, body or {})
            for one in [resource, *self.store.under(resource.key)]:
                one.state, one.stands = state if _stateful(one.row) else None, True
            self.effects.made(resource)
            return resource

    def change(self, identifier: str, patch: Body) -> None:
        """Changes a resource behind everybody's back: drift."""
        with self.lock:
            there = self.there(place(identifier))
            there.asked, there.version = answers.patched(there.asked, patch), there.version + 1

    def standing(self) -> list[str]:
        """The ids of everything that is there now."""
        with self.lock:
            self.settle()
            return sorted(one.id for one in self.store.resources.values())

    def there(self, where: Place) -> Resource:
        found = self.store.get(where.key)
        if found is None:
            raise self.rules.absent(where)
        return found

    def _route(self, request: Request, twist: Twist) -> Answer:
        found = self.operations.poll(request) or reads.read(self, request)
        if found is not None:
            return found
        where = place(request.path)
        self.rules.reachable(where, request.api_version)
        if where.tail and where.type and request.method == "POST":
            return self._post(where, request, twist)
        if where.tail or not where.type:
            return lists.collection(self, where, request)
        row = self.rules.row(where, request.api_version)
        verbs = {"GET": self._get, "HEAD": self._head, "PUT": self._put, "PATCH": self._patch, "DELETE": self._delete}
        if request.method not in verbs:
            message = f"The requested resource does not support http method '{request.method}'."
            raise ArmError(405, "MethodNotAllowed", message)
        return verbs[request.method](where, row, request, twist)

    def _get(self, where: Place, row: Type, request: Request, twist: Twist) -> Answer:
        resource = self.there(where)
        headers = {"ETag": etag(resource)} if row.name.startswith("Microsoft.Network") else {}
        return Answer(200, self.view.of(resource, request.query), headers)

    def _head(self, where: Place, row: Type, request: Request, twist: Twist) -> Answer:
        return Answer(204 if self.store.get(where.key) else 404)

    def _put(self, where: Place, row: Type, request: Request, twist: Twist) -> Answer:
        there, body = self.store.get(where.key), answers.writable(request.body)
        self._checked(where, row, body, there, request)
        shape = self._shape(row, body, there)
        if not shape.long and twist.fails is not None:
            raise twist.fails
        state = self._going(row, shape, body, there)
        if there is not None and there.operation is not None and there.busy:
            message = "Operation execution has been preempted by a more recent operation."
            there.operation.end(ArmError(409, "OperationPreempted", message))
        resource = there or self.nesting.made(where, row, body)
        resource.asked, resource.version, resource.state = own(row, body), resource.version + 1, state
        nested = self.nesting.bring(resource, body)
        for one in nested:
            one.state = state if _stateful(one.row) else None

        def finish(error: ArmError | None) -> None:
            for one in [resource, *nested]:
                one.finished(failed=error is not None)
            if error is None:
                self.effects.made(resource)

        return self.operations.begin("put", resource, shape, row.seconds[there is not None], request, twist, finish)

    def _checked(self, where: Place, row: Type, body: Body, there: Resource | None, request: Request) -> None:
        """Nothing is changed until everything that may refuse has been asked."""
        if there is not None:
            if request.headers.get("if-match", "*") not in {"*", etag(there)}:
                raise ArmError(412, "PreconditionFailed", f"{there.id} has been modified (etag mismatch).")
            if request.headers.get("if-none-match") == "*":
                raise ArmError(412, "PreconditionFailed", f"{there.id} is there already.")
        self.rules.before_put(where, row, body, there)
        self.effects.before_put(self, where, row, body, there)
        location = str(body.get("location") or self.operations.location(Resource(where.id, row, body, 0)))
        self.rules.room(where, row, body, location)
        for one in self.nesting.left_out(there, body) if there is not None else []:
            self.rules.before_delete(one)

    def _patch(self, where: Place, row: Type, request: Request, twist: Twist) -> Answer:
        merged = answers.patched(self.there(where).asked, answers.writable(request.body))
        put = Request("PUT", request.path, request.query, merged, request.headers, request.base)
        return self._put(where, row, put, twist)

    def _delete(self, where: Place, row: Type, request: Request, twist: Twist) -> Answer:
        there = self.store.get(where.key)
        if there is None:
            above = parent_of(where.key)
            lost = above and place(above).type in TYPES and self.store.get(above) is None
            if where.type == GROUPS or (lost and not row.name.startswith("Microsoft.ContainerRegistry")):
                raise self.rules.absent(where)
            return Answer(204)
        if there.state == "Deleting" and there.operation is not None:
            return self.operations.answer(there.operation, request)  # it is going already
        if where.type != GROUPS:
            self.rules.before_delete(there)
        if not row.delete.long and twist.fails is not None:
            raise twist.fails
        before, last = there.state, self.view.of(there)
        there.state = row.delete.state if row.delete.long else before
        purge = bool(row.purge) and request.query.get(row.purge, "").lower() == "true"

        def finish(error: ArmError | None) -> None:
            if error is None:
                self.effects.gone(there, purge=purge)
            else:
                there.state = before

        answer = self.operations.begin("delete", there, row.delete, row.seconds[2], request, twist, finish)
        if row.delete.body and not row.delete.long:
            answer.body = last
        return answer

    def _post(self, where: Place, request: Request, twist: Twist) -> Answer:
        row, resource = self.rules.row(where, request.api_version), self.there(where)
        named = {name.lower(): (name, action) for name, action in row.actions.items()}
        if where.tail.lower() not in named:
            raise ArmError(404, "NotFound", f"The action '{where.tail}' is not known of '{row.name}'.")
        name, action = named[where.tail.lower()]
        if not action.shape.long:
            return answers.ANSWERS[action.answer](self, resource, request)
        if resource.busy:
            raise self.rules.going_on(resource)
        resource.state = action.shape.state or resource.state

        def finish(error: ArmError | None) -> None:
            resource.finished(failed=error is not None)
            if error is None:
                resource.power = action.power or resource.power

        answer = self.operations.begin(name, resource, action.shape, action.seconds, request, twist, finish)
        if action.answer and resource.operation is not None:
            resource.operation.result = answers.ANSWERS[action.answer](self, resource, request).body
        return answer

    def _shape(self, row: Type, body: Body, there: Resource | None) -> Shape:
        if there is None:
            return row.create
        new, old = (
            {key: value for key, value in one.items() if key != "tags"} for one in (own(row, body), there.asked)
        )
        if there.state != "Failed" and new == old and not self.nesting.changes(there, body):
            return row.retag or row.update
        return row.update

    def _going(self, row: Type, shape: Shape, body: Body, there: Resource | None) -> str | None:
        """The provisioningState until it is done."""
        if there is not None and row.name.endswith("/agentPools") and shape.state == "Updating":
            new, old = (one.get("properties", {}).get("count") for one in (body, there.asked))
            return "Scaling" if new != old else "Updating"
        return shape.state if _stateful(row) else None


def _stateful(row: Type) -> bool:
    return row.create.state is not None
