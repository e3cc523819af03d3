"""What ran on the stand-in, and what it holds: for tests and for the curious."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ascend_moe_gating.simulator.library import core


@dataclass(frozen=True)
class Operand:
    """A tensor of a launch: sizes and strides in elements, dtype by torch's name."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Launch:
    """Something that ran on a stream of a device, with CANN's names for what it was given.

    kind is "aclnn", "graph node" or "copy"; start and duration are microseconds, start on a clock of the process.
    """

    kind: str
    name: str
    device: int
    stream: int
    start: float
    duration: float
    inputs: dict[str, Operand]
    outputs: dict[str, Operand]
    attributes: dict[str, Any]


class Recording(list[Launch]):
    """The launches of a recorded block, in order of execution."""

    def write_trace(self, path: str | Path) -> None:
        """Write them as a Chrome trace, which Perfetto opens: a process for each device, a thread for each stream."""
        events: list[dict[str, Any]] = []
        for device, stream in sorted({(launch.device, launch.stream) for launch in self}):
            names = {"process_name": f"npu:{device}", "thread_name": f"stream {stream}"}
            events += [
                {"ph": "M", "pid": device, "tid": stream, "name": name, "args": {"name": value}}
                for name, value in names.items()
            ]
        for launch in self:
            fields = asdict(launch)
            place = {"pid": fields.pop("device"), "tid": fields.pop("stream")}
            time = {"ts": fields.pop("start"), "dur": fields.pop("duration")}
            name, category = fields.pop("name"), fields.pop("kind")
            events.append({"ph": "X", "name": name, "cat": category, **place, **time, "args": fields})
        Path(path).write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ns"}))


@contextmanager
def record() -> Iterator[Recording]:
    """Collect what runs inside the block; the list is filled when the block ends, in order of execution.

    Raises:
        RuntimeError: the stand-in is not in use.
    """
    library = core("nothing to record")
    import torch_npu

    launches = Recording()
    torch_npu.npu.synchronize()
    library.host_cann_log_take()
    library.host_cann_log_start()
    try:
        yield launches
    finally:
        try:
            torch_npu.npu.synchronize()
        finally:
            library.host_cann_log_stop()
            launches.extend(map(_launch, library.host_cann_log_take().decode().splitlines()))


def _launch(line: str) -> Launch:
    fields = json.loads(line)
    for side in ("inputs", "outputs"):
        fields[side] = {
            name: Operand(tuple(operand["shape"]), tuple(operand["strides"]), operand["dtype"])
            for name, operand in fields[side].items()
        }
    return Launch(**fields)


@dataclass(frozen=True)
class Allocation:
    """Device memory that was allocated and not freed; bytes as they were asked for."""

    device: int
    address: int
    bytes: int


def allocations() -> list[Allocation]:
    """What is allocated now, torch_npu's caches included (`torch.npu.empty_cache()` gives those back).

    Raises:
        RuntimeError: the stand-in is not in use.
    """
    lines = core("no allocations to list").host_cann_allocations().decode().splitlines()
    return [Allocation(*map(int, line.split())) for line in lines]
