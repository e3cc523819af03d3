"""How old a system may be that loads the libraries, and what a library needs of it.

glibc is that of Ubuntu 18.04, libstdc++ and libgcc those of openEuler 20.03 (GCC 7.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from elftools.elf.elffile import ELFFile

NEWEST = {"GLIBC": (2, 27), "GLIBCXX": (3, 4, 24), "CXXABI": (1, 3, 11), "GCC": (7, 0, 0)}
POLICY = (2, 28)  # of manylinux, which says glibc alone
ARCHITECTURES = ("x86_64", "aarch64")


class Symbol(NamedTuple):
    """A symbol of a library in one of its versions. The linker finds only what is the default of some version."""

    name: str
    version: str  # as GLIBC_2.17
    type: str  # as STT_FUNC
    default: bool


def number(version: str) -> tuple[str, tuple[int, ...]] | None:
    """GLIBC_2.2.5 as ("GLIBC", (2, 2, 5)); None for one without a number, as GLIBC_PRIVATE."""
    match = re.fullmatch(r"([A-Z]+)_(\d+(?:\.\d+)*)", version)
    return match and (match[1], tuple(map(int, match[2].split("."))))


def old_enough(version: str) -> bool:
    """Whether the oldest system has this version; of a family that is not in the table, it has none."""
    known = number(version)
    return known is not None and known[0] in NEWEST and known[1] <= NEWEST[known[0]]


def defined(library: Path) -> Iterator[Symbol]:
    """What a library offers under a version, by every version that it has of a name."""
    with library.open("rb") as file:
        elf: Any = ELFFile(file)
        versions = elf.get_section_by_name(".gnu.version_d").iter_versions()
        names = {version.entry["vd_ndx"]: next(parts).name for version, parts in versions}
        indices = elf.get_section_by_name(".gnu.version")
        for i, symbol in enumerate(elf.get_section_by_name(".dynsym").iter_symbols()):
            index = indices.get_symbol(i).entry["ndx"]
            if symbol["st_shndx"] not in ("SHN_UNDEF", "SHN_ABS") and isinstance(index, int):
                yield Symbol(symbol.name, names[index & 0x7FFF], symbol["st_info"]["type"], index < 0x8000)


def needed(library: Path) -> set[str]:
    """The versions that a library asks of others, as GLIBC_2.17."""
    with library.open("rb") as file:
        section: Any = ELFFile(file).get_section_by_name(".gnu.version_r")
        return {part.name for _, parts in section.iter_versions() for part in parts} if section else set()


def dynamic(library: Path, tag: str) -> list[str]:
    """The entries of this tag, as DT_NEEDED, of a library's dynamic section."""
    attribute = tag.removeprefix("DT_").lower()
    with library.open("rb") as file:
        section: Any = ELFFile(file).get_section_by_name(".dynamic")
        return [getattr(entry, attribute) for entry in section.iter_tags(tag)]
