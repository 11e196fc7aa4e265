"""Checks of the files and SMILES strings of a command, without PyTorch, so that errors are reported at once."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatch
from itertools import chain, repeat
from pathlib import Path

from graphscore.data.sources import find_files, is_read_in_folders
from graphscore.data.split import PARTS, Part
from graphscore.data.writers import check_output
from graphscore.experiment.sampling.journal import partial
from graphscore.experiment.weights import find_model
from graphscore.registry import close_to


def check_files(
    reads: Iterable[Path | None] = (),
    checkpoint: Path | None = None,
    writes: Iterable[tuple[Path | None, Collection[str] | None]] = (),
    format: str | None = None,
) -> None:
    """Check the input and output files of a command before the work; files that are ``None`` are skipped.

    No output may be one of the inputs, nor may its unfinished part, see :mod:`graphscore.experiment.sampling.journal`.

    Args:
        reads: Files of graphs, folders or patterns.
        checkpoint: Model file, or folder of a run.
        writes: Output files with their allowed extensions; ``None`` for those of graphs.
        format: Format of the first input, if its extension does not give it.

    Raises:
        FileNotFoundError: If an input file does not exist.
        ValueError: If a file has a wrong extension, cannot be written, or is an input and an output.
    """
    formats = chain([format], repeat(None))
    named = [(path, name) for path, name in zip(reads, formats, strict=False) if path is not None]
    inputs = [file for path, name in named for file in find_files(path, name)]
    if checkpoint is not None:
        find_model(checkpoint)
    for path, extensions in writes:
        if path is not None:
            check_output(path, extensions)
            check_kept(inputs, path)
            for source, _ in named:
                _check_apart(source, path)


def data_path(given: Sequence[str]) -> Path | dict[str, Path] | None:
    """Read the values of ``--data``: one path, or ``PART=PATH`` for each part; ``None`` without any.

    Raises:
        ValueError: If there are several paths, and not one for each part.
    """
    parts = dict[str, Path]()
    for text in given:
        part, equals, path = text.partition("=")
        if not equals or part not in PARTS:
            if len(given) == 1:
                return Path(text)
            raise ValueError(f"Expected --data PATH once, or train=PATH, val=PATH and test=PATH, but got {list(given)}")
        if part in parts:
            raise ValueError(f"Expected one --data {part}=PATH, but got {parts[part]} and {path}")
        parts[part] = Path(path)
    if parts and "train" not in parts:
        raise ValueError(f"Expected --data train=PATH beside those of {' and '.join(parts)}")
    return parts or None


def check_part(part: str | None, run: Path | None, others: Mapping[str, object]) -> tuple[Path, Part] | None:
    """Check the option ``--part`` of a command, by which its graphs are a part of the data set of a run.

    Args:
        part: Name of the part.
        run: The run.
        others: Options that name other graphs; none may be given.

    Returns:
        The run and the part; ``None`` without the option.

    Raises:
        ValueError: If there is no such part, no run, or another option.
    """
    if part is None:
        return None
    known: dict[str, Part] = {name: name for name in PARTS}
    if part not in known:
        raise ValueError(f"Expected --part train, val or test, but got {part!r}{close_to(part, PARTS)}")
    if run is None:
        raise ValueError(f"--part {part} is of the data set of a run: name it, by --checkpoint RUN")
    if given := [other for other, value in others.items() if value]:
        raise ValueError(f"Expected either --part {part} or {given[0]}, but got both")
    return run, known[part]


def check_start(
    smiles: Sequence[str] | None, inputs: Path | None, start: Path | None, noise: float | None, part: str | None
) -> tuple[Path | None, Path | None]:
    """Check the options ``--start`` and ``--noise``.

    Returns:
        The file of the inputs, which is that of the starts if nothing else is given, and the file of starts for other
        inputs, if any.

    Raises:
        ValueError: If one of them is missing, the noise is out of range, or the inputs are a part of a data set.
    """
    if (start is None) != (noise is None):
        raise ValueError(
            "--start FILE and --noise LEVEL belong together: what samples start from, and how much is lost"
        )
    if noise is not None and not 0 < noise <= 1:
        raise ValueError(f"Expected --noise above 0 and at most 1, but got {noise:g}")
    if start is not None and part is not None:
        raise ValueError(f"Expected either --part {part} or --start FILE, but got both")
    return (start, None) if inputs is None and not smiles else (inputs, start)


def check_kept(inputs: Iterable[Path], out: Path) -> None:
    """Check that neither an output file nor its unfinished part replaces one of the inputs.

    Raises:
        ValueError: If one does.
    """
    inputs = list(inputs)
    for file in (out, partial(out)):
        if file.exists() and any(file.samefile(given) for given in inputs):
            raise ValueError(f"The output {out} would replace the input {file}; write another file")


def _check_apart(source: Path, out: Path) -> None:
    """Check that an output file is not among the files of a folder or pattern, which would be read when it is resumed.

    Raises:
        ValueError: If it is.
    """
    place, pattern = os.path.abspath(out), os.path.abspath(source)
    among = (
        is_read_in_folders(out) and place.startswith(pattern + os.sep)
        if source.is_dir()
        else (glob.has_magic(pattern) and not source.exists() and fnmatch(place, pattern))
    )
    if among:
        raise ValueError(f"The output {out} would be among the inputs {source}; write it to another folder")


def check_source(smiles: Sequence[str], path: Path | None, format: str | None = None) -> list[Path]:
    """Check the inputs of a command: SMILES strings, or the path of files.

    Args:
        smiles: SMILES strings, at least one of which must be valid.
        path: File, folder or pattern, see :func:`~graphscore.data.sources.find_files`.
        format: Format of the files, if the extension does not give it.

    Returns:
        The files; none for SMILES strings.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If both or neither are given, the file cannot be read, or none of the strings is a molecule.
    """
    if bool(smiles) == (path is not None):
        raise ValueError(
            "Expected either SMILES strings or --input FILE" + (", not both" if smiles else ", but got neither")
        )
    if path is not None:
        return find_files(path, format)
    from graphscore.molecules.smiles import mol_from_smiles

    reasons = []
    for text in smiles:
        try:
            mol_from_smiles(text)
        except ValueError as error:
            reasons.append(str(error))
    if len(reasons) == len(smiles):
        meant = f"; for the file of this name: --input {smiles[0]}" if Path(smiles[0]).is_file() else ""
        raise ValueError(f"input, SMILES 1: {reasons[0]}{meant}")
    return []
