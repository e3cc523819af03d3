"""Calling the CPU kernel through its C ABI, and comparing a call with the reference.

Two implementations of exp may differ in the last bit, and then near-ties of the scores may order differently. So the
indices are compared twice: on all data, exactly, with what the reference chooses from the kernel's own scores (these
are compared with the reference's scores): that is check(); and by tests with seeded data, exactly, with what the
reference chooses from its own.
"""

import numpy as np
import torch

from ascend_moe_gating.plugin.cpu.kernel import BFLOAT16, FLOAT16, FLOAT32, Arguments, run
from ascend_moe_gating.plugin.reference import choose_experts, divides, moe_gating_top_k, weigh
from benchmarks import peers

DTYPES = {"float32": FLOAT32, "float16": FLOAT16, "bfloat16": BFLOAT16}
TORCH_DTYPES = {name: getattr(torch, name) for name in DTYPES}
MODELS = {name: (model.experts, model.k, model.options) for name, model in peers.MODELS.items()}


def encode(values, dtype):
    """Rounds float32 values to a dtype; bfloat16 is held as its bits, in uint16."""
    rounded = torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(TORCH_DTYPES[dtype])
    return rounded.view(torch.int16).numpy().view(np.uint16) if dtype == "bfloat16" else rounded.numpy()


def decode(values, dtype):
    return (values.astype(np.uint32) << 16).view(np.float32) if dtype == "bfloat16" else values.astype(np.float32)


def address(array):
    return None if array is None else array.ctypes.data


def strides(array):
    return [stride // array.itemsize for stride in array.strides]


def arguments(x, k, dtype, bias=None, out_flag=True, *, k_group=1, group_count=1, group_select_mode=0, renorm=0,
              norm_type=0, routed_scaling_factor=1.0, eps=1e-20):  # fmt: skip
    """Arguments for the kernel, and the three outputs, filled with what must not survive."""
    tokens, experts = x.shape
    y = np.full((tokens, k), 77, x.dtype)
    expert_idx = np.full((tokens, k), -77, np.int32)
    norm_out = np.full((tokens, experts), -77, np.float32) if out_flag else None
    args = Arguments(
        x=address(x), x_row_stride=strides(x)[0], x_column_stride=strides(x)[1],
        bias=address(bias), bias_stride=0 if bias is None else strides(bias)[0],
        tokens=tokens, experts=experts, k=k, k_group=k_group, group_count=group_count,
        group_select_mode=group_select_mode, renorm=renorm, norm_type=norm_type,
        routed_scaling_factor=routed_scaling_factor, eps=eps, dtype=DTYPES[dtype],
        y=address(y), expert_idx=address(expert_idx), norm_out=address(norm_out),
    )  # fmt: skip
    return args, (y, expert_idx, norm_out)


def kernel(x, k, dtype="float32", bias=None, out_flag=True, threads=1, **options):
    args, results = arguments(x, k, dtype, bias, out_flag, **options)
    run(args, threads)
    return results


def assert_same(actual, expected):
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def check(x, k, dtype="float32", bias=None, **options):
    """Runs the kernel on encoded inputs and compares every output with the reference. Returns the outputs."""
    y, expert_idx, norm_out = kernel(x, k, dtype, bias, **options)
    options.pop("threads", None)
    x32, bias32 = decode(x, dtype), None if bias is None else decode(bias, dtype)

    scores = moe_gating_top_k(x32, k, bias=bias32, **options)[2]
    np.testing.assert_allclose(norm_out, scores, rtol=1e-6, atol=1e-37)
    choosing = {name: options[name] for name in ("k_group", "group_count", "group_select_mode") if name in options}
    np.testing.assert_array_equal(expert_idx, choose_experts(norm_out, k, bias32, **choosing))

    weighing = {name: options[name] for name in ("routed_scaling_factor", "eps") if name in options}
    y32 = kernel(x32, k, "float32", bias32, **options)[0]
    weights = weigh(norm_out, expert_idx, divides(options.get("norm_type", 0), options.get("renorm", 0)), **weighing)
    np.testing.assert_allclose(y32, weights, rtol=1e-6, atol=1e-37)
    np.testing.assert_array_equal(decode(y, dtype), decode(encode(y32, dtype), dtype))  # rounded once, exactly
    return y, expert_idx, norm_out


def separated(rng, tokens, experts):
    """Rows of logits that lie far enough apart for every exp."""
    grid = np.linspace(-5, 6, experts, dtype=np.float32)
    return rng.permuted(np.tile(grid, (tokens, 1)), axis=1)


def assert_indices_are_sound(expert_idx, experts):
    assert ((expert_idx >= 0) & (expert_idx < experts)).all()
    assert all(len(set(row)) == len(row) for row in expert_idx.tolist())
