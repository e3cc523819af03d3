"""What is installed, as far as files tell: nothing is imported or loaded. Whatever is broken becomes words."""

from __future__ import annotations

import importlib.resources
import os
import platform
import struct
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from ascend_moe_gating.plugin.environment.switches import DIRECT_ACLNN, FUSE

PACKAGE = "ascend-moe-gating"
VARIABLES = (  # that this package reads
    "ASCEND_MOE_GATING_ACLNN",
    "ASCEND_MOE_GATING_CANN",
    "ASCEND_MOE_GATING_FUSE",
    "ASCEND_MOE_GATING_SIMULATOR_DEVICES",
    "ASCEND_MOE_GATING_SIMULATOR_FAULTS",
    "ASCEND_MOE_GATING_SIMULATOR_LEAKS",
    "ASCEND_MOE_GATING_SIMULATOR_MEMORY",
    "ASCEND_MOE_GATING_SOC",
    "ASCEND_MOE_GATING_VECTOR",
)
_LIBRARIES = ("libmoe_gating_top_k.so", "libmoe_gating_torch.so", "libhost_cann.so", "cann/libascendcl.so")
_MACHINES = {"x86_64": 62, "aarch64": 183}  # e_machine
_HEADER = struct.Struct("<4sB13xH20xQ10xHHH")  # of an ELF file of 64 bits: magic, class, machine, sections


def version(distribution: str) -> str | None:
    """The version that a distribution's metadata has; None where there is no metadata, else what is wrong with it."""
    try:
        return metadata.version(distribution) or "of unknown version"
    except metadata.PackageNotFoundError:
        return None
    except Exception as error:  # metadata that is cut, unreadable or not text: each Python has errors of its own for it
        return f"of unreadable version ({type(error).__name__}: {error})"


def place(module: str) -> str | None:
    """The file or folder that `import module` would find, without importing it; None where there is nothing."""
    try:
        spec = find_spec(module)
    except Exception as error:  # of a finder that another package has installed
        return f"not found ({type(error).__name__}: {error})"
    if spec is None:
        return None
    return spec.origin or str(next(iter(spec.submodule_search_locations or ()), ""))


def shadow(module: str) -> str:
    """The file in the working directory that hides a module of this name, which is installed elsewhere, or nothing."""
    try:
        here = Path.cwd().resolve()
        found = Path(place(module) or "/").resolve()
        if here not in found.parents or found.relative_to(here).parts[0].removesuffix(".py") != module:
            return ""
        elsewhere = [entry for entry in sys.path if entry and Path(entry).resolve() != here]
        hidden = any((Path(entry) / module).exists() or (Path(entry) / f"{module}.py").exists() for entry in elsewhere)
        return str(found) if hidden else ""
    except OSError:  # there is no working directory any more, and so nothing in it
        return ""


def wrong_files() -> Iterator[str]:
    """What is wrong with the files of this package, a sentence for each."""
    for name in _LIBRARIES:
        path = Path(str(importlib.resources.files("ascend_moe_gating") / "lib")) / name
        try:
            with path.open("rb") as file:
                head, size = file.read(_HEADER.size), os.fstat(file.fileno()).st_size
        except OSError as error:
            yield f"{path} can't be read: {error.strerror}"
            continue
        if wrong := _wrong_with(head, size):
            yield f"{path} {wrong}"
    try:
        places = [Path(str(file.locate())) for file in metadata.files(PACKAGE) or () if file.suffix == ".py"]
        yield from (f"{place} is missing" for place in places if not place.exists())
    except metadata.PackageNotFoundError:
        return
    except Exception as error:  # as in version()
        yield f"the list of files can't be read: {type(error).__name__}: {error}"


def _wrong_with(head: bytes, size: int) -> str:
    if size == 0:
        return "is empty"
    if len(head) < _HEADER.size or head[:5] != b"\x7fELF\x02":
        return "is no library of 64 bits"
    _, _, machine, sections, _, entry, number = _HEADER.unpack(head)
    if machine != _MACHINES.get(platform.machine(), machine):
        names = {value: key for key, value in _MACHINES.items()}
        return f"is for {names.get(machine, f'machine {machine}')}, this is {platform.machine()}"
    if size < sections + entry * number:
        return f"is cut off: {size} of at least {sections + entry * number} bytes"
    return ""


def wrong_switches() -> Iterator[str]:
    """What is wrong with the variables of this package that Python reads."""
    for switch in (FUSE, DIRECT_ACLNN):
        try:
            switch.on()
        except ValueError as error:
            yield str(error)


def unknown_variables() -> list[str]:
    """Variables that look like this package's and are none."""
    return sorted(name for name in os.environ if name.startswith("ASCEND_MOE_GATING_") and name not in VARIABLES)


def set_env() -> str:
    """The script that sets CANN's environment, where there is one; else where it is by default."""
    roots = [os.environ.get(name, "") for name in ("ASCEND_TOOLKIT_HOME", "ASCEND_HOME_PATH")]
    places = [Path(root).parent for root in roots if root]
    places += [top / name for top in _tops() for name in ("cann", "ascend-toolkit", "nnae", "nnrt")]
    found = [path / "set_env.sh" for path in places if os.access(path / "set_env.sh", os.R_OK)]
    return str(found[0] if found else "/usr/local/Ascend/ascend-toolkit/set_env.sh")


def _tops() -> list[Path]:
    return [Path("/usr/local/Ascend"), Path(os.path.expanduser("~/Ascend"))]


def glibc() -> str:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "unknown").removeprefix("glibc ")
    except (AttributeError, OSError, ValueError):  # another C library
        return "none: the C library is another"


def processor() -> str:
    """Its architecture and, where Linux says it, its name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{platform.machine()}{(names and f', {names[0]}') or ''}"
