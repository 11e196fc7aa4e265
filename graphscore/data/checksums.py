"""Checksums of published data files, to detect damaged or wrong downloads."""

from __future__ import annotations

import hashlib
from pathlib import Path

from graphscore.domains import gather

BLOCK = 2**20


def verify(path: str | Path, expected: str | None = None) -> None:
    """Check that a file has the expected checksum.

    Args:
        path: File.
        expected: ``"sha256:..."`` or ``"md5:..."``; by default the checksum that a domain gives for the file's name.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the checksum differs, none is known for the file's name, or the expected one is malformed.
    """
    path = Path(path)
    if expected is None and path.name not in (known := gather("checksums")):
        raise ValueError(f"No checksum is known for a file named {path.name!r}; known are {sorted(known)}")
    algorithm, _, digest = (known[path.name] if expected is None else expected).lower().partition(":")
    if algorithm not in ("sha256", "md5") or not digest:
        raise ValueError(f"Expected a checksum 'sha256:...' or 'md5:...', but got {expected!r}")
    found = file_digest(path, algorithm)
    if found != digest:
        raise ValueError(
            f"{path} is not the published file: its {algorithm} is {found}, but {digest} was expected; "
            "download it again"
        )


def file_digest(path: str | Path, algorithm: str = "sha256") -> str:
    """Compute the checksum of a file, in hexadecimal digits."""
    # Some publishers give MD5 alone, which detects damaged downloads but not forged ones.
    state = hashlib.new(algorithm, usedforsecurity=False)
    with Path(path).open("rb") as file:
        while block := file.read(BLOCK):
            state.update(block)
    return state.hexdigest()
