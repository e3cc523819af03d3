"""Running programs in processes of their own."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parent.parent

# Of a program, so that a package cannot be imported in it: HIDE.format("yaml").
HIDE = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
"""


def start(arguments, **environment):
    """Run Python with these arguments; standard output and error are captured. What it finds of CANN is the machine's:
    where these tests run on the stand-in, LD_LIBRARY_PATH leads to it."""
    program = [sys.executable, *map(str, arguments)]
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    path = ":".join(folder for folder in folders if not folder.endswith("ascend_moe_gating/lib/cann"))
    environment = {**os.environ, "LD_LIBRARY_PATH": path, **environment}
    return subprocess.run(program, env=environment, capture_output=True, text=True, timeout=300)


def on_stand_in(code, **environment):
    """Run a program that has torch, torch_npu, ctypes and the simulator at hand."""
    head = "from ascend_moe_gating import simulator\nsimulator.load()\nimport ctypes, torch, torch_npu\n"
    return start(["-c", head + code], **environment)


def run(code, *arguments, **environment):
    """Run a program and return what it prints."""
    result = start(["-c", textwrap.dedent(code), *arguments], **environment)
    assert result.returncode == 0, result.stderr
    return result.stdout


def launch(*arguments, **environment):
    """Run a script under the launcher and return what it prints."""
    result = start(["-m", "ascend_moe_gating.simulator", *arguments], **environment)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout
