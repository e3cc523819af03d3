"""Gradients of y and norm_out with respect to the logits, against autograd of the written-out weights in float64."""

import functools

import pytest
import torch
from torch.autograd import forward_ad

from ascend_moe_gating import (
    fusion,
    npu_moe_gating_top_k,
    npu_moe_gating_top_k_softmax,
    npu_moe_gating_top_k_softmax_v2,
)
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import Call
from ascend_moe_gating.plugin.gradients import equations
from ascend_moe_gating.plugin.verify.cases import CASES, DTYPES, V3, Case
from ascend_moe_gating.plugin.verify.gradients import CLOSE, written_out
from tests.backends import compiled, gate, on_npu, where_taken

WITH_SCORES = [case for case in CASES if case.options.get("out_flag")]
SMALL = Case("small", 6, 32, 4, {**V3, "out_flag": True, "k_group": 2, "group_count": 4}, bias=True)


def loss_of(results, weights, with_scores):
    y, _, norm_out = results
    loss = (weights[0].to(y.device) * y.to(weights[0].dtype)).sum()
    return loss + (weights[1].to(y.device) * norm_out).sum() if with_scores else loss


def weights_of(case, dtype):
    generator = torch.Generator().manual_seed(case.tokens)
    draw = functools.partial(torch.randn, generator=generator)
    return draw(case.tokens, case.k).to(dtype).float(), draw(case.tokens, case.experts)


def expected(case, dtype, weights):
    x, bias = case.inputs(dtype)
    experts = npu_moe_gating_top_k(x, case.k, bias=bias, **case.options)[1]
    logits = x.detach().double().requires_grad_()
    y, scores = written_out(logits, experts, case.options)
    loss = loss_of((y, None, scores), [w.double() for w in weights], case.options.get("out_flag"))
    return torch.autograd.grad(loss, logits)[0]


def assert_close(gradient, wanted, dtype):
    assert gradient.dtype == dtype
    if wanted.numel():
        error = (gradient.cpu().double() - wanted).abs().max()
        assert error <= CLOSE[dtype] * max(float(wanted.abs().max()), 1e-3)


