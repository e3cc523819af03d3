"""Makes a graph of a method, for any number of tokens, with its gates fused, that runs eagerly and under autograd.

torch's dynamo traces the method and holds each call to what it has taken for granted: the mode, the attributes, the
dtypes. The graph is that of before autograd, so that gradients, of any order, are torch's and the operators' own.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any
from unittest import mock

import torch
import torch.fx.traceback
from torch._ops import HigherOrderOperator
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd.graph import saved_tensors_hooks
from torch.fx import GraphModule, Interpreter
from torch.fx.experimental.proxy_tensor import make_fx

from ascend_moe_gating.converters.eager.candidates import names_in
from ascend_moe_gating.converters.fusion.gradients import put_in_modes, take_out_modes
from ascend_moe_gating.converters.fusion.replace import fuse_gates
from ascend_moe_gating.converters.fusion.report import GateReport
from ascend_moe_gating.plugin.constraints.signature import NAMESPACE
from ascend_moe_gating.plugin.npu_moe_gating_top_k import npu_moe_gating_top_k
from ascend_moe_gating.plugin.npu_moe_gating_top_k_softmax_v2 import npu_moe_gating_top_k_softmax_v2

_PUBLIC = {
    f"{NAMESPACE}.{function.__name__}.default": function
    for function in (npu_moe_gating_top_k, npu_moe_gating_top_k_softmax_v2)
}
_last = threading.local()  # of this thread: `reports` of the graph that ran last, whether a call `makes_graphs`
# Of dynamo: a number that a module has is the same in every call; one method serves the routers of all layers, in
# evaluation and training; DDP has no say in graphs of a router.
_OPTIONS = {
    "specialize_float": True,
    "specialize_int": True,
    "cache_size_limit": 64,
    "recompile_limit": 64,
    "optimize_ddp": False,
}
_KEPT = {"linear", "matmul", "einsum"}  # of which no gate is read, and which a processor may do at once


class NotTraced(Exception):
    """Why a method is left as it is."""


class Traced:
    """A method, or the first part of one that was cut, that runs graphs in which gates are fused.

    Its code is a copy, so that what else is compiled of the method has nothing to do with it.
    """

    def __init__(self, method: Any, tail: Callable | None = None) -> None:
        self.names, self.tail = names_in(method), tail
        copy = FunctionType(method.__code__.replace(), method.__globals__, method.__name__, None, method.__closure__)
        copy.__defaults__, copy.__kwdefaults__ = method.__defaults__, method.__kwdefaults__
        # The same backend finds the same graphs, and a call that no sizes have to be said to takes half as long.
        self._trace = torch._dynamo.optimize(_compile, nopython=True, dynamic=True)(copy)
        self._run = torch._dynamo.optimize(_compile, nopython=True)(copy)

    def __call__(self, module: Any, *args: Any, **kwargs: Any) -> tuple[Any, list[GateReport] | None]:
        """The method's result by a graph, which is made where there is none for such a call, and what became of its
        gates; None where dynamo has left the method as it is.

        Raises:
            NotTraced: it can't be traced; nothing has been computed.
        """
        _last.reports, _last.makes_graphs = None, False
        try:
            result = self._run(module, *args, **kwargs)
        except Exception:
            if _last.reports is not None:  # of the graph while it ran, as of the method itself
                raise
            result = self._traced(module, args, kwargs)
        reports = _last.reports
        return (result if self.tail is None else self.tail(module, *result)), reports

    def _traced(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        _last.makes_graphs = True
        config = torch._dynamo.config
        try:
            with config.patch({name: value for name, value in _OPTIONS.items() if hasattr(config, name)}):
                return self._trace(module, *args, **kwargs)
        except Exception as error:
            if _last.reports is not None:
                raise
            reason = getattr(error, "inner_exception", error)
            raise NotTraced(str(reason).strip().partition("\n")[0]) from None


def prepare() -> None:
    """Let dynamo start whatever it starts when it first traces: a device, which no checkpoint allows inside of it."""
    torch._dynamo.optimize("eager")(lambda tensor: tensor + 1)(torch.zeros(1))


def _compile(graph_module: GraphModule, _: Any) -> Callable:
    if not _last.makes_graphs:
        raise NotTraced("there is no graph for such a call")
    graph = _before_autograd(graph_module, _descriptions(graph_module))
    graph.graph.eliminate_dead_code()
    take_out_modes(graph.graph)
    reports = fuse_gates(graph)  # a float of the user's is a number here, not an input
    for node in graph.graph.nodes:
        node.target = _PUBLIC.get(str(node.target), node.target)
    put_in_modes(graph.graph)
    for node in graph.graph.nodes:
        node.meta.pop("val", None)
    graph.recompile()

    def run_graph(*inputs: Any) -> Any:
        _last.reports = reports
        return graph.forward(*inputs)

    return run_graph


def _descriptions(graph_module: GraphModule) -> list[Any]:
    """The inputs of dynamo's graph as it has described them.

    Raises:
        NotTraced: there is something in the graph that does more than its operations do.
    """
    for node in graph_module.graph.nodes:
        value = node.meta.get("example_value")
        if node.op == "placeholder" and isinstance(value, torch.Tensor) and not isinstance(value, FakeTensor):
            raise NotTraced(f"an input is a {type(value).__name__}")
        if isinstance(node.target, HigherOrderOperator):
            raise NotTraced(f"there is a {node.target} in it, as of a torch.autograd.Function")
        name = getattr(node.target, "__name__", "")
        if name.startswith(("_enter_", "_exit_")) and not name.endswith("_autocast"):
            raise NotTraced(f"there is a {name.removeprefix('_enter_')} in it")
    return [node.meta["example_value"] for node in graph_module.graph.nodes if node.op == "placeholder"]


def _before_autograd(graph_module: GraphModule, inputs: list[Any]) -> GraphModule:
    """The ATen graph of a graph of dynamo, with the same results for the same inputs under autograd."""
    mode = next((value.fake_mode for value in inputs if isinstance(value, FakeTensor)), None)
    if mode is None:
        raise NotTraced("there is no tensor in it")
    trace = make_fx(
        lambda *args: Interpreter(graph_module).run(*args),
        decomposition_table=_composites(),
        pre_dispatch=True,
        _allow_non_fake_inputs=True,
    )
    nothing = saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor)  # not those of a checkpoint around
    constants = mock.patch.object(mode, "allow_non_fake_inputs", True)
    with mode, constants, nothing, torch.fx.traceback.preserve_node_meta():
        graph = trace(*inputs)
    for node in graph.graph.nodes:
        if node.op == "get_attr" and isinstance(getattr(graph, node.target, None), FakeTensor):
            raise NotTraced("a value that it computes is hidden from the trace")
    return graph


@functools.cache
def _composites() -> dict[Any, Callable]:
    """What each operator that torch composes of others is composed of: so gates are read, and so autograd sees them."""
    found = {}
    for name in torch._C._dispatch_get_registrations_for_dispatch_key("CompositeImplicitAutograd"):
        namespace, _, rest = name.partition("::")
        packet, _, overload = rest.partition(".")
        if namespace == "aten" and packet not in _KEPT:
            operator = getattr(getattr(torch.ops.aten, packet), overload or "default")
            found[operator] = operator.decompose
    return found
