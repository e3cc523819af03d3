"""Installations that are broken on purpose: environments of their own, and modules that fail in each of many ways."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import subprocess
import tempfile
import venv
from pathlib import Path

import ascend_moe_gating
from tests.programs import ROOT

LIBRARIES = Path(str(ascend_moe_gating.simulator.library.folder()))


def copy_package(folder):
    """This package in a folder as pip installs it, libraries included, but for its metadata."""
    package = Path(folder) / "ascend_moe_gating"
    for room in ("plugin", "meta", "converters", "simulator"):
        shutil.copytree(ROOT / room, package / room, ignore=shutil.ignore_patterns("*.cpp", "*.h", "__pycache__"))
    shutil.copytree(LIBRARIES, package / "lib")
    shutil.copy(ascend_moe_gating.__file__, package)
    shutil.copy(Path(ascend_moe_gating.__file__).with_name("__main__.py"), package)
    return package


@functools.cache
def bare():
    """The Python of an environment that has this package and nothing else."""
    folder = Path(tempfile.mkdtemp(prefix="bare-"))
    atexit.register(shutil.rmtree, folder)
    venv.create(folder, symlinks=True, with_pip=False)
    copy_package(next((folder / "lib").iterdir()) / "site-packages")
    return folder / "bin" / "python"


def write(folder, files):
    """Files by their path: text, bytes, or None for a folder."""
    for name, content in files.items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content)
    return folder


def doctor(*arguments, python=None, path=(), cwd="/", limit=20, **environment):
    """Run the command in the bare environment, with more folders to import from; gives the finished process."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ASCEND_", "LD_LIBRARY"))}
    inherited.pop("TORCH_DEVICE_BACKEND_AUTOLOAD", None)
    environment = {**inherited, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONSAFEPATH": "", **environment}
    program = [python or bare(), "-m", "ascend_moe_gating", "doctor", "--limit", str(limit), *arguments]
    return subprocess.run(program, cwd=cwd, env=environment, capture_output=True, text=True, timeout=200)


def examined(*arguments, **options):
    """What the command says as JSON; its exit code and its words must agree."""
    result = doctor("--json", *arguments, **options)
    assert result.stderr == "", result.stderr
    found = json.loads(result.stdout)
    assert result.returncode == (0 if found["healthy"] else 1)
    return found


# Ways in which a module fails when it is imported, as its source.
WAYS = {
    "an error": "raise ImportError('the way it goes')",
    "an error of many lines": "raise RuntimeError('first\\nsecond\\n\\nlast')",
    "an error without words": "raise AssertionError",
    "an error that is no Exception": "raise KeyboardInterrupt",
    "an error that cannot be printed": "class E(Exception):\n    __str__ = None\nraise E",
    "an error that is not ASCII": "raise ImportError('内部错误 \\udcff')",
    "a cause": "try:\n    1 / 0\nexcept Exception as e:\n    raise ImportError('x') from e",
    "an abort": "import os; os.abort()",
    "a crash": "import ctypes; ctypes.string_at(0)",
    "a signal": "import os; os.kill(os.getpid(), 31)",
    "being killed": "import os; os.kill(os.getpid(), 9)",
    "an exit": "raise SystemExit(0)",
    "an exit at once": "import os; os._exit(0)",
    "a hang": "import time; time.sleep(1000)",
    "a hang of a child": "import os, time\nif os.fork() == 0:\n    time.sleep(1000)",
    "a child that is left": "import subprocess; subprocess.Popen(['sleep', '20'], start_new_session=True); 1 / 0",
    "recursion": "def f():\n    f()\nf()",
    "no syntax": "def",
    "no text": b"\xff\xfe\x00",
    "null bytes": b"import os\0",
    "no file": b"",
    "noise on stdout": "import os; os.write(1, b'{\\\"end\\\": 1}\\n' * 9); raise ImportError('noise')",
    "noise on stderr": "import os; os.write(2, b'\\xff' * 10**6); 1 / 0",
    "closed files": "import os; os.close(1); os.close(2); 1 / 0",
    "all files closed": "import os; os.closerange(0, 99); 1 / 0",
    "another folder": "import os; os.chdir('/'); 1 / 0",
    "no memory": "import resource as r; r.setrlimit(r.RLIMIT_AS, (2**26, 2**26)); bytearray(2**27)",
    "no files": "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (3, 3)); open('/dev/null')",
    "no exit": "import atexit, time; atexit.register(time.sleep, 1000); 1 / 0",
    "a thread that stays": "import threading, time; threading.Thread(target=time.sleep, args=(1000,)).start(); 1 / 0",
    "a wrong version": "__version__ = object()",
    "a signal handler": "import signal; signal.signal(15, signal.SIG_IGN); import time; time.sleep(1000)",
}
