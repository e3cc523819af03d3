"""Loading the stand-in before torch looks for CANN's libraries, in this process and in those that it starts."""

from __future__ import annotations

import os
import sys

from ascend_moe_gating.simulator.library import active, core, folder, open_libraries, real_cann
from ascend_moe_gating.simulator.releases import set_variables, stand_for


def load(*, cann: str | None = None, soc: str | None = None) -> bool:
    """Make torch_npu find the stand-in, here and in the processes that this one starts; call it before `import torch`.

    A second call changes no more than which CANN the stand-in stands for, nor does one where LD_LIBRARY_PATH has led
    torch_npu to it already.

    Args:
        cann: The release of CANN that it stands for, 8.3, 8.5.0, 9.0.0, 9.1.0 or newest, which is the default: what
            ASCEND_MOE_GATING_CANN says otherwise.
        soc: The NPU, Ascend910B1, which is the default, Ascend910_9391 or Ascend950PR_9579: what ASCEND_MOE_GATING_SOC
            says otherwise.

    Returns:
        True where the stand-in is in use, False where the machine has a CANN of its own, which is left alone.

    Raises:
        RuntimeError: torch is already imported without the stand-in.
        ValueError: an argument or an environment variable of the stand-in has a value that it cannot take.
    """
    in_use = active()
    if not in_use and real_cann():
        return False
    if not active() and "torch" in sys.modules:
        raise RuntimeError("ascend_moe_gating.simulator.load() must be called before torch is imported")
    open_libraries()
    core("it was just loaded")
    stand_for(cann, soc)
    set_variables(cann, soc)
    _show_to_children()
    if not in_use:
        print("ascend_moe_gating: no CANN on this machine, torch_npu runs on the host stand-in", file=sys.stderr)
    return True


def _show_to_children() -> None:
    """Let the processes that this one starts find the stand-in where they look for CANN's libraries."""
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    if (own := str(folder() / "cann")) not in folders:
        os.environ["LD_LIBRARY_PATH"] = ":".join([own, *filter(None, folders)])
