"""Installations that are broken on purpose, one file at a time: what the doctor finds, and what mends it."""

import shutil

import pytest

from tests.doctor.hostile import LIBRARIES, WAYS, copy_package, examined, write

TORCH = """
import os
__version__ = "2.10.0+cpu"
class version: cuda = None
if os.environ.get("TORCH_DEVICE_BACKEND_AUTOLOAD") != "0":
    try:
        import torch_npu
    except Exception as e:
        raise RuntimeError("Failed to load the backend extension: torch_npu. You can disable extension ...") from e
"""
NO_CANN = "raise ImportError('libhccl.so: cannot open shared object file: No such file or directory')"


def metadata(name, version):
    return {f"{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"}


PAIR = {"torch/__init__.py": TORCH, **metadata("torch", "2.10.0"), **metadata("torch_npu", "2.10.0.post7")}
UNDEFINED = "raise ImportError('/x/torch_npu/lib/libtorch_npu.so: undefined symbol: _ZN3c106Tensor')"
ABORT = "import os; os.write(2, b\"  what():  Duplicated key 'pinned_reserve_segment_size_mb' found\\n\"); os.abort()"
RAISING_FINDER = """
import sys
class Finder:
    def find_spec(self, name, *a):
        if name == "torch":
            1 / 0
sys.meta_path.insert(0, Finder())
"""

# Files of an installation, variables, and the labels of what must be found.
INSTALLATIONS = {
    "nothing": ({}, {}, ["no torch"]),
    "torch fails": ({"torch.py": "raise OSError('x')", **metadata("torch", "2.10.0")}, {}, ["torch"]),
    "torch of another glibc": (
        {"torch.py": 'raise OSError("libc.so.6: version `GLIBC_2.34\' not found")'},
        {},
        ["old glibc"],
    ),
    "half of torch": ({"torch/__init__.py": "from torch._C import *"}, {}, ["half torch"]),
    "an empty folder of torch": ({"torch/lib/x": "", **metadata("torch", "2.10.0")}, {}, ["torch"]),
    "no CANN": ({**PAIR, "torch_npu/__init__.py": NO_CANN}, {}, ["no CANN"]),
    "torch_npu of another torch": ({**PAIR, "torch_npu/__init__.py": UNDEFINED}, {}, ["other torch"]),
    "torch_npu aborts": ({**PAIR, "torch_npu/__init__.py": ABORT}, {}, ["same keys"]),
    "torch_npu crashes": ({**PAIR, "torch_npu/__init__.py": WAYS["a crash"]}, {}, ["torch_npu"]),
    "torch_npu hangs": ({**PAIR, "torch_npu/__init__.py": WAYS["a hang"]}, {}, ["hangs"]),
    "torch_npu lacks yaml": ({**PAIR, "torch_npu/__init__.py": "import yaml"}, {}, ["no module"]),
    "metadata that is no text": ({"torch.py": "1 / 0", "torch-2.dist-info/METADATA": b"\xff\xfe\x00"}, {}, ["torch"]),
    "metadata that is a folder": ({"torch.py": "1 / 0", "torch-2.dist-info/METADATA/x": ""}, {}, ["torch"]),
    "metadata that is empty": ({"torch.py": "1 / 0", "torch-2.dist-info/METADATA": ""}, {}, ["torch"]),
    "a finder that fails": ({"sitecustomize.py": RAISING_FINDER, "torch.py": ""}, {}, ["torch"]),
    "wrong switches": (
        {},
        {"ASCEND_MOE_GATING_FUSE": "maybe", "ASCEND_MOE_GATING_ACLNN": "2"},
        ["switch", "switch", "no torch"],
    ),
}


@pytest.mark.parametrize("name", INSTALLATIONS)
def test_an_installation(tmp_path, name):
    files, variables, labels = INSTALLATIONS[name]
    found = examined(path=[write(tmp_path, files)], limit=1, **variables)
    assert [problem["label"] for problem in found["problems"]] == labels
    assert all(problem["words"] and problem["meaning"] and problem["commands"] for problem in found["problems"])
    states = {path["name"]: path["state"] for path in found["paths"]}
    assert states["cpu"] == "broken"
    assert states["npu"] == states["graph"] == ("broken" if "torch_npu/__init__.py" in files else "absent")
    assert all(bool(path["problem"]) is (path["state"] == "broken") for path in found["paths"])


def commands(found):
    return [command["command"] for problem in found["problems"] for command in problem["commands"]]


def test_without_cann_the_commands_are_those_of_this_installation(tmp_path):
    found = examined(path=[write(tmp_path, {**PAIR, "torch_npu/__init__.py": NO_CANN})])
    assert [command.partition(" ")[0] for command in commands(found)] == [
        "source",
        "python",
        "TORCH_DEVICE_BACKEND_AUTOLOAD=0",
    ]
    assert any("tried: with TORCH_DEVICE_BACKEND_AUTOLOAD=0" in note for note in found["notes"])


def test_without_cann_and_autoload_there_is_no_npu_to_mend(tmp_path):
    files = write(tmp_path, {**PAIR, "torch_npu/__init__.py": NO_CANN})
    found = examined(path=[files], TORCH_DEVICE_BACKEND_AUTOLOAD="0")
    on_npu = {(path["state"], path["text"]) for path in found["paths"] if path["tensors"] == "NPU"}
    assert on_npu == {("absent", "no CANN, and TORCH_DEVICE_BACKEND_AUTOLOAD=0 leaves torch_npu out")}


