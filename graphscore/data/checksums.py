"""Checksums of published data files, so that a broken or another download is noticed before it is used."""

from __future__ import annotations

import hashlib
from pathlib import Path

from graphscore.domains import gather

BLOCK = 2**20


def verify(path: str | Path, expected: str | None = None) -> None:
    """Compare a file with a checksum; it is read block by block.

    Args:
        path: File.
        expected: ``"sha256:..."`` or ``"md5:..."``; by default what the domains know for the file's name.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is another one, no checksum is known for its name, or the checksum is malformed.
    """
    path = Path(path)
    if expected is None and path.name not in (known := gather("checksums")):
        raise ValueError(f"No checksum is known for a file named {path.name!r}; known are {sorted(known)}")
    algorithm, _, digest = (known[path.name] if expected is None else expected).lower().partition(":")
    if algorithm not in ("sha256", "md5") or not digest:
        raise ValueError(f"Expected a checksum 'sha256:...' or 'md5:...', but got {expected!r}")
    # MD5 is what some publishers give; it notices broken downloads, not forgeries.
    state = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            state.update(block)
    if state.hexdigest() != digest:
        raise ValueError(
            f"{path} is not the published file: its {algorithm} is {state.hexdigest()}, but {digest} was expected; "
            "download it again"
        )
