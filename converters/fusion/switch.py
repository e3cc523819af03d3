"""Whether gates are fused: by the user's word for a place of the program, or for the process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar

VARIABLE = "ASCEND_MOE_GATING_FUSE"
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
    """Whether gates are fused: unless fusion(False) or ASCEND_MOE_GATING_FUSE=0 says otherwise, they are."""
    chosen = _chosen.get()
    return os.environ.get(VARIABLE, "1") not in ("", "0") if chosen is None else chosen
