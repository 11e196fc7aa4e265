"""Failures from outside in the middle of a training, told with what is left of the run and how to go on."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_UNWRITABLE = {errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EDQUOT}
_DEAD_WORKER = "DataLoader worker (pid"  # how PyTorch begins its message on a worker process that has ended


@contextmanager
def explained(checkpoint: Path) -> Iterator[None]:
    """Explain a full disk and the end of a process that loads batches, inside the ``with`` block.

    Args:
        checkpoint: Last checkpoint of the run, in its folder.

    Raises:
        OSError: If a file of the run cannot be written.
        ChildProcessError: If a process that loads batches has ended.
    """
    out = checkpoint.parent
    try:
        yield
    except OSError as error:
        file = None if error.filename is None else Path(error.filename)
        if error.errno not in _UNWRITABLE and (file is None or out not in file.parents):
            raise
        what = file or f"A file of the run in {out}"
        raise OSError(
            f"{what} could not be written ({error.strerror}); {_left(checkpoint, 'make space, and ')}"
        ) from error
    except RuntimeError as error:
        if not str(error).startswith(_DEAD_WORKER):
            raise
        raise ChildProcessError(
            f"A process that loads batches has ended, perhaps killed by the system for want of memory ({error}); "
            f"{_left(checkpoint)}, with fewer training.workers if memory is short"
        ) from error


def _left(checkpoint: Path, first: str = "") -> str:
    state = f"{checkpoint} is whole" if checkpoint.is_file() else "there was no checkpoint yet"
    return f"{state}: {first}go on by `graphscore train --resume {checkpoint.parent}`"
