"""The gates that the operator is compared with, written as model code writes them, and the four models' parameters.

Each gate takes logits [tokens, experts] and a bias [experts] or None, and returns weights and experts [tokens, k].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch


class Model(NamedTuple):
    experts: int
    k: int
    bias: bool
    options: dict[str, int]  # that differ from the operator's defaults

    def all_options(self) -> dict[str, int]:
        return {"k_group": 1, "group_count": 1, "group_select_mode": 0, "norm_type": 0, **self.options}


MODELS = {
    "V3": Model(256, 8, True, {"k_group": 4, "group_count": 8, "group_select_mode": 1, "norm_type": 1}),
    "Kimi": Model(384, 8, True, {"norm_type": 1}),
    "V2": Model(160, 6, False, {"k_group": 3, "group_count": 8}),
    "Qwen3": Model(128, 8, False, {}),
}


def transformers_gate(model: Model) -> Callable:
    """As the routers of transformers do it: a mask of zeros and ones, an unsorted top-k."""
    option = model.all_options()
    k_group, group_count = option["k_group"], option["group_count"]

    def gate(logits, bias):
        logits = logits.float()
        scores = logits.sigmoid() if option["norm_type"] == 1 else logits.softmax(dim=-1)
        choice = scores if bias is None else scores + bias.float().unsqueeze(0)
        if group_count > 1:
            groups = choice.view(-1, group_count, model.experts // group_count)
            best = groups.topk(2, dim=-1)[0].sum(dim=-1) if option["group_select_mode"] == 1 else groups.amax(dim=-1)
            kept = best.topk(k_group, dim=-1, sorted=False)[1]
            mask = torch.zeros_like(best).scatter_(1, kept, 1)
            mask = mask.unsqueeze(-1).expand_as(groups).reshape(-1, model.experts)
            choice = choice.masked_fill(~mask.bool(), float("-inf"))
        experts = choice.topk(model.k, dim=-1, sorted=False)[1]
        weights = scores.gather(1, experts)
        if option["norm_type"] == 1:
            weights = weights / (weights.sum(dim=-1, keepdim=True) + 1e-20)
        return weights * 2.5, experts

    return gate


def vllm_gate(model: Model) -> Callable:
    """As vllm's fallback in Python does it: a sorted top-k, the weights from it if there is no bias, int32 experts."""
    option = model.all_options()
    k_group, group_count = option["k_group"], option["group_count"]

    def gate(logits, bias):
        scores = logits.float().sigmoid() if option["norm_type"] == 1 else torch.softmax(logits.float(), dim=-1)
        choice = scores if bias is None else scores + bias.float()
        if group_count > 1:
            groups = choice.view(logits.shape[0], group_count, -1)
            best = (
                groups.topk(2, dim=-1)[0].sum(dim=-1) if option["group_select_mode"] == 1 else groups.max(dim=-1).values
            )
            mask = torch.zeros_like(best)
            mask.scatter_(1, torch.topk(best, k=k_group, dim=-1, sorted=False)[1], 1)
            mask = mask.unsqueeze(-1).expand(-1, group_count, model.experts // group_count).reshape(choice.shape)
            choice = choice.masked_fill(~mask.bool(), float("-inf"))
        weights, experts = torch.topk(choice, k=model.k, dim=-1)
        if bias is not None:
            weights = scores.gather(1, experts)
        if option["norm_type"] == 1:
            weights = weights / weights.sum(dim=-1, keepdim=True)
        return weights * 2.5, experts.to(torch.int32)

    return gate


def operator(model: Model) -> Callable:
    """The operator through its public function, as model code calls it."""
    from ascend_moe_gating import npu_moe_gating_top_k

    k, option = model.k, model.all_options()
    k_group, group_count = option["k_group"], option["group_count"]
    group_select_mode, norm_type = option["group_select_mode"], option["norm_type"]

    def gate(logits, bias):
        return npu_moe_gating_top_k(
            logits,
            k,
            bias=bias,
            k_group=k_group,
            group_count=group_count,
            group_select_mode=group_select_mode,
            norm_type=norm_type,
            routed_scaling_factor=2.5,
        )

    return gate


KINDS = {"eager": ("transformers", "vllm"), "inductor": ("inductor static", "inductor dynamic")}


def best(result: dict, label: str) -> float:
    """Seconds of a contestant, or of the fastest of a kind; NaN where it did not run."""
    ran = [result["seconds"][name] for name in KINDS.get(label, (label,)) if name in result["seconds"]]
    return min(ran, default=float("nan"))
