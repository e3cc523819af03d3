"""What keeps experts evenly busy: on the CPU, on the NPU and in its graphs, against loops in Python."""

import functools

import numpy
import pytest
import torch

from ascend_moe_gating import MoEGate, balance
from tests.backends import compiled

TOKENS, EXPERTS, K = 24, 16, 3
GENERATOR = torch.Generator().manual_seed(0)
EXPERT_IDX = torch.stack([torch.randperm(EXPERTS, generator=GENERATOR)[:K] for _ in range(TOKENS)]).int()
WEIGHTS = torch.rand(TOKENS, K, generator=GENERATOR)
SCORES = torch.rand(TOKENS, EXPERTS, generator=GENERATOR)
KEPT = torch.arange(TOKENS) % 5 != 0
LOAD = torch.tensor([float((expert == EXPERT_IDX).sum()) for expert in range(EXPERTS)])
KEPT_LOAD = torch.tensor([float((EXPERT_IDX[KEPT] == expert).sum()) for expert in range(EXPERTS)])


def looped_loss(sequences, kept):
    losses = []
    for rows in torch.arange(TOKENS).chunk(sequences):
        rows = [int(row) for row in rows if kept is None or kept[row]]
        total = 0.0
        for expert in range(EXPERTS):
            frequency = sum(int(expert in EXPERT_IDX[row]) for row in rows) * EXPERTS / (K * max(len(rows), 1))
            share = sum(SCORES[row, expert] / SCORES[row].sum() for row in rows) / max(len(rows), 1)
            total += frequency * float(share)
        losses.append(total)
    return 0.01 * sum(losses) / sequences


