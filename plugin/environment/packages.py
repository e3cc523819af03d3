"""Whether torch_npu and torchair are there, and if not, why."""

from __future__ import annotations

import functools
import sys
from importlib.util import find_spec


@functools.cache  # what fails once may fail otherwise when it is tried again
def missing_torch_npu() -> str:
    """Import torch_npu where it is installed; the reason if it is not there, else nothing."""
    try:
        import torch_npu  # noqa: F401
    except Exception as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == "torch_npu"
        reason = "torch_npu is not installed" if absent else f"torch_npu does not load: {error}"
        return f"not available ({reason})"
    return ""


def missing_torchair() -> str:
    """The reason if torchair, which is a part of torch_npu, is not there, else nothing. It is not loaded."""
    if missing := missing_torch_npu():
        return missing
    if "torchair" in sys.modules or find_spec("torchair") is not None:
        return ""
    return f"not available (torch_npu {sys.modules['torch_npu'].__version__} has no torchair)"
