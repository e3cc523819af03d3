"""The command that walks through a release, and the hooks that hold a commit to the style."""

import datetime
import json
import re
import subprocess
import sys

import pytest

from tests import release
from tests.programs import ROOT

TODAY = datetime.date(2026, 12, 1)
STEPS = release.steps((ROOT / "RELEASE.md").read_text())


@pytest.mark.parametrize("command", [command for step in STEPS for command in step.commands])
def test_a_command_of_the_list_exists(command):
    target = re.match(r"make ([\w-]+)", command)
    if target:
        assert re.search(rf"^[\w %-]*\b{target[1]}\b[\w %-]*:(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert subprocess.run(["bash", "-n", "-c", command], check=False).returncode == 0


@pytest.mark.parametrize(
    ("first", "tags", "wrong"),
    [
        ("0.2.0, 2026-12-01", ["v0.1.0"], ""),
        ("Unreleased", [], "must be '## 0.2.0, 2026-12-01', got '## Unreleased'"),
        ("0.2.0, 2026-11-30", [], "got '## 0.2.0, 2026-11-30'"),
        ("0.1.0, 2026-12-01", [], "got '## 0.1.0, 2026-12-01'"),
        ("0.2.0, 2026-12-01", ["v0.1.0", "v0.2.0"], "version must be one that is not released, got 0.2.0"),
    ],
)
def test_version_changelog_and_tags_agree(first, tags, wrong):
    said = release.disagreement("0.2.0", f"# Changelog\n\n## {first}\n\n- More.\n\n## 0.1.0\n", tags, TODAY)
    assert (wrong in said) if wrong else said == ""


def test_the_version_is_that_of_the_changelog_or_not_released_yet():
    first, *others = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert release.number() in (first.split(",")[0], "Unreleased") or first == "Unreleased"
    assert not any(other.startswith(f"{release.number()},") for other in others)


@pytest.fixture
def walked(tmp_path, monkeypatch):
    monkeypatch.setattr(release, "PASSED", tmp_path / "build" / "release.json")
    monkeypatch.setattr("builtins.input", lambda _: "y")
    return tmp_path


def test_a_step_that_fails_stops_the_release_and_the_next_call_goes_on_there(walked, capsys):
    ran = walked / "ran"
    text = f"- One.\n\n      echo 1 >> {ran}\n\n- Two.\n\n      test -e {walked}/mended\n\n- Three. [ask]\n"
    todo, passed = release.steps(text), {}
    assert not release.walk(todo, passed, "a commit")
    assert f"test -e {walked}/mended failed" in capsys.readouterr().out
    (walked / "mended").touch()
    passed = json.loads(release.PASSED.read_text())
    assert release.walk(todo, passed, "a commit")
    assert ran.read_text() == "1\n"
    assert release.walk(todo, passed, "another commit")  # for which nothing has passed
    assert ran.read_text() == "1\n1\n"


def test_a_person_may_say_no(walked, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda _: "")
    assert not release.walk(release.steps("- Is it good? [ask]\n"), {}, "a commit")
    assert not release.PASSED.exists()


def test_a_step_that_nothing_shows_is_an_error():
    with pytest.raises(ValueError, match=r"must have a command or \[ask\], got 'Just so.'"):
        release.steps("- Just so.\n")


BAD = {
    "long.py": ("# " + "word " * 30 + "\n", "ruff check"),
    "quotes.py": ("x = 'single'\n", "ruff format"),
    "spaces.md": ("white space \n", "no white space at the end of lines"),
    "braces.cpp": ("int main()\n{\nreturn 0;}\n", "clang-format"),
    "end.md": ("no newline", "one newline at the end of files"),
    "wrong.toml": ("[a\n", "TOML that parses"),
    "merge.md": ("<<<<<<< mine\nx\n", "no marks of a merge"),
}


def test_the_hooks_find_what_they_are_for(tmp_path):
    for name in (".pre-commit-config.yaml", "pyproject.toml", ".clang-format"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / ".venv").symlink_to(sys.prefix)
    for name, (text, _) in BAD.items():
        (tmp_path / name).write_text(text)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", *BAD], cwd=tmp_path, check=True)
    command = [sys.executable, "-m", "pre_commit", "run", "--files", *BAD]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    failed = set(re.findall(r"^(.*?)\.{3,}.*Failed$", ran.stdout, re.MULTILINE))
    assert failed == {hook for _, hook in BAD.values()}, ran.stdout + ran.stderr
