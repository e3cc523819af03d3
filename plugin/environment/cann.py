"""Which CANN is in this process, and on which NPU: what it says itself, and what torch_npu knows."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Cann:
    """A release and the name of an NPU, as far as they are known."""

    version: tuple[int, ...] | None
    soc: str | None

    def __str__(self) -> str:
        version = "of unknown version" if self.version is None else ".".join(map(str, self.version))
        return f"CANN {version} on {self.soc or 'an unknown NPU'}"


def present() -> Cann:
    """What is there now. Nothing is loaded for it: without CANN both are unknown."""
    try:
        library = ctypes.CDLL("libascendcl.so", os.RTLD_NOLOAD)
    except OSError:
        return Cann(None, None)
    return Cann(_parsed(_version_of(library) or _version_by_torch_npu()), _soc(library))


class _PackageVersion(ctypes.Structure):
    """aclCANNPackageVersion: `version`, its parts, and what is reserved."""

    _fields_ = [("version", ctypes.c_char * 128), ("parts", ctypes.c_char * (4 * 64 + 128))]  # noqa: RUF012


def _version_of(library: ctypes.CDLL) -> str:
    version = _PackageVersion()
    if (ask := getattr(library, "aclsysGetCANNVersion", None)) is None or ask(0, ctypes.byref(version)) != 0:
        return ""
    return version.version.decode(errors="replace")


def _version_by_torch_npu() -> str:
    utils = sys.modules.get("torch_npu.npu.utils")
    try:
        return utils.get_cann_version("CANN") if utils is not None else ""
    except (AttributeError, RuntimeError, ValueError):  # an older torch_npu, or a CANN in which it finds no version
        return ""


def _soc(library: ctypes.CDLL) -> str | None:
    if (ask := getattr(library, "aclrtGetSocName", None)) is None:
        return None
    ask.restype = ctypes.c_char_p
    return (ask() or b"").decode(errors="replace") or None


def _parsed(text: str) -> tuple[int, ...] | None:
    """8.5.0, 8.3.RC1, 9.1.0-beta.2 and the like, as numbers; a candidate counts as its release."""
    numbers = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(number) for number in numbers.groups() if number is not None) if numbers else None
