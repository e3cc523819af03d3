"""python -m tests.fuzz: libFuzzer on the graph door of the stand-in and on the kernel in each of its versions; nonzero
when something was found. `make fuzz FUZZ="-max_total_time=600"`."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.kernels.test_kernel_versions import HERE
from tests.programs import ROOT

BUILD = ROOT / "build" / "fuzz"
SECONDS = {"graph": 150, "kernel": 50}  # of each run; FUZZ says otherwise
OPTIONS = ("-timeout=10", "-rss_limit_mb=2048", "-max_len=4096", "-print_final_stats=1")
MISSING = "the fuzzers need Clang with its libFuzzer: apt-get install clang libclang-rt-14-dev (or of another version)"
PULSE = re.compile(r"#(\d+)\s.*cov: (\d+).*corp: (\d+).*exec/s: (\d+)")


VECTOR = "ASCEND_MOE_GATING_VECTOR"
SETTINGS = {  # a device of 256 KiB, so that what is too large is found to be so, and is not slow
    "ASCEND_MOE_GATING_SIMULATOR_MEMORY": "262144",
    "ASAN_OPTIONS": "allocator_may_return_null=1:detect_leaks=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def environment(vector: str = "") -> dict[str, str]:
    """Of a run, of this version of the kernel."""
    return {**os.environ, **SETTINGS, VECTOR: vector}


def build() -> None:
    """The fuzzers, which takes minutes when it is done first.

    Raises:
        SystemExit: there is no Clang, or it has no libFuzzer.
    """
    compiler = shutil.which("clang++")
    probe = 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char *, unsigned long) { return 0; }'
    command = [str(compiler), "-fsanitize=fuzzer,address", "-x", "c++", "-", "-o", os.devnull]
    if compiler is None or subprocess.run(command, input=probe, text=True, capture_output=True).returncode != 0:
        sys.exit(MISSING)
    cmake = Path(sys.executable).with_name("cmake")
    print("building, which takes some minutes when it is done first", flush=True)
    configure = [cmake, "-S", ROOT, "-B", BUILD, "-DFUZZ=ON", f"-DCMAKE_CXX_COMPILER={compiler}"]
    subprocess.run(configure, check=True, stdout=subprocess.DEVNULL)
    targets = ["--target", "fuzz_graph", "fuzz_kernel"]
    subprocess.run([cmake, "--build", BUILD, "-j2", *targets], check=True, stdout=subprocess.DEVNULL)


def seeds(target: str) -> Path:
    """The folder of what a fuzzer starts with, beside what it has found to be interesting itself."""
    folder = BUILD / "seeds" / target
    if target == "graph" and not folder.exists():
        subprocess.run([sys.executable, "-m", "tests.fuzz.seeds", folder], check=True, cwd=ROOT)
    if target == "kernel" and not folder.exists():
        folder.mkdir(parents=True)
        for number in range(64):
            (folder / str(number)).write_bytes(random.Random(number).randbytes(60 + 8 * number))
    return folder


class Run:
    """One fuzzer for some time. `findings` are the files that it has written of what ended it."""

    def __init__(self, target: str, vector: str = "") -> None:
        self.target, self.vector = target, vector
        self.name = f"{target} {vector}".strip()
        self.executions, self.edges, self.corpus = 0, 0, 0
        self.findings: list[Path] = []
        self.status: int | None = None  # None until it has ended by itself
        self.last: list[str] = []
        self.due = 0.0  # when the next line of progress is

    def command(self, options: list[str]) -> list[str]:
        corpus, found = BUILD / "corpus" / self.target, BUILD / "findings" / self.target
        for folder in (corpus, found):
            folder.mkdir(parents=True, exist_ok=True)
        limit = f"-max_total_time={SECONDS[self.target]}"
        fuzzer = BUILD / f"fuzz_{self.target}"
        folders = [corpus, seeds(self.target), *(ROOT / "tests" / "fuzz" / "found").glob(self.target)]
        return [str(a) for a in (fuzzer, *OPTIONS, limit, *options, f"-artifact_prefix={found}/", *folders)]

    def lines(self, options: list[str]) -> Iterator[str]:
        with subprocess.Popen(
            self.command(options), env=environment(self.vector), text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            yield from process.stdout
        self.status = process.returncode

    def fuzz(self, options: list[str]) -> None:
        """Run it, with a line of progress; the interesting ones of its inputs are kept for the next time."""
        for line in self.lines(options):
            self.take(line)
        if sys.stdout.isatty():
            print()

    def take(self, line: str) -> None:
        """Read a line that libFuzzer has written."""
        if pulse := PULSE.match(line):
            self.executions, self.edges, self.corpus = (int(pulse[i]) for i in (1, 2, 3))
            text = f"{self.executions:,} executions, {pulse[4]}/s, {self.edges:,} edges, {self.corpus:,} inputs kept"
            self.show(f"{self.name}: {text}")
        elif written := re.search(r"Test unit written to (\S+)", line):
            self.findings.append(Path(written[1]))
        elif not line.startswith(("INFO", "\tNEW_", "NEW_")):
            self.last = [*self.last[-60:], line]

    def show(self, text: str) -> None:
        """On a terminal in one line, in a log now and then."""
        terminal, now = sys.stdout.isatty(), time.monotonic()
        if now >= self.due:
            self.due = now + (0.2 if terminal else 20)
            print(f"\r{text} " if terminal else text, end="" if terminal else "\n", flush=True)

    def report(self) -> str:
        text = f"{self.name:18}{self.executions:12,} executions {self.edges:8,} edges {self.corpus:6,} inputs"
        if not self.status:
            return f"{text}   nothing found{'' if self.status == 0 else ', interrupted'}"
        what = [line for line in self.last if re.search(r"SUMMARY|runtime error|refused|DEMAND|ERROR:|\.h:\d+: ", line)]
        text += "".join(f"\n    {line.strip()}" for line in what[:4])
        settings = [f"{name}={value}" for name, value in SETTINGS.items()]
        settings += [f"{VECTOR}={self.vector}"] if self.vector else []
        for file in self.findings:
            text += f"\n    again: {' '.join(settings)} {BUILD}/fuzz_{self.target} {file}"
        return text


def main(options: list[str]) -> int:
    """Whether something was found."""
    build()
    runs = [Run("graph"), *(Run("kernel", vector) for vector in HERE)]
    with contextlib.suppress(KeyboardInterrupt):
        for run in runs:
            run.fuzz(options)
    print("", *(run.report() for run in runs), sep="\n")
    return int(any(run.status for run in runs))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
