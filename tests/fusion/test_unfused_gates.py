"""Gates written without the operator run on the stand-in as they are, and give what the operator gives."""

import pytest
import torch

from ascend_moe_gating import fusion, npu_moe_gating_top_k
from tests.backends import compiled
from tests.fusion.gates import GATES


def inputs(tokens, experts):
    """Logits and biases that lie apart: how an exp rounds does not decide between experts."""
    generator = torch.Generator().manual_seed(tokens + experts)
    rows = [torch.randperm(4 * experts, generator=generator)[:experts] for _ in range(tokens)]
    return torch.stack(rows) / experts - 2, torch.randint(-8, 9, (experts,), generator=generator) / 64


def operator(logits, bias, gate, parameters, options):
    if options is None:
        weights, expert_idx, _ = npu_moe_gating_top_k(logits, parameters["k"])
        return weights / weights.sum(-1, keepdim=True), expert_idx
    bias = bias if options.get("norm_type") else None
    return npu_moe_gating_top_k(logits, parameters["k"], bias=bias, **options)[:2]


def assert_same(actual, expected):
    assert torch.equal(actual[1].cpu().long(), expected[1].long())
    torch.testing.assert_close(actual[0].cpu(), expected[0], rtol=1e-6, atol=0)


each_gate = pytest.mark.parametrize(("gate", "parameters", "options"), GATES.values(), ids=GATES)


@each_gate
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_compiled(gate, parameters, options, dynamic):
    model = compiled(lambda logits, bias: gate(logits, bias, **parameters), dynamic)
    for tokens in (5, 17):
        logits, bias = inputs(tokens, parameters["experts"])
        with fusion(False):
            actual = model(logits.npu(), bias.npu())
        assert_same(actual, gate(logits, bias, **parameters))
        assert_same(actual, operator(logits, bias, gate, parameters, options))


@each_gate
def test_eager(gate, parameters, options):
    logits, bias = inputs(17, parameters["experts"])
    actual = gate(logits.npu(), bias.npu(), **parameters)
    assert_same(actual, gate(logits, bias, **parameters))
