"""Draws graphs around their gates, before and after fusion: matplotlib draws, networkx arranges."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import NamedTuple

import torch
from torch.fx import Graph, Node

_NEIGHBOURS = 1  # how many steps around what changed are shown
_AROUND = 8  # and around a gate that did not change


class Box(NamedTuple):
    """A node as it is drawn."""

    label: str
    sources: tuple[str, ...]
    choice: bool  # takes the k largest
    operator: bool  # is npu_moe_gating_top_k


Drawn = dict[str, Box]


def drawn(graph: Graph) -> Drawn:
    """What a picture shows of a graph: each node's operation and shape, by the node's name."""
    return {node.name: _box(node) for node in graph.nodes}


def _box(node: Node) -> Box:
    operation = str(node.target).split("::")[-1].removesuffix(".default") if node.op == "call_function" else node.op
    if not isinstance(node.target, str) and hasattr(node.target, "__name__") and not hasattr(node.target, "_schema"):
        operation = node.target.__name__
    value = node.meta.get("val")
    shape = f"\n[{', '.join(map(str, value.shape))}]" if isinstance(value, torch.Tensor) else ""
    sources = tuple(source.name for source in node.all_input_nodes)
    return Box(operation + shape, sources, "topk" in operation, "npu_moe_gating_top_k" in operation)


def draw(pictures: Sequence[tuple[Drawn, Drawn]], path: str | PathLike[str]) -> None:
    """Writes one picture of all pairs of a graph before and after, one pair a row."""
    try:
        import matplotlib.figure
        import networkx
    except ImportError as error:
        raise ImportError(f"a picture of the graph needs matplotlib and networkx: {error}") from error
    shown = [(_around(before, after), _around(after, before)) for before, after in pictures]
    rows = [max((len(_layers(networkx, _linked(networkx, boxes))) for boxes in pair), default=1) for pair in shown]
    figure = matplotlib.figure.Figure(figsize=(16, 1 + 0.75 * sum(rows, 2)))
    axes = figure.subplots(max(len(shown), 1), 2, squeeze=False, height_ratios=rows or [1])
    for row, pair in zip(axes, shown, strict=False):
        for axis, boxes, title in zip(row, pair, ("before", "after"), strict=True):
            _draw_one(networkx, axis, boxes)
            axis.set_title(f"{title}: {sum(1 for box in boxes.values() if '[' in box.label)} tensors")
    for axis in axes.flat:
        axis.axis("off")
    figure.savefig(path, bbox_inches="tight")


def _around(boxes: Drawn, others: Drawn) -> Drawn:
    """The nodes that only this graph has, and their neighbours; if it did not change, those around a choice."""
    kept = {name for name in boxes if name not in others}
    steps = _NEIGHBOURS
    if not kept and boxes.keys() == others.keys():
        kept, steps = {name for name, box in boxes.items() if box.choice}, _AROUND
    for _ in range(steps):
        kept |= {source for name in kept for source in boxes[name].sources} | {
            name for name, box in boxes.items() if kept.intersection(box.sources)
        }
    return {name: box for name, box in boxes.items() if name in kept and box.label != "output"}


def _linked(networkx, boxes: Drawn):
    graph = networkx.DiGraph()
    graph.add_nodes_from(boxes)
    graph.add_edges_from((source, name) for name, box in boxes.items() for source in box.sources if source in boxes)
    return graph


def _layers(networkx, graph) -> list[list[str]]:
    return [sorted(layer) for layer in networkx.topological_generations(graph)]


def _draw_one(networkx, axis, boxes: Drawn) -> None:
    graph = _linked(networkx, boxes)
    for depth, layer in enumerate(_layers(networkx, graph)):
        for name in layer:
            graph.nodes[name]["layer"] = -depth
    if not graph:
        return
    places = networkx.multipartite_layout(graph, subset_key="layer", align="horizontal")
    networkx.draw_networkx_edges(graph, places, ax=axis, edge_color="0.6", node_size=900, arrowsize=8)
    for name, (x, y) in places.items():
        color = "#b7e1a1" if boxes[name].operator else "#ffd59a" if boxes[name].choice else "#eef2f7"
        box = {"boxstyle": "round", "facecolor": color, "edgecolor": "0.5"}
        axis.text(x, y, boxes[name].label, ha="center", va="center", fontsize=7, bbox=box)
