"""Settings of the process: what they change, where they must not, and that they ask for nothing in vain."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import graphscore
from graphscore.runtime import settings as runtime
from graphscore.runtime.cores import SHORTEST

PROGRAM = """
import contextlib, io, json, resource, torch
from graphscore.runtime import settings as runtime

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for first in range(4):
        [torch.ones(4_000_000 * (1 + (first + k) % 4)) for k in range(4)]  # 16 to 64 MB, in changing places
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

rounds = [faults() for _ in range(6)]
# Most of all rounds: by chance, free places of the heap may fit all blocks of a round.
found = {"untouched": max(rounds[1:]), "before": torch.get_float32_matmul_precision()}
output = io.StringIO()
with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
    prepared = runtime.prepare(medium_products=True)
rounds = [faults() for _ in range(6)]
# Least of all rounds: the kernel may reclaim pages at any time, whatever the allocator does.
found |= {"prepared": prepared._asdict(), "tuned": min(rounds[1:]), "after": torch.get_float32_matmul_precision()}
found |= {"again": runtime.keep_freed_memory(), "printed": output.getvalue(), "exact": runtime.exact_medium_products()}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found():
    """Findings of a fresh process before and after :func:`graphscore.runtime.settings.prepare`."""
    pytest.importorskip("resource")
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_", "LD_PRELOAD"))}
    environment = plain | {"PYTHONPATH": str(Path(graphscore.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    output = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, check=True).stdout
    return json.loads(output)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that gives memory back")
def test_freed_memory_is_kept_and_not_faulted_in_again(found):
    assert found["prepared"]["keeps_memory"] is found["again"] is True
    assert found["untouched"] > 4 * 20  # at least the largest block, in pages of at most 2 MB
    assert found["tuned"] < found["untouched"] / 20


def test_preparing_leaves_products_alone_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr(runtime, "keep_freed_memory", lambda: True)
    before = torch.get_float32_matmul_precision()
    assert not runtime.prepare().medium_products and torch.get_float32_matmul_precision() == before


def test_preparing_takes_medium_products_just_where_they_are_exact_and_prints_nothing(found):
    assert found["before"] == "highest"
    assert found["after"] == ("medium" if found["exact"] else "highest")
    assert found["prepared"]["medium_products"] == found["exact"]
    assert found["prepared"]["hint"] is None  # of one thread
    assert found["printed"] == ""


def library(**functions: int) -> SimpleNamespace:
    """A stand-in for a loaded library with functions that return the given numbers."""
    return SimpleNamespace(
        **{name: ctypes.CFUNCTYPE(ctypes.c_int)(lambda value=value: value) for name, value in functions.items()}
    )


@pytest.mark.parametrize("case", ["no glibc", "musl", "another allocator"])
def test_only_an_allocator_of_glibc_that_is_in_use_is_told(case, monkeypatch):
    libc = library(malloc=0) if case == "musl" else library(malloc=0, mallopt=1)
    used = library(malloc=0) if case == "another allocator" else libc

    def load(name):
        if name is not None and case == "no glibc":
            raise OSError(f"{name}: cannot open shared object file")
        return used if name is None else libc

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert runtime.keep_freed_memory() is False


@pytest.mark.parametrize("precision", ["highest", "medium"])
def test_whether_medium_products_are_exact_is_what_random_products_show(precision):
    previous = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision(precision)
        answer = runtime.exact_medium_products()
        assert torch.get_float32_matmul_precision() == precision
        torch.set_float32_matmul_precision("medium")
        a, b = torch.randn(700, 256), torch.randn(256, 256)
        error = ((a @ b).double() - a.double() @ b.double()).norm() / (a.double() @ b.double()).norm()
    finally:
        torch.set_float32_matmul_precision(previous)
    assert answer == bool(error < 1e-6)


def test_products_that_drop_digits_are_found():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not runtime.exact_medium_products()
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("kind", ["cuda", "xpu"])
def test_beside_a_gpu_medium_products_are_not_exact(kind, monkeypatch):
    monkeypatch.setattr(getattr(torch, kind), "is_available", lambda: True)
    assert not runtime.exact_medium_products()


@pytest.mark.parametrize(
    ("name", "num_gpus", "wanted"),
    [
        ("auto", 0, "cpu"),
        ("auto", 2, "cuda"),
        ("cpu", 2, "cpu"),
        ("cuda", 1, "cuda"),
        ("cuda:1", 2, "cuda:1"),
        ("cuda", 0, "'cuda' is not there: PyTorch finds no CUDA GPU"),
        ("cuda:0", 0, "'cuda:0' is not there: PyTorch finds no CUDA GPU"),
        ("cuda:1", 1, "'cuda:1' is not there: PyTorch finds cuda:0$"),
        ("cuda:2", 2, "'cuda:2' is not there: PyTorch finds cuda:0 to cuda:1"),
        *(
            (name, 2, f"Unknown device '{name}'; expected auto")
            for name in ("mps", "gpu", "", "cuda:", "cuda:-1", "CPU", "cpu:0")
        ),
    ],
)
def test_a_device_is_chosen_by_name_and_auto_never_takes_one_without_float64(name, num_gpus, wanted, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: num_gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: num_gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    if " " in wanted:
        with pytest.raises(ValueError, match=wanted):
            runtime.choose_device(name)
    else:
        assert runtime.choose_device(name) == torch.device(wanted)


@pytest.mark.parametrize(
    ("threads", "cores", "busy", "advice"),
    [
        (2, 2, 0.0, None),
        (2, 2, 0.4, None),
        (2, 2, 1.0, 1),
        (2, 2, 7.3, 1),
        (1, 2, 7.3, None),
        (8, 16, 8.0, None),
        (16, 16, 1.0, 15),
        (2, 2, None, None),
    ],
)
def test_a_hint_is_given_where_threads_outnumber_the_cores_left(threads, cores, busy, advice, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(runtime, "_busy_cores", lambda: busy)
    hint = runtime.busy_hint()
    assert hint is None if advice is None else hint.endswith(f"set OMP_NUM_THREADS={advice}")


@pytest.mark.parametrize(("variable", "threads"), [(None, 3), ("4", None)])
def test_fewer_threads_are_taken_and_told_unless_somebody_chose_their_number(variable, threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(runtime, "_busy_cores", lambda: 1.0)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    chosen: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    assert runtime.prepare().hint.endswith("set OMP_NUM_THREADS=3") and not chosen
    hint = runtime.prepare(spare_cores=True).hint
    assert ("computing on 3 of 4 threads" in hint) == (threads is not None)
    assert chosen == ([] if threads is None else [threads])


class Watch:
    """A watch that finds what a test says, and an age that a test says."""

    def __init__(self, age: float | None, *found: float | None) -> None:
        self.age, self.found = age, list(found)

    def seconds(self) -> float | None:
        return self.age

    def others(self) -> float | None:
        return self.found.pop(0)


@pytest.mark.parametrize(
    ("age", "found", "waited"),
    [(5.0, (1.5,), 0), (0.01, (None, 1.5), 1), (3600.0, (0.1, 1.5), 1)],
    ids=["since the start of a command", "a moment", "an hour, of which the average says little"],
)
def test_what_others_use_is_measured_over_a_while_that_tells_of_now(age, found, waited, monkeypatch):
    sleeps: list[float] = []
    monkeypatch.setattr(time, "sleep", sleeps.append)
    monkeypatch.setattr(os, "getloadavg", lambda: (9.0, 9.0, 9.0), raising=False)  # of this process perhaps
    monkeypatch.setattr(runtime, "SINCE_START", Watch(age, *found))
    assert runtime._busy_cores() == 1.5
    assert sleeps == [SHORTEST] * waited


def test_where_the_kernel_does_not_tell_the_load_does_or_there_is_no_hint(monkeypatch):
    monkeypatch.setattr(runtime, "SINCE_START", Watch(None))
    monkeypatch.setattr(os, "getloadavg", lambda: (1.7, 1.2, 1.0), raising=False)
    assert runtime._busy_cores() == 1.7
    monkeypatch.delattr(os, "getloadavg")
    assert runtime._busy_cores() is None


@pytest.fixture
def threads(monkeypatch):
    """PyTorch's numbers of threads on a machine of four cores: the first, then each that was set."""
    chosen = [4]
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(runtime, "_THREADS", 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: chosen[-1])
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    return chosen


def test_threads_follow_what_others_leave_in_both_directions(threads, monkeypatch):
    now = [100.0]
    watch = Watch(None, 0.0, 1.2, 1.3, None, 9.0, 0.1)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(runtime, "CoreWatch", lambda: watch)
    spare = runtime.SpareThreads()
    spare.adapt()
    assert len(watch.found) == 6  # it is not time yet
    seen = []
    while watch.found:
        now[0] += spare.SECONDS
        spare.adapt()
        spare.adapt()  # nor is it here
        seen.append(threads[-1])
    assert seen == [4, 2, 2, 2, 1, 4]
    assert threads == [4, 2, 1, 4]  # set only when they change: a new team of threads costs time


def test_whoever_sets_a_number_of_threads_keeps_it_while_others_compute(threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setattr(runtime, "CoreWatch", lambda: Watch(None, *[3.0] * 9))
    monkeypatch.setattr(runtime.SpareThreads, "SECONDS", 0.0)
    spare = runtime.SpareThreads()
    for _ in range(3):
        spare.adapt()
    assert threads == [4]
