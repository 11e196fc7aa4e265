"""Input features of molecules for a network: atoms, pairs of atoms, and the handedness of stereocentres."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphscore.attributes import NOTES
from graphscore.molecules.graph import Chem, bare_mol
from graphscore.molecules.hydrogens import AssembleMolecules
from graphscore.molecules.labels import PROPERTIES
from graphscore.molecules.marks import marked
from graphscore.molecules.smiles import rdkit_errors
from graphscore.nn.edges.neighbors import complete_edges

RING_SIZES = (3, 4, 5, 6, 7, 8)  # and larger
MAX_HOPS = 6
MAX_DEGREE, MAX_HYDROGENS = 4, 4
ENVIRONMENT = "environment"
GAS, CRYSTAL = "gas", "crystal"
ENVIRONMENTS = (GAS, CRYSTAL, "solvent")
"""Environments of molecules; in a graph, the number of its place here plus one: 0 is free to mean that none is told."""
_HYBRIDIZATIONS = (Chem.HybridizationType.SP, Chem.HybridizationType.SP2, Chem.HybridizationType.SP3)

NUM_ATOM_FEATURES = 1 + 1 + (MAX_DEGREE + 1) + (MAX_HYDROGENS + 1) + len(_HYBRIDIZATIONS) + len(RING_SIZES) + 1 + 1
NUM_PAIR_FEATURES = 4 + 2 + (MAX_HOPS + 2) + len(RING_SIZES) + 1 + 2 + 5


class MoleculeGraph(BaseTransform):
    """Make the network's input graph of a molecule, with features of atoms and of pairs of atoms.

    All pairs of atoms are connected, or those at most ``max_hops`` bonds apart. The new graph has the attributes

    ==================  =====================  ==================================================================
    ``z``               ``[n]`` int64          atomic numbers
    ``atom``            ``[n, K]`` float32     charge, aromaticity, degree, number of hydrogens, hybridisation, sizes
                                               of rings, whether it is a marked stereocentre
    ``edge_index``      ``[2, E]`` int64       the ordered pairs, sorted by target
    ``bond``            ``[E]`` int64          kind of bond, 0 for none
    ``pair``            ``[E, L]`` float32     kind of bond, conjugation, ring membership, number of bonds between the
                                               two, sizes of common rings, cis or trans, kind of the bond amid
    ``chiral_index``    ``[4, T]`` int64       centre x and three neighbors a, b, c with det(a - x, b - x, c - x) > 0
                                               in the given molecule
    ``kept``            ``[n]`` int64          numbers of these atoms in the molecule
    ``environment``     ``[1]`` int64          where the molecule is, see :data:`ENVIRONMENTS`; only if asked for
    ==================  =====================  ==================================================================

    Args:
        hydrogens: Whether hydrogen atoms are nodes. If not, only hydrogens without exactly one heavy neighbor are, as
            in hydrogen molecules.
        max_hops: Largest number of bonds between connected atoms; all pairs by default. Atoms that are near in space
            alone can be connected at each call of the network, see :mod:`graphscore.nn.edges.search`.
        environment: Whether to add the environment, which a molecule has by name, such as ``"crystal"``; without one,
            it is in the gas phase.

    Raises:
        ValueError: If ``max_hops`` is less than 1; at a call, if the graph is not a molecule, or its environment is
            unknown.
    """

    def __init__(self, hydrogens: bool = False, max_hops: int | None = None, environment: bool = False) -> None:
        if max_hops is not None and max_hops < 1:
            raise ValueError(f"max_hops must be at least 1, but is {max_hops}")
        self.hydrogens = hydrogens
        self.max_hops = max_hops
        self.environment = environment

    @rdkit_errors()
    def forward(self, data: Data) -> Data:
        """Return a new graph, with attributes of the whole molecule that are no tensors, such as its SMILES.

        Its ``properties`` and ``notes`` are left out: PyG cannot collate those of different molecules.
        """
        mol, data = bare_mol(data), marked(data)
        kept = np.array([a.GetIdx() for a in mol.GetAtoms() if self.hydrogens or _is_node(a)])
        pairs = complete_edges(torch.tensor([0, len(kept)]))
        if self.max_hops is not None:
            hops = torch.from_numpy(Chem.GetDistanceMatrix(mol))[kept][:, kept]
            pairs = pairs[:, hops[pairs[0], pairs[1]] <= self.max_hops]
        sources, targets = kept[pairs.numpy()]
        tables = _pair_tables(mol, data)
        graph = Data(
            z=data["z"][torch.from_numpy(kept)],
            atom=torch.from_numpy(_atom_features(mol, data)[kept]),
            edge_index=pairs,
            bond=torch.from_numpy(tables[:, :, :4].argmax(-1) + 1)[sources, targets]
            * torch.from_numpy(tables[:, :, :4].any(-1))[sources, targets],
            pair=torch.from_numpy(tables[sources, targets]),
            chiral_index=_oriented_triples(mol, data, kept),
            kept=torch.from_numpy(kept),
            num_nodes=len(kept),
        )
        if self.environment:
            graph[ENVIRONMENT] = torch.tensor([_environment(data)])
        for key, value in data.to_dict().items():
            if key not in graph and key not in (PROPERTIES, NOTES) and not isinstance(value, Tensor):
                graph[key] = value
        return graph

    def assembler(self) -> AssembleMolecules:
        """Make the function that rebuilds whole molecules from the coordinates of the network's nodes."""
        return AssembleMolecules()

    def __repr__(self) -> str:
        options = f"hydrogens={self.hydrogens}, max_hops={self.max_hops}, environment={self.environment}"
        return f"{type(self).__name__}({options})"


