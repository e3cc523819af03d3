"""python -m tests.fuzz: libFuzzer on the graph door of the stand-in and on the kernel in each of its versions; nonzero
when something was found. `make fuzz FUZZ="-max_total_time=600"`."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.kernels.test_kernel_versions import HERE
from tests.programs import ROOT

BUILD = ROOT / "build" / "fuzz"
SECONDS = {"graph": 150, "kernel": 50}  # of each run; FUZZ says otherwise
OPTIONS = ("-timeout=10", "-rss_limit_mb=2048", "-max_len=4096", "-print_final_stats=1")
MISSING = "the fuzzers need Clang with its libFuzzer: apt-get install clang libclang-rt-14-dev (or of another version)"
PULSE = re.compile(r"#(\d+)\s.*cov: (\d+).*corp: (\d+).*exec/s: (\d+)")


def environment(vector: str = "") -> dict[str, str]:
    """Of a run: a device of 256 KiB, so that what is too large is found to be so, and is not slow."""
    return {
        **os.environ,
        "ASCEND_MOE_GATING_SIMULATOR_MEMORY": "262144",
        "ASCEND_MOE_GATING_VECTOR": vector,
        "ASAN_OPTIONS": "allocator_may_return_null=1:detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }


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
        self.last: list[str] = []

    def command(self, options: list[str]) -> list[str]:
        corpus, found = BUILD / "corpus" / self.target, BUILD / "findings" / self.target
        for folder in (corpus, found):
            folder.mkdir(parents=True, exist_ok=True)
        time = [f"-max_total_time={SECONDS[self.target]}"]
        fuzzer = BUILD / f"fuzz_{self.target}"
        folders = [corpus, seeds(self.target), ROOT / "tests" / "fuzz" / "found" / self.target]
        return [str(a) for a in (fuzzer, *OPTIONS, *time, *options, f"-artifact_prefix={found}/", *folders)]

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
            if pulse := PULSE.match(line):
                self.executions, self.edges, self.corpus = (int(pulse[i]) for i in (1, 2, 3))
                print(f"\r{self.name}: {self.executions:,} executions, {pulse[4]}/s, {self.edges:,} edges, "
                      f"{self.corpus:,} inputs kept ", end="", flush=True)  # fmt: skip
            elif written := re.search(r"Test unit written to (\S+)", line):
                self.findings.append(Path(written[1]))
            elif not line.startswith(("INFO", "\tNEW_", "NEW_")):
                self.last = [*self.last[-60:], line]
        print()

    def report(self) -> str:
        text = f"{self.name:18}{self.executions:12,} executions {self.edges:8,} edges {self.corpus:6,} inputs"
        if not self.status:
            return f"{text}   nothing found"
        what = [line for line in self.last if re.search(r"SUMMARY|runtime error|refused|DEMAND|ERROR:|\.h:\d+: ", line)]
        text += "".join(f"\n    {line.strip()}" for line in what[:4])
        settings = [f"{n}={environment(self.vector)[n]}" for n in environment() if n not in os.environ or "VECTOR" in n]
        for file in self.findings:
            text += f"\n    again: {' '.join(settings)} {BUILD}/fuzz_{self.target} {file}"
        return text


def main(options: list[str]) -> int:
    """Whether something was found."""
    build()
    runs = [Run("graph"), *(Run("kernel", vector) for vector in HERE)]
    for run in runs:
        run.fuzz(options)
    print(*(run.report() for run in runs), sep="\n")
    return int(any(run.status for run in runs))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
