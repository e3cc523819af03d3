"""Finds the methods of a model that may choose experts, by what their code mentions. Nothing is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import CellType, CodeType, FunctionType
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

CHOOSES = frozenset({"topk"})
MAY_CHOOSE = frozenset({"sort", "argsort", "argmax"})  # which others use as well, experts that group their tokens
_STEPS = 8  # of calls that are followed


@dataclass
class Candidate:
    """A method of a module of the model; `inner` are those that it calls on the way to what chooses."""

    module: nn.Module
    path: str  # as in named_modules()
    name: str
    inner: list[Candidate] = field(default_factory=list)


def candidates(model: nn.Module) -> list[Candidate]:
    """The forward methods that may choose experts, of the innermost modules that have such a method."""
    return _candidates(model, CHOOSES) or _candidates(model, MAY_CHOOSE)


def _candidates(model: nn.Module, words: frozenset[str]) -> list[Candidate]:
    kinds = {kind for kind in set(map(type, model.modules())) if _mentions_in_forward(kind, words)}
    found = {path: module for path, module in model.named_modules() if _may_choose(module, kinds)}
    around = {path[:place] for path in found for place, mark in enumerate(path) if mark == "."}
    around |= {""} if set(found) - {""} else set()
    return [_candidate(module, path, "forward", words, set()) for path, module in found.items() if path not in around]


def mentions(function: Any, kind: type, words: frozenset[str] = CHOOSES | MAY_CHOOSE) -> bool:
    """Whether the code of a method of a class, or of what it calls, has one of these names in it."""
    waiting, seen = [(function, _STEPS)], set[CodeType]()
    while waiting:
        one, left = waiting.pop()
        for code in set(_codes(one)) - seen:
            seen.add(code)
            if words.intersection(code.co_names):
                return True
            if left > 0:
                waiting += [(called, left - 1) for called in _called(one, code, kind)]
    return False


def names_in(method: Any) -> frozenset[str]:
    """The names in the code of a method."""
    return frozenset(name for code in _codes(method) for name in code.co_names)


def _mentions_in_forward(kind: type, words: frozenset[str]) -> bool:
    return _has_forward(kind) and mentions(kind.forward, kind, words)  # type: ignore[attr-defined]


def _has_forward(kind: type) -> bool:
    """Whether a class has a forward method that is written in Python."""
    written = isinstance(inspect.getattr_static(kind, "forward", None), FunctionType)
    return written and not issubclass(kind, torch.jit.ScriptModule)


def _may_choose(module: nn.Module, kinds: set[type]) -> bool:
    """Whether a module's class is one of those that choose, or the module has a table with the experts of each id."""
    own = (*module.parameters(recurse=False), *module.buffers(recurse=False))
    has_table = any(not is_lazy(tensor) and tensor.dim() == 2 and not tensor.is_floating_point() for tensor in own)
    if type(module) not in kinds and not (has_table and _has_forward(type(module))):
        return False
    whole = {nn.Embedding, nn.ModuleList} <= {type(inside) for inside in module.modules()}
    return not whole  # the loss of a whole model may choose experts once more


def _candidate(module: nn.Module, path: str, name: str, words: frozenset[str], seen: set[str]) -> Candidate:
    kind, seen = type(module), {*seen, name}
    names = names_in(getattr(kind, name)) - seen
    methods = [called for called in sorted(names) if _is_method(kind, called)]
    choosing = [called for called in methods if mentions(getattr(kind, called), kind, words)]
    return Candidate(module, path, name, [_candidate(module, path, called, words, seen) for called in choosing])


def _is_method(kind: type, name: str) -> bool:
    """Whether a model's own class, not torch, has this method."""
    return isinstance(inspect.getattr_static(kind, name, None), FunctionType) and not hasattr(nn.Module, name)


def _called(function: Any, code: CodeType, kind: type) -> Iterator[Callable]:
    """The methods of the class, and the functions of the function's module, that its code names."""
    known = getattr(inspect.unwrap(function), "__globals__", {})
    for name in code.co_names:
        for found in (getattr(kind, name, None) if _is_method(kind, name) else None, known.get(name)):
            if isinstance(found, FunctionType) and not found.__module__.startswith("torch."):
                yield found


def _codes(function: Any) -> Iterator[CodeType]:
    """The code of a function, of what a decorator has wrapped, and of the functions that are defined in it."""
    function = inspect.unwrap(function)
    inside = (function, *map(_content, getattr(function, "__closure__", None) or ()))
    waiting = [one.__code__ for one in inside if isinstance(one, FunctionType)]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += [constant for constant in one.co_consts if isinstance(constant, CodeType)]


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty yet
        return None
