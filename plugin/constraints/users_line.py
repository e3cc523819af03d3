"""Names the user's line in an error that is found while a graph is converted: then the user's code is not on the stack.

That is where a graph was changed after it had been traced (by a pass of torchair's configuration, by a backend around
torchair's), or where it was not traced here at all (an exported program). In all others the errors come while tracing,
and torch shows the line.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

_P = ParamSpec("_P")
_R = TypeVar("_R")
_PLUGIN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_OF_LIBRARIES = tuple(folder + os.sep for folder in (_PLUGIN, os.path.dirname(os.path.abspath(torch.__file__))))


def names_the_users_line(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let the errors of a Meta kernel or a converter end with the place in the user's code, if it can be known."""

    @functools.wraps(function)
    def named(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(*args, **kwargs)
        except (TypeError, ValueError, NotImplementedError) as error:
            place = _place(_node_in_execution())
            if not place:
                raise
            raise type(error)(f"{error}, called {place}") from None

    return named


def _node_in_execution() -> torch.fx.Node | None:
    """The FX node that an interpreter executes on this thread, as torchair's converter does. Only its frame knows."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name == "run_node" and isinstance(frame.f_locals.get("n"), torch.fx.Node):
            return frame.f_locals["n"]
    return None


def users_line(node: torch.fx.Node) -> str:
    """The innermost line of the node's stack that is neither torch's nor this package's, as file:line, or nothing."""
    lines = re.findall(r'File "(.+?)", line (\d+)', node.meta.get("stack_trace") or "")
    return next((f"{file}:{line}" for file, line in reversed(lines) if not file.startswith(_OF_LIBRARIES)), "")


def _place(node: torch.fx.Node | None) -> str:
    """The user's line, or the node's module, or nothing."""
    if node is None:
        return ""
    if line := users_line(node):
        return f"at {line}"
    for path, kind in reversed(list(node.meta.get("nn_module_stack", {}).values())):
        return f"in module {path} ({getattr(kind, '__qualname__', kind)})"
    return ""
