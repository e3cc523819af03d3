"""Fuses gates in every graph that torchair compiles, unless the user has switched that off."""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

from torch.fx import GraphModule

from ascend_moe_gating.converters.fusion.replace import float_inputs, fuse_gates
from ascend_moe_gating.converters.fusion.softplus import write_out_softplus
from ascend_moe_gating.converters.fusion.switch import enabled, fusion
from ascend_moe_gating.plugin.environment.packages import missing_torchair

logger = logging.getLogger(__name__)


def get_npu_backend(*, fuse: bool = True, **options: Any) -> Callable:
    """torchair.get_npu_backend(**options), which fuses gates or, with fuse=False, leaves them as they are.

    Raises:
        ImportError: torch_npu or its torchair is not installed, or does not load; the message says which, and why.
    """
    if missing := missing_torchair():
        raise ImportError(f"get_npu_backend() is {missing}")
    try:
        from torchair import get_npu_backend as backend_of_torchair
    except Exception as error:  # torch_npu loads torchair now, and hands on whatever happens, some as a cause
        reason = error.__cause__ or error
        raise ImportError(f"get_npu_backend() is not available (torchair does not load: {reason})") from error
    backend = backend_of_torchair(**options)

    @functools.wraps(backend.func)
    def compile_graph(*args: Any, **kwargs: Any) -> Callable:
        with fusion(fuse):
            return backend(*args, **kwargs)

    return compile_graph


def register(compiler: ModuleType) -> None:
    """Let torchair, by its module that compiles FX graphs, fuse gates before its own optimizations, in every mode."""
    optimize = getattr(compiler, "_optimize_fx", None)
    if optimize is None:
        warnings.warn(f"gates are not fused: {compiler.__name__} has no _optimize_fx to begin with", stacklevel=2)
        return

    @functools.wraps(optimize)
    def fuse_then_optimize(graph_module: GraphModule, *args: Any, **kwargs: Any) -> GraphModule:
        if enabled():
            others = (*args, *kwargs.values())
            inputs = next((other.example_inputs for other in others if hasattr(other, "example_inputs")), ())
            for report in fuse_gates(graph_module, float_inputs(graph_module, inputs)):
                logger.info("%s", report)
            write_out_softplus(graph_module)
        return optimize(graph_module, *args, **kwargs)

    compiler._optimize_fx = fuse_then_optimize  # type: ignore[attr-defined]
