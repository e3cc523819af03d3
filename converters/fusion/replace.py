"""Makes one node of each gate of a graph that is written out as single operations."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.fx import Graph, GraphModule, Node

from ascend_moe_gating.converters.fusion.fx_nodes import aten, cast_from, dtype, shape
from ascend_moe_gating.converters.fusion.gate import Gate
from ascend_moe_gating.converters.fusion.gates import choices, read_gate
from ascend_moe_gating.converters.fusion.gradients import demand_one_gradient
from ascend_moe_gating.converters.fusion.in_place import make_functional, restore
from ascend_moe_gating.converters.fusion.inserted import Inserted, mode_of
from ascend_moe_gating.converters.fusion.plans import Plan, demand_that_it_is_taken, plans
from ascend_moe_gating.converters.fusion.reading import NoChoiceOfExperts, NotAGate
from ascend_moe_gating.converters.fusion.report import GateReport, module_of
from ascend_moe_gating.converters.fusion.settled import settled
from ascend_moe_gating.converters.fusion.users import Users
from ascend_moe_gating.plugin.constraints.signature import NAMESPACE
from ascend_moe_gating.plugin.constraints.users_line import users_line

_HALF = (torch.bfloat16, torch.float16)


def fuse_gates(graph_module: GraphModule, scalars: dict[Node, Any] | None = None) -> list[GateReport]:
    """Replace each gate that is written out by npu_moe_gating_top_k or npu_moe_gating_top_k_softmax_v2, in place.

    Ids and weights are the same but for what docs/written-out-gates.md names. Whatever else is in the graph stays as it
    was, and so does a gate with which anything fails.

    Args:
        graph_module: A functional graph of ATen operators with fake results in meta["val"], as AOTAutograd gives it to
            a compiler.
        scalars: Inputs of the graph that stand for a Python float of the user's, and the number.

    Returns:
        A report for each choice of experts that was found, in the order of the graph.
    """
    graph = graph_module.graph
    found: list[tuple[Node, GateReport]] = []
    gone: set[Node] = set()
    reports = [report for branch in _branches(graph_module) for report in fuse_gates(branch)]
    changed = make_functional(graph)
    with unset_fake_temporarily():
        for node in choices(graph):
            if node not in gone and (report := _report(graph, node, scalars or {}, gone)) is not None:
                found.append((node, report))
    if not gone:
        restore(changed)
    else:
        graph.eliminate_dead_code()
        graph.lint()
        graph_module.recompile()
    left = set(graph.nodes)
    return reports + [report for node, report in found if report.fused or node in left]


def _branches(graph_module: GraphModule) -> list[GraphModule]:
    """The graphs in a graph, such as the branches of torch.cond."""
    names = [node.target for node in graph_module.graph.nodes if node.op == "get_attr"]
    inside = [getattr(graph_module, name, None) for name in dict.fromkeys(names)]
    return [branch for branch in inside if isinstance(branch, GraphModule)]


def _report(graph: Graph, node: Node, scalars: dict[Node, Any], gone: set[Node]) -> GateReport | None:
    """What becomes of a choice; `gone` gets the nodes that went. None: there are no experts to choose."""
    where, module = users_line(node), module_of(node)
    try:
        return _fuse(graph, read_gate(node, scalars), gone)
    except NoChoiceOfExperts:
        return None
    except NotAGate as refusal:
        return GateReport(False, str(refusal), users_line(refusal.node) or where, module=module)
    except Exception as error:  # what is not understood is left alone, and compiles
        return GateReport(False, f"reading it failed ({type(error).__name__}: {error})", where, module=module)


def _fuse(graph: Graph, gate: Gate, gone: set[Node]) -> GateReport:
    """Replaces a gate, as much of it as can be, or raises before anything has changed."""
    refusals = []
    for plan in plans(gate):
        try:
            return _carry_out(graph, gate, plan, gone)
        except NotAGate as refusal:
            refusals.append(refusal)
    raise refusals[-1]


def _carry_out(graph: Graph, gate: Gate, plan: Plan, gone: set[Node]) -> GateReport:
    gradients = demand_one_gradient(gate, plan)
    users = Users(gate, plan)
    inputs = _inputs(gate, plan, users)
    if users.of_scores or plan.result is None:
        plan.parameters["out_flag"] = True
    demand_that_it_is_taken(plan, gate, {name: one.described() for name, one in inputs.items()})
    anchor = users.anchor([one.node for one in inputs.values()])
    if not gate.reading.settle():
        raise NotAGate("its sizes are equal in the example only", gate.chosen.call)
    for name, number in plan.parameters.items():
        plan.parameters[name] = settled(number, name, gate.chosen.call)
    insert = Inserted(anchor, gate.chosen.call, gradients)
    try:
        served = _insert(insert, gate, plan, inputs, users)
    except Exception:
        insert.take_out()
        raise
    call = gate.chosen.call
    report = GateReport(True, "", users_line(call), plan.parameters, plan.operator.SIGNATURE.name, module_of(call))
    left = count(gone)
    for old, new, asking in served:
        for user in asking:
            user.replace_input_with(old, new)
    _remove(graph, users.going | users.free | {old for old, *_ in served}, gone)
    for old, new, asking in served:  # an exported program knows its results by their names
        if old in gone and any(user.op == "output" for user in asking):
            new.name = old.name
    report.nodes = count(gone) - left, count(insert.nodes[1:])
    return report


@dataclass
class _Input:
    """A tensor of the operator: a node, in a dtype and a form."""

    node: Node
    dtype: torch.dtype | None
    rank: int
    negative: bool = False

    def described(self) -> torch.Tensor:
        value = self.node.meta["val"]
        with mode_of(value):
            return (value if value.dim() == self.rank else value.reshape(self.sizes())).to(self.dtype)

    def sizes(self) -> list[Any]:
        return [-1] if self.rank == 1 else [-1, shape(self.node)[-1]]

    def inserted(self, insert: Inserted) -> Node:
        formed = self.node
        if len(shape(self.node)) != self.rank:
            *_, last = sizes = self.sizes()
            if not isinstance(last, int):
                sizes[-1] = insert(aten.sym_size.int, self.node, len(shape(self.node)) - 1)
            formed = insert.viewed(self.node, sizes)
        cast = insert.cast(formed, self.dtype)
        return insert(aten.neg.default, cast) if self.negative else cast


def _inputs(gate: Gate, plan: Plan, users: Users) -> dict[str, _Input]:
    """The operator's tensors by its names. Logits in half precision are given as they are where nobody asks for more
    precise weights.
    """
    logits, bias, wanted = gate.logits, gate.bias, torch.float32
    raw = cast_from(logits) if dtype(logits) == torch.float32 else logits
    if raw is not None and dtype(raw) in _HALF and plan.result is not None and not users.of_scores:
        of_bias = None if bias is None else cast_from(bias)
        as_precise = bias is None or (of_bias is not None and dtype(of_bias) == dtype(raw))
        if as_precise and users.dtypes_of_result() == {dtype(raw)}:
            logits, bias, wanted = raw, of_bias, dtype(raw)  # type: ignore[assignment]
    if plan.result is not None and dtype(plan.result) not in (torch.float32, wanted):
        raise NotAGate("the weights are asked for more precisely than they are computed", plan.result)
    rank = len(shape(logits)) if gate.scores is None and len(shape(logits)) in (2, 3) else 2
    named = {"x": _Input(logits, wanted, rank)}
    if bias is not None:
        named["bias"] = _Input(bias, wanted, 1, gate.subtracted)
    if gate.table is not None:
        input_ids, tid2eid = gate.table
        named |= {"input_ids": _Input(input_ids, dtype(input_ids), 1), "tid2eid": _Input(tid2eid, dtype(tid2eid), 2)}
    return named


def _insert(
    insert: Inserted, gate: Gate, plan: Plan, inputs: dict[str, _Input], users: Users
) -> list[tuple[Node, Node, list[Node]]]:
    """The operator's call and what its results need: pairs of an old node and a new one, and who takes the new one."""
    target = getattr(getattr(torch.ops, NAMESPACE), plan.operator.SIGNATURE.name).default
    named = {name: one.inserted(insert) for name, one in inputs.items()} | plan.parameters
    given = [named.pop(argument.name) for argument in target._schema.arguments if not argument.kwarg_only]
    call = insert(target, *given, **named)
    k, example = plan.parameters["k"], gate.chosen.x
    served = []
    *rows, experts = shape(example)

    def result(index: int, last: Any) -> Node:
        return insert.reshaped(insert(operator.getitem, call, index), tuple(rows), last, gate.logits)

    expert_idx = result(1, k)
    for index in gate.chosen.indices:
        for user in users.others(index):
            if cast_from(user) is index and dtype(user) == torch.int32:
                served.append((user, expert_idx, list(user.users)))
            else:
                new = expert_idx if cast_from(user) is index else insert.cast(expert_idx, dtype(index))
                served.append((index, new, [user]))
    if plan.result is not None:
        y = result(0, k)
        for user in users.others(plan.result):
            cast = dtype(y) != dtype(plan.result)
            served.append((user, y, list(user.users)) if cast else (plan.result, y, [user]))
    if users.of_scores or plan.result is None:
        norm_out = result(2, experts)
        for node, user in users.of_scores:
            served.append((node, insert.reshaped(norm_out, shape(node)[:-1], experts, gate.logits), [user]))
        if plan.result is None and gate.weights in plan.replaced:
            weights = insert(aten.gather.default, norm_out, -1, insert.cast(expert_idx, torch.int64))
            served.append((gate.weights, weights, users.others(gate.weights)))
    served += [(node, gate.logits, [user]) for node, user in users.of_shape]
    for size, place in users.of_size.items():
        served.append((size, insert(aten.sym_size.int, gate.logits, place), list(size.users)))
    return served


def count(nodes: Iterable[Node]) -> int:
    """How many nodes compute something, and do not only unpack results."""
    return sum(node.op == "call_function" and node.target is not operator.getitem for node in nodes)


def _remove(graph: Graph, going: set[Node], gone: set[Node]) -> None:
    """Takes out what nobody uses any more."""
    for node in reversed(graph.nodes):
        if node in going and not node.users:
            graph.erase_node(node)
            gone.add(node)


def float_inputs(graph_module: GraphModule, example_inputs: Sequence[Any]) -> dict[Node, Any]:
    """The inputs of a graph that stand for a float of the user's code, as dynamo makes them for dynamic shapes."""
    places = (node for node in graph_module.graph.nodes if node.op == "placeholder")
    memos = {place: getattr(value, "item_memo", None) for place, value in zip(places, example_inputs, strict=False)}
    return {place: memo for place, memo in memos.items() if isinstance(memo, torch.SymFloat)}
