"""Stereoisomers of molecules whose centres or double bonds are not all marked."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from rdkit.Chem import EnumerateStereoisomers as rdIsomers
from rdkit.Chem import rdDistGeom
from torch_geometric.data import Data

from graphscore.attributes import NOTES, add_notes
from graphscore.molecules.graph import Chem, canonical_smiles, data_from_mol, is_molecule, rdBase
from graphscore.molecules.labels import set_isotopes
from graphscore.molecules.marks import marked, stereo_mol
from graphscore.molecules.smiles import rdkit_errors
from graphscore.molecules.stereo_groups import MADE_AS_DRAWN, set_groups

STEREO = ("as-given", "any", "enumerate")
"""Choices for unmarked centres and double bonds: either in each conformer, one isomer, or each isomer."""
MAX_ISOMERS = 32
EMBEDDING_SECONDS = 10


def isomers_of(data: Data, stereo: str, seed: int = 0) -> Iterator[Data]:
    """Make the molecules that an input stands for.

    Args:
        data: Graph in the layout of :mod:`graphscore.molecules.graph`.
        stereo: One of :data:`STEREO`.
        seed: Seed of the choice of ``"any"``.

    Yields:
        Copies with all marks, without coordinates; the graph itself for ``"as-given"``, and if it has all marks or is
        no molecule.
    """
    if not is_molecule(data):
        yield data
        return
    if stereo == "enumerate":
        yield from enumerate_isomers(data)
    else:
        yield choose_isomer(data, seed) if stereo == "any" else data


def isomers_of_all(items: Iterable[Any], read: Callable[[Any], Data], stereo: str, seed: int = 0) -> Iterator[Any]:
    """Replace inputs by the molecules that they stand for, see :func:`isomers_of`.

    Args:
        items: Inputs of any kind.
        read: Converts one to a graph. Those for which it raises a ``ValueError`` stay as they are, to fail by name.
        stereo: One of :data:`STEREO`.
        seed: Seed of the choice of ``"any"``.
    """
    for item in items:
        try:
            yield from isomers_of(read(item), stereo, seed)
        except ValueError:
            yield item


@rdkit_errors()
def enumerate_isomers(data: Data, limit: int = MAX_ISOMERS) -> list[Data]:
    """Make all stereoisomers that fit the marks and the stereo groups of a molecule, by RDKit's enumeration.

    Unmarked chiral axes are not among what is enumerated, nor are double bonds to NH. Isomers that no geometry can
    have, as of bridged rings, are not left out.

    Args:
        data: Graph in the layout of :mod:`graphscore.molecules.graph`.
        limit: Largest number of isomers; beyond, they are a random choice, and a note says so.

    Returns:
        The isomers, with ``-1``, ``-2``, ... added to the name if there are several.
    """
    data = marked(data)
    mol = _plain(data)
    if text := data.get("stereo_groups"):
        mol = set_groups(mol, text)
    for atom in mol.GetAtoms():
        atom.SetIntProp("_place", atom.GetIdx())
    with rdBase.BlockLogs():
        heavy = Chem.RemoveHs(mol)
        options = rdIsomers.StereoEnumerationOptions(unique=True, maxIsomers=limit, rand=0)
        most = rdIsomers.GetStereoisomerCount(heavy, options)
        found = [_with_hydrogens(one, mol) for one in rdIsomers.EnumerateStereoisomers(heavy, options)]
    if most == 1:
        return [data]
    results = []
    for number, one in enumerate(found, start=1):
        isomer = _with_marks(data, data_from_mol(one))
        if "stereo_groups" in isomer:
            del isomer["stereo_groups"]
        kept = [note for note in isomer.get(NOTES) or () if MADE_AS_DRAWN not in note]
        if most > limit:
            kept.append(f"only {len(found)} stereoisomers of up to {most} are made, chosen at random")
        isomer = _noted(isomer, kept)
        if isomer.get("name") and len(found) > 1:
            isomer.name = f"{isomer.name}-{number}"
        results.append(isomer)
    return results


@rdkit_errors()
def choose_isomer(data: Data, seed: int = 0) -> Data:
    """Choose one stereoisomer that fits the marks of a molecule: the one that distance geometry finds first.

    Args:
        data: Graph in the layout of :mod:`graphscore.molecules.graph`.
        seed: Seed of the choice.

    Returns:
        The isomer, with a note that names it; the graph itself if all is marked, or no geometry is found.
    """
    data = marked(data)
    mol = _plain(data)
    with rdBase.BlockLogs():
        unmarked = Chem.FindPotentialStereo(Chem.RemoveHs(mol))
    if all(one.specified == Chem.StereoSpecified.Specified for one in unmarked):
        return data
    params = rdDistGeom.ETKDGv3()
    params.randomSeed, params.timeout = seed, EMBEDDING_SECONDS
    with rdBase.BlockLogs():
        is_found = rdDistGeom.EmbedMolecule(mol, params) >= 0
    if not is_found:
        return _noted(data, [*(data.get(NOTES) or ()), "no stereoisomer was chosen, as distance geometry finds none"])
    isomer = _with_marks(data, data_from_mol(mol))
    return add_notes(
        _noted(isomer, isomer.get(NOTES) or []), f"stereoisomer chosen for what is unmarked: {isomer.smiles}"
    )


def _plain(data: Data) -> Chem.Mol:
    """RDKit molecule with the marks and isotopes of a graph; isotopes make centres too."""
    mol = stereo_mol(data)
    set_isotopes(mol, data)
    return mol


def _with_hydrogens(heavy: Chem.Mol, mol: Chem.Mol) -> Chem.Mol:
    """Add the hydrogens of a molecule to an isomer without them, with the atoms in the order of the molecule."""
    complete = Chem.AddHs(heavy)
    places = [atom.GetIntProp("_place") for atom in heavy.GetAtoms()]
    free: dict[int, list[int]] = {}
    for place in sorted(set(range(mol.GetNumAtoms())) - set(places)):
        free.setdefault(mol.GetAtomWithIdx(place).GetNeighbors()[0].GetIdx(), []).append(place)
    for atom in list(complete.GetAtoms())[len(places) :]:
        places.append(free[places[atom.GetNeighbors()[0].GetIdx()]].pop(0))
    order = sorted(range(len(places)), key=places.__getitem__)
    return Chem.RenumberAtoms(complete, order)


def _with_marks(data: Data, found: Data) -> Data:
    """Copy a graph without coordinates, with the marks of another one where it has none."""
    isomer = copy.copy(data)
    if "pos" in isomer:
        del isomer["pos"]
    isomer.chirality = torch.where(data["chirality"] == 0, found["chirality"], data["chirality"])
    if data.get("stereo_groups"):  # these may be turned
        isomer.chirality = torch.where(found["chirality"] == 0, data["chirality"], found["chirality"])
    known = {tuple(pair) for pair in data["cis_trans_index"].t().tolist()}
    new = [k for k, pair in enumerate(found["cis_trans_index"].t().tolist()) if tuple(pair) not in known]
    isomer.cis_trans_index = torch.cat([data["cis_trans_index"], found["cis_trans_index"][:, new]], dim=1)
    isomer.cis_trans = torch.cat([data["cis_trans"], found["cis_trans"][new]])
    isomer.smiles = canonical_smiles(_plain(isomer))
    return isomer


def _noted(data: Data, notes: list[str]) -> Data:
    """Copy a graph with these notes alone."""
    result = copy.copy(data)
    if NOTES in result:
        del result[NOTES]
    return add_notes(result, *notes)
