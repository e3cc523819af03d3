"""Errors that are found while a graph is converted name the line of the user's code."""

import re
import sys

import pytest
import torch
import torchair

import ascend_moe_gating
from tests.backends import compiled
from tests.errors import raises_within

PROGRAM = """import torch
import ascend_moe_gating

class Gate(torch.nn.Module):
    def forward(self, x):
        return torch.ops.npu.npu_moe_gating_top_k(x * 2, 2)[0]  # line 6

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = Gate()

    def forward(self, x):
        return self.gate(x) + 1

def by_the_public_function(x):
    return ascend_moe_gating.npu_moe_gating_top_k(x, 2)[0]  # line 17

GATE = ascend_moe_gating.MoEGate(8, 8, 2).npu()
def by_the_module(x):
    return GATE(x)[0]  # line 21

class Second(torch.nn.Module):
    def forward(self, x):
        return torch.ops.npu.npu_moe_gating_top_k_softmax_v2(x, k=2)[0]  # line 25
"""
RULE = "k must be between 1 and 8 (= k_group * experts / group_count), got 9 (C9)"
RULES = {
    "Model": (RULE, 6),
    "Second": ("k must be between 1 and 8 (= experts, at most 1024), got 9 (S5)", 25),
}


@pytest.fixture
def program(tmp_path, monkeypatch):
    path = tmp_path / "users_program.py"
    path.write_text(PROGRAM)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "users_program", raising=False)
    import users_program

    return users_program


def spoil(graph_module, *_):
    """What a pass may do after the graph has been traced: here k becomes more than there are experts."""
    for node in graph_module.graph.nodes:
        if "npu_moe_gating_top_k_softmax_v2" in str(node.target):
            node.kwargs = {**node.kwargs, "k": 9}
        elif "npu_moe_gating_top_k" in str(node.target):
            node.args = (node.args[0], 9)
    graph_module.recompile()


def in_a_pass(model, x):
    config = torchair.CompilerConfig()
    config.post_grad_custom_post_pass = spoil
    torch._dynamo.reset()
    return torch.compile(model, backend=torchair.get_npu_backend(compiler_config=config), fullgraph=True)(x)


def in_a_backend_around(model, x):
    def backend(graph_module, inputs):
        spoil(graph_module)
        return torchair.get_npu_backend()(graph_module, inputs)

    torch._dynamo.reset()
    return torch.compile(model, backend=backend, fullgraph=True)(x)


def in_an_exported_program(model, x):
    graph_module = torch.export.export(model, (x,)).graph_module
    spoil(graph_module)
    return torchair.get_compiler(torchair.CompilerConfig())(graph_module, [x])


NEEDS_PASSES = pytest.mark.needs("passes over graphs of torchair")
NEEDS_OTHER_TRACERS = pytest.mark.needs("graphs of other tracers than dynamo")


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(in_a_pass, marks=NEEDS_PASSES),
        in_a_backend_around,
        pytest.param(in_an_exported_program, marks=NEEDS_OTHER_TRACERS),
    ],
)
@pytest.mark.parametrize("name", RULES)
def test_an_illegal_call(program, name, found):
    rule, line = RULES[name]
    with pytest.raises(Exception, match=re.escape(f"{rule}, called at {program.__file__}:{line}\n")):
        found(getattr(program, name)(), torch.zeros(3, 8).npu())


@pytest.mark.parametrize(("name", "line"), [("by_the_public_function", 17), ("by_the_module", 21)])
def test_lines_of_this_package_are_not_the_users(program, name, line):
    with pytest.raises(Exception, match=re.escape(f"{RULE}, called at {program.__file__}:{line}\n")):
        in_a_backend_around(getattr(program, name), torch.zeros(3, 8).npu())


@NEEDS_PASSES
@pytest.mark.parametrize("operator", ["npu_moe_gating_top_k", "npu_moe_gating_top_k_softmax_v2"])
def test_where_shape_inference_lets_the_call_pass(program, operator, monkeypatch):
    """As torch_npu's own does, where torch allows no other: then the converter is the first to look."""
    module = sys.modules[f"ascend_moe_gating.meta.{operator}"]
    monkeypatch.setattr(module, "check", lambda *arguments: None)
    name = "Second" if operator.endswith("v2") else "Model"
    rule, line = RULES[name]
    with pytest.raises(Exception, match=re.escape(f"{rule}, called at {program.__file__}:{line}\n")) as caught:
        in_a_pass(getattr(program, name)(), torch.zeros(3, 8).npu())
    assert "in wrapped_converter" in str(caught.value)


@NEEDS_OTHER_TRACERS
def test_without_lines_the_module_is_named(program):
    x = torch.zeros(3, 8).npu()
    graph_module = torch.export.export(program.Model(), (x,)).graph_module
    for node in graph_module.graph.nodes:
        node.meta.pop("stack_trace", None)
    spoil(graph_module)
    with pytest.raises(ValueError, match=re.escape(f"{RULE}, called in module gate (users_program.Gate)\n")):
        torchair.get_compiler(torchair.CompilerConfig())(graph_module, [x])


@NEEDS_OTHER_TRACERS
def test_where_nothing_is_known_the_rule_stands_alone(program):
    graph_module = torch.fx.symbolic_trace(program.Second())
    spoil(graph_module)
    with pytest.raises(ValueError, match=re.escape(RULES["Second"][0] + "\n")):
        torchair.get_compiler(torchair.CompilerConfig())(graph_module, [torch.zeros(3, 8).npu()])


def test_while_tracing_the_text_is_as_always():
    with raises_within(ValueError, match=re.escape(RULE) + "(?!, called)"):
        compiled(lambda x: ascend_moe_gating.npu_moe_gating_top_k(x, 9), fullgraph=False)(torch.zeros(3, 8).npu())


def test_a_legal_call_of_these_programs_runs(program):
    x = torch.zeros(3, 8).npu()
    assert compiled(program.Model())(x).cpu().tolist() == [[1.125, 1.125]] * 3
