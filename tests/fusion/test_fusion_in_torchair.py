"""Gates that are written out become one node in whatever torchair compiles, and nothing else changes."""

import copy
import re

import pytest
import torch
import torchair
from torchair.core.utils import logger as torchair_logger
from torchair.inference import cache_compile, set_dim_gears

import ascend_moe_gating
from ascend_moe_gating import simulator
from tests.fusion.gates import GATES
from tests.fusion.test_unfused_gates import assert_same, inputs
from tests.programs import start

each_gate = pytest.mark.parametrize(("gate", "parameters", "options"), GATES.values(), ids=GATES)
each_shape = pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
V3 = GATES["deepseek-v3 of transformers"]


def compiled(model, dynamic=False, config=None, **options):
    torch._dynamo.reset()
    backend = ascend_moe_gating.get_npu_backend(compiler_config=config or torchair.CompilerConfig(), **options)
    return torch.compile(model, backend=backend, dynamic=dynamic, fullgraph=True)


def nodes_of(model, *arguments):
    with simulator.record() as log:
        results = model(*arguments)
    return results, [launch.name for launch in log if launch.kind == "graph node"]


def bound(gate, parameters):
    return lambda logits, bias: gate(logits, bias, **parameters)


def node_types(path):
    """The types of the nodes that torchair has written down as its graph, without inputs, constants and output."""
    (dump,) = path.glob("dynamo_original_graph_*.pbtxt")
    types = re.findall(r'^\s+op: "(\w+)"$', dump.read_text(), re.MULTILINE)
    return [kind for kind in types if kind not in ("Data", "Const", "NetOutput")]


@each_gate
@each_shape
def test_each_spelling_is_one_node(gate, parameters, options, dynamic, tmp_path):
    config = torchair.CompilerConfig()
    config.debug.graph_dump.type = "pbtxt"
    config.debug.graph_dump.path = str(tmp_path)
    model = compiled(bound(gate, parameters), dynamic, config)
    for tokens in (5, 17) if dynamic else (5,):
        logits, bias = inputs(tokens, parameters["experts"])
        assert_same(model(logits.npu(), bias.npu()), gate(logits, bias, **parameters))
    cast = [] if "vllm" in gate.__name__ else ["Cast"]
    assert sorted(node_types(tmp_path)) == sorted(["MoeGatingTopK", *cast])


class Router(torch.nn.Module):
    """As in a model: bfloat16 hidden states, a float32 linear in front, parameters as attributes."""

    def __init__(self, gate, parameters):
        super().__init__()
        self.gate = gate
        self.k, self.groups, self.kept = parameters["k"], parameters.get("groups"), parameters.get("kept")
        self.scale, self.experts = parameters.get("scale"), parameters["experts"]
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.nn.Parameter(torch.randint(-8, 9, (self.experts, 64), generator=generator) / 8)
        self.register_buffer("bias", torch.randint(-8, 9, (self.experts,), generator=generator) / 64 + 1 / 1024)

    def forward(self, hidden_states):
        hidden_states = hidden_states.view(-1, hidden_states.shape[-1])
        logits = torch.nn.functional.linear(hidden_states.float(), self.weight)
        named = {"k": self.k, "groups": self.groups, "kept": self.kept, "scale": self.scale, "experts": self.experts}
        return self.gate(logits, self.bias, **named)


@each_gate
@each_shape
def test_a_router_with_its_linear(gate, parameters, options, dynamic):
    router = Router(gate, parameters)
    model = compiled(copy.deepcopy(router).npu(), dynamic)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad(), simulator.record() as log:
        for tokens in (5, 9):
            hidden_states = (torch.randint(-64, 65, (2, tokens, 64), generator=generator) / 512).bfloat16()
            actual, expected = model(hidden_states.npu()), router(hidden_states)
            # Some logits are equal, of which torch may choose another expert: the weights say whether that is right.
            torch.testing.assert_close(actual[0].cpu(), expected[0], rtol=2e-6, atol=0)
            assert (actual[1].cpu().sort(1)[0] == expected[1].sort(1)[0]).float().mean() > 0.95
    nodes = [launch.name for launch in log if launch.kind == "graph node"]
    assert nodes.count("MoeGatingTopK") == 2
    assert not {"TopKV2", "Sigmoid", "SoftmaxV2", "ScatterElements", "Mul"}.intersection(nodes)


@each_shape
def test_another_scale_is_another_compilation(dynamic):
    router = Router(V3[0], V3[1]).npu()
    model = compiled(router, dynamic)
    hidden_states = torch.ones(1, 3, 64).npu()
    with torch.no_grad():
        first = model(hidden_states)[0].cpu()
        router.scale = 5.0
        torch.testing.assert_close(model(hidden_states)[0].cpu(), 2 * first)


def test_other_experts_are_another_compilation():
    """With dynamic shapes the number of experts may be unknown too; the operator's constraints hold for each."""
    gate, parameters, _ = GATES["qwen3-moe"]
    model = compiled(bound(gate, {**parameters, "k": 3}), dynamic=True)
    for experts in (128, 12, 3, 300):
        logits, bias = inputs(7, experts)
        assert_same(model(logits.npu(), bias.npu()), gate(logits, bias, k=3))
    logits, bias = inputs(2, 2500)  # more than the operator takes: torchair's nodes remain
    assert_same(model(logits.npu(), bias.npu()), gate(logits, bias, k=3))


