"""Reading of several files as one: a file, a folder or a pattern; importing this module does not load PyTorch."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphscore.data.packed.index import is_packed
from graphscore.data.readers import (
    READERS,
    Failure,
    ReadResult,
    check_input,
    collect,
    extension,
    extensions_as_text,
    located,
    records,
)
from graphscore.domains import domains

if TYPE_CHECKING:
    from torch_geometric.data import Data


def find_files(path: Path, format: str | None = None) -> list[Path]:
    """List the input files of a path: a file, a folder or a pattern; a folder of packed graphs is one input.

    Args:
        path: A file; a folder, for all its files of any graphs (:data:`~graphscore.data.readers.READERS`) and those
            with the ``folder_extensions`` of domains, in subfolders too; or a pattern such as ``"runs/*.sdf"``.
        format: Format of the file, or of all files of the pattern, if the extension does not give it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the folder has none, a format is given for a folder, or as for
            :func:`~graphscore.data.readers.check_input`.
    """
    if path.is_dir() and not is_packed(path):
        if format is not None:
            raise ValueError(f"Expected a file or a pattern of the format {format}, but {path} is a folder")
        files = sorted(file for file in path.rglob("*") if is_read_in_folders(file) and file.is_file())
        if not files:
            names = extensions_as_text(_folder_extensions())
            raise ValueError(f"Expected files {names} in the folder {path}, but it has none")
        return files
    if path.exists() or not glob.has_magic(str(path)):
        return [check_input(path, format)]
    files = sorted(Path(file) for file in glob.glob(str(path), recursive=True) if Path(file).is_file())
    if not files:
        raise FileNotFoundError(f"There is no file like {path}")
    return files


def is_read_in_folders(file: Path) -> bool:
    """Tell whether a file is read where it lies in an input folder, by its extension."""
    return extension(file) in _folder_extensions()


def _folder_extensions() -> list[str]:
    return [*READERS, *(name for domain in domains() for name in domain.folder_extensions)]


def iterate_files(
    files: Sequence[Path], format: str | None = None, **options: Any
) -> Iterator[tuple[Path, str, Data | Failure]]:
    """Iterate over the graphs of files, one file after the other, with the file and the place in it of each.

    Args:
        files: Files, by :func:`find_files`.
        format: Their format, if the extensions do not give it.
        **options: Options of the readers, see :func:`graphscore.data.readers.read`.

    Yields:
        Graphs and failures. Of several files, one that cannot be read, as a whole or from some record on, is a failure.

    Raises:
        ValueError: If the only file cannot be read as a whole.
    """
    for file in files:
        try:
            for place, item in located(check_input(file, format), format, **options):
                yield file, place, item
        except ValueError as error:
            if len(files) == 1:
                raise
            yield file, "file", Failure(str(file), "file", str(error))


def count_records(files: Sequence[Path], format: str | None = None, **options: Any) -> int:
    """Count what :func:`iterate_files` yields, without making the graphs.

    Raises:
        ValueError: As for :func:`iterate_files`.
    """
    total = 0
    for file in files:
        try:
            for _ in records(check_input(file, format), format, **options):
                total += 1
        except ValueError:
            if len(files) == 1:
                raise
            total += 1
    return total


def read_files(path: Path) -> ReadResult:
    """Read the graphs of a file, a folder or a pattern; see :func:`find_files` and :func:`iterate_files`."""
    return collect(item for _, _, item in iterate_files(find_files(path)))
