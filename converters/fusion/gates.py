"""Finds gates that are written out as single operations, by what they compute.

A gate is read from the operation that takes the k largest: backwards what it takes them of (the choice: scores, perhaps
with a bias, perhaps with the experts outside of the best groups dropped), and forwards what becomes of them (weights,
perhaps divided by their sum, perhaps scaled). What is not just what an operator computes raises NotAGate.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch.fx import Graph, Node

from ascend_moe_gating.converters.fusion.fx_nodes import (
    EXPANDS,
    arguments,
    aten,
    cast_from,
    dtype,
    is_call,
    is_dimension,
    is_view,
    known_equal,
    operands,
    origin,
    result,
    shape,
)
from ascend_moe_gating.converters.fusion.gate import Gate, finished, gathered_from
from ascend_moe_gating.converters.fusion.group_masks import read_masked
from ascend_moe_gating.converters.fusion.groups import demand_that_fill_drops, read_groups
from ascend_moe_gating.converters.fusion.largest import Largest, read_largest, takes_by_row
from ascend_moe_gating.converters.fusion.reading import NoChoiceOfExperts, NotAGate, Reading, equivalent
from ascend_moe_gating.converters.fusion.scores import SOFTMAX, is_scores, is_softmax, read_scores
from ascend_moe_gating.converters.fusion.tables import read_table
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import DTYPES
from ascend_moe_gating.plugin.constraints.rules import name_of

_REDUCTIONS = (
    *(aten.sum, aten.mean, aten.amax, aten.amin, aten.max, aten.min, aten.topk, aten.sort),
    *(aten.mm, aten.bmm, aten.addmm),
)


def choices(graph: Graph) -> list[Node]:
    """Every operation that may choose experts, in the order of the graph."""
    return [node for node in graph.nodes if is_call(node, aten.topk, aten.sort, aten.gather, aten.max, aten.argmax)]


def read_gate(node: Node, scalars: dict[Node, Any]) -> Gate:
    """Reads a gate from one of its choices.

    Args:
        node: Of a functional ATen graph, whose nodes have their results' shapes and dtypes in meta["val"].
        scalars: Inputs that stand for a Python float of the user's code, and the number.

    Raises:
        NotAGate: experts are chosen here, but not as an operator does.
        NoChoiceOfExperts: nothing is chosen, or not by scores.
    """
    if is_call(node, aten.gather):
        return read_table(node, scalars)
    if is_call(node, aten.max, aten.argmax):
        _refuse_best_of_all(node)
    chosen = read_largest(node)
    if chosen is None or shape(chosen.x) == () or not any(index.users for index in chosen.indices):
        raise NoChoiceOfExperts
    reading = Reading()
    reading.inner |= {chosen.call, *chosen.inner}
    return _Reader(chosen, reading, scalars).gate()


def _refuse_best_of_all(node: Node) -> None:
    """Raises what is to be said of a node that takes the largest alone, without saying which others follow."""
    named = arguments(node)
    whole = origin(named["self"])
    used = not is_call(node, aten.max) or any(result(user, 1) is node and user.users for user in node.users)
    if used and is_scores(whole) and is_dimension(named["self"], named.get("dim"), -1):
        raise NotAGate(f"one expert is chosen by {node.target.overloadpacket.__name__}, not by top-k", node)  # type: ignore[union-attr]
    raise NoChoiceOfExperts


class _Reader:
    """Reads one gate. Every node that it passes belongs to the gate, until it comes to the logits and the bias."""

    def __init__(self, chosen: Largest, reading: Reading, scalars: dict[Node, Any]) -> None:
        self.chosen, self.reading, self.scalars = chosen, reading, scalars

    def gate(self) -> Gate:
        experts = shape(self.chosen.x)[-1]
        if (gate := self.chosen_first()) is not None:
            return gate
        masked = read_masked(self.reading.base(self.chosen.x), self.reading)
        values = self.reading.base(self.chosen.x if masked is None else masked.values)
        found, bias = self.scores_and_bias(values)
        scores = read_scores(found, self.reading)
        if (given := dtype(self.chosen.x)) != torch.float32:
            raise NotAGate(f"the experts are chosen in {name_of(given)}, not in float32", self.chosen.call)
        if not self.reading.same(shape(found)[-1], experts):
            raise NotAGate("the experts are chosen from other rows than those of the scores", self.chosen.call)
        parameters = {"k": self.chosen.k, "norm_type": scores.norm_type}
        if masked is not None:
            parameters |= read_groups(masked, values, experts, self.reading)
        weights = self.chosen_scores(found, bias)
        if masked is not None and not known_equal(parameters["k_group"], parameters["group_count"]):
            softmax_of_choice = scores.norm_type == SOFTMAX and not gathered_from(weights, found)
            demand_that_fill_drops(masked, bias, softmax_of_choice)
        steering = {"bias": bias, "subtracted": is_call(values, aten.sub)}
        return finished(self.chosen, scores, weights, self.reading, parameters, self.scalars, **steering)

    def chosen_first(self) -> Gate | None:
        """A gate that chooses by the logits, and takes the softmax of those afterwards."""
        logits, call = self.chosen.x, self.chosen.call
        if is_scores(origin(logits)):
            return None
        by_index = [user for node in self.chosen.indices for user in node.users if takes_by_row(user) is node]
        taken = [node for node in (*self.chosen.values, *by_index) if any(map(_scored, node.users))]
        if not taken:
            return None
        scored = {user for node in taken for user in _behind_casts(node) if is_scores(user)}
        softmax = next(iter(scored), None)
        if len(scored) != 1 or softmax is None or not is_softmax(softmax):
            raise NotAGate("the experts are chosen by their logits, and scored afterwards by no softmax", call)
        if not is_dimension(softmax, arguments(softmax)["dim"], -1):
            raise NotAGate("the softmax is not over the chosen experts", softmax)
        self.reading.inner |= {softmax, *self.chosen.values}
        node = arguments(softmax)["self"]
        while node not in taken:
            if dtype(node) not in (torch.float32, dtype(node.args[0])):
                raise NotAGate(f"the softmax is taken of logits that were cast to {name_of(dtype(node))}", softmax)
            self.reading.inner.add(node)
            node = node.args[0]
        if node in by_index:
            self.reading.inner.add(node)
            if origin(arguments(node)["self"]) is not origin(logits):
                raise NotAGate("the softmax is taken of other logits than the experts are chosen by", node)
        if dtype(softmax) not in (torch.float32, dtype(logits)) or dtype(logits) not in DTYPES:
            raise NotAGate(
                f"the softmax is in {name_of(dtype(softmax))}, of logits in {name_of(dtype(logits))}", softmax
            )
        return Gate(self.chosen, logits, None, softmax, self.reading, parameters={"k": self.chosen.k})

    def scores_and_bias(self, choice: Node) -> tuple[Node, Node | None]:
        if is_scores(choice):
            return choice, None
        if is_call(choice, aten.add, aten.sub):
            one, other = operands(choice)
            for scores, bias in ((one, other), (other, one)) if is_call(choice, aten.add) else ((one, other),):
                if isinstance(scores, Node) and is_scores(origin(scores)):
                    self.reading.base(scores)
                    return origin(scores), self.bias(scores, bias, choice)
        if _comes_from_scores(choice):
            raise NotAGate("the experts are chosen by something else than scores, or scores and a bias", choice)
        raise NoChoiceOfExperts

    def bias(self, scores: Node, bias: Any, choice: Node) -> Node:
        """The bias without the dimensions of one that were put before its experts."""
        plain = arguments(choice)["alpha"] == 1 and isinstance(bias, Node)
        if not plain or not self.reading.same(shape(choice), shape(scores)):
            raise NotAGate("what is added to the scores is no bias with a value for each expert", choice)
        while shape(bias)[:-1] != () and (is_view(bias) or is_call(bias, *EXPANDS)):
            source = bias.args[0]
            if not self.reading.same(shape(source)[-1:], shape(bias)[-1:]):
                break
            self.reading.inner.add(bias)
            bias = source
        flat = all(type(size) is int and size == 1 for size in shape(bias)[:-1])
        if not flat or not self.reading.same(shape(bias)[-1:], shape(choice)[-1:]):
            raise NotAGate("what is added to the scores is no bias with a value for each expert", choice)
        self.reading.inner.discard(bias)
        return bias

    def chosen_scores(self, scores: Node, bias: Node | None) -> Node:
        """The scores of the chosen experts, before anything is done to them."""
        taken = set(self.chosen.values)
        weights = [value for value in self.chosen.values if not taken.issuperset(value.users)]
        gathers = {user for index in self.chosen.indices for user in index.users if takes_by_row(user) is index}
        for gather in gathers:
            source = self.unexpanded(arguments(gather)["self"])
            from_scores = equivalent(origin(source), scores) or origin(source) is origin(self.chosen.x)
            if from_scores and self.reading.same(shape(source), shape(self.chosen.x)):
                self.reading.base(source)
                weights.append(gather)
        if len(weights) != 1:
            reason = "no weights are taken from the scores" if not weights else "the weights are taken in two places"
            raise NotAGate(f"{reason} of the chosen experts", self.chosen.call)
        if bias is not None and not gathered_from(weights[0], scores):
            raise NotAGate("the weights are taken from the scores with bias", weights[0])
        self.reading.inner |= {*taken, weights[0]}
        return weights[0]

    def unexpanded(self, node: Node) -> Node:
        """What a node expands to the sizes that it has already: take_along_dim writes that, and may not know it."""
        while is_call(node, *EXPANDS) and self.reading.same(shape(node), shape(node.args[0])):  # type: ignore[arg-type]
            self.reading.inner.add(node)
            node = node.args[0]  # type: ignore[assignment]
        return node


def _behind_casts(node: Node) -> list[Node]:
    """The users of a node, behind casts and views as well."""
    found = []
    for user in node.users:
        found.append(user)
        if is_view(user) or cast_from(user) is not None:
            found += _behind_casts(user)
    return found


def _scored(user: Node, steps: int = 4) -> bool:
    """Whether scores are computed by a node, or soon after it of its result."""
    if is_scores(user) or is_call(user, aten.softplus):
        return True
    passed = is_view(user) or cast_from(user) is not None or is_call(user, aten.scatter)
    return passed and steps > 0 and any(_scored(after, steps - 1) for after in user.users)


def _comes_from_scores(node: Node, steps: int = 8) -> bool:
    """Whether scores of as many tokens are a few operations back, none of which sums or takes the largest."""
    if steps == 0 or is_call(node, *_REDUCTIONS) or node.target is operator.getitem:
        return False
    return any(is_scores(source) or _comes_from_scores(source, steps - 1) for source in node.all_input_nodes)
