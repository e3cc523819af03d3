"""The operators of this package: one record each. Registration reads nothing else.

An operator is a file of its name, with what has its name, in plugin/ (the public function), plugin/cpu/ (the kernel),
meta/ (shape inference), plugin/gradients/, converters/ (the GE converter) and plugin/aclnn/ (the direct call); in
plugin/constraints/ the file of its name holds its signature and constraints. They are imported when they are asked for:
whoever imports the public one before torch is waiting for torch, and so for the registration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ascend_moe_gating.plugin.constraints.signature import Signature
from ascend_moe_gating.plugin.cpu import dispatch


@dataclass(frozen=True)
class Operator:
    """One operator of torch.ops.npu."""

    name: str
    node: str  # the type of its GE node
    npu_call: str  # what this package's own NPU kernel calls
    of_tokens: tuple[str, ...] = ()  # the tensors beside x that have an entry for each token
    numbers_rows: bool = False  # the third result is row_idx, which counts all tokens
    compiled_cpu: Callable[[], bool] | None = None  # gives torch's dispatcher the CPU kernel without Python, or says no

    @property
    def public(self) -> Callable[..., Any]:
        return self._function("plugin")

    @property
    def constraints(self) -> Any:
        return import_module(f"ascend_moe_gating.plugin.constraints.{self.name}")

    @property
    def signature(self) -> Signature:
        return self.constraints.SIGNATURE

    @property
    def cpu(self) -> Callable[..., Any]:
        return self._function("plugin.cpu")

    @property
    def npu(self) -> Callable[..., Any]:
        return self._function("plugin.aclnn")

    @property
    def meta(self) -> Callable[..., Any]:
        return self._function("meta")

    @property
    def gradient(self) -> Any:
        return self._function("plugin.gradients")

    @property
    def converter(self) -> Callable[..., Any]:
        return self._function("converters")

    def _function(self, room: str) -> Callable[..., Any]:
        return getattr(import_module(f"ascend_moe_gating.{room}.{self.name}"), self.name)


OPERATORS = (
    Operator(
        "npu_moe_gating_top_k",
        node="MoeGatingTopK",
        npu_call="aclnnMoeGatingTopK",
        of_tokens=("input_ids",),
        compiled_cpu=dispatch.register,
    ),
    Operator(
        "npu_moe_gating_top_k_softmax",
        node="MoeGatingTopKSoftmax",
        npu_call="aclnnMoeGatingTopKSoftmax",
        of_tokens=("finished",),
        numbers_rows=True,
    ),
    Operator(
        "npu_moe_gating_top_k_softmax_v2",
        node="MoeGatingTopKSoftmaxV2",
        npu_call="aclnnMoeGatingTopKSoftmaxV2",
        of_tokens=("finished",),
    ),
)
