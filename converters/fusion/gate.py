"""What is known of a gate that has been read from a graph."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch.fx import Node

from ascend_moe_gating.converters.fusion.fx_nodes import arguments, origin
from ascend_moe_gating.converters.fusion.largest import Largest, takes_by_row
from ascend_moe_gating.converters.fusion.reading import NotAGate, Reading, equivalent
from ascend_moe_gating.converters.fusion.scores import Scores
from ascend_moe_gating.converters.fusion.weights import Step, Tail
from ascend_moe_gating.plugin.constraints.norm_types import SIGMOID, SOFTMAX


@dataclass
class Gate:
    """A gate in a graph, and the operator's arguments that compute the same."""

    chosen: Largest
    logits: Node  # [..., experts]
    scores: Node | None  # the node with the scores; None where the experts are chosen by their logits and then scored
    weights: Node  # the scores of the chosen experts, before anything is done to them
    reading: Reading
    bias: Node | None = None
    subtracted: bool = False  # the bias, from the scores
    table: tuple[Node, Node] | None = None  # of hash routing: input_ids, tid2eid
    parameters: dict[str, Any] = field(default_factory=dict)  # by the operator's names; numbers may be symbolic
    steps: list[Step] = field(default_factory=list)  # behind the weights


def finished(
    chosen: Largest,
    scores: Scores,
    weights: Node,
    reading: Reading,
    parameters: dict[str, Any],
    scalars: dict[Node, Any],
    **others: Any,
) -> Gate:
    """The gate whose choice and weights have been read."""
    sum_is_large = scores.norm_type == SOFTMAX and others.get("bias") is None and others.get("table") is None
    tail = Tail(weights, reading, scalars, sum_is_large)
    if scores.norm_type != SOFTMAX and not any(step.eps is not None for step in tail.steps):
        kind = "sigmoid" if scores.norm_type == SIGMOID else "softplus"
        raise NotAGate(f"the weights of a {kind} are {tail.reason}", tail.place)
    return Gate(chosen, scores.logits, scores.node, weights, reading, parameters=parameters, steps=tail.steps, **others)


def gathered_from(weights: Node, scores: Node) -> bool:
    """Whether the weights are gathered from the scores, not taken from what the choice was made of."""
    return takes_by_row(weights) is not None and equivalent(origin(arguments(weights)["self"]), scores)