def _environment(data: Data) -> int:
    name = data.get(ENVIRONMENT) or GAS
    if name not in ENVIRONMENTS:
        raise ValueError(f"The environment of a molecule is one of {ENVIRONMENTS}, but is {name!r}")
    return ENVIRONMENTS.index(name) + 1


def _is_node(atom: Chem.Atom) -> bool:
    neighbors = atom.GetNeighbors()
    return atom.GetAtomicNum() > 1 or len(neighbors) != 1 or neighbors[0].GetAtomicNum() == 1


def _atom_features(mol: Chem.Mol, data: Data) -> NDArray[np.float32]:
    rings, rows = mol.GetRingInfo(), []
    for atom, chirality in zip(mol.GetAtoms(), data.chirality.tolist(), strict=True):
        hydrogens = sum(other.GetAtomicNum() == 1 for other in atom.GetNeighbors())
        sizes = rings.AtomRingSizes(atom.GetIdx())
        rows.append(
            [float(atom.GetFormalCharge()), float(atom.GetIsAromatic())]
            + _one_hot(min(atom.GetDegree() - hydrogens, MAX_DEGREE), MAX_DEGREE + 1)
            + _one_hot(min(hydrogens, MAX_HYDROGENS), MAX_HYDROGENS + 1)
            + [float(atom.GetHybridization() == kind) for kind in _HYBRIDIZATIONS]
            + _ring_flags(sizes)
            + [float(chirality != 0)]
        )
    return np.array(rows, dtype=np.float32)


def _pair_tables(mol: Chem.Mol, data: Data) -> NDArray[np.float32]:
    """Features of all pairs of atoms, ``[N, N, L]``."""
    n, column = mol.GetNumAtoms(), 0
    tables = np.zeros((n, n, NUM_PAIR_FEATURES), dtype=np.float32)
    i, j = data["edge_index"].numpy()
    tables[i, j, data.bond.numpy() - 1] = 1
    for bond in mol.GetBonds():
        ends = (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
        for a, b in (ends, ends[::-1]):
            tables[a, b, 4:6] = [bond.GetIsConjugated(), bond.IsInRing()]
    column = 6
    hops = np.minimum(Chem.GetDistanceMatrix(mol), 2 * MAX_HOPS)  # far more than that if unconnected
    connected = np.array(Chem.GetDistanceMatrix(mol)) < n
    for distance in range(1, MAX_HOPS + 1):
        tables[:, :, column + distance - 1] = hops == distance
    tables[:, :, column + MAX_HOPS] = (hops > MAX_HOPS) & connected
    tables[:, :, column + MAX_HOPS + 1] = ~connected
    column += MAX_HOPS + 2
    for ring in mol.GetRingInfo().AtomRings():
        tables[np.ix_(ring, ring, column + np.flatnonzero(_ring_flags([len(ring)])))] = 1
    column += len(RING_SIZES) + 1
    a, b = data.cis_trans_index.numpy()
    tables[a, b, column + data.cis_trans.numpy() - 1] = 1
    column += 2
    for a, b, kind in _torsions(mol):
        tables[a, b, column + kind] = tables[b, a, column + kind] = 1
    return tables


def _torsions(mol: Chem.Mol) -> Iterator[tuple[int, int, int]]:
    """Ends of chains of four atoms, and the kind of the middle bond."""
    for bond in mol.GetBonds():
        i, j = bond.GetBeginAtom(), bond.GetEndAtom()
        if bond.GetIsAromatic():
            kind = 0
        elif bond.GetBondType() == Chem.BondType.DOUBLE:
            kind = 1
        else:
            kind = 2 if bond.IsInRing() else 3 if bond.GetIsConjugated() else 4
        for a in i.GetNeighbors():
            for b in j.GetNeighbors():
                if a.GetIdx() not in (j.GetIdx(), b.GetIdx()) and b.GetIdx() != i.GetIdx():
                    yield a.GetIdx(), b.GetIdx(), kind


def _oriented_triples(mol: Chem.Mol, data: Data, kept: NDArray[np.int64]) -> Tensor:
    """Stereocentres with three kept neighbors in positive orientation, ``[4, T]``, numbered among the kept atoms."""
    row = {int(atom): number for number, atom in enumerate(kept)}
    columns = []
    for center in data.chirality.nonzero()[:, 0].tolist():
        neighbors = sorted(atom.GetIdx() for atom in mol.GetAtomWithIdx(center).GetNeighbors())
        # Without the last of four, the others have the orientation `chirality`; each place before swaps its sign.
        left_out = range(4) if len(neighbors) == 4 else [3]
        for place in left_out:
            a, b, c = [atom for number, atom in enumerate(neighbors) if number != place]
            if not {center, a, b, c} <= row.keys():
                continue
            positive = int(data.chirality[center]) * (-1) ** (3 - place) > 0
            columns.append([row[atom] for atom in ((center, a, b, c) if positive else (center, b, a, c))])
    return torch.tensor(columns, dtype=torch.long).reshape(-1, 4).t().contiguous()


def _one_hot(value: int, size: int) -> list[float]:
    return [float(value == k) for k in range(size)]


def _ring_flags(sizes: list[int] | tuple[int, ...]) -> list[float]:
    """One flag for each of the ring sizes, and a last one for larger rings."""
    return [float(size in sizes) for size in RING_SIZES] + [float(any(size > RING_SIZES[-1] for size in sizes))]
