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
    known = isinstance(family, str)
    if known and family in _REFUSED:
        raise NotImplementedError(f"the gate of {family} is not what npu_moe_gating_top_k computes: {_REFUSED[family]}")
    if not known or family not in _FAMILIES:
        raise NotImplementedError(f"model_type must be one of {', '.join(_FAMILIES)}, got {family}")
    sizes = {name: _first(config, *names) for name, names in _SIZES.items()}
    return {**sizes, **_FAMILIES[family](config, layer)}


_SIZES = {
    "hidden_size": ("hidden_size",),
    "experts": ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts"),
    "k": ("num_experts_per_tok", "moe_k"),
}


def _first(config: Any, *names: str) -> Any:
    for name in names:
        if getattr(config, name, None) is not None:
            return getattr(config, name)
    raise ValueError(f"the configuration of {config.model_type} must have {' or '.join(names)}, got none")


def _flag(config: Any, name: str) -> bool:
    value = _first(config, name)
    if not isinstance(value, (bool, int)):
        raise TypeError(f"{name} of the configuration must be a bool, got {value!r}")
    return bool(value)


def _refuse(config: Any, why: str) -> NotImplementedError:
    return NotImplementedError(f"the gate of this {config.model_type} is not what npu_moe_gating_top_k computes: {why}")


def _grouped_sigmoid(config: Any, layer: int | None) -> Gate:
    """DeepSeek-V3 and those who follow it: the groups by the sum of their two best, weights divided by their sum."""
    if not _flag(config, "norm_topk_prob"):
        raise _refuse(config, "norm_topk_prob is False, and a sigmoid's weights are always divided by their sum")
    return {
        "k_group": _first(config, "topk_group"),
        "group_count": _first(config, "n_group"),
        "routed_scaling_factor": _first(config, "routed_scaling_factor"),
    }


def _deepseek_v2(config: Any, layer: int | None) -> Gate:
    gate = {**_SOFTMAX, "routed_scaling_factor": _first(config, "routed_scaling_factor")}
    method = _first(config, "topk_method")
    if method == "greedy":
        return gate
    if method == "group_limited_greedy":
        groups = {"k_group": _first(config, "topk_group"), "group_count": _first(config, "n_group")}
        return {**gate, **groups, "group_select_mode": 0}
    raise _refuse(config, f"topk_method is {method}")


def _deepseek_v4(config: Any, layer: int | None) -> Gate:
    kinds = getattr(config, "mlp_layer_types", None)
    if not isinstance(kinds, (list, tuple, type(None))):
        raise TypeError(f"mlp_layer_types of the configuration must be a list, got {kinds!r}")
    if layer is None and kinds is not None and "hash_moe" in kinds:
        raise ValueError("layer must be given for deepseek_v4, whose first layers route by a table, got None")
    if layer is not None and kinds is not None and not -len(kinds) <= layer < len(kinds):
        raise ValueError(f"layer must be one of the {len(kinds)} of the configuration, got {layer}")
    by_table = layer is not None and kinds is not None and kinds[layer] == "hash_moe"
    norm_types = {"softmax": SOFTMAX, "sigmoid": SIGMOID, "sqrtsoftplus": SQRT_SOFTPLUS}
    function = _first(config, "scoring_func")
    if not isinstance(function, str) or function not in norm_types:
        raise _refuse(config, f"scoring_func is {function}")
    return {
        "norm_type": norm_types[function],
        "renorm": 1,
        "routed_scaling_factor": _first(config, "routed_scaling_factor"),
        "bias": not by_table,
        "vocabulary": _first(config, "vocab_size") if by_table else None,
    }


def _softmax(config: Any, layer: int | None) -> Gate:
    """Softmax, and where the configuration has it the weights divided by their sum."""
    return {**_SOFTMAX, "renorm": int(_flag(config, "norm_topk_prob"))}


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
