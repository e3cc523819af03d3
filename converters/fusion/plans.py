"""Which operator computes a gate, and how much of it: decided by the operators' tables of constraints and needs.

A gate of which an operator, or the CANN that is present, computes only a part leaves the rest as it was written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch.fx import Node

from ascend_moe_gating.converters.fusion.fx_nodes import shape
from ascend_moe_gating.converters.fusion.gate import Gate, gathered_from
from ascend_moe_gating.converters.fusion.reading import NotAGate, hint
from ascend_moe_gating.converters.fusion.weights import OUTSIDE
from ascend_moe_gating.plugin.constraints import npu_moe_gating_top_k, npu_moe_gating_top_k_softmax_v2
from ascend_moe_gating.plugin.constraints.needs import missing
from ascend_moe_gating.plugin.constraints.norm_types import SOFTMAX


@dataclass
class Plan:
    """What one call of an operator replaces: all of `replaced` and `result`, whose place its first result takes.

    Without a result the weights are gathered from the third, the scores of all experts.
    """

    operator: ModuleType  # the home of its constraints
    parameters: dict[str, Any]
    replaced: set[Node]
    result: Node | None


def plans(gate: Gate) -> Iterator[Plan]:
    """The ways to compute a gate, the one that leaves least behind first."""
    if gate.scores is None:
        experts = hint(shape(gate.logits)[-1])
        if experts is None or experts > npu_moe_gating_top_k.MAX_EXPERTS:  # more likely the words of a vocabulary
            raise NotAGate(f"a gate has at most {npu_moe_gating_top_k.MAX_EXPERTS} experts", gate.chosen.call)
        replaced = gate.reading.inner - {gate.weights}
        yield Plan(npu_moe_gating_top_k_softmax_v2, {**gate.parameters, "renorm": 1}, replaced, gate.weights)
        return
    softmax = gate.parameters["norm_type"] == SOFTMAX
    for count in range(len(gate.steps), -1, -1):
        steps = gate.steps[:count]
        numbers = [number for step in steps for number in (step.eps, step.scale) if number is not None]
        divided = any(step.eps is not None for step in steps)
        if any(number is OUTSIDE for number in numbers) or not (softmax or divided):
            continue
        result = steps[-1].node if steps else gate.weights
        parameters = dict(gate.parameters)
        if softmax and divided:
            parameters["renorm"] = 1
        for step in steps:
            parameters |= {} if step.eps is None else {"eps": step.eps}
            parameters |= {} if step.scale is None else {"routed_scaling_factor": step.scale}
        replaced = gate.reading.inner.union(*(step.inner for step in steps)) - {result}
        yield Plan(npu_moe_gating_top_k, parameters, replaced, result)
    if not softmax:
        kept = {gate.weights} if gathered_from(gate.weights, gate.scores) else set()
        yield Plan(npu_moe_gating_top_k, dict(gate.parameters), gate.reading.inner - kept, None)


def demand_that_it_is_taken(plan: Plan, gate: Gate, tensors: dict[str, torch.Tensor]) -> None:
    """Raise NotAGate, with the constraint or the need, if the operator or the CANN that is present does not take it.

    Args:
        tensors: Descriptions of the operator's tensors, by their names.
    """
    signature = plan.operator.SIGNATURE
    numbers = {name: hint(value) for name, value in plan.parameters.items()}
    if None in numbers.values():
        raise NotAGate("one of its numbers depends on data", gate.chosen.call)
    if absent := set(tensors).intersection(signature.absent):
        raise NotAGate(
            f"the installed torch_npu defines {signature.name} without {' and '.join(sorted(absent))}", gate.chosen.call
        )
    call = signature.Call(**tensors, **numbers)
    try:
        plan.operator.check(call)
    except (ValueError, TypeError) as error:
        raise NotAGate(str(error), gate.chosen.call) from error
    if lacking := missing(call, plan.operator.NEEDS):
        raise NotAGate(lacking, gate.chosen.call)
