"""QM9: 134 thousand small molecules with geometries and properties; the data card is ``datasets/qm9/README.md``."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
import torch
from torch_geometric.data import Data

from graphscore.data.dataset import Dataset, Part, Transform, with_coordinates
from graphscore.data.formats.archives import Open, members
from graphscore.data.readers import Failure
from graphscore.data.split import PARTS, part_of
from graphscore.molecules.bonding import mol_from_coordinates
from graphscore.molecules.elements import atomic_number
from graphscore.molecules.files import mol_from_molblock, sdf_texts
from graphscore.molecules.graph import Chem, data_from_mol
from graphscore.molecules.split import SPLITS, split_key
from graphscore.molecules.xyz import xyz_frames

PROPERTIES = ("A", "B", "C", "mu", "alpha", "homo", "lumo", "gap", "r2", "zpve", "U0", "U", "H", "G", "Cv")
CSV_COLUMNS = (*PROPERTIES[:10], "u0", "u298", "h298", "g298", "cv")
NUM_MOLECULES, NUM_UNCHARACTERIZED = 133_885, 3_054
PUBLISHED = {"cormorant": (0, 100_000, 17_748), "dimenet": (42, 110_000, 10_000)}
"""Published splits: seed, and sizes of train and val; the rest is test."""

Record = tuple[int, Callable[[], tuple[Chem.Mol, Sequence[float]]]]


class QM9(Dataset):
    """QM9: 133,885 molecules of up to 9 C, N, O and F, B3LYP/6-31G(2df,p) geometries and properties.

    Graphs have the layout of :mod:`graphscore.molecules.graph`, with ``name``, ``"gdb_1"`` and so on, and the selected
    ``properties``, each a float32 ``[1]`` in the unit of the files: A, B, C in GHz; mu in Debye; alpha in a0^3; homo,
    lumo, gap, zpve, U0, U, H, G in Hartree (total energies lose digits beyond 3e-5); r2 in a0^2; Cv in cal/mol/K. A
    group is a molecule with stereo marks, nearly always of one geometry.

    The original files have no bonds. They are taken from the first of the two SMILES in a file that fits its
    coordinates.

    Args:
        path: ``dsgdb9nsd.xyz.tar.bz2`` or a folder of its files; or ``gdb9.sdf``, or a folder or archive with it. For
            properties, ``gdb9.sdf.csv`` must be beside it.
        uncharacterized: ``uncharacterized.txt``: the 3,054 molecules that it lists are left out.
        split: ``"cormorant"`` (100,000 train, 17,748 val, 13,083 test, also that of EDM and others), ``"dimenet"``
            (110,000, 10,000, 10,831), which both need ``uncharacterized``; ``"molecule"`` or ``"scaffold"``, shares
            80/10/10 (see :func:`~graphscore.molecules.split.split_key`).
        properties: Names of the properties to load.
        seed: Seed of the split by molecule or scaffold.
        transform: Applied once to each graph, before it gets coordinates.

    Attributes:
        name: ``"qm9"``.
        failures: Molecules of the parts read so far that could not be used, with the reason.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If an option or a file is wrong.

    References:
        R. Ramakrishnan, P. Dral, M. Rupp, O. A. von Lilienfeld (2014), Quantum chemistry structures and properties of
        134 kilo molecules. B. Anderson, T. Hy, R. Kondor (2019), Cormorant. J. Gasteiger, J. Gross, S. Guennemann
        (2020), Directional message passing for molecular graphs. (DimeNet)
    """

    name = "qm9"

    def __init__(
        self,
        path: str | Path,
        uncharacterized: str | Path | None = None,
        split: str = "cormorant",
        properties: Sequence[str] = (),
        seed: int = 0,
        transform: Transform | None = None,
    ) -> None:
        if split not in (*PUBLISHED, *SPLITS):
            raise ValueError(f"Expected split to be one of {(*PUBLISHED, *SPLITS)}, but got {split!r}")
        if unknown := [name for name in properties if name not in PROPERTIES]:
            raise ValueError(f"Unknown properties {unknown}; expected some of {PROPERTIES}")
        if split in PUBLISHED and uncharacterized is None:
            raise ValueError(
                f"The split {split!r} leaves the uncharacterized molecules out: set uncharacterized to the path of "
                "uncharacterized.txt (https://ndownloader.figshare.com/files/3195404), or split='molecule'"
            )
        self.path = Path(path)
        self.transform = transform
        self.failures: list[Failure] = []
        self._properties = tuple(properties)
        self._excluded = frozenset() if uncharacterized is None else read_uncharacterized(uncharacterized)
        self._by, self._seed = split, seed
        self._parts = published_split(split, self._excluded) if split in PUBLISHED else None
        self._groups: dict[str, list[list[Data]]] = {}

    def _part_groups(self, part: Part) -> Iterable[list[Data]]:
        if part not in self._groups:
            # Without a published split, the part of a molecule is known only after it was read.
            self._groups |= self._read(PARTS if self._parts is None else (part,))
        return self._groups[part]

    def _read(self, parts: Sequence[str]) -> dict[str, list[list[Data]]]:
        groups: dict[str, dict[str, list[Data]]] = {part: {} for part in parts}
        number = None
        for number, make in self._records():
            part = None if self._parts is None else self._parts.get(number)
            if number in self._excluded or (self._parts and part not in parts):
                continue
            try:
                mol, values = make()
                if self._properties and not values:
                    raise ValueError("there are no properties of it")
                data = data_from_mol(mol, name=f"gdb_{number}")
            except ValueError as error:
                self.failures.append(Failure(str(self.path), f"gdb_{number}", str(error)))
                continue
            part = part or PARTS[part_of(split_key(mol, self._by), seed=self._seed)]
            groups[part].setdefault(data.smiles, []).extend(self._items(data, values))
        if number is None:
            raise ValueError(f"Expected files dsgdb9nsd_000001.xyz ... or gdb9.sdf in {self.path}, but there are none")
        return {part: list(found.values()) for part, found in groups.items()}

    def _items(self, data: Data, values: Sequence[float]) -> list[Data]:
        pos = data["pos"]
        del data.pos
        items = with_coordinates(data, [pos], self.transform)
        for name in self._properties:
            items[0][name] = torch.tensor([values[PROPERTIES.index(name)]])
        return items

    def _records(self) -> Iterator[Record]:
        for name, open_ in members(self.path):
            file_name = PurePosixPath(name).name
            if match := re.fullmatch(r"dsgdb9nsd_(\d{6})\.xyz", file_name):
                yield int(match[1]), lambda open_=open_: _from_xyz(open_)
            elif file_name == "gdb9.sdf":
                table = _table(self.path) if self._properties else {}
                with open_() as file:
                    for number, text in _numbered(file):
                        values = table.get(number, ())
                        yield number, lambda text=text, values=values: (mol_from_molblock(text), values)


def read_uncharacterized(path: str | Path) -> frozenset[int]:
    """Read QM9's list of uncharacterized molecules, whose geometry does not match their SMILES.

    Args:
        path: ``uncharacterized.txt``.

    Returns:
        Their 3,054 numbers, from 1 to 133,885.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it lists another number of molecules.
    """
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    numbers = frozenset(int(words[0]) for line in lines if (words := line.split()) and words[0].isdecimal())
    if len(numbers) != NUM_UNCHARACTERIZED:
        raise ValueError(f"Expected a list of {NUM_UNCHARACTERIZED} molecules in {path}, but found {len(numbers)}")
    return numbers


def published_split(name: str, uncharacterized: frozenset[int]) -> dict[int, str]:
    """Compute a published split of QM9, a permutation of the characterized molecules by NumPy's legacy generator.

    Args:
        name: ``"cormorant"`` or ``"dimenet"``; see :data:`PUBLISHED`.
        uncharacterized: Numbers of the molecules to leave out.

    Returns:
        The part of each molecule by its number.
    """
    seed, num_train, num_val = PUBLISHED[name]
    numbers = [number for number in range(1, NUM_MOLECULES + 1) if number not in uncharacterized]
    shuffled = np.random.RandomState(seed).permutation(numbers).tolist()
    sizes = (num_train, num_val, len(numbers) - num_train - num_val)
    parts = [part for part, size in zip(PARTS, sizes, strict=True) for _ in range(size)]
    return dict(zip(shuffled, parts, strict=True))


def _from_xyz(open_: Open) -> tuple[Chem.Mol, Sequence[float]]:
    with open_() as file:
        lines = file.read().decode().splitlines()
    try:
        frame = next(xyz_frames(lines, "it"))
        values = [_number(word) for word in frame.comment.split()[2:]]
        atoms = [line.split() for line in frame.atoms]
        numbers = [atomic_number(symbol) for symbol, *_ in atoms]
        pos = np.array([[_number(word) for word in (x, y, z)] for _, x, y, z, _ in atoms])
        names = dict.fromkeys(lines[len(atoms) + 3].split())
    except (IndexError, StopIteration, ValueError) as error:
        raise ValueError(f"Not laid out as a file of QM9: {error}") from error
    if len(values) != len(PROPERTIES):
        raise ValueError(f"Not laid out as a file of QM9: {len(values)} properties, expected {len(PROPERTIES)}")
    problems = []
    for smiles in names:
        try:
            return mol_from_coordinates(numbers, pos, smiles), values
        except ValueError as error:
            problems.append(str(error))
    raise ValueError("; ".join(problems) or "there is no SMILES")


def _number(word: str) -> float:
    """Read a number in Mathematica's format, such as ``1.2*^-6``."""
    return float(word.replace("*^", "e"))


