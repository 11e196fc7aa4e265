"""MD17 and rMD17: molecular dynamics with energies and forces; the data card is ``datasets/rmd17/README.md``."""

from __future__ import annotations

import gzip
import io
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

import numpy as np
import torch
from torch_geometric.data import Data

from graphscore.data.dataset import Dataset, Part, Transform, with_coordinates
from graphscore.data.formats.archives import members
from graphscore.data.formats.npz import REAL, check_array, described
from graphscore.data.split import PARTS, part_of
from graphscore.molecules.bonding import mol_from_coordinates
from graphscore.molecules.elements import atomic_number
from graphscore.molecules.graph import data_from_mol
from graphscore.molecules.representable import NUM_ELEMENTS
from graphscore.molecules.xyz import xyz_frames

Unit = Literal["kcal/mol", "eV"]
KCAL_PER_EV = 96.48533212331 / 4.184  # kJ/mol per eV (CODATA 2018), kJ per kcal
NUM_SPLITS = 5
NPZ_KEYS = (("nuclear_charges", "z"), ("coords", "R"), ("energies", "E"), ("forces", "F"))
"""Names of the arrays in rMD17 and in MD17."""


class MD17(Dataset):
    """rMD17 (or MD17): geometries of one molecule from dynamics at 500 K, with PBE/def2-SVP energies and forces.

    Graphs have the layout of :mod:`graphscore.molecules.graph`, with ``energy`` ``[1]`` float64 in kcal/mol, ``force``
    ``[N, 3]`` float32 in kcal/mol/A, its negative gradient, and ``frame`` ``[1]``, the position in the file. All
    geometries of a part are one group. Bonds are perceived from the first geometry, for a neutral molecule, unless
    ``smiles`` is given; the other geometries are not checked.

    Args:
        path: ``rmd17.tar.bz2``, or the folder unpacked from it; a ``.npz`` file of rMD17 or MD17; or an extended
            ``.xyz`` or ``.xyz.gz`` file with columns ``species``, ``pos``, ``forces`` and a value ``energy``.
        molecule: Name of the molecule in an archive or folder: ``"aspirin"``, ``"ethanol"``, ...
        split: 1 to 5 for the published pairs of 1,000 training and 1,000 test geometries, found in the archive, or in
            ``splits`` beside the folder of the file; ``None`` for all geometries, split 80/10/10 by a hash of their
            position. Consecutive geometries are similar, so test errors of such a split are too optimistic.
        num_val: Number of published training geometries to use for validation; the publication has no validation part.
        unit: Unit of energy in the files; eV (and eV/A) is converted.
        smiles: SMILES of the molecule, for its bonds; by default they are perceived.
        seed: Seed of the choice of validation geometries, or of the split by hash.
        transform: Applied once to the molecule's graph, before it gets coordinates.

    Attributes:
        name: ``"rmd17"``.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file or an option is wrong, or no bonds can be perceived.

    References:
        A. Christensen, O. A. von Lilienfeld (2020), On the role of gradients for machine learning of molecular energies
        and forces. S. Chmiela et al. (2017), Machine learning of accurate energy-conserving molecular force fields.
    """

    name = "rmd17"

    def __init__(
        self,
        path: str | Path,
        molecule: str | None = None,
        split: int | None = 1,
        num_val: int = 50,
        unit: Unit = "kcal/mol",
        smiles: str | None = None,
        seed: int = 0,
        transform: Transform | None = None,
    ) -> None:
        if split not in (None, *range(1, NUM_SPLITS + 1)):
            raise ValueError(f"Expected a split from 1 to {NUM_SPLITS}, or None, but got {split!r}")
        if unit not in get_args(Unit):
            raise ValueError(f"Expected a unit 'kcal/mol' or 'eV', but got {unit!r}")
        path = Path(path)
        files = _files(path, molecule, () if split is None else _split_names(split))
        self._frames = _read_npz(files.pop(".npz"), path) if ".npz" in files else _read_xyz(files.pop(".xyz"), path)
        if unit == "eV":
            energy, force = KCAL_PER_EV * self._frames.energy, KCAL_PER_EV * self._frames.force
            self._frames = replace(self._frames, energy=energy, force=force)
        num_frames = len(self._frames.pos)
        if split is None:
            keys = [PARTS[part_of(str(i), seed=seed)] for i in range(num_frames)]
            self._indices = {part: [i for i, key in enumerate(keys) if key == part] for part in PARTS}
        else:
            train, test = (_indices(files[name], name, num_frames) for name in _split_names(split))
            self._indices = _with_validation(train, test, num_val, seed)
        graph = _graph(self._frames, smiles, molecule or path.name, path)
        self._graph = graph if transform is None else transform(graph)
        self._groups: dict[str, list[list[Data]]] = {}

    def _part_groups(self, part: Part) -> Iterable[list[Data]]:
        if part not in self._groups:
            items = self._items(self._indices[part])
            self._groups[part] = [items] if items else []
        return self._groups[part]

    def _items(self, indices: list[int]) -> list[Data]:
        frames = self._frames
        items = with_coordinates(self._graph, torch.from_numpy(frames.pos[indices]).float(), None)
        for i, item in zip(indices, items, strict=True):
            force = torch.from_numpy(frames.force[i]).float()
            item.force = force[item.kept] if "kept" in item else force
            item.energy, item.frame = torch.from_numpy(frames.energy[i : i + 1]), torch.tensor([i])
        return items


