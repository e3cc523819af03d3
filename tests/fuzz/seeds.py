"""What the fuzzer of the graph door starts with: `python -m tests.fuzz.seeds FOLDER` writes serialised models there,
those that torchair makes of some programs, and one for each type of node."""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ascend_moe_gating import simulator

simulator.load()

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch_npu  # noqa: E402, F401
from torchair._ge_concrete_graph.ge_ir_pb2 import ModelDef  # noqa: E402
from torchair.ge._ge_graph import GeGraph  # noqa: E402

from ascend_moe_gating import npu_moe_gating_top_k, npu_moe_gating_top_k_softmax_v2  # noqa: E402
from ascend_moe_gating.plugin.verify.cases import V3  # noqa: E402
from tests.backends import compiled  # noqa: E402
from tests.programs import ROOT  # noqa: E402


def gate(x: torch.Tensor) -> Any:
    return npu_moe_gating_top_k(x, 2, bias=x[0], **{**V3, "k_group": 1, "group_count": 2})


def routed(x: torch.Tensor) -> Any:
    ids = torch.arange(x.shape[0], device=x.device) % 2
    return npu_moe_gating_top_k(x, 2, input_ids=ids, tid2eid=torch.tensor([[1, 2], [0, 3]], device=x.device))


def indices(x: torch.Tensor) -> Any:
    chosen = x.topk(2, dim=1).indices
    counts = torch.zeros_like(x).scatter(1, chosen, 1.0)
    return x.gather(1, chosen), counts.cumsum(0), x[:, 1:3], x.index_select(0, chosen[0] % 2), torch.where(x > 0, x, 0)


def reductions(x: torch.Tensor) -> Any:
    halves = torch.stack(x.chunk(2, dim=1))
    return halves.sum(0).max(), x.softmax(1).mean(0), (x @ x.t()).flip(0), x.reshape(-1, 2).t().sort(0)


def softmaxes(x: torch.Tensor) -> Any:
    return npu_moe_gating_top_k_softmax_v2(x, k=2, renorm=1), npu_moe_gating_top_k_softmax_v2(x, output_softmax=True)


PROGRAMS: tuple[Callable[[torch.Tensor], Any], ...] = (gate, routed, indices, reductions, softmaxes)


def of_programs() -> Iterator[tuple[str, bytes]]:
    """Models as torchair hands them over, for fixed and for any numbers of tokens."""
    recorded: list[bytes] = []
    serialize = GeGraph.SerializeToString

    def record(graph: Any) -> bytes:
        recorded.append(serialize(graph))
        return recorded[-1]

    GeGraph.SerializeToString = record
    try:
        for program in PROGRAMS:
            for dynamic in (False, True):
                compiled(program, dynamic)(torch.randn(4, 4).npu())
                for i, model in enumerate(recorded):
                    yield f"{program.__name__}-{'dynamic' if dynamic else 'static'}-{i}", model
                recorded.clear()
    finally:
        GeGraph.SerializeToString = serialize


# Inputs that most nodes take by these names; every other one is a float32 matrix.
CONSTANTS = {
    **dict.fromkeys(("axis", "axes", "dimension", "concat_dim", "split_dim", "begin", "start"), np.array([0])),
    **dict.fromkeys(("k", "end", "strides", "delta"), np.array([1])),
    **dict.fromkeys(("dims", "multiples"), np.array([2, 2])),
    "shape": np.array([2, 3]),
    "alpha": np.array(2, np.float32),
    "perm": np.array([1, 0]),
    "size_splits": np.array([1, 1]),
    "limit": np.array([4]),
    "indices": np.array([[0, 1, 1], [1, 0, 0]]),
    "index": np.array([[0, 1, 1], [1, 0, 0]]),
    "expert_idx": np.array([[0, 1, 1], [1, 0, 0]], np.int32),
    "value": np.array(2, np.float32),
    "mask": np.array([[True, False, True]]),
    "condition": np.array([[True, False, True]]),
}
INTEGERS = {
    **dict.fromkeys(("dimension", "concat_dim", "axis"), 0),
    **dict.fromkeys(("N", "norm_type", "dst_type", "transpose_x2", "adj_x2"), 1),
    **dict.fromkeys(("num", "num_split", "k"), 2),
    **dict.fromkeys(("dtype", "indices_dtype"), 3),
}
DTYPES = {"float32": 1, "int32": 7, "int64": 8, "bool": 11}  # as a model's file counts them
LEFT_OUT = ("bias", "input_ids", "tid2eid", "finished", "offset_w")
FLOATS = {"routed_scaling_factor": 2.5, "eps": 0.0, "value": 2.0, "p": 2.0, "base": -1.0, "scale": 1.0}


