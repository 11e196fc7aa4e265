"""Isotopes, atom maps and data fields: what a record says of a molecule beyond its structure.

No conformer depends on them, unless isotopes make a stereocentre, as in ``C[C@H]([2H])O``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.molecules.smiles import Chem

ISOTOPE, ATOM_MAP, PROPERTIES = "isotope", "atom_map", "properties"

# Properties that RDKit sets itself beside the data fields of a record, whose names may begin with "_" as well.
_OWN = {
    "_Name",
    "_StereochemDone",
    "_CIPCode",
    "_ChiralityPossible",
    "_smilesAtomOutputOrder",
    "_smilesBondOutputOrder",
}
_COMPUTED = {"numArom", "ringinfo"}
_OWN_PREFIXES = ("_Mol", "_graphscore", "__")


def take_atom_maps(mol: Chem.Mol) -> list[int]:
    """Collect the atom maps of a molecule, and remove them.

    RDKit tells atoms apart by their maps, so that ``[CH3:1]C([CH3:2])O`` would have a stereocentre.

    Args:
        mol: The molecule; it is changed.

    Returns:
        The maps of its atoms, or nothing if it has none.
    """
    maps = [atom.GetAtomMapNum() for atom in mol.GetAtoms()]
    if not any(maps):
        return []
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(0)
    return maps


def atom_labels(mol: Chem.Mol, maps: list[int]) -> dict[str, Tensor]:
    """Isotopes and atom maps of a molecule as attributes of its graph, each only if any is not 0.

    Args:
        mol: The molecule.
        maps: Atom maps of its first atoms; those of the others are 0.
    """
    labels = {ISOTOPE: [atom.GetIsotope() for atom in mol.GetAtoms()], ATOM_MAP: maps}
    padded = {key: [*values, *[0] * (mol.GetNumAtoms() - len(values))] for key, values in labels.items() if any(values)}
    return {key: torch.tensor(values) for key, values in padded.items()}


def set_isotopes(mol: Chem.Mol, data: Data) -> None:
    """Label the atoms of a molecule, which is changed, with the isotopes of its graph."""
    for atom, isotope in _rows(mol, data, ISOTOPE):
        atom.SetIsotope(isotope)


def set_atom_maps(mol: Chem.Mol, data: Data) -> None:
    """Give the atoms of a molecule, which is changed, the atom maps of its graph."""
    for atom, number in _rows(mol, data, ATOM_MAP):
        atom.SetAtomMapNum(number)


def _rows(mol: Chem.Mol, data: Data, key: str) -> list[tuple[Chem.Atom, int]]:
    values = data.get(key)
    if values is None:
        return []
    if not isinstance(values, Tensor) or values.shape != (mol.GetNumAtoms(),) or values.is_floating_point():
        found = f"{values.dtype} {list(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(f"Expected integers {key} of shape [{mol.GetNumAtoms()}], but got {found}")
    return [(mol.GetAtomWithIdx(row), value) for row, value in enumerate(values.tolist()) if value]


def without_isotopes(mol: Chem.Mol) -> Chem.Mol:
    """Return a molecule without isotope labels and the stereocentres that they make; itself if it has none."""
    if not any(atom.GetIsotope() for atom in mol.GetAtoms()):
        return mol
    mol = Chem.Mol(mol)
    for atom in mol.GetAtoms():
        atom.SetIsotope(0)
    Chem.AssignStereochemistry(mol, cleanIt=True, force=True)
    return mol


def properties_of(mol: Chem.Mol, private: bool = True) -> dict[str, str]:
    """Collect the data fields of a molecule's record, in their order.

    Args:
        mol: The molecule.
        private: Whether to collect those whose names begin with ``_``, which RDKit takes as private.
    """
    names = mol.GetPropNames(includePrivate=private, includeComputed=False)
    fields = [name for name in names if name not in _OWN and not name.startswith(_OWN_PREFIXES)]
    return {name: str(content) for name in fields if (content := _text(mol, name)) is not None}


def _text(mol: Chem.Mol, name: str) -> str | None:
    try:
        return mol.GetProp(name)
    except (KeyError, RuntimeError):  # a value that is no text, such as a vector
        return None


def fields_of(data: Data) -> dict[str, str]:
    """The data fields that a graph brings from its record; none if its ``properties`` are something else."""
    found: Any = data.get(PROPERTIES)
    if not isinstance(found, Mapping):
        return {}
    return {str(name): str(value) for name, value in found.items() if isinstance(value, str | int | float)}


def field_name(name: str) -> str:
    """Name under which RDKit can hold a data field: with ``field`` before it, if RDKit uses the name itself."""
    is_own = name in _OWN or name in _COMPUTED or name.startswith(_OWN_PREFIXES)
    return f"field {name}" if is_own else name


def set_properties(mol: Chem.Mol, data: Data) -> None:
    """Give a molecule, which is changed, the name and the data fields of its graph."""
    if isinstance(name := data.get("name"), str):
        mol.SetProp("_Name", name)
    for key, value in fields_of(data).items():
        mol.SetProp(field_name(key), value)
