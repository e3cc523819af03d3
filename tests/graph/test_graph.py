"""Graph mode: the node that the converter makes, what runs, and gates around it."""

import copy
from importlib import import_module

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torchair.ge._ge_graph import Data, GeGraph

import ascend_moe_gating
from ascend_moe_gating import npu_moe_gating_top_k, simulator
from ascend_moe_gating.plugin.verify.cases import V3
from tests.backends import compiled, torchair_backend

ATTRIBUTES = {
    "k": 8,
    "k_group": 4,
    "group_count": 8,
    "group_select_mode": 1,
    "renorm": 0,
    "norm_type": 1,
    "out_flag": True,
    "routed_scaling_factor": 2.5,
    "eps": 1e-20,
}


def launches_of(model, *inputs):
    """The nodes that a run executes; compilation happens before."""
    model(*inputs)
    with simulator.record() as launches:
        model(*inputs)
    return [launch for launch in launches if launch.kind == "graph node"]


@pytest.mark.stand_in
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_the_call_becomes_one_node(dynamic, dtype):
    x, bias = torch.zeros(5, 256, dtype=dtype).npu(), torch.zeros(256, dtype=dtype).npu()
    model = compiled(lambda x, bias: npu_moe_gating_top_k(x, 8, bias=bias, out_flag=True, **V3), dynamic)
    (node,) = launches_of(model, x, bias)
    name = str(dtype).removeprefix("torch.")
    described = {
        "inputs": {key: (value.shape, value.dtype) for key, value in node.inputs.items()},
        "outputs": {key: (value.shape, value.dtype) for key, value in node.outputs.items()},
    }
    assert node.name == "MoeGatingTopK"
    assert described == {
        "inputs": {"x": ((5, 256), name), "bias": ((256,), name)},
        "outputs": {"y": ((5, 8), name), "expert_idx": ((5, 8), "int32"), "out": ((5, 256), "float32")},
    }
    assert node.attributes == pytest.approx(ATTRIBUTES)


@pytest.mark.stand_in
def test_without_bias_the_input_is_unfed():
    model = compiled(lambda x: npu_moe_gating_top_k(x, 2))
    (node,) = launches_of(model, torch.zeros(3, 8).npu())
    assert list(node.inputs) == ["x"]
    assert node.attributes == pytest.approx(
        {**dict.fromkeys(ATTRIBUTES, 0), "k": 2, "k_group": 1, "group_count": 1, "routed_scaling_factor": 1.0}
        | {"out_flag": False, "eps": 1e-20}
    )


def converted(bias):
    """The node's definition, straight from the registered converter."""
    import_module("torchair._ge_concrete_graph.ge_converter.custom")
    registered = torch.ops.npu.npu_moe_gating_top_k.default._ge_converter
    with GeGraph() as graph:
        x = Data(index=0, dtype=0, shape=[4, 256], placement="NPU")
        x.set_meta(torch.empty(4, 256, device="meta"))
        if bias:
            bias = Data(index=1, dtype=0, shape=[256], placement="NPU")
            bias.set_meta(torch.empty(256, device="meta"))
        registered(x, 8, bias=bias, meta_outputs=None)
    (node,) = (op for op in graph.op if op.type == "MoeGatingTopK")
    return node


def test_the_definition_of_the_node():
    node = converted(bias=True)
    assert [source.split(":")[1] for source in node.input] == ["0", "0"]
    assert [desc.name for desc in node.input_desc] == ["x", "bias"]
    assert [desc.name for desc in node.output_desc] == ["y", "expert_idx", "out"]
    assert {name for name in node.attr if not name.startswith("_")} == set(ATTRIBUTES)


def test_the_definition_of_an_unfed_bias():
    node = converted(bias=None)
    assert node.input[1] == ""
    assert node.input_desc[1].name == "bias"


def test_any_number_of_tokens_without_compiling_again():
    counter = CompileCounterWithBackend(torchair_backend())
    torch._dynamo.reset()
    model = torch.compile(
        lambda x, bias: npu_moe_gating_top_k(x, 8, bias=bias, **V3), backend=counter, dynamic=True, fullgraph=True
    )
    generator = torch.Generator().manual_seed(0)
    bias = torch.randn(256, generator=generator)
    model(torch.zeros(2, 256).npu(), bias.npu())
    compiled_at_first = counter.frame_count  # twice: dynamo starts anew when it has seen that floats are constants here
    for tokens in (2, 3, 1000, 17, 4096):
        x = torch.randn(tokens, 256, generator=generator)
        actual = model(x.npu(), bias.npu())
        expected = npu_moe_gating_top_k(x, 8, bias=bias, **V3)
        assert torch.equal(actual[1].cpu(), expected[1])
        torch.testing.assert_close(actual[0].cpu(), expected[0])
    assert counter.frame_count == compiled_at_first > 0


