"""Which node computes a gate depends on the CANN that is there, and what it does not take stays as it was written."""

import pytest
import torch
from torch.nn import functional

from ascend_moe_gating import simulator
from tests.fusion.gates import softmax_renormalized
from tests.fusion.test_fusion_in_torchair import compiled, each_shape, nodes_of
from tests.fusion.test_unfused_gates import assert_same, inputs

A2, A5 = "Ascend910B1", "Ascend950PR_9579"


OUTSIDE = ["ReduceSum", "RealDiv"]


def chosen_first(logits, bias=None):
    """gpt-oss, Granite: top-k, then softmax."""
    values, idx = torch.topk(logits, 4, dim=-1)
    return values.softmax(-1), idx


def deepseek_v4(logits, bias):
    scores = functional.softplus(logits).sqrt()
    idx = torch.topk(scores + bias, 6, dim=-1, sorted=False)[1]
    weights = scores.gather(1, idx)
    return weights / (weights.sum(-1, keepdim=True) + 1e-20) * 1.5, idx


def by_table(score):
    def gate(logits, input_ids, tid2eid):
        scores = score(logits)
        idx = tid2eid[input_ids].long()
        weights = scores.gather(1, idx)
        return weights / (weights.sum(-1, keepdim=True) + 1e-20) * 1.5, idx

    return gate


def softplus(logits):
    return functional.softplus(logits).sqrt()


@each_shape
@pytest.mark.parametrize(
    ("cann", "soc", "left"),
    [
        ("8.5.0", None, ["ReduceSum", "RealDiv"]),
        ("9.0.0", None, []),
        ("8.5.0", A5, ["ReduceSum", "RealDiv"]),
    ],
)
def test_a_softmax_is_divided_in_the_node_where_cann_takes_that(cann, soc, left, dynamic):
    gate = lambda logits: softmax_renormalized(logits, None, k=8)  # noqa: E731
    logits, _ = inputs(5, 128)
    with simulator.release(cann=cann, soc=soc):
        results, nodes = nodes_of(compiled(gate, dynamic), logits.npu())
    assert_same(results, gate(logits))
    assert nodes == ["MoeGatingTopK", "Cast", *left]


@each_shape
@pytest.mark.parametrize("cann", ["8.3", "newest"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_choice_before_the_softmax_is_one_node_on_every_cann(cann, dtype, dynamic):
    logits = inputs(5, 128)[0].to(dtype) * 8
    with simulator.release(cann=cann):
        results, nodes = nodes_of(compiled(chosen_first, dynamic), logits.npu())
    assert nodes == ["MoeGatingTopKSoftmaxV2", "Cast"]
    weights, idx = chosen_first(logits)
    torch.testing.assert_close(results[0].cpu(), weights)
    assert dtype != torch.float32 or torch.equal(results[1].cpu(), idx)  # in bfloat16 logits are equal


@each_shape
@pytest.mark.parametrize(("soc", "whole"), [(A5, True), (A2, False)])
def test_deepseek_v4_compiles_on_every_npu(soc, whole, dynamic):
    logits, bias = inputs(5, 256)
    logits = logits * 20  # torch's softplus is the identity from 20 on
    with simulator.release(soc=soc):
        results, nodes = nodes_of(compiled(deepseek_v4, dynamic), logits.npu(), bias.npu())
    expected = deepseek_v4(logits, bias)
    assert torch.equal(results[1].cpu().sort(1)[0], expected[1].sort(1)[0])
    torch.testing.assert_close(results[0].cpu().sort(1)[0], expected[0].sort(1)[0], rtol=2e-6, atol=0)
    assert (nodes == ["MoeGatingTopK", "Cast"]) == whole
    assert whole or {"Log1p", "Exp", "TopKV2"} <= set(nodes)


@pytest.mark.needs("hash routing")
@each_shape
@pytest.mark.parametrize("ids", [torch.int64, torch.int32])
@pytest.mark.parametrize(("score", "soc"), [(torch.sigmoid, None), (softplus, A5), (softplus, A2)])
def test_experts_that_a_table_names(score, soc, ids, dynamic):
    logits, _ = inputs(5, 64)
    tid2eid = torch.stack([torch.randperm(64)[:6] for _ in range(100)]).to(ids)
    arguments = logits, torch.randint(0, 100, (5,), dtype=ids), tid2eid
    with simulator.release(soc=soc):
        results, nodes = nodes_of(compiled(by_table(score), dynamic), *(tensor.npu() for tensor in arguments))
    assert_same(results, by_table(score)(*arguments))
    assert ("MoeGatingTopK" in nodes) == (score is torch.sigmoid or soc == A5)
    assert "MoeGatingTopK" not in nodes or nodes == ["MoeGatingTopK", "Cast"]
