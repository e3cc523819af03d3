"""The libraries under CANN's names, and whether they are in use."""

from __future__ import annotations

import ctypes
import functools
import importlib.resources
import os
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
    "mspti",
)

_CORE = "libhost_cann.so"
_TEXTS = (
    "aclGetRecentErrMsg",
    "aclrtGetSocName",
    "host_cann_allocations",
    "host_cann_log_take",
    "host_cann_release",
    "host_cann_wrong_setting",
)


@functools.cache
def _open(path: str, mode: int) -> ctypes.CDLL:
    library = ctypes.CDLL(path, mode)
    for name in _TEXTS:
        getattr(library, name).restype = ctypes.c_char_p
    return library


def _loaded() -> ctypes.CDLL | None:
    """The library behind CANN's names if this process has it, in whichever way it came in."""
    try:
        return _open(_CORE, os.RTLD_NOLOAD)
    except OSError:
        return None


def active() -> bool:
    """Whether this process runs on the stand-in."""
    return _loaded() is not None


def core(purpose: str) -> ctypes.CDLL:
    """The library behind CANN's names.

    Raises:
        RuntimeError: the stand-in is not in use; the message says what it was needed for.
        ValueError: an environment variable of the stand-in has a value that it cannot take.
    """
    library = _loaded()
    if library is None:
        raise RuntimeError(f"{purpose}: the stand-in for CANN is not in use")
    if wrong := library.host_cann_wrong_setting().decode():
        raise ValueError(wrong)
    return library


@functools.cache
def real_cann() -> bool:
    """Whether the machine's own CANN can be loaded."""
    try:
        library = ctypes.CDLL("libascendcl.so")
    except OSError:
        return False
    return not hasattr(library, "host_cann_fault_add")  # what LD_LIBRARY_PATH leads to may be the stand-in


def folder() -> Path:
    return Path(str(importlib.resources.files("ascend_moe_gating") / "lib"))


def open_libraries() -> None:
    """Load the libraries under CANN's names."""
    if not active():
        _open(str(folder() / _CORE), ctypes.RTLD_GLOBAL)
    for name in _CANN_LIBRARIES:
        ctypes.CDLL(str(folder() / "cann" / f"lib{name}.so"), ctypes.RTLD_GLOBAL)
