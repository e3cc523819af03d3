"""The tests on pairs of torch and torch_npu, each in an environment of its own that is set up from nothing.

    python -m tests.pairs [--keep] [--write] torch+torch_npu ... [-- arguments of pytest]

They have the Python that runs this. What happened is printed as a table. With --write it also goes to tests/pairs.json
and from there into docs/supported.md. An environment takes about 8 GB: there is one at a time, removed when its tests
have ended, unless --keep is given.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
import venv
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PAGE = ROOT / "tests" / "pairs.json", ROOT / "docs" / "supported.md"
PYTHON = ".".join(platform.python_version_tuple()[:2])
PRINTED: dict[str, Any] = {"capture_output": True, "text": True, "check": True}
BEGIN, END = "<!-- pairs: made by `make pairs` -->\n", "<!-- /pairs -->\n"


def requirements() -> list[str]:
    """What the tests need besides torch and torch_npu: the project's own list of it."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "torch=", "torch_npu="))]


def set_up(pair: str, folder: Path) -> Path:
    """An environment with this pair and the package as a user installs it; gives its Python."""
    torch, torch_npu = pair.split("+", 1)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, f"torch=={torch}", *requirements()], check=True)
    # torch_npu's wheels want the CPU build torch==X+cpu, by a name that the index of torch_npu does not have.
    subprocess.run([*pip, "--no-deps", f"torch_npu=={torch_npu}"], check=True)
    subprocess.run([*pip, f"{ROOT}[npu]"], check=True)
    remedy_keys(python)
    return python


def remedy_keys(python: Path) -> None:
    """Where torch_npu aborts beside this build of torch, as both register the same keys: see allocator_keys.py."""
    program = "from ascend_moe_gating import simulator; simulator.load(); import torch"
    tried = subprocess.run([python, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    if "Duplicated key" in tried.stderr:
        where = subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], **PRINTED)
        packages = Path(where.stdout.strip())
        source, library = ROOT / "tests" / "allocator_keys.cpp", packages / "liballocator_keys.so"
        subprocess.run(["c++", "-shared", "-fPIC", "-O1", str(source), "-o", str(library)], check=True)
        shutil.copy(source.with_suffix(".py"), packages)
        (packages / "allocator_keys.pth").write_text("import allocator_keys\n")


def run(pair: str, folder: Path, arguments: list[str]) -> dict[str, object]:
    """Run the tests; what is skipped is counted by its reason."""
    python = set_up(pair, folder)
    report = folder / "report.xml"
    tests = [
        python,
        "-m",
        "pytest",
        "-p",
        "tests.progress",
        "--numprocesses",
        "2",
        "--dist",
        "worksteal",
        f"--junitxml={report}",
    ]
    subprocess.run([*tests, *arguments], cwd=ROOT, check=False)
    outcomes: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    if report.is_file():
        for case in ElementTree.parse(report).iter("testcase"):
            kinds = {child.tag: child for child in case}
            broken = "failure" in kinds or "error" in kinds
            outcomes["failed" if broken else "skipped" if "skipped" in kinds else "passed"] += 1
            if not broken and "skipped" in kinds:
                skipped[kinds["skipped"].get("message", "")] += 1
    else:
        outcomes["failed"] = 1  # it did not come to a report
    counts = {name: outcomes[name] for name in ("passed", "skipped", "failed")}
    return {"pair": pair, "python": PYTHON, **counts, "reasons": dict(sorted(skipped.items()))}


def row(result: dict[str, object]) -> str:
    """A line of the page's table."""
    torch, torch_npu = str(result["pair"]).split("+", 1)
    reasons = "; ".join(f"{number}: {reason}" for reason, number in result["reasons"].items())  # type: ignore[attr-defined]
    failed, skipped = result["failed"], result["skipped"]
    counts = f"{result['passed']} | {failed} | {skipped}{reasons and f' ({reasons})'}"
    return f"| {torch} | {torch_npu} | {result['python']} | {counts} |"


def table(results: list[dict[str, object]]) -> str:
    head = "| torch | torch_npu | Python | passed | failed | skipped, with the reasons |\n|---|---|---|---|---|---|\n"
    return head + "".join(row(result) + "\n" for result in results)


def order(result: dict[str, object]) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", f"{result['pair']} {result['python']}")]


def write(results: list[dict[str, object]]) -> None:
    """Take these results into the JSON, in place of earlier ones of the same pairs and Python, and from it into the
    page."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
    new = {(result["pair"], result["python"]) for result in results}
    everything = sorted([*(old for old in kept if (old["pair"], old["python"]) not in new), *results], key=order)
    RESULTS.write_text(json.dumps(everything, indent=1) + "\n")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + table(everything) + END + rest.partition(END)[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", metavar="torch+torch_npu")
    parser.add_argument("--keep", action="store_true", help="leave the environments in build/pairs")
    parser.add_argument("--write", action="store_true", help="write tests/pairs.json and the page of pairs")
    own, behind = sys.argv[1:], []
    if "--" in own:
        own, behind = own[: own.index("--")], own[own.index("--") + 1 :]
    given = parser.parse_args(own)
    for pair in given.pairs:
        if not re.fullmatch(r"\d+\.\d+\.\d+\+\d+\.\d+\.\d+(\.post\d+)?", pair):
            parser.error(f"a pair must be torch+torch_npu, as 2.10.0+2.10.0.post4, got {pair}")
    results = []
    for pair in given.pairs:
        folder = ROOT / "build" / "pairs" / pair
        try:
            results.append(run(pair, folder, behind))
        finally:
            if not given.keep:
                shutil.rmtree(folder, ignore_errors=True)
        print(table(results), flush=True)
        if given.write:
            write(results)
    sys.exit(any(result["failed"] or not result["passed"] for result in results))


if __name__ == "__main__":
    main()
