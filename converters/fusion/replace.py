"""Makes one node of each gate of a graph that is written out as single operations."""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily
from torch.fx import Graph, GraphModule, Node
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from ascend_moe_gating.converters.fusion.fx_nodes import aten, cast_from, constant, dtype, shape
from ascend_moe_gating.converters.fusion.gates import Gate, NotAGate, find_gates
from ascend_moe_gating.plugin.constraints.needs import missing
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import NEEDS, SIGNATURE, Call, check
from ascend_moe_gating.plugin.constraints.signature import NAMESPACE
from ascend_moe_gating.plugin.constraints.users_line import users_line


@dataclass
class GateReport:
    """What became of one gate of a graph."""

    fused: bool
    reason: str = ""  # why it was not fused
    where: str = ""  # file:line of the choice of experts, where the graph knows it
    parameters: dict[str, Any] = field(default_factory=dict)  # of npu_moe_gating_top_k

    def __str__(self) -> str:
        place = f"the gate at {self.where}" if self.where else "a gate"
        if not self.fused:
            return f"{place} is not fused: {self.reason}"
        return f"{place} is fused: " + ", ".join(f"{name}={value}" for name, value in self.parameters.items())


def fuse_gates(graph_module: GraphModule, scalars: dict[Node, Any] | None = None) -> list[GateReport]:
    """Replace each gate that is written out by npu_moe_gating_top_k, in place; results do not change. Dead code goes.

    Ids and weights are the same, but that `sorted=False` gives the k experts in descending order, and that of experts
    with a weight of exactly 0.0 others may be named where the gate fills dropped groups with 0.0.

    Args:
        graph_module: A functional graph of ATen operators with fake results in meta["val"], as AOTAutograd gives it to
            a compiler.
        scalars: Inputs of the graph that stand for a Python float of the user's, and the number, which is then fixed.

    Returns:
        A report for each choice of experts that was found, in the order of the graph.
    """
    graph = graph_module.graph
    graph.eliminate_dead_code()  # what nobody uses is no other user of an intermediate result
    try:
        with unset_fake_temporarily():
            found = find_gates(graph, scalars)
    except Exception as error:  # a graph that is not understood is left alone, and compiles
        return [GateReport(False, f"the search for gates failed ({type(error).__name__}: {error})")]
    reports = []
    for gate in found:
        try:
            if isinstance(gate, NotAGate):
                raise gate
            reports.append(GateReport(True, where=users_line(gate.chosen.call), parameters=_fuse(graph, gate)))
        except NotAGate as refusal:
            reports.append(GateReport(False, str(refusal), users_line(refusal.node)))
    if any(report.fused for report in reports):
        graph.eliminate_dead_code()
        graph.lint()
        graph_module.recompile()
    return reports


def _fuse(graph: Graph, gate: Gate) -> dict[str, Any]:
    """Replaces a gate, or raises before anything has changed; returns the operator's arguments."""
    _demand_no_other_users(gate)
    try:  # here a symbolic number becomes fixed: another one is another compilation
        for name, value in gate.parameters.items():
            gate.parameters[name] = float(value) if name in ("eps", "routed_scaling_factor") else int(value)
    except GuardOnDataDependentSymNode as error:
        raise NotAGate("one of its numbers depends on data", gate.chosen.call) from error
    sizes = [-1, shape(gate.logits)[-1]]
    try:
        bias = None if gate.bias is None else _as_float32(gate.bias, [-1])
        call = Call(_as_float32(gate.logits, sizes), bias=bias, **gate.parameters)
        check(call)
    except (ValueError, TypeError) as error:
        raise NotAGate(str(error), gate.chosen.call) from error
    if lacking := missing(call, NEEDS):
        raise NotAGate(lacking, gate.chosen.call)
    with graph.inserting_before(gate.chosen.call):
        insert = functools.partial(_insert, gate.chosen.call)
        y, expert_idx = _call(insert, gate, sizes)
        _serve_ids(insert, gate, expert_idx)
    gate.weights.replace_all_uses_with(y)
    return gate.parameters


