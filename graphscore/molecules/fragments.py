"""Molecular fragments with given coordinates, matched by a SMARTS pattern."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.attributes import FIXED, FIXED_POS
from graphscore.data.readers import read
from graphscore.generate.tries import Finish
from graphscore.molecules.graph import Chem, bare_mol, rdBase, remove_hydrogens
from graphscore.molecules.smiles import rdkit_errors

MAX_MATCHES = 10_000


class Fragment:
    """Fragment of a molecule: the atoms that match a SMARTS pattern, fixed at the coordinates of a template.

    The pattern is matched with heavy atoms alone; hydrogens follow the atoms that they are bonded to.

    Args:
        smarts: SMARTS pattern.
        template: A molecule with coordinates, in the layout of :mod:`graphscore.molecules.graph`.
        source: Name of the template's source, for reports.

    Raises:
        ValueError: If the pattern is not valid, the template has no coordinates, or the pattern matches no atoms of the
            template or several sets of them.
    """

    def __init__(self, smarts: str, template: Data, source: str = "") -> None:
        with rdBase.BlockLogs():
            self.pattern = Chem.MolFromSmarts(smarts)
        if self.pattern is None or self.pattern.GetNumAtoms() == 0:
            raise ValueError(f"Expected a SMARTS pattern of the atoms to hold, but got {smarts!r}")
        self.smarts = smarts
        self.source = source
        if template.get("pos") is None:
            raise ValueError(f"The template of {smarts!r} has no coordinates in space")
        mol, indices = _without_hydrogens(template)
        atoms = self._matches(mol, indices, "template")[0]
        self.pos = template["pos"][atoms]
        self._environments = [_environment(template, atom) for atom in atoms]

    @classmethod
    def read(cls, smarts: str, path: str | Path) -> Fragment:
        """Make a fragment with the template from a file of one molecule.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it cannot be read, holds several molecules, or as for the class.
        """
        result = read(path)
        if len(result.items) != 1 or result.failures:
            reason = f": {result.failures[0]}" if result.failures else ""
            raise ValueError(f"Expected one molecule in the template {path}, but read {len(result.items)}{reason}")
        return cls(smarts, result.items[0], str(path))

    @rdkit_errors()
    def find(self, template: Data, graph: Data) -> tuple[Tensor, Tensor]:
        """Find the nodes of a graph that belong to the fragment, and their coordinates.

        If the pattern matches the same atoms in several ways, as a ring does, the match is taken in which most atoms
        have the same neighbors in molecule and template, among those with the handedness of the molecule.

        Args:
            template: The molecule.
            graph: The network's graph of it: all atoms, or those listed in ``kept``.

        Returns:
            The nodes of the fragment, ``[n]``, and their coordinates, ``[n, 3]``.

        Raises:
            ValueError: If the pattern matches no atoms of the molecule or several sets of them, or only with another
                handedness.
        """
        mol, indices = _without_hydrogens(template)
        kept = graph["kept"].tolist() if "kept" in graph else range(template.num_nodes or 0)
        row = {int(atom): number for number, atom in enumerate(kept)}
        best, best_score = None, -1
        for atoms in self._matches(mol, indices, "molecule"):
            rows = torch.tensor([row[atom] for atom in atoms])
            environments = [_environment(template, atom) for atom in atoms]
            score = sum(one == other for one, other in zip(environments, self._environments, strict=True))
            if score > best_score and self._turns_right(rows, graph):
                best, best_score = rows, score
        if best is None:
            raise ValueError(f"{self.smarts!r} has another handedness in the template than in the molecule")
        return best, self.pos.float()

    def _matches(self, mol: Chem.Mol, indices: list[int], where: str) -> list[list[int]]:
        """All matches of the pattern, which must be with one set of atoms."""
        found = mol.GetSubstructMatches(self.pattern, uniquify=False, maxMatches=MAX_MATCHES)
        sets = sorted({tuple(sorted(indices[atom] for atom in match)) for match in found})
        if len(sets) != 1:
            some = "; ".join(", ".join(map(str, atoms)) for atoms in sets[:3])
            problem = f"fits to {len(sets)} sets of atoms ({some})" if sets else "fits to no heavy atoms"
            raise ValueError(f"{self.smarts!r} {problem} of the {where}; it must fit to exactly one set")
        return [[indices[atom] for atom in match] for match in found]

    def _turns_right(self, rows: Tensor, graph: Data) -> bool:
        """Tell whether the coordinates have the marked handedness of all stereocentres in the fragment."""
        place = {row: number for number, row in enumerate(rows.tolist())}
        for triple in graph["chiral_index"].t().tolist() if "chiral_index" in graph else ():
            if all(row in place for row in triple):
                x, *arms = (self.pos[place[row]].double() for row in triple)
                if not torch.linalg.det(torch.stack([arm - x for arm in arms])) > 0:
                    return False
        return True


class HoldAtoms:
    """Finish samples, and measure the deviation of fixed atoms from their coordinates."""

    def __init__(self, finish: Finish) -> None:
        self.finish = finish

    def __call__(self, template: Data, graph: Data, values: Mapping[str, Tensor]) -> Data:
        """Make a sample, with the number ``fixed_rmsd`` in Angstrom; see :func:`graphscore.generate.jobs.generate`."""
        item = self.finish(template, graph, values)
        rows = graph[FIXED].nonzero()[:, 0]
        if len(rows):
            atoms = graph["kept"][rows] if "kept" in graph else rows
            off = item["pos"][atoms] - graph[FIXED_POS][rows]
            item.fixed_rmsd = float(off.square().sum(-1).mean().sqrt())
        return item


def _without_hydrogens(data: Data) -> tuple[Chem.Mol, list[int]]:
    """The molecule without stereo marks and hydrogens, and the number of each of its atoms in the graph."""
    mol = bare_mol(data)
    for atom in mol.GetAtoms():
        atom.SetIntProp("index", atom.GetIdx())
    bare = remove_hydrogens(mol)
    return bare, [atom.GetIntProp("index") for atom in bare.GetAtoms()]


def _environment(data: Data, atom: int) -> tuple[int, int, tuple[int, ...]]:
    """Element and charge of an atom, and the elements of its neighbors."""
    source, target = data["edge_index"]
    neighbors = source[(target == atom) & (data["bond"] > 0)]
    return int(data["z"][atom]), int(data["charge"][atom]), tuple(sorted(data["z"][neighbors].tolist()))
