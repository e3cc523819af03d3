"""Every entry of the table is found by the words that really appear, and writes out commands that can be run."""

import json
import re
import shlex
from pathlib import Path

import pytest

from ascend_moe_gating.plugin.doctor import installation, remedies
from tests.programs import ROOT

FIELDS = {"torch": "2.10.0", "torch_npu": "torch_npu==2.10.0.post4", "set_env": "/opt/set_env.sh"}
PTA = "[ERROR] 2026-11-29-10:41:09 (PID:7642, Device:0, RankID:-1) ERR00100 PTA call acl api failed."
ACLNN = "NPU function error: call aclnnMoeGatingTopK failed, error code is {}\n" + PTA

# What is said, by the label of the entry that it must lead to.
SAID = [
    ("shadow", "/home/me/torch/__init__.py hides the one that is installed"),
    ("switch", "ValueError: ASCEND_MOE_GATING_FUSE must be 1/true/yes/on or 0/false/no/off, got 'maybe'"),
    ("switch", "ASCEND_MOE_GATING_VECTOR must be avx512, avx2 or portable on this processor, got 'sse9'"),
    ("switch", "ASCEND_MOE_GATING_SIMULATOR_FAULTS: entry_point must be one in which the stand-in has faults"),
    ("own files", "own file: /x/ascend_moe_gating/lib/libmoe_gating_top_k.so is empty"),
    ("own files", "OSError: /x/ascend_moe_gating/lib/libmoe_gating_torch.so: file too short"),
    ("own files", "OSError: /x/lib/libmoe_gating_top_k.so: cannot open shared object file: No such file or directory"),
    ("own files", "OSError: /x/ascend_moe_gating/lib/cann/libascendcl.so: invalid ELF header"),
    ("own files", "OSError: libmoe_gating_top_k.so: cannot open shared object file: No such file or directory"),
    ("own files", "ModuleNotFoundError: No module named 'ascend_moe_gating.plugin.cpu'"),
    ("no CANN", "ImportError: libhccl.so: cannot open shared object file: No such file or directory\n\nThe above ...:\n"
     "RuntimeError: Failed to load the backend extension: torch_npu. You can disable extension auto-loading with ..."),
    ("no CANN", "OSError: libascendcl.so: cannot open shared object file: No such file or directory"),
    ("no CANN", "ModuleNotFoundError: No module named 'tbe'"),
    ("no driver", "ImportError: libascend_hal.so: cannot open shared object file: No such file or directory"),
    ("same keys", "terminate called after throwing an instance of 'c10::ValueError'\n  what():  Duplicated key "
     "'pinned_reserve_segment_size_mb' found in device-specific configuration parser hook registration"),
    ("same keys", "RuntimeError: ConfigKeys pinned_use_background_threads already registered"),
    ("two accelerators", "RuntimeError: Two accelerators cannot be used at the same time in PyTorch: npu and cuda."),
    ("old CANN", "ImportError: /x/torch_npu/lib/libtorch_npu.so: undefined symbol: aclrtSetStreamResLimit"),
    ("old CANN", "ImportError: /x/libtorchair.so: undefined symbol: _ZN2ge7SessionC1Ev"),
    ("other torch", "ImportError: /x/torch_npu/lib/libtorch_npu.so: undefined symbol: "
     "_ZN5torch8autograd10deleteNodeEPNS0_4NodeE"),
    ("old libstdc++", "ImportError: /lib/libstdc++.so.6: version `GLIBCXX_3.4.30' not found (required by libtorch.so)"),
    ("old glibc", "OSError: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by libc10.so)"),
    ("NumPy 2", "A module that was compiled using NumPy 1.x cannot be run in\nNumPy 2.2.6 as it may crash."),
    ("protobuf", "TypeError: Descriptors cannot be created directly.\nIf this call came from a _pb2.py file, ..."),
    ("no torch", "ModuleNotFoundError: No module named 'torch'"),
    ("half torch", "ModuleNotFoundError: No module named 'torch._C'"),
    ("half torch", "ImportError: libtorch_cpu.so: cannot open shared object file: No such file or directory"),
    ("half torch", "OSError: /x/torch/lib/libc10.so: file too short"),
    ("half torch_npu", "ModuleNotFoundError: No module named 'torch_npu.npu'"),
    ("no module", "ModuleNotFoundError: No module named 'google'"),
    ("no module", "ModuleNotFoundError: No module named 'google.protobuf'"),
    ("no module", "ModuleNotFoundError: No module named 'yaml'"),
    ("no module", "ModuleNotFoundError: No module named 'packaging'"),
    ("stub", "RuntimeError: Initialize:build/torch_npu/csrc/core/npu/sys_ctrl/npu_sys_ctrl.cpp:120 NPU function error: "
     "aclInit(json_path_ptr), error code is 100039"),
    ("start of CANN", "NPU function error: aclInit(json_path_ptr), error code is 500000"),
    ("start of CANN", "NPU function error: c10_npu::SetDevice(device_id_), error code is 507033"),
    ("no device", "RuntimeError: there is no device: torch.npu.device_count() is 0"),
    ("no device", "NPU function error: c10_npu::SetDevice(device), error code is 107001"),
    ("no memory", "RuntimeError: NPU out of memory. Tried to allocate 256.00 GiB"),
    ("no memory", "NPU function error: aclrtMalloc, error code is 207001"),
    ("no memory", "it was ended by SIGKILL"),
    ("no kernels", ACLNN.format(561003)),
    ("no kernels", ACLNN.format(561112)),
    ("refused", ACLNN.format(561002) + "\nEZ9999: Inner Error!"),
    ("refused", ACLNN.format(161002)),
    ("device failed", "RuntimeError: ACL stream synchronize failed, error code:507015"),
    ("device failed", "NPU function error: aclmdlRICaptureEnd, error code is 107025"),
    ("no converter", "NotImplementedError: torch.ops.aten.special_bessel_j0.default ge_converter is not implemented!"),
    ("error of CANN", "RuntimeError: EZ9999: Inner Error!"),
    ("error of CANN", "E19999: Inner Error!"),
    ("instruction", "it was ended by SIGILL"),
    ("permission", "PermissionError: [Errno 13] Permission denied: '/x/torch/version.py'"),
    ("disk", "OSError: [Errno 28] No space left on device"),
    ("hangs", "no end after 120 seconds, at File \"/x/torch_npu/__init__.py\", line 1 in <module>"),
    ("autoload", "RuntimeError: Failed to load the backend extension: torch_xpu. You can disable"),
]  # fmt: skip


