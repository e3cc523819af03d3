"""The switches that a user sets for a whole process, in environment variables.

They are read where they are first needed, never while torch is imported: a wrong value is an error of the call that it
concerns, and of status(). ASCEND_MOE_GATING_VECTOR is read by the kernel itself, which also runs without Python.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

_ON, _OFF = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


@dataclass(frozen=True)
class Switch:
    """An environment variable that is on or off."""

    variable: str
    default: bool  # where it is not set, or empty

    def on(self) -> bool:
        """Whether it is on.

        Raises:
            ValueError: it is set to something that is neither on nor off.
        """
        value = os.environ.get(self.variable, "")
        if value == "":
            return self.default
        if value.lower() not in _ON + _OFF:
            choices = " or ".join("/".join(words) for words in (_ON, _OFF))
            raise ValueError(f"{self.variable} must be {choices}, got {value!r}")
        return value.lower() in _ON


FUSE = Switch("ASCEND_MOE_GATING_FUSE", default=True)  # gates that are written out
DIRECT_ACLNN = Switch("ASCEND_MOE_GATING_ACLNN", default=False)  # instead of torch_npu's eager kernel
