"""Runs the steps of probe.py in processes of their own, and says of each step what became of it, whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

Answers = dict[str, dict[str, Any]]
_PROGRAM = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
_SPARE = 10.0  # seconds beyond the limits of the steps, for the start and for those that cannot end themselves
_TEXT = 8000

HUNG = "no end after"  # begins the reason of a step that took too long

_running: set[subprocess.Popen[bytes]] = set()


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
    begins(steps[0])
    program = [sys.executable, "-c", _PROGRAM, str(Path(__file__).with_name("probe.py")), str(limit), folder, *steps]
    try:
        with subprocess.Popen(
            program,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        ) as process:
            _running.add(process)
            try:
                said, errors = _ended(process, limit * len(steps) + _SPARE)
            finally:
                _running.discard(process)
    except (OSError, ValueError) as error:  # no more processes, no interpreter, ...
        return {steps[0]: _broken(f"no process could be started: {error}", "")}
    return _answers(
        said.decode("ascii", "replace"), errors.decode("utf-8", "replace"), process.returncode, steps, limit
    )


def end_all() -> None:
    """End what is running: the command itself is ended."""
    for process in list(_running):
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """And those that it has started."""
    with suppress(ProcessLookupError, PermissionError):  # it has ended meanwhile
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _ended(process: subprocess.Popen[bytes], seconds: float) -> tuple[bytes, bytes]:
    try:
        return process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _end(process)
    try:
        return process.communicate(timeout=5)
    except subprocess.TimeoutExpired as kept:  # something that it started holds on to the pipes
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        return kept.stdout or b"", kept.stderr or b""
    finally:
        _end(process)


def _answers(said: str, errors: str, code: int, steps: Sequence[str], limit: float) -> Answers:
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
    last = answers[begun]["state"] if begun in answers else ""
    if last == "broken" or set(steps) == set(answers):
        return answers
    if begun in answers:  # it ended between two steps
        begun = next(step for step in steps if step not in answers)
    answers[begun] = _broken(_end_of(errors, code, limit), errors)
    return answers


def _end_of(errors: str, code: int, limit: float) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    if "Timeout (" in errors or (code == -signal.SIGKILL and not lines):
        place = next((line for line in lines if line.startswith("File ")), "")
        return f"{HUNG} {limit:g} seconds{place and f', at {place}'}"
    end = f"exit code {code}" if code >= 0 else f"ended by {_name(-code)}"
    # Behind what is said first there are lines of a stack trace.
    words = [line for line in lines if not line.startswith(("frame #", "<omitting", "File ", "terminate called"))]
    error = next(
        (line for line in words if line.startswith(("what():", "Fatal", "Exception"))), words[-1] if words else ""
    )
    return f"the process {end}{error and f': {error}'}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _broken(reason: str, text: str) -> dict[str, Any]:
    return {"state": "broken", "reason": reason, "text": f"{text[-_TEXT:]}\n{reason}"}
