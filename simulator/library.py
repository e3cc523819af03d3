"""The libraries under CANN's names, and whether they are in use."""

from __future__ import annotations

import ctypes
import functools
import importlib.resources
from pathlib import Path

# In the order in which they depend on nothing loaded later; the loader matches the names that are inside the files.
_CANN_LIBRARIES = (
    "ascendcl",
    "hccl",
    "acl_op_compiler",
    "ge_runner",
    "graph",
    "acl_tdt_channel",
    "fmk_parser",
    "ascend_protobuf",
    "opapi",
)

_core: ctypes.CDLL | None = None


def active() -> bool:
    """Whether this process runs on the stand-in."""
    return _core is not None


def core(purpose: str) -> ctypes.CDLL:
    """The library behind CANN's names.

    Raises:
        RuntimeError: the stand-in is not in use; the message says what it was needed for.
    """
    if _core is None:
        raise RuntimeError(f"{purpose}: the stand-in for CANN is not in use")
    return _core


@functools.cache
def real_cann() -> bool:
    """Whether the machine's own CANN can be loaded."""
    try:
        library = ctypes.CDLL("libascendcl.so")
    except OSError:
        return False
    return not hasattr(library, "host_cann_fault_add")  # what for_children() shows is the stand-in


def folder() -> Path:
    return Path(str(importlib.resources.files("ascend_moe_gating") / "lib"))


def open_libraries() -> ctypes.CDLL:
    """Load the libraries under CANN's names."""
    core_library = ctypes.CDLL(str(folder() / "libhost_cann.so"), ctypes.RTLD_GLOBAL)
    for name in _CANN_LIBRARIES:
        ctypes.CDLL(str(folder() / "cann" / f"lib{name}.so"), ctypes.RTLD_GLOBAL)
    core_library.host_cann_log_take.restype = ctypes.c_char_p
    core_library.host_cann_allocations.restype = ctypes.c_char_p
    return core_library


def use(core_library: ctypes.CDLL) -> None:
    """From now on the stand-in is in use."""
    global _core
    _core = core_library
