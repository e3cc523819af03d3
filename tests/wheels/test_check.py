"""What make wheels complains of, each by a file that has it."""

import json
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from ascend_moe_gating.plugin.cpu import kernel
from tests.wheels import baseline, check

LIB = Path(kernel.library()._name).parent


def changed(tmp_path, name, before, after):
    """A copy of a library of this installation with some bytes exchanged for as many others."""
    text = (LIB / name).read_bytes()
    assert len(before) == len(after)
    assert before in text or not before
    path = tmp_path / name
    path.write_bytes(text.replace(before, after) if before else text)
    return path


def test_a_version_that_is_too_new_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(baseline.NEWEST, "CXXABI", (1, 2))
    path = changed(tmp_path, "libmoe_gating_torch.so", b"", b"")
    complaint = "libmoe_gating_torch.so wants CXXABI_1.3, which the oldest system does not have"
    assert complaint in list(check.library(path, []))


@pytest.mark.parametrize(
    ("version", "verdict"),
    [
        ("GLIBC_2.27", True), ("GLIBC_2.28", False), ("GLIBC_2.2.5", True), ("GLIBC_2.34", False),
        ("GLIBCXX_3.4.24", True), ("GLIBCXX_3.4.25", False), ("GLIBCXX_3.4.9", True), ("CXXABI_1.3.11", True),
        ("CXXABI_1.3.13", False), ("GCC_7.0.0", True), ("GCC_12.0.0", False), ("GLIBC_PRIVATE", False),
        ("GLIBC_ABI_DT_RELR", False), ("OPENSSL_1.0", False),
    ],
)  # fmt: skip
def test_which_versions_are_old_enough(version, verdict):
    assert baseline.old_enough(version) == verdict


def test_a_foreign_place_to_look_for_libraries_is_named(tmp_path):
    path = changed(tmp_path, "libmoe_gating_torch.so", b"\0$ORIGIN\0", b"\0/opt/gcc\0"[:8] + b"\0")
    assert "libmoe_gating_torch.so looks for libraries in /opt/gc" in list(check.library(path, []))


def test_a_folder_of_the_building_machine_is_named(tmp_path):
    path = changed(tmp_path, "libmoe_gating_torch.so", b"", b"")
    path.write_bytes(path.read_bytes() + b"/home/builder/kernel.cpp")
    complaint = "libmoe_gating_torch.so names /home/builder, a folder of the machine that built it"
    assert complaint in list(check.library(path, [Path("/home/builder")]))
    assert complaint not in list(check.library(path, [Path("/home/build")]))


def test_threads_without_libpthread_are_named(tmp_path):
    """A library of a wheel needs it by name, one that was built here may or may not."""
    path = tmp_path / "libmoe_gating_top_k.so"
    path.write_bytes((LIB / path.name).read_bytes().replace(b"libpthread.so.0", b"libpthread.so.9"))
    assert any("starts threads, and does not load libpthread" in complaint for complaint in check.library(path, []))


NAME, COUNT = "ascend_moe_gating-1.0-py3-none-{}.whl", "has 0 libraries instead of 13"


@pytest.mark.parametrize(
    ("tag", "verdict", "wrong"),
    [
        ("manylinux_2_27_aarch64", "manylinux_2_27_aarch64", None),
        ("manylinux_2_28_x86_64", "manylinux_2_28_x86_64", None),
        ("manylinux_2_27_x86_64.manylinux_2_28_x86_64", "manylinux_2_27_x86_64", None),
        ("manylinux_2_28_x86_64.manylinux_2_31_x86_64", "manylinux_2_27_x86_64", "the name is manylinux_2_31_x86_64"),
        ("manylinux_2_28_aarch64", "manylinux_2_34_aarch64", "auditwheel's verdict is manylinux_2_34_aarch64"),
        ("manylinux_2_28_aarch64", "linux_aarch64", "auditwheel's verdict is linux_aarch64"),
        ("manylinux_2_31_x86_64", "manylinux_2_28_x86_64", "the name is manylinux_2_31_x86_64"),
        ("linux_x86_64", "manylinux_2_28_x86_64", "the name is linux_x86_64"),
    ],
)
def test_what_a_wheel_is_fit_for(tmp_path, monkeypatch, tag, verdict, wrong):
    shown = subprocess.CompletedProcess([], 0, json.dumps({"overall_tag": verdict}), "")
    monkeypatch.setattr(check.subprocess, "run", lambda *_, **__: shown)
    name = NAME.format(tag)
    of_the_tag = [f"{name}: {wrong}, which is not within manylinux_2_28"] if wrong else []
    assert list(check.wheel(tmp_path / name, tmp_path, [])) == [*of_the_tag, f"{name} {COUNT}"]


def test_a_wheel_that_auditwheel_does_not_take(tmp_path):
    """The file is not there."""
    path = tmp_path / NAME.format("manylinux_2_28_x86_64")
    refusal, _ = check.wheel(path, tmp_path, [])
    assert refusal.startswith(f"{path.name}: auditwheel's verdict is ")


def write_wheel(path, **files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_wheels_that_differ_in_more_than_libraries(tmp_path):
    first = write_wheel(tmp_path / "1.whl", **{"a.py": "1", "b.py": "1", "lib.so": "1", "x/WHEEL": "1"})
    other = write_wheel(tmp_path / "2.whl", **{"a.py": "2", "c.py": "1", "lib.so": "2", "x/WHEEL": "2"})
    assert list(check.same_python([first, first])) == []
    assert list(check.same_python([first, other])) == [
        "b.py is in one of the wheels",
        "c.py is in one of the wheels",
        "a.py is not the same in both wheels",
    ]
    assert list(check.same_bytes(first, first)) == []
    assert len(list(check.same_bytes(first, other))) == 1


def test_what_an_sdist_lacks_or_has_too_much_is_named(tmp_path):
    (tmp_path / "top").touch()
    path = tmp_path / "package-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in check.IN_SDIST - {"LICENSE"} | {"tests"}:
            archive.add(tmp_path / "top", f"package-1.0/{name}")
    assert list(check.sdist(path)) == [f"{path.name} lacks LICENSE", f"{path.name} holds tests"]
