"""Reads how a gate keeps only the best groups of experts: how they are scored, and what drops the others."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Node

from ascend_moe_gating.converters.fusion.fx_nodes import arguments, aten, dtype, is_call, is_dimension, result, shape
from ascend_moe_gating.converters.fusion.group_masks import Masked, two_valued
from ascend_moe_gating.converters.fusion.largest import Largest, largest_of
from ascend_moe_gating.converters.fusion.reading import NotAGate, Reading, equivalent
from ascend_moe_gating.plugin.constraints.rules import name_of


def read_groups(masked: Masked, values: Node, experts: Any, reading: Reading) -> dict[str, Any]:
    """The operator's parameters for a choice `values` of which `masked` keeps groups of the `experts`.

    Raises:
        NotAGate: it is not the choice of groups that the operator makes.
    """
    mask = two_valued(masked.mask, reading)
    if mask is None:
        raise NotAGate("experts are dropped by a mask that does not come from the best groups", masked.node)
    best = largest_of(mask.kept_groups)
    if best is None or mask.kept_groups not in best.indices:
        raise NotAGate("the groups are not kept for being among the best", masked.node)
    if (bool(mask.dropped), bool(mask.kept)) != (masked.drops, not masked.drops):
        raise NotAGate("the best groups are dropped, not the others", masked.node)
    reading.inner |= {best.call, *best.inner, *best.values, *best.indices}
    grouped, mode = _group_scores(best, reading)
    if not equivalent(reading.base(grouped), values):
        raise NotAGate("the groups are ranked by other values than the experts are chosen by", best.call)
    *rows, group_count, group_size = shape(grouped)
    if not (reading.same(rows, mask.rows) and reading.same(shape(best.x), (*rows, group_count))):
        raise NotAGate("the groups are not those of one token's experts", best.call)
    if not reading.same(group_count * group_size, experts):
        raise NotAGate(f"the groups do not divide the {experts} experts of a token", best.call)
    if not mask.covers(masked, rows, group_count, group_size, reading):
        raise NotAGate("the mask does not drop groups of neighbouring experts", masked.node)
    return {"k_group": best.k, "group_count": group_count, "group_select_mode": mode}


def _group_scores(best: Largest, reading: Reading) -> tuple[Node, int]:
    """The choice in groups [..., groups, experts of a group] and the mode by which groups are scored."""
    scores = reading.base(best.x)
    if (given := dtype(scores)) != torch.float32:
        raise NotAGate(f"the groups are scored in {name_of(given)}, not in float32", scores)
    named = arguments(scores) if hasattr(scores.target, "_schema") else {}
    if is_call(scores, aten.sum) and is_dimension(named["self"], named.get("dim"), -1):
        top = _taken_by_value(named["self"], reading)
        if top is not None:
            if top.k not in (1, 2):
                raise NotAGate(f"the groups are scored by the sum of {top.k} experts, not of two", top.call)
            return _in_groups(top.x, best), top.k - 1
    if is_call(scores, aten.amax) and is_dimension(named["self"], named["dim"], -1):
        return _in_groups(named["self"], best), 0
    call = result(scores, 0)
    if call is not None and is_call(call, aten.max) and is_dimension(call.args[0], arguments(call)["dim"], -1):  # type: ignore[arg-type]
        reading.inner.add(call)
        return _in_groups(arguments(call)["self"], best), 0
    top = _taken_by_value(scores, reading)
    if top is not None and top.k == 1:
        return _in_groups(top.x, best), 0
    raise NotAGate("the groups are scored neither by their maximum nor by the sum of their two largest", scores)


def _taken_by_value(values: Node, reading: Reading) -> Largest | None:
    top = largest_of(values)
    if top is None or values not in top.values or type(top.k) is not int:
        return None
    reading.inner |= {values, top.call, *top.inner}
    return top


def _in_groups(grouped: Node, best: Largest) -> Node:
    if len(shape(grouped)) < 3:
        raise NotAGate("the groups are not scored in the form [tokens, groups, experts of a group]", best.call)
    return grouped


def demand_that_fill_drops(masked: Masked, bias: Node | None, softmax_of_choice: bool) -> None:
    """Scores are not negative, so without a bias any negative number drops an expert as well as -inf does.

    So does 0.0, but for scores of exactly 0.0. Which of those are chosen does not matter where the weights are 0.0, and
    a softmax has that many of them only if logits lie more than 100 apart.
    """
    if masked.fill == -torch.inf or (bias is None and masked.fill < 0):
        return
    if masked.fill == 0.0 and bias is None and softmax_of_choice:
        return
    raise NotAGate(f"experts outside of the kept groups become {masked.fill}, not -inf", masked.node)
