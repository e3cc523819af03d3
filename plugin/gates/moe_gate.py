"""The gate of a Mixture-of-Experts layer as a module: router, then the operator."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from ascend_moe_gating.plugin.constraints.needs import missing
from ascend_moe_gating.plugin.constraints.norm_types import SOFTMAX
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import NEEDS, Call
from ascend_moe_gating.plugin.constraints.rules import Described, name_of, refuse_type
from ascend_moe_gating.plugin.gates.config import GateConfig
from ascend_moe_gating.plugin.npu_moe_gating_top_k import npu_moe_gating_top_k


class MoEGate(nn.Module):
    """Routes hidden states to experts as DeepSeek-V3 does, and the models that vary it. Differentiable.

    It routes in float32, whatever the hidden states are and wherever it is: under autocast, in a parent in half
    precision, after .half(), .bfloat16() or .to(dtype). In bfloat16 the bias loses most of its values and the choice
    changes. So its parameters stay float32 when it is moved, and become float32 when they are loaded.

    Args:
        hidden_size, experts, k: The sizes.
        options: The other attributes of GateConfig, by name.

    Attributes:
        config: The GateConfig.
        weight: The router's [experts, hidden_size].
        bias: The router's [experts], or None.
        e_score_correction_bias: A buffer [experts], or None: what steers the choice, zero at first.
        tid2eid: Of a hash layer, a buffer [vocabulary, k] int64: the experts of each id, expert 0 at first.

    Raises:
        ValueError, TypeError: as GateConfig raises them.

    Source: the state dict has the names of DeepSeek's checkpoints.
    """

    bias: nn.Parameter | None
    e_score_correction_bias: torch.Tensor | None
    tid2eid: torch.Tensor | None

    def __init__(self, hidden_size: int, experts: int, k: int, **options: Any) -> None:
        super().__init__()
        self.config = config = GateConfig(hidden_size, experts, k, **options)
        self.weight = nn.Parameter(torch.empty(experts, hidden_size, dtype=torch.float32))
        self.register_parameter("bias", _vector(experts, config.router_bias, nn.Parameter))
        self.register_buffer("e_score_correction_bias", _vector(experts, config.bias, torch.Tensor))
        table = None if config.vocabulary is None else torch.zeros(config.vocabulary, k, dtype=torch.int64)
        self.register_buffer("tid2eid", table)
        self.divides = config.renorm == 1 and config.norm_type == SOFTMAX and not _takes_renorm(config)
        self.reset_parameters()

    @classmethod
    def from_config(cls, config: GateConfig) -> MoEGate:
        """The gate of a configuration, as of GateConfig.from_hf."""
        return cls(**dataclasses.asdict(config))

    def reset_parameters(self) -> None:
        """Draw the router's weight anew, with a deviation of hidden_size ** -0.5, and forget the rest."""
        nn.init.normal_(self.weight, std=self.config.hidden_size**-0.5)
        for forgotten in (self.bias, self.e_score_correction_bias, self.tid2eid):
            if forgotten is not None:
                nn.init.zeros_(forgotten)

    def forward(
        self, hidden_states: torch.Tensor, input_ids: torch.Tensor | None = None, *, return_scores: bool = False
    ) -> tuple[torch.Tensor, ...]:
        """Choose experts and weigh them.

        Args:
            hidden_states: [..., hidden_size] of any float dtype.
            input_ids: Of a hash layer, [...] int64 or int32.
            return_scores: For auxiliary losses.

        Returns:
            weights [tokens, k] float32 and expert_idx [tokens, k] int32, where tokens counts all leading dimensions;
            with return_scores also the scores of all experts, without bias, [tokens, experts] float32.

        Raises:
            TypeError: An argument is no tensor; or the weight or a bias is no float32: something casts it for the
                forward pass.
            ValueError: The last dimension is not hidden_size; or input_ids is missing, or not wanted.
        """
        self._check(hidden_states, input_ids)
        tokens = hidden_states.reshape(-1, self.config.hidden_size)
        ids = None if input_ids is None else input_ids.reshape(-1)
        gating = self.config.gating()
        if self.divides:
            gating = {**gating, "renorm": 0, "routed_scaling_factor": 1.0}
        with _without_autocast(tokens.device.type):
            logits = nn.functional.linear(tokens.float(), self.weight, self.bias)
            bias = self.e_score_correction_bias
            weights, expert_idx, scores = npu_moe_gating_top_k(
                logits,
                self.config.k,
                bias=bias,
                input_ids=ids,
                tid2eid=self.tid2eid,
                out_flag=return_scores,
                **gating,
            )
            if self.divides:
                weights = weights / (weights.sum(-1, keepdim=True) + self.config.eps)
                weights = weights * self.config.routed_scaling_factor
        return (weights, expert_idx, scores) if return_scores else (weights, expert_idx)

    def _check(self, hidden_states: torch.Tensor, input_ids: torch.Tensor | None) -> None:
        if not isinstance(hidden_states, torch.Tensor):
            refuse_type("hidden_states", "a Tensor", "", value=hidden_states)
        if not isinstance(input_ids, (torch.Tensor, type(None))):
            refuse_type("input_ids", "a Tensor or None", "", value=input_ids)
        if hidden_states.dim() == 0 or hidden_states.shape[-1] != self.config.hidden_size:
            raise ValueError(
                f"hidden_states must have a last dimension of {self.config.hidden_size} (= hidden_size), got shape "
                f"{list(hidden_states.shape)}"
            )
        if (input_ids is None) != (self.tid2eid is None):
            rule = "be given to a hash layer" if input_ids is None else "not be given to a gate without vocabulary"
            raise ValueError(f"input_ids must {rule}, got {'None' if input_ids is None else 'a tensor'}")
        for name in ("weight", "bias", "e_score_correction_bias"):
            tensor = getattr(self, name)
            if tensor is not None and tensor.dtype != torch.float32:
                raise TypeError(
                    f"{name} must be float32 where the gate routes, got {name_of(tensor.dtype)}: leave the gate out of "
                    "mixed precision, as by fully_shard(gate) before the model is sharded"
                )

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> MoEGate:
        """What .to(), .half() and others do: moves the tensors, and lets them be float32."""

        def moved(tensor: torch.Tensor) -> torch.Tensor:
            result = fn(tensor)
            return result if result.dtype == tensor.dtype else tensor.to(result.device)

        return super()._apply(moved, recurse)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        wide = {
            name: tensor.float() if name.startswith(prefix) and tensor.is_floating_point() else tensor
            for name, tensor in state_dict.items()
        }
        super()._load_from_state_dict(wide, prefix, *args)

    def extra_repr(self) -> str:
        """The configuration, without what is as usual."""
        usual = {field.name: field.default for field in dataclasses.fields(self.config)}
        values = dataclasses.asdict(self.config)
        return ", ".join(f"{name}={value}" for name, value in values.items() if value != usual[name])


def _vector(size: int, wanted: bool, kind: Callable[[torch.Tensor], Any]) -> Any:
    return kind(torch.zeros(size, dtype=torch.float32)) if wanted else None


def _takes_renorm(config: GateConfig) -> bool:
    """Whether the CANN that is present, if there is one, divides the weights of a softmax."""
    call = Call(Described([1, config.experts], torch.float32), config.k, **config.gating())
    return not missing(call, [need for need in NEEDS if need.label == "C11"])


def _without_autocast(device: str) -> Any:
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else contextlib.nullcontext()
