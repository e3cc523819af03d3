"""The paths that a call can take to a device: each makes, of an operator and its numbers, a function of tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

import ascend_moe_gating
from ascend_moe_gating.plugin.aclnn.npu_moe_gating_top_k import npu_moe_gating_top_k as aclnn_gating
from ascend_moe_gating.plugin.aclnn.npu_moe_gating_top_k_softmax import npu_moe_gating_top_k_softmax as aclnn_softmax
from ascend_moe_gating.plugin.aclnn.npu_moe_gating_top_k_softmax_v2 import (
    npu_moe_gating_top_k_softmax_v2 as aclnn_softmax_v2,
)
from ascend_moe_gating.plugin.cpu.npu_moe_gating_top_k import npu_moe_gating_top_k as cpu_gating
from ascend_moe_gating.plugin.verify.question import GATING, SOFTMAX, SOFTMAX_V2

Tensors = dict[str, torch.Tensor]
Results = tuple[torch.Tensor, ...]
Function = Callable[[Tensors], Results]


class Path(NamedTuple):
    """How an operator is called.

    `errors` says what a call that breaks a constraint must raise: "ours" the table's error, "values" that or a
    ValueError, as C++ has no other, "device" whatever refuses it.
    """

    key: str
    title: str
    make: Callable[[str, dict[str, Any]], Function]
    compiles: bool = False  # a function serves the numbers that it was made for, and few sizes
    errors: str = "ours"
    operators: tuple[str, ...] = ()  # none: all
    takes_no_tokens: bool = True


def public(operator: str, numbers: dict[str, Any]) -> Function:
    function = getattr(ascend_moe_gating, operator)
    return lambda tensors: function(**tensors, **numbers)


def dispatched(operator: str, numbers: dict[str, Any]) -> Function:
    function = getattr(torch.ops.npu, operator).default
    return lambda tensors: function(**tensors, **numbers)


def direct_aclnn(operator: str, numbers: dict[str, Any]) -> Function:
    function = {GATING: aclnn_gating, SOFTMAX: aclnn_softmax, SOFTMAX_V2: aclnn_softmax_v2}[operator]
    return lambda tensors: function(**tensors, **numbers)


def by_python(operator: str, numbers: dict[str, Any]) -> Function:
    """What a torch without the C interface for operators calls; of npu_moe_gating_top_k alone."""
    return lambda tensors: cpu_gating(**tensors, **numbers)


def graph(operator: str, numbers: dict[str, Any], dynamic: bool) -> Function:
    """A graph by torchair, of its own: what was compiled before is forgotten."""
    import torchair

    torch._dynamo.reset()
    backend = torchair.get_npu_backend(compiler_config=torchair.CompilerConfig())
    return _with_tensors(torch.compile(_plain(operator, numbers), backend=backend, dynamic=dynamic, fullgraph=True))


def _plain(operator: str, numbers: dict[str, Any]) -> Callable[..., Results]:
    """A function of tensors or None, as a model would have it."""
    function = getattr(ascend_moe_gating, operator)
    if operator == GATING:

        def gate(x: Any, bias: Any = None, input_ids: Any = None, tid2eid: Any = None) -> Results:
            return function(x, bias=bias, input_ids=input_ids, tid2eid=tid2eid, **numbers)

        return gate

    def softmax(x: Any, finished: Any = None) -> Results:
        return function(x, finished=finished, **numbers)

    return softmax


def _with_tensors(function: Callable[..., Results]) -> Function:
    return lambda tensors: function(**tensors)


# Of torch_npu up to 2.10.0.post4.
_AFTER_A_FAILED_CAPTURE = "an earlier capture failed, and this torch_npu refuses every later one in the process"


def captured(operator: str, numbers: dict[str, Any]) -> Function:
    """A graph that is captured at the first call and replayed from then on, for tensors of the same shapes."""
    function = getattr(ascend_moe_gating, operator)
    npu: Any = torch.npu  # type: ignore[attr-defined]
    held: list[Any] = []

    def replay(tensors: Tensors) -> Results:
        if not held:
            given = {name: tensor.clone() for name, tensor in tensors.items()}
            function(**given, **numbers)  # what is set up once is not captured
            npu.synchronize()
            captured_graph = npu.NPUGraph()
            try:
                with npu.graph(captured_graph):
                    results = function(**given, **numbers)
            except RuntimeError as error:
                if "captures_underway" not in str(error):
                    raise
                raise RuntimeError(_AFTER_A_FAILED_CAPTURE) from error
            held.extend((captured_graph, given, results))
        captured_graph, given, results = held
        for name, tensor in tensors.items():
            given[name].copy_(tensor)
        for result in results:
            result.fill_(77)  # it must not survive
        captured_graph.replay()
        return tuple(result.clone() for result in results)

    return replay


def on_npu(tensor: torch.Tensor | None) -> torch.Tensor | None:
    """The same tensor on the device, strides included (a plain copy would be contiguous)."""
    if tensor is None or tensor.is_contiguous():
        return None if tensor is None else tensor.to("npu")
    storage = torch.empty(0, dtype=tensor.dtype).set_(tensor.untyped_storage())
    return torch.as_strided(storage.to("npu"), tensor.shape, tensor.stride(), tensor.storage_offset())


NPU_PATHS = (
    Path("eager", "public function", public),
    Path("ops", "torch_npu's own call", dispatched, errors="device", takes_no_tokens=False),
    Path("aclnn", "direct aclnn call", direct_aclnn),
    Path("static", "static graph", functools.partial(graph, dynamic=False), compiles=True),
    Path("dynamic", "dynamic graph", functools.partial(graph, dynamic=True), compiles=True),
    Path("captured", "captured graph", captured, compiles=True, takes_no_tokens=False),
)


def cpu_paths(vector: str, first: bool) -> tuple[Path, ...]:
    """Those of a vector version of the kernel; of all but the first the public function alone."""
    called_by_torch = Path(f"eager-{vector}", f"public function, {vector}", public)
    if not first:
        return (called_by_torch,)
    return (
        called_by_torch,
        Path(f"ops-{vector}", f"torch.ops, {vector}", dispatched, errors="values"),
        Path(f"python-{vector}", f"kernel by Python, {vector}", by_python, operators=(GATING,)),
    )