@pytest.mark.parametrize(("label", "text"), SAID, ids=[f"{label}-{number}" for number, (label, _) in enumerate(SAID)])
def test_what_is_said_leads_to_its_entry(label, text):
    context = f'Traceback (most recent call last):\n  File "x.py", line 507, in main\n{text}\n'
    found = remedies.find(context, "path", FIELDS)
    assert found.label == label
    assert found.line in text
    assert found.line
    for _, command in found.commands:
        assert not re.search(r"\{|\}|None", command)
        assert label == "shadow" or shlex.split(command)


def test_every_entry_has_been_said():
    assert {label for label, _ in SAID} == {remedy.label for remedy in remedies.REMEDIES}
    labels = [remedy.label for remedy in (*remedies.REMEDIES, *remedies.UNKNOWN.values())]
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("No module named 'google.protobuf'", "pip install protobuf"),
        ("No module named 'yaml'", "pip install pyyaml"),
        ("No module named 'packaging'", "pip install packaging"),
        ("ASCEND_MOE_GATING_ACLNN must be 1", "unset ASCEND_MOE_GATING_ACLNN"),
        ("libhccl.so: cannot open shared object file", "source /opt/set_env.sh"),
        ("libtorch_npu.so: undefined symbol: _ZN3c10", "pip install --no-deps 'torch_npu==2.10.0.post4'"),
    ],
)
def test_commands_are_about_what_was_said(text, command):
    assert remedies.find(text, "path", FIELDS).commands[0][1] == command


@pytest.mark.parametrize("number", ["561002", "507015", "100039", "207001", "107001", "500000"])
def test_the_number_of_a_process_is_no_error(number):
    assert remedies.find(f"it failed\n{PTA.replace('7642', number)}", "path", FIELDS).label == "unknown"


@pytest.mark.parametrize("what", remedies.UNKNOWN)
@pytest.mark.parametrize("text", ["", "an error that nobody knows", "x" * 10**5])
def test_what_no_pattern_knows(what, text):
    found = remedies.find(text, what, FIELDS)
    assert (found.label, found.line) == (remedies.UNKNOWN[what].label, "")
    assert all(command and "{" not in command for _, command in found.commands)


def test_pairs_are_those_that_the_tests_ran_with():
    ran = {tuple(result["pair"].split("+")) for result in json.loads((ROOT / "tests" / "pairs.json").read_text())}
    listed = re.search(r"^PAIRS \?= (.*?)\n\n", (ROOT / "Makefile").read_text(), re.DOTALL | re.MULTILINE)[1]
    known = ran | {tuple(pair.split("+")) for pair in listed.replace("\\", "").split()}
    assert remedies.TRIED_PAIRS.items() <= known
    assert {torch for torch, _ in known} == set(remedies.TRIED_PAIRS)
    assert all(torch_npu.partition(".post")[0] == torch for torch, torch_npu in remedies.TRIED_PAIRS.items())


def test_a_pair_that_was_not_tried():
    assert remedies.torch_npu_for("2.10.0+cpu") == "torch_npu==2.10.0.post4"
    assert remedies.torch_npu_for("2.11.0") == "torch_npu==2.11.0.*"


def test_variables_are_those_that_are_read():
    rooms = (
        path for room in ("plugin", "kernels", "simulator", "converters", "meta") for path in (ROOT / room).rglob("*")
    )
    texts = (path.read_text() for path in rooms if path.suffix in (".py", ".cpp", ".h") and "doctor" not in path.parts)
    read = set(re.findall(r"\"(ASCEND_MOE_GATING_[A-Z_]+)\"", "".join(texts)))
    assert read == set(installation.VARIABLES)


def test_set_env_of_the_cann_that_is_there(tmp_path, monkeypatch):
    monkeypatch.delenv("ASCEND_TOOLKIT_HOME", raising=False)
    monkeypatch.setenv("ASCEND_HOME_PATH", str(tmp_path / "latest"))
    monkeypatch.setenv("HOME", str(tmp_path))
    default = "/usr/local/Ascend/ascend-toolkit/set_env.sh"
    if not Path(default).parent.exists():
        assert installation.set_env() == default
    (tmp_path / "set_env.sh").write_text("")
    assert installation.set_env() == str(tmp_path / "set_env.sh")
