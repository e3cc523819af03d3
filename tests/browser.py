"""A headless Chromium, where the machine has one: a page can be measured as it is drawn."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"),
)


def program() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def measure(page: Path, expression: str, width: int, height: int = 1000) -> Any:
    """The value of an expression of JavaScript when the page, a file, has been drawn in a window of this size."""
    script = f"document.documentElement.setAttribute('measured', JSON.stringify({expression}))"
    copy = page.with_name(f"measured-{page.name}")
    copy.write_text(f"{page.read_text()}<script>addEventListener('load', () => {{ {script} }})</script>")
    with tempfile.TemporaryDirectory() as profile:
        size, where = f"--window-size={width},{height}", f"--user-data-dir={profile}"
        done = subprocess.run(
            [str(program()), *FLAGS, where, size, "--virtual-time-budget=5000", "--dump-dom", copy.as_uri()],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
    (value,) = re.findall('^<html[^>]* measured="([^"]*)"', done.stdout, re.MULTILINE)
    return json.loads(html.unescape(value))
