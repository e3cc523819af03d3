"""One check: a call that is answered and judged, or has to be refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import torch

import ascend_moe_gating
from ascend_moe_gating.plugin.verify.broken import Broken, held
from ascend_moe_gating.plugin.verify.judge import judge
from ascend_moe_gating.plugin.verify.outcome import Outcome, Refusal
from ascend_moe_gating.plugin.verify.paths import Function, Path, Results, on_npu
from ascend_moe_gating.plugin.verify.question import GATING, Question

_POISON = 77


class Device:
    """Where calls are answered: the CPU or an NPU."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._judged: dict[bytes, Outcome] = {}

    @property
    def is_npu(self) -> bool:
        return self.name == "npu"

    def move(self, tensor: torch.Tensor) -> torch.Tensor:
        moved = on_npu(tensor) if self.is_npu else tensor
        assert moved is not None
        return moved

    def synchronize(self) -> None:
        if self.is_npu:
            torch.npu.synchronize()  # type: ignore[attr-defined]

    def answer(self, function: Function, question: Question) -> Results:
        """The results on the CPU. What allocators hand out next has held other values than they may."""
        tensors = {name: self.move(tensor) for name, tensor in question.tensors.items()}
        x, k = tensors["x"], question.number("k")
        rows = (*x.shape[:-1], k)
        poison = [x.new_full(rows, _POISON), x.new_full(rows, _POISON, dtype=torch.int32), x.new_full(x.shape, _POISON)]
        self.synchronize()
        del poison
        results = tuple(function(tensors))
        self.synchronize()
        for name, tensor in tensors.items():
            if self.is_npu and not same_bits(tensor.cpu(), question.tensors[name]):
                raise AssertionError(f"the call has written to {name}")
        return tuple(result if not self.is_npu else result.cpu() for result in results)

    def judge(self, question: Question, results: Results) -> Outcome:
        """The same answer to the same question is judged once, whichever path it came by."""
        key = hashlib.sha256(repr((question.operator, question.numbers, question.note)).encode())
        for tensor in (*question.tensors.values(), *specified(question, results)):
            key.update(repr((tensor.dtype, tensor.shape, tensor.stride())).encode())
            key.update(bits(tensor))
        if (known := self._judged.get(key.digest())) is None:
            known = self._judged[key.digest()] = judge(question, results)
        return known


def specified(question: Question, results: Results) -> Results:
    """Without norm_out where it is not asked for: what is in it then is anything."""
    return results if question.operator != GATING or question.writes_scores else results[:2]


def bits(tensor: torch.Tensor) -> bytes:
    flat = tensor.detach().reshape(-1).clone(memory_format=torch.contiguous_format)
    return flat.view(torch.uint8).numpy().tobytes()


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bits(one) == bits(other)


def check_answer(device: Device, path: Path, make: Callable[[Question], Function], question: Question) -> Outcome:
    """Ask, and judge what comes; where the device refuses, hold that to what this CANN is known not to take."""
    lacking = question.lacking() if device.is_npu else ""
    try:
        outcome = device.judge(question, device.answer(make(question), question))
    except RuntimeError as error:
        outcome = Outcome(refusal=Refusal(str(question), lacking, True, first_lines(error)))
        if lacking and path.errors == "ours" and not held(error, RuntimeError, lacking):
            outcome.fails(str(question), "error", f"does not say what is needed: {lacking}")
        return outcome
    except Exception as error:
        return Outcome().fails(str(question), "error", f"{type(error).__name__}: {first_lines(error)}")
    if lacking and question.x.numel():  # without tokens nothing reaches CANN
        outcome = Outcome(**{**vars(outcome), "refusal": Refusal(str(question), lacking, False)})
    return outcome


def check_refusal(device: Device, path: Path, broken: Broken) -> Outcome:
    """Call what breaks a constraint: it has to be refused, by this error and text."""
    outcome = Outcome(rows=1)
    tensors = {name: tensor if name == broken.stays else device.move(tensor) for name, tensor in broken.tensors.items()}
    wanted = (broken.error, ValueError) if path.errors == "values" else (broken.error,)
    texts = (broken.message, f"({broken.label})")
    try:
        _call(path, broken, tensors)
        device.synchronize()
    except Exception as error:
        if path.errors == "device":
            outcome.refusal = Refusal(str(broken), f"breaks {broken.label}, {broken.message}", True, first_lines(error))
        elif not any(held(error, kind, *texts) for kind in wanted):
            says = (
                f"must be {broken.error.__name__}: {' '.join(texts)}; got {type(error).__name__}: {first_lines(error)}"
            )
            outcome.fails(str(broken), "error", says)
        return outcome
    if path.errors == "device":
        outcome.refusal = Refusal(str(broken), f"breaks {broken.label}, {broken.message}", False)
        return outcome
    return outcome.fails(str(broken), "error", f"must be {broken.error.__name__}: {' '.join(texts)}; there was none")


def _call(path: Path, broken: Broken, tensors: dict[str, Any]) -> None:
    function = path.make(broken.operator, broken.numbers)
    if not broken.positional:
        function(tensors)
        return
    getattr(ascend_moe_gating, broken.operator)(tensors["x"], *broken.positional)


def check_taken(device: Device, path: Path, question: Question, rule: str) -> Outcome:
    """Whether a device takes a call of the grid; what breaks a rule has to be refused."""
    if not rule:
        return check_answer(device, path, lambda question: path.make(question.operator, question.numbers), question)
    try:
        device.answer(path.make(question.operator, question.numbers), question)
    except Exception as error:
        return Outcome(rows=1, refusal=Refusal(str(question), f"breaks a rule: {rule}", True, first_lines(error)))
    return Outcome(rows=1, refusal=Refusal(str(question), f"breaks a rule: {rule}", False))


def check_repetition(device: Device, path: Path, asked: list[Callable[[], Question]], times: int) -> Outcome:
    """Ask several questions in turn, often: each must get the same bits every time. Of those that this CANN takes."""
    questions = [question for question in (later() for later in asked) if not (device.is_npu and question.lacking())]
    functions = [path.make(question.operator, question.numbers) for question in questions]
    first = [device.answer(function, question) for function, question in zip(functions, questions, strict=True)]
    outcome = Outcome(rows=times * len(questions))
    for number in range(times * len(questions)):
        turn = number % len(questions)
        results = device.answer(functions[turn], questions[turn])
        pairs = zip(specified(questions[turn], results), specified(questions[turn], first[turn]), strict=True)
        if not all(same_bits(*pair) for pair in pairs):
            outcome.fails(str(questions[turn]), "repetition", f"call {number + 1} gives other bits than the first")
            break
    return outcome


def first_lines(error: BaseException, characters: int = 600) -> str:
    text = str(error).strip() or type(error).__name__
    return text if len(text) <= characters else f"{text[:characters]} ..."
