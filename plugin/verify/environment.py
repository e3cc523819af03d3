"""What the checks run on, in words that name nobody's machine, and which paths there are."""

from __future__ import annotations

import os
import platform
import sys
from importlib.util import find_spec
from typing import Any

import numpy
import torch

import ascend_moe_gating
from ascend_moe_gating import simulator
from ascend_moe_gating.plugin.cpu import kernel
from ascend_moe_gating.plugin.environment import cann, packages
from ascend_moe_gating.plugin.verify.paths import NPU_PATHS, Path, cpu_paths
from ascend_moe_gating.plugin.verify.question import OPERATORS
from ascend_moe_gating.plugin.verify.scrub import scrub

_SWITCHES = ("ASCEND_LAUNCH_BLOCKING", "TASK_QUEUE_ENABLE")


def paths(device: str, first: bool) -> tuple[tuple[Path, ...], list[tuple[str, str]]]:
    """The paths that there are, and those that are missing, with the reason. `first`: of the best vector version."""
    if device == "cpu":
        return cpu_paths(kernel.vector(), first), []
    there, absent = [], []
    for path in NPU_PATHS:
        if why := _missing(path):
            absent.append((path.title, why))
        else:
            there.append(path)
    return tuple(there), absent


def _missing(path: Path) -> str:
    if path.key == "captured":
        return "" if hasattr(torch.npu, "NPUGraph") else "the installed torch_npu has no NPUGraph"  # type: ignore[attr-defined]
    if not path.compiles:
        return ""
    if missing := packages.missing_torchair():
        return missing
    try:
        import torchair  # noqa: F401
    except Exception as error:
        return f"torchair does not load: {error}"
    return ""


def other_vectors() -> list[str]:
    return kernel.versions()[1:]


def described(device: str) -> dict[str, Any]:
    """Rows of the report's table, and whether the NPU is the stand-in."""
    stand_in = simulator.active()
    rows = {
        "ascend-moe-gating": ascend_moe_gating.__version__,
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "torch_npu": getattr(sys.modules.get("torch_npu"), "__version__", "") or _not_loaded(),
        "torchair": packages.missing_torchair() or "a part of torch_npu",
        "numpy": numpy.__version__,
        "machine": f"{platform.system()} on {platform.machine()}, {os.cpu_count()} processors",
        "CPU kernel": ascend_moe_gating.status().cpu,
        **_npu_rows(device, stand_in),
        "switches": ", ".join(f"{name}={value}" for name, value in sorted(os.environ.items()) if _is_switch(name))
        or "none is set",
    }
    return {"stand_in": stand_in and device == "npu", "rows": {name: scrub(text) for name, text in rows.items()}}


def _npu_rows(device: str, stand_in: bool) -> dict[str, str]:
    if device == "cpu":
        return {}
    rows = {"CANN": f"{cann.present()}{', played by the host stand-in: not an NPU' if stand_in else ''}"}
    for operator in OPERATORS:
        status = ascend_moe_gating.status(operator)
        rows[operator] = f"{status.definition}; {status.npu}; {status.cann}"
    return rows


def _not_loaded() -> str:
    return packages.missing_torch_npu() if find_spec("torch_npu") else "not installed"


def _is_switch(name: str) -> bool:
    return name.startswith("ASCEND_MOE_GATING_") or name in _SWITCHES
