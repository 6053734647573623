"""Nested resources that their parent's body lists as well: subnets of a network, rules of a security group, pools of a
cluster. They stand on their own; the parent's list is a view of them, and putting the parent brings them to what it lists."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from .ids import Place, place
from .messages import Body
from .rules import Rules
from .shapes import Type
from .state import Resource, Store
from .table import TYPES
from .view import FLAT

NOT_KEPT = {"id", "name", "type", "etag"}


class Nesting:
    def __init__(self, store: Store, rules: Rules) -> None:
        self.store, self.rules = store, rules
        self._generations = itertools.count(1)

    def made(self, where: Place, row: Type, body: Body) -> Resource:
        resource = Resource(where.id, row, own(row, body), next(self._generations))
        self.store.deleted.pop(where.key, None)
        self.store.resources[where.key] = resource
        return resource

    def listed(self, parent: str, row: Type, body: Body) -> Iterator[tuple[Place, Type, Body]]:
        """The nested resources in a parent's body, as if each were put on its own."""
        for name, type_name in row.inline.items():
            for one in body.get("properties", {}).get(name) or []:
                where = place(f"{parent}/{type_name.rpartition('/')[2]}/{one['name']}")
                nested = TYPES[type_name.lower()]
                yield where, nested, own(nested, _alone(one, type_name))

    def left_out(self, there: Resource, body: Body) -> list[Resource]:
        """The nested resources that a new body no longer lists. A body that has no list at all says nothing of them."""
        if there.row.keeps:
            return []
        kept = {where.key for where, _, _ in self.listed(there.id, there.row, body)}
        lists = [type_name for name, type_name in there.row.inline.items() if name in body.get("properties", {})]
        return [one for type_name in lists for one in self.store.children(there.key, type_name) if one.key not in kept]

    def changes(self, there: Resource, body: Body) -> bool:
        standing = {where.key: asked for where, _, asked in self.listed(there.id, there.row, body)}
        found = {key: self.store.get(key) for key in standing}
        return bool(self.left_out(there, body)) or any(
            one is None or one.asked != standing[key] for key, one in found.items()
        )

    def bring(self, resource: Resource, body: Body) -> list[Resource]:
        """Makes, changes and removes nested resources; gives those that are listed."""
        for one in self.left_out(resource, body):
            self.store.remove(one.key)
        brought = []
        for where, row, asked in self.listed(resource.id, resource.row, body):
            child = self.store.get(where.key) or self.made(where, row, asked)
            child.asked = asked
            brought.append(child)
        return brought


def own(row: Type, body: Body) -> Body:
    """What a body says of the resource itself: without its identity, and without what is nested."""
    kept = {key: value for key, value in body.items() if key not in NOT_KEPT}
    kept["properties"] = {key: value for key, value in kept.get("properties", {}).items() if key not in row.inline}
    return kept


def _alone(item: Body, type_name: str) -> Body:
    if type_name.lower() in FLAT:
        return {"properties": {key: value for key, value in item.items() if key != "name"}}
    return item
