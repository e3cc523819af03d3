"""Runs of `verify` that several tests look at, and a preloaded kernel that is wrong on purpose."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.once import once
from tests.programs import start

HERE = Path(__file__).parent
WRONG = "last column of norm_out"


@dataclass(frozen=True)
class Run:
    """What a run of the command has left."""

    code: int
    out: str
    err: str
    json: dict
    html: str
    page: Path


def verify(folder, *arguments, **environment):
    """Run the command as a user does; the reports are in the folder."""
    result = start(["-m", "ascend_moe_gating", "verify", *files(folder), *arguments], **environment)
    return read(folder, result.returncode, result.stdout, result.stderr)


def files(folder):
    return "--json", folder / "report.json", "--html", folder / "report.html"


def read(folder, code, out, err):
    page = folder / "report.html"
    there = page.exists()
    report = json.loads((folder / "report.json").read_text(), parse_constant=pytest.fail) if there else {}
    return Run(code, out, err, report, page.read_text() if there else "", page)


@pytest.fixture(scope="package")
def wrong_kernel(tmp_path_factory):
    """The library to preload."""

    def build(folder):
        library = folder / "wrong_kernel.so"
        source = HERE / "wrong_kernel.cpp"
        command = ["g++", "-std=c++17", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"]
        built = subprocess.run(command, capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
        return str(library)

    return once(tmp_path_factory, "wrong_kernel", build)


@pytest.fixture(scope="package")
def right_run(tmp_path_factory):
    """The quick run on the stand-in, of all paths."""
    return once(tmp_path_factory, "right_run", lambda folder: verify(folder, "--stand-in", "--quick"))


@pytest.fixture(scope="package")
def wrong_run(tmp_path_factory, wrong_kernel):
    """The same of one path, with a kernel behind it that is wrong."""
    environment = {"LD_PRELOAD": wrong_kernel, "WRONG_KERNEL": WRONG}
    arguments = ("--stand-in", "--quick", "--path", "eager")
    return once(tmp_path_factory, "wrong_run", lambda folder: verify(folder, *arguments, **environment))
