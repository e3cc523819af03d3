"""Puts functions in place of methods of single modules, by giving each module a class of its own, and takes them out.

A module that is copied or pickled has its own class again. Attributes of the module would not do: torch.export of some
versions takes a method that it finds there for one of another module, and a copied module would call its original.
"""

from __future__ import annotations

import copyreg
import functools
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

Replacement = Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], Any]  # what is called in place of a method

_replacements: WeakKeyDictionary[nn.Module, dict[str, Replacement]] = WeakKeyDictionary()


def put_in(module: nn.Module, name: str, replacement: Replacement) -> bool:
    """Whether a method was replaced: not where it is already, by whomever."""
    if name in _replacements.get(module, {}):
        return False
    own = vars(module).get(name)
    if own is not None:
        if getattr(own, "__func__", None) is not getattr(type(module), name):
            return False
        del vars(module)[name]  # the method of its class, which others leave behind
    _replacements.setdefault(module, {})[name] = replacement
    _take_class(module)
    return True


def take_out(module: nn.Module, name: str, replacement: Replacement) -> None:
    """Let a module have its own method again, if this is what stands in its place."""
    known = _replacements.get(module, {})
    if known.get(name) != replacement:
        return
    del known[name]
    own = vars(module).get(name)
    if getattr(own, "__func__", None) is getattr(type(module), name):
        del vars(module)[name]
    _take_class(module)


def _take_class(module: Any) -> None:
    """Give a module the class that calls its replacements; where others have derived theirs from that, it stays."""
    kind: Any = type(module)
    own = getattr(kind, "_replaced_class", kind)
    if kind is own or "_replaced_class" in vars(kind):
        names = tuple(sorted(_replacements.get(module, {})))
        module.__class__ = _class(own, names) if names else own


@functools.cache
def _class(kind: Any, names: tuple[str, ...]) -> type:
    """A class like another, in which the methods of these names are replaced."""

    def __reduce_ex__(self: Any, protocol: Any) -> Any:
        function, arguments, *state = kind.__reduce_ex__(self, protocol)
        if function.__name__ == "__newobj__":  # which wants the class that a module has
            function, arguments = copyreg._reconstructor, (kind, object, None)  # type: ignore[attr-defined]
        return function, arguments, *state

    members = {name: _method(getattr(kind, name), name) for name in names}
    members |= {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(kind.__name__, (kind,), {**members, "_replaced_class": kind, "__reduce_ex__": __reduce_ex__})


def _method(method: Callable, name: str) -> Callable:
    @functools.wraps(method)
    def replaced(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return method(self, *args, **kwargs)
        replacement = _replacements.get(self, {}).get(name)
        return method(self, *args, **kwargs) if replacement is None else replacement(self, args, kwargs)

    return replaced
