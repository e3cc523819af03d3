"""Puts graphs with fused gates in place of the methods of a model that choose experts, and takes them out again."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as of_all_modules
from torch.utils._device import DeviceContext

from ascend_moe_gating.converters.eager.candidates import Candidate, candidates, mentions
from ascend_moe_gating.converters.eager.cut import cuts, loops
from ascend_moe_gating.converters.eager.methods import put_in, take_out
from ascend_moe_gating.converters.eager.traced import NotTraced, Traced, prepare
from ascend_moe_gating.converters.fusion.report import GateReport, page, text_table

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_HOOKS_OF_ALL = tuple(f"_global{name}" for name in _HOOKS)
_ATTEMPTS = 3  # that fail, of tracing a method anew


def replace_gates(model: nn.Module) -> ReplacedGates:
    """Let a model use the operator where it chooses experts, in eager mode, on the CPU and on NPUs, with gradients.

    Each method that may choose experts, as a router's forward, is traced when it is first called and given to the
    fusion pass. Where that finds a gate the method runs the graph with the gate fused, for any number of tokens; else
    it stays as it was. Who compiles, exports or traces the model sees it as it was written.

    Args:
        model: Changed in place. Its parameters, state dict and hooks stay as they are, its modules are instances of
            their classes, and a model that is copied or pickled has its own methods.

    Returns:
        ReplacedGates: print it after the model was called to see what became of each gate.

    Raises:
        TypeError: model is no torch.nn.Module.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    return ReplacedGates(candidates(model))


class ReplacedGates:
    """The gates of a model that replace_gates has replaced, until undo() or the end of a `with` block.

    Attributes:
        gates: A report of each gate of the methods that were called, in the order of their first call.
    """

    def __init__(self, found: list[Candidate]) -> None:
        self.gates: list[GateReport] = []
        self._places: list[_Place] = []
        self._traced: dict[Callable, Traced] = {}  # of each method: one serves the modules of all layers
        if found:
            prepare()
        for candidate in found:
            self._replace(candidate)

    @property
    def fused(self) -> int:
        """How many gates are replaced by the operator."""
        return sum(gate.fused for gate in self.gates)

    @property
    def waiting(self) -> list[str]:
        """Names of the methods that may choose experts and were not called yet, as in named_modules()."""
        return [place.path for place in self._places if place.waits]

    def undo(self) -> None:
        """The model is as it was before."""
        for place in self._places:
            place.take_out()

    def __enter__(self) -> ReplacedGates:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.undo()

    def __str__(self) -> str:
        return f"{self._title()}\n{text_table(self.gates)}" if self.gates else self._title()

    def html(self) -> str:
        """The table as a page that needs nothing else."""
        return page(self._title(), self.gates)

    def _title(self) -> str:
        waiting = len(self.waiting)
        later = f"{waiting} place{'s' if waiting > 1 else ''} to be called yet" if waiting else ""
        done = f"{self.fused} of {len(self.gates)} gates replaced" if self.gates else ""
        return ", ".join(part for part in (done, later) if part) or "no gate found"

    def _replace(self, candidate: Candidate, caller: tuple[_Place, str] | None = None) -> None:
        place = _Place(candidate, self, caller)
        if place.put_in():
            self._places.append(place)
        else:
            self._report(place, "is replaced already")

    def _ways(self, place: _Place) -> Iterator[Traced]:
        """The ways to trace a method, the one that has served for another module first."""
        if place.method in self._traced:
            yield self._traced[place.method]
            return
        if not loops(place.method):
            yield Traced(place.method)
        for head, tail in cuts(place.method):
            if mentions(head, type(place.module)):
                yield Traced(head, tail)

    def _found(self, place: _Place, way: Traced, reports: list[GateReport]) -> None:
        """A method was traced."""
        self._traced[place.method] = way
        self.gates += [dataclasses.replace(report, module=place.path) for report in reports]
        if not reports and place.caller is not None:
            self._report(*place.caller)
        if not any(report.fused for report in reports):
            place.take_out()

    def _replace_inner(self, place: _Place, reason: str) -> None:
        """A method can't be traced: perhaps the methods that it calls can."""
        place.take_out()
        for candidate in place.candidate.inner:
            self._replace(candidate, (place, reason))

    def _put_back(self, place: _Place) -> None:
        """Wait for another call of a method, as if there had been none."""
        inner = [other for other in self._places if other.caller is not None and other.caller[0] is place]
        for other in inner:
            other.take_out()
            self._places.remove(other)
        place.waits = True
        place.put_in()

    def _left(self, place: _Place, reason: str) -> None:
        """A method stays as it is."""
        place.take_out()
        self._report(place, reason)

    def _report(self, place: _Place, reason: str) -> None:
        code = inspect.unwrap(place.method).__code__
        where = f"{code.co_filename}:{code.co_firstlineno}"
        self.gates.append(GateReport(False, f"{place.name} {reason}", where, module=place.path))


