"""Calls of the compiled kernel, in every version that the processor has, held to the reference as its tests do."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ascend_moe_gating.plugin.cpu import kernel as compiled_kernel
from ascend_moe_gating.plugin.cpu.npu_moe_gating_top_k import npu_moe_gating_top_k as through_python
from ascend_moe_gating.plugin.reference import choose_experts, divides, normalize, weigh
from tests.kernels.kernel_calls import TORCH_DTYPES, decode, encode, kernel
from tests.operator.test_gradients import CLOSE, written_out
from tests.soak.calls import LAYOUTS, Call

CHOOSING = ("k_group", "group_count", "group_select_mode")
WEIGHING = ("routed_scaling_factor", "eps")
VARIABLE = "ASCEND_MOE_GATING_VECTOR"
Errors = dict[str, float]  # the largest so far, in ULP, by what it is of


@functools.cache
def versions() -> dict[str, Any]:
    """The kernel's library once for each version that this processor has: each copy reads the variable by itself."""
    compiled_kernel.library()  # with what the user has set
    named = {"x86_64": ("avx512", "avx2", "portable"), "aarch64": ("neon", "portable")}[platform.machine()]
    before = os.environ.get(VARIABLE)
    source = Path(str(files("ascend_moe_gating") / "lib" / "libmoe_gating_top_k.so"))
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in named:
            copy = Path(shutil.copy(source, Path(folder) / f"{name}.so"))
            os.environ[VARIABLE] = name
            found[name] = _declared(ctypes.CDLL(str(copy)))
    os.environ.pop(VARIABLE)
    if before is not None:
        os.environ[VARIABLE] = before
    return {name: library for name, library in found.items() if library.moe_gating_top_k_vector() == name.encode()}


def _declared(library: Any) -> Any:
    """With the types that plugin/cpu/kernel.py has told its own."""
    own = compiled_kernel.library()
    for name in ("", "_gradient", "_vector", "_stray", "_error"):
        function, typed = getattr(library, f"moe_gating_top_k{name}"), getattr(own, f"moe_gating_top_k{name}")
        function.argtypes, function.restype = typed.argtypes, typed.restype
    library.moe_gating_top_k_vector()  # now, while the variable is set
    return library


@contextlib.contextmanager
def version(name: str) -> Iterator[None]:
    """All calls of the kernel that go through Python run this version of it."""
    own = compiled_kernel.library
    compiled_kernel.library = lambda: versions()[name]  # type: ignore[assignment]
    try:
        yield
    finally:
        compiled_kernel.library = own


def ulps(actual: np.ndarray, exact: np.ndarray) -> float:
    """The largest distance in units of the last place of a float32, where the exact value is a normal finite one."""
    with np.errstate(all="ignore"):
        normal = (np.abs(exact) > np.finfo(np.float32).tiny) & (np.abs(exact) < np.finfo(np.float32).max)
        distances = np.abs(actual.astype(np.float64) - exact) / np.spacing(np.abs(exact).astype(np.float32))
    return float(distances[normal].max(initial=0))


def noted(errors: Errors, what: str, actual: np.ndarray, exact: np.ndarray) -> None:
    errors[what] = max(errors.get(what, 0.0), ulps(actual, exact))


def choosing(call: Call) -> dict[str, Any]:
    return {name: call.options[name] for name in CHOOSING}


def weighing(call: Call) -> dict[str, Any]:
    return {name: call.options[name] for name in WEIGHING}


def undefined(scores: np.ndarray, bias: np.ndarray | None, call: Call) -> np.ndarray:
    """Rows in which something that decides is NaN: of these only sound experts are promised."""
    with np.errstate(invalid="ignore"):
        choice = scores if bias is None else scores + bias
        odd = np.isnan(choice).any(axis=1)
        if call.options["group_select_mode"] == 1:  # inf - inf
            both = (choice == np.inf).any(axis=1) & (choice == -np.inf).any(axis=1)
            odd |= both
    return odd


def assert_sound(expert_idx: np.ndarray, experts: int) -> None:
    assert ((expert_idx >= 0) & (expert_idx < experts)).all(), "an expert that does not exist"
    ordered = np.sort(expert_idx, axis=1)
    assert (ordered[:, 1:] != ordered[:, :-1]).all(), "an expert twice"


def inputs(call: Call) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray | None]:
    """x and bias in the dtype, x in its layout, and both as the float32 that they stand for."""
    x = encode(call.x, call.dtype)
    bias = None if call.bias is None else encode(call.bias, call.dtype)
    bias32 = None if bias is None else decode(bias, call.dtype)
    return LAYOUTS[call.layout](x), bias, decode(x, call.dtype), bias32


