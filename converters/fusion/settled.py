"""Fixes the symbolic numbers of a gate that an operator takes as attributes, but none that changes from call to call.

Another number would be another compilation. So a number that was another one the last time that dynamo compiled the
same function is not fixed again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch._guards import CompileContext
from torch.fx import Node

from ascend_moe_gating.converters.fusion.reading import NotAGate, hint

_fixed: dict[tuple[Any, ...], Any] = {}  # what a number of a compiled function was; a few for each such function


def settled(number: Any, name: str, node: Node) -> Any:
    """The number that the operator's parameter `name` has in each call of the graph; what is symbolic becomes fixed.

    Raises:
        NotAGate: it was another one when the function was compiled before.
    """
    if not isinstance(number, (torch.SymInt, torch.SymFloat)):
        return number
    compilation = CompileContext.current_compile_id()
    if compilation is not None:
        place = (compilation.frame_id, name, node.name)
        if compilation.frame_compile_id == 0:  # the first time, perhaps since dynamo was reset
            _fixed[place] = hint(number)
        if _fixed.setdefault(place, hint(number)) != hint(number):
            raise NotAGate(f"{name} is not the same in each call: {_fixed[place]}, then {hint(number)}", node)
    return int(number) if isinstance(number, torch.SymInt) else float(number)
