"""Writes the softplus of a gate that stays as it was in operations that torchair converts: for softplus it has none."""

from __future__ import annotations

import inspect

from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.fx import GraphModule

from ascend_moe_gating.converters.fusion.fx_nodes import arguments, aten
from ascend_moe_gating.converters.fusion.inserted import Inserted
from ascend_moe_gating.converters.fusion.scores import LINEAR_FROM, is_plain_softplus, softplus_below


def write_out_softplus(graph_module: GraphModule) -> None:
    """Replace what sqrt(softplus) takes the root of, where torchair would refuse to compile the graph."""
    if _is_converted(aten.softplus.default):
        return
    below = dict.fromkeys(softplus_below(node) for node in graph_module.graph.nodes)
    plain = [node for node in below if node is not None and is_plain_softplus(node)]
    for node in plain:
        x = arguments(node)["self"]
        insert = Inserted(node, node)
        with unset_fake_temporarily():
            curved = insert(aten.log1p.default, insert(aten.exp.default, x))
            softplus = insert(aten.where.self, insert(aten.gt.Scalar, x, LINEAR_FROM), x, curved)
        node.replace_all_uses_with(softplus)
        graph_module.graph.erase_node(node)
    if plain:
        graph_module.recompile()


def _is_converted(target: object) -> bool:
    """Whether torchair has a converter for an operator that does more than to say that there is none."""
    converter = getattr(target, "_ge_converter", None)
    code = getattr(inspect.unwrap(converter), "__code__", None) if converter is not None else None
    return code is not None and NotImplementedError.__name__ not in code.co_names
