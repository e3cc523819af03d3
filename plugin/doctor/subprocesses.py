"""Runs the steps of probe.py in processes of their own, and says of each step what became of it, whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

Answers = dict[str, dict[str, Any]]
_PROGRAM = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
_SPARE = 10.0  # seconds beyond the limits of the steps, for the start and for those that cannot end themselves
_TEXT = 8000

HUNG = "no end after"  # begins the reason of a step that took too long

_running: set[subprocess.Popen[bytes]] = set()
_interrupted = threading.Event()


def run(
    steps: Sequence[str],
    limit: float,
    folder: str = "",
    environment: Mapping[str, str] | None = None,
    begins: Callable[[str], object] = lambda step: None,
) -> Answers:
    """What became of the steps, in a process that ends behind the first that is broken: those behind it are missing.

    Args:
        steps: Names of steps of probe.py.
        limit: The seconds that each may take; one that takes longer is broken.
        folder: Where they run, not empty: CANN leaves files where it compiles.
        environment: Variables to set for them.
        begins: Called with the first step when the process starts.
    """
    if _interrupted.is_set():
        return {steps[0]: _broken("interrupted", "")}
    begins(steps[0])
    program = [sys.executable, *_flags(), "-c", _PROGRAM, str(Path(__file__).with_name("probe.py")), str(limit), folder]
    try:
        process = subprocess.Popen(
            [*program, *steps],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # no more processes, no interpreter, ...
        return {steps[0]: _broken(f"no process could be started: {error}", "")}
    _running.add(process)
    if _interrupted.is_set():
        _end(process)
    said, errors = _Reader(process.stdout), _Reader(process.stderr)
    try:
        process.wait(limit * len(steps) + _SPARE)
    except subprocess.TimeoutExpired:
        hung = True
    else:
        hung = False
    finally:
        _end(process)
        _running.discard(process)
    process.wait()
    text = errors.text()
    return _answers(said.text(), text, _end_of(text, process.returncode, hung, limit), steps)


class _Reader(threading.Thread):
    """Reads a pipe to its end, which does not come while something that the process has left behind holds it."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        super().__init__(daemon=True)
        self.pipe, self.read = pipe, bytearray()
        self.start()

    def run(self) -> None:
        if self.pipe is None:
            return
        with self.pipe:
            while some := os.read(self.pipe.fileno(), 2**16):
                self.read += some

    def text(self) -> str:
        self.join(1.0)
        return self.read.decode("utf-8", "replace")


def _flags() -> list[str]:
    """The options of this interpreter that say where modules come from."""
    options = {"isolated": "-I", "ignore_environment": "-E", "no_user_site": "-s", "no_site": "-S", "safe_path": "-P"}
    return [option for name, option in options.items() if getattr(sys.flags, name, False)]


def end_all() -> None:
    """End what is running, and begin nothing more: the command itself is ended."""
    _interrupted.set()
    for process in list(_running):
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """And those that it has started."""
    with suppress(ProcessLookupError, PermissionError):  # it has ended meanwhile
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _answers(said: str, errors: str, end: str, steps: Sequence[str]) -> Answers:
    """The answers that were given, and what ended the process before the next."""
    answers: Answers = {}
    begun = steps[0]
    for line in said.splitlines():
        try:
            told = json.loads(line)
        except ValueError:  # half a line
            break
        begun = told.get("begin", begun)
        if "end" in told:
            answers[told.pop("end")] = told
    if len(answers) == len(steps) or answers.get(begun, {}).get("state") == "broken":
        return answers
    if begun in answers:  # it ended between two steps
        begun = next(step for step in steps if step not in answers)
    answers[begun] = _broken(end, errors)
    return answers


def _end_of(errors: str, code: int, hung: bool, limit: float) -> str:
    """What ended a process, in words: the last that it said, or rather the first of a stack trace."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    if hung or "Timeout (" in errors:
        place = next((line for line in lines if line.startswith("File ")), "")
        return f"{HUNG} {limit:g} seconds{place and f', at {place}'}"
    end = f"it ended with exit code {code}" if code >= 0 else f"it was ended by {_name(-code)}"
    said = [line for line in lines if not line.startswith(("frame #", "<omitting", "File ", "terminate called"))]
    what = [line for line in said if line.startswith(("what():", "Fatal ", "Exception "))]
    last = (what or said[-1:] or [""])[0].removeprefix("what():").strip()
    return f"{end}{last and f': {last}'}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _broken(reason: str, text: str) -> dict[str, Any]:
    return {"state": "broken", "reason": reason, "text": f"{text[-_TEXT:]}\n{reason}"}
