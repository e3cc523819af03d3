"""The operator on NPU tensors by a direct two-phase call of aclnnMoeGatingTopK on the current stream, or of
aclnnMoeGatingTopKV2 for hash routing.

torch_npu makes the same call where it has the operator. This one serves wheels without it, and whoever sets
ASCEND_MOE_GATING_ACLNN=1.
"""

from __future__ import annotations

import ctypes
import functools
from contextlib import ExitStack
from ctypes import POINTER, byref, c_bool, c_char_p, c_double, c_int, c_int64, c_uint64, c_void_p
from typing import Any

import torch

from ascend_moe_gating.plugin.constraints import check

_FORMAT_ND = 2
_ACL_DTYPES = {torch.float32: 0, torch.float16: 1, torch.int32: 3, torch.uint8: 4, torch.int64: 9, torch.bfloat16: 27}


class _Cann:
    """The entry points of libopapi and libascendcl that the call needs, with their C types."""

    def __init__(self) -> None:
        opapi, ascendcl = ctypes.CDLL("libopapi.so"), ctypes.CDLL("libascendcl.so")
        dims = POINTER(c_int64)
        self.create_tensor = opapi.aclCreateTensor
        self.create_tensor.restype = c_void_p
        self.create_tensor.argtypes = [dims, c_uint64, c_int, dims, c_int64, c_int, dims, c_uint64, c_void_p]
        self.destroy_tensor = opapi.aclDestroyTensor
        self.destroy_tensor.argtypes = [c_void_p]
        self.recent_error = ascendcl.aclGetRecentErrMsg
        self.recent_error.restype = c_char_p
        self.opapi = opapi

    def phases(self, name: str, inputs: int) -> tuple[Any, Any]:
        """The two phases of a call with so many input tensors.

        Raises:
            AttributeError: this CANN has no such call.
        """
        workspace_size, launch = getattr(self.opapi, f"{name}GetWorkspaceSize"), getattr(self.opapi, name)
        workspace_size.argtypes = [
            *[c_void_p] * inputs,
            *[c_int64] * 6,
            c_bool,
            *[c_double] * 2,
            *[c_void_p] * 3,
            POINTER(c_uint64),
            POINTER(c_void_p),
        ]
        launch.argtypes = [c_void_p, c_uint64, c_void_p, c_void_p]
        return workspace_size, launch

    def demand(self, status: int, entry_point: str) -> None:
        """Raise what CANN says about a status that is not 0."""
        if status != 0:
            said = (self.recent_error() or b"").decode(errors="replace").strip()
            raise RuntimeError(f"{entry_point} returned {status}: {said or 'CANN gave no reason'}")

    def tensor(self, tensor: torch.Tensor) -> int:
        """An aclTensor that views `tensor`; destroy it after the launch."""
        sizes = (c_int64 * max(tensor.dim(), 1))(*tensor.shape)
        strides = (c_int64 * max(tensor.dim(), 1))(*tensor.stride())
        dtype = _ACL_DTYPES[tensor.dtype]
        storage = tensor.untyped_storage()
        elements = (c_int64 * 1)(storage.nbytes() // tensor.element_size())
        handle = self.create_tensor(
            sizes, tensor.dim(), dtype, strides, tensor.storage_offset(), _FORMAT_ND, elements, 1, storage.data_ptr()
        )
        self.demand(0 if handle else -1, "aclCreateTensor")
        return handle


@functools.cache
def _cann() -> _Cann:
    return _Cann()


def npu_moe_gating_top_k(
    x: torch.Tensor,
    k: int,
    *,
    bias: torch.Tensor | None = None,
    input_ids: torch.Tensor | None = None,
    tid2eid: torch.Tensor | None = None,
    k_group: int = 1,
    group_count: int = 1,
    group_select_mode: int = 0,
    renorm: int = 0,
    norm_type: int = 0,
    out_flag: bool = False,
    routed_scaling_factor: float = 1.0,
    eps: float = 1e-20,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The NPU kernel, asynchronous on the current stream of x's device.

    Raises:
        ValueError, TypeError: the arguments break one of the constraints C1 to C18.
        NotImplementedError: hash routing was asked for, and this CANN is older than aclnnMoeGatingTopKV2.
        RuntimeError: a CANN entry point failed; the message names it, its status and CANN's own words.
    """
    check(
        x,
        k,
        bias,
        k_group,
        group_count,
        group_select_mode,
        renorm,
        norm_type,
        out_flag,
        routed_scaling_factor,
        eps,
        input_ids,
        tid2eid,
    )
    tokens, experts = x.shape
    y = x.new_empty((tokens, k))
    expert_idx = x.new_empty((tokens, k), dtype=torch.int32)
    norm_out = x.new_empty((tokens, experts), dtype=torch.float32)
    import torch_npu

    cann = _cann()
    # The first call is older than hash routing, and every CANN has it.
    name, inputs = "aclnnMoeGatingTopK", [x, bias]
    if input_ids is not None:
        name, inputs = "aclnnMoeGatingTopKV2", [x, bias, input_ids, tid2eid]
    try:
        first_phase, second_phase = cann.phases(name, len(inputs))
    except AttributeError as error:
        raise NotImplementedError(f"the installed CANN has no {name} ({error})") from None
    with torch_npu.npu.device(x.device), ExitStack() as stack:

        def view(tensor: torch.Tensor | None) -> int | None:
            if tensor is None:
                return None
            handle = cann.tensor(tensor)
            stack.callback(cann.destroy_tensor, handle)
            return handle

        workspace_size, executor = c_uint64(), c_void_p()
        status = first_phase(
            *map(view, inputs),
            k,
            k_group,
            group_count,
            group_select_mode,
            renorm,
            norm_type,
            out_flag,
            routed_scaling_factor,
            eps,
            view(y),
            view(expert_idx),
            view(norm_out),
            byref(workspace_size),
            byref(executor),
        )
        cann.demand(status, f"{name}GetWorkspaceSize")
        # Freed to torch's allocator on return, which hands it out again in stream order only.
        workspace = x.new_empty((workspace_size.value,), dtype=torch.uint8)
        # Taking the raw stream drains torch_npu's task queue, so the order of launches holds.
        stream = torch_npu.npu.current_stream(x.device).npu_stream
        status = second_phase(workspace.data_ptr() or None, workspace_size, executor, stream)
        cann.demand(status, name)
    return y, expert_idx, norm_out
