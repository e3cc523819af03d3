"""Logits and bias as models have them."""

from __future__ import annotations

import torch

from benchmarks.peers import Model

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def inputs(model: Model, tokens: int, dtype: str, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor | None]:
    """Logits [tokens, experts] and bias [experts]: the experts of a token differ, no two tokens are alike."""
    generator = torch.Generator().manual_seed(tokens)
    logits = torch.randn(tokens, model.experts, generator=generator).mul_(2).to(DTYPES[dtype]).to(device)
    bias = torch.randn(model.experts, generator=generator).mul_(0.1).to(DTYPES[dtype]).to(device)
    return logits, bias if model.bias else None
