"""torch_npu's names of the operators: the checked functions, which are still all that torch_npu had there."""

import copy
import inspect
import pickle
import pydoc

import pytest
import torch
import torch_npu

import ascend_moe_gating

NAMES = ("npu_moe_gating_top_k", "npu_moe_gating_top_k_softmax_v2")
each_name = pytest.mark.parametrize("name", NAMES)


@each_name
def test_it_pickles_and_is_copied_as_the_function_of_torch_npu(name):
    served = getattr(torch_npu, name)
    assert pickle.loads(pickle.dumps(served)) is served
    assert copy.deepcopy(served) is served
    assert (served.__module__, served.__qualname__, served.__name__) == ("torch_npu", name, name)


@each_name
def test_help_shows_the_signature_and_the_documentation_of_the_public_function(name):
    served, public = getattr(torch_npu, name), getattr(ascend_moe_gating, name)
    assert inspect.signature(served) == inspect.signature(public)
    assert inspect.getdoc(served) == inspect.getdoc(public)
    shown = pydoc.plain(pydoc.render_doc(served))
    assert f"function {name} in module torch_npu" in shown
    signature = "".join(shown.partition(f"{name}(")[2].partition("->")[0].split())  # on one line, or on several
    assert signature.startswith(("x:torch.Tensor,", "x:'torch.Tensor',"))
    assert "positional" not in signature
    assert "Router logits" in shown


@each_name
def test_it_has_what_torchs_packet_of_overloads_has(name):
    served, packet = getattr(torch_npu, name), getattr(torch.ops.npu, name)
    assert served.default is packet.default
    assert served.overloads() == packet.overloads() == ["default"]
    assert served.op is packet.op
    assert served._qualified_op_name == f"npu::{name}"
    lacking = {attribute for attribute in dir(packet) if not attribute.startswith("__")} - set(dir(served))
    assert lacking == set()
    assert served._schemas == packet._schemas


@each_name
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_dynamo_traces_it_whole(name, dynamic):
    graphs = []

    def backend(graph_module, inputs):
        graphs.append(graph_module)
        return graph_module

    torch._dynamo.reset()
    x = torch.randn(3, 16)
    model = torch.compile(
        lambda x: getattr(torch_npu, name)(x, k=2)[:2], backend=backend, fullgraph=True, dynamic=dynamic
    )
    for actual, expected in zip(model(x), getattr(torch.ops.npu, name)(x, k=2)[:2], strict=True):
        assert torch.equal(actual, expected)
    (graph,) = graphs
    called = [node.target for node in graph.graph.nodes if node.op == "call_function" and "gating" in str(node.target)]
    assert called == [getattr(torch.ops.npu, name).default]
