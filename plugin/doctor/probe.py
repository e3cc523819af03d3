"""What is tried in a process of its own, that may hang or die: `probe.py STEP ...` tells the outcomes on stdout.

A line of JSON when a step begins and one when it has ended. It stops behind the first that is broken, as what follows
in the same process would suffer from it. It runs as a file, without the package, whose import would already act on
torch's: a step imports what it is about.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

Answer = dict[str, Any]
_TEXT = 8000  # characters of an error's text that are handed on


def cann() -> Answer:
    """Whether CANN's first library can be loaded."""
    try:
        ctypes.CDLL("libascendcl.so")
    except OSError as error:
        return {"loads": False, "reason": str(error)}
    return {"loads": True}


def load_stand_in() -> Answer:
    from ascend_moe_gating import simulator

    return {"in_use": simulator.load()}


def torch() -> Answer:
    module = importlib.import_module("torch")
    return {"version": str(module.__version__), "file": module.__file__, "cuda": module.version.cuda}


def torch_npu() -> Answer:
    importlib.import_module("torch")
    module = importlib.import_module("torch_npu")
    return {"version": str(module.__version__), "file": module.__file__}


def torchair() -> Answer:
    torch_npu()
    if find_spec("torchair") is None:
        return {"state": "absent", "reason": "this torch_npu has no torchair"}
    return {"file": importlib.import_module("torchair").__file__}


def device() -> Answer:
    """Something small on the first device, and who it is."""
    torch_npu()
    torch: Any = importlib.import_module("torch")
    if (count := torch.npu.device_count()) == 0:
        raise RuntimeError("there is no device: torch.npu.device_count() is 0")
    torch.npu.set_device(0)
    if (found := (torch.ones(2).npu() + 1).cpu().tolist()) != [2, 2]:
        raise RuntimeError(f"the device adds 1 to 1 and gets {found}")
    from ascend_moe_gating import simulator
    from ascend_moe_gating.plugin.environment.cann import present

    there = present()
    version = None if there.version is None else ".".join(map(str, there.version))
    return {"devices": count, "soc": there.soc, "cann": version, "stand_in": simulator.active()}


def _of(path: str) -> Callable[[], Answer]:
    """A path of paths.py, which is imported with the package when its turn has come."""
    return lambda: importlib.import_module("ascend_moe_gating.plugin.doctor.paths").PATHS[path].run()


STEPS: dict[str, Callable[[], Answer]] = {
    step.__name__: step for step in (cann, load_stand_in, torch, torch_npu, torchair, device)
}


def answer(name: str) -> Answer:
    """What becomes of a step; of one that is broken the last line of the error, and all of it and of its causes."""
    try:
        return {"state": "works", **STEPS.get(name, _of(name))()}
    except BaseException as error:  # SystemExit too: whatever it is, it is the outcome
        text = "".join(traceback.format_exception(error))
        last = traceback.format_exception_only(error)[-1].strip()
        return {"state": "broken", "reason": last.partition("\n")[0], "text": text[-_TEXT:]}


def main(limit: float, folder: str, names: list[str]) -> None:
    # What libraries print to stdout goes to stderr.
    results = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    if folder:  # CANN leaves files behind where it compiles; modules are found where they were
        with suppress(FileNotFoundError):  # there is no working directory any more, nor modules in it
            sys.path[:] = [os.path.abspath(entry) for entry in sys.path]
        os.chdir(folder)
    for name in names:
        print(json.dumps({"begin": name}), file=results, flush=True)
        faulthandler.dump_traceback_later(limit, exit=True)
        outcome = answer(name)
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps({"end": name, **outcome}), file=results, flush=True)
        if outcome["state"] == "broken":
            break
    os._exit(0)  # all is said, and the end of a process that holds a device takes seconds


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2], sys.argv[3:])
