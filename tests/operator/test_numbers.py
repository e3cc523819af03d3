"""What may stand for a number of a call: all that torch's dispatcher takes in its place, as without this package."""

import numpy
import pytest
import torch

import ascend_moe_gating
from ascend_moe_gating.plugin.reference import moe_gating_top_k

INDEX = type("Index", (), {"__index__": lambda self: 1})()


@pytest.mark.parametrize("device", ["cpu", "npu"])
@pytest.mark.parametrize(
    "option",
    [
        *({name: value} for name in ("k", "k_group", "renorm", "norm_type", "group_select_mode", "eps")
          for value in (True, numpy.True_, numpy.int32(1), torch.tensor(1), torch.tensor([True]), INDEX)),
        *({"out_flag": value} for value in (1, 0.0, numpy.int64(1), torch.tensor(1.0))),
        *({"routed_scaling_factor": value} for value in (True, 2, torch.tensor(2.5), torch.tensor([2]))),
    ],
    ids=lambda option: "-".join(f"{name}={value!r}" for name, value in option.items()).split(" object")[0],
)  # fmt: skip
def test_what_torch_takes_for_a_number_is_one(option, device):
    """As without this package: a bool for an int and the other way round, a tensor of one element for either."""
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    actual = ascend_moe_gating.npu_moe_gating_top_k(x.to(device), **{"k": 1, **option})
    plain = {name: value.item() if isinstance(value, torch.Tensor) else value for name, value in option.items()}
    plain = {name: 1 if value is INDEX else value for name, value in plain.items()}
    expected = moe_gating_top_k(x.numpy(), **{"k": 1, **plain})
    torch.testing.assert_close(actual[0].cpu(), torch.from_numpy(expected[0]))
    assert actual[1].tolist() == expected[1].tolist()


@pytest.mark.parametrize("value", [torch.tensor(300), numpy.int64(300)])
def test_the_constraints_hold_for_what_stands_for_a_number(value):
    for device in ("cpu", "npu"):
        with pytest.raises(ValueError, match=r"k must be between 1 and 256 .*, got 300 \(C9\)"):
            ascend_moe_gating.npu_moe_gating_top_k(torch.zeros(4, 256).to(device), value)
    with pytest.raises(TypeError, match=r"k must be an int, got tensor\(\[8, 8\]\) of type Tensor \(C9\)"):
        ascend_moe_gating.npu_moe_gating_top_k(torch.zeros(4, 256), torch.tensor([8, 8]))


def test_numbers_of_numpy_are_numbers():
    x = torch.zeros(4, 256)
    options = {"out_flag": numpy.True_, "routed_scaling_factor": numpy.float32(2), "eps": numpy.float64(0)}
    y, expert_idx, _ = ascend_moe_gating.npu_moe_gating_top_k(x, numpy.int64(3), norm_type=numpy.int32(1), **options)
    assert expert_idx.tolist() == [[0, 1, 2]] * 4
    torch.testing.assert_close(y, torch.full((4, 3), 2 / 3))
