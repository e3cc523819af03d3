"""Faults on demand: what a program does when CANN fails can be tried."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ascend_moe_gating.simulator.library import core

VARIABLE = "ASCEND_MOE_GATING_SIMULATOR_FAULTS"
_KINDS = {"call": 0, "run": 1, "hang": 2}


@contextmanager
def fault(entry_point: str, status: int = 507899, *, when: str = "call", occurrence: int = 1) -> Iterator[None]:
    """Let a call of CANN fail inside the block.

    Args:
        entry_point: aclrtMalloc, aclrtMemcpyAsync, aclnnMoeGatingTopK, aclnnMoeGatingTopKGetWorkspaceSize,
            ge::CompileGraph, ...; for `when` run and hang also the type of a graph node, as MoeGatingTopK.
        status: What it returns.
        when: call: it returns the status and does nothing. run: it returns 0, and what it launched fails, which the
            next synchronisation says. hang: what it launched does not end before the block does.
        occurrence: Which call inside the block, counted from 1; 0 for all.

    Raises:
        RuntimeError: the stand-in is not in use.
        ValueError: the stand-in has no such entry point, or one argument is wrong.
    """
    library = core("no fault to inject")
    number = _add(library, entry_point, status, when, occurrence)
    try:
        yield
    finally:
        library.host_cann_fault_remove(number)


def add_faults_of_the_environment(library: ctypes.CDLL) -> None:
    """ASCEND_MOE_GATING_SIMULATOR_FAULTS: entry_point=status[@run|@hang][#occurrence], separated by commas."""
    for text in filter(None, os.environ.get(VARIABLE, "").split(",")):
        entry_point, equals, rest = text.partition("=")
        rest, _, occurrence = rest.partition("#")
        status, _, when = rest.partition("@")
        if not equals or not status.isdecimal() or not (occurrence or "1").isdecimal():
            raise ValueError(f"{VARIABLE} must be entry_point=status[@run|@hang][#occurrence], got {text!r}")
        _add(library, entry_point, int(status), when or "call", int(occurrence or 1))


def _add(library: ctypes.CDLL, entry_point: str, status: int, when: str, occurrence: int) -> int:
    if when not in _KINDS:
        raise ValueError(f"when must be one of {', '.join(_KINDS)}, got {when!r}")
    if status == 0:
        raise ValueError("status must not be 0, which means success, got 0")
    if occurrence < 0:
        raise ValueError(f"occurrence must be at least 0, got {occurrence}")
    number: int = library.host_cann_fault_add(entry_point.encode(), occurrence, status, _KINDS[when])
    if number == 0:
        raise ValueError(f"entry_point must be one in which the stand-in has faults, got {entry_point!r}")
    return number
