"""Gives torch's dispatcher the compiled CPU kernel without a detour through Python: plugin/cpu.cpp is the other half.

The constraints stay in Python. The compiled half asks for a verdict once for each combination of what they read.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.resources
from typing import NamedTuple

import torch

from ascend_moe_gating.plugin.constraints import Call, check_rules
from ascend_moe_gating.plugin.schema import NAME, NAMESPACE


class Facts(ctypes.Structure):
    """Facts of plugin/cpu.cpp, field by field."""

    _fields_ = [  # noqa: RUF012  as ctypes wants it
        ("x_sizes", ctypes.POINTER(ctypes.c_int64)),
        ("bias_sizes", ctypes.POINTER(ctypes.c_int64)),
        ("input_ids_sizes", ctypes.POINTER(ctypes.c_int64)),
        ("tid2eid_sizes", ctypes.POINTER(ctypes.c_int64)),
        ("x_dim", ctypes.c_int64),
        ("bias_dim", ctypes.c_int64),
        ("input_ids_dim", ctypes.c_int64),
        ("tid2eid_dim", ctypes.c_int64),
        ("x_dtype", ctypes.c_int32),
        ("bias_dtype", ctypes.c_int32),
        ("input_ids_dtype", ctypes.c_int32),
        ("tid2eid_dtype", ctypes.c_int32),
        ("k", ctypes.c_int64),
        ("k_group", ctypes.c_int64),
        ("group_count", ctypes.c_int64),
        ("group_select_mode", ctypes.c_int64),
        ("renorm", ctypes.c_int64),
        ("norm_type", ctypes.c_int64),
    ]


class _Described(NamedTuple):
    """What the constraints look at of a tensor."""

    shape: list[int]
    dtype: torch.dtype
    device: torch.device = torch.device("cpu")

    def dim(self) -> int:
        return len(self.shape)


@functools.cache
def _dtypes() -> dict[int, torch.dtype]:
    """Torch's dtypes by the numbers that its C interface has for them."""
    library = ctypes.CDLL("libtorch_cpu.so")
    dtypes = {value for value in vars(torch).values() if isinstance(value, torch.dtype)}
    numbers = {
        dtype: getattr(library, f"aoti_torch_dtype_{str(dtype).removeprefix('torch.')}", None) for dtype in dtypes
    }
    return {number(): dtype for dtype, number in numbers.items() if number is not None}


def _described(facts: Facts, name: str) -> _Described | None:
    dim = getattr(facts, f"{name}_dim")
    if dim < 0:
        return None
    return _Described(getattr(facts, f"{name}_sizes")[:dim], _dtypes()[getattr(facts, f"{name}_dtype")])


def _check(facts: Facts) -> None:
    x, bias, input_ids, tid2eid = (_described(facts, name) for name in ("x", "bias", "input_ids", "tid2eid"))
    numbers = (facts.k, facts.k_group, facts.group_count, facts.group_select_mode, facts.renorm, facts.norm_type)
    others = {"out_flag": False, "routed_scaling_factor": 1.0, "eps": 0.0}
    check_rules(Call(x, bias, *numbers, **others, input_ids=input_ids, tid2eid=tid2eid))  # type: ignore[arg-type]


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
    return library.moe_gating_register_cpu(NAMESPACE.encode(), NAME.encode(), _judge) == 0
