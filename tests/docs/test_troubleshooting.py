"""The texts of docs/troubleshooting.md are those that appear: each is produced, or is one that cannot be produced here.

What mends them is what `doctor` says, by its own table.
"""

import os
import re
import subprocess
import sys
import traceback
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
import torch

import ascend_moe_gating
from ascend_moe_gating import npu_moe_gating_top_k, simulator
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import SIGNATURE
from ascend_moe_gating.plugin.doctor import examination, remedies, report
from ascend_moe_gating.plugin.doctor.paths import PATHS
from tests.backends import compiled
from tests.docs.pages import DOCS, pattern
from tests.programs import HIDE, ROOT, on_stand_in, start

pytestmark = pytest.mark.stand_in
PAGE = (DOCS / "troubleshooting.md").read_text()
SECTIONS = dict(re.findall(r"^### ([^\n]*)\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE))
WITHOUT_CANN = "libhccl.so: cannot open shared object file"


def texts(title):
    return re.findall(r"^```text\n(.*?)^```", SECTIONS[title], re.DOTALL | re.MULTILINE)


def commands(title):
    """The commands of a section, without the words behind them."""
    lines = "".join(re.findall(r"^```console\n(.*?)^```", SECTIONS[title], re.DOTALL | re.MULTILINE)).splitlines()
    return [line.partition("  #")[0].strip() for line in lines]


def call(**options):
    return npu_moe_gating_top_k(torch.zeros(4, 64).npu(), 4, **options)


def fails_with(status, when="call"):
    with simulator.fault("aclnnMoeGatingTopK" + "GetWorkspaceSize" * (when == "call"), status, when=when):
        call()
        torch.npu.synchronize()


def on_an_older_cann():
    with simulator.release("8.5.0"):
        call(renorm=1)


def without_hash_routing():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SIGNATURE, "absent", ("input_ids", "tid2eid"))  # as an older torch_npu has it
        call(input_ids=torch.zeros(4).long().npu(), tid2eid=torch.zeros(3, 4).long().npu())


def explained():
    def gate(logits):
        best, experts = logits.topk(8)
        return best.sigmoid(), experts

    raise AssertionError(ascend_moe_gating.explain(gate, torch.randn(16, 64)))


# After a capture that failed, torch_npu up to 2.10.0.post4 refuses every other one in the process.
CAPTURED_WITHOUT_A_JOIN = """
second = torch.npu.Stream()
with torch.npu.graph(torch.npu.NPUGraph()):
    x = torch.ones(3, device="npu") * 2
    second.wait_stream(torch.npu.current_stream())
    with torch.npu.stream(second):
        x * 2
"""


def captured_without_a_join():
    raise AssertionError(on_stand_in(CAPTURED_WITHOUT_A_JOIN).stderr)


# By the title of a section, what fails with its text.
FAILURES = {
    "k must be between 1 and ...": lambda: npu_moe_gating_top_k(torch.zeros(4, 64), 100),
    "An error of dynamo around it": lambda: compiled(lambda x: npu_moe_gating_top_k(x, 100))(torch.ones(4, 64).npu()),
    "renorm=1 needs CANN 9.0": on_an_older_cann,
    "error code is 561002": lambda: fails_with(561002),
    "error code is 161002": lambda: fails_with(161002),
    "error code is 561103": lambda: fails_with(561103),
    "error code is 561003, 561107 or 561112": lambda: fails_with(561003),
    "error code is 507015": lambda: fails_with(507015, "run"),
    "input_ids and tid2eid (hash routing)": without_hash_routing,
    "ge_converter is not implemented": lambda: compiled(torch.special.bessel_j0)(torch.ones(3).npu()),
    "A gate that is not fused": explained,
    "NPU out of memory": lambda: torch.empty(2**36, device="npu"),
    "error code is 107025": captured_without_a_join,
    "Failed to find function aclrtIpcMemGetExportKey": lambda: ForkingPickler.dumps(torch.ones(3).npu()),
}
NEEDS = {"error code is 107025": ["captured graphs"]}

WRONG = """
import torch
from ascend_moe_gating import simulator, status
try:
    simulator.load()
finally:
    status()
"""
WORKERS = """
import multiprocessing, torch.distributed
x = torch.ones(3).npu()
worker = multiprocessing.get_context("fork").Process(target=lambda: torch.zeros(2).npu())
worker.start()
worker.join()
torch.distributed.init_process_group("hccl", store=torch.distributed.HashStore(), rank=0, world_size=1)
torch.distributed.all_reduce(x)
"""


@pytest.fixture
def without_join():
    yield
    torch._dynamo.reset()


@pytest.mark.usefixtures("without_join")
@pytest.mark.parametrize(
    "title", [pytest.param(t, marks=pytest.mark.needs(*NEEDS[t]) if t in NEEDS else ()) for t in FAILURES]
)
def test_the_text_of_a_failure(title):
    with pytest.raises(Exception) as caught:  # noqa: PT011  its text is what is tested
        FAILURES[title]()
    assert_said(title, "".join(traceback.format_exception_only(caught.value)))


def assert_said(title, *said):
    """Each text of a section is a part of what was said, of one of several errors in the order of the texts."""
    for shown, text in zip(texts(title), said if len(said) > 1 else said * len(texts(title)), strict=True):
        assert re.search(pattern(shown), text), f"{shown}\nis not what is said:\n{text}"


def test_the_texts_without_cann():
    assert_said(WITHOUT_CANN, start(["-c", "import torch"]).stderr)


@pytest.mark.parametrize("remedy", [c for c in commands(WITHOUT_CANN) if not c.startswith("source")])
def test_what_mends_it_without_cann(remedy, tmp_path):
    uses = "import torch, ascend_moe_gating\nx = torch.zeros(2, 8)" + ".npu()" * ("simulator" in remedy)
    check = "assert ascend_moe_gating.npu_moe_gating_top_k(x, 2)[1].tolist() == [[0, 1], [0, 1]]"
    (tmp_path / "your_script.py").write_text(f"{uses}\n{check}\n")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(remedy, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_text_without_a_package():
    head = "from ascend_moe_gating import simulator\nsimulator.load()\n"
    said = start(["-c", f"{head}{HIDE.format('google')}\nimport ascend_moe_gating as a\na.get_npu_backend()"]).stderr
    assert_said("No module named 'google', or 'yaml'", said)


def test_the_texts_of_wrong_switches_and_of_a_load_that_comes_too_late(monkeypatch):
    vector = start(["-c", WRONG], TORCH_DEVICE_BACKEND_AUTOLOAD="0", ASCEND_MOE_GATING_VECTOR="sse9").stderr
    monkeypatch.setenv("ASCEND_MOE_GATING_FUSE", "maybe")
    with pytest.raises(ValueError, match="FUSE") as fuse:
        ascend_moe_gating.status()
    assert_said("ASCEND_MOE_GATING_... must be", "".join(traceback.format_exception_only(fuse.value)), vector)
    assert_said("load() must be called before torch is imported", vector)


def test_the_texts_of_operations_that_the_stand_in_lacks():
    said = []
    for run in (torch.erf, compiled(torch.erf)):
        with pytest.raises(RuntimeError) as caught:
            run(torch.ones(3).npu())
        said += traceback.format_exception_only(caught.value)
    assert_said("error code is 207000", "".join(said))


def test_the_texts_of_other_processes():
    said = on_stand_in(WORKERS).stderr
    assert_said("HcclGetRootInfo", said)
    assert_said("Cannot re-initialize NPU in forked subprocess", said)


# What this machine cannot fail with: the machine or an installed package would have to be another.
ELSEWHERE = {
    "libascend_hal.so: cannot open shared object file",
    "requires torch==2.10.0+cpu",
    "undefined symbol",
    "Duplicated key, and an abort",
    "Two accelerators cannot be used at the same time",
    "GLIBCXX not found",
    "GLIBC not found",
    "Descriptors cannot be created directly",
    "compiled using NumPy 1.x",
    "No module named 'torch', and packages that are half there",
    "hides the one that is installed",
    "Illegal instruction",
    "Failed to load the backend extension: of another name",
    "EZ9999: Inner Error!",
    "error code is 107001",
    "error code is 100039",
    "error code is 507008, 507033 or 507899",
    "No end, no space, no permission",
}
IN_TESTS = {
    WITHOUT_CANN,
    "No module named 'google', or 'yaml'",
    "ASCEND_MOE_GATING_... must be",
    "error code is 207000",
    "HcclGetRootInfo",
    "Cannot re-initialize NPU in forked subprocess",
    "load() must be called before torch is imported",
}


def test_every_section_has_a_text_and_is_one_of_these():
    assert set(SECTIONS) == {*FAILURES, *IN_TESTS, *ELSEWHERE}
    assert all(map(texts, SECTIONS))


FIELDS = {
    "torch": "2.10.0",
    "torch_npu": remedies.torch_npu_for("2.10.0"),
    "set_env": "/usr/local/Ascend/ascend-toolkit/set_env.sh",
}


def found():
    """For each label of doctor's table, the sections with a text that doctor knows by it, and what it would advise."""
    by_label = {}
    for title in SECTIONS:
        for text in texts(title):
            remedy = remedies.find(text.replace("...", ""), "path", FIELDS)
            by_label.setdefault(remedy.label, []).append((title, remedy))
    return by_label


@pytest.mark.parametrize("label", [remedy.label for remedy in remedies.REMEDIES])
def test_the_page_mends_what_doctor_knows_as_doctor_does(label):
    places = found().get(label, [])
    assert places, f"no section of the page has a text that doctor knows as {label!r}"
    advised = {command for _, remedy in places for _, command in remedy.commands}
    assert advised <= {command for title, _ in places for command in commands(title)}


def test_what_doctor_prints():
    words = "import torch_npu: ImportError: libhccl.so: cannot open shared object file: No such file or directory"
    known = remedies.find(words, "torch_npu", FIELDS)
    problem = examination.Problem(known.label, words, known.meaning, known.commands)
    rows = dict.fromkeys(PATHS, examination.Row("broken", "not tried", 1))
    facts = {**dict.fromkeys(report.FACTS, None), "package": ascend_moe_gating.__version__}
    said = report.as_text(examination.Examination(facts, rows, [problem]))
    (shown,) = re.findall(r"^```text\n(.*?)^```", PAGE.partition("\n## ")[0], re.DOTALL | re.MULTILINE)
    assert re.fullmatch(pattern(shown), said)


def test_what_verify_prints():
    source = "".join(file.read_text() for file in (ROOT / "plugin" / "verify").glob("*.py")).lower()
    for said in ("ALL AS EXPECTED", "moe-gating-verify", "about half a minute"):
        assert said in PAGE.partition("\n## ")[0]
        assert said.lower() in source