def node_types() -> list[tuple[str, list[str], list[str], list[str]]]:
    """Name, inputs, attributes and outputs of each row of the stand-in's table."""
    table = (ROOT / "simulator" / "graph" / "node_types.cpp").read_text()
    rows = re.findall(r'\{"(\w+)",\s*"([^"]*)",\s*"([^"]*)",\s*"([^"]*)",\s*[^n]', table)
    return [(name, *(re.sub(r"[?!*-]|=\S+", "", names).split() for names in others)) for name, *others in rows]


def _describe(description: Any, dtype: str, shape: Sequence[int]) -> None:
    description.name, description.dtype = "y", DTYPES[dtype]
    description.shape.dim.extend(shape)


def of_one_node(kind: str, inputs: dict[str, Any], attributes: dict[str, Any], outputs: Sequence[str]) -> Any:
    """A model of one node between its inputs and its results. An input is (dtype, sizes) if it is fed, or a constant,
    or (constant, other sizes)."""
    model = ModelDef()
    graph = model.graph.add()
    for i, value in enumerate(inputs.values()):
        source = graph.op.add(name=f"in{i}", type="Data")
        if isinstance(value, tuple) and isinstance(value[0], str):
            source.attr["index"].i = i
            _describe(source.output_desc.add(), *value)
        else:
            constant, sizes = value if isinstance(value, tuple) else (value, np.shape(value))
            source.type, tensor = "Const", source.attr["value"].t
            _describe(tensor.desc, str(constant.dtype), sizes)
            tensor.data = constant.tobytes()
    node = graph.op.add(name="node", type=kind)
    for i, name in enumerate(inputs):
        node.input.append(f"in{i}:0")
        node.input_desc.add().name = name
    for name, value in attributes.items():
        attribute = node.attr[name]
        if isinstance(value, list):
            attribute.list.i.extend(value)
        else:
            setattr(attribute, {float: "f", bytes: "s"}.get(type(value), "i"), value)
    end = graph.op.add(name="out", type="NetOutput")
    for i, name in enumerate(outputs):
        node.output_desc.add().name = name
        end.input.append(f"node:{i}")
        end.input_desc.add().name = f"input{i}"
    return model


def of_node_types() -> Iterator[tuple[str, bytes]]:
    """A model with one node of each type."""
    for kind, inputs, attributes, outputs in node_types():
        given = {name: CONSTANTS.get(name, ("float32", (2, 3))) for name in inputs if name not in LEFT_OUT}
        values = {name: FLOATS.get(name, INTEGERS.get(name)) for name in attributes}
        if kind == "IndexByTensor":
            values["indices_mask"] = [1]
        if kind == "Squeeze":
            del values["axis"]
        if kind in ("SplitV", "Unpack"):
            outputs = [outputs[0] + "0", outputs[0] + "1"]
        values = {name: value for name, value in values.items() if value is not None}
        yield f"node-{kind}", of_one_node(kind, given, values, outputs).SerializeToString()


def write(folder: Path) -> int:
    """Write all models into a folder; how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    from tests.fuzz import hostile

    refused = [(name.replace(" ", "-"), model) for name, model, _ in hostile.models()]
    models = [*of_programs(), *of_node_types(), *refused]
    for name, model in models:
        (folder / name).write_bytes(model)
    return len(models)


if __name__ == "__main__":
    print(write(Path(sys.argv[1])), "models")
