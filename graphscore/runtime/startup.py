"""Before PyTorch is loaded: slow modules are postponed, and waiting threads are told to sleep soon."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

# Half of the time that PyTorch Geometric takes to import goes into these, of which sampling needs nothing.
SLOW = ("torch._dynamo", "torch_geometric.datasets")

# Turns of the loop in which a thread of GNU OpenMP waits for others before it sleeps, some 0.1 ms; 300,000 is its own
# choice. Measured by tests/benchmarks/bench_busy.py.
SPINS = 10_000


def let_waiting_threads_sleep() -> None:
    """Let threads that wait for others sleep soon, so that those find a core on a busy machine.

    A tensor operation ends when its last thread does. Threads that spin while they wait take the core from the one
    that they wait for, if other processes use cores too. The C library of threads reads this once, when PyTorch loads
    it; whoever sets one of its variables, or a number of threads, is left alone. It concerns GNU OpenMP, which PyTorch
    brings on Linux.
    """
    if not {"OMP_WAIT_POLICY", "OMP_NUM_THREADS"} & os.environ.keys():
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))


@contextmanager
def postponed(*names: str) -> Iterator[None]:
    """Load the named modules, if something inside the ``with`` block imports them, only once an attribute is used."""
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
