"""What the fuzzers have found, once more through the libraries as they are installed: refused by name, or right."""

import shutil
import subprocess
import time

import pytest

from ascend_moe_gating.simulator.library import folder
from tests.fuzz import hostile
from tests.fuzz.__main__ import environment
from tests.fuzz.seeds import of_node_types
from tests.kernels.test_kernel_versions import HERE
from tests.once import once
from tests.programs import ROOT

pytestmark = [pytest.mark.stand_in, pytest.mark.needs("a compiler")]
FOUND = ROOT / "tests" / "fuzz" / "found"


@pytest.fixture(scope="session")
def replay(tmp_path_factory):
    """Runs files of a kind; the result of the process."""

    def build(temporary):
        compiler, program = shutil.which("g++") or shutil.which("c++"), temporary / "replay"
        libraries = [f"-L{folder()}", "-lhost_cann", "-lmoe_gating_top_k", f"-Wl,-rpath,{folder()}"]
        options = ["-std=c++17", "-D_GLIBCXX_USE_CXX11_ABI=0"]
        subprocess.run([compiler, *options, "tests/fuzz/replay.cpp", "-o", program, *libraries], cwd=ROOT, check=True)
        return program

    program = once(tmp_path_factory, "replay", build)

    def run(kind, *files, vector=""):
        return subprocess.run(
            [program, kind, *files],
            env=environment(vector),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
        )

    return run


@pytest.mark.parametrize("file", sorted((FOUND / "graph").iterdir()), ids=lambda file: file.name)
def test_models(file, replay):
    result = replay("graph", file)
    assert result.returncode == 0, result.stderr[-1000:]


@pytest.mark.parametrize("vector", HERE)
@pytest.mark.parametrize("file", sorted((FOUND / "kernel").iterdir()), ids=lambda file: file.name)
def test_calls_of_the_kernel(file, vector, replay):
    result = replay("kernel", file, vector=vector)
    assert result.returncode == 0, result.stderr[-1000:]


def refusals(replay, folder, models):
    """What each of some models is refused for, or nothing, in one process."""
    for name, model in models:
        (folder / name).write_bytes(model)
    result = replay("graph", *sorted(folder.iterdir()))
    assert result.returncode == 0, result.stdout[-500:] + result.stderr[-1000:]
    lines = result.stdout.splitlines()
    return {path.rsplit("/", 1)[1]: text for path, _, text in (line.partition(": ") for line in lines)}


def test_hostile_models_are_refused_in_words(replay, tmp_path):
    expected = {name: refusal for name, _, refusal in hostile.models()}
    given = refusals(replay, tmp_path, ((name, model) for name, model, _ in hostile.models()))
    assert given.keys() == expected.keys()
    assert [(name, given[name]) for name in expected if expected[name] not in given[name]] == []
    assert [(name, given[name]) for name in expected if given[name] and not expected[name]] == []


def test_a_long_chain_in_the_wrong_order_takes_no_time(replay, tmp_path):
    started = time.monotonic()
    assert refusals(replay, tmp_path, [("chain", hostile.chain(20_000))]) == {"chain": ""}
    assert time.monotonic() - started < 20


def test_a_node_of_each_type_runs(replay, tmp_path):
    """What the fuzzer starts with; Const and Data have no inputs that make one."""
    given = refusals(replay, tmp_path, of_node_types())
    assert {name: text for name, text in given.items() if text}.keys() == {"node-Const", "node-Data"}, given
