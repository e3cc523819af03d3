"""The operators of this package: one record each. Registration reads nothing else.

An operator is a file of its name in plugin/ (its public function), meta/ (shape inference) and converters/ (the GE
converter), each with a function of its name, and its record here. The public one is not imported here: whoever imports
it before torch is waiting for torch, and so for the registration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ascend_moe_gating.plugin import aclnn, constraints, cpu, cpu_dispatch, schema, softmax_v2
from ascend_moe_gating.plugin.rules import Constraint


@dataclass(frozen=True)
class Operator:
    """One operator of torch.ops.npu."""

    name: str
    schema: str
    node: str  # the type of its GE node
    cpu: Callable[..., Any]
    constraints: tuple[Constraint, ...]
    checks: tuple[Any, ...]  # the Python functions that check a call, which dynamo must not compile by themselves
    compiled_cpu: Callable[[], bool] | None = None  # gives torch's dispatcher the CPU kernel without Python, or says no
    npu: Callable[..., Any] | None = None  # this package's own NPU kernel
    npu_call: str = ""  # what that one calls

    @property
    def public(self) -> Any:
        return import_module(f"ascend_moe_gating.plugin.{self.name}")

    @property
    def meta(self) -> Callable[..., Any]:
        return getattr(import_module(f"ascend_moe_gating.meta.{self.name}"), self.name)

    @property
    def converter(self) -> Callable[..., Any]:
        return getattr(import_module(f"ascend_moe_gating.converters.{self.name}"), self.name)


OPERATORS = (
    Operator(
        name=schema.NAME,
        schema=schema.SCHEMA,
        node="MoeGatingTopK",
        cpu=cpu.npu_moe_gating_top_k,
        constraints=constraints.CONSTRAINTS,
        checks=constraints.CHECKS,
        compiled_cpu=cpu_dispatch.register,
        npu=aclnn.npu_moe_gating_top_k,
        npu_call="aclnnMoeGatingTopK",
    ),
    Operator(
        name=softmax_v2.NAME,
        schema=softmax_v2.SCHEMA,
        node="MoeGatingTopKSoftmaxV2",
        cpu=softmax_v2.cpu_kernel,
        constraints=softmax_v2.CONSTRAINTS,
        checks=softmax_v2.CHECKS,
    ),
)
