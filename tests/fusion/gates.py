"""Gates as models write them, without the operator: each returns weights and experts for logits [tokens, experts]."""

import torch
from torch.nn import functional


def grouped_sigmoid(logits, bias, *, k, groups, kept, scale, experts=256):
    """DeepSeek-V3, GLM-4.5, dots.llm1, Kimi-K2 in transformers: group scores are sums of two, the rest becomes -inf."""
    scores = logits.sigmoid()
    choice = scores + bias
    group_scores = choice.view(-1, groups, experts // groups).topk(2, dim=-1)[0].sum(dim=-1)
    group_idx = torch.topk(group_scores, k=kept, dim=-1, sorted=False)[1]
    group_mask = torch.zeros_like(group_scores)
    group_mask.scatter_(1, group_idx, 1)
    score_mask = group_mask.unsqueeze(-1).expand(-1, groups, experts // groups).reshape(-1, experts)
    choice = choice.masked_fill(~score_mask.bool(), float("-inf"))
    topk_idx = torch.topk(choice, k=k, dim=-1, sorted=True)[1]
    weights = scores.gather(1, topk_idx)
    weights = weights / (weights.sum(dim=-1, keepdim=True) + 1e-20)
    return weights * scale, topk_idx


def grouped_softmax(logits, bias, *, k, groups, kept, scale, experts=160):
    """DeepSeek-V2 in transformers: softmax, group scores are maxima, the rest becomes 0."""
    scores = logits.softmax(dim=-1, dtype=torch.float32)
    group_scores = scores.view(logits.shape[0], groups, -1).max(dim=-1).values
    group_idx = torch.topk(group_scores, k=kept, dim=-1, sorted=False)[1]
    group_mask = torch.zeros_like(group_scores)
    group_mask.scatter_(1, group_idx, 1)
    score_mask = (
        group_mask.unsqueeze(-1).expand(logits.shape[0], groups, experts // groups).reshape(logits.shape[0], -1)
    )
    choice = scores.masked_fill(~score_mask.bool(), 0.0)
    weights, topk_idx = torch.topk(choice, k=k, dim=-1, sorted=True)
    return weights * scale, topk_idx


def softmax_renormalized(logits, bias, *, k, **unused):
    """Qwen3-MoE and Mixtral: softmax, top-k, divided by the sum."""
    weights, topk_idx = torch.topk(functional.softmax(logits, dim=1, dtype=torch.float), k, dim=-1)
    return weights / weights.sum(dim=-1, keepdim=True), topk_idx


def vllm_grouped_topk(logits, bias, *, k, groups, kept, scale, **unused):
    """The Python fallback of vllm, with renormalisation."""
    scores = logits.sigmoid()
    original, tokens = scores, scores.shape[0]
    scores = scores + bias.unsqueeze(0)
    group_scores = scores.view(tokens, groups, -1).topk(2, dim=-1)[0].sum(dim=-1)
    group_idx = torch.topk(group_scores, k=kept, dim=-1)[1]
    group_mask = torch.zeros_like(group_scores)
    group_mask.scatter_(1, group_idx, 1)
    score_mask = group_mask.unsqueeze(-1).expand(tokens, groups, scores.size(-1) // groups).reshape(tokens, -1)
    choice = scores.masked_fill(~score_mask.bool(), float("-inf"))
    topk_idx = torch.topk(choice, k=k, dim=-1)[1]
    weights = original.gather(1, topk_idx)
    weights = weights / weights.sum(dim=-1, keepdim=True)
    return weights * scale, topk_idx.to(torch.int32)


def original_gate(logits, bias, *, k, groups, kept, scale, **unused):
    """The gate of the DeepSeek-V3 repository."""
    scores = logits.sigmoid()
    original = scores
    scores = scores + bias
    scores = scores.view(logits.size(0), groups, -1)
    group_scores = scores.topk(2, dim=-1)[0].sum(dim=-1)
    indices = group_scores.topk(kept, dim=-1)[1]
    mask = scores.new_ones(logits.size(0), groups, dtype=bool).scatter_(1, indices, False)
    scores = scores.masked_fill_(mask.unsqueeze(-1), float("-inf")).flatten(1)
    indices = torch.topk(scores, k, dim=-1)[1]
    weights = original.gather(1, indices)
    weights = weights / weights.sum(dim=-1, keepdim=True)
    return weights * scale, indices


# name: (gate, its parameters, those of the operator; None: the operator's weights are divided by their sum)
V3 = {"k": 8, "groups": 8, "kept": 4, "scale": 2.5, "experts": 256}
V2 = {"k": 6, "groups": 8, "kept": 3, "scale": 16.0, "experts": 160}
OPERATOR_V3 = {"k_group": 4, "group_count": 8, "group_select_mode": 1, "norm_type": 1, "routed_scaling_factor": 2.5}
OPERATOR_V2 = {"k_group": 3, "group_count": 8, "routed_scaling_factor": 16.0}
GATES = {
    "deepseek-v3 of transformers": (grouped_sigmoid, V3, OPERATOR_V3),
    "kimi-k2 of transformers": (
        grouped_sigmoid,
        {"k": 8, "groups": 1, "kept": 1, "scale": 2.827, "experts": 384},
        {"norm_type": 1, "routed_scaling_factor": 2.827},
    ),
    "deepseek-v2 of transformers": (grouped_softmax, V2, OPERATOR_V2),
    "grouped_topk of vllm": (vllm_grouped_topk, V3, OPERATOR_V3),
    "deepseek-v3 of its repository": (original_gate, V3, OPERATOR_V3),
    "qwen3-moe": (softmax_renormalized, {"k": 8, "experts": 128}, None),
    "mixtral": (softmax_renormalized, {"k": 2, "experts": 8}, None),
}
