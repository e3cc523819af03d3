"""The doctor where everything around it fails: what it tries, and what it is started with. It never fails itself."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ascend_moe_gating.plugin.doctor import subprocesses
from tests.doctor.hostile import WAYS, bare, doctor, write

# What is said of some of them; of the others, that it is broken.
WORDS = {
    "an error": "ImportError: the way it goes",
    "an error of many lines": "RuntimeError: first",
    "an error without words": "AssertionError",
    "an error that is not ASCII": "ImportError: 内部错误",
    "an abort": "it was ended by SIGABRT",
    "a crash": "it was ended by SIGSEGV",
    "a signal": "it was ended by SIGSYS",
    "being killed": "it was ended by SIGKILL",
    "an exit": "SystemExit: 0",
    "an exit at once": "it ended with exit code 0",
    "a hang": f"{subprocesses.HUNG} 0.6 seconds, at File",
    "a signal handler": f"{subprocesses.HUNG} 0.6 seconds, at File",
    "noise on stdout": "ImportError: noise",
    "no memory": "MemoryError",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_step_that_fails(tmp_path, monkeypatch, way):
    write(tmp_path, {"torch/__init__.py": WAYS[way]})
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    started = time.monotonic()
    answers = subprocesses.run(["cann", "torch", "torch_npu"], 0.6, environment={"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"})
    assert time.monotonic() - started < 10
    assert list(answers) == ["cann", "torch"]  # and nothing behind it
    assert answers["torch"]["state"] == "broken"
    assert WORDS.get(way, "") in answers["torch"]["reason"]
    assert re.fullmatch(r".*\S.*", answers["torch"]["reason"])  # one line that is not empty
    assert answers["torch"]["reason"] in answers["torch"]["text"]


def test_every_word_is_of_a_way():
    assert WORDS.keys() <= WAYS.keys()


def alive(process):
    """Whether a process runs: one that has ended may still be listed as a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("start", ["if os.fork() == 0:\n    ", ""], ids=["of its child", "of its own"])
def test_what_hangs_is_ended(tmp_path, monkeypatch, start):
    note = "import os, time\n" + start + "(open('pid', 'w').write(str(os.getpid())), time.sleep(1000))"
    write(tmp_path, {"site/torch.py": note})
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    subprocesses.run(["torch"], 0.5, folder=str(tmp_path))
    process = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while alive(process):
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.05)


def test_probes_find_modules_where_the_command_finds_them(monkeypatch):
    monkeypatch.setattr(sys, "flags", SimpleNamespace(isolated=1, no_site=1, no_user_site=0))
    assert subprocesses._flags() == ["-I", "-S"]


def test_no_process_can_be_started(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    answers = subprocesses.run(["torch"], 1.0)
    assert re.match("no process could be started: .*No such file", answers["torch"]["reason"])


NOT_ASCII = {"torch.py": WAYS["an error that is not ASCII"]}


@pytest.mark.parametrize("arguments", [(), ("--json",)], ids=["text", "JSON"])
def test_a_locale_that_is_ascii(tmp_path, arguments):
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = doctor(*arguments, path=[write(tmp_path, NOT_ASCII)], **locale)
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout.isascii()
    assert "\\u5185\\u90e8" in result.stdout


@pytest.mark.parametrize(
    ("redirection", "said"),
    [
        (">&-", ""),
        ("2>&-", ""),
        (">&- 2>&- <&-", ""),
        ("> /dev/full", "the report could not be written: [Errno 28] No space left on device\n"),
        ("| true; exit ${PIPESTATUS[0]}", ""),
    ],
)
def test_nobody_reads_what_is_said(redirection, said):
    program = f"{bare()} -m ascend_moe_gating doctor {redirection}"
    result = subprocess.run(["bash", "-c", program], cwd="/", capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (1, said)


def test_python_itself_has_nothing_to_say_of_it(tmp_path):
    """What is left open is a warning."""
    write(tmp_path, {"torch.py": "1 / 0"})
    program = [bare(), "-W", "error", "-X", "dev", "-m", "ascend_moe_gating", "doctor"]
    environment = {"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}
    result = subprocess.run(program, env=environment, cwd="/", capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (1, "")


def test_a_working_directory_that_is_gone(tmp_path):
    program = (
        f"mkdir {tmp_path}/gone; cd {tmp_path}/gone; rmdir {tmp_path}/gone; {bare()} -m ascend_moe_gating doctor --json"
    )
    result = subprocess.run(["bash", "-c", program], capture_output=True, text=True)
    assert [problem["label"] for problem in json.loads(result.stdout)["problems"]] == ["no torch"]


@pytest.mark.parametrize("limit", ["-n 14", "-v 120000"])
def test_a_process_that_may_use_little(tmp_path, limit):
    """Of files and memory: with less, Python itself does not start."""
    write(tmp_path, {"torch.py": "1 / 0"})
    program = f"ulimit {limit}; PYTHONPATH={tmp_path} {bare()} -m ascend_moe_gating doctor --json --limit 5"
    result = subprocess.run(["bash", "-c", program], cwd="/", capture_output=True, text=True)
    assert result.stderr == ""
    assert json.loads(result.stdout)["problems"]


def test_its_own_process_imports_neither_torch_nor_numpy(tmp_path):
    """Those that are here would tell."""
    write(tmp_path, {f"{name}.py": "import os; os.write(2, b'imported ')" for name in ("torch", "numpy", "torch_npu")})
    program = "import sys; from ascend_moe_gating.plugin.doctor.command import main; main(['--json']); "
    program += "print({'torch', 'numpy', 'torch_npu'} & set(sys.modules))"
    environment = {"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}
    result = subprocess.run([bare(), "-c", program], env=environment, cwd="/", capture_output=True, text=True)
    assert result.stdout.endswith("\nset()\n")
    assert result.stderr == ""


def test_interrupted_it_ends_what_it_has_started_and_starts_nothing_more(tmp_path):
    """In a path: behind one that is broken the next would have a process of its own."""
    torch = f"""
import os, time
class version:
    cuda = None
__version__ = "2"
def __getattr__(name):
    with open("{tmp_path}/started", "a") as file:
        print(os.getpid(), file=file)
    time.sleep(99)
"""
    write(tmp_path, {"torch.py": torch, "started": ""})
    environment = {"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}
    program = [bare(), "-m", "ascend_moe_gating", "doctor"]
    process = subprocess.Popen(program, env=environment, cwd="/", stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 20
    while not (tmp_path / "started").read_text().endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert (process.returncode, said) == (130, b"")
    (started,) = map(int, (tmp_path / "started").read_text().split())
    assert not alive(started)
