"""Models that no torchair makes, each with the words that refuse it, or with none where it runs all the same."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.fuzz.seeds import of_one_node

MOST, LEAST = 2**63 - 1, -(2**63)
MATRIX = ("float32", (2, 3))


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


# Name, node type, inputs (dtype and sizes of one that is fed, a constant, or a constant's values and other sizes),
# attributes, outputs, and the refusal.
OF_SIZES: tuple[tuple[str, str, dict[str, Any], dict[str, Any], tuple[str, ...], str], ...] = (
    ("scatter of less than the index", "ScatterElements",
     {"data": ("float32", (2, 1000)), "indices": np.zeros((2, 1000), np.int64), "updates": ("float32", (1, 1))},
     {"axis": 1}, ("y",), "updates [1, 1] is smaller than the index [2, 1000]"),
    ("gradient of another shape", "SoftmaxGrad",
     {"softmax": ("float32", (1, 1)), "grad_softmax": ("float32", (40, 40))}, {"axes": [-1]}, ("grad_x",),
     "grad_softmax is [40, 40], softmax is [1, 1]"),
    ("fill with no value", "Fill", {"dims": integers(2, 2), "value": np.zeros(0, np.float32)}, {}, ("y",),
     "value is [0], not one number"),
    ("masked fill with no value", "MaskedFill",
     {"x": MATRIX, "mask": np.ones((2, 3), bool), "value": np.zeros(0, np.float32)}, {}, ("y",),
     "value is [0], not one number"),
    ("slices of a number", "GatherV2", {"x": np.float32(1), "indices": integers(0), "axis": integers(0)}, {}, ("y",),
     "a number has no dimension to take slices of"),
    ("negative sizes", "Reshape", {"x": MATRIX, "shape": integers(-2, -3)}, {}, ("y",),
     "float32 [-2, -3] has a negative size"),
    ("empty order", "Transpose", {"x": MATRIX, "perm": integers()}, {}, ("y",),
     "perm [] does not name every dimension of [2, 3]"),
    ("range without end", "Range", {"start": np.float32(0), "limit": np.float32(np.inf), "delta": np.float32(1)}, {},
     ("y",), "the range has no end"),
    ("range to nan", "Range", {"start": np.float32(0), "limit": np.float32(np.nan), "delta": np.float32(1)}, {},
     ("y",), "the range has no end"),
    ("range of too much", "Range", {"start": np.float32(0), "limit": np.float32(1e12), "delta": np.float32(1)}, {},
     ("y",), "float32 [999999995904] is more than the 262144 bytes of a device"),
    ("too many repeats", "Tile", {"x": MATRIX, "multiples": integers(2**62, 2)}, {}, ("y",),
     "repeats [4611686018427387904, 2] of [2, 3] are too many"),
    ("constant of overflowing sizes", "Abs", {"x": (np.zeros(2, np.float32), (2**33, 2**31))}, {}, ("y",),
     "node in0 has the attribute value: float32 [8589934592, 2147483648] is more than the 262144 bytes of a device"),
    ("constant of negative sizes", "Abs", {"x": (np.zeros(6, np.float32), (-2, -3))}, {}, ("y",),
     "node in0 has the attribute value: float32 [-2, -3] has a negative size"),
    ("input larger than a device", "Abs", {"x": ("float32", (10**9,))}, {}, ("y",),
     "graph node in0 of type Data: float32 [1000000000] is more than the 262144 bytes of a device"),
    ("more slices than outputs", "Unpack", {"x": ("float32", (5000,))}, {"num": 5000}, ("y0",),
     "attribute num is not the number of outputs, 1"),
    ("fewer parts than outputs", "SplitV", {"x": MATRIX, "size_splits": integers(1, 1), "split_dim": integers(0)},
     {"num_split": 2}, ("y0", "y1", "y2"), "attribute num_split is not the number of outputs, 3"),
    ("parts larger than the whole", "SplitV",
     {"x": MATRIX, "size_splits": integers(MOST, MOST, 4), "split_dim": integers(0)}, {"num_split": 3},
     ("y0", "y1", "y2"), "does not make up dimension 0 of [2, 3]"),
    ("one of too many dimensions", "Abs", {"x": ("float32", (1,) * 70)}, {}, ("y",),
     "70 dimensions are more than 64"),
    ("batches of nothing", "BatchMatMul", {"x1": ("float32", (4, 3)), "x2": ("float32", (2**40, 3, 0))}, {}, ("y",),
     "float32 [1099511627776, 3, 0] is more than the 262144 bytes of a device"),
    ("broadcast to too much", "BroadcastTo", {"x": np.zeros(1, np.float32), "shape": integers(2**20, 2**20)}, {},
     ("y",), "float32 [1048576, 1048576] is more than the 262144 bytes of a device"),
    ("broadcast to overflowing sizes", "BroadcastTo", {"x": np.zeros(1, np.float32), "shape": integers(2**33, 2**33)},
     {}, ("y",), "float32 [8589934592, 8589934592] is more than the 262144 bytes of a device"),
    ("fewer than none", "TopKV2", {"x": MATRIX, "k": integers(-2)}, {}, ("values", "indices"), "k is -2"),
    ("index outside", "GatherElements", {"x": MATRIX, "index": np.zeros((9, 9), np.int64)}, {"dim": 1}, ("y",),
     "index 2 is outside of 2"),
)  # fmt: skip

# Integers wrap around, as on a device; these run.
OF_VALUES: tuple[tuple[str, str, dict[str, Any], dict[str, Any], tuple[str, ...], str], ...] = tuple(
    (f"{kind} of {name}", kind, inputs, {}, ("y",), "")
    for name, kind, inputs in (
        ("least by -1", "Div", {"x1": integers(LEAST), "x2": integers(-1)}),
        ("least by -1", "FloorDiv", {"x1": integers(LEAST), "x2": integers(-1)}),
        ("least by -1", "FloorMod", {"x1": integers(LEAST), "x2": integers(-1)}),
        ("least by 0", "Mod", {"x1": integers(LEAST), "x2": integers(0)}),
        ("most", "Add", {"x1": integers(MOST), "x2": integers(MOST)}),
        ("least", "Sub", {"x1": integers(LEAST), "x2": integers(MOST)}),
        ("most", "Mul", {"x1": integers(MOST), "x2": integers(MOST)}),
        ("most", "Muls", {"x": integers(MOST)}),
        ("most", "ReduceSum", {"x": integers(MOST, MOST), "axes": integers(0)}),
        ("most", "ReduceProd", {"x": integers(MOST, MOST), "axes": integers(0)}),
        ("most", "Cumsum", {"x": integers(MOST, MOST), "axis": integers(0)}),
        ("least", "Neg", {"x": integers(LEAST)}),
        ("least", "Abs", {"x": integers(LEAST)}),
        ("least", "Sigmoid", {"x": integers(LEAST)}),
        ("a step too far", "StridedSlice",
         {"x": MATRIX, "begin": integers(0), "end": integers(2), "strides": integers(MOST)}),
    )
)  # fmt: skip


def _set(model: Any, node: int, attribute: str, field: str, value: Any) -> None:
    setattr(model.graph[0].op[node].attr[attribute], field, value)


# A model of one node that takes the absolute value of a constant (nodes 0, 1 and 2), changed.
CHANGED: tuple[tuple[str, Callable[[Any], Any], str], ...] = (
    ("constant of unknown dtype", lambda m: setattr(m.graph[0].op[0].attr["value"].t.desc, "dtype", 13),
     "node in0 has the attribute value: the dtype 13 is unknown"),
    ("number for a constant", lambda m: _set(m, 0, "value", "f", 1.0), "attribute value is not a VT_TENSOR"),
    ("two nodes of a name", lambda m: setattr(m.graph[0].op[2], "name", "node"), "node node is there twice"),
    ("output of no number", lambda m: m.graph[0].op[1].input.__setitem__(0, "in0:99999999999999999999"),
     "node node reads from in0:99999999999999999999, which does not name an output"),
    ("output that is not there", lambda m: m.graph[0].op[1].input.__setitem__(0, "in0:7"),
     "the node in0 has no output 7"),
)  # fmt: skip
OF_INPUTS: tuple[tuple[str, Callable[[Any], Any], str], ...] = (
    ("input below 0", lambda m: _set(m, 0, "index", "i", -1), "index is -1, not of one of 65536 inputs"),
    ("input of too many", lambda m: _set(m, 0, "index", "i", 10**9), "index is 1000000000, not of one of 65536 inputs"),
    ("list for an index", lambda m: m.graph[0].op[0].attr["index"].list.i.extend([0]),
     "attribute index is not a VT_INT"),
    ("input of unknown dtype", lambda m: setattr(m.graph[0].op[0].output_desc[0], "dtype", 13),
     "graph node in0 of type Data: the dtype 13 is unknown"),
    ("size below -1", lambda m: m.graph[0].op[0].output_desc[0].shape.dim.__setitem__(0, -2),
     "graph node in0 of type Data: float32 [-2, 3] has a negative size"),
)  # fmt: skip


def models() -> Iterator[tuple[str, bytes, str]]:
    """Name, serialised model and refusal."""
    for name, kind, inputs, attributes, outputs, refusal in OF_SIZES + OF_VALUES:
        if kind == "Muls":
            attributes = {"value": 3.0}
        yield name, of_one_node(kind, inputs, attributes, outputs).SerializeToString(), refusal
    for source, changes in ((np.zeros(2, np.float32), CHANGED), (MATRIX, OF_INPUTS)):
        for name, change, refusal in changes:
            model = of_one_node("Abs", {"x": source}, {}, ("y",))
            change(model)
            yield name, model.SerializeToString(), refusal
    odd = of_one_node("TopKV2", {"x": MATRIX, "k": integers(1)}, {"sort_policy": b'\xff"\n\\'}, ("values", "indices"))
    yield "bytes for a text", odd.SerializeToString(), ""
    missing = of_one_node("Pack", {"x0": MATRIX, "x1": MATRIX}, {"axis": 0, "N": 2}, ("y",))
    missing.graph[0].op[2].input[1] = ""
    yield "one of many inputs is missing", missing.SerializeToString(), "input x1 is missing"


def chain(length: int) -> bytes:
    """Nodes that each read from the next one in the file."""
    model = of_one_node("Abs", {"x": MATRIX}, {}, ("y",))
    nodes = model.graph[0].op
    nodes[1].input[0] = "node0:0"
    for number in range(length):
        node = nodes.add(name=f"node{number}", type="Abs")
        node.input.append(f"node{number + 1}:0" if number + 1 < length else "in0:0")
        node.input_desc.add().name = "x"
        node.output_desc.add().name = "y"
    return model.SerializeToString()
