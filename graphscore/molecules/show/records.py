"""What a page shows of files of molecules: conformers with their numbers, and trajectories."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.readers import Failure, read
from graphscore.molecules.graph import flat_smiles, is_molecule, mol_from_data
from graphscore.molecules.show.viewer import Frame

SAMPLE, STEP, LEVEL = "sample", "step", "level"

_SD_FIELD = re.compile(r"^>.*?<(.+?)>.*\n(.+)\n(?:\s*\n|\s*\Z|(?=>))", flags=re.MULTILINE)  # of a single line
_XYZ_WORD = re.compile(r"([A-Za-z]\w*)\s*[=:]\s*([-+.\d]\S*)")


class Record(NamedTuple):
    """One conformer of a file.

    Attributes:
        molecule: SMILES without stereo marks.
        data: The conformer.
        values: Its numbers by name.
    """

    molecule: str
    data: Data
    values: dict[str, float]


def read_records(path: str | Path) -> tuple[list[Record], list[Failure]]:
    """Read the conformers of a file with their numbers.

    These are data fields of SDF that hold one number, attributes of graphs in ``.pt`` files, and words like
    ``energy=-12.3`` in the comments of XYZ.

    Args:
        path: File of molecules, see :func:`graphscore.data.readers.read`.

    Returns:
        The conformers in their order, and what cannot be shown: records that are wrong, flat, or no molecules.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file as a whole cannot be read, or nothing in it can be shown.
    """
    result = read(path)
    records, failures = [], list(result.failures)
    molecules: dict[str, str] = {}
    fields = _fields(Path(path), result.items, failures)
    for number, (data, found) in enumerate(zip(result.items, fields, strict=True), start=1):
        try:
            if not is_molecule(data):
                raise ValueError("it is no molecule: it has no z, charge and bond")
            if data.get("pos") is None:
                raise ValueError("it has no coordinates in space")
            if not bool(data["pos"].isfinite().all()):
                raise ValueError("its coordinates are not finite")
            if Path(path).suffix.lower() == ".xyz":
                data.name = _XYZ_WORD.sub("", data.name).strip()
            smiles = data.get("smiles") or ""
            if not smiles or smiles not in molecules:
                molecules[smiles] = flat_smiles(mol_from_data(data))
            records.append(Record(molecules[smiles], data, _numbers(found)))
        except ValueError as error:
            failures.append(Failure(str(path), f"number {number} of those read", str(error)))
    if not records:
        raise ValueError(
            f"Nothing in {path} can be shown; the first reason: {failures[0].location}: {failures[0].reason}"
        )
    return records, failures


def read_trajectories(path: str | Path) -> tuple[dict[tuple[str, float], list[Frame]], list[Failure]]:
    """Read how samples came from noise: a file of molecules in which each record is one step.

    Each has the number ``step``, and may have ``level``, the noise level, and ``sample``, from 0: which sample of its
    molecule it leads to (0 if it has none): data fields of SDF, attributes of graphs in ``.pt`` files. Steps may be in
    any order. Bonds are needed, which XYZ has not: they cannot be perceived in noise.

    Args:
        path: File ``*.sdf`` or ``*.pt``, as for :func:`read_records`.

    Returns:
        Frames in the order of their steps, by molecule (SMILES without stereo marks) and sample; and what cannot be
        shown.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: As :func:`read_records`; or if a record has no step, or two have the same.
    """
    if Path(path).suffix.lower() == ".xyz":
        raise ValueError(f"A trajectory needs bonds, which {path} has not: expected a .sdf or .pt file")
    records, failures = read_records(path)
    found: dict[tuple[str, float], dict[float, Frame]] = {}
    for number, (molecule, data, values) in enumerate(records, start=1):
        if STEP not in values:
            raise ValueError(
                f"Expected a trajectory in {path}, whose records have a number {STEP!r}, but conformer {number} "
                f"({molecule}) has {sorted(values) or 'no numbers'}"
            )
        sample = values.get(SAMPLE, 0)
        frames = found.setdefault((molecule, sample), {})
        if values[STEP] in frames:
            raise ValueError(
                f"{path} has step {values[STEP]:g} of sample {sample:g} of {molecule} twice; the samples of a molecule "
                f"need different numbers {SAMPLE!r}"
            )
        frames[values[STEP]] = Frame(values[STEP], values.get(LEVEL), data)
    return {key: [frame for _, frame in sorted(frames.items())] for key, frames in found.items()}, failures


def _fields(path: Path, items: Sequence[Data], failures: Sequence[Failure]) -> list[list[tuple[str, Any]]]:
    """Names and contents of what may be a number, for each record that could be read."""
    if path.suffix.lower() in (".sdf", ".mol"):
        failed = {failure.location for failure in failures}
        blocks = path.read_text(encoding="utf-8-sig").replace("\r\n", "\n").split("\n$$$$")
        return [
            _SD_FIELD.findall(block)
            for number, block in enumerate(blocks, start=1)
            if block.strip() and f"record {number}" not in failed
        ]
    if path.suffix.lower() == ".xyz":
        return [_XYZ_WORD.findall(data.get("name") or "") for data in items]
    return [[(key, value) for key, value in data.to_dict().items() if _is_scalar(value)] for data in items]


def _is_scalar(value: Any) -> bool:
    # Not every tensor of one element: all attributes of an atom alone are such.
    return (
        value.dim() == 0
        if isinstance(value, Tensor)
        else isinstance(value, int | float) and not isinstance(value, bool)
    )


def _numbers(fields: Sequence[tuple[str, Any]]) -> dict[str, float]:
    """Those fields that are finite numbers."""
    numbers = {}
    for name, content in fields:
        try:
            number = float(content)
        except ValueError:
            continue
        if math.isfinite(number) and name != "num_nodes":
            numbers[name.strip()] = number
    return numbers
