"""Every case, dtype and backend against the reference."""

import numpy as np
import pytest
import torch

from ascend_moe_gating.plugin.reference import choose_experts, divides, moe_gating_top_k, weigh
from ascend_moe_gating.plugin.verify.cases import CASES, DTYPES, Case
from tests.backends import BACKENDS

CHOOSING = ("k_group", "group_count", "group_select_mode")
WEIGHING = ("routed_scaling_factor", "eps")


def scores(case, dtype):
    """The scores of the case, on which the exact choice depends: exp differs in the last bit between machines."""
    with_scores = Case(case.name, case.tokens, case.experts, case.k, {**case.options, "out_flag": True}, case.bias)
    return BACKENDS["cpu"](with_scores, dtype)[2].numpy()


def float32(tensor):
    return None if tensor is None else tensor.float().numpy()


def chosen_options(case, names):
    return {name: case.options[name] for name in names if name in case.options}


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_results_are_those_of_the_reference(case, backend, dtype):
    x, bias = case.inputs(dtype)
    y, expert_idx, norm_out = BACKENDS[backend](case, dtype)

    assert (y.shape, y.dtype) == ((case.tokens, case.k), dtype)
    assert (expert_idx.shape, expert_idx.dtype) == ((case.tokens, case.k), torch.int32)
    assert (norm_out.shape, norm_out.dtype) == ((case.tokens, case.experts), torch.float32)
    assert y.is_contiguous()
    assert expert_idx.is_contiguous()
    assert norm_out.is_contiguous()

    exact = scores(case, dtype)
    if case.tokens:
        reference = moe_gating_top_k(float32(x), case.k, bias=float32(bias), **case.options)
        np.testing.assert_allclose(exact, reference[2], rtol=1e-6)
    if case.options.get("out_flag"):
        np.testing.assert_array_equal(norm_out.numpy(), exact)
    expected_idx = choose_experts(exact, case.k, float32(bias), **chosen_options(case, CHOOSING))
    np.testing.assert_array_equal(expert_idx.numpy(), expected_idx)
    divided = divides(case.options.get("norm_type", 0), case.options.get("renorm", 0))
    weights = weigh(exact, expected_idx, divided, **chosen_options(case, WEIGHING))
    torch.testing.assert_close(y, torch.from_numpy(weights).to(dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
@pytest.mark.parametrize("case", [c for c in CASES if c.tokens], ids=lambda case: case.name)
def test_all_backends_give_the_same_bits(case, dtype):
    first = BACKENDS["cpu"](case, dtype)
    for name in ("npu", "direct_aclnn"):
        other = BACKENDS[name](case, dtype)
        assert torch.equal(first[0], other[0]), name
        assert torch.equal(first[1], other[1]), name