def test_a_graph_reads_its_inputs_anew_on_each_run():
    model = compiled(lambda x: npu_moe_gating_top_k(x, 1))
    first, second = torch.tensor([[1.0, 3.0, 2.0]]).npu(), torch.tensor([[5.0, 3.0, 2.0]]).npu()
    assert model(first)[1].item() == 1
    assert model(second)[1].item() == 0
    first.copy_(second)
    assert model(first)[1].item() == 0


class Gate(torch.nn.Module):
    """A gate written around the operator, in the ways that models do."""

    def __init__(self, write):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.nn.Parameter(torch.randint(-8, 9, (16, 32), generator=generator) / 16)
        self.bias = torch.nn.Parameter(torch.randint(-8, 9, (16,), generator=generator) / 16)
        self.write = write

    def forward(self, hidden_states):
        return self.write(self, hidden_states)


def select(gate, logits, bias=None, **options):
    return npu_moe_gating_top_k(logits, 4, bias=bias, **options)[:2]


def linear(gate, hidden_states, bias=None):
    return torch.nn.functional.linear(hidden_states.float(), gate.weight, bias)


def renormalized(weights, expert_idx):
    return weights / weights.sum(-1, keepdim=True), expert_idx


GATES = {
    "linear": lambda gate, h: select(gate, linear(gate, h), gate.bias, norm_type=1),
    "linear with bias": lambda gate, h: select(gate, linear(gate, h, gate.bias)),
    "matmul": lambda gate, h: select(gate, h.float() @ gate.weight.t()),
    "batched": lambda gate, h: select(gate, linear(gate, h.view(-1, 2, 32)).view(-1, 16)),
    "half router": lambda gate, h: select(gate, torch.nn.functional.linear(h, gate.weight.bfloat16()).float()),
    "renormalized softmax": lambda gate, h: renormalized(*select(gate, linear(gate, h))),
    "int64 experts": lambda gate, h: [result.long() for result in select(gate, linear(gate, h))[1:]],
    "half weights": lambda gate, h: [result.bfloat16() for result in select(gate, linear(gate, h), gate.bias)[:1]],
    "half weights scaled": lambda gate, h: [select(gate, linear(gate, h))[0].bfloat16() * 2.5],
    "less than one": lambda gate, h: [1 - weights for weights in select(gate, linear(gate, h))[:1]],
    "more than one": lambda gate, h: [torch.add(gate.bias, linear(gate, h), alpha=2)],
    "two gates": lambda gate, h: (*select(gate, linear(gate, h)), *select(gate, linear(gate, h), norm_type=1)),
}


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("write", GATES.values(), ids=GATES)
def test_gates_around_the_operator(write, dynamic):
    gate = Gate(write)
    model = compiled(copy.deepcopy(gate).npu(), dynamic)
    generator = torch.Generator().manual_seed(1)
    for tokens in (6, 10):
        hidden_states = (torch.randint(-8, 9, (tokens, 32), generator=generator) / 8).bfloat16()
        with torch.no_grad():
            expected, actual = gate(hidden_states), model(hidden_states.npu())
        for e, a in zip(expected, actual, strict=True):
            torch.testing.assert_close(a.cpu(), e, rtol=1e-6 if e.dtype == torch.float32 else 0, atol=0)


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_the_gate_module(dynamic):
    torch.manual_seed(0)
    gate = ascend_moe_gating.MoEGate(64, 256, 8, k_group=4, group_count=8, routed_scaling_factor=2.5)
    with torch.no_grad():
        gate.weight.copy_(torch.randint(-8, 9, gate.weight.shape) / 64)
        gate.e_score_correction_bias.copy_(torch.rand(256) / 16)
    model = compiled(copy.deepcopy(gate).npu(), dynamic)
    hidden_states = (torch.randint(-8, 9, (2, 5, 64)) / 8).bfloat16()
    with torch.no_grad():
        expected, actual = gate(hidden_states), model(hidden_states.npu())
    assert [list(result.shape) for result in actual] == [[10, 8], [10, 8]]
    assert torch.equal(actual[1].cpu(), expected[1])
    torch.testing.assert_close(actual[0].cpu(), expected[0], rtol=1e-6, atol=0)


def test_a_gate_that_was_cast_to_half_still_routes_in_float32():
    gate = ascend_moe_gating.MoEGate(32, 16, 4).bfloat16()
    weights, _ = gate(torch.ones(3, 32, dtype=torch.bfloat16))
    assert weights.dtype == torch.float32


@pytest.mark.stand_in
def test_a_node_that_the_stand_in_does_not_have_names_itself():
    with pytest.raises(RuntimeError, match=r"graph node \w+ of type Erf: .* add it to the table in simulator/"):
        compiled(torch.erf)(torch.zeros(3).npu())
    assert compiled(torch.neg)(torch.ones(3).npu()).cpu().tolist() == [-1, -1, -1]
