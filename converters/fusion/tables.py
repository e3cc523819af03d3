"""Reads gates whose experts a table names for the id of each token: hash routing."""

from __future__ import annotations

from typing import Any

from torch.fx import Node

from ascend_moe_gating.converters.fusion.fx_nodes import (
    arguments,
    aten,
    cast_from,
    is_call,
    is_dimension,
    is_view,
    origin,
    shape,
)
from ascend_moe_gating.converters.fusion.gate import Gate, finished
from ascend_moe_gating.converters.fusion.largest import Largest
from ascend_moe_gating.converters.fusion.reading import NoChoiceOfExperts, NotAGate, Reading
from ascend_moe_gating.converters.fusion.scores import is_scores, read_scores


def read_table(gather: Node, scalars: dict[Node, Any]) -> Gate:
    """A gate, from the operation that takes the scores of the experts that the table names.

    Raises:
        NotAGate, NoChoiceOfExperts: as read_gate.
    """
    named = arguments(gather)
    scores, index = origin(named["self"]), named["index"]
    if not is_scores(scores) or not is_dimension(gather, named["dim"], -1):
        raise NoChoiceOfExperts
    node, indices = index, [index]
    while is_view(node) or cast_from(node) is not None:
        node = node.args[0]
        indices.append(node)
    looked_up = _looked_up(node)
    if looked_up is None:
        raise NoChoiceOfExperts
    tid2eid, input_ids = looked_up
    reading = Reading()
    *rows, k = shape(index)
    if len(shape(tid2eid)) != 2 or not reading.same(shape(node), (*shape(input_ids), shape(tid2eid)[-1])):
        raise NoChoiceOfExperts
    if not (reading.same(shape(named["self"])[:-1], rows) and reading.same(shape(node), (*rows, k))):
        raise NotAGate("the table names experts for other rows than those of the scores", gather)
    found = read_scores(reading.base(named["self"]), reading)
    if not reading.same(shape(found.node)[-1], shape(named["self"])[-1]):
        raise NotAGate("the table names experts for other rows than those of the scores", gather)
    reading.inner |= {gather, *indices}
    chosen = Largest(node, named["self"], k, [], indices, [])
    parameters = {"k": k, "norm_type": found.norm_type}
    return finished(chosen, found, gather, reading, parameters, scalars, table=(input_ids, tid2eid))


def _looked_up(node: Node) -> tuple[Node, Node] | None:
    """The table and the ids of which a node has the rows."""
    if is_call(node, aten.index):
        table, places = node.args[0], node.args[1]
        only = len(places) == 1 and isinstance(places[0], Node)  # type: ignore[arg-type, index]
        return (table, places[0]) if only else None  # type: ignore[return-value, index]
    if is_call(node, aten.embedding):
        return arguments(node)["weight"], arguments(node)["indices"]
    if is_call(node, aten.index_select) and arguments(node)["dim"] == 0:
        return arguments(node)["self"], arguments(node)["index"]
    return None
