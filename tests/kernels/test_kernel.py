"""The CPU kernel against the reference: models' shapes, any legal call, strides, threads, and arguments it refuses."""

import ctypes
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ascend_moe_gating.plugin.cpu.dispatch import Facts
from ascend_moe_gating.plugin.cpu.kernel import Arguments, run
from ascend_moe_gating.plugin.reference import moe_gating_top_k
from tests.kernels.kernel_calls import (
    DTYPES,
    MODELS,
    TORCH_DTYPES,
    arguments,
    assert_indices_are_sound,
    assert_same,
    check,
    decode,
    encode,
    kernel,
    separated,
)
from tests.programs import ROOT

# Against the reference's own choice, on seeded data.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("with_bias", [False, True], ids=["no_bias", "bias"])
@pytest.mark.parametrize("model", MODELS)
def test_the_shapes_of_models_give_the_experts_of_the_reference(model, with_bias, dtype):
    experts, k, options = MODELS[model]
    rng = np.random.default_rng(len(model))
    x = encode(rng.normal(0, 2, (1000, experts)), dtype)
    bias = encode(rng.normal(0, 0.1, experts), dtype) if with_bias else None
    y, expert_idx, _ = check(x, k, dtype, bias, routed_scaling_factor=2.5, **options)
    expected = moe_gating_top_k(
        decode(x, dtype), k, bias=None if bias is None else decode(bias, dtype), routed_scaling_factor=2.5, **options
    )
    np.testing.assert_array_equal(expert_idx, expected[1])
    torch.testing.assert_close(
        torch.from_numpy(decode(y, dtype)).to(TORCH_DTYPES[dtype]),
        torch.from_numpy(expected[0]).to(TORCH_DTYPES[dtype]),
    )


