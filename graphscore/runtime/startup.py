"""Settings made before PyTorch is imported: lazy modules, sleep of waiting threads, and garbage collection."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

# These take half of the time to import PyTorch Geometric, and sampling does not need them.
SLOW = ("torch._dynamo", "torch_geometric.datasets")

# Turns of the loop in which a thread of GNU OpenMP waits for others before it sleeps, about 0.1 ms; its default is
# 300,000. Measured by tests/benchmarks/bench_busy.py.
SPINS = 10_000

# New objects between two collections of garbage, by generation; by default 700 to 2,000, 10, 10. Importing
# PyTorch, PyTorch Geometric and RDKit makes many objects that stay, and each collection looks through them again.
OBJECTS = (50_000, 20, 20)


def let_waiting_threads_sleep() -> None:
    """Let waiting OpenMP threads sleep early, which frees their cores on a busy machine.

    A tensor operation ends when its last thread does. Threads that spin while they wait take the core from the one
    that they wait for, if other processes use cores too. The setting concerns GNU OpenMP, which comes with PyTorch on
    Linux and reads it once, when PyTorch loads it. It is not made if the user has set ``OMP_WAIT_POLICY``,
    ``OMP_NUM_THREADS`` or ``GOMP_SPINCOUNT``.
    """
    if not {"OMP_WAIT_POLICY", "OMP_NUM_THREADS"} & os.environ.keys():
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))


def collect_garbage_seldom() -> None:
    """Let Python look for garbage, objects that refer to each other, seldom enough not to slow imports down."""
    gc.set_threshold(*OBJECTS)


@contextmanager
def postponed(*names: str) -> Iterator[None]:
    """Load modules lazily: an import inside the ``with`` block runs when an attribute of the module is first used."""
    finder = _Postponer(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Postponer(PathFinder):
    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def find_spec(  # pyright: ignore[reportIncompatibleMethodOverride]: an instance, for its names
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname in self.names else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec
