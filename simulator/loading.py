"""Loading the stand-in before torch looks for CANN's libraries, in this process and in those that it starts."""

from __future__ import annotations

import os
import sys

from ascend_moe_gating.simulator.library import active, core, folder, open_libraries, real_cann


def load() -> bool:
    """Make torch_npu find the stand-in, here and in the processes that this one starts; call it before `import torch`.

    A second call does nothing, nor does one where LD_LIBRARY_PATH has led torch_npu to the stand-in already.

    Returns:
        True where the stand-in is in use, False where the machine has a CANN of its own, which is left alone.

    Raises:
        RuntimeError: torch is already imported without the stand-in.
        ValueError: an environment variable of the stand-in has a value that it cannot take.
    """
    in_use = active()
    if not in_use and real_cann():
        return False
    if not active() and "torch" in sys.modules:
        raise RuntimeError("ascend_moe_gating.simulator.load() must be called before torch is imported")
    open_libraries()
    core("it was just loaded")
    _show_to_children()
    if not in_use:
        print("ascend_moe_gating: no CANN on this machine, torch_npu runs on the host stand-in", file=sys.stderr)
    return True


def _show_to_children() -> None:
    """Let the processes that this one starts find the stand-in where they look for CANN's libraries."""
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    if (own := str(folder() / "cann")) not in folders:
        os.environ["LD_LIBRARY_PATH"] = ":".join([own, *filter(None, folders)])
