"""Runs work in a process of its own, so that its crash, its hanging and its end leave a report."""

from __future__ import annotations

import faulthandler
import json
import os
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

Emit = Callable[[dict[str, Any]], None]
_LAST_WORDS = 1500  # characters of what a process printed last
_GRACE = 2.0  # seconds for it to end when it is asked to


def can_be_apart() -> bool:
    """A process that has torch has threads and perhaps a device: it can't be divided."""
    return "torch" not in sys.modules and hasattr(os, "fork")


def run_apart(work: Callable[[Emit], None], take: Emit, limit: Callable[[], float]) -> str:
    """Run `work` in a process of its own and hand each event that it emits to `take`, here.

    Args:
        limit: How many seconds without an event count as hanging, now.

    Returns:
        Nothing if it came to its end, else how it ended, and what it printed last.
    """
    with tempfile.TemporaryFile() as printed:
        reading, writing = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _be_the_child(work, writing, printed)
        os.close(writing)
        ended = ""
        try:
            if not _listen(reading, take, limit):
                ended = f"gave no sign of life for {limit():g} s"
        finally:
            os.close(reading)
            status = _end(child)
        if not ended and status != 0:
            ended = _how(status)
        return f"{ended}\n{_last_words(printed)}".strip() if ended else ""


def _be_the_child(work: Callable[[Emit], None], writing: int, printed: BinaryIO) -> None:
    """Work, and leave without what Python and device libraries do at exit: it may hang."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the other process ends this one
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.dup2(printed.fileno(), 1)
        os.dup2(printed.fileno(), 2)
        sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        faulthandler.enable()
        with os.fdopen(writing, "w") as pipe:

            def emit(event: dict[str, Any]) -> None:
                pipe.write(json.dumps(event) + "\n")
                pipe.flush()

            work(emit)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _listen(reading: int, take: Emit, limit: Callable[[], float]) -> bool:
    """Take events until there are no more; False if there was none for so long."""
    rest = b""
    while select.select([reading], [], [], limit())[0]:
        data = os.read(reading, 1 << 16)
        if not data:
            return True
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            take(json.loads(line))
    return False


def _end(child: int) -> int:
    """Wait for a process that is at its end, else end it."""
    for number in (0, signal.SIGTERM, signal.SIGKILL):
        if number:
            os.kill(child, number)
        waited = time.monotonic() + _GRACE
        while number == signal.SIGKILL or time.monotonic() < waited:
            done, status = os.waitpid(child, 0 if number == signal.SIGKILL else os.WNOHANG)
            if done:
                return status
            time.sleep(0.01)
    raise AssertionError("a killed process ends")


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"ended with exit code {os.WEXITSTATUS(status)}"


def _last_words(printed: BinaryIO) -> str:
    printed.seek(0)
    return printed.read().decode(errors="replace").strip()[-_LAST_WORDS:]
