"""Logits and bias as models have them."""

from __future__ import annotations

import ctypes
import mmap

import torch

from benchmarks.peers import Model

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def inputs(model: Model, tokens: int, dtype: str, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor | None]:
    """Logits [tokens, experts] and bias [experts]: the experts of a token differ, no two tokens are alike."""
    generator = torch.Generator().manual_seed(tokens)
    logits = torch.randn(tokens, model.experts, generator=generator).mul_(2).to(DTYPES[dtype]).to(device)
    bias = torch.randn(model.experts, generator=generator).mul_(0.1).to(DTYPES[dtype]).to(device)
    return logits, bias if model.bias else None


BEHIND = 1 << 17  # bytes; the kernel does not fetch from further ahead


def at_the_end_of_memory(logits: torch.Tensor) -> torch.Tensor:
    """The same logits right before pages that cannot be read."""
    copy = followed_by_memory(logits)
    behind = ctypes.c_void_p(copy.data_ptr() + logits.nbytes)
    if ctypes.CDLL(None, use_errno=True).mprotect(behind, BEHIND, 0) != 0:
        raise OSError(ctypes.get_errno(), "mprotect")
    return copy


def followed_by_memory(logits: torch.Tensor) -> torch.Tensor:
    """The same logits right before pages that can be read."""
    size = -(-logits.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, size + BEHIND)
    memory[size:] = bytes(BEHIND)
    first = size - logits.nbytes
    copy = torch.frombuffer(memory, dtype=logits.dtype, count=logits.numel(), offset=first).view_as(logits)
    return copy.copy_(logits)
