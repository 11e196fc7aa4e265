"""Reading of the files in a folder or a tar archive, one by one, without unpacking."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

Open = Callable[[], BinaryIO]


def members(path: str | Path) -> Iterator[tuple[str, Open]]:
    """Iterate over the files of a folder (sorted, with subfolders) or of a tar archive (in its order).

    A compressed archive is decompressed on the way, and skipping a file costs as much as reading it; in an
    uncompressed one, skipped files cost nothing. A single file that is no archive is yielded by itself.

    Args:
        path: Folder, tar archive (plain, gz, bz2 or xz) or file.

    Yields:
        The name, relative to the folder or as in the archive, with ``/`` between its parts; and a function
        that opens the file, to be called before going on to the next one.

    Raises:
        FileNotFoundError: If there is nothing at this path.
        ValueError: If an archive is damaged.
    """
    path = Path(path)
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file():
                yield file.relative_to(path).as_posix(), lambda file=file: file.open("rb")
    elif not path.exists():
        raise FileNotFoundError(f"There is no file or folder {path}")
    elif _is_archive(path):
        yield from _archived(path)
    else:
        yield path.name, lambda: path.open("rb")


def _is_archive(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (EOFError, zlib.error) as error:  # tarfile lets these through if the first header is damaged
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(f"The archive {path} is damaged or not complete: {error}")


def _archived(path: Path) -> Iterator[tuple[str, Open]]:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile():
                    # extractfile may return None by its type, but not for regular files.
                    yield member.name, lambda member=member: archive.extractfile(member)  # pyright: ignore
    except (tarfile.TarError, EOFError, OSError) as error:
        raise _damaged(path, error) from error