@pytest.mark.parametrize("norm_type", [0, 1, 2])
@pytest.mark.parametrize("tokens", [1, 7, 1000])
@pytest.mark.parametrize("experts", [1, 2, 3, 8, 64, 72, 160, 256, 384, 2048])
def test_any_number_of_experts_up_to_all_of_them_in_order(experts, tokens, norm_type):
    x = separated(np.random.default_rng(experts), min(tokens, 100_000 // experts), experts)
    for k in sorted({1, 2, 8, 16, 17, experts // 2, experts - 1, experts} & set(range(1, experts + 1))):
        if k > 17 and tokens > 7:
            continue  # the few rows have shown it
        _, expert_idx, _ = check(x, k, norm_type=norm_type)
        np.testing.assert_array_equal(expert_idx, moe_gating_top_k(x, k, norm_type=norm_type)[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("norm_type", [0, 1, 2])
@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize(
    ("experts", "group_count", "k_group"),
    [(4, 2, 1), (6, 2, 1), (72, 24, 5), (80, 40, 9), (160, 8, 3), (192, 64, 20), (256, 8, 4), (2048, 2, 1)],
)
def test_groups(experts, group_count, k_group, mode, norm_type, dtype):
    rng = np.random.default_rng(experts + mode)
    x = encode(rng.normal(0, 2, (50, experts)), dtype)
    bias = encode(rng.normal(-1, 1, experts), dtype)
    options = {"k_group": k_group, "group_count": group_count, "group_select_mode": mode, "norm_type": norm_type}
    for k in {1, min(8, k_group * experts // group_count), k_group * experts // group_count}:
        check(x, k, dtype, bias, **options)
        check(x, k, dtype, **options)


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize(("experts", "k_group"), [(1, 1), (2, 1), (9, 4), (64, 64), (300, 20), (2048, 100)])
def test_groups_of_one_expert_are_no_groups(experts, k_group, mode):
    """Of which as many as are kept would be chosen anyway, in any number of groups."""
    x = np.round(np.random.default_rng(experts).normal(0, 2, (40, experts))).astype(np.float32)
    x[0], x[1, ::2] = np.nan, -np.inf
    for norm_type in (0, 1, 2):
        options = {"k_group": k_group, "group_count": experts, "group_select_mode": mode, "norm_type": norm_type}
        assert_same(kernel(x, k_group, **options), kernel(x, k_group, norm_type=norm_type))


# Any legal call.


@st.composite
def calls(draw):
    group_count = draw(st.sampled_from([1, 1, 2, 3, 4, 8, 16, 64]))
    size = draw(st.integers(1, {1: 300, 64: 32}.get(group_count, 40)))
    k_group = draw(st.integers(1, group_count))
    largest = k_group * size
    dtype = draw(st.sampled_from(sorted(DTYPES)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (draw(st.integers(0, 9) | st.integers(15, 35)), group_count * size)
    x = rng.normal(0, draw(st.sampled_from([0.01, 1, 5, 100])), shape)
    if draw(st.booleans()):  # many ties
        x = np.round(x)
    odd = draw(st.sampled_from([None, -np.inf, np.inf, -0.0, 1e-40]))
    if odd is not None:
        x[rng.random(shape) < 0.2] = odd
    bias = None
    if draw(st.booleans()):
        bias = encode(np.round(rng.normal(0, 2, shape[1]), draw(st.integers(0, 4))), dtype)
    return {
        "x": encode(x, dtype),
        "k": draw(st.integers(1, largest) | st.integers(1, min(largest, 16))),
        "dtype": dtype,
        "bias": bias,
        "k_group": k_group,
        "group_count": group_count,
        "group_select_mode": draw(st.integers(0, 1)),
        "renorm": draw(st.integers(0, 1)),
        "norm_type": draw(st.integers(0, 2)),
        "routed_scaling_factor": draw(st.sampled_from([1.0, 2.5, -0.7, 0.0, 1e-30])),
        "eps": draw(st.sampled_from([1e-20, 0.0, 0.25])),
    }


@settings(max_examples=300, deadline=None)
@given(calls())
def test_any_legal_call(call):
    # A softmax over +inf, or over nothing but -inf, is NaN: there only the promise for NaN holds.
    x = decode(call["x"], call["dtype"])
    undefined = (x == np.inf).any(axis=1) | (x == -np.inf).all(axis=1)
    if call["norm_type"] == 0 and undefined.any():
        _, expert_idx, _ = kernel(**call)
        assert_indices_are_sound(expert_idx, x.shape[1])
        call["x"] = call["x"][~undefined]
    check(**call)


# Memory: strides, optional output, threads.

VIEWS = {
    "every_second_row": lambda a: a[::2],
    "every_third_column": lambda a: a[:, ::3],
    "rows_reversed": lambda a: a[::-1],
    "columns_reversed": lambda a: a[:, ::-1],
    "transposed": lambda a: a.T,
    "both_reversed_with_gaps": lambda a: a[::-2, ::-3],
    "row_stride_0": lambda a: np.broadcast_to(a[3], a.shape),
    "column_stride_0": lambda a: np.broadcast_to(a[:, 3:4], a.shape),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("size", "groups"), [(60, {"k_group": 2, "group_count": 4}), (69, {}), (27, {})])
def test_any_strides_of_x(size, groups, view, dtype):
    x = VIEWS[view](encode(np.random.default_rng(1).normal(0, 2, (size, size)), dtype))
    options = {**groups, "group_select_mode": 1, "norm_type": 1}
    assert_same(kernel(x, 7, dtype, **options), check(np.array(x, order="C"), 7, dtype, **options))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("step", [1, 3, -1, -3, 0])
def test_any_stride_of_the_bias(step, dtype):
    rng = np.random.default_rng(2)
    x, pool = (encode(rng.normal(0, 1, shape), dtype) for shape in [(20, 24), 72])
    bias = np.broadcast_to(pool[5:6], 24) if step == 0 else pool[::step][:24]
    assert_same(kernel(x, 5, dtype, bias, norm_type=1), check(x, 5, dtype, np.array(bias, order="C"), norm_type=1))


@pytest.mark.parametrize("model", MODELS)
def test_without_norm_out_the_other_results_are_the_same(model):
    experts, k, options = MODELS[model]
    x = np.random.default_rng(3).normal(0, 2, (100, experts)).astype(np.float32)
    assert_same(kernel(x, k, out_flag=False, **options)[:2], kernel(x, k, **options)[:2])


@pytest.mark.parametrize("threads", [-1, 0, 1, 2, 5, 64])
@pytest.mark.parametrize("tokens", [1, 7, 1000, 1001])
def test_threads_change_nothing(tokens, threads):
    experts, k, options = MODELS["V3"]
    rng = np.random.default_rng(4)
    x, bias = (rng.normal(0, 1, shape).astype(np.float32) for shape in [(tokens, experts), experts])
    assert_same(kernel(x, k, bias=bias, threads=threads, **options), kernel(x, k, bias=bias, threads=1, **options))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("norm_type", [0, 1, 2])
def test_no_tokens(norm_type, dtype, threads):
    check(encode(np.zeros((0, 9)), dtype), 2, dtype, norm_type=norm_type, group_count=3, threads=threads)


# The guard.


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"x": None}, "null"),
        ({"y": None}, "null"),
        ({"expert_idx": None}, "null"),
        ({"dtype": 3}, "dtype"),
        ({"dtype": -1}, "dtype"),
        ({"tokens": -1}, "tokens"),
        ({"experts": 0}, "experts"),
        ({"experts": 2049}, "experts"),
        ({"group_count": 0}, "group_count"),
        ({"group_count": 5}, "group_count"),
        ({"k_group": 0}, "k_group"),
        ({"k_group": 5}, "k_group"),
        ({"k": 0}, "k is not"),
        ({"k": 7}, "k is not"),
        ({"group_select_mode": 2}, "group_select_mode"),
        ({"renorm": 2}, "renorm"),
        ({"norm_type": 3}, "norm_type"),
    ],
    ids=str,
)
def test_arguments_that_cannot_run_are_refused_and_the_outputs_kept(wrong, reason):
    args, results = arguments(np.zeros((2, 12), np.float32), 6, "float32", k_group=2, group_count=4)
    before = [a.copy() for a in results]
    for name, value in wrong.items():
        setattr(args, name, value)
    with pytest.raises(RuntimeError, match=reason):
        run(args, 1)
    assert_same(results, before)


def test_without_tokens_null_pointers_are_fine():
    run(Arguments(experts=8, k=2, k_group=1, group_count=1), 1)


@pytest.mark.parametrize(
    ("structure", "file", "pattern"),
    [
        (Arguments, "kernels/moe_gating_top_k.h", r"typedef struct \{(.*?)\}"),
        (Facts, "plugin/cpu/dispatch.cpp", r"struct Facts \{(.*?)\}"),
    ],
)
def test_the_python_structures_have_the_fields_of_the_cpp_ones(structure, file, pattern):
    source = (ROOT / file).read_text()
    body = re.sub(r"/\*.*?\*/|//[^\n]*", "", re.search(pattern, source, re.DOTALL)[1], flags=re.DOTALL)
    types = {"int64_t": ctypes.c_int64, "int32_t": ctypes.c_int32, "float": ctypes.c_float}
    fields = []
    for declaration in filter(None, map(str.strip, body.split(";"))):
        kind, names = re.fullmatch(r"(?:const )?(\w+) (.*)", declaration, re.DOTALL).groups()
        for name in names.split(","):
            pointer = "*" in name
            fields.append((name.strip(" *\n"), ctypes.c_void_p if pointer else types[kind]))
    pointers = {ctypes.POINTER(ctypes.c_int64): ctypes.c_void_p}
    assert fields == [(name, pointers.get(kind, kind)) for name, kind in structure._fields_]
