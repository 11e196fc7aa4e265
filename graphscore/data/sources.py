"""Search and checks of input files before they are read, without PyTorch, whose import takes seconds."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from graphscore.data.readers import check_input

FOLDER_EXTENSIONS = (".sdf", ".mol", ".xyz")


def check_source(smiles: Sequence[str], path: Path | None) -> None:
    """Check SMILES strings, or the name of a file, before they are read.

    Args:
        smiles: SMILES strings, of which one at least must be possible.
        path: File, see :func:`check_input`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If both or neither are given, the file cannot be read, or none of the strings is a molecule.
    """
    if bool(smiles) == (path is not None):
        raise ValueError(
            "Expected either SMILES strings or --input FILE" + (", not both" if smiles else ", but got neither")
        )
    if path is not None:
        check_input(path)
        return
    from graphscore.molecules.smiles import mol_from_smiles

    reasons = []
    for text in smiles:
        try:
            mol_from_smiles(text)
        except ValueError as error:
            reasons.append(str(error))
    if len(reasons) == len(smiles):
        raise ValueError(f"input, SMILES 1: {reasons[0]}")


def find_files(path: Path) -> list[Path]:
    """List the files that a path stands for; they are not opened.

    Args:
        path: A file; a folder, of which all sdf, mol and xyz files are meant, in subfolders too; or a pattern such as
            ``"runs/*.sdf"``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the folder has none, or as for :func:`~graphscore.data.readers.check_input`.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in FOLDER_EXTENSIONS and file.is_file())
        if not files:
            raise ValueError(f"Expected files {' '.join(FOLDER_EXTENSIONS)} in the folder {path}, but it has none")
        return files
    if path.exists() or not glob.has_magic(str(path)):
        return [check_input(path)]
    files = sorted(Path(file) for file in glob.glob(str(path), recursive=True) if Path(file).is_file())
    if not files:
        raise FileNotFoundError(f"There is no file like {path}")
    return files