@dataclass(frozen=True)
class _Frames:
    """Geometries ``[F, N, 3]`` in A of atoms ``[N]``, energies ``[F]``, forces ``[F, N, 3]``, all float64."""

    numbers: list[int]
    pos: np.ndarray
    energy: np.ndarray
    force: np.ndarray


def _split_names(split: int) -> tuple[str, str]:
    return f"index_train_{split:02}.csv", f"index_test_{split:02}.csv"


def _files(path: Path, molecule: str | None, splits: Sequence[str]) -> dict[str, bytes]:
    """Contents of the data file, under ``.npz`` or ``.xyz``, and of the files of the split, by name."""
    kind = re.search(r"\.(npz|xyz)(\.gz)?$", path.name)
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {path}")
    if kind and not path.is_dir():
        content = path.read_bytes()
        found = {f".{kind[1]}": gzip.decompress(content) if kind[2] else content}
        for folder in (path.parent / "splits", path.parent.parent / "splits"):
            found |= {name: (folder / name).read_bytes() for name in splits if (folder / name).is_file()}
    else:
        found, others = {}, []
        for name, open_ in members(path):
            file_name = PurePosixPath(name).name
            if file_name in splits or file_name == f"rmd17_{molecule}.npz":
                with open_() as file:
                    found[file_name if file_name in splits else ".npz"] = file.read()
            elif known := re.fullmatch(r"rmd17_(\w+)\.npz", file_name):
                others.append(known[1])
        if ".npz" not in found:
            raise ValueError(f"Expected molecule to be one of {sorted(others)}, those in {path}, but got {molecule!r}")
    if missing := [name for name in splits if name not in found]:
        raise ValueError(f"There is no {missing[0]} with {path}; with split=None, all geometries are split by a hash")
    return found


def _indices(content: bytes, name: str, num_frames: int) -> list[int]:
    words = content.decode().split()
    if not words or not all(word.isdecimal() and int(word) < num_frames for word in words):
        raise ValueError(f"Expected numbers below {num_frames} in {name}, the number of geometries")
    return [int(word) for word in words]


def _with_validation(train: list[int], test: list[int], num_val: int, seed: int) -> dict[str, list[int]]:
    if not 0 <= num_val < len(train):
        raise ValueError(f"num_val must be below {len(train)}, the number of training geometries, but is {num_val}")
    if both := set(train) & set(test):
        raise ValueError(f"The published training and test parts share {len(both)} geometries")
    shuffled = np.random.default_rng(seed).permutation(train).tolist()
    return {"train": shuffled[num_val:], "val": shuffled[:num_val], "test": test}


