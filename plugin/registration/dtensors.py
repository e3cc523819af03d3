"""The operators on DTensors, the tensors that torch.distributed spreads over devices: each device chooses experts for
the tokens that it holds, and nothing is sent.

This is a rule of torch.library. One of torch's register_sharding would leave tensors that are given by keyword where
they are, would hold for every placement of them what it found for the first, and could not count the rows of row_idx.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Placement, Replicate, Shard

from ascend_moe_gating.plugin.cpu.npu_moe_gating_top_k_softmax import numbered_rows
from ascend_moe_gating.plugin.registration.operators import Operator

Kernel = Callable[..., tuple[torch.Tensor, ...]]


def register(operator: Operator, overload: Any, library: torch.library.Library) -> dict[type, Kernel]:
    """Let the operator take DTensors; gives, by its class, what does so with gradients."""
    kernel = on_dtensors(operator, overload)

    def rule(cls: type, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return kernel(*args, **kwargs)

    torch.library.register_torch_dispatch(overload._schema.name, DTensor, rule, lib=library)
    return {DTensor: kernel}


def on_dtensors(operator: Operator, overload: Any) -> Kernel:
    """The operator, some of whose tensors are DTensors. Differentiable with respect to x.

    x, and what has an entry for each of its tokens, may be sharded over tokens; an x whose experts are sharded is
    gathered. Everything else is wanted whole, and gathered if it is not. Results are spread as x.
    """
    signature = operator.signature

    @signature.implementation
    def kernel(call: Any) -> tuple[torch.Tensor, ...]:
        operator.constraints.check(call)
        given = {name: tensor for name, tensor in signature.tensors(call).items() if tensor is not None}
        mesh = next(tensor.device_mesh for tensor in given.values() if isinstance(tensor, DTensor))
        spread = {name: _as_dtensor(tensor, mesh, overload) for name, tensor in given.items()}
        x, whole = spread["x"], [Replicate()] * mesh.ndim
        by_token = [p if isinstance(p, Shard) and p.dim < x.dim() - 1 else Replicate() for p in x.placements]
        local = {
            name: tensor.redistribute(placements=by_token if name in ("x", *operator.of_tokens) else whole).to_local()
            for name, tensor in spread.items()
        }
        # The public function, as the tokens of this device may be none.
        results = list(operator.public(**call._replace(**local)._asdict()))
        if operator.numbers_rows:
            row_idx = numbered_rows([*x.shape[:-1], call.k], results[2].device)
            results[2] = DTensor.from_local(row_idx, mesh, whole, run_check=False).redistribute(placements=by_token)
        return tuple(r if isinstance(r, DTensor) else _result(r, x, mesh, by_token) for r in results)

    return kernel


def _as_dtensor(tensor: torch.Tensor, mesh: DeviceMesh, overload: Any) -> Any:
    """A plain tensor is what it is to torch's operators: an error, unless they may take it for replicated."""
    if isinstance(tensor, DTensor):
        return tensor
    spec = DTensor._op_dispatcher._try_replicate_spec_for_scalar_tensor(overload, tensor, mesh)
    return DTensor.from_local(tensor, mesh, spec.placements, run_check=False)


def _result(local: torch.Tensor, x: Any, mesh: DeviceMesh, placements: Sequence[Placement]) -> torch.Tensor:
    """Rows of tokens are spread as x; a result that is not asked for, and so empty, has none."""
    if local.dim() != x.dim():
        return DTensor.from_local(local, mesh, [Replicate()] * mesh.ndim, run_check=False)
    whole = torch.empty((*x.shape[:-1], local.shape[-1]), device="meta")
    return DTensor.from_local(local, mesh, placements, run_check=False, shape=whole.shape, stride=whole.stride())
