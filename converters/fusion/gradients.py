"""Keeps gradients as they were in graphs that run under autograd, as an operator's weights have one whole gradient.

In such graphs each node says whether gradients were wanted where it was traced (graphs of AOTAutograd are behind that:
there gradients are nodes as well).
"""

from __future__ import annotations

import torch
from torch.fx import Graph

from ascend_moe_gating.converters.fusion.fx_nodes import aten, cast_from, dtype, is_call
from ascend_moe_gating.converters.fusion.gate import Gate
from ascend_moe_gating.converters.fusion.inserted import GRADIENTS
from ascend_moe_gating.converters.fusion.plans import Plan
from ascend_moe_gating.converters.fusion.reading import NotAGate

_set = torch._C._set_grad_enabled


def take_out_modes(graph: Graph) -> None:
    """Each node knows whether gradients are wanted, in place of calls that switch that on and off."""
    wanted = torch.is_grad_enabled()
    for node in graph.nodes:
        if node.target is _set:
            (wanted,) = node.args
            graph.erase_node(node)
        else:
            node.meta[GRADIENTS] = wanted


def put_in_modes(graph: Graph) -> None:
    """What take_out_modes took out, where it is needed now."""
    wanted = before = torch.is_grad_enabled()
    for node in graph.nodes:
        asked = before if node.op == "output" else node.meta[GRADIENTS] if node.op == "call_function" else wanted
        if asked != wanted:
            with graph.inserting_before(node):
                graph.call_function(_set, (asked,))
            wanted = asked


def demand_one_gradient(gate: Gate, plan: Plan) -> bool | None:
    """Whether gradients are wanted of what a plan replaces; None in a graph that does not run under autograd.

    Raises:
        NotAGate: of one part they are, of another they are not.
    """
    end = plan.result or gate.weights
    wanted: bool | None = end.meta.get(GRADIENTS)
    if wanted is None:
        return None
    waiting, seen = [end] if gate.scores is None else [end, gate.scores], set()
    while waiting:
        node = waiting.pop()
        if node in seen or (dtype(node) is not None and not dtype(node).is_floating_point):  # type: ignore[union-attr]
            continue
        seen.add(node)
        if node is gate.logits and cast_from(node) is None:
            continue
        if node.op == "call_function" and (node.meta[GRADIENTS] != wanted or (wanted and is_call(node, aten.detach))):
            raise NotAGate("a part of it has no gradient, and another has one", node)
        if node is not gate.logits:
            waiting += node.all_input_nodes
    return wanted
