"""The command: its arguments, where its words go, and its exit code."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from typing import TextIO

from ascend_moe_gating.plugin.doctor.examination import examine
from ascend_moe_gating.plugin.doctor.report import as_json, as_text

_DESCRIPTION = """Say what is installed, what runs each way of calling the operator, and what mends what does not run.

Each way is tried with a small call whose results are known, in processes of their own."""
_EPILOG = """exit code:
  0  every way that this installation is meant to have works
  1  something is to be mended
  2  a wrong argument; 130 interrupted
Without torch_npu, or with TORCH_DEVICE_BACKEND_AUTOLOAD=0 where there is no CANN, it is meant for CPU tensors alone.
What the CANN that is there does not take, and what its torch_npu does not have, is not broken.

JSON:
  healthy   whether the exit code is 0
  facts     package, python, torch, torch_npu, torchair, cann, npu, numpy, glibc, processor, kernel: texts, or null
  paths     of each: name, title, tensors (CPU, NPU), state (works, refused, absent, broken), text, problem (number or
            null)
  problems  of each: number, label, words, meaning, commands (for, command)
  notes     texts"""


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        "python -m ascend_moe_gating doctor",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="the same as JSON")
    parser.add_argument("--stand-in", action="store_true", help="with the host stand-in, where there is no CANN")
    parser.add_argument("--limit", type=_seconds, default=120.0, metavar="SECONDS", help="for each step (default 120)")
    given = parser.parse_args(arguments)
    progress = _Progress(sys.stderr)
    try:
        found = examine(given.stand_in, given.limit, progress.show)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        progress.clear()
    _write(json.dumps(as_json(found), indent=1) if given.json else as_text(found))
    return 1 if found.problems else 0


def _seconds(text: str) -> float:
    try:
        if 0 < (seconds := float(text)) < 1e6:
            return seconds
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be a number of seconds between 0 and 1e6, got {text}")


class _Progress:
    """A line on a terminal that says what is being tried; nothing elsewhere."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream if stream is not None and stream.isatty() else None

    def show(self, step: str) -> None:
        self._write(f"\r\x1b[Ktrying {step} ...")

    def clear(self) -> None:
        self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        if self.stream is None:
            return
        try:
            self.stream.write(text)
            self.stream.flush()
        except OSError:  # the terminal is gone, and so is who would read this
            self.stream = None


def _write(text: str) -> None:
    """To stdout, in whatever encoding it has, even if nobody reads it to the end."""
    try:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")
        print(text, flush=True)
    except OSError as error:
        if not isinstance(error, BrokenPipeError) and sys.stderr is not None:
            print(f"the report could not be written: {error}", file=sys.stderr)