@np.errstate(all="ignore")
def run_kernel(call: Call, errors: Errors) -> None:
    """As tests/kernels/kernel_calls.check does, of every version."""
    x, bias, x32, bias32 = inputs(call)
    norm_type, divided = call.options["norm_type"], divides(call.options["norm_type"], call.options["renorm"])
    scores = normalize(x32, norm_type)
    odd = undefined(scores, bias32, call)
    chosen: dict[bytes, np.ndarray] = {}
    for name in versions():
        with version(name):
            y, expert_idx, norm_out = kernel(x, call.k, call.dtype, bias, threads=call.threads, **call.options)
            y32 = kernel(x32, call.k, "float32", bias32, threads=call.threads, **call.options)[0]
        assert_sound(expert_idx, x.shape[1])
        np.testing.assert_allclose(norm_out[~odd], scores[~odd], rtol=1e-6, atol=1e-37, err_msg=name)
        bits = norm_out.tobytes()
        if bits not in chosen:  # versions mostly agree to the bit
            chosen[bits] = choose_experts(norm_out, call.k, bias32, **choosing(call))
        np.testing.assert_array_equal(expert_idx[~odd], chosen[bits][~odd], err_msg=name)
        weights = weigh(norm_out, expert_idx, divided, **weighing(call))
        np.testing.assert_allclose(y32[~odd], weights[~odd], rtol=1e-6, atol=1e-37, err_msg=name)
        once = decode(encode(y32, call.dtype), call.dtype)
        np.testing.assert_array_equal(decode(y, call.dtype)[~odd], once[~odd], err_msg=name)
        if call.values in ("normal", "rounded", "ascending", "descending"):
            wide = x32.astype(np.float64)
            if norm_type == 0:  # the difference is rounded to float32
                wide = (x32 - x32.max(axis=1, keepdims=True)).astype(np.float64)
            noted(errors, f"scores, norm_type {norm_type}, {name}", norm_out, normalize(wide, norm_type))
            noted(errors, f"weights, norm_type {norm_type}, {name}", y32, weights)


@np.errstate(all="ignore")
def run_routed(call: Call, errors: Errors) -> None:
    """Hash routing: the experts of the table, and their scores divided by their sum."""
    x, bias, x32, _ = inputs(call)
    tokens, experts = x32.shape
    vocabulary = int(call.rng.integers(1, 100))
    table = call.rng.integers(0, experts, (vocabulary, call.k)).astype(call.rng.choice([np.int32, np.int64]))
    ids = call.rng.integers(0, vocabulary, tokens).astype(call.rng.choice([np.int32, np.int64]))
    options = {**call.options, "k_group": call.options["group_count"]}
    for name in versions():
        with version(name):
            y, expert_idx, norm_out = through_python(
                tensor(x, call.dtype), call.k, bias=None if bias is None else tensor(bias, call.dtype),
                input_ids=torch.from_numpy(ids), tid2eid=torch.from_numpy(table), out_flag=True, **options,
            )  # fmt: skip
        np.testing.assert_array_equal(expert_idx.numpy(), table[ids])
        weights = weigh(
            norm_out.numpy(), table[ids], divides(options["norm_type"], options["renorm"]), **weighing(call)
        )
        torch.testing.assert_close(y, torch.from_numpy(weights).to(y.dtype), equal_nan=True)
    np.testing.assert_allclose(norm_out, normalize(x32, options["norm_type"]), rtol=1e-6, atol=1e-37)


def tensor(array: np.ndarray, dtype: str) -> torch.Tensor:
    """Of encoded values; torch has no negative strides."""
    array = array if min(array.strides, default=0) >= 0 else np.ascontiguousarray(array)
    return torch.from_numpy(array.view(np.int16) if dtype == "bfloat16" else array).view(TORCH_DTYPES[dtype])


def run_gradient(call: Call, errors: Errors) -> None:
    """As the tests of gradients do: of the largest gradient of the call, against autograd in float64."""
    x, _, x32, _ = inputs(call)
    dtype = TORCH_DTYPES[call.dtype]
    given, norm_type = tensor(x, call.dtype), call.options["norm_type"]
    weighed = {"renorm": call.options["renorm"], "norm_type": norm_type, **weighing(call)}
    experts = torch.from_numpy(choose_experts(normalize(x32, norm_type), call.k, **choosing(call)))
    of_y = torch.from_numpy(call.rng.normal(0, 1, experts.shape)).to(dtype)
    of_scores = torch.from_numpy(call.rng.normal(0, 1, x32.shape)).float() if call.rng.random() < 0.5 else None
    logits = given.double().requires_grad_()
    y, scores = written_out(logits, experts, weighed)
    loss = (of_y.double() * y).sum() + (0 if of_scores is None else (of_scores.double() * scores).sum())
    (wanted,) = torch.autograd.grad(loss, logits)
    largest = max(float(wanted.abs().max()), 1e-3)
    for name in versions():
        with version(name):
            gradient = torch.ops.ascend_moe_gating.npu_moe_gating_top_k_gradient(
                given, experts, of_y, of_scores, weighed["renorm"], norm_type, *(weighed[n] for n in WEIGHING)
            )
        error = float((gradient.double() - wanted).abs().max())
        assert error <= CLOSE[dtype] * largest, f"{name}: {error} of {largest}"
