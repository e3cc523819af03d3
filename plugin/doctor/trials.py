"""Tries the steps of probe.py: which ones, in which processes, and what is not tried as it stands on what is broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ascend_moe_gating.plugin.doctor import subprocesses
from ascend_moe_gating.plugin.doctor.paths import PATHS

CPU = [name for name, path in PATHS.items() if path.tensors == "CPU"]
NPU = [name for name, path in PATHS.items() if path.tensors == "NPU"]
WITHOUT_AUTOLOAD = {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}
_STANDS_ON = {
    "torch_npu": ("torch",),
    "torchair": ("torch", "torch_npu"),
    "device": ("torch", "torch_npu"),
    **dict.fromkeys(CPU, ("torch",)),
    **dict.fromkeys(NPU, ("torch", "torch_npu", "device")),
}
_PATIENCE = 3  # paths that are broken until the others are given up


@dataclass
class Outcome:
    """Answers by step, and the steps that were not tried, with the one that is broken and they stand on."""

    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)

    def state(self, step: str) -> str:
        return self.answers.get(step, {}).get("state", "")

    def broken(self) -> list[str]:
        return [step for step in self.answers if self.state(step) == "broken"]


@dataclass(frozen=True)
class Trials:
    """How steps are tried: on the stand-in or not, the seconds for each, the folder, and whom to tell what begins."""

    stand_in: bool
    limit: float
    folder: str
    begins: Callable[[str], object]

    def on_cpu(self, environment: Mapping[str, str]) -> Outcome:
        """Torch as the user imports it, and the paths of CPU tensors."""
        return self._tried(["torch", *CPU], environment)

    def on_npu(self, with_torch_npu: bool) -> Outcome:
        """Torch alone, then torch_npu, torchair, the device and its paths."""
        more = ["torch_npu", "torchair", "device", *NPU] if with_torch_npu else []
        return self._tried(["cann", "torch", *more], WITHOUT_AUTOLOAD)

    def _tried(self, steps: Sequence[str], environment: Mapping[str, str]) -> Outcome:
        """What becomes of the steps. Those behind a broken one get a new process."""
        outcome, head = Outcome(), ["load_stand_in"] if self.stand_in else []
        while rest := [step for step in steps if step not in outcome.answers and step not in outcome.blocked]:
            new = subprocesses.run([*head, *rest], self.limit, self.folder, environment, self.begins)
            outcome.answers |= new
            last = list(new)[-1]
            if new[last]["state"] != "broken":
                continue
            for step in rest:
                if step not in outcome.answers and self._given_up(step, last, outcome):
                    outcome.blocked[step] = last
        return outcome

    @staticmethod
    def _given_up(step: str, broken: str, outcome: Outcome) -> bool:
        hung = subprocesses.HUNG in outcome.answers[broken]["reason"]
        enough = len([name for name in outcome.broken() if name in PATHS]) >= _PATIENCE
        return hung or enough or broken in ("load_stand_in", *_STANDS_ON.get(step, ()))
