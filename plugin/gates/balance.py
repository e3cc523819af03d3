"""What keeps experts evenly busy, and what follows the choice: small functions of a gate's results.

On CPU and NPU tensors, in eager mode and inside torch.compile. Tokens are rows: weights and expert_idx are [tokens, k].
An `expert_idx` of the number of experts stands for no expert, as in npu_moe_gating_top_k_softmax. One beyond is an
error of torch's where it reads the values: at once on the CPU.
"""

from __future__ import annotations

from typing import Any

import numpy
import torch

from ascend_moe_gating.plugin.constraints.rules import name_of, refuse_type
from ascend_moe_gating.plugin.constraints.signature import stands_for_a_number

__all__ = [
    "append_shared_experts",
    "drop_tokens",
    "physical_experts",
    "sequence_balance_loss",
    "tokens_per_expert",
    "update_bias",
]


def tokens_per_expert(expert_idx: torch.Tensor, experts: int, kept: torch.Tensor | None = None) -> torch.Tensor:
    """The load: how many tokens chose each expert.

    Args:
        expert_idx: [tokens, k] integers; the value `experts` stands for none and counts for none.
        experts: Number of experts.
        kept: bool [tokens]: which tokens count; None is all of them.

    Returns:
        [experts] float32: counts, which are exact up to 2**24.

    Raises:
        ValueError, TypeError: A shape or dtype is another.
    """
    _check_experts(expert_idx)
    _check_int("experts", experts, 1)
    ones = torch.ones_like(expert_idx, dtype=torch.float32)
    if kept is not None:
        _check_kept(kept, expert_idx)
        ones = ones * kept.unsqueeze(1)
    counts = ones.new_zeros(experts + 1).scatter_add(0, expert_idx.long().flatten(), ones.flatten())
    return counts[:experts]


@torch.no_grad()
def update_bias(bias: torch.Tensor, load: torch.Tensor, rate: float = 1e-3) -> torch.Tensor:
    """DeepSeek-V3's balance without a loss: in place, a bias goes up by `rate` where its expert has less than the mean
    load, and down where it has more. Sum the load over all devices first.

    Args:
        bias: [experts] float32, the e_score_correction_bias.
        load: [experts], as of tokens_per_expert, of the whole batch.
        rate: The step; 0.001 in DeepSeek-V3, and 0 at the end of its training.

    Returns:
        The bias.

    Raises:
        ValueError, TypeError: The shapes differ, or bias is not float32.

    Source: DeepSeek-V3 technical report, section 2.1.2.
    """
    _check_tensors(bias=bias, load=load)
    _check_number("rate", rate)
    if bias.shape != load.shape or bias.dim() != 1:
        raise ValueError(f"load must have the shape of bias, {list(bias.shape)}, got {list(load.shape)}")
    if bias.dtype != torch.float32:
        raise TypeError(f"bias must be float32, as smaller ones lose the step, got {name_of(bias.dtype)}")
    load = load.to(bias.device, torch.float32)
    return bias.add_((load.mean() - load).sign() * rate)


def sequence_balance_loss(
    scores: torch.Tensor,
    expert_idx: torch.Tensor,
    sequences: int,
    factor: float = 1e-4,
    kept: torch.Tensor | None = None,
) -> torch.Tensor:
    """The sequence-wise auxiliary loss of DeepSeek-V3: for each sequence the sum over experts of the share of tokens
    that chose it, relative to an even one, times its mean score; averaged over sequences. Its least is `factor`.

    Args:
        scores: [tokens, experts] float32, the gate's norm_out: its gradient is that of the loss.
        expert_idx: [tokens, k].
        sequences: How many, of equal length, one after the other, the tokens are.
        factor: Of the loss; 0.0001 in DeepSeek-V3.
        kept: bool [tokens]: which tokens count; None is all of them. A sequence without any adds nothing.

    Returns:
        A scalar float32.

    Raises:
        ValueError, TypeError: A shape or dtype is another, or the tokens are not so many sequences.

    Source: DeepSeek-V3 technical report, equations 17 to 20.
    """
    _check_rows("scores", scores)
    _check_experts(expert_idx, scores, "scores")
    _check_int("sequences", sequences, 1)
    _check_number("factor", factor)
    tokens, experts = scores.shape
    if tokens % sequences != 0:
        raise ValueError(f"sequences must divide the {tokens} tokens, got {sequences}")
    if kept is not None:
        _check_kept(kept, expert_idx)
    counts = torch.ones_like(scores[:, 0]) if kept is None else kept.float()
    ones = counts.unsqueeze(1).expand(expert_idx.shape)
    chosen = scores.new_zeros(tokens, experts + 1).scatter_add(1, expert_idx.long(), ones)[:, :experts]
    shares = scores / scores.sum(1, keepdim=True) * counts.unsqueeze(1)
    length = counts.reshape(sequences, -1).sum(1).clamp(min=1)
    frequency = chosen.reshape(sequences, -1, experts).sum(1) * (experts / expert_idx.shape[1]) / length.unsqueeze(1)
    mean = shares.reshape(sequences, -1, experts).sum(1) / length.unsqueeze(1)
    return factor * (frequency * mean).sum(1).mean()