def test_two_gates_in_one_graph():
    gate, parameters, _ = V3

    def both(logits, bias):
        weights, idx = gate(logits, bias, **parameters)
        return gate(logits * 0.5, bias, **parameters)[1], weights, idx

    logits, bias = inputs(4, 256)
    with simulator.record() as log:
        actual = compiled(both)(logits.npu(), bias.npu())
    assert [launch.name for launch in log].count("MoeGatingTopK") == 1  # of the first only the ids are used
    assert torch.equal(actual[2].cpu().sort(1)[0], gate(logits, bias, **parameters)[1].sort(1)[0])


def mode(name):
    config = torchair.CompilerConfig()
    config.mode = name
    return torchair.get_npu_backend(compiler_config=config)


@pytest.mark.parametrize(
    "backend",
    [lambda: mode("reduce-overhead"), pytest.param(lambda: "npugraph_ex", marks=pytest.mark.needs("npugraph_ex"))],
    ids=["reduce-overhead", "npugraph_ex"],
)
@each_shape
def test_captured_graphs(backend, dynamic):
    gate, parameters, _ = V3
    torch._dynamo.reset()
    model = torch.compile(bound(gate, parameters), backend=backend(), dynamic=dynamic, fullgraph=True)
    for tokens in (5, 5, 6):
        logits, bias = inputs(tokens, 256)
        with simulator.record() as log:
            assert_same(model(logits.npu(), bias.npu()), gate(logits, bias, **parameters))
        launched = [launch.name for launch in log if launch.kind == "aclnn"]
        assert launched.count("aclnnMoeGatingTopK") + launched.count("aclnnMoeGatingTopKV2") >= 1
        assert not {"aclnnTopk", "aclnnSigmoid", "aclnnInplaceScatterValue"}.intersection(launched)


def test_exported_graphs(tmp_path):
    gate, parameters, _ = V3
    router = Router(gate, parameters).npu()
    torchair.dynamo_export(
        torch.ones(1, 4, 64).npu(), model=router, export_path=str(tmp_path), export_name="router", dynamic=False
    )
    exported = (tmp_path / "dynamo.pbtxt").read_text()
    assert exported.count('op: "MoeGatingTopK"') == 1
    assert "TopKV2" not in exported


def test_graphs_with_gears_and_graphs_that_are_kept(tmp_path):
    gate, parameters, _ = V3
    model = compiled(bound(gate, parameters), dynamic=True)
    for tokens in (4, 8):
        logits, bias = inputs(tokens, 256)
        on_npu, bias_on_npu = logits.npu(), bias.npu()
        torch._dynamo.mark_static(bias_on_npu)
        set_dim_gears(on_npu, {0: [4, 8]})
        assert_same(model(on_npu, bias_on_npu), gate(logits, bias, **parameters))

    class Kept(torch.nn.Module):
        def __init__(self):
            super().__init__()
            config = torchair.CompilerConfig()
            self.compiled = cache_compile(self.gate, config=config, cache_dir=str(tmp_path), dynamic=True)

        def forward(self, logits, bias):
            return self.compiled(logits, bias)

        def gate(self, logits, bias):
            return gate(logits, bias, **parameters)

    for _ in range(2):
        torch._dynamo.reset()
        kept = Kept()
        logits, bias = inputs(9, 256)
        with simulator.record() as log:
            assert_same(kept(logits.npu(), bias.npu()), gate(logits, bias, **parameters))
        assert "MoeGatingTopK" in [launch.name for launch in log]


def executed(model):
    logits, bias = inputs(5, 256)
    with simulator.record() as log:
        model(logits.npu(), bias.npu())
    return [launch.name for launch in log if launch.kind == "graph node"]


def test_switched_off(monkeypatch):
    function = bound(*V3[:2])
    assert executed(compiled(function)) == ["MoeGatingTopK", "Cast"]
    assert len(executed(compiled(function, fuse=False))) > 20
    torch._dynamo.reset()
    with ascend_moe_gating.fusion(False):
        assert len(executed(torch.compile(function, backend=torchair.get_npu_backend()))) > 20
    monkeypatch.setenv("ASCEND_MOE_GATING_FUSE", "0")
    torch._dynamo.reset()
    assert len(executed(torch.compile(function, backend=torchair.get_npu_backend()))) > 20
    assert executed(compiled(function, fuse=True)) == ["MoeGatingTopK", "Cast"]
    assert torchair_logger  # the pass has not replaced it


PLAIN = """
from ascend_moe_gating import simulator
simulator.load()
import torch, torch_npu, torchair
backend = torchair.get_npu_backend()
import ascend_moe_gating
with simulator.record() as log:
    torch.compile(lambda x: torch.topk(torch.softmax(x, 1), 2), backend=backend)(torch.randn(3, 16).npu())
print([launch.name for launch in log if launch.kind == "graph node"])
"""


def test_importing_the_plugin_is_enough():
    assert start(["-c", PLAIN]).stdout.splitlines()[-1] == "['MoeGatingTopK', 'Cast']"
