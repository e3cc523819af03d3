"""What must hold of the files in dist/. Each check gives complaints, none where all is well."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.wheels.baseline import POLICY, dynamic, needed, old_enough

LIBRARIES = 13
THREADS = b"_ZNSt6thread15_M_start_thread"
# The sdist builds, and says what it is; what only the repository needs is not in it.
IN_SDIST = {
    "CHANGELOG.md", "CMakeLists.txt", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml",
    "converters", "kernels", "meta", "plugin", "simulator",
}  # fmt: skip


def library(path: Path, foreign: Iterable[Path]) -> Iterator[str]:
    """Of a shared library: it loads on the oldest system, and knows nothing of the machine that made it.

    Args:
        path: The library.
        foreign: Folders of that machine.
    """
    for version in sorted(needed(path)):
        if not old_enough(version):
            yield f"{path.name} wants {version}, which the oldest system does not have"
    for tag in ("DT_RPATH", "DT_RUNPATH"):
        for entry in dynamic(path, tag):
            if any(part.split("/")[0] != "$ORIGIN" for part in entry.split(":")):
                yield f"{path.name} looks for libraries in {entry}"
    text = path.read_bytes()
    for folder in foreign:
        if f"{folder}/".encode() in text:
            yield f"{path.name} names {folder}, a folder of the machine that built it"
    if THREADS in text and "libpthread.so.0" not in dynamic(path, "DT_NEEDED"):
        yield f"{path.name} starts threads, and does not load libpthread, where an older glibc has them"


def libraries(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.so"))


def wheel(path: Path, unpacked: Path, foreign: Iterable[Path]) -> Iterator[str]:
    """Of a wheel and its files: the name and auditwheel's verdict are within POLICY, the libraries are right."""
    shown = subprocess.run([sys.executable, "-m", "auditwheel", "show", "--json", path], capture_output=True, text=True)
    verdict = json.loads(shown.stdout)["overall_tag"] if shown.returncode == 0 else shown.stderr
    names = path.stem.split("-")[-1].split(".")
    for what, tag in (*(("the name", name) for name in names), ("auditwheel's verdict", verdict)):
        glibc = re.fullmatch(r"manylinux_(\d+)_(\d+)_\w+", tag)
        if glibc is None or (int(glibc[1]), int(glibc[2])) > POLICY:
            yield f"{path.name}: {what} is {tag}, which is not within manylinux_{POLICY[0]}_{POLICY[1]}"
    if len(libraries(unpacked)) != LIBRARIES:
        yield f"{path.name} has {len(libraries(unpacked))} libraries instead of {LIBRARIES}"
    for each in libraries(unpacked):
        yield from library(each, foreign)


def same_python(wheels: list[Path]) -> Iterator[str]:
    """Wheels of one version hold the same files, libraries and what names the architecture aside."""
    first, *others = ({info.filename: info.CRC for info in zipfile.ZipFile(path).infolist()} for path in wheels)
    for other in others:
        for name in sorted(first.keys() ^ other.keys()):
            yield f"{name} is in one of the wheels"
        for name in sorted(first.keys() & other.keys()):
            if first[name] != other[name] and not name.endswith((".so", "/WHEEL", "/RECORD")):
                yield f"{name} is not the same in both wheels"


def sdist(path: Path) -> Iterator[str]:
    """Of the sdist: it holds what is built, and nothing else."""
    with tarfile.open(path) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    for name in sorted(IN_SDIST ^ tops):
        yield f"{path.name} {'lacks' if name in IN_SDIST else 'holds'} {name}"


def same_bytes(first: Path, second: Path) -> Iterator[str]:
    """Of two builds in different folders."""
    if first.read_bytes() != second.read_bytes():
        yield f"{first.name} is another one when it is built again: compare {first} with {second}"
