"""Molecules from networkx graphs: atoms from symbols, bonds from bond orders, hydrogens from their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.attributes import add_notes
from graphscore.molecules.elements import atomic_number
from graphscore.molecules.graph import BONDS, Chem, add_positions, data_from_mol
from graphscore.molecules.marks import marked
from graphscore.molecules.representable import NUM_ELEMENTS
from graphscore.molecules.smiles import rdkit_errors

NUMBERS = ("z", "atomic_num", "atomic_number")
SYMBOLS = ("element", "symbol", "atom_symbol")
CHARGES = ("charge", "formal_charge")
ORDERS = ("order", "bond_order", "bond_type")
MAX_HYDROGENS = 8  # beyond, RDKit counts modulo 256
STEREO = ("chiral_tag", "stereo", "bond_stereo")
"""Marks of exported molecules, which mean something only with RDKit's or the SMILES string's order of neighbors."""
_UNMARKED = ("", "NONE", "CHI_UNSPECIFIED", "STEREONONE", "STEREOANY")
_BOND_OF_ORDER = {1.0: 1, 2.0: 2, 3.0: 3, 1.5: 4, 0.0: 0}
_ORDER_OF_NAME = {"SINGLE": 1.0, "DOUBLE": 2.0, "TRIPLE": 3.0, "AROMATIC": 1.5}


def derive(nodes: dict[str, Any], edges: dict[str, Any], names: Sequence[str]) -> dict[str, Tensor]:
    """Derive molecular attributes of a networkx graph: ``z`` from symbols, ``bond`` from orders, ``charge`` 0.

    The names are those of this library, of pysmiles (``element``, ``order``), and of the usual ways to export a
    molecule of RDKit (``atomic_num``, ``formal_charge``, ``bond_type``).
    """
    for key, values in {"z": nodes.get("z"), "charge": nodes.get("charge"), "bond": edges.get("bond")}.items():
        if isinstance(values, list) and (_first(nodes, NUMBERS) or _first(nodes, SYMBOLS)):
            hint = "; the names of bond types belong to bond_type" if key == "bond" else ""
            raise ValueError(f"Expected numbers as {key!r} of a molecule, but got {values[0]!r}{hint}")
    number, symbol, order = _first(nodes, NUMBERS), _first(nodes, SYMBOLS), _first(edges, ORDERS)
    has_bonds = "bond" in edges or order is not None or not names
    if not has_bonds or (number is None and symbol is None):
        return {}
    derived = {}
    if "z" not in nodes:
        derived["z"] = nodes[number] if number is not None else _atomic_numbers(nodes[str(symbol)])
    if "bond" not in edges:
        derived["bond"] = _bonds(edges[order], names) if order is not None else torch.zeros(0, dtype=torch.long)
    if "charge" not in nodes:
        charges = _first(nodes, CHARGES)
        num = len(derived.get("z", nodes.get("z", ())))
        derived["charge"] = torch.zeros(num, dtype=torch.long) if charges is None else nodes[charges]
    return derived


def complete(data: Data) -> Data:
    """Complete a molecule of a networkx graph: hydrogens, stereo marks by its coordinates, and its SMILES.

    Hydrogens that are no nodes are added: as many as ``hcount`` says, if the atoms have it; otherwise, if no node is a
    hydrogen and there are no stereo marks, as many as the valences leave open, as for a file without hydrogens.
    Coordinates in the plane are those of a drawing, and are removed.

    Args:
        data: Graph with ``z``, ``charge`` and ``bond``.

    Returns:
        The graph, or a new one if hydrogens are added, in the layout of :mod:`graphscore.molecules.graph`.

    Raises:
        ValueError: If ``hcount`` and the bonds make no molecule.
    """
    for key in ("charge", "bond"):
        if data[key].is_floating_point() and torch.equal(data[key], data[key].round()):
            data[key] = data[key].long()
    if data.get("pos") is not None and data["pos"].shape[1:] == (2,):
        del data["pos"]
    counts = data.get("hcount")
    if not isinstance(counts, Tensor) or counts.dim() != 1:
        counts = None
    notes = _unused_marks(data)
    lacks = "chirality" not in data and _lacks_hydrogens(data, counts)
    return add_notes(_with_hydrogens(data, counts) if lacks else marked(data), *notes)


def _unused_marks(data: Data) -> list[str]:
    """Sentences on stereo marks that are not used, unless coordinates or our own marks tell the isomer anyway."""
    if "chirality" in data or data.get("pos") is not None:
        return []
    found = {key: data[key] for key in STEREO if isinstance(data.get(key), list)}
    used = {
        key: {value for value in map(str, values) if _name(value) not in _UNMARKED} for key, values in found.items()
    }
    return [
        f"{key} {', '.join(sorted(values))} is not used: give stereo marks as coordinates or as a SMILES string"
        for key, values in used.items()
        if values
    ]


def _name(value: str) -> str:
    return value.rpartition(".")[2].upper()


def _lacks_hydrogens(data: Data, counts: Tensor | None) -> bool:
    is_hydrogen = data["z"] == 1
    if counts is None:
        return not bool(is_hydrogen.any())
    sources, targets = data["edge_index"]
    nodes = torch.zeros(len(counts), dtype=torch.long).index_add(0, targets, is_hydrogen[sources].long())
    return bool((counts != 0).any()) and not torch.equal(counts.long(), nodes)  # else it counts the nodes


@rdkit_errors()
def _with_hydrogens(data: Data, counts: Tensor | None) -> Data:
    mol = Chem.RWMol()
    explicit = data.get("num_explicit_hs") if counts is None else counts
    for row, (number, charge) in enumerate(zip(data["z"].tolist(), data["charge"].tolist(), strict=True)):
        if number not in range(1, NUM_ELEMENTS + 1):
            raise ValueError(f"Expected the atomic number of an element at node {row}, but it is {number}")
        atom = Chem.Atom(number)
        atom.SetFormalCharge(charge)
        atom.SetNoImplicit(counts is not None)
        if isinstance(explicit, Tensor):
            if (hydrogens := float(explicit[row])) not in range(MAX_HYDROGENS + 1):
                raise ValueError(
                    f"Expected 0 to {MAX_HYDROGENS} hydrogens at node {row}, but its number is {hydrogens:g}"
                )
            atom.SetNumExplicitHs(int(hydrogens))
        mol.AddAtom(atom)
    kinds = {number: kind for kind, number in BONDS.items()}
    for i, j, bond in zip(*data["edge_index"].tolist(), data["bond"].tolist(), strict=True):
        if i < j and bond in kinds:
            mol.AddBond(i, j, kinds[bond])
            if kinds[bond] == Chem.BondType.AROMATIC:
                mol.GetAtomWithIdx(i).SetIsAromatic(True)
                mol.GetAtomWithIdx(j).SetIsAromatic(True)
    name = data.get("name")
    try:
        if data.get("pos") is not None:
            add_positions(mol, data["pos"].double().numpy())
        return data_from_mol(mol, name=name if isinstance(name, str) else "")
    except ValueError:
        if counts is None:  # with open valences or without, these bonds are none of a molecule: said where it is used
            return marked(data)
        raise


def _first(table: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in table), None)


def _bonds(orders: Tensor | Sequence[str], names: Sequence[str]) -> Tensor:
    bonds = []
    for order, name in zip(orders.tolist() if isinstance(orders, Tensor) else orders, names, strict=True):
        value = order
        if isinstance(order, str):
            word = _name(order)
            value = _ORDER_OF_NAME.get(word, float(order) if order.replace(".", "", 1).isdecimal() else None)
        if value not in _BOND_OF_ORDER:
            raise ValueError(f"The bond order of {name} must be 1, 1.5, 2 or 3, but is {order}")
        bonds.append(_BOND_OF_ORDER[value])
    return torch.tensor(bonds, dtype=torch.long)


def _atomic_numbers(symbols: Sequence[str]) -> Tensor:
    return torch.tensor([atomic_number(symbol) for symbol in symbols], dtype=torch.long)
