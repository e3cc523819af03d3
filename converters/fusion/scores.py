"""Scores of experts, as models compute them from the router's logits: softmax, sigmoid, sqrt(softplus)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.fx import Node

from ascend_moe_gating.converters.fusion.fx_nodes import arguments, aten, constant, dtype, is_call, is_dimension, origin
from ascend_moe_gating.converters.fusion.reading import NotAGate, Reading, uncast
from ascend_moe_gating.plugin.constraints.norm_types import SIGMOID, SOFTMAX, SQRT_SOFTPLUS
from ascend_moe_gating.plugin.constraints.rules import name_of

_SOFTMAX = (aten._softmax, aten.softmax)
LINEAR_FROM = 20.0  # torch's softplus is the identity above


class Scores(NamedTuple):
    """`node` has the scores of `logits`."""

    node: Node
    logits: Node
    norm_type: int


def is_scores(node: object) -> bool:
    """Whether a node computes scores, of whatever dtype and dimension."""
    return is_call(node, aten.sigmoid, *_SOFTMAX) or softplus_below(node) is not None


def softplus_below(node: object) -> Node | None:
    """The softplus of which a node is the square root."""
    if not is_call(node, aten.sqrt, aten.pow):
        return None
    named = arguments(node)  # type: ignore[arg-type]
    if not isinstance(named["self"], Node) or ("exponent" in named and constant(named["exponent"]) != 0.5):
        return None
    below = origin(named["self"])
    return below if is_call(below, aten.softplus) else None


def is_softmax(node: object) -> bool:
    return is_call(node, *_SOFTMAX)


def read_scores(node: Node, reading: Reading) -> Scores:
    """Reads a node for which is_scores is true.

    Raises:
        NotAGate: these are not scores that the operator computes.
    """
    if (given := dtype(node)) != torch.float32:
        raise NotAGate(f"the scores are computed in {name_of(given)}, the operator computes in float32", node)
    named = arguments(node)
    if is_call(node, aten.sigmoid):
        return Scores(node, uncast(named["self"]), SIGMOID)
    if is_softmax(node):
        if not is_dimension(node, named["dim"], -1):
            raise NotAGate("the softmax is not over the experts", node)
        return Scores(node, uncast(named["self"]), SOFTMAX)
    softplus = softplus_below(node)
    assert softplus is not None
    if not is_plain_softplus(softplus) or dtype(softplus) != torch.float32:
        raise NotAGate("the softplus of the scores is another one than log(1 + exp(x)) in float32", softplus)
    reading.base(named["self"])
    return Scores(node, uncast(arguments(softplus)["self"]), SQRT_SOFTPLUS)


def is_plain_softplus(softplus: Node) -> bool:
    """Whether a softplus is log(1 + exp(x)), as it is unless the model says otherwise."""
    named = arguments(softplus)
    return (constant(named["beta"]), constant(named["threshold"])) == (1.0, LINEAR_FROM)
