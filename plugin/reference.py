"""The definition of the operators in NumPy: the oracle of every test.

Everything is computed in float32. For float16 and bfloat16 inputs the operator's result is the float32 result
of the upcast inputs, with y rounded once, to nearest even, to the type of x: the caller upcasts x and bias
(exact) and rounds y. Arguments are taken to be legal; the constraints are checked elsewhere.
"""

import numpy

__all__ = ["moe_gating_top_k", "moe_gating_top_k_softmax", "moe_gating_top_k_softmax_v2"]


@numpy.errstate(over="ignore", invalid="ignore", divide="ignore")
def moe_gating_top_k(
    x,
    k,
    *,
    bias=None,
    input_ids=None,
    tid2eid=None,
    k_group=1,
    group_count=1,
    group_select_mode=0,
    renorm=0,
    norm_type=0,
    out_flag=False,
    routed_scaling_factor=1.0,
    eps=1e-20,
):
    """Returns y float32 [T, k], expert_idx int32 [T, k] and norm_out float32 [T, E] for x [T, E]."""
    del out_flag  # norm_out is the scores whatever it is
    scores = normalize(numpy.asarray(x, numpy.float32), norm_type)
    if input_ids is None:
        expert_idx = choose_experts(scores, k, bias, k_group, group_count, group_select_mode)
    else:  # hash routing: as the table has it, neither chosen nor ordered, whatever the bias is
        expert_idx = tid2eid[input_ids].astype(numpy.int32)
    y = weigh(scores, expert_idx, divides(norm_type, renorm), routed_scaling_factor, eps)
    return y, expert_idx, scores


def moe_gating_top_k_softmax(x, finished=None, k=1):
    """Returns y float32 [..., k], expert_idx int32 [..., k] and row_idx int32 [..., k] for x [..., E]."""
    y, expert_idx, _ = moe_gating_top_k_softmax_v2(x, k=k, finished=finished)
    row_idx = numpy.arange(y.size, dtype=numpy.int32).reshape(k, -1).T.reshape(y.shape)
    return y, expert_idx, row_idx


@numpy.errstate(over="ignore", invalid="ignore", divide="ignore")
def moe_gating_top_k_softmax_v2(x, *, k=1, finished=None, renorm=0, output_softmax=False):
    """Returns y float32 [..., k], expert_idx int32 [..., k], softmax_result float32 [..., E] or [0] for x [..., E]."""
    rows = numpy.asarray(x, numpy.float32).reshape(-1, x.shape[-1])
    scores = normalize(rows, 0)
    chosen = descending(rows if renorm else scores)[:, :k]
    y = normalize(numpy.take_along_axis(rows, chosen, axis=1), 0) if renorm else weigh(scores, chosen, False)
    expert_idx = chosen.reshape(*x.shape[:-1], k).astype(numpy.int32)
    if finished is not None:
        expert_idx = numpy.where(finished[..., None], numpy.int32(x.shape[-1]), expert_idx)
    softmax_result = scores.reshape(x.shape) if output_softmax and not renorm else scores[:0, 0]
    return y.reshape(expert_idx.shape), expert_idx, softmax_result


def normalize(x, norm_type):
    """Step 1: softmax (0), sigmoid (1) or sqrt(softplus) (2) of each row."""
    if norm_type == 0:
        e = numpy.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)
    if norm_type == 1:
        return 1 / (1 + numpy.exp(-x))  # exp may overflow to inf: 1 / inf is the right 0
    softplus = numpy.logaddexp(0, x.astype(numpy.float64))  # in float32 it would be 0 where its root is not
    return numpy.sqrt(softplus).astype(x.dtype)


def choose_experts(scores, k, bias=None, k_group=1, group_count=1, group_select_mode=0):
    """Steps 2 to 4: which experts, in descending order. The bias steers this choice and nothing else."""
    choice = scores if bias is None else scores + numpy.asarray(bias, numpy.float32)
    tokens, experts = choice.shape
    if k_group < group_count < experts:  # where each expert is a group, the k best are never dropped
        groups = choice.reshape(tokens, group_count, experts // group_count)
        if group_select_mode == 0:
            group_scores = groups.max(axis=2)
        else:
            group_scores = numpy.sort(groups, axis=2)[:, :, -2:].sum(axis=2)
        dropped = numpy.ones((tokens, group_count), bool)
        numpy.put_along_axis(dropped, descending(group_scores)[:, :k_group], False, axis=1)
        choice = numpy.where(dropped[:, :, None], numpy.float32("-inf"), groups).reshape(tokens, experts)
    return descending(choice)[:, :k].astype(numpy.int32)


def divides(norm_type, renorm):
    """Whether the weights are divided by their sum: all are but those of a softmax without renorm."""
    return norm_type != 0 or renorm == 1


def weigh(scores, expert_idx, divided, routed_scaling_factor=1.0, eps=1e-20):
    """Step 5: the scores of the chosen experts, divided by their sum if they are to be, then scaled."""
    y = numpy.take_along_axis(scores, expert_idx, axis=1)
    if divided:
        y = y / (y.sum(axis=1, keepdims=True) + numpy.float32(eps))
    return y * numpy.float32(routed_scaling_factor)


def descending(values):
    """Indices that sort each row in descending order; among equals the lower index comes first, NaN comes last."""
    return numpy.argsort(-values, axis=1, kind="stable")
