"""Graphs of gates with random changes: whatever they compute then, the pass must not change it."""

import logging
import random

import torch
from torch.fx.passes.fake_tensor_prop import FakeTensorProp

from ascend_moe_gating.converters.fusion.fx_nodes import aten

SAME = (  # what gives a tensor of the same shape and dtype, and its further arguments
    *((aten.neg.default,), (aten.abs.default,), (aten.clone.default,), (aten.relu.default,), (aten.mul.Tensor, 2)),
    *((aten.flip.default, [0]), (aten.roll.default, [1], [0]), (aten.roll.default, [1], [-1])),
)
logging.getLogger("torch._subclasses.fake_tensor").setLevel(
    logging.CRITICAL
)  # it tells of each change that does not fit


def mutate(graph_module, arguments, seed, most=3):
    """Change a graph in place, one to `most` times, so that it still runs; gives what was done."""
    pick = random.Random(seed)
    done = []
    for _ in range(pick.randint(1, most)):
        for _ in range(20):  # many changes do not fit
            if (what := _change(graph_module, pick)) is not None and _fits(graph_module, arguments, what):
                done.append(what[0])
                break
    return done


def _fits(graph_module, arguments, what):
    """Whether the changed graph has results; their descriptions are renewed. Otherwise it is changed back."""
    undo = what[1]
    graph_module.recompile()
    before = {node: node.meta["val"] for node in graph_module.graph.nodes if "val" in node.meta}
    try:
        FakeTensorProp(graph_module).propagate(*arguments)
    except Exception:
        undo()
        graph_module.recompile()
        for node, value in before.items():
            node.meta["val"] = value
        return False
    return True


def _change(graph_module, pick):
    nodes = [
        node for node in graph_module.graph.nodes if node.op == "call_function" and hasattr(node.target, "_schema")
    ]
    node = pick.choice(nodes)
    return pick.choice([_swap, _other_input, _number, _number, _number, _insert, _leave_out, _leak])(node, nodes, pick)


def _tensors(node):
    return [place for place, value in enumerate(node.args) if isinstance(value, torch.fx.Node)]


def _with_args(node, args, kwargs=None):
    old = node.args, node.kwargs
    node.args = tuple(args)
    node.kwargs = node.kwargs if kwargs is None else kwargs

    def undo():
        node.args, node.kwargs = old

    return undo


def _swap(node, nodes, pick):
    places = _tensors(node)
    if len(places) < 2:
        return None
    args = list(node.args)
    one, other = pick.sample(places, 2)
    args[one], args[other] = args[other], args[one]
    return f"swap inputs of {node.name}", _with_args(node, args)


def _other_input(node, nodes, pick):
    places = _tensors(node)
    if not places:
        return None
    place = pick.choice(places)
    kind = getattr(node.args[place].meta.get("val"), "dtype", None)
    before = [
        other for other in node.graph.nodes if other < node and getattr(other.meta.get("val"), "dtype", None) == kind
    ]
    if not before:
        return None
    args = list(node.args)
    args[place] = pick.choice(before)
    return f"{node.name} of {args[place].name}", _with_args(node, args)


def _number(node, nodes, pick):
    """Another constant, dimension, size, k, or flag."""
    args = [list(value) if isinstance(value, (list, tuple)) else value for value in node.args]
    places = [(args, place) for place in range(len(args))]
    places += [(value, place) for value in args if isinstance(value, list) for place in range(len(value))]
    kwargs = dict(node.kwargs)
    places += [(kwargs, name) for name in kwargs]
    numbers = [(values, place) for values, place in places if type(values[place]) in (int, float, bool)]
    if not numbers:
        return None
    values, place = pick.choice(numbers)
    old = values[place]
    if type(old) is bool:
        values[place] = not old
    elif type(old) is int:
        values[place] = pick.choice([old + 1, old - 1, -old, old * 2, old // 2, 0, 1])
    else:
        values[place] = pick.choice([-old, old * 2, old + 1, 0.0, 1.0, float("-inf")])
    return f"{old} -> {values[place]} in {node.name}", _with_args(node, args, kwargs)


def _insert(node, nodes, pick):
    if not isinstance(node.meta.get("val"), torch.Tensor):
        return None
    (target, *further), users = pick.choice(SAME), list(node.users)
    if not users:
        return None
    user = pick.choice(users)
    with node.graph.inserting_after(node):
        new = node.graph.call_function(target, (node, *further))
    user.replace_input_with(node, new)

    def undo():
        user.replace_input_with(new, node)
        node.graph.erase_node(new)

    return f"{new.name} behind {node.name}", undo


def _leave_out(node, nodes, pick):
    sources = [source for source in node.all_input_nodes if isinstance(source.meta.get("val"), torch.Tensor)]
    if not sources or not node.users:
        return None
    source, users = pick.choice(sources), list(node.users)
    for user in users:
        user.replace_input_with(node, source)

    def undo():
        for user in users:
            user.replace_input_with(source, node)

    # Users that had the source too would get the node twice back.
    if any(source in user.all_input_nodes and _count(user, source) > 1 for user in users):
        undo()
        return None
    return f"without {node.name}", undo


def _count(user, node):
    return sum(1 for value in torch.utils._pytree.tree_leaves((user.args, user.kwargs)) if value is node)


def _leak(node, nodes, pick):
    output = next(node for node in node.graph.nodes if node.op == "output")
    if not isinstance(node.meta.get("val"), torch.Tensor):
        return None
    return f"{node.name} returned", _with_args(output, [(*output.args[0], node)])


class Ties(torch.fx.Interpreter):
    """Runs a graph, and notes whether a top-k or a sort had equal values, or NaN, among those that it chose from."""

    found = False

    def run_node(self, node):
        result = super().run_node(node)
        if getattr(node.target, "overloadpacket", None) in (aten.topk, aten.sort):
            values = self.fetch_args_kwargs_from_env(node)[0][0].double().sort(-1)[0]
            self.found |= bool((values[..., 1:] == values[..., :-1]).any() or values.isnan().any())
        return result
