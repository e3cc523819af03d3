"""Loading the stand-in: the libraries under CANN's names, before torch looks for them."""

from __future__ import annotations

import ctypes
import functools
import importlib.resources
import os
import re
import sys
from pathlib import Path

from ascend_moe_gating.simulator.faults import add_faults_of_the_environment

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

# What a user may set, with the rule and an example of it.
_SETTINGS = {
    "ASCEND_MOE_GATING_SIMULATOR_DEVICES": (r"[1-9]|1[0-6]", "a number of devices, 1 to 16"),
    "ASCEND_MOE_GATING_SIMULATOR_MEMORY": (r"[1-9][0-9]*", "the bytes of memory of each device"),
}

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


def for_children() -> None:
    """Let the processes that this one starts find the stand-in where they look for CANN's libraries."""
    if active():
        folders = [str(_folder() / "cann"), os.environ.get("LD_LIBRARY_PATH")]
        os.environ["LD_LIBRARY_PATH"] = ":".join(filter(None, folders))


def _folder() -> Path:
    return Path(str(importlib.resources.files("ascend_moe_gating") / "lib"))


def load() -> bool:
    """Make torch_npu find the stand-in; call it before `import torch`. A second call does nothing.

    Returns:
        True where the stand-in is in use, False where the machine has a CANN of its own, which is left alone.

    Raises:
        RuntimeError: torch is already imported without the stand-in.
        ValueError: an environment variable of the stand-in has a value that it cannot take.
    """
    global _core
    if active():
        return True
    if real_cann():
        return False
    if "torch" in sys.modules:
        raise RuntimeError("ascend_moe_gating.simulator.load() must be called before torch is imported")
    for name, (pattern, rule) in _SETTINGS.items():
        value = os.environ.get(name)
        if value is not None and not re.fullmatch(pattern, value):
            raise ValueError(f"{name} must be {rule}, got {value!r}")
    folder = _folder()
    library = ctypes.CDLL(str(folder / "libhost_cann.so"), ctypes.RTLD_GLOBAL)
    for name in _CANN_LIBRARIES:
        ctypes.CDLL(str(folder / "cann" / f"lib{name}.so"), ctypes.RTLD_GLOBAL)
    library.host_cann_log_take.restype = ctypes.c_char_p
    library.host_cann_allocations.restype = ctypes.c_char_p
    add_faults_of_the_environment(library)
    _core = library
    # Without torch_npu's launch thread an operation that fails does so on the line that called it.
    os.environ.setdefault("TASK_QUEUE_ENABLE", "0")
    print("ascend_moe_gating: no CANN on this machine, torch_npu runs on the host stand-in", file=sys.stderr)
    return True
