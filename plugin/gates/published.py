"""The gates of published families of models: what GateConfig is made of, from their configurations.

Source: the models' code in transformers 5.24 and in their own repositories.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ascend_moe_gating.plugin.constraints.norm_types import SIGMOID, SOFTMAX, SQRT_SOFTPLUS

Gate = dict[str, Any]
_SOFTMAX = {"norm_type": SOFTMAX, "bias": False}


def gate_of(config: Any, layer: int | None) -> Gate:
    """The arguments of GateConfig."""
    config = getattr(config, "text_config", config)
    family = getattr(config, "model_type", None)
    if family in _REFUSED:
        raise NotImplementedError(f"the gate of {family} is not what npu_moe_gating_top_k computes: {_REFUSED[family]}")
    if family not in _FAMILIES:
        raise NotImplementedError(f"model_type must be one of {', '.join(_FAMILIES)}, got {family}")
    sizes = {"hidden_size": config.hidden_size, "experts": _experts(config), "k": _first(config, *_K)}
    return {**sizes, **_FAMILIES[family](config, layer)}


_K = ("num_experts_per_tok", "moe_k")
_EXPERTS = ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")


def _first(config: Any, *names: str) -> Any:
    for name in names:
        if getattr(config, name, None) is not None:
            return getattr(config, name)
    raise ValueError(f"the configuration of {config.model_type} must have {' or '.join(names)}, got none")


def _experts(config: Any) -> int:
    return int(_first(config, *_EXPERTS))


def _refuse(config: Any, why: str) -> NotImplementedError:
    return NotImplementedError(f"the gate of this {config.model_type} is not what npu_moe_gating_top_k computes: {why}")


def _grouped_sigmoid(config: Any, layer: int | None) -> Gate:
    """DeepSeek-V3 and those who follow it: the groups by the sum of their two best, weights divided by their sum."""
    if not config.norm_topk_prob:
        raise _refuse(config, "norm_topk_prob is False, and a sigmoid's weights are always divided by their sum")
    return {
        "k_group": config.topk_group,
        "group_count": config.n_group,
        "routed_scaling_factor": config.routed_scaling_factor,
    }


def _deepseek_v2(config: Any, layer: int | None) -> Gate:
    gate = {**_SOFTMAX, "routed_scaling_factor": config.routed_scaling_factor}
    if config.topk_method == "greedy":
        return gate
    if config.topk_method == "group_limited_greedy":
        return {**gate, "k_group": config.topk_group, "group_count": config.n_group, "group_select_mode": 0}
    raise _refuse(config, f"topk_method is {config.topk_method}")


def _deepseek_v4(config: Any, layer: int | None) -> Gate:
    kinds = getattr(config, "mlp_layer_types", None)
    if layer is None and kinds is not None and "hash_moe" in kinds:
        raise ValueError("layer must be given for deepseek_v4, whose first layers route by a table, got None")
    by_table = layer is not None and kinds is not None and kinds[layer] == "hash_moe"
    norm_types = {"softmax": SOFTMAX, "sigmoid": SIGMOID, "sqrtsoftplus": SQRT_SOFTPLUS}
    if config.scoring_func not in norm_types:
        raise _refuse(config, f"scoring_func is {config.scoring_func}")
    return {
        "norm_type": norm_types[config.scoring_func],
        "renorm": 1,
        "routed_scaling_factor": config.routed_scaling_factor,
        "bias": not by_table,
        "vocabulary": config.vocab_size if by_table else None,
    }


def _softmax(config: Any, layer: int | None) -> Gate:
    """Softmax, and where the configuration has it the weights divided by their sum."""
    return {**_SOFTMAX, "renorm": int(config.norm_topk_prob)}


def _softmax_divided(config: Any, layer: int | None) -> Gate:
    return {**_SOFTMAX, "renorm": 1}


def _gpt_oss(config: Any, layer: int | None) -> Gate:
    """A softmax of the chosen logits is their softmax, divided by its sum."""
    return {**_SOFTMAX, "renorm": 1, "router_bias": True}


_FAMILIES: dict[str, Callable[[Any, int | None], Gate]] = {
    "deepseek_v2": _deepseek_v2,
    "deepseek_v3": _grouped_sigmoid,
    "deepseek_v32": _grouped_sigmoid,
    "deepseek_v4": _deepseek_v4,
    "kimi_k2": _grouped_sigmoid,
    "glm4_moe": _grouped_sigmoid,
    "glm4_moe_lite": _grouped_sigmoid,
    "dots1": _grouped_sigmoid,
    "minimax_m2": lambda config, layer: {},
    "ernie4_5_moe": lambda config, layer: {"norm_type": SOFTMAX, "renorm": 1},
    "qwen2_moe": _softmax,
    "qwen3_moe": _softmax,
    "qwen3_next": _softmax,
    "qwen3_5_moe": _softmax_divided,
    "qwen3_5_moe_text": _softmax_divided,
    "olmoe": _softmax,
    "mixtral": _softmax_divided,
    "gpt_oss": _gpt_oss,
}
_REFUSED = {
    "llama4_text": "it takes the largest logits, then their sigmoid, without dividing by the sum",
    "pangu_pro_moe": "it takes the best expert of each group",
}
