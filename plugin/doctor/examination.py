"""Examines the installation: what is there, what runs each path, and what is to be mended."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any

from ascend_moe_gating.plugin.doctor import installation, remedies, subprocesses
from ascend_moe_gating.plugin.doctor.paths import PATHS
from ascend_moe_gating.plugin.doctor.trials import CPU, NPU, WITHOUT_AUTOLOAD, Outcome, Trials

(_AUTOLOAD,) = WITHOUT_AUTOLOAD
_LABELS = [remedy.label for remedy in remedies.REMEDIES]
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
    try:
        _examine(examiner, stand_in, limit, begins)
    except Exception as error:  # no more threads, files, memory: what is found so far is not lost
        examiner.fail(error)
    return examiner.found


def _examine(examiner: _Examiner, stand_in: bool, limit: float, begins: Callable[[str], object]) -> None:
    examiner.look()
    try:
        folder: Any = TemporaryDirectory(prefix="doctor-", ignore_cleanup_errors=True)
    except OSError as error:
        examiner.found.notes.append(f"there is no place for temporary files: {error}")
        examiner.try_out(Trials(stand_in, limit, "", begins))
    else:
        with folder as name:
            examiner.try_out(Trials(stand_in, limit, name, begins))


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
        self.suspects: dict[str, int] = {}  # problems that files tell of: what fails may fail for them

    def look(self) -> None:
        """Find what files and variables tell."""
        for module in _MODULES:
            if file := installation.shadow(module):
                self.suspects.setdefault("shadow", self._problem(f"{file} hides the one that is installed"))
        for wrong in installation.wrong_files():
            self.suspects.setdefault("own files", self._problem(f"own file: {wrong}"))
        if installation.version(installation.PACKAGE) is None:
            self.found.notes.append("this package has no metadata: it was copied, or is half there")
        for wrong in installation.wrong_switches():
            self._problem(wrong)
        for variable in installation.unknown_variables():
            self.found.notes.append(f"{variable} is set, and this package has no such variable")

    def try_out(self, trials: Trials) -> None:
        """Try the paths, and judge."""
        if self.places["torch"] is None:
            self._block(CPU, "torch is not installed", self._problem("No module named 'torch'"))
            self._judge_npu(Outcome({}, dict.fromkeys(NPU, "torch")))
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

    def fail(self, error: Exception) -> None:
        """The command itself has failed."""
        text = "".join(traceback.format_exception(error))
        number = self._problem(text, "path", "this command", traceback.format_exception_only(error)[-1].strip())
        self._block([name for name in PATHS if name not in self.found.rows], "not tried: this command fails", number)

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
            self._judge(NPU, outcome, "torch")
            if outcome.state("torchair") == "broken":
                self._explained(outcome, "torchair", "torchair")

    def _judge_cpu(self, outcome: Outcome, on_npu: Outcome, trials: Trials) -> None:
        if on_npu.state("torch") == "broken":  # without torch_npu, so it is torch itself
            outcome = Outcome(on_npu.answers, dict.fromkeys(CPU, "torch"))
        autoload = self.places["torch_npu"] is not None and os.environ.get(_AUTOLOAD) != "0"
        by_autoload = outcome.state("torch") == "broken" and on_npu.state("torch") == "works" and autoload
        if by_autoload and on_npu.state("torch_npu") == "broken":
            words = "not tried: import torch fails, as it imports torch_npu"
            self._block(CPU, words, self._explained(on_npu, "torch_npu", "torch_npu"))
        else:
            self._judge(CPU, outcome, "torch_npu" if by_autoload else "torch")
        if by_autoload:
            then = "work" if not trials.on_cpu(WITHOUT_AUTOLOAD).broken() else "do not work either"
            self.found.notes.append(f"tried: with {_AUTOLOAD}=0 CPU tensors {then}")

    def _judge(self, names: Iterable[str], outcome: Outcome, torch_is: str) -> None:
        for name in names:
            if name in outcome.blocked:
                step = outcome.blocked[name]
                number = self._explained(outcome, step, torch_is)
                words = f"given up behind {_title(step)}" if step in PATHS else f"not tried: {_title(step)} fails"
                self._block([name], words, number)
            elif outcome.state(name) == "broken":
                self._block([name], outcome.answers[name]["reason"], self._explained(outcome, name, torch_is))
            else:
                answer = outcome.answers[name]
                self.found.rows[name] = Row(answer["state"], answer.get("runs_by") or answer["reason"])

    def _explained(self, outcome: Outcome, step: str, torch_is: str) -> int:
        """The problem of a broken step; what import torch breaks by, if no pattern knows it."""
        answer = outcome.answers.get(step) or {"reason": f"No module named '{step}'"}
        reason, what = answer["reason"], torch_is if step == "torch" else step if step in remedies.UNKNOWN else "path"
        return self._problem(answer.get("text") or reason, what, _title(step), reason)

    def _problem(self, text: str, what: str = "path", title: str = "", reason: str = "") -> int:
        """The number of a problem by the words of a failure: one that is known already, if it is the same."""
        found = remedies.find(text, what, self.fields)
        if title and self.suspects and (found.label not in _LABELS or "shadow" in self.suspects):
            return next(iter(self.suspects.values()))
        words = f"{title and f'{title}: '}{found.line or reason}"
        for number, known in enumerate(self.found.problems, 1):
            if (known.label, known.commands) == (found.label, found.commands) and (found.line or known.words == words):
                return number
        self.found.problems.append(Problem(found.label, words, found.meaning, found.commands))
        return len(self.found.problems)

    def _block(self, names: Iterable[str], text: str, problem: int) -> None:
        self.found.rows |= {name: Row("broken", text, problem) for name in names}

    def _absent(self, reason: str) -> None:
        self.found.rows |= {name: Row("absent", reason) for name in NPU}

    def _tell(self, on_cpu: Outcome, on_npu: Outcome) -> None:
        answers = {**on_cpu.answers, **on_npu.answers}
        device, torch = answers.get("device", {}), answers.get("torch", {})
        numpy = self.versions["numpy"] or ("of unknown version" if self.places["numpy"] else None)
        there = self.stand_in or answers.get("cann", {}).get("loads")
        cann = device.get("cann") or ("there, of unknown version" if there else None)
        kernel = self.found.rows[CPU[0]].text.partition("(")[2].partition(")")[0]
        self.found.facts = {
            "package": str(getattr(sys.modules["ascend_moe_gating"], "__version__", None)),
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


def _title(step: str) -> str:
    titles = {"load_stand_in": "the stand-in", "device": "the device"}
    return PATHS[step].title if step in PATHS else titles.get(step, f"import {step}")
