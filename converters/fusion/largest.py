"""Reads what takes the largest elements of rows: a top-k, or a descending sort of which the first are used."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch.fx import Node

from ascend_moe_gating.converters.fusion.fx_nodes import (
    arguments,
    aten,
    is_arange,
    is_call,
    is_dimension,
    is_view,
    known_equal,
    origin,
    result,
    results,
    shape,
    size,
)


class Largest(NamedTuple):
    """A call that takes the largest elements along the last dimension, and the nodes with its results."""

    call: Node
    x: Node
    k: Any
    values: list[Node]
    indices: list[Node]
    inner: list[Node]  # between the call and its results


def read_largest(call: Node) -> Largest | None:
    """Reads a top-k, or a descending sort of which the first k are used."""
    if not is_call(call, aten.topk, aten.sort):
        return None
    named = arguments(call)
    x = named["self"]
    if not named.get("largest", named.get("descending")) or not is_dimension(x, named["dim"], -1):
        return None
    values, indices = list(results(call, 0)), list(results(call, 1))
    if is_call(call, aten.topk):
        return Largest(call, x, size(named["k"]), _with_views(values), _with_views(indices, shape(x)[-1]), [])
    inner: list[Node] = []
    first_values, first_indices = ([_head(node, inner) for node in nodes] for nodes in (values, indices))
    counts = [shape(node)[-1] for node in (*first_values, *first_indices)]
    if not counts or not all(known_equal(count, counts[0]) for count in counts):
        return None
    return Largest(call, x, counts[0], _with_views(first_values), _with_views(first_indices, shape(x)[-1]), inner)


def largest_of(node: object) -> Largest | None:
    """What a node is a result of, perhaps through views and the slice that takes the first of a sort."""
    while is_view(node) or is_call(node, aten.slice):
        node = node.args[0]  # type: ignore[attr-defined]
    call = result(node, 0) or result(node, 1)
    return None if call is None else read_largest(call)


def _head(ordered: Node, inner: list[Node]) -> Node:
    """The first elements of a sorted tensor, if its only user takes them, else all; `inner` gets what is between."""
    users = [user for user in ordered.users if not is_call(user, aten.sym_size)]
    if len(users) != 1:
        return ordered
    (user,) = users
    if is_call(user, aten.slice) and not is_view(user):
        named = arguments(user)
        if is_dimension(ordered, named["dim"], -1) and named["start"] in (0, None) and named["step"] == 1:
            inner.append(ordered)
            return user
    if is_view(user) and known_equal(shape(user), shape(ordered)):
        inner.append(ordered)
        return _head(user, inner)
    return ordered


def _with_views(nodes: list[Node], below: Any = None) -> list[Node]:
    """The nodes, and others that are the same: an alias, a copy, or of ids `below` a number the remainder by that."""
    same = [user for node in nodes for user in node.users if is_view(user) and known_equal(shape(user), shape(node))]
    ids = [user for node in nodes for user in node.users if below is not None and is_call(user, aten.remainder)]
    same += [user for user in ids if known_equal(size(arguments(user)["other"]), below)]
    return nodes + _with_views(same, below) if same else nodes


def takes_by_row(node: Node) -> Node | None:
    """The ids by which a node takes values of each row: gather(x, -1, ids) or x[arange, ids]."""
    if is_call(node, aten.gather):
        named = arguments(node)
        return named["index"] if is_dimension(node, named["dim"], -1) else None
    if not is_call(node, aten.index) or len(shape(node.args[0])) != 2 or len(node.args[1]) != 2:  # type: ignore
        return None
    x, (rows, ids) = node.args  # type: ignore[misc]
    every = isinstance(rows, Node) and is_arange(origin(rows), shape(x)[0]) and known_equal(shape(rows)[1:], (1,))  # type: ignore
    return ids if every else None  # type: ignore[return-value]
