"""A release, step by step: `make release` walks through the list of RELEASE.md.

python -m tests.release [--again]     run the steps that have not passed for this commit, and stop at one that fails
python -m tests.release --list        the steps, and which of them have passed
python -m tests.release --version     whether pyproject.toml, CHANGELOG.md and the tags agree on what is released
python -m tests.release --number      the version
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PASSED = ROOT / "build" / "release.json"


@dataclass(frozen=True)
class Step:
    """What has to hold, and what makes or shows it: commands of the shell, or a person's word."""

    text: str
    commands: tuple[str, ...]
    asks: bool


def steps(text: str) -> list[Step]:
    """The steps of RELEASE.md: an item of its list each.

    Raises:
        ValueError: a step has neither a command nor the mark [ask].
    """
    found = []
    for item in re.split(r"^- ", text, flags=re.MULTILINE)[1:]:
        said = " ".join(re.findall(r"^ {0,2}(\S.*)$", item, re.MULTILINE))
        step = Step(said.removesuffix(" [ask]"), tuple(re.findall(r"^ {6}(.*)$", item, re.MULTILINE)), "[ask]" in said)
        if not (step.commands or step.asks):
            raise ValueError(f"a step of RELEASE.md must have a command or [ask], got {said!r}")
        found.append(step)
    return found


def number() -> str:
    """The version in pyproject.toml."""
    return re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[0]


def disagreement(version: str, changelog: str, tags: list[str], today: datetime.date) -> str:
    """Why this is not what can be released today, or nothing."""
    first = re.findall(r"^## (.*)$", changelog, re.MULTILINE)[0]
    if first != f"{version}, {today}":
        return f"the first heading of CHANGELOG.md must be '## {version}, {today}', got '## {first}'"
    if f"v{version}" in tags:
        return f"version must be one that is not released, got {version}, which is the tag v{version}"
    return ""


def walk(steps: list[Step], passed: dict[str, str], commit: str) -> bool:
    """Go on with the steps that have not passed for this commit; what passes is noted in `passed`."""
    for place, step in enumerate(steps, 1):
        print(f"\n[{place}/{len(steps)}] {step.text}", flush=True)
        if passed.get(step.text) == commit:
            print("    has passed")
            continue
        for command in step.commands:
            print(f"    $ {command}", flush=True)
            if subprocess.run(command, shell=True, cwd=ROOT, executable="/bin/bash", check=False).returncode != 0:
                print(f"\nStopped: {command} failed. `make release` goes on from here.")
                return False
        if step.asks and input("    Is it so? [y/N] ").strip().lower() not in ("y", "yes"):
            print("\nStopped. `make release` goes on from here.")
            return False
        passed[step.text] = commit
        PASSED.parent.mkdir(exist_ok=True)
        PASSED.write_text(json.dumps(passed, indent=1))
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    choice = parser.add_mutually_exclusive_group()
    for option in ("again", "list", "version", "number"):
        choice.add_argument(f"--{option}", action="store_true")
    asked = parser.parse_args()
    if asked.number:
        print(number())
        return 0
    if asked.version:
        changelog = (ROOT / "CHANGELOG.md").read_text()
        wrong = disagreement(number(), changelog, _git("tag").split(), datetime.date.today())
        print(wrong or f"version {number()} can be released")
        return int(bool(wrong))
    commit = _git("rev-parse", "HEAD").strip()
    passed = {} if asked.again or not PASSED.is_file() else json.loads(PASSED.read_text())
    todo = steps((ROOT / "RELEASE.md").read_text())
    if asked.list:
        for step in todo:
            print(f"[{'x' if passed.get(step.text) == commit else ' '}] {step.text}")
        return 0
    return 0 if walk(todo, passed, commit) else 1


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
