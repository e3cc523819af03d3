"""What makes the checks, in a process of its own if that can be: it tells what it does, event by event.

Events are plain data: environment, plan, begin (of a check), asks (the call), done (its outcome).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

Emit = Callable[[dict[str, Any]], None]
_ON_CPU = "TORCH_DEVICE_BACKEND_AUTOLOAD"


class CannotRun(Exception):
    """There is nothing to verify here; the text says what to do."""


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for; `vector` is another version of the CPU kernel than the first."""

    device: str = ""  # npu, cpu, or what is there
    stand_in: bool = False
    quick: bool = False
    paths: tuple[str, ...] = ()  # keys; none: all
    vector: str = ""


def work(wanted: Wanted, start: int, emit: Emit) -> None:
    """Make the checks from this one on.

    Raises:
        CannotRun: there is no such device.
    """
    if wanted.vector:
        os.environ["ASCEND_MOE_GATING_VECTOR"] = wanted.vector
    device, instead = _prepare(wanted)
    from ascend_moe_gating.plugin.verify import environment
    from ascend_moe_gating.plugin.verify.checks import Device
    from ascend_moe_gating.plugin.verify.plan import Plan

    paths, absent = environment.paths(device, first=not wanted.vector)
    chosen = [path for path in paths if not wanted.paths or path.key.split("-")[0] in wanted.paths]
    more = environment.other_vectors() if device == "cpu" and not wanted.vector else []
    emit({"event": "environment", "device": device, "vectors": more, **environment.described(device)})
    plan = Plan(Device(device), chosen, wanted.quick)
    not_run = [*absent, *plan.not_run]
    if instead:
        not_run.insert(0, ("NPU", instead))
    not_run += [(path.title, "--path asks for others") for path in paths if path not in chosen]
    begins: dict[str, int] = {}
    for index, check in enumerate(plan.checks):
        begins.setdefault(check.path, index)
    left_out = [list(left) for left in not_run]
    emit({"event": "plan", "checks": len(plan.checks), "begins": begins, "not_run": left_out})
    for index, check in enumerate(plan.checks[start:], start):
        emit({"event": "begin", "index": index, "path": check.path, "group": check.group})
        begun, said = time.perf_counter(), [""]

        def tell(words: str, said: list[str] = said) -> None:
            said[0] = words
            emit({"event": "asks", "call": words})

        outcome = _made(check, tell, said)
        emit({"event": "done", "outcome": asdict(outcome), "seconds": time.perf_counter() - begun})


def _made(check: Any, tell: Callable[[str], None], said: list[str]) -> Any:
    """An error that no check expects is a finding too."""
    from ascend_moe_gating.plugin.verify.checks import first_lines
    from ascend_moe_gating.plugin.verify.outcome import Outcome

    try:
        return check.run(tell)
    except Exception as error:
        return Outcome().fails(said[0], "error", f"{type(error).__name__}: {first_lines(error)}")


def _prepare(wanted: Wanted) -> tuple[str, str]:
    """Import what is needed for the device. Returns its name, and why it is no NPU where none was asked for."""
    from ascend_moe_gating import simulator

    if wanted.stand_in and not simulator.load():
        raise CannotRun("this machine has a CANN of its own, which the stand-in never replaces: leave --stand-in out")
    if "torch" not in sys.modules:
        os.environ[_ON_CPU] = "0"  # torch_npu is imported below, where its error can be told
    import ascend_moe_gating
    from ascend_moe_gating.plugin.environment import packages

    if wanted.device == "cpu":
        ascend_moe_gating.status()
        return "cpu", ""
    missing = packages.missing_torch_npu() or _no_device()
    ascend_moe_gating.status()
    if not missing:
        return "npu", ""
    if wanted.device == "npu" or wanted.stand_in:
        raise CannotRun(
            f"the NPU is {missing}. If this machine has CANN, source its set_env.sh first. Without an NPU, "
            "--device cpu verifies the CPU kernel, and --stand-in runs torch_npu on the host stand-in for CANN."
        )
    return "cpu", missing


def _no_device() -> str:
    import torch

    npu: Any = torch.npu  # type: ignore[attr-defined]
    return "" if npu.is_available() and npu.device_count() else "not available (torch_npu finds no device)"