def _numbered(file: BinaryIO) -> Iterator[tuple[int, str]]:
    """Iterate over the records of an SDF, with the numbers in their titles."""
    for text in sdf_texts(io.TextIOWrapper(file, encoding="utf-8")):
        if text.strip():
            title = text.partition("\n")[0].strip()
            if not re.fullmatch(r"gdb_\d+", title):
                raise ValueError(f"Expected records titled gdb_1, gdb_2 and so on, but found {title!r}")
            yield int(title.removeprefix("gdb_")), text


def _table(path: Path) -> dict[int, list[float]]:
    """Properties from ``gdb9.sdf.csv``, by number of the molecule."""
    source = path.with_name("gdb9.sdf.csv") if path.name == "gdb9.sdf" else path
    for name, open_ in members(source):
        if PurePosixPath(name).name == "gdb9.sdf.csv":
            with open_() as file:
                rows = list(csv.DictReader(io.TextIOWrapper(file, encoding="utf-8")))
            try:
                numbers = [int(row["mol_id"].removeprefix("gdb_")) for row in rows]
                return {n: [float(row[key]) for key in CSV_COLUMNS] for n, row in zip(numbers, rows, strict=True)}
            except (KeyError, ValueError) as error:
                raise ValueError(f"{name} is not the table of QM9: {error!r}") from error
    raise ValueError(f"Properties of gdb9.sdf are in gdb9.sdf.csv, which is not in {path}")
