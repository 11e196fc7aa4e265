"""Reference conformers of a benchmark: lists of the embedded ensembles, and files of molecules with coordinates."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from torch_geometric.data import Data

from graphscore.data import load_dataset
from graphscore.data.missing import missing
from graphscore.data.readers import Failure
from graphscore.data.split import Part
from graphscore.molecules.datasets.ensembles import ConformerEnsembles, PDBLigands
from graphscore.molecules.evaluate import by_molecule
from graphscore.molecules.recipes.lists import TEST_SCAFFOLDS, flat_key, part_of_molecule
from graphscore.registry import close_to

DATASET = "gfn2-ensembles"
PDB = "pdb"
"""Name of the embedded bound shapes."""
ARCHIVE = ".npz"
"""Extension of data files in the layout of the embedded ensembles."""
HELD_OUT = (
    f"molecules whose Murcko scaffold (or flat SMILES, without rings) is among the {100 * TEST_SCAFFOLDS:g} % that a "
    "hash puts into the test part, in the order of the SHA-256 of their SMILES"
)
T = TypeVar("T")


def evenly(items: Sequence[T], most: int | None) -> list[T]:
    """At most so many items, evenly spread by their order, the first and the last among them."""
    if most is None or len(items) <= most:
        return list(items)
    return [items[place] for place in np.linspace(0, len(items) - 1, most).round().astype(int)]


def file_of(source: str) -> Path | None:
    """The file that a source names; ``None`` if it is the name of a list.

    Raises:
        FileNotFoundError: If it looks like a file, but there is none.
    """
    path = Path(source)
    if path.exists():
        return path
    if path.suffix:
        raise missing(source)
    return None


def ensembles(source: str, part: Part, most: int | None, limit: int | None) -> tuple[list[list[Data]], list[Failure]]:
    """Read reference conformers by molecule.

    Args:
        source: List of the data set ``gfn2-ensembles``; or a file, all molecules of which count.
        part: Part of a list.
        most: Largest number of references of a molecule, evenly spread.
        limit: Largest number of molecules, the first ones.

    Returns:
        The references of each molecule, and records of a file that could not be used.

    Raises:
        ValueError: If there is no such list, or it has no molecules in the part, or as for reading the file.
        FileNotFoundError: If there is no such file.
    """
    skipped: list[Failure] = []
    if (path := file_of(source)) is None:
        try:
            groups = load_dataset(DATASET, sources=[source]).groups(part)[:limit]
        except ValueError as error:
            hint = "" if source == PDB else close_to(source, [PDB])
            raise ValueError(f"{error}; {PDB!r} is there for the protocol bound{hint}") from error
        if not groups:
            raise ValueError(f"The list {source!r} has no molecules in the part {part!r}")
    elif path.suffix == ARCHIVE:
        data = ConformerEnsembles(path)
        groups = [data.conformers(number) for number in range(len(data.smiles))[:limit]]
    else:
        groups = [*by_molecule(path, skipped).values()][:limit]
    return [evenly(group, most) for group in groups], skipped


def bound_shapes(source: str, limit: int | None) -> tuple[list[list[Data]], list[Failure]]:
    """Read the shapes of ligands as they were observed, by molecule.

    Args:
        source: File of molecules, all of which count; or a data file in the layout of the embedded ensembles
            (:data:`ARCHIVE`), of which the part :data:`HELD_OUT` counts, as it does of the embedded ligands
            (:data:`PDB`).
        limit: Largest number of molecules, the first ones in this order.

    Returns:
        The shapes of each ligand, and records that could not be used.

    Raises:
        ValueError: If it is no file, or has no such molecules.
        FileNotFoundError: If there is no such file.
    """
    if source == PDB:
        data = PDBLigands()
    elif (path := file_of(source)) is None:
        raise ValueError(f"Bound shapes come from a file, or are {PDB!r}, but {source!r} is neither")
    elif path.suffix == ARCHIVE:
        data = ConformerEnsembles(path)
    else:
        return ensembles(source, "test", None, limit)
    groups = [data.conformers(number) for number in islice(_held_out(data.smiles), limit)]
    if not groups:
        raise ValueError(f"{source} has none of the {HELD_OUT}")
    return groups, []


def _held_out(smiles: Sequence[str]) -> Iterator[int]:
    """Numbers of the molecules in the test part."""
    for number in sorted(range(len(smiles)), key=lambda k: hashlib.sha256(smiles[k].encode()).digest()):
        if part_of_molecule(flat_key(smiles[number])) == "test":
            yield number
