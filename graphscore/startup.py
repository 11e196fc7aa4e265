"""A quick start for commands that are done in a moment, and for workers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

# Half of the time that PyTorch Geometric takes to import goes into these, of which sampling needs nothing.
SLOW = ("torch._dynamo", "torch_geometric.datasets")


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
