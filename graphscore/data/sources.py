"""Search for input files; importing this module does not load PyTorch."""

from __future__ import annotations

import glob
from pathlib import Path

from graphscore.data.readers import READERS, check_input, extension, extensions_as_text
from graphscore.domains import domains


def find_files(path: Path) -> list[Path]:
    """List the input files of a path: a file, a folder or a pattern.

    Args:
        path: A file; a folder, for all its files of any graphs (:data:`~graphscore.data.readers.READERS`) and those
            with the ``folder_extensions`` of domains, in subfolders too; or a pattern such as ``"runs/*.sdf"``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the folder has none, or as for :func:`~graphscore.data.readers.check_input`.
    """
    if path.is_dir():
        known = [*READERS, *(name for domain in domains() for name in domain.folder_extensions)]
        files = sorted(file for file in path.rglob("*") if extension(file) in known and file.is_file())
        if not files:
            raise ValueError(f"Expected files {extensions_as_text(known)} in the folder {path}, but it has none")
        return files
    if path.exists() or not glob.has_magic(str(path)):
        return [check_input(path)]
    files = sorted(Path(file) for file in glob.glob(str(path), recursive=True) if Path(file).is_file())
    if not files:
        raise FileNotFoundError(f"There is no file like {path}")
    return files
