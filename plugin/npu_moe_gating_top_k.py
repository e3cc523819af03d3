"""The public function."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling

from ascend_moe_gating.plugin.constraints.needs import missing, with_needs
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import NEEDS, SIGNATURE, check, refuse_hash_routing
from ascend_moe_gating.plugin.constraints.rules import check_keyword_only, check_types, nothing_to_do
from ascend_moe_gating.plugin.gradients.autograd import with_gradients_if_wanted


@functools.cache  # looking it up takes as long as a keyword
def _builtin() -> Any:
    """What OpOverload.__call__ does is to call this, in three quarters of a microsecond."""
    return torch.ops.npu.npu_moe_gating_top_k.default._op


def npu_moe_gating_top_k(
    x: torch.Tensor,
    k: int,
    *positional: object,
    bias: torch.Tensor | None = None,
    input_ids: torch.Tensor | None = None,
    tid2eid: torch.Tensor | None = None,
    k_group: int = 1,
    group_count: int = 1,
    group_select_mode: int = 0,
    renorm: int = 0,
    norm_type: int = 0,
    out_flag: bool = False,
    routed_scaling_factor: float = 1.0,
    eps: float = 1e-20,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Choose k experts for each token of a Mixture-of-Experts layer, and weigh them.

    On CPU and NPU tensors, in eager mode, under fake tensors and inside torch.compile; in all of them the constraints
    C1 to C19 are checked first: no published CANN takes what breaks one. What only some take reaches the device, and
    its refusal says what is needed. All arithmetic is in float32, the results are contiguous.

    Hash routing, where input_ids and tid2eid are given: the experts of a token are row input_ids[token] of tid2eid, in
    the order of the table; nothing is chosen, so bias and groups have no effect. The weights are the scores of these
    experts, as otherwise. No choice of groups (C18), on 950 at most 64 experts. An id or expert that does not exist is
    an error on CPU tensors (C19); an NPU reads whatever lies there. Dynamic shapes: input_ids has as many ids as x has
    tokens, so mark both dynamic, or neither; one alone is torch's ConstraintViolationError.

    Args:
        x: Router logits [tokens, experts], float16, bfloat16 or float32, any strides, at most 2048 experts.
        k: Experts kept per token, at most k_group * experts / group_count.
        bias: [experts], dtype and device of x: added to the scores for the choice only, never to the weights.
        input_ids: [tokens], int64 or int32, on the device of x: the row of tid2eid for each token.
        tid2eid: [ids, k], int64 or int32, on the device of x: experts. Given together with input_ids, or neither is.
        k_group: Groups kept per token, 1 to group_count.
        group_count: Groups of neighbouring experts. Of 1 or 2 experts in each: from CANN 8.5 on.
        group_select_mode: Score of a group: 0 the maximum, 1 the sum of the two largest. With groups of 1 expert, which
            then count as one group: on 950.
        renorm: 1 divides the weights of a token by their sum after a softmax too: from CANN 9.0 on, on 950 from 9.1.
        norm_type: Scores of the logits: 0 softmax, 1 sigmoid, 2 sqrt(softplus): from CANN 9.1 on, on 950 alone. With 1
            and 2 the weights of a token are always divided by their sum.
        out_flag: Write the scores to the third result.
        routed_scaling_factor: Factor of the weights.
        eps: Added to the sum by which the weights are divided.

    Returns:
        y [tokens, k] in the dtype of x, the weights; expert_idx [tokens, k] int32, the experts in descending order of
        biased score, the lower index first among equals; norm_out [tokens, experts] float32, the scores without bias,
        unspecified without out_flag.

    Raises:
        ValueError: A shape, device or number breaks a constraint; the message names argument, rule, value and label.
        TypeError: A Python type or dtype does.
        NotImplementedError: input_ids and tid2eid were given, and the installed torch_npu's operator has none.
        RuntimeError: The device refused the call; the message carries what CANN said, and what it needs to be taken.

    Source: torch_npu's documentation of torch_npu.npu_moe_gating_top_k; CANN's of aclnnMoeGatingTopK and, for hash
    routing, of aclnnMoeGatingTopKV2.
    """
    if positional:
        check_keyword_only(positional, "bias", "C13")
    call = (
        x, k, bias, input_ids, tid2eid, k_group, group_count, group_select_mode, renorm, norm_type, out_flag,
        routed_scaling_factor, eps,
    )  # fmt: skip
    if (
        is_dynamo_compiling()
    ):  # of the constraints it has to understand the types alone: shape inference holds to the rest
        check_types(call, SIGNATURE.parameters)
        return torch.ops.npu.npu_moe_gating_top_k.default(
            x,
            k,
            bias=bias,
            k_group=k_group,
            group_count=group_count,
            group_select_mode=group_select_mode,
            renorm=renorm,
            norm_type=norm_type,
            out_flag=out_flag,
            routed_scaling_factor=routed_scaling_factor,
            eps=eps,
            **_routing(input_ids, tid2eid),
        )
    # The CPU kernel holds such a call to the same constraints. To ask twice is most of a microsecond.
    kernel_checks = (
        type(x) is Tensor
        and x.is_cpu
        and (bias is None or (isinstance(bias, Tensor) and bias.is_cpu))
        and input_ids is tid2eid is None
        and type(k) is type(k_group) is type(group_count) is type(group_select_mode) is int
        and type(renorm) is type(norm_type) is int
        and type(out_flag) is bool
        and type(routed_scaling_factor) is type(eps) is float
    )
    if not kernel_checks:
        check(call)
        if nothing_to_do(x):
            return x[:, :k].clone(), x.new_empty((0, k), dtype=torch.int32), x.float().clone()
    given = _routing(input_ids, tid2eid)
    # Torch takes a quarter of a microsecond to read a keyword, so those that say nothing new are left out; and as much
    # again for the way through a dict, which the gate with most keywords does without.
    try:
        with with_gradients_if_wanted(x):
            if bias is not None and group_count != 1 and not (given or renorm or out_flag) and eps == 1e-20:
                return _builtin()(
                    x,
                    k,
                    bias=bias,
                    k_group=k_group,
                    group_count=group_count,
                    group_select_mode=group_select_mode,
                    norm_type=norm_type,
                    routed_scaling_factor=routed_scaling_factor,
                )
            if bias is not None:
                given["bias"] = bias
            if k_group != 1:
                given["k_group"] = k_group
            if group_count != 1:
                given["group_count"] = group_count
            if group_select_mode != 0:
                given["group_select_mode"] = group_select_mode
            if renorm != 0:
                given["renorm"] = renorm
            if norm_type != 0:
                given["norm_type"] = norm_type
            if out_flag:
                given["out_flag"] = out_flag
            if routed_scaling_factor != 1.0:
                given["routed_scaling_factor"] = routed_scaling_factor
            if eps != 1e-20:
                given["eps"] = eps
            return _builtin()(x, k, **given)
    except Exception as error:
        refused = error
    try:  # what the kernel has found broken is said here, where there are TypeErrors as well
        check(call)
        if isinstance(refused, RuntimeError) and (lacking := missing(SIGNATURE.in_numbers(call), NEEDS)):
            raise with_needs(refused, lacking)
        raise refused
    finally:
        del refused  # it knows this frame: a circle, in which the tensors would stay


def _routing(input_ids: torch.Tensor | None, tid2eid: torch.Tensor | None) -> dict[str, Any]:
    if input_ids is None and tid2eid is None:
        return {}
    if SIGNATURE.absent:
        refuse_hash_routing()
    return {"input_ids": input_ids, "tid2eid": tid2eid}


# Documentation and editors show the signature of the contract; *positional is there for the message of C13.
_signature = inspect.signature(npu_moe_gating_top_k)
npu_moe_gating_top_k.__signature__ = _signature.replace(  # type: ignore[attr-defined]
    parameters=[p for p in _signature.parameters.values() if p.kind is not p.VAR_POSITIONAL]
)
