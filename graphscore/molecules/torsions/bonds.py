"""Rotatable bonds of a molecule, and the atoms that turns about them move."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import ClassVar

import networkx as nx
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import BaseTransform

from graphscore.molecules.torsions.geometry import TORSION, dihedrals, set_torsions

SINGLE, DOUBLE, TRIPLE = 1, 2, 3


class Torsions(BaseTransform):
    """Add the rotatable bonds of a molecule and their dihedral angles to its graph.

    A bond is rotatable if it is single and in no ring, both of its atoms have another heavy neighbor, and neither is
    linear, by a triple bond or two double bonds: there is no dihedral angle then. Amides and esters are rotatable, too.
    A turn moves the side with fewer atoms, hydrogens included, and the torsion a-b-c-d is listed with c and d on that
    side. Of several neighbors, a and d are the heavy ones of the lowest numbers.

    The new attributes are described in :mod:`graphscore.molecules.torsions`. Without coordinates, there are no angles;
    data sets measure those of each conformer, see :mod:`graphscore.data.derived`. Pairs of atoms without a bond,
    ``bond`` 0, are passed over.

    Raises:
        ValueError: At a call, if the graph has no ``z``, ``edge_index`` or ``bond``.

    References:
        Veber et al. (2002), Molecular properties that influence the oral bioavailability of drug candidates (rotatable
        bonds).
        Jing et al. (2022), Torsional diffusion for molecular conformer generation, section 3.1.
    """

    derived: ClassVar[Mapping[str, tuple[str, ...]]] = {TORSION.name: ("pos",)}

    def forward(self, data: Data) -> Data:
        """Return a shallow copy of a graph with its torsions."""
        missing = [name for name in ("z", "edge_index", "bond") if name not in data]
        if missing:
            raise ValueError(f"Torsions need a molecule with z, edge_index and bond, but the graph has no {missing}")
        columns, moved, movers = [], [], []
        for number, (torsion, side) in enumerate(_rotatable(data)):
            columns.append(torsion)
            moved += side
            movers += [number] * len(side)
        data.torsion_index = torch.tensor(columns, dtype=torch.long).reshape(-1, 4).t().contiguous()
        data.moved_index = torch.tensor(moved, dtype=torch.long)
        data.moved_by = torch.tensor(movers, dtype=torch.long)
        return self.measure(data)

    def measure(self, data: Data) -> Data:
        """Return a shallow copy of a graph that has rotatable bonds with their dihedral angles, if it has positions."""
        item = copy.copy(data)
        if data.pos is not None:
            item[TORSION.name] = dihedrals(data.pos, data.torsion_index)[:, None]
        return item

    def place(self, graph: Data, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Turn the bonds of a graph to given angles: ``pos`` ``[N, 3]`` in place of ``torsion`` ``[T, 1]``."""
        others = {name: value for name, value in values.items() if name != TORSION.name}
        if len(others) == len(values):
            return others
        names = ("torsion_index", "moved_index", "moved_by")
        # In double precision: each of many turns would add a rounding error.
        bonds = Data.from_dict({"pos": graph["pos"].double(), **{name: graph[name] for name in names}})
        turned = set_torsions(Batch.from_data_list([bonds]), values[TORSION.name].double())
        return {**others, "pos": turned.pos.to(graph["pos"])}


def _rotatable(data: Data) -> Iterator[tuple[tuple[int, int, int, int], list[int]]]:
    """Atoms of the torsion about each rotatable bond, and the atoms beyond its third one."""
    heavy, graph = (data["z"] > 1).tolist(), nx.Graph()
    graph.add_nodes_from(range(len(heavy)))
    kinds = zip(*data["edge_index"].tolist(), data["bond"].tolist(), strict=True)
    graph.add_edges_from((a, b, {"bond": kind}) for a, b, kind in kinds if kind)
    linear = {atom for atom in graph if _is_linear(graph, atom)}
    for bond in sorted(tuple(sorted(bridge)) for bridge in nx.bridges(graph)):
        near = [[n for n in graph[one] if heavy[n] and n not in bond] for one in bond]
        if graph.edges[bond]["bond"] != SINGLE or not all(near) or linear & set(bond):
            continue
        sides = [_side(graph, *ends) for ends in (bond, bond[::-1])]
        order = (0, 1) if len(sides[1]) <= len(sides[0]) else (1, 0)
        b, c = (bond[place] for place in order)
        a, d = (min(near[place]) for place in order)
        yield (a, b, c, d), sorted(sides[order[1]] - {c})


def _is_linear(graph: nx.Graph, atom: int) -> bool:
    kinds = [values["bond"] for values in graph[atom].values()]
    return TRIPLE in kinds or (kinds.count(DOUBLE) == 2 and len(kinds) == 2)


def _side(graph: nx.Graph, atom: int, across: int) -> set[int]:
    """Atoms on the side of an atom of a bond that is in no ring, the other atom of which lies across."""
    found, todo = {atom}, [atom]
    while todo:  # views of networkx without the bond take ten times as long
        new = [other for other in graph[todo.pop()] if other not in found and other != across]
        found.update(new)
        todo += new
    return found