WAYS = {
    "cpu": (lambda call: call, lambda tensor: tensor),
    "npu": (lambda call: call, on_npu),
    "graph_static": (compiled, on_npu),
    "graph_dynamic": (functools.partial(compiled, dynamic=True), on_npu),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("way", ["cpu", "npu"])
def test_gradients(way, case, dtype):
    check_gradients(way, case, dtype)


@pytest.mark.parametrize("case", [*WITH_SCORES, *CASES[8:10], *CASES[16:20]], ids=lambda case: case.name)
@pytest.mark.parametrize("way", ["graph_static", "graph_dynamic"])
def test_gradients_in_graphs(way, case):
    check_gradients(way, case, torch.float32)


def check_gradients(way, case, dtype):
    make, move = WAYS[way]
    x, bias = case.inputs(dtype)
    weights = weights_of(case, dtype)
    on_device = [move(weight) for weight in weights]
    with where_taken(Call(x, case.k, bias, **case.options)) if way != "cpu" else torch.enable_grad():
        logits = move(x).requires_grad_()

        def loss(x, bias):
            return loss_of(gate(x, bias, case.k, case.options), on_device, case.options.get("out_flag"))

        make(loss)(logits, move(bias)).backward()
        assert_close(logits.grad, expected(case, dtype, weights), dtype)


@pytest.mark.parametrize("norm_type", [0, 1, 2])
def test_gradients_in_graphs_whose_gates_are_left_as_they_are(norm_type):
    """The pass writes out softplus, for which torchair has no converter: without it too the graphs are made."""
    x = torch.randn(3, 16)
    with where_taken(Call(x, 4, norm_type=norm_type)), fusion(False):
        logits = x.npu().requires_grad_()
        scores = compiled(lambda x: npu_moe_gating_top_k(x, 4, norm_type=norm_type, out_flag=True)[2])
        scores(logits)[:, 0].sum().backward()
    wide = x.double().requires_grad_()
    written_out(wide, torch.zeros(3, 1), {"norm_type": norm_type})[1][:, 0].sum().backward()
    assert_close(logits.grad, wide.grad, torch.float32)


@pytest.mark.needs("npugraph_ex")
@pytest.mark.parametrize("case", WITH_SCORES[:3], ids=lambda case: case.name)
def test_gradients_in_captured_graphs(case):
    x, bias = case.inputs(torch.float32)
    weights = weights_of(case, torch.float32)
    on_device = [weight.npu() for weight in weights]
    torch._dynamo.reset()
    loss = torch.compile(
        lambda x, bias: loss_of(gate(x, bias, case.k, case.options), on_device, True),
        backend="npugraph_ex", fullgraph=True, dynamic=False,
    )  # fmt: skip
    for _ in range(3):
        logits = x.npu().requires_grad_()
        loss(logits, on_npu(bias)).backward()
        assert_close(logits.grad, expected(case, torch.float32, weights), torch.float32)


@pytest.mark.parametrize("device", ["cpu", "npu"])
def test_which_results_have_a_gradient(device):
    x, bias = (tensor.to(device) for tensor in SMALL.inputs(torch.float32))
    x.requires_grad_()
    for out_flag in (False, True):
        results = npu_moe_gating_top_k(x, 4, bias=bias, out_flag=out_flag)
        assert [result.requires_grad for result in results] == [True, False, out_flag]
    with torch.no_grad():
        assert not any(result.requires_grad for result in npu_moe_gating_top_k(x, 4))
    steered = npu_moe_gating_top_k(x.detach(), 4, bias=bias.requires_grad_())
    assert not any(result.requires_grad for result in steered)


@pytest.mark.parametrize("norm_type", [0, 1, 2])
@pytest.mark.needs("hash routing")
def test_hash_routing_where_a_row_names_an_expert_twice(norm_type):
    x = torch.randn(5, 16, requires_grad=True)
    table = torch.tensor([[3, 3, 1], [0, 15, 0]])
    ids = torch.tensor([0, 1, 1, 0, 1])
    y, experts, _ = npu_moe_gating_top_k(x, 3, input_ids=ids, tid2eid=table, norm_type=norm_type)
    weights = torch.randn(5, 3)
    (gradient,) = torch.autograd.grad((weights * y).sum(), x)
    logits = x.detach().double().requires_grad_()
    wanted = torch.autograd.grad((weights * written_out(logits, experts, {"norm_type": norm_type})[0]).sum(), logits)
    assert_close(gradient, wanted[0], torch.float32)


@pytest.mark.parametrize("device", ["cpu", "npu"])
@pytest.mark.parametrize("norm_type", [1, 2])
def test_slopes_far_out(norm_type, device):
    x = torch.tensor([[-200.0, -120.0, -80.0, -30.0, -17.5, -16.5, -3.0, 0.0, 16.0, 21.0, 60.0, 200.0]])
    with where_taken(Call(x, 3, norm_type=norm_type)) if device == "npu" else torch.enable_grad():
        logits = x.to(device).requires_grad_()
        npu_moe_gating_top_k(logits, 3, norm_type=norm_type, out_flag=True)[2].sum().backward()
    wide = x.double()
    wanted = (-wide.abs()).exp() / (1 + (-wide.abs()).exp()).square()
    if norm_type == 2:
        wanted = wide.sigmoid() / (2 * wide.exp().log1p().where(wide < 30, wide).sqrt())
    # Half of exp(x / 2) is what float32 has of the second down to -170; of the first exp(x) ends sooner.
    torch.testing.assert_close(logits.grad.cpu().double(), wanted, rtol=3e-6, atol=1e-37)


@pytest.mark.parametrize("norm_type", [0, 1, 2])
@pytest.mark.parametrize("renorm", [0, 1])
def test_the_equations_against_finite_differences(norm_type, renorm):
    x = torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    experts = torch.tensor([[1, 7], [0, 3], [5, 5]])
    how = equations.Weighing(renorm, norm_type, 2.5, 0.1)
    assert torch.autograd.gradcheck(lambda x: equations.weigh(x, experts, how), x)
    grads = torch.randn(3, 2, dtype=torch.float64), torch.randn(3, 8, dtype=torch.float64)
    (wanted,) = torch.autograd.grad(equations.weigh(x, experts, how), x, grads)
    torch.testing.assert_close(equations.gradient(x, experts, *grads, how), wanted, rtol=1e-9, atol=1e-12)
    assert torch.autograd.gradcheck(lambda x: equations.gradient(x, experts, *grads, how), x)


@pytest.mark.parametrize("device", ["cpu", "npu"])
@pytest.mark.parametrize("norm_type", [0, 1, 2])
def test_nothing_of_the_size_of_the_scores_is_kept_but_x(device, norm_type):
    x = torch.randn(7, 64, device=device, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        npu_moe_gating_top_k(x, 4, norm_type=norm_type if device == "cpu" else norm_type % 2)
    assert sorted(tuple(t.shape) for t in kept) == [(7, 4), (7, 64)]
    assert any(t.data_ptr() == x.data_ptr() for t in kept)


X, BIAS = SMALL.inputs(torch.float32)
EXPERTS = npu_moe_gating_top_k(X, SMALL.k, bias=BIAS, **SMALL.options)[1]
WEIGHTS = weights_of(SMALL, torch.float32)


def small_loss(x, call=npu_moe_gating_top_k):
    return loss_of(call(x, SMALL.k, bias=BIAS, **SMALL.options), WEIGHTS, True)


def small_written_out(x):
    y, scores = written_out(x.double(), EXPERTS, SMALL.options)
    return loss_of((y, None, scores), [weight.double() for weight in WEIGHTS], True)


def test_transforms_of_functions():
    x, tangent = X.clone(), torch.randn(X.shape)
    wanted = torch.func.grad(small_written_out)(x)
    torch.testing.assert_close(torch.func.grad(small_loss)(x), wanted, rtol=1e-5, atol=1e-6)
    for got, right in zip(*(torch.func.jvp(f, (x,), (tangent,)) for f in (small_loss, small_written_out)), strict=True):
        torch.testing.assert_close(got, right.float(), rtol=1e-5, atol=1e-5)
    with forward_ad.dual_level():
        dual = small_loss(forward_ad.make_dual(x, tangent))
        torch.testing.assert_close(forward_ad.unpack_dual(dual).tangent, (wanted * tangent).sum(), rtol=1e-4, atol=1e-4)
    several = torch.stack([x, x + 1e-3])
    batched = torch.vmap(torch.func.grad(small_loss))(several)
    torch.testing.assert_close(batched[0], wanted, rtol=1e-5, atol=1e-6)
    hessian = torch.func.hessian(small_loss)(x)
    torch.testing.assert_close(hessian, torch.func.hessian(small_written_out)(x), rtol=1e-4, atol=1e-6)


def test_gradients_of_gradients():
    gradients = []
    for loss in (small_loss, small_written_out):
        x = X.clone().requires_grad_()
        (first,) = torch.autograd.grad(loss(x), x, create_graph=True)
        gradients.append(torch.autograd.grad((first * first).sum(), x)[0])
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


def test_other_ways_to_the_same_gradient():
    from torch.utils.checkpoint import checkpoint

    wanted = torch.func.grad(small_written_out)(X)
    ways = {
        "the operator of torch.ops": lambda x: small_loss(x, torch.ops.npu.npu_moe_gating_top_k),
        "checkpoint": lambda x: checkpoint(small_loss, x, use_reentrant=False),
        "checkpoint that re-enters": lambda x: checkpoint(small_loss, x, use_reentrant=True),
        "aot_eager": torch.compile(small_loss, backend="aot_eager", fullgraph=True),
    }
    for loss in ways.values():
        x = X.clone().requires_grad_()
        loss(x).backward()
        torch.testing.assert_close(x.grad, wanted, rtol=1e-5, atol=1e-6)


def test_an_exported_gate_computes_the_same():
    class Gate(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(32, 8))

        def forward(self, x):
            return npu_moe_gating_top_k(x @ self.weight.t(), 4, norm_type=1)

    model, x = Gate(), torch.randn(5, 8)
    exported = torch.export.export(model, (x,))
    for program in (exported, exported.run_decompositions({})):
        torch.testing.assert_close(program.module()(x)[0], model(x)[0])


@pytest.mark.parametrize("device", ["cpu", "npu"])
@pytest.mark.parametrize("dimensions", [(7,), (2, 5)], ids=str)
@pytest.mark.parametrize("more", [{}, {"output_softmax": True}, {"renorm": 1}, None], ids=str)
def test_softmaxes(device, dimensions, more):
    x = torch.randn(*dimensions, 16)
    finished = torch.arange(7 if len(dimensions) == 1 else 10).reshape(dimensions) % 3 == 0
    with_softmax = bool(more and more.get("output_softmax"))
    weights = torch.randn(*dimensions, 4), torch.randn(*dimensions, 16)

    def loss_of(y, softmax):
        loss = (weights[0].to(y) * y).sum()
        return loss + (weights[1].to(y) * softmax).sum() if with_softmax else loss

    given = x.to(device, copy=True).requires_grad_()
    if more is None:
        y, experts, last = npu_moe_gating_top_k_softmax(given, finished.to(device), 4)
    else:
        y, experts, last = npu_moe_gating_top_k_softmax_v2(given, k=4, finished=finished.to(device), **more)
    assert [y.requires_grad, experts.requires_grad, last.requires_grad] == [True, False, with_softmax]
    loss_of(y, last).backward()
    logits = x.double().requires_grad_()
    chosen = logits.softmax(-1).topk(4)
    wanted = torch.where(finished.unsqueeze(-1), 16, chosen.indices)
    assert torch.equal(experts.cpu(), wanted.int())
    right = logits.gather(-1, chosen.indices).softmax(-1) if more and more.get("renorm") else chosen.values
    loss_of(right, logits.softmax(-1)).backward()
    assert_close(given.grad, logits.grad, torch.float32)


@pytest.mark.parametrize("device", ["cpu", "npu"])
def test_a_softmax_of_more_experts_than_the_kernel_for_gradients_takes(device):
    x = torch.randn(3, 5000)
    weights = torch.randn(3, 8)
    given = x.to(device, copy=True).requires_grad_()
    (weights.to(device) * npu_moe_gating_top_k_softmax_v2(given, k=8)[0]).sum().backward()
    logits = x.double().requires_grad_()
    (weights * logits.softmax(1).topk(8).values).sum().backward()
    assert_close(given.grad, logits.grad, torch.float32)


def test_an_expert_that_does_not_exist_is_refused():
    gradient = torch.ops.ascend_moe_gating.npu_moe_gating_top_k_gradient
    x, grad_y = torch.randn(2, 8), torch.randn(2, 2)
    for stray in (-1, 8):
        with pytest.raises(RuntimeError, match="a value of expert_idx names no expert"):
            gradient(x, torch.tensor([[0, 1], [2, stray]]).int(), grad_y, None, 0, 0, 1.0, 0.0)
