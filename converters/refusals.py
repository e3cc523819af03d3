"""Lets the refusal of a graph say what its nodes need: a graph fails where it is compiled or run, far from the call.

A converter writes on its node what the CANN that is present does not take; torchair's class of graphs reads it again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, TypeVar

from ascend_moe_gating.plugin.constraints.needs import Need, missing, with_needs

_ATTRIBUTE = "_ascend_moe_gating_needs"  # torchair's own private attributes begin with _ too
_Results = TypeVar("_Results", bound=tuple[Any, ...])


def say_needs(results: _Results, call: Any, needs: Iterable[Need]) -> _Results:
    """The results of a node for a call, the node marked where this CANN is going to refuse it."""
    if lacking := missing(call, needs):
        results[0].node.attr[_ATTRIBUTE].s = lacking.encode()
    return results


def register(backend: ModuleType) -> None:
    """Let torchair's graphs, by the module that has their class, say it; without such a class nothing is done."""
    graph_class = getattr(backend, "TorchNpuGraph", None)
    load = getattr(graph_class, "load", None)
    if graph_class is None or load is None:
        return

    @functools.wraps(load)
    def load_and_look(self: Any, ge_graph: Any, *args: Any, **kwargs: Any) -> Any:
        said = [node.attr[_ATTRIBUTE].s.decode() for node in ge_graph.op if _ATTRIBUTE in node.attr]
        if not said:
            return load(self, ge_graph, *args, **kwargs)
        lacking = "\n".join(dict.fromkeys(said))
        for step in ("compile", "run"):
            setattr(self, step, _explained(getattr(self, step), lacking))
        return _explained(load, lacking)(self, ge_graph, *args, **kwargs)

    graph_class.load = load_and_look


def _explained(step: Callable[..., Any], lacking: str) -> Callable[..., Any]:
    @functools.wraps(step)
    def explained(*args: Any, **kwargs: Any) -> Any:
        try:
            return step(*args, **kwargs)
        except RuntimeError as error:
            raise with_needs(error, lacking) from error

    return explained
