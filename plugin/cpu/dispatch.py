"""Gives torch's dispatcher the compiled CPU kernel without a detour through Python: dispatch.cpp is the other half.

The constraints stay in Python. The compiled half asks for a verdict once for each combination of what they read.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.resources

import torch

from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import SIGNATURE, Call, check_rules
from ascend_moe_gating.plugin.constraints.rules import Described, name_of
from ascend_moe_gating.plugin.constraints.signature import NAMESPACE

_TENSORS = [p.name for p in SIGNATURE.parameters if p.schema_type == "Tensor"]
_INTEGERS = [p.name for p in SIGNATURE.parameters if p.schema_type == "int"]


class Facts(ctypes.Structure):
    """Facts of dispatch.cpp, field by field."""

    _fields_ = [  # noqa: RUF012  as ctypes wants it
        *((f"{name}_sizes", ctypes.POINTER(ctypes.c_int64)) for name in _TENSORS),
        *((f"{name}_dim", ctypes.c_int64) for name in _TENSORS),
        *((f"{name}_dtype", ctypes.c_int32) for name in _TENSORS),
        *((name, ctypes.c_int64) for name in _INTEGERS),
    ]


@functools.cache
def _dtypes() -> dict[int, torch.dtype]:
    """Torch's dtypes by the numbers that its C interface has for them."""
    library = ctypes.CDLL("libtorch_cpu.so")
    dtypes = {value for value in vars(torch).values() if isinstance(value, torch.dtype)}
    numbers = {dtype: getattr(library, f"aoti_torch_dtype_{name_of(dtype)}", None) for dtype in dtypes}
    return {number(): dtype for dtype, number in numbers.items() if number is not None}


def _described(facts: Facts, name: str) -> Described | None:
    dim = getattr(facts, f"{name}_dim")
    if dim < 0:
        return None
    return Described(getattr(facts, f"{name}_sizes")[:dim], _dtypes()[getattr(facts, f"{name}_dtype")])


def _check(facts: Facts) -> None:
    tensors = {name: _described(facts, name) for name in _TENSORS}
    integers = {name: getattr(facts, name) for name in _INTEGERS}
    check_rules(Call(**tensors, **integers))  # no rule reads the others


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Facts), ctypes.c_void_p, ctypes.c_size_t)
def _judge(facts: ctypes._Pointer[Facts], text: int, room: int) -> int:
    try:
        _check(facts.contents)
    except Exception as error:  # none may leave: this is called from C++
        message = str(error).encode()[: room - 1] + b"\0"
        ctypes.memmove(text, message, len(message))
        return 1 if isinstance(error, (ValueError, TypeError)) else 2
    return 0


def register() -> bool:
    """Register the kernel for CPU tensors; False when this torch lacks the C interface, and then nothing was done."""
    path = importlib.resources.files("ascend_moe_gating") / "lib" / "libmoe_gating_torch.so"
    library = ctypes.CDLL(str(path))
    return library.moe_gating_register_cpu(NAMESPACE.encode(), SIGNATURE.name.encode(), _judge) == 0
