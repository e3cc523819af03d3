"""Who else uses what a gate computes, and so whether it can go."""

from __future__ import annotations

import torch
from torch.fx import Graph, Node

from ascend_moe_gating.converters.fusion.fx_nodes import (
    aten,
    cast_from,
    constant,
    dtype,
    is_call,
    known_equal,
    origin,
    shape,
)
from ascend_moe_gating.converters.fusion.gate import Gate
from ascend_moe_gating.converters.fusion.plans import Plan
from ascend_moe_gating.converters.fusion.reading import NotAGate
from ascend_moe_gating.plugin.constraints.users_line import users_line

_OF_ITS_SHAPE = (
    *(aten.zeros_like, aten.ones_like, aten.full_like, aten.empty_like),
    *(aten.new_zeros, aten.new_ones, aten.new_full, aten.new_empty),
)
_SIZES = (aten.sym_size,)
_FEW = 32  # nodes behind a gate; what has more behind it is needed


class Users:
    """Of the nodes that a plan replaces, those that are `going`, and who has to be served then.

    Args:
        scores: The nodes with the gate's scores.

    Raises:
        NotAGate: something that the operator does not return is used elsewhere.
    """

    def __init__(self, graph: Graph, gate: Gate, plan: Plan, scores: set[Node]) -> None:
        self.order = {node: place for place, node in enumerate(graph.nodes)}
        self.gate, self.plan, self.scores = gate, plan, scores
        self.going = set(plan.replaced)
        self.going |= {
            user for node in self.going for user in node.users if is_call(user, aten._assert_tensor_metadata)
        }
        weights = plan.result or gate.weights
        self.free = {*gate.chosen.indices, *({weights} & {plan.result, *plan.replaced})}
        self._keep_views_of_scores()
        asking = [(node, user) for node in scores for user in self.others(node)]
        by_shape = [(node, user) for node, user in asking if self._asks_for_shape_only(node, user)]
        self.of_shape = by_shape if dtype(gate.logits) == torch.float32 else []
        self.of_scores = [pair for pair in asking if pair not in self.of_shape]

    def others(self, node: Node) -> list[Node]:
        """The users of a node that are there when the gate has gone."""
        left = (user for user in node.users if user not in self.going and user not in self.free)
        return [user for user in left if not self._goes_too(user)]

    def _keep_views_of_scores(self) -> None:
        changed = True
        while changed:
            changed = False
            for node in self.going - self.free - self.scores:
                if constant(node) is not None and not any(shape(source) for source in node.all_input_nodes):
                    continue
                others = self.others(node)
                if others and origin(node) in self.scores:
                    self.going.discard(node)
                    changed = True
                elif others:
                    raise NotAGate(f"the result of {_name(node)} in the gate is also {_use(others[0])}", node)

    def _goes_too(self, node: Node) -> bool:
        """Whether nobody needs a node once the gate is gone, such as a tensor of ones in a result's sizes."""
        needed = {*self.free, self.gate.logits, self.gate.bias}
        seen, waiting = {node}, [node]
        while waiting:
            user = waiting.pop()
            if user in self.going and user not in self.free:
                continue
            if user.op == "output" or user in needed or user.is_impure() or len(seen) > _FEW:
                return False
            waiting += [after for after in user.users if after not in seen]
            seen.update(user.users)
        return True

    def _asks_for_shape_only(self, node: Node, user: Node) -> bool:
        if not known_equal(shape(self.gate.logits), shape(node)):
            return False
        like = is_call(user, *_OF_ITS_SHAPE) and user.args[0] is node and user.all_input_nodes.count(node) == 1
        return like or is_call(user, *_SIZES)

    def anchor(self, inputs: list[Node]) -> Node:
        """The last of what the operator needs, behind which it can stand."""
        last = max(inputs, key=self.order.__getitem__)
        while last.next.op in ("placeholder", "get_attr"):
            last = last.next
        place = self.order[last]
        served = [user for node in self.free for user in self.others(node)] + [user for _, user in self.of_scores]
        for user in served:
            if self.order[user] <= place:
                raise NotAGate(f"{_name(user)} comes before all of the gate's inputs are there", user)
        return last

    def dtypes_of_result(self) -> set[torch.dtype | None]:
        """The dtypes in which the weights are asked for."""
        result = self.plan.result
        assert result is not None
        return {dtype(user) if cast_from(user) is result else dtype(result) for user in self.others(result)}


def _use(user: Node) -> str:
    if user.op == "output":
        return "a result of the graph"
    place = users_line(user)
    return f"used by {_name(user)}" + (f" at {place}" if place else "")


def _name(node: Node) -> str:
    packet = getattr(node.target, "overloadpacket", None)
    return getattr(packet, "__name__", node.name)
