"""Lets operations in place, which exported programs have before their decomposition, be read as what they return.

That is the same where nobody uses the tensor, or another that shares its memory, afterwards.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch.fx import Graph, Node

from ascend_moe_gating.converters.fusion.fx_nodes import aten, dtype, is_call

_PROMOTING = (aten.add, aten.sub, aten.mul, aten.div)


def make_functional(graph: Graph) -> list[tuple[Node, Any]]:
    """Change operations in place to those that return a new tensor, where that is the same; gives what was changed."""
    order = {node: place for place, node in enumerate(graph.nodes)}
    changed = []
    for node in graph.nodes:
        twin = _twin(node)
        if twin is not None and _is_last_to_use(node, order):
            changed.append((node, node.target))
            node.target = twin
    return changed


def restore(changed: list[tuple[Node, Any]]) -> None:
    for node, target in changed:
        node.target = target


def _twin(node: Node) -> Any:
    """The operator that returns what this one writes into its first argument."""
    schema = getattr(node.target, "_schema", None)
    if schema is None or not schema.name.startswith("aten::") or not schema.name.endswith("_"):
        return None
    packet = getattr(aten, schema.name.removeprefix("aten::").removesuffix("_"), None)
    overload = getattr(packet, schema.overload_name or "default", None)
    if packet in _PROMOTING:
        kinds = {dtype(operand) for operand in node.all_input_nodes if dtype(operand) is not None}
        if kinds != {torch.float32}:
            return None
    return overload


def _is_last_to_use(node: Node, order: dict[Node, int]) -> bool:
    """Whether what a node writes into is new in this graph, and used by nobody behind it."""
    base = node.args[0]
    while isinstance(base, Node) and base.op == "call_function" and _shares_memory(base):
        base = base.args[0]
    if not isinstance(base, Node) or base.op != "call_function":
        return False
    shared, waiting = {base}, [base]
    while waiting:
        views = [user for user in waiting.pop().users if user is not node and _shares_memory(user)]
        waiting += [view for view in views if view not in shared]
        shared.update(views)
    users = (user for one in shared for user in one.users if not is_call(user, aten.sym_size, aten.sym_numel))
    return all(order[user] <= order[node] for user in users)


def _shares_memory(node: Node) -> bool:
    """Whether a node's result may share memory with its first argument."""
    if node.target is operator.getitem:
        return _shares_memory(node.args[0]) if isinstance(node.args[0], Node) else True
    schema = getattr(node.target, "_schema", None)
    return schema is None or any(returned.alias_info is not None for returned in schema.returns)