def _demand_no_other_users(gate: Gate) -> None:
    free = {gate.weights, *gate.chosen.indices}
    for node in gate.inner:
        if constant(node) is None or any(shape(source) for source in node.all_input_nodes):
            for user in node.users:
                if user not in free and not _goes_with(user, gate):
                    raise NotAGate(f"the intermediate result {node.name} is also used by {user.name}", node)


def _goes_with(node: Node, gate: Gate) -> bool:
    """Whether nobody needs a node once the gate is gone, such as a tensor of ones in a result's sizes."""
    if node in gate.inner:
        return True
    asked = node.op == "output" or node in (gate.logits, gate.bias, gate.weights, *gate.chosen.indices)
    return not asked and all(_goes_with(user, gate) for user in node.users)


def _call(insert: Any, gate: Gate, sizes: list[Any]) -> tuple[Node, Node]:
    """The operator's call, with logits and bias as it takes them, and its first two results."""
    logits, bias = gate.logits, gate.bias
    if len(shape(logits)) != 2:
        logits = insert(aten.reshape.default, logits, sizes)
    if dtype(logits) != torch.float32:
        logits = insert(aten._to_copy.default, logits, dtype=torch.float32)
    if bias is not None and len(shape(bias)) != 1:
        bias = insert(aten.reshape.default, bias, [-1])
    if bias is not None and dtype(bias) != torch.float32:
        bias = insert(aten._to_copy.default, bias, dtype=torch.float32)
    named = {name: value for name, value in gate.parameters.items() if name != "k"}
    operator_call = getattr(getattr(torch.ops, NAMESPACE), SIGNATURE.name).default
    call = insert(operator_call, logits, gate.parameters["k"], bias=bias, **named)
    return insert(operator.getitem, call, 0), insert(operator.getitem, call, 1)


def _serve_ids(insert: Any, gate: Gate, expert_idx: Node) -> None:
    """Gives everyone the ids in the dtype that they ask for; the graph has them as int64, the operator as int32."""
    as_int64 = None
    for index in gate.chosen.indices:
        for user in [user for user in index.users if user not in gate.inner and user not in gate.chosen.indices]:
            if cast_from(user) is not index:
                as_int64 = as_int64 or insert(aten._to_copy.default, expert_idx, dtype=torch.int64)
                user.replace_input_with(index, as_int64)
            elif dtype(user) == torch.int32:
                user.replace_all_uses_with(expert_idx)
            else:
                user.replace_input_with(index, expert_idx)


def _as_float32(node: Node, sizes: list[Any]) -> torch.Tensor:
    value = node.meta["val"]
    with _mode_of(value):
        return value.reshape(sizes).float()


def _mode_of(value: object) -> contextlib.AbstractContextManager:
    return value.fake_mode if isinstance(value, FakeTensor) else contextlib.nullcontext()


def _insert(like: Node, target: Any, *args: Any, **kwargs: Any) -> Node:
    """A new node with its result's description; for the user it stands where `like` stood."""
    node = like.graph.call_function(target, args, kwargs)
    node.meta = {name: like.meta[name] for name in ("stack_trace", "nn_module_stack") if name in like.meta}
    described = [argument.meta["val"] if isinstance(argument, Node) else argument for argument in args]
    named = {name: value.meta["val"] if isinstance(value, Node) else value for name, value in kwargs.items()}
    tensor = next((value for value in described if isinstance(value, torch.Tensor)), None)
    with _mode_of(tensor):
        node.meta["val"] = target(*described, **named)
    return node


def float_inputs(graph_module: GraphModule, example_inputs: Sequence[Any]) -> dict[Node, Any]:
    """The inputs of a graph that stand for a float of the user's code, as dynamo makes them for dynamic shapes."""
    places = (node for node in graph_module.graph.nodes if node.op == "placeholder")
    memos = {place: getattr(value, "item_memo", None) for place, value in zip(places, example_inputs, strict=False)}
    return {place: memo for place, memo in memos.items() if isinstance(memo, torch.SymFloat)}
