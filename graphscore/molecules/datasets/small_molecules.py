"""Embedded data set of small molecules with conformers; its data card is ``datasets/small_molecules/README.md``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import Data

from graphscore.data.dataset import Dataset, Part, Transform, embedded_file, with_coordinates
from graphscore.data.split import PARTS
from graphscore.molecules.graph import data_from_smiles
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
    """

    name = "small-molecules"

    def __init__(self, path: str | Path | None = None, transform: Transform | None = None) -> None:
        with np.load(path or embedded_file("small_molecules", FILE), allow_pickle=False) as file:
            self.smiles = [text.decode() for text in file["smiles"].tolist()]
            self._part = file["part"].tolist()
            blocks = list(zip(file["num_conformers"].tolist(), file["num_atoms"].tolist(), strict=True))
            rows = torch.from_numpy(file["pos"].astype(np.float32) * np.float32(UNIT))
        sizes = [num_conformers * num_atoms for num_conformers, num_atoms in blocks]
        self._pos = [pos.view(*block, 3) for pos, block in zip(rows.split(sizes), blocks, strict=True)]
        self.transform = transform
        self._groups: dict[str, list[list[Data]]] = {}

    def _conformers(self, molecule: int) -> list[Data]:
        graph = data_from_smiles(self.smiles[molecule])
        graph.molecule = molecule
        return with_coordinates(graph, self._pos[molecule], self.transform)

    def _part_groups(self, part: Part) -> Iterable[list[Data]]:
        if part not in self._groups:  # built on first use: few callers need all parts
            molecules = [i for i, p in enumerate(self._part) if PARTS[p] == part]
            self._groups[part] = [self._conformers(molecule) for molecule in molecules]
        return self._groups[part]
