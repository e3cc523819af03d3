"""Where the node of a gate that was written out gives something else: each line of the page's table, and no more."""

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional

from ascend_moe_gating import fuse_gates, simulator
from tests.docs.pages import DOCS, between
from tests.fusion.gates import GATES


def both(gate, *arguments):
    """The results of a gate as it is written, and of its node."""
    graph_module = make_fx(torch.func.functionalize(gate, remove="mutations"), tracing_mode="fake")(*arguments)
    graph_module.graph.eliminate_dead_code()
    assert [report.fused for report in fuse_gates(graph_module)] == [True]
    return gate(*arguments), graph_module(*arguments)


def normalized(logits, k=2, **options):
    weights, idx = torch.topk(logits.sigmoid(), k, **options)
    return weights / weights.sum(-1, keepdim=True), idx


def of_two(logits):
    return normalized(logits)


def apart(*shape):
    return torch.randperm(torch.Size(shape).numel(), generator=torch.Generator().manual_seed(0)).view(shape) / 64 - 2


def test_nan_is_chosen_last():
    logits = apart(3, 8)
    logits[1, 5] = torch.nan
    (_, written), (_, fused) = both(of_two, logits)
    assert torch.equal(written[[0, 2]], fused[[0, 2]])
    assert written[1, 0] == 5
    assert 5 not in fused[1]


def test_equal_scores_are_chosen_by_index():
    logits = apart(64, 32).bfloat16().float().fmod(1)
    (weights, written), (y, fused) = both(of_two, logits)
    torch.testing.assert_close(y, weights, rtol=1e-6, atol=0)
    scores = logits.sigmoid()
    assert torch.equal(scores.gather(1, fused), scores.gather(1, written))
    assert not torch.equal(fused, written)  # else the line of the table is for nothing
    assert torch.equal(fused, scores.neg().sort(stable=True, dim=1).indices[:, :2])


def test_experts_that_need_no_order_are_in_descending_order():
    logits = apart(3, 64)
    (_, written), (weights, fused) = both(lambda x: normalized(x, 8, sorted=False), logits)
    assert torch.equal(written.sort(1)[0], fused.sort(1)[0])
    assert torch.equal(weights, weights.sort(1, descending=True)[0])


def test_experts_of_weight_zero_are_of_kept_groups():
    gate, parameters, _ = GATES["deepseek-v2 of transformers"]
    logits = torch.full((4, 160), -200.0) + apart(4, 160)
    logits[:, 20:22] = 0.0  # all others have a softmax of 0.0
    (weights, written), (y, fused) = both(lambda x: gate(x, None, **parameters), logits)
    assert torch.equal(weights, y)
    assert (y[:, 2:] == 0).all()
    assert torch.equal(written[:, :2].sort(1)[0], fused[:, :2].sort(1)[0])
    assert all(len(set(row.tolist())) <= parameters["kept"] for row in fused // 20)


def test_the_root_of_a_softplus_does_not_underflow():
    def gate(logits):
        weights, idx = torch.topk(functional.softplus(logits).sqrt(), 2)
        return weights / (weights.sum(-1, keepdim=True) + 1e-20), idx

    logits = torch.tensor([[-120.0, -110.0, -130.0, -105.0], [-20.0, -90.0, -30.0, -25.0]])
    with simulator.release(soc="Ascend950PR_9579"):
        (weights, written), (y, fused) = both(gate, logits)
    assert torch.equal(written[1], fused[1])
    torch.testing.assert_close(weights[1], y[1], rtol=1e-5, atol=0)
    assert (weights[0] == 0).all()
    assert fused[0].tolist() == [3, 1]
    assert (y[0] > 0).all()


@pytest.mark.needs("hash routing")
def test_a_negative_id_is_refused():
    def gate(logits, input_ids, tid2eid):
        idx = tid2eid[input_ids]
        return logits.softmax(-1).gather(1, idx), idx

    tid2eid = torch.stack([torch.randperm(8)[:2] for _ in range(5)])
    graph_module = make_fx(gate, tracing_mode="fake")(apart(3, 8), torch.tensor([0, 1, 2]), tid2eid)
    (report,) = fuse_gates(graph_module)
    assert report.fused
    assert torch.equal(gate(apart(3, 8), torch.tensor([0, -1, 2]), tid2eid)[1][1], tid2eid[-1])
    with pytest.raises(ValueError, match=r"input_ids .*C19"):
        graph_module(apart(3, 8), torch.tensor([0, -1, 2]), tid2eid)


def test_the_documentation_has_a_line_for_each_of_these():
    table = between(DOCS / "written-out-gates.md", "exceptions")
    tests = [name for name in globals() if name.startswith("test_")]
    assert len(table.splitlines()) - 2 == len(tests) - 1
