"""The equivalent computation that the documentation of the operator lists: NumPy, on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import torch

from benchmarks.peers import Model


def runs(model: Model) -> bool:
    """It needs a bias and groups."""
    return model.bias and model.all_options()["group_count"] > 1


def listing_gate(model: Model) -> Callable:
    def gate(logits, bias):
        return moe_gating_top_k_numpy(logits, model.k, bias=bias, routed_scaling_factor=2.5, **model.options)[:2]

    return gate


def moe_gating_top_k_numpy(
    x: Any,
    k: int,
    *,
    bias: Any = None,
    k_group: int = 1,
    group_count: int = 1,
    group_select_mode: int = 0,
    renorm: int = 0,
    norm_type: int = 0,
    out_flag: bool = False,
    routed_scaling_factor: float = 1.0,
    eps: float = 1e-20,
) -> tuple:
    dtype = x.dtype
    if dtype != torch.float32:
        x = x.to(dtype=torch.float32)
        bias = bias.to(dtype=torch.float32)

    x = x.numpy()
    bias = bias.numpy()
    if norm_type == 0:
        x = numpy.exp(
            x - numpy.expand_dims(numpy.log(numpy.sum(numpy.exp(x), axis=-1, keepdims=True)), axis=-1)
        )  # softmax
    else:
        x = 1 / (1 + numpy.exp(-x))  # sigmoid
    original_x = x
    if bias is not None:
        x = x + bias

    if group_count > 1:
        x = x.reshape(x.shape[0], group_count, -1)
        if group_select_mode == 0:
            group_x = numpy.amax(x, axis=-1)
        else:
            group_x = numpy.partition(x, -2, axis=-1)[..., -2:].sum(axis=-1)
    indices = numpy.argsort(-group_x, axis=-1, kind="stable")[:, :k_group]  # Indices of top-k_group

    mask = numpy.ones((x.shape[0], group_count), dtype=bool)  # Create a mask with all 1
    mask[numpy.arange(x.shape[0])[:, None], indices] = False  # Set to false at the indices
    x = numpy.where(mask[..., None], float("-inf"), x)  # Fill with -inf when mask value is true
    x = x.reshape(x.shape[0], -1)

    indices = numpy.argsort(-x, axis=-1, kind="stable")
    indices = indices[:, :k]
    y = numpy.take_along_axis(original_x, indices, axis=1)

    if norm_type == 1:
        y /= numpy.sum(y, axis=-1, keepdims=True) + eps
    y *= routed_scaling_factor
    out = original_x if out_flag else None

    y = torch.tensor(y, dtype=dtype)  # type: ignore[assignment]
    return y, torch.from_numpy(indices.astype(numpy.int32)), out
