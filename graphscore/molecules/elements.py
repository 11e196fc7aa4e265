"""Symbols of chemical elements, and names of atoms for messages."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch_geometric.data import Data

from graphscore.molecules.exact import exact_components
from graphscore.molecules.graph import bare_mol
from graphscore.molecules.smiles import Chem, rdBase


def atomic_number(symbol: str) -> int:
    """Look up the atomic number of an element symbol.

    Raises:
        ValueError: If there is no such element.
    """
    try:
        with rdBase.BlockLogs():
            return Chem.GetPeriodicTable().GetAtomicNumber(symbol)
    except RuntimeError as error:
        raise ValueError(f"Expected the symbol of an element, but got {symbol!r}") from error


def unknown_elements(data: Data, known: Mapping[str, Collection[int]]) -> str:
    """Describe the elements of a molecule that a model was not trained on; empty if there are none.

    Hydrogens are placed without a model, and so are components of one to three atoms without metals.

    Args:
        data: The molecule.
        known: Values of integer attributes in training; ``z`` are the elements.
    """
    if "z" not in known:
        return ""
    strange = {atom for atom, z in enumerate(data["z"].tolist()) if z not in (1, *known["z"])}
    if strange:
        strange -= {atom for atoms, _ in exact_components(bare_mol(data)) for atom in atoms}
    if not strange:
        return ""
    table = Chem.GetPeriodicTable()
    symbols = [table.GetElementSymbol(z) for z in sorted({int(data["z"][atom]) for atom in strange})]
    learned = [table.GetElementSymbol(z) for z in sorted({1, *known["z"]})]
    return f"{', '.join(symbols)} is unknown to the model, which was trained on {' '.join(learned)}"


def atom_label(data: Data, atom: int) -> str:
    """Name an atom by its number, counted from 0, and its element."""
    return f"atom {atom} ({Chem.GetPeriodicTable().GetElementSymbol(int(data['z'][atom]))})"


def row_label(template: Data, graph: Data, name: str, row: int) -> str:
    """Name the atom or the two bonded atoms of a row of an attribute.

    Args:
        template: The molecule.
        graph: The network's graph of it: all atoms, or those listed in ``kept``.
        name: Name of the attribute of ``graph``.
        row: Number of the row.
    """
    kept = graph.get("kept")
    nodes = graph["edge_index"][:, row].tolist() if graph.is_edge_attr(name) else [row]
    return " and ".join(atom_label(template, node if kept is None else int(kept[node])) for node in nodes)
