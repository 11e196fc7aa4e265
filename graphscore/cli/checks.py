"""Checks of the files and SMILES strings of a command, without PyTorch, so that errors are reported at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import chain, repeat
from pathlib import Path

from graphscore.data.readers import check_input
from graphscore.data.writers import check_output
from graphscore.experiment.journal import partial
from graphscore.experiment.weights import find_model


def check_files(
    reads: Iterable[Path | None] = (),
    checkpoint: Path | None = None,
    writes: Iterable[tuple[Path | None, Collection[str] | None]] = (),
    format: str | None = None,
) -> None:
    """Check the input and output files of a command before the work; files that are ``None`` are skipped.

    No output may be one of the inputs, nor may its unfinished part, see :mod:`graphscore.experiment.journal`.

    Args:
        reads: Files of graphs.
        checkpoint: Model file, or folder of a run.
        writes: Output files with their allowed extensions; ``None`` for those of graphs.
        format: Format of the first input, if its extension does not give it.

    Raises:
        FileNotFoundError: If an input file does not exist.
        ValueError: If a file has a wrong extension, cannot be written, or is an input and an output.
    """
    formats = chain([format], repeat(None))
    inputs = [check_input(path, named) for path, named in zip(reads, formats, strict=False) if path is not None]
    if checkpoint is not None:
        find_model(checkpoint)
    for path, extensions in writes:
        if path is not None:
            check_output(path, extensions)
            check_kept(inputs, path)


def check_kept(inputs: Iterable[Path], out: Path) -> None:
    """Check that neither an output file nor its unfinished part replaces one of the inputs.

    Raises:
        ValueError: If one does.
    """
    inputs = list(inputs)
    for file in (out, partial(out)):
        if file.exists() and any(file.samefile(given) for given in inputs):
            raise ValueError(f"The output {out} would replace the input {file}; write another file")


def check_source(smiles: Sequence[str], path: Path | None, format: str | None = None) -> None:
    """Check the inputs of a command: SMILES strings or the name of a file.

    Args:
        smiles: SMILES strings, at least one of which must be valid.
        path: File, see :func:`check_input`.
        format: Format of the file, if its extension does not give it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If both or neither are given, the file cannot be read, or none of the strings is a molecule.
    """
    if bool(smiles) == (path is not None):
        raise ValueError(
            "Expected either SMILES strings or --input FILE" + (", not both" if smiles else ", but got neither")
        )
    if path is not None:
        check_input(path, format)
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
