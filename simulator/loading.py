"""Loading the stand-in before torch looks for CANN's libraries, in this process and in those that it starts."""

from __future__ import annotations

import os
import re
import sys

from ascend_moe_gating.simulator.faults import add_faults_of_the_environment
from ascend_moe_gating.simulator.library import active, folder, open_libraries, real_cann, use

# What a user may set, with the rule and an example of it.
_SETTINGS = {
    "ASCEND_MOE_GATING_SIMULATOR_DEVICES": (r"[1-9]|1[0-6]", "a number of devices, 1 to 16"),
    "ASCEND_MOE_GATING_SIMULATOR_MEMORY": (r"[1-9][0-9]*", "the bytes of memory of each device"),
}


def load() -> bool:
    """Make torch_npu find the stand-in; call it before `import torch`. A second call does nothing.

    Returns:
        True where the stand-in is in use, False where the machine has a CANN of its own, which is left alone.

    Raises:
        RuntimeError: torch is already imported without the stand-in.
        ValueError: an environment variable of the stand-in has a value that it cannot take.
    """
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
    library = open_libraries()
    add_faults_of_the_environment(library)
    use(library)
    # Without torch_npu's launch thread an operation that fails does so on the line that called it.
    os.environ.setdefault("TASK_QUEUE_ENABLE", "0")
    print("ascend_moe_gating: no CANN on this machine, torch_npu runs on the host stand-in", file=sys.stderr)
    return True


def for_children() -> None:
    """Let the processes that this one starts find the stand-in where they look for CANN's libraries."""
    if active():
        folders = [str(folder() / "cann"), os.environ.get("LD_LIBRARY_PATH")]
        os.environ["LD_LIBRARY_PATH"] = ":".join(filter(None, folders))
