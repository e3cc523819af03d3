"""The vector versions of the CPU kernel: all tests of the kernel on each one that this processor has."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from ascend_moe_gating.plugin.cpu.kernel import versions
from tests.programs import ROOT

OF_THE_MACHINE = {"x86_64": ["avx512", "avx2", "portable"], "aarch64": ["neon", "portable"]}[platform.machine()]
HERE = versions()


def run(version, *arguments):
    environment = {**os.environ, "ASCEND_MOE_GATING_VECTOR": version, "TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}
    return subprocess.run([sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("version", HERE[1:])
def test_the_tests_of_the_kernel(version):
    print_vector = "from ascend_moe_gating.plugin.cpu.kernel import vector; print(vector())"
    assert run(version, "-c", print_vector).stdout == f"{version}\n"
    result = run(
        version,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/kernels/test_kernel.py",
        "tests/kernels/test_kernel_values.py",
    )
    assert result.returncode == 0, result.stdout[-3000:]


if "avx512" in OF_THE_MACHINE and "avx512" not in HERE:

    @pytest.mark.needs("a compiler")
    def test_the_avx512_version_emulated():
        """Its instructions are written out in tests/kernels/avx512.h: no processor is too old for this test."""
        cmake = Path(sys.executable).with_name("cmake")
        command = ["make", "--silent", "--no-print-directory", "avx512", f"CMAKE={cmake}"]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert (result.returncode, result.stdout) == (0, "avx512\n"), result.stderr


@pytest.mark.parametrize("version", ["sse9", *(name for name in ("avx512", "avx2", "neon") if name not in HERE)])
def test_a_version_that_the_processor_does_not_have_is_refused(version):
    code = "import torch, ascend_moe_gating as a; a.npu_moe_gating_top_k(torch.zeros(1, 8), 2)"
    result = run(version, "-c", code)
    assert result.returncode != 0
    *_, last = result.stderr.splitlines()
    rule = f"must be {', '.join(HERE[:-1])}{' or ' * (len(HERE) > 1)}{HERE[-1]} on this processor"
    assert last == f"ValueError: ASCEND_MOE_GATING_VECTOR {rule}, got '{version}'"
