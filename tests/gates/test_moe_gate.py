"""MoEGate routes in float32, wherever it is put and whatever is done to it."""

import copy

import pytest
import torch
from torch import nn

from ascend_moe_gating import MoEGate, npu_moe_gating_top_k, simulator
from tests.backends import compiled

DEVICES = pytest.mark.parametrize("device", ["cpu", "npu"])
V3 = {"k_group": 2, "group_count": 4, "routed_scaling_factor": 2.5}


def made(**options):
    """A gate whose bias has values that bfloat16 has not, and states whose choice depends on them."""
    torch.manual_seed(0)
    gate = MoEGate(64, 32, 4, **{**V3, **options})
    with torch.no_grad():
        gate.weight.copy_(torch.randint(-8, 9, gate.weight.shape) / 64)
        if gate.e_score_correction_bias is not None:
            gate.e_score_correction_bias.copy_(torch.linspace(0, 1, 32) / 7)
    return gate, torch.randint(-8, 9, (40, 64)) / 32


class Parent(nn.Module):
    def __init__(self, gate):
        super().__init__()
        self.before, self.gate = nn.Linear(64, 64), gate
        nn.init.eye_(self.before.weight)
        nn.init.zeros_(self.before.bias)

    def forward(self, x):
        return self.gate(self.before(x))


def assert_equal(actual, expected):
    weights, experts = (result.cpu() for result in actual)
    assert weights.dtype == torch.float32
    assert torch.equal(experts, expected[1])
    torch.testing.assert_close(weights, expected[0], rtol=1e-6, atol=0)


MOVES = {
    "half": lambda parent: parent.half(),
    "bfloat16": lambda parent: parent.bfloat16(),
    "double": lambda parent: parent.double(),
    "to(dtype)": lambda parent: parent.to(torch.bfloat16),
    "to(device, dtype)": lambda parent: parent.to("npu", torch.bfloat16),
    "to(tensor)": lambda parent: parent.to(torch.zeros(1, dtype=torch.bfloat16)),
    "bfloat16, then float": lambda parent: parent.bfloat16().float(),
    "to_empty, then loaded": lambda parent: emptied(parent).bfloat16(),
    "copied": lambda parent: copy.deepcopy(parent).bfloat16(),
}


def emptied(parent):
    states = {name: tensor.clone() for name, tensor in parent.state_dict().items()}
    parent.to_empty(device="cpu").load_state_dict(states)
    return parent


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_a_gate_stays_float32_in_a_parent_that_does_not(move):
    gate, x = made()
    expected = gate(x)
    parent = move(Parent(gate))
    assert parent.gate.weight.dtype == parent.gate.e_score_correction_bias.dtype == torch.float32
    dtype, device = parent.before.weight.dtype, parent.before.weight.device
    assert parent.gate.weight.device == device
    assert_equal(parent(x.to(device, dtype)), expected)  # the states are such that every dtype has them


@pytest.mark.parametrize("assign", [False, True])
def test_what_is_loaded_becomes_float32(assign):
    gate, x = made()
    states = {name: tensor.bfloat16() for name, tensor in Parent(gate).state_dict().items()}
    other = Parent(made()[0])
    other.load_state_dict(states, assign=assign)
    assert other.gate.weight.dtype == other.gate.e_score_correction_bias.dtype == torch.float32
    assert isinstance(other.gate.weight, nn.Parameter)
    assert all(tensor.dtype == torch.bfloat16 for tensor in states.values())  # the caller's are as they were
    assert other.gate(x)[0].dtype == torch.float32


@pytest.mark.needs("support by transformers")
def test_states_go_to_safetensors_and_back(tmp_path):
    from safetensors.torch import load_file, save_file

    gate, x = made()
    save_file(gate.state_dict(), tmp_path / "gate.safetensors")
    states = load_file(tmp_path / "gate.safetensors")
    assert sorted(states) == ["e_score_correction_bias", "weight"]
    other = MoEGate(64, 32, 4, **V3)
    other.load_state_dict(states)
    assert_equal(other(x), gate(x))


@DEVICES
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast(device, dtype):
    gate, x = made()
    expected = gate(x)
    gate = gate.to(device)
    with torch.autocast(device, dtype=dtype):
        assert_equal(gate(x.to(device)), expected)
        assert_equal(gate(x.to(device, torch.bfloat16)), expected)


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_compiled_under_autocast(dynamic):
    gate, x = made()
    expected = gate(x)
    with torch.no_grad(), torch.autocast("npu", dtype=torch.bfloat16):
        assert_equal(compiled(gate.npu(), dynamic)(x.npu()), expected)