def drop_tokens(
    weights: torch.Tensor, expert_idx: torch.Tensor, kept: torch.Tensor, experts: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights of 0 and no expert, that is `experts`, for the tokens that are not kept, as padding.

    Args:
        weights, expert_idx: [tokens, k].
        kept: bool [tokens].
        experts: Number of experts.

    Raises:
        ValueError, TypeError: A shape or dtype is another.
    """
    _check_rows("weights", weights)
    _check_experts(expert_idx, weights, "weights")
    _check_int("experts", experts, 1)
    _check_kept(kept, expert_idx)
    dropped = ~kept.unsqueeze(1)
    return weights.masked_fill(dropped, 0.0), expert_idx.masked_fill(dropped, experts)


def physical_experts(expert_idx: torch.Tensor, replicas: torch.Tensor, replica_counts: torch.Tensor) -> torch.Tensor:
    """From logical experts to the physical ones that hold them, where some are held more than once: token after token
    another replica.

    Args:
        expert_idx: [tokens, k] logical experts, all of which exist.
        replicas: [experts, most replicas] integers: the physical experts of each; what is behind its count is not read.
        replica_counts: [experts] integers, at least 1.

    Returns:
        [tokens, k] in the dtype of expert_idx.

    Raises:
        ValueError, TypeError: A shape or dtype is another.

    Source: DeepSeek's load balancer for expert parallelism (EPLB), whose log2phy and logcnt these are.
    """
    _check_experts(expert_idx)
    _check_tensors(replicas=replicas, replica_counts=replica_counts)
    if replicas.dim() != 2 or replica_counts.shape != replicas.shape[:1]:
        raise ValueError(
            "replicas must be [experts, most replicas] and replica_counts [experts], "
            f"got shapes {list(replicas.shape)} and {list(replica_counts.shape)}"
        )
    experts = expert_idx.long()
    token = torch.arange(expert_idx.shape[0], device=expert_idx.device).unsqueeze(1)
    which = token.remainder(replica_counts.long()[experts])
    place = experts * replicas.shape[1] + which
    return replicas.flatten()[place].to(expert_idx.dtype)


def append_shared_experts(
    weights: torch.Tensor, expert_idx: torch.Tensor, experts: int, shared: int, weight: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Shared experts as chosen by every token: they follow the routed ones, by number and in their columns.

    Args:
        weights, expert_idx: [tokens, k].
        experts: Number of routed experts, and so the number of the first shared one.
        shared: How many there are.
        weight: What the results of each are multiplied by.

    Returns:
        weights and expert_idx [tokens, k + shared].

    Raises:
        ValueError, TypeError: A shape, dtype or number is another.
    """
    _check_rows("weights", weights)
    _check_experts(expert_idx, weights, "weights")
    _check_int("experts", experts, 1)
    _check_int("shared", shared, 0)
    if not weights.dtype.is_floating_point:
        raise TypeError(f"weights must be floating point, got {name_of(weights.dtype)}")
    _check_number("weight", weight, weights.dtype)
    tokens = expert_idx.shape[0]
    numbers = torch.arange(experts, experts + shared, device=expert_idx.device, dtype=expert_idx.dtype)
    constant = torch.full((tokens, shared), weight, device=weights.device, dtype=weights.dtype)
    return torch.cat((weights, constant), 1), torch.cat((expert_idx, numbers.expand(tokens, shared)), 1)


def _check_tensors(**tensors: object) -> None:
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor):
            refuse_type(name, "a Tensor", "", value=tensor)


def _check_int(name: str, value: Any, least: int) -> None:
    floating = isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex())
    if floating or not (isinstance(value, torch.SymInt) or stands_for_a_number(value)):
        refuse_type(name, "an int", "", value=value)
    if value < least or value >= 2**31:
        raise ValueError(f"{name} must be at least {least}, and an int32, got {value}")


def _check_number(name: str, value: Any, dtype: torch.dtype = torch.float32) -> None:
    if isinstance(value, torch.Tensor) and value.dim() == 0 and not value.is_complex():
        return
    if not isinstance(value, (int, float, numpy.integer, numpy.floating, torch.SymInt, torch.SymFloat)):
        refuse_type(name, "a number", "", value=value)
    most = min(torch.finfo(dtype).max, 2**63 - 1) if isinstance(value, int) else torch.finfo(dtype).max
    number: Any = value
    if most < abs(number) < float("inf"):
        raise ValueError(f"{name} must be a number that {name_of(dtype)} and torch's integers hold, got {value}")


def _check_experts(expert_idx: torch.Tensor, beside: torch.Tensor | None = None, name: str = "") -> None:
    """[tokens, k] integers; as many tokens as another argument has."""
    _check_rows("expert_idx", expert_idx)
    if expert_idx.dtype.is_floating_point or expert_idx.dtype.is_complex or expert_idx.dtype == torch.bool:
        raise TypeError(f"expert_idx must hold integers, got {name_of(expert_idx.dtype)}")
    if beside is not None and beside.shape[0] != expert_idx.shape[0]:
        raise ValueError(
            f"expert_idx must have the tokens of {name}, {beside.shape[0]}, got shape {list(expert_idx.shape)}"
        )


def _check_rows(name: str, tensor: torch.Tensor) -> None:
    _check_tensors(**{name: tensor})
    if tensor.dim() != 2:
        raise ValueError(f"{name} must have 2 dimensions, tokens first, got shape {list(tensor.shape)}")


def _check_kept(kept: torch.Tensor, expert_idx: torch.Tensor) -> None:
    _check_tensors(kept=kept)
    if kept.shape != expert_idx.shape[:1]:
        raise ValueError(f"kept must have one dimension of {expert_idx.shape[0]} tokens, got shape {list(kept.shape)}")
    if kept.dtype != torch.bool:
        raise TypeError(f"kept must be bool, got {name_of(kept.dtype)}")