class _Place:
    """A method of a module, and what stands in its place.

    Args:
        caller: The method that calls this one, and why that is not replaced.
    """

    def __init__(self, candidate: Candidate, owner: ReplacedGates, caller: tuple[_Place, str] | None) -> None:
        self.candidate, self.owner, self.caller = candidate, owner, caller
        self.module, self.name = candidate.module, candidate.name
        self.method: Callable = getattr(type(self.module), self.name)
        self.path = ".".join(part for part in (candidate.path, "" if self.name == "forward" else self.name) if part)
        self.way: Traced | None = None
        self.waits, self.attempts = True, 0

    def put_in(self) -> bool:
        """Whether the method was replaced: not where it is already, by whomever."""
        return put_in(self.module, self.name, self.call)

    def take_out(self) -> None:
        self.waits = False
        take_out(self.module, self.name, self.call)

    def call(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if _is_observed():
            return self.method(module, *args, **kwargs)
        if self.way is None:
            return self._first_call(module, args, kwargs)
        if _has_hooks(module, self.way.names):
            return self.method(module, *args, **kwargs)
        if self.attempts < _ATTEMPTS:
            try:
                return self.way(module, *args, **kwargs)[0]
            except NotTraced:
                self.attempts += 1
        return self.method(module, *args, **kwargs)

    def _first_call(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        reason = "it loops, or returns, before it chooses"
        for number, way in enumerate(self.owner._ways(self)):
            if _has_hooks(module, way.names):
                return self.method(module, *args, **kwargs)
            try:
                result, reports = way(module, *args, **kwargs)
            except NotTraced as error:
                reason = reason if number else str(error)
                continue
            if reports is None:
                self.owner._left(self, "can't be traced: dynamo leaves it out")
            else:
                self.way, self.waits = way, False
                self.owner._found(self, way, reports)
            return result
        reason = f"can't be traced: {reason}"
        if self.candidate.inner:
            self.owner._replace_inner(self, reason)
        try:
            result = self.method(module, *args, **kwargs)
        except Exception:  # the call was wrong, not the method
            self.owner._put_back(self)
            raise
        if not self.candidate.inner:
            self.owner._left(self, reason)
        return result


def _is_observed() -> bool:
    """Whether somebody wants to see the operations, or all calls of modules."""
    return (
        torch._C._len_torch_dispatch_stack() > 0
        or any(type(mode) is not DeviceContext for mode in _function_modes())  # which says only where tensors are made
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch._C._get_tracing_state() is not None
        or any(getattr(of_all_modules, name) for name in _HOOKS_OF_ALL)
    )


def _function_modes() -> Iterator[Any]:
    return map(torch._C._get_function_stack_at, range(torch._C._len_torch_function_stack()))


def _has_hooks(module: nn.Module, names: frozenset[str]) -> bool:
    """Whether modules in a module, of those with these names, have hooks, which dynamo would not ask for again."""
    named = (child for name, child in module._modules.items() if name in names and child is not None)
    return any(getattr(inside, hooks) for child in named for inside in child.modules() for hooks in _HOOKS)
