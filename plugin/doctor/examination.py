"""Examines the installation: what is there, what runs each path, and what is to be mended."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any

from ascend_moe_gating.plugin.doctor import installation, remedies, subprocesses
from ascend_moe_gating.plugin.doctor.trials import CPU, NPU, WITHOUT_AUTOLOAD, Outcome, Trials

(_AUTOLOAD,) = WITHOUT_AUTOLOAD
_MODULES = ("torch", "torch_npu", "torchair", "numpy", "google", "packaging", "yaml")


@dataclass
class Problem:
    """Something to be mended: the words of what failed, what they mean, and commands, each with the case it is for."""

    label: str
    words: str
    meaning: str
    commands: tuple[tuple[str, str], ...]


@dataclass
class Row:
    """A path: it works, is refused by the CANN that is there, absent from what is installed, or broken."""

    state: str
    text: str  # what runs it, or why nothing does
    problem: int | None = None  # its number in Examination.problems, counted from 1


@dataclass
class Examination:
    """What was found: facts by name, a row for each of paths.PATHS, what is to be mended, and what may be of use."""

    facts: dict[str, str | None] = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def examine(stand_in: bool, limit: float, begins: Callable[[str], object]) -> Examination:
    """Examine the installation that this process belongs to.

    Args:
        stand_in: Whether NPU tensors are to be on the host stand-in for CANN.
        limit: Seconds that each step may take.
        begins: Called with the first of some steps when their process starts.
    """
    examiner = _Examiner(stand_in)
    examiner.look()
    try:
        folder: Any = TemporaryDirectory(prefix="doctor-", ignore_cleanup_errors=True)
    except OSError as error:
        examiner.found.notes.append(f"there is no place for temporary files: {error}")
        examiner.try_out(Trials(stand_in, limit, "", begins))
    else:
        with folder as name:
            examiner.try_out(Trials(stand_in, limit, name, begins))
    return examiner.found


class _Examiner:
    def __init__(self, stand_in: bool) -> None:
        self.stand_in, self.found = stand_in, Examination()
        self.versions = {name: installation.version(name) for name in ("torch", "torch_npu", "numpy")}
        self.places = {name: installation.place(name) for name in _MODULES}
        torch = self.versions["torch"] or ""
        known = torch[:1].isdigit()
        self.fields = {
            "torch": torch.partition("+")[0] if known else "X.Y.Z",
            "torch_npu": remedies.torch_npu_for(torch) if known else "torch_npu==X.Y.Z",
            "set_env": shlex.quote(installation.set_env()),
        }
        self.shadowed = 0  # the problem of a file that hides a package: whatever fails may fail for it

    def look(self) -> None:
        """Find what files and variables tell."""
        for module in _MODULES:
            if file := installation.shadow(module):
                self.shadowed = self._problem(f"{file} hides the one that is installed")
        for wrong in installation.wrong_files():
            self._problem(f"own file: {wrong}")
        for wrong in installation.wrong_switches():
            self._problem(wrong)
        for variable in installation.unknown_variables():
            self.found.notes.append(f"{variable} is set, and this package has no such variable")

    def try_out(self, trials: Trials) -> None:
        """Try the paths, and judge."""
        if self.places["torch"] is None:
            self._block((*CPU, *NPU), "torch is not installed", self._problem("No module named 'torch'"))
            self._tell(Outcome(), Outcome())
            return
        with ThreadPoolExecutor(2) as pool:
            try:
                tasks = (
                    pool.submit(trials.on_cpu, {}),
                    pool.submit(trials.on_npu, self.places["torch_npu"] is not None),
                )
                on_cpu, on_npu = (task.result() for task in tasks)
            except BaseException:  # as KeyboardInterrupt
                subprocesses.end_all()
                raise
        self._judge_npu(on_npu)
        self._judge_cpu(on_cpu, on_npu, trials)
        self._tell(on_cpu, on_npu)

    def _judge_npu(self, outcome: Outcome) -> None:
        cann = self.stand_in or outcome.answers.get("cann", {}).get("loads", False)
        if self.places["torch_npu"] is None:
            command = f"pip install --no-deps '{self.fields['torch_npu']}'"
            self._absent("torch_npu is not installed")
            if self.stand_in:
                self._block(NPU, "torch_npu is not installed", self._problem("No module named 'torch_npu'"))
            elif cann:
                self.found.notes.append(f"CANN is there and torch_npu is not: {command}")
        elif outcome.state("torch_npu") == "broken" and not cann and os.environ.get(_AUTOLOAD) == "0":
            self._absent(f"no CANN, and {_AUTOLOAD}=0 leaves torch_npu out")
        else:
            self._judge(NPU, outcome, "torch_npu")
            if outcome.state("torchair") == "broken":
                self._explained(outcome, "torchair", "torchair")

    def _judge_cpu(self, outcome: Outcome, on_npu: Outcome, trials: Trials) -> None:
        if on_npu.state("torch") == "broken":  # without torch_npu, so it is torch itself
            outcome = Outcome(on_npu.answers, dict.fromkeys(CPU, "torch"))
        autoload = self.places["torch_npu"] is not None and os.environ.get(_AUTOLOAD) != "0"
        by_autoload = outcome.state("torch") == "broken" and on_npu.state("torch") == "works" and autoload
        self._judge(CPU, outcome, "torch_npu" if by_autoload else "torch")
        if by_autoload:
            then = "work" if not trials.on_cpu(WITHOUT_AUTOLOAD).broken() else "do not work either"
            self.found.notes.append(f"tried: with {_AUTOLOAD}=0 CPU tensors {then}")

    def _judge(self, names: Iterable[str], outcome: Outcome, torch_is: str) -> None:
        for name in names:
            if name in outcome.blocked:
                step = outcome.blocked[name]
                number = self._explained(outcome, step, torch_is)
                self._block([name], f"not tried: {_WORDS.get(step, step)}", number)
            elif outcome.state(name) == "broken":
                self._block([name], outcome.answers[name]["reason"], self._explained(outcome, name, torch_is))
            else:
                answer = outcome.answers[name]
                self.found.rows[name] = Row(answer["state"], answer.get("runs_by") or answer["reason"])

    def _explained(self, outcome: Outcome, step: str, torch_is: str) -> int:
        """The problem of a broken step; what import torch breaks by, if no pattern knows it."""
        answer = outcome.answers[step]
        what = torch_is if step == "torch" else step if step in remedies.UNKNOWN else "path"
        return self.shadowed or self._problem(answer.get("text") or answer["reason"], what, answer["reason"])

    def _problem(self, text: str, what: str = "path", words: str = "") -> int:
        found = remedies.find(text, what, self.fields)
        for number, known in enumerate(self.found.problems, 1):
            if (known.label, known.commands) == (found.label, found.commands) and found.label != "unknown":
                return number
        self.found.problems.append(Problem(found.label, found.line or words, found.meaning, found.commands))
        return len(self.found.problems)

    def _block(self, names: Iterable[str], text: str, problem: int) -> None:
        self.found.rows |= {name: Row("broken", text, problem) for name in names}

    def _absent(self, reason: str) -> None:
        self.found.rows |= {name: Row("absent", reason) for name in NPU}

    def _tell(self, on_cpu: Outcome, on_npu: Outcome) -> None:
        answers = {**on_cpu.answers, **on_npu.answers}
        device, torch = answers.get("device", {}), answers.get("torch", {})
        numpy = self.versions["numpy"] or ("of unknown version" if self.places["numpy"] else None)
        cann = device.get("cann") or ("of unknown version" if answers.get("cann", {}).get("loads") else None)
        kernel = self.found.rows[CPU[0]].text.partition("(")[2].partition(")")[0]
        self.found.facts = {
            "package": installation.version(installation.PACKAGE),
            "python": f"{platform.python_version()}, {sys.executable}",
            "torch": self._version("torch", torch),
            "torch_npu": self._version("torch_npu", answers.get("torch_npu", {})),
            "torchair": self._torchair(answers.get("torchair", {})),
            "cann": f"{cann}, the host stand-in for it" if device.get("stand_in") else cann,
            "npu": f"{device['soc']}, {device['devices']} of them" if "soc" in device else None,
            "numpy": numpy,
            "glibc": installation.glibc(),
            "processor": installation.processor(),
            "kernel": kernel if self.found.rows[CPU[0]].state == "works" else None,
        }

    def _torchair(self, answer: dict[str, Any]) -> str | None:
        file = str(answer.get("file") or self.places["torchair"] or "")
        return "that of torch_npu" if "/torch_npu/" in file else file or None

    def _version(self, name: str, answer: dict[str, Any]) -> str | None:
        """What the module itself says counts; else its metadata."""
        if self.places[name] is None:
            return None
        version = answer.get("version") or self.versions[name] or "of unknown version"
        return f"{version}, built for CUDA {answer['cuda']}" if answer.get("cuda") else version


_WORDS = {
    "load_stand_in": "the stand-in does not load",
    "torch": "import torch fails",
    "torch_npu": "import torch_npu fails",
    "device": "the device does not work",
}
