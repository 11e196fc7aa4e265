"""Checksums of published data files, so that a broken or another download is noticed before it is used."""

from __future__ import annotations

import hashlib
from pathlib import Path

BLOCK = 2**20

CHECKSUMS = {
    "rdkit_folder.tar.gz": "md5:e8f2168b7050652db22c976be25c450e",
    "dsgdb9nsd.xyz.tar.bz2": "sha256:3a63848ac80691bdb8d41834b575afad345b9300d7a2db0c38adb7f6eaa8360c",
    "uncharacterized.txt": "sha256:3aa5115d540b356de94791d4a74c3bf1ed91c469ecf52a4f5d7cc0506fe02e24",
    "gdb9.sdf": "sha256:98c4e97d50ac549b8c9f0b2114b348a9a944718e17e50d9a724b729f1deaa28e",
    "gdb9.sdf.csv": "sha256:73a67793e3cfa9660f001278bd019c143f57e4785db537a01811cf2ce72aa7eb",
    "rmd17.tar.bz2": "sha256:cddeea2ec2c4b22a9de16a9a65a3eeedac5b29da9c99c20bbff0153912bf922b",
}
"""By file name; who published each is in the cards ``datasets/{geom,qm9,rmd17}/README.md``."""


def verify(path: str | Path, expected: str | None = None) -> None:
    """Compare a file with a checksum; it is read block by block.

    Args:
        path: File.
        expected: ``"sha256:..."`` or ``"md5:..."``; by default that of :data:`CHECKSUMS` for the file's name.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is another one, no checksum is known for its name, or the checksum is malformed.
    """
    path = Path(path)
    if expected is None and path.name not in CHECKSUMS:
        raise ValueError(f"No checksum is known for a file named {path.name!r}; known are {sorted(CHECKSUMS)}")
    algorithm, _, digest = (expected or CHECKSUMS[path.name]).lower().partition(":")
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
