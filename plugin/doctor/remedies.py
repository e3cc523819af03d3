"""What is known to fail, and what mends it: one table, read by the doctor and by the documentation.

A failure is looked up by its words; the first entry whose pattern occurs in them counts. Commands may have fields in
braces: {torch} is the release of torch that is there, {torch_npu} the requirement of a torch_npu for it, {set_env} the
script that sets CANN's environment; and the named groups of the pattern.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

# torch_npu X.Y.Z is for torch X.Y.Z. Of those with several post releases, one that the tests have run with.
TRIED_PAIRS = {
    "2.5.1": "2.5.1.post1",
    "2.6.0": "2.6.0.post5",
    "2.7.1": "2.7.1.post11",
    "2.8.0": "2.8.0.post5",
    "2.9.0": "2.9.0.post9",
    "2.10.0": "2.10.0.post4",
    "2.13.0": "2.13.0",
}
_MODULES = {"google": "protobuf", "yaml": "pyyaml"}  # what they are called where they are installed from


class Remedy(NamedTuple):
    """What a failure means, and commands, any of which helps: each with the case that it is for."""

    label: str
    pattern: str
    meaning: str
    commands: tuple[tuple[str, str], ...]


_STAND_IN = ("to try it without an NPU", "python -m ascend_moe_gating.simulator your_script.py")
_CPU_ONLY = ("for CPU tensors only", "TORCH_DEVICE_BACKEND_AUTOLOAD=0 python your_script.py")
_PAIR = ("for the torch that is there", "pip install --no-deps '{torch_npu}'")
_AGAIN = ("in the sources of this package", "pip install --force-reinstall --no-deps .")
_TORCH_AGAIN = ("", "pip install --force-reinstall --no-deps torch=={torch}")
_SEE_DEVICES = ("which devices there are, and who uses them", "npu-smi info")
_LOG = ("CANN's log on the terminal", "ASCEND_SLOG_PRINT_TO_STDOUT=1 ASCEND_GLOBAL_LOG_LEVEL=1 python your_script.py")
_DRIVER = ":".join(f"/usr/local/Ascend/driver/lib64/{folder}" for folder in ("driver", "common"))
_BAD_FILE = "file too short|invalid ELF header|wrong ELF class|ELF load command|cannot read file data|failed to map"


def _code(pattern: str) -> str:
    """A pattern for numbers that are errors: what CANN says has the number of the process too."""
    return rf"(?<!PID:)\b(?:{pattern})\b"


REMEDIES = (
    Remedy(
        "shadow", r"hides the one that is installed",
        "A file or folder of this name in the working directory is imported in place of the package.",
        (("", "cd somewhere else, or rename it"),),
    ),
    Remedy(
        "switch", r"\b(?P<variable>ASCEND_MOE_GATING_[A-Z_]+)(?:: \w+)? must be ",
        "A variable of the environment has a value that it cannot take.",
        (("", "unset {variable}"),),
    ),
    Remedy(
        "own files", r"^own file: |No module named 'ascend_moe_gating|"
        rf"(?:libmoe_gating_\w+|libhost_cann|ascend_moe_gating/lib/\S+)\.so:? .*(?:{_BAD_FILE}|cannot open)",
        "Files of this package are missing or damaged.",
        (_AGAIN,),
    ),
    Remedy(
        "no driver", r"lib(?:ascend_hal|drvdsmi_host|dcmi)\.so: cannot open shared object file",
        "CANN is there, the driver's libraries are not found. In a container they have to be mounted.",
        (("", f"export LD_LIBRARY_PATH={_DRIVER}:$LD_LIBRARY_PATH"),),
    ),
    Remedy(
        "no CANN", r"lib(?:hccl|ascendcl|opapi|ge_runner|graph|acl_\w+|fmk_parser|ascend_protobuf|runtime)\.so[.\d]*: "
        r"cannot open shared object file|No module named '(?:tbe|te)\b",
        "torch_npu needs CANN, which is not in the environment of this process.",
        (("on a machine that has CANN", "source {set_env}"), _STAND_IN, _CPU_ONLY),
    ),
    Remedy(
        "same keys", r"Duplicated key '\w+' found|ConfigKeys.*already registered|pinned_reserve_segment_size_mb",
        "This torch_npu aborts beside a CUDA build of torch: both register the same keys. It needs a CPU build of "
        "torch, or, if there is one, a release of torch_npu that has no such keys.",
        (
            ("from torch's index of CPU builds", "pip install --force-reinstall --no-deps torch=={torch}+cpu"),
            ("where this is another one", "pip install --no-deps '{torch_npu}'"),
            ("if no NPU is wanted", "pip uninstall torch_npu"),
        ),
    ),
    Remedy(
        "two accelerators", r"Two accelerators cannot be used at the same time",
        "torch has found a GPU, and torch_npu works with no other accelerator.",
        (("from torch's index of CPU builds", "pip install --force-reinstall --no-deps torch=={torch}+cpu"), _CPU_ONLY),
    ),
    Remedy(
        "old CANN", r"undefined symbol: (?:acl|Hccl|rt[A-Z]|_ZNK?2ge)",
        "The CANN that is there is older than this torch_npu needs.",
        (("of a newer CANN", "source {set_env}"), _STAND_IN),
    ),
    Remedy(
        "other torch", r"torch_npu\S*: undefined symbol|undefined symbol: _ZNK?(?:2at|3c10|5torch)",
        "torch_npu was built for another torch: both must have the same X.Y.Z.",
        (_PAIR,),
    ),
    Remedy(
        "old libstdc++", r"(?:GLIBCXX|CXXABI)_[\d.]+' not found",
        "The libstdc++ that is found first is older than the one that this was built with.",
        (
            ("the system's", "apt-get install --only-upgrade libstdc++6"),
            ("that of a conda environment", "export LD_LIBRARY_PATH=$CONDA_PREFIX/lib:$LD_LIBRARY_PATH"),
        ),
    ),
    Remedy(
        "old glibc", r"GLIBC_[\d.]+' not found",
        "This was built for a newer Linux: take a newer one, or an older release. This package can be built here.",
        (_AGAIN,),
    ),
    Remedy(
        "NumPy 2", r"compiled using NumPy 1\.x cannot be run|_ARRAY_API not found",
        "torch was built for an older NumPy.", (("", "pip install 'numpy<2'"),),
    ),
    Remedy(
        "protobuf", r"Descriptors cannot be created directly|incompatible Protobuf",
        "torchair and the protobuf that is there do not fit.", (("", "pip install --upgrade protobuf"),),
    ),
    Remedy(
        "no torch", r"No module named 'torch'", "torch is not installed.", (("", "pip install torch"),),
    ),
    Remedy(
        "half torch_npu", r"No module named 'torch(?:_npu|air)[.']",
        "torch_npu is only half there.",
        (("", "pip install --force-reinstall --no-deps '{torch_npu}'"),),
    ),
    Remedy(
        "half torch", rf"No module named 'torch\.|lib(?:torch|c10|shm)\w*\.so\S* (?:cannot open|.*(?:{_BAD_FILE}))",
        "torch is only half there.", (_TORCH_AGAIN,),
    ),
    Remedy(
        "no module", r"No module named '(?P<module>\w+)[.']",
        "torch_npu and torchair need packages that they do not ask for.",
        (("", "pip install {module}"), ("all of them", "pip install protobuf packaging pyyaml")),
    ),
    Remedy(
        "stub", _code("100039"),
        "LD_LIBRARY_PATH leads to CANN's libraries for compiling (devlib), which only look like the real ones.",
        (("in a new shell", "source {set_env}"),),
    ),
    Remedy(
        "no device", rf"there is no device|{_code('107001')}|[Ii]nvalid device",
        "CANN finds no NPU, or not the one that was asked for.",
        (_SEE_DEVICES, ("where it hides them", "unset ASCEND_RT_VISIBLE_DEVICES ASCEND_VISIBLE_DEVICES"), _STAND_IN),
    ),
    Remedy(
        "no memory", rf"{_code('207001')}|out of memory|Cannot allocate memory|MemoryError|SIGKILL",
        "The memory of the device, or of the machine, is used up, or somebody has ended the process.",
        (_SEE_DEVICES, ("of the machine", "free -h")),
    ),
    Remedy(
        "no kernels", _code("561003|561107|561112"),
        "CANN's package of kernels for this NPU is not installed, or not found.",
        (("", "source {set_env}"), _LOG),
    ),
    Remedy(
        "refused", _code(r"561\d{3}|161\d{3}|361001"),
        "CANN refuses the call. What the one that is there does not take, status() says.",
        (("", "python -c 'import torch, ascend_moe_gating; print(ascend_moe_gating.status())'"), _LOG),
    ),
    Remedy(
        "start of CANN", _code(r"50000\d|507008|507033|50789\d|10000[012]"),
        "CANN does not come to its device: the driver does not fit, is not mounted, or this user may not use it.",
        (_SEE_DEVICES, ("whose the devices are", "ls -l /dev/davinci*"), _LOG),
    ),
    Remedy(
        "device failed", _code(r"507\d{3}|107\d{3}"),
        "The device failed, or an earlier call did; the call that is named may not be the one.",
        (("names the call", "ASCEND_LAUNCH_BLOCKING=1 python your_script.py"), _SEE_DEVICES),
    ),
    Remedy(
        "no converter", r"ge_converter is not implemented|(?:[Uu]nsupported|no) \S+ .*ge.?converter",
        "torchair has no converter of an operator: this package brings those of its own when it is imported.",
        (("first line of the script", "import ascend_moe_gating"), _PAIR),
    ),
    Remedy(
        "error of CANN", r"\bE[A-Z]\d{4}\b|\bE[1-9]\d{4}\b",
        "CANN failed inside; its log says where.", (_LOG,),
    ),
    Remedy(
        "instruction", r"SIGILL",
        "A library uses an instruction that this processor lacks.",
        (("if it is this package's kernel", "ASCEND_MOE_GATING_VECTOR=portable python your_script.py"),),
    ),
    Remedy(
        "permission", r"Permission denied|PermissionError",
        "This user may not read what is installed, or not write where that is needed.",
        (("who may", "ls -ld $(python -c 'import site; print(*site.getsitepackages())')"),),
    ),
    Remedy(
        "disk", r"No space left on device", "The disk is full.", (("", "df -h /tmp ."),),
    ),
    Remedy(
        "hangs", r"no end after [\d.]+ seconds",
        "It does not come to an end; another process may hold the device.",
        (_SEE_DEVICES, ("if it is only slow", "python -m ascend_moe_gating doctor --limit 600")),
    ),
    Remedy(
        "autoload", r"Failed to load the backend extension: (?P<backend>\w+)",
        "import torch imports {backend} by itself, which fails.", (_CPU_ONLY,),
    ),
)  # fmt: skip

# For what no pattern knows: by what does not work.
UNKNOWN = {
    "torch": Remedy("torch", "", "torch itself does not load.", (_TORCH_AGAIN,)),
    "torch_npu": Remedy("torch_npu", "", "torch_npu does not load.", (_PAIR, _CPU_ONLY)),
    "torchair": Remedy("torchair", "", "torchair does not load.", (_PAIR,)),
    "device": Remedy("device", "", "The device does not work.", (_SEE_DEVICES, _LOG)),
    "path": Remedy(
        "unknown", "", "This is not known to happen: please report it, with the output of this command.",
        (("", "python -m ascend_moe_gating doctor --json"),),
    ),
}  # fmt: skip


class Found(NamedTuple):
    """A remedy, written out for one failure, and the line that it was found by, if there is one."""

    label: str
    line: str
    meaning: str
    commands: tuple[tuple[str, str], ...]


def find(text: str, what: str, fields: Mapping[str, str]) -> Found:
    """The remedy for a failure.

    Args:
        text: All that was said, the most telling line last.
        what: What failed, a key of UNKNOWN, for words that no pattern knows.
        fields: Values for torch, torch_npu and set_env.
    """
    for remedy in REMEDIES:
        for match in list(re.finditer(remedy.pattern, text, re.MULTILINE))[-1:]:  # the last: before it is source code
            start, end = text.rfind("\n", 0, match.start()) + 1, text.find("\n", match.end())
            line = text[start : len(text) if end < 0 else end].strip()
            return _written(remedy, line, {**fields, **match.groupdict()})
    return _written(UNKNOWN[what], "", fields)


def _written(remedy: Remedy, line: str, fields: Mapping[str, str]) -> Found:
    known = {name: _MODULES.get(value, value) for name, value in fields.items() if value}
    commands = tuple((when, command.format_map(known)) for when, command in remedy.commands)
    return Found(remedy.label, line, remedy.meaning.format_map(known), commands)


def torch_npu_for(torch: str) -> str:
    """What to install for this release of torch, as 2.10.0 or 2.10.0+cpu."""
    release = torch.partition("+")[0]
    return f"torch_npu=={TRIED_PAIRS.get(release, f'{release}.*')}"
