"""Embedded data set of small molecules with conformers; its data card is ``datasets/small_molecules/README.md``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch_geometric.data import Data

from graphscore.data.dataset import Dataset, Part, Transform, embedded_file, with_coordinates
from graphscore.molecules.datasets.packed import read_packed
from graphscore.molecules.recipes.small_molecules import UNIT

FILE = "small_molecules.npz"


class SmallMolecules(Dataset):
    """About 2,100 molecules of 4-9 heavy atoms (C, N, O, F), up to 10 conformers each (ETKDGv3, then MMFF94).

    Graphs have the layout of :mod:`graphscore.molecules.graph`, with ``molecule``, the integer index of the molecule.
    Conformers of one molecule share all tensors but ``pos``.

    Args:
        path: Data file; by default the embedded one.
        transform: Applied once to each molecule's graph, before it gets coordinates.

    Attributes:
        name: ``"small-molecules"``.
        smiles: SMILES of all molecules, by ``molecule``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not such a data file.
    """

    name = "small-molecules"

    def __init__(self, path: str | Path | None = None, transform: Transform | None = None) -> None:
        path = embedded_file("small_molecules", FILE) if path is None else path
        self._packed = read_packed(Path(path), UNIT)
        self.smiles = self._packed.smiles
        self.transform = transform
        self._groups: dict[str, list[list[Data]]] = {}

    def _conformers(self, molecule: int) -> list[Data]:
        return with_coordinates(self._packed.graph(molecule), self._packed.pos[molecule], self.transform)

    def _part_groups(self, part: Part) -> Iterable[list[Data]]:
        if part not in self._groups:  # built on first use: few callers need all parts
            molecules = [i for i, p in enumerate(self._packed.part) if p == part]
            self._groups[part] = [self._conformers(molecule) for molecule in molecules]
        return self._groups[part]
