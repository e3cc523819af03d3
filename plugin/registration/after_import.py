"""Run something as soon as another package has been imported, whoever imports it and whenever."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

_executed: set[str] = set()


def importing(name: str) -> bool:
    """Whether the import of `name` has begun and its code has not yet run to the end."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return name not in _executed and bool(getattr(spec, "_initializing", False))


def after_import(name: str, action: Callable[[], object]) -> None:
    """Call `action` once: now if module `name` is imported, else at the end of the first import that succeeds."""
    if name in sys.modules and not importing(name):
        action()
    else:
        sys.meta_path.insert(0, _Finder(name, action))


class _Finder(MetaPathFinder):
    """Lets the others find the module, and extends its loader by the action."""

    def __init__(self, name: str, action: Callable[[], object]) -> None:
        self.name, self.action, self.searching = name, action, False

    def find_spec(self, fullname: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != self.name or self.searching:
            return None
        self.searching = True
        try:
            spec = find_spec(fullname)
        finally:
            self.searching = False
        if spec is not None and spec.loader is not None:
            self._extend(spec.loader)
        return spec

    def _extend(self, loader: Loader) -> None:
        execute = loader.exec_module

        def execute_then_act(module: ModuleType) -> None:
            execute(module)
            _executed.add(self.name)
            sys.meta_path.remove(self)
            self.action()

        # On the instance: the loader of one module stays the class that importlib.resources and others know.
        loader.exec_module = execute_then_act  # type: ignore[method-assign]
