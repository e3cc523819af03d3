"""How far the run is: a line on standard error that is written over on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import shutil
import sys
import time

_BAR = 24
_EVERY = 15.0  # seconds between lines where there is no terminal


class Progress:
    def __init__(self, quiet: bool = False) -> None:
        self._terminal = sys.stderr.isatty()
        self._quiet = quiet
        self._begun = self._shown = time.monotonic()
        self._width = 0

    def show(self, done: int, planned: int, where: str) -> None:
        now = time.monotonic()
        if self._quiet or now - self._shown < (0.1 if self._terminal else _EVERY):
            return
        self._shown = now
        share = done / max(planned, 1)
        text = f"{done} of {planned} checks, {now - self._begun:.0f} s, {where}"
        if not self._terminal:
            print(f"verify: {text}", file=sys.stderr, flush=True)
            return
        filled = int(share * _BAR)
        line = f"[{'#' * filled}{'.' * (_BAR - filled)}] {text}"[: shutil.get_terminal_size().columns - 1]
        print(f"\r{line.ljust(self._width)}", end="", file=sys.stderr, flush=True)
        self._width = len(line)

    def clear(self) -> None:
        if self._terminal and self._width:
            print(f"\r{' ' * self._width}\r", end="", file=sys.stderr, flush=True)
            self._width = 0
