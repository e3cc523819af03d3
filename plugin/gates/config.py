"""What a gate is made from."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import SIGNATURE, Call, check_rules
from ascend_moe_gating.plugin.constraints.rules import Described, check_types
from ascend_moe_gating.plugin.gates.published import gate_of


@dataclasses.dataclass(frozen=True)
class GateConfig:
    """The sizes of a gate, and how it chooses and weighs experts. Checked when it is made, and frozen.

    Attributes:
        hidden_size: Width of the hidden states.
        experts: Number of routed experts.
        k: Experts per token.
        bias: Whether a score correction bias steers the choice.
        router_bias: Whether the router adds a bias to the logits.
        vocabulary: For a hash layer the number of ids, whose experts a table has; None for a layer that chooses.
        k_group, group_count, group_select_mode, renorm, norm_type, routed_scaling_factor, eps: as in
            npu_moe_gating_top_k.

    Raises:
        ValueError: A size or number breaks a constraint of npu_moe_gating_top_k; the message has its label.
        TypeError: A Python type does.
    """

    hidden_size: int
    experts: int
    k: int
    bias: bool = True
    router_bias: bool = False
    vocabulary: int | None = None
    k_group: int = 1
    group_count: int = 1
    group_select_mode: int = 1
    renorm: int = 0
    norm_type: int = 1
    routed_scaling_factor: float = 1.0
    eps: float = 1e-20

    def __post_init__(self) -> None:
        for name in ("hidden_size", "experts", "vocabulary"):
            _check_size(name, getattr(self, name), optional=name == "vocabulary")
        for name in ("bias", "router_bias"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be a bool, got {getattr(self, name)!r}")
        numbers = {"k": self.k, **self.gating()}
        parameters = tuple(p for p in SIGNATURE.parameters if p.name in numbers)
        check_types([numbers[p.name] for p in parameters], parameters)
        ids = {} if self.vocabulary is None else {"input_ids": _ids(1), "tid2eid": _ids(self.vocabulary, self.k)}
        check_rules(Call(x=Described([1, self.experts], torch.float32), **numbers, **ids))

    def gating(self) -> dict[str, Any]:
        """The numbers that the operator is called with, beside k."""
        fields = [field.name for field in dataclasses.fields(self)]
        return {name: getattr(self, name) for name in fields[fields.index("k_group") :]}

    @classmethod
    def from_hf(cls, config: Any, layer: int | None = None) -> GateConfig:
        """The gate of a layer of a model, from its configuration as transformers has it.

        Args:
            config: An object with `model_type`, or one whose `text_config` has it.
            layer: The layer's index, which decides in models with hash layers.

        Raises:
            NotImplementedError: The operator does not compute this gate, or the family is not known.
            ValueError: The configuration lacks what says it, or a value breaks a constraint.
            TypeError: A value or layer has a wrong Python type.
        """
        if layer is not None and (not isinstance(layer, int) or isinstance(layer, bool)):
            raise TypeError(f"layer must be an int or None, got {layer!r}")
        return cls(**gate_of(config, layer))


def _check_size(name: str, size: object, optional: bool) -> None:
    if size is None and optional:
        return
    if not isinstance(size, int) or isinstance(size, bool):
        raise TypeError(f"{name} must be an int{' or None' if optional else ''}, got {size!r}")
    if size < 1:
        raise ValueError(f"{name} must be at least 1, got {size}")


def _ids(*shape: int) -> Described:
    return Described(list(shape), torch.int64)
