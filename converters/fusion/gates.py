"""Finds gates that are written out as single operations, by what they compute.

A gate is read from the operation that takes the k largest: backwards what it takes them of (the choice: scores, perhaps
with a bias, perhaps with the experts outside of the best groups dropped), and forwards what becomes of them (weights,
perhaps divided by their sum, perhaps scaled). What is not just what npu_moe_gating_top_k computes raises NotAGate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import Graph, Node

from ascend_moe_gating.converters.fusion.fx_nodes import (
    arguments,
    aten,
    cast_from,
    dtype,
    is_call,
    is_dimension,
    is_view,
    origin,
    result,
    shape,
)
from ascend_moe_gating.converters.fusion.group_masks import Masked, read_masked, two_valued
from ascend_moe_gating.converters.fusion.largest import Largest, read_largest
from ascend_moe_gating.plugin.constraints.rules import name_of

_SCORES = (aten.sigmoid, aten._softmax, aten.softmax)


class NotAGate(Exception):
    """Why a choice of experts is left as it is; `node` is where it differs from the operator."""

    def __init__(self, reason: str, node: Node) -> None:
        super().__init__(reason)
        self.node = node


@dataclass
class Gate:
    """A gate in a graph, and the operator's arguments that compute the same."""

    chosen: Largest
    logits: Node
    bias: Node | None
    weights: Node  # what the operator's first result replaces
    parameters: dict[str, Any]  # by the operator's names; numbers may be symbolic
    inner: set[Node] = field(default_factory=set)  # what goes, unless somebody else uses it


def find_gates(graph: Graph, scalars: dict[Node, Any] | None = None) -> list[Gate | NotAGate]:
    """Every choice of experts in a functional ATen graph: a gate, or why it is none.

    Args:
        graph: Its nodes must have their results' shapes and dtypes in meta["val"].
        scalars: Inputs that stand for a Python float of the user's code, and the number.
    """
    taken = {call: largest for call in graph.nodes if (largest := read_largest(call)) is not None}
    found: list[Gate | NotAGate] = []
    for largest in taken.values():
        try:
            found.append(_Reader(largest, taken, scalars or {}).gate())
        except NotAGate as refusal:
            found.append(refusal)
        except _NoChoiceOfExperts:
            pass
    return found


class _NoChoiceOfExperts(Exception):
    """The k largest of something that has nothing to do with scores of experts."""


