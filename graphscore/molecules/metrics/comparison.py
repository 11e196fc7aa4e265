"""Reference and generated conformers of one molecule as arrays with the same order of atoms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphscore.molecules.graph import Chem, bare_mol, canonical_smiles, flat_smiles, mol_from_data, set_positions
from graphscore.molecules.perception import perceive_stereo

Attempt = Data | str | None
"""A generated conformer, or a failed attempt: the reason of the failure, None, or a graph that cannot be used."""


@dataclass(frozen=True)
class Comparison:
    """Reference and generated conformers of one molecule, with the same order of atoms: the input of every metric.

    Attributes:
        mol: The molecule with explicit hydrogens, without conformers, stereo marks and isotopes.
        smiles: Distinct SMILES of the references; generated conformers should have their stereo marks.
        references: Coordinates in Angstrom, ``[R, N, 3]``.
        generated: Coordinates of the attempts that can be compared, ``[G, N, 3]``.
        failures: Reason of failure of each attempt, or None; G are None.
    """

    mol: Chem.Mol
    smiles: tuple[str, ...]
    references: NDArray[np.float64]
    generated: NDArray[np.float64]
    failures: tuple[str | None, ...]

    @property
    def name(self) -> str:
        """SMILES of the molecule."""
        return self.smiles[0] if self.smiles else flat_smiles(self.mol)

    def first(self, num: int) -> Comparison:
        """Return a comparison with the first ``num`` attempts."""
        failures = self.failures[:num]
        return replace(self, generated=self.generated[: failures.count(None)], failures=failures)

    def without_failures(self) -> Comparison:
        """Return a comparison without the failed attempts."""
        return replace(self, failures=(None,) * len(self.generated))

    def with_conformer(self, pos: NDArray[np.float64]) -> Chem.Mol:
        """Return the molecule with coordinates ``[N, 3]`` and the stereo marks perceived from them."""
        mol = Chem.Mol(self.mol)
        set_positions(mol, pos)
        perceive_stereo(mol)
        return mol


def prepare(references: Sequence[Data], generated: Sequence[Attempt]) -> Comparison:
    """Reorder the atoms of all conformers of a molecule as in the first reference.

    Args:
        references: Reference conformers with ``pos``.
        generated: All attempts, including failed ones; atoms may be in another order.

    Returns:
        The comparison. An attempt that is not a graph, has no finite coordinates, or is another molecule (apart from
        stereo) is among its ``failures``.

    Raises:
        ValueError: If a reference has no finite coordinates, or is another molecule than the first.
    """
    frame = _Frame()
    expected = [frame.place(data) for data in references]
    placed, failures = [], []
    for attempt in generated:
        try:
            if attempt is None or isinstance(attempt, str):
                raise ValueError(attempt or "nothing was generated")
            placed.append(frame.place(attempt))
            failures.append(None)
        except ValueError as error:
            failures.append(str(error))
    smiles = dict.fromkeys(data.get("smiles") or canonical_smiles(mol_from_data(data)) for data in references)
    size = frame.mol.GetNumAtoms()
    return Comparison(
        mol=frame.mol,
        smiles=tuple(smiles),
        references=np.array(expected, dtype=np.float64).reshape(len(expected), size, 3),
        generated=np.array(placed, dtype=np.float64).reshape(len(placed), size, 3),
        failures=tuple(failures),
    )


class _Frame:
    """The first molecule, and the order of its atoms in the others."""

    def __init__(self) -> None:
        self.mol = Chem.Mol()
        self._orders: dict[tuple[bytes, ...], NDArray[np.intp]] = {}

    def place(self, data: Data) -> NDArray[np.float64]:
        """Return coordinates ``[N, 3]`` in the order of the first molecule's atoms."""
        pos = data.get("pos")
        if pos is None:
            raise ValueError(f"Expected a conformer, but the graph {data.get('smiles', '')!r} has no pos")
        order = self._order(data)
        if pos.shape != (len(order), 3):
            raise ValueError(f"Expected pos of shape [{len(order)}, 3], but got {list(pos.shape)}")
        if not bool(pos.isfinite().all()):
            raise ValueError("pos has values that are not finite")
        return pos.detach().cpu().double().numpy()[order]

    def _order(self, data: Data) -> NDArray[np.intp]:
        key = _topology(data)
        if key not in self._orders:
            mol = bare_mol(data)
            if not self._orders:
                self.mol = mol
                self._orders[key] = np.arange(mol.GetNumAtoms())
                return self._orders[key]
            if (kind := flat_smiles(mol)) != (expected := flat_smiles(self.mol)):
                raise ValueError(f"it is {kind}, not {expected}")
            self._orders[key] = np.array(mol.GetSubstructMatch(self.mol), dtype=np.intp)
        return self._orders[key]


def _topology(data: Data) -> tuple[bytes, ...]:
    """Atoms and bonds as a key; empty if some are missing, for which :func:`mol_from_data` raises an error."""
    if not all(name in data for name in ("z", "charge", "edge_index", "bond")):
        return ()
    edges, bonds = data["edge_index"], data["bond"]
    real = (bonds > 0) & (edges[0] < edges[1])
    return tuple(value.cpu().numpy().tobytes() for value in (data["z"], data["charge"], edges[:, real], bonds[real]))
