"""The tests in C++ on the very libraries of a wheel, in the oldest user land; aarch64 on an emulated processor.

They are built as libraries that its Python loads, which also shows that ctypes can.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.programs import ROOT
from tests.wheels import old_user_land
from tests.wheels.check import libraries
from tests.wheels.stubs import compiler

TESTS = (ROOT / "tests/kernels/kernel.cpp", ROOT / "tests/simulator/stand_in.cpp")
# From the oldest to what depends on it, each in a scope of its own as in an application.
LOAD = "import ctypes, sys\nfor path in sys.argv[1:]: ctypes.CDLL(path)"
RUN = "import ctypes, sys\nsys.exit(ctypes.CDLL(sys.argv[1]).main())"
TIME_OUT = 600  # seconds


def build(architecture: str, unpacked: Path, stubs: Path, folder: Path) -> list[Path]:
    """Compile the tests against the libraries of a wheel; gives theirs."""
    lib = unpacked / "ascend_moe_gating" / "lib"
    options = ["-std=c++17", "-O2", "-fPIC", "-shared", "-D_GLIBCXX_USE_CXX11_ABI=0"]
    links = ["-lmoe_gating_top_k", "-lhost_cann", "-lsince", "-lpthread"]
    made = []
    for test in TESTS:
        path = folder / f"{test.stem}-{architecture}.so"
        places = [f"-L{stubs}", f"-L{lib}", f"-Wl,-rpath,{lib}", "-Wl,--exclude-libs,libsince.a", "-Wl,-z,defs"]
        subprocess.run([compiler(architecture), *options, *places, test, *links, "-o", path], check=True)
        made.append(path)
    return made


def complaints(architecture: str, unpacked: Path, tests: list[Path], root: Path) -> Iterator[str]:
    """Load every library of the wheel in the old user land, and run the tests there."""
    python = old_user_land.command(architecture, root, root / old_user_land.PYTHON)
    pythons = {f"{old_user_land.SUITE}, {architecture}": python}
    if architecture == "x86_64":
        pythons["this machine"] = [sys.executable]
    for place, command in pythons.items():
        for program, files in ((LOAD, libraries(unpacked)), *((RUN, [test]) for test in tests)):
            done = subprocess.run(
                [*command, "-c", program, *files], capture_output=True, text=True, timeout=TIME_OUT, check=False
            )
            what = " ".join(file.name for file in files)
            if done.returncode == 0:
                print(f"  {place}: {what} {done.stdout.strip()}", flush=True)
            else:
                yield f"{place}: {what} ended with {done.returncode}: {done.stderr}"
