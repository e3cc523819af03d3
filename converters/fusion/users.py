"""Who else uses what a gate computes, and so whether it can go."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Node

from ascend_moe_gating.converters.fusion.fx_nodes import (
    arguments,
    aten,
    cast_from,
    constant,
    dtype,
    is_call,
    known_equal,
    origin,
    shape,
    size,
)
from ascend_moe_gating.converters.fusion.gate import Gate
from ascend_moe_gating.converters.fusion.largest import largest_of
from ascend_moe_gating.converters.fusion.plans import Plan
from ascend_moe_gating.converters.fusion.reading import NotAGate, equivalent
from ascend_moe_gating.plugin.constraints.users_line import users_line

_OF_ITS_SHAPE = (
    *(aten.zeros_like, aten.ones_like, aten.full_like, aten.empty_like),
    *(aten.new_zeros, aten.new_ones, aten.new_full, aten.new_empty),
)
_SIZES = (aten.sym_size,)
_FEW = 32  # nodes behind a gate; what has more behind it is needed


class Users:
    """Of the nodes that a plan replaces, those that are `going`, and who has to be served then.

    Raises:
        NotAGate: something that the operator does not return is used elsewhere.
    """

    def __init__(self, gate: Gate, plan: Plan) -> None:
        self.gate, self.plan = gate, plan
        self.scores = {n for n in gate.reading.inner if gate.scores is not None and equivalent(n, gate.scores)}
        self.going = set(plan.replaced)
        self.going.update(*(_asserts_of(node) for node in plan.replaced))
        weights = plan.result or gate.weights
        self.free = {*gate.chosen.indices, *({weights} & {plan.result, *plan.replaced})}
        self.of_size: dict[Node, int] = {}  # sizes that are read from the gate, and the logits' dimension of that size
        self._keep_views_of_scores()
        asking = [(node, user) for node in self.scores for user in self.others(node)]
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
                others = [user for user in self.others(node) if not self._asks_for_a_size(user)]
                if others and origin(node) in self.scores:
                    self.going.discard(node)
                    changed = True
                elif others:
                    raise NotAGate(f"the result of {_name(node)} in the gate is also {_use(others[0])}", node)

    def _asks_for_a_size(self, user: Node) -> bool:
        """Whether a node is a size that the logits have too."""
        if not is_call(user, *_SIZES):
            return False
        number, sizes = size(user), shape(self.gate.logits)
        places = [place for place, of_logits in enumerate(sizes) if known_equal(of_logits, number)]
        if places:
            self.of_size[user] = places[0]
        return bool(places)

    def _goes_too(self, node: Node) -> bool:
        """Whether nobody needs a node once the gate is gone, such as a tensor of ones in a result's sizes."""
        seen, waiting = {node}, [node]
        while waiting:
            user = waiting.pop()
            if user in self.going or user in self.free:
                continue
            needed = user.op == "output" or user in (self.gate.logits, self.gate.bias) or user.is_impure()
            if needed or len(seen) > _FEW:
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
        order = {node: place for place, node in enumerate(self.gate.chosen.call.graph.nodes)}
        last = max(inputs, key=order.__getitem__)
        while last.next.op in ("placeholder", "get_attr"):
            last = last.next
        place = order[last]
        served = [user for node in self.free for user in self.others(node)] + [user for _, user in self.of_scores]
        for user in served:
            if order[user] <= place:
                raise NotAGate(f"{_name(user)} comes before all of the gate's inputs are there", user)
        return last

    def dtypes_of_result(self) -> set[torch.dtype | None]:
        """The dtypes in which the weights are asked for."""
        result = self.plan.result
        assert result is not None
        return {dtype(user) if cast_from(user) is result else dtype(result) for user in self.others(result)}


def _asserts_of(node: Node) -> set[Node]:
    """What asserts the dtype of a node, or that ids of the largest lie where they do, and returns nothing."""
    found = {user for user in node.users if is_call(user, aten._assert_tensor_metadata)}
    largest = largest_of(node)
    if largest is None or node not in largest.indices:
        return found
    below: dict[Any, Any] = {aten.ge: 0, aten.lt: shape(largest.x)[-1]}  # one_hot asks that
    for user in node.users:
        bound = below.get(getattr(user.target, "overloadpacket", None))
        if bound is not None and known_equal(size(arguments(user)["other"]), bound):
            wholes = [whole for whole in user.users if is_call(whole, aten.all)]
            asserts = [end for whole in wholes for end in whole.users if is_call(end, aten._assert_async)]
            if len(wholes) == len(user.users) == 1 and len(asserts) == len(wholes[0].users):
                found |= {user, *wholes, *asserts}
    return found


def _use(user: Node) -> str:
    if user.op == "output":
        return "a result of the graph"
    place = users_line(user)
    return f"used by {_name(user)}" + (f" at {place}" if place else "")


def _name(node: Node) -> str:
    packet = getattr(node.target, "overloadpacket", None)
    return getattr(packet, "__name__", node.name)
