"""Data sets of molecules with several conformers each: files of one layout, two of which are embedded.

Their data cards are ``datasets/{gfn2_ensembles,pdb_ligands,wide_ensembles}/README.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.dataset import Dataset, Part, Transform, embedded_file, with_coordinates
from graphscore.data.formats.npz import BYTES, REAL, TRUTH, WHOLE
from graphscore.molecules.datasets.packed import Packed, read_packed
from graphscore.molecules.features import GAS
from graphscore.molecules.graph import Chem
from graphscore.molecules.recipes.ensembles import data_file
from graphscore.molecules.recipes.records import UNIT
from graphscore.molecules.recipes.search import Ensemble
from graphscore.registry import close_to

_ARRAYS = {"sources": (BYTES, 1), "source": (WHOLE, 1), "energies": (REAL, 1), "mirrors": (TRUTH, 1)}
_OPTIONAL = {"environments": (BYTES, 1), "level": (BYTES, 0)}
GFN2 = "gfn2"  # level of files that name none


class ConformerEnsembles(Dataset):
    """Molecules with their conformers, from a file that a recipe of conformers made.

    Graphs have the layout of :mod:`graphscore.molecules.graph`, with ``molecule``, the integer index of the molecule,
    ``environment``, a name of :data:`~graphscore.molecules.features.ENVIRONMENTS`, and ``energy``, a float in kcal/mol
    above the lowest conformer of the molecule. Conformers of one molecule share all tensors but ``pos``. Mirror images
    are included where they are conformers of the same molecule.

    Args:
        path: Data file, ``.npz``; by default the embedded one, if there is one of this name.
        transform: Applied once to each molecule's graph, before it gets coordinates.
        sources: Lists of molecules to use; all by default.
        max_conformers: Largest number of conformers of a training molecule, evenly spread over all of them by energy;
            no limit by default.
        max_heavy_atoms: Largest number of heavy atoms of a molecule, in all parts; no limit by default.

    Attributes:
        name: ``"conformer-ensembles"``, or that of the embedded data set.
        smiles: SMILES of all molecules in the file, by ``molecule``.
        source: Name of the list of each molecule.
        environment: Where each molecule is: ``"gas"``, ``"crystal"`` or ``"solvent"``; that of its list.
        part: Part of each molecule.
        sources: Lists of molecules in use.
        level: Level of theory, see :class:`graphscore.molecules.recipes.settings.Settings`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there is no such source, a limit is less than 1, or the file is not such a data file.
    """

    name = "conformer-ensembles"
    embedded: ClassVar[str | None] = None  # name of the embedded file

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
        if path is None:
            if self.embedded is None:
                raise ValueError(f"The data set {self.name} needs the path of a data file, .npz")
            path = embedded_file(self.name.replace("-", "_"), self.embedded)
        self._packed = read_packed(Path(path), UNIT, _ARRAYS, _OPTIONAL)
        self.smiles, self.part, self._pos = self._packed.smiles, self._packed.part, self._packed.pos
        names, self.source, self._energies, self._mirrors = _sorted(self._packed)
        self.environment = _environments(self._packed, names, self.source)
        self.level = self._packed.arrays.get("level", np.array(GFN2.encode())).item().decode(errors="replace")
        if unknown := set(sources or ()) - set(names):
            hint = close_to(min(unknown), names)
            raise ValueError(f"Unknown sources {sorted(unknown)}; the file has {names}{hint}")
        self.sources = list(sources or names)
        self.transform = transform
        self.max_conformers = max_conformers
        self.max_heavy_atoms = max_heavy_atoms
        self._groups: dict[str, list[list[Data]]] = {}

    def ensemble(self, molecule: int) -> Ensemble:
        """Return the ensemble of a molecule as stored: mirror images are marked, not listed."""
        stored = (self._pos[molecule].double(), self._energies[molecule].double(), self._mirrors[molecule])
        return Ensemble(self.smiles[molecule], *(values.numpy() for values in stored))

    def conformers(self, molecule: int, most: int | None = None) -> list[Data]:
        """Make the graphs of a molecule's conformers, with mirror images, by ascending energy.

        Args:
            molecule: Number of the molecule in the file.
            most: Largest number of conformers, evenly spread over all of them; no limit by default.
        """
        pos, energies = _with_mirror_images(self._pos[molecule], self._energies[molecule], self._mirrors[molecule])
        if most is not None and len(pos) > most:
            chosen = torch.linspace(0, len(pos) - 1, most).round().long()
            pos, energies = pos[chosen], energies[chosen]
        graph = self._packed.graph(molecule)
        graph.environment = self.environment[molecule]
        items = with_coordinates(graph, pos, self.transform)
        for item, energy in zip(items, energies.tolist(), strict=True):
            item.energy = energy
        return items

    def _part_groups(self, part: Part) -> Iterable[list[Data]]:
        if part not in self._groups:  # built on first use: few callers need all parts
            most = self.max_conformers if part == "train" else None
            self._groups[part] = [
                self.conformers(molecule, most)
                for molecule, (its_part, source) in enumerate(zip(self.part, self.source, strict=True))
                if its_part == part and source in self.sources and self._is_small(molecule)
            ]
        return self._groups[part]

    def _is_small(self, molecule: int) -> bool:
        """Tell whether a molecule has at most ``max_heavy_atoms``."""
        if self.max_heavy_atoms is None:
            return True
        mol = Chem.MolFromSmiles(self.smiles[molecule], sanitize=False)  # counting atoms needs no chemistry
        return mol is None or mol.GetNumHeavyAtoms() <= self.max_heavy_atoms  # what is no SMILES is an error later


class GFN2Ensembles(ConformerEnsembles):
    """Small molecules with the low-energy conformers of a search with GFN2-xTB; embedded.

    For the arguments see :class:`ConformerEnsembles`.
    """

    name = "gfn2-ensembles"
    embedded = data_file("gfn2")


class PDBLigands(ConformerEnsembles):
    """Ligands of the Protein Data Bank in the shape that their protein selects, relaxed by MMFF94 nearby; embedded.

    For the arguments see :class:`ConformerEnsembles`. Energies are 0.
    """

    name = "pdb-ligands"
    embedded = "pdb_ligands.npz"


def _sorted(packed: Packed) -> tuple[list[str], list[str], list[Tensor], list[Tensor]]:
    """Names of the lists of molecules, and of each molecule its list, its energies and which mirror images it has."""
    names = [text.decode(errors="replace") for text in packed.arrays["sources"].tolist()]
    numbers, counts = packed.arrays["source"].tolist(), packed.arrays["counts"].tolist()
    if len(numbers) != len(counts) or not all(0 <= number < len(names) for number in numbers):
        raise ValueError(
            f"Expected source in {packed.source} to be a row of sources for each of {len(counts)} molecules"
        )
    for name in ("energies", "mirrors"):
        if len(packed.arrays[name]) != sum(counts):
            raise ValueError(f"Expected {name} in {packed.source} to have {sum(counts)} rows, one for each conformer")
    energies = torch.from_numpy(packed.arrays["energies"].astype(np.float32)).split(counts)
    mirrors = torch.from_numpy(packed.arrays["mirrors"]).split(counts)
    return names, [names[number] for number in numbers], list(energies), list(mirrors)


def _environments(packed: Packed, names: Sequence[str], source: Sequence[str]) -> list[str]:
    """Environment of each molecule; the gas phase if the file names none."""
    stored = [text.decode(errors="replace") for text in packed.arrays.get("environments", np.array([])).tolist()]
    if stored and len(stored) != len(names):
        raise ValueError(f"Expected environments in {packed.source} to have {len(names)} rows, one for each source")
    of_list = dict(zip(names, stored or [GAS] * len(names), strict=True))
    return [of_list[name] for name in source]


def _with_mirror_images(pos: Tensor, energies: Tensor, mirrors: Tensor) -> tuple[Tensor, Tensor]:
    """All conformers with their mirror images, by ascending energy."""
    images = pos[mirrors] * pos.new_tensor([-1, 1, 1])
    pos, energies = torch.cat([pos, images]), torch.cat([energies, energies[mirrors]])
    order = energies.argsort(stable=True)
    return pos[order], energies[order]
