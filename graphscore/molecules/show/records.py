"""Reading of conformers with numeric values, and of trajectories, from files of molecules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.readers import Failure, check_input, extension, make_graphs, readers
from graphscore.molecules.graph import Chem, flat_smiles, is_molecule, mol_from_data
from graphscore.molecules.readers import MOLS, graph_of, numbers_of
from graphscore.molecules.show.viewer import Frame
from graphscore.molecules.xyz import without_numbers
from graphscore.registry import resolve

SAMPLE, STEP, LEVEL = "sample", "step", "level"


class Record(NamedTuple):
    """A conformer of a file, with its numeric values.

    Attributes:
        molecule: SMILES without stereo marks.
        data: The conformer.
        values: Numeric values by name.
    """

    molecule: str
    data: Data
    values: dict[str, float]


def read_records(path: str | Path) -> tuple[list[Record], list[Failure]]:
    """Read the conformers of a file with their numeric values.

    Values are data fields of SDF that hold one number, attributes of graphs in ``.pt`` files, and words like
    ``energy=-12.3`` in the comments of XYZ.

    Args:
        path: File of molecules, see :func:`graphscore.data.readers.read`.

    Returns:
        The conformers in their order, and the records that cannot be shown: invalid, flat, or not molecules.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file as a whole cannot be read, or no record of it can be shown.
    """
    path = check_input(path)
    records: list[Record] = []
    failures: list[Failure] = []
    for made in make_graphs(str(path), _records(path)):
        if isinstance(made, Failure):
            failures.append(made)
        else:
            records.append(made)
    if not records:
        reason = f"the first reason: {failures[0].location}: {failures[0].reason}" if failures else "it has no records"
        raise ValueError(f"Nothing in {path} can be shown; {reason}")
    return records, failures


def read_trajectories(path: str | Path) -> tuple[dict[tuple[str, float], list[Frame]], list[Failure]]:
    """Read sampling trajectories from a file of molecules in which each record is one step.

    A record has the number ``step``, and may have ``level``, the noise level, and ``sample``, the number of the sample
    of its molecule (0 by default): data fields of SDF, attributes of graphs in ``.pt`` files. Steps may be in any
    order. XYZ files are not accepted: they have no bonds, which cannot be perceived from noisy coordinates.

    Args:
        path: File ``*.sdf`` or ``*.pt``, as for :func:`read_records`.

    Returns:
        Frames in the order of their steps, by molecule (SMILES without stereo marks) and sample; and the records that
        cannot be shown.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: As :func:`read_records`; or if a record has no step, or two have the same.
    """
    if extension(path).startswith(".xyz"):
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


def _records(path: Path) -> Iterator[tuple[str, Callable[[], Record]]]:
    """Location of each record in a file, and the function that reads and checks it."""
    suffix = extension(path)
    molecules: dict[str, str] = {}
    if suffix in MOLS:
        for location, make in MOLS[suffix](path):
            yield location, lambda make=make: _record_of_mol(make(), suffix, molecules)
    else:
        for location, make in resolve(readers()[suffix])(path):
            yield location, lambda make=make: _record(data := make(), _scalars(data), molecules)


def _record_of_mol(mol: Chem.Mol, suffix: str, molecules: dict[str, str]) -> Record:
    data = graph_of(mol)
    if suffix.startswith(".xyz"):
        data.name = without_numbers(data.name)
    return _record(data, numbers_of(mol), molecules)


def _record(data: Data, values: dict[str, float], molecules: dict[str, str]) -> Record:
    """Check that a conformer can be shown; ``molecules`` caches the SMILES without stereo marks by those with them."""
    if not is_molecule(data):
        raise ValueError("it is no molecule: it has no z, charge and bond")
    if data.get("pos") is None:
        raise ValueError("it has no coordinates in space")
    if not bool(data["pos"].isfinite().all()):
        raise ValueError("its coordinates are not finite")
    smiles = data.get("smiles") or ""
    if not smiles or smiles not in molecules:
        molecules[smiles] = flat_smiles(mol_from_data(data))
    return Record(molecules[smiles], data, values)


def _scalars(data: Data) -> dict[str, float]:
    """Attributes of a graph that are finite numbers or scalar tensors."""
    numbers = {}
    for name, value in data.to_dict().items():
        # Tensors of shape [1] do not count: all attributes of a molecule of one atom have it.
        if isinstance(value, Tensor) and value.dim() == 0:
            value = value.item()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            numbers[name] = float(value)
    numbers.pop("num_nodes", None)
    return numbers
