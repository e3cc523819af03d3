"""What a node of a functional ATen graph says: its arguments by name, its result's shape, the number it stands for."""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch.fx import Node
from torch.fx.experimental.symbolic_shapes import statically_known_true

aten = torch.ops.aten

# The same elements in the same order, whatever the sizes.
_VIEWS = (
    *(aten.view, aten.reshape, aten._unsafe_view, aten.flatten, aten.unflatten, aten.unsqueeze, aten.squeeze),
    *(aten.view_copy, aten.unsqueeze_copy, aten.squeeze_copy, aten.alias_copy, aten.detach_copy),
    *(aten.alias, aten.clone, aten.detach, aten.contiguous, aten.lift_fresh_copy, aten._reshape_alias),
)
EXPANDS = (aten.expand, aten.expand_copy)
_SLICES = (aten.slice, aten.slice_copy)
_ZEROS = (aten.zeros, aten.zeros_like, aten.new_zeros)
_ONES = (aten.ones, aten.ones_like, aten.new_ones)
_FULL = (aten.full, aten.full_like, aten.new_full, aten.scalar_tensor)
_CASTS = {"aten::_to_copy", "prims::convert_element_type", "npu::_npu_dtype_cast", "npu::npu_dtype_cast"}


def is_call(node: object, *packets: Any) -> bool:
    """Whether a node calls an overload of one of these operators."""
    return isinstance(node, Node) and getattr(node.target, "overloadpacket", None) in packets


def arguments(node: Node) -> dict[str, Any]:
    """All arguments of an operator's call by their names in its schema, defaults included."""
    schema = node.target._schema.arguments  # type: ignore[union-attr]
    given = dict(zip((argument.name for argument in schema), node.args, strict=False))
    return {argument.name: argument.default_value for argument in schema} | given | dict(node.kwargs)


def shape(node: Node) -> tuple[Any, ...]:
    """The sizes of a node's result, some perhaps symbolic; () for what is no tensor."""
    return tuple(map(_plain, getattr(node.meta.get("val"), "shape", ())))


def known_equal(one: Any, other: Any) -> bool:
    """Whether two sizes, or two lists of sizes, are equal whatever the symbolic ones among them are."""
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(known_equal, one, other))
    if type(one) is int and type(other) is int:
        return one == other
    return statically_known_true(one == other)


def operands(node: Node) -> tuple[Any, Any]:
    """The two that an addition or a multiplication, which may stand in either order, is of."""
    named = arguments(node)
    return named["self"], named["other"]


def size(value: Any) -> Any:
    """The number that an argument for a size is; of a node in its place the number, perhaps symbolic, that it gives."""
    return _plain(value.meta.get("val") if isinstance(value, Node) else value)


def _plain(number: Any) -> Any:
    """A symbolic number that is the same in every call as an int."""
    known = number.node.maybe_as_int() if isinstance(number, torch.SymInt) else None
    return number if known is None else known


def dtype(node: Node) -> torch.dtype | None:
    """The dtype of a node's result; None for what is no tensor."""
    return getattr(node.meta.get("val"), "dtype", None)


def is_dimension(node: Node, dims: Any, which: int) -> bool:
    """Whether `dims`, a dimension or a list with one, is dimension `which` of the node's result."""
    rank = len(shape(node))
    if isinstance(dims, (list, tuple)):
        dims = dims[0] if len(dims) == 1 else None
    return isinstance(dims, int) and rank > 0 and dims % rank == which % rank


def is_view(node: object) -> bool:
    """Whether a node gives the elements of its first argument in their order and dtype."""
    if is_call(node, *EXPANDS):  # to the sizes that it has
        return known_equal(shape(node), shape(node.args[0]))  # type: ignore
    if not isinstance(node, Node) or not (is_call(node, *_SLICES, *_VIEWS) or cast_from(node) is not None):
        return False
    if is_call(node, *_SLICES):  # x[:]
        named = arguments(node)
        return named["start"] in (0, None) and named["end"] in (sys.maxsize, None) and named["step"] == 1
    # A cast too may change nothing: torch 2.5 writes one for softmax(dtype=torch.float32) of float32.
    return dtype(node) == dtype(node.args[0])  # type: ignore[arg-type]


def origin(node: Node) -> Node:
    """Where the elements of a node come from, unchanged and in the same order."""
    while is_view(node):
        node = node.args[0]  # type: ignore[assignment]
    return node


def cast_from(node: object) -> Node | None:
    """What a node gives in another dtype, changing nothing else."""
    if is_call(node, aten.to):
        same = ("dtype", "self", "memory_format", "non_blocking", "copy")
        return node.args[0] if set(arguments(node)) <= set(same) else None  # type: ignore
    if not isinstance(node, Node) or getattr(node.target, "name", str)().partition(".")[0] not in _CASTS:
        return None
    kept = {"layout": torch.strided, "device": getattr(node.args[0].meta.get("val"), "device", None)}  # type: ignore
    others = {name for name, value in node.kwargs.items() if value and value != kept.get(name)}
    return None if others - {"dtype", "memory_format"} else node.args[0]  # type: ignore[return-value]


def result(node: object, index: int) -> Node | None:
    """The operator's call of which a node is result number `index`."""
    if isinstance(node, Node) and node.target is operator.getitem and node.args[1] == index:
        return node.args[0]  # type: ignore[return-value]
    return None


def results(node: Node, index: int) -> Iterator[Node]:
    """The nodes that take result number `index` of a call."""
    return (user for user in node.users if result(user, index) is node)


def is_arange(node: Node, end: Any) -> bool:
    """Whether a node has the numbers 0, 1, ... below `end`."""
    if not is_call(node, aten.arange):
        return False
    named = arguments(node)
    return (named.get("start", 0), named.get("step", 1)) == (0, 1) and known_equal(size(named["end"]), end)


def constant(node: object) -> float | None:
    """The number that fills a tensor, or that an argument is."""
    if isinstance(node, (bool, int, float)):
        return float(node)
    filled = _filled_with(node) if isinstance(node, Node) and dtype(node) is not None else None
    return None if filled is None else torch.tensor(filled, dtype=torch.float64).to(dtype(node)).item()  # type: ignore[arg-type]


def _filled_with(node: Node) -> float | None:
    """The number before it is cast to the dtype of the node's result."""
    if node.op == "get_attr":
        tensor = getattr(node.graph.owning_module, str(node.target), None)
        known = type(tensor) is torch.Tensor and tensor.numel() == 1 and tensor.device.type == "cpu"
        return tensor.item() if known else None  # type: ignore[union-attr]
    if is_call(node, *_ZEROS):
        return 0.0
    if is_call(node, *_ONES):
        return 1.0
    if is_call(node, *_FULL):
        named = arguments(node)
        return constant(named.get("fill_value", named.get("s")))
    if is_call(node, *EXPANDS) or is_view(node) or cast_from(node) is not None:
        return constant(node.args[0])
    return None
