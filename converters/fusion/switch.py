"""Whether gates are fused: by the user's word for a place of the program, or for the process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from ascend_moe_gating.plugin.environment.switches import FUSE

_chosen: ContextVar[bool | None] = ContextVar("fusion", default=None)


@contextlib.contextmanager
def fusion(enabled: bool) -> Iterator[None]:
    """Whether gates are fused in graphs that are compiled inside; it has precedence over ASCEND_MOE_GATING_FUSE."""
    token = _chosen.set(enabled)
    try:
        yield
    finally:
        _chosen.reset(token)


def enabled() -> bool:
    """Whether gates are fused: unless fusion(False) or ASCEND_MOE_GATING_FUSE=0 says otherwise, they are.

    Raises:
        ValueError: it is up to ASCEND_MOE_GATING_FUSE, whose value is neither on nor off.
    """
    chosen = _chosen.get()
    return FUSE.on() if chosen is None else chosen
