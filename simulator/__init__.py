"""A host stand-in for CANN: the published torch_npu and torchair run without an NPU.

    import ascend_moe_gating.simulator as simulator
    simulator.load()          # before `import torch`
    import torch, torch_npu   # unmodified

or, for a script as it is: `python -m ascend_moe_gating.simulator script.py [arguments]`.

It is never used where a real CANN can be loaded. What it does not do fails and names itself. It imports no torch.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.resources
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Launch", "Operand", "active", "load", "record"]

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


@functools.cache
def real_cann() -> bool:
    """Whether the machine's own CANN can be loaded."""
    try:
        ctypes.CDLL("libascendcl.so")
    except OSError:
        return False
    return True


def load() -> bool:
    """Make torch_npu find the stand-in; call it before `import torch`. A second call does nothing.

    Returns:
        True where the stand-in is in use, False where the machine has a CANN of its own, which is left alone.

    Raises:
        RuntimeError: torch is already imported without the stand-in.
    """
    global _core
    if active():
        return True
    if real_cann():
        return False
    if "torch" in sys.modules:
        raise RuntimeError("ascend_moe_gating.simulator.load() must be called before torch is imported")
    folder = Path(str(importlib.resources.files("ascend_moe_gating") / "lib"))
    core = ctypes.CDLL(str(folder / "libhost_cann.so"), ctypes.RTLD_GLOBAL)
    for name in _CANN_LIBRARIES:
        ctypes.CDLL(str(folder / "cann" / f"lib{name}.so"), ctypes.RTLD_GLOBAL)
    core.host_cann_log_take.restype = ctypes.c_char_p
    _core = core
    # Without torch_npu's launch thread an operation that fails does so on the line that called it.
    os.environ.setdefault("TASK_QUEUE_ENABLE", "0")
    print("ascend_moe_gating: no CANN on this machine, torch_npu runs on the host stand-in", file=sys.stderr)
    return True


@dataclass(frozen=True)
class Operand:
    """A tensor of a launch: sizes and strides in elements, dtype by torch's name."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Launch:
    """Something that ran: an aclnn call or a graph node, on a stream of a device. Attributes by CANN's names."""

    kind: str
    name: str
    device: int
    stream: int
    inputs: dict[str, Operand]
    outputs: dict[str, Operand]
    attributes: dict[str, Any]


@contextmanager
def record() -> Iterator[list[Launch]]:
    """Collect what runs inside the block; the list is filled when the block ends, in order of execution.

    Raises:
        RuntimeError: the stand-in is not in use.
    """
    if _core is None:
        raise RuntimeError("nothing to record: the stand-in for CANN is not in use")
    import torch_npu

    launches: list[Launch] = []
    torch_npu.npu.synchronize()
    _core.host_cann_log_take()
    _core.host_cann_log_start()
    try:
        yield launches
    finally:
        torch_npu.npu.synchronize()
        _core.host_cann_log_stop()
        launches.extend(map(_launch, _core.host_cann_log_take().decode().splitlines()))


def _launch(line: str) -> Launch:
    fields = json.loads(line)
    for side in ("inputs", "outputs"):
        fields[side] = {
            name: Operand(tuple(operand["shape"]), tuple(operand["strides"]), operand["dtype"])
            for name, operand in fields[side].items()
        }
    return Launch(**fields)
