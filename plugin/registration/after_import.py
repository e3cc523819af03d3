"""Run something as soon as another package has been imported, whoever imports it and whenever, but never while modules
are half imported that it needs."""

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
        sys.meta_path.insert(0, _Once(name, action))


def between_imports(package: str, action: Callable[[], object]) -> Callable[[], None]:
    """A function that calls `action`: now, or when modules of `package` are half imported, after the last of them.

    It counts the imports that begin from now on.
    """
    finder = _Between(package, action)
    sys.meta_path.insert(0, finder)
    return finder.act


class _Finder(MetaPathFinder):
    """Lets the others find a module, and extends its loader by `execute`."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.action, self.searching = action, set[str]()

    def concerns(self, name: str) -> bool:
        raise NotImplementedError

    def execute(self, module: ModuleType, execute: Callable[[ModuleType], object]) -> None:
        raise NotImplementedError

    def find_spec(self, fullname: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname in self.searching or not self.concerns(fullname):
            return None
        self.searching.add(fullname)
        try:
            spec = find_spec(fullname)
        finally:
            self.searching.discard(fullname)
        if spec is not None and spec.loader is not None:
            self._extend(spec.loader, fullname)
        return spec

    def _extend(self, loader: Loader, name: str) -> None:
        execute = loader.exec_module

        def execute_ours(module: ModuleType) -> None:
            if module.__name__ == name:
                self.execute(module, execute)
            else:  # some loaders, as that of a zip file, serve many modules
                execute(module)

        # On the instance: the loader of one module stays the class that importlib.resources and others know.
        loader.exec_module = execute_ours  # type: ignore[method-assign]


class _Once(_Finder):
    """Acts after the import of one module, the first time."""

    def __init__(self, name: str, action: Callable[[], object]) -> None:
        super().__init__(action)
        self.name = name

    def concerns(self, name: str) -> bool:
        return name == self.name

    def execute(self, module: ModuleType, execute: Callable[[ModuleType], object]) -> None:
        execute(module)
        _executed.add(self.name)
        sys.meta_path.remove(self)
        self.action()


class _Between(_Finder):
    """Knows which modules of a package are half imported, and acts when none is."""

    def __init__(self, package: str, action: Callable[[], object]) -> None:
        super().__init__(action)
        self.package, self.half_imported, self.due = package, set[str](), False

    def act(self) -> None:
        self.due = bool(self.half_imported)
        if not self.due:
            self.action()

    def concerns(self, name: str) -> bool:
        return name.startswith(f"{self.package}.")

    def execute(self, module: ModuleType, execute: Callable[[ModuleType], object]) -> None:
        name = module.__name__
        self.half_imported.add(name)
        try:
            execute(module)
        finally:
            self.half_imported.discard(name)
        if self.due and not self.half_imported:
            self.act()