@pytest.mark.parametrize("shape", [(64,), (0, 64), (2, 0, 64), (5, 8, 64), (2, 5, 4, 64)], ids=str)
@DEVICES
def test_leading_dimensions(shape, device):
    gate, x = made()
    states = x.flatten()[: torch.Size(shape).numel()].reshape(shape)
    weights, experts = gate.to(device)(states.to(device))
    tokens = states.numel() // 64
    assert weights.shape == experts.shape == (tokens, 4)
    assert experts.dtype == torch.int32


@pytest.mark.parametrize("norm_type", [0, 1])
@DEVICES
def test_what_trains_it(device, norm_type):
    """The router's weight and the hidden states have the gradients of the written-out gate."""
    gate, x = made(norm_type=norm_type, renorm=1, router_bias=True)
    factors = torch.linspace(-1, 1, 4)
    states = x.clone().requires_grad_()
    logits = nn.functional.linear(states.double(), gate.weight.double(), gate.bias.double())
    experts = gate(x)[1].long()
    scores = (logits.softmax(1) if norm_type == 0 else logits.sigmoid()).gather(1, experts)
    (scores / scores.sum(1, keepdim=True) * 2.5 * factors).sum().backward()
    wanted = [tensor.grad.clone() for tensor in (states, gate.weight, gate.bias)]
    gate.zero_grad()
    on_device, given = gate.to(device), x.to(device, copy=True).requires_grad_()
    (on_device(given)[0] * factors.to(device)).sum().backward()
    for tensor, right in zip((given, on_device.weight, on_device.bias), wanted, strict=True):
        torch.testing.assert_close(tensor.grad.cpu(), right, rtol=1e-4, atol=1e-5)


@pytest.mark.stand_in
@pytest.mark.parametrize("cann", ["8.5.0", "9.0.0"])
def test_a_softmax_is_divided_where_the_cann_does_not(cann):
    with simulator.release(cann=cann):
        gate, x = made(norm_type=0, renorm=1)
        expected = gate(x)
        assert gate.divides == (cann == "8.5.0")
        weights, experts, _ = npu_moe_gating_top_k(
            x @ gate.weight.t(), 4, bias=gate.e_score_correction_bias, **gate.config.gating()
        )
        assert_equal(expected, (weights, experts))
        assert_equal(gate.npu()(x.npu()), expected)


@pytest.mark.needs("hash routing")
def test_a_hash_layer():
    torch.manual_seed(0)
    gate = MoEGate(64, 32, 4, bias=False, vocabulary=9)
    gate.tid2eid.copy_(torch.stack([torch.randperm(32)[:4] for _ in range(9)]))
    ids = torch.arange(10).reshape(2, 5) % 9
    _, experts = gate.bfloat16()(torch.randn(2, 5, 64), ids)
    assert gate.tid2eid.dtype == torch.int64
    assert torch.equal(experts.long(), gate.tid2eid[ids.flatten()])
    with pytest.raises(ValueError, match="input_ids must be given to a hash layer, got None"):
        gate(torch.randn(2, 5, 64))
    with pytest.raises(ValueError, match="input_ids must not be given to a gate without vocabulary, got a tensor"):
        made()[0](torch.randn(2, 5, 64), ids)


def test_what_casts_a_gate_all_the_same_is_refused():
    gate, x = made()
    for name in ("weight", "e_score_correction_bias"):
        cast = copy.deepcopy(gate)
        getattr(cast, name).data = getattr(cast, name).data.bfloat16()
        with pytest.raises(TypeError, match=f"^{name} must be float32 where the gate routes, got bfloat16: leave the"):
            cast(x)


@pytest.mark.parametrize("shape", [(), (63,), (4, 65)], ids=str)
def test_other_widths_are_refused(shape):
    with pytest.raises(
        ValueError, match=r"hidden_states must have a last dimension of 64 \(= hidden_size\), got shape"
    ):
        made()[0](torch.zeros(shape))


def test_forgetting():
    gate, _ = made(router_bias=True)
    before = gate.weight.clone()
    gate.reset_parameters()
    assert not torch.equal(gate.weight, before)
    assert gate.weight.std().sub(1 / 8).abs() < 0.01
    assert gate.e_score_correction_bias.count_nonzero() == gate.bias.count_nonzero() == 0
