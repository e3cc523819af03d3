"""A two-phase aclnn call on the current stream, through ctypes."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from contextlib import ExitStack
from ctypes import POINTER, byref, c_bool, c_char_p, c_double, c_int, c_int64, c_uint64, c_void_p
from typing import Any

import torch

from ascend_moe_gating.plugin.constraints.needs import Need, missing, with_needs
from ascend_moe_gating.plugin.constraints.rules import nothing_to_do
from ascend_moe_gating.plugin.constraints.signature import Parameter, Signature

_FORMAT_ND = 2
_ACL_DTYPES = {torch.float32: 0, torch.float16: 1, torch.int32: 3, torch.int64: 9, torch.bool: 12, torch.bfloat16: 27}
_C_TYPES: dict[str, Any] = {"Tensor": c_void_p, "int": c_int64, "bool": c_bool, "float": c_double}


def call(
    name: str,
    signature: Signature,
    given: Any,
    results: Sequence[torch.Tensor],
    without: Sequence[str] = (),
    needs: Sequence[Need] = (),
) -> None:
    """Launch CANN's call of this name, asynchronously on the current stream of the results' device.

    Without tokens nothing is launched.

    Args:
        name: aclnnMoeGatingTopK, ...; its parameters are those of the signature: the tensors, the numbers, the results.
        signature, given: The operator's signature, and a checked call of it.
        results: Contiguous, written by the call.
        without: Parameters that CANN's call does not have.
        needs: What only some CANN takes of such calls: a refusal says what is missing.

    Raises:
        NotImplementedError: the installed CANN has no such call.
        RuntimeError: an entry point failed; the message names it, its status and CANN's own words.
    """
    if nothing_to_do(given.x):
        return
    try:
        _launch(name, signature, given, results, without)
    except RuntimeError as error:
        if lacking := missing(given, needs):
            raise with_needs(error, lacking) from error
        raise


def _launch(
    name: str, signature: Signature, given: Any, results: Sequence[torch.Tensor], without: Sequence[str]
) -> None:
    import torch_npu

    cann, device = _cann(), results[0].device
    parameters = [p for p in signature.parameters if p.name not in without]
    parameters.sort(key=lambda parameter: parameter.schema_type != "Tensor")
    try:
        first_phase, second_phase = cann.phases(name, parameters, len(results))
    except AttributeError as error:
        raise NotImplementedError(f"the installed CANN has no {name} ({error})") from None
    with torch_npu.npu.device(device), ExitStack() as stack:

        def view(value: Any) -> Any:
            if not isinstance(value, torch.Tensor):
                return value
            handle = cann.tensor(value)
            stack.callback(cann.destroy_tensor, handle)
            return handle

        workspace_size, executor = c_uint64(), c_void_p()
        values = (*(getattr(given, parameter.name) for parameter in parameters), *results)
        status = first_phase(*map(view, values), byref(workspace_size), byref(executor))
        cann.demand(status, f"{name}GetWorkspaceSize")
        # Freed to torch's allocator on return, which hands it out again in stream order only.
        workspace = torch.empty((workspace_size.value,), dtype=torch.uint8, device=device)
        # Taking the raw stream drains torch_npu's task queue, so the order of launches holds.
        stream = torch_npu.npu.current_stream(device).npu_stream
        status = second_phase(workspace.data_ptr() or None, workspace_size, executor, stream)
        cann.demand(status, name)


class _Cann:
    """The entry points of libopapi and libascendcl that a call needs, with their C types."""

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

    def phases(self, name: str, parameters: Sequence[Parameter], results: int) -> tuple[Any, Any]:
        """The two phases of a call with these parameters and so many results.

        Raises:
            AttributeError: this CANN has no such call.
        """
        workspace_size, launch = getattr(self.opapi, f"{name}GetWorkspaceSize"), getattr(self.opapi, name)
        types = [_C_TYPES[parameter.schema_type] for parameter in parameters]
        workspace_size.argtypes = [*types, *[c_void_p] * results, POINTER(c_uint64), POINTER(c_void_p)]
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