def test_without_autoload_a_torch_npu_is_mended_where_cann_is(tmp_path):
    files = write(tmp_path, {**PAIR, "torch_npu/__init__.py": UNDEFINED})
    variables = {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0", "LD_LIBRARY_PATH": str(LIBRARIES / "cann")}
    found = examined(path=[files], **variables)
    assert {path["state"] for path in found["paths"] if path["tensors"] == "NPU"} == {"broken"}
    assert found["problems"][0]["label"] == "other torch"


def test_the_pair_is_that_of_the_torch_that_is_there(tmp_path):
    found = examined(path=[write(tmp_path, {**PAIR, "torch_npu/__init__.py": UNDEFINED})])
    assert commands(found) == ["pip install --no-deps 'torch_npu==2.10.0.post4'"]


def test_the_stand_in_needs_torch_npu(tmp_path):
    found = examined("--stand-in", path=[write(tmp_path, {"torch.py": TORCH, **metadata("torch", "2.10.0")})])
    assert {path["state"] for path in found["paths"] if path["tensors"] == "NPU"} == {"broken"}
    assert "pip install --force-reinstall --no-deps 'torch_npu==2.10.0.post4'" in commands(found)


@pytest.mark.parametrize("name", ["torch/__init__.py", "torch.py", "yaml.py", "google/__init__.py"])
def test_a_file_of_the_working_directory_hides_a_package(tmp_path, name):
    module = name.partition("/")[0].removesuffix(".py")
    write(tmp_path / "here", {name: ""})
    write(tmp_path / "site", {"torch/__init__.py": TORCH, f"{module}/__init__.py": "1 / 0"})
    (problem,) = examined(path=[tmp_path / "site"], cwd=tmp_path / "here")["problems"]
    assert problem["label"] == "shadow"
    assert problem["words"] == f"{tmp_path / 'here' / name} hides the one that is installed"


def test_a_torch_that_is_nowhere_else_hides_nothing(tmp_path):
    found = examined(cwd=write(tmp_path, {"torch.py": "1 / 0"}))
    assert [problem["label"] for problem in found["problems"]] == ["torch"]


def test_a_folder_without_code_hides_nothing(tmp_path):
    write(tmp_path / "here", {"torch/model.pt": ""})
    found = examined(path=[write(tmp_path / "site", {"torch.py": "1 / 0"})], cwd=tmp_path / "here")
    assert [problem["label"] for problem in found["problems"]] == ["torch"]


DAMAGE = {
    "is cut off: 5000 of at least ": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "is empty": lambda path: path.write_bytes(b""),
    "is no library of 64 bits": lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n" * 9),
    "can't be read: No such file or directory": lambda path: path.unlink(),
    "can't be read: Is a directory": lambda path: (path.unlink(), path.mkdir()),
    "is for machine 8": lambda path: path.write_bytes(path.read_bytes()[:18] + b"\x08\0" + path.read_bytes()[20:]),
}


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    return copy_package(tmp_path_factory.mktemp("copied"))


@pytest.mark.parametrize("wrong", DAMAGE)
@pytest.mark.parametrize("library", ["libmoe_gating_top_k.so", "libhost_cann.so"])
def test_half_an_installation(copied, tmp_path, wrong, library):
    shutil.copytree(copied, tmp_path / "ascend_moe_gating")
    path = tmp_path / "ascend_moe_gating" / "lib" / library
    DAMAGE[wrong](path)
    found = examined(path=[tmp_path])
    assert [problem["label"] for problem in found["problems"]] == ["own files", "no torch"]
    assert found["problems"][0]["words"].startswith(f"own file: {path} {wrong}")


def test_a_library_that_ends_the_process_is_blamed_where_it_is_damaged(copied, tmp_path):
    shutil.copytree(copied, tmp_path / "ascend_moe_gating")
    library = tmp_path / "ascend_moe_gating" / "lib" / "libhost_cann.so"
    library.write_bytes(library.read_bytes()[:100000])
    found = examined("--stand-in", path=[write(tmp_path, {**PAIR, "torch_npu/__init__.py": NO_CANN})])
    assert [problem["label"] for problem in found["problems"]] == ["own files"]
    assert {path["problem"] for path in found["paths"] if path["tensors"] == "CPU"} == {1}


def test_a_module_of_this_package_is_missing(copied, tmp_path):
    package = shutil.copytree(copied, tmp_path / "ascend_moe_gating")
    (package / "plugin" / "cpu" / "kernel.py").unlink()
    files = ["ascend_moe_gating/__init__.py", "ascend_moe_gating/plugin/cpu/kernel.py"]
    record = {"ascend_moe_gating-0.1.0.dist-info/RECORD": "".join(f"{name},,\n" for name in files)}
    found = examined(path=[write(tmp_path, {**metadata("ascend_moe_gating", "0.1.0"), **record})])
    assert found["problems"][0]["words"] == f"own file: {package / 'plugin/cpu/kernel.py'} is missing"


def test_a_variable_with_a_misspelt_name(tmp_path):
    notes = examined(ASCEND_MOE_GATING_VECTORS="avx2", ASCEND_MOE_GATING_VECTOR="avx2")["notes"]
    assert "ASCEND_MOE_GATING_VECTORS is set, and this package has no such variable" in notes
