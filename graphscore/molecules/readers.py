"""Readers of molecules with coordinates, record by record: SDF, MOL, MOL2, PDB and XYZ; and of SMILES strings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from graphscore.data.formats.text import Remarks, read_lines, remarks_until
from graphscore.data.readers import Failure, ReadResult, Record, collect, make_graphs
from graphscore.molecules.check import GeometryCheck
from graphscore.molecules.files import mol_from_molblock, sdf_texts
from graphscore.molecules.graph import Chem, data_from_mol, data_from_smiles
from graphscore.molecules.labels import properties_of
from graphscore.molecules.mol2 import mol2_texts, mol_from_mol2
from graphscore.molecules.notes import note
from graphscore.molecules.pdb import mol_from_pdb, pdb_models
from graphscore.molecules.xyz import Stray, mol_from_xyz, name_in, xyz_records

if TYPE_CHECKING:
    from torch_geometric.data import Data

MolRecord = tuple[str, Callable[[], Chem.Mol]]
"""Place of a record in its file, such as ``"record 3"``, and the function that reads it."""


def read_smiles(smiles: Iterable[str]) -> ReadResult:
    """Convert SMILES strings to graphs; failures name the number of the string, from 1."""
    return collect(iterate_smiles(smiles))


def iterate_smiles(smiles: Iterable[str]) -> Iterator[Data | Failure]:
    """Convert SMILES strings to graphs one by one, without keeping them in memory."""
    records = ((f"SMILES {i}", partial(data_from_smiles, text)) for i, text in enumerate(smiles, start=1))
    return make_graphs("input", records)


def read_sdf(path: Path) -> Iterator[Record]:
    """Read the graphs of an SDF or MOL file; missing hydrogens are added, flat depictions give no coordinates."""
    return _graphs(sdf_mols(path))


def read_xyz(path: Path, charge: int | None = None) -> Iterator[Record]:
    """Read the graphs of an XYZ file; bonds are perceived, see :func:`~graphscore.molecules.xyz.mol_from_xyz`.

    Args:
        path: File.
        charge: Charge of the molecules whose comments state none; by default they are neutral.

    Raises:
        ValueError: If no frame begins with its number of atoms and is complete.
    """
    for location, make in xyz_mols(path, charge):
        yield location, partial(_xyz_graph, make)


def read_mol2(path: Path) -> Iterator[Record]:
    """Read the graphs of a MOL2 file, see :func:`~graphscore.molecules.mol2.mol_from_mol2`."""
    remarks = Remarks()
    for number, (line, text) in enumerate(mol2_texts(read_lines(path, remarks)), start=1):
        make = _with_remarks(partial(mol_from_mol2, text), remarks)
        yield f"record {number} (line {line})", partial(_graph, make)


def read_pdb(path: Path, charge: int | None = None) -> Iterator[Record]:
    """Read the graphs of the ligand in a PDB file, one for each model.

    See :func:`~graphscore.molecules.pdb.mol_from_pdb`.

    Args:
        path: File.
        charge: Charge of the ligand if no atom states one; by default it is neutral.
    """
    remarks = Remarks()
    for number, model in enumerate(pdb_models(read_lines(path, remarks)), start=1):
        make = _with_remarks(partial(mol_from_pdb, model, charge), remarks)
        yield f"model {number} (line {model.line})", partial(_pdb_graph, make)


def sdf_mols(path: Path) -> Iterator[MolRecord]:
    """Read the RDKit molecules of an SDF or MOL file, with their titles, and data fields as properties."""
    remarks = Remarks()
    for number, text in enumerate(sdf_texts(read_lines(path, remarks)), start=1):
        if text.strip():
            yield f"record {number}", _with_remarks(partial(mol_from_molblock, text), remarks)


def xyz_mols(path: Path, charge: int | None = None) -> Iterator[MolRecord]:
    """Read the RDKit molecules of an XYZ file, with comments as titles, and the numbers in them as properties.

    Lines between the frames are a failure, and cost no frame.

    Raises:
        ValueError: If no frame begins with its number of atoms and is complete.
    """
    number, strays, remarks = 0, list[Stray](), Remarks()
    for record in xyz_records(read_lines(path, remarks), str(path)):
        if isinstance(record, Stray):
            strays.append(record)
        else:
            yield from _failing(strays)
            number, strays = number + 1, []
            make = _with_remarks(partial(mol_from_xyz, record, charge), remarks)
            yield f"frame {number} (line {record.line})", make
    if strays and not number:
        raise ValueError(strays[0].reason)
    yield from _failing(strays)


def _failing(strays: Iterable[Stray]) -> Iterator[MolRecord]:
    def refuse(reason: str) -> Chem.Mol:
        raise ValueError(reason)

    for stray in strays:
        yield f"line {stray.line}", partial(refuse, stray.reason)


MOLS: dict[str, Callable[[Path], Iterator[MolRecord]]] = {".sdf": sdf_mols, ".mol": sdf_mols, ".xyz": xyz_mols}
MOLS |= {f"{extension}.gz": reader for extension, reader in MOLS.items()}
"""Readers of molecules with coordinates, by extension."""


def _graphs(records: Iterable[MolRecord]) -> Iterator[Record]:
    for location, make in records:
        yield location, partial(_graph, make)


def _graph(make: Callable[[], Chem.Mol]) -> Data:
    return graph_of(make())


def _with_remarks(make: Callable[[], Chem.Mol], remarks: Remarks) -> Callable[[], Chem.Mol]:
    """Add the remarks on the lines that were read for a record, which are removed, to its molecule as notes."""
    own = remarks_until(remarks)
    return partial(_noted, make, own) if own else make


def _noted(make: Callable[[], Chem.Mol], remarks: Iterable[str]) -> Chem.Mol:
    mol = make()
    for remark in remarks:
        note(mol, remark)
    return mol


def _pdb_graph(make: Callable[[], Chem.Mol]) -> Data:
    data = graph_of(make())
    (faults,) = GeometryCheck(data)(data["pos"][None], perceive=False)
    if faults := [fault for fault in faults if not fault.doubtful]:
        raise ValueError(f"The perceived bonds of {data.smiles} do not fit the coordinates: {faults[0]}")
    return data


def _xyz_graph(make: Callable[[], Chem.Mol]) -> Data:
    data = graph_of(make())
    data.name = name_in(data.name)
    return data


def graph_of(mol: Chem.Mol) -> Data:
    """Convert an RDKit molecule to a graph, with its title as the name and its data fields as ``properties``."""
    data = data_from_mol(mol, name=mol.GetProp("_Name").strip() if mol.HasProp("_Name") else "")
    if fields := properties_of(mol):
        data.properties = fields
    return data


def numbers_of(mol: Chem.Mol) -> dict[str, float]:
    """Collect the properties of a molecule that are finite numbers, by name."""
    numbers = {}
    for name, content in mol.GetPropsAsDict(autoConvertStrings=False).items():
        try:
            number = float(content)
        except (TypeError, ValueError):
            continue
        if math.isfinite(number):
            numbers[name.strip()] = number
    return numbers
