"""Which checks there are, path by path, and what is left out and why."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import SIGNATURE
from ascend_moe_gating.plugin.verify import asked, crossed, needs, sets
from ascend_moe_gating.plugin.verify.broken import Broken, broken_calls
from ascend_moe_gating.plugin.verify.checks import Device, check_answer, check_refusal, check_repetition, check_taken
from ascend_moe_gating.plugin.verify.crossed import Later
from ascend_moe_gating.plugin.verify.gradients import check_gradient
from ascend_moe_gating.plugin.verify.outcome import Outcome
from ascend_moe_gating.plugin.verify.paths import Function, Path
from ascend_moe_gating.plugin.verify.question import GATING, SOFTMAX, SOFTMAX_V2, Question
from ascend_moe_gating.plugin.verify.timing import TOKENS, check_time

Tell = Callable[[str], None]  # what is being asked, before it is


class Check(NamedTuple):
    path: str
    group: str
    run: Callable[[Tell], Outcome]


class NotRun(NamedTuple):
    what: str
    why: str


class Plan:
    """The checks of some paths on a device: `checks` in their order, and what is left out of the start."""

    def __init__(self, device: Device, paths: Iterable[Path], quick: bool) -> None:
        self.device, self.quick = device, quick
        self.checks: list[Check] = []
        self.not_run: list[NotRun] = []
        for path in paths:
            (self._of_graphs if path.compiles else self._of_calls)(path)
            for tokens in TOKENS:
                self._add(path, "time", f"{tokens} tokens", check_time, tokens, 0.1 if quick else 0.5)

    def _add(self, path: Path, group: str, words: str, check: Callable[..., Outcome], *given: object) -> None:
        def run(tell: Tell) -> Outcome:
            tell(words)
            return check(self.device, path, *given)

        self.checks.append(Check(path.title, group, run))

    def _leave_out(self, what: str, why: str) -> None:
        if (left := NotRun(what, why)) not in self.not_run:
            self.not_run.append(left)

    def _of_calls(self, path: Path) -> None:
        every = not self.quick
        self._constraints(path, every=True)
        groups: dict[str, list[Later]] = {
            "cases": asked.named(every),
            "crossed": crossed.questions(5 if every else 1),
            "strides": crossed.strided(4 if every else 1),
            "many tokens": crossed.many_tokens(6 if every else 2),
        }
        if self._has_routing(path):
            groups["hash routing"] = asked.routed(every)
        if not path.operators:
            groups |= {"softmax": asked.softmaxes(SOFTMAX, every), "softmax_v2": asked.softmaxes(SOFTMAX_V2, every)}
        for group, questions in groups.items():
            for later in questions:
                self._answers(path, group, [later])
        repeated = [crossed.questions(1)[place] for place in (0, 24, 42, 60)]
        self._add(path, "repetition", "calls in turns", check_repetition, repeated, 25 if every else 5)
        if path.key.startswith("eager"):
            self._gradients(path, 1 if every else 5)
        if self.device.is_npu and path.key in ("eager", "ops"):
            for question, rule in needs.asked(1 if every else 11, legal=path.key == "eager"):
                self._add(path, "needs", str(question), check_taken, question, rule)

    def _of_graphs(self, path: Path) -> None:
        dynamic = path.key == "dynamic"
        if path.key == "captured":
            self._leave_out(f"{path.title}: constraints", "they are checked before CANN is called")
        else:
            self._constraints(path, every=not self.quick)
        some = (3 if self.quick else 24) if dynamic else (2 if self.quick else 18)
        self._has_routing(path)
        for questions in sets.sets(some, dynamic):
            self._answers(path, "crossed", questions)
        for questions in sets.others(1 if self.quick else 4):
            self._answers(path, "other operators", questions)
        if path.key == "static":
            self._gradients(path, 45 if self.quick else 11)

    def _answers(self, path: Path, group: str, questions: list[Later]) -> None:
        """One function answers them all; it is made for the first."""
        made: list[Function] = []

        def make(question: Question) -> Function:
            if not made:
                made.append(path.make(question.operator, question.numbers))
            return made[0]

        def run(tell: Tell, later: Later) -> Outcome:
            question = later()
            tell(str(question))
            if question.x.numel() == 0 and not path.takes_no_tokens:
                return Outcome(left_out="CANN divides by the number of tokens, which is 0")
            if path.key == "captured" and (lacking := question.lacking()):
                return Outcome(left_out=lacking)
            return check_answer(self.device, path, make, question)

        for later in questions:
            self.checks.append(Check(path.title, group, functools.partial(run, later=later)))

    def _constraints(self, path: Path, every: bool) -> None:
        """Each violation, or of each third constraint the first."""
        seen: set[tuple[str, str]] = set()
        for broken in broken_calls(self.device.is_npu):
            if why := self._unfit(path, broken):
                self._leave_out(f"{path.title}: {broken.message} ({broken.label})", why)
            elif every:
                self._add(path, "constraints", str(broken), check_refusal, broken)
            elif (broken.operator, broken.label) not in seen:
                seen.add((broken.operator, broken.label))
                if len(seen) % 3 == 1:
                    self._add(path, "constraints", str(broken), check_refusal, broken)
                else:
                    self._leave_out(f"{path.title}: some of the constraints", "--quick has each third one in graphs")

    def _unfit(self, path: Path, broken: Broken) -> str:
        if path.operators and broken.operator not in path.operators:
            return f"this path is of {path.operators[0]} alone"
        if broken.values and self.device.is_npu:
            return "an NPU reads whatever lies there; it is for CPU tensors"
        if broken.positional and not path.key.startswith("eager"):
            return "it is the public function's"
        if path.errors != "ours" and (broken.types_only or broken.stays):
            return "torch's dispatcher refuses it before a kernel sees it"
        if path.compiles and broken.stays:
            return "torch refuses it while compiling"
        if path.errors == "device" and broken.operator != GATING and broken.numbers.get("k") == 0:
            return "without results nothing is launched"
        routed = {"input_ids", "tid2eid"}.intersection((*broken.tensors, *broken.numbers))
        checked_first = path.errors == "ours" and not path.compiles  # before anything is asked about hash routing
        if routed and not checked_first and not self._has_routing(path):
            return "the installed torch_npu has no hash routing"
        return ""

    def _has_routing(self, path: Path) -> bool:
        if not SIGNATURE.absent or path.key == "aclnn" or path.key.startswith("python"):
            return True
        lacks = " and ".join(SIGNATURE.absent)
        self._leave_out(f"{path.title}: hash routing", f"the installed torch_npu defines {GATING} without {lacks}")
        return False

    def _gradients(self, path: Path, step: int) -> None:
        def run(tell: Tell, later: Later) -> Outcome:
            question = later()
            tell(f"gradient of {question}")
            return check_gradient(self.device, path, question)

        for later in [*crossed.smooth()[::step], *asked.smooth_softmaxes()[:: 1 if step == 1 else 3]]:
            self.checks.append(Check(path.title, "gradients", functools.partial(run, later=later)))