def _graph(frames: _Frames, smiles: str | None, name: str, path: Path) -> Data:
    try:
        mol = mol_from_coordinates(frames.numbers, frames.pos[0], smiles)
    except ValueError as error:
        hint = "; set smiles to the molecule" if smiles is None else ""
        raise ValueError(f"The first geometry of {path}: {error}{hint}") from error
    graph = data_from_mol(mol, name=name)
    del graph.pos
    return graph


def _read_npz(content: bytes, path: Path) -> _Frames:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            names = [new if new in file else old for new, old in NPZ_KEYS]
            numbers, pos, energy, force = (np.asarray(file[name]) for name in names)
    except Exception as error:  # of a damaged file, numpy and zipfile raise errors of many types
        raise ValueError(
            f"Expected arrays {[new for new, _ in NPZ_KEYS]} of numbers in {path}: {described(error)}"
        ) from error
    for name, array, dimensions in zip(names, (numbers, pos, energy, force), (1, 3, energy.ndim, 3), strict=True):
        check_array(name, array, REAL, dimensions, path)
    if len(numbers) and not (1 <= numbers.min() <= numbers.max() <= NUM_ELEMENTS and (numbers % 1 == 0).all()):
        raise ValueError(f"Expected whole numbers from 1 to {NUM_ELEMENTS} as {names[0]} in {path}")
    pos, energy, force = (array.astype(np.float64) for array in (pos, energy.reshape(-1), force))
    return _checked(_Frames(numbers.astype(int).tolist(), pos, energy, force), path)


def _read_xyz(content: bytes, path: Path) -> _Frames:
    numbers, rows, energies = [], [], []
    for line, comment, lines in xyz_frames(content.decode().splitlines(), str(path)):
        try:
            values = dict(word.split("=", 1) for word in shlex.split(comment) if "=" in word)
            columns = _columns(values["Properties"])
            atoms = [row.split() for row in lines]
            numbers.append([atomic_number(atom[columns["species"]][0]) for atom in atoms])
            rows.append([[atom[columns[key]] for atom in atoms] for key in ("pos", "forces")])
            energies.append(float(values["energy"]))
        except (ValueError, LookupError) as error:
            raise ValueError(
                f"Expected an extended XYZ frame with columns species, pos, forces and a value energy in line "
                f"{line} of {path}, but: {error!r}"
            ) from error
    if not numbers or any(other != numbers[0] for other in numbers):
        raise ValueError(f"Expected frames of one molecule, its atoms always in the same order, in {path}")
    values = np.array(rows, dtype=np.float64)
    return _checked(_Frames(numbers[0], values[:, 0], np.array(energies), values[:, 1]), path)


def _columns(properties: str) -> dict[str, slice]:
    """Columns of each property: ``species:S:1:pos:R:3`` means one column for species, then three for pos."""
    words, start, columns = properties.split(":"), 0, {}
    for name, count in zip(words[::3], words[2::3], strict=True):
        columns[name] = slice(start, start + int(count))
        start += int(count)
    return columns


def _checked(frames: _Frames, path: Path) -> _Frames:
    num_frames, num_atoms = len(frames.pos), len(frames.numbers)
    shapes = [frames.pos.shape, frames.force.shape, frames.energy.shape]
    if num_frames == 0 or shapes != [(num_frames, num_atoms, 3)] * 2 + [(num_frames,)]:
        raise ValueError(f"Coordinates, forces and energies of {num_atoms} atoms in {path} have the shapes {shapes}")
    if not all(np.isfinite(values).all() for values in (frames.pos, frames.force, frames.energy)):
        raise ValueError(f"Coordinates, forces or energies in {path} are not finite")
    return frames
