"""make wheels-test: the tests on the wheel as a user installs it, where there is no compiler.

    python -m tests.wheels.installed [arguments of pytest]

What needs a compiler is skipped by that name, and nothing else may be.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from tests.programs import ROOT

WORK, DIST = ROOT / "build" / "wheels", ROOT / "dist"
COMPILERS = re.compile(r"(.+-)?(cc|gcc|g\+\+|c\+\+|c89|c99|cpp|clang|clang\+\+|as|ld|cmake|ninja)(-[\d.]+)?")
PROGRAM = """
import importlib.util, shutil, sys
found = [name for name in ("cc", "gcc", "g++", "c++", "clang", "cmake", "ld") if shutil.which(name)]
assert not found, found
where = importlib.util.find_spec("ascend_moe_gating").origin
assert where.startswith(sys.prefix), where
"""


def programs(folder: Path) -> Path:
    """A folder of what PATH leads to, but for compilers."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for place in os.environ["PATH"].split(os.pathsep):
        for program in sorted(Path(place).iterdir()) if Path(place).is_dir() else ():
            link = folder / program.name
            if not COMPILERS.fullmatch(program.name) and not link.is_symlink():
                link.symlink_to(program)
    return folder


def set_up(folder: Path, path: Path) -> Path:
    """An environment with what requirements.txt pins, and the wheel of this machine; gives its Python."""
    python, listed, done = folder / "bin" / "python", ROOT / "requirements.txt", folder / "requirements.txt"
    pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if not done.is_file() or done.read_bytes() != listed.read_bytes():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([*pip, "--requirement", listed], check=True)
        shutil.copy(listed, done)
    offline = ["--no-index", "--no-deps", "--force-reinstall", "--find-links", str(DIST), "--only-binary", ":all:"]
    subprocess.run([*pip, *offline, "ascend-moe-gating"], check=True, env=environment(path))
    return python


def environment(path: Path) -> dict[str, str]:
    compilers = {name: value for name, value in os.environ.items() if name not in ("CC", "CXX")}
    return {**compilers, "PATH": str(path), "REQUIRE_EVERYTHING": "1", "REQUIRE_COMPILER": "0"}


def main() -> None:
    path = programs(WORK / "programs")
    python = set_up(WORK / "installed", path)
    for arguments in (["-c", PROGRAM], ["-m", "pytest", *sys.argv[1:]]):
        done = subprocess.run([python, *arguments], cwd=ROOT, env=environment(path), check=False)
        if done.returncode != 0:
            sys.exit(done.returncode)


if __name__ == "__main__":
    main()
