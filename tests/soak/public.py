"""Calls of the public functions, on the CPU, on NPUs in eager mode and in graphs, held to the reference as the tests of
the operators do."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ascend_moe_gating import npu_moe_gating_top_k, npu_moe_gating_top_k_softmax, npu_moe_gating_top_k_softmax_v2
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import Call as Checked
from ascend_moe_gating.plugin.reference import choose_experts, descending, divides, normalize, weigh
from tests.backends import on_npu, torchair_backend, where_taken
from tests.soak.calls import Call
from tests.soak.ways import Errors, assert_sound, choosing, inputs, tensor, undefined, weighing


def tensors(call: Call) -> tuple[torch.Tensor, torch.Tensor | None]:
    x, bias, _, _ = inputs(call)
    return tensor(x, call.dtype), None if bias is None else tensor(bias, call.dtype)


def assert_right(call: Call, results: Any, scores: torch.Tensor) -> None:
    """y and experts are what the reference makes of the scores, which are those of the CPU."""
    y, expert_idx = (result.cpu() for result in results[:2])
    _, _, x32, bias32 = inputs(call)
    odd = undefined(scores.numpy(), bias32, call)
    assert_sound(expert_idx.numpy(), x32.shape[1])
    expected = choose_experts(scores.numpy(), call.k, bias32, **choosing(call))
    np.testing.assert_array_equal(expert_idx.numpy()[~odd], expected[~odd])
    divided = divides(call.options["norm_type"], call.options["renorm"])
    weights = weigh(scores.numpy(), expert_idx.numpy(), divided, **weighing(call))
    torch.testing.assert_close(y[~odd], torch.from_numpy(weights).to(y.dtype)[~odd], equal_nan=True)


@np.errstate(all="ignore")
def run_cpu(call: Call, errors: Errors) -> torch.Tensor:
    """The scores of the call, which are held to the reference too."""
    x, bias = tensors(call)
    results = npu_moe_gating_top_k(x, call.k, bias=bias, out_flag=True, **call.options)
    exact = normalize(inputs(call)[2], call.options["norm_type"])
    np.testing.assert_allclose(results[2].numpy(), exact, rtol=1e-6, atol=1e-37)
    assert_right(call, results, results[2])
    return results[2]


@np.errstate(all="ignore")
def run_npu(call: Call, errors: Errors, run: Any = npu_moe_gating_top_k) -> None:
    """The bits of the CPU."""
    scores = run_cpu(call, errors)
    x, bias = tensors(call)
    wanted = npu_moe_gating_top_k(x, call.k, bias=bias, **call.options)
    with where_taken(Checked(x, call.k, bias, **call.options)):
        results = [result.cpu() for result in run(on_npu(x), call.k, bias=on_npu(bias), **call.options)]
    assert_right(call, results, scores)
    for actual, expected in zip(results[:2], wanted[:2], strict=True):
        torch.testing.assert_close(actual, expected, rtol=0, atol=0, equal_nan=True)


_GRAPHS: dict[tuple[Any, ...], Any] = {}


def run_graph(call: Call, errors: Errors) -> None:
    """The same of a graph for any number of tokens, compiled when it is first needed."""
    key = (call.k, call.bias is None, *call.options.values())
    if key not in _GRAPHS:
        torch._dynamo.config.cache_size_limit = 64  # the graphs have one line of code
        _GRAPHS[key] = torch.compile(
            lambda x, bias: npu_moe_gating_top_k(x, call.k, bias=bias, **call.options),
            backend=torchair_backend(), dynamic=True, fullgraph=True,
        )  # fmt: skip
    run_npu(call, errors, lambda x, k, bias, **options: _GRAPHS[key](x, bias))


@np.errstate(all="ignore")
def run_softmax_v2(call: Call, errors: Errors, device: str = "cpu") -> None:
    """Its own scores are the reference's, and decide as the reference has it."""
    x = tensors(call)[0].to(device)
    x32, k = inputs(call)[2], min(call.k, 1024)
    finished = torch.from_numpy(call.rng.random(len(x32)) < 0.3)
    y, expert_idx, scores = (
        r.cpu() for r in npu_moe_gating_top_k_softmax_v2(x, k=k, finished=finished.to(device), output_softmax=True)
    )
    exact = normalize(x32, 0)
    torch.testing.assert_close(scores, torch.from_numpy(exact), equal_nan=True)
    defined = ~np.isnan(exact).any(axis=1)
    chosen = descending(scores.numpy())[:, :k]
    _assert_chosen(expert_idx, chosen, finished, defined)
    weights = torch.from_numpy(np.take_along_axis(scores.numpy(), chosen, axis=1)).to(y.dtype)
    torch.testing.assert_close(y[defined], weights[defined])
    y, expert_idx, _ = (
        r.cpu() for r in npu_moe_gating_top_k_softmax_v2(x, k=k, renorm=1, finished=finished.to(device))
    )
    chosen = descending(x32)[:, :k]
    _assert_chosen(expert_idx, chosen, finished, defined)
    weights = torch.from_numpy(normalize(np.take_along_axis(x32, chosen, axis=1), 0)).to(y.dtype)
    torch.testing.assert_close(y[defined], weights[defined], equal_nan=True)


def run_softmax(call: Call, errors: Errors) -> None:
    """The first version is the second, and the places of its results."""
    x, k = tensors(call)[0], min(call.k, 1024)
    finished = torch.from_numpy(call.rng.random(len(x)) < 0.3)
    first = npu_moe_gating_top_k_softmax(x, finished, k)
    second = npu_moe_gating_top_k_softmax_v2(x, k=k, finished=finished)
    for actual, expected in zip(first[:2], second[:2], strict=True):
        torch.testing.assert_close(actual, expected, rtol=0, atol=0, equal_nan=True)
    rows = torch.arange(len(x) * k, dtype=torch.int32).reshape(k, -1).T
    assert torch.equal(first[2], rows), "row_idx"
    run_softmax_v2(call, errors)


def _assert_chosen(expert_idx: torch.Tensor, chosen: np.ndarray, finished: torch.Tensor, defined: np.ndarray) -> None:
    """Finished rows have the number of experts for an id."""
    expected = torch.from_numpy(chosen.astype(np.int32))
    going = ~finished & torch.from_numpy(defined)
    assert torch.equal(expert_idx[going], expected[going]), "experts"
    assert len(set(expert_idx[finished].flatten().tolist())) <= 1, "finished rows have one id"
