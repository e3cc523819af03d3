"""New nodes of a graph, each with its result's description, that can be taken out again."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx import Node

from ascend_moe_gating.converters.fusion.fx_nodes import aten, dtype, known_equal, shape
from ascend_moe_gating.converters.fusion.reading import NotAGate

GRADIENTS = "gradients_wanted"  # what a node's meta has that of graphs that run under autograd


class Inserted:
    """Inserts nodes behind another; for the user they stand where `like` stood.

    Args:
        gradients: Whether they are wanted of the nodes, in a graph that runs under autograd.
    """

    def __init__(self, behind: Node, like: Node, gradients: bool | None = None) -> None:
        self.graph, self.like, self.nodes = behind.graph, like, [behind]
        self.meta = {name: like.meta[name] for name in ("stack_trace", "nn_module_stack") if name in like.meta}
        if gradients is not None:
            self.meta[GRADIENTS] = gradients
        self.made: dict[tuple[Any, ...], Node] = {}  # casts, which several may ask for

    def __call__(self, target: Any, *args: Any, **kwargs: Any) -> Node:
        values = described(args)
        named = {name: described((value,))[0] for name, value in kwargs.items()}
        tensor = next((value for value in values if isinstance(value, torch.Tensor)), None)
        with mode_of(tensor):
            value = target(*values, **named)
        with self.graph.inserting_after(self.nodes[-1]):
            node = self.graph.call_function(target, args, kwargs)
        node.meta = {**self.meta, "val": value}
        self.nodes.append(node)
        return node

    def take_out(self) -> None:
        """The graph is as it was before."""
        for node in reversed(self.nodes[1:]):
            self.graph.erase_node(node)

    def cast(self, node: Node, wanted: torch.dtype | None) -> Node:
        if dtype(node) == wanted:
            return node
        if (node, wanted) not in self.made:
            self.made[node, wanted] = self(aten._to_copy.default, node, dtype=wanted)
        return self.made[node, wanted]

    def viewed(self, node: Node, sizes: list[Any]) -> Node:
        """A node in other sizes; of reshape not every torchair has a converter."""
        value = node.meta["val"]
        with mode_of(value):
            contiguous = value.is_contiguous()
        whole = node if contiguous else self(aten.clone.default, node, memory_format=torch.contiguous_format)
        return self(aten.view.default, whole, sizes)

    def reshaped(self, node: Node, rows: tuple[Any, ...], last: Any, like: Node) -> Node:
        """A result of the operator in the sizes [*rows, last]; `like` is a node whose first sizes are these rows.

        Raises:
            NotAGate: more than one size is symbolic, and `like` does not have them.
        """
        if len(shape(node)) == len(rows) + 1:  # all of the tokens in one dimension, or in the same ones
            return node
        sizes: list[Any] = [*rows, last]
        symbolic = [place for place, size in enumerate(sizes) if not isinstance(size, int)]
        for place in symbolic[1:]:
            if not known_equal(shape(like)[place : place + 1], (sizes[place],)):
                raise NotAGate("its sizes are not known where the operator is called", self.like)
            sizes[place] = self(aten.sym_size.int, like, place)
        if symbolic:
            sizes[symbolic[0]] = -1
        return self.viewed(node, sizes)


def described(values: Any) -> list[Any]:
    """What stands for nodes among arguments while nothing is computed."""
    inside = lambda value: described(value) if isinstance(value, (list, tuple)) else value  # noqa: E731
    return [value.meta["val"] if isinstance(value, Node) else inside(value) for value in values]


def mode_of(value: object) -> contextlib.AbstractContextManager:
    return value.fake_mode if isinstance(value, FakeTensor) else contextlib.nullcontext()
