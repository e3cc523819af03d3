"""How torch's autograd is told: an operator's kernel for its keys, above the kernels of all devices.

It serves eager mode and the graphs of forward and backward that AOTAutograd makes. Kept for the backward pass are x and
the experts, nothing else. Where torch transforms functions (torch.func's grad, jvp, vmap; forward-mode derivatives) the
operator chooses the experts, and torch's own operations weigh them.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import is_inference_mode_enabled
from torch._C import _are_functorch_transforms_active
from torch._C import _AutoDispatchBelowAutograd as _below
from torch.autograd import forward_ad

from ascend_moe_gating.plugin.constraints.signature import Signature

Run = Callable[[Any], tuple[torch.Tensor, ...]]  # a call of the operator, without gradients


_NOTHING = contextlib.nullcontext()


class Formula(NamedTuple):
    """What an operator's gradient is made of."""

    choose: Callable[[Run, Any], tuple[tuple[torch.Tensor, ...], torch.Tensor]]  # the results, and the chosen experts
    smooth: Callable[[Any], tuple[bool, ...]]  # of a call: which of its results have a gradient
    weigh: Callable[[Any, torch.Tensor], tuple[torch.Tensor, ...]]  # of a call and experts: these results once more
    gradient: Callable[..., torch.Tensor]  # of a call, experts, and the gradient of each result, None for zeros


def differentiable(
    signature: Signature, overload: Any, formula: Formula, kernels: Mapping[type, Callable[..., Any]]
) -> Callable[..., Any]:
    """The kernel that makes an operator differentiable with respect to x.

    Args:
        kernels: Those that take its place where a tensor is of the class; what is added later counts as well.
    """

    def run(call: Any) -> tuple[torch.Tensor, ...]:
        given = {name: value for name, value in call._asdict().items() if name not in signature.absent}
        with _below():
            return tuple(overload(**given))

    @signature.implementation
    def kernel(call: Any) -> tuple[torch.Tensor, ...]:
        if not _transformed():
            return _Chosen.apply(call.x, call, run, formula)
        results, experts = formula.choose(run, call)
        weighed = iter(formula.weigh(call, experts))
        smooth = formula.smooth(call)
        return tuple(next(weighed) if is_smooth else old for old, is_smooth in zip(results, smooth, strict=True))

    builtin = overload._op

    @functools.wraps(kernel)
    def kernel_or_nothing(x: torch.Tensor, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, ...]:
        if (x.requires_grad and torch.is_grad_enabled()) or _transformed():
            classes = kernels and {type(argument) for argument in (x, *args, *kwargs.values())}
            other = next((kernels[cls] for cls in classes if cls in kernels), kernel)
            return other(x, *args, **kwargs)
        with _below():  # as it was called: each step between costs every call microseconds
            return builtin(x, *args, **kwargs)

    return kernel_or_nothing


def with_gradients_if_wanted(x: torch.Tensor) -> Any:
    """What to call an operator in, outside of compiled functions.

    Its kernel for autograd is Python's, which takes 10 microseconds to find out that no gradient is wanted. In
    inference mode torch itself passes it by.
    """
    return _NOTHING if x.requires_grad or is_inference_mode_enabled() or _transformed() else _below()


def _transformed() -> bool:
    return _are_functorch_transforms_active() or forward_ad._current_level >= 0


class _Chosen(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, call: Any, run: Run, formula: Formula) -> tuple[torch.Tensor, ...]:
        results, experts = formula.choose(run, call)
        ctx.save_for_backward(x, experts)
        ctx.set_materialize_grads(False)
        smooth = formula.smooth(call)
        ctx.mark_non_differentiable(*(r for r, is_smooth in zip(results, smooth, strict=True) if not is_smooth))
        # No tensors: what steers the choice would live as long as the graph.
        ctx.call = call._replace(**{name: None for name, v in call._asdict().items() if isinstance(v, torch.Tensor)})
        ctx.gradient = formula.gradient
        return results

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[torch.Tensor | None, None, None, None]:
        if all(gradient is None for gradient in gradients):
            return None, None, None, None
        x, experts = ctx.saved_tensors
        return ctx.gradient(ctx.call._replace(x=x), experts, *gradients), None, None, None
