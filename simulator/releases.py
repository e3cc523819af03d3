"""Which CANN the stand-in stands for, and on which NPU: it says so to whoever asks, and refuses what that one does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ascend_moe_gating.simulator.library import core

CANN, SOC = "ASCEND_MOE_GATING_CANN", "ASCEND_MOE_GATING_SOC"


def set_variables(cann: str | None, soc: str | None) -> None:
    """What is given, for a library that is loaded from now on, here or in a process that this one starts."""
    for variable, value in ((CANN, cann), (SOC, soc)):
        if value is not None:
            os.environ[variable] = value


def stand_for(cann: str | None, soc: str | None) -> None:
    """What is given, for the library that is loaded.

    Raises:
        ValueError: the stand-in knows no such CANN or NPU.
    """
    library = core("no release to stand for")
    if library.host_cann_stand_for(*(None if name is None else name.encode() for name in (cann, soc))) != 0:
        raise ValueError(library.aclGetRecentErrMsg().decode().removeprefix("host_cann_stand_for: "))


@contextmanager
def release(cann: str | None = None, soc: str | None = None) -> Iterator[None]:
    """Let the stand-in stand for another CANN or NPU inside the block.

    Args:
        cann: 8.3, 8.5.0, 9.0.0, 9.1.0 or newest.
        soc: Ascend910B1, Ascend910_9391 or Ascend950PR_9579.

    Raises:
        RuntimeError: the stand-in is not in use.
        ValueError: it knows no such CANN or NPU.
    """
    library = core("no release to stand for")
    before = library.host_cann_release().decode(), library.aclrtGetSocName().decode()
    stand_for(cann, soc)
    try:
        yield
    finally:
        stand_for(*before)
