"""Says of each gate of a model whether it becomes one node, and with which parameters, or why not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import torch
from functorch.compile import make_boxed_func
from torch._functorch.aot_autograd import aot_module_simplified
from torch._functorch.partitioners import default_partition
from torch.fx import GraphModule

from ascend_moe_gating.converters.fusion.picture import Drawn, draw, drawn
from ascend_moe_gating.converters.fusion.replace import float_inputs, fuse_gates
from ascend_moe_gating.converters.fusion.report import GateReport, page, text_table


@dataclass
class Explanation:
    """The gates of a model; print it, or read `gates`."""

    gates: list[GateReport]
    graphs: int  # that dynamo made of the model

    @property
    def fused(self) -> int:
        """How many gates become one node."""
        return sum(gate.fused for gate in self.gates)

    def __str__(self) -> str:
        if not self.gates:
            return self._title()
        return f"{self._title()}\n{text_table(self.gates)}"

    def html(self) -> str:
        """The table as a page that needs nothing else."""
        return page(self._title(), self.gates)

    def _title(self) -> str:
        graphs = "1 graph" if self.graphs == 1 else f"{self.graphs} graphs"
        return (
            f"{self.fused} of {len(self.gates)} gates in {graphs} fused" if self.gates else f"no gate found in {graphs}"
        )


def explain(
    model: Callable,
    inputs: torch.Tensor | Sequence[Any],
    *,
    dynamic: bool = False,
    picture: str | PathLike[str] | None = None,
) -> Explanation:
    """Find the gates of a model as torch.compile with torchair's backend would, and say what becomes of each.

    The model runs once, on the device of its inputs, with or without gradients as the caller has it; no NPU and no
    torchair is needed. What dynamo has compiled in this process before is forgotten, and compiled again when it is
    called.

    Args:
        model: A module or function.
        inputs: Its argument, or its arguments in order.
        dynamic: Compile for any sizes, as torch.compile(dynamic=True) does.
        picture: A file, such as "gate.svg": the graph around the gates before and after. Needs matplotlib and networkx.

    Returns:
        An Explanation, whose gates stand in the order in which they were compiled.
    """
    reports: list[GateReport] = []
    pictures: list[tuple[Drawn, Drawn]] = []
    graphs = 0

    def compile_graph(graph_module: GraphModule, example_inputs: Sequence[Any]) -> Callable:
        nonlocal graphs
        graphs += 1
        before = drawn(graph_module.graph)
        found = fuse_gates(graph_module, float_inputs(graph_module, example_inputs))
        if found:
            pictures.append((before, drawn(graph_module.graph)))
        reports.extend(found)
        return make_boxed_func(graph_module.forward)

    def backend(graph_module: GraphModule, example_inputs: Sequence[Any]) -> Callable:
        return aot_module_simplified(
            graph_module,
            example_inputs,
            fw_compiler=compile_graph,  # type: ignore[arg-type]
            bw_compiler=lambda backward, _: make_boxed_func(backward.forward),
            partition_fn=default_partition,  # torchair's
            keep_inference_input_mutations=True,  # torchair's
            decompositions=_decompositions(),
        )

    arguments = (inputs,) if isinstance(inputs, torch.Tensor) else inputs
    torch._dynamo.reset()
    torch.compile(model, backend=backend, dynamic=dynamic)(*arguments)
    torch._dynamo.reset()
    if picture is not None:
        draw(pictures, picture)
    return Explanation(reports, graphs)


def _decompositions() -> dict[Any, Any]:
    """Those of torchair, so that the graph is the one that it would see."""
    try:
        from torchair._utils import get_npu_default_decompositions
    except ImportError:
        return {}
    return get_npu_default_decompositions()
