"""Gradients of the results, against autograd of the written-out weights in float64."""

from __future__ import annotations

from typing import Any

import torch

from ascend_moe_gating.plugin.verify.checks import Device, first_lines
from ascend_moe_gating.plugin.verify.outcome import Mismatch, Outcome, Refusal
from ascend_moe_gating.plugin.verify.paths import Path
from ascend_moe_gating.plugin.verify.question import GATING, Question
from ascend_moe_gating.plugin.verify.values import seeded

# Of the largest gradient of a call: a float32 result, and what is rounded once to a half.
CLOSE = {torch.float32: 2e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}


def written_out(x: torch.Tensor, experts: torch.Tensor, options: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """y and norm_out of experts that are chosen, as a model would write them; of float64."""
    norm_type = options.get("norm_type", 0)
    scores = x.softmax(1) if norm_type == 0 else x.sigmoid() if norm_type == 1 else (1 + x.exp()).log().sqrt()
    y = scores.gather(1, experts.long())
    if norm_type != 0 or options.get("renorm"):
        y = y / (y.sum(1, keepdim=True) + options.get("eps", 1e-20))
    return y * options.get("routed_scaling_factor", 1.0), scores


def check_gradient(device: Device, path: Path, question: Question) -> Outcome:
    """Call it with logits that want a gradient, and compare that of a random sum of the results."""
    lacking = question.lacking() if device.is_npu else ""
    try:
        outcome = _judged(device, path, question)
    except RuntimeError as error:
        return Outcome(refusal=Refusal(str(question), lacking, True, first_lines(error)))
    if lacking:
        outcome.refusal = Refusal(str(question), lacking, False)
    return outcome


def _judged(device: Device, path: Path, question: Question) -> Outcome:
    with_scores = question.writes_scores
    tensors = {name: device.move(tensor) for name, tensor in question.tensors.items()}
    logits = tensors["x"] = tensors["x"].detach().requires_grad_()
    results = path.make(question.operator, question.numbers)(tensors)
    rng = seeded(str(question))
    factors = [torch.from_numpy(rng.normal(size=tuple(result.shape))).float() for result in results]
    loss = (device.move(factors[0]) * results[0].float()).sum()
    if with_scores:
        loss = loss + (device.move(factors[2]) * results[2]).sum()
    (gradient,) = torch.autograd.grad(loss, logits)
    device.synchronize()
    wide = question.x.detach().double().requires_grad_()
    y, scores = written_out(wide, results[1].detach().cpu(), _options(question))
    right = (factors[0].double() * y).sum()
    if with_scores:
        right = right + (factors[2].double() * scores).sum()
    (wanted,) = torch.autograd.grad(right, wide)
    return _compared(question, gradient.cpu(), wanted)


def _options(question: Question) -> dict[str, Any]:
    """A softmax of chosen logits is their scores, divided by their sum."""
    return question.numbers if question.operator == GATING else {**question.numbers, "eps": 0.0}


def _compared(question: Question, gradient: torch.Tensor, wanted: torch.Tensor) -> Outcome:
    outcome = Outcome(rows=len(wanted))
    if (gradient.shape, gradient.dtype) != (wanted.shape, question.x.dtype):
        return outcome.fails(str(question), "gradient", f"has shape {list(gradient.shape)} and dtype {gradient.dtype}")
    allowed = CLOSE[question.x.dtype] * max(float(wanted.abs().max()), 1e-3)
    error = (gradient.double() - wanted).abs().amax(1)
    outcome.wrong = int((~(error <= allowed)).sum())
    if outcome.wrong:
        row = int((~(error <= allowed)).int().argmax())
        says = f"is off by {float(error[row]):.3g} where the largest is {float(wanted.abs().max()):.3g}"
        outcome.mismatches.append(Mismatch(str(question), "gradient", says, row=row))
    return outcome
