"""Settings of glibc's allocator, which are read once: when a process starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ALLOCATORS = {
    "default": {},
    # Freed blocks are kept: large tensors are not mapped, and faulted in page by page, anew each time.
    "tuned": {
        "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**34), "MALLOC_TOP_PAD_": str(2**28),
    },
}  # fmt: skip


def restart_with(name: str) -> None:
    """Start this program again with the settings of that name, unless it has them."""
    settings = ALLOCATORS[name]
    if any(os.environ.get(key) != value for key, value in settings.items()):
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **settings})


@contextmanager
def default_for_new_processes() -> Iterator[None]:
    """Processes that start inside the ``with`` block do so without any of the settings."""
    kept = {key: os.environ.pop(key) for key in ALLOCATORS["tuned"] if key in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
