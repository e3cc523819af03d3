"""The libraries that the wheels are linked against, and what stands in for what they lack."""

import ctypes
import errno
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.programs import ROOT
from tests.wheels import __main__ as command
from tests.wheels import installed, stubs
from tests.wheels.baseline import Symbol, defined, number, old_enough


def of_this_machine(name):
    """The path of a library that this process has, before glibc 2.34 as libc-2.31.so."""
    ctypes.CDLL(name)
    paths = {Path(line.split()[-1]) for line in Path("/proc/self/maps").read_text().splitlines()}
    pattern = re.escape(name.split(".so")[0]) + r"(-[\d.]+)?\.so.*"
    return next(path for path in paths if re.fullmatch(pattern, path.name))


@pytest.mark.parametrize("name", stubs.LIBRARIES)
def test_each_symbol_is_there_once_in_the_newest_version_that_is_old_enough(name):
    path = of_this_machine(name)
    chosen = stubs.oldest(path)
    assert len({symbol.name for symbol in chosen}) == len(chosen) > 20
    every = list(defined(path))
    for symbol in chosen[::25]:
        versions = [other.version for other in every if other.name == symbol.name and old_enough(other.version)]
        assert symbol.version == max(versions, key=number)


def test_what_only_old_binaries_find_is_left_out():
    path = of_this_machine("libgcc_s.so.1")
    assert all(symbol.default for symbol in defined(path) if symbol.name == "_Unwind_Resume")
    hidden = {symbol.name for symbol in defined(path)} - {symbol.name for symbol in defined(path) if symbol.default}
    assert hidden.isdisjoint(symbol.name for symbol in stubs.oldest(path))


def test_what_has_moved_into_libc_is_where_it_was():
    names = ("pthread_create", "dlsym", "memcpy", "sem_post", "shm_open")
    symbols = [Symbol(name, "GLIBC_2.2.5", "STT_FUNC", True) for name in names]
    create, dlsym, memcpy, post, shm_open = symbols
    assert stubs.homes("libc.so.6", symbols) == {
        "libc.so.6": [memcpy], "libpthread.so.0": [create, post], "libdl.so.2": [dlsym], "librt.so.1": [shm_open],
    }  # fmt: skip
    assert stubs.homes("libm.so.6", symbols) == {"libm.so.6": symbols}


def test_the_lists_for_the_assembler_and_the_linker():
    symbols = [Symbol("f", "A_1", "STT_FUNC", True), Symbol("t", "A_2", "STT_TLS", True), Symbol("g", "A_1", "", True)]
    assert stubs.script(symbols) == 'A_1 { "f"; "g"; };\nA_2 { "t"; };\n'
    assert stubs.source(symbols[:1]) == ".text\n.type f, %function\n.globl f\nf:\n.zero 8\n"
    assert stubs.source(symbols[1:2]).startswith('.section .tbss, "awT", %nobits\n.type t, %tls_object\n')


class Time(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]  # noqa: RUF012


@pytest.mark.needs("a compiler")
def test_waiting_by_a_clock_without_glibcs_own(tmp_path):
    options = ["-std=c++17", "-shared", "-fPIC", "-D_GLIBCXX_USE_CXX11_ABI=0"]
    subprocess.run(["c++", *options, stubs.SINCE, "-o", tmp_path / "since.so"], check=True)
    since, libc = ctypes.CDLL(str(tmp_path / "since.so")), ctypes.CDLL(None)
    condition, mutex = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)  # zeros initialize both
    for clock in (time.CLOCK_MONOTONIC, time.CLOCK_REALTIME):
        for wait in (0.15, 0.0, -0.15, -1.9):
            start = time.clock_gettime(clock)
            until = Time(int(start + wait), int((start + wait) % 1 * 1e9))
            libc.pthread_mutex_lock(mutex)
            code = since.pthread_cond_clockwait(condition, mutex, clock, ctypes.byref(until))
            libc.pthread_mutex_unlock(mutex)
            assert code == errno.ETIMEDOUT
            assert wait - 0.001 <= time.clock_gettime(clock) - start < 5


def test_a_path_without_compilers(tmp_path, monkeypatch):
    names = ["gcc", "g++-12", "aarch64-linux-gnu-g++", "c++", "clang++-14", "x86_64-linux-gnu-ld", "cmake"]
    for name in [*names, "git", "make", "ccache", "python3"]:
        (tmp_path / name).touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:{tmp_path}/missing:{ROOT / 'tests' / 'wheels'}")
    found = {link.name for link in installed.programs(tmp_path / "programs").iterdir()}
    assert found >= {"git", "make", "ccache", "python3", "stubs.py"}
    assert found.isdisjoint(names)


def test_missing_programs_are_named_with_the_command_that_installs_them(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None if "aarch64" in name else name)
    with pytest.raises(SystemExit, match=r"apt-get install g[+][+]-12-aarch64-linux-gnu qemu-user"):
        command.demand_programs()
