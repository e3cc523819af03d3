"""Cuts a method in two, as many choose experts and then loop over them, which can't be traced.

The first part can be traced; what it leaves in its variables is handed to the second, which runs as it is.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any, NamedTuple

_LOOPS = (ast.For, ast.While)
_ENDS = (*_LOOPS, ast.Return, ast.Yield, ast.YieldFrom, ast.Await, ast.Global, ast.Nonlocal)
_SCOPES = (
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
    *(ast.Lambda, ast.FunctionDef, ast.ClassDef),
)


class Parts(NamedTuple):
    """`head` takes what the method takes and returns a tuple; `tail` takes the module and that."""

    head: Callable
    tail: Callable


def loops(method: Callable) -> bool:
    """Whether a method loops, as over experts: to trace that would take each by itself."""
    definition = _definition(method)
    return definition is not None and any(isinstance(node, _LOOPS) for node in _own(definition.body))


def cuts(method: Callable) -> Iterator[Parts]:
    """A method cut before its first loop, and then ever earlier.

    Both parts stand in the lines of the method, and have its globals and the variables of functions around it.
    """
    definition = _definition(method)
    if definition is None:
        return
    body = definition.body
    ends = (place for place, one in enumerate(body) if any(isinstance(node, _ENDS) for node in _own([one])))
    for count in range(min(next(ends, len(body)), len(body) - 1), 0, -1):
        yield _cut(method, definition.args, body[:count], body[count:])


def _cut(method: Any, arguments: ast.arguments, before: list[ast.stmt], behind: list[ast.stmt]) -> Parts:
    module, *_ = own = [*arguments.posonlyargs, *arguments.args]
    own += [one for one in (*arguments.kwonlyargs, arguments.vararg, arguments.kwarg) if one is not None]
    kept = sorted(({one.arg for one in own} | _stored(before)) & _loaded(behind) - {module.arg})
    (returned,) = ast.parse(f"return ({''.join(name + ', ' for name in kept)})").body
    head = _compiled(method, arguments, [*before, ast.copy_location(returned, before[-1])])
    head.__defaults__, head.__kwdefaults__ = method.__defaults__, method.__kwdefaults__
    return Parts(head, _compiled(method, _named([module.arg, *kept]), behind))


def _definition(method: Callable) -> ast.FunctionDef | None:
    """A method whose statements mean the same elsewhere, its arguments without defaults; None for another."""
    if not isinstance(method, FunctionType) or hasattr(method, "__wrapped__"):
        return None
    try:
        lines, first = inspect.getsourcelines(method)
        (definition,) = ast.parse(textwrap.dedent("".join(lines))).body
    except (OSError, SyntaxError, ValueError):  # there is no source, or it is a part of a line
        return None
    if not isinstance(definition, ast.FunctionDef) or not definition.args.args:
        return None
    words = {word for node in ast.walk(definition) for word in (getattr(node, "id", ""), getattr(node, "attr", ""))}
    if "super" in words or any(word.startswith("__") and not word.endswith("__") for word in words):  # of its class
        return None
    ast.increment_lineno(definition, first - 1)
    definition.args.defaults, definition.args.kw_defaults = [], [None] * len(definition.args.kwonlyargs)
    return definition


def _compiled(method: Any, arguments: ast.arguments, body: list[ast.stmt]) -> FunctionType:
    """A function of these statements, among the variables of the method."""
    tree = ast.parse("def around():\n    def part(): pass")
    around: Any = tree.body[0]
    around.args = _named(method.__code__.co_freevars)
    part = around.body[0]
    part.name, part.args, part.body = method.__name__, arguments, body
    ast.copy_location(part, body[0])
    code = compile(ast.fix_missing_locations(tree), method.__code__.co_filename, "exec", dont_inherit=True)
    for _ in ("around", "part"):
        (code,) = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    cells = dict(zip(method.__code__.co_freevars, method.__closure__ or (), strict=True))
    closure = tuple(cells[name] for name in code.co_freevars)
    return FunctionType(code, method.__globals__, method.__name__, None, closure)


def _named(names: list[str] | tuple[str, ...]) -> ast.arguments:
    return ast.parse(f"def part({', '.join(names)}): pass").body[0].args  # type: ignore[attr-defined]


def _own(statements: list[ast.stmt]) -> Iterator[ast.AST]:
    """What statements are made of, but for what is inside of functions, classes and comprehensions."""
    waiting = list[ast.AST](statements)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _SCOPES):
            waiting += ast.iter_child_nodes(node)


def _stored(statements: list[ast.stmt]) -> set[str]:
    """The variables that statements set."""
    own = list(_own(statements))
    named = {node.name for node in own if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    return named | {node.id for node in own if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _loaded(statements: list[ast.stmt]) -> set[str]:
    """The names that statements read, be it to change them."""
    nodes = [node for statement in statements for node in ast.walk(statement)]
    changed = [node.target for node in nodes if isinstance(node, ast.AugAssign)]
    names = [node for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store)]
    return {node.id for node in (*names, *changed) if isinstance(node, ast.Name)}
