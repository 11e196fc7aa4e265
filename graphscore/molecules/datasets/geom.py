"""GEOM: conformer ensembles of QM9 and drug-like molecules; the data card is ``datasets/geom/README.md``."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.dataset import Dataset, Part, Transform, with_coordinates
from graphscore.data.formats.archives import Open, members
from graphscore.data.readers import Failure
from graphscore.data.split import PARTS, part_of
from graphscore.molecules.datasets.unpickling import UnsafePickleError, load_arrays, load_pickle
from graphscore.molecules.graph import Chem, data_from_mol, flat_smiles
from graphscore.molecules.smiles import mol_from_smiles, rdkit_reason
from graphscore.molecules.split import split_key

Subset = Literal["qm9", "drugs"]
Conformer = tuple[Data, float, float]  # with relative energy and weight


class GEOM(Dataset):
    """GEOM-QM9 or GEOM-Drugs: conformers by CREST (GFN2-xTB), with energies, from ``rdkit_folder``.

    Graphs have the layout of :mod:`graphscore.molecules.graph`, with ``name``, the SMILES in GEOM, ``energy`` ``[1]``,
    in kcal/mol above the lowest conformer, and ``weight`` ``[1]``, GEOM's Boltzmann weight at 298.15 K, both float32.
    Conformers of a molecule that differ in stereo marks form separate groups. Conformers with other bonds than the
    SMILES are left out, as published pipelines do, and listed in ``failures``.

    A part is read on its first use. Archives need not be unpacked, but each part takes a pass through them.

    Args:
        path: ``rdkit_folder.tar.gz``, the folder unpacked from it, or a folder ``qm9`` or ``drugs`` of pickles.
        subset: ``"qm9"`` or ``"drugs"``.
        split: ``"molecule"`` or ``"scaffold"``, shares 80/10/10 (see :func:`~graphscore.molecules.split.split_key`);
            or a ``.npy`` file of three arrays, the indices of train, val and test among all sorted names, as published
            for GeoMol and used for Torsional Diffusion.
        test_list: A ``.csv`` file with a column ``smiles`` of GEOM's names: the test part is these molecules alone.
            Molecules that differ from them at most by stereo marks are in no other part.
        max_conformers: Largest number of conformers per molecule, those of the largest weight (of equal ones, those of
            the lowest energy).
        energy_window: Highest energy, in kcal/mol.
        seed: Seed of the split by molecule or scaffold.
        transform: Applied once to each molecule's graph, before it gets coordinates.

    Attributes:
        name: ``"geom"``.
        failures: Molecules and conformers of the parts read so far that could not be used, with the reason.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If there are no pickles, or the split is for another number of them; on reading, if a pickle is
            unsafe (see :mod:`graphscore.molecules.datasets.unpickling`).

    References:
        S. Axelrod, R. Gomez-Bombarelli (2022), GEOM, energy-annotated molecular conformations for property prediction
        and molecular generation. O. Ganea et al. (2021), GeoMol. B. Jing et al. (2022), Torsional Diffusion.
    """

    name = "geom"

    def __init__(
        self,
        path: str | Path,
        subset: Subset,
        split: str | Path = "molecule",
        test_list: str | Path | None = None,
        max_conformers: int | None = None,
        energy_window: float | None = None,
        seed: int = 0,
        transform: Transform | None = None,
    ) -> None:
        if subset not in get_args(Subset):
            raise ValueError(f"Expected the subset 'qm9' or 'drugs', but got {subset!r}")
        if max_conformers is not None and max_conformers < 1:
            raise ValueError(f"max_conformers must be at least 1, but is {max_conformers}")
        self.path = Path(path)
        self.subset = subset
        self.max_conformers = max_conformers
        self.energy_window = np.inf if energy_window is None else energy_window
        self.transform = transform
        self.failures: list[Failure] = []
        self._groups: dict[str, list[list[Data]]] = {}
        names = sorted(name for name, _ in self._pickles())
        if not names:
            raise ValueError(f"Expected pickles in a folder {subset!r} of {path}, but there are none")
        self._names = _published(split, names) if str(split).endswith(".npy") else self._hashed(names, str(split), seed)
        if test_list is not None:
            self._reserve(Path(test_list))

    def _part_groups(self, part: Part) -> Iterable[list[Data]]:
        if part not in self._groups:
            wanted = set(self._names[part])
            found = {name: self._molecule(name, open_) for name, open_ in self._pickles() if name in wanted}
            self._groups[part] = [group for name in self._names[part] for group in found[name]]
        return self._groups[part]

    def _pickles(self) -> Iterator[tuple[str, Open]]:
        for name, open_ in members(self.path):
            file = PurePosixPath(self.path.name, name)
            if file.suffix == ".pickle" and file.parent.name == self.subset:
                yield file.name, open_

    def _hashed(self, names: Sequence[str], by: str, seed: int) -> dict[str, list[str]]:
        parts: dict[str, list[str]] = {part: [] for part in PARTS}
        for name in names:
            if mol := self._named(name):
                parts[PARTS[part_of(split_key(mol, by), seed=seed)]].append(name)
        return parts

    def _reserve(self, path: Path) -> None:
        """Make the listed molecules the test part, and remove their stereoisomers from the other parts."""
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if "smiles" not in (rows.fieldnames or ()):
                raise ValueError(f"Expected a column 'smiles' in line 1 of {path}, but found {rows.fieldnames}")
            listed = {_name(row["smiles"]): row["smiles"] for row in rows}
        flat = {flat_smiles(mol_from_smiles(smiles)) for smiles in listed.values()}
        present = listed.keys() & {name for names in self._names.values() for name in names}
        missing = [smiles for name, smiles in listed.items() if name not in present]
        self.failures += [Failure(str(path), smiles, "no pickle has this name") for smiles in missing]
        for part in ("train", "val"):
            others = {name: self._named(name) for name in self._names[part] if name not in listed}
            twins = {name for name, mol in others.items() if mol and flat_smiles(mol) in flat}
            for name in sorted(twins):
                self._fail(name, f"left out of {part}: it differs from a test molecule in stereo marks at most")
            self._names[part] = [name for name, mol in others.items() if mol and name not in twins]
        self._names["test"] = [name for name in listed if name in present]

    def _named(self, name: str) -> Chem.Mol | None:
        try:
            return mol_from_smiles(name.removesuffix(".pickle").replace("_", "/"))
        except ValueError as error:
            self._fail(name, f"it cannot be split by its name: {error}")
            return None

    def _molecule(self, name: str, open_: Open) -> list[list[Data]]:
        try:
            with open_() as file:
                smiles, conformers = _ensemble(load_pickle(file.read()))
            reference = flat_smiles(mol_from_smiles(smiles))
        except UnsafePickleError as error:
            raise UnsafePickleError(f"{self.path}, {name}: {error}") from error
        except ValueError as error:
            self._fail(name, str(error))
            return []
        kept, problems = [], []
        for energy, weight, mol in conformers:
            if energy <= self.energy_window and len(kept) != self.max_conformers:
                try:
                    kept.append((_graph(mol, smiles, reference), energy, weight))
                except (ValueError, RuntimeError) as error:
                    problems.append(rdkit_reason(error))
        if problems or not kept:
            first = problems[0] if problems else f"none is within {self.energy_window} kcal/mol"
            self._fail(name, f"{len(problems)} conformers left out, {len(kept)} kept; the first: {first}")
        return _grouped(kept, self.transform)

    def _fail(self, name: str, reason: str) -> None:
        self.failures.append(Failure(str(self.path), name, reason))


def _name(smiles: str) -> str:
    return smiles.replace("/", "_") + ".pickle"


def _published(path: str | Path, names: Sequence[str]) -> dict[str, list[str]]:
    arrays = load_arrays(path)
    if len(arrays) != len(PARTS):
        raise ValueError(f"Expected three arrays (train, val, test) in {path}, but found {len(arrays)}")
    if not np.array_equal(np.sort(np.concatenate(arrays)), np.arange(len(names))):
        raise ValueError(
            f"The split {path} is for {sum(map(len, arrays))} pickles, but there are {len(names)}: its numbers would "
            "mean other molecules; use the data that it was made for, or split='molecule'"
        )
    return {part: [names[i] for i in sorted(map(int, array))] for part, array in zip(PARTS, arrays, strict=True)}


def _ensemble(record: Any) -> tuple[str, list[tuple[float, float, Chem.Mol]]]:
    """The SMILES of a record, and the relative energies, weights and molecules by descending weight."""
    try:
        smiles, ensemble = record["smiles"], record["conformers"]
        conformers = [(float(c["relativeenergy"]), float(c["boltzmannweight"]), c["rd_mol"]) for c in ensemble]
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"The pickle is not laid out as GEOM's: {error!r}") from error
    if not isinstance(smiles, str) or not all(isinstance(mol, Chem.Mol) for _, _, mol in conformers):
        raise ValueError("The pickle is not laid out as GEOM's: 'smiles' or 'rd_mol' is something else")
    return smiles, sorted(conformers, key=lambda conformer: (-conformer[1], conformer[0]))


def _graph(mol: Chem.Mol, smiles: str, reference: str) -> Data:
    if (flat := flat_smiles(mol)) != reference:
        raise ValueError(f"its bonds are those of {flat!r}")
    graph = data_from_mol(mol, name=smiles)
    if "pos" not in graph:
        raise ValueError("it has no coordinates")
    return graph


def _grouped(conformers: Iterable[Conformer], transform: Transform | None) -> list[list[Data]]:
    """Group conformers by their SMILES with stereo marks; equal graphs in a group share their tensors."""
    groups: dict[str, dict[bytes, list[Conformer]]] = {}
    for conformer in conformers:
        graph = conformer[0]
        tensors = [value for key, value in graph.to_dict().items() if key != "pos" and isinstance(value, Tensor)]
        content = b"".join(tensor.numpy().tobytes() for tensor in tensors)
        groups.setdefault(graph.smiles, {}).setdefault(content, []).append(conformer)
    return [[item for equal in group.values() for item in _items(equal, transform)] for group in groups.values()]


def _items(conformers: Sequence[Conformer], transform: Transform | None) -> list[Data]:
    clouds = [graph["pos"] for graph, _, _ in conformers]
    graph = conformers[0][0]
    del graph.pos
    items = with_coordinates(graph, clouds, transform)
    for item, (_, energy, weight) in zip(items, conformers, strict=True):
        item.energy, item.weight = torch.tensor([energy]), torch.tensor([weight])
    return items
