"""Faults on demand: what a program does when CANN fails can be tried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ascend_moe_gating.simulator.library import core


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
    number = library.host_cann_fault_add(entry_point.encode(), occurrence, status, when.encode())
    if number == 0:
        raise ValueError(library.aclGetRecentErrMsg().decode())
    try:
        yield
    finally:
        library.host_cann_fault_remove(number)
