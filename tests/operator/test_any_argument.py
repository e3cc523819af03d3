"""Any object for any argument: a ValueError, a TypeError or a result, the same on the CPU as in shape inference."""

import decimal
import fractions
import os
import re

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ascend_moe_gating import npu_moe_gating_top_k, npu_moe_gating_top_k_softmax, npu_moe_gating_top_k_softmax_v2

DTYPES = [
    torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.uint8, torch.bool,
    torch.complex64,
]  # fmt: skip
EACH = int(os.environ.get("GENERATED_CALLS", "300"))  # of which thousands take minutes


@st.composite
def tensors(draw):
    shape = draw(st.lists(st.sampled_from([0, 1, 2, 3, 4, 8, 12]), max_size=4))
    tensor = torch.zeros(shape, dtype=draw(st.sampled_from(DTYPES)))
    way = draw(st.integers(0, 6))
    if way == 0 and tensor.dim() > 1:
        return tensor.transpose(0, 1)
    if way == 1 and tensor.dim() > 0:
        return tensor[..., :1].expand(shape)
    if way == 2 and tensor.dtype.is_floating_point:
        return torch.nn.Parameter(tensor)
    return tensor


NUMBERS = st.one_of(
    st.integers(-3, 20),
    st.integers(),
    st.sampled_from([2**31, -(2**31), 2**63 - 1, 2**63, -(2**63) - 1, 10**400]),
    st.booleans(),
    st.floats(),
    st.sampled_from([np.int32(2), np.int64(-1), np.uint8(1), np.float32(2.5), np.float16("nan"), np.bool_(True)]),
    st.sampled_from([fractions.Fraction(1, 3), decimal.Decimal(2), 1 + 2j]),
)
ANYTHING = st.one_of(
    NUMBERS,
    tensors(),
    st.none(),
    st.text(max_size=4),
    st.binary(max_size=4),
    st.lists(st.integers(0, 3) | st.floats(), max_size=3),
    st.sampled_from(
        [(), {}, {"k": 1}, object(), int, torch.float32, torch.Size([2]), np.zeros((4, 12)), np.float32, len]
    ),
)


def described(results):
    return [(tuple(result.shape), result.dtype, result.is_contiguous()) for result in results]


def outcome(function, device, arguments, tensor_names):
    """What a call comes to: the shapes of its results, or its refusal."""
    moved = {
        name: value.to(device) if isinstance(value, torch.Tensor) and name in tensor_names else value
        for name, value in arguments.items()
    }
    try:
        return described(function(**moved))
    except (ValueError, TypeError) as error:
        return type(error), re.sub(r"\b(cpu|meta)\b", "device", str(error))


def check(function, arguments, tensor_names):
    assert outcome(function, "cpu", arguments, tensor_names) == outcome(function, "meta", arguments, tensor_names)


@st.composite
def broken(draw, legal, anything):
    """A legal call of which some arguments are anything."""
    arguments = draw(legal)
    for name in draw(st.lists(st.sampled_from(sorted(anything)), min_size=1, max_size=2, unique=True)):
        arguments[name] = draw(ANYTHING | NUMBERS)
    return arguments


def _legal(x, **options):
    return st.fixed_dictionaries({"x": st.just(x)}, optional={n: st.sampled_from(v) for n, v in options.items()})


GATES = st.builds(
    lambda arguments, k: {"k": k, **arguments},
    _legal(
        torch.zeros(4, 12), bias=[None, torch.zeros(12)], k_group=[1, 2], group_count=[2, 3], norm_type=[0, 1, 2],
        renorm=[0, 1], out_flag=[False, True], group_select_mode=[0, 1],
    ),
    st.integers(1, 4),
)  # fmt: skip
OF_GATES = (
    "x", "k", "bias", "input_ids", "tid2eid", "k_group", "group_count", "group_select_mode", "renorm", "norm_type",
    "out_flag", "routed_scaling_factor", "eps",
)  # fmt: skip


@settings(max_examples=EACH, deadline=None)
@given(broken(GATES, OF_GATES))
def test_npu_moe_gating_top_k(arguments):
    check(npu_moe_gating_top_k, arguments, ("x", "bias", "input_ids", "tid2eid"))


SOFTMAX = st.builds(
    lambda arguments, k: {"k": k, **arguments},
    _legal(torch.zeros(3, 8), finished=[None, torch.zeros(3, dtype=torch.bool)]),
    st.integers(1, 8),
)


@settings(max_examples=EACH // 2, deadline=None)
@given(broken(SOFTMAX, ("x", "k", "finished")))
def test_npu_moe_gating_top_k_softmax(arguments):
    check(npu_moe_gating_top_k_softmax, arguments, ("x", "finished"))


@settings(max_examples=EACH // 2, deadline=None)
@given(broken(SOFTMAX, ("x", "k", "finished", "renorm", "output_softmax")))
def test_npu_moe_gating_top_k_softmax_v2(arguments):
    check(npu_moe_gating_top_k_softmax_v2, arguments, ("x", "finished"))
