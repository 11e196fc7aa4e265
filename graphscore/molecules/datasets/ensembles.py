"""Embedded data set of GFN2-xTB conformer ensembles; its data card is ``datasets/gfn2_ensembles/README.md``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.dataset import Dataset, Part, Transform, embedded_file, with_coordinates
from graphscore.data.split import PARTS
from graphscore.molecules.graph import Chem, data_from_smiles
from graphscore.molecules.recipes.ensembles import UNIT, data_file
from graphscore.molecules.recipes.search import Ensemble


class GFN2Ensembles(Dataset):
    """Small molecules with the low-energy conformers of a search with GFN2-xTB.

    Graphs have the layout of :mod:`graphscore.molecules.graph`, with ``molecule``, the integer index of the molecule,
    and ``energy``, a float in kcal/mol above the lowest conformer of the molecule. Conformers of one molecule share all
    tensors but ``pos``. Mirror images are included where they are conformers of the same molecule.

    Args:
        path: Data file; by default the embedded one.
        transform: Applied once to each molecule's graph, before it gets coordinates.
        sources: Lists of molecules to use; all by default.
        max_conformers: Largest number of conformers of a training molecule, evenly spread over all of them by energy;
            no limit by default.
        max_heavy_atoms: Largest number of heavy atoms of a molecule, in all parts; no limit by default.

    Attributes:
        name: ``"gfn2-ensembles"``.
        smiles: SMILES of all molecules in the file, by ``molecule``.
        source: Name of the list of each molecule.
        part: Part of each molecule.
        sources: Lists of molecules in use.

    Raises:
        ValueError: If there is no such source, or a limit is less than 1.
    """

    name = "gfn2-ensembles"

    def __init__(
        self,
        path: str | Path | None = None,
        transform: Transform | None = None,
        sources: Sequence[str] | None = None,
        max_conformers: int | None = None,
        max_heavy_atoms: int | None = None,
    ) -> None:
        for name, limit in (("max_conformers", max_conformers), ("max_heavy_atoms", max_heavy_atoms)):
            if limit is not None and limit < 1:
                raise ValueError(f"{name} must be at least 1, but is {limit}")
        with np.load(path or embedded_file("gfn2_ensembles", data_file("gfn2")), allow_pickle=False) as file:
            self.smiles = [text.decode() for text in file["smiles"].tolist()]
            names = [text.decode() for text in file["sources"].tolist()]
            self.source = [names[number] for number in file["source"].tolist()]
            self.part = [PARTS[number] for number in file["part"].tolist()]
            counts, atoms = file["num_conformers"].astype(int), file["num_atoms"].astype(int)
            rows = torch.from_numpy(file["pos"].astype(np.float32) * np.float32(UNIT))
            self._energies = torch.from_numpy(file["energies"].astype(np.float32)).split(counts.tolist())
            self._mirrors = torch.from_numpy(file["mirrors"]).split(counts.tolist())
        self._pos = [
            pos.view(num, size, 3)
            for pos, num, size in zip(
                rows.split((counts * atoms).tolist()), counts.tolist(), atoms.tolist(), strict=True
            )
        ]
        if unknown := set(sources or ()) - set(names):
            raise ValueError(f"Unknown sources {sorted(unknown)}; the file has {names}")
        self.sources = list(sources or names)
        self.transform = transform
        self.max_conformers = max_conformers
        self.max_heavy_atoms = max_heavy_atoms
        self._groups: dict[str, list[list[Data]]] = {}

    def ensemble(self, molecule: int) -> Ensemble:
        """Return the ensemble of a molecule as stored: mirror images are marked, not listed."""
        stored = (self._pos[molecule].double(), self._energies[molecule].double(), self._mirrors[molecule])
        return Ensemble(self.smiles[molecule], *(values.numpy() for values in stored))

    def _conformers(self, molecule: int, most: int | None) -> list[Data]:
        pos, energies = _with_mirror_images(self._pos[molecule], self._energies[molecule], self._mirrors[molecule])
        if most is not None and len(pos) > most:
            chosen = torch.linspace(0, len(pos) - 1, most).round().long()
            pos, energies = pos[chosen], energies[chosen]
        graph = data_from_smiles(self.smiles[molecule])
        graph.molecule = molecule
        items = with_coordinates(graph, pos, self.transform)
        for item, energy in zip(items, energies.tolist(), strict=True):
            item.energy = energy
        return items

    def _part_groups(self, part: Part) -> Iterable[list[Data]]:
        if part not in self._groups:  # built on first use: few callers need all parts
            most = self.max_conformers if part == "train" else None
            self._groups[part] = [
                self._conformers(molecule, most)
                for molecule, (its_part, source) in enumerate(zip(self.part, self.source, strict=True))
                if its_part == part and source in self.sources and self._is_small(molecule)
            ]
        return self._groups[part]

    def _is_small(self, molecule: int) -> bool:
        """Tell whether a molecule has at most ``max_heavy_atoms``."""
        if self.max_heavy_atoms is None:
            return True
        mol = Chem.MolFromSmiles(self.smiles[molecule], sanitize=False)  # counting atoms needs no chemistry
        return mol.GetNumHeavyAtoms() <= self.max_heavy_atoms


def _with_mirror_images(pos: Tensor, energies: Tensor, mirrors: Tensor) -> tuple[Tensor, Tensor]:
    """All conformers with their mirror images, by ascending energy."""
    images = pos[mirrors] * pos.new_tensor([-1, 1, 1])
    pos, energies = torch.cat([pos, images]), torch.cat([energies, energies[mirrors]])
    order = energies.argsort(stable=True)
    return pos[order], energies[order]
