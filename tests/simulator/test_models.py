"""What the stand-in takes for a graph: models that torchair made, changed by hand."""

import ctypes
import re

import pytest
import torch
import torchair
from torchair.core._backend import TorchNpuGraph
from torchair.ge._ge_graph import GeGraph

from ascend_moe_gating import npu_moe_gating_top_k

pytestmark = pytest.mark.stand_in

X = torch.arange(64.0).view(2, 32)


@pytest.fixture(scope="module")
def made():
    """What torchair loads for a gate whose weights are doubled. Up to 2.5 it numbers nodes through all graphs."""
    loads, load = [], TorchNpuGraph.load
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TorchNpuGraph, "load", lambda graph, *given: (loads.append(given), load(graph, *given))[1])
        torch._dynamo.reset()
        torch.compile(lambda x: npu_moe_gating_top_k(x, 2)[0] * 2, backend=torchair.get_npu_backend())(X.npu())
    return loads[0]


def run(made, change):
    graph = GeGraph(serialized_model_def=made[0].SerializeToString(), name="changed")
    graph._named_inputs_info, graph._indexed_inputs = made[0]._named_inputs_info, made[0]._indexed_inputs
    change(graph)
    executor = TorchNpuGraph("changed")
    executor.load(graph, *made[1:])
    executor.compile()
    return executor.run([X.npu()], [None])[0].cpu()


def node(graph, kind):
    return next(op for op in graph.op if op.type == kind)


def named(graph, output):
    """The gate's node as torchair has named it, and one of its outputs."""
    return node(graph, "MoeGatingTopK").name + output


def backwards(graph):
    ops = [type(op).FromString(op.SerializeToString()) for op in graph.op]
    del graph._proto.op[:]
    graph._proto.op.extend(reversed(ops))


def test_nodes_may_stand_in_any_order(made):
    expected = npu_moe_gating_top_k(X, 2)[0] * 2
    for change in (lambda graph: None, backwards):
        torch.testing.assert_close(run(made, change), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda g: node(g, "Mul").input.__setitem__(0, node(g, "Mul").name + ":0"),
            r"not a graph: node Mul\w* feeds itself",
        ),
        (
            lambda g: node(g, "Mul").input.__setitem__(0, "nobody:0"),
            r"node Mul\w* reads from nobody:0, which does not exist",
        ),
        (lambda g: node(g, "Mul").input.append(named(g, ":0")), r"node Mul\w* has an input without a name"),
        (
            lambda g: setattr(node(g, "Const").attr["value"].t, "data", b""),
            r"not a graph: node \w+ has the attribute value: a constant of float32 \[\] has 0 bytes",
        ),
    ],
    ids=["cycle", "no producer", "input without a name", "constant without its bytes"],
)
def test_what_is_not_a_graph_is_not_loaded(made, change, message):
    said = ctypes.CDLL("libascendcl.so").aclGetRecentErrMsg
    said.restype = ctypes.c_char_p
    with pytest.raises(RuntimeError, match="LoadFromSerializedModelArray"):
        run(made, change)
    assert re.search(f"{message}$", said().decode())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: node(g, "Mul").input.__setitem__(0, named(g, ":7")), r"the node MoeGatingTopK\w* has no output 7"),
        (lambda g: node(g, "Mul").input.__setitem__(0, ""), "input x1 is missing"),
        (lambda g: setattr(node(g, "Mul").input_desc[1], "name", "x3"), "input x2 is missing"),
        (lambda g: setattr(node(g, "MoeGatingTopK").attr["surprise"], "i", 1), "there is no attribute surprise"),
        (lambda g: node(g, "MoeGatingTopK").attr.pop("k"), "attribute k is missing"),
        (lambda g: node(g, "Const").attr.pop("value"), "attribute value is missing"),
        (lambda g: setattr(node(g, "MoeGatingTopK").attr["k"], "i", 99), "k is 99, it must be at most the experts"),
        (lambda g: setattr(node(g, "Mul").output_desc[0], "name", "z"), "the outputs are z, not y"),
        (
            lambda g: setattr(node(g, "Mul"), "type", "Erf"),
            "the host stand-in for CANN does not implement this type",
        ),
    ],
)
def test_what_a_node_must_have(made, change, message):
    with pytest.raises(RuntimeError, match=rf"graph node \w+ of type \w+: .*{message}"):
        run(made, change)
    assert run(made, lambda graph: None).shape == (2, 2)


def test_of_some_attributes_only_one_value_is_implemented(made):
    def exponential(base):
        def change(graph):
            op = node(graph, "Mul")
            op.type = "Exp"
            del op.input[1:], op.input_desc[1:]
            op.input_desc[0].name = "x"
            op.attr["base"].f = base

        return change

    torch.testing.assert_close(run(made, exponential(-1)), npu_moe_gating_top_k(X, 2)[0].exp())
    with pytest.raises(RuntimeError, match=r"graph node Mul\w* of type Exp: of attribute base only -1 is implemented"):
        run(made, exponential(2))