class _Reader:
    """Reads one gate. Every node that it passes belongs to the gate, until it comes to the logits and the bias."""

    def __init__(self, chosen: Largest, taken: dict[Node, Largest], scalars: dict[Node, Any]) -> None:
        self.chosen, self.taken, self.scalars = chosen, taken, scalars
        self.inner: set[Node] = {chosen.call, *chosen.inner}

    def gate(self) -> Gate:
        if len(shape(self.chosen.x)) != 2:
            raise _NoChoiceOfExperts
        masked = read_masked(self.base(self.chosen.x))
        values = self.chosen.x if masked is None else masked.values
        scores, bias = self.scores_and_bias(self.base(values))
        logits, norm_type = self.logits(scores)
        if (given := dtype(self.chosen.x)) != torch.float32:
            raise NotAGate(f"the experts are chosen in {name_of(given)}, not in float32", self.chosen.call)
        if shape(scores)[-1:] != shape(self.chosen.x)[-1:]:
            raise NotAGate("the experts are chosen from other rows than those of the scores", self.chosen.call)
        parameters = {"k": self.chosen.k, "norm_type": norm_type}
        if masked is not None:
            parameters |= self.groups(masked, self.base(values))
        weights = self.chosen_scores(scores, bias)
        if masked is not None and parameters["k_group"] != parameters["group_count"]:
            self.check_fill(masked, bias, norm_type == 0 and not self.are_scores(weights, scores))
        if norm_type == 1:
            weights, parameters["eps"] = self.normalized(weights)
        weights, parameters["routed_scaling_factor"] = self.scaled(weights)
        self.inner -= {weights, *self.chosen.indices}
        return Gate(self.chosen, logits, bias, weights, parameters, self.inner)

    def base(self, node: Node) -> Node:
        """Where the elements of a node come from, unchanged and in the same order."""
        base = origin(node)
        while node is not base:
            self.inner.add(node)
            node = node.args[0]  # type: ignore[assignment]
        self.inner.add(base)
        return base

    def scores_and_bias(self, choice: Node) -> tuple[Node, Node | None]:
        if is_call(choice, *_SCORES):
            return choice, None
        if is_call(choice, aten.add):
            named = arguments(choice)
            for scores, bias in ((named["self"], named["other"]), (named["other"], named["self"])):
                if isinstance(scores, Node) and is_call(origin(scores), *_SCORES):
                    if named["alpha"] != 1 or not isinstance(bias, Node):
                        raise NotAGate("what is added to the scores is no bias with a value for each expert", choice)
                    return self.base(scores), self.bias(bias, choice)
        if any(is_call(user, *_SCORES) for value in self.chosen.values for user in value.users):
            raise NotAGate("the experts are chosen first and scored afterwards", self.chosen.call)
        if _comes_from_scores(choice):
            raise NotAGate("the experts are chosen by something else than scores, or scores and a bias", choice)
        raise _NoChoiceOfExperts

    def bias(self, bias: Node, choice: Node) -> Node:
        """The bias without the dimensions of one that were put before its experts."""
        while shape(bias)[:-1] != () and (is_view(bias) or is_call(bias, aten.expand)):
            source = bias.args[0]
            if shape(source)[-1:] != shape(bias)[-1:]:  # type: ignore[arg-type]
                break
            self.inner.add(bias)
            bias = source  # type: ignore[assignment]
        if shape(bias)[-1:] != shape(choice)[-1:] or any(size != 1 for size in shape(bias)[:-1]):
            raise NotAGate("what is added to the scores is no bias with a value for each expert", choice)
        self.inner.discard(bias)
        return bias

    def logits(self, scores: Node) -> tuple[Node, int]:
        named = arguments(scores)
        logits = named["self"]
        while is_view(logits) and cast_from(logits) is not None:
            logits = logits.args[0]
        if (given := dtype(scores)) != torch.float32:
            raise NotAGate(f"the scores are computed in {name_of(given)}, the operator computes in float32", scores)
        if is_call(scores, aten.sigmoid):
            return logits, 1
        if not is_dimension(scores, named["dim"], -1):
            raise NotAGate("the softmax is not over the experts", scores)
        return logits, 0

    def groups(self, masked: Masked, values: Node) -> dict[str, Any]:
        mask = two_valued(masked.mask, self.inner)
        if mask is None:
            raise NotAGate("experts are dropped by a mask that does not come from the best groups", masked.node)
        best = next((largest for largest in self.taken.values() if mask.kept_groups in largest.indices), None)
        if best is None:
            raise NotAGate("the groups are not kept for being among the best", masked.node)
        if (bool(mask.dropped), bool(mask.kept)) != (masked.drops, not masked.drops):
            raise NotAGate("the best groups are dropped, not the others", masked.node)
        self.inner |= {best.call, *best.inner, *best.values, *best.indices}
        grouped, mode = self.group_scores(best)
        if self.base(grouped) is not values:
            raise NotAGate("the groups are ranked by other values than the experts are chosen by", best.call)
        group_count, group_size = shape(grouped)[-2:]
        if not mask.covers(masked.node, group_count, group_size):
            raise NotAGate("the mask does not drop groups of neighbouring experts", masked.node)
        return {"k_group": best.k, "group_count": group_count, "group_select_mode": mode}

    def group_scores(self, best: Largest) -> tuple[Node, int]:
        """The choice in groups [tokens, groups, experts of a group] and the mode by which groups are scored."""
        scores = self.base(best.x)
        if (given := dtype(scores)) != torch.float32:
            raise NotAGate(f"the groups are scored in {name_of(given)}, not in float32", scores)
        named = arguments(scores) if hasattr(scores.target, "_schema") else {}
        if is_call(scores, aten.sum) and is_dimension(named["self"], named.get("dim"), -1):
            top = self.taken_by_value(named["self"])
            if top is not None:
                if top.k not in (1, 2):
                    raise NotAGate(f"the groups are scored by the sum of {top.k} experts, not of two", top.call)
                self.inner |= {named["self"], top.call, *top.inner}
                return self.in_groups(top.x, best), top.k - 1
        if is_call(scores, aten.amax) and is_dimension(named["self"], named["dim"], -1):
            return self.in_groups(named["self"], best), 0
        call = result(scores, 0)
        if call is not None and is_call(call, aten.max) and is_dimension(call.args[0], arguments(call)["dim"], -1):  # type: ignore[arg-type]
            self.inner.add(call)
            return self.in_groups(arguments(call)["self"], best), 0
        top = self.taken_by_value(scores)
        if top is not None and top.k == 1:
            self.inner |= {top.call, *top.inner}
            return self.in_groups(top.x, best), 0
        raise NotAGate("the groups are scored neither by their maximum nor by the sum of their two largest", scores)

    def taken_by_value(self, values: Node) -> Largest | None:
        return next((largest for largest in self.taken.values() if values in largest.values), None)

    def in_groups(self, grouped: Node, best: Largest) -> Node:
        if len(shape(grouped)) != 3 or shape(best.x)[-1:] != shape(grouped)[1:2]:
            raise NotAGate("the groups are not scored in the form [tokens, groups, experts of a group]", best.call)
        return grouped

    def check_fill(self, masked: Masked, bias: Node | None, softmax_of_choice: bool) -> None:
        """Scores are not negative, so without a bias any negative number drops an expert as well as -inf does.

        So does 0.0, but for scores of exactly 0.0. Which of those are chosen does not matter where the weights are 0.0,
        and a softmax has that many of them only if logits lie more than 100 apart.
        """
        if masked.fill == -torch.inf or (bias is None and masked.fill < 0):
            return
        if masked.fill == 0.0 and bias is None and softmax_of_choice:
            return
        raise NotAGate(f"experts outside of the kept groups become {masked.fill}, not -inf", masked.node)

    def chosen_scores(self, scores: Node, bias: Node | None) -> Node:
        """The scores of the chosen experts, before anything is done to them."""
        taken = set(self.chosen.values)
        weights = [value for value in self.chosen.values if not taken.issuperset(value.users)]
        gathers = {user for index in self.chosen.indices for user in index.users if is_call(user, aten.gather)}
        for gather in gathers:
            named = arguments(gather)
            if named["index"] in self.chosen.indices and is_dimension(gather, named["dim"], -1):
                source = origin(named["self"])
                if source in (scores, origin(self.chosen.x)) and shape(named["self"]) == shape(self.chosen.x):
                    self.base(named["self"])
                    weights.append(gather)
        if len(weights) != 1:
            reason = "no weights are taken from the scores" if not weights else "the weights are taken in two places"
            raise NotAGate(f"{reason} of the chosen experts", self.chosen.call)
        if bias is not None and not self.are_scores(weights[0], scores):
            raise NotAGate("the weights are taken from the scores with bias", weights[0])
        self.inner |= {*taken, weights[0]}
        return weights[0]

    @staticmethod
    def are_scores(weights: Node, scores: Node) -> bool:
        """Whether the weights are gathered from the scores, not taken from what the choice was made of."""
        return is_call(weights, aten.gather) and origin(arguments(weights)["self"]) is scores

    def normalized(self, weights: Node) -> tuple[Node, Any]:
        """The weights divided by their sum, and what is added to it."""
        for quotient in weights.users:
            if is_call(quotient, aten.div) and quotient.args[0] is weights and isinstance(quotient.args[1], Node):
                divisor, eps = self.base(quotient.args[1]), 0.0
                if is_call(divisor, aten.add) and arguments(divisor)["alpha"] == 1:
                    first, second = arguments(divisor)["self"], arguments(divisor)["other"]
                    if self.number(first) is not None:
                        first, second = second, first
                    if self.number(second) is None or not isinstance(first, Node):
                        raise NotAGate("something is added to the sum of the weights that is no number", divisor)
                    divisor, eps = self.base(first), self.number(second)
                by_row = shape(quotient.args[1])[1:] == (1,) and arguments(quotient).get("rounding_mode") is None
                if by_row and self.is_sum_of(divisor, weights):
                    self.inner.add(quotient)
                    return quotient, eps
                raise NotAGate("the weights are divided by something else than their sum and a number", quotient)
        raise NotAGate("the weights of a sigmoid are not divided by their sum, as the operator does", weights)

    def is_sum_of(self, node: Node, weights: Node) -> bool:
        if not is_call(node, aten.sum) or arguments(node)["self"] is not weights:
            return False
        return is_dimension(weights, arguments(node).get("dim"), -1) and dtype(node) == torch.float32

    def scaled(self, weights: Node) -> tuple[Node, Any]:
        """The weights times a number, if that is all that becomes of them, and the number."""
        user = next(iter(weights.users), None)
        if len(weights.users) == 1 and user is not None and is_call(user, aten.mul) and dtype(user) == torch.float32:
            factors = [
                factor for factor in (arguments(user)["self"], arguments(user)["other"]) if factor is not weights
            ]
            if len(factors) == 1 and self.number(factors[0]) is not None:
                self.inner.add(user)
                return user, self.number(factors[0])
            if len(factors) == 1 and isinstance(factors[0], Node) and all(size == 1 for size in shape(factors[0])):
                raise NotAGate("the scale is a tensor, not a number", user)
        return weights, 1.0

    def number(self, value: object) -> Any:
        """The number that an argument is, or that an input stands for; None if it is neither."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        while isinstance(value, Node) and cast_from(value) and dtype(value) in (torch.float32, torch.float64):
            value = cast_from(value)
        return self.scalars.get(value) if isinstance(value, Node) else None


def _comes_from_scores(node: Node, steps: int = 6) -> bool:
    """Whether scores of the same experts are a few operations back."""
    sources = [source for source in node.all_input_nodes if shape(source)[-1:] == shape(node)[-1:]]
    return steps > 0 and any(is_call(s, *_SCORES) or _comes_from_scores(s, steps - 1) for s in sources)
