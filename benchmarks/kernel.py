"""The operator's kernel alone, without torch: through its C interface, into outputs that are there already."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ascend_moe_gating.plugin.cpu import kernel
from ascend_moe_gating.plugin.cpu.kernel import BFLOAT16, FLOAT16, FLOAT32, Arguments

CODES = {torch.float32: FLOAT32, torch.float16: FLOAT16, torch.bfloat16: BFLOAT16}
ENVIRONMENT = "ASCEND_MOE_GATING_VECTOR"


def prepared(
    logits: torch.Tensor,
    bias: torch.Tensor | None,
    k: int,
    options: dict[str, int],
    library: ctypes.CDLL | None = None,
) -> Callable[[], tuple[torch.Tensor, torch.Tensor]]:
    """A call on one thread. It returns weights and experts [tokens, k], the same memory each time."""
    tokens, experts = logits.shape
    weights = torch.empty(tokens, k, dtype=logits.dtype)
    chosen = torch.empty(tokens, k, dtype=torch.int32)
    bias_is: dict[str, Any] = {} if bias is None else {"bias": bias.data_ptr(), "bias_stride": bias.stride(0)}
    rest: dict[str, Any] = {"k_group": 1, "group_count": 1, "norm_type": 0, **options}
    args = Arguments(
        x=logits.data_ptr(), x_row_stride=logits.stride(0), x_column_stride=logits.stride(1), **bias_is,
        tokens=tokens, experts=experts, k=k, routed_scaling_factor=2.5, eps=1e-20, dtype=CODES[logits.dtype],
        y=weights.data_ptr(), expert_idx=chosen.data_ptr(), **rest,
    )  # fmt: skip
    function, reference = (library or kernel.library()).moe_gating_top_k, ctypes.byref(args)

    def run(_alive=(logits, bias)):
        code = function(reference, 1)
        if code != 0:
            raise RuntimeError(f"the kernel cannot run these arguments: code {code}")
        return weights, chosen

    return run


def version(name: str) -> ctypes.CDLL | None:
    """A copy of the library that runs this vector version, or None where the processor has no such.

    A library chooses once, when it is first asked. A copy under another name is another library to the loader.
    """
    before = os.environ.get(ENVIRONMENT)
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copy(kernel.library()._name, Path(folder) / f"{name}.so")
        library = ctypes.CDLL(str(copy))
    library.moe_gating_top_k.argtypes = kernel.library().moe_gating_top_k.argtypes
    library.moe_gating_top_k_vector.restype = ctypes.c_char_p
    os.environ[ENVIRONMENT] = name
    try:
        runs = library.moe_gating_top_k_vector().decode()
    finally:
        os.environ.pop(ENVIRONMENT)
        if before is not None:
            os.environ[ENVIRONMENT] = before
    return library if runs == name else None
