"""The oldest Debian that the mirror still has, of either architecture: no more of it than its Python needs to run.

Its packages are only unpacked, next to the machine's own: no root is asked for, and nothing is installed.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

SUITE, PYTHON = "bullseye", "usr/bin/python3.9"  # glibc 2.31, GCC 10
PACKAGES = (
    "libc6", "libgcc-s1", "libstdc++6", "libcrypt1", "libexpat1", "libffi7", "zlib1g",
    "libpython3.9-minimal", "libpython3.9-stdlib", "python3.9-minimal",
)  # fmt: skip
DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}
LIBRARIES = ("lib/{0}-linux-gnu", "usr/lib/{0}-linux-gnu")


def set_up(architecture: str, folder: Path) -> Path:
    """Unpack it; gives the folder that is its root.

    Raises:
        RuntimeError: the mirror does not have it any more.
    """
    root = folder / "root"
    if (folder / "complete").exists():
        return root
    for name in ("lists/partial", "archives/partial", "empty", "debs", "root"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb {_mirror()} {SUITE} main\n")
    settings = {
        "Dir::State": folder,
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": folder / "empty",
        "APT::Architecture": DEBIAN[architecture],
        "APT::Architectures": DEBIAN[architecture],
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    for command in (["update"], ["download", *PACKAGES]):
        done = subprocess.run([*apt, *command], cwd=folder / "debs", capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"this machine's mirror has no {SUITE} to load the wheels in: {done.stderr}")
    for package in (folder / "debs").glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", package, root], check=True)
    (folder / "complete").touch()
    return root


def command(architecture: str, root: Path, program: Path) -> list[str]:
    """Runs a program with the libraries of this root, on an emulated processor where it is another than this one."""
    if architecture == "aarch64":
        return ["qemu-aarch64", "-L", str(root), str(program)]
    folders = [str(root / folder.format(architecture)) for folder in LIBRARIES]
    return [f"{folders[0]}/ld-2.31.so", "--library-path", ":".join(folders), str(program)]


def _mirror() -> str:
    """Where this machine has its Debian from."""
    of_debian = ["Created-By: Packages", "Origin: Debian", "Component: main"]
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", *of_debian]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if not listed.stdout:
        raise RuntimeError(f"apt-get knows no mirror of Debian, where {SUITE} could come from: {listed.stderr}")
    return listed.stdout.splitlines()[0]
