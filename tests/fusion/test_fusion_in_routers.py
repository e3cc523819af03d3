"""Every router class of transformers: which become one node, and why the others do not."""

import pytest
import torch
from functorch.compile import make_boxed_func
from torch._functorch.aot_autograd import aot_module_simplified

from ascend_moe_gating import fuse_gates, simulator
from ascend_moe_gating.converters.fusion.replace import float_inputs
from tests.fusion.routers import build, router_classes
from tests.programs import ROOT

pytestmark = pytest.mark.needs("support by transformers")
ROUTERS = router_classes()
OPERATORS = ("npu_moe_gating_top_k", "npu_moe_gating_top_k_softmax_v2")
# What may stand behind the node: the ids are int64 in torch, int32 in the operator.
OF_NO_GATE = {"_to_copy", "view", "_unsafe_view", "reshape", *OPERATORS}

# Of the classes that are not one node alone, what stays behind it, or why they stay as they are.
BEHIND = {
    "DiffusionGemmaTextRouter": {"index", "mul"},  # a scale for each expert
    "Gemma4TextRouter": {"index", "mul"},
    "Ernie4_5_MoeTopKRouter": {"sum", "clamp", "div"},  # the sum is not less than moe_norm_min
    "Ernie4_5_VLMoeMoeTopKRouter": {"sum", "clamp", "div"},
    "OpenAIPrivacyFilterTopKRouter": {"div"},  # the softmax that follows the choice has no scale
    "JetMoeTopKGating": {"scatter", "sum"},  # how many tokens each expert has
    "ZayaRouter": {"eq", "masked_fill"},  # an expert that computes nothing
    "DogeCDMoE": {"sum", "div", "embedding", "bmm"},  # among others: the whole layer is one class
}
LEFT = {
    "InklingTopkRouter": "the experts are chosen by something else than scores, or scores and a bias",
    "Kolibri1TopKRouter": "the experts are chosen by their logits, and scored afterwards by no softmax",
    "Llama4Router": "the experts are chosen by their logits, and scored afterwards by no softmax",
    "NllbMoeTop2Router": "one expert is chosen by argmax, not by top-k",
    "SwitchTransformersTop1Router": "one expert is chosen by argmax, not by top-k",
}
NEEDS = {"DeepseekV4HashRouter": ["hash routing"], "JetMoeTopKGating": ["graphs before tolist"]}


def compiled(route, inputs, dynamic):
    """The results, the reports, and the operators behind the gate's node."""
    reports, behind = [], set()

    def compile_graph(graph_module, example_inputs):
        reports.extend(fuse_gates(graph_module, float_inputs(graph_module, example_inputs)))
        after = set()
        for node in graph_module.graph.nodes:
            name = getattr(getattr(node.target, "overloadpacket", None), "__name__", "")
            if name in OPERATORS or after.intersection(node.all_input_nodes):
                after.add(node)
                behind.update({name} - {""})
        return make_boxed_func(graph_module.forward)

    torch._dynamo.reset()
    backend = lambda graph_module, inputs: aot_module_simplified(graph_module, inputs, fw_compiler=compile_graph)  # noqa: E731
    with torch.no_grad():
        results = torch.compile(route, backend=backend, dynamic=dynamic)(*inputs)
    return results, reports, behind - OF_NO_GATE


def router(model, name):
    """A class as a parameter of the test, which may need more than the others."""
    marks = [pytest.mark.needs(*NEEDS[name])] if name in NEEDS else []
    return pytest.param(model, name, id=name, marks=marks)


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize(("model", "name"), [router(*each) for each in ROUTERS])
def test_a_router(model, name, dynamic):
    route, inputs = build(model, name)
    with torch.no_grad():
        expected = route(*(tensor.clone() for tensor in inputs))
    with simulator.release(soc="Ascend950PR_9579"):
        actual, reports, behind = compiled(route, inputs, dynamic)
    fused = [report for report in reports if report.fused]
    if name in LEFT:
        assert not fused
        assert reports[0].reason == LEFT[name]
    else:
        assert len(fused) == 1, reports
        assert behind == BEHIND.get(name, set()) or (name == "DogeCDMoE" and behind > BEHIND[name])
    for one, other in zip(_tensors(actual), _tensors(expected), strict=True):
        if one.is_floating_point() and one.shape[-1:] != (4,):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
        elif one.shape[-1:] == (4,):  # of the chosen experts, in whatever order
            torch.testing.assert_close(one.sort(-1)[0], other.sort(-1)[0], rtol=1e-4, atol=1e-6)


def _tensors(results):
    return [result for result in results if isinstance(result, torch.Tensor)]


def test_the_documentation_says_how_many():
    names = [name for _, name in ROUTERS]
    whole = [name for name in names if name not in LEFT and name not in BEHIND]
    page = " ".join((ROOT / "docs" / "written-out-gates.md").read_text().split())
    assert f"Of the {len(names)} classes of transformers 5.24 that choose experts, {len(whole)} become" in page
    assert f"{len(BEHIND)} keep something behind it, {len(LEFT)} stay as they are" in page
