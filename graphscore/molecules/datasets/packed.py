"""Archives of molecules with conformers: arrays that all molecules share, laid end to end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data.dataset import Part
from graphscore.data.formats.npz import BYTES, REAL, WHOLE, read_npz
from graphscore.data.split import PARTS
from graphscore.molecules.graph import data_from_smiles

_ARRAYS = {"smiles": (BYTES, 1), "part": (WHOLE, 1), "num_conformers": (WHOLE, 1), "num_atoms": (WHOLE, 1)}
_ARRAYS |= {"pos": (REAL, 2)}


class Packed(NamedTuple):
    """Content of an archive.

    Attributes:
        source: Path of the file.
        smiles: SMILES of each molecule.
        part: Part of each molecule.
        pos: Coordinates ``[K, N, 3]`` of the conformers of each molecule, in Å.
        arrays: Further arrays by name.
    """

    source: Path
    smiles: list[str]
    part: list[Part]
    pos: list[Tensor]
    arrays: dict[str, Any]

    def graph(self, molecule: int) -> Data:
        """Make the graph of a molecule, without coordinates.

        Raises:
            ValueError: If its SMILES is none, or one of other atoms than those with coordinates.
        """
        try:
            graph = data_from_smiles(self.smiles[molecule])
        except ValueError as error:
            raise ValueError(f"Molecule {molecule} of {self.source}: {error}") from error
        if graph.num_nodes != (num := self.pos[molecule].shape[1]):
            raise ValueError(
                f"Molecule {molecule} of {self.source} has coordinates of {num} atoms, but its SMILES "
                f"{self.smiles[molecule]!r} has {graph.num_nodes}"
            )
        graph.molecule = molecule
        return graph


def read_packed(
    path: Path,
    unit: float,
    more: Mapping[str, tuple[str, int]] | None = None,
    optional: Mapping[str, tuple[str, int]] | None = None,
) -> Packed:
    """Read an archive with the arrays ``smiles``, ``part``, ``num_conformers``, ``num_atoms`` and ``pos``.

    Args:
        path: File.
        unit: Unit of ``pos`` in Å.
        more: Further arrays, as for :func:`~graphscore.data.formats.npz.read_npz`.
        optional: Further arrays that the archive may lack.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not such an archive, or its arrays do not fit together.
    """
    arrays = read_npz(path, {**_ARRAYS, **(more or {})}, path, optional)
    smiles, part = arrays.pop("smiles"), arrays.pop("part")
    counts, atoms = (arrays.pop(name).astype(np.int64) for name in ("num_conformers", "num_atoms"))
    pos = arrays.pop("pos")
    sizes = {"smiles": len(smiles), "part": len(part), "num_conformers": len(counts), "num_atoms": len(atoms)}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"Expected one row for each molecule in {path}, but the arrays have {sizes}")
    if len(part) and (part.min() < 0 or part.max() >= len(PARTS)):
        raise ValueError(f"Expected part in {path} to be from 0 to {len(PARTS) - 1}")
    if len(counts) and min(counts.min(), atoms.min()) < 0:
        raise ValueError(f"Expected num_conformers and num_atoms in {path} to be at least 0")
    if pos.shape != (total := int((counts * atoms).sum()), 3):
        raise ValueError(f"Expected pos in {path} to have the shape [{total}, 3], but it is {list(pos.shape)}")
    rows = torch.from_numpy(pos.astype(np.float32) * np.float32(unit)).split((counts * atoms).tolist())
    try:
        texts = [text.decode() for text in smiles.tolist()]
    except UnicodeDecodeError as error:
        raise ValueError(f"Expected smiles in {path} to be text, but: {error}") from error
    blocks = [one.view(num, size, 3) for one, num, size in zip(rows, counts.tolist(), atoms.tolist(), strict=True)]
    return Packed(path, texts, [PARTS[number] for number in part.tolist()], blocks, arrays | {"counts": counts})