REPLICAS = torch.arange(2 * EXPERTS).reshape(EXPERTS, 2)
COUNTS = torch.arange(EXPERTS) % 2 + 1
PHYSICAL = torch.tensor(
    [[int(REPLICAS[e, token % COUNTS[e]]) for e in row] for token, row in enumerate(EXPERT_IDX.tolist())]
)
DROPPED = WEIGHTS * KEPT[:, None], torch.where(KEPT[:, None], EXPERT_IDX, EXPERTS)
SHARED = (
    torch.cat((WEIGHTS, torch.full((TOKENS, 2), 0.5)), 1),
    torch.cat((EXPERT_IDX, torch.tensor([[16, 17]] * TOKENS)), 1),
)
# A function of tensors, these, and what it must give.
CALLS = {
    "load": (lambda idx: balance.tokens_per_expert(idx, EXPERTS), (EXPERT_IDX,), LOAD),
    "load of some": (lambda i, kept: balance.tokens_per_expert(i, EXPERTS, kept), (EXPERT_IDX, KEPT), KEPT_LOAD),
    "load of what is dropped": (lambda idx: balance.tokens_per_expert(idx, EXPERTS), (DROPPED[1],), KEPT_LOAD),
    "loss": (lambda s, idx: balance.sequence_balance_loss(s, idx, 4, 0.01), (SCORES, EXPERT_IDX), looped_loss(4, None)),
    "loss of some": (
        lambda s, idx, kept: balance.sequence_balance_loss(s, idx, 2, 0.01, kept),
        (SCORES, EXPERT_IDX, KEPT),
        looped_loss(2, KEPT),
    ),
    "dropped": (lambda w, idx, kept: balance.drop_tokens(w, idx, kept, EXPERTS), (WEIGHTS, EXPERT_IDX, KEPT), DROPPED),
    "physical": (balance.physical_experts, (EXPERT_IDX, REPLICAS, COUNTS), PHYSICAL),
    "shared": (lambda w, idx: balance.append_shared_experts(w, idx, EXPERTS, 2, 0.5), (WEIGHTS, EXPERT_IDX), SHARED),
}
WAYS = {
    "cpu": (lambda call: call, "cpu"),
    "npu": (lambda call: call, "npu"),
    "static": (compiled, "npu"),
    "dynamic": (functools.partial(compiled, dynamic=True), "npu"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", CALLS)
def test_each_function(call, way):
    function, arguments, wanted = CALLS[call]
    make, device = WAYS[way]
    got = make(function)(*(argument.to(device) for argument in arguments))
    pairs = zip(got, wanted, strict=True) if isinstance(got, tuple) else [(got, torch.as_tensor(wanted))]
    for result, right in pairs:
        torch.testing.assert_close(result.cpu(), right, rtol=1e-5, atol=1e-7, check_dtype=False)


@pytest.mark.parametrize("device", ["cpu", "npu"])
def test_the_bias_of_experts_with_little_to_do_goes_up(device):
    bias, load = torch.zeros(4, device=device), torch.tensor([0.0, 2.0, 3.0, 3.0], device=device)
    assert balance.update_bias(bias, load, 0.25) is bias
    assert bias.tolist() == [0.25, 0.0, -0.25, -0.25]
    balance.update_bias(bias, load.cpu().int(), 0.25)
    assert bias.tolist() == [0.5, 0.0, -0.5, -0.5]


def test_an_even_load_has_the_least_loss():
    even = torch.arange(16).reshape(8, 2) % 8
    flat = torch.full((8, 8), 0.5)
    assert balance.sequence_balance_loss(flat, even, 1).item() == pytest.approx(1e-4)
    one = torch.full((8, 8), 0.01)
    one[:, :2] = 0.9
    assert balance.sequence_balance_loss(one, torch.tensor([[0, 1]] * 8), 1).item() > 3e-4


@pytest.mark.parametrize("device", ["cpu", "npu"])
def test_the_loss_trains_the_router(device):
    """Steps down the loss through norm_out even the load out, and so do steps of the bias."""
    for use_loss in (True, False):
        torch.manual_seed(0)
        gate = MoEGate(32, 8, 2).to(device)
        states = (torch.randn(64, 32) + 2 * torch.randn(1, 32)).to(device)  # which all lean the same way
        before = balance.tokens_per_expert(gate(states)[1], 8).cpu()
        for _ in range(40):
            _, experts, scores = gate(states, return_scores=True)
            if use_loss:
                balance.sequence_balance_loss(scores, experts, 4, 1.0).backward()
                with torch.no_grad():
                    gate.weight -= 0.1 * gate.weight.grad
                gate.weight.grad = None
            else:
                balance.update_bias(gate.e_score_correction_bias, balance.tokens_per_expert(experts, 8), 0.02)
        after = balance.tokens_per_expert(gate(states)[1], 8).cpu()
        assert after.std() < before.std() / 4, (use_loss, before, after)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: balance.tokens_per_expert(EXPERT_IDX[0], 16), ValueError, "expert_idx must have 2 dimensions, tokens"),
        (lambda: balance.tokens_per_expert(EXPERT_IDX, 16, KEPT[1:]), ValueError, "kept must have one dimension of 24"),
        (lambda: balance.tokens_per_expert(EXPERT_IDX, 16, KEPT.int()), TypeError, "kept must be bool, got int32"),
        (lambda: balance.drop_tokens(WEIGHTS, EXPERT_IDX, KEPT[:2], 16), ValueError, "of 24 tokens, got shape .2."),
        (lambda: balance.sequence_balance_loss(SCORES, EXPERT_IDX, 5), ValueError, "divide the 24 tokens, got 5"),
        (lambda: balance.update_bias(torch.zeros(3), torch.zeros(4)), ValueError, "load must have the shape of bias"),
        (lambda: balance.update_bias(torch.zeros(3).half(), torch.zeros(3)), TypeError, "bias must be float32"),
        (lambda: balance.physical_experts(EXPERT_IDX, REPLICAS, COUNTS[1:]), ValueError, "got shapes .16, 2. and .15."),
        (lambda: balance.append_shared_experts(WEIGHTS, EXPERT_IDX, 16, -1), ValueError, "shared must be at least 0"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("one", [numpy.int64(1), numpy.int32(1), torch.tensor(1)], ids=repr)
def test_what_torch_takes_for_a_number_is_one(one):
    idx, weights = torch.tensor([[0, 2]]), torch.ones(1, 2)
    assert balance.tokens_per_expert(idx, one + 2).tolist() == [1, 0, 1]
    assert balance.drop_tokens(weights, idx, torch.tensor([False]), one + 2)[1].tolist() == [[3, 3]]
    assert balance.append_shared_experts(weights, idx, 3, one, numpy.float32(0.5))[0].tolist() == [[1, 1, 0.5]]
    assert balance.sequence_balance_loss(torch.ones(1, 3), idx, one, numpy.float64(1)).item() > 0
