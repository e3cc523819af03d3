"""The system's libraries as they were: what is linked against these needs nothing newer.

A library that was made on a new system does not load on an old one, as the linker takes the newest version of each
symbol. Here it finds libraries of the same names that hold no code, and each symbol in the newest version that the
oldest system has too. A symbol that is younger is missing there, which is an error of the link; since.cpp has those
that the project needs.
"""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from pathlib import Path

from tests.wheels.baseline import Symbol, defined, number, old_enough

LIBRARIES = ("libc.so.6", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1")
LOADER = {"x86_64": "ld-linux-x86-64.so.2", "aarch64": "ld-linux-aarch64.so.1"}
# libc took these in with 2.34: on an older system they are elsewhere.
MOVED = {
    "libpthread.so.0": re.compile(r"pthread_|sem_"),
    "libdl.so.2": re.compile(r"dl[a-z]"),
    "librt.so.1": re.compile(r"shm_|mq_|aio_|lio_|timer_"),
}
SECTIONS = {
    "STT_FUNC": ".text\n.type {0}, %function",
    "STT_OBJECT": ".bss\n.type {0}, %object",
    "STT_TLS": '.section .tbss, "awT", %nobits\n.type {0}, %tls_object',
}
SINCE = Path(__file__).parent / "since.cpp"


def compiler(architecture: str) -> str:
    return f"{architecture}-linux-gnu-g++-12"


def make(architecture: str, folder: Path) -> None:
    """Put the libraries, and since.cpp as libsince.a, where `-L folder` finds them before those of the system."""
    folder.mkdir(parents=True, exist_ok=True)
    build = compiler(architecture)
    for name in (*LIBRARIES, LOADER[architecture]):
        for home, symbols in homes(name, oldest(_find(build, name))).items():
            _write(build, folder / home, symbols)
    # As the system's own files of these names: what the libraries leave to archives.
    nonshared = _find(build, "libc_nonshared.a")
    (folder / "libc.so").write_text(f"GROUP(libc.so.6 {nonshared} AS_NEEDED({LOADER[architecture]}))\n")
    (folder / "libgcc_s.so").write_text("GROUP(libgcc_s.so.1 -lgcc)\n")
    options = ["-std=c++17", "-O2", "-fPIC", "-Wall", "-Wextra", "-D_GLIBCXX_USE_CXX11_ABI=0"]
    subprocess.run([build, *options, "-c", SINCE, "-o", folder / "since.o"], check=True)
    archive = build.replace("g++-12", "ar")
    subprocess.run([archive, "crsD", folder / "libsince.a", folder / "since.o"], check=True)


def oldest(library: Path) -> list[Symbol]:
    """Of each symbol that the linker finds the newest version that is old enough.

    What it does not find is there for old binaries alone: libgcc_s has a __cpu_model that lacks newer processors.
    """
    chosen: dict[str, Symbol] = {}
    symbols = list(defined(library))
    found = {symbol.name for symbol in symbols if symbol.default}
    for symbol in symbols:
        if symbol.name in found and old_enough(symbol.version):
            other = chosen.get(symbol.name)
            if other is None or number(symbol.version) > number(other.version):  # type: ignore[operator]
                chosen[symbol.name] = symbol
    return sorted(chosen.values())


def homes(library: str, symbols: list[Symbol]) -> dict[str, list[Symbol]]:
    """The libraries that had these symbols when the oldest system was made."""
    found: dict[str, list[Symbol]] = {library: []}
    for symbol in symbols:
        moved = [home for home, names in MOVED.items() if library == "libc.so.6" and names.match(symbol.name)]
        found.setdefault(moved[0] if moved else library, []).append(symbol)
    return found


def source(symbols: list[Symbol]) -> str:
    """Assembly that defines them all, in the sections of their kinds."""
    return "".join(
        SECTIONS.get(kind, SECTIONS["STT_FUNC"]).format(name) + f"\n.globl {name}\n{name}:\n.zero 8\n"
        for name, _, kind, _ in symbols
    )


def script(symbols: list[Symbol]) -> str:
    """The linker's list of what has which version."""
    versions = defaultdict(list)
    for symbol in symbols:
        versions[symbol.version].append(f'"{symbol.name}";')
    return "".join(f"{version} {{ {' '.join(names)} }};\n" for version, names in versions.items())


def _find(build: str, name: str) -> Path:
    printed = subprocess.run([build, f"-print-file-name={name}"], check=True, capture_output=True, text=True).stdout
    path = Path(printed.strip())
    if not path.is_absolute():
        raise FileNotFoundError(f"{build} finds no {name}")
    return path


def _write(build: str, path: Path, symbols: list[Symbol]) -> None:
    assembly, versions = path.with_suffix(".s"), path.with_suffix(".map")
    assembly.write_text(source(symbols))
    versions.write_text(script(symbols))
    options = ["-shared", "-nostdlib", f"-Wl,-soname,{path.name}", f"-Wl,--version-script,{versions}"]
    subprocess.run([build, *options, assembly, "-o", path], check=True)
    path.with_name(path.name.split(".so")[0] + ".so").write_text(f"GROUP({path.name})\n")
