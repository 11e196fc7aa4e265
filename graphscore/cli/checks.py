"""Checks of the files that a command names. They need no PyTorch, so that a wrong name is answered in a moment."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from graphscore.data.readers import check_input
from graphscore.data.writers import check_output
from graphscore.runtime.checkpoint import find_checkpoint


def check_files(
    reads: Iterable[Path | None] = (),
    checkpoint: Path | None = None,
    writes: Iterable[tuple[Path | None, Collection[str] | None]] = (),
) -> None:
    """Check files before the work, as far as names tell; those that are ``None`` are not asked for.

    Args:
        reads: Files of graphs.
        checkpoint: Model file, or folder of a run.
        writes: Output files with the extensions that they may have; ``None`` stands for those of graphs.

    Raises:
        FileNotFoundError: If a file to read is not there.
        ValueError: If a file has an extension that it may not have, or cannot be written.
    """
    for path in reads:
        if path is not None:
            check_input(path)
    if checkpoint is not None:
        find_checkpoint(checkpoint)
    for path, extensions in writes:
        if path is not None:
            check_output(path, extensions)
