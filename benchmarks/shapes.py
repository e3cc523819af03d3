"""Shapes that no model has, awkward on purpose: they must not cost much more per expert than the models'."""

from __future__ import annotations

from typing import NamedTuple

import torch

from benchmarks.peers import MODELS, Model

SIGMOID, MAXIMUM, TOP_TWO = {"norm_type": 1}, {"group_select_mode": 0}, {"group_select_mode": 1}


def groups(count: int, kept: int) -> dict[str, int]:
    return {"group_count": count, "k_group": kept}


class Shape(NamedTuple):
    model: Model
    strided: bool = False  # x is every second row and column of a larger tensor


SHAPES = {
    "8 experts": Shape(Model(8, 2, True, SIGMOID)),
    "64 experts, no bias": Shape(Model(64, 6, False, SIGMOID)),
    "257 experts": Shape(Model(257, 8, True, SIGMOID)),
    "512 experts, k 16": Shape(Model(512, 16, True, SIGMOID)),
    "2048 experts, k 64": Shape(Model(2048, 64, True, SIGMOID)),
    "16 experts, k 1, softmax": Shape(Model(16, 1, False, {})),
    "60 experts, softmax": Shape(Model(60, 4, False, {})),
    "all of 100 experts, softmax": Shape(Model(100, 100, False, {})),
    "1024 experts, softmax, bias": Shape(Model(1024, 8, True, {})),
    "all of 1024 experts, softmax": Shape(Model(1024, 1024, False, {})),
    "all of 2048 experts, softmax": Shape(Model(2048, 2048, False, {})),
    "strided, softmax": Shape(MODELS["Qwen3"], strided=True),
    "64 groups of 3": Shape(Model(192, 8, True, {**groups(64, 16), **TOP_TWO, **SIGMOID})),
    "32 groups of 4, no bias": Shape(Model(128, 8, False, {**groups(32, 8), **TOP_TWO, **SIGMOID})),
    "2 groups of 128": Shape(Model(256, 8, True, {**groups(2, 1), **TOP_TWO, **SIGMOID})),
    "16 groups of 16, by maximum": Shape(Model(256, 8, True, {**groups(16, 4), **MAXIMUM, **SIGMOID})),
    "8 groups of 32, strided": Shape(MODELS["V3"], strided=True),
    "24 groups of 3, softmax": Shape(Model(72, 6, False, {**groups(24, 8), **MAXIMUM})),
    "8 groups of 20, softmax, bias, top two": Shape(Model(160, 2, True, {**groups(8, 3), **TOP_TWO})),
    "16 groups of 16, softmax": Shape(Model(256, 6, False, {**groups(16, 4), **MAXIMUM})),
}


def nearest(model: Model) -> str:
    """The one of the four models with the same scores (sigmoid, softmax) and, like it, with or without groups."""

    def kind(of: Model) -> tuple[int, bool]:
        option = of.all_options()
        return option["norm_type"], option["group_count"] > 1

    return next(name for name, candidate in MODELS.items() if kind(candidate) == kind(model))


def strided(logits: torch.Tensor) -> torch.Tensor:
    """The same logits [tokens, experts] as every second row and column of a larger tensor."""
    larger = logits.new_zeros(2 * logits.shape[0], 2 * logits.shape[1])
    larger[::2, ::2] = logits
    return larger[::2, ::2]
