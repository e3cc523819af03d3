"""make wheels: the sdist and a wheel for each architecture in dist/, built twice, and judged.

Needs g++-12 of both architectures, and an emulator to test the libraries that are not this machine's.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from tests.programs import ROOT
from tests.wheels import check, native, old_user_land, stubs
from tests.wheels.baseline import ARCHITECTURES, POLICY

WORK, DIST = ROOT / "build" / "wheels", ROOT / "dist"
PROGRAMS = {
    "x86_64-linux-gnu-g++-12": "g++-12",
    "aarch64-linux-gnu-g++-12": "g++-12-aarch64-linux-gnu",
    "qemu-aarch64": "qemu-user",
    "dpkg-deb": "dpkg",
}


def demand_programs() -> None:
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        sys.exit(f"make wheels needs what is not installed: apt-get install {' '.join(missing)}")


@functools.cache
def epoch() -> str:
    """The seconds that all files are dated with: of the last commit, if SOURCE_DATE_EPOCH does not say otherwise."""
    git = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    return os.environ.get("SOURCE_DATE_EPOCH") or subprocess.check_output(git, text=True).strip()


def run(*arguments: str | Path, **environment: str) -> None:
    """A module of this Python, with the programs beside it; what it prints is shown where it fails."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    everything = {**os.environ, "PATH": path, "SOURCE_DATE_EPOCH": epoch(), **environment}
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, env=everything, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)


def build_sdist(source: Path, folder: Path) -> Path:
    run("build", "--sdist", "--no-isolation", "--outdir", folder, source)
    return next(folder.glob("*.tar.gz"))


def unpack(sdist: Path, folder: Path) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return folder / sdist.name.removesuffix(".tar.gz")


def build_wheel(sdist: Path, architecture: str, folder: Path) -> Path:
    """From an sdist, that nothing else of this folder is needed. It is named after the oldest policy that auditwheel
    finds it fit for, and after POLICY.
    """
    source = unpack(sdist, folder)
    settings = {
        "CMAKE_TOOLCHAIN_FILE": str(ROOT / "tests" / "wheels" / "toolchain.cmake"),
        "CMAKE_BUILD_PARALLEL_LEVEL": str(len(os.sched_getaffinity(0))),
        "WHEEL_ARCHITECTURE": architecture,
        "WHEEL_STUBS": str(WORK / "stubs" / architecture),
        "_PYTHON_HOST_PLATFORM": f"linux-{architecture}",  # whose wheel scikit-build-core takes it for
    }
    run("build", "--wheel", "--no-isolation", "--outdir", folder / "plain", source, **settings)
    plain, repaired = next((folder / "plain").glob("*.whl")), folder / "repaired"
    run("auditwheel", "repair", "--plat", "auto", "--wheel-dir", repaired, plain)
    policy = "+manylinux_{}_{}_{}".format(*POLICY, architecture)  # beside the oldest that it is fit for
    run("wheel", "tags", "--remove", "--platform-tag", policy, next(repaired.glob("*.whl")))
    return next(repaired.glob("*.whl"))


def made(architecture: str, sdist: Path) -> tuple[Path, list[str]]:
    """A wheel in dist/, and what there is to complain of."""
    stubs.make(architecture, WORK / "stubs" / architecture)
    print(f"{architecture}: building", flush=True)
    first = build_wheel(sdist, architecture, WORK / "first" / architecture)
    with tempfile.TemporaryDirectory() as elsewhere:
        print(f"{architecture}: building again, elsewhere", flush=True)
        second = build_wheel(sdist, architecture, Path(elsewhere))
        complaints = list(check.same_bytes(first, second))
        if complaints:
            shutil.copy(second, WORK)
    unpacked = WORK / "unpacked" / architecture
    zipfile.ZipFile(first).extractall(unpacked)
    complaints += check.wheel(first, unpacked, [ROOT, Path.home(), Path(tempfile.gettempdir())])
    print(f"{architecture}: testing the libraries", flush=True)
    root = old_user_land.set_up(architecture, WORK / old_user_land.SUITE / architecture)
    tests = native.build(architecture, unpacked, WORK / "stubs" / architecture, WORK)
    complaints += native.complaints(architecture, unpacked, tests, root)
    return Path(shutil.copy(first, DIST)), complaints


def main() -> None:
    demand_programs()
    for folder in (DIST, *(WORK / name for name in ("sdist", "again", "first", "unpacked"))):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    sdist = build_sdist(ROOT, WORK / "sdist")
    again = build_sdist(unpack(sdist, WORK / "again"), WORK / "again")
    complaints = [*check.sdist(sdist), *check.same_bytes(sdist, again)]
    shutil.copy(sdist, DIST)
    wheels = []
    for architecture in ARCHITECTURES:
        path, of_it = made(architecture, sdist)
        wheels.append(path)
        complaints += of_it
    complaints += check.same_python(wheels)
    print(*sorted(str(path.relative_to(ROOT)) for path in DIST.iterdir()), sep="\n")
    if complaints:
        sys.exit("\n".join(complaints))


if __name__ == "__main__":
    main()
