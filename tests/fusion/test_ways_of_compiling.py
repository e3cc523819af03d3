"""Gates become one node in every way of compiling, as far as the CANN that is there takes them."""

import copy

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from ascend_moe_gating import explain, fuse_gates
from tests.fusion.gates import GATES, grouped_softmax, softmax_renormalized, vllm_grouped_topk
from tests.fusion.test_fusion import calls
from tests.fusion.test_fusion_in_torchair import Router, bound, compiled, each_gate, each_shape, nodes_of
from tests.fusion.test_unfused_gates import assert_same, inputs

V3 = GATES["deepseek-v3 of transformers"]


DYNAMIC = pytest.param(True, id="dynamic", marks=pytest.mark.needs("numbers in dynamic graphs with gradients"))


@each_gate
@pytest.mark.parametrize("dynamic", [pytest.param(False, id="static"), DYNAMIC])
def test_with_gradients(gate, parameters, options, dynamic):
    """What the backward pass needs comes from the node: the scores and the experts."""
    router = Router(gate, parameters)
    hidden_states = torch.randn(2, 5, 64, generator=torch.Generator().manual_seed(1)) / 8
    on_npu = copy.deepcopy(router).npu()
    given, on_device = hidden_states.clone().requires_grad_(), hidden_states.npu().requires_grad_()
    (weights, _), nodes = nodes_of(compiled(on_npu, dynamic), on_device)
    expected, _ = router(given)
    torch.testing.assert_close(weights.cpu().sort(1)[0], expected.sort(1)[0], rtol=2e-5, atol=1e-7)
    if gate is grouped_softmax:  # its backward pass needs the mask of the groups too, which is no result of the node
        assert "MoeGatingTopK" not in nodes
    else:
        assert nodes.count("MoeGatingTopK") == 1
        assert not {"TopKV2", "Sigmoid", "SoftmaxV2", "ScatterElements"}.intersection(nodes)
    if dynamic and gate is vllm_grouped_topk:  # torchair refuses to run the backward graph, of the gate as written too
        return
    factors = torch.linspace(-1, 1, expected.shape[1])
    (weights.sort(1)[0] * factors.npu()).sum().backward()
    (expected.sort(1)[0] * factors).sum().backward()
    torch.testing.assert_close(on_npu.weight.grad.cpu(), router.weight.grad, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(on_device.grad.cpu(), given.grad, rtol=1e-3, atol=1e-5)


def test_under_autocast():
    """A softmax is in float32 there, whatever its logits are in."""
    router = Router(*GATES["mixtral"][:2]).npu()
    hidden_states = torch.randn(2, 5, 64).npu()
    with torch.autocast("npu", dtype=torch.bfloat16), torch.no_grad():
        (weights, _), nodes = nodes_of(compiled(router), hidden_states)
        expected = router(hidden_states)[0]
    assert nodes.count("MoeGatingTopK") == 1
    assert "TopKV2" not in nodes
    torch.testing.assert_close(weights.cpu().sort(1)[0], expected.cpu().sort(1)[0], rtol=2e-6, atol=0)


def test_logits_in_half_precision_are_given_as_they_are():
    """Where the weights are cast back to it."""

    def gate(logits):
        weights, idx = softmax_renormalized(logits.float(), None, k=4)
        return weights.to(logits.dtype), idx.to(torch.int32)

    logits = inputs(5, 32)[0].bfloat16()
    results, nodes = nodes_of(compiled(gate), logits.npu())
    assert nodes == ["MoeGatingTopK"]
    assert torch.equal(results[0].cpu(), gate(logits)[0])


@each_shape
def test_a_batch_of_tokens(dynamic):
    def gate(logits):
        weights, idx = torch.topk(logits.softmax(-1), 4, dim=-1)
        return weights / weights.sum(-1, keepdim=True), idx

    logits = inputs(6, 32)[0].view(2, 3, 32)
    results, nodes = nodes_of(compiled(gate, dynamic), logits.npu())
    assert_same(results, gate(logits))
    assert set(nodes) <= {"MoeGatingTopK", "Cast", "Reshape"}


@each_shape
def test_scores_as_a_further_result(dynamic):
    """Of a router with an auxiliary loss; who asks for their sizes alone is shown the logits."""

    def gate(logits, further):
        scores = logits.softmax(-1)
        weights, idx = torch.topk(scores, 4)
        return weights, idx, scores.mean(0) if further else torch.zeros_like(scores).scatter(1, idx, 1.0)

    logits, _ = inputs(5, 32)
    for further in (True, False):
        results, nodes = nodes_of(compiled(lambda x: gate(x, further), dynamic), logits.npu())  # noqa: B023
        expected = gate(logits, further)
        assert_same(results[:2], expected[:2])
        torch.testing.assert_close(results[2].cpu(), expected[2])
        assert nodes.count("MoeGatingTopK") == 1
        assert not {"SoftmaxV2", "TopKV2"}.intersection(nodes)


def test_a_scale_that_changes_is_left_to_the_graph():
    """Else each would be another compilation, and the eighth the last. The same for k, with which the gate stays."""
    gate, parameters, _ = V3
    logits, bias = inputs(5, 256)
    on_npu = logits.npu(), bias.npu()
    changing = {"scale": [0.5 + step for step in range(12)], "k": range(2, 14)}
    if torch._dynamo.config.specialize_float:  # each float is another compilation, with and without this package
        del changing["scale"]
    for name, values in changing.items():
        model = compiled(lambda x, b, value: gate(x, b, **{**parameters, name: value}), dynamic=True)  # noqa: B023
        for value in values:
            results, nodes = nodes_of(model, *on_npu, value)
            assert_same(results, gate(logits, bias, **{**parameters, name: value}))
            assert ("MoeGatingTopK" in nodes) == (name == "scale" or value == values[0])


def test_branches():
    """Of torch.cond, which torchair does not convert: for another compiler."""
    gate, parameters, _ = V3
    logits, bias = inputs(5, 256)
    branch = bound(gate, parameters)
    graph_module = make_fx(
        torch.func.functionalize(lambda x, b: torch.cond(x.sum() > 0, branch, lambda x, b: branch(-x, b), (x, b))),
        tracing_mode="fake",
    )(logits, bias)
    expected = [graph_module(x, bias) for x in (logits, -logits)]
    reports = fuse_gates(graph_module)
    assert [report.fused for report in reports] == [True, True]
    for x, results in zip((logits, -logits), expected, strict=True):
        assert_same([result.sort(1)[0] for result in graph_module(x, bias)], [result.sort(1)[0] for result in results])


@each_gate
@pytest.mark.parametrize("decomposed", [False, True], ids=["as exported", "decomposed"])
def test_exported_programs(gate, parameters, options, decomposed, tmp_path):
    router = Router(gate, parameters)
    hidden_states = torch.randn(1, 5, 64)
    tokens = {"hidden_states": {1: torch.export.Dim("tokens", min=2, max=100)}}
    program = torch.export.export(router, (hidden_states,), dynamic_shapes=tokens)
    program = program.run_decompositions() if decomposed else program
    (report,) = fuse_gates(program.graph_module)
    assert report.fused, report
    torch.export.save(program, tmp_path / "program.pt2")
    for module in (program.module(), torch.export.load(tmp_path / "program.pt2").module()):
        for each in (hidden_states, torch.randn(1, 9, 64)):
            (weights, idx), (expected, expected_idx) = module(each), router(each)
            assert idx.dtype == expected_idx.dtype
            torch.testing.assert_close(weights.sort(1)[0], expected.sort(1)[0], rtol=2e-6, atol=0)


def test_sizes_that_depend_on_data():
    """The graph is explained, and computes what it did."""

    def model(x):
        kept = x[x[:, 0] > 0]
        values, idx = torch.topk(kept, 4)
        weights, experts = torch.topk(kept.sigmoid(), 4)
        return values, idx, weights / weights.sum(-1, keepdim=True), experts

    logits = inputs(9, 32)[0] + 0.5
    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
        explain(model, logits)
        graph_module = make_fx(model, tracing_mode="symbolic")(logits)
    fuse_gates(graph_module)
    for actual, expected in zip(graph_module(logits), model(logits), strict=True):
        torch.testing.assert_close(actual, expected)


def test_whatever_fails_leaves_the_graph_as_it_was(monkeypatch):
    """Half of a replacement is taken back; the report says what failed."""
    gate, parameters, _ = V3
    graph_module = make_fx(torch.func.functionalize(bound(gate, parameters)), tracing_mode="fake")(*inputs(5, 256))
    graph_module.graph.eliminate_dead_code()
    before = [(node.name, node.target, node.args) for node in graph_module.graph.nodes]

    def failing(*args, **kwargs):
        raise RuntimeError("a failure")

    from ascend_moe_gating.converters.fusion.inserted import Inserted

    monkeypatch.setattr(Inserted, "cast", failing)
    (report,) = fuse_gates(graph_module)
    assert not report.fused
    assert report.reason == "reading it failed (RuntimeError: a failure)"
    assert [(node.name, node.target, node.args) for node in graph_module.graph.nodes] == before


def test_two_score_nodes_that_are_the_same():
    def gate(logits, bias):
        idx = torch.topk(logits.sigmoid() + bias, 4)[1]
        weights = logits.sigmoid().gather(1, idx)
        return weights / weights.sum(-1, keepdim=True), idx

    graph_module = make_fx(gate, tracing_mode="fake")(*inputs(5, 32))
    assert calls(graph_module)[torch.ops.aten.sigmoid.default] == 2
    (report,) = fuse_gates(graph_module)
    assert report.fused
    assert calls(graph_module)[torch.ops.aten.sigmoid.default] == 0


def test_logits_that_are_another_gates_weights():
    """The second gate takes the first one's node, and nothing of either stays."""

    def gates(logits):
        first, idx = torch.topk(logits.softmax(1), 16)
        return *torch.topk(first.softmax(1), 4), idx

    graph_module = make_fx(gates, tracing_mode="fake")(inputs(5, 32)[0])
    expected = gates(inputs(5, 32)[0])
    assert [report.fused for report in fuse_gates(graph_module)] == [True, True]
    assert calls(graph_module)[torch.ops.npu.npu_moe_gating_top_k.default] == 2
    assert not {torch.ops.aten.topk.default, torch.ops.aten._softmax.default}.intersection(calls(graph_module))
    actual = graph_module(inputs(5, 32)[0])
    assert torch.equal(actual[1], expected[1])
    torch.testing.assert_close(actual[0], expected[0])
